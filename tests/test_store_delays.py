"""Where the time of products goes, what waits and why, and what went wrong: on both databases."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import pages
from dashboard import queries
from processing.production import operations
from processing.settings import Settings
from processing.store import Store, attempts, backlog, delays, failures, orders, sites
from processing.store.dialect import now
from processing.store.failures import STATES, Wanted, signature, without_name
from processing.store.models import (
    CLOSED_STATES,
    OPEN_STATES,
    Acquisition,
    Attempt,
    Campaign,
    Chain,
    Granule,
    Job,
    Product,
    StageDelay,
)
from tests.people import OPERATOR
from tests.store_databases import empty, postgres  # noqa: F401


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A centre at work with some thousand rows. Tests undo what they change."""
    store = Store(empty(request, tmp_path_factory.mktemp("store")))
    if not store.is_sqlite:  # days must not move with the time zone of a server
        sa.event.listen(store.engine, "connect", lambda c, _: c.execute("SET TIME ZONE 'Asia/Kathmandu'"))
    store.upgrade(explicit=True)
    pages.fill(store, products=900, tile_count=30)
    yield store
    store.dispose()


def times(session: sa.orm.Session, product: Product) -> list[datetime]:
    job, attempt = session.get_one(Job, product.job_id), session.get_one(Attempt, product.attempt_id)
    acquisition = session.get_one(Acquisition, job.acquisition_id)
    granule = session.scalars(sa.select(Granule).where(Granule.acquisition_id == acquisition.id)).one()
    assert granule.offered is not None
    assert granule.downloaded is not None
    assert attempt.started is not None
    way = [acquisition.sensing, granule.offered, granule.seen, granule.downloaded, job.created]
    return [*way, attempt.started, product.published]


def test_stages_add_up_to_the_delay(store: Store) -> None:
    with store.write() as session:
        product = session.scalars(sa.select(Product).order_by(Product.id)).first()
        assert product is not None
        session.execute(sa.delete(StageDelay))
        way = times(session, product)
        delays.note(session, product)
        session.flush()
        kept = session.scalars(sa.select(StageDelay)).one()
        stages = [getattr(kept, stage) for stage in delays.STAGES]
        expected = [(later - earlier).total_seconds() for earlier, later in pairwise(way)]
        assert stages == pytest.approx(expected)
        assert kept.total == pytest.approx(sum(expected))
        product.revision = 1  # made again: nobody's delay
        session.execute(sa.delete(StageDelay))
        delays.note(session, product)
        session.flush()
        assert session.scalars(sa.select(StageDelay)).all() == []
        session.rollback()


def test_percentiles_are_those_of_the_products_of_a_site(store: Store) -> None:
    with store.read() as session:
        found = delays.by_site(session, datetime(2020, 1, 1, tzinfo=UTC))
        rows = session.scalars(sa.select(StageDelay)).all()
        names = {tile: site for site, tile in pages.sites_of(session)}
    assert found[delays.EVERY].products == len(rows)
    for name, told in found.items():
        own = [row for row in rows if name in (delays.EVERY, names.get(row.tile))]
        assert told.products == len(own)
        assert told.total == pytest.approx(tuple(np.percentile([row.total for row in own], delays.PERCENTILES)))
        assert told.stages["work"] == pytest.approx(tuple(np.percentile([row.work for row in own], delays.PERCENTILES)))


@pytest.mark.parametrize("stage", ["source", "notice", "download", "wait", "work"])
def test_the_stage_that_is_slower_than_usual_is_to_blame(store: Store, stage: str) -> None:
    """Whichever takes the most in any case."""
    with store.write() as session:
        session.execute(sa.delete(StageDelay))
        time, jobs = now(session), session.scalars(sa.select(Product.job_id).limit(60)).all()
        for number, job in enumerate(jobs):
            spent = {"source": 9000.0, "notice": 100.0, "download": 50.0, "queue": 0.0, "wait": 300.0, "work": 200.0}
            published = time - timedelta(hours=12 if number % 2 else 24 * 9)
            if number % 2:
                spent[stage] += 4000
            place = {"tile": "31TCJ", "version": "V1_4", "published": published}
            session.add(StageDelay(job_id=job, **place, **spent, total=sum(spent.values())))
        session.flush()
        blamed = delays.blame(session, time)
        assert blamed is not None
        assert blamed.stage == stage
        assert blamed.seconds - blamed.usual == 4000
        session.rollback()


