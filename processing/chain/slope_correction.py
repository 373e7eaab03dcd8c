"""Slopes taken away: the reflectance that the ground would have, were it flat.

A slope is lit by the sun at another angle than flat ground, sees less of the sky and some of the ground around it, and
its reflectance depends on both angles, which the ratio of their cosines corrects.

    rho_flat = rho [ k (cos i + cos e) / (cos ts + cos tv) + 1 - k ]
                   / [ d cos i / cos ts + (1 - d) sky + rho_env (1 - sky) ]

with i and e the angles of the sun and of the satellite to the slope's normal, ts and tv those to the vertical, d the
direct share of the light that comes down, and sky = (1 + cos slope) / 2 (Kondratiev). The share k is 1, or sought in
the image: as in Minnaert's and the C correction, what is right for a ground shows in it (`share`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.chain.adjacency import Coding, Environment
from processing.chain.resampling import Axis, Coarse, axis, coarse, lines
from processing.kernels import kernel, kernel_part
from processing.masks import Geophysical
from processing.scene import TERRAIN_RESOLUTION
from processing.versions import Parameters

Field = NDArray[np.float32]

#: Pixels of a row that are looked at together for whether the sun may graze one of them, and what rounding may change.
_STRETCH, _ROUNDING = 128, np.float32(1e-5)
#: Slopes from which the share of the cosines is sought [rad], and the cells of a cover that it takes.
_STEEP, _ENOUGH = np.radians(5.0), 200
_LOW, _TANGENT = np.uint8(Geophysical.SUN_TOO_LOW), np.uint8(Geophysical.TANGENT_SUN)


class Ground(NamedTuple):
    """The terrain, and where the pixels of an image lie on it.

    Attributes
    ----------
    altitude : (row, col) float32
        [m]
    rows, cols : Axis
        Of the pixels' rows and columns among the altitudes.
    per_metre : float32
        1 / distance from one altitude to the next. [m-1]
    """

    altitude: Field
    rows: Axis
    cols: Axis
    per_metre: np.float32


class Room(NamedTuple):
    """What a row of pixels is made in.

    Attributes
    ----------
    line : (n, col) float32
        At the pixels: the values of each coarse field and their changes to the next cells, then the same of the
        gradient to the east and to the north.
    gradient : (2, 2, col) float32
        Along two rows of altitudes, to the east and to the north. [-]
    """

    line: Field
    gradient: Field


class Stretches(NamedTuple):
    """What is known of each stretch of pixels between two rows of cells.

    Attributes
    ----------
    extremes : (3, stretch) float32
        As of `_extremes`. [-]
    safe : (stretch,) bool
        Whether the sun grazes no slope.
    """

    extremes: Field
    safe: NDArray[np.bool_]


@kernel_part
def _difference(after: Field, before: Field, scale: np.float32, out: Field) -> None:
    """Of slices, here and below: where an index might count from the end, pixels are not done many at a time."""
    for k in range(out.size):
        out[k] = (after[k] - before[k]) * scale


@kernel_part
def _rises(altitude: Field, row: int, per_metre: np.float32, east: Field, north: Field) -> None:
    """Gradient along one row of altitudes: central differences, one-sided at the border."""
    bottom, last = altitude.shape[0] - 1, altitude.shape[1] - 1
    before, after = row - (row > 0), row + (row < bottom)
    line = altitude[row]
    next_ = 1 if last else 0
    _difference(line[2:], line[: last - next_], per_metre / np.float32(2), east[1:last])
    _difference(altitude[before], altitude[after], per_metre / np.float32(after - before if bottom else 1), north)
    east[0] = (line[next_] - line[0]) * per_metre
    east[last] = (line[last] - line[last - next_]) * per_metre


@kernel_part
def _between(altitude: Field, low: int, high: int, known: int, per_metre: np.float32, gradient: Field) -> None:
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
def _slopes(gradient: Field, cols: Axis, first: int, last: int, start: Field, step: Field) -> None:
    """Gradient (east, north) at the pixels from `first` to `last` of a row of altitudes, and the change to the next."""
    for k in range(start.shape[0]):
        _slope(gradient[0, k], gradient[1, k], cols, first, last, start[k], step[k])


@kernel_part
def _slope(above: Field, below: Field, cols: Axis, first: int, last: int, start: Field, step: Field) -> None:
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
def _each(above: Field, below: Field, start: Field, step: Field) -> None:
    for j in range(start.size):
        start[j] = above[j]
        step[j] = below[j] - above[j]


@kernel_part
def _pairs(above: Field, below: Field, w0: np.float32, w1: np.float32, start: Field, step: Field) -> None:
    above_next, below_next = above[1:], below[1:]
    for j in range(start.size // 2):
        top, bottom = above[j], below[j]
        over, under = above_next[j] - top, below_next[j] - bottom
        top0, top1 = top + over * w0, top + over * w1
        start[2 * j], start[2 * j + 1] = top0, top1
        step[2 * j], step[2 * j + 1] = bottom + under * w0 - top0, bottom + under * w1 - top1


@kernel()
def _flatten(
    counts: NDArray[np.uint16],
    fields: Coarse,
    ground: Ground,
    floors: tuple[np.float32, np.float32, np.float32],
    coding: Coding,
    room: Room,
    out: NDArray[np.int16],
) -> None:
    values, rows, cols = fields
    altitude, ground_rows, ground_cols, per_metre = ground
    quantification, no_data, unobserved = coding
    line, gradient = room
    width = counts.shape[1]
    start, step, slope, change = line[:10], line[10:20], line[20:22], line[22:]
    lowest, highest = no_data + np.float32(1), np.float32(32767)
    half, one = np.float32(0.5), np.float32(1)
    least_i, least_e, share = floors
    rest = one - share
    top, bottom, upper, known = -1, -1, -1, -1
    for row in range(counts.shape[0]):
        if rows.low[row] != top or rows.high[row] != bottom:
            top, bottom = rows.low[row], rows.high[row]
            lines(values, top, bottom, cols, start, step)
        if ground_rows.low[row] != upper:
            upper = ground_rows.low[row]
            _between(altitude, upper, ground_rows.high[row], known, per_metre, gradient)
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
            cosines = share * (i + e) + rest * (sun + view)
            rho = sre * cosines * sun / ((sun + view) * lit) * quantification
            value = rho if rho > lowest else lowest
            value = value if value < highest else highest
            value = value + half if value >= 0 else value - half
            value = value if rho == rho and count != unobserved else no_data
            target[col] = np.int16(np.int32(value))


@kernel_part
def _extremes(sun: Field, step: Field, out: Field) -> None:
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
def _well_lit(
    extremes: Field, k: int, gradient: Field, low: int, high: int, least: tuple[np.float32, np.float32]
) -> bool:
    """Whether the sun grazes no slope of stretch `k`, whose gradients are those of the columns from `low` to `high`."""
    least_i, least_ratio = least
    steep2 = np.float32(0)
    for row in range(gradient.shape[0]):
        along, up = gradient[row, 0], gradient[row, 1]
        for col in range(low, high):
            steep2 = max(steep2, along[col] * along[col] + up[col] * up[col])
    i = (extremes[0, k] - np.sqrt(steep2 * extremes[2, k])) / np.sqrt(np.float32(1) + steep2)
    return bool(i > max(least_i, least_ratio * extremes[1, k]) + _ROUNDING)


@kernel()
def _shade(
    sun: Coarse,
    ground: Ground,
    least: tuple[np.float32, np.float32],
    room: Room,
    stretch: Stretches,
    out: NDArray[np.uint8],
) -> None:
    values, rows, cols = sun
    altitude, ground_rows, ground_cols, per_metre = ground
    least_i, least_ratio = least
    line, gradient = room
    extremes, safe = stretch
    width, stretches = out.shape[1], safe.size
    start, step, slope, change = line[:3], line[3:6], line[6:8], line[8:]
    one, none = np.float32(1), np.uint8(0)
    top, bottom, upper, known = -1, -1, -1, -1
    for row in range(out.shape[0]):
        anew = False
        if rows.low[row] != top or rows.high[row] != bottom:
            top, bottom, anew = rows.low[row], rows.high[row], True
            lines(values, top, bottom, cols, start, step)
            _extremes(start, step, extremes)
        if ground_rows.low[row] != upper:
            upper, anew = ground_rows.low[row], True
            _between(altitude, upper, ground_rows.high[row], known, per_metre, gradient)
            known = ground_rows.high[row]
        if anew:
            for k in range(stretches):
                first, last = k * _STRETCH, min((k + 1) * _STRETCH, width)
                low, high = ground_cols.low[first], ground_cols.high[last - 1] + 1
                safe[k] = _well_lit(extremes, k, gradient, low, high, least)
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


def _ground(terrain: Field, shape: tuple[int, ...], factor: int, parameters: Parameters, first_row: int) -> Ground:
    """The terrain under an image of that shape, or under a strip of it."""
    pixels = TERRAIN_RESOLUTION * factor // parameters.coarse_resolution
    rows, cols = terrain.shape
    return Ground(
        terrain,
        axis(shape[0], rows, pixels, first_row),
        axis(shape[1], cols, pixels),
        np.float32(1 / TERRAIN_RESOLUTION),
    )


def _room(fields: int, width: int, terrain: Field) -> Room:
    """Room for so many coarse fields and the gradient, at a row of pixels."""
    return Room(np.empty((2 * fields + 4, width), np.float32), np.empty((2, 2, terrain.shape[1]), np.float32))


class Slopes(NamedTuple):
    """The ground of a tile, and where the light on it comes from and goes to.

    Attributes
    ----------
    terrain : (row, col) float32
        Altitude of the whole tile every `TERRAIN_RESOLUTION`. [m]
    sun, view : (3, row, col) float32
        `geometry.direction` on the coarse grid; the view is that of a band.
    share : float
        Of the ratio of the cosines: as of `share`. [-]
    """

    terrain: Field
    sun: Field
    view: Field
    share: float = 1.0


def low_sun(
    shape: tuple[int, int], sun: Field, terrain: Field, factor: int, parameters: Parameters, first_row: int = 0
) -> NDArray[np.uint8]:
    """Where the sun grazes the slope.

    Parameters
    ----------
    shape : (rows, columns) of the result
        The whole image, or a strip of its rows from `first_row`.
    sun, terrain
        As of `Slopes`.
    factor : int
        Pixels along the side of a coarse cell.

    Returns
    -------
    (row, col) uint8
        Bits of `masks.Geophysical`: SUN_TOO_LOW where cos i is below the version's `slope_min_cos_incidence` and
        the correction was made with that, TANGENT_SUN where its ratio to that of flat ground is below
        `slope_min_ratio`. (MAJA tests the ratio of the bounded cosine: with its numbers that bit is never set.)
    """
    out = np.empty(shape, np.uint8)
    stretches = -(-shape[1] // _STRETCH)
    _shade(
        coarse(sun, shape, factor, first_row),
        _ground(terrain, shape, factor, parameters, first_row),
        (np.float32(parameters.slope_min_cos_incidence), np.float32(parameters.slope_min_ratio)),
        _room(3, shape[1], terrain),
        Stretches(np.empty((3, stretches), np.float32), np.empty(stretches, np.bool_)),
        out,
    )
    return out


def share(
    surface: Field,
    around: Environment,
    slopes: tuple[Field, Field, Field],
    covers: Sequence[NDArray[np.bool_]],
    parameters: Parameters,
) -> float:
    """The share k of the ratio of cosines with which no ground is brighter, for its slope, than others of its kind.

    With A the reflectance under k = 0, and A q that under k = 1, it is the k that leaves no covariance of
    A (1 + k (q - 1)) with cos i among the cells of a cover; the covers count by their cells.

    Parameters
    ----------
    surface : (row, col) float32
        Of a band, slopes left as they are. [-]
    around : Environment
        Of the band.
    slopes : (altitude, sun, view)
        Altitude of the cells (row, col) [m]; directions (3, row, col) to the sun and to the satellite.
    covers : sequence of (row, col) bool
        Cells of one kind of ground each, clear and lit by the sun.

    Returns
    -------
    float
        Within the version's `slope_shares`; 1 where it has none or too few slopes are seen. [-]
    """
    if not parameters.slope_shares:
        return 1.0
    altitude, sun, view = slopes
    south, east = np.gradient(altitude, parameters.coarse_resolution)
    flat = 1 / np.sqrt(1 + south**2 + east**2)
    i = np.maximum((sun[0] - east * sun[1] + south * sun[2]) * flat, parameters.slope_min_cos_incidence)
    e = np.maximum((view[0] - east * view[1] + south * view[2]) * flat, parameters.slope_min_cos_view)
    sky = (1 + flat) / 2
    mean, direct, _ = around
    lambertian = surface * sun[0] / (direct * i + sun[0] * ((1 - direct) * sky + mean * (1 - sky)))
    change = lambertian * ((i + e) / (sun[0] + view[0]) - 1)
    steep = (flat < np.cos(_STEEP)) & np.isfinite(lambertian)
    with_it = against = 0.0
    for cover in covers:
        chosen = cover & steep
        if np.count_nonzero(chosen) >= _ENOUGH:
            a, b, light = (field[chosen].astype(np.float64) for field in (lambertian, change, i))
            scale = len(light) / a.mean() ** 2
            with_it += scale * float(np.cov(a, light)[0, 1])
            against += scale * float(np.cov(b, light)[0, 1])
    low, high = parameters.slope_shares
    return float(np.clip(-with_it / against, low, high)) if against else 1.0


def flat_reflectance(
    counts: NDArray[np.uint16],
    line: Field,
    around: Environment,
    slopes: Slopes,
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
    slopes : Slopes
    factor : int
        Pixels of the band along the side of a coarse cell.
    first_row : int
        Row of the image that the strip starts with.

    Returns
    -------
    (row, col) int16
        Scaled, and no data, as `adjacency.surface_reflectance`.
    """
    fields = np.concatenate([line, [around.direct_down, around.reflectance], slopes.sun, slopes.view]).astype(
        np.float32
    )
    out = np.empty(counts.shape, np.int16)
    _flatten(
        counts,
        coarse(fields, counts.shape, factor, first_row),
        _ground(slopes.terrain, counts.shape, factor, parameters, first_row),
        (
            np.float32(parameters.slope_min_cos_incidence),
            np.float32(parameters.slope_min_cos_view),
            np.float32(slopes.share),
        ),
        Coding.of(parameters),
        _room(10, counts.shape[1], slopes.terrain),
        out,
    )
    return out
