"""The chain: from the top of the atmosphere to the surface, one scene after the other in time.

Pure: arrays and parameters in, arrays out; no files, no database, no date of today. Each step is a module with the
field's word for a name.

References
----------
Hagolle et al., "A multi-temporal method for cloud detection", Remote Sensing of Environment 114, 2010.
Hagolle et al., "A multi-temporal and multi-spectral method to estimate aerosol optical thickness", Remote Sensing 7,
2015.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from processing.bands import DISTRIBUTED
from processing.chain import (
    adjacency,
    aerosol_optical_thickness,
    cirrus,
    directional,
    gaseous_absorption,
    geometry,
    level2a,
    masking,
    rain,
    rayleigh,
    scattering,
    subsampling,
    terrain_shadow,
    water_vapour,
)
from processing.chain import composite as composites
from processing.chain import overcast as overcasts
from processing.chain.dilation import dilate
from processing.chain.overcast import may_be_overcast
from processing.chain.spread import Spread
from processing.chain.stopwatch import Stopwatch
from processing.scene import L2A, Composite, Mode, Scene
from processing.versions import Parameters

__all__ = ["correct", "look_back", "may_be_overcast", "overcast"]


def correct(
    scene: Scene, composite: Composite | None, parameters: Parameters, spread: Spread = map
) -> tuple[L2A, Composite | None]:
    """Correct one scene.

    Parameters
    ----------
    scene : Scene
        Left as it is. Each band's counts are looked up once for the coarse grid, and once more for each look-up of
        its surface reflectance in the result.
    composite : Composite or None
        What the date before left (nominal mode), what `look_back` left (backward mode), or None (init mode).
    parameters : Parameters
        Of the version.
    spread : callable
        ``ThreadPoolExecutor.map`` of a pool whose threads may work on one band each.

    Returns
    -------
    L2A
        With status ``not_valid`` and the reason in ``origin["reason"]`` when there is nothing to correct: no observed
        pixel, angles outside the tables, too many clouds, more aerosol than the tables know, too little of the tile
        seen so far.
    Composite or None
        What the next date starts from; None where the state must stay as it was.

    Raises
    ------
    StateError
        If the composite is not this scene's past.
    AncillaryError
        If the altitude is not on the coarse grid.
    """
    run = Stopwatch()
    mode: Mode = "init" if composite is None else "backward" if composite.backward else "nominal"
    past = None if composite is None else run(composites.recall, composite, scene, parameters)

    angles = run(geometry.interpolate, scene, parameters)
    factor = run(directional.factors, angles, parameters)
    ground = run(directional.as_seen, past, factor, parameters)
    altitude, known_terrain = scene.ancillary.altitude, scene.ancillary.terrain is not None
    relief = run(terrain_shadow.detect, altitude, known_terrain, angles, parameters)
    image = run(subsampling.reduce, scene, parameters)
    read = run(water_vapour.estimate, image, scene, angles, parameters)
    anywhere, _ = run(water_vapour.fill, read, ~image.observed, parameters)
    toa = run(gaseous_absorption.remove, rayleigh.BANDS, image, scene, angles, anywhere, parameters, spread)
    reflectance = run(rayleigh.correct, image, scene, angles, anywhere, parameters, spread)
    tested = image.observed & np.isfinite(sum(reflectance.values()))
    known = level2a.outcome(scene, mode, parameters, image, angles, tested)
    if not tested.any():
        return level2a.refused(known, level2a.why_untested(image, angles), run.seconds), None

    column = run(water_vapour.above_ground, read, anywhere, reflectance, altitude, tested, parameters)
    high = run(cirrus.above_ground, image.toa["B10"], scene, angles, column, parameters)
    seen = reflectance, high, read, image.saturated, tested
    bare, clouds, snow = masking.clouds(*seen, angles, altitude, relief, scene.day, ground, parameters, run)
    cloudy, shadow = clouds.all(), clouds.shadows()
    shown = run(bare.drawn, parameters) if parameters.mask_buffers else clouds
    known = level2a.outcome(scene, mode, parameters, image, angles, tested, shown, snow)
    if known.cloud_percent > parameters.max_cloud_percent:
        return level2a.refused(known, f"{known.cloud_percent:.1f} % of cloud", run.seconds), None

    clear = tested & ~cloudy & ~shadow
    water = masking.water(reflectance, tested, clouds, snow, relief, angles, ground, parameters, run)
    if ground:
        known.flags["rain"] = run(rain.detect, reflectance["B12"], clear & ~snow & ~water.mask, ground, parameters)
    column, filled = run(water_vapour.fill, read, cloudy | water.mask, parameters)
    saturated = image.any_saturated(rayleigh.BANDS)
    usable = clear & ~saturated & ~relief.shadow & ~dilate(snow | water.mask, parameters.aot_dilation)
    covered = known.cloud_percent + known.snow_percent
    try:
        aerosol = run(
            aerosol_optical_thickness.estimate,
            image,
            toa,
            scene,
            angles,
            column,
            usable,
            cloudy,
            covered,
            ground,
            parameters,
            spread,
        )
    except aerosol_optical_thickness.BeyondTables as error:
        return level2a.refused(known, str(error), run.seconds), None
    aot = aerosol.aot
    bands = rayleigh.BANDS if scene.spacing else level2a.CORRECTED
    coefficients = run(scattering.coefficients, bands, scene, angles, aot, column, parameters, spread)
    surface = run(scattering.remove, image.toa, coefficients, rayleigh.BANDS)
    steady = past is None or not composites.unsettled(known.flags, aot, clear, parameters)
    fresh = clear & ~saturated & ~composites.hazy(aot, clear, parameters) & steady
    normal = directional.normalised(factor, toa, reflectance, surface, aerosol, parameters)
    state = run(composites.update, past, scene, fresh, *normal, water, shadow, parameters)
    unseen = level2a.percent(state.day < 0, np.ones_like(tested))
    if unseen > parameters.max_no_data_percent:
        return level2a.refused(known, f"{unseen:.1f} % of the tile not seen clear so far", run.seconds), None

    if scene.spacing:
        return level2a.refused(known, "a thinned scene, for its composite alone", run.seconds), state

    uniform = run(scattering.remove, image.toa, coefficients, DISTRIBUTED)
    around = run(adjacency.surroundings, uniform, cloudy, scene, angles, aot, parameters, spread)
    lines = run(adjacency.correct, coefficients, around)
    found = level2a.Found(tested, shown, snow, water.mask, relief, angles, column, filled, aerosol, around, lines)
    l2a = level2a.valid(known, scene, image, found, run.seconds, parameters)
    backward = composite if composite is not None and composite.backward else None
    return replace(l2a, evidence=level2a.evidence(scene, image, reflectance, high, read, found, backward)), state


def overcast(scene: Scene, composite: Composite | None, parameters: Parameters, spread: Spread = map) -> L2A | None:
    """The outcome of a scene that a thinned look shows to have too many clouds, so that it need not be decoded.

    The same tests, against the same past, a few percent above the version's limit: as near to it as the means of a
    thinned scene may differ from those of all pixels, `correct` decides.

    Parameters
    ----------
    scene : Scene
        A thinned one.
    composite, spread
        As for `correct`.

    Returns
    -------
    L2A or None
        Not valid, as `correct` would find it; None where it may be valid.
    """
    limit = parameters.max_cloud_percent + overcasts.MARGIN
    found, _ = correct(scene, composite, replace(parameters, max_cloud_percent=limit), spread)
    return found if found.cloud_percent > limit else None


def look_back(
    scene: Scene, composite: Composite | None, parameters: Parameters, spread: Spread = map
) -> Composite | None:
    """Go one date back in time from the later ones, towards the first date of a series (MAJA's backward mode).

    The first date can so be tested against clear ground, as all others are. Its later dates go in newest first.

    Parameters
    ----------
    scene : Scene
        A thinned one will do.
    composite : Composite or None
        What the date after this one left; None for the newest.
    spread : callable
        As for `correct`.

    Returns
    -------
    Composite or None
        For the date before this one, or for `correct` of the first date; as it was if this one is not valid.
    """
    _, left = correct(scene, composite, parameters, spread)
    return composite if left is None else replace(left, backward=True)
