"""Radiative transfer in each band: reflectance at the top of the atmosphere and at the surface."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing.atmosphere import gases, scattering, tables
from processing.atmosphere.request import VALID_RANGES, Aerosol, Float, check_band, check_sensor, mixture, request


class LightPath(NamedTuple):
    """The way of the light from the sun by the target to the satellite; its fields broadcast together.

    Attributes
    ----------
    sun_zenith, view_zenith : array_like
        [deg]
    relative_azimuth : array_like
        Sun azimuth - view azimuth, 0 on the backscatter side; any angle. [deg]
    altitude_km : array_like
        Of the target. [km]
    """

    sun_zenith: ArrayLike
    view_zenith: ArrayLike
    relative_azimuth: ArrayLike
    altitude_km: ArrayLike


class Coefficients(NamedTuple):
    """One band's atmosphere: ``y = toa * scale - offset``, ``rho = y / (transmittance + albedo * y)``.

    Arrays of the shape the arguments broadcast to, NaN outside `VALID_RANGES`.
    """

    scale: Float
    offset: Float
    transmittance: Float
    albedo: Float


def coefficients(
    sensor: str,
    band: str,
    path: LightPath,
    aot550: ArrayLike,
    water_vapour: ArrayLike,
    ozone: ArrayLike,
    aerosol_model: Aerosol = "continental",
) -> Coefficients:
    """Everything the atmosphere does in one band.

    Parameters
    ----------
    sensor : str
        ``S2A``, ``S2B`` or ``S2C``.
    band : str
        Name in `processing.bands`.
    path : LightPath
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
    check_band(band)
    check_sensor(sensor)
    table = tables.scattering(sensor, band, mixture(aerosol_model))
    asked = request(**path._asdict(), aot550=aot550, water_vapour=water_vapour, ozone=ozone)
    given = asked.values
    dry, wet, half = gases.transmittances(
        asked.cells, given["water_vapour"], given["ozone"], tables.gases(sensor, band)
    )
    rayleigh, total, transmittance, albedo = scattering.terms(
        asked.cells, given["relative_azimuth"], given["aot550"], table
    )
    scale = 1 / (dry * wet)
    offset = (rayleigh + (total - rayleigh) * half) / wet
    return Coefficients(*(asked.answer(values) for values in (scale, offset, transmittance, albedo)))


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

    Arguments, errors and NaN as in `coefficients` and `LightPath`. The rest of the light is scattered on its way: it
    comes to the ground from the sky, and to the satellite from beside the target.
    """
    check_band(band)
    check_sensor(sensor)
    table = tables.scattering(sensor, band, mixture(aerosol_model))
    asked = request(sun_zenith=sun_zenith, view_zenith=view_zenith, altitude_km=altitude_km, aot550=aot550)
    cells, aot = asked.cells, asked.values["aot550"]
    down, up = (scattering.direct_share(way, cells, aot, table) for way in (cells.sun_zenith, cells.view_zenith))
    return asked.answer(down), asked.answer(up)


def surface_reflectance(  # noqa: PLR0913 - the quantities of the physics, each by its name
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

    Arguments, errors and NaN as in `coefficients` and `LightPath`; all numeric ones broadcast together.
    """
    path = LightPath(sun_zenith, view_zenith, relative_azimuth, altitude_km)
    c = coefficients(sensor, band, path, aot550, water_vapour, ozone, aerosol_model)
    y = np.asarray(toa) * c.scale - c.offset
    return np.asarray(y / (c.transmittance + c.albedo * y))


def against_aot(
    toa: ArrayLike,
    sensor: str,
    band: str,
    path: LightPath,
    water_vapour: ArrayLike,
    ozone: ArrayLike,
    aerosol_model: Aerosol = "continental",
) -> NDArray[np.float32]:
    """Surface reflectance as a function of the AOT: the tables reduced to what each cell's AOT can change.

    Arguments, errors and NaN as in `coefficients`; `toa` is the reflectance at the top of the atmosphere.

    Returns
    -------
    (..., AOT_DEGREE + 1) float32
        For each cell the polynomial in AOT, constant term first, nearest to the reflectances at the tables' nodes.
    """
    check_band(band)
    check_sensor(sensor)
    table = tables.scattering(sensor, band, mixture(aerosol_model))
    asked = request(toa=toa, **path._asdict(), water_vapour=water_vapour, ozone=ozone)
    given = asked.values
    gas = gases.transmittances(asked.cells, given["water_vapour"], given["ozone"], tables.gases(sensor, band))
    found = scattering.polynomials(given["toa"], asked.cells, given["relative_azimuth"], gas, table)
    return np.asarray(found.reshape(*asked.shape, -1), np.float32)


def toa_reflectance(  # noqa: PLR0913 - the quantities of the physics, each by its name
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
    path = LightPath(sun_zenith, view_zenith, relative_azimuth, altitude_km)
    c = coefficients(sensor, band, path, aot550, water_vapour, ozone, aerosol_model)
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
    """Transmittance of all gases, both ways, B9 and B10 included.

    Arguments, errors and NaN as in `coefficients` and `LightPath`.
    """
    check_band(band)
    check_sensor(sensor)
    asked = request(
        sun_zenith=sun_zenith, view_zenith=view_zenith, altitude_km=altitude_km, water_vapour=water_vapour, ozone=ozone
    )
    given = asked.values
    dry, wet, _ = gases.transmittances(asked.cells, given["water_vapour"], given["ozone"], tables.gases(sensor, band))
    return asked.answer(dry * wet)


def water_vapour(
    ratio_b9_b8a: ArrayLike, sensor: str, sun_zenith: ArrayLike, view_zenith: ArrayLike, altitude_km: ArrayLike
) -> Float:
    """Water vapour above the target from the ratio of the reflectances in B9 and B8A. [g cm-2]

    The surface is taken as equally bright in both bands and the aerosol as without effect: pass a ratio freed of
    what is known of either. NaN outside `VALID_RANGES`, for a ratio that is not positive, above that of a dry
    atmosphere, or below that of the largest column.
    """
    asked = request(ratio=ratio_b9_b8a, sun_zenith=sun_zenith, view_zenith=view_zenith, altitude_km=altitude_km)
    check_sensor(sensor)
    largest = VALID_RANGES["water_vapour"][1]
    found = gases.columns(
        asked.values["ratio"], asked.cells, largest, tables.gases(sensor, "B9"), tables.gases(sensor, "B8A")
    )
    return asked.answer(found)
