"""The stage of the masks: each cell is told to be cloud, shadow, snow, water or clear ground.

The tests stand in their order, for the chain and for who asks later why a cell is masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.chain import (
    cirrus,
    cloud_mask,
    correlation,
    drawing,
    multi_temporal,
    shadow_mask,
    shadow_match,
    shadow_outside,
    snow_mask,
    water_mask,
    water_vapour,
)
from processing.chain import rain as rainfall
from processing.chain.clouds import Bright, Clouds, Shown
from processing.chain.dilation import dilate
from processing.chain.observation import Observation
from processing.chain.recorder import SILENT, Recorder
from processing.scene import Composite
from processing.versions import Parameters

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Masks:
    """What hides the ground of a date, on the coarse grid.

    Attributes
    ----------
    found : Clouds
        Clouds and their shadows as found, without buffers.
    bright : Bright or None
        Where in their cells they end, in versions that look at it; for who records the tests.
    clouds : Clouds
        The same dilated: what aerosol, water and composite keep away from.
    shown : Shown
        The same as the product shows them, maybe in cells of a fraction of the coarse ones.
    snow : (row, col) bool
        Between the clouds.
    clear : (row, col) bool
        Tested, neither cloud nor cloud shadow.
    dark : Bright or None
        The same of shadows.
    white : (row, col) bool or None
        The snow that the product shows, in the cells of `shown`; None where it is all that lies between the clouds.
    """

    found: Clouds
    bright: Bright | None
    clouds: Clouds
    shown: Shown
    snow: Mask
    clear: Mask
    dark: Bright | None = None
    white: Mask | None = None


@dataclass(frozen=True)
class Ground:
    """What the clear ground of a date is.

    Attributes
    ----------
    water : Water
    rain : bool or None
        Whether its soils are wet; None without a past.
    """

    water: water_mask.Water
    rain: bool | None


def clouds(seen: Observation, parameters: Parameters, recorder: Recorder = SILENT) -> Masks:
    """Clouds, their shadows, and the snow between them."""
    high = cirrus.detect(seen.high, seen.altitude, parameters, recorder) & seen.tested
    mono, snow = _of_one_date(seen, high, parameters, recorder)
    risen = multi_temporal.rise(seen.reflectance, seen.past, parameters) if seen.past else None
    if parameters.cloud_vapour:
        faint = cloud_mask.detect(seen, snow, parameters, recorder, faint=True)
        low = seen.tested & ~faint & ~high
        above = water_vapour.relative(seen.water_vapour, seen.altitude, low, parameters)
        beside = cloud_mask.beside(seen, mono, snow, parameters, recorder)
        mono = cloud_mask.lifted(mono, faint, above, parameters, recorder, risen, beside)
    amid = cloud_mask.over_snow(seen, snow, parameters, recorder)
    mono, snow = mono | amid, snow & ~amid
    found, below = Clouds(mono, high), np.zeros_like(mono)
    if seen.past and risen is not None:
        found, below = _against_the_past(seen, seen.past, found, snow, risen, parameters, recorder)
    elif parameters.shadow_bands_alone:
        shadow, below = _alone(seen, mono | high, snow, parameters, recorder)
        found = Clouds(mono, high, shadow=shadow)
    buffered = found.dilated(parameters, recorder)
    clear = seen.tested & ~buffered.all() & ~buffered.shadows()
    bright = dark = None
    ground = clear & ~snow
    if parameters.mask_fine:
        bright = drawing.brightening(seen, found, ground, snow, parameters)
    if parameters.shadow_fine:
        dark = drawing.darkening(seen, found, ground, parameters)
    if parameters.mask_red_share and not seen.detail:
        shown = found.inside().shown()
    elif parameters.mask_buffers:
        shown = found.drawn(parameters, bright, dark, below if parameters.shadow_fine else None).shown()
    else:
        shown = buffered.shown()
    cover = found if parameters.mask_buffers else buffered
    snow = snow & ~cover.all()
    white = drawing.whiteness(seen, snow, parameters) if parameters.snow_fine else None
    if recorder is SILENT:  # nobody will ask what drew the masks, and each takes as much memory as four of them
        bright = dark = None
    return Masks(found, bright, buffered, shown, snow, clear, dark, white)


def _of_one_date(seen: Observation, high: Mask, parameters: Parameters, recorder: Recorder) -> tuple[Mask, Mask]:
    """Mono-temporal clouds and snow, by the reflectances of this date alone; ice clouds are no snow."""
    sun = np.cos(np.radians(seen.angles.sun_zenith))
    snow = snow_mask.detect(
        seen.reflectance, seen.tested & ~high, seen.past_water, sun, seen.relief.cos_incidence, parameters, recorder
    )
    mono = cloud_mask.detect(seen, snow, parameters, recorder)
    ice = snow_mask.amid_clouds(snow, mono | high, seen.tested, parameters, recorder)
    return mono | ice, snow & ~ice


def _against_the_past(
    seen: Observation,
    past: Composite,
    one: Clouds,
    snow: Mask,
    risen: Field,
    parameters: Parameters,
    recorder: Recorder,
) -> tuple[Clouds, Mask]:
    """What differs from the past: clouds that rose above it, ground that did not change, shadows that darken it.

    And where the clouds cover the ground as they fit best, dark or not.
    """
    mono, high, b2 = one.mono_temporal, one.high, seen.reflectance["B2"]
    multi, candidates = multi_temporal.detect(seen.reflectance, seen.day, past, seen.tested, snow, parameters, recorder)
    doubtful = multi_temporal.doubtful(mono | candidates, seen.reflectance, past, parameters, recorder)
    ground = correlation.alike(b2, past, doubtful, parameters, recorder)
    mono, multi = mono & ~ground, multi & ~ground
    if parameters.cloud_lone_rise > 1:
        others = mono | high | (candidates & ~ground)
        multi = multi_temporal.accompanied(multi, others, risen, seen.day, past, parameters, recorder)
    if parameters.cloud_spots and seen.spots:
        free = seen.tested & ~snow & ~(past.water & seen.angles.sun_glint) & ~mono & ~high & ~multi
        multi = multi | multi_temporal.spots(seen, past, free, snow, parameters, recorder)
    thinnest = multi_temporal.extend(candidates, mono | multi, ground, parameters, recorder)
    casting = mono | multi | high
    ratio = shadow_mask.darkening(seen.reflectance, past, casting, seen.tested, parameters)
    if parameters.shadow_flood is not None:
        wet = water_mask.of_one_date(seen.reflectance, seen.tested & ~casting, parameters, SILENT)
        ratio = np.where(wet & _as_bright(seen, past, parameters, recorder), np.float32(np.nan), ratio)
    below = np.zeros_like(mono)
    inside = shadow_mask.detect(ratio, casting, seen.tested, seen.angles, seen.altitude, parameters, recorder)
    if parameters.shadow_match:
        match = parameters.shadow_match
        of_water = shadow_mask.darkening_of_water(seen.reflectance, past, casting, seen.tested, parameters)
        dark_water = seen.tested & ~casting & past.water & np.isnan(of_water)
        darkness = np.where(past.water, of_water, shadow_match.against_the_past(seen, past, ratio, parameters))
        shadow, below = shadow_match.detect(darkness, casting, dark_water, seen, match, parameters, recorder)
        inside = inside | shadow
    if parameters.shadow_bands_alone and (past.day < 0).any():
        alone, unknown = _alone(seen, casting, snow, parameters, recorder), past.day < 0
        inside, below = inside | alone.shadow & unknown, below | alone.below & unknown
    outside = shadow_outside.detect(ratio, inside, seen, past, parameters, recorder)
    return Clouds(mono, high, multi, thinnest, inside, outside), below


def _as_bright(seen: Observation, past: Composite, parameters: Parameters, recorder: Recorder) -> Mask:
    """What kept its visible light: a flood darkens the infrared as a shadow does."""
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = seen.reflectance["B3"] / past.rayleigh_corrected["B3"]
    text, least = "B3 over the composite's: of what looks like water, a flood's", parameters.shadow_flood or 0.0
    return recorder.test("shadow", text, kept, ">", least, past.day >= 0)


def _alone(
    seen: Observation, casting: Mask, snow: Mask, parameters: Parameters, recorder: Recorder
) -> shadow_match.Matched:
    """Shadows by this date alone, where the composite knows nothing."""
    tested = seen.tested & ~casting
    water = seen.past_water | water_mask.of_one_date(seen.reflectance, tested, parameters, SILENT)
    around = tested & ~dilate(casting, parameters.cloud_dilation, parameters.coarse_resolution) & ~snow & ~water
    ratio = shadow_match.among_surroundings(seen.reflectance, around, tested, parameters)
    dark_water = water & (seen.reflectance["B8A"] < np.minimum(seen.reflectance["B4"], parameters.shadow_dark_water))
    match = parameters.shadow_match_alone
    return shadow_match.detect(ratio, casting, dark_water, seen, match, parameters, recorder)


def ground(seen: Observation, masks: Masks, parameters: Parameters, recorder: Recorder = SILENT) -> Ground:
    """Water on the clear, level cells, and whether it has rained on the others."""
    relief, level = seen.relief, seen.relief.slope <= parameters.water_max_slope
    if seen.terrain:
        recorder.test("terrain", "slope, for water", relief.slope, "<=", parameters.water_max_slope, unit="rad")
        recorder.value("terrain", "cosine of the sun's angle to the slope of the cell", relief.cos_incidence)
        recorder.value("terrain", "in the shadow of other ground", relief.shadow)
        recorder.value("terrain", "hidden by other ground", relief.hidden)
    flat = masks.clear & ~masks.snow & ~relief.shadow & level
    recorder.value("water", "clear and level, not in a terrain shadow: tested", flat)
    water = water_mask.detect(seen.reflectance, flat, seen.angles.sun_glint, seen.past, parameters, recorder)
    land = masks.clear & ~masks.snow & ~water.mask
    rain = rainfall.detect(seen.reflectance["B12"], land, seen.past, parameters) if seen.past else None
    return Ground(water, rain)
