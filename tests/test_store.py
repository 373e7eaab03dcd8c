"""The store's promises, on SQLite and on a real Postgres: order, leases, fencing, lineage, schema."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from processing import store as stores
from processing import timeline
from processing.errors import Fenced, InputError, StoreError, UnknownName
from processing.people import Actor
from processing.scene import Figures
from processing.sites import Site as KnownSite
from processing.store import MIGRATIONS, Store, catalogue, checks, lease, orders, outcomes, sites, upkeep
from processing.store.catalogue import Arrival
from processing.store.lease import Claim
from processing.store.models import (
    OPEN_STATES,
    Acquisition,
    Anomaly,
    Attempt,
    Base,
    Chain,
    Event,
    Granule,
    Job,
    Product,
    Quality,
    Site,
    SiteTile,
    Tile,
)
from processing.store.outcomes import Failure, Made
from processing.versions import parameters
from tests.people import OPERATOR
from tests.store_databases import make_tables, postgres, url  # noqa: F401

# ruff: noqa: F811

FIRST = datetime(2023, 8, 10, 9, 45, 49, tzinfo=UTC)
TTL = 60.0


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    store.upgrade(explicit=True)
    with store.write() as session:
        sites.open_campaigns(session, ["V1_4"])
    yield store
    with store.read() as session:
        assert list(checks.violations(session)) == []
    store.dispose()


def arrival(day: int, **changes: object) -> Arrival:
    sensing = FIRST + timedelta(days=day, minutes=3)
    fields: dict[str, object] = {
        "tile": "33TWM",
        "platform": "S2A",
        "datatake": FIRST + timedelta(days=day),
        "sensing": sensing,
        "relative_orbit": 79,
        "name": f"S2A_MSIL1C_{sensing:%Y%m%d}",
        "baseline": "05.10",
        "datastrip": FIRST + timedelta(days=day),
        "generation": FIRST + timedelta(days=day, hours=3),
        "source": "inbox",
        "path": f"33TWM/{sensing:%Y%m%d}.SAFE",
        "bytes": 5,
        "simulated": False,
    }
    return Arrival(**{**fields, **changes})  # type: ignore[arg-type]


def add(store: Store, day: int, **changes: object) -> list[int]:
    with store.write() as session:
        return catalogue.add(session, arrival(day, **changes))


def claim(store: Store, seconds: float = TTL) -> Claim | None:
    with store.write() as session:
        return lease.claim(session, "worker", seconds)


def made(claim: Claim, **changes: object) -> Made:
    fields: dict[str, object] = {
        "mode": "nominal" if claim.previous else "backward" if claim.later else "init",
        "figures": Figures(cloud_percent=12.0),
        "other": {"extra": 3.0},
        "flags": {"rain": False},
        "simulated": False,
        "identifier": f"SENTINEL2A_{claim.sensing:%Y%m%d}_{claim.version}",
        "has_state": True,
        "manifest_sha": "0" * 64,
        "bytes": 7,
    }
    return Made(**{**fields, **changes})  # type: ignore[arg-type]


def publish(store: Store, claim: Claim, replay_dates: int = 0, **changes: object) -> Product:
    with store.write() as session:
        return outcomes.published(session, claim, made(claim, **changes), replay_dates)


def run_all(store: Store, replay_dates: int = 0) -> list[Claim]:
    done = []
    while (claimed := claim(store)) is not None:
        publish(store, claimed, replay_dates)
        done.append(claimed)
    return done


def days(claims: list[Claim]) -> list[int]:
    return [(c.sensing - FIRST).days for c in claims]


# Schema


@pytest.mark.usefixtures("migrated")
def test_migrations_lead_to_the_models_up_down_and_up(url: str) -> None:
    from alembic import command
    from alembic.config import Config

    store = Store(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    for _ in range(2):
        store.upgrade(explicit=True)
        with store.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.check(config)
        with store.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "base")
            assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    store.dispose()


def test_check_constraints_are_in_the_migrated_schema(store: Store) -> None:
    """Which `alembic check` does not look at."""
    found = sa.inspect(store.engine)
    for table in Base.metadata.sorted_tables:
        wanted = {c.name for c in table.constraints if isinstance(c, sa.CheckConstraint)}
        assert {c["name"] for c in found.get_check_constraints(table.name)} == wanted


@pytest.mark.usefixtures("migrated")
def test_a_newer_schema_is_refused_and_postgres_is_upgraded_only_explicitly(url: str) -> None:
    store = Store(url)
    if not store.is_sqlite:
        with pytest.raises(StoreError, match="muscate db upgrade"):
            store.upgrade()
    store.upgrade(explicit=True)
    store.upgrade()
    with store.write() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer"):
        store.upgrade(explicit=True)
    store.dispose()


@pytest.mark.usefixtures("migrated")
def test_many_may_start_at_once(url: str) -> None:
    stores = [Store(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda store: store.upgrade(explicit=True), stores))
    for store in stores:
        store.dispose()


def test_sqlite_is_set_for_durability(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'x.db'}")
    with store.read() as session:
        pragmas = {p: session.execute(sa.text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert session.execute(sa.text("PRAGMA foreign_keys")).scalar() == 1
    store.dispose()


def test_a_database_out_of_reach_is_one_line(tmp_path: Path) -> None:
    for bad in (f"sqlite:///{tmp_path}/no/such/x.db", "postgresql+psycopg://127.0.0.1:1/x", "nonsense://"):
        with pytest.raises(StoreError) as caught:
            Store(bad).upgrade()
        assert "\n" not in str(caught.value)


def test_times_keep_their_zone_and_naive_ones_are_refused(store: Store) -> None:
    paris = datetime.fromisoformat("2023-08-10T11:45:49+02:00")
    add(store, 0, sensing=paris)
    with store.read() as session:
        found = session.scalars(sa.select(Acquisition.sensing)).one()
    assert found == paris
    assert found.utcoffset() == timedelta(0)
    with pytest.raises(sa.exc.StatementError, match="without zone"):
        add(store, 1, sensing=datetime(2023, 8, 10))


def test_a_write_that_fails_leaves_nothing(store: Store) -> None:
    def broken() -> None:
        with store.write() as session:
            catalogue.add(session, arrival(0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    with store.read() as session:
        assert session.scalar(sa.select(sa.func.count(Acquisition.id))) == 0
        assert session.scalar(sa.select(sa.func.count(Job.id))) == 0


def test_every_figure_has_its_column() -> None:
    assert {f.name for f in fields(Figures)} <= set(Quality.__table__.columns.keys())


# Sites and campaigns


def test_sites_follow_their_list(store: Store) -> None:
    with store.write() as session:
        sites.register_sites(session, [KnownSite("fr", "France", "FR", ("31TCJ", "31TDJ"), 1)])
        sites.register_sites(
            session, [KnownSite("fr", "Midi", "FR", ("31TCJ",), 2), KnownSite("ma", "Maroc", "MA", ("29RPQ",), 1)]
        )
        sites.register_sites(session, [KnownSite("fr", "Midi", "FR", ("31TCJ",), 2)])
    with store.read() as session:
        assert {s.code: (s.name, s.active, s.priority) for s in session.query(Site)} == {
            "fr": ("Midi", True, 2),
            "ma": ("Maroc", False, 1),
        }
        assert {(s.site, s.tile) for s in session.query(SiteTile)} == {("fr", "31TCJ"), ("ma", "29RPQ")}


def test_every_version_gets_every_date_and_paused_ones_wait(store: Store) -> None:
    with store.write() as session:
        sites.open_campaigns(session, ["V1_3", "V1_4"])
    assert len(add(store, 0)) == 2
    with store.write() as session:
        sites.set_campaign(session, "V1_4", "paused", OPERATOR)
    assert [c.version for c in run_all(store)] == ["V1_3"]
    add(store, 5)
    assert [c.version for c in run_all(store)] == ["V1_3"]
    with store.write() as session:
        assert session.get_one(Tile, "33TWM").current_version == "V1_4"
        sites.set_campaign(session, "V1_4", "active", OPERATOR)
    done = run_all(store)
    assert [c.version for c in done] == ["V1_4", "V1_4"]
    assert days(done) == [0, 5]
    with store.write() as session, pytest.raises(ValueError, match="not a version"):
        sites.open_campaigns(session, ["V9_9"])


# Order, leases, fencing


def test_dates_run_in_order_of_time_whatever_the_order_of_arrival(store: Store) -> None:
    for day in (10, 0, 20, 5, 15):
        add(store, day)
    done = run_all(store)
    assert days(done) == [0, 5, 10, 15, 20]
    assert [c.previous.identifier if c.previous else None for c in done] == [
        None,
        *(made(c).identifier for c in done[:-1]),
    ]
    assert not any(c.late for c in done)


def test_one_date_of_a_chain_at_once(store: Store) -> None:
    add(store, 0)
    add(store, 5)
    add(store, 0, tile="33TWN")
    first, other = claim(store), claim(store)
    assert first is not None
    assert other is not None
    assert {first.tile, other.tile} == {"33TWM", "33TWN"}
    assert claim(store) is None


def test_claims_of_many_at_once_never_meet(store: Store) -> None:
    tiles = [f"31T{a}{b}" for a in "CDE" for b in "HJK"]
    for tile in tiles:
        for day in (0, 5):
            add(store, day, tile=tile, name=f"{tile}{day}")
    order: dict[str, list[datetime]] = {tile: [] for tile in tiles}
    lock = threading.Lock()

    def work(_: int) -> None:
        mine = Store(store.engine.url.render_as_string(hide_password=False))
        idle = 0
        while idle < 3:
            claimed = claim(mine)
            if claimed is None:
                idle += 1
                time.sleep(0.02)
                continue
            with lock:
                order[claimed.tile].append(claimed.sensing)
            publish(mine, claimed, identifier=f"{claimed.tile}{claimed.sensing:%Y%m%d}")
        mine.dispose()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert all(len(dates) == 2 and dates == sorted(dates) for dates in order.values())


def test_a_lost_lease_passes_on_and_the_stale_token_is_refused(store: Store) -> None:
    add(store, 0)
    stale = claim(store, 0.05)
    assert stale is not None
    time.sleep(0.1)
    fresh = claim(store)
    assert fresh is not None
    assert (fresh.job_id, fresh.token) == (stale.job_id, stale.token + 1)
    verbs: list[Callable[[sa.orm.Session], object]] = [
        lambda s: lease.renew(s, stale, TTL),
        lambda s: outcomes.published(s, stale, made(stale)),
        lambda s: outcomes.not_valid(s, stale, made(stale), "cloud"),
        lambda s: outcomes.rejected(s, stale, "input", "bad"),
        lambda s: outcomes.failed(s, stale, Failure("processor", "bad", "X")),
        lambda s: outcomes.given_back(s, stale),
    ]
    for verb in verbs:
        with pytest.raises(Fenced), store.write() as session:
            verb(session)
    publish(store, fresh)
    with store.read() as session:
        assert [a.outcome for a in session.query(Attempt).order_by(Attempt.id)] == ["lost", "published"]
        assert session.query(Product).one().attempt_id == fresh.attempt_id


def test_a_renewed_lease_is_kept(store: Store) -> None:
    add(store, 0)
    held = claim(store, 2.0)
    assert held is not None
    for _ in range(4):
        time.sleep(0.6)
        with store.write() as session:
            lease.renew(session, held, 2.0)
        assert claim(store) is None


def test_an_attempt_ends_once(store: Store) -> None:
    """A renewal that comes after the end must not take the chain again, nor a second end change the first."""
    add(store, 0)
    add(store, 5)
    ended = claim(store)
    assert ended is not None
    publish(store, ended)
    for verb in (lambda s: lease.renew(s, ended, TTL), lambda s: outcomes.not_valid(s, ended, made(ended), "cloud")):
        with pytest.raises(Fenced), store.write() as session:
            verb(session)
    assert days(run_all(store)) == [5]


def begin(store: Store, claimed: Claim, seconds: float = TTL) -> None:
    with store.write() as session:
        lease.started(session, claimed, "host", "log", seconds)


def test_a_date_that_loses_every_worker_waits_longer_each_time_and_is_held_at_last(store: Store) -> None:
    """A host that crashes is not the date's fault: it is never given up, nor passed over."""
    add(store, 0)
    add(store, 5)
    waits = []
    for number in range(1, lease.MAX_SETBACKS + 1):
        lost = claim(store)
        assert lost is not None
        assert days([lost]) == [0]
        begin(store, lost, -1.0)
        with store.write() as session:
            assert lease.expire(session) == 1
            job = session.get_one(Job, lost.job_id)
            assert job.attempts == 0
            assert job.state == ("held" if number == lease.MAX_SETBACKS else "retry" if number > 1 else "ready")
            waits.append(max((job.not_before - datetime.now(UTC)).total_seconds(), 0))
            job.not_before = FIRST  # let the wait pass
            lease.advance(session, lost.chain_id)
    assert waits[0] == 0
    assert waits[1] == pytest.approx(lease.RETRY_SECONDS, abs=5)
    assert waits[2] == pytest.approx(2 * lease.RETRY_SECONDS, abs=5)
    assert max(waits) <= lease.MAX_RETRY_SECONDS
    assert claim(store) is None
    with store.write() as session:
        job = session.get_one(Job, lost.job_id)
        assert job.reason == "the infrastructure failed 20 times, the last worker was lost"
        assert orders.release(session, job, OPERATOR) == "queued"
        assert job.setbacks == 0
    assert days(run_all(store)) == [0, 5]


