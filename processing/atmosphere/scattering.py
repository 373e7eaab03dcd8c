"""Scattering by molecules and aerosol in each cell, interpolated in the tables."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from processing.atmosphere.gases import pressure_weights
from processing.atmosphere.request import Array, Cells
from processing.atmosphere.tables import Scattering
from processing.kernels import kernel, kernel_part


class _Room(NamedTuple):
    """What a kernel works in, from one cell to the next; `node` as in `Scattering`."""

    #: Weights of the nodes of pressure and of the view zenith.
    pressure: Array
    zenith: Array
    #: (node,): weights, path reflectance x cos(sun zenith), logarithm of the transmittance of both ways.
    weight: Array
    path: Array
    logarithm: Array


def _room(table: Scattering) -> _Room:
    return _Room(*np.empty((2, 3)), *np.empty((3, table.albedo.size)))


@kernel_part
def _interval(at: float, nodes: int) -> int:
    """The node below, of which the last one is none."""
    below = int(at)
    return below if below < nodes - 2 else nodes - 2


@kernel_part
def _nodes(sun: float, view: float, azimuth: float, table: Scattering, room: _Room) -> None:
    """Path reflectance x cos(sun zenith) and logarithm of the transmittance of both ways, at each AOT x altitude.

    The path is linear in the refined sun zenith and azimuth, a parabola in the view zenith.
    """
    wv, path, logarithm = room.zenith, room.path, room.logarithm
    v0, v1, v2 = table.view_nodes[0], table.view_nodes[1], table.view_nodes[2]
    at = (sun - table.steps.sun_first) / table.steps.sun
    s = _interval(at, table.path.shape[0])
    s_part = at - s
    folded = abs(azimuth - 360.0 * math.floor(azimuth / 360.0 + 0.5)) / table.steps.azimuth
    r = _interval(folded, table.path.shape[2])
    r_part = folded - r
    wv[0] = (view - v1) * (view - v2) / ((v0 - v1) * (v0 - v2))
    wv[1] = (view - v0) * (view - v2) / ((v1 - v0) * (v1 - v2))
    wv[2] = (view - v0) * (view - v1) / ((v2 - v0) * (v2 - v1))
    for n in range(path.size):
        path[n] = logarithm[n] = 0.0
    for corner in range(4 * wv.size):  # one loop: unrolled, three nested ones take a second to compile
        j, m, k = corner & 1, corner >> 1 & 1, corner >> 2
        w = (s_part if j else 1 - s_part) * wv[k] * (r_part if m else 1 - r_part)
        nodes = table.path[s + j, k, r + m]
        for n in range(path.size):
            path[n] += w * nodes[n]
    for zenith in (sun, view):
        x = (1 / math.cos(math.radians(zenith)) - 1) / table.steps.airmass
        first = _interval(x, table.transmittance.shape[0])
        x -= first
        low, high = table.transmittance[first], table.transmittance[first + 1]
        for n in range(path.size):
            logarithm[n] += low[n] * (1 - x) + high[n] * x


@kernel_part
def _aot_weights(aot: float, table: Scattering, room: _Room) -> None:
    """Weights of the nodes of AOT x altitude."""
    at = aot / table.steps.aot
    a = _interval(at, table.aot.shape[0])
    part = at - a
    n = 0
    for j in range(table.aot.shape[1]):
        w = (1 - part) * table.aot[a, j] + part * table.aot[a + 1, j]
        for k in range(3):
            room.weight[n] = w * room.pressure[k]
            n += 1


@kernel()
def _terms(cells: Cells, azimuth: Array, aot: Array, table: Scattering, room: _Room, out: Array) -> None:
    for i in range(aot.size):
        if not cells.valid[i]:
            out[0, i] = out[1, i] = out[2, i] = out[3, i] = np.nan
            continue
        sun = cells.sun_zenith[i]
        pressure_weights(cells.pressure[i], table.pressure, room.pressure)
        _aot_weights(aot[i], table, room)
        _nodes(sun, cells.view_zenith[i], azimuth[i], table, room)
        molecules = 0.0
        for k in range(3):
            molecules += room.pressure[k] * room.path[k]
        total = sphere = logarithm = 0.0
        for n in range(room.weight.size):
            w = room.weight[n]
            total += w * room.path[n]
            sphere += w * table.albedo[n]
            logarithm += w * room.logarithm[n]
        us = math.cos(math.radians(sun))
        out[0, i], out[1, i] = molecules / us, total / us
        out[2, i], out[3, i] = math.exp(0.0 if logarithm > 0 else logarithm), sphere


def terms(cells: Cells, azimuth: Array, aot: Array, table: Scattering) -> Array:
    """What scattering does to the light of each cell.

    Parameters
    ----------
    cells : Cells
    azimuth : (cell,) float64
        Sun azimuth - view azimuth. [deg]
    aot : (cell,) float64
        At 550 nm, above the target. [-]
    table : Scattering
        Of the band and the aerosol.

    Returns
    -------
    (4, cell) float64
        Path reflectance without and with the aerosol, transmittance of both ways, spherical albedo. [-]
    """
    out = np.empty((4, aot.size))
    _terms(cells, azimuth, aot, table, _room(table), out)
    return out


@kernel()
def _polynomials(
    toa: Array, cells: Cells, azimuth: Array, gas: Array, table: Scattering, room: _Room, out: Array
) -> None:
    for i in range(toa.size):
        for c in range(out.shape[1]):
            out[i, c] = 0.0 if cells.valid[i] else np.nan
        if not cells.valid[i]:
            continue
        sun = cells.sun_zenith[i]
        pressure_weights(cells.pressure[i], table.pressure, room.pressure)
        _nodes(sun, cells.view_zenith[i], azimuth[i], table, room)
        us = math.cos(math.radians(sun))
        molecules = 0.0
        n = 0
        for j in range(table.polynomial.shape[1]):
            path = logarithm = sphere = 0.0
            for k in range(3):
                w = room.pressure[k]
                path += w * room.path[n]
                logarithm += w * room.logarithm[n]
                sphere += w * table.albedo[n]
                n += 1
            path /= us
            if j == 0:  # without aerosol
                molecules = path
            y = (toa[i] / gas[0, i] - molecules - (path - molecules) * gas[2, i]) / gas[1, i]
            rho = y / (math.exp(0.0 if logarithm > 0 else logarithm) + sphere * y)
            for c in range(out.shape[1]):
                out[i, c] += table.polynomial[c, j] * rho


def polynomials(toa: Array, cells: Cells, azimuth: Array, gas: Array, table: Scattering) -> Array:
    """Surface reflectance as a function of the AOT.

    Parameters
    ----------
    toa : (cell,) float64
        Reflectance at the top of the atmosphere. [-]
    cells, azimuth, table
        As of `terms`.
    gas : (3, cell) float64
        As of `gases.transmittances`. [-]

    Returns
    -------
    (cell, AOT_DEGREE + 1) float64
        Constant term first.
    """
    out = np.empty((toa.size, len(table.polynomial)))
    _polynomials(toa, cells, azimuth, gas, table, _room(table), out)
    return out


@kernel()
def _direct_share(zenith: Array, cells: Cells, aot: Array, table: Scattering, room: _Room, out: Array) -> None:
    for i in range(zenith.size):
        out[i] = np.nan
        if not cells.valid[i]:
            continue
        pressure_weights(cells.pressure[i], table.pressure, room.pressure)
        _aot_weights(aot[i], table, room)
        x = (1 / math.cos(math.radians(zenith[i])) - 1) / table.steps.airmass
        first = _interval(x, table.direct.shape[0])
        x -= first
        low, high = table.direct[first], table.direct[first + 1]
        logarithm = 0.0
        for n in range(room.weight.size):
            logarithm += room.weight[n] * (low[n] + (high[n] - low[n]) * x)
        out[i] = math.exp(0.0 if logarithm > 0 else logarithm)


def direct_share(zenith: Array, cells: Cells, aot: Array, table: Scattering) -> Array:
    """Share of the light that comes through unscattered on one way, whose zenith angle [deg] is given.

    Other arguments as of `terms`.

    Returns
    -------
    (cell,) float64
        [-]
    """
    out = np.empty(zenith.size)
    _direct_share(zenith, cells, aot, table, _room(table), out)
    return out
