"""What the chain needs to know beside the image: terrain and ozone, each with where it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import CRSError, RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import Resampling, reproject, transform

from processing.errors import AncillaryError
from processing.scene import Ancillary, Grid
from processing.versions import Parameters

#: One Dobson unit, 1e-5 m of ozone at 0 degC and 1 atm. [kg m-2]
DOBSON = 2.1415e-5
#: Total ozone outside of this is an error of the file. [DU]
OZONE_RANGE = (50.0, 700.0)
#: No ground lies outside of this: such a model is not in metres. [m]
ALTITUDE_RANGE = (-500.0, 9000.0)


def ancillary(
    grid: Grid,
    resolution: int,
    dem: Path | None = None,
    *,
    ecmwf: bytes | None = None,
    default_ozone: float = Parameters.default_ozone,
) -> Ancillary:
    """Terrain and ozone of one scene.

    Parameters
    ----------
    grid : Grid
        Of the scene.
    resolution : int
        Of the coarse grid. [m]
    dem : Path, optional
        Terrain model, a raster in any projection. [m] Without one the tile is flat and at sea level.
    ecmwf : bytes, optional
        The forecast that comes with the Level-1C (`Granule.ecmwf`).
    default_ozone : float
        Ozone where the forecast is missing or has none. [cm atm]

    Raises
    ------
    AncillaryError
        If the terrain model can't be read or does not cover the tile.
    """
    if dem is None:
        altitude, altitude_origin = np.zeros(grid.shape(resolution), np.float32), "flat 0 m (no terrain model)"
    else:
        altitude, altitude_origin = _terrain(grid, resolution, dem)
    ozone, ozone_origin = default_ozone, "default"
    if ecmwf is not None:
        try:
            ozone, ozone_origin = _ozone(grid, ecmwf), "ECMWF in the L1C"
        except ValueError as error:
            ozone_origin = f"default ({error})"
    return Ancillary(altitude, ozone, {"altitude": altitude_origin, "ozone": ozone_origin})


def _terrain(grid: Grid, resolution: int, dem: Path) -> tuple[NDArray[np.float32], str]:
    """Mean altitude of each coarse pixel, sea level where the model says nothing, and the model's name."""
    altitude = np.full(grid.shape(resolution), np.nan, np.float32)
    try:
        with rasterio.open(dem) as model:
            if model.crs is None:
                raise AncillaryError(dem, "a terrain model without projection")
            covered = _coverage(grid, resolution, model)
            if covered < 1:
                raise AncillaryError(dem, f"covers {100 * covered:.1f} % of the tile")
            reproject(
                rasterio.band(model, 1),
                altitude,
                src_nodata=np.nan if model.nodata is None and "float" in model.dtypes[0] else model.nodata,
                dst_transform=Affine(*grid.transform(resolution)),
                dst_crs=grid.crs,
                dst_nodata=np.nan,
                init_dest_nodata=True,
                # an average of less than one pixel of the model would make steps
                resampling=Resampling.average if _pixel(grid, model) < resolution else Resampling.bilinear,
            )
    except (RasterioError, CRSError) as error:
        raise AncillaryError(dem, f"can't be read as a terrain model ({error})") from error
    void = np.isnan(altitude)
    altitude[void] = 0
    low, high = altitude.min(), altitude.max()
    if low < ALTITUDE_RANGE[0] or high > ALTITUDE_RANGE[1]:
        raise AncillaryError(dem, f"altitudes from {low:g} to {high:g} m")
    filled = f" ({100 * void.mean():.1f} % without data taken as sea level)" if void.any() else ""
    return altitude, f"{dem.name}{filled}"


def _coverage(grid: Grid, resolution: int, model: rasterio.DatasetReader) -> float:
    """Share of the coarse pixels whose centre lies within the model's frame."""
    rows, cols = grid.shape(resolution)
    # the last row and column may stand out of the tile: take the centre of what lies in it
    x = grid.west + _centres(cols, resolution, grid.width)
    y = grid.north - _centres(rows, resolution, grid.height)
    east, north = np.meshgrid(x, y)
    lon, lat = transform(grid.crs, model.crs, east.ravel(), north.ravel())
    col, row = ~model.transform @ np.array([lon, lat])
    return float(((col >= 0) & (col <= model.width) & (row >= 0) & (row <= model.height)).mean())


def _centres(count: int, resolution: int, length: int) -> NDArray[np.float64]:
    edges = np.minimum(np.arange(count + 1) * resolution, length)
    return (edges[:-1] + edges[1:]) / 2


def _pixel(grid: Grid, model: rasterio.DatasetReader) -> float:
    """Size of the model's pixels in the middle of the tile. [m]"""
    x, y = grid.west + grid.width / 2, grid.north - grid.height / 2
    lon, lat = transform(grid.crs, model.crs, [x, x + 1000, x], [y, y, y + 1000])
    col, row = ~model.transform @ np.array([lon, lat])
    pixels_per_km = max(np.hypot(col[1] - col[0], row[1] - row[0]), np.hypot(col[2] - col[0], row[2] - row[0]))
    return float(1000 / pixels_per_km)


def _ozone(grid: Grid, ecmwf: bytes) -> float:
    """Total ozone in the middle of the tile. [cm atm]

    Raises
    ------
    ValueError
        With the reason, if the forecast holds none that can be used.
    """
    (lon,), (lat,) = transform(grid.crs, "EPSG:4326", [grid.west + grid.width / 2], [grid.north - grid.height / 2])
    if not ecmwf:
        raise ValueError("the ECMWF file of the L1C is empty")
    try:
        with MemoryFile(ecmwf) as memory, memory.open(driver="GRIB") as forecast:
            layers = [i for i in forecast.indexes if forecast.tags(i).get("GRIB_ELEMENT") == "TCO3"]
            if not layers:
                raise ValueError("no total ozone in the ECMWF file of the L1C")
            # a tile at the antimeridian may count its longitudes on the other side
            places = [
                (v, lat) for v in (lon, lon + 360, lon - 360) if forecast.bounds.left <= v <= forecast.bounds.right
            ]
            if not places or not forecast.bounds.bottom <= lat <= forecast.bounds.top:
                raise ValueError("the ECMWF file of the L1C is of another place")
            column = float(next(iter(forecast.sample(places[:1], indexes=layers[0])))[0])
    except RasterioError as error:
        raise ValueError("the ECMWF file of the L1C can't be read") from error
    dobson = column / DOBSON
    if not OZONE_RANGE[0] <= dobson <= OZONE_RANGE[1]:
        raise ValueError(f"the ECMWF file of the L1C says {dobson:.4g} DU")
    return dobson / 1000
