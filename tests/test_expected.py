"""Which passes the orbits make expected, held against constellations that are flown here."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing import expected
from processing.expected import AHEAD, CYCLE, LOST, SILENT, Passage, following, tracks, unseen

START = datetime(2026, 1, 3, 10, 50, 31, tzinfo=UTC)
FAR = timedelta(days=3000)


def flown(platform: str, orbit: int | None, first: datetime, cycles: range) -> list[Passage]:
    return [Passage(first + k * CYCLE, platform, orbit) for k in cycles]


def times(passages: list[Passage]) -> list[tuple[str, int]]:
    """Satellites and days since the start."""
    return [(p.platform, (p.time - START).days) for p in passages]


def asked(seen: list[Passage], now: datetime, alive: dict[str, datetime] | None = None, **given: bool) -> list[Passage]:
    found = tracks(seen, alive or {}, **given)
    return unseen(found, START - FAR, now, now)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    satellites=st.integers(1, 3),
    orbits=st.integers(1, 3),
    lost=st.floats(0, 0.6),
    jitter=st.integers(0, 240),
)
def test_what_was_flown_between_two_sightings_and_did_not_come_is_found(
    seed: int, satellites: int, orbits: int, lost: float, jitter: int
) -> None:
    """Whatever the satellites, the tracks over the tile, the passes that were lost and the seconds of each."""
    rng = random.Random(seed)
    kept, gone = [], []
    for number in range(satellites):
        for orbit in range(orbits):
            # Another satellite is days away, another track some hours more than whole days.
            offset = timedelta(days=number * 3 + orbit * 2, minutes=100 * orbit)
            passages = flown(f"S2{'ABC'[number]}", 51 + 43 * orbit, START + offset, range(14))
            ends = {0, len(passages) - 1}
            for k, passage in enumerate(passages):
                if k in ends or rng.random() >= lost:
                    late = timedelta(seconds=rng.randint(-jitter, jitter))
                    kept.append(Passage(passage.time + late, passage.platform, passage.relative_orbit))
                else:
                    gone.append(passage)
    rng.shuffle(kept)
    end = max(p.time for p in kept)
    found = unseen(tracks(kept, {}), START - FAR, START + FAR, end)
    assert all(any(_same(p, g) for p in found) for g in gone)
    rest = [p for p in found if not any(_same(p, g) for g in gone)]
    assert all(p.time > START + 13 * CYCLE - timedelta(minutes=30) for p in rest)  # those to come
    assert not [p for p in found if any(_same(p, k) for k in kept)]


def _same(one: Passage, other: Passage) -> bool:
    return (one.platform, one.relative_orbit) == (other.platform, other.relative_orbit) and abs(
        one.time - other.time
    ) < timedelta(minutes=30)


def test_five_days_of_two_satellites() -> None:
    seen = flown("S2A", 51, START, range(3)) + flown("S2B", 51, START + CYCLE / 2, range(3))
    now = START + timedelta(days=41)
    assert times(asked(seen, now)) == [("S2A", 30), ("S2B", 35), ("S2A", 40)]


def test_a_new_satellite_is_expected_from_its_first_image_on() -> None:
    seen = flown("S2A", 51, START, range(6)) + flown("S2C", 51, START + timedelta(days=32), range(1))
    assert times(asked(seen, START + timedelta(days=59))) == [("S2C", 42), ("S2C", 52)]


def test_a_satellite_that_stopped_is_no_longer_expected() -> None:
    """Not after some cycles, when nobody else sees it; longer, when it is seen over other tiles; yet not for ever."""
    seen = flown("S2A", 51, START, range(3)) + flown("S2B", 51, START + CYCLE / 2, range(60))
    now = START + timedelta(days=590)
    last = START + 2 * CYCLE
    of_a = [p for p in asked(seen, now) if p.platform == "S2A"]
    assert times(of_a) == [("S2A", 30), ("S2A", 40), ("S2A", 50)]
    assert all(p.time <= last + SILENT for p in of_a)
    of_a = [p for p in asked(seen, now, {"S2A": now}) if p.platform == "S2A"]
    assert len(of_a) == LOST // CYCLE
    assert of_a[-1].time <= last + LOST


@pytest.mark.parametrize("orbit", [51, None])
def test_a_gap_counts_unless_the_tile_was_not_followed(orbit: int | None) -> None:
    now = START + timedelta(days=1001)
    short = flown("S2A", orbit, START, range(2)) + flown("S2A", orbit, START + 9 * CYCLE, range(1))
    assert times([p for p in asked(short, START + 9 * CYCLE)]) == [("S2A", 10 * k) for k in range(2, 9)]
    long = flown("S2A", orbit, START, range(2)) + flown("S2A", orbit, START + 100 * CYCLE, range(1))
    assert asked(long, now) == []


def test_two_tracks_on_one_day_are_two() -> None:
    """Far in the north a satellite sees a tile again an orbit later."""
    seen = flown("S2A", 51, START, range(3)) + flown("S2A", 52, START + timedelta(minutes=100), range(3))
    found = asked(seen, START + timedelta(days=31))
    assert [p.relative_orbit for p in found] == [51, 52]
    assert len({p.time for p in found}) == 2


def test_a_satellite_that_was_moved_is_expected_where_it_is_now() -> None:
    seen = flown("S2A", 51, START, range(5)) + flown("S2A", 51, START + timedelta(days=77), range(2))
    assert times(asked(seen, START + timedelta(days=99))) == [("S2A", 97)]


def test_a_satellite_that_took_the_place_of_another_is_expected_alone() -> None:
    seen = flown("S2A", 51, START, range(5)) + flown("S2C", 51, START + 5 * CYCLE, range(3))
    alive = {"S2A": START + 9 * CYCLE}
    assert times(asked(seen, START + timedelta(days=95), alive)) == [("S2C", 80), ("S2C", 90)]


def test_sightings_around_the_beginning_of_a_cycle_are_one_track() -> None:
    """Wherever a cycle is taken to begin: some seconds before and after it are the same."""
    zero = datetime(2025, 1, 10, tzinfo=UTC)  # whole cycles from where they are counted
    seen = [Passage(zero + k * CYCLE + timedelta(seconds=20 * (-1) ** k), "S2A", 51) for k in range(6)]
    assert len(tracks(seen, {})) == 1
    assert asked(seen, zero + 5 * CYCLE + timedelta(hours=1)) == []


def test_a_tile_that_nobody_follows_expects_only_what_lies_between() -> None:
    seen = flown("S2A", 51, START, range(2)) + flown("S2A", 51, START + 3 * CYCLE, range(1))
    now = START + timedelta(days=45)
    assert times(asked(seen, now, followed=False)) == [("S2A", 20)]


def test_the_next_passage() -> None:
    seen = flown("S2A", 51, START, range(3)) + flown("S2B", 51, START + CYCLE / 2, range(2))
    found = tracks(seen, {})
    now = START + timedelta(days=21)
    assert following(found, now, now) == Passage(START + timedelta(days=25), "S2B", 51)
    assert following(found, START, now) == Passage(START + timedelta(days=5), "S2B", 51)
    assert following([], now, now) is None
    assert following(found, now + AHEAD + LOST, now + AHEAD + LOST) is None  # both stopped long ago


def test_a_day_far_ahead_is_told_for_tracks_that_go_on() -> None:
    found = tracks(flown("S2A", 51, START, range(3)), {})
    now = START + timedelta(days=21)
    day = (START + 30 * CYCLE).replace(hour=0, minute=0, second=0)
    assert len(unseen(found, day, day + timedelta(days=1), now)) == 1
    assert unseen(found, day + timedelta(days=1), day + timedelta(days=2), now) == []
    assert expected.unseen([], START, START + CYCLE, now) == []
