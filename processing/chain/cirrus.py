"""High clouds, seen at 1.38 um where water vapour hides the ground and the low clouds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.chain import air_model
from processing.chain.geometry import REFERENCE_BAND, Geometry
from processing.chain.recorder import SILENT, Recorder
from processing.chain.steps import step
from processing.scene import Scene
from processing.versions import Parameters


@step
def above_ground(
    toa_b10: NDArray[np.float32], scene: Scene, angles: Geometry, column: NDArray[np.float32], parameters: Parameters
) -> NDArray[np.float32]:
    """B10 without what the brightest ground can send through the water vapour above it, beyond `cirrus_offset`.

    Over dry and snowy summits the vapour hides little: with 0.3 g cm-2 a tenth of the light comes through.

    Parameters
    ----------
    toa_b10 : (row, col) float32
        Top-of-atmosphere reflectance of B10. [-]
    column : (row, col) float32
        Water vapour. [g cm-2]

    Returns
    -------
    (row, col) float32
        As it is where the version's `cirrus_ground` is 0. [-]
    """
    if not parameters.cirrus_ground:
        return toa_b10
    through = atmosphere.gas_transmittance(
        air_model.sensor(scene, parameters),
        "B10",
        angles.sun_zenith,
        angles.view_zenith[REFERENCE_BAND],
        air_model.altitude(scene, parameters),
        column,
        scene.ancillary.ozone,
    )
    sent = parameters.cirrus_ground * np.nan_to_num(through)
    return np.asarray(toa_b10 - np.maximum(sent - parameters.cirrus_offset, 0), np.float32)


@step
def detect(
    toa_b10: NDArray[np.float32],
    altitude: NDArray[np.float32],
    parameters: Parameters,
    recorder: Recorder = SILENT,
) -> NDArray[np.bool_]:
    """Cells brighter in B10 than the ground of their altitude can be.

    The threshold may grow with altitude, since less water vapour is left above the ground to hide it.

    Parameters
    ----------
    toa_b10 : (row, col) float32
        Top-of-atmosphere reflectance of B10, from `above_ground`. [-]
    altitude : (row, col) float32
        [m]

    Returns
    -------
    (row, col) bool
        False where B10 is NaN.
    """
    threshold = parameters.cirrus_offset + parameters.cirrus_gain * np.maximum(altitude, 0)
    shown = (
        "B10 less what ground sends through the vapour"
        if parameters.cirrus_ground
        else "B10 at the top of the atmosphere"
    )
    return recorder.test("high", f"{shown}, limit of the altitude", toa_b10, ">", threshold)
