"""Image tiles on a product's own grid, read from the overviews of its rasters: no reprojection, no copy.

Level `NATIVE` shows 10 m pixels; each level below halves the resolution, and the levels above show the same pixels
larger. Tile (0, 0) begins at the north-west corner of the product at every level, so all layers of a product, and all
products of a tile, share one lattice. GDAL and the encoder release the interpreter's lock: tiles are made side by side
in threads, each with its own few open rasters.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from dashboard.theme import AOT_RAMP, MASKS, WATER_VAPOUR_RAMP, rgb
from processing.errors import ProductError

#: Pixels of a tile's side.
SIZE = 512
#: Level of 10 m pixels, and the last one that is served.
NATIVE, LAST = 5, 9
#: Ground size of a pixel of level 0. [m]
RESOLUTION0 = 10.0 * 2**NATIVE
#: Part of every ETag: raise it when a layer is drawn in another way.
RENDERING = "1"
#: Rasters a thread keeps open.
OPEN_RASTERS = 24


@dataclass(frozen=True)
class Layer:
    """One way to look at a product.

    Attributes
    ----------
    title : str
    files : tuple of str
        Endings of the rasters in the product's folder.
    draw : callable
        Takes (bands, row, col) counts and the chosen bits, gives (row, col, 4) uint8.
    mask : bool
        Masks are never averaged.
    band : int
        Of each of the files.
    """

    title: str
    files: tuple[str, ...]
    draw: Callable[[NDArray[Any], int], NDArray[np.uint8]]
    mask: bool = False
    band: int = 1


def _composite(*tops: float) -> Callable[[NDArray[Any], int], NDArray[np.uint8]]:
    """Three reflectances as red, green, blue; each from 0 to its top [-]; transparent where a band has no data."""

    def draw(counts: NDArray[Any], bits: int) -> NDArray[np.uint8]:
        scale = (255.0 / (10000.0 * np.array(tops, np.float32)))[:, None, None]
        image = np.zeros((*counts.shape[1:], 4), np.uint8)
        image[..., :3] = np.moveaxis(np.clip(counts * scale, 0, 255), 0, 2)
        image[..., 3] = np.where((counts > -10000).all(axis=0), 255, 0)
        return image

    return draw


def _ramp(colours: list[str], top: float) -> Callable[[NDArray[Any], int], NDArray[np.uint8]]:
    """Counts from 0 (no data, transparent) to `top` along a ramp of colours."""
    stops = np.array([rgb(c) for c in colours], np.float32)
    table = np.zeros((256, 4), np.uint8)
    place = np.clip(np.arange(256) / top, 0, 1) * (len(stops) - 1)
    for channel in range(3):
        table[:, channel] = np.interp(place, np.arange(len(stops)), stops[:, channel])
    table[1:, 3] = 255

    def draw(counts: NDArray[Any], bits: int) -> NDArray[np.uint8]:
        return table[np.clip(counts[0], 0, 255).astype(np.uint8)]

    return draw


def _bits(kind: str) -> Callable[[NDArray[Any], int], NDArray[np.uint8]]:
    """The chosen bits of a mask, each in its colour; where several are set the first of the theme's order wins."""

    def draw(counts: NDArray[Any], bits: int) -> NDArray[np.uint8]:
        values = np.arange(256)
        table = np.zeros((256, 4), np.uint8)
        for style in reversed(MASKS[kind]):
            if style.bit & bits:
                table[values & style.bit > 0] = (*rgb(style.colour), 255)
        return table[counts[0].astype(np.uint8)]

    return draw


#: Counts of AOT (200 a unit) and water vapour (20 a g cm-2) at the end of their ramps.
AOT_TOP, WATER_VAPOUR_TOP = 0.8, 5.0

#: What can be asked for. Files are those of 10 m; a product that lacks one doesn't offer the layer.
LAYERS: dict[str, Layer] = {
    "natural": Layer("Natural colour", ("SRE_B4.tif", "SRE_B3.tif", "SRE_B2.tif"), _composite(0.25, 0.25, 0.25)),
    "false": Layer("Infrared false colour", ("SRE_B8.tif", "SRE_B4.tif", "SRE_B3.tif"), _composite(0.5, 0.25, 0.25)),
    "natural-flat": Layer(
        "Natural colour, slope corrected", ("FRE_B4.tif", "FRE_B3.tif", "FRE_B2.tif"), _composite(0.25, 0.25, 0.25)
    ),
    "aot": Layer("Aerosol optical thickness", ("ATB_R1.tif",), _ramp(AOT_RAMP, AOT_TOP * 200), band=2),
    "water-vapour": Layer("Water vapour", ("ATB_R1.tif",), _ramp(WATER_VAPOUR_RAMP, WATER_VAPOUR_TOP * 20)),
    "CLM": Layer("Clouds and shadows (CLM)", ("MASKS/CLM_R1.tif",), _bits("CLM"), mask=True),
    "MG2": Layer("Geophysical mask (MG2)", ("MASKS/MG2_R1.tif",), _bits("MG2"), mask=True),
}