def test_what_no_worker_began_never_counts(store: Store) -> None:
    """Three dispatchers, one slot: a date waits in a queue until its lease runs out, again and again."""
    add(store, 0)
    for _ in range(lease.MAX_SETBACKS + 1):
        assert claim(store, -1.0) is not None
    with store.write() as session:
        lease.expire(session)
        job = session.query(Job).one()
        assert (job.state, job.attempts, job.setbacks) == ("ready", 0, 0)
        assert (
            session.query(Event).filter(Event.kind == "lost", Event.tile == "33TWM").count() == lease.MAX_SETBACKS + 1
        )
    assert days(run_all(store)) == [0]


def test_whoever_handed_a_date_out_keeps_its_lease_until_a_worker_begins(store: Store) -> None:
    add(store, 0)
    add(store, 0, tile="31TCJ")
    waiting, begun = claim(store), claim(store)
    assert waiting is not None
    assert begun is not None
    with store.write() as session:
        for one in (waiting, begun):
            lease.renew(session, one, -1.0)
    begin(store, begun, -1.0)
    with store.write() as session:
        lease.keep_waiting(session, [waiting, begun], TTL)
    taken = claim(store)
    assert taken is not None
    assert taken.chain_id == begun.chain_id  # whose worker is gone: nobody else keeps it
    assert claim(store) is None
    begin(store, waiting)
    publish(store, waiting)
    with store.write() as session:
        lease.keep_waiting(session, [waiting, begun], TTL)  # of one that ended, or passed on, nothing comes of it
        assert session.query(Chain).filter(Chain.lease_owner.is_not(None)).one().token == taken.token


