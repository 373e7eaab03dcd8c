"""Clouds by the reflectances of one date: bright, white, and brighter in the near than in the short-wave infrared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from processing.chain.recorder import SILENT, Recorder
from processing.versions import Parameters


def detect(
    reflectance: Mapping[str, NDArray[np.float32]],
    saturated: Mapping[str, NDArray[np.bool_]],
    valid: NDArray[np.bool_],
    snow: NDArray[np.bool_],
    past_water: NDArray[np.bool_],
    sun_glint: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Mono-temporal clouds.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected: the version's blue band, B4, B8A, B11, B12. [-]
    saturated : mapping of band to (row, col) bool
        Saturation in the blue, red, near infrared or B11 is cloud.
    valid, snow, past_water, sun_glint : (row, col) bool
        Snow is no cloud. Over what the composite knows as water, cloud is what B12 sees above a threshold, a
        higher one where the sun may glint.

    Returns
    -------
    (row, col) bool
        Not dilated.
    """
    blue, red, nir = reflectance[parameters.cloud_blue_band], reflectance["B4"], reflectance["B8A"]
    swir, swir2 = reflectance["B11"], reflectance["B12"]
    lowest, highest = parameters.cloud_nir_red_ratio
    with np.errstate(invalid="ignore", divide="ignore"):
        nir_red, nir_swir = nir / red, nir / swir
    land, water = valid & ~snow & ~past_water, valid & ~snow & past_water
    name, band = "mono_temporal", parameters.cloud_blue_band
    over_land = (
        recorder.test(name, band, blue, ">", parameters.cloud_min_blue, land)
        & recorder.test(name, "B4", red, ">", parameters.cloud_min_red, land)
        & recorder.test(name, "B8A / B4", nir_red, ">", lowest, land)
        & recorder.test(name, "B8A / B4", nir_red, "<", highest, land)
        & recorder.test(name, "B8A / B11", nir_swir, ">", parameters.cloud_min_nir_swir_ratio, land)
    )
    dark, glinting = parameters.cloud_water_swir
    limit = np.where(sun_glint, np.float32(glinting), np.float32(dark))
    over_water = recorder.test(name, "B12 over water, higher limit in sun glint", swir2, ">", limit, water)
    full = saturated[band] | saturated["B4"] | saturated["B8A"] | saturated["B11"]
    found = (full & valid & ~snow) | (over_land & land) | (over_water & water)
    recorder.value(name, f"saturated in {band}, B4, B8A or B11", full)
    recorder.value(name, "cloud by these tests", found)
    return found
