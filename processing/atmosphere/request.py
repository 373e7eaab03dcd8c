"""What is asked of the tables: checked, and laid out for the kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing.atmosphere.pressure import relative_pressure
from processing.atmosphere.tables import MODELS, Mixture, known
from processing.bands import BANDS
from processing.errors import OutOfRange

#: Where the tables hold, limits included; outside them the answer is NaN. Altitude stands for pressure: below the sea,
#: to 1140 hPa, and above 3 km, to 505 hPa, the parabola in pressure through the tables' nodes goes on, and 6S confirms
#: it (`scripts/check_lut.py --altitude 3 5.5`). Below an AOT of 0.0001
#: the atmosphere is Rayleigh's. Relative azimuths are folded.
VALID_RANGES: dict[str, tuple[float, float]] = {
    "sun_zenith": (15.0, 75.0),  # Sentinel-2 never sees the sun higher than 16 deg from the zenith [deg]
    "view_zenith": (0.0, 13.92),  # [deg]
    "altitude_km": (-1.0, 5.5),  # [km]
    "aot550": (0.0, 1.05),  # [-]
    "water_vapour": (0.0, 8.0),  # above the target [g cm-2]
    "ozone": (0.0, 0.6),  # above the target [cm atm]
}

#: Satellites with spectral responses in the tables.
SENSORS = ("S2A", "S2B", "S2C")

Array = NDArray[np.float64]
Float = NDArray[np.floating[Any]]
#: One of `MODELS`, or several with their shares of the AOT at 550 nm.
Aerosol = str | Mapping[str, float]


class Cells(NamedTuple):
    """Where the light goes, cell by cell, for the kernels.

    Attributes
    ----------
    sun_zenith, view_zenith : (cell,) float64
        [deg]
    pressure : (cell,) float64
        Relative to that at sea level. [-]
    valid : (cell,) bool
        All that is given is within `VALID_RANGES`.
    """

    sun_zenith: Array
    view_zenith: Array
    pressure: Array
    valid: NDArray[np.bool_]


class Request(NamedTuple):
    """Quantities that were broadcast together.

    Attributes
    ----------
    cells : Cells
    values : dict of name to (cell,) float64
        All of them.
    shape : tuple of int
        Of the answer.
    dtype : dtype
        Of the answer: float64, or float32 if all arrays given are float32.
    """

    cells: Cells
    values: dict[str, Array]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def answer(self, values: Array) -> Float:
        """Values of the cells in shape and dtype of the answer."""
        return np.asarray(values.reshape(self.shape).astype(self.dtype))


def request(**quantities: ArrayLike) -> Request:
    """Broadcast quantities, named as in `VALID_RANGES` where they have a range; the place is among them."""
    given = {name: np.asarray(values) for name, values in quantities.items()}
    dtype = np.result_type(np.float32, *(a.dtype for a in given.values() if a.ndim and a.dtype.kind == "f"))
    if not any(a.ndim for a in given.values()):
        dtype = np.dtype(np.float64)
    shape = np.broadcast_shapes(*(a.shape for a in given.values()))
    valid = np.ones(shape, bool)
    for name, a in given.items():
        low, high = VALID_RANGES.get(name, (-np.inf, np.inf))
        valid &= (a >= low) & (a <= high) & np.isfinite(a)
    flat = {name: np.broadcast_to(a, shape).astype(np.float64).ravel() for name, a in given.items()}
    with np.errstate(invalid="ignore"):  # of cells without an answer
        pressure = relative_pressure(flat["altitude_km"])
    return Request(Cells(flat["sun_zenith"], flat["view_zenith"], pressure, valid.ravel()), flat, shape, dtype)


def outside(**quantities: ArrayLike) -> list[str]:
    """Name the quantities that leave `VALID_RANGES`: one line each, empty when all is inside. NaN is no fault here."""
    faults = []
    for name, values in quantities.items():
        low, high = VALID_RANGES[name]
        given = np.asarray(values, float)
        bad = (given < low) | (given > high)
        if bad.any():
            faults.append(f"{name}: {int(bad.sum())} of {given.size} values outside {low:g}..{high:g}")
    return faults


def check_band(band: str) -> None:
    """Refuse what is no band.

    Raises
    ------
    OutOfRange
    """
    if band not in BANDS:
        raise OutOfRange(f"no band {band!r}; there are {', '.join(BANDS)}")


def mixture(model: Aerosol) -> Mixture:
    """A model's name or its components with their shares of the AOT, in the form the tables are kept by.

    Raises
    ------
    OutOfRange
        Unknown model, or shares that do not sum to 1.
    """
    shares = {model: 1.0} if isinstance(model, str) else {m: float(share) for m, share in model.items() if share}
    unknown = [m for m in shares if m not in MODELS]
    if unknown:
        raise OutOfRange(f"no aerosol model {', '.join(map(repr, unknown))}; there are {', '.join(MODELS)}")
    if min(shares.values(), default=0.0) < 0 or not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise OutOfRange(f"the shares of the aerosol components must be positive and sum to 1: {dict(shares)}")
    return tuple(sorted(shares.items()))


def check_sensor(sensor: str) -> None:
    """Refuse a satellite without spectral responses.

    Raises
    ------
    OutOfRange
    """
    if sensor not in SENSORS and sensor not in known():
        raise OutOfRange(f"no spectral responses for sensor {sensor!r}; there are {', '.join(SENSORS)}")
