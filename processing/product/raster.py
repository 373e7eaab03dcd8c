"""The rasters of a product: GeoTIFF in the cloud-optimised layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from ..scene import Grid

#: Side of the tiles. [px]
TILE = 512


@contextmanager
def encoded(
    array: NDArray[np.int16] | NDArray[np.uint8], grid: Grid, resolution: int, no_data: int | None
) -> Iterator[memoryview]:
    """The bytes of a GeoTIFF, to be used inside the ``with``; the same array always gives the same bytes.

    Tiled, DEFLATE level 1 (on such noisy counts the higher levels cost much more and save nothing), overviews by
    halves down to one tile, directory before the data. Reflectance (int16) is stored as differences and its
    overviews are means of the observed pixels; of bits and coded values the overviews take every second one.

    Parameters
    ----------
    array : (row, col) or (band, row, col) int16 or uint8
    resolution : int
        [m]
    no_data : int or None
        Value of pixels that were not observed.

    Raises
    ------
    ValueError
        If the array does not cover the grid.
    """
    bands = array[np.newaxis] if array.ndim == 2 else array
    if bands.shape[1:] != grid.shape(resolution):
        raise ValueError(f"raster of {bands.shape[1:]} on a grid of {grid.shape(resolution)} at {resolution} m")
    reflectance = array.dtype == np.int16
    # GDAL tells a full disk badly, if at all: it writes to memory, and Python to the disk.
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            dtype=array.dtype.name,
            count=bands.shape[0],
            height=bands.shape[1],
            width=bands.shape[2],
            crs=grid.crs,
            transform=Affine(*grid.transform(resolution)),
            nodata=no_data,
            blocksize=TILE,
            compress="DEFLATE",
            level=1,
            predictor="YES" if reflectance else "NO",
            overview_resampling=(Resampling.average if reflectance else Resampling.nearest).name,
        ) as dataset:
            dataset.write(bands)
        yield memory.getbuffer()
