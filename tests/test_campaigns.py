"""Reprocessing beside real time: what is queued and when, what it takes, and the change between two series."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from processing.errors import NotAllowed, WrongSetting
from processing.people import Actor, Role
from processing.production import campaigns as production
from processing.production.campaigns import Asked
from processing.production.dispatcher import Dispatcher
from processing.settings import Settings
from processing.store import Store, campaigns, checks, lease, orders, outcomes, sites
from processing.store.lease import Claim
from processing.store.models import Attempt, Campaign, Chain, Event, Job, Product, Tile
from processing.store.outcomes import Failure
from tests.people import OPERATOR
from tests.store_databases import make_tables, postgres, url  # noqa: F401
from tests.test_cli import muscate
from tests.test_store import FIRST, add, begin, claim, days, publish

# ruff: noqa: F811

READER = Actor("rita", Role.SCIENTIST, "test")


def begun(store: Store, version: str = "V2_0", **asked: object) -> dict[str, object]:
    settings = Settings(workers=2)  # type: ignore[call-arg]
    return production.new(store, settings, Asked(version, **asked), OPERATOR)  # type: ignore[arg-type]


def cut_over(store: Store, tile: str = "33TWM", version: str = "V2_0") -> str:
    with store.write() as session:
        return campaigns.cut_over(session, tile, version, OPERATOR)


def default(store: Store, tile: str = "33TWM") -> str | None:
    with store.read() as session:
        return session.get_one(Tile, tile).current_version


def opened(url: str) -> Store:
    """A store with its tables as the models have them: the way there by migrations is tried elsewhere."""
    store = Store(url)
    make_tables(store)
    with store.write() as session:
        sites.open_campaigns(session, ["V1_4"])
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = opened(f"sqlite:///{tmp_path / 'muscate.db'}")
    yield store
    with store.read() as session:
        assert list(checks.violations(session)) == []
    store.dispose()


@pytest.fixture
def archive(store: Store) -> Store:
    return filled(store)


def filled(store: Store) -> Store:
    """Two tiles with three dates each, made in real time."""
    for day in (0, 5, 10):
        for tile in ("33TWM", "31TCJ"):
            add(store, day, tile=tile)
    while (claimed := claim(store)) is not None:
        begin(store, claimed)
        publish(store, claimed, identifier=name(claimed))
    return store


def name(claimed: Claim) -> str:
    return f"SENTINEL2A_{claimed.sensing:%Y%m%d}_{claimed.tile}_{claimed.version}"


def run(store: Store) -> list[Claim]:
    done = []
    while (claimed := claim(store)) is not None:
        publish(store, claimed, identifier=name(claimed))
        done.append(claimed)
    return done


def test_a_campaign_makes_what_is_in_the_archive_in_order_of_time(archive: Store) -> None:
    told = begun(archive, tiles=("T33TWM",))
    assert (told["dates"], told["tiles"], told["measured_of"]) == (3, 1, "V1_4")
    done = run(archive)
    assert [(c.version, c.tile) for c in done] == [("V2_0", "33TWM")] * 3
    assert days(done) == [0, 5, 10]
    assert all(c.reprocessing for c in done)
    with pytest.raises(WrongSetting, match="no date of these tiles"):
        begun(archive, tiles=("33TWM",))
    begun(archive)  # the other tile joins
    assert {c.tile for c in run(archive)} == {"31TCJ"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"since": FIRST + timedelta(days=4)}, [5, 10]),
        ({"until": FIRST + timedelta(days=6)}, [0, 5]),
        ({"since": FIRST + timedelta(days=4), "until": FIRST + timedelta(days=6)}, [5]),
    ],
)
def test_a_campaign_keeps_to_its_days(archive: Store, asked: dict[str, datetime], expected: list[int]) -> None:
    begun(archive, tiles=("33TWM",), **asked)
    assert days(run(archive)) == expected
    for day in (2, 7, 20):  # what comes later is made in both, if it is of these days
        add(archive, day)
    since, until = asked.get("since", FIRST), asked.get("until", FIRST + timedelta(days=99))
    of_campaign = [d for d in (2, 7, 20) if since <= FIRST + timedelta(days=d) < until]
    assert sorted(d for c in run(archive) if c.version == "V2_0" for d in days([c])) == of_campaign


def test_real_time_goes_first_and_keeps_a_slot(archive: Store) -> None:
    begun(archive)
    first = claim(archive)
    assert first is not None
    assert first.reprocessing
    add(archive, 15, tile="31TCJ")
    urgent = claim(archive)
    assert urgent is not None
    assert (urgent.version, urgent.tile) == ("V1_4", "31TCJ")
    with archive.write() as session:  # another date of the archive is due, but the slot is kept
        assert lease.claimable(session)
        assert not lease.claimable(session, urgent=True)
        assert lease.claim(session, "worker", 60, urgent=True) is None
    for one in (first, urgent):
        publish(archive, one, identifier=name(one))
    run(archive)


class Slots:
    """An executor that takes what it is given and ends nothing."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.given: list[Claim] = []

    def slots(self) -> tuple[int, int]:
        return self.size, self.size - len(self.given)

    def run(self, claimed: Claim, *_: object) -> object:
        self.given.append(claimed)
        return _Run()

    def trouble(self, run: object) -> None:
        return None


