"""Where the sun stands, and how its light comes to the ground of a simulated scene."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray


def position(when: datetime, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Zenith and azimuth of the sun.

    Parameters
    ----------
    when : datetime
        With its time zone.
    lon, lat : array
        [deg]

    Returns
    -------
    zenith, azimuth : arrays
        [deg], azimuth from north over east; good to about 0.02 deg.

    References
    ----------
    Astronomical Almanac, low-precision formulas for the Sun (section C), valid 1950-2050.
    """
    days = (when.astimezone(UTC) - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    anomaly = math.radians(357.528 + 0.9856003 * days)
    longitude = math.radians(280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    obliquity = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    declination = math.asin(math.sin(obliquity) * math.sin(longitude))
    sidereal = 280.46062 + 360.98564737 * days
    hour = np.radians(sidereal + np.asarray(lon, float)) - ascension
    phi = np.radians(np.asarray(lat, float))
    cosine = np.sin(phi) * math.sin(declination) + np.cos(phi) * math.cos(declination) * np.cos(hour)
    azimuth = np.arctan2(-np.sin(hour), math.tan(declination) * np.cos(phi) - np.sin(phi) * np.cos(hour))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.degrees(azimuth) % 360


def glint(wind: float, sun: tuple[float, float], view: tuple[float, float]) -> float:
    """Reflectance of a rough sea in all directions of the wind. [-]

    Parameters
    ----------
    wind : float
        [m s-1]
    sun, view : (float, float)
        Zenith and azimuth. [deg]

    References
    ----------
    Cox and Munk, "Measurement of the roughness of the sea surface from photographs of the sun's glitter", Journal of
    the Optical Society of America 44, 1954.
    """
    (ts, ps), (tv, pv) = ([math.radians(a) for a in direction] for direction in (sun, view))
    half = math.acos(math.cos(ts) * math.cos(tv) + math.sin(ts) * math.sin(tv) * math.cos(ps - pv)) / 2
    tilt = math.acos(min((math.cos(ts) + math.cos(tv)) / (2 * math.cos(half)), 1.0))
    variance = 0.003 + 0.00512 * wind
    slopes = math.exp(-(math.tan(tilt) ** 2) / variance) / (math.pi * variance)
    mirror = 0.02 + 0.98 * (1 - math.cos(half)) ** 5  # of water, refractive index 1.33
    return math.pi * slopes * mirror / (4 * math.cos(ts) * math.cos(tv) * math.cos(tilt) ** 4)


def distance_factor(when: datetime) -> float:
    """1 / d^2 with the distance d of the sun in astronomical units (U of the Level-1C)."""
    days = (when.astimezone(UTC) - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    g = math.radians(357.528 + 0.9856003 * days)
    return (1.00014 - 0.01671 * math.cos(g) - 0.00014 * math.cos(2 * g)) ** -2


def diffuse_share(wavelength: float, aot: float, sun_zenith: float) -> float:
    """Share of the light on the ground that comes from the sky. [-]

    Parameters
    ----------
    wavelength : float
        [nm]
    aot : float
        At 550 nm, with an Angstrom exponent of 1.3.
    sun_zenith : float
        [deg]

    References
    ----------
    Optical thickness of the molecules: Hansen and Travis, Space Science Reviews 16, 1974, eq. 2.30. Half of what they
    scatter, and five sixths of what aerosol scatters, goes on downwards.
    """
    um = wavelength / 1000
    rayleigh = 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4)
    aerosol = aot * (um / 0.55) ** -1.3
    airmass = 1 / math.cos(math.radians(sun_zenith))
    return 1 - math.exp(-(0.5 * rayleigh + 5 / 6 * aerosol) * airmass)
