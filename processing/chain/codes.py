"""The bits of the mask rasters in the cells of the coarse grid, or in fractions of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain.classify import Ground, Masks
from processing.chain.dilation import finer, times
from processing.chain.observation import Observation
from processing.masks import Geophysical, Interpolated

Code = NDArray[np.uint8]
#: How far the masks of tested cells hold beyond them, along a swath's rim; farther away there are none. [coarse px]
RIM = 1


class Codes(NamedTuple):
    """Bits of CLM and MG2 in the cells of the clouds that the product shows, without those made at full resolution.

    Attributes
    ----------
    cloud, geophysical : (row, col) uint8
    """

    cloud: Code
    geophysical: Code


def of_masks(seen: Observation, masks: Masks, ground: Ground) -> Codes:
    """The bits of CLM and MG2."""
    shown, tested = masks.shown, seen.tested
    cloud, cloudy = shown.code, shown.all()
    side = times(cloud, tested)
    geophysical = np.zeros_like(cloud)
    geophysical[finer(ground.water.mask, side)] |= np.uint8(Geophysical.WATER)
    geophysical[cloudy] |= np.uint8(Geophysical.CLOUD)
    geophysical[shown.shadows()] |= np.uint8(Geophysical.CLOUD_SHADOW)
    snow = finer(masks.snow, side) if masks.white is None else masks.white
    geophysical[snow & ~cloudy] |= np.uint8(Geophysical.SNOW)
    cloud, geophysical = (_to_the_rim(code, tested) for code in (cloud, geophysical))
    geophysical[finer(seen.relief.shadow, side)] |= np.uint8(Geophysical.TOPOGRAPHIC_SHADOW)
    geophysical[finer(seen.relief.hidden, side)] |= np.uint8(Geophysical.HIDDEN)
    return Codes(cloud, geophysical)


def of_gaps(water_vapour: NDArray[np.bool_], aot: NDArray[np.bool_], veil: NDArray[np.bool_] | None = None) -> Code:
    """The bits of IAB, (row, col) uint8: where water vapour and AOT were filled in from around, a veil taken away."""
    code = np.where(water_vapour, Interpolated.WATER_VAPOUR, 0).astype(np.uint8)
    code[aot] |= np.uint8(Interpolated.AOT)
    if veil is not None:
        code[veil] |= np.uint8(Interpolated.VEIL)
    return code


def _to_the_rim(code: Code, tested: NDArray[np.bool_]) -> Code:
    """Give the cells beside tested ones, not tested themselves, the bits of the nearest of these, beside their own.

    `code` may have several cells in one of `tested`. Some pixels of a swath's rim are observed though their cell is
    not: they are as their neighbours are. Farther away nothing is known.
    """
    if tested.all():
        return code
    away, nearest = ndimage.distance_transform_cdt(~tested, "chessboard", return_indices=True)
    side, (rows, cols) = times(code, tested), tested.shape
    cells = code.reshape(rows, side, cols, side).swapaxes(1, 2)
    beside = finer(away <= RIM, side)
    return np.where(beside, code | cells[tuple(nearest)].swapaxes(1, 2).reshape(code.shape), code)
