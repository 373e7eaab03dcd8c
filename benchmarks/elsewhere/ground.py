"""The grounds of the worlds: what lies where, and what it looks like on each date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.elsewhere import spectra
from benchmarks.elsewhere.air import Air
from benchmarks.elsewhere.fields import Field, blurred, fractal, smoothstep

#: What false clouds are counted on, by its number in the truth.
KINDS = ("field", "bare", "grass", "forest", "water", "snow", "roof", "salt", "burn", "rock", "sand", "marsh")
KIND = {name: i for i, name in enumerate(KINDS)}


@dataclass
class Ground:
    """What lies where: patches of one state each, and a texture within them.

    Attributes
    ----------
    altitude : (row, col) float32
        [m]
    patch : (row, col) int32
        Number of the patch of each pixel.
    kind : (patch,) uint8
        Of each patch, see `KINDS`.
    look : callable
        From air and number of the date to the reflectance of the patches (patch, band).
    texture : (row, col) float32
        Factor of every pixel.
    sea : callable or None
        From air and number of the date to the water's reflectance (row, col, band) and where it lies.
    snow : callable or None
        From air and number of the date to the snow's reflectance (row, col, band) and its share of a pixel (row, col).
    relief : bool
        Whether slopes are lit by their angle and cast shadows.
    """

    altitude: Field
    patch: NDArray[np.int32]
    kind: NDArray[np.uint8]
    look: Callable[[Air, int], NDArray]
    texture: Field
    sea: Callable[[Air, int], tuple[NDArray, NDArray[np.bool_]]] | None = None
    snow: Callable[[Air, int], tuple[NDArray, Field]] | None = None
    relief: bool = False
    extra: dict[str, NDArray] = field(default_factory=dict)


def parcels(random: np.random.Generator, n: int, step: float, size: float) -> NDArray[np.int32]:
    """Fields of about `size` [m], longer than wide, in a direction that turns over the land."""
    count = int((n * step / size) ** 2)
    seeds = random.uniform(0, n, (count, 2))
    turn = np.radians(25 * fractal(random, n, n, n / 4)[0, 0]) + random.uniform(0, np.pi)
    c, s = np.cos(turn), np.sin(turn)
    squeeze = np.array([[c, s], [-s * 1.8, c * 1.8]])
    y, x = np.mgrid[0:n, 0:n]
    at = np.stack([y.ravel(), x.ravel()], 1) @ squeeze.T
    return cKDTree(seeds @ squeeze.T).query(at)[1].astype(np.int32).reshape(n, n)


def _farmed(random: np.random.Generator, n: int, step: float, days: list[int]) -> Ground:
    """Fields at all stages of growth, grass, woods, villages, a burnt patch; soils by region, rain between dates."""
    patch = parcels(random, n, step, 330)
    count = int(patch.max()) + 1
    middle = np.zeros((count, 2))
    sizes = np.bincount(patch.ravel(), minlength=count).clip(1)
    for axis, coordinate in enumerate(np.mgrid[0:n, 0:n]):
        middle[:, axis] = np.bincount(patch.ravel(), coordinate.ravel(), count) / sizes
    at = tuple(middle.astype(int).T)
    wood = fractal(random, n, n / 2, 40)[at] + 0.4 * random.standard_normal(count)
    meadow = fractal(random, n, n / 2, 60)[at] + 0.6 * random.standard_normal(count)
    region = fractal(random, n, n, n / 5)[at] + 0.3 * random.standard_normal(count)
    crop = random.choice(4, count, p=(0.36, 0.3, 0.2, 0.14))  # wheat, maize, beets, fallow
    kind = np.full(count, KIND["field"], np.uint8)
    kind[meadow > 0.9] = KIND["grass"]
    kind[wood > 1.0] = KIND["forest"]
    village = (random.uniform(size=count) < 0.02) & (kind == KIND["field"])
    burn = (np.hypot(middle[:, 0] - random.uniform(0.2, 0.8) * n, middle[:, 1] - random.uniform(0.2, 0.8) * n)
            < 900 / step)  # fmt: skip
    kind[village], kind[burn] = KIND["roof"], KIND["burn"]
    kind[(crop == 3) & (kind == KIND["field"])] = KIND["bare"]
    bright = np.exp(0.22 * random.standard_normal(count))
    sown = np.where(crop == 0, random.normal(-45, 10, count), random.normal(12, 12, count))
    most = np.exp(random.normal(1.35, 0.3, count)).clip(1, 6)
    drift = random.standard_normal((len(days), count))
    rain = random.uniform(0, 1, len(days)) ** 2
    roof = random.choice(3, count, p=(0.6, 0.25, 0.15))

    def look(air: Air, number: int) -> NDArray:
        t = days[number] - days[0]
        moist = np.clip(rain[number] * 0.8 + 0.25 * (region + 1) + 0.08 * drift[number], 0, 1)
        share = smoothstep(region.astype(np.float32), -0.8, 0.8)[:, None]
        below = spectra.soil(air, "loam", moist, bright) * (1 - share) + share * spectra.soil(
            air, "clay", moist, bright
        )
        chalk = (region < -1.3)[:, None]
        below = np.where(chalk, spectra.soil(air, "chalk", moist, bright), below)
        lai = most / (1 + np.exp(-(t - sown - 25) / 7)) + 0.02
        lai = np.where(crop == 3, 0.15, lai) * (1 + 0.04 * drift[number])
        out = np.where((crop == 0)[:, None], spectra.canopy(air, "wheat", lai, below),
                       spectra.canopy(air, "maize", lai, below))  # fmt: skip
        grass, trees = most * 0.7, most * 1.1
        litter = spectra.soil(air, "litter", moist * 0.5, bright)
        for name, plant in (("grass", spectra.canopy(air, "grass", grass, 0.5 * (below + litter))),
                            ("forest", 0.82 * spectra.canopy(air, "forest", trees, litter * 0.6)),
                            ("burn", spectra.soil(air, "char", moist * 0.3, bright))):  # fmt: skip
            out[kind == KIND[name]] = plant[kind == KIND[name]]
        roofs = np.stack([spectra.soil(air, n, 0.0, bright) for n in ("roof_tile", "roof_metal", "roof_white")])
        town = roofs[roof, np.arange(count)]
        out[kind == KIND["roof"]] = town[kind == KIND["roof"]]
        return out

    texture = np.exp(0.035 * fractal(random, n, 60, 2, 1.6) + 0.02 * random.standard_normal((n, n)))
    flat = 30 * fractal(random, n, n, n / 6)
    return Ground(flat, patch, kind, look, texture.astype(np.float32), extra={"rain": rain})


def crops(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """A farmed plain with a few ponds and a river of brown water."""
    made = _farmed(random, n, step, days)
    made.altitude = made.altitude + np.float32(level)
    line = np.abs(fractal(random, n, n, n / 5, 3.0))
    wet = (line < 60 / step * 0.0023) | (fractal(random, n, n / 4, 8, 3.0) > 3.0)
    sediment = 25 * np.exp(0.4 * fractal(random, n, n, n / 4))

    def sea(air: Air, number: int) -> tuple[NDArray, NDArray[np.bool_]]:
        return spectra.water(air, 6 + 0 * sediment[wet], sediment[wet] * (1 + made.extra["rain"][number]), 0.6), wet

    made.sea = sea
    return made


def coast(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """Farmed land and beaches along a sea with a river's plume, blooms, and wind that roughens it."""
    made = _farmed(random, n, step, days)
    y, x = np.mgrid[0:n, 0:n] / n
    turn = random.uniform(-0.5, 0.5)
    shore = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn) + 0.09 * fractal(random, n, n, 8, 3.2)
    shore -= np.quantile(shore, 0.45)
    wet = shore < 0
    beach = (shore >= 0) & (shore < 0.008)
    count = len(made.kind)
    made.patch = np.where(beach, count, made.patch).astype(np.int32)
    made.kind = np.append(made.kind, np.uint8(KIND["sand"]))
    inland, made.altitude = made.look, np.where(wet, 0, 1 + 150 * shore).astype(np.float32) + np.float32(level)

    def look(air: Air, number: int) -> NDArray:
        return np.concatenate([inland(air, number), spectra.soil(air, "sand", np.array([0.2]), np.array([0.95]))])

    mouth = np.argwhere(np.abs(shore) < 0.004)
    row, col = mouth[random.integers(len(mouth))]
    away = np.hypot(np.arange(n)[:, None] - row, np.arange(n)[None, :] - col) * step / 1000
    plume = 60 * np.exp(-away / 2.2 + 0.35 * fractal(random, n, n / 3, 8, 3.0))
    near = 9 * np.exp(np.minimum(shore, 0) * n * step / 900)
    bloom = np.exp(0.7 * fractal(random, n, n / 2, 10, 3.2))
    winds = random.uniform(1, 11, len(days))
    bottom_depth = np.clip(-shore * n * step / 1000 * 6, 0.2, None)

    def sea(air: Air, number: int) -> tuple[NDArray, NDArray[np.bool_]]:
        spm = (0.6 + near + plume * (0.4 + made.extra["rain"][number]))[wet]
        sand = spectra.soil(air, "sand", np.array(1.0), np.array(0.8))
        inner = spectra.water(air, 1.5 * bloom[wet], spm, 0.12, bottom_depth[wet], sand)
        patches = np.clip(
            winds[number] * (1 + 0.25 * fractal(np.random.default_rng(number), n, n / 2, 10)[wet]), 0.5, 15
        )
        speed = np.linspace(0.5, 15, 30)
        mirror = np.interp(patches, speed, [spectra.glint(air, float(s)) for s in speed])
        return inner + mirror[:, None], wet

    made.look, made.sea = look, sea
    return made


