"""The look-up tables of data/lut, folded into the bands of a sensor and refined for cheap interpolation.

The scattering tables are monochromatic, at 6S's wavelengths: one file serves every sensor. The making and the
content of every file are told in data/lut/README.md.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from processing.atmosphere.pressure import relative_pressure
from processing.bands import BANDS
from processing.errors import OutOfRange
from processing.resources import DATA

LUT = DATA / "lut"
MODELS = ("continental", "maritime", "urban", "desert", "biomass", "dust", "watersoluble", "oceanic", "soot")

#: Steps of the refined grids: linear interpolation on them errs by less than 1e-5 in reflectance.
SUN_FIRST = 15.0  # [deg]
SUN_STEP = 1.0  # [deg]
AZIMUTH_STEP = 2.5  # [deg]
AIRMASS_STEP = 0.01  # in 1 / cos(zenith) [-]
AOT_STEP = 0.005  # [-]

#: Degree of the polynomials in AOT: within 0.0001 of the tables' reflectance.
AOT_DEGREE = 5

#: Surface reflectance for which the band's spherical albedo is exact; it matters for bright surfaces only. [-]
BRIGHT = 0.6

Mixture = tuple[tuple[str, float], ...]
Array = NDArray[np.float64]


class Steps(NamedTuple):
    """Of the refined grids: where the sun zenith begins, and the distances of the nodes; see the constants above."""

    sun_first: float = SUN_FIRST
    sun: float = SUN_STEP
    azimuth: float = AZIMUTH_STEP
    airmass: float = AIRMASS_STEP
    aot: float = AOT_STEP


class Scattering(NamedTuple):
    """What molecules and aerosol do in one band, ready for the kernel; `node` runs over AOT x altitude.

    Attributes
    ----------
    path : (sun zenith from `SUN_FIRST` every `SUN_STEP`, view zenith, azimuth every `AZIMUTH_STEP`, node) float32
        Atmospheric path reflectance x cos(sun zenith). [-]
    transmittance : (1 / cos(zenith) from 1 every `AIRMASS_STEP`, node) float32
        Natural logarithm of the total transmittance of one way. [-]
    direct : (1 / cos(zenith) from 1 every `AIRMASS_STEP`, node) float32
        Natural logarithm of the direct share of that transmittance. [-]
    albedo : (node,) float32
        Spherical albedo. [-]
    view_nodes : (view zenith,) float64
        Nodes. [deg]
    aot : (AOT, node of AOT) float64
        Weight of each node of the AOT, every `AOT_STEP`. [-]
    polynomial : (AOT_DEGREE + 1, node of AOT) float64
        Weight of each node of the AOT in the coefficients of the nearest polynomial in AOT, constant term first.
    pressure : (altitude,) float64
        Relative pressure at the nodes of altitude. [-]
    steps : Steps
    """

    path: NDArray[np.float32]
    transmittance: NDArray[np.float32]
    direct: NDArray[np.float32]
    albedo: NDArray[np.float32]
    view_nodes: Array
    aot: Array
    polynomial: Array
    pressure: Array
    steps: Steps


class Gases(NamedTuple):
    """Natural logarithms of transmittances of both ways in one band.

    Attributes
    ----------
    water : (altitude, air mass, air mass x water vapour) float64
    ozone : (altitude, air mass x ozone) float64
    other : (altitude, air mass) float64
        Oxygen, carbon dioxide, methane, nitrous oxide, carbon monoxide.
    pressure, airmass, log_water, air_mass_ozone : (n,) float64
        Nodes; `log_water` [ln g cm-2] and `air_mass_ozone` [cm atm] are evenly spaced.
    airmass_scale : (air mass,) float64
        1 / the product of a node's distances from the others: a division costs as much as ten products.
    """

    water: Array
    ozone: Array
    other: Array
    pressure: Array
    airmass: Array
    log_water: Array
    air_mass_ozone: Array
    airmass_scale: Array


class Folded(NamedTuple):
    """What the tables need of one satellite: the weights of its bands, and the gases folded with them.

    Attributes
    ----------
    weights : (band, wavelength) float32
        Response x solar irradiance, sum 1, bands in the order of `BANDS`. [-]
    water : (band, altitude, air mass, air mass x water vapour) float32
    ozone : (band, altitude, air mass x ozone) float32
    other : (band, altitude, air mass) float32
        Natural logarithms of the transmittance of both ways, at the nodes of ``gas_tables.npz``.
    """

    weights: NDArray[np.float32]
    water: NDArray[np.float32]
    ozone: NDArray[np.float32]
    other: NDArray[np.float32]

    def digest(self) -> str:
        """By which the tables know it: what is folded otherwise has another one."""
        return sha256(b"".join(array.tobytes() for array in self)).hexdigest()[:12]


#: Satellites that were admitted, beside those of the files, by their digests: the same name always means the same.
_admitted: dict[str, Folded] = {}


def admit(folded: Folded) -> str:
    """Let the tables answer for a further satellite in this process; the name they know it by."""
    name = f"admitted-{folded.digest()}"
    _admitted.setdefault(name, folded)
    return name


def folded(sensor: str) -> Folded:
    """What the tables have of one satellite of the files, or of an admitted one."""
    if sensor in _admitted:
        return _admitted[sensor]
    file = _gas_file()
    at = list(file["sensor"]).index(sensor)
    weights = np.array([_weights()[1][sensor, band] for band in BANDS], np.float32)
    return Folded(weights, *(np.asarray(file[name][at], np.float32) for name in ("water", "ozone", "other")))


def known() -> tuple[str, ...]:
    """Satellites that the tables have, the admitted ones by their digests."""
    return (*(str(name) for name in _gas_file()["sensor"]), *_admitted)


@lru_cache(maxsize=1)
def _weights() -> tuple[Array, dict[tuple[str, str], Array]]:
    with np.load(LUT / "band_weights.npz") as file:
        weights = {
            (str(sensor), str(band)): file["weights"][i, j].astype(float)
            for i, sensor in enumerate(file["sensor"])
            for j, band in enumerate(file["band"])
        }
        return file["wavelength"], weights


@lru_cache(maxsize=len(MODELS))
def _monochromatic(model: str) -> dict[str, Array]:
    if model not in MODELS:
        raise OutOfRange(f"no aerosol model {model!r}; there are {', '.join(MODELS)}")
    with np.load(LUT / f"{model}.npz") as file:
        return {name: file[name].astype(float) for name in file.files}


def band_weights(sensor: str, band: str) -> tuple[Array, Array]:
    """Wavelengths [um] and weights (response x solar irradiance, sum 1) of one band of a satellite."""
    wavelength, shipped = _weights()
    if sensor in _admitted:
        weights = _admitted[sensor].weights[list(BANDS).index(band)].astype(float)
    else:
        weights = shipped[sensor, band]
    used = np.flatnonzero(weights)
    return wavelength[used], weights[used]


def _spectrum(values: Array, axis: int, nodes: Array, wavelength: Array) -> Array:
    """Values at `wavelength`, last axis: straight between the nodes in log-log, as in 6S."""
    logs = np.log(np.maximum(np.moveaxis(values, axis, -1), 1e-12))
    at = np.log(wavelength)
    x = np.log(nodes)
    left = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)
    part = (at - x[left]) / (x[left + 1] - x[left])
    return np.asarray(np.exp(logs[..., left] * (1 - part) + logs[..., left + 1] * part))


def _spline(nodes: Array, at: Array) -> Array:
    """Matrix (at, node) of the cubic spline's weights."""
    return np.asarray(CubicSpline(nodes, np.eye(len(nodes)))(at))


