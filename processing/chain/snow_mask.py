"""Snow: bright and white as a cloud, but dark at 1.6 um."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain.dilation import dilate
from processing.chain.recorder import SILENT, Answer, Recorder
from processing.chain.steps import step
from processing.versions import Parameters

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.int8)


@step
def detect(
    reflectance: Mapping[str, NDArray[np.float32]],
    valid: NDArray[np.bool_],
    past_water: NDArray[np.bool_],
    cos_sun: NDArray[np.float32],
    cos_incidence: NDArray[np.float32],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Snow by the normalised difference of green and short-wave infrared, and by what it would reflect on flat ground.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected B3, B4 and B11; with the version's `snow_colours` B2 and B8A too. [-]
    valid, past_water : (row, col) bool
        Turbid water looks like snow: what the composite knows as water is left out.
    cos_sun, cos_incidence : (row, col) float32
        Cosines of the sun's angle to the vertical and to the slope. [-]

    Returns
    -------
    (row, col) bool
        Grown by the version's `snow_dilation`.
    """
    green, red, swir = reflectance["B3"], reflectance["B4"], reflectance["B11"]
    flat = cos_sun / np.maximum(cos_incidence, np.float32(parameters.snow_min_cos_incidence))
    with np.errstate(invalid="ignore", divide="ignore"):
        ndsi = (green - swir) / (green + swir)
    dimmer = np.minimum(flat, np.float32(parameters.snow_swir_max_factor))
    looked_at = valid & ~past_water
    found = (
        recorder.test("snow", "NDSI of B3 and B11", ndsi, ">", parameters.snow_min_ndsi, looked_at)
        & recorder.test("snow", "B4 as on flat ground", flat * red, ">", parameters.snow_min_red, looked_at)
        & recorder.test("snow", "B11 as on flat ground", dimmer * swir, "<", parameters.snow_max_swir, looked_at)
        & looked_at
    )
    if parameters.snow_colours:
        found &= _no_water(reflectance, looked_at, parameters, recorder)
    rim = valid & (found | (dimmer * swir <= np.float32(parameters.snow_rim_max_swir)))
    grown = dilate(found, parameters.snow_dilation) & rim
    recorder.value("snow", "snow by these tests", found)
    recorder.value("snow", "snow, with its buffer", grown)
    return grown


def _no_water(
    reflectance: Mapping[str, NDArray[np.float32]],
    looked_at: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder,
) -> NDArray[np.bool_]:
    """What is as blue as green and hardly darker in the near infrared: water full of sediment or over sand is not."""
    blue_green, nir_red = parameters.snow_colours
    with np.errstate(invalid="ignore", divide="ignore"):
        blue = reflectance["B2"] / reflectance["B3"]
        nir = reflectance["B8A"] / reflectance["B4"]
    return recorder.test("snow", "B2 / B3: turbid water is browner", blue, ">", blue_green, looked_at) & recorder.test(
        "snow", "B8A / B4: water takes the near infrared", nir, ">", nir_red, looked_at
    )


@step
def amid_clouds(
    snow: NDArray[np.bool_],
    clouds: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Patches of snow that are ice clouds: nearly all of the ring of cells around them is cloud or was not seen.

    Parameters
    ----------
    snow, clouds, valid : (row, col) bool
        `clouds` of this date, beside the snow.

    Returns
    -------
    (row, col) bool
        Whole patches (8 neighbours) of `snow`, from the version's `snow_ring_cloud` on.
    """
    labels, count = ndimage.label(snow, _EIGHT_NEIGHBOURS)
    rows, cols = np.nonzero(snow)
    rings = []
    for down, right in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        r, c = rows + down, cols + right
        there = (r >= 0) & (c >= 0) & (r < snow.shape[0]) & (c < snow.shape[1])
        there[there] = ~snow[r[there], c[there]]
        rings.append([labels[rows[there], cols[there]], r[there] * snow.shape[1] + c[there]])
    patch, cell = np.unique(np.concatenate(rings, axis=1), axis=1)  # a cell counts once for each patch it touches
    covered = (clouds | ~valid).ravel()[cell]
    size, hidden = (np.bincount(patch, weights, minlength=count + 1) for weights in (None, covered))
    cloudy = (size > 0) & (hidden >= parameters.snow_ring_cloud * size)
    cloudy[0] = False

    def at(row: int, col: int) -> list[Answer]:
        patch = labels[row, col]
        if not patch or not size[patch]:
            return []
        share, limit = float(hidden[patch] / size[patch]), parameters.snow_ring_cloud
        text = "share of the ring around the snow that is cloud or unseen: then ice cloud"
        return [Answer("snow", text, share, ">=", limit, bool(cloudy[patch]))]

    recorder.ask(at)
    return np.asarray(cloudy[labels])