def test_an_attempt_begins_once(store: Store) -> None:
    """A scheduler that lost a worker may run its task again, under the same token."""
    add(store, 0)
    claimed = claim(store)
    assert claimed is not None
    begin(store, claimed)
    with pytest.raises(Fenced, match="was begun by host already"):
        begin(store, claimed)
    publish(store, claimed)


@pytest.mark.parametrize("hours", [1.0, -1.0])
def test_a_clock_that_is_set_takes_no_lease_from_who_lives(
    store: Store, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    """The worker that lives renews its lease by the new time; the one that is dead loses its lease not much later."""
    passed, ahead = [1000.0], [timedelta()]
    monkeypatch.setattr(lease, "clocks", SimpleNamespace(monotonic=lambda: passed[0]))
    monkeypatch.setattr(lease, "now", lambda _: FIRST + timedelta(days=365, seconds=passed[0]) + ahead[0])
    monkeypatch.setattr(catalogue, "now", lease.now)
    add(store, 0)
    add(store, 0, tile="31TCJ")
    alive, dead = claim(store), claim(store)
    assert alive is not None
    assert dead is not None
    for one in (alive, dead):
        begin(store, one)
    ahead[0] = timedelta(hours=hours)
    found: list[int] = []
    for _ in range(12):
        with store.write() as session:
            if lease.claimable(session, TTL):
                found.append(session.get_one(Chain, dead.chain_id).token)
                break
            assert lease.expire(session, TTL) == 0
            lease.renew(session, alive, TTL)
        passed[0] += TTL / 4
    taken = claim(store)
    assert found == [dead.token]
    assert taken is not None
    assert taken.chain_id == dead.chain_id
    assert claim(store) is None


def test_an_older_date_that_arrives_while_a_lease_is_lost_goes_first(store: Store) -> None:
    add(store, 5)
    assert claim(store, 0.02) is not None
    add(store, 0)
    time.sleep(0.05)
    assert days(run_all(store)) == [0, 5]


# Outcomes


def test_what_a_product_leaves(store: Store) -> None:
    add(store, 0)
    claimed = claim(store)
    assert claimed is not None
    publish(store, claimed, seconds={"read": 1.5}, absent=["FRE"], origin={"ozone": "constant"})
    with store.read() as session:
        product = session.query(Product).one()
        assert product.path == f"33TWM/V1_4/{product.identifier}"
        assert product.state_path == f"33TWM/V1_4/{product.identifier}.npz"
        assert (product.current, product.valid, product.l1c) == (True, True, list(claimed.names))
        assert (product.seconds, product.absent) == ({"read": 1.5}, ["FRE"])
        assert product.quality is not None
        assert (product.quality.cloud_percent, product.quality.other) == (12.0, {"extra": 3.0})
        assert product.quality.aot_mean is None  # not NaN, which SQL would sort and JSON refuse
        kinds = [e.kind for e in session.query(Event).order_by(Event.id)]
        assert kinds == ["campaign_opened", "arrived", "claimed", "published"]


def test_a_cloudy_date_keeps_its_figures_and_the_chain_goes_on_from_the_older_state(store: Store) -> None:
    for day in (0, 5, 10):
        add(store, day)
    first = claim(store)
    assert first is not None
    publish(store, first)
    cloudy = claim(store)
    assert cloudy is not None
    with store.write() as session:
        outcomes.not_valid(session, cloudy, made(cloudy, figures=Figures(cloud_percent=95.0)), "95.0 % cloud")
    third = claim(store)
    assert third is not None
    assert third.previous == claim_previous(first)
    publish(store, third)
    with store.read() as session:
        assert session.get_one(Quality, cloudy.job_id).cloud_percent == 95.0
        assert session.get_one(Job, cloudy.job_id).state == "not_valid"


def claim_previous(of: Claim) -> lease.Previous:
    name = made(of).identifier
    return lease.Previous(1, name, f"33TWM/V1_4/{name}.npz")


def test_a_date_that_leaves_the_state_unchanged_hands_it_on(store: Store) -> None:
    for day in (0, 5, 10):
        add(store, day)
    first, second = claim(store), None
    assert first is not None
    publish(store, first)
    second = claim(store)
    assert second is not None
    publish(store, second, has_state=False)
    third = claim(store)
    assert third is not None
    assert third.previous is not None
    assert third.previous.identifier == made(second).identifier
    assert third.previous.state_path == claim_previous(first).state_path
    publish(store, third)


@pytest.mark.parametrize(
    ("reason_class", "again", "hold", "states"),
    [
        ("processor", False, False, ["failed"]),
        ("unknown", True, False, ["retry", "retry", "failed"]),
        ("infrastructure", True, False, ["retry"] * (lease.MAX_SETBACKS - 1) + ["held"]),
        ("input", False, True, ["held"]),
    ],
)
def test_what_becomes_of_a_failure(store: Store, reason_class: str, again: bool, hold: bool, states: list[str]) -> None:
    add(store, 0)
    add(store, 5)
    for expected in states:
        claimed = claim(store)
        assert claimed is not None
        assert days([claimed]) == [0]
        with store.write() as session:
            state = outcomes.failed(session, claimed, Failure(reason_class, "why", "Why", again, hold))
        assert state == expected
        with store.write() as session:  # let the wait pass
            job = session.get_one(Job, claimed.job_id)
            if state == "retry":
                assert job.not_before > datetime.now(UTC)
                assert not lease.claimable(session)
                job.not_before = FIRST
                lease.advance(session, claimed.chain_id)
    with store.read() as session:
        assert session.query(Anomaly).one().count == len(states)
    following = claim(store)
    if states[-1] == "failed":
        assert following is not None
        assert days([following]) == [5]
        publish(store, following)
    elif states[-1] == "held":
        assert following is None
    else:
        assert following is not None
        assert days([following]) == [0]


def test_a_rejected_package_may_be_delivered_again(store: Store) -> None:
    add(store, 0)
    claimed = claim(store)
    assert claimed is not None
    with store.write() as session:
        outcomes.rejected(session, claimed, "input", "B02: truncated", claimed.names[0])
    assert claim(store) is None
    add(store, 0)
    again = claim(store)
    assert again is not None
    assert again.job_id == claimed.job_id
    publish(store, again)


def test_a_package_that_one_version_found_bad_is_rejected_in_the_others_too(store: Store) -> None:
    """It was claimed there without any package, and failed as a fault of the chain."""
    with store.write() as session:
        sites.open_campaigns(session, ["V1_3", "V1_4"])
    add(store, 0)
    add(store, 5)
    first = claim(store)
    assert first is not None
    with store.write() as session:
        outcomes.rejected(session, first, "input", "B02: truncated", first.names[0])
    done = []
    for _ in range(6):  # a claim that finds nothing to run leaves its chain alone for this time
        if (claimed := claim(store)) is not None:
            publish(store, claimed)
            done.append(claimed)
    assert [(c.version, days([c])) for c in sorted(done, key=lambda c: c.version)] == [("V1_3", [5]), ("V1_4", [5])]
    with store.read() as session:
        jobs = session.scalars(sa.select(Job).where(Job.sensing == first.sensing)).all()
        assert {(job.state, job.reason, job.reason_class) for job in jobs} == {("rejected", "B02: truncated", "input")}
        assert len(session.scalars(sa.select(Event).where(Event.kind == "rejected")).all()) == 2
    add(store, 0)  # delivered again, it runs in both
    assert len(run_all(store)) == 2


def half(store: Store, name: str, seconds: int = 9, **changes: object) -> list[int]:
    """The other half of the first date's pass."""
    start = FIRST + timedelta(seconds=seconds)
    return add(store, 0, **{"name": name, "datastrip": start, "path": f"33TWM/{name}.SAFE"} | changes)


def test_a_bad_half_does_not_take_the_other_one_with_it(store: Store) -> None:
    add(store, 0)
    half(store, "bad")
    both = claim(store)
    assert both is not None
    assert len(both.names) == 2
    with store.write() as session:
        assert outcomes.rejected(session, both, "input", "B02: truncated", "bad") == "retry"
    alone = claim(store)
    assert alone is not None
    assert alone.names == (arrival(0).name,)
    publish(store, alone)
    assert claim(store) is None
    half(store, "bad again", generation=FIRST + timedelta(days=1))
    again = claim(store)
    assert again is not None
    with store.write() as session:  # nothing new is left to be made
        assert outcomes.rejected(session, again, "input", "B02: truncated", "bad again") == "rejected"
    assert claim(store) is None


def test_what_a_bad_package_had_replaced_serves_again(store: Store) -> None:
    add(store, 0, baseline="02.04")
    add(store, 0, name="new", path="33TWM/new.SAFE", baseline="05.10")
    new = claim(store)
    assert new is not None
    assert new.names == ("new",)
    with store.write() as session:
        assert outcomes.rejected(session, new, "input", "B02: truncated", "new") == "retry"
    old = claim(store)
    assert old is not None
    assert old.names == (arrival(0).name,)


def test_a_half_that_was_not_made_anew_goes_on_serving(store: Store) -> None:
    add(store, 0, baseline="02.04")
    half(store, "east", baseline="02.04")
    half(store, "east anew", baseline="05.10", generation=FIRST + timedelta(days=900))
    claimed = claim(store)
    assert claimed is not None
    assert set(claimed.names) == {arrival(0).name, "east anew"}


def test_a_revision_with_less_ground_says_so(store: Store) -> None:
    add(store, 0)
    first = claim(store)
    assert first is not None
    publish(store, first, figures=Figures(no_data_percent=10.0))
    for lacking, told in ((10.5, 0), (60.0, 1)):
        half(store, f"of {lacking}", seconds=int(lacking))
        revision = claim(store)
        assert revision is not None
        publish(store, revision, figures=Figures(no_data_percent=lacking), identifier=f"x{lacking}")
        with store.read() as session:
            found = session.scalars(sa.select(Event).where(Event.kind == "less ground")).all()
            assert len(found) == told
    assert "60.0 % of it without data, 10.5 % of what it replaces" in found[0].data["reason"]


def test_a_package_that_shows_less_joins_what_it_would_replace(store: Store) -> None:
    frame = (0.0, 0.0, 1.0, 1.0)
    grounds = {arrival(0).name: timeline.Ground(frame, 0xFFFF), "new": timeline.Ground(frame, 0xFF00)}
    add(store, 0)
    with store.write() as session:
        catalogue.add(session, arrival(0, name="new", baseline="05.11", path="33TWM/new.SAFE"), 0.0, grounds)
    claimed = claim(store)
    assert claimed is not None
    assert set(claimed.names) == {arrival(0).name, "new"}


# Late dates, halves, baselines


def test_a_late_date_runs_alone_from_the_state_that_preceded_it_and_its_successor_says_so(store: Store) -> None:
    for day in (0, 10, 20):
        add(store, day)
    run_all(store)
    add(store, 5)
    late = claim(store)
    assert late is not None
    assert late.late
    assert late.previous is not None
    assert late.previous.identifier.endswith("20230810_V1_4")
    publish(store, late)
    assert claim(store) is None
    with store.read() as session:
        flagged = {p.sensing.day: p.previous_not_latest for p in session.query(Product)}
        assert flagged == {10: False, 15: False, 20: True, 30: False}


def revisions(store: Store) -> dict[int, tuple[int, int | None, bool]]:
    """Of each day's current product: revision, day of the one it was made from, whether it says that one came late."""
    with store.read() as session:
        day = {p.id: (p.sensing - FIRST).days for p in session.query(Product)}
        current = session.query(Product).filter(Product.current)
        return {
            day[p.id]: (p.revision, day.get(p.prev_product) if p.prev_product else None, p.previous_not_latest)
            for p in current
        }


def test_later_products_are_made_again_after_a_late_date_if_they_are_few(store: Store) -> None:
    for day in (0, 10, 20, 40):  # the last one starts anew
        add(store, day)
    run_all(store)
    add(store, 5)
    assert days(run_all(store, replay_dates=2)) == [5, 10, 20]
    assert revisions(store) == {
        0: (0, None, False),
        5: (0, 0, False),
        10: (1, 5, False),
        20: (1, 10, False),
        40: (0, None, False),
    }
    add(store, 2)
    assert days(run_all(store, replay_dates=2)) == [2]
    assert revisions(store)[5] == (0, 0, True)


def test_replay_makes_a_date_and_what_goes_back_to_it_again(store: Store) -> None:
    for day in (0, 10, 20, 40):
        add(store, day)
    run_all(store)
    add(store, 5)
    run_all(store)
    with store.write() as session:
        (flagged,) = session.scalars(sa.select(Product).where(Product.previous_not_latest))
        (job,) = orders.find_jobs(session, flagged.identifier)
        assert orders.replay(session, job, OPERATOR) == "2 queued"
        assert orders.replay(session, job, OPERATOR) == "0 queued"
    assert days(run_all(store)) == [10, 20]
    assert revisions(store)[10] == (1, 5, False)
    assert revisions(store)[20] == (1, 10, False)
    add(store, 50)
    with store.write() as session:
        (job,) = orders.find_jobs(session, arrival(50).name)
        assert orders.replay(session, job, OPERATOR) == "is ready, without a product: nothing to replay"


def known_before(store: Store, claimed: Claim) -> tuple[list[datetime], list[tuple[str, ...]]]:
    """Dates of the chain produced before a claimed one, and the packages of the later ones known, oldest first."""
    with store.read() as session:
        before = session.query(Product).filter(Product.current, Product.sensing < claimed.sensing)
        later = session.query(Granule).join(Acquisition).filter(Acquisition.sensing > claimed.sensing)
        return (
            sorted(p.sensing for p in before),
            [(g.path,) for g in later.order_by(Acquisition.sensing)],
        )


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.permutations([0, 3, 8, 14, 31, 40, 44]),
    batches=st.lists(st.integers(1, 7), max_size=7),
    replay_dates=st.sampled_from([0, 2, 9]),
)
def test_what_a_date_is_made_from_is_what_was_known(order: list[int], batches: list[int], replay_dates: int) -> None:
    """In any order of arrival: the newest product before a date within the gap, else the dates after it that are there.

    With all later products made again the series ends as if its dates had come in order.
    """
    store = Store("sqlite://")
    make_tables(store)
    with store.write() as session:
        sites.open_campaigns(session, ["V1_4"])
    numbers = parameters("V1_4")
    waiting = iter(order)
    for size in [*batches, len(order)]:
        for day in islice(waiting, size):
            add(store, day)
        while (claimed := claim(store)) is not None:
            before, later = known_before(store, claimed)
            if before and not timeline.starts_anew(before[-1], claimed.sensing, numbers):
                assert claimed.previous is not None
                assert claimed.previous.identifier == f"SENTINEL2A_{before[-1]:%Y%m%d}_V1_4"
                assert claimed.later == ()
            else:
                assert claimed.previous is None
                near = [c for c in later if _day(c[0]) - claimed.sensing.date() <= timedelta(numbers.composite_max_age)]
                assert list(claimed.later) == near[: numbers.backward_dates]
            publish(store, claimed, replay_dates)
        with store.read() as session:
            assert list(checks.violations(session)) == []
    final = revisions(store)
    assert sorted(final) == sorted(order)
    if replay_dates > len(order):
        expected = {0: None, 3: 0, 8: 3, 14: 8, 31: None, 40: 31, 44: 40}
        assert {day: before for day, (_, before, _) in final.items()} == expected
        assert not any(flagged for *_, flagged in final.values())
    store.dispose()


