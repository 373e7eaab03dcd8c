"""The sky of a simulated date: clouds at known heights, and the smooth fields of aerosol and water vapour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from processing.kernels import kernel
from processing.simulation.noise import Field, fractal, smoothstep
from processing.simulation.scenario import Clouds

#: How a cloud's reflectance falls in the short-wave infrared: water droplets, ice. [-]
_SWIR = {
    "cumulus": {"B11": 0.84, "B12": 0.68},
    "stratus": {"B11": 0.80, "B12": 0.62},
    "veil": {"B11": 0.90, "B12": 0.80},
    "cirrus": {"B11": 0.60, "B12": 0.45},
}
#: Kinds by their number in the truth.
KINDS = tuple(_SWIR)
#: Share of the light that a particle throws back, half of 1 - asymmetry: 0.85 of droplets, 0.75 of crystals. [-]
_BACKSCATTER = {"cumulus": 0.075, "stratus": 0.075, "veil": 0.075, "cirrus": 0.125}
#: Scale height of aerosol and of water vapour. [m]
AEROSOL_HEIGHT, WATER_HEIGHT = 2000.0, 2000.0


class _Look(NamedTuple):
    """Pixels of the ground, and the way of their look for each metre of height, in rows and columns [px/m]."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    down: NDArray[np.float64]
    right: NDArray[np.float64]


class _Plane(NamedTuple):
    """A layer's clouds, (n, n), and their height [m]."""

    opacity: Field
    brightness: Field
    height: float


