"""DEFLATE in a zlib stream: by ISA-L where it is, else by zlib, which any of them undoes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: ``compress(buffer, level, wbits)``; 31 for `wbits` gives a gzip stream. Level 1 or 2: ISA-L's 2 is three times as
#: fast as zlib's 1 on differences of reflectance and gives the same size, its 1 is for what is nearly constant.
compress: Callable[..., bytes]
decompress: Callable[[bytes], bytes]
#: ``crc32(buffer, before)``, as in zips.
crc32: Callable[..., int]
try:
    from isal.isal_zlib import compress, crc32, decompress
except ImportError:  # no wheel for this machine
    import zlib

    decompress = zlib.decompress
    crc32 = zlib.crc32

    def compress(buffer: Any, level: int, wbits: int = zlib.MAX_WBITS) -> bytes:
        """Deflate at zlib's fastest level, whatever `level` says."""
        return zlib.compress(buffer, 1, wbits)


__all__ = ["compress", "crc32", "decompress"]
