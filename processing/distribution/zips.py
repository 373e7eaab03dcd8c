"""A folder laid out as a zip without making one: its size is known at once, and any part of it can be sent.

Files are stored as they are, rasters being compressed already, so that where each begins follows from their sizes.
The same product gives the same bytes each time. PKWARE, APPNOTE.TXT 6.3.10; ZIP64 is used where 4 GiB don't suffice.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

from processing.deflate import crc32

#: From here on a size or a place has no room in the older fields.
_LARGE = 0xFFFFFFFF
_MANY = 0xFFFF
#: Names are UTF-8.
_FLAGS = 0x800
#: Regular file, ``rw-r--r--``, made on Unix.
_MODE, _MADE_BY = 0o100644, 3
_PAGE = 1 << 18


@dataclass(frozen=True)
class Entry:
    """One file: its name in the zip, where it lies, its size [bytes] and CRC-32."""

    name: str
    path: Path
    size: int
    crc32: int


@dataclass(frozen=True)
class Part:
    """So many bytes of a zip: those given, or those of a file."""

    size: int
    data: bytes | None = None
    path: Path | None = None


def sum_of(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while page := file.read(_PAGE):
            crc = crc32(page, crc)
    return crc


class Layout:
    """A zip as the parts that it is made of.

    Parameters
    ----------
    entries : list of Entry
    modified : datetime
        What all entries say of their time; zips know no zone: UTC.

    Attributes
    ----------
    size : int
        Of the whole. [bytes]
    etag : str
        The same for the same bytes.
    """

    def __init__(self, entries: list[Entry], modified: datetime) -> None:
        time = modified.hour << 11 | modified.minute << 5 | modified.second // 2
        date = max(modified.year - 1980, 0) << 9 | modified.month << 5 | modified.day
        self._parts: list[Part] = []
        directory, offset = [], 0
        for entry in entries:
            head = _local(entry, time, date)
            directory.append(_central(entry, time, date, offset))
            self._parts += [Part(len(head), head), Part(entry.size, path=entry.path)]
            offset += len(head) + entry.size
        tail = b"".join(directory)
        tail += _end(len(entries), len(tail), offset)
        self._parts.append(Part(len(tail), tail))
        self._starts = [0, *accumulate(part.size for part in self._parts)]
        self.size = self._starts[-1]
        self.etag = sha256(tail).hexdigest()[:24]  # sizes, sums, names and places of all

    def read(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from `first` to before `end`, a page at a time."""
        place = bisect_right(self._starts, first) - 1
        while first < end:
            part, skip = self._parts[place], first - self._starts[place]
            wanted = min(part.size - skip, end - first)
            if part.data is not None:
                yield part.data[skip : skip + wanted]
            else:
                assert part.path is not None
                yield from _pages(part.path, skip, wanted)
            first += wanted
            place += 1


def _pages(path: Path, first: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        while size:
            page = file.read(min(_PAGE, size))
            if not page:
                raise OSError(f"{path}: is shorter than it was")
            size -= len(page)
            yield page


def layout(name: str, files: Mapping[str, Path], sums: Mapping[str, int | None], modified: datetime) -> Layout:
    """The zip of a product: its files in one folder with its name.

    Parameters
    ----------
    name : str
        Of the product.
    files : mapping of str to Path
        By their relative names.
    sums : mapping of str to int or None
        CRC-32 of those that it is known of; the others are read.
    """
    entries = []
    for inside, path in sorted(files.items()):
        known = sums.get(inside)
        entries.append(Entry(f"{name}/{inside}", path, path.stat().st_size, sum_of(path) if known is None else known))
    return Layout(entries, modified)


def _local(entry: Entry, time: int, date: int) -> bytes:
    name = entry.name.encode()
    large = entry.size >= _LARGE
    size = _LARGE if large else entry.size
    extra = struct.pack("<HHQQ", 1, 16, entry.size, entry.size) if large else b""
    return (
        struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 45 if large else 20, _FLAGS, 0, time, date, entry.crc32, size, size,
            len(name), len(extra),
        )
        + name
        + extra
    )  # fmt: skip


def _central(entry: Entry, time: int, date: int, offset: int) -> bytes:
    name = entry.name.encode()
    large, far = entry.size >= _LARGE, offset >= _LARGE
    wide = ([entry.size, entry.size] if large else []) + ([offset] if far else [])
    extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    size = _LARGE if large else entry.size
    version = 45 if wide else 20
    return (
        struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", _MADE_BY << 8 | version, version, _FLAGS, 0, time, date, entry.crc32,
            size, size, len(name), len(extra), 0, 0, 0, _MODE << 16, _LARGE if far else offset,
        )
        + name
        + extra
    )  # fmt: skip


def _end(count: int, size: int, offset: int) -> bytes:
    """What stands behind the directory, which is of a `size` and begins at `offset`."""
    wide = b""
    if offset >= _LARGE or size >= _LARGE or count >= _MANY:
        wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
        wide += struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + size, 1)
    few, small, near = min(count, _MANY), min(size, _LARGE), min(offset, _LARGE)
    return wide + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, few, few, small, near, 0)
