"""Where masks end within a coarse cell: drawn by the pixels of 20 m around what was found.

Clouds brighten in what no ground is bright in, shadows darken what plants and soils have alike, snow is dark in the
short-wave infrared. What was found on the coarse grid tells how much to expect there.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.chain import subsampling
from processing.chain.clouds import Bright, Clouds
from processing.chain.dilation import dilate, finer, sums_around
from processing.chain.multi_temporal import local_haze, melting
from processing.chain.observation import Observation
from processing.chain.shadow_mask import WATER_AROUND
from processing.chain.shadow_match import USUAL
from processing.chain.steps import step
from processing.chain.subsampling import DETAIL
from processing.kernels import kernel
from processing.versions import Parameters

#: Brightest snow in B11. [-]
SNOW_SWIR = 0.08
#: Ground that is darker counts as this. [-]
DARKEST = 0.02


@step
def brightening(
    seen: Observation, clouds: Clouds, clear: NDArray[np.bool_], snow: NDArray[np.bool_], parameters: Parameters
) -> Bright:
    """How much brighter the cells of the masks are than their ground, and which of them are bright as a cloud.

    In what `subsampling.drawing_bands` weigh, pixel by pixel; in B11 where that tells a cloud better, as over snow.

    Parameters
    ----------
    clouds : Clouds
        As found, without buffers.
    clear : (row, col) bool
        Ground of this date, without snow, whose mean stands for what the composite does not know.
    snow : (row, col) bool
    """
    blue = _over_ground(seen, subsampling.CLOUDS, clear, parameters)
    swir = _change(seen, "B11", clear)
    detail, side = _detail(seen, subsampling.CLOUDS, parameters), _side(parameters)
    gain = np.full_like(blue, DETAIL * parameters.mask_detail_gain)
    if parameters.mask_red_share:
        # a crop that closes over its soil raises the one, a plume both
        blue = np.minimum(blue - local_haze(blue, clear, parameters), _change(seen, "B2", clear))
        by_blue = ~_white_ground(seen, snow, parameters)
        swir = np.where(by_blue, swir, np.maximum(swir, _over_snow(seen, parameters)))
    else:
        by_blue = blue > 0.5 * swir
    if subsampling.SNOW in seen.detail:
        detail = np.where(finer(by_blue, side), detail, seen.detail[subsampling.SNOW])
    else:
        gain = np.where(by_blue, gain, np.float32(0))
    return drawn_by(np.where(by_blue, blue, swir), gain, detail, clouds.low(), parameters.mask_fine)


def _over_snow(seen: Observation, parameters: Parameters) -> NDArray[np.float32]:
    """How much brighter than snow and rock B11 is, which the composite may not have as they lie on this date."""
    rock, slope, _ = parameters.cloud_amid_snow or (0.0, 0.0, 0.0)
    blue = np.nan_to_num(seen.reflectance[parameters.cloud_blue_band])
    mixed = np.maximum(np.float32(rock) - np.float32(slope) * blue, np.float32(SNOW_SWIR))
    return np.asarray(np.nan_to_num(seen.reflectance["B11"] - mixed, nan=-1.0), np.float32)


def _white_ground(seen: Observation, snow: NDArray[np.bool_], parameters: Parameters) -> NDArray[np.bool_]:
    """Where clouds are no brighter than the ground: near snow, and where the composite has some."""
    white = dilate(snow, parameters.cloud_dilation, parameters.coarse_resolution)
    if seen.past is not None:
        white |= (seen.past.day >= 0) & melting(seen.past.rayleigh_corrected)
    return white


@step
def darkening(seen: Observation, clouds: Clouds, clear: NDArray[np.bool_], parameters: Parameters) -> Bright:
    """How much darker the cells of the masks are than their ground, and which of them are dark as a shadow.

    Water in what clouds are drawn by, over the water around.

    Parameters
    ----------
    clouds, clear
        As of `brightening`.
    """
    ratio, scale = _against_ground(seen, subsampling.SHADOWS, clear, parameters)
    usual = np.median(ratio[clear]) if clear.any() else 1.0  # rain, growth, the season
    fall, gain = 1 - ratio / np.float32(np.clip(usual, *USUAL)), scale * np.float32(parameters.shadow_detail_gain)
    detail = _detail(seen, subsampling.SHADOWS, parameters)
    if seen.past_water.any() and subsampling.CLOUDS in seen.detail:
        # Water is dark in the infrared, and its sediment moves
        ratio, scale = _against_ground(seen, subsampling.CLOUDS, clear, parameters)
        around = _mean_around(ratio, seen.past_water & clear, parameters)
        fall = np.where(seen.past_water, 1 - ratio / around, fall)
        gain = np.where(seen.past_water, scale / around * np.float32(parameters.mask_detail_gain), gain)
        detail = np.where(finer(seen.past_water, _side(parameters)), seen.detail[subsampling.CLOUDS], detail)
    fall, gain = np.nan_to_num(fall), -np.float32(DETAIL) * np.nan_to_num(gain)
    return drawn_by(fall, gain, detail, clouds.shadows(), parameters.shadow_fine)


def _against_ground(
    seen: Observation, name: str, clear: NDArray[np.bool_], parameters: Parameters
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What something is drawn by over that of the ground, and the reciprocal of the latter."""
    weights = _weights(name, parameters)
    ground = _weighed({band: _ground(seen, band, clear) for band in weights}, weights)
    scale = np.asarray(1 / np.maximum(ground, np.float32(DARKEST)), np.float32)
    return np.asarray(_weighed(seen.reflectance, weights) * scale, np.float32), scale