def _flecks(random: np.random.Generator, n: int, count: int, radius: tuple[float, float]) -> NDArray[np.bool_]:
    """Ragged patches, px."""
    out = np.zeros((n, n), bool)
    y, x = np.mgrid[0:n, 0:n]
    ragged = fractal(random, n, 60, 3, 2.4)
    for _ in range(count):
        row, col, r = *random.uniform(0, n, 2), random.uniform(*radius)
        out |= np.hypot(y - row, x - col) < r * (1 + 0.3 * ragged)
    return out


class _Patches:
    """Kinds laid over each other; each gets a soil or plants by region, with brightness of its own."""

    def __init__(self, random: np.random.Generator, n: int, step: float, size: float) -> None:
        self.patch = parcels(random, n, step, size)
        self.count = int(self.patch.max()) + 1
        self.bright = np.exp(0.18 * random.standard_normal(self.count))
        sizes = np.bincount(self.patch.ravel(), minlength=self.count).clip(1)
        self.at = tuple(
            (np.bincount(self.patch.ravel(), c.ravel(), self.count) / sizes).astype(int) for c in np.mgrid[0:n, 0:n]
        )

    def overlay(self, where: NDArray[np.bool_], bright: float = 1.0) -> int:
        """A patch of its own for these pixels; its number."""
        self.patch = np.where(where, self.count, self.patch).astype(np.int32)
        self.bright = np.append(self.bright, bright)
        self.count += 1
        return self.count - 1


