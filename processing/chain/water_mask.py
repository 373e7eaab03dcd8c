"""Water: what looked like water on most of the last dates on which it was seen.

MAJA's possible water (PWA) and tested water (TWA) of the last dates make its water mask (WAS).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.chain.recorder import SILENT, Recorder
from processing.chain.steps import step
from processing.scene import Composite
from processing.versions import Parameters


@dataclass(frozen=True)
class Water:
    """The water mask and the tests it rests on.

    Attributes
    ----------
    mask : (row, col) bool
    possible, tested : (n, row, col) bool
        Newest date first.
    """

    mask: NDArray[np.bool_]
    possible: NDArray[np.bool_]
    tested: NDArray[np.bool_]


def of_one_date(
    reflectance: Mapping[str, NDArray[np.float32]],
    clear: NDArray[np.bool_],
    parameters: Parameters,
    recorder: Recorder,
) -> NDArray[np.bool_]:
    """What looks like water: neither green nor bright in the red; or whatever its colour, dark in B11 beside B3."""
    red, nir = reflectance["B4"], reflectance["B8A"]
    with np.errstate(invalid="ignore", divide="ignore"):
        ndvi = (nir - red) / (nir + red)
        if not parameters.water_turbid:
            found = recorder.test("water", "NDVI of B4 and B8A", ndvi, "<", parameters.water_max_ndvi, clear)
            return found & recorder.test("water", "B4", red, "<", parameters.water_max_red, clear)
        least, greenest, brightest = parameters.water_turbid
        green, swir = reflectance["B3"], reflectance["B11"]
        mndwi = (green - swir) / (green + swir)
        return (
            recorder.test("water", "MNDWI of B3 and B11", mndwi, ">", least, clear)
            & recorder.test("water", "NDVI of B4 and B8A", ndvi, "<", greenest, clear)
            & recorder.test("water", "B11", swir, "<", brightest, clear)
        )


@step
def detect(
    reflectance: Mapping[str, NDArray[np.float32]],
    clear: NDArray[np.bool_],
    sun_glint: NDArray[np.bool_],
    composite: Composite | None,
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> Water:
    """Possible water on this date, and water over the dates.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected B4 and B8A; with the version's `water_turbid` B3 and B11 too. [-]
    clear, sun_glint : (row, col) bool
        Only clear cells are tested. Where the sun may glint, water is also what is dark in the composite's near
        infrared and changes.
    composite : Composite or None
    """
    nir, found = reflectance["B8A"], of_one_date(reflectance, clear, parameters, recorder)
    with np.errstate(invalid="ignore", divide="ignore"):
        if composite is not None:
            past = composite.rayleigh_corrected["B8A"]
            change = 2 * np.abs(nir - past) / (nir + past)
            glint = clear & sun_glint
            changed = recorder.test(
                "water", "in sun glint: relative change of B8A", change, ">", parameters.water_glint_change, glint
            )
            dark = recorder.test(
                "water", "in sun glint: B8A of the composite", past, "<", parameters.water_glint_max_nir, glint
            )
            found |= sun_glint & changed & dark
    possible, tested = (found & clear)[None], clear[None]
    if composite is not None:
        kept = parameters.water_stack - 1
        possible = np.concatenate([possible, composite.possible_water[:kept]])
        tested = np.concatenate([tested, composite.tested_water[:kept]])
    looks = tested.sum(axis=0)
    share = possible.sum(axis=0) / np.maximum(looks, 1)
    often = recorder.test(
        "water", "share of the last dates that looked like water", share, ">=", parameters.water_min_share, looks > 0
    )
    mask = (looks > 0) & often
    recorder.value("water", "dates on which it was looked at", looks)
    recorder.value("water", "water", mask)
    return Water(mask, possible, tested)
