"""Spectral responses become what the tables need of a satellite; two satellites are compared band by band.

A Level-1C carries the responses of its satellite, so that one which the tables do not have can be admitted by what its
first product says. The gases come from ``gas_spectra.npz``, 6S's transmittances at each wavelength: folded with the
weights of S2A they are its tables (`data/lut/README.md`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.atmosphere import tables
from processing.atmosphere.tables import LUT, Folded
from processing.atmosphere.transfer import surface_reflectance, toa_reflectance
from processing.bands import BANDS
from processing.errors import OutOfRange

#: A response below this share of its band's largest is left out, as noise of its measurement. [-]
LEAST = 1e-3
#: Transmittances of 6S have four decimals: what reads 0 may be anything below.
LEAST_TRANSMITTANCE = 2e-5
#: A band whose centre is farther from the nominal one is no band of a Sentinel-2: S2A's B12 is 12 nm off. [nm]
MOST_OFF = 30.0
#: In which reflectances are compared: angles [deg], altitude [km], AOT, water vapour [g cm-2], ozone [cm atm].
USUAL = (35.0, 5.0, 90.0, 0.0, 0.2, 2.0, 0.3)
#: Bands in which ground is seen, and its reflectance in the comparison.
SEEN = tuple(band for band in BANDS if band not in ("B9", "B10"))
GROUND = 0.1

Array = NDArray[np.float64]


class Response(NamedTuple):
    """The response of one band, as a Level-1C gives it.

    Attributes
    ----------
    first, step : float
        Wavelength of the first value, and the distance of the others. [nm]
    values : (wavelength,) float64
        To any scale. [-]
    """

    first: float
    step: float
    values: Array

    def wavelength(self) -> Array:
        """Of the values. [nm]"""
        return np.asarray(self.first + self.step * np.arange(len(self.values)))

    def moved(self, nanometres: float) -> Response:
        """The same response so much farther to the red."""
        return self._replace(first=self.first + nanometres)


class Difference(NamedTuple):
    """What one band of a satellite has otherwise than that of another.

    Attributes
    ----------
    band : str
    centre : float
        Mean wavelength of its weights. [nm]
    shift : float
        How much farther to the red that is. [nm]
    width : float
        How much wider it is: ratio of the standard deviations of the weights. [-]
    rayleigh : float
        How much more molecules scatter in it. [%]
    reflectance : float
        Error of a ground of 0.1 if the other's responses were taken, under `USUAL` air; NaN in B9 and B10. [-]
    """

    band: str
    centre: float
    shift: float
    width: float
    rayleigh: float
    reflectance: float


@lru_cache(maxsize=1)
def _spectra() -> dict[str, NDArray[Any]]:
    with np.load(LUT / "gas_spectra.npz") as file:
        return {name: file[name] for name in file.files}


def fold(responses: Mapping[str, Response]) -> Folded:
    """Weights and gas tables of a satellite by the responses of its 13 bands.

    Each value is shared between the two wavelengths of the tables' grid around it so that the band's centre stays, and
    weighted with the solar irradiance there.

    Raises
    ------
    OutOfRange
        If a band is missing, is not of numbers, or lies where no Sentinel-2 has it.
    """
    weights = np.array([_weights(band, responses) for band in BANDS])
    spectra = _spectra()
    light = {name: np.moveaxis(spectra[name] @ weights.T, -1, 0) / 1e4 for name in ("water", "ozone", "other")}
    light["water"] /= light["other"][..., None]
    light["ozone"] /= light["other"][:, :, 1, None]
    logs = (np.log(np.clip(light[name], LEAST_TRANSMITTANCE, 1.0)).astype(np.float32) for name in light)
    return Folded(weights, *logs)


def _weights(band: str, responses: Mapping[str, Response]) -> NDArray[np.float32]:
    """Of one band on the tables' grid, sum 1."""
    response = responses.get(band)
    if response is None:
        raise OutOfRange(f"no spectral response of {band}")
    values = np.asarray(response.values, float)
    if not (values.ndim == 1 and values.size > 1 and np.isfinite(values).all() and (values > 0).any()):
        raise OutOfRange(f"the spectral response of {band} is not of numbers")
    if not (response.step > 0 and math.isfinite(response.first) and math.isfinite(response.step)):
        raise OutOfRange(f"the spectral response of {band} begins at {response.first} nm, every {response.step} nm")
    values = values.clip(0)
    at = response.wavelength()
    centre = float(at @ values / values.sum())
    if abs(centre - BANDS[band].centre) > MOST_OFF:
        raise OutOfRange(f"{band} is centred at {centre:.1f} nm, that of a Sentinel-2 at {BANDS[band].centre} nm")
    spectra = _spectra()
    grid = spectra["wavelength"] * 1000
    inside = (at >= grid[0]) & (at < grid[-1])
    values = (values * np.interp(at, grid, spectra["irradiance"]))[inside]
    place = (at[inside] - grid[0]) / (grid[1] - grid[0])
    below = np.floor(place + 1e-9).astype(int)
    weights = np.zeros(grid.size)
    np.add.at(weights, below, values * (1 - (place - below)))
    np.add.at(weights, below + 1, values * (place - below))
    weights[weights < LEAST * weights.max()] = 0.0
    return np.asarray(weights / weights.sum(), np.float32)


def compare(sensor: str, other: str) -> list[Difference]:
    """What a satellite's bands have otherwise than those of another; both by the names of the tables."""
    found = []
    for band in BANDS:
        (centre, width), (there, wide) = _place(sensor, band), _place(other, band)
        more = 100 * (_rayleigh(sensor, band) / _rayleigh(other, band) - 1)
        error = math.nan
        if band in SEEN:
            toa = toa_reflectance(GROUND, sensor, band, *USUAL, "continental")
            error = float(surface_reflectance(toa, other, band, *USUAL, "continental")) - GROUND
        found.append(Difference(band, centre, centre - there, width / wide, more, error))
    return found


def nearest(sensor: str, others: Sequence[str]) -> str:
    """Of some satellites the one whose bands lie nearest to those of `sensor`, by the mean square of the centres."""
    own = [_place(sensor, band)[0] for band in BANDS]
    return min(others, key=lambda other: sum((_place(other, b)[0] - at) ** 2 for b, at in zip(BANDS, own, strict=True)))


def _place(sensor: str, band: str) -> tuple[float, float]:
    """Mean and standard deviation of a band's weights. [nm]"""
    wavelength, weights = tables.band_weights(sensor, band)
    total = weights.sum()
    centre = 1000 * float(wavelength @ weights / total)
    return centre, math.sqrt(float(weights @ (1000 * wavelength - centre) ** 2 / total))


def _rayleigh(sensor: str, band: str) -> float:
    """Optical thickness of the molecules, up to a factor: it goes with the wavelength to the power of -4.08. [-]"""
    wavelength, weights = tables.band_weights(sensor, band)
    return float(wavelength**-4.08 @ weights / weights.sum())
