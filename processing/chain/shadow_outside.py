"""Shadows of clouds outside the image: as dark as the shadows inside, where no cloud of the image can throw them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.chain import correlation
from processing.chain.geometry import Geometry
from processing.chain.observation import Observation
from processing.chain.recorder import SILENT, Answer, Recorder
from processing.chain.shadow_mask import least_darkened, rays
from processing.chain.steps import step
from processing.scene import Composite
from processing.versions import Parameters

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.int8)


def reach(valid: NDArray[np.bool_], angles: Geometry, parameters: Parameters) -> NDArray[np.bool_]:
    """Valid cells that a cloud of the greatest height outside the image would put into shadow.

    Parameters
    ----------
    valid : (row, col) bool
        The image: its rectangle less what was not observed.
    """
    sun, view = rays(angles, parameters.coarse_resolution)
    rows, cols = np.indices(valid.shape) + np.rint(parameters.shadow_heights[1] * (sun - view)).astype(np.int64)
    inside = (rows >= 0) & (cols >= 0) & (rows < valid.shape[0]) & (cols < valid.shape[1])
    inside[inside] = valid[rows[inside], cols[inside]]
    return np.asarray(valid & ~inside)


@step
def detect(
    ratio: NDArray[np.float32],
    shadow: NDArray[np.bool_],
    seen: Observation,
    composite: Composite,
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Shadows of clouds outside the image.

    How dark a shadow is on this date is taken from those inside: without any, none is sought. Patches that were
    shadow on the date before are the ground itself, and so is what correlates with an earlier date.

    Parameters
    ----------
    ratio : (row, col) float32
        As of `shadow_mask.darkening`. [-]
    shadow : (row, col) bool
        Shadows of the clouds inside the image, without a buffer.
    seen : Observation
    composite : Composite
        Its past.

    Returns
    -------
    (row, col) bool
        Not dilated.
    """
    telling = shadow & np.isfinite(ratio)
    if not telling.any():
        recorder.value("shadow_outside", "shadows inside the image, to tell how dark they are", telling)
        return np.zeros(shadow.shape, np.bool_)
    limit = min(float(np.quantile(ratio[telling], parameters.shadow_outside_quantile)), parameters.shadow_outside_max)
    with np.errstate(invalid="ignore"):
        name, reached = "shadow_outside", reach(seen.tested, seen.angles, parameters)
        recorder.value(name, "a cloud outside the image could throw its shadow here", reached)
        shown = f"{least_darkened(parameters)} over the composite's, as dark as the shadows inside"
        dark = recorder.test(name, shown, ratio, "<", limit, reached)
        found = dark & reached
    found &= _fresh(found, composite, parameters, recorder)
    found &= ~correlation.alike(seen.reflectance["B2"], composite, found.copy(), parameters, recorder, name)
    recorder.value(name, "shadow by these tests", found)
    return found


def _fresh(
    found: NDArray[np.bool_], composite: Composite, parameters: Parameters, recorder: Recorder
) -> NDArray[np.bool_]:
    """Cells of patches (8 neighbours) of which little was shadow on the date before."""
    labels, count = ndimage.label(found, _EIGHT_NEIGHBOURS)
    size = np.bincount(labels.ravel(), minlength=count + 1)
    before = np.bincount(labels.ravel(), composite.shadow.ravel(), minlength=count + 1)
    limit = parameters.shadow_outside_composite_ratio

    def at(row: int, col: int) -> list[Answer]:
        patch = labels[row, col]
        if not patch:
            return []
        share, text = float(before[patch] / size[patch]), "share of the patch that was shadow on the date before"
        return [Answer("shadow_outside", text, share, "<", limit, share < limit)]

    recorder.ask(at)
    return np.asarray((before < limit * size)[labels])
