"""Copernicus's terrain model GLO-30 from its public bucket, cell by cell of a degree, each fetched once.

Cells of the sea have no file there, and a few countries' are not released at 30 m: those are taken from GLO-90, and
what is in neither is sea. The bucket's names and layout: https://copernicus-dem-30m.s3.amazonaws.com/readme.html
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rasterio.warp import transform_bounds

from processing.errors import Unreachable
from processing.scene import Grid

log = logging.getLogger(__name__)

#: What stands for this model where a path of a terrain model is asked for.
NAME = Path("glo30")
#: Address of the bucket, with {} for 30 or 90; `MUSCATE_GLO30_URL` names another one of the same layout.
URL = "https://copernicus-dem-{}m.s3.amazonaws.com"
#: Arc seconds in the files' names, times ten, by metres.
SPACING = {30: 10, 90: 30}
#: So much around a tile is needed to interpolate. [deg]
MARGIN = 0.002
#: Longest silence of the bucket. [s]
TIMEOUT = 60.0


class Cells(NamedTuple):
    """The cells under a tile.

    Attributes
    ----------
    paths : list of Path
        Terrain models, those of land first.
    note : str
        Which model they are, and what is coarser or sea.
    """

    paths: list[Path]
    note: str


def fetch(grid: Grid, folder: Path | None) -> Cells:
    """The cells under a tile, fetched where they are not in the folder yet.

    Parameters
    ----------
    grid : Grid
    folder : Path, optional
        Where cells are kept; None: ``muscate`` in the user's cache.

    Raises
    ------
    Unreachable
        If the bucket does not answer, or a cell that it has does not come whole, or can't be kept.
    """
    url = os.environ.get("MUSCATE_GLO30_URL", URL)
    if folder is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muscate"
    folder = folder / "glo30"
    land: list[Path] = []
    missing = []
    for corner in (corners := _corners(grid)):
        kept = _kept(url.format(30), _name(*corner, 30), folder)
        if kept is None:
            missing.append(corner)
        else:
            land.append(kept)
    # Cells of the two models don't meet to the pixel: beside those of 90 m all of 90 m lie under those of 30 m
    coarse = {corner: _kept(url.format(90), _name(*corner, 90), folder) for corner in missing}
    sea = [corner for corner, kept in coarse.items() if kept is None]
    if len(sea) < len(missing):
        coarse |= {c: _kept(url.format(90), _name(*c, 90), folder) for c in corners if c not in coarse}
    counts = {"GLO-90": len(missing) - len(sea), "sea": len(sea)}
    parts = [f"{count} of {len(corners)} cells {what}" for what, count in counts.items() if count]
    paths = land + [kept for kept in coarse.values() if kept] + [_sea(*corner, folder) for corner in sea]
    return Cells(paths, "Copernicus GLO-30" + (f" ({', '.join(parts)})" if parts else ""))


def _corners(grid: Grid) -> list[tuple[int, int]]:
    """South-west corners of the cells under a tile: latitude, longitude. [deg]"""
    left, bottom, right, top = transform_bounds(grid.crs, "EPSG:4326", grid.west, grid.south, grid.east, grid.north)
    if left > right:  # over the antimeridian
        right += 360
    south, north = math.floor(bottom - MARGIN), math.floor(top + MARGIN)
    west, east = math.floor(left - MARGIN), math.floor(right + MARGIN)
    return [(lat, (lon + 180) % 360 - 180) for lat in range(south, north + 1) for lon in range(west, east + 1)]


def _name(south: int, west: int, metres: int) -> str:
    lat = f"{'S' if south < 0 else 'N'}{abs(south):02d}"
    lon = f"{'W' if west < 0 else 'E'}{abs(west):03d}"
    return f"Copernicus_DSM_COG_{SPACING[metres]}_{lat}_00_{lon}_00_DEM"


def _kept(url: str, name: str, folder: Path) -> Path | None:
    """A cell in the folder, None where the bucket has none: then it is asked again for the next tile."""
    kept = folder / f"{name}.tif"
    if kept.exists():
        return kept
    address = f"{url}/{name}/{name}.tif"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as new:
            part = Path(new, "cell.tif")
            with urlopen(address, timeout=TIMEOUT) as answer, part.open("wb") as file:  # nosec B310: https
                shutil.copyfileobj(answer, file)
            expected = answer.headers.get("Content-Length")
            if expected is not None and part.stat().st_size != int(expected):
                raise Unreachable(f"{address}: {part.stat().st_size} bytes of {expected} came")
            with rasterio.open(part) as model:
                model.read(1, out_shape=(16, 16))
            os.replace(part, kept)
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return None
        raise Unreachable(f"{address}: {error.code} {error.reason}") from error
    except (OSError, HTTPException, RasterioError, ValueError) as error:
        raise Unreachable(f"{address}: can't be fetched ({getattr(error, 'reason', None) or error})") from error
    log.info("fetched %s", address)
    return kept


def _sea(south: int, west: int, folder: Path) -> Path:
    """A cell of sea level, a little larger than the degree, since the files' pixels begin half a pixel beside it."""
    kept = folder / f"sea_{south}_{west}.tif"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        where = from_bounds(west - MARGIN, south - MARGIN, west + 1 + MARGIN, south + 1 + MARGIN, 2, 2)
        with TemporaryDirectory(dir=folder) as new:
            part = Path(new, "cell.tif")
            profile = {"driver": "GTiff", "width": 2, "height": 2, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
            with rasterio.open(part, "w", transform=where, **profile) as model:
                model.write(np.zeros((2, 2), np.float32), 1)
            os.replace(part, kept)
    return kept
