"""Outlines of countries and tiles in Web Mercator (EPSG:3857), projected once and kept."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from processing import outlines, tiling

#: Web Mercator ends near 85 degrees. [deg]
_MAX_LATITUDE = 85.0


@cache
def _to_mercator() -> Transformer:
    return Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)


def project(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitude and latitude [deg] to Web Mercator [m], (n, 2); rows of NaN stay."""
    lat = np.clip(points[:, 1], -_MAX_LATITUDE, _MAX_LATITUDE)
    x, y = _to_mercator().transform(points[:, 0], lat)
    projected = np.column_stack([x, y])
    projected[~np.isfinite(points).all(axis=1)] = np.nan
    return projected


def degrees(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude [deg] of a place in Web Mercator [m]."""
    lon, lat = _to_mercator().transform(x, y, direction="INVERSE")
    return float(lon), float(lat)


@cache
def countries() -> NDArray[np.float64]:
    """Outlines of the countries as one line with gaps, (n, 2). [m]"""
    return project(outlines.outlines())


@lru_cache(maxsize=20_000)
def tile(mgrs: str) -> NDArray[np.float64]:
    """Closed ring of a tile, (n, 2). [m]

    Raises
    ------
    ValueError
        If there is no such tile.
    """
    return project(tiling.footprint(mgrs))


def around(tiles: list[str], margin: float = 0.15) -> tuple[float, float, float, float]:
    """West, south, east, north that show all `tiles` with a margin of their size; the world for none. [m]"""
    if not tiles:
        return -1.2e7, -6.5e6, 1.6e7, 1.05e7
    points = np.concatenate([tile(name) for name in tiles])
    (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
    pad = margin * max(east - west, north - south, 2e5)
    return west - pad, south - pad, east + pad, north + pad
