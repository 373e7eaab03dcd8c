"""The scene on the coarse grid: one look at the counts of every band.

All masks and the aerosol are found on this grid. Cells that stand out of the image are means of the part inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processing.bands import BANDS, GROUPS
from processing.errors import AncillaryError
from processing.scene import NO_DATA_COUNTS, SATURATED_COUNTS, Grid, Scene
from processing.versions import Parameters

_NO_DATA = np.uint16(NO_DATA_COUNTS)
_SATURATED = np.uint16(SATURATED_COUNTS)


@dataclass(frozen=True)
class Bits:
    """A boolean raster kept at one bit a pixel, so that a whole tile's fit in memory."""

    packed: NDArray[np.uint8]
    shape: tuple[int, int]

    @classmethod
    def of(cls, raster: NDArray[np.bool_]) -> Bits:
        return cls(np.packbits(raster), (raster.shape[0], raster.shape[1]))

    def raster(self) -> NDArray[np.bool_]:
        """The (row, col) bool raster."""
        count = self.shape[0] * self.shape[1]
        return np.unpackbits(self.packed, count=count).view(np.bool_).reshape(self.shape)


@dataclass(frozen=True)
class Image:
    """A scene on the coarse grid, and what of the full resolution must be remembered from the one look at it.

    Attributes
    ----------
    toa : dict of band to (row, col) float32
        Mean top-of-atmosphere reflectance of the observed pixels of each cell, NaN without any. Saturated pixels
        are left out where others are there. [-]
    saturated : dict of band to (row, col) bool
        From the version's share of saturated pixels.
    observed : (row, col) bool
        False from the version's share of unobserved pixels, in any band.
    edge : dict of group to Bits
        Pixels of the group's resolution that one of its bands did not observe.
    saturation : dict of band to Bits
        Saturated pixels at the band's resolution; bands without any are left out.
    """

    toa: dict[str, NDArray[np.float32]]
    saturated: dict[str, NDArray[np.bool_]]
    observed: NDArray[np.bool_]
    edge: dict[str, Bits]
    saturation: dict[str, Bits]

    def any_saturated(self, bands: Iterable[str]) -> NDArray[np.bool_]:
        """Cells saturated in one of the bands."""
        return np.logical_or.reduce([self.saturated[band] for band in bands])


@njit(nogil=True, cache=True)
def _block_sums(counts: Any, factor: int, total: Any, unobserved: Any, saturated: Any) -> None:
    rows, cols = counts.shape
    blocks = total.shape[1]
    for row in range(rows):
        line = counts[row]
        i = row // factor
        for j in range(blocks):
            sum_ = np.uint32(0)
            zeros = np.uint32(0)
            full = np.uint32(0)
            for col in range(j * factor, min((j + 1) * factor, cols)):
                value = line[col]
                sum_ += np.uint32(value)
                zeros += np.uint32(value == _NO_DATA)
                full += np.uint32(value == _SATURATED)
            total[i, j] += sum_
            unobserved[i, j] += zeros
            saturated[i, j] += full


def block_sums(
    counts: NDArray[np.uint16], factor: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """Sum of all counts, and numbers of pixels, unobserved pixels and saturated pixels of each block.

    Parameters
    ----------
    counts : (row, col) uint16
    factor : int
        Pixels along a block's side, at most 256 (the sums are 32 bits wide); the last blocks may be smaller.
    """
    rows, cols = counts.shape
    shape = (-(-rows // factor), -(-cols // factor))
    total, unobserved, saturated = (np.zeros(shape, np.uint32) for _ in range(3))
    _block_sums(counts, factor, total, unobserved, saturated)
    heights = np.diff(np.minimum(np.arange(shape[0] + 1) * factor, rows)).astype(np.uint32)
    widths = np.diff(np.minimum(np.arange(shape[1] + 1) * factor, cols)).astype(np.uint32)
    return total, heights[:, None] * widths, unobserved, saturated


def factor_of(band: str, parameters: Parameters) -> int:
    """Pixels of the band along the side of a coarse cell."""
    factor, rest = divmod(parameters.coarse_resolution, BANDS[band].resolution)
    if rest:
        raise ValueError(f"coarse resolution {parameters.coarse_resolution} m is no multiple of {band}'s pixels")
    return factor


def centres(grid: Grid, resolution: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting of each column's and northing of each row's centre. [m]"""
    rows, cols = grid.shape(resolution)
    east = grid.west + (np.arange(cols, dtype=np.float64) + 0.5) * resolution
    north = grid.north - (np.arange(rows, dtype=np.float64) + 0.5) * resolution
    return np.asarray(east, np.float64), np.asarray(north, np.float64)


def reduce(scene: Scene, parameters: Parameters) -> Image:
    """Bring all bands to the coarse grid; each is looked up once.

    Raises
    ------
    AncillaryError
        If the altitude is not on the coarse grid.
    ValueError
        If a band does not fill the scene's grid.
    """
    shape = scene.grid.shape(parameters.coarse_resolution)
    if scene.ancillary.altitude.shape != shape:
        raise AncillaryError(
            scene.identifier, f"altitude has shape {scene.ancillary.altitude.shape}, the coarse grid has {shape}"
        )
    toa: dict[str, NDArray[np.float32]] = {}
    saturated_cells: dict[str, NDArray[np.bool_]] = {}
    observed = np.ones(shape, np.bool_)
    edge: dict[str, Bits] = {}
    saturation: dict[str, Bits] = {}

    def add(band: str) -> NDArray[np.uint16]:
        counts = scene.counts[band]
        expected = scene.grid.shape(BANDS[band].resolution)
        if counts.shape != expected:
            raise ValueError(f"{band} has shape {counts.shape}, the scene's grid has {expected}")
        total, pixels, unobserved, saturated = block_sums(counts, factor_of(band, parameters))
        unsaturated = pixels - unobserved - saturated
        sums = np.where(unsaturated > 0, total - saturated * np.uint32(SATURATED_COUNTS), total).astype(np.float64)
        used = np.where(unsaturated > 0, unsaturated, saturated)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums / used
        toa[band] = ((mean + scene.offset[band]) / scene.quantification).astype(np.float32)
        saturated_cells[band] = saturated >= parameters.coarse_fraction * pixels
        np.logical_and(observed, unobserved < parameters.coarse_fraction * pixels, out=observed)
        if saturated.any():
            saturation[band] = Bits.of(counts == _SATURATED)
        return counts

    for group, bands in GROUPS.items():
        missing: NDArray[np.bool_] | None = None
        for band in bands:
            unseen = add(band) == _NO_DATA
            missing = unseen if missing is None else np.logical_or(missing, unseen, out=missing)
        assert missing is not None
        edge[group] = Bits.of(missing)
    for band in BANDS:
        if band not in toa:
            add(band)
    return Image(toa, saturated_cells, observed, edge, saturation)
