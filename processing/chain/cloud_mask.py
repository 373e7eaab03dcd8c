"""Clouds by the reflectances of one date: bright, white, and brighter in the near than in the short-wave infrared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.chain.dilation import dilate
from processing.chain.observation import Observation
from processing.chain.recorder import SILENT, Recorder
from processing.chain.steps import step
from processing.scene import Composite
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
    least_swir = parameters.cloud_min_nir_swir_ratio
    if faint and parameters.cloud_faint_nir_swir is not None:
        # little vapour above it tells more than its colour over sand, and than B12 in the sun's glint
        land, least_swir = bare, parameters.cloud_faint_nir_swir
    name, band = "faint" if faint else "mono_temporal", parameters.cloud_blue_band
    over_land = (
        recorder.test(name, band, blue, ">", min_blue, land)
        & recorder.test(name, "B4", red, ">", min_red, land)
        & recorder.test(name, "B8A / B4", nir_red, ">", lowest, land)
        & recorder.test(name, "B8A / B4", nir_red, "<", highest, land)
        & recorder.test(name, "B8A / B11", nir_swir, ">", least_swir, land)
    )
    dark, glinting = parameters.cloud_water_swir
    limit = np.where(seen.angles.sun_glint, np.float32(glinting), np.float32(dark))
    over_water = recorder.test(name, "B12 over water, higher limit in sun glint", swir2, ">", limit, water)
    if parameters.cloud_water_rise and seen.past is not None:
        known = water & (seen.past.day >= 0) & ~seen.angles.sun_glint
        white = _white_over_water(seen, seen.past, known, name, parameters, recorder)
        over_water = np.where(known, white, over_water)
    full = saturated[band] | saturated["B4"] | saturated["B8A"] | saturated["B11"]
    found = (full & bare) | (over_land & land) | (over_water & water)
    recorder.value(name, f"saturated in {band}, B4, B8A or B11", full)
    recorder.value(name, "cloud by these tests", found)
    return found


def _white_over_water(
    seen: Observation,
    past: Composite,
    calm: NDArray[np.bool_],
    name: str,
    parameters: Parameters,
    recorder: Recorder,
) -> NDArray[np.bool_]:
    """What rose over water in all colours alike: sediment stays dark in B11, mud laid bare in the blue."""
    least, blue_share, swir_share = parameters.cloud_water_rise
    known, band = past.rayleigh_corrected, parameters.cloud_blue_band
    nir, blue, swir = (seen.reflectance[b] - known[b] for b in ("B8A", band, "B11"))
    with np.errstate(invalid="ignore", divide="ignore"):
        if parameters.water_turbid:  # burnt or shaded ground that was taken for water once
            ndvi, most = (known["B8A"] - known["B4"]) / (known["B8A"] + known["B4"]), parameters.water_turbid[1]
            calm = calm & recorder.test(name, "NDVI of the composite, of water", ndvi, "<", most, calm)
        return (
            calm
            & recorder.test(name, "rise of B8A over water without glint", nir, ">", least, calm)
            & recorder.test(name, f"rise of {band} over water, against that of B8A", blue, ">", blue_share * nir, calm)
            & recorder.test(name, "rise of B11 over water, against that of B8A", swir, ">", swir_share * nir, calm)
        )


@step
def over_snow(
    seen: Observation, snow: NDArray[np.bool_], parameters: Parameters, recorder: Recorder = SILENT
) -> NDArray[np.bool_]:
    """Clouds over snow, whole or in a part of a cell: brighter in B11 than any mixture of snow and rock as bright.

    Parameters
    ----------
    snow : (row, col) bool
        As of `snow_mask`, of which these are part.
    """
    if not parameters.cloud_over_snow or not parameters.cloud_amid_snow:
        return np.zeros_like(snow)
    name, (within, rock, slope, above) = "mono_temporal", parameters.cloud_over_snow
    blue, swir = as_on_flat_ground(seen, parameters)
    close = seen.tested & dilate(snow, within, parameters.coarse_resolution)
    limit = np.float32(rock + above) - np.float32(slope) * blue
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = seen.reflectance["B8A"] / seen.reflectance["B11"]
    close &= recorder.test(name, f"{parameters.cloud_blue_band} near snow", blue, ">", parameters.cloud_min_blue, close)
    close &= recorder.test(name, "B8A / B11 near snow", ratio, ">", parameters.cloud_min_nir_swir_ratio, close)
    found = recorder.test(name, "B11 as on flat ground, over that of snow mixed with rock", swir, ">", limit, close)
    if seen.past is not None:
        found |= _risen_over_snow(seen, seen.past, (blue, swir), close, parameters, recorder)
    return close & found


def _risen_over_snow(
    seen: Observation,
    past: Composite,
    flat: tuple[NDArray[np.float32], NDArray[np.float32]],
    close: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder,
) -> NDArray[np.bool_]:
    """What brightened in B11 and not darkened in the blue: where snow melts the blue falls, where it falls B11 does."""
    rock, slope, least = parameters.cloud_amid_snow
    name, band, known = "mono_temporal", parameters.cloud_blue_band, close & (past.day >= 0)
    blue, swir = (seen.reflectance[b] - past.rayleigh_corrected[b] for b in (band, "B11"))
    with np.errstate(invalid="ignore"):
        return (
            known
            & recorder.test(name, "B11 as on flat ground", flat[1], ">", rock - np.float32(slope) * flat[0], known)
            & recorder.test(name, "rise of B11 near snow", swir, ">", least, known)
            & recorder.test(name, f"rise of {band}: no melting snow", blue, ">", 0.0, known)
        )


def as_on_flat_ground(seen: Observation, parameters: Parameters) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The blue of the cloud tests and B11, as they would be if the ground were level; nowhere much brighter."""
    cosine = np.cos(np.radians(seen.angles.sun_zenith))
    lit = cosine / np.maximum(seen.relief.cos_incidence, np.float32(parameters.snow_min_cos_incidence))
    flat = np.minimum(lit, np.float32(parameters.snow_swir_max_factor))
    return flat * seen.reflectance[parameters.cloud_blue_band], flat * seen.reflectance["B11"]


