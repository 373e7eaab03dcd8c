"""A granule in an EOPF Zarr store: what the chain needs of it, out of arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from processing.bands import BANDS
from processing.errors import L1CError
from processing.l1c import eopf, geometry, layout, lowpass
from processing.l1c import keys as stores
from processing.l1c.arrays import Array
from processing.l1c.images import DEFECTIVE_LAYERS, LOST_LAYERS, SATURATED_LAYER, Quality
from processing.l1c.keys import Keys
from processing.l1c.metadata import LAST_DETECTOR
from processing.l1c.packed import BLOCK, Packed, Part, fits
from processing.l1c.source import raised, thinned_counts, total, usual, without
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Angles, Forecast, Grid

#: What is special in the counts of every store at hand.
SPECIAL = {"NODATA": NO_DATA_COUNTS, "SATURATED": SATURATED_COUNTS}
#: Threads that look through a store, and rows of an image that are read at a time, about.
LOOKING, HEIGHT = 2, 1024
#: Of the pixels of a chunk that is missing so many at most may be said to be there by another array. [-]
MOST_BESIDE = 0.01
#: A node of the angles lies inside of a detector's strip if all pixels around it are of that one, as far as this.
#: Real products have angles at all nodes that a detector saw. [m]
AROUND = 120


@dataclass(frozen=True)
class Masks:
    """The masks of a band, each on the image's grid or one whose pixels are a whole number of its own."""

    quality: Array
    detectors: Array
    #: Bits of the quality that mean lost, defective or lost, saturated.
    bits: tuple[int, int, int]


