"""The angles in the metadata of a simulated Level-1C."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from processing.bands import BANDS
from processing.scene import Angles
from processing.simulation import sunlight
from processing.simulation.orbit import View
from processing.simulation.place import Place

#: Nodes of the angle grids of a Level-1C and their distance. [m]
NODES, STEP = 23, 5000.0


def grids(place: Place, sensing: datetime, view: View) -> Angles:
    """The angle grids as a Level-1C has them: a detector is known on its strip and a node around it."""
    g = place.grid
    y, x = np.meshgrid(np.arange(NODES) * STEP / 1000, np.arange(NODES) * STEP / 1000, indexing="ij")
    lon, lat = place.to_degrees.transform(g.west + 1000 * x, g.north - 1000 * y)
    sun_zenith, sun_azimuth = sunlight.position(sensing, lon, lat)
    pixels = (np.linspace(0, place.km, 61)[:-1] + place.km / 120).reshape(1, -1)
    detector_map = view.detector(pixels, pixels.T)
    zeniths: dict[str, dict[int, NDArray[np.float32]]] = {}
    azimuths: dict[str, dict[int, NDArray[np.float32]]] = {}
    means = {}
    for band in BANDS:
        zeniths[band], azimuths[band] = {}, {}
        inside = []
        for detector in np.unique(detector_map).tolist():
            near = view.outside(x, y, detector) <= 1.5 * STEP / 1000
            zenith, azimuth = view.angles(band, detector, x, y)
            zeniths[band][detector] = np.where(near, zenith, np.nan).astype(np.float32)
            azimuths[band][detector] = np.where(near, azimuth, np.nan).astype(np.float32)
            here = np.nonzero(detector_map == detector)
            inside.append(view.angles(band, detector, pixels[0, here[1]], pixels[0, here[0]]))
        means[band] = _mean_direction(*(np.concatenate(v) for v in zip(*inside, strict=True)))
    middle = sunlight.position(sensing, place.lon, place.lat)
    return Angles(
        west=g.west,
        north=g.north,
        step=STEP,
        sun_zenith=sun_zenith.astype(np.float32),
        sun_azimuth=sun_azimuth.astype(np.float32),
        view_zenith=zeniths,
        view_azimuth=azimuths,
        mean_sun=(float(middle[0]), float(middle[1])),
        mean_view=means,
    )


def _mean_direction(zenith: NDArray[np.float64], azimuth: NDArray[np.float64]) -> tuple[float, float]:
    """Mean zenith and azimuth of the finite ones of some directions. [deg]"""
    ok = np.isfinite(zenith)
    z, a = np.radians(zenith[ok]), np.radians(azimuth[ok])
    east, north = np.mean(np.tan(z) * np.sin(a)), np.mean(np.tan(z) * np.cos(a))
    return float(np.degrees(np.mean(z))), float(np.degrees(np.arctan2(east, north)) % 360)
