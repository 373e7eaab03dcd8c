"""What was found on the coarse grid becomes the rasters of a product, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing import masks
from processing.atmosphere import outside, sensor_note
from processing.bands import BANDS, DISTRIBUTED, GROUP_RESOLUTION, GROUPS
from processing.chain import adjacency, air, resampling, slope_correction
from processing.chain.adjacency import Environment, Line
from processing.chain.aerosol_optical_thickness import Aerosol
from processing.chain.clouds import Clouds
from processing.chain.dilation import finer, times
from processing.chain.geometry import REFERENCE_BAND, TERRAIN_BAND, Geometry, direction
from processing.chain.subsampling import Image, factor_of
from processing.chain.terrain_shadow import Relief
from processing.scene import L2A, Composite, Evidence, Mode, Scene, Strips, strip
from processing.versions import Parameters

#: Bands whose atmosphere is looked up: those distributed and those of the composite.
CORRECTED = ("B1", *DISTRIBUTED)

#: What is made with a terrain model only.
_OF_TERRAIN = frozenset(
    {
        "FRE",
        "MG2.TOPOGRAPHIC_SHADOW",
        "MG2.HIDDEN",
        "MG2.SUN_TOO_LOW",
        "MG2.TANGENT_SUN",
    }
)


@dataclass(frozen=True)
class Found:
    """What the chain knows of a scene on the coarse grid.

    Attributes
    ----------
    tested : (row, col) bool
        Observed cells inside the validity of the tables: those the masks speak of.
    clouds : Clouds
        As the product shows them, maybe in cells of a fraction of the coarse ones.
    snow, water : (row, col) bool
    relief : Relief
    angles : Geometry
    water_vapour : (row, col) float32
        Without gaps. [g cm-2]
    water_vapour_filled : (row, col) bool
        Where it was filled in from around.
    aerosol : Aerosol
    around : dict of band to Environment
    lines : dict of band to Line
        Those the full resolution is corrected with.
    """

    tested: NDArray[np.bool_]
    clouds: Clouds
    snow: NDArray[np.bool_]
    water: NDArray[np.bool_]
    relief: Relief
    angles: Geometry
    water_vapour: NDArray[np.float32]
    water_vapour_filled: NDArray[np.bool_]
    aerosol: Aerosol
    around: dict[str, Environment]
    lines: dict[str, Line]


def percent(mask: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    """Share of the cells of `of` that `mask` holds, NaN without any. [%]"""
    count = int(np.count_nonzero(of))
    return 100.0 * int(np.count_nonzero(mask & of)) / count if count else float("nan")


def outcome(
    scene: Scene,
    mode: Mode,
    parameters: Parameters,
    image: Image,
    angles: Geometry,
    tested: NDArray[np.bool_],
    clouds: Clouds | None = None,
    snow: NDArray[np.bool_] | None = None,
) -> L2A:
    """What can be said of a scene before it is corrected: not valid as yet, and without any raster.

    `clouds` are those that the product shows.

    A percentage that was not found is NaN. A flag is raised when any tested cell has the property, ``cirrus`` from
    the version's share of high clouds.
    """
    unknown = float("nan")
    flags = {"sun_glint": bool((angles.sun_glint & tested).any()), "hot_spot": bool((angles.hot_spot & tested).any())}
    among = tested
    if clouds:
        among = finer(tested, times(clouds.high, tested))
        flags["cirrus"] = percent(clouds.high, among) >= parameters.cirrus_flag_percent
    origin = dict(scene.ancillary.origin) | air.origin(scene, parameters)
    if scene.ancillary.terrain is None:
        origin["flat_reflectance"] = "absent: no terrain model"
    if angles.mean_view:
        origin["view_angles"] = (
            f"mean of the band, where the detector is not known: {', '.join(sorted(angles.mean_view))}"
        )
    return L2A(
        status="not_valid",
        mode=mode,
        version=parameters.version,
        surface_reflectance={},
        flat_reflectance={},
        atmosphere={},
        cloud={},
        geophysical={},
        edge={},
        saturation={},
        interpolated={},
        defective={},
        absent=frozenset(clouds.absent() if clouds else ())
        | (_OF_TERRAIN if scene.ancillary.terrain is None else set()),
        cloud_percent=percent(clouds.all(), among) if clouds else unknown,
        snow_percent=unknown if snow is None else percent(snow, tested),
        water_percent=unknown,
        no_data_percent=percent(~tested, np.ones_like(tested)),
        aot_mean=unknown,
        water_vapour_mean=unknown,
        flags=flags,
        origin=origin,
    )


def refused(known: L2A, reason: str, seconds: dict[str, float]) -> L2A:
    """The outcome of a scene that gives no product, with the reason in ``origin["reason"]``."""
    return replace(known, origin=known.origin | {"reason": reason}, seconds=seconds)


def why_untested(image: Image, angles: Geometry) -> str:
    """Reason for a scene of which no cell could be tested."""
    if not image.observed.any():
        return "no observed pixel"
    sun, view = angles.sun_zenith[image.observed], angles.view_zenith["B2"][image.observed]
    return (
        "outside the validity of the look-up tables: "
        f"sun zenith {sun.min():.1f} to {sun.max():.1f} deg, view zenith {view.min():.1f} to {view.max():.1f} deg"
    )


def _why_blind(scene: Scene, found: Found, blind: NDArray[np.bool_], parameters: Parameters) -> str:
    """The quantities for which observed cells have no answer, each with its range."""
    angles = found.angles
    faults = outside(
        sun_zenith=angles.sun_zenith[blind],
        view_zenith=np.stack([angles.view_zenith[band][blind] for band in CORRECTED]).max(axis=0),
        altitude_km=air.altitude(scene, parameters)[blind],
        water_vapour=found.water_vapour[blind],
        ozone=scene.ancillary.ozone,
    )
    return "; ".join(faults) or "no altitude"


def _to_the_rim(code: NDArray[np.uint8], tested: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give the cells that were not tested the bits of the nearest tested one, beside their own.

    `code` may have several cells in one of `tested`. Some pixels of a swath's rim are observed though their cell is
    not: they are as their neighbours are.
    """
    if tested.all():
        return code
    nearest = ndimage.distance_transform_edt(~tested, return_distances=False, return_indices=True)
    side, (rows, cols) = times(code, tested), tested.shape
    cells = code.reshape(rows, side, cols, side).swapaxes(1, 2)
    return np.asarray(code | cells[tuple(nearest)].swapaxes(1, 2).reshape(code.shape))


