"""The place of a series: what all of its dates have in common."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from processing.scene import Grid
from processing.simulation.ground import Ground
from processing.simulation.noise import Field
from processing.simulation.scenario import Series, recipe

#: Ground repeats after this many pixels at 10 m, so that a whole tile fits in memory.
PERIOD = 2196


class Block(NamedTuple):
    """Some pixels of an image, at 10 m."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]


class Place:
    """What the dates of a series have in common.

    Attributes
    ----------
    tile : str
    grid : Grid
        Of the image.
    size : int
        Rows and columns at 10 m.
    scenario : Scenario
    seed : list of int
    period : int
        Rows and columns after which the ground repeats.
    ground : Ground
    to_degrees : Transformer
        From the grid to longitude and latitude.
    lon, lat : float
        Of the image's middle. [deg]
    km : float
        Side of the image. [km]
    """

    def __init__(self, series: Series, grid: Grid) -> None:
        self.tile, self.grid, self.size = series.tile, grid, series.size
        self.scenario = series.scenario or recipe(series.tile)
        self.seed = [series.seed, *series.tile.encode()]
        self.period = min(self.size, PERIOD)
        self.ground = Ground(self.scenario, self.period, int(np.random.default_rng(self.seed).integers(2**31)))
        self.to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        self.lon, self.lat = self.to_degrees.transform(grid.west + grid.width / 2, grid.north - grid.height / 2)
        self.km = 10 * self.size / 1000

    def of_ground(self, values: NDArray[Any], block: Block) -> NDArray[Any]:
        """A block of an image of the ground, which repeats."""
        return values[block.rows % self.period][:, block.cols % self.period]

    def altitude(self, block: Block) -> Field:
        """Height of a block at 10 m above the altitude of the scenario. [m]"""
        if not self.scenario.mountains:
            return np.broadcast_to(np.float32(0), (len(block.rows), len(block.cols)))
        return self.of_ground(self.ground.altitude, block)

    @cached_property
    def _smooth(self) -> Field:
        """Altitude for what air lies above. [m]"""
        return np.asarray(cv2.blur(self.ground.altitude, (61, 61)), np.float32)

    def around(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean height above the altitude of the scenario around points `x` eastwards and `y` southwards [km]. [m]"""
        if not self.scenario.mountains:
            return np.zeros(np.shape(x))
        r, c = (np.minimum((100 * v).astype(int), self.size - 1) % self.period for v in (y, x))
        return np.asarray(self._smooth[r, c], float)
