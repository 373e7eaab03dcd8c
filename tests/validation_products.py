"""Small products with known masks, aerosol and reflectance, for the tests of validation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from processing import product
from processing.bands import BANDS, DISTRIBUTED
from processing.scene import Grid
from tests import product_scenes as scenes

PIXELS = 144
GRID: Grid = scenes.grid(PIXELS)
#: Of the acquisition, whatever its version.
IMAGE = "SENTINEL2A_20190516-105713-915_L2A_T31UER"


def write(
    folder: Path, *, version: str = "V1_4", aot: int = 40, reflectance: int = 1000, days: int = 0, **masks: Any
) -> Path:
    """A product of constant reflectance and AOT [counts], so many days later, clear but for `masks` given at 20 m."""

    def raster(name: str, value: Any = 0) -> dict[str, NDArray[np.uint8]]:
        at_20 = np.broadcast_to(np.asarray(masks.get(name, value), np.uint8), GRID.shape(20)).copy()
        return {"R1": at_20.repeat(2, 0).repeat(2, 1), "R2": at_20}

    scene = scenes.scene(PIXELS)
    scene = replace(scene, sensing=scene.sensing + timedelta(days=days))
    counts = {band: np.full(GRID.shape(BANDS[band].resolution), reflectance, np.int16) for band in DISTRIBUTED}
    level = replace(
        scenes.l2a(scene, absent=frozenset({"FRE"})),
        version=version,
        surface_reflectance=counts,
        atmosphere={
            g: np.stack([np.full(GRID.shape(r), 30, np.uint8), np.full(GRID.shape(r), aot, np.uint8)])
            for g, r in (("R1", 10), ("R2", 20))
        },
        cloud=raster("cloud"),
        geophysical=raster("geophysical"),
        edge=raster("edge"),
        saturation=raster("saturation"),
        interpolated=raster("interpolated"),
        defective=raster("defective"),
    )
    return product.write(level, scene, folder, produced=scenes.PRODUCED)


def raster(path: Path, values: NDArray[Any], *, resolution: float = 20, grid: Grid = GRID, **profile: Any) -> Path:
    """A GeoTIFF over the grid of the products; (row, col) or (band, row, col)."""
    bands = values[np.newaxis] if values.ndim == 2 else values
    names = profile.pop("descriptions", None)
    settings = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "crs": grid.crs,
        "transform": Affine(resolution, 0, grid.west, 0, -resolution, grid.north),
    }
    with rasterio.open(path, "w", **(settings | profile)) as dataset:
        dataset.write(bands)
        if names:
            dataset.descriptions = names
    return path
