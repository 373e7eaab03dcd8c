"""Shadows of the clouds inside the image: darker than the composite, where the sun can throw them.

The height of a cloud is not known: its shadow is sought below every height it may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain.dilation import dilate, sums_around
from processing.chain.geometry import REFERENCE_BAND, Geometry
from processing.chain.recorder import SILENT, Answer, Recorder
from processing.chain.steps import step
from processing.kernels import kernel, kernel_part
from processing.scene import Composite
from processing.versions import Parameters

#: Bands in which water is bright enough for a shadow to be seen, where it carries sediment or is shallow.
WATER_BANDS = ("B3", "B4")
#: Half width of the water around. [m]
WATER_AROUND = 800.0
_EIGHT_NEIGHBOURS = np.ones((3, 3), np.int8)


@step
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
    return _least(reflectance, composite, tested, parameters.shadow_bands, 0.0)


@step
def darkening_of_water(
    reflectance: Mapping[str, NDArray[np.float32]],
    composite: Composite,
    clouds: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    parameters: Parameters,
) -> NDArray[np.float32]:
    """The same on water that is bright enough, over that of the water around: tides and rivers move its sediment.

    Returns
    -------
    (row, col) float32
        NaN elsewhere, and on water that was darker than the version's `shadow_water` in one of `WATER_BANDS`. [-]
    """
    if parameters.shadow_water is None:
        return np.full(valid.shape, np.nan, np.float32)
    wet = _least(reflectance, composite, valid & ~clouds & composite.water, WATER_BANDS, parameters.shadow_water)
    known = np.isfinite(wet)
    reach = int(WATER_AROUND / parameters.coarse_resolution)
    total, cells = (sums_around(values, reach) for values in (np.where(known, wet, 0), known))
    return np.asarray(wet * cells / np.maximum(total, np.float32(1e-3)), np.float32)


def _least(
    reflectance: Mapping[str, NDArray[np.float32]],
    composite: Composite,
    tested: NDArray[np.bool_],
    bands: tuple[str, ...],
    above: float,
) -> NDArray[np.float32]:
    """Of some bands the one that darkened least, NaN where not tested or one was not above a reflectance before."""
    least = np.where(tested, np.float32(-np.inf), np.float32(np.nan))
    for band in bands:
        past = composite.rayleigh_corrected[band]
        with np.errstate(invalid="ignore", divide="ignore"):
            least = np.maximum(least, np.where(past > above, reflectance[band] / past, np.float32(np.nan)))
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


class Clouds(NamedTuple):
    """The clouds of an image, cell by cell, each with the heights that it may have.

    Attributes
    ----------
    rows, cols : (cell,) int64
        Cell after cell of the first cloud, then those of the next one.
    starts : (cloud + 1,) int64
        The first cell of each cloud, and the number of all.
    heights : (height,) float64
        Over the ground below, of any cloud. [m]
    levels : (cloud,) int64
        How many of these, from the first, each cloud may have.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    starts: NDArray[np.int64]
    heights: NDArray[np.float64]
    levels: NDArray[np.int64]

    @property
    def cells(self) -> NDArray[np.int64]:
        """Number of each cloud's cells."""
        return np.diff(self.starts)


class Rays(NamedTuple):
    """How the light comes down to the ground and from there to the satellite: `rays`, and the altitude.

    Attributes
    ----------
    sun, view : (2, row, col) float64
        [m-1]
    altitude : (row, col) float64
        [m]
    """

    sun: NDArray[np.float64]
    view: NDArray[np.float64]
    altitude: NDArray[np.float64]


class Room(NamedTuple):
    """What the search below a cloud is written into.

    Attributes
    ----------
    seen : (row, col) int32
        The mark of the last search that came to a cell.
    found : (row x col,) int32
        Flat indices of dark cells.
    """

    seen: NDArray[np.int32]
    found: NDArray[np.int32]


