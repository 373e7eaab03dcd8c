"""What the metadata of a Level-1C can say, each number within limits that have a reason.

They are wide: what lies outside was damaged or is of no Sentinel-2, and would otherwise make wrong reflectances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.scene import Angles


class Limit(NamedTuple):
    """Least and greatest value, and why."""

    least: float
    greatest: float
    reason: str


#: By the name of the element, or of what is made of several.
LIMITS: Mapping[str, Limit] = {
    "QUANTIFICATION_VALUE": Limit(1000, 10_000, "10000 in all products at hand, with room for a coarser scale"),
    "RADIO_ADD_OFFSET": Limit(-5000, 0, "-1000 in all products at hand; bands may get offsets of their own"),
    "SOLAR_IRRADIANCE": Limit(50, 2500, "85 W m-2 um-1 in B12 to 1960 in B2"),
    "PHYSICAL_GAINS": Limit(0.5, 1000, "3.7 to 109 in the products of 2016 to 2024"),
    "U": Limit(0.96, 1.04, "the eccentricity of the Earth's orbit makes 0.967 to 1.035"),
    "SPECIAL_VALUE_INDEX": Limit(0, 65_535, "the counts have 16 bits"),
    "ULX": Limit(0, 1_000_000, "the eastings of a UTM zone [m]"),
    "ULY": Limit(-1_000_000, 11_000_000, "the northings of a UTM zone, false or not [m]"),
    "COL_STEP": Limit(1000, 10_000, "5000 m in all products at hand"),
    "NROWS": Limit(1, 10_980, "a tile has 10980 rows of 10 m"),
    "NCOLS": Limit(1, 10_980, "a tile has 10980 columns of 10 m"),
    "sun zenith": Limit(0, 90, "there is no image by night [deg]"),
    "view zenith": Limit(0, 20, "the swath of 290 km from 786 km ends at 12 [deg]"),
    "azimuth": Limit(-360, 360, "a turn [deg]"),
    "sun between nodes": Limit(0, 0.01, "5 km turn the direction to the sun by 0.0008"),
    "view between nodes": Limit(0, 0.03, "5 km seen from 786 km make 0.0064, real grids up to 0.0069"),
    "mean sun": Limit(0, 0.05, "the mean of a grid; real products differ by 0.0003 from that of its nodes"),
    "mean view": Limit(0, 0.15, "the mean of what was seen; real products differ by 0.06 from that of the nodes"),
    "hours from datatake to sensing": Limit(-1, 1, "a datatake is at most half an orbit of 100 minutes long"),
}
#: No Sentinel-2 flew before, and none that this program knows will fly after: such a time is an error of the file.
FIRST_YEAR, LAST_YEAR = 2015, 2060
#: Nodes on a side of an angle grid, at most: a tile has 23 of 5 km, and would have 110 of 1 km.
NODES = 110


#: How far the factor of the metadata may be from the formula; real products differ by 0.002.
DISTANCE_TOLERANCE = 0.006


def sun_distance_factor(when: datetime) -> float:
    """Square of the mean distance of the Earth from the sun over that of a day (`U` of the metadata). [-]

    References
    ----------
    Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, annex on the conversion of reflectance.
    """
    day = when.timetuple().tm_yday
    return 1 / (1 - 0.01673 * math.cos(math.radians(0.9856 * (day - 4)))) ** 2


def fault_of_time(name: str, time: datetime) -> str | None:
    """What is wrong with a time of sensing, in words; None if a Sentinel-2 may have flown then."""
    return None if FIRST_YEAR <= time.year <= LAST_YEAR else f"{name} is {time.isoformat()}: no Sentinel-2 flew then"


def fault(name: str, value: float) -> str | None:
    """What is wrong with a value, in words; None if it is plausible."""
    limit = LIMITS.get(name)
    if limit is None or limit.least <= value <= limit.greatest:
        return None
    return f"{name} is {value:.6g}, plausible are {limit.least:g} to {limit.greatest:g} ({limit.reason})"


def grid_fault(kind: str, zenith: NDArray[np.floating], azimuth: NDArray[np.floating]) -> str | None:
    """The same of the angles of the ``sun`` or a ``view`` on a grid (row, col), NaN where there are none. [deg]"""
    for name, values in ((f"{kind} zenith", zenith), ("azimuth", azimuth)):
        for value in (np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)):
            if text := fault(name, float(value)):
                return text
    towards = direction(kind, zenith, azimuth)
    for axis in (1, 2):
        step = np.abs(np.diff(towards, axis=axis))
        largest = float(np.nanmax(step, initial=0.0))
        if text := fault(f"{kind} between nodes", largest):
            return text
    return None


def mean_fault(kind: str, mean: tuple[float, float], towards: NDArray[np.floating]) -> str | None:
    """The same of a mean direction, against those of nodes ``(2 or 3, node)``; nothing is known without a node."""
    for name, value in ((f"{kind} zenith", mean[0]), ("azimuth", mean[1])):
        if text := fault(name, value):
            return text
    seen = towards[:, np.isfinite(towards).all(axis=0)]
    if not seen.size:
        return None
    apart = np.abs(direction(kind, np.array(mean[0]), np.array(mean[1])) - seen.mean(axis=1)).max()
    return fault(f"mean {kind}", float(apart))


def means_fault(
    mean_sun: tuple[float, float], mean_view: Mapping[str, tuple[float, float]], angles: Angles
) -> str | None:
    """The same of means, of the sun and of the views by band, against the grids of `angles`."""
    sun = direction("sun", angles.sun_zenith, angles.sun_azimuth)
    if text := mean_fault("sun", mean_sun, sun.reshape(len(sun), -1)):
        return text
    for band, mean in mean_view.items():
        zenith, azimuth = angles.view_zenith[band], angles.view_azimuth[band]
        views = [direction("view", zenith[d], azimuth[d]).reshape(2, -1) for d in sorted(zenith)]
        if text := mean_fault("view", mean, np.concatenate(views, axis=1) if views else np.empty((2, 0))):
            return text
    return None


def angles_fault(angles: Angles) -> str | None:
    """The same of all angles of a granule."""
    if text := grid_fault("sun", angles.sun_zenith, angles.sun_azimuth):
        return text
    for band, grids in angles.view_zenith.items():
        for detector, zenith in grids.items():
            if text := grid_fault("view", zenith, angles.view_azimuth[band][detector]):
                return f"{text}, of {band} and detector {detector}"
    return means_fault(angles.mean_sun, angles.mean_view, angles)


def direction(kind: str, zenith: NDArray[np.floating], azimuth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Angles as vectors that do not jump at the north: of unit length for the sun, of tan(zenith) for a view."""
    down, round_ = np.radians(zenith, dtype=np.float64), np.radians(azimuth, dtype=np.float64)
    if kind == "sun":
        return np.stack([np.sin(down) * np.sin(round_), np.sin(down) * np.cos(round_), np.cos(down)])
    return np.stack([np.tan(down) * np.sin(round_), np.tan(down) * np.cos(round_)])
