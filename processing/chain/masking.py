"""The mask tests of a date in their order: for the chain, and for who asks later why a cell is masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.chain import (
    cirrus,
    cloud_mask,
    correlation,
    multi_temporal,
    shadow_mask,
    shadow_outside,
    snow_mask,
    water_mask,
    water_vapour,
)
from processing.chain.clouds import Clouds
from processing.chain.geometry import Geometry
from processing.chain.recorder import SILENT, Recorder
from processing.chain.terrain_shadow import Relief
from processing.scene import Composite
from processing.versions import Parameters

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]


def clouds(
    reflectance: Mapping[str, Field],
    toa_b10: Field,
    column: Field,
    saturated: Mapping[str, Mask],
    tested: Mask,
    angles: Geometry,
    altitude: Field,
    relief: Relief,
    day: int,
    past: Composite | None,
    parameters: Parameters,
    run: Callable[..., Any],
    recorder: Recorder = SILENT,
) -> tuple[Clouds, Clouds, Mask]:
    """Clouds and their shadows as found, the same dilated, and the snow between them.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected. [-]
    toa_b10, altitude : (row, col) float32
        [-], [m]
    column : (row, col) float32
        Water vapour as read, above the cloud where there is one. [g cm-2]
    saturated : mapping of band to (row, col) bool
    tested : (row, col) bool
        Cells the masks speak of.
    day : int
        Of the scene, since 2000-01-01.
    past : Composite or None
        As recalled; without it, neither what moves nor shadows are sought.
    run : callable
        Calls the steps: `run(step, *arguments)`.
    """
    past_water = past.water if past else np.zeros_like(tested)
    high = run(cirrus.detect, toa_b10, altitude, parameters, recorder) & tested
    sun = np.cos(np.radians(angles.sun_zenith)), relief.cos_incidence
    snow = run(snow_mask.detect, reflectance, tested & ~high, past_water, *sun, parameters, recorder)
    given = reflectance, saturated, tested, snow, past_water, angles.sun_glint
    mono = run(cloud_mask.detect, *given, parameters, recorder)
    ice = run(snow_mask.amid_clouds, snow, mono | high, tested, parameters, recorder)
    snow, mono = snow & ~ice, mono | ice
    risen = run(multi_temporal.rise, reflectance, past, parameters) if past else None
    if parameters.cloud_vapour:
        faint = run(cloud_mask.detect, *given[:3], snow, *given[4:], parameters, recorder, True)
        above = run(water_vapour.relative, column, altitude, tested & ~faint & ~high, parameters)
        mono = run(cloud_mask.lifted, mono, faint, above, parameters, recorder, risen)
    found = Clouds(mono, high)
    if past:
        multi, candidates = run(multi_temporal.detect, reflectance, day, past, tested, snow, parameters, recorder)
        ground = run(correlation.alike, reflectance["B2"], past, mono | candidates, parameters, recorder)
        mono, multi = mono & ~ground, multi & ~ground
        if parameters.cloud_lone_rise > 1:
            beside = mono | high | (candidates & ~ground), risen, day, past, parameters, recorder
            multi = run(multi_temporal.accompanied, multi, *beside)
        thinnest = run(multi_temporal.extend, candidates, mono | multi, ground, parameters, recorder)
        casting = mono | multi | high
        ratio = run(shadow_mask.darkening, reflectance, past, casting, tested, parameters)
        inside = run(shadow_mask.detect, ratio, casting, tested, angles, altitude, parameters, recorder)
        around = ratio, inside, reflectance["B2"], tested, angles, past
        outside = run(shadow_outside.detect, *around, parameters, recorder)
        found = Clouds(mono, high, multi, thinnest, inside, outside)
    buffered = run(found.dilated, parameters, recorder)
    over = found if parameters.mask_buffers else buffered
    return found, buffered, snow & ~over.all()


def water(
    reflectance: Mapping[str, Field],
    tested: Mask,
    clouds: Clouds,
    snow: Mask,
    relief: Relief,
    angles: Geometry,
    past: Composite | None,
    parameters: Parameters,
    run: Callable[..., Any],
    recorder: Recorder = SILENT,
) -> water_mask.Water:
    """Water on the clear, level cells; parameters as of `clouds`."""
    level = ~relief.shadow & (relief.slope <= parameters.water_max_slope)
    clear = tested & ~clouds.all() & ~clouds.shadows() & ~snow & level
    recorder.value("water", "clear and level, not in a terrain shadow: tested", clear)
    found: water_mask.Water = run(water_mask.detect, reflectance, clear, angles.sun_glint, past, parameters, recorder)
    return found
