"""Where a Sentinel-2 tile lies: the Military Grid Reference System's 100 km squares, grown to 109.8 km.

A tile id names a UTM zone, a latitude band and a 100 km square, ``31TCJ``. The image begins at the square's
north-west corner, moved outwards to a multiple of 60 m (counted from the equator) so that the pixels of all bands
share it, and is 109.8 km wide and high: it covers about 10 km of its eastern and southern neighbours. No list of tiles
is needed.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from processing.scene import Grid

#: Width and height of a tile. [m]
SIZE = 109_800
#: Side of an MGRS square, and height of the cycle of row letters. [m]
_SQUARE, _CYCLE = 100_000, 2_000_000
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_ID = re.compile(rf"([0-9]{{2}})([{_BANDS}])([A-HJ-NP-Z])([{_ROWS}])")
#: Length of a degree of latitude, good enough to tell apart squares that are 2000 km from each other. [m]
_DEGREE = 110_900
#: A square may lie in a band or zone by so little that its name is a matter of rounding. [deg]
_TOLERANCE = 0.05


@lru_cache(maxsize=128)
def _to_degrees(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _zone_limits(zone: int, band: str) -> tuple[float, float]:
    """Longitudes of a zone in a latitude band [deg], with the exceptions of Norway and Svalbard."""
    exceptions = {
        (31, "V"): (0, 3),
        (32, "V"): (3, 12),
        (31, "X"): (0, 9),
        (33, "X"): (9, 21),
        (35, "X"): (21, 33),
        (37, "X"): (33, 42),
    }
    if (zone, band) in exceptions:
        return exceptions[zone, band]
    if band == "X" and zone in (32, 34, 36):
        raise ValueError(f"zone {zone} does not exist in latitude band X")
    return 6 * zone - 186, 6 * zone - 180


@lru_cache(maxsize=4096)
def grid(tile: str) -> Grid:
    """The grid of a whole tile.

    Where the border of two latitude bands crosses a square, both letters name the same grid (Orléans: ``31UDP`` is
    the tile, ``31TDP`` its name after the rule).

    Parameters
    ----------
    tile : str
        MGRS id without the T, ``31TCJ``.

    Raises
    ------
    ValueError
        If there is no such tile.
    """
    match = _ID.fullmatch(tile)
    if not match:
        raise ValueError(f"{tile!r} is not a tile id such as 31TCJ")
    zone, band, column, row = int(match[1]), match[2], match[3], match[4]
    if not 1 <= zone <= 60:
        raise ValueError(f"tile {tile}: no UTM zone {zone}")
    columns = _COLUMNS[(zone - 1) % 3]
    if column not in columns:
        raise ValueError(f"tile {tile}: zone {zone} has the columns {columns}, not {column}")
    north = _BANDS.index(band) >= _BANDS.index("N")
    origin = 0 if north else 10_000_000
    bottom = -80 + 8 * _BANDS.index(band)
    top = 84 if band == "X" else bottom + 8
    west = (columns.index(column) + 1) * _SQUARE
    # Row letters start at F in even zones; of the squares with this letter the one nearest to the band is meant.
    south = ((_ROWS.index(row) - (5 if zone % 2 == 0 else 0)) % 20) * _SQUARE
    middle = origin + _DEGREE * (bottom + top) / 2
    south += _CYCLE * round((middle - south - _SQUARE / 2) / _CYCLE)
    crs = f"EPSG:{326 if north else 327}{zone:02d}"
    try:
        limits = _zone_limits(zone, band)
    except ValueError as fault:
        raise ValueError(f"tile {tile}: {fault}") from None
    lon, lat = _edges(crs, west, south, _SQUARE, 10)
    if lat.max() < bottom - _TOLERANCE or lat.min() > top + _TOLERANCE:
        raise ValueError(f"tile {tile}: the square lies outside of latitude band {band}")
    offset = (lon - sum(limits) / 2 + 180) % 360 - 180
    half = (limits[1] - limits[0]) / 2 + _TOLERANCE
    if offset.max() < -half or offset.min() > half:
        raise ValueError(f"tile {tile}: the square lies outside of zone {zone}")
    # The lattice of 60 m begins at the equator in both hemispheres.
    lattice_north = math.ceil((south + _SQUARE - origin) / 60) * 60 + origin
    return Grid(crs, math.floor(west / 60) * 60.0, float(lattice_north), SIZE, SIZE)


def valid(tile: str) -> bool:
    """Whether `tile` names a tile."""
    try:
        grid(tile)
    except ValueError:
        return False
    return True


def between(west: float, south: float, east: float, north: float) -> list[str]:
    """Tiles whose outline may touch a box of longitudes and latitudes [deg]; `east` below `west`: across the
    antimeridian. Where two latitude bands share a square, under the name of the band that its middle lies in.
    """
    span = (east - west) % 360 if east != west and (east - west) % 360 else (360.0 if east - west >= 360 else 0.0)
    zones = {int(((west + step) // 6 + 30) % 60) + 1 for step in np.arange(-6.0, span + 9.0, 3.0)}
    rows = range(max(int((south - 9) // 8) + 10, 0), min(int((north + 9) // 8) + 10, len(_BANDS) - 1) + 1)
    found = []
    for zone in sorted(zones):
        for band in (_BANDS[row] for row in rows):
            for column in _COLUMNS[(zone - 1) % 3]:
                found += [t for row in _ROWS if _is_main(t := f"{zone:02d}{band}{column}{row}", south, north)]
    return found


@lru_cache(maxsize=65_536)
def _middle(tile: str) -> float | None:
    """Latitude of the middle of a tile's square [deg]; None where there is no such tile."""
    try:
        outline = grid(tile)
    except ValueError:
        return None
    x, y = outline.west + _SQUARE / 2, outline.north - _SQUARE / 2
    return float(_to_degrees(outline.crs).transform(x, y)[1])


