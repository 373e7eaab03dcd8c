"""Series of dates: scenes as the chain takes them, and their truth."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere import clouds
from benchmarks.elsewhere.air import BANDS, WATER, Air, data, ready
from benchmarks.elsewhere.fields import Field, blurred, coarser, finer, fractal, smoothstep
from benchmarks.elsewhere.ground import GROUNDS, KIND, Ground
from benchmarks.elsewhere.light import State, Sun, curve, top_of_atmosphere
from benchmarks.elsewhere.worlds import WORLDS, half_of
from processing.bands import BANDS as DESCRIBED
from processing.scene import Ancillary, Angles, Grid, Scene
from processing.versions import Parameters

#: Side of the pixels in which a world is made, and of an image in them: 22 km. [m], [px]
STEP, SIZE = 20, 1104
QUANTIFICATION, OFFSET = 10000.0, -1000.0
#: Noise of a count at 10, 20 and 60 m. [counts]
NOISE = {10: 6.0, 20: 5.0, 60: 4.0}
CELL = 240
#: Bands of which packets are lost, in turn.
LOST = ("B1", "B10", "B2")
OZONE = 0.32
#: By how much a forecast's AOT is too high or too low, and where the chain takes it from.
FORECAST_ERROR, FORECAST_FIELD = 1.5, "aot"
#: Mixtures by the models of the chain's tables.
COMPOSITION = {
    "rural": {"continental": 1.0},
    "polluted": {"continental": 0.6, "urban": 0.4},
    "coastal": {"continental": 0.5, "maritime": 0.5},
    "dusty": {"desert": 0.7, "continental": 0.3},
}


@dataclass(frozen=True)
class Truth:
    """What a date was made of, (row, col) at `STEP`.

    Attributes
    ----------
    surface : dict of band to float32
        Reflectance of the ground. [-]
    aot, water_vapour : float32
        Above the ground. [-], [g cm-2]
    thickness : float32
        Of all clouds as B2 sees them, optical. [-]
    cloud, thick, cirrus, unsure : bool
        From `clouds.SEEN`, of ice from `clouds.ICE_SEEN`; from `clouds.THICK`; of ice and not thick; veils that one
        may call cloud or not.
    shadow, half_shade : bool
        Ground that lost a quarter of its direct light to clouds, or a tenth and less than a quarter.
    water, snow, terrain_shadow : bool
    lost : bool
        Where packets of a band were lost.
    kind : uint8
        Of the ground, see `ground.KINDS`.
    veil : float32
        What cirrus adds to B10. [-]
    incidence : float32
        Cosine of the sun's angle to the slope over that to level ground, 0 in cast shadow. [-]
    clear_date : bool
        No cloud at all.
    cumulus : bool
        A date with low clouds.
    """

    surface: dict[str, Field]
    aot: Field
    water_vapour: Field
    thickness: Field
    cloud: NDArray[np.bool_]
    thick: NDArray[np.bool_]
    cirrus: NDArray[np.bool_]
    unsure: NDArray[np.bool_]
    shadow: NDArray[np.bool_]
    half_shade: NDArray[np.bool_]
    water: NDArray[np.bool_]
    snow: NDArray[np.bool_]
    terrain_shadow: NDArray[np.bool_]
    kind: NDArray[np.uint8]
    veil: Field
    incidence: Field
    clear_date: bool
    cumulus: bool
    lost: NDArray[np.bool_]


@dataclass(frozen=True)
class Date:
    """One date: its scene, with the altitude on a coarse grid of 240 m (see `onto`), and its truth.

    Attributes
    ----------
    altitude : (row, col) float32
        At `STEP`. [m]
    forecast_aot : float
        What a forecast would say. [-]
    """

    scene: Scene
    truth: Truth
    altitude: Field
    world: str
    seed: int
    number: int
    aerosol: str
    weather: str
    relief: bool
    forecast_aot: float


def series(world: str, seed: int, size: int = SIZE, dates: int | None = None, lost: bool = False) -> Iterator[Date]:
    """The dates of a world, five days apart: even seeds to tune on, odd ones to report.

    Parameters
    ----------
    world : str
        Of `WORLDS`.
    seed : int
        Of the ground and the weather; the passes, with their geometry and aerosol, are those of the half.
    size : int
        Pixels of 20 m on a side, a multiple of 12.
    lost : bool
        Whether every other date has lost packets: 2.4 km of one band, flagged as the Level-1C flags them.

    Made once, dates are read from the folder that the environment's ``ELSEWHERE_CACHE`` names, if it does (some
    130 MB each); a change to what they are made by makes them anew.
    """
    folder = os.environ.get("ELSEWHERE_CACHE")
    if folder is None:
        yield from _made(world, seed, size, dates, lost)
        return
    stem = f"{world}-{seed}-{size}-{lost:d}-{_made_by(world, half_of(seed))}"
    count = ready(world, half_of(seed))
    kept = [Path(folder) / f"{stem}-{number}.pickle" for number in range(min(count, dates or count))]
    if not all(path.exists() for path in kept):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for path, date in zip(kept, _made(world, seed, size, dates, lost), strict=True):
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(pickle.dumps(date, 5))
            part.rename(path)
    for path in kept:
        yield pickle.loads(path.read_bytes())


def _made_by(world: str, half: str) -> str:
    """A digest of the modules that make dates, and of what 6S computed for a half of a world."""
    here = Path(__file__).parent
    names = ("air", "clouds", "fields", "ground", "light", "series", "spectra", "worlds")
    digest = hashlib.sha256(b"".join((here / f"{name}.py").read_bytes() for name in names))
    for key, values in sorted(data().items()):
        if key.startswith(f"{world}_{half}_") or not key.endswith(("_air", "_canopy", "_nodes")):
            digest.update(values.tobytes())
    return digest.hexdigest()[:8]


def _made(world: str, seed: int, size: int, dates: int | None, lost: bool) -> Iterator[Date]:
    assert size % 12 == 0
    place, half = WORLDS[world], half_of(seed)
    passes = place.passes[half]
    random = np.random.default_rng([seed, *world.encode()])
    days = [p.day for p in passes]
    made = GROUNDS[world](random, size, float(STEP), days, 1000 * place.altitudes[0])
    weather_seed = int(random.integers(2**31))
    count = ready(world, half)
    if not count:
        raise LookupError(f"{world}, {half}: 6S was not run for it yet (scripts/make_elsewhere.py)")
    for number in range(min(count, dates or count)):
        date = _date(world, seed, number, made, np.random.default_rng([weather_seed, number]))
        yield _without(date, LOST[number // 2 % len(LOST)]) if lost and number % 2 else date


def _date(world: str, seed: int, number: int, made: Ground, random: np.random.Generator) -> Date:
    place, air = WORLDS[world], Air(world, seed, number)
    n = made.altitude.shape[0]
    above = (made.altitude - float(np.median(made.altitude))) / 1000
    aot = _aerosol(random, n, air.which.aot) * np.exp(-above / 2.0 if made.relief else 0 * above)
    column = random.uniform(*place.water) * np.exp(0.06 * fractal(random, n, n, n / 6))
    water = (column * np.exp(-(made.altitude - made.altitude.min()) / 1000 / WATER)).astype(np.float32)
    layers = clouds.sky(random, air.which.weather, n, float(STEP), made.altitude)
    sun, dark = _sunlit(made, air)
    state = State(air, made.altitude, aot.astype(np.float32), water, layers, sun, float(STEP))
    surface, kind, wet, white = _surface(made, air, number)
    toa = {band: top_of_atmosphere(state, band, surface[band]) for band in BANDS}
    truth = _truth(state, surface, kind, wet, white, dark)
    return Date(_scene(world, number, air, made, toa, random), truth, made.altitude, world, seed, number,
                air.which.aerosol, air.which.weather, made.relief,
                float(aot.mean()) * FORECAST_ERROR ** random.choice((-1, 1)))  # fmt: skip


def _without(date: Date, band: str) -> Date:
    """The date with a strip of 2.4 km of a band lost: no light in it, and flagged."""
    n = date.truth.kind.shape[0]
    first = n // 3
    f = DESCRIBED[band].resolution
    rows = slice(first * STEP // f, (first + 120) * STEP // f)
    counts, flags = date.scene.counts[band].copy(), date.scene.defective[band].copy()
    counts[rows], flags[rows] = 1, True
    gone = np.zeros((n, n), bool)
    gone[first : first + 120] = True
    scene = replace(
        date.scene, counts={**date.scene.counts, band: counts}, defective={**date.scene.defective, band: flags}
    )
    return replace(date, scene=scene, truth=replace(date.truth, lost=gone))


def _aerosol(random: np.random.Generator, n: int, mean: float) -> Field:
    """AOT that varies by +-65 % over the image, with one to three plumes."""
    slow = fractal(random, n, 1.5 * n, n / 4, 3.5)
    slow = np.clip(0.4 * slow, -0.65, 0.65)
    out = mean * (1 + slow)
    y, x = np.mgrid[0:n, 0:n] / n
    for _ in range(random.integers(1, 4)):
        row, col, turn = *random.uniform(0.1, 0.9, 2), random.uniform(0, 2 * np.pi)
        along = (x - col) * np.cos(turn) + (y - row) * np.sin(turn)
        across = -(x - col) * np.sin(turn) + (y - row) * np.cos(turn)
        width = 0.01 + 0.12 * np.maximum(along, 0)
        out = out + mean * random.uniform(0.3, 0.9) * np.where(
            along > 0, np.exp(-((across / width) ** 2) / 2 - along / 0.35) * np.minimum(along / 0.01, 1), 0
        )
    return np.asarray(np.clip(out, 0.015, 1.15), np.float32)


def _sunlit(made: Ground, air: Air) -> tuple[Sun, NDArray[np.bool_]]:
    """Light of sun and sky on slopes; where the terrain casts its shadow."""
    n = made.altitude.shape[0]
    one = np.ones((n, n), np.float32)
    if not made.relief:
        return Sun(one, one), np.zeros((n, n), bool)
    south, east = np.gradient(made.altitude, float(STEP))
    zenith, azimuth = (np.radians(a) for a in air.look.sun)
    steep = np.sqrt(1 + south**2 + east**2)
    cosine = (np.cos(zenith) + np.sin(zenith) * (-east * np.sin(azimuth) + south * np.cos(azimuth))) / steep
    dark = _cast(made.altitude, zenith, azimuth)
    beam = np.where(dark, 0, np.maximum(cosine, 0)) / np.cos(zenith)
    view = (1 + 1 / steep) / 2
    return Sun(blurred(beam, 0.4), view.astype(np.float32)), dark | (cosine <= 0)


def _cast(altitude: Field, zenith: float, azimuth: float) -> NDArray[np.bool_]:
    """Ground that other ground hides from the sun: followed upwards in steps of a pixel."""
    from benchmarks.elsewhere.fields import along

    dark = np.zeros(altitude.shape, bool)
    highest, rise = float(altitude.max()), STEP / np.tan(zenith)
    east, south = np.sin(azimuth), -np.cos(azimuth)
    one = np.ones_like(altitude)
    k = 1.0
    while k * rise < highest - float(altitude.min()):
        line = altitude + k * rise
        dark |= along(altitude, one * np.float32(k * east), one * np.float32(k * south)) > line
        k = k * 1.05 + 1
    return dark


def _surface(
    made: Ground, air: Air, number: int
) -> tuple[dict[str, Field], NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Reflectance of all pixels by band; kinds; where there is water; where snow."""
    patches = made.look(air, number)
    kind = made.kind[made.patch]
    wet = np.zeros(kind.shape, bool)
    sea = None
    if made.sea is not None:
        sea, wet = made.sea(air, number)
        kind = np.where(wet, KIND["water"], kind).astype(np.uint8)
    share = np.zeros(kind.shape, np.float32)
    snow = None
    if made.snow is not None:
        snow, share = made.snow(air, number)
        kind = np.where((share > 0.5) & ~wet, KIND["snow"], kind).astype(np.uint8)
    surface = {}
    for b, band in enumerate(BANDS):
        rho = patches[:, b].astype(np.float32)[made.patch] * made.texture
        if snow is not None:
            rho = rho * (1 - share) + snow[..., b].astype(np.float32) * share
        if sea is not None:
            rho[wet] = sea[:, b]
        surface[band] = np.clip(rho, 0.0005, 0.98)
    return surface, kind, wet, (share > 0.5) & ~wet


