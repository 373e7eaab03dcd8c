"""What the chain needs of one granule in its package, band by band; and the files of a SAFE that give it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from processing.bands import BANDS
from processing.l1c import codestream, images, metadata
from processing.l1c.images import Quality, Uniform
from processing.l1c.package import Package
from processing.l1c.packed import Packed
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Angles, Forecast, Grid

#: The least counts. Beyond the swath some products, above all before baseline 04.00, have it in place of 0. No ground
#: has it in bands in which the air above it is bright: B4's is 0.01 above mountains.
LEAST_COUNTS = 1
_SEES_THE_AIR = frozenset({"B1", "B2", "B3", "B4"})
#: Threads that make checksums.
HASHING = 2
#: A forecast of the air as the package has it: a GRIB file, or arrays.
Air = bytes | Forecast


class Source(Protocol):
    """One granule of a package of any kind."""

    @property
    def path(self) -> Path:
        """The package."""

    @property
    def in_parts(self) -> bool:
        """Whether rows are read without the rest of the band; else `content` is to be kept for the next ones."""

    def content(self, band: str) -> bytes | None:
        """The whole file of an image, to give to the methods below; None where it is of no use to them."""

    def strips(self, band: str) -> list[slice]:
        """Rows to read at a time, so as to decode each pixel once."""

    def read(self, band: str, rows: slice, content: bytes | None = None) -> NDArray[np.uint16]:
        """Some rows of an image as it is."""

    def observed(self, band: str, rows: slice, quality: Quality, content: bytes | None) -> NDArray[np.uint16]:
        """Some rows of the counts as `Scene.counts` has them."""

    def spacing(self, band: str, most: int) -> int:
        """Pixels between the samples of the coarsest thinned image up to `most`, a power of 2."""

    def samples(
        self, band: str, spacing: int, content: bytes | None, window: Window | None = None
    ) -> NDArray[np.uint16]:
        """Counts of a thinned scene, or of a window of it."""

    def raised(self, by: Mapping[str, int]) -> Source:
        """The same, its counts raised by a number a band."""

    def detectors(self, band: str, spacing: int = 1) -> Packed[np.uint8]:
        """Of every `spacing`-th pixel."""

    def quality(self, band: str) -> Quality:
        """What the masks say of the pixels of a band."""

    def angles(self) -> Angles:
        """Sun and view angles."""

    def ecmwf(self) -> Air | None:
        """The forecast of ozone, water vapour and pressure that comes with the tile; None if none does."""

    def cams(self) -> Air | None:
        """The same of the aerosol."""

    def checked(self) -> Any:
        """Walk through all that the scene needs; what was found, to be learnt by a copy in another process."""

    def learn(self, found: Any) -> None:
        """Take over what `checked` found."""

    def integrity(self) -> str:
        """How far what was used is what was made, in one line."""


@dataclass(frozen=True)
class Safe:
    """The files of one granule of a SAFE; as of `Source`."""

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

    @property
    def path(self) -> Path:
        """As of `Source`."""
        return self.package.path

    @property
    def in_parts(self) -> bool:
        """As of `Source`: in a zip, to seek is to unpack from the start."""
        return not self.package.zipped

    def content(self, band: str) -> bytes | None:
        """As of `Source`."""
        return self.package.read(self.images[band])

    def strips(self, band: str) -> list[slice]:
        """As of `Source`: whole tiles of the codestream."""
        return images.strips(self.package, self.images[band])

    def read(self, band: str, rows: slice, content: bytes | None = None) -> NDArray[np.uint16]:
        """As of `Source`."""
        return images.read(self.package, self.images[band], rows, content)

    def observed(self, band: str, rows: slice, quality: Quality, content: bytes | None) -> NDArray[np.uint16]:
        """As of `Source`."""
        counts = raised(usual(band, self.read(band, rows, content), self.special), self.raise_by.get(band, 0))
        return without(counts, quality.lost, rows)

    def spacing(self, band: str, most: int) -> int:
        """As of `Source`: of the image's resolution levels."""
        return images.spacing(self.package, self.images[band], most)

    def samples(
        self, band: str, spacing: int, content: bytes | None, window: Window | None = None
    ) -> NDArray[np.uint16]:
        """As of `Source`."""
        counts = images.samples(self.package, self.images[band], spacing, content, window)
        return thinned_counts(band, counts, spacing, self.special, self.raise_by.get(band, 0))

    def raised(self, by: Mapping[str, int]) -> Safe:
        """As of `Source`."""
        return replace(self, raise_by=total(self.raise_by, by))

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

    def angles(self) -> Angles:
        """As of `Source`."""
        return metadata.angles(self.package, self.xml)

    def ecmwf(self) -> bytes | None:
        """As of `Source`."""
        return self._forecast("AUX_ECMWFT")

    def cams(self) -> bytes | None:
        """As of `Source`; from baseline 04.00 on."""
        return self._forecast("AUX_CAMSFO")

    def _forecast(self, kind: str) -> bytes | None:
        names = [n for n in self.package.files(f"{self.folder}/AUX_DATA") if kind in n]
        return self.package.read(names[0]) if names else None

    def checked(self) -> Any:
        """As of `Source`: the structure of each file and its checksum, no pixel decoded."""
        names = (*self.images.values(), *self.masks.values())
        for name in names:
            if name.endswith(".gml"):
                images.features(self.package, name)
            else:
                with self.package.open(name) as file:
                    codestream.read(self.package, name, file)
        with ThreadPoolExecutor(HASHING) as pool:  # the first that fails is told
            list(pool.map(self.package.verify, names))
        return self.package.checksums

    def learn(self, found: Any) -> None:
        """As of `Source`."""
        self.package.checksums.learn(found)

    def integrity(self) -> str:
        """As of `Source`: files that nobody has used yet are looked at now."""
        for name in (*self.images.values(), *self.masks.values()):
            self.package.verify(name)
        return self.package.checksums.summary()


