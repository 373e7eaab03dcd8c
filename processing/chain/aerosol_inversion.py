"""The AOT of each node from the samples around it, by least squares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.chain.aerosol_samples import Samples
from processing.chain.air_model import Expected
from processing.kernels import kernel, kernel_part
from processing.versions import Parameters

#: Levenberg-Marquardt stops when a step is smaller than this [-], or after so many steps.
_TOLERANCE, _STEPS = 1e-5, 500
#: Searches with the outliers of the one before.
_TURNS = 3

Array = NDArray[np.float64]


class Around(NamedTuple):
    """The samples around a node, as of `Samples`; or room for the most that there may be.

    Attributes
    ----------
    colour, red : (sample, term) float64
        Of those that tell the air by their colour.
    blue, before : (sample, term) float64
        Of those that tell it against the past.
    settled : (sample,) float64
        Of the same.
    """

    colour: Array
    red: Array
    blue: Array
    before: Array
    settled: Array


class Room(NamedTuple):
    """What the search of one node is written into.

    Attributes
    ----------
    around : Around
    places : (3, sample) int64
        Row, column and days since the composite's date of the samples against the past.
    equations : (2, 5) float64
        As of `_normal`: those of the best AOT, and of the one that is tried.
    given : Around
        The samples as they were, where those of `around` are weighted.
    """

    around: Around
    places: NDArray[np.int64]
    equations: Array
    given: Around


class Neighbourhood(NamedTuple):
    """Where the samples of a node are looked for.

    Attributes
    ----------
    step : int
        Coarse cells from a node to the next.
    window : (half, first, last) int
        Samples to each side of a node, and their least and greatest distance from one to the next. [cells]
    enough : int
        Samples that a method needs.
    least_variance : float
        That the B12 of the samples against the past exceeds. [-]
    """

    step: int
    window: tuple[int, int, int]
    enough: int
    least_variance: float


class Fading(NamedTuple):
    """How much the past counts: the version's `aot_time_factor`, `aot_rise_scale` and `aot_composite_weight`. [-]"""

    time_factor: tuple[float, float]
    rise_scale: tuple[float, float]
    composite_weight: float


class Prior(NamedTuple):
    """What is known of the date without the samples.

    Attributes
    ----------
    doubt : float
        1 / variance of the colours' slope; of no use where the slope is known.
    dark, dark_weight : float
        AOT that the air can hardly exceed, and the weight of the square of what exceeds it. [-]
    forecast, belief : float
        AOT of a forecast [-], and 1 / its standard deviation: 0 without one.
    forecasts : float
        So many times as its error says the forecast counts.
    together : float
        What the samples of a node err by together, in standard deviations of one of them.
    alone : float
        Standard deviation of what the past alone tells, as its own AOT may be off. [-]
    """

    doubt: float
    dark: float
    dark_weight: float
    forecast: float = 0.0
    belief: float = 0.0
    forecasts: float = 1.0
    together: float = 0.0
    alone: float = 0.0


class Bounds(NamedTuple):
    """AOT where the search begins, the least and the greatest one [-]; the `_TOLERANCE` and the `_STEPS`.

    `outlier` is the residual from which a sample counts half, 0 where all count alike; then the search is made so many
    `turns` again.
    """

    start: float
    low: float
    high: float
    tolerance: float
    steps: int
    outlier: float = 0.0
    turns: int = 0


class Nodes(NamedTuple):
    """What was found at the nodes, one each `aot_step` coarse cells.

    Attributes
    ----------
    aot : (row, col) float32
        NaN where neither method has enough samples, infinite where no AOT of the tables fits. [-]
    error : (row, col) float32
        Its standard deviation by what its samples and the forecast tell of it; NaN as the AOT. [-]
    """

    aot: NDArray[np.float32]
    error: NDArray[np.float32]


@kernel_part
def _value(terms: Array, x: float) -> tuple[float, float]:
    """A polynomial and its derivative."""
    value = slope = 0.0
    for k in range(terms.size - 1, -1, -1):
        slope = slope * x + value
        value = value * x + terms[k]
    return value, slope


