"""Clouds by the reflectances of one date: bright, white, and brighter in the near than in the short-wave infrared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.chain.observation import Observation
from processing.chain.recorder import SILENT, Recorder
from processing.chain.steps import step
from processing.versions import Parameters


@step
def detect(
    seen: Observation,
    snow: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder = SILENT,
    faint: bool = False,
) -> NDArray[np.bool_]:
    """Mono-temporal clouds.

    Parameters
    ----------
    seen : Observation
        Saturation in the blue, red, near infrared or B11 is cloud. Over what the composite knows as water, cloud is
        what B12 sees above a threshold, a higher one where the sun may glint.
    snow : (row, col) bool
        Is no cloud.
    faint : bool
        With the version's lower brightness `cloud_faint`, for what something else must confirm.

    Returns
    -------
    (row, col) bool
        Not dilated.
    """
    reflectance, saturated = seen.reflectance, seen.saturated
    blue, red, nir = reflectance[parameters.cloud_blue_band], reflectance["B4"], reflectance["B8A"]
    swir, swir2 = reflectance["B11"], reflectance["B12"]
    lowest, highest = parameters.cloud_nir_red_ratio
    min_blue, min_red = parameters.cloud_faint if faint else (parameters.cloud_min_blue, parameters.cloud_min_red)
    with np.errstate(invalid="ignore", divide="ignore"):
        nir_red, nir_swir = nir / red, nir / swir
    bare = seen.tested & ~snow
    land, water = bare & ~seen.past_water, bare & seen.past_water
    name, band = "faint" if faint else "mono_temporal", parameters.cloud_blue_band
    over_land = (
        recorder.test(name, band, blue, ">", min_blue, land)
        & recorder.test(name, "B4", red, ">", min_red, land)
        & recorder.test(name, "B8A / B4", nir_red, ">", lowest, land)
        & recorder.test(name, "B8A / B4", nir_red, "<", highest, land)
        & recorder.test(name, "B8A / B11", nir_swir, ">", parameters.cloud_min_nir_swir_ratio, land)
    )
    dark, glinting = parameters.cloud_water_swir
    limit = np.where(seen.angles.sun_glint, np.float32(glinting), np.float32(dark))
    over_water = recorder.test(name, "B12 over water, higher limit in sun glint", swir2, ">", limit, water)
    full = saturated[band] | saturated["B4"] | saturated["B8A"] | saturated["B11"]
    found = (full & bare) | (over_land & land) | (over_water & water)
    recorder.value(name, f"saturated in {band}, B4, B8A or B11", full)
    recorder.value(name, "cloud by these tests", found)
    return found


@step
def lifted(
    clouds: NDArray[np.bool_],
    faint: NDArray[np.bool_],
    vapour: NDArray[np.float32],
    parameters: Parameters,
    recorder: Recorder = SILENT,
    rise: NDArray[np.float32] | None = None,
) -> NDArray[np.bool_]:
    """Clouds that stand high in the air: roofs and bright soils have all the water vapour above them.

    Parameters
    ----------
    clouds, faint : (row, col) bool
        As of `detect`; what is faint is cloud where little vapour lies above it.
    vapour : (row, col) float32
        As of `water_vapour.relative`; where it is NaN the clouds stay as they are. [-]
    rise : (row, col) float32, optional
        Of the blue since the composite, NaN where it knows nothing: roofs and soils below the edge of a cloud, whose
        light B9 sees too, did not brighten. [-]
    """
    least, most = parameters.cloud_vapour
    name, test = "mono_temporal", "water vapour above it, over that above clear ground"
    ground = recorder.test(name, f"{test}: no cloud", vapour, ">", most, clouds)
    above = recorder.test(name, f"{test}: faint cloud", vapour, "<", least, faint)
    if rise is not None and parameters.cloud_faint_rise is not None:
        text, limit = f"rise of {parameters.cloud_blue_band}: faint cloud", parameters.cloud_faint_rise
        known = np.isfinite(rise)
        above = above & (recorder.test(name, text, rise, ">", limit, faint & known) | ~known)
    found = (clouds & ~ground) | (faint & above)
    recorder.value(name, "cloud, also by its water vapour", found)
    return found
