"""Image tiles on a product's own grid, read from the overviews of its rasters: no reprojection, no copy.

Level `NATIVE` shows 10 m pixels; each level below halves the resolution, and the levels above show the same pixels
larger. Tile (0, 0) begins at the north-west corner of the product at every level, so all layers of a product, and all
products of a tile, share one lattice. GDAL and the encoder release the interpreter's lock: tiles are made side by side
in threads, each with its own few open rasters.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from dashboard.theme import (
    AGE_RAMP,
    AGREEMENT,
    AOT_RAMP,
    DIVERGING,
    GREY_RAMP,
    MASK_TITLES,
    MASKS,
    NDVI_RAMP,
    REFERENCE,
    WATER_VAPOUR_RAMP,
    rgb,
)
from processing import deflate
from processing.bands import BANDS, DISTRIBUTED
from processing.errors import L1CError, ProductError
from processing.kernels import kernel
from processing.l1c import Granule, granules, merge
from processing.validation.reference_masks import VALUES

#: Pixels of a tile's side.
SIZE = 512
#: Level of 10 m pixels, and the last one that is served.
NATIVE, LAST = 5, 9
#: Ground size of a pixel of level 0. [m]
RESOLUTION0 = 10.0 * 2**NATIVE
#: Part of every ETag: raise it when a layer is drawn in another way.
RENDERING = "4"
#: Rasters a thread keeps open.
OPEN_RASTERS = 24
#: Planes of tiles that are kept as they were read. [bytes]
PLANES = 64 * 2**20
#: Half of the side of Web Mercator's square. [m]
MERCATOR = math.pi * 6378137


class Pattern(StrEnum):
    """How the set pixels of a mask are drawn."""

    FILL = "fill"
    OUTLINE = "outline"
    HATCH = "hatch"


@dataclass(frozen=True)
class Style:
    """How a reader wants a layer drawn.

    Attributes
    ----------
    bits : int
        Bits of a mask that are drawn.
    pattern : Pattern
        Of a mask.
    bands : tuple of str
        Keys of rasters, ``SRE_B4`` (of ``difference`` also ``ndvi``, of ``agreement`` a mask, of ``toa`` ``B4``);
        empty: the layer's own.
    scale : tuple of float
        Lowest and highest value of each band, or of all of them; empty: the layer's own. [-]
    lossy : bool
        Images without gaps may come as JPEG, a fifth of the size: for looking at no more than their own scale.
    """

    bits: int = 255
    pattern: Pattern = Pattern.FILL
    bands: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    lossy: bool = False


#: The layer as it is.
DEFAULT = Style()

#: Takes (plane, row, col) counts and the reader's style, gives (row, col, 4) uint8.
Draw = Callable[[NDArray[Any], Style], NDArray[np.uint8]]


@dataclass(frozen=True)
class Layer:
    """One way to look at a product.

    Attributes
    ----------
    title : str
    files : tuple of str
        Endings of the rasters in the product's folder, where the reader names no bands.
    draw : Draw
    mask : bool
        Masks are never averaged.
    band : int
        Of each of the files.
    choices : int
        How many bands the reader may name; 0: none.
    fill : int
        Value outside of a raster that holds no reflectance.
    pair : bool
        Compares two products: `draw` gets the planes of the one, then those of the other.
    """

    title: str
    files: tuple[str, ...]
    draw: Draw
    mask: bool = False
    band: int = 1
    choices: int = 0
    fill: int = 0
    pair: bool = False


@lru_cache(maxsize=24)
def _stretch(low: float, high: float, channel: int) -> NDArray[np.uint32]:
    """RGBA of every count of a reflectance (as its 16 bits without sign), to be combined with the others' by AND.

    The channel is 0 at `low`, 255 at `high` [-]; the two others are 255; opaque where there is data.
    """
    counts = np.arange(2**16, dtype=np.uint16).view(np.int16)
    place = (counts / np.float64(10000) - low) / (high - low)
    table = np.full((2**16, 4), 255, np.uint8)
    table[:, channel] = 255 * np.clip(place, 0, 1)
    table[counts <= NO_DATA, 3] = 0
    return table.view(np.uint32)[:, 0]


@kernel("void(uint16[:, :, ::1], uint32[::1], uint32[::1], uint32[::1], uint32[:, ::1])")
def _combine(counts, red, green, blue, image):  # type: ignore[no-untyped-def]
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            image[row, col] = red[counts[0, row, col]] & green[counts[1, row, col]] & blue[counts[2, row, col]]


def _composite(*tops: float) -> Draw:
    """Three reflectances as red, green, blue; each from 0 to its top [-]; transparent where a band has no data."""
    own = tuple(value for top in tops for value in (0.0, top))

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        scale = style.scale if len(style.scale) == 6 else 3 * style.scale or own
        red, green, blue = (_stretch(*scale[2 * channel : 2 * channel + 2], channel) for channel in range(3))
        image = np.empty(counts.shape[1:], np.uint32)
        _combine(counts.view(np.uint16), red, green, blue, image)
        return _rgba(image)

    return draw


def _rgba(pixels: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Pixels of four bytes (row, col) as (row, col, 4)."""
    return pixels[..., None].view(np.uint8)


