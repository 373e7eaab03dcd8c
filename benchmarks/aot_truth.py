"""AOT and reflectance of the chain on series whose truth is known, version by version.

    python -m benchmarks.aot_truth --atmosphere make_l1c_6s.npz [V1_3 V1_4 ...]

The atmosphere is that of direct 6S runs, not of the tables the chain uses, with light from the surroundings weighed by
6S's environment function. The ground is vegetation mixed with soils, its blue to red ratio scattered from cell to cell
and from site to site, a little changed from date to date; lakes, and clouds on some dates.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing import bands
from processing.bands import DISTRIBUTED, GROUP_RESOLUTION, R1
from processing.chain import correct
from processing.masks import Geophysical, Interpolated
from processing.scene import L2A, Composite, Scene
from processing.versions import Parameters, parameters
from tests import scenes

Field = NDArray[np.float64]
BANDS = tuple(scenes.VEGETATION)
INDEX = {band: i for i, band in enumerate(("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11"))}
INDEX["B12"] = 12
OZONE = 0.3
#: Platform, sun zenith and view (zenith, azimuth) of two orbits in turn. [deg]
ORBITS = (
    ("S2A", 33.0, (3.0, 290.0)),
    ("S2B", 37.0, (9.5, 105.0)),
    ("S2B", 34.0, (3.0, 290.0)),
    ("S2A", 36.0, (9.5, 105.0)),
)
SUN_AZIMUTH = 150.0


class SixS:
    """Coefficients of direct 6S runs: sun zenith 31 to 39 deg, view zenith to 12 deg, AOT 0.03 to 0.55."""

    def __init__(self, file: Path) -> None:
        with np.load(file) as content:
            self.of = dict(content)

    @staticmethod
    def _weights(nodes: NDArray, at: NDArray | float) -> list[Field]:
        """Lagrange's."""
        return [np.prod([(np.asarray(at) - o) / (n - o) for o in nodes if o != n], axis=0) for n in nodes]

    def toa(
        self, rho: Field, platform: str, band: str, sun: float, view: tuple[float, float], km: float, aot: Field,
        water: float, around: tuple[Field, Field] | None,
    ) -> Field:  # fmt: skip
        """Top-of-atmosphere reflectance of a Lambertian ground, each cell lit and blurred by what lies around it.

        `around` is what the molecules and what the aerosol mix into a cell's light; None: as if all were like itself.
        """
        f, b = self.of, INDEX[band]
        table = {
            name: f[f"{platform}_{name}"][b].astype(float) for name in ("path", "down", "up", "albedo", "tw", "other")
        }
        ws, wv = np.array(self._weights(f["sza"], sun)), np.array(self._weights(f["vza"], view[0]))
        level = np.exp(-f["alt"] / 8.2)
        low = (np.exp(-km / 8.2) - level[1]) / (level[0] - level[1])
        wa = np.array([low, 1 - low])
        azimuth = np.cos(np.arange(3) * np.radians(SUN_AZIMUTH - view[1]))
        wt = self._weights(f["aot"], aot)
        by_aot = np.einsum("sagvh,s,g,v,h->a", table["path"], ws, wa, wv, azimuth)
        path = sum(w * p for w, p in zip(wt, by_aot, strict=True))
        molecules = by_aot[0] - (by_aot[1] - by_aot[0]) / (f["aot"][1] / f["aot"][0] - 1)
        down = sum(w * p for w, p in zip(wt, np.einsum("sag,s,g->a", table["down"], ws, wa), strict=True))
        up_by_aot = np.einsum("agv,g,v->a", table["up"], wa, wv)
        up = sum(w * p for w, p in zip(wt, up_by_aot, strict=True))
        clean = float(sum(w * p for w, p in zip(self._weights(f["aot"], 0.0), up_by_aot, strict=True)))
        sphere = sum(w * p for w, p in zip(wt, table["albedo"] @ wa, strict=True))
        airmass = 1 / np.cos(np.radians(sun)) + 1 / np.cos(np.radians(view[0]))
        wm = np.array(self._weights(f["airmass"], airmass))
        dry = wa @ table["other"] @ wm * np.exp(-float(f[f"{platform}_ozone"][b]) * airmass * OZONE)

        def wet(column: float) -> float:
            logs = np.log(-np.log(np.clip(table["tw"], 1e-5, 0.99999)))
            nodes = np.einsum("gmw,g,m->w", logs, wa, wm)
            return float(np.exp(-np.exp(np.interp(np.log(column), np.log(f["water"]), nodes))))

        um = bands.BANDS[band].centre / 1000
        molecular = 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4) * np.exp(-km / 8.2)
        cosine = np.cos(np.radians(view[0]))
        molecules_direct, aerosol_direct = np.exp(-molecular / cosine), np.exp(-aot * (um / 0.55) ** -1.1 / cosine)
        direct = molecules_direct * aerosol_direct
        environment = rho
        if around is not None:  # each in the measure of what it scatters (6S, subroutine ENVIRO)
            shares = clean - molecules_direct, up / clean - aerosol_direct
            environment = (shares[0] * around[0] + shares[1] * around[1]) / (shares[0] + shares[1])
        ground = down * (direct * rho + (up - direct) * environment) / (1 - sphere * environment)
        return dry * (molecules + (path - molecules) * wet(water / 2) + wet(water) * ground)


