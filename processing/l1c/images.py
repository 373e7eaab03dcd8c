"""JPEG 2000 images and the masks, JPEG 2000 or GML, of a Level-1C package."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import IO, Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.io import MemoryFile
from rasterio.windows import Window
from scipy import ndimage

from processing.errors import L1CError
from processing.l1c import codestream
from processing.l1c.metadata import LAST_DETECTOR
from processing.l1c.package import Package
from processing.l1c.packed import Packed, fits
from processing.scene import Grid

#: Layers of MSK_QUALIT (PSD 14.9): 1 and 2 ancillary data lost and degraded, 3 and 4 image data lost and degraded,
#: 5 defective, 6 no data, 7 partly corrected for crosstalk, 8 saturated.
QUALITY_LAYERS = 8
#: What was lost, degraded or not seen was not measured: it is no data. Defective pixels are interpolated by the ground
#: segment, and where ancillary data lacked the image's place and scale are: they keep their counts, and are no samples.
LOST_LAYERS, DEFECTIVE_LAYERS, SATURATED_LAYER = (3, 4, 6), (1, 2, 5), 8
#: The same in the GML masks before baseline 04.00. MSK_NODATA also holds QT_PARTIALLY_CORRECTED_PIXELS.
LOST_TYPES = {"MSK_NODATA": {"QT_NODATA_PIXELS"}, "MSK_TECQUA": {"MSI_LOST", "MSI_DEG"}}
DEFECTIVE_TYPES = {"MSK_DEFECT": {"QT_DEFECTIVE_PIXELS"}, "MSK_TECQUA": {"ANC_LOST", "ANC_DEG"}}
#: A tile coded in less than this holds next to nothing: an empty one of 1024 x 1024 pixels has some 70, one that was
#: observed several 100,000. [bytes]
BLANK = 1024

#: Corners of a mask; the longest of real products at hand has 14,800.
MOST_CORNERS = 1_000_000
#: No coordinate of a projection is as far. [m]
FARTHEST = 1e8

_GML = "{http://www.opengis.net/gml/3.2}"
_EOP = "{http://www.opengis.net/eop/2.0}"


@dataclass(frozen=True)
class Header:
    """What a JPEG 2000 file says of itself. `epsg` is None without a georeference."""

    columns: int
    rows: int
    layers: int
    dtype: str
    epsg: int | None
    transform: Affine


def header(package: Package, name: str) -> Header:
    """Read the header of a JPEG 2000 file.

    Raises
    ------
    L1CError
        If the file is missing, empty, or no readable JPEG 2000 file.
    """
    with _opened(package, name) as image:
        return Header(
            image.width, image.height, image.count, image.dtypes[0], image.crs and image.crs.to_epsg(), image.transform
        )


@contextmanager
def _opened(
    package: Package, name: str, where: str = "", content: bytes | None = None, **options: int
) -> Iterator[Any]:
    """A rasterio dataset of its own for each use, as GDAL's are not for several threads.

    Only JPEG 2000 is opened: other formats may point to other files. `where` goes into the error's text, `content`
    is that of the file if it is known. Of a file that no checksum stands for, what the decoder warns of is an error.
    """
    try:
        with ExitStack() as stack:
            warnings = stack.enter_context(_ear.listening())
            start = package.start(name, codestream.START) if content is None else content[: codestream.START]
            codestream.check_size(package, name, start)
            source = package.gdal(name)
            if content is not None:
                source = stack.enter_context(MemoryFile(content)).name
            yield stack.enter_context(rasterio.open(source, driver="JP2OpenJPEG", **options))
        if warnings and not package.checksums.is_verified(name):
            raise package.fault(name, f"JPEG 2000 that is damaged{where} ({warnings[0].strip().splitlines()[0]})")
    except RasterioError as error:
        with package.open(name) as file:  # a file that is missing or damaged in its zip says so better
            codestream.check_signature(package, name, file.read(len(codestream.SIGNATURE)))
        raise package.fault(name, f"JPEG 2000 that can't be decoded{where} ({_cause(error)})") from error


class _Ear(logging.Handler):
    """Hears what GDAL warns of in each thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Note a warning, where somebody listens."""
        if (heard := getattr(self._heard, "now", None)) is not None:
            heard.append(record.getMessage())

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """What this thread is warned of meanwhile."""
        before, self._heard.now = getattr(self._heard, "now", None), []
        try:
            yield self._heard.now
        finally:
            self._heard.now = before


_ear = _Ear()
logging.getLogger("rasterio._env").addHandler(_ear)


def _cause(error: BaseException) -> str:
    """GDAL's first word on what went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


# Pixels


