"""How chunks of a Zarr array are packed: the few ways that are read, each held against the length it has to give.

References
----------
Zarr storage specification 2 and 3; c-blosc's README_CHUNK_FORMAT; RFC 8878 (Zstandard), section 3.1.1.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd

#: No chunk is longer, packed or not: a whole band has 241 MB. [bytes]
LONGEST = 300_000_000
#: The length of a checksum. [bytes]
CRC = 4

# Its threads would be of another process after a fork; ours run beside each other.
numcodecs.blosc.use_threads = False

_BLOSC_HEADER = 16
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Codec(NamedTuple):
    """One way of packing, and what the array says of it."""

    name: str
    options: Mapping[str, Any]


def unpacked(content: bytes, codecs: Sequence[Codec], length: int | None) -> bytes:
    """The bytes of a chunk; `length` is that which they must have, None where it isn't known.

    Raises
    ------
    ValueError
        If they are damaged, or of another length.
    """
    for number, codec in reversed(list(enumerate(codecs))):
        content = READ[codec.name](content, length if number == 0 else None)
    if length is not None and len(content) != length:
        raise ValueError(f"{len(content)} bytes, {length} expected")
    return content


def _blosc(content: bytes, length: int | None) -> bytes:
    if len(content) < _BLOSC_HEADER:
        raise ValueError("cut short")
    size, packed = (int.from_bytes(content[at : at + 4], "little") for at in (4, 12))
    _check(size, length)
    if packed != len(content):
        raise ValueError(f"{len(content)} bytes packed, {packed} expected")
    return bytes(numcodecs.blosc.decompress(content))


def _zstd(content: bytes, length: int | None) -> bytes:
    if content[:4] != _ZSTD_MAGIC or len(content) < 14:
        raise ValueError("no Zstandard frame" if len(content) >= 14 else "cut short")
    flags = content[4]
    single, dictionary = flags >> 5 & 1, (0, 1, 2, 4)[flags & 3]
    width = (single, 2, 4, 8)[flags >> 6]
    at = 5 + (1 - single) + dictionary
    if not width:
        raise ValueError("a Zstandard frame that does not say its length")
    size = int.from_bytes(content[at : at + width], "little") + (256 if width == 2 else 0)
    _check(size, length)
    return bytes(numcodecs.zstd.decompress(content))


def _deflate(content: bytes, length: int | None) -> bytes:
    most = LONGEST if length is None else length
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # of zlib or gzip
    found = stream.decompress(content, most + 1)
    if not stream.eof:
        raise ValueError("cut short, or longer than it may be")
    _check(len(found), length)
    return found


def _crc32c(content: bytes, length: int | None) -> bytes:
    if len(content) < CRC or google_crc32c.value(content[:-CRC]).to_bytes(CRC, "little") != content[-CRC:]:
        raise ValueError("its checksum is another one")
    _check(len(content) - CRC, length)
    return content[:-CRC]


def _check(size: int, length: int | None) -> None:
    if size > LONGEST or (length is not None and size != length):
        raise ValueError(f"unpacks to {size} bytes, {length or f'at most {LONGEST}'} expected")


#: By the names of both formats.
READ: Mapping[str, Callable[[bytes, int | None], bytes]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "zlib": _deflate,
    "gzip": _deflate,
    "crc32c": _crc32c,
}
