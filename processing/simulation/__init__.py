"""Sentinel-2 scenes with known truth, written as Level-1C products.

A scene is a piece of ground (`ground`), a sky of clouds, aerosol and water vapour (`sky`), an acquisition geometry
(`geometry`), and the atmosphere of `processing.atmosphere` between them; `scenario` has the recipes, `safe` writes the
product. The truth is kept beside the products, in ``truth/``, and marked products say in their metadata that they are
simulated. Where a cloud is seen, and where its shadow falls, follows from its height, the sun and the view alone, by
formulas of this package's own: nothing is borrowed from the chain that is to find them.

Left out: the light from neighbouring pixels and slopes, anisotropic reflection, and the thickness of clouds in metres.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
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
from processing.simulation.scenario import SERIES, SPECTRA, WATERS, Clouds, Scenario, Series, Weather, recipe
from processing.simulation.sky import AEROSOL_HEIGHT, KINDS, WATER_HEIGHT, Haze, Layer, layers

__all__ = ["CLOUD_CLASSES", "SERIES", "Scenario", "Series", "Weather", "demonstration", "recipe", "simulate"]

#: Values of the cloud truth: by optical thickness (`THICK`), or high.
CLOUD_CLASSES = {0: "clear", 1: "thin", 2: "thick", 3: "high"}
#: A cloud counts where it takes this share of the light from the ground. [-]
THIN = 0.05
#: It is thick from this optical thickness. [-] (ISCCP: Rossow and Schiffer, Bulletin of the American Meteorological
#: Society 80, 1999)
THICK = 3.6
#: Values of the land cover truth, by the spectrum that prevails.
LAND_COVER = {number: name for number, name in enumerate(SPECTRA, 1)}
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


def simulate(out: Path, *, zip: bool = False, truth: bool = True, **series: Any) -> list[Path]:
    """Write a series of Level-1C products of one place.

    Parameters
    ----------
    out : Path
        Folder of the products; their truth goes to ``out/truth/NAME/``, and the terrain, where there is any, to
        ``out/truth/dem.tif``. Products of the same name are replaced.
    zip : bool
        Write zips rather than folders.
    truth : bool
        Keep the truth.
    **series
        What to write, as of `Series`.

    Returns
    -------
    list of Path
        The products, in time order.

    Raises
    ------
    ValueError
        For an unknown tile, a size or origin that does not fit, or weather that the atmosphere's tables do not reach.
    """
    return [date.write(Path(out), zipped=zip, truth=truth) for date in _dates(Series(**series))]


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
        _dates(Series(tile, start=start, size=size, cloud_cover=cover, overcast=overcast))
        for tile, size, cover, overcast in (
            ("31TCJ", 732, (0.0, 0.20), (3,)),
            ("40KCB", 732, (0.02, 0.16), ()),
            ("29RPQ", 366, (0.0, 0.12), ()),
            ("32SNE", 366, (0.0, 0.14), ()),
            ("30PXU", 366, (0.02, 0.24), (2,)),
        )
    ]
    return [date.write(Path(out), zipped=False, truth=truth) for dates in zip(*places, strict=True) for date in dates]


def _dates(series: Series) -> Iterator[_Date]:
    """The dates of a series, made as they are asked for."""
    tile_grid = tiling.grid(series.tile)
    whole, size = tiling.SIZE // 10, series.size
    if size % 6 or not 6 <= size <= whole:
        raise ValueError(f"size {size}: a multiple of 6 up to {whole} is needed")
    row, col = series.origin if series.origin is not None else ((whole - size) // 12 * 6, (whole - size) // 12 * 6)
    if row % 6 or col % 6 or min(row, col) < 0 or max(row, col) + size > whole:
        raise ValueError(f"origin {row}, {col}: multiples of 6 that leave room for {size} pixels are needed")
    if not 0 <= series.cloud_cover[0] <= series.cloud_cover[1] <= 1:
        raise ValueError(f"cloud cover {series.cloud_cover}: two shares in order are needed")
    grid = Grid(tile_grid.crs, tile_grid.west + 10 * col, tile_grid.north - 10 * row, 10 * size, 10 * size)
    place = _Place(series, grid)
    for k, acquisition in enumerate(_acquisitions(place, series)):
        rng = np.random.default_rng([*place.seed, 2, int(f"{acquisition.sensing:%Y%m%d}")])
        weather = series.weather[k % len(series.weather)] if series.weather else _weather(series, place, k, rng)
        yield _Date(place, acquisition, weather, rng)


def _weather(series: Series, place: _Place, k: int, rng: np.random.Generator) -> Weather:
    """The weather of a date of a series that does not say it."""
    share = (k * 0.618034 + 0.12) % 1  # neither ordered nor clustered
    cover = series.cloud_cover[0] + (series.cloud_cover[1] - series.cloud_cover[0]) * share**1.5
    aot, water_vapour = (
        given[k % len(given)] if given else float(rng.uniform(*drawn))
        for given, drawn in (
            (series.aot, place.scenario.aot),
            (series.water_vapour, place.scenario.water_vapour),
        )
    )
    if k in series.overcast:
        clouds = Clouds("stratus", (1500, 2500), 9000), 0.98
    else:
        kinds = place.scenario.clouds
        shares = np.array([kind.share for kind in kinds])
        clouds = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))], cover
    return Weather((clouds,), aot, water_vapour)


class _Place:
    """What the dates of a series have in common."""

    def __init__(self, series: Series, grid: Grid) -> None:
        self.tile, self.grid, self.size = series.tile, grid, series.size
        self.scenario = series.scenario or recipe(series.tile)
        self.seed = [series.seed, *series.tile.encode()]
        self.period = min(self.size, PERIOD)
        self.ground = Ground(self.scenario, self.period, int(np.random.default_rng(self.seed).integers(2**31)))
        self.to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        self.lon, self.lat = self.to_degrees.transform(grid.west + grid.width / 2, grid.north - grid.height / 2)
        self.km = 10 * self.size / 1000

    def of_ground(self, values: NDArray[Any], r: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[Any]:
        """A block of an image of the ground, which repeats."""
        return values[r % self.period][:, c % self.period]

    def altitude(self, r: NDArray[np.int64], c: NDArray[np.int64]) -> Field:
        """Height of a block at 10 m above the altitude of the scenario. [m]"""
        if not self.scenario.mountains:
            return np.broadcast_to(np.float32(0), (len(r), len(c)))
        return self.of_ground(self.ground.altitude, r, c)

    @cached_property
    def _smooth(self) -> Field:
        """Altitude for what air lies above. [m]"""
        return np.asarray(cv2.blur(self.ground.altitude, (61, 61)), np.float32)

    def around(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean height above the altitude of the scenario around points `x` eastwards and `y` southwards [km]. [m]"""
        if not self.scenario.mountains:
            return np.zeros(np.shape(x))
        r, c = (np.minimum((100 * v).astype(int), self.size - 1) % self.period for v in (y, x))
        return self._smooth[r, c].astype(float)


