"""Sentinel-2 scenes with known truth, written as Level-1C products.

A scene is a piece of ground (`ground`), a sky of clouds, aerosol and water vapour (`sky`), an acquisition geometry
(`geometry`), and the atmosphere of `processing.atmosphere` between them; `scenario` has the recipes, `safe` writes the
product. The truth is kept beside the products, in ``truth/``, and marked products say in their metadata that they are
simulated.

Left out: relief (the terrain is flat, at the altitude of the scenario), the light from neighbouring pixels, and
anisotropic reflection.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from processing import tiling
from processing.atmosphere import coefficients, gas_transmittance
from processing.bands import BANDS, R1, R2
from processing.scene import Angles, Grid
from processing.simulation import geometry, safe
from processing.simulation.geometry import NODES, STEP, Pass, View
from processing.simulation.ground import Ground
from processing.simulation.noise import Field, block_mean
from processing.simulation.scenario import Clouds, Scenario, recipe
from processing.simulation.sky import AEROSOL_HEIGHT, WATER_HEIGHT, Haze, Layer, layers

__all__ = ["CLOUD_CLASSES", "Scenario", "demonstration", "recipe", "simulate"]

#: Values of the cloud truth: by opacity (`THICK`), or high.
CLOUD_CLASSES = {0: "clear", 1: "thin", 2: "thick", 3: "high"}
#: A cloud counts from this opacity, and is thick from the second one. [-]
THIN, THICK = 0.10, 0.50
#: Ground counts as shaded where less than 1 - this of the direct light comes through. [-]
SHADED = 0.25
#: Direct light that a thick cloud keeps from the ground; the rest is what the clouds around throw there. [-]
CLOUD_SHADE = 0.85
#: Ground repeats after this many pixels at 10 m, so that a whole tile fits in memory.
PERIOD = 2196
#: Standard deviation of the noise by resolution. [counts]
NOISE = {10: 5.0, 20: 4.0, 60: 2.5}
#: Reflectance in B10 of a place without cloud, by scattering. [-]
B10_PATH = 0.0010
#: Band whose view direction the cloud truth has.
REFERENCE_BAND = "B3"
#: Bands made at once.
THREADS = 2
#: Last day of the demonstration.
DEMONSTRATION = datetime(2024, 7, 1, tzinfo=UTC)


def simulate(
    out: Path,
    *,
    tile: str,
    dates: int | Sequence[datetime] = 5,
    start: datetime = datetime(2024, 6, 1, tzinfo=UTC),
    size: int = 366,
    origin: tuple[int, int] | None = None,
    seed: int = 0,
    scenario: Scenario | None = None,
    platforms: Sequence[str] = ("S2A", "S2B"),
    orbits: int = 1,
    aot: Sequence[float] | None = None,
    water_vapour: Sequence[float] | None = None,
    cloud_cover: tuple[float, float] = (0.0, 0.4),
    overcast: Sequence[int] = (),
    zip: bool = False,
    truth: bool = True,
) -> list[Path]:
    """Write a series of Level-1C products of one place.

    Parameters
    ----------
    out : Path
        Folder of the products; their truth goes to ``out/truth/NAME/``. Products of the same name are replaced.
    tile : str
        MGRS id without the T.
    dates : int or sequence of datetime
        How many of the real passes of Sentinel-2A and 2B from `start` on, or the very days (any), on which the
        `platforms` take turns.
    start : datetime
    size : int
        Rows and columns at 10 m, a multiple of 6, at most 10980.
    origin : (int, int), optional
        First row and column in the tile at 10 m, multiples of 6. Default: the middle.
    seed : int
        The same arguments and seed give the same bytes.
    scenario : Scenario, optional
        Default: `recipe` of the tile.
    orbits : int
        Relative orbits that see the place in turn, as far as there are so many.
    aot, water_vapour : sequence of float, optional
        Mean of each date [-], [g cm-2]; repeated when shorter. Default: drawn from the scenario's ranges.
    cloud_cover : (float, float)
        Least and largest share of cloud; the dates are spread over the range. [-]
    overcast : sequence of int
        Dates (by position) with more than 95 % of cloud.
    zip : bool
        Write zips rather than folders.
    truth : bool
        Keep the truth.

    Returns
    -------
    list of Path
        The products, in time order.

    Raises
    ------
    ValueError
        For an unknown tile, or a size or origin that does not fit.
    """
    series = _series(
        tile, dates, start, size, origin, seed, scenario, platforms, orbits, aot, water_vapour, cloud_cover, overcast
    )
    return [date.write(Path(out), zipped=zip, truth=truth) for date in series]


def demonstration(out: Path, until: datetime = DEMONSTRATION, *, truth: bool = False) -> list[Path]:
    """Write the small archive that an empty centre shows: five places on three continents, five dates each.

    Parameters
    ----------
    out : Path
    until : datetime
        The last pass is before this day, the first about 25 days earlier.
    truth : bool
        Keep the truth in ``out/truth/``.

    Returns
    -------
    list of Path
        The products; the first date of every place comes first.
    """
    start = until - timedelta(days=25)
    places = [
        _series(tile, 5, start, size=size, cloud_cover=cover, overcast=overcast)
        for tile, size, cover, overcast in (
            ("31TCJ", 732, (0.0, 0.20), (3,)),
            ("40KCB", 732, (0.02, 0.16), ()),
            ("29RPQ", 366, (0.0, 0.12), ()),
            ("32SNE", 366, (0.0, 0.14), ()),
            ("30PXU", 366, (0.02, 0.24), (2,)),
        )
    ]
    return [date.write(Path(out), zipped=False, truth=truth) for dates in zip(*places, strict=True) for date in dates]


def _series(
    tile: str,
    dates: int | Sequence[datetime],
    start: datetime,
    size: int = 366,
    origin: tuple[int, int] | None = None,
    seed: int = 0,
    scenario: Scenario | None = None,
    platforms: Sequence[str] = ("S2A", "S2B"),
    orbits: int = 1,
    aot: Sequence[float] | None = None,
    water_vapour: Sequence[float] | None = None,
    cloud_cover: tuple[float, float] = (0.0, 0.4),
    overcast: Sequence[int] = (),
) -> Iterator[_Date]:
    """The dates of `simulate`, made as they are asked for."""
    tile_grid = tiling.grid(tile)
    whole = tiling.SIZE // 10
    if size % 6 or not 6 <= size <= whole:
        raise ValueError(f"size {size}: a multiple of 6 up to {whole} is needed")
    row, col = origin if origin is not None else ((whole - size) // 12 * 6, (whole - size) // 12 * 6)
    if row % 6 or col % 6 or min(row, col) < 0 or max(row, col) + size > whole:
        raise ValueError(f"origin {row}, {col}: multiples of 6 that leave room for {size} pixels are needed")
    if not 0 <= cloud_cover[0] <= cloud_cover[1] <= 1:
        raise ValueError(f"cloud cover {cloud_cover}: two shares in order are needed")
    grid = Grid(tile_grid.crs, tile_grid.west + 10 * col, tile_grid.north - 10 * row, 10 * size, 10 * size)
    place = _Place(tile, grid, size, scenario or recipe(tile), [seed, *tile.encode()])
    acquisitions = _acquisitions(place, dates, start, platforms, orbits)
    for k, acquisition in enumerate(acquisitions):
        rng = np.random.default_rng([*place.seed, 2, int(f"{acquisition.sensing:%Y%m%d}")])
        share = (k * 0.618034 + 0.12) % 1  # neither ordered nor clustered
        cover = cloud_cover[0] + (cloud_cover[1] - cloud_cover[0]) * share**1.5
        weather = _Weather(
            aot=aot[k % len(aot)] if aot else float(rng.uniform(*place.scenario.aot)),
            water_vapour=(
                water_vapour[k % len(water_vapour)]
                if water_vapour
                else float(rng.uniform(*place.scenario.water_vapour))
            ),
            cover=0.98 if k in overcast else cover,
            overcast=k in overcast,
        )
        yield _Date(place, acquisition, weather, rng)


@dataclass(frozen=True)
class _Weather:
    """One date's sky in numbers."""

    aot: float
    water_vapour: float
    cover: float
    overcast: bool


