"""Images as PNG and JPEG."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dashboard.tiles.styles import Style
from processing import deflate


def encoded(image: NDArray[np.uint8], style: Style) -> bytes:
    """An image that is no mask."""
    return _jpeg(image) if style.lossy and (image[..., 3] == 255).all() else png(image)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    rows, cols, _ = image.shape
    opaque = Image.frombuffer("RGB", (cols, rows), image, "raw", "RGBX", 0, 1)
    opaque.save(stream, "JPEG", quality=88, subsampling=1)
    return stream.getvalue()


def png(image: NDArray[np.uint8], smooth: bool = True) -> bytes:
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


#: A transparent pixel as PNG.
BLANK = png(np.zeros((1, 1, 4), np.uint8))
