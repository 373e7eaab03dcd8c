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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing import atmosphere
from processing.chain import adjacency, aerosol_inversion, aerosol_samples, air_model, gap_filling
from processing.chain.geometry import Geometry
from processing.chain.observation import Date
from processing.chain.steps import step
from processing.chain.subsampling import Image
from processing.scene import Scene
from processing.versions import Parameters

#: Rows of cells that are freed of their surroundings at once, which bounds the memory that it takes.
_ROWS = 64


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
        Where it was not found but filled in from around, or is the forecast's or the version's constant.
    blue : (term, row, col) float32
        Surface reflectance in the AOT's blue band as a polynomial in AOT, constant term first: what the next date
        compares with.
    origin : str
        ``inverted``, or ``constant``, ``forecast`` or ``usual over deserts`` with its value and the reason.
    spectral, temporal : (row, col) bool
        Samples it was read from: by their colour, and against the past.
    error : (row, col) float32
        Standard deviation of the AOT; 0 where the version gives none. [-]
    """

    aot: NDArray[np.float32]
    interpolated: NDArray[np.bool_]
    blue: NDArray[np.float32]
    origin: str
    spectral: NDArray[np.bool_]
    temporal: NDArray[np.bool_]
    error: NDArray[np.float32]


@step
def estimate(
    date: Date,
    water_vapour: NDArray[np.float32],
    usable: NDArray[np.bool_],
    clouds: NDArray[np.bool_],
    covered: float,
) -> Aerosol:
    """Estimate the AOT of a date.

    Parameters
    ----------
    date : Date
        Without a past the colours alone are used.
    water_vapour : (row, col) float32
        Without gaps. [g cm-2]
    usable : (row, col) bool
        Clear land: no cloud, shadow, water or snow, nothing saturated.
    clouds : (row, col) bool
    covered : float
        Cloud and snow; above the version's `max_cloud_percent` the AOT is not sought. [%]

    Raises
    ------
    BeyondTables
        If most of what could be read is beyond the tables.
    """
    scene, geometry, parameters = date.scene, date.seen.angles, date.parameters

    def polynomials(band: str) -> NDArray[np.float32]:
        terms = _against_aot(band, date.image, scene, geometry, water_vapour, parameters)
        if parameters.aot_surroundings and parameters.adjacency_radius:
            terms = _freed(terms, band, clouds, scene, geometry, parameters)
        return terms

    blue, red = date.spread(polynomials, (parameters.aot_blue_band, "B4"))
    kept = np.ascontiguousarray(np.moveaxis(blue, -1, 0))
    nowhere = np.zeros_like(usable)
    expected = air_model.expected_aot(scene, parameters)
    value, kind = (expected.aot, expected.whence) if expected else (parameters.aot_default, "constant")
    constant = np.full(usable.shape, value, np.float32), ~nowhere, kept
    name = f"{kind} {value:.2f}"
    unknown = _unknown(constant[0], expected.error if expected else None, parameters)
    if covered > parameters.max_cloud_percent:
        return Aerosol(*constant, f"{name}: {covered:.1f} % of cloud and snow", nowhere, nowhere, unknown)

    usable = usable & np.isfinite(blue[..., 0]) & np.isfinite(red[..., 0])
    samples = aerosol_samples.select(date.toa, blue, red, usable, scene.day, date.seen.past, parameters)
    nodes, told = aerosol_inversion.invert(samples, parameters, expected)
    beyond = int(np.isposinf(nodes).sum())
    if beyond > np.isfinite(nodes).sum():
        raise BeyondTables(f"AOT above {parameters.aot_max:.2f}, where the tables end, in most of what could be read")
    found = _opened(np.isfinite(nodes))
    if not found.any():
        origin = f"{name}: too little clear land to read it from"
        return Aerosol(*constant, origin, samples.spectral, samples.temporal, unknown)
    origin = "inverted"
    if beyond:
        origin += f"; {beyond} nodes beyond {parameters.aot_max:.2f} filled in from around"
    aot, own = _between_nodes(nodes, found, usable.shape, parameters)
    if parameters.uncertainty_aot:
        told, _ = _between_nodes(told, found, usable.shape, parameters)
    error = _error(aot, ~own, _to_cells(nodes, found, usable.shape, parameters), told, parameters)
    return Aerosol(aot, ~own, kept, origin, samples.spectral, samples.temporal, error)


def _to_cells(
    nodes: NDArray[np.float32], found: NDArray[np.bool_], shape: tuple[int, ...], parameters: Parameters
) -> NDArray[np.float32]:
    """The AOT of the nodes as they were found, NaN elsewhere, in each cell."""
    spacing = parameters.aot_step
    each = np.where(found, nodes, np.float32(np.nan))
    repeated = np.repeat(np.repeat(each, spacing, axis=0), spacing, axis=1)
    return np.asarray(repeated[: shape[0], : shape[1]], np.float32)


def _unknown(aot: NDArray[np.float32], forecast: float | None, parameters: Parameters) -> NDArray[np.float32]:
    """Standard deviation of an AOT that was not read: a forecast's is told, the constant's is the version's."""
    if not parameters.uncertainty_aot:
        return np.zeros_like(aot)
    return np.full_like(aot, parameters.uncertainty_aot[3] if forecast is None else forecast)


