"""The past as the chain knows it: the last clear look at each cell, left by one date to the next.

It is the recurrent state of a tile: what MAJA keeps as the private part of a Level-2 product (L2COMP) and reads again
for the next one, the D-date. The composite of reflectances (RTA, RCR, RTC), the stack of the last images for the
correlation (STO), the last dates' water tests (PWA, TWA) and their outcome (WAS): each a field of `Composite`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from processing.chain import outcome, rayleigh, scattering
from processing.chain.aerosol_optical_thickness import Aerosol
from processing.chain.air import Air
from processing.chain.classify import Ground, Masks
from processing.chain.clouds import Clouds
from processing.chain.dilation import dilate
from processing.chain.observation import Date
from processing.chain.steps import step
from processing.chain.water_mask import Water
from processing.errors import StateError
from processing.scene import Composite, Scene, day_of
from processing.versions import Parameters

Rasters = Mapping[str, NDArray[np.float32]]

#: From here on a product tells how old its past is: what a tile that starts anew would do without. [days]
OLD = 15


@step
def recall(composite: Composite, scene: Scene, parameters: Parameters) -> Composite:
    """The composite as this scene may use it: what is farther than the version's `composite_max_age` is forgotten.

    After a backward start it still has cells of later dates, where nothing clear was seen since. When their own date
    comes they are forgotten too, as an image must not be its own past.

    Raises
    ------
    StateError
        If it is of another tile, version or grid, or not older than the scene; a backward one: not newer.
    """
    name = f"state of {composite.tile} {composite.version} at {composite.sensing:%Y-%m-%dT%H:%M:%S}"
    here = f"the scene {scene.identifier}"
    if composite.tile != scene.tile:
        raise StateError(name, f"{here} is of tile {scene.tile}")
    if composite.version != parameters.version:
        raise StateError(name, f"the version asked for is {parameters.version}")
    if composite.grid != scene.grid:
        raise StateError(name, f"lies on {composite.grid}, {here} on {scene.grid}")
    if composite.resolution != parameters.coarse_resolution:
        raise StateError(
            name, f"has cells of {composite.resolution} m, {parameters.version} of {parameters.coarse_resolution} m"
        )
    if composite.day.shape != scene.grid.shape(composite.resolution):
        raise StateError(name, f"has {composite.day.shape} cells, {here} {scene.grid.shape(composite.resolution)}")
    if composite.backward:
        if composite.sensing <= scene.sensing:
            raise StateError(f"backward {name}", f"is not newer than {here} of {scene.sensing:%Y-%m-%dT%H:%M:%S}")
    elif composite.sensing >= scene.sensing:
        raise StateError(name, f"is not older than {here} of {scene.sensing:%Y-%m-%dT%H:%M:%S}")
    return remembered(composite, scene.day, parameters)


def remembered(composite: Composite, day: int, parameters: Parameters) -> Composite:
    """The composite as `recall` gives it to a scene of a day since 2000-01-01."""
    lag = day - composite.day.astype(np.int32)
    old = (composite.day >= 0) & (np.abs(lag) > parameters.composite_max_age)
    if not composite.backward and day_of(composite.sensing) != day:
        old |= lag == 0
        kept = [n for n, other in enumerate(composite.stack_days) if other != day]
        if len(kept) < len(composite.stack_days):
            days = tuple(composite.stack_days[n] for n in kept)
            composite = replace(composite, stack=composite.stack[kept], stack_days=days)
    if not old.any():
        return composite
    return replace(
        composite,
        day=np.where(old, np.int16(-1), composite.day),
        toa=_without(composite.toa, old),
        rayleigh_corrected=_without(composite.rayleigh_corrected, old),
        surface=_without(composite.surface, old),
        blue=np.where(old, np.float32(np.nan), composite.blue),
    )


def _without(rasters: Rasters, old: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    return {band: np.where(old, np.float32(np.nan), raster) for band, raster in rasters.items()}


def unsettled(
    flags: Mapping[str, bool], aot: NDArray[np.float32], clear: NDArray[np.bool_], parameters: Parameters
) -> bool:
    """Whether the whole date is kept out of a composite that is there: hot spot, cirrus, rain, or much aerosol."""
    return bool(_disturbed(flags)) or too_hazy(aot, clear, parameters)


def _disturbed(flags: Mapping[str, bool]) -> list[str]:
    """What a whole date has that keeps it out."""
    return [name for name in ("hot_spot", "cirrus", "rain") if flags.get(name, False)]


def too_hazy(aot: NDArray[np.float32], clear: NDArray[np.bool_], parameters: Parameters) -> bool:
    """Whether the mean AOT of a date is above what a composite takes."""
    return bool(clear.any() and aot[clear].mean(dtype=np.float64) > parameters.aot_max_for_composite)


def _fit(date: Date, masks: Masks, ground: Ground, aot: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells of a date that may go into the composite, as far as their aerosol and the whole date's state go.

    Where the version has a `composite_hazy_age`, much aerosol on the whole keeps out neither the cells that have less
    nor those of which the composite knows nothing as new: dust may last for months.
    """
    past, parameters, clear = date.seen.past, date.parameters, masks.clear
    everywhere, raised = np.ones_like(clear), outcome.flags(date.seen, masks, ground, parameters)
    if past is None or not unsettled(raised, aot, clear, parameters):
        return everywhere
    if parameters.composite_hazy_age is None or _disturbed(raised):
        return ~everywhere
    old = (past.day < 0) | (np.abs(date.scene.day - past.day.astype(np.int32)) >= parameters.composite_hazy_age)
    return np.asarray(old | (aot <= parameters.aot_max_for_composite))