def test_status_names_the_stage_and_what_waits(store: Store) -> None:
    found = operations.status(store)
    assert any(words in found["late_by"] for words in delays.STAGES.values())
    assert sum(found["waits"].values()) + len(found["running"]) == found["backlog"]
    assert set(found["delay_hours"]) == {"p50", "p90", "p95"}


def test_why_a_date_waits_is_what_explain_says(store: Store) -> None:
    """Of every open date, in its state and with its campaign paused."""
    with store.write() as session:
        for paused in (False, True):
            if paused:
                sites.set_campaign(session, "V2_0", "paused", OPERATOR)
            waiting = backlog.waiting(session, 10_000)
            assert len(waiting) == session.scalar(
                sa.select(sa.func.count()).where(Job.state.in_(OPEN_STATES), Job.state != "running")
            )
            counts: dict[str, int] = {}
            for one in waiting:
                counts[one.reason] = counts.get(one.reason, 0) + 1
            summed: dict[str, int] = {}
            for (_, reason), (count, _) in backlog.summary(session).items():
                summed[reason] = summed.get(reason, 0) + count
            summed.pop("running")
            assert counts == summed
            for one in random.Random(1).sample(waiting, 40):
                why = str(orders.story(session, session.get_one(Job, one.job_id))["why"])
                if one.reason == "held":
                    assert one.why.endswith(f"({why})")
                elif one.reason == "paused":
                    assert "is paused" in why
                else:
                    assert one.why.split(" (")[0] in why
        session.rollback()


def test_the_backlog_in_time_is_counted_back_from_now(store: Store) -> None:
    with store.read() as session:
        time = now(session)
        since = time - timedelta(days=20)
        found = backlog.over_time(session, since, 86400)
        jobs = session.execute(sa.select(Job.created, Job.closed, Job.state)).all()
    assert len(found) >= 20
    for moment, count in found:
        opened = [j for j in jobs if j.created < moment and (j.state not in CLOSED_STATES or j.closed >= moment)]
        assert count == len(opened), moment


@pytest.mark.parametrize("microsecond", [0, 400_000, 999_999])
def test_the_last_moment_of_a_day_belongs_to_it(store: Store, microsecond: int) -> None:
    """To the microsecond, on both databases."""
    with store.write() as session:
        time = now(session)
        midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
        before = dict(backlog.over_time(session, time - timedelta(days=5), 86400))
        job = session.scalars(sa.select(Job).where(Job.state == "ready").limit(1)).one()
        copy = {c: getattr(job, c) for c in ("chain_id", "acquisition_id", "sensing", "not_before")}
        created = midnight - timedelta(seconds=1) + timedelta(microseconds=microsecond)
        session.add(Job(**copy, revision=9, state="ready", created=created))
        session.flush()
        after = dict(backlog.over_time(session, time - timedelta(days=5), 86400))
        grown = {moment for moment in before.keys() & after.keys() if after[moment] > before[moment]}
        assert midnight in grown
        assert midnight - timedelta(days=1) not in grown
        session.rollback()


def test_a_campaign_ends_when_its_rate_says(store: Store) -> None:
    with store.read() as session:
        told = {one.version: one for one in backlog.campaigns(session)}
        burn_up = {one.version: one for one in backlog.burn_up(session, 60)}
        time = now(session)
        for version, one in told.items():
            of = sa.select(Job).join(Chain, Chain.id == Job.chain_id).join(Campaign, Campaign.id == Chain.campaign_id)
            jobs = session.scalars(of.where(Campaign.version == version)).all()
            closed = [job for job in jobs if job.closed is not None and job.closed >= time - backlog.RATE]
            assert one.ended * 7 == pytest.approx(len(closed), abs=1)
            assert one.waiting == sum(job.state in OPEN_STATES for job in jobs)
            if one.end is not None:
                days = (one.end - time) / timedelta(days=1)
                assert days * (one.ended - one.arrived) == pytest.approx(one.waiting, rel=1e-3)
            curves = burn_up[version]
            assert curves.known[-1][1] == len(jobs)
            assert curves.done[-1][1] == sum(job.state in CLOSED_STATES for job in jobs)
            for curve in (curves.done, curves.known):
                counts = [count for _, count in curve]
                assert counts == sorted(counts)
                assert counts[0] >= 0


