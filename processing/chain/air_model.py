"""The air above a scene as its version wants it: how heavy it is and what its aerosol is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing import atmosphere
from processing.scene import Scene
from processing.versions import Parameters

#: Whose spectral responses stood in for those of a satellite, as long as its own were not public.
STAND_IN = {"S2C": "S2A"}
#: Stands in where a version wants the forecast's composition and there is none.
FALLBACK = "continental"


def sensor(scene: Scene, parameters: Parameters) -> str:
    """The satellite whose spectral responses the version takes."""
    if parameters.spectral_responses == "own":
        return scene.platform
    return STAND_IN.get(scene.platform, scene.platform)


def sensor_note(scene: Scene, parameters: Parameters) -> str | None:
    """What a product must say about the spectral responses; None when they are the satellite's own."""
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


def forecast_aot(scene: Scene, parameters: Parameters) -> tuple[float, float] | None:
    """AOT of the forecast in the Level-1C and its error, one sigma; None where there is none, or it is not used."""
    relative, besides = parameters.aot_forecast_error
    if scene.ancillary.aot is None or not relative + besides:
        return None
    aot = min(max(scene.ancillary.aot, parameters.aot_min), parameters.aot_max)
    return aot, relative * aot + besides


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
