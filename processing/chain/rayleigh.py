"""The image the mask tests look at: corrected for gases, molecules and a fixed thin aerosol."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.chain import scattering
from processing.chain.geometry import Geometry
from processing.chain.spread import Spread
from processing.chain.steps import step
from processing.chain.subsampling import Image
from processing.scene import Scene
from processing.versions import Parameters

#: Bands of the mask tests, of the aerosol, and of the composite.
BANDS = ("B1", "B2", "B3", "B4", "B8A", "B11", "B12")


@step
def correct(
    image: Image,
    scene: Scene,
    geometry: Geometry,
    water_vapour: NDArray[np.float32],
    parameters: Parameters,
    spread: Spread = map,
) -> dict[str, NDArray[np.float32]]:
    """Surface reflectance under the version's `rayleigh_aot`, on the coarse grid.

    Returns
    -------
    dict of band to (row, col) float32
        Of `BANDS`; NaN where unobserved or outside the tables. [-]
    """
    aot = np.full(water_vapour.shape, parameters.rayleigh_aot, np.float32)
    coefficients = scattering.coefficients(BANDS, scene, geometry, aot, water_vapour, parameters, spread)
    return scattering.remove(image.toa, coefficients, BANDS)
