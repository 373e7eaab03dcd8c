"""One date of a place: its light, its sky, and what the satellite counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from processing.atmosphere import LightPath, coefficients, gas_transmittance
from processing.bands import BANDS
from processing.simulation import angles, ground, orbit, safe, sunlight
from processing.simulation.noise import Field, block_mean
from processing.simulation.orbit import Pass
from processing.simulation.place import Block, Place
from processing.simulation.scenario import Weather
from processing.simulation.sky import AEROSOL_HEIGHT, WATER_HEIGHT, Haze, Layer, layers

#: Direct light that a thick cloud keeps from the ground; the rest is what the clouds around throw there. [-]
CLOUD_SHADE = 0.85
#: Standard deviation of the noise by resolution. [counts]
NOISE = {10: 5.0, 20: 4.0, 60: 2.5}
#: Reflectance in B10 of a place without cloud, by scattering. [-]
B10_PATH = 0.0010
#: Band whose view direction the cloud truth has.
REFERENCE_BAND = "B3"


class _Nodes(NamedTuple):
    """The way of the light and what lies above the ground, at nodes over a block."""

    path: LightPath
    aot: NDArray[np.float64]
    water_vapour: NDArray[np.float64]
    #: Weights (row, node) and (col, node) that bring them to the block's pixels at the band's resolution.
    down: Field
    across: Field

    def spread(self, values: NDArray[np.floating]) -> Field:
        """Values of the nodes at the block's pixels."""
        return np.asarray(self.down @ (values.astype(np.float32) @ self.across.T))


