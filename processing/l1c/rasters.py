"""The rasters of a granule: counts and masks, put together where two halves of a pass make one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.bands import BANDS
from processing.l1c.packed import Packed
from processing.l1c.source import Source
from processing.scene import NO_DATA_COUNTS


class Rasters:
    """The rasters of the halves of a granule put together: masks kept once made, counts made each time."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._kept: dict[tuple[str, str, int], Packed[Any]] = {}
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
        counts = self._sources[0].samples(band, spacing[band], self._content(band, 0))
        for half, source in enumerate(self._sources[1:], 1):
            other = source.samples(band, spacing[band], self._content(band, half))
            np.copyto(counts, other, where=counts == NO_DATA_COUNTS)
        return counts

    def _observed(self, band: str, rows: slice, half: int) -> NDArray[np.uint16]:
        saturated, content = self._masks("saturated", band, half), self._content(band, half)
        return self._sources[half].observed(band, rows, saturated, content)

    def _content(self, band: str, half: int) -> bytes | None:
        """Of the image's file in a zip, unpacked once: to seek in it is to unpack it from its start."""
        source = self._sources[half]
        if not source.package.zipped:
            return None
        with self._locks[band]:
            content = self._unpacked.get((band, half))
            if content is None:
                content = self._unpacked[band, half] = source.package.read(source.images[band])
                for old in list(self._unpacked)[: -2 * len(self._sources)]:
                    self._unpacked.pop(old, None)
        return content

    def detectors(self, band: str, spacing: int = 1) -> Packed[np.uint8]:
        """Of every `spacing`-th pixel, 0 where none saw it."""
        with self._locks[band]:
            key = f"detectors of {spacing}", band, 0
            if key not in self._kept:
                packed = self._sources[0].detectors(band, spacing)
                for source in self._sources[1:]:
                    detectors, other = packed.raster(), source.detectors(band, spacing).raster()
                    np.copyto(detectors, other, where=detectors == 0)
                    packed = Packed.of(detectors)
                self._kept[key] = packed
            return self._kept[key]

    def defective(self, band: str) -> Packed[np.bool_]:
        """Of the half whose detectors saw the pixel."""
        first = self._masks("defective", band, 0)
        if len(self._sources) == 1:
            return first
        defective, seen = first.raster(), self._sources[0].detectors(band).raster() != 0
        for half, source in enumerate(self._sources[1:], 1):
            np.copyto(defective, self._masks("defective", band, half).raster(), where=~seen)
            seen |= source.detectors(band).raster() != 0
        return Packed.of(defective)

    def _masks(self, kind: str, band: str, half: int) -> Packed[np.bool_]:
        with self._locks[band]:
            if (kind, band, half) not in self._kept:
                defective, saturated = self._sources[half].masks_of(band)
                self._kept["defective", band, half] = defective
                self._kept["saturated", band, half] = saturated
            return self._kept[kind, band, half]
