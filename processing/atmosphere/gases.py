"""Absorption by water vapour, ozone, oxygen, carbon dioxide and methane in each band, and water vapour from B9."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processing.atmosphere.tables import Gases, relative_pressure

Array = NDArray[np.float64]


@njit(nogil=True, cache=True)
def pressure_weights(altitude: float, nodes: Array, out: Array) -> None:
    """Weights of a parabola in pressure through three altitudes; `altitude` in km."""
    p = relative_pressure(altitude)
    a, b, c = nodes[0], nodes[1], nodes[2]
    out[0] = (p - b) * (p - c) / ((a - b) * (a - c))
    out[1] = (p - a) * (p - c) / ((b - a) * (b - c))
    out[2] = (p - a) * (p - b) / ((c - a) * (c - b))


@njit(nogil=True, cache=True)
def _cubic(x: float, out: Array) -> None:
    """Weights of Lagrange's cubic through 0, 1, 2, 3."""
    out[0] = -(x - 1) * (x - 2) * (x - 3) / 6
    out[1] = x * (x - 2) * (x - 3) / 2
    out[2] = -x * (x - 1) * (x - 3) / 2
    out[3] = x * (x - 1) * (x - 2) / 6


@njit(nogil=True, cache=True)
def airmass_scales(nodes: Array) -> Array:
    """What `airmass_weights` need of the nodes, once for all cells: a division costs as much as ten products."""
    scales = np.ones(4)
    for i in range(4):
        for j in range(4):
            if j != i:
                scales[i] /= nodes[i] - nodes[j]
    return scales


@njit(nogil=True, cache=True)
def airmass_weights(m: float, nodes: Array, scales: Array, out: Array) -> None:
    """Weights of Lagrange's cubic through the four nodes of the air mass."""
    a, b, c, d = m - nodes[0], m - nodes[1], m - nodes[2], m - nodes[3]
    ab, cd = a * b, c * d
    out[0], out[1], out[2], out[3] = b * cd * scales[0], a * cd * scales[1], ab * d * scales[2], ab * c * scales[3]


@njit(nogil=True, cache=True)
def water_log(x: float, log_x: float, wp: Array, wm: Array, table: Array, log_water: Array, w: Array) -> float:
    """Logarithm of the transmittance of air mass x water vapour `x` [g cm-2], whose logarithm is `log_x`.

    Below the first node absorption is taken as proportional to the column: the weak limit, exact at 0.
    """
    n = log_water.shape[0]
    part = 1.0
    at = 0.0
    if x > 0:
        at = (log_x - log_water[0]) / (log_water[1] - log_water[0])
    if x <= 0 or at < 0:
        part = x / math.exp(log_water[0])
        at = 0.0
    first = min(max(int(at) - 1, 0), n - 4)
    _cubic(at - first, w)
    total = 0.0
    for k in range(3):
        for i in range(4):
            value = 0.0
            for j in range(4):
                value += w[j] * table[k, i, first + j]
            total += wp[k] * wm[i] * value
    return min(total, 0.0) * part


@njit(nogil=True, cache=True)
def dry_log(m: float, ozone: float, wp: Array, wm: Array, table: Gases, w: Array) -> float:
    """Logarithm of the transmittance of ozone [cm atm] and the other gases but water vapour."""
    n = table.air_mass_ozone.shape[0]
    first_node = table.air_mass_ozone[0]
    at = (m * ozone - first_node) / (table.air_mass_ozone[1] - first_node)
    part = 1.0
    if at < 0:
        part = m * ozone / first_node
        at = 0.0
    first = min(max(int(at) - 1, 0), n - 4)
    _cubic(at - first, w)
    total = 0.0
    for k in range(3):
        value = 0.0
        for j in range(4):
            value += w[j] * table.ozone[k, first + j] * part
        for i in range(4):
            value += wm[i] * table.other[k, i]
        total += wp[k] * value
    return min(total, 0.0)


@njit(nogil=True, cache=True)
def transmittances(
    sun: Array, view: Array, altitude: Array, water: Array, ozone: Array, valid: NDArray[np.bool_], table: Gases,
    dry_out: Array, wet_out: Array, half_out: Array,
) -> None:  # fmt: skip
    """Transmittance of all gases but water vapour, of water vapour, and of half of it; NaN where not `valid`."""
    wp, wm, w = np.empty(3), np.empty(4), np.empty(4)
    scales, log_2 = airmass_scales(table.airmass), math.log(2.0)
    for i in range(sun.size):
        if not valid[i]:
            dry_out[i] = wet_out[i] = half_out[i] = np.nan
            continue
        m = 1 / math.cos(math.radians(sun[i])) + 1 / math.cos(math.radians(view[i]))
        pressure_weights(altitude[i], table.pressure, wp)
        airmass_weights(m, table.airmass, scales, wm)
        dry_out[i] = math.exp(dry_log(m, ozone[i], wp, wm, table, w))
        x = m * water[i]
        log_x = math.log(x) if x > 0 else 0.0
        wet_out[i] = math.exp(water_log(x, log_x, wp, wm, table.water, table.log_water, w))
        half_out[i] = math.exp(water_log(x / 2, log_x - log_2, wp, wm, table.water, table.log_water, w))


@njit(nogil=True, cache=True)
def columns(
    ratio: Array, sun: Array, view: Array, altitude: Array, largest: float, valid: NDArray[np.bool_],
    absorbing: Gases, window: Gases, out: Array,
) -> None:  # fmt: skip
    """Water vapour [g cm-2] whose transmittances in two bands have the given ratio; NaN where there is none."""
    n = absorbing.log_water.size
    step = absorbing.log_water[1] - absorbing.log_water[0]
    least = math.exp(absorbing.log_water[0])
    wp, wm, w, curve = np.empty(3), np.empty(4), np.empty(4), np.empty(n)
    scales = airmass_scales(absorbing.airmass)
    for i in range(ratio.size):
        out[i] = np.nan
        if not valid[i] or not ratio[i] > 0:
            continue
        m = 1 / math.cos(math.radians(sun[i])) + 1 / math.cos(math.radians(view[i]))
        pressure_weights(altitude[i], absorbing.pressure, wp)
        airmass_weights(m, absorbing.airmass, scales, wm)
        dry = dry_log(m, 0.0, wp, wm, absorbing, w) - dry_log(m, 0.0, wp, wm, window, w)
        wanted = math.log(ratio[i]) - dry
        if wanted > 0:
            continue

        # The pixel's own curve of ln(ratio) over ln(air mass x column): it falls all the way
        for j in range(n):
            curve[j] = 0.0
        for k in range(3):
            for a in range(4):
                both = wp[k] * wm[a]
                for j in range(n):
                    curve[j] += both * (absorbing.water[k, a, j] - window.water[k, a, j])
        if wanted >= curve[0]:
            out[i] = least / m * wanted / curve[0]
            continue
        j = 1
        while j < n and curve[j] > wanted:
            j += 1
        if j == n:
            continue
        first = min(max(j - 2, 0), n - 4)
        low, high = float(j - 1 - first), float(j - first)
        for _ in range(24):
            middle = (low + high) / 2
            _cubic(middle, w)
            if (
                w[0] * curve[first] + w[1] * curve[first + 1] + w[2] * curve[first + 2] + w[3] * curve[first + 3]
                > wanted
            ):
                low = middle
            else:
                high = middle
        column = math.exp(absorbing.log_water[0] + step * (first + (low + high) / 2)) / m
        if column <= largest:
            out[i] = column