@kernel_part
def _normal(around: Around, prior: Prior, weights: tuple[float, float], now: float, then: float, out: Array) -> float:
    """Sum of the squared residuals; `out` becomes the normal equations: a11, a12, a22, b1, b2.

    The first of the two `weights` is of the differences to the date before, the other of those to the composite.

    The colours' slope is doubted. It is linear, and kept at its best for each AOT (variable projection: Golub and
    Pereyra, SIAM J. Numer. Anal. 10, 413-432, 1973, in Kaufman's form).
    """
    colour, red, blue, before, settled = around
    w1, w2 = weights
    cost = rs = ss = ds = er = es = de = ee = 0.0
    for k in range(out.size):
        out[k] = 0.0
    for i in range(colour.shape[0]):
        r, d = _value(colour[i], now)
        cost += r * r
        out[0] += d * d
        out[3] -= d * r
        if red.shape[1]:
            s, e = _value(red[i], now)
            rs += r * s
            ss += s * s
            ds += d * s
            er += e * r
            es += e * s
            de += d * e
            ee += e * e
    if red.shape[1] and ss > 0:
        steeper = rs / (ss + prior.doubt)
        cost -= steeper * rs
        across = ds - steeper * es
        out[0] += steeper * (steeper * ee - 2 * de) - across * across / (ss + prior.doubt)
        out[3] += steeper * (er + ds - steeper * es)
    for i in range(blue.shape[0]):
        value, d = _value(blue[i], now)
        other, d_other = _value(before[i], then)
        r1, r2 = w1 * (value - other), w2 * (value - settled[i])
        cost += r1 * r1 + r2 * r2
        out[0] += (w1 * w1 + w2 * w2) * d * d
        out[1] -= w1 * w1 * d * d_other
        out[2] += w1 * w1 * d_other * d_other
        out[3] -= (w1 * r1 + w2 * r2) * d
        out[4] += w1 * r1 * d_other
    if prior.belief > 0:
        r = prior.belief * (now - prior.forecast)
        cost += r * r
        out[0] += prior.belief * prior.belief
        out[3] -= prior.belief * r
    if now > prior.dark:
        d = 2 * prior.dark_weight * (now - prior.dark)
        r = d * (now - prior.dark) / 2
        cost += r * r
        out[0] += d * d
        out[3] -= d * r
    return cost


@kernel_part
def _minimise(
    around: Around, prior: Prior, weights: tuple[float, float], bounds: Bounds, equations: Array
) -> tuple[float, float]:
    """The AOT of this date at the least sum of squares, and that of the date before, a second unknown."""
    a, trial = equations[0], equations[1]
    now = then = next_now = next_then = bounds.start
    cost, damping, moved = np.inf, 1e-2, np.inf
    for turn in range(bounds.steps + 1):
        better = _normal(around, prior, weights, next_now, next_then, trial)
        if better <= cost or turn == 0:
            now, then, cost = next_now, next_then, better
            for k in range(a.size):
                a[k] = trial[k]
            damping = max(damping / 10, 1e-12)
        else:
            damping *= 10
        if moved < bounds.tolerance:
            break
        a11, a12, a22 = a[0] * (1 + damping), a[1], a[2] * (1 + damping)
        determinant = a11 * a22 - a12 * a12
        if determinant > 1e-12 * a11 * a22:
            first, second = (a22 * a[3] - a12 * a[4]) / determinant, (a11 * a[4] - a12 * a[3]) / determinant
        else:  # no previous image, or it tells nothing
            first, second = a[3] / max(a11, 1e-30), 0.0
        next_now = min(max(now + first, bounds.low), bounds.high)
        next_then = min(max(then + second, bounds.low), bounds.high)
        moved = max(abs(next_now - now), abs(next_then - then))
    return now, then


@kernel_part
def _weigh(
    around: Around, given: Around, prior: Prior, weights: tuple[float, float], aot: tuple[float, float], outlier: float
) -> None:
    """Let the samples of `given` whose residual is large at an AOT count less in `around`, by Cauchy's weights.

    References
    ----------
    Holland and Welsch, "Robust regression using iteratively reweighted least-squares", Communications in Statistics
    A6, 813-827, 1977.
    """
    (w1, w2), (now, then) = weights, aot
    rs = ss = 0.0
    for i in range(given.colour.shape[0]):
        if given.red.shape[1]:
            r, s = _value(around.colour[i], now)[0], _value(around.red[i], now)[0]
            rs += r * s
            ss += s * s
    steeper = rs / (ss + prior.doubt) if ss > 0 else 0.0
    for i in range(given.colour.shape[0]):
        r = _value(given.colour[i], now)[0]
        if given.red.shape[1]:
            r -= steeper * _value(given.red[i], now)[0]
        count = 1 / np.sqrt(1 + (r / outlier) ** 2)
        for k in range(given.colour.shape[1]):
            around.colour[i, k] = given.colour[i, k] * count
        for k in range(given.red.shape[1]):
            around.red[i, k] = given.red[i, k] * count
    for i in range(given.blue.shape[0]):
        value = _value(given.blue[i], now)[0]
        r1, r2 = w1 * (value - _value(given.before[i], then)[0]), w2 * (value - given.settled[i])
        count = 1 / np.sqrt(1 + max(r1 * r1, r2 * r2) / outlier**2)
        around.settled[i] = given.settled[i] * count
        for k in range(given.blue.shape[1]):
            around.blue[i, k] = given.blue[i, k] * count
        for k in range(given.before.shape[1]):
            around.before[i, k] = given.before[i, k] * count


