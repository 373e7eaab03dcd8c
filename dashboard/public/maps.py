"""The map of the public pages: simplified coasts, the ground of each tile and a mark for each site; small enough for a
telephone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely

from processing import tiling
from processing.outlines import outlines

#: Width of the drawing; its coordinates are whole numbers. [px]
WIDTH = 1000
#: Coasts are drawn simpler until they fit. [characters]
COAST = 16_000
#: Around the tiles, of the larger side of what they cover. [-]
MARGIN = 0.08
#: The smallest part of the world that is shown. [deg]
SMALLEST = 12.0


@dataclass(frozen=True)
class View:
    """Part of the world; west, south, east, north in degrees."""

    west: float
    south: float
    east: float
    north: float

    @property
    def squeeze(self) -> float:
        """A degree of longitude in those of latitude, in the middle."""
        return math.cos(math.radians((self.south + self.north) / 2))

    @property
    def height(self) -> int:
        """Of the drawing. [px]"""
        return round(WIDTH * (self.north - self.south) / ((self.east - self.west) * self.squeeze))

    def place(self, lon: float, lat: float) -> tuple[int, int]:
        """Where a place lies in the drawing. [px]"""
        scale = WIDTH / (self.east - self.west)
        return round((lon - self.west) * scale), round((self.north - lat) * scale / self.squeeze)


#: What is shown before there is any tile.
WORLD = View(-180, -58, 180, 80)


@lru_cache(maxsize=4096)
def centre(tile: str) -> tuple[float, float]:
    """Longitude and latitude of the middle of a tile. [deg]"""
    lon, lat = tiling.footprint(tile).mean(axis=0)
    return float(lon), float(lat)


def middle(tiles: Sequence[str]) -> tuple[float, float]:
    """Longitude and latitude of the tile that lies most in the middle of some. [deg]"""
    places = np.array([centre(tile) for tile in tiles])
    nearest = np.linalg.norm(places - np.median(places, axis=0), axis=1).argmin()
    return float(places[nearest, 0]), float(places[nearest, 1])


def view(tiles: Iterable[str]) -> View:
    """The part of the world that holds some tiles, between 0.4 and 0.75 times as high as wide."""
    places = np.array([centre(tile) for tile in tiles if tiling.valid(tile)])
    if not len(places):
        return WORLD
    (west, south), (east, north) = places.min(axis=0), places.max(axis=0)
    margin = max(MARGIN * max(east - west, north - south), 1.0)
    wide, high = max(east - west + 2 * margin, SMALLEST), max(north - south + 2 * margin, SMALLEST / 2)
    lon, lat = (west + east) / 2, (south + north) / 2
    squeeze = math.cos(math.radians(lat))
    high = max(high, 0.4 * wide * squeeze)
    wide = min(max(wide, high / 0.75 / squeeze), 360)
    lat = min(max(lat, -85 + high / 2), 85 - high / 2) if high < 170 else 0
    return View(*(round(float(v), 1) for v in (lon - wide / 2, lat - high / 2, lon + wide / 2, lat + high / 2)))


@lru_cache(maxsize=8192)
def patch(of: View, tile: str) -> str:
    """The ground of a tile as the data of an SVG path: its upright rectangle, a pixel high and wide at least."""
    ring = tiling.footprint(tile)
    (left, top), (right, bottom) = (
        of.place(ring[:, 0].min(), ring[:, 1].max()),
        of.place(ring[:, 0].max(), ring[:, 1].min()),
    )
    wide, high = max(right - left, 1), max(bottom - top, 1)
    return f"M{left} {top}h{wide}v{high}h-{wide}z"


@lru_cache(maxsize=8)
def coast(of: View) -> str:
    """Land as the data of an SVG path."""
    tolerance = (of.east - of.west) / WIDTH
    while True:
        path = _path(of, tolerance)
        if len(path) <= COAST:
            return path
        tolerance *= 1.3


def _path(of: View, tolerance: float) -> str:
    """Land in which no detail is smaller than `tolerance` [deg]."""
    parts = []
    for polygon in _land():
        for turn in (0, -360, 360):
            moved = shapely.transform(polygon, lambda points, turn=turn: points + (turn, 0)) if turn else polygon
            seen = shapely.clip_by_rect(moved, of.west, of.south, of.east, of.north)
            if seen.is_empty or seen.area < 9 * tolerance**2:
                continue
            for part in getattr(seen.simplify(tolerance), "geoms", [seen.simplify(tolerance)]):
                parts.append(_ring(of, np.asarray(part.exterior.coords)))
    return "".join(parts)


@lru_cache
def _land() -> tuple[shapely.Polygon, ...]:
    points = outlines()
    cuts = np.flatnonzero(np.isnan(points[:, 0]))
    rings = [ring[~np.isnan(ring[:, 0])] for ring in np.split(points, cuts)]
    polygons = [shapely.Polygon(ring) for ring in rings if len(ring) >= 4]
    merged = shapely.union_all([p if p.is_valid else p.buffer(0) for p in polygons])
    return tuple(merged.geoms) if hasattr(merged, "geoms") else (merged,)


def _ring(of: View, points: np.ndarray) -> str:
    """A closed line, each point as its step from the one before."""
    steps, before = [], None
    for lon, lat in points:
        here = of.place(lon, lat)
        if before is None:
            steps.append(f"M{here[0]} {here[1]}l")
        elif here != before:
            dx, dy = here[0] - before[0], here[1] - before[1]
            steps.append(f"{dx}{'' if dy < 0 else ' '}{dy} ")
        before = here
    return "".join(steps).rstrip() + "z" if len(steps) > 3 else ""
