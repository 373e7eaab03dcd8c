"""The first stage: a scene becomes what the mask tests look at."""

from __future__ import annotations

import numpy as np

from processing.chain import (
    air_model,
    cirrus,
    gaseous_absorption,
    geometry,
    outcome,
    rayleigh,
    subsampling,
    terrain_shadow,
    veil,
    water_vapour,
)
from processing.chain import composite as composites
from processing.chain.observation import Date, Observation
from processing.chain.recorder import Recorder
from processing.chain.spread import Spread
from processing.scene import Composite, Evidence, Scene
from processing.versions import Parameters


def observe(scene: Scene, composite: Composite | None, parameters: Parameters, spread: Spread = map) -> Date:
    """Bring a scene to the coarse grid and take gases and molecules away.

    Parameters
    ----------
    scene, composite, parameters, spread
        As for `processing.chain.correct`.

    Raises
    ------
    NotValid
        If no pixel is observed, or the angles lie outside the tables.
    StateError
        If the composite is not this scene's past.
    AncillaryError
        If the altitude is not on the coarse grid.
    """
    past = None if composite is None else composites.recall(composite, scene, parameters)
    altitude, terrain = scene.ancillary.altitude, scene.ancillary.terrain is not None
    angles = geometry.interpolate(scene, parameters)
    relief = terrain_shadow.detect(altitude, terrain, angles, parameters)
    image = subsampling.reduce(scene, parameters)
    scene = air_model.over(scene, image.toa, image.observed, parameters)
    read = water_vapour.estimate(image, scene, angles, parameters)
    anywhere, _ = water_vapour.fill(read, ~image.observed, parameters)
    thin = veil.detect(image, scene, angles, anywhere, past, parameters)
    image = veil.remove(image, thin)
    toa = gaseous_absorption.remove(rayleigh.BANDS, image, scene, angles, anywhere, parameters, spread)
    reflectance = rayleigh.correct(image, scene, angles, anywhere, parameters, spread)
    tested = image.observed & np.isfinite(sum(reflectance.values()))
    column = water_vapour.above_ground(read, anywhere, reflectance, altitude, tested, parameters)
    high = cirrus.above_ground(image.toa["B10"], scene, angles, column, parameters)
    seen = Observation(
        day=scene.day,
        past=past,
        reflectance=reflectance,
        high=high,
        water_vapour=read,
        saturated=image.saturated,
        observed=image.observed,
        tested=tested,
        angles=angles,
        altitude=altitude,
        terrain=terrain,
        relief=relief,
        detail=image.detail,
        spots=image.spots,
    )
    date = Date(scene, composite, parameters, spread, image, toa, seen, thin)
    if not tested.any():
        raise outcome.NotValid(outcome.of(date), outcome.why_untested(seen))
    return date


def observe_again(
    kept: Evidence, day: int, composite: Composite | None, parameters: Parameters, recorder: Recorder
) -> Observation:
    """What the mask tests of a date looked at, from what was kept of it.

    Parameters
    ----------
    day : int
        Of the date, since 2000-01-01.
    composite : Composite or None
        What entered the date; None in init mode.
    recorder : Recorder
        Is told all that was seen.
    """
    past = None if composite is None else composites.remembered(composite, day, parameters)
    recorder.value("observed", "seen by all bands", kept.observed)
    recorder.value("observed", "inside the validity of the look-up tables", kept.tested)
    for band, saturated in kept.saturated.items():
        recorder.value("saturation", band, saturated)
    angles = _directions(kept, parameters, recorder)
    for band, reflectance in kept.reflectance.items():
        recorder.value("reflectance", f"{band}, Rayleigh-corrected", reflectance)
    recorder.value("reflectance", "altitude", kept.altitude, "m")
    return Observation(
        day=day,
        past=past,
        reflectance=kept.reflectance,
        high=kept.high,
        water_vapour=kept.water_vapour_read,
        saturated=kept.saturated,
        observed=kept.observed,
        tested=kept.tested,
        angles=angles,
        altitude=kept.altitude,
        terrain=kept.terrain,
        relief=terrain_shadow.detect(kept.altitude, kept.terrain, angles, parameters),
        detail=kept.detail,
        spots=kept.spots,
    )


def _directions(kept: Evidence, parameters: Parameters, recorder: Recorder) -> geometry.Geometry:
    band = geometry.REFERENCE_BAND
    glint, hot_spot = geometry.angular_distances(
        kept.sun_zenith, kept.sun_azimuth, kept.view_zenith[band], kept.view_azimuth[band]
    )
    recorder.value("geometry", "zenith of the sun", kept.sun_zenith, "deg")
    recorder.value("geometry", f"zenith of the view, {band}", kept.view_zenith[band], "deg")
    near, nearer = parameters.sun_glint_angle, parameters.hot_spot_angle
    return geometry.Geometry(
        kept.sun_zenith,
        kept.sun_azimuth,
        kept.view_zenith,
        kept.view_azimuth,
        recorder.test("geometry", "angle to the sun's reflection: glint", glint, "<", near, unit="deg"),
        recorder.test("geometry", "angle to the sun's direction: hot spot", hot_spot, "<", nearer, unit="deg"),
        frozenset(),
    )