@dataclass(frozen=True)
class Stored:
    """The arrays of one granule; as of `Source`."""

    keys: Keys
    tile: str
    grid: Grid
    images: Mapping[str, Array]
    masks: Mapping[str, Masks]
    doubts: tuple[str, ...]
    made: str
    known_quality: dict[str, Quality] = field(default_factory=dict, repr=False, compare=False)
    raise_by: Mapping[str, int] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """As of `Source`."""
        return self.keys.path

    @property
    def in_parts(self) -> bool:
        """As of `Source`: chunks are."""
        return True

    def content(self, band: str) -> None:
        """As of `Source`."""

    def strips(self, band: str) -> list[slice]:
        """As of `Source`: whole chunks, from the top down."""
        rows, step = self.images[band].shape[0], self.images[band].chunks[0]
        step *= max(1, round(HEIGHT / step))
        return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]

    def read(self, band: str, rows: slice, content: bytes | None = None) -> NDArray[np.uint16]:
        """As of `Source`."""
        return self.images[band].read(rows)

    def observed(self, band: str, rows: slice, quality: Quality, content: bytes | None) -> NDArray[np.uint16]:
        """As of `Source`."""
        counts = raised(usual(band, self.read(band, rows), SPECIAL), self.raise_by.get(band, 0))
        return without(counts, quality.lost, rows)

    def spacing(self, band: str, most: int) -> int:
        """As of `Source`."""
        height, width = self.images[band].shape
        return lowpass.spacing((height, width), most)

    def samples(
        self, band: str, spacing: int, content: bytes | None, window: Window | None = None
    ) -> NDArray[np.uint16]:
        """As of `Source`: as the image's file in a SAFE would give them."""
        part = None
        if window is not None:
            part = (
                slice(int(window.row_off), int(window.row_off + window.height)),
                slice(int(window.col_off), int(window.col_off + window.width)),
            )
        found = _thinned(self.images[band], spacing, part).clip(0, SATURATED_COUNTS).astype(np.uint16)
        return thinned_counts(band, found, spacing, SPECIAL, self.raise_by.get(band, 0))

    def raised(self, by: Mapping[str, int]) -> Stored:
        """As of `Source`."""
        return replace(self, raise_by=total(self.raise_by, by))

    def detectors(self, band: str, spacing: int = 1) -> Packed[np.uint8]:
        """As of `Source`. Where detectors meet, the low-pass gives numbers of others: there are none then."""
        mask, shape = self.masks[band].detectors, self.images[band].shape
        if spacing > 1 and mask.shape == shape:
            mixed = _thinned(mask, spacing)
            alone = ndimage.maximum_filter(mixed, 5) == ndimage.minimum_filter(mixed, 5)
            return Packed.of(self._known_detectors(band, np.where(alone, mixed, 0)).astype(np.uint8))
        parts = ((here, self._known_detectors(band, pixels)) for here, pixels in _parts(mask))
        whole = _packed(mask, np.uint8, parts, shape)
        return whole if spacing == 1 else Packed.of(whole.raster()[::spacing, ::spacing])

    def _known_detectors(self, band: str, detectors: NDArray[Any]) -> NDArray[Any]:
        if (largest := detectors.max(initial=0)) > LAST_DETECTOR:
            raise self.masks[band].detectors.fault(f"a detector {largest}, there are {LAST_DETECTOR}")
        return detectors

    def quality(self, band: str) -> Quality:
        """As of `Source`."""
        if band not in self.known_quality:
            shape, mask = self.images[band].shape, self.masks[band].quality
            parts = list(_parts(mask))
            kinds = (((here, (pixels & bit) != 0) for here, pixels in parts) for bit in self.masks[band].bits)
            self.known_quality[band] = Quality(*(_packed(mask, np.bool_, kind, shape) for kind in kinds))
        return self.known_quality[band]

    def angles(self) -> Angles:
        """As of `Source`."""
        return geometry.angles(self.keys, self.tile, self.grid)

    def ecmwf(self) -> Forecast | None:
        """As of `Source`."""
        return geometry.forecast(self.keys, "ecmwf", geometry.ECMWF)

    def cams(self) -> Forecast | None:
        """As of `Source`."""
        return geometry.forecast(self.keys, "cams", geometry.CAMS)

    def checked(self) -> Any:
        """As of `Source`: each chunk is unpacked, as nothing else tells whether it is whole."""
        self.ecmwf()
        self.cams()
        angles = self.angles()
        with ThreadPoolExecutor(LOOKING) as pool:
            list(pool.map(partial(self._check_band, angles), BANDS))

    def learn(self, found: Any) -> None:
        """As of `Source`."""

    def integrity(self) -> str:
        """As of `Source`."""
        text = f"not verified: an EOPF store ({self.made}), which has no checksums"
        return "; ".join([text, *self.doubts])

    def _check_band(self, angles: Angles, band: str) -> None:
        """Unpack all of a band, and hold what is missing of one array against the others."""
        image, masks = self.images[band], self.masks[band]
        for array in (image, masks.quality, masks.detectors):
            missing, empty = [], False
            array.verify()
            for place in itertools.product(*map(range, array.counts)):
                pixels = array.chunk(place)
                if pixels is None:
                    array.missing(place)
                    missing.append(place)
                else:
                    empty = empty or not pixels.any()
                    if array is masks.detectors:
                        self._known_detectors(band, pixels)
            if missing and empty:  # who writes chunks of zeros leaves none out
                raise array.fault("missing, though other chunks of zeros are there", array.key(missing[0]))
            for place in missing:
                self._check_missing(band, array, place)

        self._check_angles(band, angles)

    def _check_missing(self, band: str, array: Array, place: tuple[int, ...]) -> None:
        """Refuse that a chunk is missing where other arrays know of its pixels."""
        image, masks = self.images[band], self.masks[band]
        here = _where(array, place, image.shape)
        usable = _region(masks.quality, here, image.shape) & masks.bits[0] == 0
        if array is image:
            known, text = _region(masks.detectors, here, image.shape) != 0, "detectors saw its pixels"
        else:
            known, text = image.read(*here) != NO_DATA_COUNTS, "its pixels have counts"
        if array is not masks.quality and (known & usable).mean() > MOST_BESIDE:
            raise array.fault(f"missing, though {text}", array.key(place))

    def _check_angles(self, band: str, angles: Angles) -> None:
        """Refuse view angles that lack where the masks say that a detector saw, or between others."""
        resolution, seen = BANDS[band].resolution, self.detectors(band)
        around = AROUND // resolution
        down, across = (
            [round((start + n * angles.step) / resolution) for n in range(size)]
            for start, size in zip(
                (self.grid.north - angles.north, angles.west - self.grid.west), angles.sun_zenith.shape, strict=True
            )
        )
        known = {detector: np.isfinite(zenith) for detector, zenith in angles.view_zenith[band].items()}
        for row, at in enumerate(down):
            if not around <= at < seen.shape[0] - around:
                continue
            strip = seen.rows(slice(at - around, at + around + 1))
            for col, there in enumerate(across):
                beside = strip[:, there - around : there + around + 1] if there >= around else strip[:, :0]
                number = int(beside[0, 0]) if beside.shape[1] == len(beside) else 0
                if number and (beside == number).all() and not (number in known and known[number][row, col]):
                    raise self._angle_fault(f"none of detector {number} of {band} at node {row}, {col}, where it saw")
        for number, there_ in known.items():
            for grid in (there_, there_.T):
                if (np.abs(np.diff(grid.astype(np.int8), axis=1)).sum(axis=1) > 2 - grid[:, 0] - grid[:, -1]).any():
                    raise self._angle_fault(f"NaN between angles of detector {number} of {band}")

    def _angle_fault(self, text: str) -> L1CError:
        return stores.fault(self.keys, f"{geometry.GEOMETRY}/viewing_incidence_angles", text)