class _Place:
    """What the dates of a series have in common."""

    def __init__(self, tile: str, grid: Grid, size: int, scenario: Scenario, seed: list[int]) -> None:
        self.tile, self.grid, self.size, self.scenario, self.seed = tile, grid, size, scenario, seed
        self.period = min(size, PERIOD)
        self.ground = Ground(scenario, self.period, int(np.random.default_rng(seed).integers(2**31)))
        self.to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        self.lon, self.lat = self.to_degrees.transform(grid.west + grid.width / 2, grid.north - grid.height / 2)
        self.km = 10 * size / 1000


def _acquisitions(
    place: _Place, dates: int | Sequence[datetime], start: datetime, platforms: Sequence[str], orbits: int
) -> list[Pass]:
    tracks = geometry.relative_orbits(place.lon, place.lat)[:orbits]
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start
    if isinstance(dates, int):
        found = [p for r in tracks for p in islice(geometry.passes(start, r, place.lon, place.lat), dates)]
        return sorted(found, key=lambda p: p.sensing)[:dates]
    days = sorted(d.replace(tzinfo=UTC) if d.tzinfo is None else d for d in dates)
    return [
        geometry.pass_on(day, platforms[k % len(platforms)], tracks[k % len(tracks)], place.lon, place.lat)
        for k, day in enumerate(days)
    ]