#: Light scattered into a cell's view from within r km of it, for molecules and for aerosol: 1 - sum of a exp(-b r).
ENVIRONMENT = (((0.930, 0.080), (0.070, 1.100)), ((0.448, 0.27), (0.552, 2.83)))


def blurred(rho: Field, kernel: Sequence[tuple[float, float]]) -> Field:
    """What a scatterer mixes into each cell's light from around, the field repeated beyond its edges.

    The weights a b exp(-b r) / (2 pi r) of a point at r have the transform a / sqrt(1 + (k / b)^2).

    References
    ----------
    Vermote et al., "Second Simulation of the Satellite Signal in the Solar Spectrum", IEEE TGRS 35, 675-686, 1997:
    the environment function, with the numbers of 6SV 1.1 for a satellite near nadir.
    """
    per_km = 2 * np.pi * 1000 / scenes.CELL
    down, across = np.fft.fftfreq(rho.shape[0]) * per_km, np.fft.rfftfreq(rho.shape[1]) * per_km
    k2 = down[:, None] ** 2 + across**2
    transfer = sum(a / np.sqrt(1 + k2 / b**2) for a, b in kernel)
    return np.asarray(np.fft.irfft2(np.fft.rfft2(rho) * transfer, rho.shape))


@dataclass
class Date:
    """One date of a series: the scene, and what it was made from on the coarse grid."""

    scene: Scene
    aot: Field
    surface: dict[str, Field]
    land: NDArray[np.bool_]


def _waves(random: np.random.Generator, shape: tuple[int, int], length: float) -> Field:
    field = ndimage.gaussian_filter(random.standard_normal(shape), length, mode="wrap")
    return np.asarray(field / field.std())


