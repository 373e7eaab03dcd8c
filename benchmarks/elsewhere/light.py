"""What the satellite sees of a date: ground, clouds and the air between, band by band."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.elsewhere import clouds
from benchmarks.elsewhere.air import AEROSOL, AIR, B10_ABOVE, BROADENING, WATER, Air, Column, data, surroundings
from benchmarks.elsewhere.clouds import TAU, Layer
from benchmarks.elsewhere.fields import Field, along, blurred, coarser, finer

#: Side of the cells on which the air's coefficients are taken, in pixels.
AIR_STEP = 3


@dataclass(frozen=True)
class Sun:
    """The sun's light on the ground of a date.

    Attributes
    ----------
    beam : (row, col) float32
        Cosine of its angle to the slope over that to level ground, 0 in cast shadow. [-]
    view : (row, col) float32
        Share of the sky that a slope sees. [-]
    """

    beam: Field
    view: Field


@dataclass(frozen=True)
class State:
    """All that a date's image is made of; fields (row, col) float32.

    Attributes
    ----------
    altitude : [m]
    aot, water : above the ground [-], [g cm-2]
    layers : clouds
    sun : Sun
    step : side of a pixel [m]
    """

    air: Air
    altitude: Field
    aot: Field
    water: Field
    layers: list[Layer]
    sun: Sun
    step: float

    def way(self, azimuth: float, tangent: float, height: float) -> tuple[Field, Field]:
        """Way in px, eastwards and southwards, from the ground up to a height in a direction."""
        up = np.maximum(height - self.altitude, 0) * tangent / self.step
        return up * np.sin(np.radians(azimuth)), -up * np.cos(np.radians(azimuth))

    def seen(self, layer: Layer, band: str) -> Field:
        """Optical thickness of a layer before each pixel of the ground, for that band's view."""
        zenith, azimuth = self.air.look.view[band]
        return along(layer.tau, *self.way(azimuth, np.tan(np.radians(zenith)), layer.height))

    @cached_property
    def sunwards(self) -> list[Field]:
        """`towards_sun` of each layer."""
        return [self.towards_sun(layer) for layer in self.layers]

    @cached_property
    def shades(self) -> dict[tuple[float, ...], Shade]:
        """Those that were computed; bands in which all clouds absorb alike share one."""
        return {}

    @cached_property
    def bright_sides(self) -> list[Field]:
        """`lumps` of each layer."""
        return [lumps(self, layer) for layer in self.layers]

    def towards_sun(self, layer: Layer) -> Field:
        """Optical thickness of a layer between each pixel of the ground and the sun, a disc of half a degree."""
        zenith, azimuth = self.air.look.sun
        tau = along(layer.tau, *self.way(azimuth, np.tan(np.radians(zenith)), layer.height))
        disc = 0.0023 * (layer.height - float(self.altitude.mean())) / self.air.mu_sun / self.step
        return blurred(tau, disc) if disc > 0.25 else tau


def curve(values: NDArray, tau: Field) -> Field:
    """A cloud's quantity at each optical thickness; `tau` may be 0 nearly everywhere."""
    out = np.full(tau.shape, values[0], np.float32)
    at = tau > 0.002
    out[at] = np.interp(tau[at], TAU, values)
    return out


@dataclass(frozen=True)
class Shade:
    """What clouds leave of the light on the ground, (row, col): of the beam, and relative to it of the scattered."""

    beam: Field
    spread: Field
    dimmed: Field


def shade(state: State, band: str) -> Shade:
    """Beam that comes through all layers; what they scatter down, spread over their height; and the sky they hide."""
    key = tuple(clouds.ALBEDO[layer.kind][band] for layer in state.layers)
    if key not in state.shades:
        state.shades[key] = _shade(state, band)
    return state.shades[key]


def _shade(state: State, band: str) -> Shade:
    n = state.altitude.shape[0]
    beam, hidden = np.ones((n, n), np.float32), np.zeros((n, n), np.float32)
    spread = np.zeros((n, n), np.float32)
    for layer, tau in zip(state.layers, state.sunwards, strict=True):
        o = clouds.optics(layer.kind, band, state.air.mu_sun, 1.0)
        passed = curve(o.unscattered, tau)
        above = max(layer.height - float(state.altitude.mean()), 200)
        spread = spread * passed + blurred(curve(o.passed - o.unscattered, tau), 0.5 * above / state.step) * beam
        hidden = np.maximum(hidden, blurred(curve(o.sphere, layer.tau), above / state.step))
        beam = beam * passed
    return Shade(beam, spread, 1 - 0.8 * hidden)