@kernel_part
def _copy(source: Array, target: Array) -> None:
    for i in range(source.shape[0]):
        for k in range(source.shape[1]):
            target[i, k] = source[i, k]


@kernel_part
def _seek(
    around: Around, given: Around, prior: Prior, weights: tuple[float, float], bounds: Bounds, equations: Array
) -> float:
    """The AOT that the samples have together, those that stand out counting less with each turn."""
    now, then = _minimise(around, prior, weights, bounds, equations)
    if bounds.outlier > 0:
        _copy(around.colour, given.colour)
        _copy(around.red, given.red)
        _copy(around.blue, given.blue)
        _copy(around.before, given.before)
        for i in range(around.settled.size):
            given.settled[i] = around.settled[i]
        for _ in range(bounds.turns):
            _weigh(around, given, prior, weights, (now, then), bounds.outlier)
            now, then = _minimise(around, prior, weights, bounds, equations)
    return now


@kernel_part
def _gather(samples: Samples, row0: int, col0: int, spacing: int, half: int, room: Room) -> tuple[int, int]:
    """Write the colours around a cell, and the places of the samples against the past; how many there are of both."""
    rows, cols = samples.spectral.shape
    colour, red, places = room.around.colour, room.around.red, room.places
    n = found = 0
    for p in range(-half, half + 1):
        for q in range(-half, half + 1):
            row, col = row0 + p * spacing, col0 + q * spacing
            if row < 0 or row >= rows or col < 0 or col >= cols:
                continue
            if samples.spectral[row, col]:
                for k in range(colour.shape[1]):
                    colour[n, k] = samples.colour[row, col, k]
                for k in range(red.shape[1]):
                    red[n, k] = samples.red[row, col, k]
                n += 1
            if samples.temporal[row, col]:
                places[0, found], places[1, found], places[2, found] = row, col, samples.lag[row, col]
                found += 1
    return n, found


@kernel_part
def _compare(samples: Samples, found: int, enough: int, least_variance: float, room: Room) -> tuple[int, int, float]:
    """Write the samples against the past: how many, 0 on uniform ground, the days since then, and their mean rise.

    Of the dates in the composite only the most frequent one, of equals the latest: its air is one.
    """
    blue, before, settled, places = room.around.blue, room.around.before, room.around.settled, room.places
    times = age = m = 0
    for k in range(found):
        count = 0
        for o in range(found):
            count += places[2, o] == places[2, k]
        if count > times or (count == times and abs(places[2, k]) < abs(age)):
            times, age = count, places[2, k]
    rise = sums = squares = 0.0
    if times < enough:
        return 0, age, rise
    for k in range(found):
        if places[2, k] == age:
            row, col = places[0, k], places[1, k]
            settled[m] = samples.settled[row, col]
            for o in range(blue.shape[1]):
                blue[m, o], before[m, o] = samples.blue[row, col, o], samples.before[row, col, o]
            rise += samples.rise[row, col]
            swir = samples.swir[row, col]
            sums += swir
            squares += swir * swir
            m += 1
    uniform = squares / m - (sums / m) * (sums / m) <= least_variance
    return 0 if uniform else m, age, rise / m


@kernel_part
def _doubt(equations: Array, samples: int, prior: Prior) -> float:
    """Standard deviation of the AOT: that of the samples and of the forecast, each by what it has counted for.

    So many samples, each of variance 1, which all err by `together` at once, tell the AOT as one of them does.
    """
    shared = equations[1] * equations[1] / equations[2] if equations[2] > 0 else 0.0
    forecast = prior.belief * prior.belief
    own = max(equations[0] - shared - forecast, 1e-6)
    variance = own * prior.together * prior.together * samples + forecast * prior.forecasts
    return float(np.sqrt(variance) / (own + forecast))


