"""Clouds by the rise of the blue since the composite, and the thinnest clouds around them.

The ground seldom brightens fast in the blue without changing colour; a cloud that moves in does (Hagolle et al.,
"A multi-temporal method for cloud detection", Remote Sensing of Environment 114, 1747-1755, 2010).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain import subsampling
from processing.chain.dilation import dilate, sums_around
from processing.chain.observation import Observation
from processing.chain.recorder import SILENT, Answer, Recorder
from processing.chain.steps import step
from processing.scene import Composite
from processing.versions import Parameters

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.int8)
#: Bright ground, for what the composite does not know. [-]
UNKNOWN = 0.25
#: Rise of B4 by a small cloud, at least, over that of the blue: the ground may be bright in the red. [-]
SPOT_RED = 0.2


def threshold(lag: NDArray[np.integer], parameters: Parameters) -> NDArray[np.float32]:
    """Rise of the blue that makes a cloud, after `lag` days without a clear look: the ground may have changed. [-]"""
    least, most = parameters.cloud_blue_rise
    grown = least * (1 + np.abs(lag) / parameters.cloud_forgetting)
    return np.asarray(np.minimum(most, grown), np.float32)


def _lag(composite: Composite, day: int) -> NDArray[np.int32]:
    """Days since the composite saw each cell clear, 0 where it never did."""
    return np.where(composite.day >= 0, day - composite.day.astype(np.int32), 0)


def haze(rise: NDArray[np.float32], parameters: Parameters) -> np.float32:
    """Rise of the blue that the aerosol of the date adds all over the image, told by the cells that rose least. [-]"""
    known = rise[np.isfinite(rise)]
    least = np.quantile(known, parameters.cloud_haze_quantile) if known.size else 0.0
    return np.float32(np.clip(least, 0, parameters.cloud_max_haze))


def local_haze(rise: NDArray[np.float32], known: NDArray[np.bool_], parameters: Parameters) -> NDArray[np.float32]:
    """Rise of the blue that dust or a plume adds kilometres around a cell, told by the cells that rose little. [-]

    Parameters
    ----------
    rise : (row, col) float32
        Less that of the haze all over. [-]
    known : (row, col) bool
        Cells that tell it.
    """
    radius, most, share = parameters.cloud_local_haze
    reach = int(radius / parameters.coarse_resolution)
    little = known & (rise < most)
    total, cells, all_ = (sums_around(values, reach) for values in (np.where(little, rise, 0), little, known))
    return np.where(cells > share * all_, np.clip(total / np.maximum(cells, 1), 0, most), np.float32(0))


@step
def detect(
    reflectance: Mapping[str, NDArray[np.float32]],
    day: int,
    composite: Composite,
    valid: NDArray[np.bool_],
    snow: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Clouds against the composite, and the candidates of the extension.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected: the version's blue band, B4, B8A. [-]
    day : int
        Of the scene, since 2000-01-01.
    composite : Composite
        Not tested where it has no data or knows water.
    valid, snow : (row, col) bool

    Returns
    -------
    clouds, candidates : (row, col) bool
        `candidates` has a threshold lower by the version's `cloud_extension_delta` and includes `clouds`.
    """
    past = composite.rayleigh_corrected
    tested = valid & ~snow & ~composite.water & (composite.day >= 0)
    name, band = "multi_temporal", parameters.cloud_blue_band
    rise = reflectance[band] - past[band]
    lag = _lag(composite, day)
    least = threshold(lag, parameters)
    recorder.value(name, "age of the composite here", lag, "d")
    recorder.value(name, f"{band} of the composite", past[band])
    shown, local = f"rise of {band}", rise
    if parameters.cloud_max_haze:
        local = rise - haze(rise[tested & ~melting(past)], parameters)
        shown += " less that of the haze all over"
    if parameters.cloud_local_haze:
        local = local - local_haze(local, tested & ~melting(past), parameters)
        shown += " and around"
    white = _white(reflectance, past, tested, parameters, recorder)
    white &= _no_ground(reflectance, past, tested, snow, parameters, recorder)
    clouds = tested & white & recorder.test(name, f"{shown}, the limit grown with the age", local, ">", least, tested)
    lower = least - np.float32(parameters.cloud_extension_delta)
    candidates = tested & white & recorder.test(name, f"{shown}, for the thinnest clouds", local, ">", lower, tested)
    recorder.value(name, "cloud by these tests", clouds)
    return clouds, candidates