def sahel(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """Sand and laterite with thin bushes, some millet, villages, a lake of brown water, burnt strips."""
    p = _Patches(random, n, step, 500)
    soils = fractal(random, n, n, n / 8)[p.at] + 0.4 * random.standard_normal(p.count)
    bushes = np.clip(0.25 + 0.25 * fractal(random, n, n / 2, 30)[p.at] + 0.1 * random.standard_normal(p.count), 0, 1.6)
    kind = np.where(soils > 0.2, KIND["sand"], KIND["bare"]).astype(np.uint8)
    kind[random.uniform(size=p.count) < 0.008] = KIND["roof"]
    burnt = p.overlay(_flecks(random, n, 4, (15, 45)))
    kind = np.append(kind, np.uint8(KIND["burn"]))
    texture = np.exp(0.05 * fractal(random, n, 80, 2, 1.8) + 0.02 * random.standard_normal((n, n)))
    wet = _flecks(random, n, 3, (10, 40))
    drift = 1 + 0.01 * random.standard_normal((len(days), p.count))

    def look(air: Air, number: int) -> NDArray:
        share = smoothstep(np.append(soils, 0).astype(np.float32), -0.5, 0.9)[:, None]
        bright = p.bright * drift[number]
        ground = spectra.soil(air, "laterite", 0.0, bright) * (1 - share) + share * spectra.soil(
            air, "sand", 0.0, bright
        )
        out = spectra.canopy(air, "grass", np.append(bushes, 0.0), ground)
        towns = spectra.soil(air, "roof_metal", 0.0, p.bright) * 0.4 + 0.6 * ground
        out = np.where((kind == KIND["roof"])[:, None], towns, out)
        out[burnt] = 0.6 * spectra.soil(air, "char") + 0.4 * ground[burnt]
        return out

    def sea(air: Air, number: int) -> tuple[NDArray, NDArray[np.bool_]]:
        count = int(wet.sum())
        return spectra.water(air, np.full(count, 8.0), np.full(count, 90.0 + 10 * number), 0.8), wet

    altitude = np.float32(level) + 40 * fractal(random, n, n, n / 6)
    return Ground(altitude, p.patch, kind, look, texture.astype(np.float32), sea)


def steppe(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """Dry grass over loam and rock, salt pans, a salt lake, burnt ground that grows from date to date, few fields."""
    p = _Patches(random, n, step, 700)
    cover = np.clip(0.5 + 0.3 * fractal(random, n, n / 2, 30)[p.at], 0.05, 1.5)
    stony = smoothstep(fractal(random, n, n, 60)[p.at] + 0.3 * random.standard_normal(p.count), 0.3, 1.2)
    kind = np.full(p.count, KIND["grass"], np.uint8)
    kind[stony > 0.6] = KIND["rock"]
    pans = fractal(random, n, n / 4, 10, 3.2)
    salt = p.overlay(pans > 2.2)
    kind = np.append(kind, np.uint8(KIND["salt"]))
    front = fractal(random, n, n, 20, 3.0)
    burnt = [p.overlay((front > 1.5 - 0.12 * i) & (p.patch < salt)) for i in range(2)]
    kind = np.append(kind, np.full(2, KIND["burn"], np.uint8))
    wet = pans > 2.75
    texture = np.exp(0.04 * fractal(random, n, 80, 2, 1.8) + 0.02 * random.standard_normal((n, n)))

    def look(air: Air, number: int) -> NDArray:
        stones = np.append(stony, np.zeros(3))[:, None]
        grass = np.append(cover, np.zeros(3))
        ground = spectra.soil(air, "loam", 0.05, p.bright) * (1 - stones) + stones * spectra.soil(
            air, "rock", 0.0, p.bright
        )
        out = spectra.canopy(air, "senescent", grass, ground)
        green = spectra.canopy(air, "grass", 0.6 * grass, ground)
        out = 0.75 * out + 0.25 * green
        out[salt] = spectra.soil(air, "salt", 0.1)
        for i, one in enumerate(burnt):
            fire = number >= 2 * i + 1
            out[one] = spectra.soil(air, "char") if fire else out[:salt].mean(0)
        return out

    def sea(air: Air, number: int) -> tuple[NDArray, NDArray[np.bool_]]:
        count = int(wet.sum())
        white = spectra.soil(air, "salt", np.array(1.0), np.array(0.8))
        return spectra.water(air, np.full(count, 2.0), np.full(count, 6.0), 0.1, np.full(count, 0.4), white), wet

    altitude = np.float32(level) + 25 * fractal(random, n, n, n / 6)
    return Ground(altitude, p.patch, kind, look, texture.astype(np.float32), sea)


def wetland(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """Marsh that water rises into, brown rivers and shallow lakes, flooded woods, fields, a town."""
    made = _farmed(random, n, step, days)
    height = fractal(random, n, n, 6, 3.0)
    flood = np.linspace(-0.5, 0.15, len(days))[random.permutation(len(days))]
    marsh = (height < 0.3) & (height >= -2)
    count = len(made.kind)
    reeds = parcels(random, n, step, 300)
    number_of = np.unique(reeds)
    made.patch = np.where(marsh, count + reeds, made.patch).astype(np.int32)
    made.kind = np.concatenate([made.kind, np.full(len(number_of), KIND["marsh"], np.uint8)])
    inland = made.look
    lai = np.exp(0.5 * random.standard_normal(len(number_of))).clip(0.2, 4) * 1.6
    sediment = np.exp(2.6 + 0.8 * fractal(random, n, n / 2, 20, 3.0)).clip(2, 180)

    def look(air: Air, number: int) -> NDArray:
        mud = spectra.soil(air, "clay", 0.9 * np.ones(len(lai)), 0.8 * np.ones(len(lai)))
        return np.concatenate([inland(air, number), spectra.canopy(air, "grass", lai, mud)])

    def sea(air: Air, number: int) -> tuple[NDArray, NDArray[np.bool_]]:
        wet = height < flood[number]
        deep = ((flood[number] - height[wet]) * 1.6).astype(np.float32)
        mud = spectra.soil(air, "clay", np.array(1.0), np.array(0.9))
        water = spectra.water(air, np.full(deep.shape, 12.0), sediment[wet], 0.9, np.maximum(deep, 0.05), mud)
        # reeds stand out of water that is less than a metre deep
        out = np.clip(0.45 - deep, 0, 0.4)[:, None]
        plants = spectra.canopy(air, "grass", np.full(1, 1.6), water.mean(0)[None])[0]
        return water * (1 - out) + out * plants, wet

    made.look, made.sea = look, sea
    made.altitude = (level + 2 + height).astype(np.float32)
    return made


def _relief(random: np.random.Generator, n: int, low: float, high: float) -> Field:
    """Ridged mountains between two altitudes [m], steep to some 45 deg."""
    base = fractal(random, n, n, n / 5, 3.0)
    ridge = sum((1 - np.abs(fractal(random, n, n / 2**k, max(n / 2 ** (k + 2), 6), 3.0))) / 1.7**k for k in range(4))
    height = 0.6 * base + 0.9 * ridge
    height = blurred(height, 1.0)
    ranked = (height - np.quantile(height, 0.001)) / (np.quantile(height, 0.999) - np.quantile(height, 0.001))
    return np.asarray(low + (high - low) * np.clip(ranked, 0, 1), np.float32)


def _mountains(random: np.random.Generator, n: int, step: float, days: list[int], low: float, high: float,
               lines: tuple[float, float, float], green: float = 1.0) -> Ground:  # fmt: skip
    """Meadows below, woods, alps, rock, and snow whose line rises.

    `lines` are those of wood, grass and snow [m], `green` tells how much grows.
    """
    high = low + (high - low) * min(1.0, n * step / 22_000)  # a small image has a part of the range
    altitude = _relief(random, n, low, high)
    p = _Patches(random, n, step, 260)
    z = altitude[p.at] + 60 * random.standard_normal(p.count)
    steep = np.hypot(*np.gradient(altitude, step))[p.at]
    kind = np.full(p.count, KIND["grass"], np.uint8)
    kind[(z < lines[0]) & (random.uniform(size=p.count) < 0.75) & (z > low + 150)] = KIND["forest"]
    kind[(z > lines[1]) | (steep > 0.9)] = KIND["rock"]
    kind[(kind == KIND["grass"]) & (z < low + 250) & (random.uniform(size=p.count) < 0.06)] = KIND["roof"]
    texture = np.exp(0.05 * fractal(random, n, 60, 2, 1.6) + 0.02 * random.standard_normal((n, n)))
    patchy, grains = fractal(random, n, 40, 2, 2.0), np.exp(0.3 * fractal(random, n, n / 2, 10))
    south, _ = np.gradient(altitude, step)
    lake = (altitude < low + 12) & (fractal(random, n, n / 2, 30) > 0)
    lai = np.exp(0.3 * random.standard_normal(p.count))

    def look(air: Air, number: int) -> NDArray:
        earth, stone = spectra.soil(air, "loam", 0.3, p.bright), spectra.soil(air, "rock", 0.1, p.bright)
        out = spectra.canopy(air, "grass", green * lai * (1.6 + 0.15 * number), earth)
        woods = 0.75 * spectra.canopy(air, "needles", 2.6 * lai, 0.5 * earth)
        out = np.where((kind == KIND["forest"])[:, None], woods, out)
        out = np.where((kind == KIND["rock"])[:, None], stone, out)
        return np.where((kind == KIND["roof"])[:, None], spectra.soil(air, "roof_tile", 0.0, p.bright), out)

    def snow(air: Air, number: int) -> tuple[NDArray, Field]:
        # lies lower on northern slopes, thins at its edge, and fresh snow comes back once
        line = lines[2] + 45 * number - (350 if number == 3 else 0)
        share = smoothstep(altitude - line - 200 * np.clip(-south, -1, 1) + 90 * patchy, -90, 130)
        share = share * (1 - smoothstep(np.hypot(*np.gradient(altitude, step)).astype(np.float32), 1.0, 1.5))
        grain = np.where(altitude > line + 500, 100, 280) * grains * (0.6 if number == 3 else 1 + 0.08 * number)
        return spectra.snow(air, grain, np.clip(1 - (altitude - line) / 700, 0, 1)), np.asarray(share, np.float32)

    def sea(air: Air, number: int) -> tuple[NDArray, NDArray[np.bool_]]:
        count = int(lake.sum())
        return spectra.water(air, np.full(count, 1.0), np.full(count, 2.0)), lake

    return Ground(altitude, p.patch, kind, look, texture.astype(np.float32), sea if lake.any() else None, snow, True)


def alps(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """From 900 to 3,400 m, in spring."""
    return _mountains(random, n, step, days, 900, 3400, (1850, 2350, 2050))


def high(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """A high plateau's ranges from 4,000 to 5,200 m, dry, with little snow."""
    return _mountains(random, n, step, days, 4000, 5200, (0, 4500, 4850), 0.2)


def north(random: np.random.Generator, n: int, step: float, days: list[int], level: float) -> Ground:
    """Farmed land and woods under a low sun, with a first thin snow on the last dates."""
    made = crops(random, n, step, [d - 200 for d in days], level)
    cold = fractal(random, n, n, n / 6)

    def snow(air: Air, number: int) -> tuple[NDArray, Field]:
        share = smoothstep(cold, 0.9, 1.6) * (number >= 2) * (made.kind[made.patch] != KIND["forest"])
        return spectra.snow(air, np.full((n, n), 120.0)), np.asarray(share, np.float32)

    made.snow = snow
    return made


#: From a random generator, pixels, their side [m], days of the dates and level [m] to the ground.
GROUNDS: dict[str, Callable[[np.random.Generator, int, float, list[int], float], Ground]] = {
    "crops": crops,
    "coast": coast,
    "sahel": sahel,
    "alps": alps,
    "steppe": steppe,
    "wetland": wetland,
    "high": high,
    "north": north,
}

__all__ = ["GROUNDS", "KIND", "KINDS", "Ground", "blurred"]