class _Run:
    def done(self) -> bool:
        return False

    def add_done_callback(self, fn: object) -> None:
        pass


@pytest.mark.parametrize(("size", "share", "of_archive"), [(1, 0.3, 1), (2, 0.3, 1), (4, 0.5, 2), (4, 0.0, 4)])
def test_slots_are_left_to_real_time(store: Store, tmp_path: object, size: int, share: float, of_archive: int) -> None:
    tiles = ["33TWM", "31TCJ", "31TDJ", "40KCB", "30PVT"]
    for tile in tiles:
        add(store, 0, tile=tile)
    run(store)
    begun(store)
    settings = Settings(home=tmp_path, workers=size, real_time_share=share, min_free_gb=0)  # type: ignore[call-arg]
    settings.make_folders()
    slots = Slots(size)
    dispatcher = Dispatcher(slots, store, settings, "")  # type: ignore[arg-type]
    dispatcher._place(threading.Event())
    assert len(slots.given) == of_archive
    for tile in tiles:
        add(store, 5, tile=tile)
    dispatcher._place(threading.Event())
    assert sum(c.reprocessing for c in slots.given) == of_archive
    assert len(slots.given) == size
    with store.write() as session:
        for claimed in slots.given:
            outcomes.given_back(session, claimed)


def test_pause_resume_and_cancel(archive: Store) -> None:
    begun(archive)
    running = claim(archive)
    assert running is not None
    with archive.write() as session:
        sites.set_campaign(session, "V2_0", "paused", OPERATOR)
    publish(archive, running, identifier=name(running))
    assert claim(archive) is None
    with archive.write() as session:
        sites.set_campaign(session, "V2_0", "active", OPERATOR)
    running = claim(archive)
    assert running is not None
    with archive.write() as session:
        assert campaigns.cancel(session, "V2_0", OPERATOR) == 5
    assert claim(archive) is None
    with archive.read() as session:
        assert session.query(Product).filter(Product.version == "V2_0").count() == 1
        states = [job.state for job in session.query(Job).join(Chain).filter(Chain.campaign.has(version="V2_0"))]
        assert sorted(states) == ["published", "rejected"]  # what never ran left no trace
    add(archive, 20)
    assert [c.version for c in run(archive)] == ["V1_4"]


@pytest.mark.parametrize(("tiles", "alike", "paused"), [(5, True, True), (4, True, False), (5, False, False)])
def test_a_campaign_whose_tiles_fail_alike_is_paused(store: Store, tiles: int, alike: bool, paused: bool) -> None:
    names = ["33TWM", "31TCJ", "31TDJ", "40KCB", "30PVT"][:tiles]
    for tile in names:
        add(store, 0, tile=tile)
    run(store)
    begun(store)

    def claimed_by(program: str) -> Claim | None:
        with store.write() as session:
            return lease.claim(session, "worker", 60, program=program)

    def fail_all() -> None:
        reasons, programs = iter("abcdefgh"), iter(["0.2 ab", "0.2 ab", "0.2 ab", "0.2 cd", "0.2 ab", ""])
        while (claimed := claimed_by(next(programs))) is not None:
            begin(store, claimed)
            reason = f"ValueError: {claimed.tile} has 3 bands" if alike else f"ValueError: {next(reasons)}"
            with store.write() as session:
                outcomes.failed(session, claimed, Failure("processor", reason, "ValueError"))

    fail_all()
    with store.write() as session:
        told = campaigns.break_off(session)
        assert bool(told) is paused
        assert campaigns.break_off(session) == []
        status = {c.version: c.status for c in session.query(Campaign)}
        assert status == {"V1_4": "active", "V2_0": "paused" if paused else "active"}
        if paused:
            where = "all on host, by programs 0.2 ab and 0.2 cd"
            assert told == [f"V2_0 is paused: dates of 5 tiles failed alike, {where}: ValueError: # has # bands"]
            assert session.query(Event).filter(Event.kind == "campaign_broken_off").one().severity == "error"
            sites.set_campaign(session, "V2_0", "active", OPERATOR)
            assert campaigns.break_off(session) == []  # whoever let it go on knows