def _expected(session: sa.orm.Session, wanted: Wanted) -> list[int]:
    """The same by going through all jobs."""
    tiles = {tile for site, tile in pages.sites_of(session, code=True) if site == wanted.site}
    found = []
    query = sa.select(Job, Chain.tile, Campaign.version).join(Chain, Chain.id == Job.chain_id)
    for job, tile, version in session.execute(query.join(Campaign, Campaign.id == Chain.campaign_id)):
        ended = session.scalar(
            sa.select(sa.func.max(Attempt.ended, type_=Job.created.type)).where(Attempt.job_id == job.id)
        )
        time = job.closed or ended or job.created
        if (
            job.state in (wanted.states or STATES)
            and wanted.reason_class in ("", job.reason_class)
            and wanted.tile in ("", tile)
            and wanted.version in ("", version)
            and (not wanted.site or tile in tiles)
            and (wanted.since is None or time >= wanted.since)
            and (wanted.until is None or time < wanted.until)
            and wanted.signature in ("", signature(job.reason or ""))
        ):
            found.append((time, job.id))
    return [job for _, job in sorted(found, reverse=True)]


def test_failures_are_found_by_any_filter_and_page_by_page(store: Store) -> None:
    dice = random.Random(3)
    with store.read() as session:
        tiles = session.scalars(sa.select(Chain.tile)).all()
        time = now(session)
        reasons = [reason for kinds in pages.REASONS.values() for _, reason in kinds]
        wanted = [Wanted(), Wanted(states=("published",), tile=tiles[0])]
        for _ in range(12):
            wanted.append(
                Wanted(
                    states=tuple(dice.sample(STATES, dice.randint(0, 3))),
                    reason_class=dice.choice(("", "", "", "input", "unknown")),
                    site=dice.choice(("", "", "s0")),
                    tile=dice.choice(("", "", dice.choice(tiles))),
                    version=dice.choice(("", "", "V1_4")),
                    signature=dice.choice(("", "", signature(dice.choice(reasons)))),
                    since=dice.choice((None, time - timedelta(days=60))),
                    until=dice.choice((None, time - timedelta(days=7))),
                )
            )
        for one in wanted:
            expected = _expected(session, one)
            found = [row.job_id for row in failures.find(session, one, 10_000)]
            assert found == expected, one
            assert sum(failures.counts(session, one).values()) == len(expected)
            for page in (0, 1):
                rows = failures.find(session, one, 7, 7 * page)
                assert [row.job_id for row in rows] == expected[7 * page : 7 * page + 7]
            groups = failures.groups(session, one)
            assert all(group.first <= group.last and group.count > 0 for group in groups)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("97.1 % cloud", "91.0 % cloud"),
        ("S2A_MSIL1C_20230815T095843_N0509_R051_T33TWM_20230815T1.SAFE: B04.jp2: cut", "x_MSIL1C_y: B04.jp2: cut"),
        ("/a/b/dem.tif: does not cover the tile", "/c/d/e.tif: does not cover the tile"),
        ("the worker was lost 3 times", "the worker was lost 12 times"),
        ("31TCJ: no state", "33TWM: no state"),
    ],
)
def test_failures_of_a_kind_have_one_signature(one: str, other: str) -> None:
    assert signature(one) == signature(other)
    assert signature(one) != signature("ZeroDivisionError: division by zero")


def test_what_a_file_is_called_stays_in_the_signature() -> None:
    assert signature("B04.jp2: cut short") != signature("B05.jp2: cut short")