def _table(colours: Sequence[str], places: NDArray[Any]) -> NDArray[np.uint8]:
    """Opaque colours at `places` 0..1 of a ramp, (place, 4)."""
    stops = np.array([rgb(c) for c in colours], np.float32)
    table = np.full((len(places), 4), 255, np.uint8)
    for channel in range(3):
        table[:, channel] = np.interp(places * (len(stops) - 1), np.arange(len(stops)), stops[:, channel])
    return table


def _value(counts: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One reflectance [-], or of two (near infrared, red) their NDVI [-]; and where there is data."""
    observed: NDArray[np.bool_] = np.asarray((counts > NO_DATA).all(axis=0))
    values = counts.astype(np.float32)
    if len(counts) == 1:
        return values[0] / 10000, observed
    total = values[0] + values[1]
    observed = observed & (total > 0)
    return (values[0] - values[1]) / np.where(observed, total, 1), observed


def _scale(colours: Sequence[str], low: float, high: float) -> Draw:
    """A reflectance, or the NDVI of two, along a ramp of colours."""
    table = _table(colours, np.linspace(0, 1, 256))

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        first, last = style.scale[:2] or (low, high)
        value, observed = _value(counts)
        place = np.clip((value - first) / (last - first), 0, 1)
        return np.where(observed[..., None], table[(255 * place).astype(np.uint8)], 0).astype(np.uint8)

    return draw


def _ramp(colours: Sequence[str], unit: float, top: float) -> Draw:
    """Counts (`unit` of them make 1; 0 is no data) from 0 to `top` along a ramp of colours."""

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        low, high = style.scale[:2] or (0.0, top)
        table = _table(colours, np.clip((np.arange(256) / unit - low) / (high - low), 0, 1))
        table[0] = 0
        return _rgba(np.take(table.view(np.uint32)[:, 0], counts[0], mode="clip"))

    return draw


def _bits(kind: str) -> Draw:
    """The chosen bits of a mask, each in its colour; where several are set the first of the theme's order wins."""

    def draw(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
        values = np.arange(256)
        table = np.zeros((256, 4), np.uint8)
        for bit in reversed(MASKS[kind]):
            if bit.bit & style.bits:
                table[values & bit.bit > 0] = (*rgb(bit.colour), 255)
        return _patterned(_rgba(np.take(table.view(np.uint32)[:, 0], counts[0])), style.pattern)

    return draw


def _reference(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """The chosen kinds of a mask that was kept to judge products by."""
    table = np.zeros((256, 4), np.uint8)
    for bit, kind in zip(REFERENCE, ("cloud", "shadow", "unobserved"), strict=True):
        if bit.bit & style.bits:
            table[VALUES[kind]] = (*rgb(bit.colour), 255)
    return _patterned(_rgba(np.take(table.view(np.uint32)[:, 0], counts[0])), style.pattern)


def _patterned(image: NDArray[np.uint8], pattern: Pattern) -> NDArray[np.uint8]:
    """Keeps of the coloured pixels what the pattern shows. Pixels on the image's border count as inside."""
    if pattern is Pattern.OUTLINE:
        around = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
        same = np.ones(image.shape[:2], bool)
        for row, col in ((0, 1), (2, 1), (1, 0), (1, 2)):
            same &= (around[row : row + len(image), col : col + image.shape[1]] == image).all(axis=2)
        image[same] = 0
    elif pattern is Pattern.HATCH:
        rows, cols = np.indices(image.shape[:2])
        image[(rows + cols) % 8 >= 3] = 0
    return image


def _difference(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """Second minus first product, of a reflectance or of the NDVI; blue where it is less, red where it is more."""
    half = len(counts) // 2
    (before, seen), (after, too) = _value(counts[:half]), _value(counts[half:])
    width = style.scale[-1] if style.scale else DIFFERENCE_TOP
    place = np.clip((after - before) / (2 * width) + 0.5, 0, 1)
    table = _table(DIVERGING, np.linspace(0, 1, 255))
    return np.where((seen & too)[..., None], table[np.rint(254 * place).astype(np.uint8)], 0).astype(np.uint8)


def _toa(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """As the same bands of the product are drawn."""
    name = "band" if len(counts) == 1 else "rgb" if style.bands else "natural"
    return LAYERS[name].draw(counts, style)


def _agreement(counts: NDArray[Any], style: Style) -> NDArray[np.uint8]:
    """Where the chosen bits of a mask are set in both products, only in the first, only in the second."""
    first, second = (plane.astype(np.uint8) & style.bits > 0 for plane in counts)
    table = np.zeros((4, 4), np.uint8)
    for place, name in ((1, "first"), (2, "second"), (3, "both")):
        table[place] = (*rgb(AGREEMENT[name]), 255)
    return _patterned(table[first + 2 * second], style.pattern)


#: Counts of a reflectance without data.
NO_DATA = -10000
#: Ends of the ramps: AOT [-], water vapour [g cm-2], reflectance difference [-].
AOT_TOP, WATER_VAPOUR_TOP, DIFFERENCE_TOP = 0.8, 5.0, 0.05
#: Age of the composite at the end of its ramp. [days]
AGE_TOP = 60
#: Counts that make 1 of AOT, and 1 g cm-2 of water vapour.
AOT_UNIT, WATER_VAPOUR_UNIT = 200, 20
#: The rasters of NDVI.
NDVI = ("SRE_B8.tif", "SRE_B4.tif")

#: What can be asked for. Masks are those of 10 m; a product that lacks a file doesn't offer the layer.
LAYERS: dict[str, Layer] = {
    "natural": Layer("Natural colour", ("SRE_B4.tif", "SRE_B3.tif", "SRE_B2.tif"), _composite(0.25, 0.25, 0.25)),
    "false": Layer("Infrared false colour", ("SRE_B8.tif", "SRE_B4.tif", "SRE_B3.tif"), _composite(0.5, 0.25, 0.25)),
    "natural-flat": Layer(
        "Natural colour, slope corrected", ("FRE_B4.tif", "FRE_B3.tif", "FRE_B2.tif"), _composite(0.25, 0.25, 0.25)
    ),
    "rgb": Layer("Three bands", ("SRE_B11.tif", "SRE_B8.tif", "SRE_B4.tif"), _composite(0.4, 0.5, 0.25), choices=3),
    "band": Layer("One band", ("SRE_B4.tif",), _scale(GREY_RAMP, 0, 0.4), choices=1),
    "ndvi": Layer("NDVI", NDVI, _scale(NDVI_RAMP, -0.2, 1), choices=2),
    "aot": Layer("Aerosol optical thickness", ("ATB_R1.tif",), _ramp(AOT_RAMP, AOT_UNIT, AOT_TOP), band=2),
    "water-vapour": Layer(
        "Water vapour", ("ATB_R1.tif",), _ramp(WATER_VAPOUR_RAMP, WATER_VAPOUR_UNIT, WATER_VAPOUR_TOP)
    ),
    **{kind: Layer(title, (f"MASKS/{kind}_R1.tif",), _bits(kind), mask=True) for kind, title in MASK_TITLES.items()},
    # Of the Level-1C that the product was made from: `toa`.
    "toa": Layer("TOA (L1C)", (), _toa),
    # Of the recurrent state that the date was compared with: `age`.
    "age": Layer("Age of the composite", (), _ramp(AGE_RAMP, 1, AGE_TOP)),
    # Not of the product's folder: one raster beside it, which takes the folder's place.
    "reference": Layer("Kept mask", ("",), _reference, mask=True, fill=255),
    "difference": Layer("Difference", ("SRE_B4.tif",), _difference, choices=1, pair=True),
    "agreement": Layer("Masks agreed or not", ("MASKS/CLM_R1.tif",), _agreement, mask=True, choices=1, pair=True),
}

_REFLECTANCE = re.compile(rf"(SRE|FRE)_({'|'.join(DISTRIBUTED)})")


def endings(name: str, style: Style) -> tuple[str, ...]:
    """Endings of the rasters that a layer in some style is drawn from; of ``toa`` the bands.

    Raises
    ------
    LookupError
        If there is no such layer, or it can't show the bands.
    ValueError
        If the scale doesn't fit.
    """
    layer = LAYERS[name]
    files = layer.files
    if name == "toa":
        files = style.bands or ("B4", "B3", "B2")
        if len(files) not in (1, 3) or not set(files) <= set(DISTRIBUTED):
            raise LookupError(f"{name} of {', '.join(files)}")
    elif style.bands:
        if name == "difference" and style.bands == ("ndvi",):
            files = NDVI
        elif name == "agreement" and style.bands[0] in MASKS:
            files = LAYERS[style.bands[0]].files
        elif len(style.bands) == layer.choices and not layer.mask and all(map(_REFLECTANCE.fullmatch, style.bands)):
            files = tuple(f"{band}.tif" for band in style.bands)
        else:
            raise LookupError(f"{name} of {', '.join(style.bands)}")
    if style.scale:
        pairs = [style.scale[i : i + 2] for i in range(0, len(style.scale), 2)]
        if not all(len(pair) == 2 and np.isfinite(pair).all() and pair[0] < pair[1] for pair in pairs):
            raise ValueError("a scale is a low and a higher value for each band")
        if len(pairs) > 1 and len(pairs) != len(files):
            raise ValueError(f"{len(pairs)} scales for {len(files)} bands")
    return files


def find(folder: Path, ending: str) -> Path | None:
    """The raster of a product whose name ends in `ending` (``SRE_B4.tif``, ``MASKS/CLM_R1.tif``); None if absent.

    Without an ending it is `folder` itself.
    """
    if not ending:
        return folder if folder.exists() else None
    below, _, name = ending.rpartition("/")
    inside = os.path.join(folder, below)
    try:
        names = _names(inside, os.stat(inside).st_mtime_ns)
    except OSError:
        return None
    return next((Path(inside, found) for found in names if found.endswith(f"_{name}")), None)


@lru_cache(maxsize=256)
def _names(folder: str, changed: int) -> list[str]:
    """What lay in a folder when it was last `changed`."""
    return sorted(os.listdir(folder))


def required(folder: Path, ending: str) -> Path:
    """`find` where the raster must be there.

    Raises
    ------
    ProductError
        If it is missing.
    """
    path = find(folder, ending)
    if path is None:
        raise ProductError(folder, f"{ending} is missing")
    return path


def layers(folder: Path) -> list[str]:
    """Layers that the product in `folder` offers by itself."""
    return [
        name
        for name, layer in LAYERS.items()
        if not layer.pair and layer.files and all(ending and find(folder, ending) for ending in layer.files)
    ]


def bands(folder: Path) -> list[str]:
    """Reflectances that the product in `folder` has: ``SRE_B2``, ``FRE_B2``."""
    keys = (f"{kind}_{band}" for kind in ("SRE", "FRE") for band in DISTRIBUTED)
    return [key for key in keys if find(folder, f"{key}.tif")]


class _Open(threading.local):
    """The rasters a thread keeps open; the one used longest ago is closed first."""

    def __init__(self) -> None:
        self.rasters: OrderedDict[tuple[str, int], rasterio.DatasetReader] = OrderedDict()

    def get(self, path: Path, overview: int = -1) -> rasterio.DatasetReader:
        """The raster at full size, or one of its overviews, counted from 0."""
        key = (str(path), overview)
        if key in self.rasters:
            self.rasters.move_to_end(key)
        else:
            level = {"overview_level": overview} if overview >= 0 else {}
            self.rasters[key] = rasterio.open(path, **level)
            if len(self.rasters) > OPEN_RASTERS:
                self.rasters.popitem(last=False)[1].close()
        return self.rasters[key]

    def drop(self, path: Path) -> None:
        for key in [key for key in self.rasters if key[0] == str(path)]:
            self.rasters.pop(key).close()


_open = _Open()


def opened(path: Path) -> rasterio.DatasetReader:
    """A raster, kept open for this thread.

    Raises
    ------
    rasterio.errors.RasterioIOError
        If it is missing or damaged.
    """
    return _open.get(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What can't be read of a raster here is a ProductError that names it; the raster is forgotten."""
    try:
        yield
    except (RasterioError, OSError) as fault:
        _open.drop(path)
        raise ProductError(path, f"can't be read: {fault}") from fault


class _Planes:
    """What was read last of the rasters, for all threads: layers share bands, and another stretch needs no reading."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._planes: OrderedDict[tuple[Any, ...], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...]) -> NDArray[Any] | None:
        with self._lock:
            if key in self._planes:
                self._planes.move_to_end(key)
            return self._planes.get(key)

    def put(self, key: tuple[Any, ...], plane: NDArray[Any]) -> None:
        plane.flags.writeable = False
        with self._lock:
            if key not in self._planes:
                self._planes[key] = plane
                self._bytes += plane.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._planes.popitem(last=False)[1].nbytes


_planes = _Planes(PLANES)


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
    """One raster over one tile, (SIZE, SIZE) padded with `fill`, not to be written to; None if it lies outside."""
    key = (path, path.stat().st_mtime_ns, band, z, x, y)
    known = _planes.get(key)
    if known is not None:
        return known
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
    _planes.put(key, out)
    return out


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
        plane = _read(path, layer.band, z, x, y, layer.mask, fill)
        if plane is None or not margin:
            return plane
        plane = np.pad(plane, margin, "edge")
        inner = slice(margin, -margin)
        for row, col, here, there in (
            (-1, 0, (0, inner), (-1, slice(None))),
            (1, 0, (-1, inner), (0, slice(None))),
            (0, -1, (inner, 0), (slice(None), -1)),
            (0, 1, (inner, -1), (slice(None), 0)),
        ):
            beside = (
                _read(path, layer.band, z, x + col, y + row, layer.mask, fill) if min(x + col, y + row) >= 0 else None
            )
            if beside is not None:
                plane[here] = beside[there]
        return plane

    return _drawn(folder, name, style, other, read, margin)


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
    return _png(LAYERS["age"].draw(counts, style), smooth=False)


def toa(packages: tuple[Path, ...], mgrs: str, z: int, x: int, y: int, style: Style = DEFAULT) -> bytes | None:
    """The Level-1C that a product was made from, top-of-atmosphere reflectance, on the product's grid.

    Parameters
    ----------
    packages : tuple of Path
        Folder or zip; of the halves of a pass each.
    mgrs : str
        The tile.
    z, x, y, style
        As of `tile`. Images of some megapixels are decoded: not for many at once.

    Returns
    -------
    bytes or None
        As of `tile`.

    Raises
    ------
    L1CError
        If a package is missing, damaged or not of this tile.
    """
    made_from = packages, tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in packages), mgrs
    grid, side = _granule(*made_from).grid, SIZE * RESOLUTION0 / 2**z
    if x * side >= grid.width or y * side >= grid.height:
        return None
    planes = [_toa_plane(made_from, band, z, x, y) for band in endings("toa", style)]
    return _encoded(LAYERS["toa"].draw(np.stack(planes), style), style)


@lru_cache(maxsize=8)
def _granule(packages: tuple[Path, ...], changed: tuple[int, ...], mgrs: str) -> Granule:
    """What some packages, as they were last `changed`, hold of a tile."""
    halves = [granule for path in packages for granule in granules(path) if granule.tile == mgrs]
    if not halves:
        raise L1CError(packages[0], f"holds no tile {mgrs}")
    return merge(halves)


def _toa_plane(
    made_from: tuple[tuple[Path, ...], tuple[int, ...], str], band: str, z: int, x: int, y: int
) -> NDArray[Any]:
    """One band over one tile as a product would have it, (SIZE, SIZE) int16.

    Four tiles of a level are read at once: of 10 m they share one tile of the codestream.
    """
    if z > NATIVE:
        times = 2 ** (z - NATIVE)
        plane = _toa_plane(made_from, band, NATIVE, x // times, y // times)
        part = SIZE // times
        top, left = y % times * part, x % times * part
        return plane[top : top + part, left : left + part].repeat(times, 0).repeat(times, 1)
    factor = RESOLUTION0 / 2**z / BANDS[band].resolution
    spacing, times = max(1, int(factor)), max(1, int(1 / factor))
    side = SIZE // times
    key = (made_from, band, z)
    known = _planes.get((*key, x, y))
    if known is not None:
        return known
    row, col = y // 2 * 2, x // 2 * 2
    found = _granule(*made_from).toa(
        band, spacing, slice(row * side, (row + 2) * side), slice(col * side, (col + 2) * side)
    )
    found = np.where(np.isnan(found), NO_DATA, np.clip(np.rint(found * 10000), NO_DATA + 1, 2**15 - 1))
    group = np.full((2 * SIZE, 2 * SIZE), NO_DATA, np.int16)
    enlarged = found.astype(np.int16).repeat(times, 0).repeat(times, 1)
    group[: enlarged.shape[0], : enlarged.shape[1]] = enlarged
    for down, across in np.ndindex(2, 2):
        plane = group[down * SIZE : (down + 1) * SIZE, across * SIZE : (across + 1) * SIZE]
        _planes.put((*key, col + across, row + down), plane.copy())
    return group[(y - row) * SIZE :, (x - col) * SIZE :][:SIZE, :SIZE]


def mercator(folder: Path, name: str, z: int, x: int, y: int, style: Style = DEFAULT) -> bytes | None:
    """One PNG of 256 x 256 in Web Mercator's usual lattice (EPSG:3857, XYZ), for GIS and web maps; else as `tile`."""
    layer = LAYERS[name]
    resolution = 2 * MERCATOR / (256 * 2**z)
    place = Affine(resolution, 0, x * 256 * resolution - MERCATOR, 0, -resolution, MERCATOR - y * 256 * resolution)

    def read(path: Path, fill: int) -> NDArray[Any] | None:
        raster = _open.get(path)
        west, south, east, north = transform_bounds(raster.crs, "EPSG:3857", *raster.bounds)
        left, top = place.c, place.f
        right, bottom = left + 256 * resolution, top - 256 * resolution
        if left >= east or right <= west or bottom >= north or top <= south:
            return None
        ground = resolution / math.cosh((south + north) / 2 / 6378137)  # the projection stretches by 1 / cos(latitude)
        level = sum(factor * raster.res[0] <= ground for factor in raster.overviews(layer.band)) - 1
        with WarpedVRT(
            _open.get(path, level),
            crs="EPSG:3857",
            transform=place,
            width=256,
            height=256,
            nodata=fill,
            src_nodata=fill,
            resampling=Resampling.nearest if layer.mask else Resampling.bilinear,
        ) as warped:
            return warped.read(layer.band)

    return _drawn(folder, name, style, None, read)


def _drawn(
    folder: Path,
    name: str,
    style: Style,
    other: Path | None,
    read: Callable[[Path, int], NDArray[Any] | None],
    margin: int = 0,
) -> bytes | None:
    """Draws what `read` gives, and cuts the margin off."""
    planes = []
    for root in (folder, other) if other else (folder,):
        for ending in endings(name, style):
            path = required(root, ending)
            with reading(path):
                plane = read(path, NO_DATA if "RE_B" in ending else LAYERS[name].fill)
            if plane is None:
                return None
            planes.append(plane)
    layer = LAYERS[name]
    image = layer.draw(np.stack(planes), style)
    image = image[margin : image.shape[0] - margin, margin : image.shape[1] - margin]
    return _png(image, smooth=False) if layer.mask else _encoded(image, style)


def _encoded(image: NDArray[np.uint8], style: Style) -> bytes:
    """An image that is no mask."""
    return _jpeg(image) if style.lossy and (image[..., 3] == 255).all() else _png(image)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    rows, cols, _ = image.shape
    opaque = Image.frombuffer("RGB", (cols, rows), image, "raw", "RGBX", 0, 1)
    opaque.save(stream, "JPEG", quality=88, subsampling=1)
    return stream.getvalue()


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
            raster = _open.get(path)
            scale = side / max(raster.width, raster.height)
            shape = (max(1, round(raster.height * scale)), max(1, round(raster.width * scale)))
            how = Resampling.nearest if layer.mask else Resampling.average
            planes.append(raster.read(layer.band, out_shape=shape, resampling=how))
    return _png(layer.draw(np.stack(planes), Style()))


def _png(image: NDArray[np.uint8], smooth: bool = True) -> bytes:
    """An image (row, col, 4) as PNG, without the fourth channel where all of it is opaque.

    A tile is deflated by ISA-L, five times as fast as by zlib and no larger; `smooth` images after a difference to the
    left neighbour, which leaves little of them.
    """
    if (image[..., 3] == 255).all():
        image = image[..., :3]
    rows, cols, channels = image.shape
    flat = image.reshape(rows, cols * channels)
    lines = np.empty((rows, 1 + cols * channels), np.uint8)
    lines[:, 0] = smooth  # PNG's filters: 0 none, 1 difference
    lines[:, 1:] = flat
    if smooth:
        lines[:, 1 + channels :] -= flat[:, :-channels]

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", cols, rows, 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    body = deflate.compress(lines, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def extent(folder: Path, name: str) -> tuple[float, float, float, float]:
    """West, north, width and height of a product, from a raster of the layer `name`. [m]

    Raises
    ------
    ProductError
        If it is missing or damaged.
    """
    path = required(folder, LAYERS[name].files[0])
    with reading(path):
        raster = _open.get(path)
    west, south, east, north = raster.bounds
    return west, north, east - west, north - south


#: A transparent pixel as PNG.
BLANK = _png(np.zeros((1, 1, 4), np.uint8))
