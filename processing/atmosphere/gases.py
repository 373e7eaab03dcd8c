"""Absorption by water vapour, ozone, oxygen, carbon dioxide and methane in each band, and water vapour from B9."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from processing.atmosphere.tables import Gases
from processing.kernels import kernel, kernel_part

Array = NDArray[np.float64]


@kernel_part
def pressure_weights(p: float, nodes: Array, out: Array) -> None:
    """Weights of a parabola in pressure through three nodes; all relative to that at sea level."""
    a, b, c = nodes[0], nodes[1], nodes[2]
    out[0] = (p - b) * (p - c) / ((a - b) * (a - c))
    out[1] = (p - a) * (p - c) / ((b - a) * (b - c))
    out[2] = (p - a) * (p - b) / ((c - a) * (c - b))


@kernel_part
def _cubic(at: float, nodes: int, out: Array) -> int:
    """Weights at `at` of Lagrange's cubic through the four evenly spaced nodes around it; gives the first of them."""
    first = int(at) - 1
    if first < 0:
        first = 0
    elif first > nodes - 4:
        first = nodes - 4
    x = at - first
    out[0] = -(x - 1) * (x - 2) * (x - 3) / 6
    out[1] = x * (x - 2) * (x - 3) / 2
    out[2] = -x * (x - 1) * (x - 3) / 2
    out[3] = x * (x - 1) * (x - 2) / 6
    return first


def _airmass_scales(nodes: Array) -> Array:
    """What `_airmass_weights` need of the nodes, once for all cells: a division costs as much as ten products."""
    return np.asarray(1 / (nodes[:, None] - nodes + np.eye(nodes.size)).prod(axis=1))


@kernel_part
def _airmass_weights(m: float, nodes: Array, scales: Array, out: Array) -> None:
    """Weights of Lagrange's cubic through the four nodes of the air mass."""
    a, b, c, d = m - nodes[0], m - nodes[1], m - nodes[2], m - nodes[3]
    ab, cd = a * b, c * d
    out[0] = b * cd * scales[0]
    out[1] = a * cd * scales[1]
    out[2] = ab * d * scales[2]
    out[3] = ab * c * scales[3]


@kernel_part
def _water_log(x: float, log_x: float, wp: Array, wm: Array, table: Array, log_water: Array, w: Array) -> float:
    """Logarithm of the transmittance of air mass x water vapour `x` [g cm-2], whose logarithm is `log_x`.

    Below the first node absorption is taken as proportional to the column: the weak limit, exact at 0.
    """
    part, at = 1.0, 0.0
    if x > 0:
        at = (log_x - log_water[0]) / (log_water[1] - log_water[0])
    if x <= 0 or at < 0:
        part, at = x / math.exp(log_water[0]), 0.0
    first = _cubic(at, log_water.size, w)
    total = 0.0
    for k in range(3):
        for i in range(4):
            value = 0.0
            for j in range(4):
                value += w[j] * table[k, i, first + j]
            total += wp[k] * wm[i] * value
    return (0.0 if total > 0 else total) * part


@kernel_part
def _dry_log(x: float, wp: Array, wm: Array, ozone: Array, other: Array, nodes: Array, w: Array) -> float:
    """Logarithm of the transmittance of air mass x ozone `x` [cm atm] and the other gases but water vapour."""
    part, at = 1.0, (x - nodes[0]) / (nodes[1] - nodes[0])
    if at < 0:
        part, at = x / nodes[0], 0.0
    first = _cubic(at, nodes.size, w)
    total = 0.0
    for k in range(3):
        value = 0.0
        for j in range(4):
            value += w[j] * ozone[k, first + j] * part
        for i in range(4):
            value += wm[i] * other[k, i]
        total += wp[k] * value
    return 0.0 if total > 0 else total


@kernel()
def _transmittances(
    airmass: Array, pressure: Array, water: Array, ozone: Array, valid: NDArray[np.bool_], table: Gases, scales: Array,
    wp: Array, wm: Array, w: Array, out: Array,
) -> None:  # fmt: skip
    log_2 = math.log(2.0)
    for i in range(airmass.size):
        if not valid[i]:
            out[0, i] = out[1, i] = out[2, i] = np.nan
            continue
        m = airmass[i]
        pressure_weights(pressure[i], table.pressure, wp)
        _airmass_weights(m, table.airmass, scales, wm)
        out[0, i] = math.exp(_dry_log(m * ozone[i], wp, wm, table.ozone, table.other, table.air_mass_ozone, w))
        x = m * water[i]
        log_x = math.log(x) if x > 0 else 0.0
        for k in range(2):  # all of it, half of it
            out[1 + k, i] = math.exp(_water_log(x, log_x, wp, wm, table.water, table.log_water, w))
            x, log_x = x / 2, log_x - log_2


