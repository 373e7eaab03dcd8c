"""From the top of the atmosphere to the surface and back, through look-up tables made with 6S.

Coupling of scattering and gases (Vermote et al., 6S user guide; the water vapour is half above, half below the
aerosol):

    TOA = Tog [ rhoR + (rhoRA - rhoR) Tw(U / 2) + Tw(U) T rho / (1 - S rho) ]

with Tog the transmittance of ozone and the well-mixed gases, Tw that of water vapour, rhoR and rhoRA the path
reflectance of the molecules and of molecules and aerosol, T the total transmittance of both ways, S the spherical
albedo. Columns and AOT are those above the target.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing.atmosphere import gases, tables
from processing.atmosphere.tables import MODELS
from processing.bands import BANDS
from processing.errors import OutOfRange
from processing.kernels import kernel, kernel_part
from processing.scene import STANDARD_PRESSURE

__all__ = [
    "AOT_DEGREE",
    "MODELS",
    "VALID_RANGES",
    "Coefficients",
    "against_aot",
    "coefficients",
    "direct_shares",
    "gas_transmittance",
    "outside",
    "pressure_altitude",
    "sensor_note",
    "surface_reflectance",
    "toa_reflectance",
    "water_vapour",
]

log = logging.getLogger(__name__)

#: Where the tables hold, limits included; outside them the answer is NaN. Altitude stands for pressure: below the sea,
#: to 1140 hPa, the parabola in pressure through the tables' nodes goes on, and 6S confirms it. Below an AOT of 0.0001
#: the atmosphere is Rayleigh's. Relative azimuths are folded.
VALID_RANGES: dict[str, tuple[float, float]] = {
    "sun_zenith": (15.0, 75.0),  # Sentinel-2 never sees the sun higher than 16 deg from the zenith [deg]
    "view_zenith": (0.0, 13.92),  # [deg]
    "altitude_km": (-1.0, 3.0),  # [km]
    "aot550": (0.0, 1.05),  # [-]
    "water_vapour": (0.0, 8.0),  # above the target [g cm-2]
    "ozone": (0.0, 0.6),  # above the target [cm atm]
}

#: Satellites whose spectral responses are not in the tables, and whose stand in.
STAND_IN = {"S2C": "S2A"}

#: Degree of the polynomials in AOT of `against_aot`: within 0.0001 of the tables' reflectance.
AOT_DEGREE = 5

_STEPS = (tables.SUN_FIRST, tables.SUN_STEP, tables.AZIMUTH_STEP, tables.AIRMASS_STEP, tables.AOT_STEP)

Float = NDArray[np.floating[Any]]
Array = NDArray[np.float64]
Aerosol = str | Mapping[str, float]


class Coefficients(NamedTuple):
    """One band's atmosphere: ``y = toa * scale - offset``, ``rho = y / (transmittance + albedo * y)``.

    Arrays of the shape the arguments broadcast to, NaN outside `VALID_RANGES`.
    """

    scale: Float
    offset: Float
    transmittance: Float
    albedo: Float


@kernel_part
def _interval(at: float, nodes: int) -> int:
    """The node below, of which the last one is none."""
    below = int(at)
    return below if below < nodes - 2 else nodes - 2


@kernel_part
def _nodes(
    sun: float, view: float, azimuth: float, views: Array, table: NDArray[np.float32], one_way: NDArray[np.float32],
    steps: tuple[float, float, float, float, float], wv: Array, path: Array, logarithm: Array,
) -> None:  # fmt: skip
    """Path reflectance x cos(sun zenith) and logarithm of the transmittance of both ways, at each AOT x altitude.

    The path is linear in the refined sun zenith and azimuth, a parabola in the view zenith.
    """
    sun_first, sun_step, azimuth_step, airmass_step, _ = steps
    v0, v1, v2 = views[0], views[1], views[2]
    at = (sun - sun_first) / sun_step
    s = _interval(at, table.shape[0])
    s_part = at - s
    folded = abs(azimuth - 360.0 * math.floor(azimuth / 360.0 + 0.5)) / azimuth_step
    r = _interval(folded, table.shape[2])
    r_part = folded - r
    wv[0] = (view - v1) * (view - v2) / ((v0 - v1) * (v0 - v2))
    wv[1] = (view - v0) * (view - v2) / ((v1 - v0) * (v1 - v2))
    wv[2] = (view - v0) * (view - v1) / ((v2 - v0) * (v2 - v1))
    for n in range(path.size):
        path[n] = logarithm[n] = 0.0
    for corner in range(4 * wv.size):  # one loop: unrolled, three nested ones take a second to compile
        j, m, k = corner & 1, corner >> 1 & 1, corner >> 2
        w = (s_part if j else 1 - s_part) * wv[k] * (r_part if m else 1 - r_part)
        nodes = table[s + j, k, r + m]
        for n in range(path.size):
            path[n] += w * nodes[n]
    for zenith in (sun, view):
        x = (1 / math.cos(math.radians(zenith)) - 1) / airmass_step
        first = _interval(x, one_way.shape[0])
        x -= first
        low, high = one_way[first], one_way[first + 1]
        for n in range(path.size):
            logarithm[n] += low[n] * (1 - x) + high[n] * x


@kernel_part
def _aot_weights(aot: float, step: float, table: Array, wp: Array, out: Array) -> None:
    """Weights of the nodes of AOT x altitude."""
    at = aot / step
    a = _interval(at, table.shape[0])
    part = at - a
    n = 0
    for j in range(table.shape[1]):
        w = (1 - part) * table[a, j] + part * table[a + 1, j]
        for k in range(3):
            out[n] = w * wp[k]
            n += 1


@kernel()
def _scattering(
    sun: Array, view: Array, azimuth: Array, pressure: Array, aot: Array, valid: NDArray[np.bool_],
    table: tables.Scattering, steps: tuple[float, float, float, float, float],
    wp: Array, wv: Array, weights: Array, paths: Array, logs: Array, out: Array,
) -> None:  # fmt: skip
    """Path reflectance without and with the aerosol, transmittance of both ways, spherical albedo."""
    for i in range(sun.size):
        if not valid[i]:
            out[0, i] = out[1, i] = out[2, i] = out[3, i] = np.nan
            continue
        gases.pressure_weights(pressure[i], table.pressure, wp)
        _aot_weights(aot[i], steps[4], table.aot, wp, weights)
        _nodes(sun[i], view[i], azimuth[i], table.view_nodes, table.path, table.transmittance, steps, wv, paths, logs)
        molecules = 0.0
        for k in range(3):
            molecules += wp[k] * paths[k]
        total = sphere = logarithm = 0.0
        for n in range(weights.size):
            w = weights[n]
            total += w * paths[n]
            sphere += w * table.albedo[n]
            logarithm += w * logs[n]
        us = math.cos(math.radians(sun[i]))
        out[0, i], out[1, i] = molecules / us, total / us
        out[2, i], out[3, i] = math.exp(0.0 if logarithm > 0 else logarithm), sphere


@kernel()
def _against_aot(
    toa: Array, sun: Array, view: Array, azimuth: Array, pressure: Array, valid: NDArray[np.bool_], gas: Array,
    table: tables.Scattering, steps: tuple[float, float, float, float, float], fit: Array,
    wp: Array, wv: Array, paths: Array, logs: Array, out: Array,
) -> None:  # fmt: skip
    for i in range(sun.size):
        for c in range(AOT_DEGREE + 1):
            out[i, c] = 0.0 if valid[i] else np.nan
        if not valid[i]:
            continue
        gases.pressure_weights(pressure[i], table.pressure, wp)
        _nodes(sun[i], view[i], azimuth[i], table.view_nodes, table.path, table.transmittance, steps, wv, paths, logs)
        us = math.cos(math.radians(sun[i]))
        molecules = 0.0
        n = 0
        for j in range(fit.shape[1]):
            path = logarithm = sphere = 0.0
            for k in range(3):
                path += wp[k] * paths[n]
                logarithm += wp[k] * logs[n]
                sphere += wp[k] * table.albedo[n]
                n += 1
            path /= us
            if j == 0:  # without aerosol
                molecules = path
            y = (toa[i] / gas[0, i] - molecules - (path - molecules) * gas[2, i]) / gas[1, i]
            rho = y / (math.exp(0.0 if logarithm > 0 else logarithm) + sphere * y)
            for c in range(AOT_DEGREE + 1):
                out[i, c] += fit[c, j] * rho


@kernel()
def _direct(
    zenith: Array, pressure: Array, aot: Array, valid: NDArray[np.bool_], table: NDArray[np.float32],
    pressures: Array, aots: Array, aot_step: float, airmass_step: float, wp: Array, weights: Array, out: Array,
) -> None:  # fmt: skip
    for i in range(zenith.size):
        out[i] = np.nan
        if not valid[i]:
            continue
        gases.pressure_weights(pressure[i], pressures, wp)
        _aot_weights(aot[i], aot_step, aots, wp, weights)
        x = (1 / math.cos(math.radians(zenith[i])) - 1) / airmass_step
        first = _interval(x, table.shape[0])
        x -= first
        low, high = table[first], table[first + 1]
        logarithm = 0.0
        for n in range(weights.size):
            logarithm += weights[n] * (low[n] + (high[n] - low[n]) * x)
        out[i] = math.exp(0.0 if logarithm > 0 else logarithm)


def _mixture(model: Aerosol) -> tables.Mixture:
    """A model's name or its components with their shares of the AOT, in the form the tables are kept by."""
    shares = {model: 1.0} if isinstance(model, str) else {m: float(share) for m, share in model.items() if share}
    unknown = [m for m in shares if m not in MODELS]
    if unknown:
        raise OutOfRange(f"no aerosol model {', '.join(map(repr, unknown))}; there are {', '.join(MODELS)}")
    if min(shares.values(), default=0.0) < 0 or not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise OutOfRange(f"the shares of the aerosol components must be positive and sum to 1: {dict(shares)}")
    return tuple(sorted(shares.items()))


