"""Rasters compared by their pixels: a deflater may give the same pixels in other bytes, as ISA-L does in threads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import rasterio


def digest(path: Path) -> str:
    """Of a raster's pixels, overviews included, with its type and tags of place; of any other file its bytes."""
    if path.suffix != ".tif":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    found = hashlib.sha256()
    with rasterio.open(path) as dataset:
        levels = len(dataset.overviews(1))
        found.update(repr((dataset.dtypes, dataset.shape, dataset.transform, dataset.crs, dataset.nodata)).encode())
        found.update(dataset.read().tobytes())
    for level in range(levels):
        with rasterio.open(path, overview_level=level) as dataset:
            found.update(dataset.read().tobytes())
    return found.hexdigest()


def digests(folder: Path, *suffixes: str) -> dict[str, str]:
    """`digest` of each file below a folder that ends with one of the suffixes, by its name."""
    return {p.name: digest(p) for p in sorted(folder.rglob("*")) if p.is_file() and p.name.endswith(suffixes)}
