"""The rasters of a granule: counts and masks, put together where two halves of a pass make one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.bands import BANDS
from processing.l1c.images import Quality
from processing.l1c.packed import Packed
from processing.l1c.source import Source
from processing.scene import NO_DATA_COUNTS

#: Rows of a mask that are looked at together, a multiple of each spacing.
LOOK = 1024


class Rasters:
    """The rasters of the halves of a granule put together: masks kept once made, counts made each time."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._detectors: dict[tuple[str, int], Packed[np.uint8]] = {}
        self._unpacked: dict[tuple[str, int], bytes] = {}
        self._locks: dict[str, Lock] = {band: Lock() for band in BANDS}

    def counts(self, band: str, rows: slice) -> NDArray[np.uint16]:
        """Some rows of a band, (row, col) uint16, as `Scene.counts` has them."""
        counts = self._observed(band, rows, 0)
        for half in range(1, len(self._sources)):
            np.copyto(counts, self._observed(band, rows, half), where=counts == NO_DATA_COUNTS)
        return counts

    def samples(self, spacing: Mapping[str, int], band: str, _: slice) -> NDArray[np.uint16]:
        """Counts of a thinned scene, all rows: the halves of a pass meet where neither is thinned with no data."""
        counts = self._seen_samples(spacing[band], band, 0)
        for half in range(1, len(self._sources)):
            np.copyto(counts, self._seen_samples(spacing[band], band, half), where=counts == NO_DATA_COUNTS)
        return counts

    def _seen_samples(self, spacing: int, band: str, half: int) -> NDArray[np.uint16]:
        """Samples of a half, without those that hold something lost."""
        counts = self._sources[half].samples(band, spacing, self._content(band, half))
        lost = self.quality(band, half).lost
        for first in range(0, lost.shape[0], LOOK):
            rows = slice(first, min(first + LOOK, lost.shape[0]))
            if lost.any(rows):
                here = thinned(lost.rows(rows), spacing)
                np.copyto(counts[first // spacing :][: len(here)], NO_DATA_COUNTS, where=here)
        return counts

    def _observed(self, band: str, rows: slice, half: int) -> NDArray[np.uint16]:
        return self._sources[half].observed(band, rows, self.quality(band, half), self._content(band, half))

    def _content(self, band: str, half: int) -> bytes | None:
        """Of the image's file in a zip, unpacked once: to seek in it is to unpack it from its start."""
        source = self._sources[half]
        if source.in_parts:
            return None
        with self._locks[band]:
            content = self._unpacked.get((band, half))
            if content is None:
                content = source.content(band)
                if content is None:
                    return None
                self._unpacked[band, half] = content
                for old in list(self._unpacked)[: -2 * len(self._sources)]:
                    self._unpacked.pop(old, None)
        return content

    def detectors(self, band: str, spacing: int = 1) -> Packed[np.uint8]:
        """Of every `spacing`-th pixel, 0 where none saw it."""
        with self._locks[band]:
            if (band, spacing) not in self._detectors:
                packed = self._sources[0].detectors(band, spacing)
                for source in self._sources[1:]:
                    detectors, other = packed.raster(), source.detectors(band, spacing).raster()
                    np.copyto(detectors, other, where=detectors == 0)
                    packed = Packed.of(detectors)
                self._detectors[band, spacing] = packed
            return self._detectors[band, spacing]

    def defective(self, band: str) -> Packed[np.bool_]:
        """Of the half whose detectors saw the pixel."""
        return self._of_halves(band, lambda quality: quality.defective)

    def saturated(self, band: str) -> Packed[np.bool_]:
        """The same of saturated pixels. Real images have 15 bits and can't hold 65535: the mask knows them alone."""
        return self._of_halves(band, lambda quality: quality.saturated)

    def _of_halves(self, band: str, of: Callable[[Quality], Packed[np.bool_]]) -> Packed[np.bool_]:
        first = of(self.quality(band, 0))
        if len(self._sources) == 1:
            return first
        found, seen = first.raster(), self._seen(band, 0)
        for half in range(1, len(self._sources)):
            np.copyto(found, of(self.quality(band, half)).raster(), where=~seen)
            seen |= self._seen(band, half)
        return Packed.of(found)

    def _seen(self, band: str, half: int) -> NDArray[np.bool_]:
        lost = self.quality(band, half).lost.raster()
        return np.asarray((self._sources[half].detectors(band).raster() != 0) & ~lost)

    def quality(self, band: str, half: int) -> Quality:
        """What the masks of a half say."""
        with self._locks[band]:
            return self._sources[half].quality(band)


def thinned(lost: NDArray[np.bool_], spacing: int) -> NDArray[np.bool_]:
    """Samples every `spacing` pixels that hold something of what was lost: a low-pass reaches to their neighbours."""
    if spacing == 1:
        return lost
    rows, cols = (-(-pixels // spacing) for pixels in lost.shape)
    room = [(0, rows * spacing - lost.shape[0]), (0, cols * spacing - lost.shape[1])]
    blocks = np.pad(lost, room).reshape(rows, spacing, cols, spacing).any(axis=(1, 3))
    return np.asarray(ndimage.binary_dilation(blocks, np.ones((5, 5), np.bool_)))