@lru_cache(maxsize=16)
def _responses(sensor: str) -> str:
    """The satellite whose spectral responses are used."""
    if sensor in STAND_IN:
        log.warning(sensor_note(sensor))
    elif sensor not in ("S2A", "S2B"):
        raise OutOfRange(f"no spectral responses for sensor {sensor!r}; there are S2A, S2B and, by S2A's, S2C")
    return STAND_IN.get(sensor, sensor)


def sensor_note(sensor: str) -> str | None:
    """What a product must say about the spectral responses used for `sensor`; None when they are its own."""
    if sensor in STAND_IN:
        return f"spectral responses of {STAND_IN[sensor]} stand in for those of {sensor}"
    return None


def pressure_altitude(altitude: NDArray[np.float32], sea_level_pressure: float) -> NDArray[np.float32]:
    """Where the standard atmosphere is as heavy as the air at an altitude today.

    Parameters
    ----------
    altitude : (...) float32
        [m]
    sea_level_pressure : float
        Pressure as reduced to the level of the sea: pressure changes with altitude as in the standard atmosphere. [hPa]

    Returns
    -------
    (...) float32
        [km]
    """
    pressure = tables.relative_pressure(altitude / np.float32(1000)) * (sea_level_pressure / STANDARD_PRESSURE)
    return np.asarray(tables.altitude_of(pressure), np.float32)


