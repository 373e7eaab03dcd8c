"""News, incidents and maintenance: who may write them, which of them readers see, and in which language."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from sqlalchemy.orm import Session

from processing.errors import BadBulletin, NotAllowed, UnknownName
from processing.people import Actor, Role
from processing.sites import Site
from processing.store import Store, bulletins, sites
from processing.store.bulletins import Draft
from processing.store.models import STAGES, Bulletin, Event
from tests.store_databases import postgres, url  # noqa: F401

# ruff: noqa: F811

ANNA = Actor("anna", Role.OPERATOR, "127.0.0.1")
READER = Actor("rene", Role.SCIENTIST, "127.0.0.1")
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=0)
ENGLISH = {"en": {"title": "Disk", "text": "It is *full*."}}


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    store.upgrade(explicit=True)
    with store.write() as session:
        sites.register_sites(
            session, [Site("alps", "Alps", "FR", ("31TGK",), 1), Site("lot", "L", "FR", ("31TCJ",), 2)]
        )
    yield store
    store.dispose()


def shown(session: Session, kind: str, *, publish: bool = True, **given: Any) -> int:
    """A published bulletin; its key."""
    draft = Draft(kind, **{"texts": ENGLISH, "grade": "minor", **given})
    row = bulletins.keep(session, ANNA, draft)
    if publish:
        bulletins.publish(session, ANNA, row.id)
    return row.id


def titles(found: list[bulletins.Told]) -> list[str]:
    return [one.title for one in found]


def test_a_draft_is_seen_by_nobody_and_what_is_withdrawn_no_more(store: Store) -> None:
    with store.write() as session:
        key = shown(session, "news", publish=False)
        uid = bulletins.get(session, key).uid
        assert bulletins.latest(session, "en", 5) == []
        with pytest.raises(UnknownName):
            bulletins.one(session, uid, "en")
        bulletins.publish(session, ANNA, key)
        assert titles(bulletins.latest(session, "en", 5)) == ["Disk"]
        bulletins.withdraw(session, ANNA, key)
        assert bulletins.latest(session, "en", 5) == bulletins.of_site(session, "en") == []
        with pytest.raises(UnknownName):
            bulletins.one(session, uid, "en")


@pytest.mark.parametrize(
    ("kind", "starts", "ends", "incident", "maintenance"),
    [
        ("incident", -HOUR, None, True, False),
        ("incident", -HOUR, HOUR, True, False),
        ("incident", HOUR, None, False, False),
        ("incident", -2 * HOUR, -HOUR, False, False),
        ("maintenance", HOUR, 2 * HOUR, False, True),
        ("maintenance", -HOUR, HOUR, False, True),
        ("maintenance", -2 * HOUR, -HOUR, False, False),
        ("news", -HOUR, None, False, False),
    ],
)
def test_what_goes_on_is_shown_while_it_does(
    kind: str, starts: timedelta, ends: timedelta | None, incident: bool, maintenance: bool, store: Store
) -> None:
    with store.write() as session:
        shown(session, kind, starts=NOW + starts, ends=None if ends is None else NOW + ends)
        assert bool(bulletins.open_incidents(session, "en")) is incident
        assert bool(bulletins.maintenance(session, "en")) is maintenance


def test_the_gravest_incident_and_the_next_maintenance_come_first(store: Store) -> None:
    with store.write() as session:
        for grade in ("minor", "major", "info"):
            shown(session, "incident", grade=grade, texts={"en": {"title": grade}})
        for hours in (9, 2, 5):
            title = {"en": {"title": str(hours)}}
            shown(session, "maintenance", texts=title, starts=NOW + hours * HOUR, ends=NOW + 20 * HOUR)
        assert titles(bulletins.open_incidents(session, "en")) == ["major", "minor", "info"]
        assert titles(bulletins.maintenance(session, "en")) == ["2", "5", "9"]


@pytest.mark.parametrize(
    ("written", "asked", "given"),
    [
        (("en", "fr", "es"), "es", "es"),
        (("en", "fr"), "es", "en"),
        (("fr",), "es", "fr"),
        (("es",), "en", "es"),
        (("fr", "es"), "en", "fr"),
    ],
)
def test_a_missing_language_falls_back_on_another_and_says_so(
    written: tuple[str, ...], asked: str, given: str, store: Store
) -> None:
    texts = {code: {"title": f"title {code}", "text": f"text {code}"} for code in written}
    with store.write() as session:
        key = shown(session, "incident", texts=texts)
        bulletins.update(session, ANNA, key, "identified", {code: f"step {code}" for code in written})
        (found,) = bulletins.open_incidents(session, asked)
    assert (found.language, found.title, found.text) == (given, f"title {given}", f"text {given}")
    assert [(step.text, step.language) for step in found.steps] == [(f"step {given}", given)]


@pytest.mark.parametrize(("kind", "end"), [("incident", "resolved"), ("maintenance", "over")])
def test_a_last_update_ends_it_now(kind: str, end: str, store: Store) -> None:
    with store.write() as session:
        key = shown(session, kind, starts=NOW - HOUR, ends=NOW + HOUR)
        assert bulletins.get(session, key).stage == STAGES[kind][0]
        bulletins.update(session, ANNA, key, end, {"en": "Done."})
        row = bulletins.get(session, key)
        assert row.ends is not None
        assert abs(row.ends - datetime.now(UTC)) < timedelta(seconds=60)
        assert bulletins.open_incidents(session, "en") == bulletins.maintenance(session, "en") == []


def test_a_cancelled_maintenance_keeps_its_window_and_is_no_mark(store: Store) -> None:
    with store.write() as session:
        key = shown(session, "maintenance", starts=NOW + HOUR, ends=NOW + 2 * HOUR)
        bulletins.update(session, ANNA, key, "cancelled", {})
        (found,) = bulletins.calendar(session, "en")
        assert (found.stage, found.ends) == ("cancelled", NOW + 2 * HOUR)
        assert bulletins.maintenance(session, "en") == []
        assert bulletins.marks(session, NOW, NOW + 3 * HOUR) == []
        assert bulletins.under_maintenance(session, NOW + 1.5 * HOUR) == frozenset()


def test_marks_are_what_lies_in_the_window(store: Store) -> None:
    with store.write() as session:
        for title, kind, starts, ends in (
            ("before", "incident", -9, -8),
            ("into", "incident", -9, -3),
            ("open", "incident", -8, None),
            ("within", "maintenance", -3, -2),
            ("after", "maintenance", 3, 4),
        ):
            window = {"starts": NOW + starts * HOUR, "ends": None if ends is None else NOW + ends * HOUR}
            shown(session, kind, texts={"en": {"title": title}}, **window)
        found = bulletins.marks(session, NOW - 5 * HOUR, NOW)
        assert [mark.title for mark in found] == ["into", "open", "within"]
        assert [mark.title for mark in bulletins.marks(session, NOW - 7.5 * HOUR, NOW - 6 * HOUR)] == ["into", "open"]


def test_news_are_marks_of_the_moment_they_were_published_at(store: Store) -> None:
    with store.write() as session:
        key = shown(session, "news", publish=False, starts=NOW - 50 * HOUR)
        bulletins.publish(session, ANNA, key)
        moment = bulletins.get(session, key).starts
        assert abs(moment - datetime.now(UTC)) < timedelta(minutes=1)
        assert [mark.starts for mark in bulletins.marks(session, moment - HOUR, moment + HOUR)] == [moment]
        assert bulletins.marks(session, moment + HOUR, moment + 2 * HOUR) == []


@pytest.mark.parametrize(("where", "covered"), [((), None), (("alps",), {"alps"}), (("alps", "lot"), {"alps", "lot"})])
def test_a_maintenance_covers_its_sites_while_it_lasts(
    where: tuple[str, ...], covered: set[str] | None, store: Store
) -> None:
    with store.write() as session:
        shown(session, "maintenance", starts=NOW - HOUR, ends=NOW + HOUR, sites=where)
        shown(session, "incident", starts=NOW - HOUR)
        assert bulletins.under_maintenance(session, NOW) == covered
        assert bulletins.under_maintenance(session, NOW + HOUR) == frozenset()


def test_a_site_is_told_what_concerns_it_and_the_whole_centre(store: Store) -> None:
    with store.write() as session:
        for title, where in (("all", ()), ("lot", ("lot",)), ("alps", ("alps", "lot"))):
            shown(session, "incident", texts={"en": {"title": title}}, sites=where)
        assert set(titles(bulletins.of_site(session, "en", "alps"))) == {"all", "alps"}
        assert len(bulletins.of_site(session, "en")) == 3
        assert len(bulletins.of_site(session, "en", "lot", limit=2)) == 2


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"kind": "gossip"}, "none of the kinds"),
        ({"grade": "dire"}, "none of the classes"),
        ({"sites": ("atlantis",)}, "no such site"),
        ({"kind": "maintenance"}, "start and its end"),
        ({"kind": "maintenance", "starts": NOW}, "start and its end"),
        ({"starts": NOW, "ends": NOW}, "not after the start"),
        ({"ends": NOW - HOUR}, "not after the start"),
        ({"texts": {}}, "title is needed"),
        ({"texts": {"en": {"title": " \x00 ", "text": ""}}}, "title is needed"),
        ({"texts": {"de": {"title": "Nachricht"}}}, "title is needed"),
        ({"texts": {"en": {"title": "x"}, "fr": {"text": "y"}}}, "without a title"),
        ({"texts": {"en": {"title": "x" * 201}}}, "too long"),
        ({"texts": {"en": {"title": "x", "text": "y" * 20_001}}}, "too long"),
    ],
)
def test_what_can_not_be_kept_is_refused_by_name(given: dict[str, Any], fault: str, store: Store) -> None:
    draft = Draft(**{"kind": "incident", "texts": ENGLISH, **given})
    with store.write() as session:
        with pytest.raises(BadBulletin, match=fault):
            bulletins.keep(session, ANNA, draft)
        assert bulletins.drafts(session) == []


def test_an_edit_does_not_write_over_somebody_else_s(store: Store) -> None:
    with store.write() as session:
        key = shown(session, "news")
        read = bulletins.get(session, key).sequence
        bulletins.keep(session, ANNA, Draft("news", texts={"en": {"title": "first"}}), key, read)
        with pytest.raises(BadBulletin, match="somebody else"):
            bulletins.keep(session, ANNA, Draft("news", texts={"en": {"title": "second"}}), key, read)
        with pytest.raises(BadBulletin, match="keeps its kind"):
            bulletins.keep(session, ANNA, Draft("incident", texts=ENGLISH), key)
        assert titles(bulletins.latest(session, "en", 5)) == ["first"]


def test_who_may_not_write_writes_nothing_and_who_may_is_recorded(store: Store) -> None:
    with store.write() as session:
        key = shown(session, "incident")
        before = session.scalar(sa.select(sa.func.count(Event.id)))
        for act in (
            lambda: bulletins.keep(session, READER, Draft("news", texts=ENGLISH)),
            lambda: bulletins.keep(session, READER, Draft("news", texts=ENGLISH), key),
            lambda: bulletins.publish(session, READER, key),
            lambda: bulletins.withdraw(session, READER, key),
            lambda: bulletins.update(session, READER, key, "resolved", {"en": "x"}),
        ):
            with pytest.raises(NotAllowed):
                act()
        assert session.scalar(sa.select(sa.func.count(Event.id))) == before
        bulletins.update(session, ANNA, key, "resolved", {"en": "x"})
        bulletins.withdraw(session, ANNA, key)
        rows = session.scalars(sa.select(Event).order_by(Event.id)).all()
        assert [(row.kind, row.actor) for row in rows] == [
            (f"bulletin_{what}", "anna") for what in ("kept", "published", "updated", "withdrawn")
        ]
        assert {row.data["uid"] for row in rows} == {bulletins.get(session, key).uid}


@settings(deadline=None, max_examples=200)
@given(text=st.text(st.characters(codec=None), max_size=60))
def test_what_is_kept_can_stand_in_any_document(text: str) -> None:
    kept = bulletins._clean(text, 10_000)
    kept.encode()  # no half of a pair
    element = etree.Element("a")
    element.text = kept  # lxml refuses what XML may not hold
    assert etree.fromstring(etree.tostring(element)).text in (kept, None)
    assert "\n" not in bulletins._clean(text, 10_000, line=True)


def test_a_uid_is_for_ever(store: Store) -> None:
    with store.write() as session:
        key = shown(session, "news")
        uid = bulletins.get(session, key).uid
        bulletins.keep(session, ANNA, Draft("news", texts={"fr": {"title": "Autre"}}), key)
        row = session.scalars(sa.select(Bulletin)).one()
        assert (row.uid, row.sequence) == (uid, 2)
