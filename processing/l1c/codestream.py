"""The structure of a JPEG 2000 file, without its pixels: ISO/IEC 15444-1, annexes A (codestream) and I (boxes)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import IO, Any

from processing.l1c.package import Package

SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
#: Pixels on a side and tiles of an image, at most: a whole tile of 10 m, and what the format can number.
MOST_PIXELS, MOST_TILES = 10_980, 65_535
#: Layers, at most: a mask of quality has 8.
MOST_LAYERS = 8
#: The size of the image stands within so many bytes of the start, behind some boxes. [bytes]
START = 65_536
#: Markers: start and end of a codestream, image and tile size, start of a tile part; none is below the last one.
_SOC, _EOC, _SIZ, _SOT, _LEAST = 0xFF4F, 0xFFD9, 0xFF51, 0xFF90, 0xFF30


def check_signature(package: Package, name: str, start: bytes) -> None:
    """Refuse a file that does not begin as a JPEG 2000 file does.

    Raises
    ------
    L1CError
    """
    if not start:
        raise package.fault(name, "empty (0 bytes)")
    if start != SIGNATURE:
        raise package.fault(name, "not a JPEG 2000 file")


@dataclass(frozen=True)
class Codestream:
    """The tiles of a JPEG 2000 codestream.

    Attributes
    ----------
    columns, rows : tuple of int
        Edges of the tiles, in pixels.
    header : (start, end)
        Where the main header lies in the file: how all tiles are coded. [bytes]
    parts : dict of int to list of (start, end)
        Where the parts of each tile, without their SOT segment, lie in the file. [bytes]
    """

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    header: tuple[int, int]
    parts: Mapping[int, list[tuple[int, int]]]

    def tiles(self) -> Iterator[tuple[int, slice, slice]]:
        """Number, rows and columns of each tile."""
        number = 0
        for top, bottom in pairwise(self.rows):
            for left, right in pairwise(self.columns):
                yield number, slice(top, bottom), slice(left, right)
                number += 1


def read(package: Package, name: str, file: IO[bytes]) -> Codestream:
    """Walk through a JPEG 2000 file without decoding it.

    Raises
    ------
    L1CError
        If the file is truncated, lacks a tile, or is not built as a JPEG 2000 file.
    """
    return _Walk(package, name, file).codestream()


def check_size(package: Package, name: str, start: bytes) -> None:
    """Refuse a file that claims more pixels than a decoder should be asked for; looks at its first `START` bytes.

    Raises
    ------
    L1CError
        Also if it is no JPEG 2000 file; what else is wrong with it, others say.
    """
    check_signature(package, name, start[: len(SIGNATURE)])
    at = start.find(struct.pack(">HH", _SOC, _SIZ))
    if 0 <= at <= len(start) - 42:
        walk = _Walk(package, name, BytesIO(start))
        walk.file.seek(at + 6)
        walk.measure()


class _Walk:
    """Goes through a file from box to box, then from marker to marker."""

    def __init__(self, package: Package, name: str, file: IO[bytes]) -> None:
        self.package, self.name, self.file = package, name, file
        self.size = file.seek(0, 2)
        self.header_end = 0
        self.edges: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self.parts: dict[int, list[tuple[int, int]]] = {}

    def codestream(self) -> Codestream:
        """The whole walk."""
        self.file.seek(0)
        check_signature(self.package, self.name, self.file.read(len(SIGNATURE)))
        end = self._enter()
        start = self.file.tell()
        while self._segment(end):
            pass
        if self.edges is None:
            raise self.package.fault(self.name, "damaged JPEG 2000: no image size")
        expected = (len(self.edges[0]) - 1) * (len(self.edges[1]) - 1)
        if set(self.parts) != set(range(expected)):
            raise self.package.fault(self.name, f"damaged JPEG 2000: {len(self.parts)} of {expected} tiles")
        return Codestream(*self.edges, (start, self.header_end), self.parts)

    def _take(self, form: str) -> tuple[Any, ...]:
        data = self.file.read(struct.calcsize(form))
        if len(data) < struct.calcsize(form):
            fault = f"truncated: ends at byte {self.size} in the middle of its structure"
            raise self.package.fault(self.name, fault)
        return struct.unpack(form, data)

    def _enter(self) -> int:
        """Go to the codestream's first segment; where its box ends."""
        start, kind, end = 0, b"", 0
        while kind != b"jp2c":
            start = end
            self.file.seek(start)
            length, kind = self._take(">I4s")
            if length == 1:
                (length,) = self._take(">Q")
            end = self.size if length == 0 else start + length
            if length != 0 and end - self.file.tell() < 0:
                fault = f"not a JPEG 2000 file: a box of {length} bytes at byte {start}"
                raise self.package.fault(self.name, fault)
            if end > self.size:
                raise self.package.fault(self.name, f"truncated: {self.size} bytes of at least {end}")
        if self._take(">H") != (_SOC,):
            raise self.package.fault(self.name, "not a JPEG 2000 file: no codestream in its box")
        return end

    def _segment(self, end: int) -> bool:
        """Pass one segment of a codestream that ends at `end`; False at its last."""
        here = self.file.tell()
        (marker,) = self._take(">H")
        if marker == _EOC:
            return False
        (length,) = self._take(">H")
        after = here + 2 + length
        if marker == _SIZ:
            self.measure()
        elif marker == _SOT:
            after = self._part(here, end)
        elif marker < _LEAST:
            raise self.package.fault(self.name, f"damaged JPEG 2000: no marker at byte {here}")
        self.file.seek(after)
        return True

    def measure(self) -> None:
        """Read the size of the image and of its tiles, where the walk stands."""
        _, x1, y1, x0, y0, dx, dy, tx0, ty0, layers = self._take(">H8IH")
        if not (dx and dy and x1 > x0 and y1 > y0):
            raise self.package.fault(self.name, "not a JPEG 2000 file: an image without pixels")
        tiles = -(-(x1 - tx0) // dx) * -(-(y1 - ty0) // dy)
        if max(x1, y1) > MOST_PIXELS or layers > MOST_LAYERS or tiles > MOST_TILES:
            size = f"{layers} layers of {x1 - x0} x {y1 - y0} pixels in {tiles} tiles"
            most = f"{MOST_LAYERS} of {MOST_PIXELS} x {MOST_PIXELS} in {MOST_TILES}"
            raise self.package.fault(self.name, f"claims {size}; at most {most} are read")
        self.edges = _edges(x0, x1, tx0, dx), _edges(y0, y1, ty0, dy)

    def _part(self, here: int, end: int) -> int:
        """Note a part of a tile; where it ends."""
        tile, length, _, _ = self._take(">HIBB")
        part_end: int = here + length if length else end - 2
        if part_end > self.size or part_end < self.file.tell():
            raise self.package.fault(self.name, f"truncated: {self.size} bytes of at least {part_end + 2}")
        self.header_end = self.header_end or here
        self.parts.setdefault(tile, []).append((self.file.tell(), part_end))
        return part_end


def _edges(start: int, stop: int, origin: int, step: int) -> tuple[int, ...]:
    inner = range(origin + step, stop, step)
    return (0, *(e - start for e in inner if e > start), stop - start)