def series(
    atmosphere: SixS,
    aot: Sequence[float],
    seed: int = 0,
    cells: int = 72,
    ratios: tuple[float, float] = (0.45, 0.49),
    site_spread: float = 0.02,
    cell_spread: float = 0.04,
    change: float = 0.01,
    surroundings: bool = True,
    cloudy: bool = True,
    calibration: float = 0.0,
    anisotropy: float = 0.0,
    swing: float = 0.0,
) -> Iterator[Date]:
    """Dates five days apart.

    Parameters
    ----------
    aot : sequence of float
        Mean of each date; it varies by 8 % (one sigma) over 5 km. [-]
    ratios : (float, float)
        Of B1 and of B2 to B4. [-]
    site_spread, cell_spread : float
        Standard deviation of the ratio of B1 to B4 between sites and between cells; that of B2 goes with it. [-]
    change : float
        Relative change of every cell between dates (one sigma), and that of all of them together. [-]
    surroundings : bool
        Whether each cell is seen through the light of what lies around it, as 6S weighs it.
    calibration : float
        Standard deviation of each band's gain, the same on all dates of a site. [-]
    anisotropy : float
        By how much the ground is brighter from the one orbit than from the other. [-]
    swing : float
        Relative amplitude of a wave of 22 km from crest to trough in the AOT, instead of those 8 %. [-]
    """
    random = np.random.default_rng(seed)
    shape = (cells, cells)
    share = np.clip(0.35 + 0.15 * _waves(random, shape, 4) + 0.25 * _waves(random, shape, 0.65), 0, 1)
    bright = np.exp(0.15 * _waves(random, shape, 0.65))
    tint = 1 + (site_spread * random.standard_normal() + cell_spread * random.standard_normal(shape)) / ratios[0]
    ground = {band: rho * bright for band, rho in scenes.mix(scenes.VEGETATION, scenes.SOIL, share).items()}
    lake = np.zeros(shape)
    for row, col in random.integers(4, cells - 4, (3, 2)):
        lake += scenes.blot(shape, row, col, 2)
    gains = dict(
        zip(BANDS, 1 + calibration * np.random.default_rng([seed, 1]).standard_normal(len(BANDS)), strict=True)
    )
    for number, mean in enumerate(aot):
        platform, sun, view = ORBITS[number % len(ORBITS)]
        grown = 1 + change * random.standard_normal() + change * random.standard_normal(shape)
        grown *= 1 + anisotropy * (number % 2 - 0.5)
        surface = {band: rho * grown for band, rho in ground.items()}
        surface["B1"] = ratios[0] * tint * surface["B4"]
        surface["B2"] = ratios[1] * tint * surface["B4"]
        surface = scenes.mix(surface, scenes.WATER, np.minimum(lake, 1))
        cloud = np.zeros(shape)
        if cloudy and number % 2:
            for row, col in random.integers(0, cells, (4, 2)):
                cloud += scenes.blot(shape, row, col, 3)
        above = scenes.mix(surface, scenes.CLOUD, np.minimum(cloud, 1))
        waves = 0.08 * np.clip(_waves(random, shape, 20), -2, 2)
        if swing:
            along = (np.arange(cells)[:, None] + np.arange(cells)) / np.sqrt(2) * scenes.CELL / 22e3
            waves = swing * np.sin(np.pi * (along + number))
        field = np.clip(mean * (1 + waves), 0.03, 0.6)
        water = float(random.uniform(1, 3))
        seen = {}
        for band, gain in gains.items():
            # Clouds stand above the aerosol and below most of the molecules
            around = blurred(above[band], ENVIRONMENT[0]), blurred(surface[band], ENVIRONMENT[1])
            seen[band] = gain * atmosphere.toa(
                above[band], platform, band, sun, view, 0.3, field, water, around if surroundings else None
            )
        scene = scenes.scene(above, shape, 5 * number, (sun, SUN_AZIMUTH), view, altitude=300.0, ozone=OZONE, seen=seen)
        land = ~ndimage.binary_dilation((cloud > 0) | (lake > 0), iterations=2)
        yield Date(replace(scene, platform=platform), field, surface, land)


@dataclass
class Result:
    """What a version made of a date, on the clear land cells."""

    product: L2A
    aot: Field
    true_aot: Field
    reflectance: dict[str, tuple[Field, Field]]
    interpolated: NDArray[np.bool_]