class Date:
    """One acquisition of a place.

    Attributes
    ----------
    place : Place
    acquisition : Pass
    weather : Weather
    scenario : Scenario
    angles : Angles
        As the metadata have them.
    aot, water_vapour : Haze
        At the altitude of the scenario. [-], [g cm-2]
    sky : list of Layer
        The lowest first.
    surface : dict of band to (row, col) float32
        Reflectance of the place's ground, all at 10 m. [-]
    land_cover : (row, col) uint8
        Of the place's ground, by `ground.LAND_COVER`.
    terrain_shadow : (row, col) bool, or None without mountains
    incidence : (row, col) float32, or None without mountains
        Direct light relative to that on level ground. [-]
    """

    def __init__(self, place: Place, acquisition: Pass, weather: Weather, rng: np.random.Generator) -> None:
        self.place, self.acquisition, self.weather = place, acquisition, weather
        self.scenario = place.scenario
        self._view = orbit.view_of(acquisition.relative_orbit, place.lon, place.lat, place.km, place.km)
        self.angles = angles.grids(place, acquisition.sensing, self._view)
        key = (*place.seed, acquisition.sensing.toordinal())
        self.aot = Haze(weather.aot, weather.patchy, (*key, 3))
        self.water_vapour = Haze(weather.water_vapour, 0.04, (*key, 4))
        self.sky = self._layers(rng)
        self._noise_seed = (*key, 5)
        self._shades: dict[tuple[int, int, int], Field] = {}
        day = acquisition.sensing.timetuple().tm_yday
        sun = self.angles.mean_sun
        glint = sunlight.glint(weather.wind, sun, self.angles.mean_view[REFERENCE_BAND]) if weather.wind else 0.0
        shares = place.ground.cover(day, weather.bared, weather.snow)
        self.surface = place.ground.reflectance(shares, glint)
        self.surface["B10"] = self.surface["B9"]
        self.land_cover = ground.land_cover(shares)
        self.terrain_shadow, self.incidence = None, None
        if place.scenario.mountains:
            self.terrain_shadow = place.ground.terrain_shadow(sun)
            self.incidence = ground.incidence(place.ground.slopes(), sun) * ~self.terrain_shadow

    def _layers(self, rng: np.random.Generator) -> list[Layer]:
        size = self.place.size
        n = next(k for k in (384, 768, 1152, 1536, 2400) if size <= 0.64 * k or k == 2400)
        made = [
            layer
            for kind, cover in self.weather.clouds
            for layer in layers(kind, cover, n, min(size, n), self.angles.mean_sun, rng)
        ]
        return sorted(made, key=lambda layer: layer.height)

    # Of a block of pixels at 10 m, where `f` x `f` of them make one value.

    def seen(self, layer: Layer, band: str, detector: int, block: Block, f: int) -> tuple[Field, Field]:
        """Opacity of a layer, and opacity x brightness, where a band sees it: beyond the ground's pixel. [-]"""
        x, y = (block.cols + 0.5) / 100, (block.rows + 0.5) / 100
        east, _ = self._view.slope(band, detector, x, float(y.mean()))
        _, north = self._view.slope(band, detector, float(x.mean()), y)
        return layer.at(block.rows, block.cols, -north / 10, east / 10, self.place.altitude(block), f)

    def shade(self, block: Block, f: int) -> Field:
        """Share of the direct sunlight that clouds keep from the ground. [-]"""
        key = (int(block.rows[0]), int(block.cols[0]), f)
        shade = self._shades.get(key)
        if shade is None:
            if len(self._shades) >= 3:  # the resolutions of one block
                self._shades.clear()
            zenith, azimuth = (math.radians(a) for a in self.angles.mean_sun)
            through = np.ones((len(block.rows) // f, len(block.cols) // f), np.float32)
            down, right = (math.tan(zenith) / 10 * v for v in (-math.cos(azimuth), math.sin(azimuth)))
            for layer in self.sky:
                through *= 1 - layer.at(block.rows, block.cols, down, right, self.place.altitude(block), f)[0]
            shade = self._shades[key] = 1 - through
        return shade

    def surface_reflectance(self, band: str, block: Block, f: int) -> Field:
        """Surface reflectance, a mean over f x f pixels. [-]"""
        return block_mean(self.place.of_ground(self.surface[band], block), f)

    def detectors(self, block: Block, resolution: int) -> NDArray[np.uint8]:
        """Detector that sees each pixel of a resolution [m]."""
        f = resolution // 10
        y, x = ((np.arange(v[0] // f, (v[-1] + 1) // f) + 0.5) * f / 100 for v in block)
        return self._view.detector(x[None, :], y[:, None])

    def toa(self, band: str, block: Block) -> Field:
        """Top-of-atmosphere reflectance, without noise, at the band's resolution. [-]"""
        f = BANDS[band].resolution // 10
        surface = self.surface_reflectance(band, block, f)
        shade = self.shade(block, f)
        detectors = self.detectors(block, BANDS[band].resolution)
        out = np.empty(surface.shape, np.float32)
        for detector in np.unique(detectors).tolist():
            nodes = self._nodes(detector, band, block)
            value = self._clear(band, nodes, surface, self._lit(band, nodes, block, shade))
            for layer in self.sky:
                opacity, light = self.seen(layer, band, detector, block, f)
                value = value * (1 - opacity) + self._cloud(band, nodes, layer, opacity, light)
            here = detectors == detector
            out[here] = value[here]
        return out

    def _nodes(self, detector: int, band: str, block: Block) -> _Nodes:
        f = BANDS[band].resolution // 10
        count = max(3, math.ceil(len(block.rows) / 60) + 1)
        at = [np.linspace(v[0], v[-1] + 1, count) for v in block]
        y, x = np.meshgrid(at[0] / 100, at[1] / 100, indexing="ij")
        g = self.place.grid
        lon, lat = self.place.to_degrees.transform(g.west + 1000 * x, g.north - 1000 * y)
        sun_zenith, sun_azimuth = sunlight.position(self.acquisition.sensing, lon, lat)
        view_zenith, view_azimuth = self._view.angles(band, detector, x, y)
        above = self.place.around(x, y)
        down, across = (
            _linear((np.arange(v[0] // f, (v[-1] + 1) // f) + 0.5) * f, nodes)
            for v, nodes in zip(block, at, strict=True)
        )
        return _Nodes(
            path=LightPath(
                sun_zenith, view_zenith, sun_azimuth - view_azimuth, (self.scenario.altitude + above) / 1000
            ),
            aot=self.aot.at(x, y) * np.exp(-above / AEROSOL_HEIGHT),
            water_vapour=self.water_vapour.at(x, y) * np.exp(-above / WATER_HEIGHT),
            down=down,
            across=across,
        )

    def _lit(self, band: str, nodes: _Nodes, block: Block, shade: Field) -> Field:
        """Light on the ground relative to that on level ground under a clear sky. [-]"""
        sun_zenith = float(np.asarray(nodes.path.sun_zenith).mean())
        direct = 1 - sunlight.diffuse_share(BANDS[band].centre, self.weather.aot, sun_zenith)
        beam = 1 - CLOUD_SHADE * shade
        if self.incidence is not None:
            beam = beam * block_mean(self.place.of_ground(self.incidence, block), BANDS[band].resolution // 10)
        return np.asarray(1 - direct + direct * beam)

    def _clear(self, band: str, nodes: _Nodes, surface: Field, lit: Field) -> Field:
        """Top-of-atmosphere reflectance of the ground. [-]"""
        platform, s = self.acquisition.platform, self.scenario
        if band == "B10":
            sun, view, _, km = nodes.path
            gas = gas_transmittance(platform, band, sun, view, km, nodes.water_vapour, s.ozone)
            return np.asarray(B10_PATH + nodes.spread(gas) * surface * lit)
        a = coefficients(platform, band, nodes.path, nodes.aot, nodes.water_vapour, s.ozone, s.aerosol_model)
        reflected = nodes.spread(a.transmittance) * surface * lit / (1 - nodes.spread(a.albedo) * surface)
        return np.asarray((reflected + nodes.spread(a.offset)) / nodes.spread(a.scale))

    def _cloud(self, band: str, nodes: _Nodes, layer: Layer, opacity: Field, light: Field) -> Field:
        """Top-of-atmosphere reflectance of a layer's clouds x their opacity. [-]"""
        platform, s = self.acquisition.platform, self.scenario
        sun, view, relative = (float(np.asarray(v).mean()) for v in nodes.path[:3])
        path = LightPath(sun, view, relative, min((s.altitude + layer.height) / 1000, 3.0))
        water = self.weather.water_vapour * math.exp(-layer.height / WATER_HEIGHT)
        rho = light * np.float32(layer.reflectance_factor(band))  # weighted with the opacity
        if band == "B10":
            return np.asarray(
                float(gas_transmittance(platform, band, sun, view, path.altitude_km, water, s.ozone)) * rho
            )
        aot = self.weather.aot * math.exp(-layer.height / AEROSOL_HEIGHT)
        a = coefficients(platform, band, path, aot, water, s.ozone, s.aerosol_model)
        return np.asarray((a.transmittance * rho / (1 - a.albedo * rho) + a.offset * opacity) / a.scale)

    # Of the whole image

    def whole(
        self, resolution: int, dtype: Any, make: Callable[[Block], NDArray[Any]], layers: int | None = None
    ) -> NDArray[Any]:
        """An image (row, col), or (layer, row, col), put together from the blocks that `make` gives."""
        f = resolution // 10
        n, step = self.place.size, self.place.period
        out = np.empty((n // f, n // f) if layers is None else (layers, n // f, n // f), dtype)
        edges = [(k, min(k + step, n)) for k in range(0, n, step)]
        for top, bottom in edges:
            for left, right in edges:
                made = make(Block(np.arange(top, bottom), np.arange(left, right)))
                out[..., top // f : bottom // f, left // f : right // f] = made
        return out

    def counts(self, band: str) -> NDArray[np.uint16]:
        """Counts of a band with noise and offset, (row, col) uint16.

        Raises
        ------
        ValueError
            If the weather or the sun is beyond the atmosphere's tables.
        """
        b = BANDS[band]
        rng = np.random.default_rng([*self._noise_seed, b.index])

        def make(block: Block) -> NDArray[np.uint16]:
            toa = self.toa(band, block)
            if not np.isfinite(toa).all():
                raise ValueError(
                    f"{self.acquisition.sensing:%Y-%m-%d}: its weather or sun is beyond the atmosphere's tables"
                )
            noisy = toa * safe.QUANTIFICATION + NOISE[b.resolution] * rng.standard_normal(toa.shape, np.float32)
            return np.asarray(np.clip(np.rint(noisy + safe.OFFSET), 1, 32767), np.uint16)

        return self.whole(b.resolution, np.uint16, make)


def _linear(at: NDArray[np.floating], nodes: NDArray[np.floating]) -> Field:
    """Weights (at, node) of the linear interpolation between evenly spaced nodes."""
    t = (at - nodes[0]) / (nodes[1] - nodes[0])
    return np.asarray(np.maximum(1 - np.abs(t[:, None] - np.arange(len(nodes))), 0), np.float32)