def _mean_around(values: NDArray[np.float32], among: NDArray[np.bool_], parameters: Parameters) -> NDArray[np.float32]:
    """Mean of some cells around each, 1 where there is none. [-]"""
    reach = int(WATER_AROUND / parameters.coarse_resolution)
    known = among & np.isfinite(values)
    total, cells = (sums_around(field, reach) for field in (np.where(known, values, 0), known))
    return np.where((cells > 0) & (total > 0), total / np.maximum(cells, 1), np.float32(1))


@step
def whiteness(seen: Observation, snow: NDArray[np.bool_], parameters: Parameters) -> NDArray[np.bool_]:
    """Of snow, the cells of the masks that are white for more than a half, by the index of snow of each.

    Parameters
    ----------
    snow : (row, col) bool

    Returns
    -------
    (row, col) bool
        In cells of the version's `mask_resolution`.
    """
    visible, side = _weighed(seen.reflectance, _weights(subsampling.CLOUDS, parameters)), _side(parameters)
    fine = [_detail(seen, name, parameters) for name in (subsampling.CLOUDS, subsampling.SNOW)]
    out = np.zeros((len(snow) * side, snow.shape[1] * side), np.bool_)
    gain = DETAIL * parameters.mask_detail_gain
    _white_as_snow((visible, seen.reflectance["B11"]), (fine[0], fine[1]), gain, snow, parameters.snow_fine, out)
    return out


@kernel()
def _white_as_snow(
    coarse: tuple[NDArray[np.float32], NDArray[np.float32]],
    fine: tuple[NDArray[np.int8], NDArray[np.int8]],
    gain: float,
    snow: NDArray[np.bool_],
    limits: tuple[float, ...],
    out: NDArray[np.bool_],
) -> None:
    side = out.shape[0] // snow.shape[0]
    for row in range(snow.shape[0]):
        for col in range(snow.shape[1]):
            if snow[row, col]:
                for i in range(row * side, (row + 1) * side):
                    for j in range(col * side, (col + 1) * side):
                        visible = coarse[0][row, col] + gain * fine[0][i, j]
                        swir = max(coarse[1][row, col] + gain * fine[1][i, j], 0.0)
                        out[i, j] = visible > limits[1] and visible - swir > limits[0] * (visible + swir)


def _side(parameters: Parameters) -> int:
    return parameters.coarse_resolution // parameters.mask_resolution


