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
from numba import njit
from numpy.typing import ArrayLike, NDArray

from processing.atmosphere import gases, tables
from processing.atmosphere.tables import MODELS
from processing.bands import BANDS
from processing.errors import OutOfRange
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


@njit(nogil=True, cache=True)
def _nodes(
    sun: float, view: float, azimuth: float, table: tables.Scattering,
    steps: tuple[float, float, float, float, float], wv: Array, path: Array, logarithm: Array,
) -> None:  # fmt: skip
    """Path reflectance x cos(sun zenith) and logarithm of the transmittance of both ways, at each AOT x altitude.

    The path is linear in the refined sun zenith and azimuth, a parabola in the view zenith.
    """
    sun_first, sun_step, azimuth_step, airmass_step, _ = steps
    n_node = path.size
    v0, v1, v2 = table.view_nodes[0], table.view_nodes[1], table.view_nodes[2]
    at = (sun - sun_first) / sun_step
    s = min(int(at), table.path.shape[0] - 2)
    s_part = at - s
    folded = abs(azimuth) % 360.0
    folded = min(folded, 360.0 - folded) / azimuth_step
    r = min(int(folded), table.path.shape[2] - 2)
    r_part = folded - r
    wv[0] = (view - v1) * (view - v2) / ((v0 - v1) * (v0 - v2))
    wv[1] = (view - v0) * (view - v2) / ((v1 - v0) * (v1 - v2))
    wv[2] = (view - v0) * (view - v1) / ((v2 - v0) * (v2 - v1))
    for n in range(n_node):
        path[n] = 0.0
    for j in range(2):
        ws = s_part if j else 1 - s_part
        for k in range(3):
            for m in range(2):
                w = ws * wv[k] * (r_part if m else 1 - r_part)
                for n in range(n_node):
                    path[n] += w * table.path[s + j, k, r + m, n]

    x = (1 / math.cos(math.radians(sun)) - 1) / airmass_step
    d = min(int(x), table.transmittance.shape[0] - 2)
    d_part = x - d
    x = (1 / math.cos(math.radians(view)) - 1) / airmass_step
    u = min(int(x), table.transmittance.shape[0] - 2)
    u_part = x - u
    down0, down1 = table.transmittance[d], table.transmittance[d + 1]
    up0, up1 = table.transmittance[u], table.transmittance[u + 1]
    for n in range(n_node):
        logarithm[n] = down0[n] * (1 - d_part) + down1[n] * d_part + up0[n] * (1 - u_part) + up1[n] * u_part


@njit(nogil=True, cache=True)
def _scattering(
    sun: Array, view: Array, azimuth: Array, altitude: Array, aot: Array, valid: NDArray[np.bool_],
    table: tables.Scattering, steps: tuple[float, float, float, float, float],
    rayleigh: Array, path: Array, transmittance: Array, albedo: Array,
) -> None:  # fmt: skip
    n_altitude = table.pressure.size
    n_node = table.albedo.size
    n_aot = n_node // n_altitude
    paths, logs, weights, wp, wv = np.empty(n_node), np.empty(n_node), np.empty(n_node), np.empty(3), np.empty(3)
    for i in range(sun.size):
        if not valid[i]:
            rayleigh[i] = path[i] = transmittance[i] = albedo[i] = np.nan
            continue

        gases.pressure_weights(altitude[i], table.pressure, wp)
        at = aot[i] / steps[4]
        a = min(int(at), table.aot.shape[0] - 2)
        part = at - a
        for j in range(n_aot):
            w = (1 - part) * table.aot[a, j] + part * table.aot[a + 1, j]
            for k in range(n_altitude):
                weights[j * n_altitude + k] = w * wp[k]

        _nodes(sun[i], view[i], azimuth[i], table, steps, wv, paths, logs)
        us = math.cos(math.radians(sun[i]))
        molecules = 0.0
        for k in range(n_altitude):
            molecules += wp[k] * paths[k]
        total = sphere = logarithm = 0.0
        for n in range(n_node):
            w = weights[n]
            total += w * paths[n]
            sphere += w * table.albedo[n]
            logarithm += w * logs[n]
        rayleigh[i] = molecules / us
        path[i] = total / us
        albedo[i] = sphere
        transmittance[i] = math.exp(min(logarithm, 0.0))


