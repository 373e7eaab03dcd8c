"""What the terrain hides: from the sun (cast shadow) and from the satellite, by rays against the terrain model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.chain.geometry import TERRAIN_BAND, Geometry, direction
from processing.chain.steps import step
from processing.kernels import kernel
from processing.versions import Parameters

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Relief:
    """The terrain as a scene's light meets it, on the coarse grid; flat and open without a terrain model.

    Attributes
    ----------
    slope : (row, col) float32
        Angle of the ground to the horizontal. [rad]
    cos_incidence : (row, col) float32
        Cosine of the sun's angle to the slope. [-]
    shadow, hidden : (row, col) bool
        Behind other ground as seen from the sun, and from the satellite.
    """

    slope: Field
    cos_incidence: Field
    shadow: NDArray[np.bool_]
    hidden: NDArray[np.bool_]


@kernel()
def _behind(
    altitude: NDArray[np.float64],
    highest: float,
    toward: NDArray[np.float64],
    resolution: float,
    nearest: float,
    out: NDArray[np.bool_],
) -> None:
    """A ray leaves each cell for the light and goes on, a cell at a time, until it is above all ground."""
    rows, cols = altitude.shape
    for row in range(rows):
        for col in range(cols):
            up, east, north = toward[0, row, col], toward[1, row, col], toward[2, row, col]
            across = math.hypot(east, north)
            if not across > 0:
                continue
            rise = up / across * resolution  # of the ray over one cell [m]
            down, right = -north / across, east / across
            distance = nearest / resolution
            while True:
                height = altitude[row, col] + distance * rise
                r, c = row + distance * down, col + distance * right
                if height >= highest or r < -0.5 or c < -0.5 or r > rows - 0.5 or c > cols - 0.5:
                    break
                r, c = min(max(r, 0.0), rows - 1.0), min(max(c, 0.0), cols - 1.0)
                i, j = min(int(r), rows - 2), min(int(c), cols - 2)
                v, h = r - i, c - j
                above = altitude[i, j] * (1 - h) + altitude[i, j + 1] * h
                below = altitude[i + 1, j] * (1 - h) + altitude[i + 1, j + 1] * h
                if above * (1 - v) + below * v > height:
                    out[row, col] = True
                    break
                distance += 0.5


def behind(altitude: Field, toward: Field, parameters: Parameters) -> NDArray[np.bool_]:
    """Cells from which a ray does not get free.

    Parameters
    ----------
    altitude : (row, col) float32
        On the coarse grid, at least 2 x 2 cells, no NaN. [m]
    toward : (3, row, col) float32
        To the sun or to the satellite: `geometry.direction`.

    Returns
    -------
    (row, col) bool
        Where the ground rises above the ray farther than the version's `terrain_min_distance`: nearer, it is the
        slope itself. Beyond the image nothing is known to stand in the way.
    """
    out = np.zeros(altitude.shape, np.bool_)
    resolution, nearest = float(parameters.coarse_resolution), parameters.terrain_min_distance
    _behind(altitude.astype(np.float64), float(altitude.max()), toward.astype(np.float64), resolution, nearest, out)
    return out


@step
def detect(altitude: Field, terrain: bool, angles: Geometry, parameters: Parameters) -> Relief:
    """Slopes, cast shadows and hidden ground of a scene.

    Parameters
    ----------
    altitude : (row, col) float32
        On the coarse grid. [m]
    terrain : bool
        Whether it is that of a terrain model.
    """
    resolution = parameters.coarse_resolution
    sun = direction(angles.sun_zenith, angles.sun_azimuth)
    if not terrain or min(altitude.shape) < 2:
        nowhere = np.zeros(altitude.shape, np.bool_)
        return Relief(np.zeros(altitude.shape, np.float32), sun[0], nowhere, nowhere)
    south, east = np.gradient(altitude, resolution)
    steepness = np.hypot(south, east)
    cos_incidence = (sun[0] - east * sun[1] + south * sun[2]) / np.hypot(1, steepness)
    view = direction(angles.view_zenith[TERRAIN_BAND], angles.view_azimuth[TERRAIN_BAND])
    return Relief(
        np.arctan(steepness).astype(np.float32),
        cos_incidence.astype(np.float32),
        behind(altitude, sun, parameters),
        behind(altitude, view, parameters),
    )
