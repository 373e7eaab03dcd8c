"""Masks and detectors of a whole tile, nearly constant, kept in a few hundred kilobytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from processing import deflate

P = TypeVar("P", bound=np.generic)

#: Rows and columns of a raster that are looked at together.
BLOCK = 1024

#: Rows, columns and pixels of a part of a raster: one pixel where all are equal.
Part = tuple[tuple[slice, slice], NDArray[P]]


def fits(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether rasters of two shapes have pixels of which a whole number go into one of the other."""
    least, most = sorted((shape, other))
    times = {divmod(m, n) for m, n in zip(most, least, strict=True)}
    return len(times) == 1 and next(iter(times))[1] == 0


@dataclass(frozen=True)
class Packed(Generic[P]):
    """A raster (row, col) of bytes in rectangles: those of one value by that, the others deflated."""

    shape: tuple[int, int]
    dtype: np.dtype[P]
    _blocks: tuple[tuple[slice, slice, int, bytes], ...]

    @classmethod
    def of(cls, raster: NDArray[P]) -> Packed[P]:
        """Pack a raster of uint8 or bool."""
        rows, cols = raster.shape
        places = [
            (slice(row, min(row + BLOCK, rows)), slice(col, min(col + BLOCK, cols)))
            for row in range(0, rows, BLOCK)
            for col in range(0, cols, BLOCK)
        ]
        return cls.of_parts((rows, cols), raster.dtype, ((here, raster[here]) for here in places))

    @classmethod
    def of_parts(cls, shape: tuple[int, int], dtype: np.dtype[P], parts: Iterable[Part[P]]) -> Packed[P]:
        """Pack a raster from its parts; what none of them covers is 0."""
        blocks = []
        for (rows, cols), pixels in parts:
            first = pixels[0, 0]
            if (pixels == first).all():
                if first:
                    blocks.append((rows, cols, int(first), b""))
            else:
                blocks.append((rows, cols, 0, deflate.compress(np.ascontiguousarray(pixels), 1)))
        return cls(shape, dtype, tuple(blocks))

    def rows(self, rows: slice) -> NDArray[P]:
        """Some rows as an array of their own."""
        out = np.zeros((rows.stop - rows.start, self.shape[1]), self.dtype)
        for down, across, value, content in self._in(rows):
            top, bottom = max(rows.start, down.start), min(rows.stop, down.stop)
            here = out[top - rows.start : bottom - rows.start, across]
            if content:
                whole: NDArray[Any] = np.frombuffer(deflate.decompress(content), self.dtype)
                here[:] = whole.reshape(down.stop - down.start, -1)[top - down.start : bottom - down.start]
            else:
                here[:] = value
        return out

    def any(self, rows: slice) -> bool:
        """Whether something in some rows, or beside them in what was packed together, is not zero."""
        return bool(self._in(rows))

    def raster(self) -> NDArray[P]:
        """The whole as an array of its own."""
        return self.rows(slice(0, self.shape[0]))

    def fitted(self, shape: tuple[int, int]) -> Packed[P]:
        """The same of pixels of which a whole number go into one of these, or the other way round.

        Of several booleans one is enough; of several numbers that in their middle counts.
        """
        if shape == self.shape:
            return self
        raster, (rows, cols) = self.raster(), shape
        if rows > self.shape[0]:
            times = rows // self.shape[0]
            return Packed.of(raster.repeat(times, axis=0).repeat(times, axis=1))
        times = self.shape[0] // rows
        blocks = raster.reshape(rows, times, cols, times)
        found: Any = blocks.any(axis=(1, 3)) if self.dtype == np.bool_ else blocks[:, times // 2, :, times // 2]
        return Packed.of(found)

    def _in(self, rows: slice) -> list[tuple[slice, slice, int, bytes]]:
        return [block for block in self._blocks if block[0].start < rows.stop and rows.start < block[0].stop]
