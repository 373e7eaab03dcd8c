"""The ground of a simulated scene: parcels, woods, towns and water, and what each reflects on a day of the year."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.kernels import kernel, kernel_part
from processing.simulation.noise import Field, fractal, smoothstep
from processing.simulation.scenario import SPECTRA, SPECTRAL_BANDS, WATERS, Crop, Scenario

#: Distance of the villages whose fields share a direction. [px]
_ZONE = 120
#: Half the side of the square that a zone's fields are cut from. [px]
_REACH = 400.0
#: Values of the land cover truth, by the spectrum that prevails.
LAND_COVER = {number: name for number, name in enumerate(SPECTRA, 1)}
#: Green plants: where they prevail the blue bands follow from the red one.
_GREEN = frozenset({"crop", "grass", "forest", "shrub"})


@kernel_part
def _mix(h: np.uint64) -> np.uint64:
    """Next number of a splitmix64 sequence (Steele, Lea and Flood 2014)."""
    h = h + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@kernel_part
def _unit(h: np.uint64) -> float:
    return float(h >> np.uint64(11)) / 9007199254740992.0


class _Zones(NamedTuple):
    """Land whose parcels share a direction: middle (zone, 2) [px], direction [rad], area of a parcel [px2]."""

    centre: NDArray[np.float64]
    angle: NDArray[np.float64]
    area: float
    reach: float
    seed: np.uint64


@kernel()
def _parcels(
    x: Field, y: Field, zone: NDArray[np.int32], zones: _Zones, parcel: NDArray[np.uint64], border: Field
) -> None:
    centre, angle, area, reach = zones.centre, zones.angle, zones.area, zones.reach
    for row in range(x.shape[0]):
        for col in range(x.shape[1]):
            z = zone[row, col]
            dx, dy = x[row, col] - centre[z, 0], y[row, col] - centre[z, 1]
            c, s = math.cos(angle[z]), math.sin(angle[z])
            u, v = c * dx + s * dy, c * dy - s * dx
            u0, u1, v0, v1 = -reach, reach, -reach, reach
            h = _mix(zones.seed + np.uint64(z))
            while (u1 - u0) * (v1 - v0) > area * (0.6 + 1.6 * _unit(_mix(h ^ np.uint64(1)))):
                share = 0.33 + 0.34 * _unit(h)
                if (u1 - u0) > (v1 - v0) * (0.7 + 0.9 * _unit(_mix(h ^ np.uint64(2)))):
                    cut = u0 + share * (u1 - u0)
                    side = u > cut
                    if side:
                        u0 = cut
                    else:
                        u1 = cut
                else:
                    cut = v0 + share * (v1 - v0)
                    side = v > cut
                    if side:
                        v0 = cut
                    else:
                        v1 = cut
                h = _mix(h + np.uint64(1 if side else 2))
            parcel[row, col] = h
            border[row, col] = min(min(u - u0, u1 - u), min(v - v0, v1 - v))


def parcels(
    x: Field, y: Field, zone: NDArray[np.int32], centre: NDArray[np.float64], angle: NDArray[np.float64],
    area: float, seed: int,
) -> tuple[NDArray[np.uint64], Field]:  # fmt: skip
    """Cut the land of each zone into rectangles by halving it again and again.

    Parameters
    ----------
    x, y : (row, col) float32
        Where each pixel lies, after any warping. [px]
    zone : (row, col) int32
    centre : (zone, 2) float64
        [px]
    angle : (zone,) float64
        Direction of the parcels. [rad]
    area : float
        Of a parcel. [px2]
    seed : int

    Returns
    -------
    parcel : (row, col) uint64
        A number for each parcel, evenly spread: chance for what grows there.
    border : (row, col) float32
        Distance to the parcel's border. [px]
    """
    parcel, border = np.empty(x.shape, np.uint64), np.empty(x.shape, np.float32)
    _parcels(x, y, zone, _Zones(centre, angle, area, _REACH, np.uint64(seed)), parcel, border)
    return parcel, border


def chance(parcel: NDArray[np.uint64], draw: int) -> Field:
    """A number in [0, 1) for each parcel, another one for each draw."""
    h = parcel + np.uint64(0x9E3779B97F4A7C15 * (draw + 1) % 2**64)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    return np.asarray((h >> np.uint64(40)) / np.float64(2**24), np.float32)


def growth(crop: Crop, day: NDArray[np.floating] | float) -> tuple[Field, Field]:
    """Cover of green and of dry plants on days of the year.

    Returns
    -------
    green, dry : arrays of the shape of `day`
        Shares of the ground. [-]
    """
    green, dry = np.zeros(np.shape(day), np.float32), np.zeros(np.shape(day), np.float32)
    for year in (-365, 0, 365):
        d = np.asarray(day, np.float32) + year
        up, ripening = smoothstep(d, crop.sown, crop.green), smoothstep(d, crop.ripe, crop.cut - 8)
        cut = smoothstep(d, crop.cut, crop.cut + 6)
        stubble = 0.35 * (1 - smoothstep(d, crop.cut + 10, crop.cut + 70))
        living = crop.cover * up * (1 - ripening)
        green = np.maximum(green, living)
        dry = np.maximum(dry, crop.cover * up * ripening * (1 - cut * (1 - stubble)))
    return green, np.minimum(dry, 1 - green)


class Ground:
    """A piece of land, the same on all dates but for what grows on its fields.

    Parameters
    ----------
    scenario : Scenario
    size : int
        Rows and columns at 10 m.
    seed : int
    """

    def __init__(self, scenario: Scenario, size: int, seed: int) -> None:
        self.scenario = scenario
        self.size = size
        self._seed = seed
        self._rng = np.random.default_rng([seed, 1])
        self._weights: dict[str, Field] = {}
        self._fields = np.ones((size, size), np.float32)
        self._light = np.ones((size, size), np.float32)
        self._lay_out()

    def _noise(self, slope: float, longest: float, shortest: float = 2.0) -> Field:
        n = self.size + self.size % 2
        return fractal(n, self._rng, slope, longest, shortest)[: self.size, : self.size]

    def _cover(self, name: str, share: NDArray[np.floating]) -> None:
        """Put something over whatever is there."""
        self._fields *= 1 - share
        for other in self._weights.values():
            other *= 1 - share
        self._weights[name] = self._weights.get(name, np.float32(0)) + np.asarray(share, np.float32)

    def _lay_out(self) -> None:
        s, n, rng = self.scenario, self.size, self._rng
        y, x = np.mgrid[:n, :n].astype(np.float32)
        bend = self._noise(2.0, 180, 30) * 5, self._noise(2.0, 180, 30) * 5
        count = int((n / _ZONE + 2) ** 2)
        centre = rng.uniform(-_ZONE, n + _ZONE, (count, 2))
        angle = rng.uniform(-0.8, 0.8, count)
        wx, wy = x + bend[0], y + bend[1]
        near, zone = cKDTree(centre).query(np.stack([wx.ravel(), wy.ravel()], 1), k=2, workers=2)
        apart = np.hypot(*(centre[zone[:, 0]] - centre[zone[:, 1]]).T)
        road = ((near[:, 1] ** 2 - near[:, 0] ** 2) / (2 * apart)).reshape(n, n)
        zone = zone[:, 0].reshape(n, n).astype(np.int32)
        self._parcel, border = parcels(wx, wy, zone, centre, angle, s.parcel * 100, self._seed)
        fine = self._noise(0.6, 6)
        patchy = self._noise(1.4, 60)
        broad = self._noise(1.8, 400)
        self._soil = np.clip(0.5 + 0.28 * broad + 0.5 * (chance(self._parcel, 2) - 0.5) + 0.08 * patchy, 0, 1)
        stripes = 0.02 * np.sin((np.cos(angle)[zone] * wy - np.sin(angle)[zone] * wx) * 1.9)
        self._vigour = np.clip(1 + 0.30 * (chance(self._parcel, 3) - 0.5) + 0.09 * patchy + stripes, 0.4, 1.25)
        self._light *= 1 + 0.24 * (chance(self._parcel, 4) - 0.5) + 0.030 * patchy + 0.022 * fine
        # Slopes and ravines of the wild land, as a pattern of light and of growth.
        hills = self._noise(1.9, 260, 3)
        ravines = -np.abs(self._noise(1.7, 150, 3))
        slope_light = (np.gradient(hills + 0.7 * ravines, axis=1) + np.gradient(hills + 0.7 * ravines, axis=0)) * 6
        slope_light = np.clip(slope_light, -1.6, 1.6)
        trees = self._noise(0.3, 5) * 0.6 + self._noise(1.2, 40) * 0.4
        wild = 1 + s.relief * 0.30 * slope_light

        hedge = smoothstep(1.1 - border, 0, 0.7) * (chance(self._parcel, 5) < s.hedges) * 0.8
        if s.hedges:
            self._cover(s.wood, hedge)
        if s.shrub:
            where = self._region(s.shrub, 1.7, 220)
            density = np.clip(0.42 + 0.22 * patchy + 0.20 * trees - 0.30 * s.relief * slope_light, 0.04, 0.95)
            self._cover("rock", where * (1 - density))
            self._cover("shrub", where * density)
            self._light = self._light * (1 - where) + where * wild * (1 + 0.04 * fine + 0.05 * patchy)
        if s.forest:
            where = self._region(s.forest, 1.6, 200)
            self._cover(s.wood, where)
            self._light = self._light * (1 - where) + where * wild * (1 + 0.13 * trees + 0.05 * broad)
        road = smoothstep(0.9 - road, 0, 0.6) * 0.75
        self._cover("concrete", road)
        if s.town:
            self._town(s.town, wx, wy, zone, centre, angle)
        if s.river:
            self._river(s.river / 10, x, y)
        if s.lake:
            lake = self._region(s.lake, 2.4, 130, 1.2)
            self._cover(s.water, lake)
            self._light = self._light * (1 - lake) + lake
        if s.sea:
            self._sea(s.sea, x, y, fine)
        if s.sand:
            self._cover("sand", self._region(s.sand, 2.0, 150))
        self._light = np.asarray(np.clip(self._light, 0.35, 1.9), np.float32)

    def _region(self, share: float, slope: float, longest: float, soft: float = 1.0) -> Field:
        """Patches that cover a share of what is not yet water, with edges of about a pixel."""
        f = self._noise(slope, longest) + 0.12 * self._noise(0.8, 12)
        # The edge's width in units of the field: what it changes over about two pixels.
        width = float(np.hypot(*np.gradient(f)).mean()) * 1.5 * soft
        return np.asarray(smoothstep(f - np.quantile(f, 1 - share), -width / 2, width / 2), np.float32)

    def _town(
        self, share: float, x: Field, y: Field, zone: NDArray[np.int32], centre: NDArray[np.float64],
        angle: NDArray[np.float64],
    ) -> None:  # fmt: skip
        n, rng = self.size, self._rng
        field = 0.45 * self._noise(1.6, 90)
        towns = max(1, round(n * n / 90_000))
        for cx, cy in rng.uniform(0.12 * n, 0.88 * n, (towns, 2)):
            extent = rng.uniform(25, 60)
            field = np.maximum(field, 2.6 - np.hypot(x - cx, y - cy) / extent + 0.35 * field)
        where = smoothstep(field - np.quantile(field, 1 - share), -0.10, 0.10)
        house, street = parcels(x, y, zone, centre, angle, 22, self._seed + 7)
        kind, tone = chance(house, 0), chance(house, 1)
        centre_ward = np.clip((field - np.quantile(field, 1 - share / 2)) * 2, 0, 1)
        garden = where * (kind > 0.50 + 0.30 * centre_ward) * (street > 0.5)
        roof = where * (kind < 0.30) * (street > 0.5)
        self._cover("concrete", where)
        self._cover("roof", roof * 0.9)
        self._cover("grass", garden * 0.55)
        self._light = self._light * (1 - where) + where * (0.70 + 0.55 * tone**2 + 0.10 * (street > 0.5))

    def _river(self, width: float, x: Field, y: Field) -> None:
        n, rng = self.size, self._rng
        turn = rng.uniform(0, 2 * math.pi)
        f = (x - n * rng.uniform(0.3, 0.7)) * math.cos(turn) + (y - n * rng.uniform(0.3, 0.7)) * math.sin(turn)
        f = f + self._noise(2.4, 170, 25) * 16
        steep = np.hypot(*np.gradient(f))
        across = np.abs(f) / np.maximum(steep, 0.3)
        breadth = width / 2 * (1 + 0.25 * self._noise(2.0, 200, 20))
        bank = smoothstep(breadth * 1.0 + 5 + 4 * self._noise(1.2, 40) - across, 0, 2)
        self._cover(self.scenario.wood if self.scenario.forest else "shrub", bank * 0.75)
        if width > 4:
            bar = smoothstep(breadth + 1.2 * self._noise(1.0, 20) - across, 0, 1)
            self._cover("pale soil", bar * 0.6)
        water = smoothstep(breadth * 0.85 - across, -0.5, 0.5)
        self._cover(self.scenario.water, water)
        self._light = self._light * (1 - water) + water

    def _sea(self, share: float, x: Field, y: Field, fine: Field) -> None:
        n, rng = self.size, self._rng
        turn = rng.uniform(0, 2 * math.pi)
        d = x * math.cos(turn) + y * math.sin(turn) + 9 * self._noise(1.7, 160) + 0.03 * n * self._noise(2.2, 500)
        d -= np.quantile(d, 1 - share)
        shore = smoothstep(d, -4.0, -2.5) * np.clip(0.5 + self._noise(1.5, 120), 0, 1)
        self._cover("lava" if self.scenario.relief > 0.5 else "sand", shore)
        water = smoothstep(d, -0.6, 0.6)
        reef = np.clip(14 + 10 * self._noise(1.8, 140), 0, None)
        shallow = 1 - smoothstep(d, reef * 0.5, reef + 4)
        self._cover("clear water", water)
        self._cover("lagoon", water * shallow * 0.8)
        surf = water * np.exp(-(((d - reef - 1.5) / 1.4) ** 2)) * np.clip(0.5 + 0.8 * self._noise(0.9, 14), 0, 1)
        self._cover("snow", surf * 0.22)  # foam is as white
        self._light = self._light * (1 - water) + water * (1 + 0.03 * fine)

    @cached_property
    def _mixed_soil(self) -> dict[str, Field]:
        """Share of each soil in the bare ground of each pixel."""
        soils = self.scenario.soils
        pick = self._soil
        if len(soils) == 1:
            return {soils[0]: np.ones_like(pick)}
        at = np.linspace(0, 1, len(soils))
        return {
            name: np.asarray(np.clip(1 - np.abs(pick - position) * (len(soils) - 1), 0, 1), np.float32)
            for name, position in zip(soils, at, strict=True)
        }

    @cached_property
    def altitude(self) -> Field:
        """Height of each pixel above the altitude of the scenario, (row, col) float32. [m]"""
        n, rng = self.size, np.random.default_rng([self._seed, 2])
        if not self.scenario.mountains:
            return np.zeros((n, n), np.float32)
        even = n + n % 2
        ridges = fractal(even, rng, 2.2, 900, 12) - 0.5 * np.abs(fractal(even, rng, 2.0, 350, 12))
        ridges = ridges[:n, :n] - ridges.min()
        return np.asarray(self.scenario.mountains * ridges / ridges.max(), np.float32)

    def slopes(self) -> tuple[Field, Field]:
        """Rise of the terrain for each metre eastwards and northwards. [-]"""
        z = self.altitude
        # differences across the image's edges, where the ground repeats
        east = (np.roll(z, -1, 1) - np.roll(z, 1, 1)) / 20
        north = (np.roll(z, 1, 0) - np.roll(z, -1, 0)) / 20
        return np.asarray(east, np.float32), np.asarray(north, np.float32)

    def terrain_shadow(self, sun: tuple[float, float]) -> NDArray[np.bool_]:
        """Where the terrain hides the sun.

        Parameters
        ----------
        sun : (float, float)
            Zenith and azimuth. [deg]
        """
        z = self.altitude
        zenith, azimuth = (math.radians(a) for a in sun)
        hidden = np.zeros(z.shape, bool)
        reach = float(np.ptp(z)) * math.tan(zenith)
        for way in np.arange(20, reach, 20):
            row, col = round(-way * math.cos(azimuth) / 10), round(way * math.sin(azimuth) / 10)
            hidden |= np.roll(z, (-row, -col), (0, 1)) > z + way / math.tan(zenith)
        return hidden

    @cached_property
    def _snow_rank(self) -> Field:
        """Share of the ground on which snow lies rather than here. [-]"""
        n, rng = self.size, np.random.default_rng([self._seed, 3])
        even = n + n % 2
        rough = fractal(even, rng, 2.0, 400)[:n, :n]
        height = self.altitude / max(float(self.altitude.std()), 1.0) + 0.35 * rough
        return np.asarray(1 - height.ravel().argsort().argsort().reshape(n, n) / n**2, np.float32)

    def cover(self, day: float, bared: float = 0.0, snow: float = 0.0) -> dict[str, Field]:
        """Share of every spectrum in each pixel; the shares of a pixel add up to 1.

        Parameters
        ----------
        day : float
            Day of the year, from 1.
        bared, snow : float
            See `Weather`. [-]
        """
        s = self.scenario
        shares = {name: w.copy() for name, w in self._weights.items()}
        bare = shares.pop("rock", np.zeros_like(self._fields))
        which, shift = chance(self._parcel, 0), 24 * (chance(self._parcel, 1) - 0.5)
        grown = self._fields
        if bared:
            laid = np.asarray(self._fields * (chance(self._parcel, 6) < bared), np.float32)
            grown = self._fields - laid
            kind = np.floor(chance(self._parcel, 7) * len(s.tilled))
            for k, name in enumerate(s.tilled):
                shares[name] = shares.get(name, np.float32(0)) + laid * (kind == k)
        total = sum(c.share for c in s.crops)
        bare = bare + grown
        first = 0.0
        for crop in s.crops:
            here = grown * ((which >= first) & (which < first + crop.share / total))
            first += crop.share / total
            green, dry = growth(crop, day + shift)
            green = np.clip(green * self._vigour, 0, 1)
            for name, amount in ((crop.plant, here * green), ("straw", here * np.minimum(dry, 1 - green))):
                shares[name] = shares.get(name, np.float32(0)) + amount
                bare = bare - amount
        for name, part in self._mixed_soil.items():
            shares[name] = shares.get(name, np.float32(0)) + np.maximum(bare, 0) * part
        if snow:
            white = 1 - smoothstep(self._snow_rank, 0.92 * snow, 1.08 * snow)
            white *= 1 - sum((shares[w] for w in WATERS if w in shares), np.zeros_like(white))
            white *= 1 - 0.6 * shares.get(s.wood, np.float32(0))  # trees stand out of it
            shares = {name: w * (1 - white) for name, w in shares.items()}
            shares["snow"] = shares.get("snow", np.float32(0)) + white
        return {name: np.asarray(w, np.float32) for name, w in shares.items()}

    def reflectance(self, shares: dict[str, Field], glint: float = 0.0) -> dict[str, Field]:
        """Surface reflectance of all bands but B10.

        Parameters
        ----------
        shares : dict of spectrum to (row, col) float32
            As of `cover`. [-]
        glint : float
            Reflectance of the water's surface, in all bands. [-]

        Returns
        -------
        dict of band to (row, col) float32
            All at 10 m. [-]
        """
        out: dict[str, Field] = {}
        water = sum((w for name, w in shares.items() if name in WATERS), np.zeros_like(self._light))
        for k, band in enumerate(SPECTRAL_BANDS):
            rho = np.zeros((self.size, self.size), np.float32)
            for name, w in shares.items():
                rho += w * np.float32(SPECTRA[name][k])
            out[band] = np.clip(rho * self._light + np.float32(glint) * water, 0.001, 1.0)
        green = smoothstep(np.sum([w for name, w in shares.items() if name in _GREEN], axis=0), 0.30, 0.50)
        for band, ratio in zip(("B1", "B2"), self.scenario.blue_red, strict=True):
            out[band] = np.asarray(out[band] * (1 - green) + green * np.float32(ratio) * out["B4"], np.float32)
        return out


def land_cover(shares: dict[str, Field]) -> NDArray[np.uint8]:
    """The spectrum that prevails in each pixel."""
    most, cover = np.zeros((2, *next(iter(shares.values())).shape), np.float32)
    for number, name in LAND_COVER.items():
        if name in shares:
            cover[shares[name] > most] = number
            np.maximum(most, shares[name], out=most)
    return np.asarray(cover, np.uint8)


def incidence(slopes: tuple[Field, Field], sun: tuple[float, float]) -> Field:
    """Direct light on a slope, relative to that on level ground; 0 where it lies turned away. [-]"""
    zenith, azimuth = (math.radians(a) for a in sun)
    east, north = slopes
    towards = 1 - math.tan(zenith) * (east * math.sin(azimuth) + north * math.cos(azimuth))
    return np.asarray(np.maximum(towards, 0) / np.sqrt(1 + east**2 + north**2), np.float32)