def origin(date: Date, masks: Masks, ground: Ground, air: Air) -> dict[str, str]:
    """What of the memory a product should tell: that much aerosol kept the date out, or that the past is old."""
    told: dict[str, str] = {}
    past, parameters, clear, aot = date.seen.past, date.parameters, masks.clear, air.aerosol.aot
    if past is None:
        return told
    if too_hazy(aot, clear, parameters):
        mean = aot[clear].mean(dtype=np.float64)
        kept = 100.0 - outcome.percent(_fit(date, masks, ground, aot), clear)
        told["composite"] = (
            f"{kept:.0f} % of the clear ground left as it was: mean AOT {mean:.2f} is above "
            f"{parameters.aot_max_for_composite:g}"
        )
    days = abs((date.scene.sensing - past.sensing).days)
    if not past.backward and days >= OLD:
        told["past"] = f"{days} days since the last product: its ground is as old or older"
    return told


def hazy(aot: NDArray[np.float32], clear: NDArray[np.bool_], parameters: Parameters) -> NDArray[np.bool_]:
    """Cells under much more aerosol than the rest of the clear ones, perhaps smoke or unseen cloud, and around them."""
    if not clear.any():
        return np.zeros_like(clear)
    deviations, least = parameters.aot_excess_for_composite
    mean, deviation = aot[clear].mean(dtype=np.float64), aot[clear].std(dtype=np.float64)
    return dilate(clear & (aot > mean + max(deviations * deviation, least)), 1)


def remember(date: Date, masks: Masks, ground: Ground, air: Air) -> Composite:
    """The stage of the memory: the state this date leaves, its clear cells over what was known.

    A hot spot, cirrus or rain keep a whole date out of a composite that is there, and so does much aerosol, or it
    keeps out what has not waited long.

    Raises
    ------
    NotValid
        If too little of the tile was seen clear so far.
    """
    seen, parameters, aot = date.seen, date.parameters, air.aerosol.aot
    saturated = date.image.any_saturated(rayleigh.BANDS)
    fresh = masks.clear & ~saturated & ~hazy(aot, masks.clear, parameters) & _fit(date, masks, ground, aot)
    surface = scattering.remove(date.image.toa, air.coefficients, rayleigh.BANDS)
    state = _update(date, fresh, surface, air.aerosol, ground.water, masks.clouds)
    unseen = outcome.percent(state.day < 0, np.ones_like(seen.tested))
    if unseen > parameters.max_no_data_percent:
        raise outcome.NotValid(outcome.of(date, masks, ground), f"{unseen:.1f} % of the tile not seen clear so far")
    return state


@step
def _update(
    date: Date, clear: NDArray[np.bool_], surface: Rasters, aerosol: Aerosol, water: Water, clouds: Clouds
) -> Composite:
    """The composite renewed where `clear`.

    The stack of images, which tells the ground again, has no cloud of this date: over a ridge or an island the next
    one looks much the same.

    Parameters
    ----------
    surface : mapping of band to (row, col) float32
        Surface reflectance of this date. [-]
    clouds : Clouds
        Of this date, with their shadows and buffers.
    """
    scene, past, parameters = date.scene, date.seen.past, date.parameters
    nothing: dict[str, NDArray[np.float32]] = {}

    def renewed(fresh: Rasters, known: Rasters) -> dict[str, NDArray[np.float32]]:
        return {band: np.where(clear, fresh[band], known.get(band, np.float32(np.nan))) for band in fresh}

    stack = np.where(clouds.all(), np.float32(np.nan), date.seen.reflectance["B2"])[None]
    days: tuple[int, ...] = (scene.day,)
    if past is not None:
        kept = parameters.correlation_stack - 1
        stack, days = np.concatenate([stack, past.stack[:kept]]), days + past.stack_days[:kept]
    band, terms = parameters.aot_blue_band, np.arange(len(aerosol.blue)).reshape(-1, 1, 1)
    known = (aerosol.blue * aerosol.aot**terms).sum(axis=0, dtype=np.float32)  # what the next AOT is found with
    return Composite(
        tile=scene.tile,
        version=parameters.version,
        grid=scene.grid,
        resolution=parameters.coarse_resolution,
        sensing=scene.sensing,
        day=np.where(clear, np.int16(scene.day), np.int16(-1) if past is None else past.day),
        toa=renewed(date.toa, past.toa if past else nothing),
        rayleigh_corrected=renewed(date.seen.reflectance, past.rayleigh_corrected if past else nothing),
        surface=renewed({**surface, band: known}, past.surface if past else nothing),
        stack=stack,
        stack_days=days,
        possible_water=water.possible,
        tested_water=water.tested,
        water=water.mask,
        shadow=clouds.shadows(),
        aot=aerosol.aot,
        blue=np.where(clear, aerosol.blue, np.float32(np.nan) if past is None else past.blue),
    )
