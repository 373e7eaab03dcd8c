"""Work that is the same for each band, by the threads of who calls: the chain itself starts none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Spread(Protocol):
    """As `map`, or `ThreadPoolExecutor.map`: the results in the order of the bands."""

    def __call__(self, work: Callable[[str], T], bands: Iterable[str], /) -> Iterable[T]:
        """Do the work for each band."""


def for_each(spread: Spread, bands: Iterable[str], work: Callable[[str], T]) -> dict[str, T]:
    """What the work gives for each band."""
    bands = list(bands)
    return dict(zip(bands, spread(work, bands), strict=True))
