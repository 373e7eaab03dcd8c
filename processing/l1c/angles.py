"""The angle grids of the two halves of a pass, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.bands import BANDS
from processing.errors import L1CError
from processing.scene import Angles


def merge_angles(path: Path, a: Angles, b: Angles) -> Angles:
    """View angles of `a`, and of `b` where `a` has none; band means weighted by the nodes seen."""
    if (a.west, a.north, a.step, a.sun_zenith.shape) != (b.west, b.north, b.step, b.sun_zenith.shape):
        raise L1CError(path, "the angle grids of its halves differ in size or place")
    zenith: dict[str, dict[int, NDArray[np.float32]]] = {}
    azimuth: dict[str, dict[int, NDArray[np.float32]]] = {}
    mean = {}
    for band in BANDS:
        zenith[band], azimuth[band] = {}, {}
        for detector in sorted({*a.view_zenith[band], *b.view_zenith[band]}):
            for out, first, second in (
                (zenith[band], a.view_zenith[band], b.view_zenith[band]),
                (azimuth[band], a.view_azimuth[band], b.view_azimuth[band]),
            ):
                if detector in first and detector in second:
                    out[detector] = np.where(np.isnan(first[detector]), second[detector], first[detector])
                else:
                    out[detector] = first[detector] if detector in first else second[detector]
        # a little more than the nodes, as a band may have been seen at none of them
        weights = [1e-9 + sum(np.isfinite(g).sum() for g in x.view_zenith[band].values()) for x in (a, b)]
        mean[band] = _mean_direction([a.mean_view[band], b.mean_view[band]], weights)
    return replace(a, view_zenith=zenith, view_azimuth=azimuth, mean_view=mean)


def _mean_direction(directions: Sequence[tuple[float, float]], weights: Sequence[float]) -> tuple[float, float]:
    """Mean of (zenith, azimuth) as vectors of length tan(zenith). [deg]"""
    zenith, azimuth = np.radians(np.array(directions, float)).T
    x, y = (np.average(np.tan(zenith) * f(azimuth), weights=weights) for f in (np.sin, np.cos))
    return float(np.degrees(np.arctan(np.hypot(x, y)))), float(np.degrees(np.arctan2(x, y)) % 360)
