"""The air above a scene as its version wants it: how heavy it is and what its aerosol is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.scene import Scene
from processing.versions import Parameters

#: Whose spectral responses stood in for those of a satellite, as long as its own were not public.
STAND_IN = {"S2C": "S2A"}
#: Stands in where a version wants the forecast's composition and there is none.
FALLBACK = "continental"
#: And where the ground is a desert's.
DUST = "desert"
#: What is said of an AOT that is expected over a desert without a forecast.
USUAL = "usual over deserts"


def sensor(scene: Scene, parameters: Parameters) -> str:
    """The satellite whose spectral responses the version takes."""
    if scene.responses is not None:
        return scene.responses.sensor
    if parameters.spectral_responses == "own":
        return scene.platform
    return STAND_IN.get(scene.platform, scene.platform)


def sensor_note(scene: Scene, parameters: Parameters) -> str | None:
    """What a product must say about the spectral responses; None when they are the satellite's own, and shipped."""
    if scene.responses is not None:
        return scene.responses.origin
    used = sensor(scene, parameters)
    if used != scene.platform:
        return f"spectral responses of {used} stand in for those of {scene.platform}"
    return None


def altitude(scene: Scene, parameters: Parameters) -> NDArray[np.float32]:
    """Altitude in the standard atmosphere that has the ground's pressure, (row, col) float32. [km]"""
    if parameters.air_pressure == "standard":
        return scene.ancillary.altitude / np.float32(1000)
    return atmosphere.pressure_altitude(scene.ancillary.altitude, scene.ancillary.pressure)


def aerosol_model(scene: Scene, parameters: Parameters) -> atmosphere.Aerosol:
    """Name of a model of the tables, or several with their shares of the AOT."""
    if parameters.aerosol_model == "cams":
        return scene.ancillary.aerosol or FALLBACK
    return parameters.aerosol_model


def over(
    scene: Scene, toa: Mapping[str, NDArray[np.float32]], observed: NDArray[np.bool_], parameters: Parameters
) -> Scene:
    """The scene with dust for its aerosol, where no forecast says of what it is and the ground is a desert's.

    What blows there scatters as much light as the ground sends back, in red and infrared; continental aerosol absorbs
    some of it, and would make the ground too bright.

    Parameters
    ----------
    toa : mapping of band to (row, col) float32
        At the top of the atmosphere. [-]
    observed : (row, col) bool
    """
    given = scene.ancillary
    if parameters.aerosol_model != "cams" or given.aerosol or not parameters.aerosol_desert or not observed.any():
        return scene
    greenest, darkest, most = parameters.aerosol_desert
    red, infrared, short = toa["B4"], toa["B8A"], toa["B12"]
    with np.errstate(invalid="ignore"):
        bare = observed & (infrared - red < greenest * (infrared + red)) & (short > darkest) & (short > toa["B3"])
    if np.count_nonzero(bare) < most * np.count_nonzero(observed):
        return scene
    if given.aot is None and parameters.aot_desert:
        usual = {**given.origin, "aot": USUAL}
        given = replace(given, aot=parameters.aot_desert[0], origin=usual)
    why = f"{given.origin.get('aerosol_model', 'no forecast')}, and the ground is a desert's"
    return replace(scene, ancillary=replace(given, aerosol={DUST: 1.0}, origin={**given.origin, "aerosol_model": why}))


class Expected(NamedTuple):
    """The AOT that is expected before the image is asked, its standard deviation [-], and where that comes from."""

    aot: float
    error: float
    whence: str


def expected_aot(scene: Scene, parameters: Parameters) -> Expected | None:
    """That of the forecast in the Level-1C, or what is usual over deserts; None of others, or if it is not used."""
    relative, besides = parameters.aot_forecast_error
    if scene.ancillary.aot is None or not relative + besides:
        return None
    aot = min(max(scene.ancillary.aot, parameters.aot_min), parameters.aot_max)
    if scene.ancillary.origin.get("aot") == USUAL:
        return Expected(aot, parameters.aot_desert[1], USUAL)
    return Expected(aot, relative * aot + besides, "forecast")


def origin(scene: Scene, parameters: Parameters) -> dict[str, str]:
    """What is said of both in the product: ``pressure`` and ``aerosol_model``."""
    given = scene.ancillary.origin
    pressure = "standard atmosphere"
    if parameters.air_pressure == "forecast":
        pressure = f"{scene.ancillary.pressure:.1f} hPa at sea level: {given.get('pressure', 'as given')}"
    model = parameters.aerosol_model
    if model == "cams":
        shares = scene.ancillary.aerosol
        reason = given.get("aerosol_model", "as given" if shares else "no forecast")
        model = " ".join(f"{name} {share:.2f}" for name, share in shares.items()) if shares else FALLBACK
        model = f"{model}: {reason}"
    return {"pressure": pressure, "aerosol_model": model}
