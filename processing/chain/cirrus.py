"""High clouds, seen at 1.38 um where water vapour hides the ground and the low clouds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.chain.recorder import SILENT, Recorder
from processing.versions import Parameters


def detect(
    toa_b10: NDArray[np.float32],
    altitude: NDArray[np.float32],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Cells brighter in B10 than the ground of their altitude can be.

    The threshold grows with altitude, since less water vapour is left above the ground to hide it.

    Parameters
    ----------
    toa_b10 : (row, col) float32
        Top-of-atmosphere reflectance of B10. [-]
    altitude : (row, col) float32
        [m]

    Returns
    -------
    (row, col) bool
        False where B10 is NaN.
    """
    threshold = parameters.cirrus_offset + parameters.cirrus_gain * np.maximum(altitude, 0)
    return recorder.test("high", "B10 at the top of the atmosphere, limit of the altitude", toa_b10, ">", threshold)
