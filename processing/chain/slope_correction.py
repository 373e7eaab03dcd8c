"""Slopes taken away: the reflectance that the ground would have, were it flat.

A slope is lit by the sun at another angle than flat ground, sees less of the sky and some of the ground around it, and
its reflectance depends on both angles, which the ratio of their cosines corrects.

    rho_flat = rho (cos i + cos e) / (cos ts + cos tv) / [ d cos i / cos ts + (1 - d) sky + rho_env (1 - sky) ]

with i and e the angles of the sun and of the satellite to the slope's normal, ts and tv those to the vertical, d the
direct share of the light that comes down, and sky = (1 + cos slope) / 2 (Kondratiev).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.chain.adjacency import Environment
from processing.chain.resampling import Axis, axis, lines
from processing.kernels import kernel, kernel_part
from processing.masks import Geophysical
from processing.scene import NO_DATA_COUNTS, TERRAIN_RESOLUTION
from processing.versions import Parameters

Field = NDArray[np.float32]

#: Pixels of a row that are looked at together for whether the sun may graze one of them, and what rounding may change.
_STRETCH, _ROUNDING = 128, np.float32(1e-5)
_LOW, _TANGENT = np.uint8(Geophysical.SUN_TOO_LOW), np.uint8(Geophysical.TANGENT_SUN)


@kernel_part
def _differences(right: Any, left: Any, along: Any, above: Any, below: Any, across: Any, east: Any, north: Any) -> None:
    """Of slices, here and below: where an index might count from the end, pixels are not done many at a time."""
    for k in range(east.size):
        east[k] = (right[k] - left[k]) * along
        north[k] = (above[k] - below[k]) * across


@kernel_part
def _rises(altitude: Any, row: Any, per_metre: Any, east: Any, north: Any) -> None:
    """Gradient along one row of altitudes: central differences, one-sided at the border."""
    bottom, last = altitude.shape[0] - 1, altitude.shape[1] - 1
    before, after = row - (row > 0), row + (row < bottom)
    above, line, below = altitude[before], altitude[row], altitude[after]
    across = per_metre / np.float32(after - before if bottom else 1)
    inner, next_ = slice(1, last), 1 if last else 0
    _differences(
        line[2:], line[: last - next_], per_metre / np.float32(2), above[inner], below[inner], across,
        east[inner], north[inner],
    )  # fmt: skip
    east[0], north[0] = (line[next_] - line[0]) * per_metre, (above[0] - below[0]) * across
    east[last], north[last] = (line[last] - line[last - next_]) * per_metre, (above[last] - below[last]) * across


@kernel_part
def _between(altitude: Any, low: Any, high: Any, known: Any, per_metre: Any, gradient: Any) -> None:
    """Gradient (row, east or north, col) along two rows of altitudes; the second one held that of row `known`."""
    for k in range(gradient.shape[0]):
        row, target = high if k else low, gradient[k]
        if k == 0 and low == known:
            for j in range(target.shape[0]):
                held, now = gradient[1, j], target[j]
                for col in range(now.size):
                    now[col] = held[col]
        else:
            _rises(altitude, row, per_metre, target[0], target[1])


@kernel_part
def _slopes(gradient: Any, cols: Any, first: int, last: int, start: Any, step: Any) -> None:
    """Gradient (east, north) at the pixels from `first` to `last` of a row of altitudes, and the change to the next."""
    for k in range(start.shape[0]):
        _slope(gradient[0, k], gradient[1, k], cols, first, last, start[k], step[k])


@kernel_part
def _slope(above: Any, below: Any, cols: Any, first: int, last: int, start: Any, step: Any) -> None:
    """A look-up for each pixel costs more than all that is made of it: one or two pixels a cell are done by cells."""
    low, high, weight = cols.low, cols.high, cols.weight
    col = first
    while col < last:
        left = low[col]
        if weight[col] == 0 and low[last - 1] - left == last - 1 - col:
            _each(above[left:], below[left:], start[col:last], step[col:last])
            col = last
        elif (
            col + 1 < last
            and low[col + 1] == left
            and low[col + 2 if col + 2 < last else last - 1] == high[col] == left + 1
        ):
            pairs = min((last - col) // 2, above.size - 1 - left)
            here = slice(col, col + 2 * pairs)
            _pairs(above[left:], below[left:], weight[col], weight[col + 1], start[here], step[here])
            col += 2 * pairs
        else:
            right, part = high[col], weight[col]
            top = above[left] + (above[right] - above[left]) * part
            start[col] = top
            step[col] = below[left] + (below[right] - below[left]) * part - top
            col += 1


@kernel_part
def _each(above: Any, below: Any, start: Any, step: Any) -> None:
    for j in range(start.size):
        start[j] = above[j]
        step[j] = below[j] - above[j]


@kernel_part
def _pairs(above: Any, below: Any, w0: Any, w1: Any, start: Any, step: Any) -> None:
    above_next, below_next = above[1:], below[1:]
    for j in range(start.size // 2):
        top, bottom = above[j], below[j]
        over, under = above_next[j] - top, below_next[j] - bottom
        top0, top1 = top + over * w0, top + over * w1
        start[2 * j], start[2 * j + 1] = top0, top1
        step[2 * j], step[2 * j + 1] = bottom + under * w0 - top0, bottom + under * w1 - top1


@kernel()
def _flatten(
    counts: Any, fields: Any, rows: Any, cols: Any, altitude: Any, ground_rows: Any, ground_cols: Any, per_metre: Any,
    floors: Any, quantification: Any, no_data: Any, unobserved: Any, line: Any, gradient: Any, out: Any,
) -> None:  # fmt: skip
    width = counts.shape[1]
    start, step, slope, change = line[:10], line[10:20], line[20:22], line[22:]
    lowest, highest = no_data + np.float32(1), np.float32(32767)
    half, one = np.float32(0.5), np.float32(1)
    least_i, least_e = floors
    top, bottom, ground, known = -1, -1, -1, -1
    for row in range(counts.shape[0]):
        if rows.low[row] != top or rows.high[row] != bottom:
            top, bottom = rows.low[row], rows.high[row]
            lines(fields, top, bottom, cols, start, step)
        if ground_rows.low[row] != ground:
            ground = ground_rows.low[row]
            _between(altitude, ground, ground_rows.high[row], known, per_metre, gradient)
            known = ground_rows.high[row]
            _slopes(gradient, ground_cols, 0, width, slope, change)
        down, ground_down = rows.weight[row], ground_rows.weight[row]
        source, target = counts[row], out[row]
        for col in range(width):
            p = slope[0, col] + change[0, col] * ground_down
            q = slope[1, col] + change[1, col] * ground_down
            count = source[col]
            sre = np.float32(count) * (start[0, col] + step[0, col] * down) + (start[1, col] + step[1, col] * down)
            direct, around = start[2, col] + step[2, col] * down, start[3, col] + step[3, col] * down
            sun, view = start[4, col] + step[4, col] * down, start[7, col] + step[7, col] * down
            flat = one / np.sqrt(one + p * p + q * q)  # cosine of the slope
            i = sun - p * (start[5, col] + step[5, col] * down) - q * (start[6, col] + step[6, col] * down)
            e = view - p * (start[8, col] + step[8, col] * down) - q * (start[9, col] + step[9, col] * down)
            i, e = i * flat, e * flat
            i = i if i > least_i else least_i
            e = e if e > least_e else least_e
            sky = half + half * flat
            lit = direct * i + sun * ((one - direct) * sky + around * (one - sky))
            rho = sre * (i + e) * sun / ((sun + view) * lit) * quantification
            value = rho if rho > lowest else lowest
            value = value if value < highest else highest
            value = value + half if value >= 0 else value - half
            value = value if rho == rho and count != unobserved else no_data
            target[col] = np.int16(np.int32(value))


@kernel_part
def _extremes(sun: Any, step: Any, out: Any) -> None:
    """Of each stretch between two rows of cells: least and greatest cosine of the sun, greatest square of its sine.

    Between the rows all is straight lines: squares of lengths are greatest at an end.
    """
    out[0], out[1], out[2] = np.float32(1), np.float32(0), np.float32(0)
    for end in range(2):
        down = np.float32(end)
        for col in range(sun.shape[1]):
            up = sun[0, col] + step[0, col] * down
            x, y = sun[1, col] + step[1, col] * down, sun[2, col] + step[2, col] * down
            at = col // _STRETCH
            out[0, at], out[1, at] = min(out[0, at], up), max(out[1, at], up)
            out[2, at] = max(out[2, at], x * x + y * y)


@kernel_part
def _well_lit(extremes: Any, k: int, gradient: Any, low: int, high: int, least_i: Any, least_ratio: Any) -> bool:
    """Whether the sun grazes no slope of stretch `k`, whose gradients are those of the columns from `low` to `high`."""
    steep2 = np.float32(0)
    for row in range(gradient.shape[0]):
        along, up = gradient[row, 0], gradient[row, 1]
        for col in range(low, high):
            steep2 = max(steep2, along[col] * along[col] + up[col] * up[col])
    i = (extremes[0, k] - np.sqrt(steep2 * extremes[2, k])) / np.sqrt(np.float32(1) + steep2)
    return bool(i > max(least_i, least_ratio * extremes[1, k]) + _ROUNDING)


@kernel()
def _shade(
    sun: Any, rows: Any, cols: Any, altitude: Any, ground_rows: Any, ground_cols: Any, per_metre: Any,
    least_i: Any, least_ratio: Any, line: Any, gradient: Any, extremes: Any, safe: Any, out: Any,
) -> None:  # fmt: skip
    width, stretches = out.shape[1], safe.size
    start, step, slope, change = line[:3], line[3:6], line[6:8], line[8:]
    one, none = np.float32(1), np.uint8(0)
    top, bottom, ground, known = -1, -1, -1, -1
    for row in range(out.shape[0]):
        anew = False
        if rows.low[row] != top or rows.high[row] != bottom:
            top, bottom, anew = rows.low[row], rows.high[row], True
            lines(sun, top, bottom, cols, start, step)
            _extremes(start, step, extremes)
        if ground_rows.low[row] != ground:
            ground, anew = ground_rows.low[row], True
            _between(altitude, ground, ground_rows.high[row], known, per_metre, gradient)
            known = ground_rows.high[row]
        if anew:
            for k in range(stretches):
                first, last = k * _STRETCH, min((k + 1) * _STRETCH, width)
                low, high = ground_cols.low[first], ground_cols.high[last - 1] + 1
                safe[k] = _well_lit(extremes, k, gradient, low, high, least_i, least_ratio)
                if not safe[k]:
                    _slopes(gradient, ground_cols, first, last, slope, change)
        down, ground_down = rows.weight[row], ground_rows.weight[row]
        target = out[row]
        for k in range(stretches):
            first, last = k * _STRETCH, min((k + 1) * _STRETCH, width)
            if safe[k]:
                target[first:last] = none
                continue
            for col in range(first, last):
                p = slope[0, col] + change[0, col] * ground_down
                q = slope[1, col] + change[1, col] * ground_down
                up = start[0, col] + step[0, col] * down
                i = up - p * (start[1, col] + step[1, col] * down) - q * (start[2, col] + step[2, col] * down)
                i = i / np.sqrt(one + p * p + q * q)
                low = _LOW if i < least_i else none
                target[col] = low | (_TANGENT if i < least_ratio * up else none)


def _axes(pixels: tuple[int, ...], cells: tuple[int, ...], factor: int, first_row: int) -> tuple[Axis, Axis]:
    return axis(pixels[0], cells[0], factor, first_row), axis(pixels[1], cells[1], factor)


def _work(lines: int, width: int, terrain: Field) -> tuple[Field, Field]:
    """Room for lines of pixels, and for the gradient along two rows of altitudes."""
    return np.empty((lines, width), np.float32), np.empty((2, 2, terrain.shape[1]), np.float32)


def low_sun(
    shape: tuple[int, int], sun: Field, terrain: Field, factor: int, parameters: Parameters, first_row: int = 0
) -> NDArray[np.uint8]:
    """Where the sun grazes the slope.

    Parameters
    ----------
    shape : (rows, columns) of the result
        The whole image, or a strip of its rows from `first_row`.
    sun, terrain, factor
        As of `flat_reflectance`.

    Returns
    -------
    (row, col) uint8
        Bits of `masks.Geophysical`: SUN_TOO_LOW where cos i is below the version's `slope_min_cos_incidence` and
        the correction was made with that, TANGENT_SUN where its ratio to that of flat ground is below
        `slope_min_ratio`. (MAJA tests the ratio of the bounded cosine: with its numbers that bit is never set.)
    """
    out = np.empty(shape, np.uint8)
    _shade(
        sun,
        *_axes(shape, sun.shape[1:], factor, first_row),
        terrain,
        *_axes(shape, terrain.shape, TERRAIN_RESOLUTION * factor // parameters.coarse_resolution, first_row),
        np.float32(1 / TERRAIN_RESOLUTION),
        np.float32(parameters.slope_min_cos_incidence),
        np.float32(parameters.slope_min_ratio),
        *_work(10, shape[1], terrain),
        np.empty((3, -(-shape[1] // _STRETCH)), np.float32),
        np.empty(-(-shape[1] // _STRETCH), np.bool_),
        out,
    )
    return out


def flat_reflectance(
    counts: NDArray[np.uint16],
    line: Field,
    around: Environment,
    sun: Field,
    view: Field,
    terrain: Field,
    factor: int,
    parameters: Parameters,
    first_row: int = 0,
) -> NDArray[np.int16]:
    """Full-resolution counts to the reflectance of flat ground in one pass.

    Parameters
    ----------
    counts : (row, col) uint16
        The whole image of a band, or a strip of its rows.
    line : (2, row, col) float32
        Of the band and its counts, on the coarse grid: `adjacency.Line.of_counts`.
    around : Environment
        Of the band.
    sun, view : (3, row, col) float32
        `geometry.direction` on the coarse grid.
    terrain : (row, col) float32
        Altitude of the whole tile every `TERRAIN_RESOLUTION`. [m]
    factor : int
        Pixels of the band along the side of a coarse cell.
    first_row : int
        Row of the image that the strip starts with.

    Returns
    -------
    (row, col) int16
        Scaled, and no data, as `adjacency.surface_reflectance`.
    """
    fields = np.concatenate([line, [around.direct_down, around.reflectance], sun, view]).astype(np.float32)
    out = np.empty(counts.shape, np.int16)
    _flatten(
        counts,
        fields,
        *_axes(counts.shape, fields.shape[1:], factor, first_row),
        terrain,
        *_axes(counts.shape, terrain.shape, TERRAIN_RESOLUTION * factor // parameters.coarse_resolution, first_row),
        np.float32(1 / TERRAIN_RESOLUTION),
        (np.float32(parameters.slope_min_cos_incidence), np.float32(parameters.slope_min_cos_view)),
        np.float32(parameters.reflectance_quantification),
        np.float32(parameters.no_data),
        np.uint16(NO_DATA_COUNTS),
        *_work(24, counts.shape[1], terrain),
        out,
    )
    return out
