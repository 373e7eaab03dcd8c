"""What the air does is smooth: it is looked up at every second cell, and lies on straight lines between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def corners(field: Any, every: int) -> Any:
    """One cell of each block, for angles: they turn, and have no mean."""
    return field[::every, ::every]


def means(field: Field, every: int) -> Field:
    """Means of blocks of `every` x `every` cells, of which the last may be smaller."""
    if every == 1:
        return field
    rows, cols = (-(-n // every) for n in field.shape)
    room = [(0, rows * every - field.shape[0]), (0, cols * every - field.shape[1])]
    blocks = np.pad(field, room, mode="edge").reshape(rows, every, cols, every)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def between(thin: NDArray[np.floating], every: int, shape: tuple[int, ...]) -> Field:
    """Values of the blocks' middles at the cells, (row, col) float32; what is no number takes its neighbours along."""
    if every == 1:
        return np.asarray(thin, np.float32)
    out = np.asarray(thin, np.float32)
    for axis, size in enumerate(shape):
        at = np.clip((np.arange(size) + 0.5) / every - 0.5, 0, out.shape[axis] - 1)
        low = np.minimum(at.astype(int), max(out.shape[axis] - 2, 0))
        high = np.minimum(low + 1, out.shape[axis] - 1)
        weight = (at - low).astype(np.float32).reshape(-1, 1) if axis == 0 else (at - low).astype(np.float32)
        below = np.take(out, low, axis)
        out = below + (np.take(out, high, axis) - below) * weight
    return np.ascontiguousarray(out)
