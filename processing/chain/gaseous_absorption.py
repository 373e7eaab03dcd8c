"""The image without its gases, on the coarse grid: what the composite remembers of the top of the atmosphere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.chain import air_model, thinning
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
    every = parameters.atmosphere_every
    altitude = thinning.means(air_model.altitude(scene, parameters), every)
    thin_water = thinning.means(water_vapour, every)

    def of(band: str) -> NDArray[np.float32]:
        transmittance = atmosphere.gas_transmittance(
            air_model.sensor(scene, parameters),
            band,
            thinning.corners(geometry.sun_zenith, every),
            thinning.corners(geometry.view_zenith[band], every),
            altitude,
            thin_water,
            scene.ancillary.ozone,
        )
        if every > 1:
            transmittance = thinning.between(transmittance, every, water_vapour.shape)
        return (image.toa[band] / transmittance).astype(np.float32)

    return for_each(spread, bands, of)