@njit(nogil=True, cache=True)
def _against_aot(
    toa: Array, sun: Array, view: Array, azimuth: Array, altitude: Array, valid: NDArray[np.bool_],
    dry: Array, wet: Array, half: Array, table: tables.Scattering, steps: tuple[float, float, float, float, float],
    fit: Array, out: Array,
) -> None:  # fmt: skip
    n_altitude = table.pressure.size
    n_node = table.albedo.size
    paths, logs, wp, wv = np.empty(n_node), np.empty(n_node), np.empty(3), np.empty(3)
    for i in range(sun.size):
        if not valid[i]:
            for c in range(out.shape[1]):
                out[i, c] = np.nan
            continue
        gases.pressure_weights(altitude[i], table.pressure, wp)
        _nodes(sun[i], view[i], azimuth[i], table, steps, wv, paths, logs)
        us = math.cos(math.radians(sun[i]))
        molecules = 0.0
        for k in range(n_altitude):
            molecules += wp[k] * paths[k] / us
        for c in range(out.shape[1]):
            out[i, c] = 0.0
        for j in range(n_node // n_altitude):
            path = logarithm = sphere = 0.0
            for k in range(n_altitude):
                n = j * n_altitude + k
                path += wp[k] * paths[n] / us
                logarithm += wp[k] * logs[n]
                sphere += wp[k] * table.albedo[n]
            y = (toa[i] / dry[i] - molecules - (path - molecules) * half[i]) / wet[i]
            rho = y / (math.exp(min(logarithm, 0.0)) + sphere * y)
            for c in range(out.shape[1]):
                out[i, c] += fit[c, j] * rho


@njit(nogil=True, cache=True)
def _direct(
    sun: Array, view: Array, altitude: Array, aot: Array, valid: NDArray[np.bool_], table: tables.Scattering,
    steps: tuple[float, float, float, float, float], down: Array, up: Array,
) -> None:  # fmt: skip
    n_altitude = table.pressure.size
    n_aot = table.albedo.size // n_altitude
    wp = np.empty(3)
    for i in range(sun.size):
        if not valid[i]:
            down[i] = up[i] = np.nan
            continue
        gases.pressure_weights(altitude[i], table.pressure, wp)
        at = aot[i] / steps[4]
        a = min(int(at), table.aot.shape[0] - 2)
        part = at - a
        for zenith, out in ((sun[i], down), (view[i], up)):
            x = (1 / math.cos(math.radians(zenith)) - 1) / steps[3]
            m = min(int(x), table.direct.shape[0] - 2)
            low, high = table.direct[m], table.direct[m + 1]
            logarithm = 0.0
            for j in range(n_aot):
                w = (1 - part) * table.aot[a, j] + part * table.aot[a + 1, j]
                for k in range(n_altitude):
                    n = j * n_altitude + k
                    logarithm += w * wp[k] * (low[n] + (high[n] - low[n]) * (x - m))
            out[i] = math.exp(min(logarithm, 0.0))


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
    dry, wet, half, rayleigh, path, transmittance, albedo = np.empty((7, valid.size))
    sun, view, altitude = flat["sun_zenith"], flat["view_zenith"], flat["altitude_km"]
    gases.transmittances(
        sun, view, altitude, flat["water_vapour"], flat["ozone"], valid, tables.gases(responses, band), dry, wet, half
    )
    _scattering(
        sun, view, flat["relative_azimuth"], altitude, flat["aot550"], valid, scattering,
        _STEPS, rayleigh, path, transmittance, albedo,
    )  # fmt: skip
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
    down, up = np.empty((2, valid.size))
    _direct(
        flat["sun_zenith"], flat["view_zenith"], flat["altitude_km"], flat["aot550"], valid, scattering, _STEPS,
        down, up,
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
    dry, wet, half = np.empty((3, valid.size))
    sun, view, altitude = flat["sun_zenith"], flat["view_zenith"], flat["altitude_km"]
    gases.transmittances(
        sun, view, altitude, flat["water_vapour"], flat["ozone"], valid, tables.gases(responses, band), dry, wet, half
    )
    fit = np.asarray(np.linalg.pinv(np.vander(scattering.aot_nodes, AOT_DEGREE + 1, increasing=True)), np.float64)
    out = np.empty((valid.size, AOT_DEGREE + 1))
    _against_aot(
        flat["toa"], sun, view, flat["relative_azimuth"], altitude, valid, dry, wet, half, scattering, _STEPS, fit, out
    )
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
    dry, wet, half = np.empty((3, valid.size))
    gases.transmittances(
        flat["sun_zenith"], flat["view_zenith"], flat["altitude_km"], flat["water_vapour"], flat["ozone"], valid,
        tables.gases(_responses(sensor), band), dry, wet, half,
    )  # fmt: skip
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
    out = np.empty(valid.size)
    gases.columns(
        flat["ratio"], flat["sun_zenith"], flat["view_zenith"], flat["altitude_km"], VALID_RANGES["water_vapour"][1],
        valid, tables.gases(responses, "B9"), tables.gases(responses, "B8A"), out,
    )  # fmt: skip
    return out.reshape(shape).astype(dtype)
