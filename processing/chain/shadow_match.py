"""Shadows by the shape of their clouds: each cloud is moved down to where most of what it covers there is dark.

What is dark a little counts as shadow where the cloud fits best, and small clouds, of which one alone can hardly tell
its height, stand near the height at which most of the others fit (as in Zhu and Woodcock, "Object-based cloud and
cloud shadow detection in Landsat imagery", Remote Sensing of Environment 118, 83-94, 2012, cloud by cloud).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain.dilation import sums_around
from processing.chain.observation import Observation
from processing.chain.recorder import SILENT, Answer, Recorder
from processing.chain.shadow_mask import Clouds, Rays, casting, fall, rays
from processing.chain.steps import step
from processing.kernels import kernel
from processing.scene import Composite
from processing.versions import Parameters

#: Rise of B3 from which nothing lies in a shadow. [-]
BRIGHTER = 1.1
#: How far all ground together may have darkened or brightened, by rain or growth. [-]
USUAL = (0.7, 1.3)
#: Cells that tell enough of a cloud: with twice as many, every other one is looked at. [coarse px]
MOST = 1000
#: Of a large cloud, most of whose shadow it hides itself, so many cells must be seen. [coarse px]
ENOUGH = 10


@step
def against_the_past(
    seen: Observation, past: Composite, ratio: NDArray[np.float32], parameters: Parameters
) -> NDArray[np.float32]:
    """Reflectance over that of the composite, and over what has become of the rest of the image, where a cloud fits.

    In the version's `shadow_match_bands` alone, the short waves of the infrared: a crop that grows or ripens brightens
    other bands, and what darkens these without a cloud does so anywhere. Snow and floods, which leave the visible
    as bright, are told by it.

    Parameters
    ----------
    ratio : (row, col) float32
        As of `shadow_mask.darkening`: NaN where not to be tested. [-]

    Returns
    -------
    (row, col) float32
        NaN where not to be tested. [-]
    """
    known, most = past.rayleigh_corrected, np.full(ratio.shape, -np.inf, np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        for band in parameters.shadow_match_bands:
            most = np.maximum(most, np.where(known[band] > 0, seen.reflectance[band] / known[band], np.float32(np.nan)))
        brighter = seen.reflectance["B3"] > BRIGHTER * known["B3"]
    land = np.isfinite(ratio) & np.isfinite(most)
    usual = np.clip(np.median(most[land]), *USUAL) if land.any() else 1.0
    most = most / np.float32(usual)
    return np.where(land, np.where(brighter, np.maximum(most, 1), most), np.nan).astype(np.float32)


@step
def among_surroundings(
    reflectance: Mapping[str, NDArray[np.float32]],
    ground: NDArray[np.bool_],
    tested: NDArray[np.bool_],
    parameters: Parameters,
) -> NDArray[np.float32]:
    """Reflectance over the mean of the ground around: of the version's `shadow_bands_alone`, the highest.

    For dates and places without a past: the short waves of the sky light shadows, the infrared ones do not.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected. [-]
    ground : (row, col) bool
        What the means are taken of: neither cloud nor snow nor water.
    tested : (row, col) bool

    Returns
    -------
    (row, col) float32
        NaN where not tested. [-]
    """
    reach = int(parameters.shadow_surroundings / parameters.coarse_resolution)
    weight = sums_around(ground, reach)
    most = np.where(tested, np.float32(-np.inf), np.float32(np.nan))
    for band in parameters.shadow_bands_alone:
        known = np.where(ground, reflectance[band], np.float32(0))
        mean = sums_around(known, reach) / np.maximum(weight, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            most = np.maximum(most, np.where(mean > 0, reflectance[band] / mean, np.float32(np.nan)))
    return np.asarray(most, np.float32)


@kernel()
def _fits(
    clouds: Clouds,
    base: NDArray[np.float64],
    along: Rays,
    depth: NDArray[np.float32],
    total: NDArray[np.float64],
    looked: NDArray[np.int64],
) -> None:
    """Sum of the depths that each cloud covers from each height, and the number of cells that have one.

    The heights are those over the mean ground of a cloud (`base`), as it stays level over hills. Of a large cloud every
    so many cells are looked at.
    """
    for cloud in range(clouds.levels.size):
        first, last = clouds.starts[cloud], clouds.starts[cloud + 1]
        stride = max((last - first) // MOST, 1)
        for level in range(clouds.levels[cloud]):
            for cell in range(first, last, stride):
                row, col = clouds.rows[cell], clouds.cols[cell]
                height = max(clouds.heights[level] + base[cloud] - along.altitude[row, col], 0.0)
                r, c = fall(row, col, height, along)
                if r >= 0 and not np.isnan(depth[r, c]):
                    total[cloud, level] += depth[r, c]
                    looked[cloud, level] += 1


@kernel()
def _cover(
    clouds: Clouds,
    base: NDArray[np.float64],
    along: Rays,
    best: NDArray[np.int64],
    reach: int,
    out: NDArray[np.int32],
) -> None:
    """Number of a cloud (from 1) whose shadow covers a cell at its best height or `reach` levels beside it."""
    for cloud in range(clouds.levels.size):
        for level in range(max(best[cloud] - reach, 0), min(best[cloud] + reach + 1, clouds.heights.size)):
            if best[cloud] >= 0:
                for cell in range(clouds.starts[cloud], clouds.starts[cloud + 1]):
                    row, col = clouds.rows[cell], clouds.cols[cell]
                    height = max(clouds.heights[level] + base[cloud] - along.altitude[row, col], 0.0)
                    r, c = fall(row, col, height, along)
                    if r >= 0:
                        out[r, c] = cloud + 1


class Matched(NamedTuple):
    """What fits of clouds tell.

    Attributes
    ----------
    shadow : (row, col) bool
        Of the cells below them those that are dark, not dilated.
    below : (row, col) bool
        All that the clouds cover where they fit best.
    """

    shadow: NDArray[np.bool_]
    below: NDArray[np.bool_]


@step
def detect(
    ratio: NDArray[np.float32],
    clouds: NDArray[np.bool_],
    blind: NDArray[np.bool_],
    seen: Observation,
    match: tuple[float, ...],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> Matched:
    """Shadows of the clouds of the image where these fit best.

    Parameters
    ----------
    ratio : (row, col) float32
        How bright a cell is over what it would be without a shadow, NaN where not to be tested. [-]
    clouds : (row, col) bool
        As found, without a buffer.
    blind : (row, col) bool
        Water too dark to show a shadow: it is taken to have that of the clouds that fit elsewhere.
    seen : Observation
    match : tuple of float
        The version's `shadow_match` or `shadow_match_alone`.
    """
    limit, least, reach = match
    nothing = np.zeros(clouds.shape, np.bool_)
    if not clouds.any() or not np.isfinite(ratio).any():
        return Matched(nothing, nothing)
    along = Rays(*rays(seen.angles, parameters.coarse_resolution), seen.altitude.astype(np.float64))
    cast = casting(clouds, along, parameters, 0.0)
    base = np.add.reduceat(along.altitude[cast.rows, cast.cols], cast.starts[:-1]) / cast.cells
    depth = np.where(blind, np.float32(np.nan), np.clip(1 - ratio, -0.25, 0.5)).astype(np.float32)
    total = np.zeros((cast.levels.size, cast.heights.size))
    looked = np.zeros(total.shape, np.int64)
    _fits(cast, base, along, depth, total, looked)
    best, fit = _best(total, looked, cast, parameters)
    below = np.zeros(clouds.shape, np.int32)
    _cover(cast, base, along, np.where(fit >= least, best, -1), int(reach), below)
    with np.errstate(invalid="ignore"):
        dark = recorder.test("shadow", "darkness where a cloud fits", ratio, "<", limit, below > 0)
    found = (dark | blind) & (below > 0)
    recorder.value("shadow", "water too dark to show a shadow", blind)

    def at(row: int, col: int) -> list[Answer]:
        if not below[row, col]:
            return []
        cloud = int(below[row, col]) - 1
        note = f"of {int(cast.cells[cloud])} cells, {cast.heights[best[cloud]]:.0f} m above its mean ground"
        text = "mean darkness below the cloud where it fits best"
        return [Answer("shadow", text, float(fit[cloud]), ">=", least, bool(fit[cloud] >= least), note=note)]

    recorder.ask(at)
    return Matched(np.asarray(found), below > 0)


def _best(
    total: NDArray[np.float64], looked: NDArray[np.int64], clouds: Clouds, parameters: Parameters
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The level of each cloud, and the mean depth there; nothing is said of one that mostly falls elsewhere."""
    enough = np.minimum(0.5 * clouds.cells, ENOUGH)[:, None]
    mean = np.where(looked >= enough, total / (looked + 1), -1.0)
    # All clouds together, each by no more than a small one can tell
    common = (np.clip(total, 0, None) / np.sqrt(np.maximum(clouds.cells[:, None], 1))).sum(axis=0)
    common = ndimage.gaussian_filter1d(common, 1.5)
    weight = parameters.shadow_common_height / np.sqrt(clouds.cells)[:, None]
    prior = weight * common / max(float(common.max()), 1e-9)
    score = np.where(mean > -1, mean + prior, -np.inf)
    best = score.argmax(axis=1)
    return best, mean[np.arange(len(best)), best]
