"""Layers of a product on its own grid, read from the overviews of its rasters: no reprojection, no copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from dashboard.product_folder import required
from dashboard.rasters import opened, reading
from dashboard.tiles.drawing import drawn
from dashboard.tiles.images import png
from dashboard.tiles.lattice import RESOLUTION0, SIZE
from dashboard.tiles.layers import LAYERS, Layer
from dashboard.tiles.planes import planes
from dashboard.tiles.styles import DEFAULT, Pattern, Style


def tile(
    folder: Path, name: str, z: int, x: int, y: int, style: Style = DEFAULT, other: Path | None = None
) -> bytes | None:
    """One image of one layer.

    Parameters
    ----------
    folder : Path
        Of the product; of ``reference`` the raster of the kept mask.
    name : str
        Key of `LAYERS`.
    z, x, y : int
        Level 0..`LAST`; column from the west, row from the north.
    style : Style
    other : Path, optional
        Folder of the second product, for the layers that compare two.

    Returns
    -------
    bytes or None
        SIZE x SIZE pixels as PNG (JPEG where `style` allows it), transparent without data; None if nothing of the
        product lies in the tile.

    Raises
    ------
    ProductError
        If a file of the layer is missing or damaged.
    """
    layer = LAYERS[name]
    margin = int(layer.mask and style.pattern is Pattern.OUTLINE)  # what is inside depends on the pixels around

    def read(path: Path, fill: int) -> NDArray[Any] | None:
        plane = _plane(path, layer, fill, z, x, y)
        return _surrounded(plane, path, layer, fill, (z, x, y)) if plane is not None and margin else plane

    return drawn(folder, name, style, other, read, margin)


def age(
    days: NDArray[np.int16], resolution: int, day: int, z: int, x: int, y: int, style: Style = DEFAULT
) -> bytes | None:
    """How old the ground is that a date was compared with.

    Parameters
    ----------
    days : (row, col) int16
        Date of each cell of the state that entered it, days since 2000-01-01, -1 where nothing clear was seen yet.
    resolution : int
        Of the state. [m]
    day : int
        The date, counted alike.
    z, x, y, style
        As of `tile`.

    Returns
    -------
    bytes or None
        SIZE x SIZE pixels as PNG, transparent where nothing was seen yet; None outside.
    """
    size = RESOLUTION0 / 2**z
    rows, cols = (((place * SIZE + np.arange(SIZE) + 0.5) * size / resolution).astype(int) for place in (y, x))
    if rows[0] >= days.shape[0] or cols[0] >= days.shape[1]:
        return None
    counts = np.zeros((1, SIZE, SIZE), np.uint8)
    seen = days[np.ix_(rows[rows < days.shape[0]], cols[cols < days.shape[1]])]
    counts[0, : seen.shape[0], : seen.shape[1]] = np.where(seen >= 0, np.clip(day - seen.astype(int), 1, 255), 0)
    return png(LAYERS["age"].draw(counts, style), smooth=False)


def thumbnail(folder: Path, name: str, side: int = 256) -> bytes:
    """The whole of a product in one layer as a PNG whose longer side has `side` pixels.

    Raises
    ------
    ProductError
        If a file of the layer is missing or damaged.
    """
    layer = LAYERS[name]
    planes = []
    for ending in layer.files:
        path = required(folder, ending)
        with reading(path):
            raster = opened(path)
            scale = side / max(raster.width, raster.height)
            shape = (max(1, round(raster.height * scale)), max(1, round(raster.width * scale)))
            how = Resampling.nearest if layer.mask else Resampling.average
            planes.append(raster.read(layer.band, out_shape=shape, resampling=how))
    return png(layer.draw(np.stack(planes), Style()))


def extent(folder: Path, name: str) -> tuple[float, float, float, float]:
    """West, north, width and height of a product, from a raster of the layer `name`. [m]

    Raises
    ------
    ProductError
        If it is missing or damaged.
    """
    path = required(folder, LAYERS[name].files[0])
    with reading(path):
        raster = opened(path)
    west, south, east, north = raster.bounds
    return west, north, east - west, north - south


def _surrounded(plane: NDArray[Any], path: Path, layer: Layer, fill: int, place: tuple[int, int, int]) -> NDArray[Any]:
    """A plane with a margin of one pixel: of the tiles around it, or its own edge repeated where there is none."""
    plane = np.pad(plane, 1, "edge")
    inner = slice(1, -1)
    z, x, y = place
    for row, col, here, there in (
        (-1, 0, (0, inner), (-1, slice(None))),
        (1, 0, (-1, inner), (0, slice(None))),
        (0, -1, (inner, 0), (slice(None), -1)),
        (0, 1, (inner, -1), (slice(None), 0)),
    ):
        beside = _plane(path, layer, fill, z, x + col, y + row) if min(x + col, y + row) >= 0 else None
        if beside is not None:
            plane[here] = beside[there]
    return plane


def _plane(path: Path, layer: Layer, fill: int, z: int, x: int, y: int) -> NDArray[Any] | None:
    """One raster over one tile, (SIZE, SIZE) padded with `fill`, not to be written to; None if it lies outside."""
    key = (path, path.stat().st_mtime_ns, layer.band, z, x, y)
    known = planes.get(key)
    if known is not None:
        return known
    raster = opened(path)
    factor = RESOLUTION0 / 2**z / raster.res[0]
    side = int(SIZE * factor)
    if x * side >= raster.width or y * side >= raster.height:
        return None
    out = np.full((SIZE, SIZE), fill, raster.dtypes[layer.band - 1])
    nearest = layer.mask or factor <= 1
    row = 0
    for top, height, rows in _spans(y * side, min((y + 1) * side, raster.height), factor):
        col = 0
        for left, width, cols in _spans(x * side, min((x + 1) * side, raster.width), factor):
            out[row : row + rows, col : col + cols] = raster.read(
                layer.band,
                window=Window(left, top, width, height),
                out_shape=(rows, cols),
                resampling=Resampling.nearest if nearest else Resampling.average,
            )
            col += cols
        row += rows
    planes.put(key, out)
    return out


def _spans(start: int, stop: int, factor: float) -> Iterator[tuple[int, int, int]]:
    """Cut source pixels `start`..`stop` into whole target pixels and, at the edge of the image, one that is cut.

    Yields first source pixel, number of source pixels, number of target pixels: the rest would otherwise be stretched.
    """
    if factor <= 1:
        yield start, stop - start, round((stop - start) / factor)
        return
    whole, rest = divmod(stop - start, int(factor))
    if whole:
        yield start, whole * int(factor), whole
    if rest:
        yield stop - rest, rest, 1
