"""Two classes, two maps: who agrees with whom, and what is made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Confusion:
    """Pixels by what the judged mask and the reference say of them. Adds up over images: `a + b`.

    Attributes
    ----------
    hits : int
        Both say yes.
    false_alarms : int
        Only the mask says yes.
    misses : int
        Only the reference says yes.
    rejections : int
        Both say no.
    """

    hits: int = 0
    false_alarms: int = 0
    misses: int = 0
    rejections: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.hits + other.hits,
            self.false_alarms + other.false_alarms,
            self.misses + other.misses,
            self.rejections + other.rejections,
        )

    @property
    def pixels(self) -> int:
        """Pixels that were compared."""
        return self.hits + self.false_alarms + self.misses + self.rejections

    @property
    def overall_accuracy(self) -> float | None:
        """Share of pixels on which both agree; None without pixels, as with all figures that have no denominator."""
        return _ratio(self.hits + self.rejections, self.pixels)

    @property
    def omission(self) -> float | None:
        """Share of the reference's pixels that were missed."""
        return _ratio(self.misses, self.hits + self.misses)

    @property
    def commission(self) -> float | None:
        """Share of the mask's pixels that are false."""
        return _ratio(self.false_alarms, self.hits + self.false_alarms)

    @property
    def precision(self) -> float | None:
        """Share of the mask's pixels that are right."""
        return _ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float | None:
        """Share of the reference's pixels that were found."""
        return _ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    @property
    def false_alarm_rate(self) -> float | None:
        """Share of the reference's clear pixels that the mask takes away."""
        return _ratio(self.false_alarms, self.false_alarms + self.rejections)

    def metrics(self) -> dict[str, float | int | None]:
        """All of it by name: shares [-] and counts of pixels."""
        names = ("overall_accuracy", "omission", "commission", "precision", "recall", "f1", "false_alarm_rate")
        counts = ("pixels", "hits", "false_alarms", "misses", "rejections")
        return {name: getattr(self, name) for name in (*names, *counts)}


def confusion(mask: NDArray[np.bool_], reference: NDArray[np.bool_], among: NDArray[np.bool_]) -> Confusion:
    """Count the pixels `among` which both maps are compared; three (row, col) bool arrays of one shape."""
    if not mask.shape == reference.shape == among.shape:
        raise ValueError(f"shapes differ: {mask.shape}, {reference.shape}, {among.shape}")
    both, judged, known, all_ = (
        int(np.count_nonzero(a)) for a in (mask & reference & among, mask & among, reference & among, among)
    )
    return Confusion(both, judged - both, known - both, all_ - judged - known + both)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
