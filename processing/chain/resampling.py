"""From the coarse grid to the pixels of a product, by bilinear interpolation between the centres of cells.

Beyond the outermost centres the outermost values hold. Nothing here makes a full-resolution field of floats.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Axis(NamedTuple):
    """Between which cells each pixel's centre lies along one axis: value = (1 - weight) low + weight high."""

    low: NDArray[np.int32]
    high: NDArray[np.int32]
    weight: NDArray[np.float32]


def axis(pixels: int, cells: int, factor: int, first: int = 0) -> Axis:
    """Positions of `pixels` pixels, the first one being pixel `first` of the image, on an axis of `cells` cells."""
    position = np.clip((first + np.arange(pixels) + 0.5) / factor - 0.5, 0, cells - 1)
    low = np.floor(position).astype(np.int32)
    return Axis(low, np.minimum(low + 1, cells - 1).astype(np.int32), (position - low).astype(np.float32))


@njit(nogil=True, cache=True)
def lines(fields: Any, top: int, bottom: int, cols: Any, start: Any, step: Any) -> None:
    """Coarse fields (field, row, col) at the pixels of a line: their values on row `top`, and the change to `bottom`.

    A pixel's value is then start + step * weight: for kernels that walk down the rows of an image.
    """
    for k in range(fields.shape[0]):
        above, below = fields[k, top], fields[k, bottom]
        for col in range(start.shape[1]):
            left, right, weight = cols.low[col], cols.high[col], cols.weight[col]
            value = above[left] + (above[right] - above[left]) * weight
            start[k, col] = value
            step[k, col] = below[left] + (below[right] - below[left]) * weight - value


@njit(nogil=True, cache=True)
def _expand_bits(code: Any, rows: Any, cols: Any, threshold: Any, out: Any) -> None:
    for row in range(out.shape[0]):
        top, bottom, down = code[rows.low[row]], code[rows.high[row]], rows.weight[row]
        line = out[row]
        before = -1
        nw = ne = sw = se = np.int64(0)  # bits of the four cells around
        for col in range(out.shape[1]):
            if cols.low[col] != before:
                before = cols.low[col]
                after = cols.high[col]
                nw, ne = np.int64(top[before]), np.int64(top[after])
                sw, se = np.int64(bottom[before]), np.int64(bottom[after])
            same = nw & ne & sw & se  # set at all four corners: set in between
            mixed = (nw | ne | sw | se) ^ same
            value = same
            if mixed:
                right = cols.weight[col]
                for bit in range(8):
                    if mixed >> bit & 1:
                        north = (nw >> bit & 1) * (1 - right) + (ne >> bit & 1) * right
                        south = (sw >> bit & 1) * (1 - right) + (se >> bit & 1) * right
                        if north + (south - north) * down >= threshold:
                            value |= 1 << bit
            line[col] = np.uint8(value)


def expand_bits(
    code: NDArray[np.uint8], shape: tuple[int, int], factor: int, threshold: float, first_row: int = 0
) -> NDArray[np.uint8]:
    """Coarse mask bits at full resolution: each bit set where its interpolated value reaches `threshold`.

    Parameters
    ----------
    code : (row, col) uint8
        Up to eight masks on the coarse grid, one a bit.
    shape : (rows, columns) of the result
    factor : int
        Pixels along the side of a cell.
    threshold : float
        Above 0, at most 1.
    first_row : int
        Row of the image that the result starts with.
    """
    out = np.empty(shape, np.uint8)
    rows, cols = axis(shape[0], code.shape[0], factor, first_row), axis(shape[1], code.shape[1], factor)
    _expand_bits(code, rows, cols, np.float32(threshold), out)
    return out


@njit(nogil=True, cache=True)
def _expand_scaled(values: Any, rows: Any, cols: Any, out: Any) -> None:
    line = np.empty(values.shape[1], np.float32)
    for row in range(out.shape[0]):
        top, bottom, down = values[rows.low[row]], values[rows.high[row]], rows.weight[row]
        for j in range(line.size):
            line[j] = top[j] + (bottom[j] - top[j]) * down
        for col in range(out.shape[1]):
            left = line[cols.low[col]]
            value = left + (line[cols.high[col]] - left) * cols.weight[col] + np.float32(0.5)
            value = value if value < np.float32(255) else np.float32(255)
            out[row, col] = np.uint8(value) if value >= np.float32(1) else np.uint8(1)


def expand_scaled(
    values: NDArray[np.float32], factor: int, quantification: float, out: NDArray[np.uint8], first_row: int = 0
) -> None:
    """Write a coarse quantity at full resolution into `out`, in counts of 1 / `quantification` bounded to 1..255.

    `values` has no NaN: gaps are filled before. `out` starts with row `first_row` of the image.
    """
    rows, cols = axis(out.shape[0], values.shape[0], factor, first_row), axis(out.shape[1], values.shape[1], factor)
    _expand_scaled((values * quantification).astype(np.float32), rows, cols, out)
