"""The masks of a date found again from what was kept of it, with every test that led to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing import masks
from processing.chain import composite as composites
from processing.chain import directional, level2a, masking, terrain_shadow
from processing.chain.clouds import Clouds
from processing.chain.geometry import REFERENCE_BAND, Geometry, angular_distances
from processing.chain.recorder import Recording
from processing.scene import Composite, Evidence
from processing.versions import Parameters


@dataclass(frozen=True)
class Explanation:
    """Every test of a date, and what came of it on the coarse grid.

    Attributes
    ----------
    tests : Recording
    clouds : Clouds
        As found, without buffers.
    cloud, geophysical, interpolated : (row, col) uint8
        Bits of CLM, MG2 and IAB, without those of MG2 that are made at full resolution; the first two maybe in cells
        of a fraction of the coarse ones.
    """

    tests: Recording
    clouds: Clouds
    cloud: NDArray[np.uint8]
    geophysical: NDArray[np.uint8]
    interpolated: NDArray[np.uint8]


def explain(evidence: Evidence, day: int, composite: Composite | None, parameters: Parameters) -> Explanation:
    """Make the mask tests of a date again: the same steps on the same numbers.

    Parameters
    ----------
    day : int
        Of the date, since 2000-01-01.
    composite : Composite or None
        What entered the date; None in init mode.
    """
    tests = Recording()
    past = None if composite is None else composites.remembered(composite, day, parameters)
    view_zenith, view_azimuth = evidence.view_zenith, evidence.view_azimuth
    glint, hot_spot = angular_distances(
        evidence.sun_zenith, evidence.sun_azimuth, view_zenith[REFERENCE_BAND], view_azimuth[REFERENCE_BAND]
    )
    tests.value("observed", "seen by all bands", evidence.observed)
    tests.value("observed", "inside the validity of the look-up tables", evidence.tested)
    for band, saturated in evidence.saturated.items():
        tests.value("saturation", band, saturated)
    tests.value("geometry", "zenith of the sun", evidence.sun_zenith, "deg")
    tests.value("geometry", f"zenith of the view, {REFERENCE_BAND}", view_zenith[REFERENCE_BAND], "deg")
    near = parameters.sun_glint_angle, parameters.hot_spot_angle
    angles = Geometry(
        evidence.sun_zenith,
        evidence.sun_azimuth,
        view_zenith,
        view_azimuth,
        tests.test("geometry", "angle to the sun's reflection: glint", glint, "<", near[0], unit="deg"),
        tests.test("geometry", "angle to the sun's direction: hot spot", hot_spot, "<", near[1], unit="deg"),
        frozenset(),
    )
    past = directional.as_seen(past, directional.factors(angles, parameters), parameters)
    for band, reflectance in evidence.reflectance.items():
        tests.value("reflectance", f"{band}, Rayleigh-corrected", reflectance)
    tests.value("reflectance", "altitude", evidence.altitude, "m")
    seen = evidence.reflectance, evidence.high, evidence.water_vapour_read, evidence.saturated, evidence.tested
    relief = terrain_shadow.detect(evidence.altitude, evidence.terrain, angles, parameters)
    found, clouds, snow = masking.clouds(*seen, angles, evidence.altitude, relief, day, past, parameters, _call, tests)
    if evidence.terrain:
        tests.test("terrain", "slope, for water", relief.slope, "<=", parameters.water_max_slope, unit="rad")
        tests.value("terrain", "cosine of the sun's angle to the slope of the cell", relief.cos_incidence)
        tests.value("terrain", "in the shadow of other ground", relief.shadow)
        tests.value("terrain", "hidden by other ground", relief.hidden)
    given = evidence.reflectance, evidence.tested, clouds, snow, relief, angles, past
    water = masking.water(*given, parameters, _call, tests)
    tests.value("water_vapour", "column used", evidence.water_vapour, "g cm-2")
    tests.value("water_vapour", "filled in from around", evidence.water_vapour_filled)
    tests.value("aot", "read here by the colour of vegetation", evidence.aot_spectral)
    tests.value("aot", "read here against the past", evidence.aot_temporal)
    tests.value("aot", "AOT at 550 nm used", evidence.aot)
    tests.value("aot", "filled in from around", evidence.aot_filled)
    cloud, geophysical = level2a.codes(found.drawn(parameters), snow, water.mask, relief, evidence.tested)
    filled = np.where(evidence.water_vapour_filled, masks.Interpolated.WATER_VAPOUR, 0).astype(np.uint8)
    filled[evidence.aot_filled] |= np.uint8(masks.Interpolated.AOT)
    return Explanation(tests, found, cloud, geophysical, filled)


def _call(step: Callable[..., Any], *arguments: Any) -> Any:
    return step(*arguments)