def middles(raster: NDArray, group: str) -> NDArray:
    """The pixel in the middle of each cell."""
    factor = scenes.CELL // GROUP_RESOLUTION[group]
    return raster[..., factor // 2 :: factor, factor // 2 :: factor]


def run(dates: Sequence[Date], numbers: Parameters) -> list[Result]:
    """The chain over a series."""
    state: Composite | None = None
    results = []
    for date in dates:
        product, new = correct(scenes.onto(date.scene, numbers), state, numbers)
        state = new or state
        assert product.status == "valid", product.origin
        hidden = Geophysical.CLOUD | Geophysical.CLOUD_SHADOW | Geophysical.WATER | Geophysical.SNOW
        clear = date.land & (middles(product.geophysical["R2"], "R2") & np.uint8(hidden) == 0)
        reflectance = {}
        for band in DISTRIBUTED:
            raster = middles(product.surface_reflectance[band], "R1" if band in R1 else "R2")
            reflectance[band] = raster[clear] / 10000, date.surface[band][clear]
        aot = middles(product.atmosphere["R2"], "R2")[1] / numbers.aot_quantification
        filled = middles(product.interpolated["R2"], "R2") & Interpolated.AOT > 0
        results.append(Result(product, aot[clear], date.aot[clear], reflectance, filled))
    return results


def accuracy(found: Field, truth: Field) -> tuple[float, float]:
    """Bias and root mean square error."""
    error = found - truth
    return float(error.mean()), float(np.sqrt((error**2).mean()))


def aot_accuracy(results: Sequence[Result]) -> tuple[float, float]:
    return accuracy(np.concatenate([r.aot for r in results]), np.concatenate([r.true_aot for r in results]))


def within(results: Sequence[Result], band: str) -> float:
    """Share of the cells whose reflectance is within 0.05 rho + 0.005. [%]"""
    found, truth = (np.concatenate([r.reflectance[band][k] for r in results]) for k in (0, 1))
    return float(100 * np.mean(np.abs(found - truth) <= 0.05 * truth + 0.005))


AOT = (0.10, 0.30, 0.05, 0.20, 0.55, 0.15, 0.40, 0.08)


#: What the ground is seen through. Where no light comes from beside, the chain is told so.
TRUTHS: dict[str, dict[str, Any]] = {
    "each cell seen as if alone, without the environment correction": {"surroundings": False},
    "each cell seen through the light of its surroundings": {"surroundings": True},
    "... and each band calibrated within 1 % (one sigma)": {"surroundings": True, "calibration": 0.01},
    "... instead of that, ground 6 % brighter from the one orbit": {"surroundings": True, "anisotropy": 0.06},
    "... instead of that, the AOT up and down by 65 % over 22 km": {"surroundings": True, "swing": 0.65},
}


def sites(atmosphere: SixS, count: int, **options: Any) -> list[list[Date]]:
    """Series of several sites, the AOT in another order at each."""
    random = np.random.default_rng(99)
    return [list(series(atmosphere, random.permutation(AOT), seed, **options)) for seed in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=["V1_1", "V1_3", "V1_4", "V2_0", "V2_1"])
    parser.add_argument("--atmosphere", type=Path, required=True, help="coefficients of direct 6S runs (.npz)")
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--cells", type=int, default=60, help="of 240 m along a side")
    parser.add_argument("--dates", action="store_true", help="print each date as well")
    options = parser.parse_args()
    atmosphere = SixS(options.atmosphere)
    print("AOT: bias   RMSE   | reflectance within 0.05 rho + 0.005 [%]: " + " ".join(f"{b:>5}" for b in DISTRIBUTED))
    for title, kind in TRUTHS.items():
        print(title)
        truth = sites(atmosphere, options.sites, cells=options.cells, **kind)
        for version in options.versions:
            numbers = parameters(version)
            if not kind["surroundings"]:
                numbers = replace(numbers, adjacency_radius=0)
            together = [r for dates in truth for r in run(dates, numbers)]
            if options.dates:
                for r in together:
                    bias, rmse = accuracy(r.aot, r.true_aot)
                    print(f"  {r.product.mode:8} true {r.true_aot.mean():.3f} bias {bias:+.3f} RMSE {rmse:.3f}")
            bias, rmse = aot_accuracy(together)
            shares = " ".join(f"{within(together, band):5.1f}" for band in DISTRIBUTED)
            print(f"{version:5}{bias:+.4f}  {rmse:.4f} | {'':42}{shares}")


if __name__ == "__main__":
    main()