# Counts, whatever they were read from


def usual(band: str, counts: NDArray[np.uint16], special: Mapping[str, int]) -> NDArray[np.uint16]:
    """Counts with the usual numbers for what is special, in place; `special` are the package's own."""
    for name, value in (("SATURATED", SATURATED_COUNTS), ("NODATA", NO_DATA_COUNTS)):
        if special[name] != value:
            counts[counts == special[name]] = value
    if band in _SEES_THE_AIR:
        counts[counts == LEAST_COUNTS] = NO_DATA_COUNTS
    return counts


def raised(counts: NDArray[np.uint16], by: int) -> NDArray[np.uint16]:
    """Counts raised by a number, in place, but for the special ones."""
    if by:
        plain = (counts != NO_DATA_COUNTS) & (counts != SATURATED_COUNTS)
        more = counts[plain].astype(np.int32) + by
        counts[plain] = more.clip(NO_DATA_COUNTS + 1, SATURATED_COUNTS - 1)
    return counts


def total(by: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Numbers that counts are raised by, one after the other."""
    both = {band: by.get(band, 0) + more.get(band, 0) for band in {*by, *more}}
    return {band: value for band, value in both.items() if value}


def without(counts: NDArray[np.uint16], lost: Packed[np.bool_], rows: slice) -> NDArray[np.uint16]:
    """Counts of some rows without those that were lost, in place."""
    if lost.any(rows):
        np.copyto(counts, NO_DATA_COUNTS, where=lost.rows(rows))
    return counts


def thinned_counts(
    band: str, counts: NDArray[np.uint16], spacing: int, special: Mapping[str, int], by: int
) -> NDArray[np.uint16]:
    """Low-pass samples as counts, without those that hold something unobserved, in place."""
    counts = usual(band, counts, special)
    if spacing > 1:
        counts[images.unobserved(counts)] = NO_DATA_COUNTS
    return raised(counts, by)
