"""The low-pass samples of an image, as a reduced resolution level of its JPEG 2000 file has them.

A SAFE's image is decoded at such a level where every eighth pixel will do. A store has no levels: they are made of its
pixels, to the same values, by the reversible transform of 5/3 taps on tiles of `TILE` pixels.

References
----------
ITU-T T.800 (ISO/IEC 15444-1), annex F: the reversible transform by lifting, equations F-5 and F-6.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

#: Pixels on a side of the tiles that are transformed by themselves, as of the images at hand.
TILE = 1024
#: No image is thinned to fewer samples on a side.
LEAST = 128


def spacing(shape: tuple[int, int], most: int) -> int:
    """Pixels between samples, a power of 2 up to `most`, that leave `LEAST` samples on a side."""
    found = 1
    while 2 * found <= most and min(shape) // (2 * found) >= LEAST:
        found *= 2
    return found


def samples(
    read: Callable[[slice, slice], NDArray[np.unsignedinteger]],
    shape: tuple[int, int],
    spacing: int,
    window: tuple[slice, slice] | None = None,
) -> NDArray[np.int32]:
    """Low-pass samples every `spacing` pixels of an image that is read by rows and columns.

    Parameters
    ----------
    read : callable
        Gives the pixels of some rows and columns.
    shape : tuple of int
        Of the image.
    spacing : int
        A power of 2 up to `TILE`.
    window : tuple of slice, optional
        Rows and columns of samples to make; None: all.

    Returns
    -------
    (row, col) int32
    """
    rows, cols = window or tuple(slice(0, -(-size // spacing)) for size in shape)
    out = np.empty((rows.stop - rows.start, cols.stop - cols.start), np.int32)
    step = TILE // spacing
    for top in range(rows.start // step * step, rows.stop, step):
        down = slice(top * spacing, min((top + step) * spacing, shape[0]))
        left, right = cols.start // step * TILE, min(-(-cols.stop // step) * TILE, shape[1])
        pixels = read(down, slice(left, right))
        across = [_reduced(pixels[:, col : col + TILE], spacing) for col in range(0, right - left, TILE)]
        tiles = np.concatenate(across, axis=1)[:, cols.start - left // spacing :][:, : out.shape[1]]
        first, last = max(rows.start, top), min(rows.stop, top + len(tiles))
        out[first - rows.start : last - rows.start] = tiles[first - top : last - top]
    return out


def _reduced(tile: NDArray[np.unsignedinteger], spacing: int) -> NDArray[np.int32]:
    found = tile.astype(np.int32)
    for _ in range(spacing.bit_length() - 1):
        found = _lifted(_lifted(found).T).T
    return found


def _lifted(pixels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The low-pass of the columns, each extended symmetrically at its ends."""
    even, odd = pixels[::2], pixels[1::2]
    if not len(odd):
        return even
    after = even[1:] if len(even) > len(odd) else np.concatenate([even[1:], even[-1:]])
    high = odd - ((even[: len(odd)] + after) >> 1)  # F-5
    before, behind = np.concatenate([high[:1], high]), np.concatenate([high, high[-1:]])
    return np.asarray(even + ((before[: len(even)] + behind[: len(even)] + 2) >> 2))  # F-6