def _check_band(band: str) -> None:
    if band not in BANDS:
        raise OutOfRange(f"no band {band!r}; there are {', '.join(BANDS)}")


def outside(**quantities: ArrayLike) -> list[str]:
    """Name the quantities that leave `VALID_RANGES`: one line each, empty when all is inside. NaN is no fault here."""
    faults = []
    for name, values in quantities.items():
        low, high = VALID_RANGES[name]
        given = np.asarray(values, float)
        bad = (given < low) | (given > high)
        if bad.any():
            faults.append(f"{name}: {int(bad.sum())} of {given.size} values outside {low:g}..{high:g}")
    return faults


def _prepare(**quantities: ArrayLike) -> tuple[dict[str, Array], NDArray[np.bool_], tuple[int, ...], np.dtype[Any]]:
    """Flat float64 arrays of one size, where they are all in range, their common shape, dtype of the answer."""
    given = {name: np.asarray(values) for name, values in quantities.items()}
    dtype = np.result_type(np.float32, *(a.dtype for a in given.values() if a.ndim and a.dtype.kind == "f"))
    if not any(a.ndim for a in given.values()):
        dtype = np.dtype(np.float64)
    shape = np.broadcast_shapes(*(a.shape for a in given.values()))
    valid = np.ones(shape, bool)
    for name, a in given.items():
        low, high = VALID_RANGES.get(name, (-np.inf, np.inf))
        valid &= (a >= low) & (a <= high) & np.isfinite(a)
    flat = {name: np.broadcast_to(a, shape).astype(np.float64).ravel() for name, a in given.items()}
    return flat, valid.ravel(), shape, dtype