def _day(path: str) -> date:
    return datetime.strptime(Path(path).stem, "%Y%m%d").replace(tzinfo=UTC).date()


def test_a_date_already_there_is_refused_and_leaves_the_store_as_it_was(store: Store) -> None:
    add(store, 0)
    with pytest.raises(InputError, match="already there"):
        add(store, 0)
    with pytest.raises(InputError, match=r"baseline 02\.04"):
        add(store, 0, name="older", baseline="02.04")
    with pytest.raises(InputError, match="same time or later"):
        add(store, 0, name="renamed")
    with store.read() as session:
        assert session.query(Granule).count() == session.query(Job).count() == 1


def test_the_other_half_of_a_pass_joins_a_date_that_has_not_run(store: Store) -> None:
    add(store, 0)
    half = FIRST + timedelta(minutes=2)
    add(store, 0, name="half", datastrip=half)
    claimed = claim(store)
    assert claimed is not None
    assert len(claimed.packages) == 2
    publish(store, claimed)
    assert claim(store) is None


def test_the_other_half_of_a_pass_that_ran_makes_a_new_revision(store: Store) -> None:
    add(store, 0)
    add(store, 5)
    run_all(store)
    add(store, 0, name="half", datastrip=FIRST + timedelta(minutes=2))
    claimed = claim(store)
    assert claimed is not None
    assert (claimed.revision, claimed.late, len(claimed.packages)) == (1, True, 2)
    assert claimed.previous is None
    product = publish(store, claimed)
    assert product.path == f"33TWM/V1_4/revision-1/{product.identifier}"
    with store.read() as session:
        assert [
            (p.revision, p.current) for p in session.query(Product).order_by(Product.sensing, Product.revision)
        ] == [
            (0, False),
            (1, True),
            (0, True),
        ]


