"""The pages of operators without a server: what they offer, to whom, and what they say of what went wrong."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import sqlalchemy as sa

from dashboard import people
from dashboard.pages import production, rights, version_progress
from dashboard.pages.failures import ORDERS, STATES, Asked, Failures
from dashboard.pages.versions import Versions
from dashboard.snapshot import Snapshots
from processing.errors import NotAllowed
from processing.people import Actor, Role
from processing.settings import Settings
from processing.store import Store, backlog, failures, traffic
from processing.store.models import JOB_STATES, Campaign, Event, Job
from processing.versions import VERSIONS
from tests.dashboard_archive import filled
from tests.people import ANNA, OPERATOR


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[tuple[Settings, Store]]:
    settings = Settings(home=tmp_path)
    store = filled(settings, size=32)
    yield settings, store
    store.dispose()


def page(centre: tuple[Settings, Store], **asked: object) -> Failures:
    settings, store = centre
    return Failures(store, Snapshots(store, seconds=0).latest(), settings, Asked(**asked))


def failed(store: Store) -> Job:
    with store.read() as session:
        return session.scalars(sa.select(Job).where(Job.state == "failed")).one()


def buttons(text: str) -> list[str]:
    return re.findall(r"<button>([^<]+)</button>", text)


def test_a_date_is_retried_from_the_page_by_who_may(centre: tuple[Settings, Store]) -> None:
    job = failed(centre[1])
    view = page(centre, job=str(job.id))
    assert not rights.may("order")  # nobody is there
    for someone in (ANNA, Actor("visitor", Role.PUBLIC, "test")):
        with people.acting(someone):
            assert buttons(view.parts()["detail"]) == []
            with pytest.raises(NotAllowed):  # the form was forged
                view.order("retry")
            assert failed(centre[1]).state == "failed"
    with people.acting(OPERATOR):
        offered = [verb.capitalize() for verb, states in ORDERS.items() if "failed" in states]
        assert buttons(view.parts()["detail"]) == offered
        assert "is no order" in view.order("__class__")
        assert "queued" in view.order("retry")
    with centre[1].read() as session:
        assert session.get_one(Job, job.id).state == "ready"
        event = session.scalars(sa.select(Event).where(Event.kind == "retry")).one()
        assert (event.actor, event.job_id) == (OPERATOR.name, job.id)


def test_every_state_has_an_order_and_orders_know_their_states() -> None:
    assert {state for states in ORDERS.values() for state in states} <= set(JOB_STATES)
    assert set(STATES) - {"any"} <= set(JOB_STATES)
    assert all(any(state in states for states in ORDERS.values()) for state in JOB_STATES)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"state": "odd"}, "odd is no state"),
        ({"since": "yesterday"}, "yesterday is no day"),
        ({"until": "2026-13-01"}, "2026-13-01 is no day"),
        ({"tile": "99XXX"}, "No date is like this"),
        ({"job": "999999"}, "There is no date 999999"),
        ({"job": "<b>"}, "There is no date &lt;b&gt;"),
        ({"job": "5"}, "Attempts"),
        ({"since": "2026"}, "2026 is no day"),
        ({"signature": "7"}, "No date is like this"),
        ({"version": "V9"}, "V9 is no version"),
        ({"site": "<b>"}, "&lt;b&gt; is no site"),
        ({"period": "ever"}, "ever is no period"),
        ({"reason_class": "odd"}, "odd is no class"),
    ],
)
def test_what_an_address_asks_for_in_vain_is_said(
    centre: tuple[Settings, Store], given: dict[str, object], words: str
) -> None:
    view = page(centre, **given)
    assert words in view.body()
    assert bool(view.faults) == (" is no " in words or "There is no date" in words)


def test_the_whole_reason_stands_there_once_and_as_text(centre: tuple[Settings, Store]) -> None:
    reason = "dem.tif: <script>x</script> " + "does not cover the tile " * 40 + "at its end"
    with centre[1].write() as session:
        session.execute(sa.update(Job).where(Job.state == "failed").values(reason=reason))
    content = page(centre, state="failed").parts()["list"]
    assert content.count(entities.escape(reason)) == 1
    assert "<script>" not in content


def test_a_link_keeps_the_filters_and_each_choice_has_an_address(centre: tuple[Settings, Store]) -> None:
    job = failed(centre[1])
    view = page(centre, state="failed", period="7 days", page=0)
    assert f'href="/failures?state=failed&amp;period=7+days&amp;job={job.id}"' in view.parts()["list"]
    chosen = page(centre, state="failed", period="7 days", job=str(job.id)).parts()
    assert "muscate logs job:" in chosen["detail"]
    assert "all that went wrong with it" in chosen["detail"]
    assert f'href="/failures?state=failed&amp;period=7+days&amp;job={job.id}&amp;attempt=1"' in chosen["detail"]
    assert 'value="7 days" selected' in chosen["filters"]


@pytest.mark.parametrize("kind", ["refused", "rejected"])
@pytest.mark.parametrize("name", ["S2A_MSIL1C_X.SAFE", "holiday.jpg", "S2A_MSIL1C_X.zip"])
def test_an_event_says_its_whole_reason_and_the_name_once(kind: str, name: str) -> None:
    told = "is cut short " * 30 + "at B04"
    for data in ({"l1c": name, "reason": f"{name}: {told}"}, {"l1c": name, "reason": told}):
        words = production._words(SimpleNamespace(kind=kind, product=None, job_id=None, data=data))
        assert words == f"{name}: {told}"


def test_a_first_drop_that_was_refused_is_something_that_arrived(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    assert Snapshots(store).latest().empty
    with store.write() as session:
        data = {"l1c": "holiday.jpg", "reason": "holiday.jpg: is no Level-1C package"}
        session.add(Event(time=datetime.now(UTC), kind="refused", severity="warning", actor="inbox", data=data))
    snapshot = Snapshots(store).latest()
    assert not snapshot.empty
    text = production.Production(snapshot, settings).body()
    assert "Nothing has arrived" not in text
    assert "holiday.jpg" in text
    assert "<span>Refused drops</span><b>1</b>" in text
    assert "<span>Rejected or failed</span><b>0</b>" in text  # it is no date
    store.dispose()


def test_bandwidth_and_quota_of_each_account_stand_on_the_page(tmp_path: Path) -> None:
    """As soon as something was brought, whether or not a package of it was any good; and what is nearly used up."""
    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    time = datetime.now(UTC)
    with store.write() as session:
        session.add(
            Event(time=time, kind="refused", severity="warning", actor="inbox", data={"l1c": "x", "reason": "y"})
        )
        traffic.count(session, "cdse", time - timedelta(days=2), 9 * 10**12, 9e5, 12 * 10**12)
        traffic.count(session, "cdse", time, 2 * 10**12, 1e5, 12 * 10**12)
        traffic.count(session, "mirror", time, 3 * 10**9, 10.0)
        traffic.count(session, "mirror", time - timedelta(days=31), 10**15, 10.0)  # of before the window
    text = production.Production(Snapshots(store).latest(), settings).body()
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr.*?</tr>", text, re.S)]
    assert ["cdse", "2000.0", "20.0", "11000.0", "92", "%", "nearly", "used", "up"] in rows
    assert ["mirror", "3.0", "300.0", "3.0", "–"] in rows
    store.dispose()


@pytest.mark.parametrize("period", list(production.PERIODS))
@pytest.mark.parametrize("step", ["by period", "hour", "day", "week"])
def test_bars_hold_as_many_dates_as_the_figures(centre: tuple[Settings, Store], period: str, step: str) -> None:
    settings, store = centre
    view = production.Production(snapshot=Snapshots(store).latest(), settings=settings, period=period, step=step)
    days = production.PERIODS[period]
    with store.read() as session:
        ended = production.outcomes(session, days)
    bars = view._bars(ended[ended["outcome"] == "published"], "version", datetime.now(UTC))
    inside = ended[ended["hour"] >= pd.Timestamp(bars[0].start)]
    counted = sum(sum(bar.counts.values()) for bar in bars)
    assert counted == inside.query("outcome == 'published'")["dates"].sum()
    links = [bar.href for bar in bars if bar.href]
    assert len(links) == sum(bool(bar.counts) for bar in bars)
    assert all("state=published&since=" in link and "&until=" in link for link in links)


def test_a_bar_leads_to_the_dates_that_it_counts(centre: tuple[Settings, Store]) -> None:
    """Bar by bar: the page behind it lists as many."""
    settings, store = centre
    view = production.Production(snapshot=Snapshots(store).latest(), settings=settings, step="day")
    with store.read() as session:
        ended = production.outcomes(session, 30)
        for bar in view._bars(ended, "outcome", datetime.now(UTC)):
            end = bar.start + timedelta(days=1)
            wanted = failures.Wanted(states=tuple(bar.counts) or ("failed",), since=bar.start, until=end)
            found = {state: count for state, count in failures.counts(session, wanted).items() if count}
            assert found == {state: count for state, count in bar.counts.items() if count}


def test_campaigns_are_paused_and_resumed_by_who_may(centre: tuple[Settings, Store]) -> None:
    store = centre[1]

    def labels(someone: Actor) -> set[str]:
        with people.acting(someone):
            return set(buttons(Versions(Snapshots(store).latest()).parts()["orders"]))

    assert labels(ANNA) == set()
    others = {f"Start {name}" for name, one in VERSIONS.items() if one.produced} - {"Start V1_3", "Start V1_4"}
    assert labels(OPERATOR) == {"Pause V1_3", "Pause V1_4", *others}
    with pytest.raises(NotAllowed):
        version_progress.order(store, "pause", "V1_4", ANNA)
    assert "paused" in version_progress.order(store, "pause", "V1_4", OPERATOR)
    assert "Resume V1_4" in labels(OPERATOR)
    version_progress.order(store, "resume", "V1_4", OPERATOR)
    version_progress.order(store, "start", "V2_0", OPERATOR)
    with store.read() as session:
        assert dict(session.execute(sa.select(Campaign.version, Campaign.status)).all())["V2_0"] == "active"
        assert {one.version for one in backlog.burn_up(session)} == {"V1_3", "V1_4", "V2_0"}
