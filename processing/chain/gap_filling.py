"""Gaps of a coarse quantity, filled from around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def fill(values: NDArray[np.float32], gaps: NDArray[np.bool_], radius: tuple[int, int]) -> NDArray[np.float32]:
    """Triangular weights in windows that double until they hold enough; beyond the largest one the mean of all.

    Parameters
    ----------
    values : (row, col) float32
    gaps : (row, col) bool
        What is to be filled; not all of it, and every NaN in it.
    radius : (int, int)
        First and last half width of the window. [cells]

    Returns
    -------
    (row, col) float32
        Without NaN; as given outside the gaps.
    """
    first, last = radius
    known = (~gaps).astype(np.float64)
    given = np.where(gaps, 0.0, values).astype(np.float64)
    filled = np.where(gaps, np.nan, values)
    half = first
    while half <= last and np.isnan(filled).any():
        triangle = 1 - np.abs(np.arange(-half, half + 1)) / (half + 1)
        weight, total = _windowed(known, triangle), _windowed(given, triangle)
        enough = _windowed(known, np.ones(2 * half + 1)) > 2 * first + 1.5  # more than 2 first + 1, rounding aside
        filled = np.where(np.isnan(filled) & enough, total / np.where(enough, weight, 1), filled)
        half *= 2
    return np.where(np.isnan(filled), given.sum() / known.sum(), filled).astype(np.float32)


def _windowed(image: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    along = ndimage.correlate1d(image, weights, axis=0, mode="constant")
    return np.asarray(ndimage.correlate1d(along, weights, axis=1, mode="constant"))