@kernel_part
def fall(row: int, col: int, height: float, along: Rays) -> tuple[int, int]:
    """Cell of the shadow of a cloud seen at a cell, -1 outside the image."""
    # The cloud stands on the line of sight; from there the sun's ray goes down to the ground it meets.
    sun, view, altitude = along
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
def _gather(clouds: Clouds, cloud: int, along: Rays, dark: NDArray[np.bool_], room: Room, mark: int) -> int:
    """Dark cells below one cloud; each once, as flat indices in `room.found`. Returns their number."""
    seen, found = room
    n = 0
    for cell in range(clouds.starts[cloud], clouds.starts[cloud + 1]):
        for level in range(clouds.levels[cloud]):
            r, c = fall(clouds.rows[cell], clouds.cols[cell], clouds.heights[level], along)
            if r >= 0 and seen[r, c] != mark:
                seen[r, c] = mark
                if dark[r, c]:
                    found[n] = r * dark.shape[1] + c
                    n += 1
    return n


@kernel()
def _select(
    clouds: Clouds,
    along: Rays,
    dark: NDArray[np.bool_],
    most: NDArray[np.float64],
    room: Room,
    rejected: NDArray[np.bool_],
    out: NDArray[np.bool_],
) -> None:
    """All dark cells below the clouds that have at most so many, flat in `out`; the other clouds are `rejected`."""
    for cloud in range(most.size):
        n = _gather(clouds, cloud, along, dark, room, cloud + 1)
        rejected[cloud] = n > most[cloud]
        if not rejected[cloud]:
            for i in range(n):
                out[room.found[i]] = True


@kernel()
def _caster(row: int, col: int, clouds: Clouds, along: Rays) -> tuple[int, int, int]:
    """Numbers of the lowest height, of the cloud and of its cell that would throw its shadow on a cell; -1 if none."""
    for level in range(clouds.heights.size):
        for cloud in range(clouds.levels.size):
            if level < clouds.levels[cloud]:
                for cell in range(clouds.starts[cloud], clouds.starts[cloud + 1]):
                    at = fall(clouds.rows[cell], clouds.cols[cell], clouds.heights[level], along)
                    if at == (row, col):
                        return level, cloud, cell
    return -1, -1, -1


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


@step
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
    with np.errstate(invalid="ignore"):
        limit = threshold(ratio, clouds, valid, parameters)
        dark = recorder.test(
            "shadow", f"{least_darkened(parameters)} over the composite's", ratio, "<", limit, np.isfinite(ratio)
        )
    if not clouds.any() or not dark.any():
        return np.zeros(clouds.shape, np.bool_)
    along = Rays(*rays(angles, parameters.coarse_resolution), altitude.astype(np.float64))
    cast = casting(clouds, along, parameters, parameters.cloud_dilation)
    most = _most(cast, parameters)
    out = _below(cast, along, ratio, dark, most, parameters)
    patches, _ = ndimage.label(out, _EIGHT_NEIGHBOURS)
    cells = np.bincount(patches.ravel())
    out &= cells[patches] >= parameters.shadow_min_cells

    def at(row: int, col: int) -> list[Answer]:
        answers, patch = _why_below(row, col, cast, along, dark, most, parameters), int(patches[row, col])
        return answers + _why_patch(patch, cells, parameters) if answers[0].passed else answers

    recorder.ask(at)
    recorder.value("shadow", "shadow by these tests", out)
    return out


def casting(clouds: NDArray[np.bool_], along: Rays, parameters: Parameters, buffer: float) -> Clouds:
    """The clouds and the heights they may have; one where their buffers [m] touch."""
    resolution = parameters.coarse_resolution
    labels, count = ndimage.label(dilate(clouds, buffer, resolution), _EIGHT_NEIGHBOURS)
    rows, cols = np.nonzero(clouds)
    label = labels[rows, cols]
    order = np.argsort(label, kind="stable")
    starts = np.searchsorted(label[order], np.arange(1, count + 2))
    lowest, highest, step = parameters.shadow_heights
    # Under a low sun the version's step of height would jump over cells.
    finest = max(1 / step, float(np.hypot(*(along.view - along.sun)).max()))
    heights = np.linspace(lowest, highest, int(np.ceil((highest - lowest) * finest - 1e-9)) + 1)
    lowest_top, growth = parameters.shadow_tops
    tops = lowest_top + growth * np.sqrt(np.diff(starts)) * resolution
    return Clouds(rows[order], cols[order], starts, heights, np.searchsorted(heights, tops, side="right"))


