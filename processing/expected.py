"""Which passes the orbits make expected over a tile, from those that were seen.

A Sentinel-2 satellite comes back to the same track, to the minute, after ten days. So what was seen once over a tile
comes again ten days later, for each satellite and each of the tracks from which it sees the tile: two satellites half a
cycle apart make five days of it, two tracks over one tile more. Nothing is taken from a plan: a new satellite is
expected from its first image on, and one that stopped is no longer expected after a while.

Pure: sightings in, passages out.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

#: After this a satellite is on the same track again: 143 orbits.
CYCLE = timedelta(days=10)
#: Passages of one track lie no further from the cycle; those of two tracks over one tile lie an orbit apart, 100 min.
TOLERANCE = timedelta(minutes=30)
#: A satellite that is seen nowhere for so long has stopped: it is not expected any more.
SILENT = 3 * CYCLE
#: A track that is not seen over a tile for so long, though its satellite is elsewhere, is not followed there.
LOST = 18 * CYCLE
#: How far ahead passages of a track that goes on are told.
AHEAD = timedelta(days=400)

_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Passage:
    """One satellite over one tile, seen or to be expected.

    Attributes
    ----------
    time : datetime
        Sensing time of the tile, UTC; to some minutes where it was not seen.
    platform : str
        ``S2A``.
    relative_orbit : int or None
        None where no sighting told it.
    """

    time: datetime
    platform: str
    relative_orbit: int | None = None


@dataclass(frozen=True)
class Track:
    """One satellite that sees a tile from one track, again and again.

    Attributes
    ----------
    platform : str
    relative_orbit : int or None
    seen : tuple of datetime
        When it was seen, oldest first; never empty.
    until : datetime
        No passage after this is expected.
    """

    platform: str
    relative_orbit: int | None
    seen: tuple[datetime, ...]
    until: datetime

    @property
    def last(self) -> datetime:
        """When it was last seen."""
        return self.seen[-1]

    def unseen(self, since: datetime, until: datetime, now: datetime) -> Iterator[Passage]:
        """Passages from `since` to before `until` that were to be expected and were not seen, past and future."""
        near = max(bisect(self.seen, since) - 1, 0), bisect(self.seen, until) + 1
        for before, after in pairwise(self.seen[slice(*near)]):
            if after - before <= LOST:
                cycles = round((after - before) / CYCLE)
                yield from self._passages(before, range(1, cycles), since, until)
        # One that goes on does so in the future too, as far as anybody may ask.
        end = self.until if self.until < now else now + AHEAD
        yield from self._passages(self.last, range(1, (end - self.last) // CYCLE + 1), since, until)

    def _passages(self, start: datetime, cycles: range, since: datetime, until: datetime) -> Iterator[Passage]:
        first = max(cycles.start, -((start - since) // CYCLE))
        for cycle in range(first, min(cycles.stop, (until - start) // CYCLE + 1)):
            time = start + cycle * CYCLE
            if since <= time < until:
                yield Passage(time, self.platform, self.relative_orbit)


def tracks(seen: Iterable[Passage], alive: Mapping[str, datetime], *, followed: bool = True) -> list[Track]:
    """The tracks of a tile.

    Parameters
    ----------
    seen : iterable of Passage
        All that was seen over the tile, in any order.
    alive : mapping of str to datetime
        When each satellite was last seen over any tile.
    followed : bool
        Whether further passages are to come; those between two sightings are expected all the same.

    Returns
    -------
    list of Track
        By their first sighting.
    """
    of_platform: dict[str, list[Passage]] = defaultdict(list)
    for passage in seen:
        of_platform[passage.platform].append(passage)
    found = []
    for platform, passages in of_platform.items():
        alive_until = max(alive.get(platform, _EPOCH), max(p.time for p in passages)) + SILENT
        for group in _by_phase(passages):
            times = tuple(sorted(p.time for p in group))
            orbits = [p.relative_orbit for p in sorted(group) if p.relative_orbit is not None]
            until = min(alive_until, times[-1] + LOST) if followed else times[-1]
            found.append(Track(platform, orbits[-1] if orbits else None, times, until))
    return sorted(_moved(found), key=lambda track: track.seen[0])


def unseen(tracks: Iterable[Track], since: datetime, until: datetime, now: datetime) -> list[Passage]:
    """Passages of all tracks that were to be expected and were not seen, oldest first; the end is not included."""
    return sorted(passage for track in tracks for passage in track.unseen(since, until, now))


def following(tracks: Iterable[Track], after: datetime, now: datetime) -> Passage | None:
    """The first passage after a time that is expected or was seen."""
    tracks = list(tracks)
    seen = [Passage(t, track.platform, track.relative_orbit) for track in tracks for t in track.seen if t > after]
    # Of each track they come in their order.
    to_come = [next(track.unseen(after + timedelta(microseconds=1), after + LOST, now), None) for track in tracks]
    return min([*seen, *(passage for passage in to_come if passage)], default=None)


def _by_phase(passages: Sequence[Passage]) -> list[list[Passage]]:
    """Passages of one satellite, those together that lie whole cycles apart."""
    phased = sorted(((p.time - _EPOCH) % CYCLE, p) for p in passages)
    groups: list[list[Passage]] = []
    for place, (phase, passage) in enumerate(phased):
        if place and phase - phased[place - 1][0] <= TOLERANCE:
            groups[-1].append(passage)
        else:
            groups.append([passage])
    # A cycle has no beginning: what lies around it is one group.
    if len(groups) > 1 and phased[0][0] + CYCLE - phased[-1][0] <= TOLERANCE:
        groups[0] += groups.pop()
    return groups


def _moved(found: Sequence[Track]) -> Iterator[Track]:
    """Tracks, those that another one took the place of ended with their last sighting.

    A satellite passes a track once a cycle: one seen at two times of it was moved. And no two fly in one place: one
    that is seen where another one was has replaced it.
    """
    for track in found:
        later = [other for other in found if other.last > track.last]
        moved = any(
            (
                other.platform == track.platform
                and other.relative_orbit == track.relative_orbit
                and track.relative_orbit is not None
            )
            or (other.platform != track.platform and _together(other, track))
            for other in later
        )
        yield replace(track, until=track.last) if moved else track


def _together(one: Track, other: Track) -> bool:
    offset = (one.last - other.last) % CYCLE
    return min(offset, CYCLE - offset) <= TOLERANCE