def test_a_newer_baseline_takes_the_place_of_the_older_one(store: Store) -> None:
    add(store, 0, baseline="02.04")
    running = claim(store)
    assert running is not None
    add(store, 0, name="new", generation=FIRST + timedelta(days=900))
    publish(store, running)
    again = claim(store)
    assert again is not None
    assert (again.names, again.revision, again.late) == (("new",), 1, False)
    publish(store, again)
    assert claim(store) is None


def test_a_date_settles_before_it_is_due(store: Store) -> None:
    begin = time.monotonic()
    with store.write() as session:
        catalogue.add(session, arrival(0), settle_seconds=0.5)
    claimed = claim(store)
    while claimed is None and time.monotonic() < begin + 30:
        time.sleep(0.05)
        claimed = claim(store)
    # No upper bound: a busy machine may stand still between any two of these lines
    assert claimed is not None
    assert time.monotonic() - begin > 0.45


# Orders


def job_state(store: Store, name: str) -> str:
    with store.read() as session:
        return orders.find_jobs(session, name)[0].state


def order(store: Store, verb: Callable[[sa.orm.Session, Job, Actor], str], name: str) -> str:
    with store.write() as session:
        (job,) = orders.find_jobs(session, name)
        return verb(session, job, OPERATOR)


def test_hold_blocks_the_chain_release_and_reject_let_it_go_on(store: Store) -> None:
    for day in (0, 5):
        add(store, day)
    name = arrival(0).name
    assert order(store, orders.hold, f"/somewhere/{name}.SAFE") == "held"
    assert claim(store) is None
    assert order(store, orders.hold, name) == "is held: nothing to hold"
    assert order(store, orders.release, name) == "queued"
    assert order(store, orders.reject, name + ".zip") == "given up"
    assert days(run_all(store)) == [5]
    assert order(store, orders.retry, name) == "queued"
    (late,) = run_all(store)
    assert late.late
    assert order(store, orders.retry, made(late).identifier) == "is published: nothing to retry"
    with store.read() as session, pytest.raises(UnknownName, match="no Level-1C package"):
        orders.find_jobs(session, "nothing")