def _airmass(sun: Array, view: Array) -> Array:
    """Of both ways, also where the angles mean nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 / np.cos(np.radians(sun)) + 1 / np.cos(np.radians(view)))


def transmittances(
    sun: Array, view: Array, pressure: Array, water: Array, ozone: Array, valid: NDArray[np.bool_], table: Gases
) -> Array:
    """Transmittance of all gases but water vapour, of water vapour, and of half of it; NaN where not `valid`.

    Parameters
    ----------
    sun, view : (cell,) float64
        Zenith angles. [deg]
    pressure : (cell,) float64
        Relative to that at sea level. [-]
    water, ozone : (cell,) float64
        Columns above the target. [g cm-2], [cm atm]
    valid : (cell,) bool
    table : Gases
        Of the band.

    Returns
    -------
    (3, cell) float64
        [-]
    """
    out = np.empty((3, valid.size))
    scales, (wp, wm, w) = _airmass_scales(table.airmass), np.empty((3, 4))
    _transmittances(_airmass(sun, view), pressure, water, ozone, valid, table, scales, wp, wm, w, out)
    return out


@kernel()
def _columns(
    ratio: Array, airmass: Array, pressure: Array, largest: float, valid: NDArray[np.bool_], dry: Array,
    absorption: Array, log_water: Array, altitudes: Array, airmasses: Array, scales: Array,
    wp: Array, wm: Array, w: Array, curve: Array, out: Array,
) -> None:  # fmt: skip
    n = log_water.size
    step = log_water[1] - log_water[0]
    least = math.exp(log_water[0])
    for i in range(ratio.size):
        out[i] = np.nan
        if not valid[i] or not ratio[i] > 0:
            continue
        m = airmass[i]
        pressure_weights(pressure[i], altitudes, wp)
        _airmass_weights(m, airmasses, scales, wm)
        wanted = math.log(ratio[i]) - dry[i]
        if wanted > 0:
            continue

        # The pixel's own curve of ln(ratio) over ln(air mass x column): it falls all the way
        for j in range(n):
            curve[j] = 0.0
        for node in range(absorption.shape[0]):
            both = wp[node // 4] * wm[node % 4]
            for j in range(n):
                curve[j] += both * absorption[node, j]
        if wanted >= curve[0]:
            out[i] = least / m * wanted / curve[0]
            continue
        above = 0
        while above + 1 < n and curve[above + 1] > wanted:
            above += 1
        if above + 1 == n:
            continue
        low, high = float(above), float(above + 1)
        for _ in range(24):
            middle = (low + high) / 2
            first = _cubic(middle, n, w)
            value = 0.0
            for k in range(4):
                value += w[k] * curve[first + k]
            if value > wanted:
                low = middle
            else:
                high = middle
        column = math.exp(log_water[0] + step * (low + high) / 2) / m
        if column <= largest:
            out[i] = column


def columns(
    ratio: Array, sun: Array, view: Array, pressure: Array, largest: float, valid: NDArray[np.bool_],
    absorbing: Gases, window: Gases,
) -> Array:  # fmt: skip
    """Water vapour whose transmittances in two bands have the given ratio.

    Parameters
    ----------
    ratio : (cell,) float64
    sun, view, pressure, valid
        As of `transmittances`.
    largest : float
        [g cm-2]
    absorbing, window : Gases
        Of the bands.

    Returns
    -------
    (cell,) float64
        NaN where there is none. [g cm-2]
    """
    none, out = np.zeros(valid.size), np.empty(valid.size)
    dry = [np.log(transmittances(sun, view, pressure, none, none, valid, band)[0]) for band in (absorbing, window)]
    (wp, wm, w), curve = np.empty((3, 4)), np.empty(absorbing.log_water.size)
    _columns(
        ratio, _airmass(sun, view), pressure, largest, valid, dry[0] - dry[1],
        (absorbing.water - window.water).reshape(12, -1),
        absorbing.log_water, absorbing.pressure, absorbing.airmass, _airmass_scales(absorbing.airmass),
        wp, wm, w, curve, out,
    )  # fmt: skip
    return out
