"""The chain: from the top of the atmosphere to the surface, one date of a tile after the other.

Pure: arrays and parameters in, arrays out; no files, no database, no date of today. It reads as the figure of the
method. A stage takes a `Date` and adds a noun; its steps, in the order in which they are made, are modules with the
field's word for a name::

    observe   geometry, terrain_shadow, subsampling, water_vapour (as read), veil, gaseous_absorption,
              rayleigh
    classify  clouds: cirrus, snow_mask, cloud_mask; against the past multi_temporal, correlation, shadow_mask,
              shadow_outside; by their shape shadow_match; their buffers: clouds, drawing. Ground: water_mask, rain
    air       water_vapour (filled), aerosol_optical_thickness (aerosol_samples, aerosol_inversion), scattering
    remember  composite: what the next date starts from
    render    adjacency, cloud_light, uncertainty, rendering (figures); at full resolution, when a raster is asked
              for, slope_correction and resampling

References
----------
Hagolle et al., "A multi-temporal method for cloud detection", Remote Sensing of Environment 114, 2010.
Hagolle et al., "A multi-temporal and multi-spectral method to estimate aerosol optical thickness", Remote Sensing 7,
2015.
"""

from __future__ import annotations

from dataclasses import replace

from processing.chain import air, classify, outcome
from processing.chain import composite as composites
from processing.chain.observe import observe
from processing.chain.outcome import NotValid
from processing.chain.overcast import MARGIN, may_be_overcast
from processing.chain.rendering import render
from processing.chain.spread import Spread
from processing.chain.steps import Stopwatch
from processing.scene import L2A, Composite, Scene
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
    ValueError
        If the scene is a thinned one: it has no pixels to correct.
    """
    if scene.spacing:
        raise ValueError(f"{scene.identifier}: a thinned scene serves `overcast` and `look_back` alone")
    with Stopwatch() as watch:
        try:
            date = observe(scene, composite, parameters, spread)
            masks = classify.clouds(date.seen, parameters)
            outcome.refuse_clouds(date, masks, parameters.max_cloud_percent)
            ground = classify.ground(date.seen, masks, parameters)
            atmosphere = air.estimate(date, masks, ground)
            state = composites.remember(date, masks, ground, atmosphere)
            l2a, rasters = render(date, masks, ground, atmosphere)
            l2a = replace(l2a, origin=l2a.origin | composites.origin(date, masks, ground, atmosphere))
            del date, masks, ground, atmosphere  # an eighth of a tile's memory, which nobody asks for any more
            l2a = replace(l2a, figures=replace(l2a.figures, **rasters.shares()))
        except NotValid as reason:
            return replace(reason.l2a, seconds=watch.seconds), None
    return replace(l2a, seconds=watch.seconds), state


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
    with Stopwatch() as watch:
        try:
            date = observe(scene, composite, parameters, spread)
        except NotValid:
            return None
        masks = classify.clouds(date.seen, parameters)
        try:
            outcome.refuse_clouds(date, masks, parameters.max_cloud_percent + MARGIN)
        except NotValid as reason:
            return replace(reason.l2a, seconds=watch.seconds)
    return None


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
    try:
        date = observe(scene, composite, parameters, spread)
        masks = classify.clouds(date.seen, parameters)
        outcome.refuse_clouds(date, masks, parameters.max_cloud_percent)
        ground = classify.ground(date.seen, masks, parameters)
        atmosphere = air.estimate(date, masks, ground)
        state = composites.remember(date, masks, ground, atmosphere)
    except NotValid:
        return composite
    return replace(state, backward=True)
