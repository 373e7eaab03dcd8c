"""The air between ground and satellite: coefficients of 6S 1.1 at a date's own geometry, and gases.

Columns and AOT vary over the image; everything else of a date is 6S's at its geometry, interpolated in AOT, and in
pressure where the world has relief. What 6S did not compute is said where it is approximated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from benchmarks.elsewhere.fields import Field, finer
from benchmarks.elsewhere.worlds import WORLDS, Directions, directions, half_of

DATA = Path(__file__).with_name("data.npz")
BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
INDEX = {band: i for i, band in enumerate(BANDS)}
QUANTITIES = ("path", "down", "up", "albedo")
#: Scale heights of the air, of its aerosol and of its water vapour. [km]
AIR, AEROSOL, WATER = 8.2, 2.0, 2.0
#: Absorption of a column at low pressure: as that of so much less water. [-]
BROADENING = 0.8
#: Of the molecules' path in B10, what lies above the water vapour. [-]
B10_ABOVE = 0.3
#: Light scattered into a pixel's view from within r km: 1 - sum of a exp(-b r) (6S, subroutine ENVIRO, near nadir).
ENVIRONMENT = (((0.930, 0.080), (0.070, 1.100)), ((0.448, 0.27), (0.552, 2.83)))


@cache
def data() -> dict[str, NDArray]:
    """All of the committed arrays."""
    with np.load(DATA) as content:
        return dict(content)


def ready(world: str, half: str) -> int:
    """Dates of a half, from the first on, that 6S was run for."""
    passes = WORLDS[world].passes[half]
    return next((n for n in range(len(passes)) if f"{world}_{half}_{n}_air" not in data()), len(passes))


@dataclass(frozen=True)
class Column:
    """What 6S says of one band, (row, col) fields or numbers: the molecules alone, and all together."""

    molecules: dict[str, Field]
    all: dict[str, Field]
    dry: Field


class Air:
    """The air of one date of a world."""

    def __init__(self, world: str, seed: int, number: int) -> None:
        half = half_of(seed)
        self.world = WORLDS[world]
        self.which = self.world.passes[half][number]
        key = f"{world}_{half}_{number}"
        if f"{key}_air" not in data():
            raise LookupError(f"{key}: 6S was not run for it yet (scripts/make_elsewhere.py)")
        self.nodes = data()[f"{key}_nodes"]
        self.table = data()[f"{key}_air"].astype(float)
        self.canopy = data()[f"{key}_canopy"]
        self.look: Directions = directions(self.world, self.which, number % 2)
        self.mu_sun = float(np.cos(np.radians(self.look.sun[0])))

    def of(self, name: str) -> NDArray:
        """An array by platform."""
        return data()[f"{self.which.platform}_{name}"]

    def column(self, band: str, aot: Field, km: Field) -> Column:
        """Coefficients of a band over an image; `aot` and `km` are (row, col) on any grid."""
        b, nodes = INDEX[band], self.nodes
        fine = np.linspace(0, max(nodes[-1], float(aot.max())), 200)
        weights = self._levels(km)
        molecules, everything = {}, {}
        for q, name in enumerate(QUANTITIES):
            curves = [CubicSpline(nodes, level[:, b, q])(fine) for level in self.table]
            everything[name] = sum(w * np.interp(aot, fine, c) for w, c in zip(weights, curves, strict=True))
            molecules[name] = sum(w * level[0, b, q] for w, level in zip(weights, self.table, strict=True))
        return Column(molecules, everything, self.gas(band, None, float(np.mean(km))))

    def _levels(self, km: Field) -> list[Field]:
        """Linear in pressure between the altitudes that 6S was run for, and a little beyond them."""
        levels = np.exp(-np.array(self.world.altitudes) / AIR)
        if len(levels) == 1:
            return [np.ones_like(km)]
        p = np.exp(-km / AIR)
        k = np.clip(np.searchsorted(-levels, -p) - 1, 0, len(levels) - 2)
        share = (levels[k] - p) / (levels[k] - levels[k + 1])
        return [np.where(k == i, 1 - share, 0) + np.where(k == i - 1, share, 0) for i in range(len(levels))]

    def gas(self, band: str, water: Field | None, km: Field | float) -> Field:
        """Transmittance of a water vapour column [g cm-2] above `km`; None: of the other gases alone.

        Linear in altitude: less pressure, narrower lines.
        """
        d, b = data(), INDEX[band]
        airmass = 1 / self.mu_sun + 1 / np.cos(np.radians(self.look.view[band][0]))
        nodes, heights = d["airmass"], d["gas_altitude"]
        root = np.sqrt(d["water"])
        out: Field | float = 0.0
        for k, table in enumerate(self.of("gas")[..., b].astype(float)):
            depth = -np.log(np.clip(table, 1e-6, 1))
            # beyond the last airmass the depth goes on as its root, as that of strong lines does
            curve = np.array([np.interp(airmass, nodes, depth[:, j]) for j in range(depth.shape[1])])
            if airmass > nodes[-1]:
                curve = depth[-1] * (airmass / nodes[-1]) ** 0.6
            here = curve[0] if water is None else np.interp(np.sqrt(water), root, curve) - curve[0]
            out = out + np.interp(km, heights, np.arange(len(heights)) == k) * here
        return np.asarray(np.exp(-out))


@cache
def _kernel(n: int, metres: float, which: int) -> NDArray:
    per_km = 2 * np.pi * 1000 / metres
    down, across = np.fft.fftfreq(n) * per_km, np.fft.rfftfreq(n) * per_km
    k2 = down[:, None] ** 2 + across**2
    return np.asarray(sum(a / np.sqrt(1 + k2 / b**2) for a, b in ENVIRONMENT[which]))


def surroundings(light: Field, molecular: Field, aerosol: Field, metres: float) -> Field:
    """The light that a pixel's view takes from around it: what molecules and aerosol scatter upwards, weighed as in 6S.

    Parameters
    ----------
    light : (row, col) float32
        That leaves the ground. [-]
    molecular, aerosol : (row, col) float32
        How much of the light that comes up each has scattered, on a grid of any step. [-]
    metres : float
        Side of a pixel. [m]

    References
    ----------
    Vermote et al., IEEE TGRS 35, 675-686, 1997: the environment function, whose weights a b exp(-b r) / (2 pi r)
    have the transform a / sqrt(1 + (k / b)^2).
    """
    from benchmarks.elsewhere.fields import coarser

    n, f = light.shape[0], 3
    small = np.pad(coarser(light, f), n // f // 8, mode="reflect")
    spectrum = np.fft.rfft2(small)
    edge = n // f // 8
    out = [np.fft.irfft2(spectrum * _kernel(small.shape[0], metres * f, i), small.shape)[edge:-edge, edge:-edge]
           for i in (0, 1)]  # fmt: skip
    share = np.clip(molecular / np.maximum(molecular + aerosol, 1e-9), 0, 1)
    if share.shape != out[0].shape:
        share = finer(share, out[0].shape[0])
    return finer(share * out[0] + (1 - share) * out[1], n)
