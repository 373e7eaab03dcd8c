"""How far a date is: told by the chain's process step by step, and passed on to whoever listens.

The shares are those of a whole tile on an ordinary machine (`muscate bench tile`): where a date is in its way, not a
promise of when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from processing.chain import steps

#: The stage whose steps are told of one by one.
CHAIN = "chain"
#: The steps in their order, with how much of a date's time each takes. [%] Images are decoded while they are reduced.
PARTS = {
    "read": 4,
    "backward": 1,
    "subsampling": 52,
    "water_vapour": 1,
    "gaseous_absorption": 1,
    "rayleigh": 1,
    "clouds": 2,
    "shadow_mask": 2,
    "aerosol_optical_thickness": 3,
    "scattering": 1,
    "composite": 1,
    "write": 30,
    "state": 1,
}

#: Told the name of a step that begins, and the share of the date that is done by then [0-1].
Listener = Callable[[str, float], None]
#: Told the name of a step that ended, and how long it took. [s]
Timed = Callable[[str, float], None]


class _Way:
    """How far the date of this thread is. It never goes back: a step may be made more than once."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.stage, self.share = "", -1.0

    def begin(self, step: str) -> None:
        done = share(step)
        if done is not None and done > self.share:
            self.share = done
            self.listener(step, done)


#: Told the packages that are looked at beside those of the date; none when that is over.
Looker = Callable[[Sequence[Path]], None]

_looker: ContextVar[Looker | None] = ContextVar("looker", default=None)
_way: ContextVar[_Way | None] = ContextVar("progress", default=None)


def share(step: str) -> float | None:
    """How much of a date is done when a step begins [0-1]; None for one that is not told of."""
    if step not in PARTS:
        return None
    names = list(PARTS)
    return sum(PARTS[name] for name in names[: names.index(step)]) / sum(PARTS.values())


def begin(stage: str) -> None:
    """Say that a stage of the date begins: reading, the chain, writing. Nobody need listen."""
    if (way := _way.get()) is not None:
        way.stage = stage
        way.begin(stage)


def look_at(packages: Sequence[Path]) -> None:
    """Say that packages of another date are looked at, or, with none of them, the date's own again."""
    if (looker := _looker.get()) is not None:
        looker(packages)


@contextmanager
def looked_at(looker: Looker) -> Iterator[None]:
    """What is done meanwhile in this thread tells `looker` of the other dates that it looks at."""
    token = _looker.set(looker)
    try:
        yield
    finally:
        _looker.reset(token)


@contextmanager
def told(listener: Listener, timed: Timed) -> Iterator[None]:
    """What is done meanwhile in this thread tells `listener` of each step as it begins, and `timed` of its end.

    Steps of the chain count only in its stage: a thinned look at a date, or at later ones, takes them too.
    """
    way = _Way(listener)

    def watch(step: str, seconds: float | None) -> None:
        if seconds is not None:
            timed(step, seconds)
        elif way.stage == CHAIN:
            way.begin(step)

    token = _way.set(way)
    try:
        with steps.watched(watch):
            yield
    finally:
        _way.reset(token)
