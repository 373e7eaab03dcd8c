"""What was found on the coarse grid becomes the rasters of a product, each made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing import masks
from processing.atmosphere import Coefficients, sensor_note
from processing.bands import DISTRIBUTED, GROUP_RESOLUTION, GROUPS
from processing.chain import resampling, scattering
from processing.chain.clouds import Clouds
from processing.chain.geometry import Geometry
from processing.chain.subsampling import Image, factor_of
from processing.scene import L2A, Lazy, Mode, Scene
from processing.versions import Parameters

#: Bands whose atmosphere is looked up: those distributed and those of the composite.
BANDS = ("B1", *DISTRIBUTED)

#: What no mode of the chain makes yet.
_ABSENT = frozenset(
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
        Dilated.
    snow, water : (row, col) bool
    water_vapour : (row, col) float32
        Without gaps. [g cm-2]
    water_vapour_filled : (row, col) bool
        Where it was filled in from around.
    aot : (row, col) float32
        [-]
    coefficients : dict of band to Coefficients
        Those the full resolution is corrected with.
    """

    tested: NDArray[np.bool_]
    clouds: Clouds
    snow: NDArray[np.bool_]
    water: NDArray[np.bool_]
    water_vapour: NDArray[np.float32]
    water_vapour_filled: NDArray[np.bool_]
    aot: NDArray[np.float32]
    coefficients: dict[str, Coefficients]


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

    A percentage that was not found is NaN. A flag is raised when any tested cell has the property, ``cirrus`` from
    the version's share of high clouds.
    """
    unknown = float("nan")
    flags = {"sun_glint": bool((angles.sun_glint & tested).any()), "hot_spot": bool((angles.hot_spot & tested).any())}
    if clouds:
        flags["cirrus"] = percent(clouds.high, tested) >= parameters.cirrus_flag_percent
    origin = dict(scene.ancillary.origin)
    origin["aot"] = f"constant {parameters.aot_default:.2f}"
    origin["adjacency"] = "not corrected"
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
        absent=_ABSENT | (clouds.absent() if clouds else set()),
        cloud_percent=percent(clouds.all(), tested) if clouds else unknown,
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


def _to_the_rim(code: NDArray[np.uint8], tested: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give the cells that were not tested the bits of the nearest tested one, beside their own.

    Some pixels of a swath's rim are observed though their cell is not: they are as their neighbours are.
    """
    if tested.all():
        return code
    nearest = ndimage.distance_transform_edt(~tested, return_distances=False, return_indices=True)
    return np.asarray(code | code[tuple(nearest)])


def valid(
    known: L2A, scene: Scene, image: Image, found: Found, seconds: dict[str, float], parameters: Parameters
) -> L2A:
    """The whole Level-2A of a scene. Its rasters decode, correct and resample when they are looked up.

    Pixels that could not be tested or corrected are no data in the reflectance and in EDG; ``origin["no_data"]``
    counts them.
    """
    blind = image.observed & ~found.tested
    for c in found.coefficients.values():
        blind |= np.isnan(c.scale + c.offset + c.transmittance + c.albedo)
    cells = int(np.count_nonzero(blind & image.observed))
    origin = dict(known.origin)
    if cells:
        origin["no_data"] = f"{cells} coarse cells outside the validity of the tables"
    if note := sensor_note(scene.platform):
        origin["spectral_responses"] = note
    if found.water_vapour_filled.all():
        origin["water_vapour"] = f"no usable pixel: {parameters.default_water_vapour} g cm-2"
    cloud_code = found.clouds.bits()
    geophysical_code = np.zeros_like(cloud_code)
    geophysical_code[found.water] |= np.uint8(masks.Geophysical.WATER)
    geophysical_code[found.clouds.all()] |= np.uint8(masks.Geophysical.CLOUD)
    geophysical_code[found.clouds.shadows()] |= np.uint8(masks.Geophysical.CLOUD_SHADOW)
    geophysical_code[found.snow] |= np.uint8(masks.Geophysical.SNOW)
    cloud_code, geophysical_code = (_to_the_rim(code, found.tested) for code in (cloud_code, geophysical_code))
    filled_code = np.where(found.water_vapour_filled, masks.Interpolated.WATER_VAPOUR, 0).astype(np.uint8)
    filled_code |= np.uint8(masks.Interpolated.AOT)  # a constant is measured nowhere

    def cell(group: str) -> int:
        return parameters.coarse_resolution // GROUP_RESOLUTION[group]

    def surface_reflectance(band: str) -> NDArray[np.int16]:
        c = found.coefficients[band]
        return scattering.surface_reflectance(
            scene.counts[band],
            c._replace(scale=np.where(blind, np.float32(np.nan), c.scale)),
            factor_of(band, parameters),
            scene.quantification,
            scene.offset[band],
            parameters,
        )

    def no_data(group: str) -> NDArray[np.bool_]:
        unseen = image.edge[group].raster()
        if blind.any():  # any part of such a cell in the interpolation
            unseen |= resampling.expand_bits(blind.view(np.uint8), unseen.shape, cell(group), 1e-6).view(np.bool_)
        return unseen

    def mask(group: str, code: NDArray[np.uint8]) -> NDArray[np.uint8]:
        unseen = no_data(group)
        raster = resampling.expand_bits(code, unseen.shape, cell(group), parameters.mask_resampling_threshold)
        raster[unseen] = 0
        return raster

    def atmosphere(group: str) -> NDArray[np.uint8]:
        unseen = no_data(group)
        raster = np.empty((2, *unseen.shape), np.uint8)
        quantities = (
            (found.water_vapour, parameters.water_vapour_quantification),
            (found.aot, parameters.aot_quantification),
        )
        for layer, (quantity, quantification) in zip(raster, quantities, strict=True):
            resampling.expand_scaled(quantity, cell(group), quantification, layer)
        raster[:, unseen] = 0
        return raster

    def saturation(group: str) -> NDArray[np.uint8]:
        raster = np.zeros(scene.grid.shape(GROUP_RESOLUTION[group]), np.uint8)
        for bit, band in enumerate(GROUPS[group]):
            if band in image.saturation:
                raster |= image.saturation[band].raster().view(np.uint8) << np.uint8(bit)
        return raster

    def defective(group: str) -> NDArray[np.uint8]:
        raster = np.zeros(scene.grid.shape(GROUP_RESOLUTION[group]), np.uint8)
        for bit, band in enumerate(GROUPS[group]):
            raster |= scene.defective[band].astype(np.uint8) << np.uint8(bit)
        return raster

    return replace(
        known,
        status="valid",
        surface_reflectance=Lazy(DISTRIBUTED, surface_reflectance),
        atmosphere=Lazy(GROUPS, atmosphere),
        cloud=Lazy(GROUPS, lambda group: mask(group, cloud_code)),
        geophysical=Lazy(GROUPS, lambda group: mask(group, geophysical_code)),
        edge=Lazy(GROUPS, lambda group: no_data(group).view(np.uint8)),
        saturation=Lazy(GROUPS, saturation),
        interpolated=Lazy(GROUPS, lambda group: mask(group, filled_code)),
        defective=Lazy(GROUPS, defective),
        water_percent=percent(found.water, found.tested),
        aot_mean=float(found.aot[found.tested].mean(dtype=np.float64)),
        water_vapour_mean=float(found.water_vapour[found.tested].mean(dtype=np.float64)),
        origin=origin,
        seconds=seconds,
    )
