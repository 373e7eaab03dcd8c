"""Water: what looked like water on most of the last dates on which it was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def detect(
    reflectance: Mapping[str, NDArray[np.float32]],
    clear: NDArray[np.bool_],
    sun_glint: NDArray[np.bool_],
    composite: Composite | None,
    parameters: Parameters,
) -> Water:
    """Possible water on this date, and water over the dates.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected B4 and B8A. [-]
    clear, sun_glint : (row, col) bool
        Only clear cells are tested. Where the sun may glint, water is also what is dark in the composite's near
        infrared and changes.
    composite : Composite or None
    """
    red, nir = reflectance["B4"], reflectance["B8A"]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = ((nir - red) / (nir + red) < parameters.water_max_ndvi) & (red < parameters.water_max_red)
        if composite is not None:
            past = composite.rayleigh_corrected["B8A"]
            change = 2 * np.abs(nir - past) / (nir + past)
            found |= sun_glint & (change > parameters.water_glint_change) & (past < parameters.water_glint_max_nir)
    possible, tested = (found & clear)[None], clear[None]
    if composite is not None:
        kept = parameters.water_stack - 1
        possible = np.concatenate([possible, composite.possible_water[:kept]])
        tested = np.concatenate([tested, composite.tested_water[:kept]])
    looks = tested.sum(axis=0)
    share = possible.sum(axis=0) / np.maximum(looks, 1)
    return Water((looks > 0) & (share >= parameters.water_min_share), possible, tested)
