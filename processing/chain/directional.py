"""Directional normalisation: dates of two orbits made comparable. Products given to users are not normalised.

Ground seen with the sun behind the satellite is brighter than seen against it. Its reflectance is taken as

    rho = f_iso (1 + k_V F_V + k_R F_R)

with Ross's kernel of thick vegetation and Li's of sparse crowns, and one shape for all ground of a band. The composite
keeps what the ground would reflect under one geometry; before a date is held against it, it is brought to the date's.

References
----------
Lucht, Schaaf and Strahler, "An algorithm for the retrieval of albedo from space using semiempirical BRDF models", IEEE
TGRS 38, 2000 (kernels). Maignan, Breon and Lacaze, "Bidirectional reflectance of Earth targets", Remote Sensing of
Environment 90, 2004 (hot spot). Roy et al., Remote Sensing of Environment 176, 2016, and 199, 2017 (one shape a band).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.chain.aerosol_optical_thickness import Aerosol
from processing.chain.geometry import REFERENCE_BAND, Geometry
from processing.chain.rayleigh import BANDS
from processing.scene import Composite
from processing.versions import Parameters

Fields = Mapping[str, NDArray[np.float32]]

#: f_iso, f_geo and f_vol of Roy et al.: the visible, near and short-wave infrared; B1 as B2.
SHAPES = {
    "B1": (0.0774, 0.0079, 0.0372),
    "B2": (0.0774, 0.0079, 0.0372),
    "B3": (0.1306, 0.0178, 0.0580),
    "B4": (0.1690, 0.0227, 0.0574),
    "B8A": (0.3093, 0.0330, 0.1535),
    "B11": (0.3430, 0.0453, 0.1154),
    "B12": (0.2658, 0.0387, 0.0639),
}
#: The geometry of the composite: seen from above, the sun at this zenith. [deg]
_SUN = 45.0
#: Angular width of the hot spot (Maignan et al. 2004). [rad]
_HOT_SPOT = np.radians(1.5)


def kernels(sun_zenith: Any, view_zenith: Any, relative_azimuth: Any) -> tuple[Any, Any]:
    """Ross's thick kernel with its hot spot, and Li's sparse reciprocal one (crowns as high as two of their radii).

    Parameters
    ----------
    sun_zenith, view_zenith, relative_azimuth : array_like
        [deg]; azimuth 0 in backscatter.

    Returns
    -------
    F_V, F_R : of the shape the arguments broadcast to
    """
    ts, tv, phi = (np.radians(np.asarray(angle, np.float64)) for angle in (sun_zenith, view_zenith, relative_azimuth))
    both = np.cos(ts) + np.cos(tv)
    cos_phase = np.clip(np.cos(ts) * np.cos(tv) + np.sin(ts) * np.sin(tv) * np.cos(phi), -1, 1)
    phase = np.arccos(cos_phase)
    hot = 1 + 1 / (1 + phase / _HOT_SPOT)
    volume = ((np.pi / 2 - phase) * cos_phase + np.sin(phase)) * hot / both - np.pi / 4

    tan_s, tan_v = np.tan(ts), np.tan(tv)
    secants = 1 / np.cos(ts) + 1 / np.cos(tv)
    apart = tan_s**2 + tan_v**2 - 2 * tan_s * tan_v * np.cos(phi) + (tan_s * tan_v * np.sin(phi)) ** 2
    t = np.arccos(np.clip(2 * np.sqrt(np.maximum(apart, 0)) / secants, 0, 1))
    overlap = (t - np.sin(t) * np.cos(t)) * secants / np.pi
    crowns = overlap - secants + (1 + cos_phase) / 2 / (np.cos(ts) * np.cos(tv))
    return volume, crowns


def factors(angles: Geometry, parameters: Parameters) -> dict[str, NDArray[np.float32]] | None:
    """What brings the reflectance of a scene to the composite's geometry; None where the version does not.

    The view is that of `REFERENCE_BAND`: bands look at the ground from less than 1 degree apart.

    Returns
    -------
    dict of band to (row, col) float32
        Of `rayleigh.BANDS`. [-]
    """
    if not parameters.directional_normalisation:
        return None
    zenith = angles.view_zenith[REFERENCE_BAND]
    here = kernels(angles.sun_zenith, zenith, angles.relative_azimuth(REFERENCE_BAND))
    there = kernels(_SUN, 0.0, 0.0)

    def shape(band: str, of: tuple[Any, Any]) -> Any:
        isotropic, crowns, volume = SHAPES[band]
        return isotropic + volume * of[0] + crowns * of[1]

    return {band: (shape(band, there) / shape(band, here)).astype(np.float32) for band in BANDS}


def normalised(
    factor: Fields | None, toa: Fields, rayleigh_corrected: Fields, surface: Fields, aerosol: Aerosol,
    parameters: Parameters,
) -> tuple[Fields, Fields, Fields, Aerosol]:  # fmt: skip
    """What the composite keeps of a date, under its one geometry; as it is where there is no `factor`.

    Of the top of the atmosphere only B8A: in the blue most of the light comes from the air.
    """
    if factor is None:
        return toa, rayleigh_corrected, surface, aerosol
    blue = aerosol.blue * factor[parameters.aot_blue_band]
    return (
        {**toa, "B8A": toa["B8A"] * factor["B8A"]},
        {band: values * factor[band] for band, values in rayleigh_corrected.items()},
        {band: values * factor[band] for band, values in surface.items()},
        replace(aerosol, blue=blue),
    )


def as_seen(past: Composite | None, factor: Fields | None, parameters: Parameters) -> Composite | None:
    """The composite's ground as it would look from where this scene was seen: the inverse of `normalised`.

    The stack of images is left as it is: a correlation is not changed by a factor.

    Parameters
    ----------
    past : Composite or None
        As recalled.
    factor : dict of band to (row, col) float32, or None
        Of this scene, from `factors`.
    """
    if past is None or factor is None:
        return past
    return replace(
        past,
        toa={**past.toa, "B8A": past.toa["B8A"] / factor["B8A"]},
        rayleigh_corrected={band: values / factor[band] for band, values in past.rayleigh_corrected.items()},
        surface={band: values / factor[band] for band, values in past.surface.items()},
        blue=past.blue / factor[parameters.aot_blue_band],
    )