def top_of_atmosphere(state: State, band: str, surface: Field) -> Field:
    """Reflectance at the top of the atmosphere.

    The ground's light is that of beam and sky, with the surroundings as 6S weighs them; each layer of clouds is
    added to what comes from below it: R + T B / (1 - R B).
    """
    air, n = state.air, state.altitude.shape[0]
    aot, km = coarser(state.aot, AIR_STEP), coarser(state.altitude, AIR_STEP) / 1000
    column = air.column(band, aot, km)
    depth = data()["depth_air"], data()[f"depth_{air.which.aerosol}"]
    b = list(data()["bands"]).index(band)
    molecular, aerosol = depth[0][b] * np.exp(-km / AIR), depth[1][b] * aot
    mu_view = np.cos(np.radians(air.look.view[band][0]))
    down, up = column.all["down"], column.all["up"]
    direct = np.minimum(np.exp(-(molecular + aerosol) / air.mu_sun) / down, 1)
    straight = np.minimum(np.exp(-(molecular + aerosol) / mu_view), up)
    s = shade(state, band)
    share = finer(direct, n)
    lit = share * (s.beam * state.sun.beam + s.spread) + (1 - share) * s.dimmed * state.sun.view
    leaving = surface * lit
    scattered_molecules = column.molecules["up"] - np.exp(-molecular / mu_view)
    around = surroundings(leaving, scattered_molecules, up - straight - scattered_molecules, state.step)
    back = 1 - finer(column.all["albedo"], n) * around
    # slopes and pixels reflect their surroundings' light by their own reflectance
    ground = finer(down, n) * (finer(straight, n) * leaving + finer(up - straight, n) * around) / back
    dark = coarser(s.beam * share_of_clouds(state) + (1 - share_of_clouds(state)), AIR_STEP)
    return finish(state, band, ground, column, dark)


def share_of_clouds(state: State) -> float:
    """Part of the path's light that a cloud's shadow takes away: the air below the clouds."""
    if not state.layers:
        return 0.0
    low = min(layer.height for layer in state.layers) - float(state.altitude.mean())
    return float(1 - np.exp(-max(low, 0) / 1000 / AEROSOL)) * 0.5


def finish(state: State, band: str, ground: Field, column: Column, dark: Field) -> Field:
    """Path, gases and layers of clouds over the ground's light."""
    air, n = state.air, state.altitude.shape[0]
    km = coarser(state.altitude, AIR_STEP) / 1000
    water = coarser(state.water, AIR_STEP)
    level = float(km.mean())
    clean, hazy = column.molecules["path"], column.all["path"] - column.molecules["path"]
    if band == "B10":
        clean = clean * B10_ABOVE
    wet, half = air.gas(band, water, km), air.gas(band, water / 2, km)
    dry = float(np.mean(column.dry))
    path = clean + hazy * half * dark
    out = dry * (finer(path, n) + finer(wet, n) * ground)
    for layer, sides in sorted(zip(state.layers, state.bright_sides, strict=True), key=lambda both: both[0].height):
        o = clouds.optics(layer.kind, band, air.mu_sun, float(np.cos(np.radians(air.look.view[band][0]))))
        tau = state.seen(layer, band)
        rows, cols = np.nonzero(tau > 0.002)
        if not len(rows):
            continue
        rise = np.maximum(layer.height / 1000 - km, 0)
        q, a = np.exp(-rise / AIR), np.exp(-rise / AEROSOL)
        vapour = water * np.exp(-rise / WATER)
        if band in ("B9", "B10"):
            vapour = vapour * q**BROADENING
        over = air.gas(band, vapour, level)
        above_path = clean * (1.0 if band == "B10" else q) + hazy * a * air.gas(band, vapour / 2, level)
        through = (column.molecules["down"] * column.molecules["up"]) ** q
        through = through * (column.all["down"] * column.all["up"]
                             / (column.molecules["down"] * column.molecules["up"])) ** a  # fmt: skip
        albedo = column.molecules["albedo"] * q

        def at(field, rows=rows, cols=cols):
            return finer(field, n)[rows, cols]

        t = tau[rows, cols]
        r, passes, sphere = (np.interp(t, TAU, c) for c in (o.reflectance, o.seen_through, o.sphere))
        gas = at(np.broadcast_to(over, km.shape) * through)
        path_above = at(np.broadcast_to(above_path, km.shape))
        came = np.maximum((out[rows, cols] / dry - path_above) / gas, 0)
        r = r * sides[rows, cols] if layer.kind != "ice" else r
        level_reflectance = r + passes * came / (1 - sphere * came)
        more = 1 / (1 - at(albedo) * np.maximum(level_reflectance - came, 0))
        out[rows, cols] = dry * (path_above + gas * (came + (level_reflectance - came) * more))
    return out


def lumps(state: State, layer: Layer) -> Field:
    """Sides of a cloud that face the sun are brighter, those that turn away darker, by up to a quarter."""
    azimuth = np.radians(state.air.look.sun[1])
    top = blurred(np.sqrt(layer.tau), 1.5)
    slope = np.gradient(top, axis=1) * np.sin(azimuth) - np.gradient(top, axis=0) * np.cos(azimuth)
    zenith, azimuth_view = state.air.look.view["B2"]
    way = state.way(azimuth_view, np.tan(np.radians(zenith)), layer.height)
    return along(np.clip(1 - 0.35 * slope, 0.75, 1.25).astype(np.float32), *way)