def test_a_tile_is_cut_over_whole(url: str) -> None:
    archive = filled(opened(url))
    begun(archive)
    run(archive)
    assert default(archive) == "V1_4"
    assert cut_over(archive) == "33TWM: V2_0 in place of V1_4, 3 products superseded"
    assert (default(archive), default(archive, "31TCJ")) == ("V2_0", "V1_4")
    with archive.read() as session:
        old = session.query(Product).filter(Product.tile == "33TWM", Product.version == "V1_4").all()
        new = {p.id: p for p in session.query(Product).filter(Product.tile == "33TWM", Product.version == "V2_0")}
        assert all(p.current and p.valid for p in old)
        assert [new[p.superseded_by or 0].sensing for p in old] == [p.sensing for p in old]  # one way
        for product in new.values():  # and the other
            assert session.query(Product).filter(Product.superseded_by == product.id).one().sensing == product.sensing
        other = session.query(Product).filter(Product.tile == "31TCJ", Product.superseded_by.is_not(None))
        assert other.count() == 0
        said = session.query(Event).filter(Event.kind == "cut_over").one()
        assert (said.tile, said.version, said.actor, said.data["from"]) == ("33TWM", "V2_0", "olga", "V1_4")
        chain = session.query(Chain).filter(Chain.tile == "33TWM", Chain.campaign.has(version="V2_0")).one()
        assert chain.priority < lease.REPROCESSING
        assert chain.campaign.priority == lease.REPROCESSING  # the other tile is not cut over
    add(archive, 15)
    add(archive, 15, tile="31TCJ")
    assert sorted((c.tile, c.version) for c in run(archive)) == [
        ("31TCJ", "V1_4"),
        ("31TCJ", "V2_0"),
        ("33TWM", "V2_0"),
    ]
    with archive.read() as session:
        assert list(checks.violations(session)) == []
    archive.dispose()


