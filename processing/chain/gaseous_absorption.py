"""The image without its gases, on the coarse grid: what the composite remembers of the top of the atmosphere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.chain import air_model
from processing.chain.geometry import Geometry
from processing.chain.spread import Spread, for_each
from processing.chain.steps import step
from processing.chain.subsampling import Image
from processing.scene import Scene
from processing.versions import Parameters


@step
def remove(
    bands: Iterable[str],
    image: Image,
    scene: Scene,
    geometry: Geometry,
    water_vapour: NDArray[np.float32],
    parameters: Parameters,
    spread: Spread = map,
) -> dict[str, NDArray[np.float32]]:
    """Top-of-atmosphere reflectance that would be seen without gases, NaN where unobserved. [-]"""
    altitude = air_model.altitude(scene, parameters)

    def of(band: str) -> NDArray[np.float32]:
        transmittance = atmosphere.gas_transmittance(
            scene.platform,
            band,
            geometry.sun_zenith,
            geometry.view_zenith[band],
            altitude,
            water_vapour,
            scene.ancillary.ozone,
        )
        return (image.toa[band] / transmittance).astype(np.float32)

    return for_each(spread, bands, of)
