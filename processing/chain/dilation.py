"""Buffers around masks, and sums of what lies around cells.

Clouds have fuzzy edges, light their surroundings, and lie at different places in different bands (up to 200 m
between B2 and B8A for high clouds): a mask reaches beyond what was detected.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def dilate(mask: NDArray[np.bool_], radius: float, resolution: float = 1.0) -> NDArray[np.bool_]:
    """Mask of all cells whose centre is within `radius` of the centre of a masked one.

    Parameters
    ----------
    mask : (row, col) bool
    radius : float
        [m], or in cells with `resolution` 1.
    resolution : float
        Size of a cell. [m]
    """
    reach = int(radius / resolution + 1e-6)
    offsets = np.arange(-reach, reach + 1)
    disc = np.hypot(*np.meshgrid(offsets, offsets)) * resolution <= radius * (1 + 1e-6)
    grown = cv2.dilate(np.ascontiguousarray(mask).view(np.uint8), disc.astype(np.uint8))
    return grown.view(np.bool_)


def sums_around(values: NDArray[Any], reach: int) -> NDArray[np.float32]:
    """Sum of the values within so many cells of each, in rows and in columns, (row, col) float32; none lie outside."""
    side = 2 * reach + 1
    summed = cv2.boxFilter(values.astype(np.float32), -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(summed, np.float32)


def finer(mask: NDArray[Any], times: int) -> NDArray[Any]:
    """A mask in cells of which `times` times `times` make one of its own."""
    return mask if times == 1 else np.repeat(np.repeat(mask, times, axis=0), times, axis=1)


def times(fine: NDArray[Any], coarse: NDArray[Any]) -> int:
    """How many cells of a grid lie along the side of one of the coarse grid."""
    return len(fine) // len(coarse)