def _truth(state: State, surface: dict[str, Field], kind: NDArray[np.uint8], wet: NDArray[np.bool_],
           white: NDArray[np.bool_], dark: NDArray[np.bool_]) -> Truth:  # fmt: skip
    n = kind.shape[0]
    low, ice = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    beam = np.ones((n, n), np.float32)
    veil = np.zeros((n, n), np.float32)
    for layer, sunwards in zip(state.layers, state.sunwards, strict=True):
        tau = state.seen(layer, "B2")
        if layer.kind == "ice":
            ice += tau
            o = clouds.optics("ice", "B10", state.air.mu_sun, 1.0)
            veil += curve(o.reflectance, state.seen(layer, "B10"))
        else:
            low += tau
        beam *= curve(clouds.optics(layer.kind, "B4", state.air.mu_sun, 1.0).unscattered, sunwards)
    thickness = low + ice
    cloud = (low >= clouds.SEEN) | (ice >= clouds.ICE_SEEN)
    lost = 1 - beam
    shadow = (lost >= clouds.SHADED) & ~dark
    thick = thickness >= clouds.THICK
    return Truth(
        surface, state.aot, state.water, thickness, cloud, thick, cloud & ~thick & (ice > low),
        ~cloud & ((ice >= clouds.ICE_UNSURE) | (low >= clouds.UNSURE)), shadow,
        ~shadow & (lost >= clouds.LIT), wet, white, dark, kind, veil, state.sun.beam, not (thickness > 0.01).any(),
        any(layer.kind != "ice" for layer in state.layers), np.zeros((n, n), bool),
    )  # fmt: skip


