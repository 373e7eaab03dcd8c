"""Where the satellite flies and how it looks: the passes over a place, and the view of each detector and band."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing.bands import BANDS

#: Orbits of a cycle of ten days.
_CYCLE_ORBITS, _CYCLE_DAYS = 143, 10
#: Westward shift of the track from one orbit to the next. [deg]
_ORBIT_SHIFT = 360 * _CYCLE_DAYS / _CYCLE_ORBITS
#: Longitude where relative orbit 0 would cross the equator southwards. [deg] (from products of R051, R079, R122)
_ORBIT_ORIGIN = 193.7
_INCLINATION = math.radians(98.62)
#: Mean local solar time of the southward crossing of the equator. [h]
_LOCAL_TIME = 10.5
#: Height of the orbit, half width of the swath, width of a detector's strip. [km]
_HEIGHT, _HALF_SWATH = 786.0, 145.0
_STRIP = 2 * _HALF_SWATH / 12
#: A swath's edge is seen at 11.9 deg rather than 10.5 because the Earth is round. [-]
_CURVATURE = 1.13
#: A day on which the named satellite passed on R051, and its absolute orbit number (from real products of 31TCJ).
_PASS_R051 = {"S2A": (datetime(2024, 1, 20, tzinfo=UTC), 44807), "S2B": (datetime(2024, 3, 5, tzinfo=UTC), 36542)}
#: Bands in the order in which a detector of the forward-looking row sees a point.
_FOCAL_PLANE = ("B2", "B8", "B3", "B10", "B4", "B5", "B11", "B6", "B7", "B8A", "B12", "B1", "B9")
#: Along-track view of the first band and of the last. [deg]
_ALONG_TRACK = (0.4, 1.4)


@dataclass(frozen=True)
class Pass:
    """A satellite's passage over a place.

    Attributes
    ----------
    platform : str
    sensing : datetime
        UTC.
    orbit, relative_orbit : int
    """

    platform: str
    sensing: datetime
    orbit: int
    relative_orbit: int


def _track_longitude(relative_orbit: int, lat: float) -> float:
    """Longitude of the track of a relative orbit at a latitude, southward. [deg]"""
    east = math.degrees(math.asin(math.tan(math.radians(lat)) / -math.tan(_INCLINATION)))
    turned = lat / 360 * _ORBIT_SHIFT  # the Earth turns while the satellite goes from there to the equator
    return _ORBIT_ORIGIN - _ORBIT_SHIFT * relative_orbit + east + turned


def relative_orbits(lon: float, lat: float) -> list[int]:
    """Relative orbits whose swath covers a place, the nearest track first."""
    distance = {
        r: abs((lon - _track_longitude(r, lat) + 180) % 360 - 180) * 111.3 * math.cos(math.radians(lat))
        for r in range(1, _CYCLE_ORBITS + 1)
    }
    return sorted((r for r, d in distance.items() if d < _HALF_SWATH), key=distance.__getitem__)


def sensing_time(day: datetime, lon: float, lat: float) -> datetime:
    """The time at which Sentinel-2 passes over a place on a day, UTC."""
    solar = _LOCAL_TIME + math.degrees(math.asin(math.tan(math.radians(lat)) / -math.tan(_INCLINATION))) / 15
    midnight = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(seconds=round((solar - lon / 15) * 3600))


def pass_on(day: datetime, platform: str, relative_orbit: int, lon: float, lat: float) -> Pass:
    """The passage of a satellite on a day, whether or not it really flew there that day."""
    when = sensing_time(day, lon, lat)
    reference, orbit = _PASS_R051[platform]
    since = (when.replace(hour=0, minute=0, second=0, microsecond=0) - reference).days
    shift = relative_orbit - 51
    cycles = round((since - shift * _CYCLE_DAYS / _CYCLE_ORBITS) / _CYCLE_DAYS)
    return Pass(platform, when, orbit + cycles * _CYCLE_ORBITS + shift, relative_orbit)


def passes(start: datetime, relative_orbit: int, lon: float, lat: float) -> Iterator[Pass]:
    """The real passages of Sentinel-2A and 2B on a relative orbit, from a day on."""
    shift = round((relative_orbit - 51) * _CYCLE_DAYS / _CYCLE_ORBITS)
    day = start.astimezone(UTC)
    while True:
        for platform, (reference, _) in _PASS_R051.items():
            if (day - reference).days % _CYCLE_DAYS == shift % _CYCLE_DAYS:
                yield pass_on(day, platform, relative_orbit, lon, lat)
        day += timedelta(days=1)


@dataclass(frozen=True)
class View:
    """How the instrument sees an image from a descending pass: a plane of view directions a detector and band.

    Attributes
    ----------
    across : float
        Distance of the image's centre from the track, positive to the east. [km]
    heading : float
        Azimuth of the flight. [deg]
    width, height : float
        Of the image. [km]
    """

    across: float
    heading: float
    width: float
    height: float

    def _east(self) -> tuple[float, float]:
        h = math.radians(self.heading)
        return -math.cos(h), math.sin(h)

    def distance(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Distance from the track [km] of points at `x` eastwards and `y` southwards of the image's corner [km]."""
        east, north = self._east()
        dx, dy = np.asarray(x, float) - self.width / 2, np.asarray(y, float) - self.height / 2
        return np.asarray(self.across + dx * east - dy * north)

    def detector(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.uint8]:
        """Detector that sees a point, 1 in the west to 12 in the east."""
        strip = np.floor((self.distance(x, y) + _HALF_SWATH) / _STRIP) + 1
        return np.asarray(np.clip(strip, 1, 12), np.uint8)

    def outside(self, x: ArrayLike, y: ArrayLike, detector: int) -> NDArray[np.float64]:
        """Distance of points from the strip of a detector [km], 0 within."""
        u = self.distance(x, y) + _HALF_SWATH
        return np.maximum(np.maximum((detector - 1) * _STRIP - u, u - detector * _STRIP), 0)

    def slope(
        self, band: str, detector: int, x: ArrayLike, y: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Horizontal way to the satellite for each unit of height, eastwards and northwards. [-]"""
        first, last = _ALONG_TRACK
        along = first + (last - first) * _FOCAL_PLANE.index(band) / (len(_FOCAL_PLANE) - 1)
        # Odd and even detectors look ahead and back.
        t = math.tan(math.radians(along if detector % 2 else -along))
        east, north = self._east()
        h = math.radians(self.heading)
        u = -self.distance(x, y) * _CURVATURE / _HEIGHT
        return u * east + t * math.sin(h), u * north + t * math.cos(h)

    def angles(
        self, band: str, detector: int, x: ArrayLike, y: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """View zenith and azimuth (direction from the ground to the satellite). [deg]"""
        e, n = self.slope(band, detector, x, y)
        return np.degrees(np.arctan(np.hypot(e, n))), np.degrees(np.arctan2(e, n)) % 360


def view_of(relative_orbit: int, lon: float, lat: float, width: float, height: float) -> View:
    """The view of an image of `width` by `height` [km] around a place.

    The swath is moved by up to half a strip so that a border between two detectors crosses the image, as it does in
    almost every real tile.
    """
    across = (lon - _track_longitude(relative_orbit, lat) + 180) % 360 - 180
    across *= 111.3 * math.cos(math.radians(lat))
    border = min(max(round((across + _HALF_SWATH) / _STRIP), 1), 11) * _STRIP - _HALF_SWATH
    heading = 180 + math.degrees(math.asin(-math.cos(_INCLINATION) / math.cos(math.radians(lat))))
    heading += 3.9 * math.cos(math.radians(lat))
    return View(border + 0.15 * width, heading, width, height)


assert set(_FOCAL_PLANE) == set(BANDS)