def _cells(flat: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """Zenith angles of sun and satellite [deg], and pressure relative to that at sea level."""
    with np.errstate(invalid="ignore"):  # of cells without an answer
        pressure = tables.relative_pressure(flat["altitude_km"])
    return flat["sun_zenith"], flat["view_zenith"], pressure


def coefficients(
    sensor: str,
    band: str,
    sun_zenith: ArrayLike,
    view_zenith: ArrayLike,
    relative_azimuth: ArrayLike,
    altitude_km: ArrayLike,
    aot550: ArrayLike,
    water_vapour: ArrayLike,
    ozone: ArrayLike,
    aerosol_model: Aerosol = "continental",
) -> Coefficients:
    """Everything the atmosphere does in one band.

    Parameters
    ----------
    sensor : str
        ``S2A``, ``S2B``, or ``S2C`` (with the responses of S2A: see `sensor_note`).
    band : str
        Name in `processing.bands`.
    sun_zenith, view_zenith : array_like
        [deg]
    relative_azimuth : array_like
        Sun azimuth - view azimuth, 0 on the backscatter side; any angle. [deg]
    altitude_km : array_like
        [km]
    aot550 : array_like
        Aerosol optical thickness at 550 nm above the target. [-]
    water_vapour, ozone : array_like
        Columns above the target. [g cm-2], [cm atm]
    aerosol_model : str or dict
        One of `MODELS`, or several with their shares of the AOT at 550 nm (``{"dust": 0.3, "soot": 0.7}``).

    Returns
    -------
    Coefficients
        float64, or float32 if all arrays given are float32; NaN outside `VALID_RANGES`.

    Raises
    ------
    OutOfRange
        Unknown sensor, band or aerosol model.

    References
    ----------
    Vermote et al., "Second Simulation of the Satellite Signal in the Solar Spectrum", IEEE TGRS 35(3), 1997;
    Kotchenova and Vermote, Applied Optics 46(20), 2007 (6SV1).
    """
    _check_band(band)
    responses = _responses(sensor)
    scattering = tables.scattering(responses, band, _mixture(aerosol_model))
    flat, valid, shape, dtype = _prepare(
        sun_zenith=sun_zenith, view_zenith=view_zenith, relative_azimuth=relative_azimuth, altitude_km=altitude_km,
        aot550=aot550, water_vapour=water_vapour, ozone=ozone,
    )  # fmt: skip
    sun, view, pressure = _cells(flat)
    dry, wet, half = gases.transmittances(
        sun, view, pressure, flat["water_vapour"], flat["ozone"], valid, tables.gases(responses, band)
    )
    found = np.empty((4, valid.size))
    (wp, wv), (weights, paths, logs) = np.empty((2, 3)), np.empty((3, scattering.albedo.size))
    _scattering(
        sun, view, flat["relative_azimuth"], pressure, flat["aot550"], valid, scattering, _STEPS,
        wp, wv, weights, paths, logs, found,
    )  # fmt: skip
    rayleigh, path, transmittance, albedo = found
    scale = 1 / (dry * wet)
    offset = (rayleigh + (path - rayleigh) * half) / wet
    return Coefficients(*(a.reshape(shape).astype(dtype) for a in (scale, offset, transmittance, albedo)))


def direct_shares(
    sensor: str,
    band: str,
    sun_zenith: ArrayLike,
    view_zenith: ArrayLike,
    altitude_km: ArrayLike,
    aot550: ArrayLike,
    aerosol_model: Aerosol = "continental",
) -> tuple[Float, Float]:
    """What of the scattering atmosphere's transmittance is direct light, on the way down and on the way up.

    Arguments, errors and NaN as in `coefficients`. The rest of the light is scattered on its way: it comes to the
    ground from the sky, and to the satellite from beside the target.
    """
    _check_band(band)
    scattering = tables.scattering(_responses(sensor), band, _mixture(aerosol_model))
    flat, valid, shape, dtype = _prepare(
        sun_zenith=sun_zenith, view_zenith=view_zenith, altitude_km=altitude_km, aot550=aot550
    )
    sun, view, pressure = _cells(flat)
    down, up = np.empty((2, valid.size))
    for zenith, out in ((sun, down), (view, up)):
        _direct(
            zenith, pressure, flat["aot550"], valid, scattering.direct, scattering.pressure, scattering.aot,
            tables.AOT_STEP, tables.AIRMASS_STEP, np.empty(3), np.empty(scattering.albedo.size), out,
        )  # fmt: skip
    return down.reshape(shape).astype(dtype), up.reshape(shape).astype(dtype)


def surface_reflectance(
    toa: ArrayLike,
    sensor: str,
    band: str,
    sun_zenith: ArrayLike,
    view_zenith: ArrayLike,
    relative_azimuth: ArrayLike,
    altitude_km: ArrayLike,
    aot550: ArrayLike,
    water_vapour: ArrayLike,
    ozone: ArrayLike,
    aerosol_model: Aerosol = "continental",
) -> Float:
    """Reflectance at the surface of a uniform Lambertian target from that at the top of the atmosphere.

    Arguments, errors and NaN as in `coefficients`; all numeric ones broadcast together.
    """
    c = coefficients(
        sensor, band, sun_zenith, view_zenith, relative_azimuth, altitude_km, aot550, water_vapour, ozone, aerosol_model
    )
    y = np.asarray(toa) * c.scale - c.offset
    return np.asarray(y / (c.transmittance + c.albedo * y))


def against_aot(
    toa: ArrayLike,
    sensor: str,
    band: str,
    sun_zenith: ArrayLike,
    view_zenith: ArrayLike,
    relative_azimuth: ArrayLike,
    altitude_km: ArrayLike,
    water_vapour: ArrayLike,
    ozone: ArrayLike,
    aerosol_model: Aerosol = "continental",
) -> NDArray[np.float32]:
    """Surface reflectance as a function of the AOT: the tables reduced to what each cell's AOT can change.

    Arguments, errors and NaN as in `surface_reflectance`.

    Returns
    -------
    (..., AOT_DEGREE + 1) float32
        For each cell the polynomial in AOT, constant term first, nearest to the reflectances at the tables' nodes.
    """
    _check_band(band)
    responses = _responses(sensor)
    scattering = tables.scattering(responses, band, _mixture(aerosol_model))
    flat, valid, shape, _ = _prepare(
        toa=toa, sun_zenith=sun_zenith, view_zenith=view_zenith, relative_azimuth=relative_azimuth,
        altitude_km=altitude_km, water_vapour=water_vapour, ozone=ozone,
    )  # fmt: skip
    sun, view, pressure = _cells(flat)
    gas = gases.transmittances(
        sun, view, pressure, flat["water_vapour"], flat["ozone"], valid, tables.gases(responses, band)
    )
    fit = np.asarray(np.linalg.pinv(np.vander(scattering.aot_nodes, AOT_DEGREE + 1, increasing=True)), np.float64)
    out = np.empty((valid.size, AOT_DEGREE + 1))
    (wp, wv), (paths, logs) = np.empty((2, 3)), np.empty((2, scattering.albedo.size))
    _against_aot(
        flat["toa"], sun, view, flat["relative_azimuth"], pressure, valid, gas, scattering, _STEPS,
        np.ascontiguousarray(fit), wp, wv, paths, logs, out,
    )  # fmt: skip
    return out.reshape(*shape, AOT_DEGREE + 1).astype(np.float32)


def toa_reflectance(
    surface: ArrayLike,
    sensor: str,
    band: str,
    sun_zenith: ArrayLike,
    view_zenith: ArrayLike,
    relative_azimuth: ArrayLike,
    altitude_km: ArrayLike,
    aot550: ArrayLike,
    water_vapour: ArrayLike,
    ozone: ArrayLike,
    aerosol_model: Aerosol = "continental",
) -> Float:
    """Reflectance at the top of the atmosphere: the inverse of `surface_reflectance`."""
    c = coefficients(
        sensor, band, sun_zenith, view_zenith, relative_azimuth, altitude_km, aot550, water_vapour, ozone, aerosol_model
    )
    rho = np.asarray(surface)
    return np.asarray((c.transmittance * rho / (1 - c.albedo * rho) + c.offset) / c.scale)


def gas_transmittance(
    sensor: str,
    band: str,
    sun_zenith: ArrayLike,
    view_zenith: ArrayLike,
    altitude_km: ArrayLike,
    water_vapour: ArrayLike,
    ozone: ArrayLike,
) -> Float:
    """Transmittance of all gases, both ways, B9 and B10 included. Arguments, errors and NaN as in `coefficients`."""
    _check_band(band)
    flat, valid, shape, dtype = _prepare(
        sun_zenith=sun_zenith, view_zenith=view_zenith, altitude_km=altitude_km, water_vapour=water_vapour, ozone=ozone
    )
    dry, wet, _ = gases.transmittances(
        *_cells(flat), flat["water_vapour"], flat["ozone"], valid, tables.gases(_responses(sensor), band)
    )
    return (dry * wet).reshape(shape).astype(dtype)


def water_vapour(
    ratio_b9_b8a: ArrayLike, sensor: str, sun_zenith: ArrayLike, view_zenith: ArrayLike, altitude_km: ArrayLike
) -> Float:
    """Water vapour above the target from the ratio of the reflectances in B9 and B8A. [g cm-2]

    The surface is taken as equally bright in both bands and the aerosol as without effect: pass a ratio freed of
    what is known of either. NaN outside `VALID_RANGES`, for a ratio that is not positive, above that of a dry
    atmosphere, or below that of the largest column.
    """
    flat, valid, shape, dtype = _prepare(
        ratio=ratio_b9_b8a, sun_zenith=sun_zenith, view_zenith=view_zenith, altitude_km=altitude_km
    )
    responses = _responses(sensor)
    out = gases.columns(
        flat["ratio"], *_cells(flat), VALID_RANGES["water_vapour"][1], valid,
        tables.gases(responses, "B9"), tables.gases(responses, "B8A"),
    )  # fmt: skip
    return out.reshape(shape).astype(dtype)