class _Date:
    """One acquisition of a place: its light, its sky, and the product made of them."""

    def __init__(self, place: _Place, acquisition: Pass, weather: _Weather, rng: np.random.Generator) -> None:
        self.place, self.acquisition, self.weather = place, acquisition, weather
        self.scenario = place.scenario
        self.view = geometry.view_of(acquisition.relative_orbit, place.lon, place.lat, place.km, place.km)
        self.angles = _angles(place, acquisition, self.view)
        key = (*place.seed, acquisition.sensing.toordinal())
        self.aot = Haze(weather.aot, 0.10, (*key, 3))
        self.water_vapour = Haze(weather.water_vapour, 0.04, (*key, 4))
        self.sky = self._sky(rng)
        self._noise_seed = (*key, 5)
        self._shades: dict[tuple[int, int, int], Field] = {}
        day = acquisition.sensing.timetuple().tm_yday
        self.surface = place.ground.reflectance(day)
        self.surface["B10"] = self.surface["B9"]

    def _sky(self, rng: np.random.Generator) -> list[Layer]:
        kinds = self.scenario.clouds
        n = next(k for k in (768, 1152, 1536) if self.place.size <= 0.64 * k or k == 1536)
        window = min(self.place.size, n)
        if self.weather.overcast:
            kind = Clouds("stratus", (1500, 2500), 9000)
        else:
            share = np.array([k.share for k in kinds])
            kind = kinds[int(rng.choice(len(kinds), p=share / share.sum()))]
        azimuth = math.radians(self.angles.mean_sun[1])
        towards = (-math.cos(azimuth), math.sin(azimuth))
        return [layer.lit(towards) for layer in layers(kind, self.weather.cover, n, window, rng)]

    # Geometry of a block of pixels at 10 m: rows `r` and columns `c` of the image.

    def _seen(
        self, layer: Layer, band: str, detector: int, r: NDArray[np.int64], c: NDArray[np.int64], f: int
    ) -> tuple[Field, Field]:
        """Opacity of a layer, and opacity x brightness, where a band sees it: beyond the ground's pixel."""
        x, y = (c + 0.5) / 100, (r + 0.5) / 100
        east, _ = self.view.slope(band, detector, x, float(y.mean()))
        _, north = self.view.slope(band, detector, float(x.mean()), y)
        return layer.at(r - layer.height * north / 10, c + layer.height * east / 10, f)

    def _shade(self, r: NDArray[np.int64], c: NDArray[np.int64], f: int) -> Field:
        """Share of the direct sunlight that clouds keep from the ground."""
        key = (int(r[0]), int(c[0]), f)
        shade = self._shades.get(key)
        if shade is None:
            if len(self._shades) >= 3:  # the resolutions of one block
                self._shades.clear()
            zenith, azimuth = (math.radians(a) for a in self.angles.mean_sun)
            through = np.ones((len(r) // f, len(c) // f), np.float32)
            for layer in self.sky:
                away = layer.height * math.tan(zenith) / 10
                through *= 1 - layer.at(r - away * math.cos(azimuth), c + away * math.sin(azimuth), f)[0]
            shade = self._shades[key] = 1 - through
        return shade

    def _nodes(self, detector: int, band: str, r: NDArray[np.int64], c: NDArray[np.int64]) -> tuple[Any, ...]:
        """Angles and columns at nodes over a block, and what brings them to its pixels at the band's resolution."""
        f = BANDS[band].resolution // 10
        count = max(3, math.ceil(len(r) / 60) + 1)
        at = [np.linspace(v[0], v[-1] + 1, count) for v in (r, c)]
        y, x = np.meshgrid(at[0] / 100, at[1] / 100, indexing="ij")
        g = self.place.grid
        lon, lat = self.place.to_degrees.transform(g.west + 1000 * x, g.north - 1000 * y)
        sun_zenith, sun_azimuth = geometry.sun(self.acquisition.sensing, lon, lat)
        view_zenith, view_azimuth = self.view.angles(band, detector, x, y)
        weights = [
            _linear((np.arange(v[0] // f, (v[-1] + 1) // f) + 0.5) * f, nodes)
            for v, nodes in zip((r, c), at, strict=True)
        ]

        def spread(values: NDArray[np.floating]) -> Field:
            return weights[0] @ (values.astype(np.float32) @ weights[1].T)

        return (
            sun_zenith,
            view_zenith,
            sun_azimuth - view_azimuth,
            self.aot.at(x, y),
            self.water_vapour.at(x, y),
            spread,
        )

    def _surface(self, band: str, r: NDArray[np.int64], c: NDArray[np.int64], f: int) -> Field:
        """Surface reflectance of a block, a mean over f x f pixels."""
        period = self.place.period
        return block_mean(self.surface[band][r % period][:, c % period], f)

    def toa(self, band: str, r: NDArray[np.int64], c: NDArray[np.int64]) -> Field:
        """Top-of-atmosphere reflectance of a block, without noise, at the band's resolution."""
        f = BANDS[band].resolution // 10
        surface = self._surface(band, r, c, f)
        shade = self._shade(r, c, f)
        detectors = self._detectors(r, c, BANDS[band].resolution)
        out = np.empty(surface.shape, np.float32)
        for detector in np.unique(detectors).tolist():
            value = self._toa(band, detector, r, c, f, surface, shade)
            here = detectors == detector
            out[here] = value[here]
        return out

    def _toa(
        self, band: str, detector: int, r: NDArray[np.int64], c: NDArray[np.int64], f: int, surface: Field, shade: Field
    ) -> Field:
        platform, s = self.acquisition.platform, self.scenario
        sun, view, relative, aot, water, spread = self._nodes(detector, band, r, c)
        km = s.altitude / 1000
        direct = CLOUD_SHADE * (1 - _diffuse_share(BANDS[band].centre, self.weather.aot, float(sun.mean())))
        lit = 1 - direct * shade
        if band == "B10":
            gas = gas_transmittance(platform, band, sun, view, km, water, s.ozone)
            value = B10_PATH + spread(gas) * surface * lit
        else:
            a = coefficients(platform, band, sun, view, relative, km, aot, water, s.ozone, s.aerosol_model)
            reflected = spread(a.transmittance) * surface * lit / (1 - spread(a.albedo) * surface)
            value = (reflected + spread(a.offset)) / spread(a.scale)
        for layer in self.sky:
            opacity, light = self._seen(layer, band, detector, r, c, f)
            above = math.exp(-layer.height / WATER_HEIGHT)
            top = min(km + layer.height / 1000, 3.0)
            mean_sun, mean_view, mean_relative = (float(v.mean()) for v in (sun, view, relative))
            mean_water = float(water.mean()) * above
            rho = light * np.float32(layer.reflectance_factor(band))  # weighted with the opacity
            if band == "B10":
                cloud = float(gas_transmittance(platform, band, mean_sun, mean_view, top, mean_water, s.ozone)) * rho
            else:
                thin_air = float(aot.mean()) * math.exp(-layer.height / AEROSOL_HEIGHT)
                a = coefficients(
                    platform, band, mean_sun, mean_view, mean_relative, top, thin_air, mean_water, s.ozone,
                    s.aerosol_model,
                )  # fmt: skip
                cloud = (a.transmittance * rho / (1 - a.albedo * rho) + a.offset * opacity) / a.scale
            value = value * (1 - opacity) + cloud
        return np.asarray(value, np.float32)

    def _detectors(self, r: NDArray[np.int64], c: NDArray[np.int64], resolution: int) -> NDArray[np.uint8]:
        f = resolution // 10
        y = (np.arange(r[0] // f, (r[-1] + 1) // f) + 0.5) * f / 100
        x = (np.arange(c[0] // f, (c[-1] + 1) // f) + 0.5) * f / 100
        return self.view.detector(x[None, :], y[:, None])

    def clouds(self, r: NDArray[np.int64], c: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Cloud class and height [m] of a block at 10 m, as `REFERENCE_BAND` sees them: of the highest cloud."""
        detectors = self._detectors(r, c, 10)
        kind, height = np.zeros((2, len(r), len(c)), np.int16)
        for detector in np.unique(detectors).tolist():
            for layer in self.sky:
                opacity, _ = self._seen(layer, REFERENCE_BAND, detector, r, c, 1)
                there = (opacity >= THIN) & (detectors == detector)
                label = np.where(opacity >= THICK, 2, 1) if layer.kind != "cirrus" else np.full(opacity.shape, 3)
                kind[there] = label[there]
                height[there] = round(layer.height)
        return kind, height

    def _blocks(self) -> list[tuple[slice, slice]]:
        n, step = self.place.size, self.place.period
        edges = [slice(k, min(k + step, n)) for k in range(0, n, step)]
        return [(rows, cols) for rows in edges for cols in edges]

    def _whole(
        self, resolution: int, dtype: Any, make: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[Any]]
    ) -> NDArray[Any]:
        """An image put together from the blocks that `make` gives."""
        f = resolution // 10
        n = self.place.size // f
        out = np.empty((n, n), dtype)
        for rows, cols in self._blocks():
            target = slice(rows.start // f, rows.stop // f), slice(cols.start // f, cols.stop // f)
            out[target] = make(np.arange(rows.start, rows.stop), np.arange(cols.start, cols.stop))
        return out

    def counts(self, band: str) -> NDArray[np.uint16]:
        """Counts of a band with noise and offset."""
        b = BANDS[band]
        rng = np.random.default_rng([*self._noise_seed, b.index])

        def make(r: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.uint16]:
            toa = self.toa(band, r, c)
            noisy = toa * safe.QUANTIFICATION + NOISE[b.resolution] * rng.standard_normal(toa.shape, np.float32)
            return np.clip(np.rint(noisy + safe.OFFSET), 1, 32767).astype(np.uint16)

        return self._whole(b.resolution, np.uint16, make)

    def write(self, out: Path, *, zipped: bool, truth: bool) -> Path:
        """Write the product and its truth."""
        classes = self._whole(10, np.int8, lambda r, c: self.clouds(r, c)[0])
        p = self.acquisition
        product = safe.Safe(
            platform=p.platform,
            tile=self.place.tile,
            orbit=p.orbit,
            relative_orbit=p.relative_orbit,
            sensing=p.sensing,
            grid=self.place.grid,
            angles=self.angles,
            cloud_percent=100 * float((classes > 0).mean()),
        )
        if truth:
            self._write_truth(out / "truth" / product.name.removesuffix(".SAFE"), classes)
        with ThreadPoolExecutor(THREADS) as threads:  # numpy and the encoder let go of the interpreter
            list(threads.map(lambda band: product.add_image(band, self.counts(band)), BANDS))
        detectors = {r: self._whole(r, np.uint8, partial(self._detectors, resolution=r)) for r in (10, 20, 60)}
        coarse = [block_mean((classes == k).astype(np.float32), 6) > 0.5 for k in (2, 3)]
        snow = np.zeros_like(coarse[0])
        product.add_masks(detectors, np.stack([*coarse, snow]).astype(np.uint8))
        return product.write(out, zipped=zipped)

    def _write_truth(self, folder: Path, classes: NDArray[np.int8]) -> None:
        """Surface reflectance, columns, clouds and shadows as GeoTIFF, and a summary."""
        folder.mkdir(parents=True, exist_ok=True)
        for resolution, bands in ((10, R1), (20, R2), (60, ("B1", "B9"))):
            images = [
                self._whole(resolution, np.float32, partial(self._surface, band, f=resolution // 10)) for band in bands
            ]
            scaled = [np.rint(10_000 * image).astype(np.int16) for image in images]
            self._tif(folder / f"surface_reflectance_{resolution}m.tif", scaled, resolution, bands)
        middles = (np.arange(self.place.size // 6) + 0.5) * 0.06
        columns = [q.at(*np.meshgrid(middles, middles)).astype(np.float32) for q in (self.aot, self.water_vapour)]
        self._tif(folder / "atmosphere_60m.tif", columns, 60, ("aot550", "water_vapour_g_cm-2"))
        heights = self._whole(10, np.int16, lambda r, c: self.clouds(r, c)[1])
        self._tif(folder / "clouds_10m.tif", [classes.astype(np.int16), heights], 10, ("class", "height_m"))
        shadow = self._whole(10, np.uint8, lambda r, c: self._shade(r, c, 1) >= SHADED)
        self._tif(folder / "shadows_10m.tif", [shadow], 10, ("shadow",))
        summary = {
            "tile": self.place.tile,
            "sensing": self.acquisition.sensing.isoformat(),
            "platform": self.acquisition.platform,
            "seed": self.place.seed[0],
            "aerosol_model": self.scenario.aerosol_model,
            "altitude_m": self.scenario.altitude,
            "ozone_cm_atm": self.scenario.ozone,
            "aot550_mean": round(float(columns[0].mean()), 4),
            "water_vapour_mean_g_cm-2": round(float(columns[1].mean()), 4),
            "blue_red": list(self.scenario.blue_red),
            "cloud_percent": {name: round(100 * float((classes == k).mean()), 2) for k, name in CLOUD_CLASSES.items()},
            "cloud_heights_m": [round(layer.height) for layer in self.sky],
            "shadow_percent": round(100 * float(shadow.mean()), 2),
            "thin_from_opacity": THIN,
            "thick_from_opacity": THICK,
            "shaded_from": SHADED,
            "sun_zenith_azimuth_deg": [round(a, 4) for a in self.angles.mean_sun],
        }
        (folder / "truth.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    def _tif(self, path: Path, images: list[NDArray[Any]], resolution: int, names: Sequence[str]) -> None:
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            dtype=images[0].dtype.name,
            count=len(images),
            height=images[0].shape[0],
            width=images[0].shape[1],
            crs=self.place.grid.crs,
            transform=rasterio.Affine(*self.place.grid.transform(resolution)),
            compress="deflate",
            predictor=3 if images[0].dtype.kind == "f" else 2,
            tiled=images[0].shape[0] >= 512,
        ) as target:
            for k, (image, name) in enumerate(zip(images, names, strict=True), 1):
                target.write(image, k)
                target.set_band_description(k, name)


def _angles(place: _Place, acquisition: Pass, view: View) -> Angles:
    """The angle grids as a Level-1C has them: a detector is known on its strip and a node around it."""
    g = place.grid
    y, x = np.meshgrid(np.arange(NODES) * STEP / 1000, np.arange(NODES) * STEP / 1000, indexing="ij")
    lon, lat = place.to_degrees.transform(g.west + 1000 * x, g.north - 1000 * y)
    sun_zenith, sun_azimuth = geometry.sun(acquisition.sensing, lon, lat)
    pixels = (np.linspace(0, place.km, 61)[:-1] + place.km / 120).reshape(1, -1)
    detector_map = view.detector(pixels, pixels.T)
    zeniths: dict[str, dict[int, NDArray[np.float32]]] = {}
    azimuths: dict[str, dict[int, NDArray[np.float32]]] = {}
    means = {}
    for band in BANDS:
        zeniths[band], azimuths[band] = {}, {}
        inside = []
        for detector in np.unique(detector_map).tolist():
            near = view.outside(x, y, detector) <= 1.5 * STEP / 1000
            zenith, azimuth = view.angles(band, detector, x, y)
            zeniths[band][detector] = np.where(near, zenith, np.nan).astype(np.float32)
            azimuths[band][detector] = np.where(near, azimuth, np.nan).astype(np.float32)
            here = np.nonzero(detector_map == detector)
            inside.append(view.angles(band, detector, pixels[0, here[1]], pixels[0, here[0]]))
        means[band] = geometry.mean_direction(*(np.concatenate(v) for v in zip(*inside, strict=True)))
    middle = geometry.sun(acquisition.sensing, place.lon, place.lat)
    return Angles(
        west=g.west,
        north=g.north,
        step=STEP,
        sun_zenith=sun_zenith.astype(np.float32),
        sun_azimuth=sun_azimuth.astype(np.float32),
        view_zenith=zeniths,
        view_azimuth=azimuths,
        mean_sun=(float(middle[0]), float(middle[1])),
        mean_view=means,
    )


def _linear(at: NDArray[np.floating], nodes: NDArray[np.floating]) -> Field:
    """Weights (at, node) of the linear interpolation between evenly spaced nodes."""
    t = (at - nodes[0]) / (nodes[1] - nodes[0])
    return np.asarray(np.maximum(1 - np.abs(t[:, None] - np.arange(len(nodes))), 0), np.float32)


def _diffuse_share(wavelength: float, aot: float, sun_zenith: float) -> float:
    """Share of the light on the ground that comes from the sky. [-]

    Parameters
    ----------
    wavelength : float
        [nm]
    aot : float
        At 550 nm, with an Angstrom exponent of 1.3.
    sun_zenith : float
        [deg]

    References
    ----------
    Optical thickness of the molecules: Hansen and Travis, Space Science Reviews 16, 1974, eq. 2.30. Half of what they
    scatter, and five sixths of what aerosol scatters, goes on downwards.
    """
    um = wavelength / 1000
    rayleigh = 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4)
    aerosol = aot * (um / 0.55) ** -1.3
    airmass = 1 / math.cos(math.radians(sun_zenith))
    return 1 - math.exp(-(0.5 * rayleigh + 5 / 6 * aerosol) * airmass)