class Beside(NamedTuple):
    """What tells clouds from ground beside the vapour above them; nothing in versions that don't ask.

    Attributes
    ----------
    sure : (row, col) bool
        Clouds whatever the vapour.
    near_snow : (row, col) bool
        There a cloud has as little vapour above it as a faint one: what is bright and white may be a cell partly snow.
    snowed : (row, col) bool
        Near snow, and not known to have brightened in B11: no faint cloud, but fresh snow and its light around.
    """

    sure: NDArray[np.bool_]
    near_snow: NDArray[np.bool_]
    snowed: NDArray[np.bool_]


@step
def beside(
    seen: Observation, clouds: NDArray[np.bool_], snow: NDArray[np.bool_], parameters: Parameters, recorder: Recorder
) -> Beside:
    """Clouds that no ground can be: over water, risen since the composite, or over snow and brighter in B11 than it.

    Above a low deck, and above what stands just over a summit, lies nearly all the water vapour.

    Parameters
    ----------
    clouds, snow : (row, col) bool
        As of `detect` and of `snow_mask`.
    """
    name, band, found = "mono_temporal", parameters.cloud_blue_band, np.zeros_like(clouds)
    reflectance, past = seen.reflectance, seen.past
    if parameters.cloud_sure_rise and past is not None:
        least, swir_least = parameters.cloud_sure_rise
        known = clouds & (past.day >= 0)
        rise, swir = (reflectance[b] - past.rayleigh_corrected[b] for b in (band, "B11"))
        with np.errstate(invalid="ignore"):
            found |= (
                known
                & recorder.test(name, f"rise of {band} that no ground makes", rise, ">", least, known)
                & recorder.test(name, "rise of B11 that no ground makes", swir, ">", swir_least, known)
            )
        found |= clouds & past.water
    close, snowed = np.zeros_like(snow), np.zeros_like(snow)
    if parameters.cloud_over_snow:
        within, rock, slope, above = parameters.cloud_over_snow
        close = dilate(snow, within, parameters.coarse_resolution)
        near = clouds & close
        blue, swir_flat = as_on_flat_ground(seen, parameters)
        limit = np.float32(rock + above) - np.float32(slope) * blue
        found |= near & recorder.test(
            name, "B11 as on flat ground, over that of snow and rock", swir_flat, ">", limit, near
        )
        if parameters.cloud_amid_snow and past is None:
            snowed = close
        elif parameters.cloud_amid_snow and past is not None:
            known = close & (past.day >= 0)
            with np.errstate(invalid="ignore"):
                risen = reflectance["B11"] - past.rayleigh_corrected["B11"]
            snowed = close & ~known | known & ~recorder.test(
                name, "rise of B11 near snow: faint cloud", risen, ">", 0.0, known
            )
    return Beside(found, close, snowed)


@step
def lifted(
    clouds: NDArray[np.bool_],
    faint: NDArray[np.bool_],
    vapour: NDArray[np.float32],
    parameters: Parameters,
    recorder: Recorder = SILENT,
    rise: NDArray[np.float32] | None = None,
    beside: Beside | None = None,
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
    beside : Beside, optional
        What else is known of the clouds.
    """
    least, most = parameters.cloud_vapour
    name, test = "mono_temporal", "water vapour above it, over that above clear ground"
    limit = most if beside is None else np.where(beside.near_snow, np.float32(least), np.float32(most))
    ground = recorder.test(name, f"{test}: no cloud", vapour, ">", limit, clouds)
    above = recorder.test(name, f"{test}: faint cloud", vapour, "<", least, faint)
    if rise is not None and parameters.cloud_faint_rise is not None:
        text, limit = f"rise of {parameters.cloud_blue_band}: faint cloud", parameters.cloud_faint_rise
        known = np.isfinite(rise)
        above = above & (recorder.test(name, text, rise, ">", limit, faint & known) | ~known)
    if beside is not None:
        ground, above = ground & ~beside.sure, above & ~beside.snowed
    found = (clouds & ~ground) | (faint & above)
    recorder.value(name, "cloud, also by its water vapour", found)
    return found
