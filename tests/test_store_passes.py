"""Passes that should have come and have not, as the store finds them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing import expected
from processing.expected import CYCLE
from processing.store import Store, events, passes
from processing.store.models import Acquisition, Site, SiteTile, Tile
from tests.store_databases import make_tables, postgres, url  # noqa: F401 - fixtures

NOW = datetime(2026, 11, 3, 23, 0, 0, tzinfo=UTC)
#: Of the last pass that came, some days ago.
LAST = datetime(2026, 10, 24, 10, 50, 31, tzinfo=UTC)


@pytest.fixture
def store(url: str) -> Iterator[Store]:  # noqa: F811
    found = Store(url)
    found.upgrade(explicit=True)
    with found.write() as session:
        session.add_all([Site(code="toulouse", name="Toulouse", country="France", priority=1)])
        session.add_all([Tile(mgrs=tile) for tile in ("31TCJ", "31TDJ", "30TYP")])
        session.flush()
        session.add_all([SiteTile(site="toulouse", tile=tile) for tile in ("31TCJ", "31TDJ")])
    yield found
    found.dispose()


def came(
    store: Store, tile: str, *cycles: int, platform: str = "S2A", delay: timedelta = timedelta(hours=4), days: int = 0
) -> None:
    """Passes so many cycles before the last one."""
    with store.write() as session:
        for cycle in cycles:
            sensing = LAST - cycle * CYCLE + timedelta(days=days)
            session.add(
                Acquisition(
                    tile=tile,
                    platform=platform,
                    datatake=sensing.replace(second=0),
                    sensing=sensing,
                    relative_orbit=51,
                    first_seen=sensing + delay,
                )
            )


def missing(store: Store, now: datetime = NOW) -> list[tuple[str, str, int]]:
    with store.read() as session:
        return [(m.tile, m.platform, (m.time - LAST).days) for m in passes.missing(session, NOW - 6 * CYCLE, now, now)]


def test_a_pass_that_has_not_come_is_missing_on_its_own_day(store: Store) -> None:
    came(store, "31TCJ", 0, 1, 2, 3)
    assert missing(store, LAST + CYCLE - timedelta(minutes=1)) == []
    assert missing(store, LAST + CYCLE + timedelta(hours=2)) == []  # not before the source is late
    assert missing(store, NOW) == [("31TCJ", "S2A", 10)]
    assert NOW.date() == (LAST + CYCLE).date()


def test_each_tile_and_satellite_has_its_own(store: Store) -> None:
    came(store, "31TCJ", 0, 1, 3)
    came(store, "31TDJ", 0, 1, 2, 3)
    came(store, "31TDJ", 1, 2, platform="S2B", days=5)
    assert missing(store) == [
        ("31TCJ", "S2A", -20),
        ("31TDJ", "S2B", 5),
        ("31TCJ", "S2A", 10),
        ("31TDJ", "S2A", 10),
    ]


def test_a_tile_of_no_site_is_not_waited_for(store: Store) -> None:
    came(store, "30TYP", 0, 2)
    assert missing(store) == [("30TYP", "S2A", -10)]


def test_a_pass_whose_package_was_refused_is_not_missing(store: Store) -> None:
    came(store, "31TCJ", 0, 1)
    sensing = LAST + CYCLE
    name = f"S2A_MSIL1C_{sensing:%Y%m%dT%H%M%S}_N0511_R051_T31TCJ_{sensing:%Y%m%dT%H%M%S}"
    with store.write() as session:
        for l1c in (f"{name}.zip", "S2A_MSIL1C_99999999T999999_N0511_R051_T31TCJ_x.zip", "holiday.jpg"):
            events.record(session, sensing, "refused", data={"l1c": l1c, "reason": "B04.jp2: cut short"})
    assert missing(store) == []
    with store.read() as session:
        found = passes.refusals(session, sensing - CYCLE, NOW, "31TCJ")
    assert [(r.tile, r.platform, r.datatake, r.reason) for r in found] == [
        ("31TCJ", "S2A", sensing, "B04.jp2: cut short")
    ]


@pytest.mark.parametrize(
    ("hours", "usual"), [((1,) * 9, 3), ((4,) * 9 + (7,), 4), ((4,) * 8 + (7,) * 2, 7), ((30,) * 9, 12), ((4,) * 3, 12)]
)
def test_the_usual_delay_of_the_source(store: Store, hours: tuple[int, ...], usual: int) -> None:
    """As nine in ten; within bounds; not told by a few, nor by an archive that was taken in later."""
    for day, delay in enumerate((*hours, 24 * 300)):
        came(store, "31TCJ", 0, days=-day, delay=timedelta(hours=delay))
    with store.read() as session:
        assert passes.over_tile(session, "31TCJ", NOW).delay == timedelta(hours=usual)
        assert passes.over_tile(session, "31TDJ", NOW).delay == passes.LATEST


def test_what_is_known_of_one_tile_is_what_is_known_of_all(store: Store) -> None:
    came(store, "31TCJ", 0, 1, 3)
    came(store, "31TDJ", 5, platform="S2B")
    with store.read() as session:
        of_all = passes.overflown(session, NOW - 6 * CYCLE, NOW, NOW)
        assert {tile: passes.over_tile(session, tile, NOW) for tile in of_all} == of_all
        assert passes.over_tile(session, "30TYP", NOW).tracks == []
        assert passes.known_tile(session, "30TYP")
        assert not passes.known_tile(session, "30TYN")


@given(
    st.lists(
        st.builds(
            lambda track, cycle, minutes, hours, orbit: (*track, cycle, minutes, hours, orbit),
            st.sampled_from(
                [
                    (tile, platform, day)
                    for tile in ("31TCJ", "30TYP")
                    for platform in ("S2A", "S2B")
                    for day in (0, 2, 5)
                ]
            ),
            st.integers(-2, 24),
            st.integers(-4, 4),
            st.integers(1, 24 * 8),
            st.sampled_from([51, 51, 51, 94, None]),
        ),
        min_size=1,
        max_size=80,
    ),
    st.integers(0, 60 * 24 * 20),
)
@settings(max_examples=60, deadline=None)
def test_the_last_cycle_is_told_by_few_rows(
    came_by: list[tuple[str, str, int, int, int, int, int | None]], minutes: int
) -> None:
    """Whatever was seen, and whenever one asks, it is told what all of the sightings tell."""
    store = Store("sqlite://")
    make_tables(store)
    now = NOW - timedelta(minutes=minutes)
    with store.write() as session:
        session.add_all([Site(code="toulouse", name="Toulouse", country="France", priority=1)])
        session.add_all([Tile(mgrs=tile) for tile in ("31TCJ", "30TYP")])
        session.flush()
        session.add(SiteTile(site="toulouse", tile="31TCJ"))
        for tile, platform, day, cycle, off, hours, orbit in {one[:4]: one for one in came_by}.values():
            sensing = LAST - cycle * CYCLE + timedelta(days=day, minutes=off)
            seen = sensing + timedelta(hours=hours, seconds=off)
            row = {"tile": tile, "platform": platform, "datatake": sensing, "sensing": sensing, "first_seen": seen}
            session.add(Acquisition(**row, relative_orbit=orbit))
    with store.read() as session:
        full, lean = passes.overflown(session, now - CYCLE, now, now), passes.lately(session, now)
    store.dispose()

    def told(known: passes.Overflown) -> tuple[object, ...]:
        missing = [expected.unseen(known.tracks, now - days, now - known.delay, now) for days in (CYCLE, CYCLE / 3)]
        return known.delay, missing, expected.following(known.tracks, now, now)

    assert {tile: told(known) for tile, known in lean.items()} == {tile: told(known) for tile, known in full.items()}