def test_an_order_stops_a_date_that_runs(store: Store) -> None:
    add(store, 0)
    running = claim(store)
    assert running is not None
    order(store, orders.hold, arrival(0).name)
    with pytest.raises(Fenced), store.write() as session:
        lease.renew(session, running, TTL)
    assert job_state(store, arrival(0).name) == "held"
    with store.read() as session:
        assert session.get_one(Attempt, running.attempt_id).outcome == "cancelled"


def test_explain_names_the_rule(store: Store) -> None:
    def why(day: int) -> str:
        with store.read() as session:
            return str(orders.story(session, orders.find_jobs(session, arrival(day).name)[0])["why"])

    add(store, 0)
    add(store, 5)
    assert "free worker" in why(0)
    assert "older date of its tile, 2023-08-10, which is ready" in why(5)
    claimed = claim(store)
    assert claimed is not None
    assert "lease of worker" in why(0)
    with store.write() as session:
        outcomes.failed(session, claimed, Failure("infrastructure", "disk full", "StorageError", again=True))
    assert "not before" in why(0)
    assert "disk full" in why(0)
    with store.write() as session:
        sites.set_campaign(session, "V1_4", "paused", OPERATOR)
    assert "paused" in why(5)


def test_states_are_forgotten_but_for_the_newest(store: Store) -> None:
    for day in range(0, 30, 5):
        add(store, day)
    for number in range(6):
        claimed = claim(store)
        assert claimed is not None
        publish(store, claimed, has_state=number != 4)  # the fifth hands on the state of the fourth
    with store.write() as session:
        gone = upkeep.forget_states(session, 2)
    assert [path[-17:-9] for path in gone] == ["20230810", "20230815", "20230820"]
    with store.read() as session:
        left = [p.state_path for p in session.query(Product).order_by(Product.sensing) if p.state_path]
    assert len(left) == 2
    assert "20230825" in left[0]
    with store.write() as session:
        assert upkeep.forget_states(session, 2) == []


