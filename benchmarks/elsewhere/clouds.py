"""Clouds as layers of their own optical thickness at their own height, and what they do to the light.

Reflectance and transmittance are those of a two-stream model, so that what is neither reflected nor absorbed comes
through; a shadow has lost the direct light that its cloud took, and keeps the sky's and what the cloud passes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere.air import BANDS, INDEX
from benchmarks.elsewhere.fields import Field, blurred, fractal, smoothstep

#: Single scattering albedo of water droplets (10 um), of those of decks over the sea (18 um) and of ice (25 um). [-]
ALBEDO = {
    "water": dict.fromkeys(BANDS, 0.99999) | {"B9": 0.9999, "B10": 0.9985, "B11": 0.9935, "B12": 0.978},
    "stratus": dict.fromkeys(BANDS, 0.99999) | {"B9": 0.9998, "B10": 0.9975, "B11": 0.9885, "B12": 0.960},
    "ice": dict.fromkeys(BANDS, 0.99999) | {"B9": 0.9998, "B10": 0.993, "B11": 0.945, "B12": 0.950},
}
#: Asymmetry. [-]
ASYMMETRY = {"water": 0.86, "stratus": 0.87, "ice": 0.78}
TAU = np.concatenate([[0, 0.003], np.geomspace(0.01, 120, 120)])
#: A cloud counts from this optical thickness, is thick from this one, and shades from this share of direct light lost.
SEEN, THICK, SHADED, LIT = 0.30, 3.6, 0.25, 0.10
#: Below that, from here on, nobody is blamed for calling it cloud or not; for ice, which can be taken off.
UNSURE, ICE_SEEN, ICE_UNSURE = 0.06, 0.30, 0.03


@dataclass(frozen=True)
class Layer:
    """Optical thickness (row, col) of clouds of one kind (of `ALBEDO`) at one height above the sea [m]."""

    kind: str
    height: float
    tau: Field


def two_stream(tau: NDArray, albedo: float, g: float, mu: float) -> tuple[NDArray, NDArray, NDArray]:
    """Reflectance, total and unscattered transmittance of a layer for a beam.

    The forward peak (g squared) counts as unscattered.

    References
    ----------
    Meador and Weaver, Journal of the Atmospheric Sciences 37, 630-643, 1980, eqs. 14 and 15 with table 1's Eddington
    coefficients; scaling: Joseph, Wiscombe and Weinman, ibid. 33, 2452-2459, 1976.
    """
    f = g * g
    t, w, g1 = (1 - albedo * f) * tau, (1 - f) * albedo / (1 - albedo * f), (g - f) / (1 - f)
    y1, y2 = (7 - w * (4 + 3 * g1)) / 4, -(1 - w * (4 - 3 * g1)) / 4
    y3 = (2 - 3 * g1 * mu) / 4
    y4 = 1 - y3
    k = np.sqrt(y1**2 - y2**2)
    if abs(k * mu - 1) < 1e-3:
        mu *= 1.003
    a1, a2 = y1 * y4 + y2 * y3, y1 * y3 + y2 * y4
    up, down, beam = np.exp(k * t), np.exp(-k * t), np.exp(-t / mu)
    below = (1 - (k * mu) ** 2) * ((k + y1) * up + (k - y1) * down)
    r = w / below * ((1 - k * mu) * (a2 + k * y3) * up - (1 + k * mu) * (a2 - k * y3) * down
                     - 2 * k * (y3 - a2 * mu) * beam)  # fmt: skip
    s = w / below * ((1 + k * mu) * (a1 + k * y4) * up * beam - (1 - k * mu) * (a1 - k * y4) * down * beam
                     - 2 * k * (y4 + a1 * mu))  # fmt: skip
    return np.clip(r, 0, 1), np.clip(beam - s, 0, 1), beam


@dataclass(frozen=True)
class Optics:
    """Curves over `TAU` of a kind of cloud in a band: for the sun's beam, the view, and light from all sides."""

    reflectance: NDArray
    passed: NDArray
    unscattered: NDArray
    seen_through: NDArray
    sphere: NDArray


def optics(kind: str, band: str, mu_sun: float, mu_view: float) -> Optics:
    """The curves, see `Optics`."""
    a, g = ALBEDO[kind][band], ASYMMETRY[kind]
    r, t, beam = two_stream(TAU, a, g, mu_sun)
    return Optics(r, t, beam, two_stream(TAU, a, g, mu_view)[1], two_stream(TAU, a, g, 0.577)[0])