def strips(package: Package, name: str, height: int = 1024) -> list[slice]:
    """Rows to decode at a time: about `height` of them, and whole tiles of the codestream so as to decode each once."""
    with _opened(package, name) as image:
        tile = image.block_shapes[0][0]
        step = tile * max(1, round(height / tile))
        return [slice(first, min(first + step, image.height)) for first in range(0, image.height, step)]


def read(package: Package, name: str, rows: slice, content: bytes | None = None) -> NDArray[np.uint16]:
    """Some rows of a one-layer image, out of the file or its content.

    Of the tiles that are coded alike and hold next to nothing, as beyond the edge of a swath, only one is decoded.
    """
    where = f" in rows {rows.start} to {rows.stop - 1}"
    package.verify(name, content)
    pieces = _pieces(package, name, rows, content)
    with _opened(package, name, where, content) as image:

        def decode(rows: slice, cols: slice, out: NDArray[np.uint16]) -> None:
            image.read(1, window=Window.from_slices(rows, cols), out=out)

        out = np.empty((rows.stop - rows.start, image.width), np.uint16)
        if not any(code for *_, code in pieces):
            decode(rows, slice(0, image.width), out)
            return out
        blank: dict[tuple[int, int, bytes], np.uint16] = {}
        for down, across, code in pieces:
            key, here = (down.stop - down.start, across.stop - across.start, code), out[_within(down, rows), across]
            if key in blank:
                here[:] = blank[key]
                continue
            decode(down, across, here)
            if code and (here == here[0, 0]).all():
                blank[key] = here[0, 0]
        return out


def _within(part: slice, rows: slice) -> slice:
    return slice(part.start - rows.start, part.stop - rows.start)


def _pieces(package: Package, name: str, rows: slice, content: bytes | None) -> list[tuple[slice, slice, bytes]]:
    """Rows and columns of the tiles in some rows, with their code where it is shorter than `BLANK`.

    The others, without theirs, are put together along a row. None where the structure can't be read: the decoder then
    says what is wrong with it. Nor out of a zip, where seeking is to unpack from the start.
    """
    if package.zipped and content is None:
        return []
    found: list[tuple[slice, slice, bytes]] = []
    try:
        with package.open(name) if content is None else BytesIO(content) as file:
            stream = codestream.read(package, name, file)
            for number, down, across in stream.tiles():
                down = slice(max(down.start, rows.start), min(down.stop, rows.stop))
                if down.start >= down.stop:
                    continue
                parts = stream.parts[number]
                code = _bytes(file, parts) if sum(end - start for start, end in parts) < BLANK else b""
                if not code and found and not found[-1][2] and found[-1][0] == down:
                    across = slice(found.pop()[1].start, across.stop)
                found.append((down, across, code))
    except L1CError:
        return []
    return found


def spacing(package: Package, name: str, most: int) -> int:
    """Pixels between the low-pass samples of the coarsest resolution level of an image up to `most`, a power of 2."""
    with _opened(package, name) as image:
        return max((factor for factor in image.overviews(1) if factor <= most), default=1)


def samples(
    package: Package, name: str, spacing: int, content: bytes | None = None, window: Window | None = None
) -> NDArray[np.uint16]:
    """The low-pass samples of a one-layer image at each `spacing`-th row and column, decoded at that level only.

    `window` counts samples. The checksum of a whole image is not worth while to look at a part of it.
    """
    if window is None:
        package.verify(name, content)
    options = {} if spacing == 1 else {"overview_level": spacing.bit_length() - 2}
    with _opened(package, name, f" to every {spacing}. pixel", content, **options) as image:
        pixels: NDArray[np.uint16] = image.read(1, window=window)
        return pixels


