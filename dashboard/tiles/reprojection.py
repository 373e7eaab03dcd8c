"""Layers of a product in Web Mercator's usual lattice (EPSG:3857, XYZ), for GIS and web maps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from dashboard.rasters import opened
from dashboard.tiles.drawing import drawn
from dashboard.tiles.layers import LAYERS
from dashboard.tiles.styles import DEFAULT, Style

#: Last level that is served.
MERCATOR_LAST = 18
#: Radius of the projection's sphere, and half of the side of its square. [m]
RADIUS = 6378137
HALF = math.pi * RADIUS


def mercator(folder: Path, name: str, z: int, x: int, y: int, style: Style = DEFAULT) -> bytes | None:
    """One PNG of 256 x 256 in Web Mercator's usual lattice (EPSG:3857, XYZ), for GIS and web maps; else as `tile`."""
    layer = LAYERS[name]
    resolution = 2 * HALF / (256 * 2**z)
    place = Affine(resolution, 0, x * 256 * resolution - HALF, 0, -resolution, HALF - y * 256 * resolution)

    def read(path: Path, fill: int) -> NDArray[Any] | None:
        raster = opened(path)
        west, south, east, north = transform_bounds(raster.crs, "EPSG:3857", *raster.bounds)
        left, top = place.c, place.f
        right, bottom = left + 256 * resolution, top - 256 * resolution
        if left >= east or right <= west or bottom >= north or top <= south:
            return None
        ground = resolution / math.cosh((south + north) / 2 / RADIUS)  # the projection stretches by 1 / cos(latitude)
        level = sum(factor * raster.res[0] <= ground for factor in raster.overviews(layer.band)) - 1
        with WarpedVRT(
            opened(path, level),
            crs="EPSG:3857",
            transform=place,
            width=256,
            height=256,
            nodata=fill,
            src_nodata=fill,
            resampling=Resampling.nearest if layer.mask else Resampling.bilinear,
        ) as warped:
            return warped.read(layer.band)

    return drawn(folder, name, style, None, read)
