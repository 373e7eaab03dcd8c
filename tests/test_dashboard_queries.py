"""Queries and snapshots on a small store, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from dashboard import queries, theme
from dashboard.snapshot import Snapshots
from processing.errors import StoreError
from processing.settings import Settings
from processing.store import Store, failures
from processing.store.models import OPEN_STATES, Acquisition, Attempt, Event, Job, Product, Tile
from tests.dashboard_archive import SITES, fill
from tests.store_databases import postgres, url  # noqa: F401

#: The clock of the store's rows.
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TILES = [tile for _, _, owned in SITES for tile in owned]
DATES = 6


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:  # noqa: F811
    settings = Settings(home=tmp_path, database_url=url)
    settings.make_folders()
    store = Store(url)
    if not store.is_sqlite:  # hours must not move with the time zone of a server
        sa.event.listen(store.engine, "connect", lambda c, _: c.execute("SET TIME ZONE 'Asia/Kathmandu'"))
    store.upgrade(explicit=True)
    with store.write() as session:
        fill(settings, session, dates=DATES, size=32, now=NOW)
    yield store
    store.dispose()


def test_outcomes_are_counted_in_the_utc_hour_they_ended(store: Store) -> None:
    with store.read() as session:
        found = queries.outcomes_per_hour(session, NOW - timedelta(days=400)).query("version != ''")
        closed = session.execute(sa.select(Job.closed, Job.state).where(Job.closed.is_not(None))).all()
    expected = pd.Series([pd.Timestamp(time).floor("h") for time, _ in closed]).value_counts()
    assert found.groupby("hour")["dates"].sum().to_dict() == expected.to_dict()
    assert found.groupby("outcome")["dates"].sum()["published"] == sum(state == "published" for _, state in closed)
    assert set(found["outcome"]) <= set(theme.OUTCOMES)


def test_outcomes_before_the_period_are_left_out(store: Store) -> None:
    with store.read() as session:
        assert queries.outcomes_per_hour(session, NOW + timedelta(hours=1)).empty
        recent = queries.outcomes_per_hour(session, NOW - timedelta(days=4))
    assert 0 < recent["dates"].sum() < len(TILES) * DATES


def test_refused_package_is_no_date(store: Store) -> None:
    """A picture of a holiday that was dropped is told of, but never counted among dates."""
    with store.write() as session:
        before = queries.outcomes_per_hour(session, NOW - timedelta(days=400))
        refusals = failures.count_refused(session, NOW - timedelta(days=400))
        session.add(Event(time=NOW, kind="refused", severity="warning", data={"l1c": "holiday.jpg", "reason": "cut"}))
        session.flush()
        after = queries.outcomes_per_hour(session, NOW - timedelta(days=400))
        assert failures.count_refused(session, NOW - timedelta(days=400)) == refusals + 1
        session.rollback()  # the store serves the other tests too
    pd.testing.assert_frame_equal(before, after)


def test_every_figure_counts_the_products_that_users_get(store: Store) -> None:
    """Whatever revisions there are, published or on their way: one number, by whichever way it is asked."""
    with store.write() as session:
        made = session.scalars(sa.select(Product).where(Product.current).order_by(Product.id).limit(4)).all()
        for number, state in enumerate(("published", "ready", "failed", "not_valid")):
            job = made[number].job
            copy = {c: getattr(job, c) for c in ("chain_id", "acquisition_id", "sensing", "not_before", "created")}
            again = Job(**copy, revision=1, state=state, closed=None if state == "ready" else NOW)
            session.add(again)
            session.flush()
            if state == "published":
                attempt = Attempt(job_id=again.id, token=99, owner="w", claimed=NOW, ended=NOW, outcome="published")
                session.add(attempt)
                session.flush()
                columns = {c.key: getattr(made[number], c.key) for c in sa.inspect(Product).columns if c.key != "id"}
                changed = {"job_id": again.id, "attempt_id": attempt.id, "revision": 1, "path": "again"}
                made[number].current = False
                session.flush()
                session.add(Product(**columns | changed | {"published": NOW, "current": True}))
        session.flush()
        listed = len(queries.products(session))
        outcomes = queries.outcomes_per_hour(session, NOW - timedelta(days=400))
        progress = queries.progress(session)
        counts = {
            "the list": listed,
            "the charts": outcomes.query("outcome == 'published'")["dates"].sum(),
            "the versions": progress.query("state == 'published'")["dates"].sum(),
            "all of them": queries.count_products(session)[0],
            "health": queries.health(session)["products"],
            "the page of dates": failures.counts(session, failures.Wanted(states=("published",)))["published"],
        }
        dates = session.execute(sa.select(Job.chain_id, Job.acquisition_id).distinct()).all()
    assert set(counts.values()) == {listed}, counts
    assert progress["dates"].sum() == len(dates)


def test_backlog_holds_open_dates_oldest_first(store: Store) -> None:
    with store.read() as session:
        found = queries.backlog(session)
        open_jobs = session.scalar(sa.select(sa.func.count(Job.id)).where(Job.state.in_(OPEN_STATES)))
    assert len(found) == open_jobs == 2
    assert found["created"].is_monotonic_increasing
    running = found[found["state"] == "running"]
    assert running["running_since"].notna().all()
    assert found["simulated"].all()


def test_products_are_the_current_ones_with_their_quality(store: Store) -> None:
    with store.write() as session:
        old = session.scalars(sa.select(Product).limit(1)).one()
        old.current = False
        session.flush()
        found = queries.products(session)
        assert old.identifier not in set(found["identifier"])
        assert len(found) == session.scalar(sa.select(sa.func.count(Product.id))) - 1
    assert found["published"].is_monotonic_decreasing
    assert found["cloud_percent"].between(0, 100).all()
    assert set(found.loc[found["tile"] == "31TCJ", "site"]) == {"Toulouse"}
    assert (found["published"] > found["first_seen"]).all()


def test_coverage_tells_the_state_of_the_latest_date(store: Store) -> None:
    with store.write() as session:
        session.add(Event(time=NOW, kind="arrived"))
        found = queries.coverage(session).set_index("tile")
        for tile in TILES:
            job = session.scalars(
                sa.select(Job)
                .join(Acquisition, Job.acquisition_id == Acquisition.id)
                .where(Acquisition.tile == tile)
                .order_by(Job.sensing.desc(), Job.id.desc())
                .limit(1)
            ).one()
            assert found.loc[tile, "state"] == job.state
            assert found.loc[tile, "sensing"] == job.sensing
    assert list(found.index) == sorted(TILES)
    assert (found["dates"] == DATES).all()
    assert found["simulated"].all()


def test_tile_without_dates_is_listed_as_such(store: Store) -> None:
    with store.write() as session:
        session.add(Tile(mgrs="31UDP"))
        session.flush()
        row = queries.coverage(session).set_index("tile").loc["31UDP"]
    assert row["state"] == "none"
    assert row["products"] == row["dates"] == 0
    assert pd.isna(row["sensing"])


def test_progress_counts_each_date_once(store: Store) -> None:
    with store.read() as session:
        progress, known = queries.progress(session), queries.dates_known(session)
    assert known.sum() == len(TILES) * DATES
    v1_4 = progress[progress["version"] == "V1_4"]["dates"].sum()
    assert v1_4 == len(TILES) * DATES - 1  # the archive leaves one date of one tile to V1_3 alone
    assert set(progress["state"].map(theme.state)) <= set(theme.STATES)


def test_a_date_that_is_made_again_counts_once_and_as_published(store: Store) -> None:
    """Users go on getting its product until the next revision takes its place."""
    with store.write() as session:
        before = queries.progress(session)
        job = session.scalars(sa.select(Job).where(Job.state == "published").limit(1)).one()
        copy = {c: getattr(job, c) for c in ("chain_id", "acquisition_id", "sensing", "not_before", "created")}
        session.add(Job(**copy, revision=job.revision + 1, state="ready"))
        session.flush()
        pd.testing.assert_frame_equal(queries.progress(session), before)
        product = session.scalars(sa.select(Product).where(Product.job_id == job.id)).one()
        product.current = False
        session.flush()
        after = queries.progress(session)
    assert before["dates"].sum() == after["dates"].sum()
    published = [frame.loc[frame["state"] == "published", "dates"].sum() for frame in (before, after)]
    assert published[1] == published[0] - 1


def test_series_of_several_versions_is_reported(store: Store) -> None:
    with store.read() as session:
        found = queries.mixed_series(session)
    assert list(found["tile"]) == ["31TCJ"]
    assert found["versions"].iloc[0].startswith("V1_3: 1, V1_4: ")


def test_detail_knows_neighbours_and_versions(store: Store) -> None:
    with store.read() as session:
        names = list(
            session.scalars(
                sa.select(Product.identifier)
                .where(Product.tile == "31TCJ", Product.version == "V1_4")
                .order_by(Product.sensing)
            )
        )
        first, second, last = (queries.detail(session, name) for name in (names[0], names[1], names[-1]))
    assert first is not None
    assert second is not None
    assert last is not None
    assert (first.before, first.after) == (None, names[1])
    assert (second.before, second.previous) == (names[0], names[0])
    assert last.after is None
    assert [version for version, _ in first.versions] == ["V1_3", "V1_4"]
    with store.read() as session:
        assert queries.detail(session, "../etc") is None
        assert queries.folder(session, "../etc") is None


def test_snapshot_is_taken_anew_only_when_something_changed(store: Store) -> None:
    snapshots = Snapshots(store, seconds=0)
    first = snapshots.latest()
    second = snapshots.latest()
    assert second.version == first.version
    assert second.products is first.products
    assert second.taken >= first.taken
    with store.write() as session:
        session.add(Event(time=NOW, kind="arrived"))
    assert snapshots.latest().version == first.version + 1
    assert first.all_simulated
    assert not first.empty


def test_only_what_pages_ask_for_is_asked_of_the_store_and_asked_again(store: Store) -> None:
    asked = []

    def question(session: sa.orm.Session, number: int) -> int:
        asked.append(number)
        return number

    snapshots = Snapshots(store, seconds=0)
    assert [snapshots.latest().ask(question, 1) for _ in range(3)] == [1, 1, 1]
    assert asked == [1]
    for _ in range(2):  # asked anew once, before a page wants it; not again when none did
        with store.write() as session:
            session.add(Event(time=NOW, kind="arrived"))
        snapshots.latest()
    assert asked == [1, 1]


def test_a_store_that_goes_away_between_two_questions_gives_the_older_answer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = Snapshots(store, seconds=0)
    before = snapshots.latest().backlog
    with store.write() as session:
        session.add(Event(time=NOW, kind="arrived"))
    later = snapshots.latest()

    def gone() -> None:
        raise StoreError("connection refused")

    monkeypatch.setattr(store, "read", gone)
    pd.testing.assert_frame_equal(later.backlog, before)
    with pytest.raises(StoreError):
        later.products  # noqa: B018


def test_store_that_goes_away_leaves_the_last_snapshot(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots(store, seconds=0)
    first = snapshots.latest()

    def gone() -> None:
        raise StoreError("connection refused")

    monkeypatch.setattr(store, "read", gone)
    assert snapshots.latest() is first
    assert "connection refused" in snapshots.fault


def test_empty_store_gives_empty_frames(url: str) -> None:  # noqa: F811
    store = Store(url)
    store.upgrade(explicit=True)
    snapshot = Snapshots(store).latest()
    assert snapshot.empty
    assert not snapshot.all_simulated
    for frame in (snapshot.products, snapshot.coverage, snapshot.mixed, snapshot.backlog, snapshot.progress):
        assert frame.empty
    store.dispose()
