"""What can be said of a date: its figures and flags, where its numbers came from, and why it gives no product.

Every fallback that a step took (an ozone by default, a mean view angle, a constant AOT) is named in ``L2A.origin``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from processing.atmosphere import VALID_RANGES, outside
from processing.chain import air_model
from processing.chain.classify import Ground, Masks
from processing.chain.dilation import finer, times
from processing.chain.observation import Date, Observation
from processing.masks import OF_TERRAIN
from processing.scene import L2A, Figures
from processing.versions import Parameters


class NotValid(Exception):
    """There is nothing to correct: a stage ends the date, with what is known of it and the reason.

    Attributes
    ----------
    l2a : L2A
        Not valid, with the reason in ``origin["reason"]``.
    """

    def __init__(self, known: L2A, reason: str) -> None:
        super().__init__(reason)
        self.l2a = replace(known, origin=known.origin | {"reason": reason})


def percent(mask: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    """Share of the cells of `of` that `mask` holds, NaN without any. [%]"""
    count = int(np.count_nonzero(of))
    return 100.0 * int(np.count_nonzero(mask & of)) / count if count else float("nan")


def _shown(seen: Observation, masks: Masks) -> NDArray[np.bool_]:
    """The tested cells in those of the clouds that the product shows."""
    return finer(seen.tested, times(masks.shown.code, seen.tested))


def cloud_percent(seen: Observation, masks: Masks) -> float:
    """Clouds among the tested cells, as the product shows them. [%]"""
    return percent(masks.shown.all(), _shown(seen, masks))


def snow_percent(seen: Observation, masks: Masks) -> float:
    """Snow among the tested cells. [%]"""
    return percent(masks.snow, seen.tested)


def flags(seen: Observation, masks: Masks | None, ground: Ground | None, parameters: Parameters) -> dict[str, bool]:
    """What a whole date has: raised when any tested cell has it, ``cirrus`` from the version's share of high clouds.

    Without the masks or the ground those that rest on them are left out.
    """
    found = {
        "sun_glint": bool((seen.angles.sun_glint & seen.tested).any()),
        "hot_spot": bool((seen.angles.hot_spot & seen.tested).any()),
    }
    if masks is not None:
        found["cirrus"] = percent(masks.shown.high(), _shown(seen, masks)) >= parameters.cirrus_flag_percent
    if ground is not None and ground.rain is not None:
        found["rain"] = ground.rain
    return found


def of(date: Date, masks: Masks | None = None, ground: Ground | None = None) -> L2A:
    """What can be said of a date before it is corrected: not valid as yet, and without any raster."""
    seen, ancillary = date.seen, date.scene.ancillary
    figures = Figures(no_data_percent=percent(~seen.tested, np.ones_like(seen.tested)))
    if masks is not None:
        clouds, snow = cloud_percent(seen, masks), snow_percent(seen, masks)
        figures = replace(figures, cloud_percent=clouds, snow_percent=snow)
    origin = dict(ancillary.origin) | air_model.origin(date.scene, date.parameters)
    absent = set() if masks is None else masks.shown.absent.copy()
    if not seen.terrain:
        origin["flat_reflectance"] = "ground taken as flat, as there is no terrain model: FRE is SRE"
        absent |= OF_TERRAIN
    if bands := seen.angles.mean_view:
        origin["view_angles"] = f"mean of the band, where the detector is not known: {', '.join(sorted(bands))}"
    return L2A(
        status="not_valid",
        mode=date.mode,
        version=date.parameters.version,
        surface_reflectance={},
        flat_reflectance={},
        atmosphere={},
        cloud={},
        geophysical={},
        edge={},
        saturation={},
        interpolated={},
        defective={},
        absent=frozenset(absent),
        figures=figures,
        flags=flags(seen, masks, ground, date.parameters),
        origin=origin,
    )


def refuse_clouds(date: Date, masks: Masks, limit: float) -> None:
    """End a date that has more cloud than `limit` [%].

    Raises
    ------
    NotValid
    """
    found = cloud_percent(date.seen, masks)
    if found > limit:
        raise NotValid(of(date, masks), f"{found:.1f} % of cloud")


def why_untested(seen: Observation) -> str:
    """Reason for a date of which no cell could be tested."""
    if not seen.observed.any():
        return "no observed pixel"
    angles, observed = seen.angles, seen.observed
    sun, view = angles.sun_zenith[observed], angles.view_zenith["B2"][observed]
    reason = (
        "outside the validity of the look-up tables: "
        f"sun zenith {sun.min():.1f} to {sun.max():.1f} deg, view zenith {view.min():.1f} to {view.max():.1f} deg"
    )
    altitude, (_, top) = seen.altitude[observed], VALID_RANGES["altitude_km"]
    if altitude.max() > 1000 * top:
        reason += f", altitude {altitude.min():.0f} to {altitude.max():.0f} m: above {1000 * top:.0f} m"
    return reason


def why_blind(date: Date, water_vapour: NDArray[np.float32], blind: NDArray[np.bool_], bands: tuple[str, ...]) -> str:
    """The quantities for which observed cells have no answer, each with its range.

    Parameters
    ----------
    water_vapour : (row, col) float32
        Without gaps. [g cm-2]
    blind : (row, col) bool
        Observed cells that were not tested or not corrected.
    bands : tuple of str
        Those that were to be corrected.
    """
    angles, scene = date.seen.angles, date.scene
    faults = outside(
        sun_zenith=angles.sun_zenith[blind],
        view_zenith=np.stack([angles.view_zenith[band][blind] for band in bands]).max(axis=0),
        altitude_km=air_model.altitude(scene, date.parameters)[blind],
        water_vapour=water_vapour[blind],
        ozone=scene.ancillary.ozone,
    )
    return "; ".join(faults) or "no altitude"
