"""The files of one granule in its package: what the chain needs of them, band by band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from processing.bands import BANDS
from processing.l1c import images
from processing.l1c.images import Quality, Uniform
from processing.l1c.package import Package
from processing.l1c.packed import Packed
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Grid

#: The least counts. Beyond the swath some products, above all before baseline 04.00, have it in place of 0. No ground
#: has it in bands in which the air above it is bright: B4's is 0.01 above mountains.
LEAST_COUNTS = 1
_SEES_THE_AIR = frozenset({"B1", "B2", "B3", "B4"})


@dataclass(frozen=True)
class Source:
    """The files of one granule."""

    package: Package
    xml: str
    images: Mapping[str, str]
    masks: Mapping[tuple[str, str], str]
    special: Mapping[str, int]
    grid: Grid
    #: Tiles of the masks that were decoded already, and the like of which are not decoded again.
    uniform: Uniform = field(default_factory=dict, repr=False, compare=False)
    #: What the masks of each band say, once it was asked for: a thinned look and the whole one ask for the same.
    known_quality: dict[tuple[str, tuple[int, ...]], Quality] = field(default_factory=dict, repr=False, compare=False)
    #: Added to the counts of each band, so that they mean the same as those of another package; none: 0.
    raise_by: Mapping[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The granule's folder in the package."""
        return str(PurePosixPath(self.xml).parent)

    def observed(self, band: str, rows: slice, quality: Quality, content: bytes | None) -> NDArray[np.uint16]:
        """Some rows of the counts as `Scene.counts` has them; `content` is that of the image's file if it is known."""
        counts = self._level(band, self._usual(band, images.read(self.package, self.images[band], rows, content)))
        if quality.lost.any(rows):
            np.copyto(counts, NO_DATA_COUNTS, where=quality.lost.rows(rows))
        return counts

    def samples(
        self, band: str, spacing: int, content: bytes | None, window: Window | None = None
    ) -> NDArray[np.uint16]:
        """Counts of a thinned scene, or of a window of it."""
        counts = self._usual(band, images.samples(self.package, self.images[band], spacing, content, window))
        if spacing > 1:
            counts[images.unobserved(counts)] = NO_DATA_COUNTS
        return self._level(band, counts)

    def raised(self, by: Mapping[str, int]) -> Source:
        """The same, its counts raised by a number a band."""
        total = {band: self.raise_by.get(band, 0) + value for band, value in by.items()}
        return replace(self, raise_by={band: value for band, value in total.items() if value})

    def _level(self, band: str, counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
        by = self.raise_by.get(band)
        if by:
            usual = (counts != NO_DATA_COUNTS) & (counts != SATURATED_COUNTS)
            raised = counts[usual].astype(np.int32) + by
            counts[usual] = raised.clip(NO_DATA_COUNTS + 1, SATURATED_COUNTS - 1)
        return counts

    def _usual(self, band: str, counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
        for name, value in (("SATURATED", SATURATED_COUNTS), ("NODATA", NO_DATA_COUNTS)):
            if self.special[name] != value:
                counts[counts == self.special[name]] = value
        if band in _SEES_THE_AIR:
            counts[counts == LEAST_COUNTS] = NO_DATA_COUNTS
        return counts

    def detectors(self, band: str, spacing: int = 1) -> Packed[np.uint8]:
        """Of every `spacing`-th pixel."""
        name, resolution = self.masks["MSK_DETFOO", band], BANDS[band].resolution
        if self._masks_are_images:
            return images.detector_image(self.package, name, self.grid, resolution, spacing, self.uniform)
        detectors = images.detector_polygons(self.package, name, self.grid, resolution, BANDS[band].l1c)
        return Packed.of(detectors[::spacing, ::spacing])

    @property
    def _masks_are_images(self) -> bool:
        return any(kind == "MSK_QUALIT" for kind, _ in self.masks)

    def quality(self, band: str) -> Quality:
        """What the masks say of the pixels of a band, read once as long as their files stay."""
        names = [name for (_, of), name in self.masks.items() if of == band]
        key = band, tuple(self.package.changed(name) for name in names)
        if key not in self.known_quality:
            self.known_quality[key] = self._quality_of(band)
        return self.known_quality[key]

    def _quality_of(self, band: str) -> Quality:
        resolution = BANDS[band].resolution
        if self._masks_are_images:
            name = self.masks["MSK_QUALIT", band]
            return images.quality_image(self.package, name, self.grid, resolution, self.uniform)

        def of(kinds: Mapping[str, set[str]]) -> NDArray[np.bool_]:
            found = [
                images.polygons(self.package, self.masks[kind, band], types, self.grid, resolution)
                for kind, types in kinds.items()
            ]
            return np.asarray(np.logical_or.reduce(found))

        lost = of(images.LOST_TYPES)
        saturated = images.polygons(self.package, self.masks["MSK_SATURA", band], None, self.grid, resolution)
        return Quality(Packed.of(lost), Packed.of(lost | of(images.DEFECTIVE_TYPES)), Packed.of(saturated))
