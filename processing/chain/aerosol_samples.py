"""Which cells can tell the aerosol, and what each of them says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.scene import Composite
from processing.versions import Parameters


class Samples(NamedTuple):
    """What the inversion looks at, on the coarse grid. Polynomials are in AOT, constant term first.

    Attributes
    ----------
    spectral : (row, col) bool
        Vegetated enough for the relation of blue and red.
    temporal : (row, col) bool
        Of a composite recent and alike enough to compare with; nowhere without one.
    colour : (row, col, term) float32
        Weighted blue reflectance less what the red one tells of it.
    red : (row, col, term) float32
        Weighted red reflectance: what the slope counts for; without terms where the slope is known.
    blue : (row, col, term) float32
        Surface reflectance of this date.
    before : (row, col, term) float32
        That of the composite's date; without terms if there is no composite.
    settled : (row, col) float32
        The composite's surface reflectance.
    rise : (row, col) float32
        Gas-corrected top-of-atmosphere reflectance in the blue, less the composite's.
    swir : (row, col) float32
        B12: where it is uniform, a change of the ground can't be told from one of the air.
    lag : (row, col) int32
        Days since the composite's date; negative where that is later, in and after a backward start.
    dark : float
        AOT that makes the darkest cell as dark as the version's `aot_dark_reflectance`: the air can hardly hold more.
    """

    spectral: NDArray[np.bool_]
    temporal: NDArray[np.bool_]
    colour: NDArray[np.float32]
    red: NDArray[np.float32]
    blue: NDArray[np.float32]
    before: NDArray[np.float32]
    settled: NDArray[np.float32]
    rise: NDArray[np.float32]
    swir: NDArray[np.float32]
    lag: NDArray[np.int32]
    dark: float


def select(
    toa: Mapping[str, NDArray[np.float32]],
    blue: NDArray[np.float32],
    red: NDArray[np.float32],
    usable: NDArray[np.bool_],
    day: int,
    past: Composite | None,
    parameters: Parameters,
) -> Samples:
    """Choose the samples of a scene.

    Parameters
    ----------
    toa : mapping of band to (row, col) float32
        Gas-corrected. [-]
    blue, red : (row, col, term) float32
        Surface reflectance as polynomials in AOT. [-]
    usable : (row, col) bool
        Clear land with both.
    day : int
        Of the scene, since 2000-01-01.
    """
    band = parameters.aot_blue_band
    with np.errstate(invalid="ignore", divide="ignore"):
        ndvi = (toa["B8A"] - toa["B4"]) / (toa["B8A"] + toa["B4"])
        spectral = usable & (toa["B4"] <= parameters.aot_max_red) & (ndvi >= parameters.aot_min_ndvi)
    colour, weighted_red = _colours(blue, red, ndvi, parameters)
    temporal = np.zeros_like(usable)
    before, settled, rise = np.empty((*usable.shape, 0), np.float32), toa[band], toa[band]
    lag = np.zeros(usable.shape, np.int32)
    if past is not None:
        before = np.ascontiguousarray(np.moveaxis(past.blue, 0, -1))
        settled, rise = past.surface[band], toa[band] - past.toa[band]
        lag = day - past.day.astype(np.int32)
        recent = (past.day >= 0) & (np.abs(lag) < parameters.aot_max_age)
        temporal = usable & recent & _comparable(toa["B8A"], past.toa["B8A"], blue, parameters)
        temporal &= np.isfinite(settled + rise + before.sum(axis=-1))
        if parameters.aot_max_shade:
            shaded = _shaded(toa, past.toa, temporal, parameters)
            spectral, temporal = spectral & ~shaded, temporal & ~shaded
    return Samples(
        spectral,
        temporal,
        colour,
        weighted_red,
        blue,
        before,
        settled,
        rise,
        toa["B12"],
        lag,
        _dark(toa[band], blue, usable, parameters),
    )


def _colours(
    blue: NDArray[np.float32], red: NDArray[np.float32], ndvi: NDArray[np.float32], parameters: Parameters
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The blue less what the red tells of it, and the red where their slope is sought, as far as they are believed.

    They are by the version's `aot_colour_noise`; without it, as in Hagolle et al. (2015), the more the greener.
    """
    colour = blue - np.float32(parameters.aot_slope) * red
    colour[..., 0] -= np.float32(parameters.aot_intercept)
    more, low, high = parameters.aot_green_blue
    if more:
        colour[..., 0] -= np.float32(more) * np.clip((np.nan_to_num(ndvi) - low) / (high - low), 0, 1)
    if parameters.aot_colour_noise is None:
        by_ndvi, least = parameters.aot_ndvi_weights
        weight = by_ndvi * np.maximum(ndvi, 0) + least
    else:
        relative, noise = parameters.aot_colour_noise
        weight = 1 / (relative * np.maximum(_at(red, parameters.aot_default), 0) + noise)
    weight = (parameters.aot_spectral_weight * weight)[..., None].astype(np.float32)
    colour *= weight
    return colour, np.ascontiguousarray(red * weight if parameters.aot_slope_spread else red[..., :0])


def _comparable(
    nir: NDArray[np.float32], past_nir: NDArray[np.float32], blue: NDArray[np.float32], parameters: Parameters
) -> NDArray[np.bool_]:
    """Ground that hardly changed in the near infrared, and whose blue an AOT changes enough to be told."""
    aot, least_change = parameters.aot_insensitive
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.abs(nir - past_nir) / (nir + past_nir) <= parameters.aot_max_nir_change
        sensitive = np.abs(_at(blue, aot) - _at(blue, 0.0)) >= least_change
    return np.asarray(alike & sensitive)


def _shaded(
    toa: Mapping[str, NDArray[np.float32]],
    past: Mapping[str, NDArray[np.float32]],
    comparable: NDArray[np.bool_],
    parameters: Parameters,
) -> NDArray[np.bool_]:
    """Cells that have lost light in all bands in which the air hardly counts: unmasked shadows, and rims of them.

    Air, calibration and the height of the sun change all cells: the median of the comparable ones stands for that.
    """
    shaded = np.ones_like(comparable)
    if not comparable.any():
        return ~shaded
    for band in ("B8A", "B11", "B12"):
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = toa[band] / past[band]
            shaded &= kept < (1 - parameters.aot_max_shade) * np.median(kept[comparable])
    return shaded


def _at(polynomial: NDArray[np.float32], aot: float) -> NDArray[np.float32]:
    return np.asarray(polynomial @ np.power(np.float32(aot), np.arange(polynomial.shape[-1], dtype=np.float32)))


def _dark(
    toa: NDArray[np.float32], blue: NDArray[np.float32], usable: NDArray[np.bool_], parameters: Parameters
) -> float:
    if not usable.any():
        return parameters.aot_max
    darkest = np.where(usable, toa, np.inf).argmin()
    terms = blue.reshape(-1, blue.shape[-1])[darkest]
    aot = np.linspace(0, parameters.aot_max, 1000)
    above = np.polynomial.polynomial.polyval(aot, terms) > parameters.aot_dark_reflectance
    return float(aot[above].max(initial=0.0))
