"""Pressure and altitude of the standard atmosphere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.scene import STANDARD_PRESSURE


def relative_pressure(altitude: Any) -> Any:
    """Pressure over that at sea level, standard atmosphere (US 1962/1976 below 11 km); altitude in km."""
    return (1.0 - altitude * (6.5 / 288.15)) ** 5.25588


def altitude_of(pressure: Any) -> Any:
    """The inverse of `relative_pressure`. [km]"""
    return (1.0 - pressure ** (1 / 5.25588)) * (288.15 / 6.5)


def pressure_altitude(altitude: NDArray[np.float32], sea_level_pressure: float) -> NDArray[np.float32]:
    """Where the standard atmosphere is as heavy as the air at an altitude today.

    Parameters
    ----------
    altitude : (...) float32
        [m]
    sea_level_pressure : float
        Pressure as reduced to the level of the sea: pressure changes with altitude as in the standard atmosphere. [hPa]

    Returns
    -------
    (...) float32
        [km]
    """
    pressure = relative_pressure(altitude / np.float32(1000)) * (sea_level_pressure / STANDARD_PRESSURE)
    return np.asarray(altitude_of(pressure), np.float32)