def _error(
    aot: NDArray[np.float32],
    filled: NDArray[np.bool_],
    read: NDArray[np.float32],
    told: NDArray[np.float32],
    parameters: Parameters,
) -> NDArray[np.float32]:
    """Standard deviation of the AOT: the version's, what its ground tells little of, and how the nodes around differ.

    Parameters
    ----------
    read : (row, col) float32
        Of the nodes as they were found, NaN elsewhere. [-]
    told : (row, col) float32
        Standard deviation by what the samples tell. [-]
    """
    if not parameters.uncertainty_aot:
        return np.zeros_like(aot)
    besides, relative, gap, _ = parameters.uncertainty_aot
    off = np.where(np.isfinite(read), read - aot, 0.0)
    side = 3 * parameters.aot_step
    scatter = ndimage.uniform_filter(off**2, side, mode="nearest") / 4  # the smoothing takes half of it away
    variance = besides**2 + (relative * aot) ** 2 + told**2 + scatter + np.where(filled, gap**2, 0.0)
    return np.asarray(np.sqrt(variance), np.float32)


def _between_nodes(
    nodes: NDArray[np.float32], found: NDArray[np.bool_], shape: tuple[int, ...], parameters: Parameters
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the nodes have, gaps filled and smoothed, in each cell; and the cells of the nodes that were found."""
    smooth = gap_filling.fill(np.where(found, nodes, np.float32(np.nan)), ~found, parameters.aot_gap_radius)
    smooth = ndimage.gaussian_filter(smooth, parameters.aot_smoothing, mode="nearest")
    spacing = parameters.aot_step
    row, col = np.indices(shape, dtype=np.float64)
    at = [(row + 0.5) / spacing - 0.5, (col + 0.5) / spacing - 0.5]
    aot = ndimage.map_coordinates(smooth, at, order=1, mode="nearest")
    own = np.repeat(np.repeat(found, spacing, axis=0), spacing, axis=1)[: shape[0], : shape[1]]
    return aot.astype(np.float32), own


def _against_aot(
    band: str,
    image: Image,
    scene: Scene,
    geometry: Geometry,
    water_vapour: NDArray[np.float32],
    parameters: Parameters,
) -> NDArray[np.float32]:
    altitude = air_model.altitude(scene, parameters)
    return atmosphere.against_aot(
        image.toa[band],
        air_model.sensor(scene, parameters),
        band,
        atmosphere.LightPath(
            geometry.sun_zenith, geometry.view_zenith[band], geometry.relative_azimuth(band), altitude
        ),
        water_vapour,
        scene.ancillary.ozone,
        air_model.aerosol_model(scene, parameters),
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
        air_model.sensor(scene, parameters),
        band,
        float(geometry.sun_zenith.mean()),
        float(geometry.view_zenith[band].mean()),
        float(np.nanmean(air_model.altitude(scene, parameters))),
        aot,
        air_model.aerosol_model(scene, parameters),
    )
    known = np.isfinite(terms[..., 0])
    around = adjacency.scattered(np.moveaxis(terms, -1, 0), known, clouds, parameters)
    values = np.vander(aot, terms.shape[-1], increasing=True).astype(np.float32).T
    share, direct = np.asarray(adjacency.of_molecules(up, up[0]), np.float32), up.astype(np.float32)
    back = np.linalg.pinv(values).astype(np.float32)
    out = np.empty_like(terms)
    for start in range(0, len(out), _ROWS):
        rows = slice(start, start + _ROWS)
        by_molecules, by_aerosol = (np.moveaxis(field[:, rows], 0, -1) @ values for field in around)
        environment = share * by_molecules + (1 - share) * by_aerosol
        out[rows] = (environment + (terms[rows] @ values - environment) / direct) @ back
    return out


def _opened(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the nodes that stand alone: none of the squares of 2 x 2 nodes around them is whole."""
    cross = ndimage.generate_binary_structure(2, 1)
    return np.asarray(ndimage.binary_dilation(ndimage.binary_erosion(found, cross, border_value=1), cross) & found)
