"""Absorption by water vapour, ozone, oxygen, carbon dioxide and methane in each band, and water vapour from B9."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.atmosphere.request import Array, Cells
from processing.atmosphere.tables import Gases
from processing.kernels import kernel, kernel_part


class _Air(NamedTuple):
    """What absorption needs to know of each cell, (cell,): air mass of both ways, relative pressure, valid or not."""

    mass: Array
    pressure: Array
    valid: NDArray[np.bool_]


class _Weights(NamedTuple):
    """Of the nodes around a cell: of pressure, air mass, and the amount of gas."""

    pressure: Array
    airmass: Array
    amount: Array


class _Absorption(NamedTuple):
    """What the water vapour does to the ratio of two bands.

    Attributes
    ----------
    logarithm : (altitude x air mass, air mass x water vapour) float64
        Of the ratio of their transmittances.
    log_water, pressure, airmass, airmass_scale
        As of `Gases`.
    largest : float
        Column beyond which none is sought. [g cm-2]
    """

    logarithm: Array
    log_water: Array
    pressure: Array
    airmass: Array
    airmass_scale: Array
    largest: float


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
def _water_log(x: float, log_x: float, table: Gases, weights: _Weights) -> float:
    """Logarithm of the transmittance of air mass x water vapour `x` [g cm-2], whose logarithm is `log_x`.

    Below the first node absorption is taken as proportional to the column: the weak limit, exact at 0.
    """
    log_water, w = table.log_water, weights.amount
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
                value += w[j] * table.water[k, i, first + j]
            total += weights.pressure[k] * weights.airmass[i] * value
    return (0.0 if total > 0 else total) * part


@kernel_part
def _dry_log(x: float, table: Gases, weights: _Weights) -> float:
    """Logarithm of the transmittance of air mass x ozone `x` [cm atm] and the other gases but water vapour."""
    nodes, w = table.air_mass_ozone, weights.amount
    part, at = 1.0, (x - nodes[0]) / (nodes[1] - nodes[0])
    if at < 0:
        part, at = x / nodes[0], 0.0
    first = _cubic(at, nodes.size, w)
    total = 0.0
    for k in range(3):
        value = 0.0
        for j in range(4):
            value += w[j] * table.ozone[k, first + j] * part
        for i in range(4):
            value += weights.airmass[i] * table.other[k, i]
        total += weights.pressure[k] * value
    return 0.0 if total > 0 else total


@kernel()
def _transmittances(air: _Air, water: Array, ozone: Array, table: Gases, weights: _Weights, out: Array) -> None:
    log_2 = math.log(2.0)
    for i in range(water.size):
        if not air.valid[i]:
            out[0, i] = out[1, i] = out[2, i] = np.nan
            continue
        m = air.mass[i]
        pressure_weights(air.pressure[i], table.pressure, weights.pressure)
        _airmass_weights(m, table.airmass, table.airmass_scale, weights.airmass)
        out[0, i] = math.exp(_dry_log(m * ozone[i], table, weights))
        x = m * water[i]
        log_x = math.log(x) if x > 0 else 0.0
        for k in range(2):  # all of it, half of it
            out[1 + k, i] = math.exp(_water_log(x, log_x, table, weights))
            x, log_x = x / 2, log_x - log_2


def _air(cells: Cells) -> _Air:
    """With the air mass also where the angles mean nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mass = 1 / np.cos(np.radians(cells.sun_zenith)) + 1 / np.cos(np.radians(cells.view_zenith))
    return _Air(mass, cells.pressure, cells.valid)


def transmittances(cells: Cells, water: Array, ozone: Array, table: Gases) -> Array:
    """Transmittance of all gases but water vapour, of water vapour, and of half of it; NaN where not valid.

    Parameters
    ----------
    cells : Cells
    water, ozone : (cell,) float64
        Columns above the target. [g cm-2], [cm atm]
    table : Gases
        Of the band.

    Returns
    -------
    (3, cell) float64
        [-]
    """
    out = np.empty((3, water.size))
    _transmittances(_air(cells), water, ozone, table, _Weights(*np.empty((3, 4))), out)
    return out


@kernel_part
def _curve(absorption: _Absorption, weights: _Weights, out: Array) -> None:
    """A pixel's own curve of ln(ratio) over ln(air mass x column): it falls all the way."""
    for j in range(out.size):
        out[j] = 0.0
    for node in range(absorption.logarithm.shape[0]):
        both = weights.pressure[node // 4] * weights.airmass[node % 4]
        for j in range(out.size):
            out[j] += both * absorption.logarithm[node, j]


@kernel_part
def _twice_where(curve: Array, wanted: float, w: Array) -> float:
    """Twice the place, counted in nodes, at which a falling curve has a value; NaN beyond its end."""
    above = 0
    while above + 1 < curve.size and curve[above + 1] > wanted:
        above += 1
    if above + 1 == curve.size:
        return math.nan
    low, high = float(above), float(above + 1)
    for _ in range(24):
        middle = (low + high) / 2
        first = _cubic(middle, curve.size, w)
        value = 0.0
        for k in range(4):
            value += w[k] * curve[first + k]
        if value > wanted:
            low = middle
        else:
            high = middle
    return low + high


@kernel()
def _columns(
    ratio: Array, dry: Array, air: _Air, absorption: _Absorption, weights: _Weights, curve: Array, out: Array
) -> None:
    log_water = absorption.log_water
    step = log_water[1] - log_water[0]
    least = math.exp(log_water[0])
    for i in range(ratio.size):
        out[i] = np.nan
        if not air.valid[i] or not ratio[i] > 0:
            continue
        m = air.mass[i]
        pressure_weights(air.pressure[i], absorption.pressure, weights.pressure)
        _airmass_weights(m, absorption.airmass, absorption.airmass_scale, weights.airmass)
        wanted = math.log(ratio[i]) - dry[i]
        if wanted > 0:
            continue
        _curve(absorption, weights, curve)
        if wanted >= curve[0]:
            out[i] = least / m * wanted / curve[0]
            continue
        column = math.exp(log_water[0] + step * _twice_where(curve, wanted, weights.amount) / 2) / m
        if column <= absorption.largest:  # not where there is none
            out[i] = column


def columns(ratio: Array, cells: Cells, largest: float, absorbing: Gases, window: Gases) -> Array:
    """Water vapour whose transmittances in two bands have the given ratio.

    Parameters
    ----------
    ratio : (cell,) float64
    cells : Cells
    largest : float
        [g cm-2]
    absorbing, window : Gases
        Of the bands.

    Returns
    -------
    (cell,) float64
        NaN where there is none. [g cm-2]
    """
    none, out = np.zeros(ratio.size), np.empty(ratio.size)
    dry = [np.log(transmittances(cells, none, none, band)[0]) for band in (absorbing, window)]
    absorption = _Absorption(
        logarithm=(absorbing.water - window.water).reshape(12, -1),
        log_water=absorbing.log_water,
        pressure=absorbing.pressure,
        airmass=absorbing.airmass,
        airmass_scale=absorbing.airmass_scale,
        largest=largest,
    )
    weights, curve = _Weights(*np.empty((3, 4))), np.empty(absorbing.log_water.size)
    _columns(ratio, dry[0] - dry[1], _air(cells), absorption, weights, curve, out)
    return out