def melting(past: Mapping[str, NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Snow in the composite, by the sign of its NDSI: where it melts, the blue falls."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((past["B3"] - past["B11"]) / (past["B3"] + past["B11"]) > 0)


def _white(
    reflectance: Mapping[str, NDArray[np.float32]],
    past: Mapping[str, NDArray[np.float32]],
    tested: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder,
) -> NDArray[np.bool_]:
    """What rose in all colours alike, as a cloud does; and, with a `cloud_veil`, as much as its cover would have it."""
    name, band = "multi_temporal", parameters.cloud_blue_band
    blue, past_blue = reflectance[band], past[band]
    nir, past_nir = reflectance["B8A"], past["B8A"]
    rise, red_rise = blue - past_blue, reflectance["B4"] - past["B4"]
    with np.errstate(invalid="ignore", divide="ignore"):
        nir_rise = (nir - past_nir) / (nir + past_nir)
        nir_limit = parameters.cloud_nir_blue_factor * (blue - past_blue) / (blue + past_blue)
    text = f"relative rise of B8A, against that of {band}"
    white = recorder.test(name, text, nir_rise, "<", nir_limit, tested)
    text = f"rise of B4, against that of {band}"
    white = white & recorder.test(name, text, red_rise, "<", parameters.cloud_red_blue_factor * rise, tested)
    least, cover = parameters.cloud_veil
    if least:
        with np.errstate(invalid="ignore", divide="ignore"):
            veil = red_rise / (cover - past["B4"]), rise / (cover - past_blue)
        text = f"cover in B4, against that in {band}: grey, not haze"
        white &= recorder.test(name, text, veil[0], ">", least * veil[1], tested)
    return white


def _no_ground(
    reflectance: Mapping[str, NDArray[np.float32]],
    past: Mapping[str, NDArray[np.float32]],
    tested: NDArray[np.bool_],
    snow: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder,
) -> NDArray[np.bool_]:
    """What is neither a field laid bare nor fresh snow, in versions that look for these."""
    name, band = "multi_temporal", parameters.cloud_blue_band
    found = np.ones_like(tested)
    if parameters.cloud_nir_fall:
        least = past["B8A"] - parameters.cloud_nir_fall * (reflectance[band] - past[band])
        found &= recorder.test(name, "B8A: a field laid bare loses more", reflectance["B8A"], ">", least, tested)
    if parameters.cloud_snow_distance:
        close = tested & dilate(snow, parameters.cloud_snow_distance, parameters.coarse_resolution)
        text = "B11 close to snow: fresh snow darkens it"
        found &= recorder.test(name, text, reflectance["B11"], ">", past["B11"], close) | ~close
    return found


@step
def rise(
    reflectance: Mapping[str, NDArray[np.float32]], composite: Composite, parameters: Parameters
) -> NDArray[np.float32]:
    """Rise of the version's blue band since the composite, (row, col) float32, NaN where it knows nothing. [-]"""
    band = parameters.cloud_blue_band
    return np.where(composite.day >= 0, reflectance[band] - composite.rayleigh_corrected[band], np.float32(np.nan))


@step
def spots(
    seen: Observation,
    past: Composite,
    among: NDArray[np.bool_],
    snow: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Clouds smaller than a cell: bright spots that account for what the whole cell rose since the composite.

    A roof is as bright a spot, but its cell did not rise; a plume brightens the cell, but no spot in it.

    Parameters
    ----------
    among : (row, col) bool
        Cells to be looked at, taken for clear so far.
    snow : (row, col) bool
    """
    peak, least, explained, spotted = parameters.cloud_spots
    weights, before = subsampling.drawing_bands(parameters)[subsampling.CLOUDS], past.rayleigh_corrected
    rises = {b: seen.reflectance[b] - before[b] for b in ("B2", "B4", "B11")}
    known = among & (past.day >= 0) & np.isfinite(rises["B2"] + rises["B4"]) & (~melting(before) | past.water)

    def beyond(rise: NDArray[np.float32]) -> NDArray[np.float32]:
        rise = np.where(known, rise, np.float32(0))
        return rise - local_haze(rise, known, parameters)

    hot = np.sum([np.float32(w) * rises[b] for b, w in weights.items()], axis=0)
    rise = np.minimum(beyond(hot), beyond(rises["B2"]))
    gain = np.float32(parameters.mask_detail_gain)
    top, uneven = rise + gain * seen.spots["peak"], gain * seen.spots["uneven"]
    name, swir, red = "multi_temporal", rises["B11"], beyond(rises["B4"])
    close = dilate(snow, parameters.cloud_snow_distance, parameters.coarse_resolution)
    return (
        known
        & (recorder.test(name, "rise of B11 close to snow: fresh snow darkens it", swir, ">", least, close) | ~close)
        & recorder.test(name, "rise of the brightest spot in the cell", top, ">", peak, known)
        & recorder.test(name, "rise of the cell beyond that around", rise, ">", least, known)
        & recorder.test(name, "the same in B4: not what haze does", red, ">", SPOT_RED * rise, known)
        & recorder.test(name, "what makes the cell uneven, against its rise", uneven, ">", spotted * rise, known)
        & recorder.test(name, "rise of the cell, against what makes it uneven", rise, ">", explained * uneven, known)
    )


@step
def doubtful(
    clouds: NDArray[np.bool_],
    reflectance: Mapping[str, NDArray[np.float32]],
    composite: Composite,
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Clouds that may turn out to be ground: through what rose more than `correlation_max_rise` none is seen.

    A smooth deck looks like any smooth ground.

    Parameters
    ----------
    clouds : (row, col) bool
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected. [-]
    """
    found = clouds
    for band, limit in zip((parameters.cloud_blue_band, "B11"), parameters.correlation_max_rise, strict=False):
        with np.errstate(invalid="ignore"):
            past = composite.rayleigh_corrected[band]
            risen = reflectance[band] - np.where(np.isfinite(past), past, np.float32(UNKNOWN))
            text = f"rise of {band} through which no ground is seen"
            found = found & ~recorder.test("correlation", text, risen, ">", limit, clouds)
    return found


@step
def accompanied(
    clouds: NDArray[np.bool_],
    others: NDArray[np.bool_],
    risen: NDArray[np.float32],
    day: int,
    composite: Composite,
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Clouds without single cells that rose little: roofs, and fields that were just cut.

    Parameters
    ----------
    clouds, others : (row, col) bool
        As of `detect` and left by the correlation test; what else may be cloud, candidates included.
    risen : (row, col) float32
        As of `rise`. [-]
    day : int
        Of the scene, since 2000-01-01.
    """
    either = (clouds | others).astype(np.int8)
    neighbours = ndimage.convolve(either, _EIGHT_NEIGHBOURS, mode="constant") - either
    lag = _lag(composite, day)
    lone = clouds & (neighbours == 0)
    limit = np.float32(parameters.cloud_lone_rise) * threshold(lag, parameters)
    text = f"rise of {parameters.cloud_blue_band} of a cell without a neighbour"
    return np.asarray(clouds & (~lone | recorder.test("multi_temporal", text, risen, ">", limit, lone)))


@step
def extend(
    candidates: NDArray[np.bool_],
    clouds: NDArray[np.bool_],
    correlated: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """The thinnest clouds: patches of candidates that touch a cloud and do not look like the ground.

    Parameters
    ----------
    candidates, clouds : (row, col) bool
        `clouds` as left by the correlation test.
    correlated : (row, col) bool
        Candidates that look like the ground of an earlier date.

    Returns
    -------
    (row, col) bool
        Cells beyond `clouds`, of patches of candidates (8 neighbours) with at least one cloud cell and a share
        of correlated cells below the version's limit.
    """
    labels, count = ndimage.label(candidates, _EIGHT_NEIGHBOURS)
    size = np.bincount(labels.ravel(), minlength=count + 1)
    cloudy = np.bincount(labels.ravel(), (clouds & candidates).ravel(), minlength=count + 1)
    alike = np.bincount(labels.ravel(), (correlated & candidates).ravel(), minlength=count + 1)
    keep = (cloudy > 0) & (alike < parameters.cloud_extension_max_correlated * size)
    keep[0] = False

    def at(row: int, col: int) -> list[Answer]:
        patch = labels[row, col]
        if not patch:
            return [Answer("thinnest", "candidate, see the rise of the blue", False, passed=False)]
        share, limit = float(alike[patch] / size[patch]), parameters.cloud_extension_max_correlated
        touching = int(cloudy[patch])
        return [
            Answer("thinnest", "cells of the patch of candidates", int(size[patch])),
            Answer("thinnest", "cloud cells in the patch", touching, ">", 0, touching > 0),
            Answer("thinnest", "share of the patch that looks like the ground", share, "<", limit, share < limit),
        ]

    recorder.ask(at)
    found = np.asarray(keep[labels] & ~clouds & ~correlated)
    recorder.value("thinnest", "thinnest cloud, beside the others", found)
    return found
