"""Aerosol optical thickness at 550 nm, read from the image: by its colours, and against the past.

Around each node of a grid, the AOT is sought under which the ground has the colour of vegetation in the blue and the
red (multi-spectral), and under which it is as blue as it was: as the composite's surface, and as the previous image
under an AOT of its own (multi-temporal).

References
----------
Hagolle et al., "A multi-temporal and multi-spectral method to estimate aerosol optical thickness over land, for the
atmospheric correction of FormoSat-2, LandSat, VENuS and Sentinel-2 images", Remote Sensing 7, 2668-2691, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing import atmosphere
from processing.chain import adjacency, aerosol_inversion, aerosol_samples, air, gap_filling
from processing.chain.geometry import Geometry
from processing.chain.spread import Spread
from processing.chain.subsampling import Image
from processing.scene import Composite, Scene
from processing.versions import Parameters


class BeyondTables(Exception):
    """There is more aerosol than the tables know, so that the image can't be corrected; the text says so."""


@dataclass(frozen=True)
class Aerosol:
    """The aerosol of a scene on the coarse grid.

    Attributes
    ----------
    aot : (row, col) float32
        No NaN. [-]
    interpolated : (row, col) bool
        Where it was not found but filled in from around, or is the version's constant.
    blue : (term, row, col) float32
        Surface reflectance in the AOT's blue band as a polynomial in AOT, constant term first: what the next date
        compares with.
    origin : str
        ``inverted``, or ``constant`` with its value and the reason.
    spectral, temporal : (row, col) bool
        Samples it was read from: by their colour, and against the past.
    """

    aot: NDArray[np.float32]
    interpolated: NDArray[np.bool_]
    blue: NDArray[np.float32]
    origin: str
    spectral: NDArray[np.bool_]
    temporal: NDArray[np.bool_]


def estimate(
    image: Image,
    toa: Mapping[str, NDArray[np.float32]],
    scene: Scene,
    geometry: Geometry,
    water_vapour: NDArray[np.float32],
    usable: NDArray[np.bool_],
    clouds: NDArray[np.bool_],
    covered: float,
    past: Composite | None,
    parameters: Parameters,
    spread: Spread = map,
) -> Aerosol:
    """Estimate the AOT of a scene.

    Parameters
    ----------
    image : Image
    toa : mapping of band to (row, col) float32
        Gas-corrected reflectance of the AOT's blue band, B4, B8A and B12. [-]
    water_vapour : (row, col) float32
        Without gaps. [g cm-2]
    usable : (row, col) bool
        Clear land: no cloud, shadow, water or snow, nothing saturated.
    clouds : (row, col) bool
    covered : float
        Cloud and snow; above the version's `max_cloud_percent` the AOT is not sought. [%]
    past : Composite or None
        Without it the colours alone are used.
    """

    def polynomials(band: str) -> NDArray[np.float32]:
        terms = _against_aot(band, image, scene, geometry, water_vapour, parameters)
        if parameters.aot_surroundings and parameters.adjacency_radius:
            terms = _freed(terms, band, clouds, scene, geometry, parameters)
        return terms

    blue, red = spread(polynomials, (parameters.aot_blue_band, "B4"))
    kept = np.ascontiguousarray(np.moveaxis(blue, -1, 0))
    shape = usable.shape
    constant = np.full(shape, parameters.aot_default, np.float32), np.ones(shape, np.bool_), kept
    name, nowhere = f"constant {parameters.aot_default:.2f}", np.zeros(shape, np.bool_)
    if covered > parameters.max_cloud_percent:
        return Aerosol(*constant, f"{name}: {covered:.1f} % of cloud and snow", nowhere, nowhere)

    usable = usable & np.isfinite(blue[..., 0]) & np.isfinite(red[..., 0])
    samples = aerosol_samples.select(toa, blue, red, usable, scene.day, past, parameters)
    nodes = aerosol_inversion.invert(samples, parameters)
    beyond = int(np.isposinf(nodes).sum())
    if beyond > np.isfinite(nodes).sum():
        raise BeyondTables(f"AOT above {parameters.aot_max:.2f}, where the tables end, in most of what could be read")
    found = _opened(np.isfinite(nodes))
    if not found.any():
        origin = f"{name}: too little clear land to read it from"
        return Aerosol(*constant, origin, samples.spectral, samples.temporal)

    smooth = gap_filling.fill(np.where(found, nodes, np.float32(np.nan)), ~found, parameters.aot_gap_radius)
    smooth = ndimage.gaussian_filter(smooth, parameters.aot_smoothing, mode="nearest")
    step = parameters.aot_step
    row, col = np.indices(shape, dtype=np.float64)
    at = [(row + 0.5) / step - 0.5, (col + 0.5) / step - 0.5]
    aot = ndimage.map_coordinates(smooth, at, order=1, mode="nearest")
    own = np.repeat(np.repeat(found, step, axis=0), step, axis=1)[: shape[0], : shape[1]]
    origin = "inverted"
    if beyond:
        origin += f"; {beyond} nodes beyond {parameters.aot_max:.2f} filled in from around"
    return Aerosol(aot.astype(np.float32), ~own, kept, origin, samples.spectral, samples.temporal)


def _against_aot(
    band: str,
    image: Image,
    scene: Scene,
    geometry: Geometry,
    water_vapour: NDArray[np.float32],
    parameters: Parameters,
) -> NDArray[np.float32]:
    return atmosphere.against_aot(
        image.toa[band],
        scene.platform,
        band,
        geometry.sun_zenith,
        geometry.view_zenith[band],
        geometry.relative_azimuth(band),
        air.altitude(scene, parameters),
        water_vapour,
        scene.ancillary.ozone,
        air.aerosol_model(scene, parameters),
    )


def _freed(
    terms: NDArray[np.float32],
    band: str,
    clouds: NDArray[np.bool_],
    scene: Scene,
    geometry: Geometry,
    parameters: Parameters,
) -> NDArray[np.float32]:
    """The same polynomials without the light of the surroundings, which dulls contrasts the more the AOT is high.

    With u the direct share of the way up, a cell is seen as u rho + (1 - u) of what lies around it; the reflections
    between ground and sky, as of a uniform surface, err by 1 % of the difference.
    """
    aot = np.linspace(0, parameters.aot_max, 9)
    _, up = atmosphere.direct_shares(
        scene.platform,
        band,
        float(geometry.sun_zenith.mean()),
        float(geometry.view_zenith[band].mean()),
        float(np.nanmean(air.altitude(scene, parameters))),
        aot,
        air.aerosol_model(scene, parameters),
    )
    known = np.isfinite(terms[..., 0])
    around = adjacency.scattered(np.moveaxis(terms, -1, 0), known, clouds, parameters)
    values = np.vander(aot, terms.shape[-1], increasing=True).astype(np.float32).T
    by_molecules, by_aerosol = (np.moveaxis(field, 0, -1) @ values for field in around)
    share = np.asarray(adjacency.of_molecules(up, up[0]), np.float32)
    environment = share * by_molecules + (1 - share) * by_aerosol
    freed = environment + (terms @ values - environment) / up.astype(np.float32)
    return np.ascontiguousarray(freed @ np.linalg.pinv(values).astype(np.float32))


def _opened(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the nodes that stand alone: none of the squares of 2 x 2 nodes around them is whole."""
    cross = ndimage.generate_binary_structure(2, 1)
    return np.asarray(ndimage.binary_dilation(ndimage.binary_erosion(found, cross, border_value=1), cross) & found)