def codes(
    clouds: Clouds, snow: NDArray[np.bool_], water: NDArray[np.bool_], relief: Relief, tested: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bits of CLM and MG2 in the cells of the clouds, (row, col) uint8 each, from masks as in `Found`.

    Without the bits of MG2 that are made at full resolution.
    """
    cloud, cloudy = clouds.bits(), clouds.all()
    side = times(cloud, tested)
    geophysical = np.zeros_like(cloud)
    geophysical[finer(water, side)] |= np.uint8(masks.Geophysical.WATER)
    geophysical[cloudy] |= np.uint8(masks.Geophysical.CLOUD)
    geophysical[clouds.shadows()] |= np.uint8(masks.Geophysical.CLOUD_SHADOW)
    geophysical[finer(snow, side) & ~cloudy] |= np.uint8(masks.Geophysical.SNOW)
    cloud, geophysical = (_to_the_rim(code, tested) for code in (cloud, geophysical))
    geophysical[finer(relief.shadow, side)] |= np.uint8(masks.Geophysical.TOPOGRAPHIC_SHADOW)
    geophysical[finer(relief.hidden, side)] |= np.uint8(masks.Geophysical.HIDDEN)
    return cloud, geophysical


def evidence(
    scene: Scene,
    image: Image,
    reflectance: Mapping[str, NDArray[np.float32]],
    high: NDArray[np.float32],
    water_vapour: NDArray[np.float32],
    found: Found,
    backward: Composite | None,
) -> Evidence:
    """What it takes to find the masks of this date again; `backward` entered it, if it is a backward composite."""
    angles, shown = found.angles, (REFERENCE_BAND, TERRAIN_BAND)
    return Evidence(
        reflectance=dict(reflectance),
        high=high,
        water_vapour_read=water_vapour,
        saturated={band: image.saturated[band] for band in reflectance},
        observed=image.observed,
        tested=found.tested,
        sun_zenith=angles.sun_zenith,
        sun_azimuth=angles.sun_azimuth,
        view_zenith={band: angles.view_zenith[band] for band in shown},
        view_azimuth={band: angles.view_azimuth[band] for band in shown},
        altitude=scene.ancillary.altitude,
        terrain=scene.ancillary.terrain is not None,
        water_vapour=found.water_vapour,
        water_vapour_filled=found.water_vapour_filled,
        aot=found.aerosol.aot,
        aot_filled=found.aerosol.interpolated,
        aot_spectral=found.aerosol.spectral,
        aot_temporal=found.aerosol.temporal,
        backward=backward,
    )


def valid(
    known: L2A, scene: Scene, image: Image, found: Found, seconds: dict[str, float], parameters: Parameters
) -> L2A:
    """The whole Level-2A of a scene. Its rasters decode, correct and resample when they are looked up.

    Pixels that could not be tested or corrected are no data in the reflectance and in EDG; ``origin["no_data"]``
    counts them.
    """
    blind = image.observed & ~found.tested
    for line in found.lines.values():
        blind |= np.isnan(line.gain + line.offset)
    cells = int(np.count_nonzero(blind & image.observed))
    side = (2 * parameters.adjacency_radius + 1) * parameters.coarse_resolution
    mean = f"the mean of {side} m around" if parameters.adjacency_weights == "square" else "the environment of 6S"
    adjacent = f"corrected with {mean}" if parameters.adjacency_radius else "not corrected"
    origin = known.origin | {"aot": found.aerosol.origin, "adjacency": adjacent}
    if cells:
        origin["no_data"] = (
            f"{cells} coarse cells outside the validity of the tables ({_why_blind(scene, found, blind, parameters)})"
        )
    if note := sensor_note(scene.platform):
        origin["spectral_responses"] = note
    if found.water_vapour_filled.all():
        origin["water_vapour"] = f"no usable pixel: {parameters.default_water_vapour} g cm-2"
    cloud_code, geophysical_code = codes(found.clouds, found.snow, found.water, found.relief, found.tested)
    filled_code = np.where(found.water_vapour_filled, masks.Interpolated.WATER_VAPOUR, 0).astype(np.uint8)
    filled_code[found.aerosol.interpolated] |= np.uint8(masks.Interpolated.AOT)

    def cell(group: str) -> int:
        return parameters.coarse_resolution // GROUP_RESOLUTION[group]

    lines = {band: line.of_counts(scene, band) for band, line in found.lines.items()}
    for of_counts in lines.values():
        of_counts[:, blind] = np.nan
    angles, terrain = found.angles, scene.ancillary.terrain
    sun = direction(angles.sun_zenith, angles.sun_azimuth)
    views = {band: direction(angles.view_zenith[band], angles.view_azimuth[band]) for band in DISTRIBUTED}

    def surface_reflectance(band: str, rows: slice) -> NDArray[np.int16]:
        counts = strip(scene.counts, band, rows)
        return adjacency.surface_reflectance(counts, lines[band], factor_of(band, parameters), parameters, rows.start)

    def flat_reflectance(band: str, rows: slice) -> NDArray[np.int16]:
        assert terrain is not None
        return slope_correction.flat_reflectance(
            strip(scene.counts, band, rows),
            lines[band],
            found.around[band],
            sun,
            views[band],
            terrain,
            factor_of(band, parameters),
            parameters,
            rows.start,
        )

    def no_data(group: str, rows: slice) -> NDArray[np.bool_]:
        unseen = image.edge[group].rows(rows)
        if blind.any():  # any part of such a cell in the interpolation
            code = blind.view(np.uint8)
            unseen |= resampling.expand_bits(code, unseen.shape, cell(group), 1e-6, rows.start).view(np.bool_)
        return unseen

    def mask(code: NDArray[np.uint8], group: str, rows: slice) -> NDArray[np.uint8]:
        unseen = no_data(group, rows)
        factor = cell(group) // times(code, found.tested)
        raster = resampling.expand_bits(code, unseen.shape, factor, parameters.mask_resampling_threshold, rows.start)
        raster[unseen] = 0
        return raster

    def geophysical(group: str, rows: slice) -> NDArray[np.uint8]:
        raster = mask(geophysical_code, group, rows)
        if terrain is not None:
            low = slope_correction.low_sun(raster.shape, sun, terrain, cell(group), parameters, rows.start)
            low[no_data(group, rows)] = 0
            raster |= low
        return raster

    def atmosphere(group: str, rows: slice) -> NDArray[np.uint8]:
        unseen = no_data(group, rows)
        raster = np.empty((2, *unseen.shape), np.uint8)
        quantities = (
            (found.water_vapour, parameters.water_vapour_quantification),
            (found.aerosol.aot, parameters.aot_quantification),
        )
        for layer, (quantity, quantification) in zip(raster, quantities, strict=True):
            resampling.expand_scaled(quantity, cell(group), quantification, layer, rows.start)
            layer[unseen] = 0
        return raster

    def saturation(group: str, rows: slice) -> NDArray[np.uint8]:
        bands = {band: image.saturation[band].rows(rows) for band in GROUPS[group] if band in image.saturation}
        return a_bit_each(bands, group, rows)

    def defective(group: str, rows: slice) -> NDArray[np.uint8]:
        return a_bit_each({band: strip(scene.defective, band, rows) for band in GROUPS[group]}, group, rows)

    def a_bit_each(bands: Mapping[str, NDArray[np.bool_]], group: str, rows: slice) -> NDArray[np.uint8]:
        raster = np.zeros((rows.stop - rows.start, scene.grid.shape(GROUP_RESOLUTION[group])[1]), np.uint8)
        for bit, band in enumerate(GROUPS[group]):
            if band in bands and bands[band].any():
                raster |= bands[band].view(np.uint8) << np.uint8(bit)
        return raster

    bands = {band: scene.grid.shape(BANDS[band].resolution)[0] for band in DISTRIBUTED}
    groups = {group: scene.grid.shape(resolution)[0] for group, resolution in GROUP_RESOLUTION.items()}

    return replace(
        known,
        status="valid",
        surface_reflectance=Strips(bands, surface_reflectance),
        flat_reflectance={} if terrain is None else Strips(bands, flat_reflectance),
        atmosphere=Strips(groups, atmosphere),
        cloud=Strips(groups, partial(mask, cloud_code)),
        geophysical=Strips(groups, geophysical),
        edge=Strips(groups, lambda group, rows: no_data(group, rows).view(np.uint8)),
        saturation=Strips(groups, saturation),
        interpolated=Strips(groups, partial(mask, filled_code)),
        defective=Strips(groups, defective),
        water_percent=percent(found.water, found.tested),
        aot_mean=float(found.aerosol.aot[found.tested].mean(dtype=np.float64)),
        water_vapour_mean=float(found.water_vapour[found.tested].mean(dtype=np.float64)),
        origin=origin,
        seconds=seconds,
    )
