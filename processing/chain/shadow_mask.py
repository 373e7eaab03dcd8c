"""Shadows of the clouds inside the image: darker than the composite, where the sun can throw them.

The height of a cloud is not known: its shadow is sought below every height it may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain.dilation import dilate
from processing.chain.geometry import REFERENCE_BAND, Geometry
from processing.chain.recorder import SILENT, Answer, Recorder
from processing.kernels import kernel, kernel_part
from processing.scene import Composite
from processing.versions import Parameters

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.int8)


def darkening(
    reflectance: Mapping[str, NDArray[np.float32]],
    composite: Composite,
    clouds: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    parameters: Parameters,
) -> NDArray[np.float32]:
    """Reflectance over that of the composite: of the version's `shadow_bands`, the one that darkened least.

    A shadow darkens all bands. A crop that grows darkens the red and brightens the near infrared, rain darkens the
    short-wave infrared most.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected. [-]
    clouds, valid : (row, col) bool

    Returns
    -------
    (row, col) float32
        NaN where not to be tested: cloud, not valid, water or nothing in the composite. [-]
    """
    tested = valid & ~clouds & ~composite.water
    least = np.where(tested, np.float32(-np.inf), np.float32(np.nan))
    for band in parameters.shadow_bands:
        past = composite.rayleigh_corrected[band]
        with np.errstate(invalid="ignore", divide="ignore"):
            least = np.maximum(least, np.where(past > 0, reflectance[band] / past, np.float32(np.nan)))
    return least


def rays(angles: Geometry, resolution: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps along the ground towards the sun and towards the satellite, in cells for each metre of height.

    Returns
    -------
    sun, view : (2, row, col) float64
        Rows (to the south) and columns (to the east). [m-1]
    """

    def ray(zenith: NDArray[np.float32], azimuth: NDArray[np.float32]) -> NDArray[np.float64]:
        tangent, toward = np.tan(np.radians(zenith, dtype=np.float64)), np.radians(azimuth, dtype=np.float64)
        return np.asarray(tangent / resolution * np.stack([-np.cos(toward), np.sin(toward)]))

    return (
        ray(angles.sun_zenith, angles.sun_azimuth),
        ray(angles.view_zenith[REFERENCE_BAND], angles.view_azimuth[REFERENCE_BAND]),
    )


@kernel_part
def _fall(row: int, col: int, height: float, sun: Any, view: Any, altitude: Any) -> tuple[int, int]:
    """Cell of the shadow of a cloud seen at a cell, -1 outside the image."""
    # The cloud stands on the line of sight; from there the sun's ray goes down to the ground it meets.
    cloud_row = row + height * view[0, row, col]
    cloud_col = col + height * view[1, row, col]
    top = altitude[row, col] + height
    drop = height
    r, c = row, col
    for _ in range(3):  # the ground's altitude is that of the place found before
        r = int(np.floor(cloud_row - drop * sun[0, row, col] + 0.5))
        c = int(np.floor(cloud_col - drop * sun[1, row, col] + 0.5))
        if r < 0 or c < 0 or r >= altitude.shape[0] or c >= altitude.shape[1]:
            return -1, -1
        below = max(top - altitude[r, c], 0.0)
        if below == drop:
            break
        drop = below
    return r, c


@kernel()
def _gather(
    rows: Any,
    cols: Any,
    heights: Any,
    sun: Any,
    view: Any,
    altitude: Any,
    dark: Any,
    seen: Any,
    mark: int,
    found: Any,
) -> int:
    """Dark cells below one cloud; each once, as flat indices in `found`. Returns their number."""
    n = 0
    for pixel in range(rows.size):
        for height in heights:
            r, c = _fall(rows[pixel], cols[pixel], height, sun, view, altitude)
            if r >= 0 and seen[r, c] != mark:
                seen[r, c] = mark
                if dark[r, c]:
                    found[n] = r * dark.shape[1] + c
                    n += 1
    return n


@kernel()
def _select(
    rows: Any,
    cols: Any,
    starts: Any,
    heights: Any,
    levels: Any,
    sun: Any,
    view: Any,
    altitude: Any,
    dark: Any,
    most: Any,
    seen: Any,
    found: Any,
    rejected: Any,
    out: Any,
) -> None:
    """All dark cells below the clouds that have at most so many, flat in `out`; the other clouds are `rejected`."""
    for k in range(most.size):
        a, b = starts[k], starts[k + 1]
        below = heights[: levels[k]]
        n = _gather(rows[a:b], cols[a:b], below, sun, view, altitude, dark, seen, k + 1, found)
        rejected[k] = n > most[k]
        if not rejected[k]:
            for i in range(n):
                out[found[i]] = True


@kernel()
def _caster(
    rows: Any, cols: Any, row: int, col: int, heights: Any, levels: Any, sun: Any, view: Any, altitude: Any
) -> tuple[int, int]:
    """Numbers of the lowest height and of a cloud's cell that would throw its shadow on a cell, -1 without any.

    `levels` are those of the cells: how many of the heights their cloud may have.
    """
    for k in range(heights.size):
        for pixel in range(rows.size):
            if k < levels[pixel] and _fall(rows[pixel], cols[pixel], heights[k], sun, view, altitude) == (row, col):
                return k, pixel
    return -1, -1


def least_darkened(parameters: Parameters) -> str:
    """What `darkening` looks at, in words."""
    bands = parameters.shadow_bands
    return bands[0] if len(bands) == 1 else f"the least darkened of {', '.join(bands)}"


