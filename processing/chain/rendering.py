"""The last stage: what was found on the coarse grid becomes rasters at full resolution, each made when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.atmosphere import Coefficients
from processing.bands import BANDS, DISTRIBUTED, GROUP_RESOLUTION, GROUPS
from processing.chain import (
    adjacency,
    air_model,
    cloud_light,
    codes,
    explanation,
    outcome,
    resampling,
    scattering,
    slope_correction,
    uncertainty,
    veil,
)
from processing.chain.adjacency import Environment, Line
from processing.chain.air import CORRECTED, Air
from processing.chain.classify import Ground, Masks
from processing.chain.codes import Code, Codes
from processing.chain.dilation import times
from processing.chain.geometry import direction
from processing.chain.observation import Date
from processing.chain.spread import for_each
from processing.chain.steps import step
from processing.chain.subsampling import factor_of
from processing.masks import Geophysical
from processing.scene import L2A, Strips, strip

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]
#: Kinds of ground on slopes, by their NDVI from (first) to (second). [-]
COVERS = ((-1.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0))


def render(date: Date, masks: Masks, ground: Ground, air: Air) -> tuple[L2A, Rendering]:
    """The whole Level-2A of a date but for the figures that its rasters tell, and what makes those rasters.

    They decode, correct and resample when they are looked up. Pixels that could not be tested or corrected are no data
    in the reflectance and in EDG; ``origin["no_data"]`` counts them.
    """
    seen, tested = date.seen, date.seen.tested
    surface = scattering.remove(date.image.toa, air.coefficients, DISTRIBUTED)
    around = adjacency.surroundings(
        surface, masks.clouds.all(), date.scene, seen.angles, air.aerosol.aot, date.parameters, date.spread
    )
    lines = adjacency.correct(air.coefficients, around)
    by_veil = {} if date.veil is None else {band: _per_light(air.coefficients[band]) for band in DISTRIBUTED}
    air.coefficients.clear()  # a seventh of what a date has in memory, and looked at no more
    if date.veil is not None:
        lines = {band: line.below(date.veil.of(band)) for band, line in lines.items()}
    thrown = cloud_light.estimate(seen, masks.found.all(), masks.found.shadows(), date.parameters)
    if thrown is not None:
        lines = {band: line.under(thrown.on(band, around[band].direct_down)) for band, line in lines.items()}
    known = outcome.of(date, masks, ground)
    blind = _blind(date, lines)
    veiled = None if date.veil is None else date.veil.mask
    gaps = codes.of_gaps(air.water_vapour_filled, air.aerosol.interpolated, veiled)
    errors = uncertainty.estimate(date, air, surface, around, thrown, by_veil)
    del by_veil
    slants = Slants(around, _slope_shares(date, masks, ground, surface, around))
    del surface
    of_counts = {band: lines.pop(band).of_counts(date.scene, band) for band in tuple(lines)}
    rasters = Rendering(date, air, codes.of_masks(seen, masks, ground), gaps, blind, slants, of_counts)
    level = replace(
        rasters.into(known),
        status="valid",
        uncertainty=rasters.uncertainty(errors),
        figures=replace(
            known.figures,
            aot_mean=float(air.aerosol.aot[tested].mean(dtype=np.float64)),
            water_vapour_mean=float(air.water_vapour[tested].mean(dtype=np.float64)),
        ),
        origin=known.origin | _origin(date, air, blind),
        evidence=explanation.keep(date, masks, air),
    )
    return level, rasters


def _per_light(air: Coefficients) -> Field:
    """By how much the reflectance changes with that above the air, (row, col) float32."""
    return np.asarray(air.scale / air.transmittance, np.float32)


def _blind(date: Date, lines: Mapping[str, Line]) -> Mask:
    """Cells that were not tested, though observed or too far from those that were, or that have no correction."""
    tested = date.seen.tested
    blind = date.image.observed & ~tested
    if not tested.all():
        far = ndimage.distance_transform_cdt(~tested, "chessboard") > codes.RIM
        blind |= far & ~date.image.nothing(date.parameters.coarse_resolution)
    for line in lines.values():
        blind |= np.isnan(line.gain + line.offset)
    return blind


def _origin(date: Date, air: Air, blind: Mask) -> dict[str, str]:
    """Where the numbers of a valid date came from, beside those that `outcome.of` names, and every fallback."""
    parameters = date.parameters
    side = (2 * parameters.adjacency_radius + 1) * parameters.coarse_resolution
    mean = f"the mean of {side} m around" if parameters.adjacency_weights == "square" else "the environment of 6S"
    adjacent = f"corrected with {mean}" if parameters.adjacency_radius else "not corrected"
    origin = {"aot": air.aerosol.origin, "adjacency": adjacent}
    if cells := int(np.count_nonzero(blind & date.image.observed)):
        why = outcome.why_blind(date, air.water_vapour, blind, CORRECTED)
        origin["no_data"] = f"{cells} coarse cells outside the validity of the tables ({why})"
    if partly := date.image.partly:
        named = ", ".join(f"{band} {share:.2g} %" for band, share in sorted(partly.items()))
        origin["unobserved"] = f"no data where one of the bands saw nothing and others did, as each is needed: {named}"
    if note := air_model.sensor_note(date.scene, parameters):
        origin["spectral_responses"] = note
    if date.parameters.veil_range:
        origin["veil"] = veil.origin(date.veil, date.seen.tested)
    if air.water_vapour_filled.all():
        origin["water_vapour"] = f"no usable pixel: {parameters.default_water_vapour} g cm-2"
    return origin


class Slants(NamedTuple):
    """What the slope correction of a band takes beside the terrain: its surroundings, and its share of the cosines."""

    around: Mapping[str, Environment]
    shares: Mapping[str, float]


def _slope_shares(
    date: Date, masks: Masks, ground: Ground, surface: Mapping[str, Field], around: Mapping[str, Environment]
) -> dict[str, float]:
    """The share of the ratio of cosines in each band, as the image has it."""
    seen = date.seen
    if not seen.terrain or not date.parameters.slope_shares or min(seen.altitude.shape) < 2:
        return dict.fromkeys(DISTRIBUTED, 1.0)
    lit = masks.clear & ~seen.relief.shadow & ~seen.relief.hidden & ~ground.water.mask
    with np.errstate(invalid="ignore", divide="ignore"):
        ndvi = (surface["B8A"] - surface["B4"]) / (surface["B8A"] + surface["B4"])
    bare = lit & ~masks.snow
    covers = [lit & masks.snow, *(bare & (ndvi > low) & (ndvi <= high) for low, high in COVERS)]
    sun = direction(seen.angles.sun_zenith, seen.angles.sun_azimuth)

    def of(band: str) -> float:
        view = direction(seen.angles.view_zenith[band], seen.angles.view_azimuth[band])
        return slope_correction.share(surface[band], around[band], (seen.altitude, sun, view), covers, date.parameters)

    return for_each(date.spread, DISTRIBUTED, of)


class Rendering:
    """The rasters of a date at full resolution: a method each, which the writer asks for some rows of them at a time.

    The rows, a slice of a raster's, may be any: a raster has the same values whole or in strips.

    Parameters
    ----------
    date : Date
    air : Air
    masks : Codes
        Bits of CLM and MG2 in the cells of the clouds.
    gaps : (row, col) uint8
        Bits of IAB in the coarse cells.
    blind : (row, col) bool
        Coarse cells without reflectance.
    slants : Slants
    lines : dict of band to (2, row, col) float32
        Those the full resolution is corrected with, as of `Line.of_counts`.
    """

    def __init__(
        self,
        date: Date,
        air: Air,
        masks: Codes,
        gaps: Code,
        blind: Mask,
        slants: Slants,
        lines: Mapping[str, Field],
    ) -> None:
        self._scene, self._parameters = date.scene, date.parameters
        self._image = replace(date.image, toa={})  # a date's memory is kept until it is written: only what is needed
        self._columns = air.water_vapour, air.aerosol.aot
        self._masks, self._gaps, self._blind, self._slants, self._lines = masks, gaps, blind, slants, lines
        for of_counts in self._lines.values():
            of_counts[:, blind] = np.nan
        angles = date.seen.angles
        self._sun = direction(angles.sun_zenith, angles.sun_azimuth)

        @lru_cache(maxsize=2)
        def view(band: str) -> Field:
            return direction(angles.view_zenith[band], angles.view_azimuth[band])

        self._view = view

    def into(self, known: L2A) -> L2A:
        """Hang the rasters into what is known of the date, each made when it is looked up, whole or in strips."""
        grid = self._scene.grid
        bands = {band: grid.shape(BANDS[band].resolution)[0] for band in DISTRIBUTED}
        groups = {group: grid.shape(resolution)[0] for group, resolution in GROUP_RESOLUTION.items()}
        surface = Strips(bands, self.surface_reflectance)
        slopes = self._scene.ancillary.terrain is not None
        return replace(
            known,
            surface_reflectance=surface,
            flat_reflectance=Strips(bands, self.flat_reflectance) if slopes else surface,
            atmosphere=Strips(groups, self.atmosphere),
            cloud=Strips(groups, self.cloud),
            geophysical=Strips(groups, self.geophysical),
            edge=Strips(groups, self.edge),
            saturation=Strips(groups, self.saturation),
            interpolated=Strips(groups, self.interpolated),
            defective=Strips(groups, self.defective),
        )

    @step
    def shares(self) -> dict[str, float]:
        """Figures of the product as its rasters of 20 m have them, so that who counts their bits finds the same. [%]

        Clouds, snow and water among the pixels with data; and those without data among all.
        """
        rows, cols = self._scene.grid.shape(GROUP_RESOLUTION["R2"])
        found = dict.fromkeys(("cloud", "snow", "water", "no_data"), 0)
        for first in range(0, rows, 1024):
            part = slice(first, min(first + 1024, rows))
            geophysical = self._of_cells(self._masks.geophysical, "R2", part)
            bits = {"cloud": Geophysical.CLOUD, "snow": Geophysical.SNOW, "water": Geophysical.WATER}
            found["no_data"] += int(np.count_nonzero(self._no_data("R2", part)))
            for name, bit in bits.items():
                found[name] += int(np.count_nonzero(geophysical & bit))
        seen = rows * cols - found["no_data"]
        share = {f"{name}_percent": 100 * count / seen if seen else float("nan") for name, count in found.items()}
        return share | {"no_data_percent": 100 * found["no_data"] / (rows * cols)}

    def surface_reflectance(self, band: str, rows: slice) -> NDArray[np.int16]:
        """SRE of a band, (row, col) int16."""
        counts = strip(self._scene.counts, band, rows)
        factor = factor_of(band, self._parameters)
        raster = adjacency.surface_reflectance(counts, self._lines[band], factor, self._parameters, rows.start)
        return self._seen_by_all(raster, band, rows)

    def flat_reflectance(self, band: str, rows: slice) -> NDArray[np.int16]:
        """FRE of a band, (row, col) int16; with a terrain model only."""
        terrain = self._scene.ancillary.terrain
        assert terrain is not None
        raster = slope_correction.flat_reflectance(
            strip(self._scene.counts, band, rows),
            self._lines[band],
            self._slants.around[band],
            slope_correction.Slopes(terrain, self._sun, self._view(band), self._slants.shares[band]),
            factor_of(band, self._parameters),
            self._parameters,
            rows.start,
        )
        return self._seen_by_all(raster, band, rows)

    def _seen_by_all(self, raster: NDArray[np.int16], band: str, rows: slice) -> NDArray[np.int16]:
        """Reflectance without that of pixels that another band did not see."""
        if self._image.partly:
            group = "R1" if BANDS[band].resolution == GROUP_RESOLUTION["R1"] else "R2"
            np.copyto(raster, np.int16(self._parameters.no_data), where=self._image.edge[group].rows(rows))
        return raster

    def atmosphere(self, group: str, rows: slice) -> Code:
        """ATB: water vapour and AOT, (2, row, col) uint8."""
        parameters, unseen = self._parameters, self._no_data(group, rows)
        raster = np.empty((2, *unseen.shape), np.uint8)
        scales = parameters.water_vapour_quantification, parameters.aot_quantification
        for layer, quantity, quantification in zip(raster, self._columns, scales, strict=True):
            resampling.expand_scaled(quantity, self._cell(group), quantification, layer, rows.start)
            layer[unseen] = 0
        return raster

    def uncertainty(self, errors: Mapping[str, NDArray[np.float32]]) -> Mapping[str, Code]:
        """UNC of the 20 m group, (layer, row, col) uint8 by rows; empty without `errors`.

        Parameters
        ----------
        errors : mapping of name to (row, col) float32
            As of `uncertainty.estimate`.
        """
        if not errors:
            return {}
        of_aot, of_reflectance = self._parameters.uncertainty_quantification
        scales = [of_aot, *(of_reflectance for _ in DISTRIBUTED)]

        def raster(group: str, rows: slice) -> Code:
            unseen = self._no_data(group, rows)
            made = np.empty((len(scales), *unseen.shape), np.uint8)
            for layer, error, scale in zip(made, errors.values(), scales, strict=True):
                resampling.expand_scaled(error, self._cell(group), scale, layer, rows.start)
                layer[layer == 0] = 1  # 0 says that there is none
                layer[unseen] = 0
            return made

        return Strips({"R2": self._scene.grid.shape(GROUP_RESOLUTION["R2"])[0]}, raster)

    def cloud(self, group: str, rows: slice) -> Code:
        """CLM, (row, col) uint8."""
        return self._of_cells(self._masks.cloud, group, rows)

    def geophysical(self, group: str, rows: slice) -> Code:
        """MG2, (row, col) uint8: to the bits of its cells come those of slopes under a low sun."""
        raster = self._of_cells(self._masks.geophysical, group, rows)
        terrain = self._scene.ancillary.terrain
        if terrain is not None:
            low = slope_correction.low_sun(
                raster.shape, self._sun, terrain, self._cell(group), self._parameters, rows.start
            )
            low[self._no_data(group, rows)] = 0
            raster |= low
        return raster

    def edge(self, group: str, rows: slice) -> Code:
        """EDG, (row, col) uint8."""
        return self._no_data(group, rows).view(np.uint8)

    def saturation(self, group: str, rows: slice) -> Code:
        """SAT, (row, col) uint8: one bit a band in the group's order."""
        full = self._image.saturation
        bands = {band: full[band].rows(rows) for band in GROUPS[group] if band in full}
        return self._a_bit_each(bands, group, rows)

    def interpolated(self, group: str, rows: slice) -> Code:
        """IAB, (row, col) uint8."""
        return self._of_cells(self._gaps, group, rows)

    def defective(self, group: str, rows: slice) -> Code:
        """DFP, (row, col) uint8: one bit a band in the group's order."""
        bands = {band: strip(self._scene.defective, band, rows) for band in GROUPS[group]}
        return self._a_bit_each(bands, group, rows)

    def _cell(self, group: str) -> int:
        """Pixels of the group along the side of a coarse cell."""
        return self._parameters.coarse_resolution // GROUP_RESOLUTION[group]

    def _no_data(self, group: str, rows: slice) -> Mask:
        unseen = self._image.edge[group].rows(rows)
        if self._blind.any():  # any part of such a cell in the interpolation
            code = self._blind.view(np.uint8)
            unseen |= resampling.expand_bits(code, unseen.shape, self._cell(group), 1e-6, rows.start).view(np.bool_)
        return unseen

    def _of_cells(self, code: Code, group: str, rows: slice) -> Code:
        """The bits of cells, coarse ones or fractions of them, brought to the pixels."""
        unseen = self._no_data(group, rows)
        factor = self._cell(group) // times(code, self._blind)
        threshold = self._parameters.mask_resampling_threshold
        raster = resampling.expand_bits(code, unseen.shape, factor, threshold, rows.start)
        raster[unseen] = 0
        return raster

    def _a_bit_each(self, bands: Mapping[str, Mask], group: str, rows: slice) -> Code:
        raster = np.zeros((rows.stop - rows.start, self._scene.grid.shape(GROUP_RESOLUTION[group])[1]), np.uint8)
        for bit, band in enumerate(GROUPS[group]):
            if band in bands and bands[band].any():
                raster |= bands[band].view(np.uint8) << np.uint8(bit)
        return raster
