"""A tile's dates in time: which packages make a date, what precedes it, where a series starts anew.

The centre's store and `muscate process` both ask here, as both promise the same pixels. Pure: records with their
times and the numbers of a version in, the chosen records out.

Two measures of time, each the one of what it decides. The gap after which a tile starts anew is elapsed time, to the
second, as Start_maja takes it. What a composite remembers ages in whole days (UTC), as MAJA dates each of its pixels:
so a pass of the same orbit `composite_max_age` days away, be it some seconds more, still serves a backward start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Generic, Literal, Protocol, TypeVar

from processing.scene import day_of
from processing.versions import Parameters

#: From here on Sentinel-2B takes images beside Sentinel-2A.
TWO_SATELLITES = date(2017, 7, 1)

#: What a package is to an older one of its pass: it takes its place, gives way to it, or is its other half.
Meeting = Literal["replaces", "yields", "joins"]


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


def meet(new: Edition, old: Edition) -> Meeting:
    """What a package is to another one of its pass that was there before it.

    The newest baseline serves; of one datastrip what was made last, and the first of those made at the same time;
    different datastrips are the halves of a pass.
    """
    if new.baseline != old.baseline:
        return "replaces" if new.baseline > old.baseline else "yields"
    if new.datastrip != old.datastrip:
        return "joins"
    return "replaces" if new.generation > old.generation else "yields"


def serving(packages: Iterable[E]) -> list[E]:
    """Of the packages of one pass those that serve, whatever their order."""
    kept: list[E] = []
    for package in packages:
        meetings = [meet(package, other) for other in kept]
        if "yields" not in meetings:
            kept = [other for other, found in zip(kept, meetings, strict=True) if found == "joins"] + [package]
    return kept


def passes(packages: Iterable[P]) -> list[Pass[P]]:
    """The passes that packages of one tile are of, oldest first."""
    same: dict[tuple[str, datetime], list[P]] = defaultdict(list)
    for package in packages:
        same[package.platform, datatake(package.datatake_sensing)].append(package)
    found = []
    for group in same.values():
        kept = serving(group)
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