@lru_cache(maxsize=32)  # some 2 MB each
def scattering(sensor: str, band: str, mixture: Mixture) -> Scattering:
    """Tables of one band of a satellite for a mixture of aerosol models, each with its share of the AOT."""
    wavelength, weights = band_weights(sensor, band)
    path = transmittance = direct = albedo = np.zeros(())
    for model, share in mixture:
        table = _monochromatic(model)
        path = path + share * (_spectrum(table["path"], 3, table["wl"], wavelength) @ weights)
        # Both ways and the reflections between ground and sky act together at each wavelength: the mean over the band
        # is of the squared one-way transmittance T, and the albedo S keeps that of T r / (1 - S r) at r = BRIGHT.
        one_way = _spectrum(np.concatenate([table["tu"][None], table["td"]]), 3, table["wl"], wavelength)
        squared = one_way**2 @ weights
        transmittance = transmittance + share * np.log(squared) / 2
        unscattered = np.concatenate([table["tu_direct"][None], table["td_direct"]])
        unscattered = _spectrum(unscattered, 3, table["wl"], wavelength)
        direct = direct + share * np.log((unscattered @ weights) / (one_way @ weights))
        sphere = _spectrum(table["S"], 2, table["wl"], wavelength)
        middle = len(squared) // 2
        signal = (one_way[middle] ** 2 / (1 - sphere * BRIGHT)) @ weights
        albedo = albedo + share * (1 - squared[middle] / signal) / BRIGHT
    sun, aot = table["sza"], table["aot"]

    smooth = path * np.cos(np.radians(sun)).reshape(-1, 1, 1, 1, 1)
    # Past the zenith the sun comes from the other side, its azimuth mirrored: this tells the spline how to begin.
    both = np.concatenate([smooth[::-1, ..., ::-1], smooth])
    refined = np.arange(SUN_FIRST, sun[-1] + SUN_STEP, SUN_STEP)
    dense = np.tensordot(_spline(np.concatenate([-sun[::-1], sun]), refined), both, 1)
    azimuth = _azimuth_weights(table["raa"])
    dense = np.moveaxis(dense, (3, 4), (1, 2))  # sun, view, azimuth, AOT, altitude
    dense = np.moveaxis(np.tensordot(azimuth, dense, (1, 2)), 0, 2)

    inverse_cosine = 1 / np.cos(np.radians(np.concatenate([[0.0], sun])))
    airmass = np.arange(1, inverse_cosine[-1] + AIRMASS_STEP, AIRMASS_STEP)
    refine = _spline(inverse_cosine, airmass)
    transmittance, direct = (np.tensordot(refine, one_way, 1) for one_way in (transmittance, direct))
    return Scattering(
        path=np.ascontiguousarray(dense.reshape(*dense.shape[:3], -1), np.float32),
        transmittance=transmittance.reshape(len(airmass), -1).astype(np.float32),
        direct=direct.reshape(len(airmass), -1).astype(np.float32),
        albedo=albedo.reshape(-1).astype(np.float32),
        view_nodes=table["vza"],
        aot=_spline(aot, np.arange(0, aot[-1] + AOT_STEP, AOT_STEP)),
        polynomial=np.ascontiguousarray(np.linalg.pinv(np.vander(aot, AOT_DEGREE + 1, increasing=True)), np.float64),
        pressure=relative_pressure(table["alt"]),
        steps=Steps(),
    )