@kernel()
def _invert(
    samples: Samples,
    where: Neighbourhood,
    fading: Fading,
    prior: Prior,
    bounds: Bounds,
    room: Room,
    out: Nodes,
) -> None:
    rows, cols = samples.spectral.shape
    step, (half, first, last) = where.step, where.window
    growth = (last - first) // 2 + 1
    colour, red, blue, before, settled = room.around
    for i in range(out.aot.shape[0]):
        for j in range(out.aot.shape[1]):
            row, col = min(i * step + step // 2, rows - 1), min(j * step + step // 2, cols - 1)
            n = m = age = 0
            rise = 0.0
            for turn in range(2 * growth):
                spacing = first + 2 * (turn if turn < growth else 2 * growth - 1 - turn)
                n, found = _gather(samples, row, col, spacing, half, room)
                n = n if n >= where.enough else 0
                m, age, rise = _compare(samples, found, where.enough, where.least_variance, room)
                if (n and (m or samples.before.shape[2] == 0)) or (turn >= growth and (n or m)):
                    break
            if n == 0 and m == 0:
                continue
            faded = fading.time_factor[0] / (age * age + fading.time_factor[1])
            w1 = min(abs(rise) / fading.rise_scale[0], fading.rise_scale[1]) * faded
            around = Around(colour[:n], red[:n], blue[:m], before[:m], settled[:m])
            kept = room.given
            given = Around(kept.colour[:n], kept.red[:n], kept.blue[:m], kept.before[:m], kept.settled[:m])
            aot = _seek(around, given, prior, (w1, fading.composite_weight * faded), bounds, room.equations)
            out.aot[i, j] = aot if aot < bounds.high else np.inf  # at the end of the tables nothing was found
            out.error[i, j] = np.hypot(_doubt(room.equations[0], n + m, prior), 0.0 if n else prior.alone)


def invert(samples: Samples, parameters: Parameters, expected: Expected | None = None) -> Nodes:
    """The AOT of every node, one each `aot_step` coarse cells.

    The neighbourhood grows until both methods have enough samples. Where that is never so, either will do, in the
    largest neighbourhood that has it: beside the edge of an image a larger one may hold less.

    Parameters
    ----------
    samples : Samples
    parameters : Parameters
    expected : Expected, optional
        Counts as one more sample of each node.

    Returns
    -------
    Nodes
    """
    step = parameters.aot_step
    rows, cols = samples.spectral.shape
    nodes = Nodes(*np.full((2, -(-rows // step), -(-cols // step)), np.nan, np.float32))
    _invert(
        samples,
        Neighbourhood(step, parameters.aot_window, parameters.aot_min_samples, parameters.aot_min_swir_deviation**2),
        Fading(parameters.aot_time_factor, parameters.aot_rise_scale, parameters.aot_composite_weight),
        Prior(
            1 / parameters.aot_slope_spread**2 if parameters.aot_slope_spread else 0.0,
            samples.dark,
            parameters.aot_dark_weight,
            expected.aot if expected else 0.0,
            np.sqrt(parameters.aot_forecast_weight) / expected.error if expected else 0.0,
            parameters.aot_forecast_weight,
            parameters.uncertainty_samples,
            _alone(parameters, expected),
        ),
        Bounds(
            parameters.aot_default,
            parameters.aot_min,
            parameters.aot_max,
            _TOLERANCE,
            _STEPS,
            parameters.aot_outlier,
            _TURNS,
        ),
        _room(samples, (2 * parameters.aot_window[0] + 1) ** 2),
        nodes,
    )
    return nodes


def _alone(parameters: Parameters, expected: Expected | None) -> float:
    """How far off the AOT of a past may be that was not read from colours: as what is expected, or as the constant."""
    if not parameters.uncertainty_aot:
        return 0.0
    return expected.error if expected else parameters.uncertainty_aot[3]


def _room(samples: Samples, most: int) -> Room:
    """Room for so many samples."""
    terms = most, samples.colour.shape[2]

    def around() -> Around:
        colour, blue, before = np.empty(terms), np.empty(terms), np.empty(terms)
        return Around(colour, np.empty((most, samples.red.shape[2])), blue, before, np.empty(most))

    return Room(around(), np.empty((3, most), np.int64), np.empty((2, 5)), around())