def unobserved(samples: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Samples that hold something unobserved, where no data is 0.

    The low-pass reaches over less than two samples on each side. Zeros in a line are none: it undershoots where dark
    ground meets bright one.
    """
    zero = samples == 0
    return np.asarray(ndimage.maximum_filter(ndimage.minimum_filter(zero, 3), 7)) if zero.any() else zero


def _window(package: Package, name: str, grid: Grid, resolution: int) -> Window:
    """Where `grid` lies in a mask, in its pixels: whole multiples or parts of the image's.

    It may be that of the whole tile beside a cropped image.
    """
    found = header(package, name)
    if found.epsg is None and fits(grid.shape(resolution), (found.rows, found.columns)):
        return Window(0, 0, found.columns, found.rows)
    t = found.transform
    pixel = t.a if t.a > 0 else float(resolution)
    left, top, cols, rows = (v / pixel for v in (grid.west - t.c, t.f - grid.north, grid.width, grid.height))
    covers = left >= 0 and top >= 0 and left + cols <= found.columns and top + rows <= found.rows
    whole = not any(v % 1 for v in (left, top, cols, rows)) and (pixel % resolution == 0 or resolution % pixel == 0)
    if f"EPSG:{found.epsg}" != grid.crs or (t.a, t.e) != (pixel, -pixel) or not whole or not covers:
        text = f"{found.columns} x {found.rows} pixels of {t.a:g} m at {t.c:g} E {t.f:g} N, not on the image's grid"
        raise package.fault(name, text)
    return Window(int(left), int(top), int(cols), int(rows))


#: What is known of tiles that hold one value in each layer: by how they are coded, their size and code, and the layers.
Uniform = dict[tuple[bytes, int, int, bytes, tuple[int, ...]], NDArray[np.uint8]]


def detector_image(
    package: Package, name: str, grid: Grid, resolution: int, step: int, known: Uniform
) -> Packed[np.uint8]:
    """Detector of every `step`-th pixel of `grid` from a MSK_DETFOO of baseline >= 04.00.

    Where the file has that resolution level it is decoded alone. Where detectors meet, the low-pass gives numbers of
    others: there are none then, nor beside pixels that no detector saw. What `known` knows, from masks of the same
    package, is not decoded again; more is added to it.
    """
    window = _window(package, name, grid, resolution)

    def checked(detectors: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if (largest := detectors.max(initial=0)) > LAST_DETECTOR:
            raise package.fault(name, f"a detector {largest}, there are {LAST_DETECTOR}")
        return detectors

    shape = grid.shape(resolution)
    whole_steps = (window.row_off % step, window.col_off % step) == (0, 0) and shape == (window.height, window.width)
    if step > 1 and whole_steps and spacing(package, name, step) == step:
        rows, cols = window.row_off // step, window.col_off // step
        height, width = -(-window.height // step), -(-window.width // step)
        mixed = samples(package, name, step)[rows : rows + height, cols : cols + width]
        alone = ndimage.maximum_filter(mixed, 5) == ndimage.minimum_filter(mixed, 5)
        return Packed.of(checked(np.where(alone, mixed, 0).astype(np.uint8)))
    parts = ((here, checked(pixels[0])) for here, pixels in _tiles(package, name, window, (1,), known))
    whole = Packed.of_parts((window.height, window.width), np.dtype(np.uint8), parts).fitted(shape)
    return whole if step == 1 else Packed.of(whole.raster()[::step, ::step])


class Quality(NamedTuple):
    """What the Level-1C says of the pixels of a band, (row, col) bool each.

    Attributes
    ----------
    lost : Packed
        Not measured, or not as they should be: lost or degraded on their way, or beyond the swath.
    defective : Packed
        These, and those of a defective part of a detector.
    saturated : Packed
    """

    lost: Packed[np.bool_]
    defective: Packed[np.bool_]
    saturated: Packed[np.bool_]


def quality_image(package: Package, name: str, grid: Grid, resolution: int, known: Uniform) -> Quality:
    """What a MSK_QUALIT of baseline >= 04.00 says of the pixels of `grid`; `known` as of the detectors."""
    window = _window(package, name, grid, resolution)
    if (layers := header(package, name).layers) != QUALITY_LAYERS:
        raise package.fault(name, f"{layers} layers, {QUALITY_LAYERS} expected")
    tiles = list(_tiles(package, name, window, (*LOST_LAYERS, *DEFECTIVE_LAYERS, SATURATED_LAYER), known))
    pack = partial(Packed.of_parts, (window.height, window.width), np.dtype(np.bool_))
    found = (
        pack((here, np.logical_or.reduce(pixels[: len(LOST_LAYERS)] != 0)) for here, pixels in tiles),
        pack((here, np.logical_or.reduce(pixels[:-1] != 0)) for here, pixels in tiles),
        pack((here, pixels[-1] != 0) for here, pixels in tiles),
    )
    return Quality(*(mask.fitted(grid.shape(resolution)) for mask in found))


def _tiles(
    package: Package, name: str, window: Window, layers: tuple[int, ...], known: Uniform
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.uint8]]]:
    """The tiles of a mask inside a window: where they lie in it, and their pixels (layer, row, col), one if all equal.

    Nearly all tiles of the codestream hold one value and are coded alike, byte for byte, in all bands of a resolution:
    only one of them is decoded. That brings the eight layers of a 10 m band from 4 s to 0.3 s, and to less for the
    next one.
    """
    package.verify(name)
    with package.open(name) as file, _opened(package, name) as image:
        stream = codestream.read(package, name, file)
        header = _bytes(file, [stream.header])
        for number, rows, cols in stream.tiles():
            top, bottom = max(rows.start, window.row_off), min(rows.stop, window.row_off + window.height)
            left, right = max(cols.start, window.col_off), min(cols.stop, window.col_off + window.width)
            if top >= bottom or left >= right:
                continue
            size = rows.stop - rows.start, cols.stop - cols.start
            code = (header, *size, _bytes(file, stream.parts[number]), layers)
            pixels = known.get(code)
            if pixels is None:
                pixels = image.read(layers, window=Window.from_slices(rows, cols))
                if (pixels == pixels[:, :1, :1]).all():
                    known[code] = pixels = pixels[:, :1, :1].copy()
            here = np.s_[top - window.row_off : bottom - window.row_off, left - window.col_off : right - window.col_off]
            if pixels.shape[1:] != (1, 1):
                pixels = pixels[:, top - rows.start : bottom - rows.start, left - cols.start : right - cols.start]
            yield here, pixels


def _bytes(file: IO[bytes], parts: list[tuple[int, int]]) -> bytes:
    pieces = []
    for start, end in parts:
        file.seek(start)
        pieces.append(file.read(end - start))
    return b"".join(pieces)


# GML masks


@dataclass(frozen=True)
class Feature:
    """One polygon of a GML mask: its type, its `gml:id`, and rings of (x, y) [m], the outer one first."""

    kind: str
    ident: str
    rings: list[list[tuple[float, float]]]


def features(package: Package, name: str) -> list[Feature]:
    """Polygons of a GML mask.

    Raises
    ------
    L1CError
        If the file is missing, malformed, or no such mask.
    """
    root = package.xml(name)
    if root.tag != f"{_EOP}Mask":
        raise package.fault(name, "not a GML mask")
    found, corners = [], 0
    for member in root.iter(f"{_EOP}MaskFeature"):
        kind = (member.findtext(f"{_EOP}maskType") or "").strip()
        for polygon in member.iter(f"{_GML}Polygon"):
            paths = (f"{_GML}exterior//{_GML}posList", f"{_GML}interior//{_GML}posList")
            rings = [_ring(package, name, e) for path in paths for e in polygon.findall(path)]
            found.append(Feature(kind, member.get(f"{_GML}id", ""), rings))
            corners += sum(map(len, rings))
            if corners > MOST_CORNERS:
                raise package.fault(name, f"more than {MOST_CORNERS} corners")
    return found


def _ring(package: Package, name: str, element: Any) -> list[tuple[float, float]]:
    try:
        dimension = {"2": 2, "3": 3}[element.get("srsDimension", "2").strip()]
        values = [float(v) for v in (element.text or "").split()]
        ring = list(zip(values[::dimension], values[1::dimension], strict=True))
    except (ValueError, KeyError) as error:
        raise package.fault(name, f"a polygon that can't be read ({str(error)[:80]})") from error
    if len(ring) < 4 or not (np.abs(ring) < FARTHEST).all():  # neither is NaN
        raise package.fault(name, f"a polygon of {len(ring)} points, or of places out of the world")
    return ring


def _burn(shapes: list[tuple[Feature, int]], grid: Grid, resolution: int) -> NDArray[np.uint8]:
    """Pixels whose centre lies in a polygon; where polygons overlap, the last one counts."""
    shape = grid.shape(resolution)
    if not shapes:
        return np.zeros(shape, np.uint8)
    polygons = [({"type": "Polygon", "coordinates": f.rings}, value) for f, value in shapes]
    burnt: NDArray[np.uint8] = rasterize(
        polygons, out_shape=shape, transform=Affine(*grid.transform(resolution)), fill=0, dtype="uint8"
    )
    return burnt


def detector_polygons(package: Package, name: str, grid: Grid, resolution: int, band: str) -> NDArray[np.uint8]:
    """Detector of each pixel of `grid` from a band's MSK_DETFOO before baseline 04.00; `band` as in its name, B01."""
    shapes = []
    for feature in features(package, name):
        match = re.fullmatch(r"detector_footprint-(B\w\w)-(\d{1,2})-\d+", feature.ident)
        if not match or not 1 <= int(match[2]) <= LAST_DETECTOR:
            raise package.fault(name, f"a footprint of no detector: {feature.ident[:80]!r}")
        if match[1] != band:
            raise package.fault(name, f"holds the footprints of {match[1]}, not of {band}")
        shapes.append((feature, int(match[2])))
    return _burn(shapes, grid, resolution)


def polygons(package: Package, name: str, kinds: set[str] | None, grid: Grid, resolution: int) -> NDArray[np.bool_]:
    """Pixels of `grid` in the polygons of some types (None: of all) of a mask before baseline 04.00."""
    chosen = [(f, 1) for f in features(package, name) if kinds is None or f.kind in kinds]
    return np.asarray(_burn(chosen, grid, resolution) != 0)