def _cumulus(random: np.random.Generator, n: int, cover: float, radii: tuple[float, float], step: float) -> list[Field]:
    """Optical thickness of small, middle and large heaps; most are small, as in nature (number as radius^-2.2)."""
    ragged = fractal(random, n, 40, 2, 2.7)
    sizes = [np.zeros((n, n), np.float32) for _ in range(3)]
    covered, low, high = 0.0, radii[0] / step, radii[1] / step
    crowd = fractal(random, n, n / 2, n / 10)
    while covered < cover * n * n:
        u = random.uniform()
        r = (low**-1.2 + u * (high**-1.2 - low**-1.2)) ** (-1 / 1.2)
        row, col = random.uniform(0, n, 2)
        if crowd[int(row), int(col)] < random.normal(0, 0.7):
            continue
        covered += 3.6 * r * r
        reach = int(1.8 * r) + 2
        rows, cols = np.arange(int(row) - reach, int(row) + reach), np.arange(int(col) - reach, int(col) + reach)
        where = np.ix_(rows % n, cols % n)
        d2 = ((rows - row)[:, None] ** 2 + (cols - col)[None, :] ** 2 * random.uniform(0.6, 1.6)) / r**2
        bulge = np.clip(1 - d2 * np.clip(1 + 0.45 * ragged[where], 0.35, None), 0, None)
        size = 0 if r * step < 150 else 1 if r * step < 500 else 2
        peak = (8, 18, 35)[size] * random.uniform(0.5, 1.5)
        target = sizes[size]
        target[where] = np.maximum(target[where], peak * bulge**0.8)
    return sizes


def sky(random: np.random.Generator, weather: str, n: int, step: float, ground: Field) -> list[Layer]:
    """The layers of a date; `ground` is the altitude (row, col) [m], `step` the side of a pixel [m]."""
    base = float(np.median(ground)) + random.uniform(800, 1500)
    layers: list[Layer] = []
    if weather in ("cumulus", "broken"):
        cover = random.uniform(0.10, 0.2) if weather == "cumulus" else 0.12
        for tau, rise in zip(_cumulus(random, n, cover, (35, 1200), step), (100, 300, 700), strict=True):
            layers.append(Layer("water", base + rise, tau))
    if weather == "broken":
        cells = fractal(random, n, 60, 6, 2.2) + 1.2 * fractal(random, n, n, n / 6)
        layers.append(Layer("water", base + 2200, 9 * smoothstep(cells, 1.3, 2.6)))
    if weather == "stratus":
        deck = fractal(random, n, n, 12, 3.4)
        tau = random.uniform(8, 18) * smoothstep(deck, 0.1, 0.7) * np.exp(0.15 * fractal(random, n, 120, 4, 2.4))
        height = 350 + random.uniform(0, 400) + float(np.median(ground))
        layers.append(Layer("stratus", height, np.asarray(tau, np.float32)))
    if weather in ("ridges", "summits"):
        layers += _orographic(random, weather, n, step, ground)
    if weather == "veil":
        streaks = fractal(random, n, n, 25, 3.2)
        tau = random.uniform(0.06, 0.16) * np.exp(0.9 * streaks)
        layers.append(Layer("ice", random.uniform(8500, 11000), np.minimum(tau, 1.5).astype(np.float32)))
    return layers


def _orographic(random: np.random.Generator, weather: str, n: int, step: float, ground: Field) -> list[Layer]:
    """Clouds that stand on the same ridges date after date, a little moved and grown, or on the highest summits."""
    above = ground - blurred(ground, 1500 / step)
    moved = fractal(random, n, 60, 3, 2.2)
    if weather == "ridges":
        tau = 22 * smoothstep(above / above.std() + 0.25 * moved, 1.3, 2.2)
        tau *= ground > np.quantile(ground, 0.45)
    else:
        tau = 30 * smoothstep((ground - np.quantile(ground, 0.86)) / 250 + 0.6 * moved, 0, 1.5)
    return [Layer("water", float(np.quantile(ground, 0.99)) + 250, np.asarray(tau, np.float32))]


__all__ = ["INDEX", "LIT", "SEEN", "SHADED", "TAU", "THICK", "Layer", "Optics", "optics", "sky", "two_stream"]
