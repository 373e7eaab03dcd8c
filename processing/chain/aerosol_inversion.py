"""The AOT of each node from the samples around it, by least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.chain.aerosol_samples import Samples
from processing.kernels import kernel, kernel_part
from processing.versions import Parameters

#: Levenberg-Marquardt stops when a step is smaller than this [-], or after so many steps.
_TOLERANCE, _STEPS = 1e-5, 500


@kernel_part
def _value(terms: Any, x: float) -> tuple[float, float]:
    """A polynomial and its derivative."""
    value = slope = 0.0
    for k in range(terms.size - 1, -1, -1):
        slope = slope * x + value
        value = value * x + terms[k]
    return value, slope


@kernel_part
def _normal(
    colour: Any, red: Any, doubt: float, blue: Any, before: Any, settled: Any, w1: float, w2: float,
    dark: float, dark_weight: float, now: float, then: float, out: Any,
) -> float:  # fmt: skip
    """Sum of the squared residuals; `out` becomes the normal equations: a11, a12, a22, b1, b2.

    The colours' slope is `doubt`ed by 1 / its variance. It is linear, and kept at its best for each AOT (variable
    projection: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413-432, 1973, in Kaufman's form).
    """
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
        steeper = rs / (ss + doubt)
        cost -= steeper * rs
        across = ds - steeper * es
        out[0] += steeper * (steeper * ee - 2 * de) - across * across / (ss + doubt)
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
    if now > dark:
        d = 2 * dark_weight * (now - dark)
        r = d * (now - dark) / 2
        cost += r * r
        out[0] += d * d
        out[3] -= d * r
    return cost


@kernel_part
def _minimise(
    colour: Any, red: Any, doubt: float, blue: Any, before: Any, settled: Any, w1: float, w2: float,
    dark: float, dark_weight: float, start: float, low: float, high: float, tolerance: float, steps: int,
    a: Any, trial: Any,
) -> float:  # fmt: skip
    """The AOT of this date at the least sum of squares; that of the date before is a second unknown, kept to itself."""
    now = then = next_now = next_then = start
    cost, damping, moved = np.inf, 1e-2, np.inf
    for turn in range(steps + 1):
        better = _normal(
            colour, red, doubt, blue, before, settled, w1, w2, dark, dark_weight, next_now, next_then, trial
        )
        if better <= cost or turn == 0:
            now, then, cost = next_now, next_then, better
            for k in range(a.size):
                a[k] = trial[k]
            damping = max(damping / 10, 1e-12)
        else:
            damping *= 10
        if moved < tolerance:
            break
        a11, a12, a22 = a[0] * (1 + damping), a[1], a[2] * (1 + damping)
        determinant = a11 * a22 - a12 * a12
        if determinant > 1e-12 * a11 * a22:
            first, second = (a22 * a[3] - a12 * a[4]) / determinant, (a11 * a[4] - a12 * a[3]) / determinant
        else:  # no previous image, or it tells nothing
            first, second = a[3] / max(a11, 1e-30), 0.0
        next_now, next_then = min(max(now + first, low), high), min(max(then + second, low), high)
        moved = max(abs(next_now - now), abs(next_then - then))
    return now


@kernel()
def _invert(
    spectral: Any, temporal: Any, colour: Any, red: Any, doubt: float, blue: Any, before: Any, settled: Any,
    rise: Any, swir: Any, lag: Any, dark: float, step: int, window: Any, enough: int,
    least_variance: float, time_factor: Any, rise_scale: Any, composite_weight: float, dark_weight: float,
    start: float, low: float, high: float, tolerance: float, steps: int,
    reds: Any, terms: Any, settleds: Any, places: Any, equations: Any, out: Any,
) -> None:  # fmt: skip
    rows, cols = spectral.shape
    half, first, last = window
    colours, blues, befores = terms[0], terms[1], terms[2]
    growth = (last - first) // 2 + 1
    at_row, at_col, days = places[0], places[1], places[2]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            row0, col0 = min(i * step + step // 2, rows - 1), min(j * step + step // 2, cols - 1)
            n = m = 0
            mean_rise = 0.0
            age = 0
            for turn in range(2 * growth):
                spacing = first + 2 * (turn if turn < growth else 2 * growth - 1 - turn)
                n = m = found = 0
                for p in range(-half, half + 1):
                    for q in range(-half, half + 1):
                        row, col = row0 + p * spacing, col0 + q * spacing
                        if row < 0 or row >= rows or col < 0 or col >= cols:
                            continue
                        if spectral[row, col]:
                            for k in range(colours.shape[1]):
                                colours[n, k] = colour[row, col, k]
                            for k in range(red.shape[2]):
                                reds[n, k] = red[row, col, k]
                            n += 1
                        if temporal[row, col]:
                            at_row[found], at_col[found], days[found] = row, col, lag[row, col]
                            found += 1

                # Of the dates in the composite only the most frequent one: its air is one
                times = 0
                for k in range(found):
                    count = 0
                    for o in range(found):
                        count += days[o] == days[k]
                    if count > times or (count == times and abs(days[k]) < abs(age)):
                        times, age = count, days[k]
                if times >= enough:
                    sums = squares = mean_rise = 0.0
                    for k in range(found):
                        if days[k] != age:
                            continue
                        row, col = at_row[k], at_col[k]
                        settleds[m] = settled[row, col]
                        for o in range(blues.shape[1]):
                            blues[m, o], befores[m, o] = blue[row, col, o], before[row, col, o]
                        mean_rise += rise[row, col]
                        sample = swir[row, col]
                        sums += sample
                        squares += sample * sample
                        m += 1
                    mean_rise /= m
                    if squares / m - (sums / m) * (sums / m) <= least_variance:
                        m = 0
                n = n if n >= enough else 0
                if (n and (m or before.shape[2] == 0)) or (turn >= growth and (n or m)):
                    break
            if n == 0 and m == 0:
                continue
            fading = time_factor[0] / (age * age + time_factor[1])
            w1 = min(abs(mean_rise) / rise_scale[0], rise_scale[1]) * fading
            aot = _minimise(
                colours[:n], reds[:n], doubt, blues[:m], befores[:m], settleds[:m], w1, composite_weight * fading,
                dark, dark_weight, start, low, high, tolerance, steps,
                equations[0], equations[1],
            )  # fmt: skip
            out[i, j] = aot if aot < high else np.inf  # at the end of the tables nothing was found


def invert(samples: Samples, parameters: Parameters) -> NDArray[np.float32]:
    """The AOT of every node, one each `aot_step` coarse cells.

    The neighbourhood grows until both methods have enough samples. Where that is never so, either will do, in the
    largest neighbourhood that has it: beside the edge of an image a larger one may hold less.

    Returns
    -------
    (row, col) float32
        NaN where neither method has enough samples, infinite where no AOT of the tables fits. [-]
    """
    step = parameters.aot_step
    rows, cols = samples.spectral.shape
    doubt = 1 / parameters.aot_slope_spread**2 if parameters.aot_slope_spread else 0.0
    most = (2 * parameters.aot_window[0] + 1) ** 2
    nodes = np.full((-(-rows // step), -(-cols // step)), np.nan, np.float32)
    _invert(
        samples.spectral, samples.temporal, samples.colour, samples.red, doubt, samples.blue, samples.before,
        samples.settled, samples.rise, samples.swir, samples.lag, samples.dark, step,
        parameters.aot_window, parameters.aot_min_samples, parameters.aot_min_swir_deviation**2,
        parameters.aot_time_factor, parameters.aot_rise_scale, parameters.aot_composite_weight,
        parameters.aot_dark_weight, parameters.aot_default, parameters.aot_min, parameters.aot_max,
        _TOLERANCE, _STEPS, np.empty((most, samples.red.shape[2])), np.empty((3, most, samples.colour.shape[2])),
        np.empty(most), np.empty((3, most), np.int64), np.empty((2, 5)), nodes,
    )  # fmt: skip
    return nodes
