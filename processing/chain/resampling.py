"""From the coarse grid to the pixels of a product, by bilinear interpolation between the centres of cells.

Beyond the outermost centres the outermost values hold. Nothing here makes a full-resolution field of floats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.kernels import kernel, kernel_part

Field = NDArray[np.float32]


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


class Coarse(NamedTuple):
    """Fields of the coarse grid, and where the pixels of an image or of a strip of it lie among its cells.

    Attributes
    ----------
    values : (field, row, col) float32
    rows, cols : Axis
        Of the pixels' rows and columns.
    """

    values: NDArray[np.float32]
    rows: Axis
    cols: Axis


def coarse(values: NDArray[np.float32], shape: tuple[int, ...], factor: int, first_row: int = 0) -> Coarse:
    """Fields (field, row, col) under an image of that shape, or under a strip of it from `first_row`."""
    rows, cols = values.shape[1:]
    return Coarse(values, axis(shape[0], rows, factor, first_row), axis(shape[1], cols, factor))


@kernel_part
def _segment(cols: Axis, first: int, last: int) -> int:
    """Where the pixels end that lie between the same two cells as pixel `first`, at most at `last`."""
    before, end = cols.low[first], first + 1
    while end < last and cols.low[end] == before:
        end += 1
    return end


@kernel_part
def _line(
    above: np.float32, rise: np.float32, below: np.float32, fall: np.float32, weight: Field, start: Field, step: Field
) -> None:
    for n in range(weight.size):  # nothing but arithmetic: many pixels at a time
        value = above + rise * weight[n]
        start[n] = value
        step[n] = below + fall * weight[n] - value


@kernel_part
def lines(fields: Field, top: int, bottom: int, cols: Axis, start: Field, step: Field) -> None:
    """Coarse fields (field, row, col) at the pixels of a line: their values on row `top`, and the change to `bottom`.

    A pixel's value is then start + step * weight: for kernels that walk down the rows of an image.
    """
    col, width = 0, start.shape[1]
    while col < width:
        end = _segment(cols, col, width)
        left, right, weight = cols.low[col], cols.high[col], cols.weight[col:end]
        for k in range(fields.shape[0]):
            above, below = fields[k, top, left], fields[k, bottom, left]
            rise, fall = fields[k, top, right] - above, fields[k, bottom, right] - below
            _line(above, rise, below, fall, weight, start[k, col:end], step[k, col:end])
        col = end


@kernel_part
def _reaches(corners: int, right: np.float32, down: np.float32, threshold: np.float32) -> bool:
    """Whether a bit that holds at some of the corners (NW, NE, SW, SE: 1, 2, 4, 8) reaches the threshold in between."""
    north = (corners & 1) * (1 - right) + (corners >> 1 & 1) * right
    south = (corners >> 2 & 1) * (1 - right) + (corners >> 3 & 1) * right
    return bool(north + (south - north) * down >= threshold)


@kernel_part
def _reach(weight: Field, down: np.float32, threshold: np.float32, reached: NDArray[np.uint8]) -> None:
    """For each set of corners, the pixels between two columns of cells that it reaches: 255, or 0."""
    if reached.shape[1] <= weight.size:
        for corners in range(reached.shape[0]):
            for k in range(reached.shape[1]):
                reached[corners, k] = 255 * _reaches(corners, weight[k], down, threshold)


@kernel()
def _expand_bits(
    code: NDArray[np.uint8],
    rows: Axis,
    cols: Axis,
    threshold: np.float32,
    reached: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    width, factor = out.shape[1], reached.shape[1]
    inner = factor // 2  # first pixel between two columns of cells
    for row in range(out.shape[0]):
        top, bottom, down = code[rows.low[row]], code[rows.high[row]], rows.weight[row]
        line = out[row]
        _reach(cols.weight[inner:], down, threshold, reached)
        first = 0
        while first < width:
            before, after = cols.low[first], cols.high[first]
            last = first + factor
            between = first >= inner and last <= width and cols.low[last - 1] == before
            if not between:  # at the sides, where cells are wider
                last = _segment(cols, first, width)
            nw, ne, sw, se = top[before], top[after], bottom[before], bottom[after]
            same = nw & ne & sw & se  # set at all four corners: set in between
            mixed = (nw | ne | sw | se) ^ same
            target = line[first:last]
            target[:] = same
            for bit in range(8):
                if mixed >> bit & 1:
                    value = np.uint8(1 << bit)
                    corners = (nw >> bit & 1) | (ne >> bit & 1) << 1 | (sw >> bit & 1) << 2 | (se >> bit & 1) << 3
                    if between:
                        for k in range(target.size):  # without a branch: many pixels at a time
                            target[k] |= reached[corners, k] & value
                    else:
                        for k in range(target.size):
                            if _reaches(corners, cols.weight[first + k], down, threshold):
                                target[k] |= value
            first = last


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
    if factor == 1:
        return code[first_row : first_row + shape[0], : shape[1]].copy()
    out = np.empty(shape, np.uint8)
    rows, cols = axis(shape[0], code.shape[0], factor, first_row), axis(shape[1], code.shape[1], factor)
    reached = np.empty((16, factor), np.uint8)  # between any two columns of cells, for each set of corners
    _expand_bits(code, rows, cols, np.float32(threshold), reached, out)
    return out


@kernel_part
def _scaled(left: np.float32, change: np.float32, weight: Field, out: NDArray[np.uint8]) -> None:
    half, most, one = np.float32(0.5), np.float32(255), np.float32(1)
    for n in range(weight.size):
        value = left + change * weight[n] + half
        value = value if value < most else most
        out[n] = np.uint8(np.int32(value if value >= one else one))


@kernel()
def _expand_scaled(values: Field, rows: Axis, cols: Axis, line: Field, out: NDArray[np.uint8]) -> None:
    width = out.shape[1]
    for row in range(out.shape[0]):
        top, bottom, down = values[rows.low[row]], values[rows.high[row]], rows.weight[row]
        for j in range(line.size):
            line[j] = top[j] + (bottom[j] - top[j]) * down
        col = 0
        while col < width:
            end = _segment(cols, col, width)
            left = line[cols.low[col]]
            _scaled(left, line[cols.high[col]] - left, cols.weight[col:end], out[row, col:end])
            col = end


def expand_scaled(
    values: NDArray[np.float32], factor: int, quantification: float, out: NDArray[np.uint8], first_row: int = 0
) -> None:
    """Write a coarse quantity at full resolution into `out`, in counts of 1 / `quantification` bounded to 1..255.

    `values` has no NaN: gaps are filled before. `out` starts with row `first_row` of the image.
    """
    rows, cols = axis(out.shape[0], values.shape[0], factor, first_row), axis(out.shape[1], values.shape[1], factor)
    line = np.empty(values.shape[1], np.float32)
    _expand_scaled((values * quantification).astype(np.float32), rows, cols, line, out)