def test_a_reader_never_sees_two_versions_in_a_series(archive: Store) -> None:
    """Whatever is asked in one transaction, while tiles are cut over one after the other."""
    begun(archive)
    run(archive)
    seen: list[set[tuple[str, str, bool]]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            with archive.read() as session:
                rows = session.execute(
                    sa.select(Product.tile, Product.version, Product.superseded_by.is_(None)).join(
                        Tile, sa.and_(Tile.mgrs == Product.tile, Tile.current_version == Product.version)
                    )
                )
                seen.append({tuple(row) for row in rows})

    reader = threading.Thread(target=look)
    reader.start()
    for tile in ("33TWM", "31TCJ"):
        cut_over(archive, tile)
    stop.set()
    reader.join()
    with archive.read() as session:
        assert {c.version: c.priority for c in session.query(Campaign)} == {"V1_4": 0, "V2_0": 0}
    assert len(seen) > 1
    for found in seen:
        assert len({version for tile, version, _ in found if tile == "33TWM"}) == 1
        assert len({version for tile, version, _ in found if tile == "31TCJ"}) == 1
        assert all(unsuperseded for _, _, unsuperseded in found)


def test_what_has_not_caught_up_is_not_cut_over(archive: Store) -> None:
    def refused(words: str) -> None:
        with archive.read() as session:
            before = [(p.id, p.superseded_by) for p in session.query(Product).order_by(Product.id)]
        with pytest.raises(WrongSetting, match=words):
            cut_over(archive)
        assert default(archive) == "V1_4"
        with archive.read() as session:
            assert [(p.id, p.superseded_by) for p in session.query(Product).order_by(Product.id)] == before

    refused("33TWM: is not produced in V2_0")
    begun(archive, tiles=("33TWM",), since=FIRST + timedelta(days=4))
    refused("dates of V2_0 that are not over yet: 2")
    run(archive)
    refused("dates of V1_4 that V2_0 has not: 1")
    begun(archive, tiles=("33TWM",))
    late = claim(archive)
    assert late is not None
    with archive.write() as session:
        outcomes.failed(session, late, Failure("processor", "a bug", "Bug"))
    refused("dates of V1_4 that V2_0 has not: 1")
    with archive.write() as session:
        assert orders.reject(session, session.get_one(Job, late.job_id), OPERATOR) == "given up"  # somebody decides
    cut_over(archive)
    with pytest.raises(WrongSetting, match="is what users get already"):
        cut_over(archive)
    with pytest.raises(WrongSetting, match="99XXX: no such tile"):
        cut_over(archive, "99XXX")


def test_the_way_back_is_a_cut_over_too(archive: Store) -> None:
    begun(archive)
    run(archive)
    cut_over(archive)
    assert "V1_4 in place of V2_0, 3 products superseded" in cut_over(archive, version="V1_4")
    assert default(archive) == "V1_4"
    with archive.read() as session:
        superseded = session.query(Product.version).filter(Product.superseded_by.is_not(None)).distinct().all()
        assert superseded == [("V2_0",)]
    add(archive, 20)
    assert "V1_4" in {c.version for c in run(archive) if c.tile == "33TWM"}


def test_what_does_not_exist_is_one_line_and_changes_nothing(archive: Store) -> None:
    def rows() -> tuple[int, ...]:
        with archive.read() as session:
            return tuple(session.query(table).count() for table in (Campaign, Chain, Event, Job))

    before = rows()
    for asked, words in (
        (Asked("V9_9"), "V9_9: no such version; there are .*V1_4"),
        (Asked("V2_0", ("99XXX",)), "99XXX: nothing was ever seen"),
        (Asked("V2_0", site="nowhere"), "nowhere: no such site"),
        (Asked("V1_4"), "V1_4 is produced already"),
        (Asked("V2_0", since=FIRST, until=FIRST), "is no period"),
        (Asked("V2_0", since=FIRST + timedelta(days=99)), "no date of these tiles"),
    ):
        with pytest.raises(WrongSetting, match=words):
            production.new(archive, Settings(), asked, OPERATOR)  # type: ignore[call-arg]
        assert rows() == before


def test_only_operators_begin_cancel_and_cut_over(archive: Store) -> None:
    with pytest.raises(NotAllowed):
        production.new(archive, Settings(), Asked("V2_0"), READER)  # type: ignore[call-arg]
    begun(archive)
    run(archive)
    for verb in (
        lambda s: campaigns.cancel(s, "V2_0", READER),
        lambda s: campaigns.cut_over(s, "33TWM", "V2_0", READER),
    ):
        with pytest.raises(NotAllowed), archive.write() as session:
            verb(session)


def test_the_estimate_is_said_and_begins_nothing(archive: Store) -> None:
    with archive.write() as session:
        for attempt in session.query(Attempt):
            attempt.started = attempt.ended - timedelta(seconds=100)
        session.execute(sa.update(Product).values(bytes=3 * 10**9))
    settings = Settings(workers=2)  # type: ignore[call-arg]
    told = production.new(archive, settings, Asked("V2_0"), OPERATOR, only_estimate=True)
    assert (told["dates"], told["seconds_a_date"], told["disk_gb"], told["slots"]) == (6, 100.0, 18.0, 1)
    assert told["begun"] is False
    end = datetime.fromisoformat(str(told["end"])) - datetime.now(UTC)
    assert abs(end.total_seconds() - 600) < 70
    with archive.read() as session:
        assert session.query(Chain).filter(Chain.campaign.has(version="V2_0")).count() == 0


@given(
    chains=st.lists(st.integers(0, 30), max_size=12),
    slots=st.integers(1, 6),
)
def test_how_long_chains_take_together(chains: list[int], slots: int) -> None:
    """As one finds by taking the longest ones step by step; never less than the longest chain, or the whole work."""
    left, steps = sorted(chains, reverse=True), 0
    while left and left[0] > 0:
        left = sorted([n - 1 for n in left[:slots] if n > 0] + left[slots:], reverse=True)
        steps += 1
    found = campaigns.makespan(chains, 1.0, slots)
    assert found == steps
    assert found >= max(max(chains, default=0), sum(chains) / slots)


def test_the_commands(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'muscate.db'}")
    store.upgrade()
    with store.write() as session:
        sites.open_campaigns(session, ["V1_4"])
    filled(store).dispose()

    def said(*words: str) -> tuple[int, str, str]:
        done = muscate("campaign", *words, "--home", tmp_path)
        return done.returncode, done.stdout, done.stderr

    code, out, _ = said("new", "V2_0", "--tiles", "33TWM,31TCJ", "--from", "2023-08-12", "--json")
    assert code == 0
    assert json.loads(out)["dates"] == 4
    code, _, err = said("cut-over", "V2_0")
    assert code == 1
    assert len(err.splitlines()) == 2
    assert "that are not over yet" in err
    assert said("cancel", "V2_0")[1] == "V2_0: cancelled, 4 dates fell out\n"
    assert said("new", "V2_0", "--tiles", "99XXX")[::2] == (1, "muscate: 99XXX: nothing was ever seen of this tile\n")