def find(folder: Path, ending: str) -> Path | None:
    """The raster of a product whose name ends in `ending` (``SRE_B4.tif``, ``MASKS/CLM_R1.tif``); None if absent."""
    below, _, name = ending.rpartition("/")
    return next(iter(sorted((folder / below).glob(f"*_{name}"))), None)


def layers(folder: Path) -> list[str]:
    """Layers that the product in `folder` offers."""
    return [name for name, layer in LAYERS.items() if all(find(folder, ending) for ending in layer.files)]


class _Open(threading.local):
    """The rasters a thread keeps open; the one used longest ago is closed first."""

    def __init__(self) -> None:
        self.rasters: OrderedDict[str, rasterio.DatasetReader] = OrderedDict()

    def get(self, path: Path) -> rasterio.DatasetReader:
        name = str(path)
        if name in self.rasters:
            self.rasters.move_to_end(name)
        else:
            self.rasters[name] = rasterio.open(name)
            if len(self.rasters) > OPEN_RASTERS:
                self.rasters.popitem(last=False)[1].close()
        return self.rasters[name]

    def drop(self, path: Path) -> None:
        raster = self.rasters.pop(str(path), None)
        if raster is not None:
            raster.close()


_open = _Open()


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


def _read(path: Path, band: int, z: int, x: int, y: int, mask: bool, fill: int) -> NDArray[Any] | None:
    """One raster over one tile, (SIZE, SIZE) padded with `fill`; None if the tile lies outside."""
    raster = _open.get(path)
    factor = RESOLUTION0 / 2**z / raster.res[0]
    side = int(SIZE * factor)
    if x * side >= raster.width or y * side >= raster.height:
        return None
    out = np.full((SIZE, SIZE), fill, raster.dtypes[band - 1])
    nearest = mask or factor <= 1
    row = 0
    for top, height, rows in _spans(y * side, min((y + 1) * side, raster.height), factor):
        col = 0
        for left, width, cols in _spans(x * side, min((x + 1) * side, raster.width), factor):
            out[row : row + rows, col : col + cols] = raster.read(
                band,
                window=Window(left, top, width, height),
                out_shape=(rows, cols),
                resampling=Resampling.nearest if nearest else Resampling.average,
            )
            col += cols
        row += rows
    return out


def tile(folder: Path, name: str, z: int, x: int, y: int, bits: int = 255) -> bytes | None:
    """One PNG of one layer.

    Parameters
    ----------
    folder : Path
        Of the product.
    name : str
        Key of `LAYERS`.
    z, x, y : int
        Level 0..`LAST`; column from the west, row from the north.
    bits : int
        Bits of a mask that are drawn.

    Returns
    -------
    bytes or None
        SIZE x SIZE pixels, transparent without data; None if nothing of the product lies in the tile.

    Raises
    ------
    ProductError
        If a file of the layer is missing or damaged.
    """
    layer = LAYERS[name]
    planes = []
    for ending in layer.files:
        path = find(folder, ending)
        if path is None:
            raise ProductError(folder, f"{ending} is missing")
        try:
            plane = _read(path, layer.band, z, x, y, layer.mask, -10000 if "RE_B" in ending else 0)
        except RasterioIOError as fault:
            _open.drop(path)
            raise ProductError(path, f"can't be read: {fault}") from fault
        if plane is None:
            return None
        planes.append(plane)
    image = layer.draw(np.stack(planes), bits)
    return _png(image)


def _png(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image, "RGBA").save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def extent(folder: Path, name: str) -> tuple[float, float, float, float]:
    """West, north, width and height of a product, from a raster of the layer `name`. [m]

    Raises
    ------
    ProductError
        If it is missing or damaged.
    """
    path = find(folder, LAYERS[name].files[0])
    if path is None:
        raise ProductError(folder, f"{LAYERS[name].files[0]} is missing")
    try:
        raster = _open.get(path)
    except RasterioIOError as fault:
        raise ProductError(path, f"can't be read: {fault}") from fault
    west, south, east, north = raster.bounds
    return west, north, east - west, north - south