def _azimuth_weights(nodes: Array) -> Array:
    """Weights of the nodes every `AZIMUTH_STEP`: cubic spline of a function that is even about 0 and 180 degrees."""
    eye = np.eye(len(nodes))
    spline = CubicSpline(nodes, eye, bc_type=((1, np.zeros(len(nodes))), (1, np.zeros(len(nodes)))))
    return np.asarray(spline(np.arange(0, 180 + AZIMUTH_STEP, AZIMUTH_STEP)))


@lru_cache(maxsize=1)
def _gas_file() -> dict[str, NDArray[Any]]:
    with np.load(LUT / "gas_tables.npz") as file:
        return {name: file[name] for name in file.files}


@lru_cache(maxsize=64)
def gases(sensor: str, band: str) -> Gases:
    """Gas tables of one band of a satellite."""
    file, have, at = _gas_file(), folded(sensor), list(BANDS).index(band)
    airmass = file["airmass"]
    return Gases(
        water=have.water[at].astype(float),
        ozone=have.ozone[at].astype(float),
        other=have.other[at].astype(float),
        pressure=relative_pressure(file["altitude"]),
        airmass=airmass,
        log_water=np.log(file["air_mass_water"]),
        air_mass_ozone=file["air_mass_ozone"],
        airmass_scale=np.asarray(1 / (airmass[:, None] - airmass + np.eye(airmass.size)).prod(axis=1)),
    )