def of(keys: Keys, root: eopf.Said, facts: eopf.Facts) -> tuple[Stored, Mapping[str, float], float]:
    """The arrays of a store, checked but not unpacked; what is to be added to the counts, and counts of reflectance 1.

    Raises
    ------
    L1CError
        If one is missing or not as it should be.
    """
    images = {band: layout.image(keys, layout.band_path(layout.IMAGES, band), "<u2") for band in BANDS}
    scales = {band: layout.scale(image, facts.baseline, has_offset=facts.form.offset) for band, image in images.items()}
    quantification = scales["B1"][0]
    for band, (one, _, _) in scales.items():
        if one != quantification:
            raise images[band].fault(f"scales counts by {one:g}, {images['B1'].path} by {quantification:g}")
    grid = layout.grid(keys, root, facts.crs, facts.tile, images)
    doubts = [*facts.doubts, *dict.fromkeys(doubt for _, _, doubt in scales.values() if doubt)]
    masks = {band: _masks(keys, band, image.shape) for band, image in images.items()}
    stored = Stored(keys, facts.tile, grid, images, masks, tuple(doubts), facts.made)
    return stored, {band: offset for band, (_, offset, _) in scales.items()}, quantification


def _masks(keys: Keys, band: str, shape: tuple[int, ...]) -> Masks:
    quality, detectors = (
        layout.image(keys, layout.band_path(folder, band), "|u1") for folder in (layout.QUALITY, layout.DETECTORS)
    )
    for mask in (quality, detectors):
        if not fits(mask.shape, shape):
            raise mask.fault(f"{mask.shape} pixels, the image has {shape}: no whole multiple")
    layers = layout.bits(quality)
    lost = sum(layers[layer] for layer in LOST_LAYERS)
    defective = lost + sum(layers[layer] for layer in DEFECTIVE_LAYERS)
    return Masks(quality, detectors, (lost, defective, layers[SATURATED_LAYER]))


def _thinned(array: Array, spacing: int, window: tuple[slice, slice] | None = None) -> NDArray[np.int32]:
    height, width = array.shape
    if spacing == 1:
        rows, cols = window or (slice(0, height), slice(0, width))
        return array.read(rows, cols).astype(np.int32)
    return lowpass.samples(array.read, (height, width), spacing, window)


def _parts(mask: Array) -> Iterator[Part[np.uint8]]:
    """A mask in pieces, of one pixel where all are equal."""
    for top in range(0, mask.shape[0], BLOCK):
        rows = slice(top, min(top + BLOCK, mask.shape[0]))
        strip = mask.read(rows)
        for left in range(0, mask.shape[1], BLOCK):
            cols = slice(left, min(left + BLOCK, mask.shape[1]))
            pixels = strip[:, cols]
            yield (rows, cols), pixels[:1, :1] if (pixels == pixels[0, 0]).all() else pixels


def _packed(mask: Array, dtype: Any, parts: Iterable[Part[Any]], shape: tuple[int, ...]) -> Packed[Any]:
    """Parts of a mask on the image's grid."""
    height, width = mask.shape
    return Packed.of_parts((height, width), np.dtype(dtype), parts).fitted((shape[0], shape[1]))


def _where(array: Array, place: tuple[int, ...], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the image under a chunk of it or of a mask."""
    rows, cols = (
        slice(at * step * size // mine, -(-min((at + 1) * step, mine) * size // mine))
        for at, step, mine, size in zip(place, array.chunks, array.shape, shape, strict=True)
    )
    return rows, cols


def _region(mask: Array, here: tuple[slice, slice], shape: tuple[int, ...]) -> NDArray[Any]:
    """A mask's pixels at the middle of some pixels of the image."""
    rows, cols = (
        ((2 * np.arange(part.start, part.stop) + 1) * mine) // (2 * size)
        for part, mine, size in zip(here, mask.shape, shape, strict=True)
    )
    pixels = mask.read(slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1))
    return np.asarray(pixels[np.ix_(rows - rows[0], cols - cols[0])])
