"""Rain: wet soils are darker at 2.2 um everywhere at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.chain.steps import step
from processing.scene import Composite
from processing.versions import Parameters


@step
def detect(
    b12: NDArray[np.float32], clear_land: NDArray[np.bool_], composite: Composite, parameters: Parameters
) -> bool:
    """Whether the clear land is, on average, darker than the composite by more than the version's `rain_swir_drop`.

    Parameters
    ----------
    b12 : (row, col) float32
        Rayleigh-corrected. [-]
    clear_land : (row, col) bool
    """
    both = clear_land & (composite.day >= 0)
    if not both.any():
        return False
    drop = composite.rayleigh_corrected["B12"][both].mean(dtype=np.float64) - b12[both].mean(dtype=np.float64)
    return bool(drop > parameters.rain_swir_drop)