@given(st.text(max_size=80))
def test_a_signature_is_that_of_itself(reason: str) -> None:
    assert isinstance(signature(reason), str)


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=1),
    st.text(min_size=1),
    st.sampled_from(["", ".SAFE", ".zip"]),
)
def test_a_reason_does_not_say_the_name_twice(name: str, reason: str, suffix: str) -> None:
    told = without_name({"l1c": name + suffix, "reason": f"{name}{suffix}: {reason}"})
    assert told == (reason.lstrip(" :,") or f"{name}{suffix}: {reason}")
    assert without_name({"l1c": name + suffix, "reason": f"{name}: {reason}"}) in (told, f"{name}: {reason}")


def test_silent_sources_and_refused_drops_are_known(store: Store) -> None:
    with store.read() as session:
        (source,) = failures.sources(session, datetime(2020, 1, 1, tzinfo=UTC))
        assert source.name == "inbox"
        assert source.packages == session.scalar(sa.select(sa.func.count(Granule.id)))
        assert source.last == session.scalar(sa.select(sa.func.max(Granule.seen, type_=Granule.seen.type)))
        turned_away = failures.refused(session)
    assert [one.name for one in turned_away][:2] == ["holiday_0.jpg", "holiday_1.jpg"]
    assert {one.reason for one in turned_away} == {"is no Level-1C package"}


def test_delays_of_a_home_of_before_are_known(tmp_path: Path) -> None:
    """The migration fills them in as the program would have written them."""
    from alembic import command
    from alembic.config import Config

    from processing.store import MIGRATIONS

    settings = Settings(home=tmp_path)
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    pages.fill(store, products=60, tile_count=4)
    with store.read() as session:
        before = {row.job_id: row.total for row in session.scalars(sa.select(StageDelay))}
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with store._writer.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    store.upgrade()
    with store.read() as session:
        after = {row.job_id: row.total for row in session.scalars(sa.select(StageDelay))}
    assert after.keys() == before.keys()
    assert all(abs(after[job] - before[job]) <= 2 for job in before)  # the database counts whole seconds
    store.dispose()


#: Tables that grow with every date.
GROWING = ("job", "product", "acquisition", "granule", "attempt", "event", "stage_delay", "quality")


def test_no_page_reads_a_growing_table_from_end_to_end(store: Store) -> None:
    """What operators' pages ask goes by an index, however large the store is."""
    if not store.is_sqlite:
        pytest.skip("Postgres chooses by the size of its tables, and these are small")
    month = datetime.now(UTC) - timedelta(days=30)
    asked = {
        "summary": backlog.summary,
        "waiting": backlog.waiting,
        "waiting of a tile": lambda s: backlog.waiting(s, tile="31TCJ", reason="older"),
        "running": backlog.running,
        "backlog in time": lambda s: backlog.over_time(s, month),
        "delays": lambda s: delays.by_site(s, month),
        "blame": lambda s: delays.blame(s, datetime.now(UTC)),
        "failures": lambda s: failures.find(s, Wanted(since=month)),
        "failures of a site": lambda s: failures.find(s, Wanted(states=("failed",), site="s0", signature="x")),
        "groups": lambda s: failures.groups(s, Wanted(since=month)),
        "refused": lambda s: failures.refused(s, month),
        "sources": lambda s: failures.sources(s, month),
        "outcomes": lambda s: queries.outcomes_per_hour(s, month),
        "coverage": queries.newest_product,
        "anything": queries.anything,
        "growth": lambda s: queries.archive_growth(s, 7),
        "attempts": lambda s: attempts.of_job(s, attempts.jobs(s, "job:1")[0]),
    }
    for name, question in asked.items():
        statements: list[tuple[str, object]] = []

        def keep(_c: object, _cursor: object, statement: str, given: object, *_: object) -> None:
            statements.append((statement, given))  # noqa: B023

        with store.read() as session:
            sa.event.listen(store.engine, "before_cursor_execute", keep)
            try:
                question(session)
            finally:
                sa.event.remove(store.engine, "before_cursor_execute", keep)
            connection = session.connection().connection.dbapi_connection
            assert connection is not None
            for statement, given in statements:
                if not statement.lstrip().upper().startswith(("SELECT", "WITH")):
                    continue
                plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()
                scans = [row[3] for row in plan if row[3].startswith("SCAN") and "USING" not in row[3]]
                read = [scan for scan in scans if re.sub(r"_\d+$", "", scan.split()[1]) in GROWING]
                assert read == [], (name, statement)
