"""Snow: bright and white as a cloud, but dark at 1.6 um."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from processing.chain.dilation import dilate
from processing.versions import Parameters


def detect(
    reflectance: Mapping[str, NDArray[np.float32]],
    valid: NDArray[np.bool_],
    past_water: NDArray[np.bool_],
    parameters: Parameters,
) -> NDArray[np.bool_]:
    """Snow by the normalised difference of green and short-wave infrared, on flat ground.

    Parameters
    ----------
    reflectance : mapping of band to (row, col) float32
        Rayleigh-corrected B3, B4 and B11. [-]
    valid, past_water : (row, col) bool
        Turbid water looks like snow: what the composite knows as water is left out.

    Returns
    -------
    (row, col) bool
        Grown by the version's `snow_dilation`.
    """
    green, red, swir = reflectance["B3"], reflectance["B4"], reflectance["B11"]
    with np.errstate(invalid="ignore", divide="ignore"):
        ndsi = (green - swir) / (green + swir)
        found = (ndsi > parameters.snow_min_ndsi) & (red > parameters.snow_min_red) & (swir < parameters.snow_max_swir)
    return dilate(found & valid & ~past_water, parameters.snow_dilation) & valid