@kernel()
def _sample(plane: _Plane, look: _Look, altitude: Field, f: int, opacity: Field, light: Field) -> None:
    part = np.float32(1 / f**2)
    n = len(plane.opacity)
    for i in range(len(look.rows)):
        for j in range(len(look.cols)):
            above = plane.height - altitude[i, j]
            if above > 0:
                row = round(look.rows[i] + above * look.down[i]) % n
                col = round(look.cols[j] + above * look.right[j]) % n
                o = plane.opacity[row, col] * part
                opacity[i // f, j // f] += o
                light[i // f, j // f] += o * plane.brightness[row, col]


@kernel()
def _heap(
    thickness: Field, ragged: Field, row: NDArray[np.float64], col: NDArray[np.float64], radius: NDArray[np.float64],
    peak: NDArray[np.float64],
) -> None:  # fmt: skip
    n = len(thickness)
    for k in range(len(row)):
        reach = int(2 * radius[k]) + 1
        for i in range(int(row[k]) - reach, int(row[k]) + reach + 1):
            for j in range(int(col[k]) - reach, int(col[k]) + reach + 1):
                r2 = ((i - row[k]) ** 2 + (j - col[k]) ** 2) / radius[k] ** 2
                bulge = 1 - r2 * max(1 + 0.3 * ragged[i % n, j % n], 0.5) ** 2
                if bulge > 0:
                    thickness[i % n, j % n] = max(thickness[i % n, j % n], peak[k] * bulge)


@dataclass(frozen=True)
class Layer:
    """Clouds at one height, on a plane that repeats after its size.

    Attributes
    ----------
    kind : str
    height : float
        Above the altitude of the scenario. [m]
    opacity : (n, n) float32
        Share of the light from below that does not pass. [-]
    brightness : (n, n) float32
        Reflectance in the visible of what does not pass. [-]
    airmass : float
        1 / cosine of the sun's zenith for which they hold. [-]
    """

    kind: str
    height: float
    opacity: Field
    brightness: Field
    airmass: float

    def at(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64], down: ArrayLike, right: ArrayLike, altitude: Field,
        f: int = 1,
    ) -> tuple[Field, Field]:  # fmt: skip
        """What the layer is where pixels of the ground look at it, which may lie outside of its plane.

        Parameters
        ----------
        rows, cols : (row,), (col,) int
            Pixels.
        down, right : float, or (row,), (col,) float
            Way of the look for each metre of height, in rows and columns. [px/m]
        altitude : (row, col) float32
            Of the ground, above that of the scenario; nothing is above ground that is higher than the layer. [m]
        f : int
            Pixels a side that go into one value.

        Returns
        -------
        opacity, light : (row / f, col / f) float32
            Mean opacity, and mean of opacity x brightness.
        """
        opacity, light = np.zeros((2, len(rows) // f, len(cols) // f), np.float32)
        y, x = (np.broadcast_to(np.asarray(way, float), len(v)) for way, v in ((down, rows), (right, cols)))
        plane = _Plane(self.opacity, self.brightness, self.height)
        _sample(plane, _Look(rows, cols, y, x), altitude, f, opacity, light)
        return opacity, light

    def reflectance_factor(self, band: str) -> float:
        """Reflectance of the cloud in a band relative to the visible."""
        return _SWIR[self.kind].get(band, 1.0)

    def optical_thickness(self, opacity: Field) -> Field:
        """The optical thickness that has an opacity."""
        passed = np.sqrt(np.maximum(1 - opacity, 1e-4))
        return np.asarray((1 - passed) / passed / (_BACKSCATTER[self.kind] * self.airmass), np.float32)


def layers(
    clouds: Clouds, cover: float, n: int, window: int, sun: tuple[float, float], rng: np.random.Generator
) -> list[Layer]:
    """Clouds of one kind.

    Parameters
    ----------
    clouds : Clouds
    cover : float
        Share of the window under clouds. [-]
    n : int
        Rows and columns of the plane at 10 m; an even number.
    window : int
        Rows and columns from the plane's corner within which `cover` holds.
    sun : (float, float)
        Zenith and azimuth. [deg]
    rng : numpy.random.Generator
    """
    if cover <= 0:
        return []
    low, high = clouds.height
    count = 3 if clouds.kind == "cumulus" and cover < 0.8 else 1
    each = 1 - (1 - min(cover, 0.995)) ** (1 / count)
    out = []
    for k in range(count):
        height = low + (high - low) * (k + float(rng.random())) / count
        if clouds.number:
            thickness = _single(clouds, each, clouds.number / count, n, rng)
        else:
            thickness = _field(clouds, each, n, window, rng)
        out.append(_lit(clouds.kind, height, thickness, sun, rng))
    return sorted(out, key=lambda layer: layer.height)


def _field(clouds: Clouds, cover: float, n: int, window: int, rng: np.random.Generator) -> Field:
    """Optical thickness of a random field, cut where it covers as much as it shall."""
    size = clouds.size / 10
    if clouds.kind == "cumulus":
        f = fractal(n, rng, 2.0, size) + 0.7 * fractal(n, rng, 2.3, 4 * size)
        deep = 1.3
    elif clouds.kind == "cirrus":
        f = _streaks(fractal(n, rng, 1.5, size, 6), rng)
        deep = 3.0
    else:
        f = fractal(n, rng, 1.6, size, 4)
        deep = 1.8
    return np.asarray(clouds.thickness * smoothstep(f - np.quantile(f[:window, :window], 1 - cover), 0, deep))


def _single(clouds: Clouds, cover: float, number: float, n: int, rng: np.random.Generator) -> Field:
    """Optical thickness of clouds one by one, their diameters as those of shallow cumulus.

    References
    ----------
    Neggers et al., "Size statistics of cumulus cloud populations in large-eddy simulations", Journal of the
    Atmospheric Sciences 60, 2003: number goes as diameter to the power of -1.7.
    """
    many = int(rng.poisson(number * (n / 100) ** 2))
    smallest, largest = 0.1 * clouds.size, clouds.size
    u, power = rng.random(many), -0.7
    diameter = (smallest**power + u * (largest**power - smallest**power)) ** (1 / power)
    # so many discs thrown at random cover the share that they shall
    area = -math.log(1 - cover) * (10 * n) ** 2
    diameter *= math.sqrt(area / max(float((math.pi / 4 * diameter**2).sum()), 1.0))
    thickness = np.zeros((n, n), np.float32)
    row, col = rng.uniform(0, n, (2, many))
    peak = clouds.thickness * np.clip(diameter / largest, 0.15, 1)
    _heap(thickness, fractal(n, rng, 2.0, 60, 14), row, col, diameter / 20, peak)
    return thickness


def _lit(kind: str, height: float, thickness: Field, sun: tuple[float, float], rng: np.random.Generator) -> Layer:
    """The layer that has an optical thickness, its sunward sides brighter than the others.

    A cloud that absorbs nothing throws back R and lets 1 - R pass, downwards and once more upwards.

    References
    ----------
    Coakley and Chylek, "The two-stream approximation in radiative transfer", Journal of the Atmospheric Sciences 32,
    1975, eq. 17.
    """
    airmass = 1 / math.cos(math.radians(sun[0]))
    bulk = _BACKSCATTER[kind] * airmass * thickness
    reflected = bulk / (1 + bulk)
    opacity = 1 - (1 - reflected) ** 2
    brightness = 1 / (2 - reflected)
    if kind in ("cumulus", "stratus"):
        azimuth = math.radians(sun[1])
        step = round(-4 * math.cos(azimuth)), round(4 * math.sin(azimuth))
        slope = reflected - np.roll(reflected, (-step[0], -step[1]), (0, 1))
        brightness = np.clip(brightness + 0.38 * slope + 0.022 * fractal(len(thickness), rng, 1.1, 25), 0.18, 0.98)
    return Layer(kind, height, np.asarray(opacity, np.float32), np.asarray(brightness, np.float32), airmass)


def _streaks(field: Field, rng: np.random.Generator) -> Field:
    """A field drawn out along rows and slanted; still periodic."""
    n = len(field)
    spectrum = scipy.fft.rfft2(field)
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :]
    turn = rng.uniform(0, math.pi)
    along = fx * math.cos(turn) + fy * math.sin(turn)
    out = scipy.fft.irfft2(spectrum * np.exp(-((along * 90) ** 2)), s=(n, n))
    return np.asarray(out / out.std(), np.float32)


@dataclass(frozen=True)
class Haze:
    """A quantity that varies smoothly over tens of kilometres.

    Attributes
    ----------
    mean : float
    spread : float
        Relative standard deviation. [-]
    seed : tuple of int
    """

    mean: float
    spread: float
    seed: tuple[int, ...]

    @cached_property
    def _waves(self) -> NDArray[np.float64]:
        rng = np.random.default_rng(self.seed)
        length, turn, phase = rng.uniform(8, 60, 6), rng.uniform(0, 2 * math.pi, 6), rng.uniform(0, 2 * math.pi, 6)
        return np.stack([2 * math.pi / length * np.cos(turn), 2 * math.pi / length * np.sin(turn), phase])

    def at(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Values at `x` eastwards and `y` southwards [km]."""
        kx, ky, phase = self._waves
        wave = np.cos(np.multiply.outer(x, kx) + np.multiply.outer(y, ky) + phase).sum(-1) / math.sqrt(kx.size / 2)
        return np.asarray(self.mean * (1 + self.spread * np.clip(wave, -2.5, 2.5)))
