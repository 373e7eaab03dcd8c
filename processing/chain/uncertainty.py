"""How far the numbers of a product may be off: one standard deviation of the AOT and of each band's reflectance.

Propagated from what the chain does not know: the aerosol and its kind, the water vapour, how much light comes from
beside and from clouds, a veil that was taken away; and what no step sees, such as the calibration, as a share of the
reflectance. The causes are taken as independent of each other. Each holds for the mean ground of a cell of the coarse
grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.bands import DISTRIBUTED
from processing.chain import air_model
from processing.chain.adjacency import Environment
from processing.chain.air import Air
from processing.chain.cloud_light import Light
from processing.chain.observation import Date
from processing.chain.spread import for_each
from processing.chain.steps import step

Field = NDArray[np.float32]
#: What the air changes is smooth: it is found at every so many cells.
_EVERY = 8
#: Steps of the derivatives: AOT [-], and of the water vapour [relative].
_AOT, _VAPOUR = 0.05, 0.1
#: Two grounds between which derivatives are straight lines. [-]
_DARK, _BRIGHT = 0.05, 0.35


@step
def estimate(
    date: Date,
    air: Air,
    surface: Mapping[str, Field],
    around: Mapping[str, Environment],
    thrown: Light | None,
    by_veil: Mapping[str, Field],
) -> dict[str, Field]:
    """Standard deviations on the coarse grid.

    Parameters
    ----------
    surface : mapping of band to (row, col) float32
        Surface reflectance of the bands of the product. [-]
    around : mapping of band to Environment
    thrown : Light or None
        By clouds.
    by_veil : mapping of band to (row, col) float32
        By how much the reflectance changes per light of a veil, where the date has one. [-]

    Returns
    -------
    dict of name to (row, col) float32
        ``AOT``, then the bands of the product in their order; empty where the version gives none. [-]
    """
    parameters = date.parameters
    if not parameters.uncertainty_aot:
        return {}
    besides, relative, gap = parameters.uncertainty_vapour
    vapour = np.hypot(besides + relative * air.water_vapour, np.where(air.water_vapour_filled, gap, 0.0))
    share, least = parameters.uncertainty_other

    def of(band: str) -> Field:
        rho = np.nan_to_num(surface[band])
        by_aot, by_vapour = _derivatives(date, air, band, rho)
        variance = (by_aot * air.aerosol.error) ** 2 + (by_vapour * vapour) ** 2 + (share * rho + least) ** 2
        variance += (parameters.uncertainty_kind * air.aerosol.aot * rho) ** 2
        mean, down, up = around[band]
        variance += (parameters.uncertainty_adjacency * (1 - up) / up * np.nan_to_num(mean - rho)) ** 2
        if thrown is not None:
            doubt = parameters.uncertainty_cloud_light * np.hypot(down * thrown.passed, (1 - down) * thrown.hidden)
            variance += (doubt * rho) ** 2
        if date.veil is not None:
            variance += (date.veil.light * np.float32(date.veil.error[band]) * by_veil[band]) ** 2
        return np.asarray(np.sqrt(np.nan_to_num(variance)), np.float32)

    return {"AOT": air.aerosol.error, **for_each(date.spread, DISTRIBUTED, of)}


def _derivatives(date: Date, air: Air, band: str, rho: Field) -> tuple[Field, Field]:
    """By how much the reflectance changes per unit of AOT, and per g cm-2 of water vapour, in each cell."""
    scene, angles, parameters = date.scene, date.seen.angles, date.parameters
    thin = (slice(None, None, _EVERY), slice(None, None, _EVERY))
    path = atmosphere.LightPath(
        angles.sun_zenith[thin],
        angles.view_zenith[band][thin],
        angles.relative_azimuth(band)[thin],
        air_model.altitude(scene, parameters)[thin],
    )

    def terms(aot: Field, vapour: Field) -> atmosphere.Coefficients:
        sensor, model = air_model.sensor(scene, parameters), air_model.aerosol_model(scene, parameters)
        return atmosphere.coefficients(sensor, band, path, aot, vapour, scene.ancillary.ozone, model)

    aot, vapour = air.aerosol.aot[thin], air.water_vapour[thin]
    thinner = np.where(aot > parameters.aot_max - _AOT, -_AOT, _AOT).astype(np.float32)
    more = np.maximum(_VAPOUR * vapour, 0.05).astype(np.float32)
    now, hazier, wetter = terms(aot, vapour), terms(aot + thinner, vapour), terms(aot, vapour + more)
    slopes = []
    for other, by in ((hazier, thinner), (wetter, more)):
        dark, bright = ((_seen_as(ground, now, other) - ground) / by for ground in (_DARK, _BRIGHT))
        steeper = (bright - dark) / (_BRIGHT - _DARK)
        start, along = (_to_cells(field, rho.shape) for field in (dark - steeper * _DARK, steeper))
        slopes.append((start + along * rho).astype(np.float32))
    return slopes[0], slopes[1]


def _seen_as(ground: float, now: atmosphere.Coefficients, other: atmosphere.Coefficients) -> NDArray[np.floating]:
    """Reflectance that is taken for `ground` where the air is that of `now` and is thought to be another."""
    toa = (now.transmittance * ground / (1 - now.albedo * ground) + now.offset) / now.scale
    y = toa * other.scale - other.offset
    return np.asarray(y / (other.transmittance + other.albedo * y))


def _to_cells(field: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
    each = np.repeat(np.repeat(np.nan_to_num(field), _EVERY, axis=0), _EVERY, axis=1)
    return each[: shape[0], : shape[1]]
