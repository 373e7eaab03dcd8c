"""The sky of a simulated date: clouds at known heights, and the smooth fields of aerosol and water vapour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numba import njit
from numpy.typing import ArrayLike, NDArray

from processing.simulation.noise import Field, fractal, smoothstep
from processing.simulation.scenario import Clouds

#: How a cloud's reflectance falls in the short-wave infrared: water droplets, ice. [-]
_SWIR = {
    "cumulus": {"B11": 0.84, "B12": 0.68},
    "stratus": {"B11": 0.80, "B12": 0.62},
    "cirrus": {"B11": 0.60, "B12": 0.45},
}
#: Scale height of aerosol and of water vapour. [m]
AEROSOL_HEIGHT, WATER_HEIGHT = 2000.0, 2000.0


@njit(nogil=True, cache=True)
def _sample(
    opacity: Field, brightness: Field, rows: NDArray[np.int64], cols: NDArray[np.int64], f: int,
    mean_opacity: Field, mean_light: Field,
) -> None:  # fmt: skip
    part = np.float32(1 / f**2)
    for i in range(len(rows)):
        for j in range(len(cols)):
            o = opacity[rows[i], cols[j]] * part
            mean_opacity[i // f, j // f] += o
            mean_light[i // f, j // f] += o * brightness[rows[i], cols[j]]


@dataclass(frozen=True)
class Layer:
    """Clouds at one height, on a plane that repeats after its size.

    Attributes
    ----------
    kind : str
    height : float
        Above the ground. [m]
    opacity : (n, n) float32
        Share of the light from below that does not pass. [-]
    brightness : (n, n) float32
        Reflectance in the visible of what does not pass. [-]
    """

    kind: str
    height: float
    opacity: Field
    brightness: Field

    def at(self, rows: NDArray[np.floating], cols: NDArray[np.floating], f: int = 1) -> tuple[Field, Field]:
        """What the layer is at pixels, which may lie outside of its plane.

        Parameters
        ----------
        rows, cols : (row,), (col,) float
            Where the image's pixels look at the layer. [px]
        f : int
            Pixels a side that go into one value.

        Returns
        -------
        opacity, light : (row / f, col / f) float32
            Mean opacity, and mean of opacity x brightness.
        """
        n = len(self.opacity)
        r, c = (np.rint(v).astype(np.int64) % n for v in (rows, cols))
        opacity, light = np.zeros((2, len(r) // f, len(c) // f), np.float32)
        _sample(self.opacity, self.brightness, r, c, f, opacity, light)
        return opacity, light

    def reflectance_factor(self, band: str) -> float:
        """Reflectance of the cloud in a band relative to the visible."""
        return _SWIR[self.kind].get(band, 1.0)

    def lit(self, towards_sun: tuple[float, float]) -> Layer:
        """The layer with its sunward sides brighter and the others darker.

        Parameters
        ----------
        towards_sun : (float, float)
            Direction of the sun's azimuth in rows and columns.
        """
        if self.kind == "cirrus":
            return self
        step = [round(4 * d) for d in towards_sun]
        bulk = np.minimum(self.brightness * self.opacity, 1)
        slope = bulk - np.roll(bulk, (-step[0], -step[1]), (0, 1))
        brightness = np.clip(self.brightness + 0.38 * slope, 0.18, 0.98)
        return Layer(self.kind, self.height, self.opacity, np.asarray(brightness, np.float32))


def layers(clouds: Clouds, cover: float, n: int, window: int, rng: np.random.Generator) -> list[Layer]:
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
        size = clouds.size / 10
        if clouds.kind == "cumulus":
            f = fractal(n, rng, 2.0, size) + 0.7 * fractal(n, rng, 2.3, 4 * size)
            soft, deep = 0.28, 1.3
        elif clouds.kind == "stratus":
            f = fractal(n, rng, 1.6, size, 4)
            soft, deep = 0.7, 1.8
        else:
            f = _streaks(fractal(n, rng, 1.5, size, 6), rng)
            soft, deep = 1.6, 3.0
        f = f - np.quantile(f[:window, :window], 1 - each)
        thick = smoothstep(f, 0, deep)
        billows = fractal(n, rng, 1.1, 25)
        if clouds.kind == "cirrus":
            opacity = 0.45 * smoothstep(f, -0.1, soft)
            brightness = 0.42 + 0.25 * thick
        else:
            opacity = np.clip(smoothstep(f, -0.5 * soft, 0.7 * soft) * (0.90 + 0.10 * thick), 0, 1)
            base, top = (0.36, 0.80) if clouds.kind == "cumulus" else (0.40, 0.66)
            brightness = base + (top - base) * thick + 0.022 * billows
        out.append(
            Layer(
                clouds.kind,
                height,
                np.asarray(opacity, np.float32),
                np.asarray(np.clip(brightness, 0.15, 0.95), np.float32),
            )
        )
    return sorted(out, key=lambda layer: layer.height)


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
        return self.mean * (1 + self.spread * np.clip(wave, -2.5, 2.5))