# The promises under any history


class Life(RuleBasedStateMachine):
    """Dates arrive in any order, attempts end in any way, leases are lost, operators interfere."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store("sqlite://")
        make_tables(self.store)
        self.claims: list[Claim] = []
        self.published: list[datetime] = []

    @initialize()
    def start(self) -> None:
        with self.store.write() as session:
            sites.open_campaigns(session, ["V1_4"])

    @rule(day=st.sampled_from([0, 2, 3, 8, 20, 29]), half=st.booleans())
    def arrive(self, day: int, half: bool) -> None:
        earlier = FIRST + timedelta(days=day, minutes=3, seconds=-7)
        changes = {"name": f"half{day}", "datastrip": FIRST, "sensing": earlier} if half else {}
        with suppress(InputError):
            add(self.store, day, **changes)

    @rule(seconds=st.sampled_from([-1.0, 60.0]), begun=st.booleans())
    def take(self, seconds: float, begun: bool) -> None:
        claimed = claim(self.store, seconds)
        if claimed is not None:
            self.claims.append(claimed)
            if begun:
                begin(self.store, claimed, seconds)
            with self.store.read() as session:
                older = sa.select(Job.id).where(Job.state.in_(OPEN_STATES), Job.sensing < claimed.sensing)
                assert session.scalars(older).all() == []

    @rule(
        index=st.integers(0, 5),
        how=st.sampled_from(["publish", "publish", "publish", "cloudy", "reject", "fail", "retry", "held", "back"]),
    )
    def end(self, index: int, how: str) -> None:
        if not self.claims:
            return
        ended = self.claims[index % len(self.claims)]
        with suppress(Fenced), self.store.write() as session:
            chain = lease.fence(session, ended)
            if session.get_one(Attempt, ended.attempt_id).ended is not None:
                return
            assert chain.next_job_id is not None
            if how == "publish":
                outcomes.published(session, ended, made(ended, identifier=f"{ended.sensing:%Y%m%d}"), 2)
            elif how == "cloudy":
                outcomes.not_valid(session, ended, made(ended), "cloud")
            elif how == "reject":
                outcomes.rejected(session, ended, "input", "bad")
            elif how == "back":
                outcomes.given_back(session, ended)
            else:
                failure = Failure("unknown", "bad", "X", again=how == "retry", hold=how == "held")
                outcomes.failed(session, ended, failure)

    @rule(index=st.integers(0, 20), verb=st.sampled_from([orders.retry, orders.hold, orders.release, orders.reject]))
    def interfere(self, index: int, verb: Callable[[sa.orm.Session, Job, Actor], str]) -> None:
        with self.store.write() as session:
            jobs = session.scalars(sa.select(Job).order_by(Job.id)).all()
            if jobs:
                verb(session, jobs[index % len(jobs)], OPERATOR)

    @rule(status=st.sampled_from(["active", "active", "paused"]))
    def campaign(self, status: str) -> None:
        with self.store.write() as session:
            sites.set_campaign(session, "V1_4", status, OPERATOR)

    @rule()
    def tidy(self) -> None:
        with self.store.write() as session:
            lease.expire(session)

    @invariant()
    def promises_hold(self) -> None:
        with self.store.read() as session:
            assert list(checks.violations(session)) == []

    def teardown(self) -> None:
        self.store.dispose()


def test_paused_campaign_keeps_offering_the_date_that_runs(store: Store) -> None:
    """An older date that arrives meanwhile must not hide it: its lease could then never be found lost."""
    add(store, 5)
    with store.write() as session:
        claimed = lease.claim(session, "a", 60)
        assert claimed is not None
        sites.set_campaign(session, "V1_4", "paused", OPERATOR)
    add(store, 0)
    with store.read() as session:
        assert session.query(Chain).one().next_job_id == claimed.job_id


@pytest.mark.slow
def test_promises_hold_under_any_history() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )


def test_a_withdrawn_product_is_no_beginning_and_its_return_is_said(store: Store) -> None:
    for day in (0, 5):
        add(store, day)
    run_all(store)
    with store.write() as session:
        bad = session.scalars(sa.select(Product).order_by(Product.sensing.desc()).limit(1)).one()
        assert orders.withdraw(session, bad, OPERATOR, "false cloud") == "withdrawn"
        assert orders.withdraw(session, bad, OPERATOR) == "is withdrawn already"
    add(store, 10)
    after = run_all(store)
    assert after[0].previous is not None
    assert after[0].previous.product_id != bad.id
    with store.write() as session:
        assert orders.reinstate(session, session.get_one(Product, bad.id), OPERATOR) == "reinstated"
    with store.read() as session:
        newest = session.scalars(sa.select(Product).order_by(Product.sensing.desc()).limit(1)).one()
        assert newest.previous_not_latest
        said = [
            (e.kind, e.actor, e.origin, e.data.get("reason"))
            for e in session.scalars(sa.select(Event).where(Event.product_id == bad.id))
        ]
    assert said[-2:] == [("withdrawn", "olga", "test", "false cloud"), ("reinstated", "olga", "test", None)]


def test_a_bad_product_holds_the_date_that_would_begin_from_it(store: Store) -> None:
    add(store, 0)
    run_all(store)
    with store.write() as session:
        product = session.scalars(sa.select(Product)).one()
        assert orders.hold_after(session, product, OPERATOR) == "no later date waits: nothing to hold"
    add(store, 5)
    with store.write() as session:
        assert orders.hold_after(session, product, OPERATOR) == "2023-08-15 held"
    assert claim(store) is None


def test_checks_find_what_is_wrong(store: Store) -> None:
    """A check that never speaks proves nothing."""
    for day in (0, 5, 10):
        add(store, day)
    run_all(store)
    add(store, 15)
    with store.write() as session:
        products = session.query(Product).order_by(Product.sensing).all()
        products[0].prev_product = products[2].id
        products[2].prev_product = products[0].id
        products[1].prev_product = None
        products[1].current = False
        chain = session.query(Chain).one()
        chain.next_job_id, chain.lease_owner = None, "nobody"
        session.query(Job).filter(Job.state == "ready").one().state = "running"
        session.flush()
        kinds = {line.split(":")[0] for line in checks.violations(session)}
        products[1].current = True
        session.flush()
        kinds |= {line.split(":")[0] for line in checks.violations(session)}
        session.rollback()
    assert kinds == {
        "out of order",
        "wrong previous",
        "missing previous",
        "several current",
        "jobs without attempt",
        "chains not offering",
        "two running",
        "lease without owner",
    }


def test_writers_of_one_process_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits as long as for SQLite's own lock; a process forked meanwhile waits for none of its parent's."""
    first, second = (Store(f"sqlite:///{tmp_path / 'muscate.db'}") for _ in range(2))
    first.upgrade()
    monkeypatch.setattr(stores, "BUSY_SECONDS", 0.2)
    with first.write():
        with pytest.raises(StoreError, match="locked"), second.write():
            pass
        child = os.fork()
        if child == 0:  # the new one
            os._exit(int(any(turn.lock.locked() for turn in stores._turns.values())))
        assert os.waitpid(child, 0)[1] == 0
    with second.write() as session:
        session.add(Site(code="s", name="S", country="", priority=0, active=True))
    other = sqlite3.connect(tmp_path / "muscate.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # another process
    with pytest.raises(StoreError, match="locked"), first.write() as session:
        session.execute(sa.text("SELECT 1"))
    other.execute("ROLLBACK")
    other.close()
    with first.write() as session:
        assert session.execute(sa.text("PRAGMA busy_timeout")).scalar() == 200
    for store in (first, second):
        store.dispose()
