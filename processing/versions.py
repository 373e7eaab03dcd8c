"""Processing versions: every number a scientist may tune, frozen once a version is released.

A released version's parameters are never edited; a change is a new version. A product records its version, so any
pixel can be explained.

Sources of the values: the public MACCS/MAJA L2COMM parameter file of 2016 for Sentinel-2 (GIPP, repository
olivierhagolle/MAJA_Parameters), the open MAJA 4 code for forms and names (CNES/MAJA, Apache-2.0), and THEIA's posts
of February and March 2017 for what changed between V1_0 and V1_4. The tests that V1_4 adds
to those of 2016 are our own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from hashlib import sha256
from typing import Any, Literal

#: Parameters that no step reads any more, as they were in all versions: products that exist have them in their digest.
_RETIRED = {"directional_normalisation": False, "water_terrain_weight": 0.51}


def later(default: Any) -> Any:
    """A parameter that came after products were made: it is in a digest only where it is not as it had always been."""
    return field(default=default, metadata={"later": True})


AirPressure = Literal["standard", "forecast"]
SpectralResponses = Literal["stand_in", "own"]
AdjacencyWeights = Literal["square", "6S"]
ShadowSelection = Literal["single_pass", "three_pass"]


@dataclass(frozen=True)
class Parameters:
    """The numbers of one processing version. Reflectances without unit; GIPP 2016 unless said otherwise."""

    version: str
    #: Sub-sampled grid of masks and aerosol. [m]
    coarse_resolution: int = 240
    #: A coarse cell counts as saturated or unobserved from this fraction of its pixels. [-]
    coarse_fraction: float = 0.9
    #: Coarse masks become full-resolution masks from this interpolated value. [-] (MAJA 4 code)
    mask_resampling_threshold: float = 0.25
    #: How far a product's cloud masks, and its shadow masks, reach beyond the cells in which they were found, drawn in
    #: cells of `mask_resolution`: narrower than `cloud_dilation`, which still keeps the surroundings of clouds out of
    #: aerosol, water and composite. None: they reach as far. [m]
    mask_buffers: tuple[float, float] | None = None
    #: Divides the coarse grid's. [m]
    mask_resolution: int = 60
    #: Of low clouds and their buffers a product shows the cells that brightened by this share of the most that one
    #: beside did, or by so much (second): where a cloud ends within a coarse cell. Empty: all. [-]
    mask_fine: tuple[float, ...] = later(())
    #: They are drawn by the pixels of B2 less so much of B4's, in which no ground is bright; 0: by the blue's. [-]
    mask_red_share: float = later(0.0)
    #: Of shadows a product shows the cells that darkened, in the sum of B8A and B11, by this share of the most that one
    #: beside did, or by so much (second). Empty: all. [-]
    shadow_fine: tuple[float, ...] = later(())
    shadow_detail_gain: float = later(1.05)
    #: What is so drawn is grown by this, clouds and shadows. [m]
    mask_rim: tuple[float, float] = later((0.0, 0.0))
    #: Surface reflectance for that at the top of the atmosphere, within a coarse cell. [-]
    mask_detail_gain: float = later(1.3)

    # Limits of a valid product
    #: More cloud than this: the product is not valid. [%]
    max_cloud_percent: float = 90.0
    #: More unobserved pixels than this in the composite: the product is not valid. [%]
    max_no_data_percent: float = 99.0

    # Gases
    #: Ozone when no measurement is given. [cm atm]
    default_ozone: float = 0.300
    #: Water vapour when no pixel allows an estimate. [g cm-2] (chosen here)
    default_water_vapour: float = 2.0
    #: Water vapour is bounded by this. [g cm-2]
    max_water_vapour: float = 5.0
    #: B8A reflectance below which water vapour is not read. [-]
    water_vapour_min_reflectance: float = 0.1
    #: Gap filling of water vapour: first and last half width of the window. [coarse px]
    water_vapour_gap_radius: tuple[int, int] = (2, 16)
    #: Growth of the invalid area before gap filling. [coarse px]
    water_vapour_dilation: int = 2
    #: Whether the light that the air scatters is taken from the bands that tell the vapour, once the aerosol is known,
    #: and the constant and the factor of (B11 / B8A - 1) by which the ground is brighter in B9 than in B8A: those of
    #: vegetation and soils by PROSAIL. None: the ratio of B9 to B8A as they are seen. [-]
    vapour_surface: tuple[float, float] | None = later(None)

    # Scattering
    #: A model of the tables; ``cams``: composed as the forecast in the Level-1C says, continental without one.
    aerosol_model: str = "continental"
    #: Where ``cams`` has no forecast the aerosol is desert dust if so much of the image (third) is bare and bright: its
    #: NDVI below (first) and B12 above (second), at the top of the atmosphere. Empty: it never is. [-]
    aerosol_desert: tuple[float, ...] = later(())
    #: Whether the air is as heavy as the forecast in the Level-1C says, or always as in the standard atmosphere.
    air_pressure: AirPressure = "standard"
    #: Whether each satellite has its own spectral responses, or S2A's stand in for S2C's.
    spectral_responses: SpectralResponses = later("stand_in")  # noqa: RUF009
    #: What gases and scattering do is looked up at every so many cells, and interpolated between.
    atmosphere_every: int = later(1)
    #: AOT of the Rayleigh-corrected image that the mask tests use. [-]
    rayleigh_aot: float = 0.05

    # Geometric flags
    #: Angular distance to the specular direction below which sun glint is possible. [deg]
    sun_glint_angle: float = 30.0
    #: Angular distance to the backscatter direction below which the hot spot is seen. [deg]
    hot_spot_angle: float = 5.0

    # High clouds: cloud if TOA B10 > offset + gain * altitude
    cirrus_offset: float = 0.015
    #: [1/m]
    cirrus_gain: float = 2.0e-5
    #: Reflectance of the brightest ground at 1.38 um, whose light through the water vapour that there is counts as no
    #: cloud; 0: not looked at, as the altitude stands for the vapour. [-]
    cirrus_ground: float = 0.0
    #: The product's cirrus flag is raised from this share of cirrus pixels: never. [%]
    cirrus_flag_percent: float = 100.0

    # Veils: thin high clouds whose light is taken away
    #: Light in B10, beyond what is there all over the image, from which it is a veil, and the most that is taken for
    #: one. Empty: not looked for. [-]
    veil_range: tuple[float, ...] = later(())
    #: Transmittance of the air in B10 above which the ground shines through, so that no veil is sought. [-]
    veil_max_ground: float = later(0.02)
    #: The most in B10 that may be there all over an image without any cloud. [-]
    veil_max_background: float = later(0.002)

    # Snow
    snow_min_ndsi: float = 0.4
    snow_min_red: float = 0.12
    snow_max_swir: float = 0.16
    #: Floor of the cosine of the local incidence in the illumination normalisation. [-]
    snow_min_cos_incidence: float = 0.20
    #: The sky lights slopes that are turned away, in the visible more than in B11: the normalisation brightens B11 at
    #: most so much. [-]
    snow_swir_max_factor: float = later(1e9)
    #: [coarse px]
    snow_dilation: int = 1
    #: Of snow a product shows the cells of the masks whose index, of what clouds are drawn by and B11, is above this,
    #: and that are brighter in the former than the second. Empty: all. [-]
    snow_fine: tuple[float, ...] = later(())
    #: Snow is an ice cloud if so much of the ring around it is cloud or not seen. [-] (chosen here)
    snow_ring_cloud: float = 0.9
    #: Least B2 over B3, and B8A over B4: turbid water, bright as snow, is browner and takes the near infrared. Empty:
    #: not looked at. [-]
    snow_colours: tuple[float, ...] = later(())
    #: The growth takes no cell brighter in B11, as on flat ground. [-]
    snow_rim_max_swir: float = later(1e9)

    # Cloud, one date
    #: Blue band of the cloud tests (B2 before V1_3: THEIA).
    cloud_blue_band: str = "B1"
    cloud_min_blue: float = 0.22
    cloud_min_red: float = 0.15
    #: Water vapour above a cell over that above clear ground: no cloud above (second), cloud below (first) that is
    #: brighter than `cloud_faint` in the blue and red. Empty: not looked at. [-]
    cloud_vapour: tuple[float, ...] = ()
    cloud_faint: tuple[float, float] = (0.12, 0.08)
    #: Least B8A over B11 of a faint cloud, which is then sought over water too. None: as of any cloud, over land. [-]
    cloud_faint_nir_swir: float | None = later(None)
    #: Over ground that the composite knows, a faint cloud has raised the blue by this. None: not looked at. [-]
    cloud_faint_rise: float | None = None
    #: Share of cells that must be clear to know the vapour above the ground. [-]
    vapour_min_clear: float = 0.02
    #: Rise of the blue and of B11 since the composite that no ground makes: a cloud, though all the vapour lie above
    #: it; so is what is bright over water. Empty: not looked at. [-]
    cloud_sure_rise: tuple[float, ...] = later(())
    #: Near snow, so far [m], a cloud is brighter in B11 than snow and rock together can be: that of rock, what it falls
    #: by per unit of B1, and by how much a cloud exceeds it, all as on flat ground. Empty: not looked at. [-]
    cloud_over_snow: tuple[float, ...] = later(())
    #: Near snow, what is so much brighter is cloud whatever else it looks like; and what is brighter than a line nearer
    #: to snow's, of this at no B1 and that fall, where B11 rose by so much (third) and B1 did not fall. Empty: no. [-]
    cloud_amid_snow: tuple[float, ...] = later(())
    cloud_nir_red_ratio: tuple[float, float] = (0.8, 2.0)
    cloud_min_nir_swir_ratio: float = 1.0
    #: Over water: B12 above this, without and with possible sun glint. [-]
    cloud_water_swir: tuple[float, float] = (0.08, 0.25)
    #: Over water without glint that the composite knows: B8A rose by so much (first), B1 and B11 by these shares of it:
    #: white, and no ground laid bare; B12 alone tells nothing. Empty: not looked at. [-]
    cloud_water_rise: tuple[float, ...] = later(())
    #: Buffer around every cloud and shadow mask. [m] (1 coarse px of 240 m)
    cloud_dilation: float = 240.0

    # Cloud, against the composite: threshold = min(max, min * (1 + lag / forgetting))
    cloud_blue_rise: tuple[float, float] = (0.025, 0.070)
    #: [days]
    cloud_forgetting: float = 30.0
    cloud_nir_blue_factor: float = 1.20
    cloud_red_blue_factor: float = 1.50
    #: Haze all over the image: the quantile of the rise that is taken off, and the most that is; 0: none. [-]
    cloud_haze_quantile: float = 0.10
    cloud_max_haze: float = 0.0
    #: Haze around a cell: how far [m] the mean rise of the cells is taken that rose less than this (second), where they
    #: are more than that share of all (third). Empty: not looked at. [-]
    cloud_local_haze: tuple[float, ...] = later(())
    #: A cloud covers in the red at least so much (first) of what it covers in the blue, both as a veil of reflectance
    #: (second); haze covers half. 0: not looked at. [-]
    cloud_veil: tuple[float, float] = (0.0, 0.65)
    #: A field laid bare brightens in the blue too: no cloud where B8A fell by more than so much of its rise. 0: not
    #: looked at. [-]
    cloud_nir_fall: float = 0.0
    #: So close to snow, what brightened is a cloud only if B11 did too: fresh snow in a part of a cell darkens it. [m]
    cloud_snow_distance: float = 0.0
    #: A cell without a neighbour that rose too is cloud from so many times the limit. [-]
    cloud_lone_rise: float = 1.0
    #: A cell with a spot that rose by so much (first) is cloud if it rose itself by so much (second), and by that share
    #: of what makes it uneven (third), which is that share of the rise (fourth). Empty: not looked at. [-]
    cloud_spots: tuple[float, ...] = later(())
    #: The thinnest clouds need so much less. [-]
    cloud_extension_delta: float = 0.005
    #: Extension components are dropped from this share of correlated pixels. [-]
    cloud_extension_max_correlated: float = 0.20
    correlation_threshold: float = 0.80
    #: Half width of the correlation window. [coarse px]
    correlation_radius: int = 3
    correlation_min_pixels: int = 15
    #: Images of the correlation stack.
    correlation_stack: int = 10
    #: What rose more in the blue, or in B11, since the composite is cloud whatever it looks like: no ground shows
    #: through. Empty: not looked at. [-]
    correlation_max_rise: tuple[float, ...] = later(())

    # Shadow
    shadow_selection: ShadowSelection = "three_pass"
    #: Bands that a shadow darkens; the one that darkened least counts.
    shadow_bands: tuple[str, ...] = ("B4",)
    #: Shadows are sought on water too that is brighter than this in the composite's B3 and B4. None: on none. [-]
    shadow_water: float | None = later(None)
    #: What looks like water on a date and kept so much of its B3 is flooded and no shadow. None: not looked at. [-]
    shadow_flood: float | None = later(None)
    #: Where the composite knows nothing: the bands in which a shadow is dark among its surroundings, over the highest
    #: level that they are not below all around. Empty: no shadow is sought there. [-]
    shadow_bands_alone: tuple[str, ...] = later(())
    #: What looks like water, darker in B8A than this and than in B4, tells no shadow. [-]
    shadow_dark_water: float = later(0.05)
    #: Half width of what counts as surroundings. [m]
    shadow_surroundings: float = later(1500.0)
    #: A cloud is also moved to where it fits best: what it covers is shadow below this share of its brightness, if its
    #: mean darkness is at least that (second), so many heights around (third). Empty: not done. [-]
    shadow_match: tuple[float, ...] = later(())
    #: Bands that tell it where there is a past.
    shadow_match_bands: tuple[str, ...] = later(("B11", "B12"))
    #: The same for what has no past.
    shadow_match_alone: tuple[float, ...] = later(())
    #: What the height at which most clouds fit counts for a cloud of one cell; for larger ones less by its root. [-]
    shadow_common_height: float = later(0.0)
    #: Heights looked at: first, last, step. [m]
    shadow_heights: tuple[float, float, float] = (0.0, 8000.0, 250.0)
    #: A cloud stands at most this high (first), and so many times the root of its area higher (second). [m], [-]
    shadow_tops: tuple[float, float] = (8000.0, 0.0)
    shadow_max_darkening: float = 0.8
    shadow_min_quantile: float = 0.10
    shadow_cover_factor: float = 2.0
    #: Largest shadow to cloud ratio for clouds below and above `shadow_small_cloud` pixels. [-]
    shadow_ratio: tuple[float, float] = (1.0, 0.5)
    #: [coarse px]
    shadow_small_cloud: int = 10
    #: Smaller patches of shadow are none. [coarse px]
    shadow_min_cells: int = 1
    shadow_outside_max: float = 0.2
    shadow_outside_quantile: float = 0.30
    shadow_outside_composite_ratio: float = 0.8

    # Water and rain
    water_max_ndvi: float = 0.010
    water_max_red: float = 0.05
    #: Instead of these two: least difference of B3 and B11 over their sum (MNDWI), greatest NDVI and B11, in which
    #: turbid and shallow water is as dark as clear water. Empty: not looked at. [-]
    water_turbid: tuple[float, ...] = later(())
    #: [rad]
    water_max_slope: float = 0.15
    #: Share of the tested dates that must have looked like water. [-]
    water_min_share: float = 0.50
    #: With possible sun glint, also: relative change of B8A above, its composite value below.
    water_glint_change: float = 0.040
    water_glint_max_nir: float = 0.120
    #: Dates remembered by the water test.
    water_stack: int = 10
    rain_swir_drop: float = 0.045

    # AOT
    #: Blue band of the spectral relation; the red one is B4.
    aot_blue_band: str = "B1"
    #: blue = slope * red + intercept, over vegetation. [-]
    aot_slope: float = 0.45
    aot_intercept: float = 0.0
    #: What the greenest cells have more in the blue, since leaves are as dark in the red: nothing below an NDVI at the
    #: top of the atmosphere (second), all of it (first) above another (third); by PROSAIL's canopies. [-]
    aot_green_blue: tuple[float, float, float] = later((0.0, 0.4, 0.82))
    #: Weight of the multi-spectral residual, and NDVI dependence: w * (a * max(NDVI, 0) + b).
    aot_spectral_weight: float = 2.0
    aot_ndvi_weights: tuple[float, float] = (0.7, 0.3)
    #: Weight of the residual against the composite relative to the one against the previous image.
    aot_composite_weight: float = 2.0
    #: Time factor A / (dt^2 + B). [days^2]
    aot_time_factor: tuple[float, float] = (1200.0, 800.0)
    #: Residual weight towards the dark-pixel bound when above it.
    aot_dark_weight: float = 10.0
    #: Surface reflectance assumed for the darkest pixel. [-] (the per-site value is not public; chosen here)
    aot_dark_reflectance: float = 0.01
    #: One inversion every so many coarse pixels.
    aot_step: int = 3
    #: Neighbourhood: half size in samples, first and last spacing. [coarse px]
    aot_window: tuple[int, int, int] = (3, 2, 8)
    aot_min_samples: int = 19
    aot_max_red: float = 0.2
    aot_min_ndvi: float = 0.3
    #: Largest relative change of B8A for the multi-temporal method. [-]
    aot_max_nir_change: float = 0.075
    #: Least standard deviation of B12 in the neighbourhood for the multi-temporal method. [-]
    aot_min_swir_deviation: float = 0.02
    #: Whether the samples are freed of the light of their surroundings, as 6S weighs it.
    aot_surroundings: bool = False
    #: Standard deviation of the slope from place to place: the inversion seeks it too. 0: it is as it is. [-]
    aot_slope_spread: float = 0.0
    #: Standard deviation of the colour relation from cell to cell, per unit of red reflectance and besides: samples
    #: count by its inverse instead of by the NDVI. [-]
    aot_colour_noise: tuple[float, float] | None = None
    #: Samples whose residual is larger than so many of its standard deviations count less, by Cauchy's weights: those
    #: that no mask holds though they are shaded, hazy or changed. 0: all count as they are. [-]
    aot_outlier: float = later(0.0)
    #: Against the past no sample serves whose B8A, B11 and B12 all fell by so much more than those of the clear ground
    #: do on the whole: it is shaded. 0: not looked at. [-]
    aot_max_shade: float = later(0.0)
    #: Growth of water and snow before they are left out. [coarse px]
    aot_dilation: int = 1
    #: The multi-temporal method needs a reflectance that changes by so much (second) at so much AOT (first). [-]
    aot_insensitive: tuple[float, float] = (0.4, 0.01)
    #: Weight against the previous image: mean change of the top of the atmosphere over this (first), up to (second).
    aot_rise_scale: tuple[float, float] = (0.001, 10.0)
    #: Error of the forecast's AOT, one sigma: relative, and besides. With it the forecast, where there is one, counts
    #: as one more sample, and stands in for `aot_default`. (0, 0): it is not looked at. [-]
    aot_forecast_error: tuple[float, float] = later((0.0, 0.0))
    #: AOT that is usual over a desert, and its standard deviation: stands in there for a forecast. Empty: none. [-]
    aot_desert: tuple[float, ...] = later(())
    #: So many times as its error says it counts: the samples of a node err together, by the kind of aerosol and ground.
    aot_forecast_weight: float = later(1.0)
    #: AOT when it can't be estimated, and where the inversion starts; its bounds, the last that of the tables. [-]
    aot_default: float = 0.10
    aot_min: float = 0.01
    aot_max: float = 1.05
    #: Above this mean AOT the composite is not updated. [-]
    aot_max_for_composite: float = 0.500
    #: Cells still are whose own AOT is less, or that the composite has not seen for so long. None: none. [days]
    composite_hazy_age: int | None = later(None)
    #: Nor are cells whose AOT exceeds the mean by so many standard deviations, and at least by (second). [-]
    aot_excess_for_composite: tuple[float, float] = (1.0, 0.1)
    #: Composite pixels older than this do not serve the AOT, or are forgotten. [days]
    aot_max_age: int = 60
    composite_max_age: int = 90
    #: Gap filling: first and last half width; smoothing sigma. [AOT nodes]
    aot_gap_radius: tuple[int, int] = (2, 16)
    aot_smoothing: float = 2.0

    # Environment and slope
    #: How what lies around a cell counts: all of a square alike, or as 6S has molecules and aerosol scatter it.
    adjacency_weights: AdjacencyWeights = "square"
    #: Half width of the window of the environment's mean, 0 without any. [coarse px]
    adjacency_radius: int = 10
    #: Whether clouds count as environment. (MAJA 4 code: yes; not here, they darken clear ground by up to 0.03 in B2)
    adjacency_clouds: bool = False
    #: Whether the molecules scatter the light of clouds beside the target into its view, by the weights of 6S.
    adjacency_cloud_light: bool = later(True)
    #: How far the light spreads that clouds pass on to the ground around their shadows, over their height (one sigma),
    #: and the share of the sky's light that they hide, over their reflectance. Empty: neither is looked at. [-]
    cloud_light: tuple[float, ...] = later(())
    #: Least cosine of the sun's and of the view's angle to a slope; least ratio of the first to flat ground. [-]
    slope_min_cos_incidence: float = 0.20
    slope_min_cos_view: float = 0.10
    slope_min_ratio: float = 0.20
    #: Bounds of the share of the ratio of cosines in the slope correction, which is sought in the image itself so that
    #: no ground is brighter for its slope. Empty: all of it, on every image. [-]
    slope_shares: tuple[float, ...] = later(())
    #: Ground nearer than this casts no shadow and hides nothing. [m]
    terrain_min_distance: float = 240.0

    # Uncertainty, one sigma
    #: Of the AOT: besides, per unit of AOT, where it was filled in from around, of the version's constant. Empty: no
    #: uncertainty is given. [-]
    uncertainty_aot: tuple[float, ...] = later(())
    #: What the samples of a node of the AOT err by together, in standard deviations of one of them. [-]
    uncertainty_samples: float = later(0.0)
    #: Of the aerosol's kind: of the reflectance, per unit of AOT. [-]
    uncertainty_kind: float = later(0.0)
    #: Of the water vapour: besides [g cm-2], relative, and where it was filled in [g cm-2].
    uncertainty_vapour: tuple[float, float, float] = later((0.08, 0.03, 0.3))
    #: Of the reflectance from other causes (calibration, the aerosol's kind, tables): relative, and besides. [-]
    uncertainty_other: tuple[float, float] = later((0.015, 0.002))
    #: Of what the surroundings change: relative. [-]
    uncertainty_adjacency: float = later(0.25)
    #: Of the light that clouds throw onto the ground, and of the sky that they hide: relative. [-]
    uncertainty_cloud_light: float = later(0.3)
    #: Counts per unit of AOT and per unit of reflectance.
    uncertainty_quantification: tuple[int, int] = later((500, 2500))

    # Modes
    #: Dates of a backward start.
    backward_dates: int = 8
    #: A gap to the previous product from which a tile starts anew: before and from July 2017 (S2B). [days]
    restart_gap: tuple[int, int] = (30, 15)

    # Scales of the product
    #: Counts per unit of reflectance, per g cm-2, per unit of AOT.
    reflectance_quantification: int = 10000
    water_vapour_quantification: int = 20
    aot_quantification: int = 200
    no_data: int = -10000

    @property
    def buffers(self) -> tuple[float, float]:
        """How far a product's cloud masks, and its shadow masks, reach beyond what was found. [m]"""
        return self.mask_buffers or (self.cloud_dilation, self.cloud_dilation)

    @property
    def digest(self) -> str:
        """SHA-256 of all the numbers: products with the same digest were made with the same parameters."""
        unknown_then = {f.name for f in fields(self) if "later" in f.metadata and getattr(self, f.name) == f.default}
        numbers = {name: value for name, value in asdict(self).items() if name not in unknown_then}
        return sha256(json.dumps(numbers | _RETIRED, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Version:
    """A processing version as users know it.

    Attributes
    ----------
    name : str
        ``V1_4``; printed ``V1-4`` in file names and ``1.4`` in the metadata.
    parameters : Parameters or None
        None for a version that is listed and not produced.
    released : date or None
        First production with it, as far as public.
    summary : str
        What changed, for users.
    known_defect : str
    """

    name: str
    parameters: Parameters | None
    released: date | None
    summary: str
    known_defect: str = ""

    @property
    def number(self) -> str:
        """As printed in the metadata: ``1.4``."""
        return self.name.removeprefix("V").replace("_", ".")

    @property
    def produced(self) -> bool:
        """Whether products can be made with it here."""
        return self.parameters is not None


#: The masks of 2016, as far as public.
_V1_3 = Parameters(version="V1_3", shadow_selection="single_pass")
_V1_4 = replace(
    _V1_3,
    version="V1_4",
    shadow_selection="three_pass",
    # A shadow darkens all bands, a crop that grows or snow that melts does not
    shadow_bands=("B4", "B8A", "B11"),
    # What else brightens the blue: haze, fresh snow in a part of a cell, fields laid bare, roofs
    cloud_max_haze=0.03,
    cloud_veil=(0.65, 0.65),
    cloud_nir_fall=0.5,
    cloud_snow_distance=960.0,
    cloud_vapour=(0.75, 0.85),
)
_V1_1 = replace(_V1_3, version="V1_1", cloud_blue_band="B2", aot_blue_band="B2")
_V2_0 = replace(
    _V1_4,
    version="V2_0",
    # In direct 6S runs of marine, coastal and clean air the composition takes nine tenths off the error of B8A
    aerosol_model="cams",
    air_pressure="forecast",
    # Half the cells' size: lengths in cells are doubled to stay what they were, but narrower buffers will do
    coarse_resolution=120,
    water_vapour_gap_radius=(4, 32),
    water_vapour_dilation=4,
    correlation_radius=5,
    correlation_min_pixels=40,
    # Light and shade of a slope shine through thin clouds
    correlation_threshold=0.85,
    aot_step=6,
    aot_window=(3, 4, 16),
    aot_dilation=2,
    adjacency_radius=20,
    cloud_dilation=180.0,
    # Drawn as wide as they say: half a cell around clouds, a little more than one around shadows
    mask_buffers=(60.0, 135.0),
    mask_resampling_threshold=0.5,
    # Roofs and fields in single cells, and below the edges of clouds
    cloud_faint_rise=0.01,
    cloud_lone_rise=2.0,
    cirrus_ground=0.9,
    shadow_heights=(0.0, 12000.0, 250.0),
    shadow_tops=(1500.0, 3.0),
    shadow_min_cells=3,
    # A large cloud hides most of its shadow: what is small may throw one of its size, a deck half of that
    shadow_ratio=(1.0, 0.5),
    shadow_small_cloud=400,
    adjacency_weights="6S",
    # Residuals in units of their own error: the colours' over the spread of blue to red ratios, the past's over 0.02
    aot_surroundings=True,
    aot_slope_spread=0.03,
    aot_colour_noise=(0.05, 0.006),
    aot_spectral_weight=1.0,
    aot_composite_weight=50.0,
    aot_rise_scale=(4e-5, 250.0),
    aot_dark_weight=1000.0,
)
_V2_1 = replace(
    _V2_0,
    version="V2_1",
    # The air: aerosol, water vapour, gases, veils, slopes
    # No bound by the darkest cell, which may be shaded; samples that stand out count less instead
    aot_dark_weight=0.0,
    aot_outlier=1.0,
    aot_max_shade=0.05,
    # As much light as clouds would send if they lay on the ground pulls the AOT down by 0.1 beside them
    adjacency_cloud_light=False,
    # Air varies within a kilometre: nodes 480 m apart, of all cells around them
    aot_step=4,
    aot_window=(4, 1, 9),
    aot_smoothing=1.0,
    aot_min_samples=12,
    # So small a neighbourhood is seldom less uniform; and the two dates before weigh more alike
    aot_min_swir_deviation=0.01,
    aot_rise_scale=(4e-5, 50.0),
    aot_composite_weight=100.0,
    # Red soils below thin bushes are no vegetation
    aot_min_ndvi=0.5,
    aot_max_red=0.1,
    # Of PROSAIL's canopies and soils
    aot_green_blue=(0.0075, 0.4, 0.82),
    vapour_surface=(0.029, 0.09),
    # CAMS errs by a factor of 1.5; the samples of a node err together
    aot_forecast_error=(0.4, 0.03),
    aot_forecast_weight=6.0,
    spectral_responses="own",
    # Dust, whose means lie between 0.1 and 0.5 from central Asia to the Sahel
    aerosol_desert=(0.25, 0.25, 0.5),
    aot_desert=(0.3, 0.2),
    # Sunlit ground between clouds is up to a tenth too bright in the infrared without it
    cloud_light=(0.5, 0.8),
    veil_range=(0.0012, 0.025),
    slope_shares=(0.0, 1.0),
    uncertainty_aot=(0.012, 0.07, 0.05, 0.17),
    uncertainty_samples=0.15,
    uncertainty_kind=0.06,
    uncertainty_other=(0.01, 0.0015),
    # What is smooth is looked up at every second cell: a quarter of the look-ups
    atmosphere_every=2,
    # The masks: clouds, shadows, water, snow
    mask_buffers=(120.0, 120.0),
    # Within their buffers clouds and shadows are drawn by the pixels of 20 m
    mask_resolution=20,
    mask_red_share=0.5,
    mask_fine=(0.1, 0.04),
    mask_rim=(20.0, 20.0),
    shadow_fine=(0.42, 0.22),
    cloud_spots=(0.08, 0.008, 0.7, 0.5),
    snow_colours=(0.85, 0.6),
    snow_rim_max_swir=0.3,
    snow_fine=(0.65, 0.25),
    snow_swir_max_factor=1.0,
    cloud_sure_rise=(0.08, 0.05),
    cloud_faint_nir_swir=0.8,
    cloud_over_snow=(1500.0, 0.34, 0.27, 0.06),
    cloud_amid_snow=(0.4, 0.45, 0.05),
    cloud_local_haze=(1000.0, 0.12, 0.3),
    cloud_water_rise=(0.05, 0.6, 0.35),
    # A burn scar darkens all bands but B12; what ripens brightens B4 more than a shadow darkens it
    shadow_bands=("B8A", "B11", "B12"),
    shadow_max_darkening=0.72,
    shadow_min_cells=1,
    shadow_water=0.04,
    shadow_flood=0.7,
    shadow_bands_alone=("B8A", "B11"),
    shadow_match=(0.88, 0.05, 1),
    shadow_match_alone=(0.85, 0.05, 1),
    shadow_common_height=0.3,
    correlation_max_rise=(0.15, 0.2),
    water_turbid=(0.0, 0.2, 0.1),
    water_min_share=0.51,
    composite_hazy_age=30,
    restart_gap=(90, 90),
)

#: All versions, oldest first. V1_2 was never distributed: the number stays empty.
VERSIONS: dict[str, Version] = {
    v.name: v
    for v in (
        Version(
            "V1_0",
            None,
            None,
            "First MACCS products for Sentinel-2, over France, for validation only. Retired.",
            "With more than 255 clouds in an image, shadows appear anywhere: cloud labels were kept in 8 bits.",
        ),
        Version(
            "V1_1",
            _V1_1,
            date(2016, 11, 15),
            "First operational version: France, Belgium, northern Spain. Any number of clouds. "
            "AOT from the ratio of B2 and B4.",
            "AOT is biased high and reflectances are about 2 % too low. Too many false cloud shadows.",
        ),
        Version(
            "V1_3",
            _V1_3,
            date(2017, 2, 1),
            "AOT from the ratio of B1 and B4: no bias, reflectances about 2 % higher. "
            "Also Reunion, Burkina Faso, Senegal, Tunisia, Morocco.",
            "Too many false cloud shadows.",
        ),
        Version(
            "V1_4",
            _V1_4,
            date(2017, 3, 1),
            "A better, less severe cloud shadow mask: shadows must match the size of their cloud, and darken red, near "
            "and short-wave infrared alike. Haze, fresh snow, fields laid bare and roofs are told from clouds. On a "
            "simulated series cloud accuracy is 0.957 (V1_3: 0.933), shadow F1 0.91 (0.72), and 0.5 % of the ground on "
            "clear dates is false cloud (3.8 %).",
        ),
        Version(
            "V2_0",
            _V2_0,
            None,
            "First version of our own, never released. Light from the surroundings is weighed as 6S has molecules and "
            "aerosol scatter it, and is taken away before the AOT is read; the ratio of B1 to B4 is sought with the "
            "AOT. Masks are found at 120 m and grown by 60 m (clouds) and 135 m (shadows) instead of 240 m; small "
            "clouds hang low, and summits are told from high clouds by the water vapour above them. Where the Level-1C"
            " brings forecasts, the air is as heavy as ECMWF's says, and the aerosol composed as CAMS's says. V2_1 "
            "takes its place.",
            "On dates with clouds the AOT falls towards its lower bound: on series that it was not tuned on it errs by"
            " 0.13 RMS (V1_4: 0.07). No shadows on dates without a past.",
        ),
        Version(
            "V2_1",
            _V2_1,
            None,
            "No dark cell bounds the AOT of the whole image, and clouds beside a place no longer darken it; water "
            "vapour is read below the aerosol; the light of thin high clouds is taken away and flagged, and that "
            "which clouds throw onto the ground beside them; clouds, shadows and snow are drawn by pixels of 20 m, "
            "shadows on dates without a past too; turbid and flooded water is water; S2C has its own spectral "
            "responses. On simulated series that were kept apart, crops and a coast, the AOT errs by 0.05 and 0.02 "
            "RMS (V1_4: 0.07, 0.06), water vapour by 0.04 and 0.03 g cm-2 (0.16, 0.19); cloud F1 is 0.984 and 0.998 "
            "(0.902, 0.968), shadow F1 0.932 and 0.834 (0.577, 0.570). A new raster, UNC, states how uncertain AOT "
            "and reflectance are.",
            "Thick desert dust is read too low (RMS 0.27 in a simulated Sahel; V1_4: 0.54), and fewer pixels of B2 "
            "are right under it than in V1_4 (21 %, 46 %); UNC does not hold there, nor in high mountains. Fewer "
            "pixels of B8A are right among clouded crops (82 %; V1_4: 88 %, of less ground).",
        ),
    )
}

#: What the centre produces unless told otherwise.
CURRENT = "V1_4"


def parameters(name: str) -> Parameters:
    """Parameters of a version that is produced.

    Raises
    ------
    ValueError
        If there is no such version, or it is not produced; the text lists those that are.
    """
    version = VERSIONS.get(name)
    if version is None or version.parameters is None:
        produced = ", ".join(v.name for v in VERSIONS.values() if v.produced)
        reason = "is not a version" if version is None else "is retired and not produced"
        raise ValueError(f"{name} {reason}; versions produced: {produced}")
    return version.parameters