def _detail(seen: Observation, name: str, parameters: Parameters) -> NDArray[np.int8]:
    """A detail, 0 everywhere where it is not at hand."""
    side, (rows, cols) = _side(parameters), seen.tested.shape
    return seen.detail[name] if name in seen.detail else np.zeros((rows * side, cols * side), np.int8)


def drawn_by(
    rise: NDArray[np.float32],
    gain: NDArray[np.float32],
    detail: NDArray[np.int8],
    found: NDArray[np.bool_],
    limits: tuple[float, ...],
) -> Bright:
    """Which cells of the masks changed as the most of those found do.

    Parameters
    ----------
    rise, gain : (row, col) float32
        Change of coarse cells, and what a count of the detail adds to it. [-]
    detail : (row, col) int8
    found : (row, col) bool
    limits : (float, float)
        The share of the most around, and the change that is enough anywhere. [-]
    """
    share, least = limits
    most, enough = np.zeros_like(rise), np.zeros(detail.shape, np.bool_)
    _brightest(rise, gain, detail, found, most)
    most = np.asarray(cv2.dilate(most, np.ones((3, 3), np.uint8)), np.float32)
    limit = np.where(most > 0, np.minimum(np.float32(share) * most, np.float32(least)), np.float32(np.inf))
    _enough(rise, gain, detail, limit, enough)
    return Bright(rise, gain, detail, limit, enough)


@kernel()
def _brightest(
    rise: NDArray[np.float32],
    gain: NDArray[np.float32],
    detail: NDArray[np.int8],
    among: NDArray[np.bool_],
    out: NDArray[np.float32],
) -> None:
    """The most that any fine cell of each coarse one rose."""
    side = detail.shape[0] // rise.shape[0]
    for row in range(rise.shape[0]):
        for col in range(rise.shape[1]):
            if among[row, col]:
                for i in range(row * side, (row + 1) * side):
                    for j in range(col * side, (col + 1) * side):
                        out[row, col] = max(rise[row, col] + gain[row, col] * detail[i, j], out[row, col])


@kernel()
def _enough(
    rise: NDArray[np.float32],
    gain: NDArray[np.float32],
    detail: NDArray[np.int8],
    limit: NDArray[np.float32],
    out: NDArray[np.bool_],
) -> None:
    side = detail.shape[0] // rise.shape[0]
    for row in range(rise.shape[0]):
        for col in range(rise.shape[1]):
            if limit[row, col] < np.inf:
                for i in range(row * side, (row + 1) * side):
                    for j in range(col * side, (col + 1) * side):
                        out[i, j] = rise[row, col] + gain[row, col] * detail[i, j] >= limit[row, col]


def _weights(name: str, parameters: Parameters) -> dict[str, float]:
    return subsampling.drawing_bands(parameters).get(name, {parameters.cloud_blue_band: 1.0})


def _weighed(bands: Mapping[str, NDArray[np.float32]], weights: Mapping[str, float]) -> NDArray[np.float32]:
    return np.asarray(np.sum([np.float32(w) * bands[band] for band, w in weights.items()], axis=0), np.float32)


def _over_ground(seen: Observation, name: str, clear: NDArray[np.bool_], parameters: Parameters) -> NDArray[np.float32]:
    """How much brighter what something is drawn by is than in the composite, see `_change`."""
    weights = _weights(name, parameters)
    return _weighed({band: _change(seen, band, clear) for band in weights}, weights)


def _change(seen: Observation, band: str, clear: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How much brighter a band is than in the composite, or than the clear ground of this date; 0 where not known."""
    return np.asarray(np.nan_to_num(seen.reflectance[band] - _ground(seen, band, clear)), np.float32)


def _ground(seen: Observation, band: str, clear: NDArray[np.bool_]) -> NDArray[np.float32]:
    value, past = seen.reflectance[band], seen.past
    ground = np.full(clear.shape, value[clear].mean(dtype=np.float64) if clear.any() else 0.0, np.float32)
    if past is not None:
        ground = np.where(past.day >= 0, past.rayleigh_corrected[band], ground)
    return ground
