"""Rasters of products, kept open: each thread has its own few, for GDAL reads one from one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from cachetools import LRUCache
from rasterio.errors import RasterioError

from processing.errors import ProductError

#: Rasters a thread keeps open.
MOST_OPEN = 24
#: Counts of a reflectance without data.
NO_DATA = -10000
#: Counts that make 1 of AOT, and 1 g cm-2 of water vapour.
AOT_UNIT, WATER_VAPOUR_UNIT = 200, 20


class _Open(LRUCache[tuple[str, int], rasterio.DatasetReader]):
    """Open rasters by path and overview; the one used longest ago is closed first."""

    def popitem(self) -> tuple[tuple[str, int], rasterio.DatasetReader]:
        key, raster = super().popitem()
        raster.close()
        return key, raster


class _Local(threading.local):
    def __init__(self) -> None:
        self.open = _Open(MOST_OPEN)


_local = _Local()


def opened(path: Path, overview: int = -1) -> rasterio.DatasetReader:
    """A raster at full size, or one of its overviews counted from 0, kept open for this thread.

    Raises
    ------
    rasterio.errors.RasterioIOError
        If it is missing or damaged.
    """
    key = (str(path), overview)
    raster = _local.open.get(key)
    if raster is None:
        level = {"overview_level": overview} if overview >= 0 else {}
        raster = _local.open[key] = rasterio.open(path, **level)
    return raster


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What can't be read of a raster here is a ProductError that names it; the raster is forgotten."""
    try:
        yield
    except (RasterioError, OSError) as fault:
        for key in [key for key in _local.open if key[0] == str(path)]:
            _local.open.pop(key).close()
        raise ProductError(path, f"can't be read: {fault}") from fault
