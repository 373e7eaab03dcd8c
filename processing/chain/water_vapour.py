"""Water vapour above the ground, from how much darker B9 is than B8A beside it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.chain import air_model, gap_filling, scattering
from processing.chain.dilation import dilate
from processing.chain.geometry import Geometry
from processing.chain.steps import step
from processing.chain.subsampling import Image
from processing.scene import Scene
from processing.versions import Parameters

#: Water vapour falls to 1 / e over this height. [m]
SCALE_HEIGHT = 2000.0
#: What the aerosol scatters depends a little on the vapour within it: two rounds leave 0.01 g cm-2.
_TURNS = 2


@step
def estimate(image: Image, scene: Scene, geometry: Geometry, parameters: Parameters) -> NDArray[np.float32]:
    """Column of each coarse cell, above the cloud where there is one.

    Returns
    -------
    (row, col) float32
        NaN where unobserved, where B8A is darker than the version's `water_vapour_min_reflectance`, and outside the
        table. [g cm-2]
    """
    reference = image.toa["B8A"]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = image.toa["B9"] / reference
    found = atmosphere.water_vapour(
        ratio,
        air_model.sensor(scene, parameters),
        geometry.sun_zenith,
        geometry.view_zenith["B9"],
        air_model.altitude(scene, parameters),
    )
    bright = reference >= parameters.water_vapour_min_reflectance
    return np.where(bright, np.minimum(found, parameters.max_water_vapour), np.nan).astype(np.float32)


@step
def below_aerosol(
    image: Image,
    scene: Scene,
    geometry: Geometry,
    b11: NDArray[np.float32],
    aot: NDArray[np.float32],
    column: NDArray[np.float32],
    parameters: Parameters,
) -> NDArray[np.float32]:
    """Column of each cell from B9 without the light that the air scatters, and the ground's brightness expected there.

    What B9 holds of its path is taken away under the column found before, twice. The ground of B9 is that of B8A, as
    much brighter or darker as the version's `vapour_surface` makes of the slope from B8A to B11.

    Parameters
    ----------
    b11 : (row, col) float32
        Surface reflectance, Rayleigh-corrected. [-]
    aot : (row, col) float32
        [-]
    column : (row, col) float32
        The first guess, without gaps. [g cm-2]

    Returns
    -------
    (row, col) float32
        NaN as of `estimate`. [g cm-2]

    References
    ----------
    Schlaepfer et al., "Atmospheric precorrected differential absorption technique to retrieve columnar water vapor",
    Remote Sensing of Environment 65, 353-366, 1998.
    """
    altitude, sensor = air_model.altitude(scene, parameters), air_model.sensor(scene, parameters)
    window = scattering.coefficients(("B8A",), scene, geometry, aot, column, parameters)["B8A"]
    y = image.toa["B8A"] * window.scale - window.offset
    rho = y / (window.transmittance + window.albedo * y)
    assert parameters.vapour_surface is not None
    constant, slope = parameters.vapour_surface
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = rho * (1 + constant + slope * np.clip(b11 / rho - 1, -1, 1))
        for _ in range(_TURNS):
            air = scattering.coefficients(("B9",), scene, geometry, aot, column, parameters)["B9"]
            ground = air.transmittance * expected / (1 - air.albedo * expected)
            ratio = (image.toa["B9"] - air.offset / air.scale) / ground / window.scale
            found = atmosphere.water_vapour(ratio, sensor, geometry.sun_zenith, geometry.view_zenith["B9"], altitude)
            column = np.where(np.isfinite(found), found, column).astype(np.float32)
        bright = rho >= parameters.water_vapour_min_reflectance
    return np.where(bright, np.minimum(found, parameters.max_water_vapour), np.nan).astype(np.float32)


@step
def relative(
    water_vapour: NDArray[np.float32],
    altitude: NDArray[np.float32],
    clear: NDArray[np.bool_],
    parameters: Parameters,
) -> NDArray[np.float32]:
    """Column over that above clear ground of the same altitude: well below 1 over what stands high in the air.

    Most water vapour lies in the lowest two kilometres, so that clouds hide much of it.

    Parameters
    ----------
    water_vapour : (row, col) float32
        As of `estimate`. [g cm-2]
    altitude : (row, col) float32
        [m]
    clear : (row, col) bool
        Ground, as far as it is known: with less than the version's `vapour_min_clear` of all cells nothing is said.

    Returns
    -------
    (row, col) float32
        NaN where the column is not known. [-]
    """
    return np.asarray(water_vapour / _by_altitude(water_vapour, altitude, clear, parameters), np.float32)


def _by_altitude(
    water_vapour: NDArray[np.float32], altitude: NDArray[np.float32], clear: NDArray[np.bool_], parameters: Parameters
) -> NDArray[np.floating]:
    """Column that its altitude lets expect above each cell, of the clear ones; NaN where too few are known."""
    falls = np.exp(-altitude / SCALE_HEIGHT)
    known = clear & np.isfinite(water_vapour)
    if np.count_nonzero(known) <= parameters.vapour_min_clear * water_vapour.size:
        return np.full_like(water_vapour, np.nan)
    # Above the middle, since edges of clouds may be among them.
    return np.asarray(falls * np.quantile(water_vapour[known] / falls[known], 0.75))


@step
def above_ground(
    water_vapour: NDArray[np.float32],
    anywhere: NDArray[np.float32],
    reflectance: Mapping[str, NDArray[np.float32]],
    altitude: NDArray[np.float32],
    tested: NDArray[np.bool_],
    parameters: Parameters,
) -> NDArray[np.float32]:
    """Column above the ground of each cell, also below clouds and where snow, darker in B9 than in B8A, feigns more.

    Read from ground that is neither snow nor cloud, both brighter in B3 than in B11, and brought to each altitude.

    Parameters
    ----------
    water_vapour, anywhere : (row, col) float32
        As of `estimate`, and as of `fill`: what holds where too little such ground is seen. [g cm-2]
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected B3 and B11. [-]
    altitude : (row, col) float32
        [m]
    tested : (row, col) bool
    """
    bare = tested & (reflectance["B3"] < reflectance["B11"])
    expected = _by_altitude(water_vapour, altitude, bare, parameters)
    return np.where(np.isfinite(expected), expected, anywhere).astype(np.float32)


@step
def fill(
    water_vapour: NDArray[np.float32], unusable: NDArray[np.bool_], parameters: Parameters
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fill the gaps from around: triangular weights in windows that double until they hold enough.

    Parameters
    ----------
    water_vapour : (row, col) float32
        NaN where not known. [g cm-2]
    unusable : (row, col) bool
        Cloud and water, where the ratio does not tell the column down to the ground. Grown, like all gaps, by the
        version's `water_vapour_dilation`.

    Returns
    -------
    filled : (row, col) float32
        No NaN: beyond the largest window the mean of the scene, without any known cell the version's default.
        [g cm-2]
    interpolated : (row, col) bool
    """
    gaps = dilate(np.isnan(water_vapour) | unusable, parameters.water_vapour_dilation)
    if gaps.all():
        return np.full(gaps.shape, parameters.default_water_vapour, np.float32), gaps
    return gap_filling.fill(water_vapour, gaps, parameters.water_vapour_gap_radius), gaps