def _is_main(tile: str, south: float, north: float) -> bool:
    middle = _middle(tile)
    if middle is None or not south - 1.2 <= middle <= north + 1.2:
        return False
    band = min(int((middle + 80) // 8), len(_BANDS) - 1)
    return _BANDS[band] == tile[2]


def _edges(
    crs: str, west: float, south: float, size: float, steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes of a closed ring around a square, `steps` points a side, clockwise from north-west."""
    t = np.arange(steps) / steps
    x = west + size * np.concatenate([t, np.ones(steps), 1 - t, np.zeros(steps), [0.0]])
    y = south + size * np.concatenate([np.ones(steps), 1 - t, np.zeros(steps), t, [1.0]])
    lon, lat = _to_degrees(crs).transform(x, y)
    return np.asarray(lon), np.asarray(lat)


@lru_cache(maxsize=4096)
def _footprint(tile: str, steps: int) -> NDArray[np.float64]:
    g = grid(tile)
    lon, lat = _edges(g.crs, g.west, g.south, SIZE, steps)
    lon = np.unwrap(lon, period=360)
    lon -= 360 * np.floor((lon.mean() + 180) / 360)
    ring = np.stack([lon, lat], axis=1)
    ring.setflags(write=False)
    return ring


def footprint(tile: str, steps: int = 4) -> NDArray[np.float64]:
    """The outline of a tile on the globe.

    Parameters
    ----------
    tile : str
    steps : int
        Points a side; the sides are straight in the tile's projection and bend a little in degrees.

    Returns
    -------
    (4 * steps + 1, 2) float64
        Closed ring of longitude and latitude, from the north-west corner clockwise. [deg] Longitudes are continuous:
        a tile across the antimeridian reaches beyond -180 or 180, its centre never does. Read-only.

    Raises
    ------
    ValueError
        If there is no such tile.
    """
    return _footprint(tile, steps)
