"""Molecules and aerosol taken away, the gases with them: top-of-atmosphere reflectance becomes that of the surface.

Here each cell of the coarse grid is taken as a part of a uniform surface, and so the composite keeps it. What the light
from beside a pixel changes, and the full resolution, follow in `adjacency`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.atmosphere import Coefficients, LightPath
from processing.chain import air_model, thinning
from processing.chain.geometry import Geometry
from processing.chain.spread import Spread, for_each
from processing.chain.steps import step
from processing.scene import Scene
from processing.versions import Parameters


@step
def coefficients(
    bands: Iterable[str],
    scene: Scene,
    geometry: Geometry,
    aot: NDArray[np.float32],
    water_vapour: NDArray[np.float32],
    parameters: Parameters,
    spread: Spread = map,
) -> dict[str, Coefficients]:
    """What the atmosphere does to each band in each coarse cell.

    Returns
    -------
    dict of band to Coefficients
        (row, col) float32 scale, offset, transmittance, albedo; NaN outside the validity of the tables.
    """
    every = parameters.atmosphere_every
    altitude, thin_aot, thin_water = (
        thinning.means(field, every) for field in (air_model.altitude(scene, parameters), aot, water_vapour)
    )

    def of(band: str) -> Coefficients:
        sun, view = (thinning.corners(angle, every) for angle in (geometry.sun_zenith, geometry.view_zenith[band]))
        azimuth = thinning.corners(geometry.relative_azimuth(band), every)
        made = atmosphere.coefficients(
            air_model.sensor(scene, parameters),
            band,
            LightPath(sun, view, azimuth, altitude),
            thin_aot,
            thin_water,
            scene.ancillary.ozone,
            air_model.aerosol_model(scene, parameters),
        )
        return Coefficients(
            *(
                thinning.between(
                    np.ascontiguousarray(np.broadcast_to(field, thin_aot.shape), np.float32), every, aot.shape
                )
                for field in (made.scale, made.offset, made.transmittance, made.albedo)
            )
        )

    return for_each(spread, bands, of)


@step
def remove(
    toa: Mapping[str, NDArray[np.float32]], coefficients: Mapping[str, Coefficients], bands: Iterable[str]
) -> dict[str, NDArray[np.float32]]:
    """Surface reflectance of coarse reflectances: rho = y / (transmittance + albedo y), y = toa scale - offset. [-]"""
    surface = {}
    for band in bands:
        c = coefficients[band]
        y = toa[band] * c.scale - c.offset
        surface[band] = (y / (c.transmittance + c.albedo * y)).astype(np.float32)
    return surface
