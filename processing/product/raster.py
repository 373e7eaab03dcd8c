"""The rasters of a product: GeoTIFF in the cloud-optimised layout, made strip by strip.

Tiled, DEFLATE, overviews by halves down to one tile, directories before the data, the smallest overview first.
Reflectance (int16) is stored as differences and its overviews are means of the observed pixels; of bits and coded
values (uint8) the overviews take every second one.

Formats: TIFF 6.0 and its Technical Note 2; OGC 19-008r4 (GeoTIFF 1.1); GDAL's "Cloud optimized GeoTIFF generator" for
the order of the blocks and what announces it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from processing import deflate
from processing.kernels import kernel
from processing.scene import Grid

#: Side of the tiles. [px]
TILE = 512
#: A strip begins at a multiple of this, so that its tiles and those of its first overview are whole. [px]
STRIP = 2 * TILE

Raster = NDArray[np.int16] | NDArray[np.uint8]


@dataclass(frozen=True)
class Layer:
    """What a band of a raster tells of itself to who opens it.

    Attributes
    ----------
    description : str
    scale : float or None
        Of a quantity: what its values are to be multiplied with; None for bits.
    unit : str
        Of the quantity; empty where it has none.
    """

    description: str
    scale: float | None = None
    unit: str = ""


_STRUCTURE = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
_HEADER = struct.Struct("<2sHI")
_NO_VALUE = -(1 << 20)  # no int16


@kernel()
def _difference(pixels: Any, col: Any, tile: Any) -> None:
    """Each pixel minus the one before it in its row of the tile; beyond the image, zeros."""
    rows, cols = pixels.shape[0], min(tile.shape[1], pixels.shape[1] - col)
    for i in range(tile.shape[0]):
        target, seen = tile[i], cols if i < rows else 0
        if seen:
            source = pixels[i, col : col + cols]
            target[0] = source[0]
            for j in range(1, cols):
                target[j] = source[j] - source[j - 1]
        beyond = target[seen:]
        for j in range(beyond.size):
            beyond[j] = 0


@kernel()
def _halve_means(pixels: Any, no_data: Any, out: Any) -> None:
    rows, cols = pixels.shape
    half, one, none = np.float32(0.5), np.float32(1), np.float32(no_data)
    for i in range(out.shape[0]):
        above, below, target = pixels[2 * i], pixels[min(2 * i + 1, rows - 1)], out[i]
        for j in range(cols // 2):  # without a branch: four pixels at a time
            a, b = np.int32(above[2 * j]), np.int32(above[2 * j + 1])
            c, d = np.int32(below[2 * j]), np.int32(below[2 * j + 1])
            seen = np.int32(a != no_data) + np.int32(b != no_data) + np.int32(c != no_data) + np.int32(d != no_data)
            total = np.float32(a + b + c + d - (np.int32(4) - seen) * no_data)
            mean = np.floor(total / max(np.float32(seen), one) + half)
            target[j] = np.int16(np.int32(mean if seen > 0 else none))
        if cols % 2:
            a, c = np.int32(above[cols - 1]), np.int32(below[cols - 1])
            seen = np.int32(a != no_data) + np.int32(c != no_data)
            total = np.float32(a + c - (np.int32(2) - seen) * no_data)
            target[cols // 2] = np.int16(np.int32(np.floor(total / np.float32(seen) + half) if seen > 0 else none))


@kernel()
def _interleave(layers: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        for k in range(layers.shape[0]):
            source, target = layers[k, i], out[i, :, k]
            for j in range(source.size):
                target[j] = source[j]


def halved(pixels: Raster, no_data: int | None) -> Raster:
    """The next overview of pixels (row, col) or (row, col, band): half the size, rounded up."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels[::2, ::2], np.uint8)
    out = np.empty((-(-pixels.shape[0] // 2), -(-pixels.shape[1] // 2)), np.int16)
    _halve_means(pixels, np.int32(_NO_VALUE if no_data is None else no_data), out)
    return out


def deflated(pixels: Raster) -> list[list[bytes]]:
    """The tiles of pixels (row, col) or (row, col, band), deflated, row by row."""
    found = []
    tile = np.empty((TILE, TILE, *pixels.shape[2:]), pixels.dtype)
    for row in range(0, pixels.shape[0], TILE):
        part = pixels[row : row + TILE]
        line = []
        for col in range(0, pixels.shape[1], TILE):
            if pixels.dtype == np.int16:
                _difference(part, col, tile)
            else:
                here = part[:, col : col + TILE]
                if here.shape != tile.shape:
                    tile[:] = 0
                tile[: here.shape[0], : here.shape[1]] = here
            line.append(deflate.compress(tile, 2))
        found.append(line)
    return found


class Encoder:
    """A raster that grows by strips, in any order and from several threads, and is then given out as a file.

    It holds the file's bytes and a quarter-size image, never the whole raster.
    """

    def __init__(
        self, grid: Grid, resolution: int, dtype: Any, layers: Sequence[Layer], no_data: int | None = None
    ) -> None:
        """
        Parameters
        ----------
        resolution : int
            [m]
        dtype : numpy dtype
            int16 (one band) or uint8.
        layers : sequence of Layer
            One a band.
        no_data : int or None
            Value of pixels that were not observed.
        """
        self.dtype = np.dtype(dtype)
        self._grid, self._resolution, self._no_data, self._layers = grid, resolution, no_data, layers
        self._bands = bands = len(layers)
        self._shapes = [grid.shape(resolution)]
        while max(self._shapes[-1]) > TILE:
            rows, cols = self._shapes[-1]
            self._shapes.append((-(-rows // 2), -(-cols // 2)))
        self._tiles: dict[tuple[int, int], list[bytes]] = {}
        self._small = None
        if len(self._shapes) > 2:
            self._small = np.empty(self._shapes[2] + ((bands,) if bands > 1 else ()), self.dtype)

    @property
    def strips(self) -> list[slice]:
        """Rows of each strip to be added."""
        rows = self._shapes[0][0]
        return [slice(row, min(row + STRIP, rows)) for row in range(0, rows, STRIP)]

    def add(self, rows: slice, pixels: Raster) -> None:
        """Encode a strip.

        Parameters
        ----------
        rows : slice
            One of `strips`.
        pixels : (row, col) or (band, row, col) int16 or uint8

        Raises
        ------
        ValueError
            If the strip does not fill its rows.
        """
        expected = (rows.stop - rows.start, self._shapes[0][1])
        if pixels.shape[-2:] != expected or pixels.dtype != self.dtype or pixels.ndim != 2 + (self._bands > 1):
            raise ValueError(f"strip of {pixels.dtype} {pixels.shape}, expected {self.dtype} {expected}")
        if self._bands > 1:
            layers, pixels = pixels, np.empty((*expected, self._bands), self.dtype)
            _interleave(layers, pixels)
        self._put(0, rows.start // TILE, pixels)
        if len(self._shapes) > 1:
            pixels = halved(pixels, self._no_data)
            self._put(1, rows.start // STRIP, pixels)
        if self._small is not None:
            quarter = halved(pixels, self._no_data)
            first = rows.start // 4
            self._small[first : first + len(quarter)] = quarter

    def add_whole(self, array: Raster) -> None:
        """Encode a raster (row, col) or (band, row, col) that is there as a whole; ValueError as of `add`."""
        if array.shape[-2:] != self._shapes[0]:
            raise ValueError(f"raster of {array.shape[-2:]} on a grid of {self._shapes[0]} at {self._resolution} m")
        for rows in self.strips:
            self.add(rows, array[..., rows, :])

    def again(self, layers: Sequence[Layer]) -> Encoder:
        """A file of the same pixels that tells other things of itself; to be asked for when all strips are there."""
        other = copy(self)
        other._layers, other._tiles = layers, dict(self._tiles)
        return other

    def _put(self, level: int, first: int, pixels: Raster) -> None:
        for number, line in enumerate(deflated(pixels)):
            self._tiles[level, first + number] = line

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file, given once, after all strips. ISA-L may give the same pixels in other bytes."""
        small = self._small
        for level in range(2, len(self._shapes)):
            assert small is not None
            self._put(level, 0, small)
            small = halved(small, self._no_data)
        levels = [
            [tile for row in range(-(-shape[0] // TILE)) for tile in self._tiles[level, row]]
            for level, shape in enumerate(self._shapes)
        ]
        yield self._head(levels)
        self._tiles.clear()
        for tiles in reversed(levels):
            tiles.reverse()
            while tiles:  # each is let go once it is given out
                tile = tiles.pop()
                yield struct.pack("<I", len(tile))  # with this and the end twice, a reader can check what it has
                yield tile
                yield tile[-4:]

    def _head(self, levels: list[list[bytes]]) -> bytes:
        """Header and directories; the offset of a tile is that of its data, after its size."""

        def directories(offsets: list[list[int]]) -> bytes:
            out = _HEADER.pack(b"II", 42, _HEADER.size + len(announcement)) + announcement
            for level, tiles in enumerate(levels):
                tags = self._tags(level, offsets[level], [len(tile) for tile in tiles])
                out += _directory(tags, len(out), last=level == len(levels) - 1)
            return out

        announcement = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(_STRUCTURE) + _STRUCTURE
        offsets = [[0] * len(tiles) for tiles in levels]
        at = len(directories(offsets))
        for tiles, starts in zip(reversed(levels), reversed(offsets), strict=True):
            for number, tile in enumerate(tiles):
                starts[number] = at + 4
                at += 8 + len(tile)
        if at >> 32:
            raise ValueError(f"a raster of {at} bytes is too long for a TIFF")
        return directories(offsets)

    def _tags(self, level: int, offsets: list[int], lengths: list[int]) -> list[tuple[int, str, Sequence[Any]]]:
        rows, cols = self._shapes[level]
        bands = self._bands
        tags: list[tuple[int, str, Sequence[Any]]] = [
            (254, "I", [1 if level else 0]),  # an overview
            (256, "I", [cols]),
            (257, "I", [rows]),
            (258, "H", [8 * self.dtype.itemsize] * bands),
            (259, "H", [8]),  # DEFLATE
            (262, "H", [1]),  # black is zero
            (277, "H", [bands]),
            (284, "H", [1]),  # the bands of a pixel side by side
            (317, "H", [2 if self.dtype == np.int16 else 1]),
            (322, "I", [TILE]),
            (323, "I", [TILE]),
            (324, "I", offsets),
            (325, "I", lengths),
        ]
        if bands > 1:
            tags.append((338, "H", [0] * (bands - 1)))
        tags.append((339, "H", [2 if self.dtype == np.int16 else 1] * bands))
        if not level:
            size, epsg = float(self._resolution), int(self._grid.crs.removeprefix("EPSG:"))
            tags.append((33550, "d", [size, size, 0.0]))
            tags.append((33922, "d", [0.0, 0.0, 0.0, self._grid.west, self._grid.north, 0.0]))
            # version 1.1.0, three keys: projected; a pixel is an area; the projection
            tags.append((34735, "H", [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, epsg]))
            tags.append((42112, "s", _told(self._layers)))
        if self._no_data is not None:
            tags.append((42113, "s", f"{self._no_data}\0".encode()))
        return tags


def _told(layers: Sequence[Layer]) -> bytes:
    """What GDAL reads of each band, in its own tag: description, scale and unit."""
    items = []
    for number, layer in enumerate(layers):
        told = {"DESCRIPTION": layer.description}
        if layer.scale is not None:
            told |= {"OFFSET": "0", "SCALE": repr(layer.scale)}
        if layer.unit:
            told["UNITTYPE"] = layer.unit
        items += [
            f'  <Item name="{name}" sample="{number}" role="{name.lower()}">{escape(text)}</Item>\n'
            for name, text in told.items()
        ]
    return f"<GDALMetadata>\n{''.join(items)}</GDALMetadata>\n\0".encode()


_TYPES = {"s": 2, "H": 3, "I": 4, "d": 12}


def _directory(tags: list[tuple[int, str, Sequence[Any]]], at: int, *, last: bool) -> bytes:
    """An image directory that lies at byte `at`, followed by the values too long for its entries."""
    entries, far = b"", b""
    start = at + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        content = bytes(values) if kind == "s" else struct.pack(f"<{len(values)}{kind}", *values)
        where = content.ljust(4, b"\0")
        if len(content) > 4:
            where = struct.pack("<I", start + len(far))
            far += content + b"\0" * (len(content) % 2)
        entries += struct.pack("<HHI", tag, _TYPES[kind], len(values)) + where
    following = 0 if last else start + len(far)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + far


def encoded(array: Raster, grid: Grid, resolution: int, layers: Sequence[Layer], no_data: int | None) -> memoryview:
    """The bytes of a raster that is there as a whole, (row, col) or (band, row, col).

    Raises
    ------
    ValueError
        If the array does not cover the grid.
    """
    encoder = Encoder(grid, resolution, array.dtype, layers, no_data)
    encoder.add_whole(array)
    return memoryview(b"".join(encoder.chunks()))