def _scene(
    world: str, number: int, air: Air, made: Ground, toa: dict[str, Field], random: np.random.Generator
) -> Scene:
    n = made.altitude.shape[0]
    grid = Grid("EPSG:32631", 300000.0, 4900020.0, n * STEP, n * STEP)
    counts = {}
    for band, described in DESCRIBED.items():
        f = described.resolution
        image = toa[band] if f == 20 else finer(toa[band], 2 * n) if f == 10 else coarser(toa[band], 3)
        noisy = image * QUANTIFICATION - OFFSET + NOISE[f] * random.standard_normal(image.shape, np.float32)
        counts[band] = np.clip(np.rint(noisy), 1, 32767).astype(np.uint16)
    look, sensing = air.look, air.look.sensing
    coarse = coarser(made.altitude, CELL // STEP)
    return Scene(
        tile="31TCJ",
        platform=air.which.platform,
        sensing=sensing,
        orbit=40000 + number,
        relative_orbit=51 + number % 2,
        baseline="05.10",
        identifier=f"{air.which.platform}_MSIL1C_{sensing:%Y%m%dT%H%M%S}_N0510_R{51 + number % 2:03d}_T31TCJ",
        grid=grid,
        counts=counts,
        quantification=QUANTIFICATION,
        offset=dict.fromkeys(BANDS, OFFSET),
        solar_irradiance=dict.fromkeys(BANDS, 1000.0),
        angles=_angles(grid, look.sun, look.view, 6 + number % 2),
        detectors={band: np.full(c.shape, 6 + number % 2, np.uint8) for band, c in counts.items()},
        defective={band: np.zeros(c.shape, np.bool_) for band, c in counts.items()},
        ancillary=Ancillary(
            coarse, OZONE, {"altitude": world, "ozone": world}, made.altitude if made.relief else None
        ),
    )  # fmt: skip


def _angles(grid: Grid, sun: tuple[float, float], views: dict[str, tuple[float, float]], detector: int) -> Angles:
    shape = (int(grid.height // 5000) + 2, int(grid.width // 5000) + 2)

    def level(value: float) -> NDArray[np.float32]:
        return np.full(shape, value, np.float32)

    return Angles(
        grid.west, grid.north, 5000.0, level(sun[0]), level(sun[1]),
        {band: {detector: level(v[0])} for band, v in views.items()},
        {band: {detector: level(v[1])} for band, v in views.items()},
        sun, views,
    )  # fmt: skip


def onto(date: Date, numbers: Parameters, forecast: bool = False) -> Scene:
    """The scene with its altitude on the version's coarse grid, and with what a forecast would say of the aerosol.

    Composition as near as the tables' models come to it; the mean AOT too high or too low by `FORECAST_ERROR`, where
    the chain takes one.
    """
    altitude = coarser(date.altitude, numbers.coarse_resolution // STEP)
    given = replace(date.scene.ancillary, altitude=altitude)
    if forecast:
        given = replace(given, aerosol=COMPOSITION.get(date.aerosol, {date.aerosol: 1.0}))
        if FORECAST_FIELD in {f.name for f in fields(Ancillary)}:
            given = replace(given, **{FORECAST_FIELD: date.forecast_aot})
    return replace(date.scene, ancillary=given)


__all__ = ["Date", "Truth", "onto", "series", "smoothstep"]