def _shares(parameters: Parameters) -> tuple[float, float]:
    """Dark cells that a small and a larger cloud may have, over its own."""
    return parameters.shadow_ratio if parameters.shadow_selection == "three_pass" else (np.inf, np.inf)


def _most(clouds: Clouds, parameters: Parameters) -> NDArray[np.float64]:
    """How many dark cells each cloud may have and keep them all."""
    small = clouds.cells < parameters.shadow_small_cloud
    return np.asarray(np.where(small, *_shares(parameters)) * clouds.cells)


def _below(
    clouds: Clouds,
    along: Rays,
    ratio: NDArray[np.float32],
    dark: NDArray[np.bool_],
    most: NDArray[np.float64],
    parameters: Parameters,
) -> NDArray[np.bool_]:
    """Dark cells below the clouds: all below some; below the others what is left, or the darkest of it."""
    out, rejected = np.zeros(dark.shape, np.bool_), np.empty(most.size, np.bool_)
    flat, room = out.reshape(-1), Room(np.zeros(dark.shape, np.int32), np.empty(dark.size, np.int32))
    _select(clouds, along, dark, most, room, rejected, flat)
    not_taken, cells = dark & ~out, clouds.cells
    for cloud in np.flatnonzero(rejected).tolist():
        n = _gather(clouds, cloud, along, not_taken, room, most.size + cloud + 1)
        below, allowed = room.found[:n], _shares(parameters)[1] * cells[cloud]
        if n > allowed:
            darkness = ratio.reshape(-1)[below]
            darkest = int(np.ceil(allowed)) - 1
            below = below[darkness <= np.partition(darkness, darkest)[darkest]]
        flat[below] = True
    return out


def _why_below(
    row: int,
    col: int,
    clouds: Clouds,
    along: Rays,
    dark: NDArray[np.bool_],
    most: NDArray[np.float64],
    parameters: Parameters,
) -> list[Answer]:
    """Whether a cloud can throw its shadow on a cell, and whether it has more dark cells than it may."""
    text = "a cloud of the image can throw its shadow here"
    level, cloud, cell = _caster(row, col, clouds, along)
    if level < 0:
        return [Answer("shadow", text, False, passed=False)]
    away = float(np.hypot(clouds.rows[cell] - row, clouds.cols[cell] - col)) * parameters.coarse_resolution
    cells, height = int(clouds.cells[cloud]), clouds.heights[level]
    note = f"of {cells} cells, the lowest of those that can: {away:.0f} m away, {height:.0f} m above the ground"
    answers = [Answer("shadow", text, True, passed=True, note=note)]
    if parameters.shadow_selection == "three_pass":
        room = Room(np.zeros(dark.shape, np.int32), np.empty(dark.size, np.int32))
        share, limit = _gather(clouds, cloud, along, dark, room, 1) / cells, float(most[cloud] / cells)
        text = "dark cells below this cloud, over its own; beyond the limit only the darkest stay"
        answers.append(Answer("shadow", text, share, "<=", limit, share <= limit))
    return answers


def _why_patch(patch: int, cells: NDArray[np.int64], parameters: Parameters) -> list[Answer]:
    """Whether a patch of shadow, 0 for none, is large enough."""
    least = parameters.shadow_min_cells
    if not patch or least <= 1:
        return []
    size = int(cells[patch])
    return [Answer("shadow", "cells of the patch of shadow", size, ">=", least, size >= least)]
