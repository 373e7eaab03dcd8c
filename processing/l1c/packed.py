"""Masks and detectors of a whole tile, nearly constant, kept in a few hundred kilobytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from processing import deflate

P = TypeVar("P", bound=np.generic)

#: Rows that are deflated together.
ROWS = 512


@dataclass(frozen=True)
class Packed(Generic[P]):
    """A raster (row, col) of bytes, deflated by strips."""

    shape: tuple[int, int]
    dtype: np.dtype[P]
    _strips: tuple[bytes | None, ...]

    @classmethod
    def of(cls, raster: NDArray[P]) -> Packed[P]:
        """Pack a raster of uint8 or bool."""
        strips: list[bytes | None] = []
        for first in range(0, raster.shape[0], ROWS):
            rows = np.ascontiguousarray(raster[first : first + ROWS])
            strips.append(deflate.compress(rows, 1) if rows.any() else None)
        return cls((raster.shape[0], raster.shape[1]), raster.dtype, tuple(strips))

    @classmethod
    def empty(cls, shape: tuple[int, int], dtype: type[P]) -> Packed[P]:
        """Nothing but zeros."""
        return cls(shape, np.dtype(dtype), (None,) * -(-shape[0] // ROWS))

    def rows(self, rows: slice) -> NDArray[P]:
        """Some rows as an array of their own."""
        out = np.zeros((rows.stop - rows.start, self.shape[1]), self.dtype)
        for number in range(rows.start // ROWS, -(-rows.stop // ROWS)):
            content = self._strips[number]
            if content is not None:
                whole: NDArray[Any] = np.frombuffer(deflate.decompress(content), self.dtype).reshape(-1, self.shape[1])
                first = number * ROWS
                top, bottom = max(rows.start, first), min(rows.stop, first + len(whole))
                out[top - rows.start : bottom - rows.start] = whole[top - first : bottom - first]
        return out

    def any(self, rows: slice) -> bool:
        """Whether something in or beside some rows is not zero."""
        return any(self._strips[number] is not None for number in range(rows.start // ROWS, -(-rows.stop // ROWS)))

    def raster(self) -> NDArray[P]:
        """The whole as an array of its own."""
        return self.rows(slice(0, self.shape[0]))