def _acquisitions(place: _Place, series: Series) -> list[Pass]:
    dates, start, platforms = series.dates, series.start, series.platforms
    tracks = geometry.relative_orbits(place.lon, place.lat)[: series.orbits]
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

    def __init__(self, place: _Place, acquisition: Pass, weather: Weather, rng: np.random.Generator) -> None:
        self.place, self.acquisition, self.weather = place, acquisition, weather
        self.scenario = place.scenario
        self.view = geometry.view_of(acquisition.relative_orbit, place.lon, place.lat, place.km, place.km)
        self.angles = _angles(place, acquisition, self.view)
        key = (*place.seed, acquisition.sensing.toordinal())
        self.aot = Haze(weather.aot, weather.patchy, (*key, 3))
        self.water_vapour = Haze(weather.water_vapour, 0.04, (*key, 4))
        self.sky = self._sky(rng)
        self._noise_seed = (*key, 5)
        self._shades: dict[tuple[int, int, int], Field] = {}
        day = acquisition.sensing.timetuple().tm_yday
        sun = self.angles.mean_sun
        glint = geometry.glint(weather.wind, sun, self.angles.mean_view[REFERENCE_BAND]) if weather.wind else 0.0
        shares = place.ground.cover(day, weather.bared, weather.snow)
        self.surface = place.ground.reflectance(shares, glint)
        self.surface["B10"] = self.surface["B9"]
        self.land_cover = _land_cover(shares)
        self.terrain_shadow, self.incidence = None, None
        if place.scenario.mountains:
            self.terrain_shadow = place.ground.terrain_shadow(sun)
            self.incidence = _incidence(place.ground.slopes(), sun) * ~self.terrain_shadow

    def _sky(self, rng: np.random.Generator) -> list[Layer]:
        size = self.place.size
        n = next(k for k in (384, 768, 1152, 1536, 2400) if size <= 0.64 * k or k == 2400)
        made = [
            layer
            for kind, cover in self.weather.clouds
            for layer in layers(kind, cover, n, min(size, n), self.angles.mean_sun, rng)
        ]
        return sorted(made, key=lambda layer: layer.height)

    # Geometry of a block of pixels at 10 m: rows `r` and columns `c` of the image.

    def _seen(
        self, layer: Layer, band: str, detector: int, r: NDArray[np.int64], c: NDArray[np.int64], f: int
    ) -> tuple[Field, Field]:
        """Opacity of a layer, and opacity x brightness, where a band sees it: beyond the ground's pixel."""
        x, y = (c + 0.5) / 100, (r + 0.5) / 100
        east, _ = self.view.slope(band, detector, x, float(y.mean()))
        _, north = self.view.slope(band, detector, float(x.mean()), y)
        return layer.at(r, c, -north / 10, east / 10, self.place.altitude(r, c), f)

    def _shade(self, r: NDArray[np.int64], c: NDArray[np.int64], f: int) -> Field:
        """Share of the direct sunlight that clouds keep from the ground."""
        key = (int(r[0]), int(c[0]), f)
        shade = self._shades.get(key)
        if shade is None:
            if len(self._shades) >= 3:  # the resolutions of one block
                self._shades.clear()
            zenith, azimuth = (math.radians(a) for a in self.angles.mean_sun)
            through = np.ones((len(r) // f, len(c) // f), np.float32)
            down, right = (math.tan(zenith) / 10 * v for v in (-math.cos(azimuth), math.sin(azimuth)))
            for layer in self.sky:
                through *= 1 - layer.at(r, c, down, right, self.place.altitude(r, c), f)[0]
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
        above = self.place.around(x, y)
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
            (self.scenario.altitude + above) / 1000,
            self.aot.at(x, y) * np.exp(-above / AEROSOL_HEIGHT),
            self.water_vapour.at(x, y) * np.exp(-above / WATER_HEIGHT),
            spread,
        )

    def _surface(self, band: str, r: NDArray[np.int64], c: NDArray[np.int64], f: int) -> Field:
        """Surface reflectance of a block, a mean over f x f pixels."""
        return block_mean(self.place.of_ground(self.surface[band], r, c), f)

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
        sun, view, relative, km, aot, water, spread = self._nodes(detector, band, r, c)
        direct = 1 - _diffuse_share(BANDS[band].centre, self.weather.aot, float(sun.mean()))
        beam = 1 - CLOUD_SHADE * shade
        if self.incidence is not None:
            beam = beam * block_mean(self.place.of_ground(self.incidence, r, c), f)
        lit = 1 - direct + direct * beam
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
            top = min((s.altitude + layer.height) / 1000, 3.0)
            mean_sun, mean_view, mean_relative = (float(v.mean()) for v in (sun, view, relative))
            mean_water = self.weather.water_vapour * above
            rho = light * np.float32(layer.reflectance_factor(band))  # weighted with the opacity
            if band == "B10":
                cloud = float(gas_transmittance(platform, band, mean_sun, mean_view, top, mean_water, s.ozone)) * rho
            else:
                thin_air = self.weather.aot * math.exp(-layer.height / AEROSOL_HEIGHT)
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

    def clouds(self, r: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.int16]:
        """Clouds of a block at 10 m, as `REFERENCE_BAND` sees them.

        Returns
        -------
        (4, row, col) int16
            Class and height [m] of the highest cloud, optical thickness of all of them together [0.01], kind of the
            highest.
        """
        detectors = self._detectors(r, c, 10)
        label, height, kind = np.zeros((3, len(r), len(c)), np.int16)
        total = np.zeros((len(r), len(c)), np.float32)
        for detector in np.unique(detectors).tolist():
            here = detectors == detector
            for layer in self.sky:
                opacity, _ = self._seen(layer, REFERENCE_BAND, detector, r, c, 1)
                thickness = layer.optical_thickness(opacity)
                total[here] += thickness[here]
                there = (opacity >= THIN) & here
                height[there] = round(layer.height)
                kind[there] = KINDS.index(layer.kind) + 1
                label[there] = 3 if layer.kind == "cirrus" else np.where(thickness[there] >= THICK, 2, 1)
        return np.stack([label, height, np.rint(100 * total).clip(0, 32767).astype(np.int16), kind])

    def _blocks(self) -> list[tuple[slice, slice]]:
        n, step = self.place.size, self.place.period
        edges = [slice(k, min(k + step, n)) for k in range(0, n, step)]
        return [(rows, cols) for rows in edges for cols in edges]

    def _whole(
        self,
        resolution: int,
        dtype: Any,
        make: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[Any]],
        layers: int | None = None,
    ) -> NDArray[Any]:
        """An image put together from the blocks that `make` gives."""
        f = resolution // 10
        n = self.place.size // f
        out = np.empty((n, n) if layers is None else (layers, n, n), dtype)
        for rows, cols in self._blocks():
            target = slice(rows.start // f, rows.stop // f), slice(cols.start // f, cols.stop // f)
            out[..., *target] = make(np.arange(rows.start, rows.stop), np.arange(cols.start, cols.stop))
        return out

    def counts(self, band: str) -> NDArray[np.uint16]:
        """Counts of a band with noise and offset."""
        b = BANDS[band]
        rng = np.random.default_rng([*self._noise_seed, b.index])

        def make(r: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.uint16]:
            toa = self.toa(band, r, c)
            if not np.isfinite(toa).all():
                raise ValueError(
                    f"{self.acquisition.sensing:%Y-%m-%d}: its weather or sun is beyond the atmosphere's tables"
                )
            noisy = toa * safe.QUANTIFICATION + NOISE[b.resolution] * rng.standard_normal(toa.shape, np.float32)
            return np.clip(np.rint(noisy + safe.OFFSET), 1, 32767).astype(np.uint16)

        return self._whole(b.resolution, np.uint16, make)

    def write(self, out: Path, *, zipped: bool, truth: bool) -> Path:
        """Write the product and its truth."""
        clouds = self._whole(10, np.int16, self.clouds, 4)
        classes = clouds[0]
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
            self._write_truth(out / "truth" / product.name.removesuffix(".SAFE"), clouds)
        with ThreadPoolExecutor(THREADS) as threads:  # numpy and the encoder let go of the interpreter
            list(threads.map(lambda band: product.add_image(band, self.counts(band)), BANDS))
        detectors = {r: self._whole(r, np.uint8, partial(self._detectors, resolution=r)) for r in (10, 20, 60)}
        coarse = [block_mean((classes == k).astype(np.float32), 6) > 0.5 for k in (2, 3)]
        snow = np.zeros_like(coarse[0])  # as the Level-1C of this baseline where nobody looked for it
        product.add_masks(detectors, np.stack([*coarse, snow]).astype(np.uint8))
        return product.write(out, zipped=zipped)

    def _write_truth(self, folder: Path, clouds: NDArray[np.int16]) -> None:
        """Surface reflectance, columns, clouds, shadows and ground as GeoTIFF, and a summary."""
        folder.mkdir(parents=True, exist_ok=True)
        for resolution, bands in ((10, R1), (20, R2), (60, ("B1", "B9"))):
            images = [
                self._whole(resolution, np.float32, partial(self._surface, band, f=resolution // 10)) for band in bands
            ]
            scaled = [np.rint(10_000 * image).astype(np.int16) for image in images]
            self._tif(folder / f"surface_reflectance_{resolution}m.tif", scaled, resolution, bands)
        middles = np.meshgrid(*[(np.arange(self.place.size // 6) + 0.5) * 0.06] * 2)
        above = self.place.around(*middles)
        columns = [
            (quantity.at(*middles) * np.exp(-above / scale)).astype(np.float32)
            for quantity, scale in ((self.aot, AEROSOL_HEIGHT), (self.water_vapour, WATER_HEIGHT))
        ]
        self._tif(folder / "atmosphere_60m.tif", columns, 60, ("aot550", "water_vapour_g_cm-2"))
        names = ("class", "height_m", "optical_thickness_0.01", "kind")
        self._tif(folder / "clouds_10m.tif", list(clouds), 10, names)
        land = self._whole(10, np.uint8, partial(self.place.of_ground, self.land_cover))
        hidden = np.zeros(land.shape, bool)
        if self.terrain_shadow is not None:
            hidden = self._whole(10, bool, partial(self.place.of_ground, self.terrain_shadow))
            altitude = self._whole(10, np.float32, self.place.altitude) + np.float32(self.scenario.altitude)
            self._tif(folder.parent / "dem.tif", [altitude], 10, ("altitude_m",))
        water = np.isin(land, [number for number, name in LAND_COVER.items() if name in WATERS])
        snow = np.isin(land, [number for number, name in LAND_COVER.items() if name == "snow"])
        ground = [band.astype(np.uint8) for band in (land, water, snow, hidden)]
        self._tif(folder / "ground_10m.tif", ground, 10, ("land_cover", "water", "snow", "terrain_shadow"))
        # a slope that the sun does not reach has no shadow of a cloud
        shade = self._whole(10, np.float32, lambda r, c: self._shade(r, c, 1)) * ~hidden
        shadow = shade >= SHADED
        shadows = [shadow.astype(np.uint8), np.rint(100 * shade).astype(np.uint8)]
        self._tif(folder / "shadows_10m.tif", shadows, 10, ("shadow", "shade_percent"))
        classes = clouds[0]
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
            "cloud_kinds": dict(enumerate(KINDS, 1)),
            "thin_from_opacity": THIN,
            "thick_from_optical_thickness": THICK,
            "land_cover": LAND_COVER,
            "bared": self.weather.bared,
            "snow_percent": round(100 * float(snow.mean()), 2),
            "water_percent": round(100 * float(water.mean()), 2),
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


def _land_cover(shares: dict[str, Field]) -> NDArray[np.uint8]:
    """The spectrum that prevails in each pixel."""
    most, cover = np.zeros((2, *next(iter(shares.values())).shape), np.float32)
    for number, name in LAND_COVER.items():
        if name in shares:
            cover[shares[name] > most] = number
            np.maximum(most, shares[name], out=most)
    return cover.astype(np.uint8)


def _incidence(slopes: tuple[Field, Field], sun: tuple[float, float]) -> Field:
    """Direct light on a slope, relative to that on level ground; 0 where it lies turned away. [-]"""
    zenith, azimuth = (math.radians(a) for a in sun)
    east, north = slopes
    towards = 1 - math.tan(zenith) * (east * math.sin(azimuth) + north * math.cos(azimuth))
    return np.asarray(np.maximum(towards, 0) / np.sqrt(1 + east**2 + north**2), np.float32)


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
