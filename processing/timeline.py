"""A tile's dates in time: which packages make a date, what precedes it, where a series starts anew.

The centre's store and `muscate process` both ask here, as both promise the same pixels. Pure: records with their
times and the numbers of a version in, the chosen records out.

Two measures of time, each the one of what it decides. The gap after which a tile starts anew is elapsed time, to the
second, as Start_maja takes it. What a composite remembers ages in whole days (UTC), as MAJA dates each of its pixels:
so a pass of the same orbit `composite_max_age` days away, be it some seconds more, still serves a backward start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from processing.scene import day_of
from processing.versions import Parameters

#: From here on Sentinel-2B takes images beside Sentinel-2A.
TWO_SATELLITES = date(2017, 7, 1)

#: A package of a newer baseline takes the place of an older one that saw no more than this beside it. [-]
NEGLIGIBLE = 0.005


class Dated(Protocol):
    """What has a place in time."""

    @property
    def sensing(self) -> datetime:
        """Sensing time of the tile, UTC."""


class Edition(Protocol):
    """What tells a Level-1C package from others of its pass."""

    @property
    def baseline(self) -> str:
        """Processing baseline, ``05.10``."""

    @property
    def datastrip(self) -> datetime:
        """Start of its datastrip."""

    @property
    def generation(self) -> datetime:
        """When it was made."""


class Delivery(Dated, Edition, Protocol):
    """A Level-1C package and the pass that it is of."""

    @property
    def platform(self) -> str:
        """``S2A``."""

    @property
    def datatake_sensing(self) -> datetime:
        """Start of the datatake."""


class Ground(NamedTuple):
    """The ground that a package observed: a bit for each cell of a lattice over the frame of its images.

    Attributes
    ----------
    frame : tuple of float
        West, south, east, north. [m]
    cells : int
    """

    frame: tuple[float, float, float, float]
    cells: int

    def within(self, other: Ground) -> bool:
        """Whether the images reach over a part only of the other's frame."""
        (west, south, east, north), there = self.frame, other.frame
        inside = west >= there[0] and south >= there[1] and east <= there[2] and north <= there[3]
        return inside and self.frame != there

    def beside(self, others: Iterable[Ground]) -> float:
        """Share of this ground that none of the others, on the same frame, observed."""
        covered = 0
        for other in others:
            covered |= other.cells
        return (self.cells & ~covered).bit_count() / max(self.cells.bit_count(), 1)


D = TypeVar("D", bound=Dated)
P = TypeVar("P", bound=Delivery)
E = TypeVar("E", bound=Edition)


@dataclass(frozen=True)
class Pass(Generic[P]):
    """One pass of a satellite over a tile: the packages that serve, and those that they replace."""

    serving: Sequence[P]
    replaced: Sequence[P]

    @property
    def sensing(self) -> datetime:
        """That of its earliest half, as of the image put together from them."""
        return min(package.sensing for package in self.serving)


def datatake(start: datetime) -> datetime:
    """Start of a datatake as it names a pass, to the second: the same for both halves and every baseline."""
    return start.replace(microsecond=0)


def serving(packages: Iterable[E], ground: Callable[[E], Ground | None] = lambda _: None) -> list[E]:
    """Of the packages of one pass those that serve, whatever their order.

    Each datastrip is served by its newest baseline, and of that by what was made last, the first of those made at the
    same time; different datastrips are the halves of a pass. So one that was not made anew still serves beside one
    that was. An older package also goes on serving where it observed ground that the newer ones lack.

    Parameters
    ----------
    ground : callable
        What a package observed; None where that is not known.
    """
    newest_first = sorted(packages, key=lambda p: (p.baseline, p.generation), reverse=True)
    seen = {id(p): ground(p) for p in newest_first} if len(newest_first) > 1 else {}
    whole = [g for g in seen.values() if g is not None]
    kept: list[E] = []
    for package in newest_first:
        own = seen.get(id(package))
        if own is not None and any(own.within(other) for other in whole):
            continue  # a cut of what is there whole
        if not kept or _has_part(package, own, kept, [seen.get(id(k)) for k in kept]):
            kept.append(package)
    return kept


def _has_part(package: Edition, own: Ground | None, kept: Sequence[Edition], theirs: Sequence[Ground | None]) -> bool:
    """Whether a package serves beside newer ones of its pass."""
    alike = [g for g in theirs if g is not None and own is not None and g.frame == own.frame]
    beside = own.beside(alike) if own is not None and len(alike) == len(theirs) else None
    if any(package.datastrip == other.datastrip for other in kept):
        return beside is not None and beside > NEGLIGIBLE
    # Where a whole pass was made anew its datastrips may have been cut otherwise.
    return beside != 0 or any(package.baseline == other.baseline for other in kept)


def passes(packages: Iterable[P], ground: Callable[[P], Ground | None] = lambda _: None) -> list[Pass[P]]:
    """The passes that packages of one tile are of, oldest first; `ground` as of `serving`."""
    same: dict[tuple[str, datetime], list[P]] = defaultdict(list)
    for package in packages:
        same[package.platform, datatake(package.datatake_sensing)].append(package)
    found = []
    for group in same.values():
        kept = serving(group, ground)
        found.append(Pass(kept, [p for p in group if not any(p is k for k in kept)]))
    return sorted(found, key=lambda one: one.sensing)


def starts_anew(before: datetime, sensing: datetime, parameters: Parameters) -> bool:
    """Whether the product before a date is so old that the tile starts anew: by the version's `restart_gap`."""
    gap = parameters.restart_gap[sensing.date() >= TWO_SATELLITES]
    return sensing - before >= timedelta(days=gap)


def predecessor(dates: Iterable[D], sensing: datetime, parameters: Parameters) -> D | None:
    """The date that one begins from: the newest of the valid ones before it; None where the tile starts anew."""
    newest = max((d for d in dates if d.sensing < sensing), key=lambda d: d.sensing, default=None)
    if newest is None or starts_anew(newest.sensing, sensing, parameters):
        return None
    return newest


def feeders(dates: Iterable[D], sensing: datetime, parameters: Parameters) -> list[D]:
    """The dates that a backward start of one goes back through, oldest first.

    Those next after it, at most `backward_dates`, that its composite still remembers: MAJA forgets a pixel whose date
    is more than `composite_max_age` whole days away.
    """
    last = day_of(sensing) + parameters.composite_max_age
    later = sorted((d for d in dates if d.sensing > sensing and day_of(d.sensing) <= last), key=lambda d: d.sensing)
    return later[: parameters.backward_dates]


def reach(sensing: datetime, parameters: Parameters) -> datetime:
    """No date from here on feeds a backward start: what a store need not look up."""
    return sensing + timedelta(days=parameters.composite_max_age + 1)


def dependents(dates: Iterable[D], sensing: datetime, parameters: Parameters) -> list[D]:
    """The valid dates after one whose composite goes back to it, oldest first: up to where the tile starts anew."""
    found: list[D] = []
    before = sensing
    for later in sorted((d for d in dates if d.sensing > sensing), key=lambda d: d.sensing):
        if starts_anew(before, later.sensing, parameters):
            break
        found.append(later)
        before = later.sensing
    return found