def threshold(
    ratio: NDArray[np.float32], clouds: NDArray[np.bool_], valid: NDArray[np.bool_], parameters: Parameters
) -> float:
    """Darkening below which a cell may lie in a shadow: the more clouds, the more shadows are expected. [-]"""
    tested = ratio[np.isfinite(ratio)]
    if not tested.size:
        return parameters.shadow_max_darkening
    cover = np.count_nonzero(clouds & valid) / np.count_nonzero(valid)
    share = max(parameters.shadow_min_quantile, min(parameters.shadow_cover_factor * cover, 1.0))
    return min(float(np.quantile(tested, share)), parameters.shadow_max_darkening)


def detect(
    ratio: NDArray[np.float32],
    clouds: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    angles: Geometry,
    altitude: NDArray[np.float32],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Shadows of the clouds of the image.

    Each cloud is sent down along the sun's rays from every height it may have over the ground seen below it; the
    cells on the way that are dark enough are its possible shadow. With ``single_pass`` they all are shadow. With
    ``three_pass`` a cloud keeps all of them only if they are not too many for its size; then without those that
    already are another cloud's shadow; at last the darkest of them, in number of the allowed share of the cloud.

    The larger a cloud, the higher it may stand (the version's `shadow_tops`): what is small hangs low, so that a roof
    taken for a cloud finds no shadow kilometres away. Patches of fewer than `shadow_min_cells` are dropped.

    Parameters
    ----------
    ratio : (row, col) float32
        As of `darkening`. [-]
    clouds, valid : (row, col) bool
        Clouds as found, without a buffer. Those whose buffers touch are one.
    altitude : (row, col) float32
        Of the ground. [m]

    Returns
    -------
    (row, col) bool
        Not dilated.
    """
    out = np.zeros(clouds.shape, np.bool_)
    with np.errstate(invalid="ignore"):
        limit = threshold(ratio, clouds, valid, parameters)
        dark = recorder.test(
            "shadow", f"{least_darkened(parameters)} over the composite's", ratio, "<", limit, np.isfinite(ratio)
        )
    if not clouds.any() or not dark.any():
        return out
    resolution = parameters.coarse_resolution
    labels, count = ndimage.label(dilate(clouds, parameters.cloud_dilation, resolution), _EIGHT_NEIGHBOURS)
    rows, cols = np.nonzero(clouds)
    label = labels[rows, cols]
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(1, count + 2))
    sun, view = rays(angles, resolution)
    lowest, highest, step = parameters.shadow_heights
    # Under a low sun the version's step of height would jump over cells.
    finest = max(1 / step, float(np.hypot(*(view - sun)).max()))
    heights = np.linspace(lowest, highest, int(np.ceil((highest - lowest) * finest - 1e-9)) + 1)
    lowest_top, growth = parameters.shadow_tops
    cloud_cells = np.diff(starts)
    tops = lowest_top + growth * np.sqrt(cloud_cells) * resolution
    levels = np.searchsorted(heights, tops, side="right")
    shares = parameters.shadow_ratio if parameters.shadow_selection == "three_pass" else (np.inf, np.inf)
    places, terrain = (rows[order], cols[order]), altitude.astype(np.float64)
    most = np.where(cloud_cells < parameters.shadow_small_cloud, *shares) * cloud_cells
    seen, found = np.zeros(dark.shape, np.int32), np.empty(dark.size, np.int32)
    flat, rejected = out.reshape(-1), np.empty(count, np.bool_)
    _select(*places, starts, heights, levels, sun, view, terrain, dark, most, seen, found, rejected, flat)

    def of_cloud(k: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        here = slice(starts[k], starts[k + 1])
        return places[0][here], places[1][here], heights[: levels[k]]

    not_taken = dark & ~out
    for k in np.flatnonzero(rejected).tolist():
        n = _gather(*of_cloud(k), sun, view, terrain, not_taken, seen, count + k + 1, found)
        below, allowed = found[:n], shares[1] * cloud_cells[k]
        if n > allowed:
            darkness = ratio.reshape(-1)[below]
            darkest = int(np.ceil(allowed)) - 1
            below = below[darkness <= np.partition(darkness, darkest)[darkest]]
        flat[below] = True
    patches, _ = ndimage.label(out, _EIGHT_NEIGHBOURS)
    patch_cells = np.bincount(patches.ravel())
    out &= patch_cells[patches] >= parameters.shadow_min_cells

    def at(row: int, col: int) -> list[Answer]:
        of_cells = np.repeat(levels, cloud_cells)
        level, source = _caster(*places, row, col, heights, of_cells, sun, view, terrain)
        if level < 0:
            return [Answer("shadow", "a cloud of the image can throw its shadow here", False, passed=False)]
        height = heights[level]
        cloud = int(np.searchsorted(starts, source, side="right")) - 1
        away = float(np.hypot(places[0][source] - row, places[1][source] - col)) * resolution
        cells = int(cloud_cells[cloud])
        work = np.zeros(dark.shape, np.int32), 1, np.empty(dark.size, np.int32)
        share = _gather(*of_cloud(cloud), sun, view, terrain, dark, *work) / cells
        note = f"of {cells} cells, the lowest of those that can: {away:.0f} m away, {height:.0f} m above the ground"
        answers = [Answer("shadow", "a cloud of the image can throw its shadow here", True, passed=True, note=note)]
        if parameters.shadow_selection == "three_pass":
            limit = float(most[cloud] / cells)
            text = "dark cells below this cloud, over its own; beyond the limit only the darkest stay"
            answers.append(Answer("shadow", text, share, "<=", limit, share <= limit))
        if patches[row, col] and (least := parameters.shadow_min_cells) > 1:
            cells = int(patch_cells[patches[row, col]])
            answers.append(Answer("shadow", "cells of the patch of shadow", cells, ">=", least, cells >= least))
        return answers

    recorder.ask(at)
    recorder.value("shadow", "shadow by these tests", out)
    return out
