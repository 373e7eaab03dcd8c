"""The worlds by name: where they lie, when and from where they are seen, and the aerosol of each date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from processing.bands import BANDS
from processing.simulation import sunlight
from processing.simulation.orbit import View, sensing_time

#: The half of the seeds that parameters may be tuned on, and the one that is reported: even and odd seeds.
HALVES = ("tune", "report")
#: Aerosol models of 6S by the lines of its deck; mixtures are of its dust, water-soluble, oceanic and soot. [volume]
AEROSOLS = {
    "continental": "1",
    "maritime": "2",
    "urban": "3",
    "desert": "5",
    "biomass": "6",
    "rural": "4\n0.60 0.395 0.0 0.005",
    "polluted": "4\n0.40 0.55 0.0 0.05",
    "coastal": "4\n0.20 0.25 0.545 0.005",
    "dusty": "4\n0.92 0.075 0.0 0.005",
}


@dataclass(frozen=True)
class Pass:
    """One date of a world.

    Attributes
    ----------
    day : int
        Of the year.
    across : float
        Distance of the image from the track, positive to the east. [km]
    platform, aerosol : str
    aot : float
        Mean over the image at 550 nm. [-]
    weather : str
        Of the clouds (`clouds.WEATHER`).
    """

    day: int
    across: float
    platform: str
    aerosol: str
    aot: float
    weather: str


@dataclass(frozen=True)
class World:
    """Where a world lies and how it is seen.

    Attributes
    ----------
    lat, lon : float
        [deg]
    altitudes : tuple of float
        For which 6S was run: the ground's own where it is level. [km]
    aot_nodes : tuple of float
        For which 6S was run, beside 0. [-]
    water : (float, float)
        Range of the water vapour column at the lowest altitude. [g cm-2]
    passes : dict of half to tuple of Pass
    """

    lat: float
    lon: float
    altitudes: tuple[float, ...]
    aot_nodes: tuple[float, ...]
    water: tuple[float, float]
    passes: dict[str, tuple[Pass, ...]]


@dataclass(frozen=True)
class Directions:
    """Where the sun stands and where each band looks from, alike all over an image. [deg]"""

    sensing: datetime
    sun: tuple[float, float]
    view: dict[str, tuple[float, float]]


def _passes(first: int, step: int, rows: Sequence[tuple[float, str, str, float, str]]) -> tuple[Pass, ...]:
    return tuple(Pass(first + step * i, *row) for i, row in enumerate(rows))


WORLDS: dict[str, World] = {
    "crops": World(
        49.5, 3.0, (0.1,), (0.15, 0.45, 1.0), (1.0, 3.2),
        {
            "tune": _passes(125, 5, (
                (-60, "S2A", "continental", 0.12, "clear"), (95, "S2B", "rural", 0.22, "cumulus"),
                (-60, "S2B", "polluted", 0.30, "cumulus"), (95, "S2A", "biomass", 0.16, "veil"),
                (-60, "S2A", "continental", 0.45, "clear"), (95, "S2C", "rural", 0.14, "broken"),
            )),
            "report": _passes(131, 5, (
                (72, "S2B", "rural", 0.18, "cumulus"), (-88, "S2A", "continental", 0.10, "clear"),
                (72, "S2A", "biomass", 0.36, "cumulus"), (-88, "S2C", "polluted", 0.20, "broken"),
                (72, "S2B", "coastal", 0.15, "veil"), (-88, "S2A", "rural", 0.28, "cumulus"),
            )),
        },
    ),
    "coast": World(
        47.0, -2.2, (0.02,), (0.2, 0.65), (1.2, 3.0),
        {
            "tune": _passes(160, 5, (
                (50, "S2A", "coastal", 0.10, "clear"), (-100, "S2B", "maritime", 0.14, "stratus"),
                (50, "S2B", "continental", 0.25, "stratus"), (-100, "S2A", "coastal", 0.08, "cumulus"),
                (50, "S2A", "rural", 0.18, "veil"), (-100, "S2B", "coastal", 0.12, "cumulus"),
            )),
            "report": _passes(223, 5, (
                (-40, "S2B", "maritime", 0.09, "clear"), (85, "S2A", "coastal", 0.16, "stratus"),
                (-40, "S2A", "coastal", 0.11, "cumulus"), (85, "S2B", "rural", 0.22, "stratus"),
                (-40, "S2C", "maritime", 0.13, "veil"), (85, "S2A", "coastal", 0.19, "cumulus"),
            )),
        },
    ),
    "sahel": World(
        13.8, 1.5, (0.3,), (0.2, 0.5, 1.1), (1.5, 3.8),
        {
            "tune": _passes(80, 5, (
                (30, "S2A", "desert", 0.25, "clear"), (-90, "S2B", "desert", 0.55, "clear"),
                (30, "S2B", "dusty", 0.40, "cumulus"), (-90, "S2A", "desert", 0.75, "clear"),
            )),
            "report": _passes(301, 5, (
                (-65, "S2B", "dusty", 0.30, "clear"), (70, "S2A", "desert", 0.45, "cumulus"),
                (-65, "S2A", "desert", 0.78, "clear"), (70, "S2B", "desert", 0.22, "cumulus"),
            )),
        },
    ),
    "alps": World(
        46.1, 8.0, (0.9, 3.4), (0.12, 0.35), (0.8, 2.0),
        {
            "tune": _passes(85, 5, (
                (-70, "S2A", "continental", 0.10, "clear"), (60, "S2B", "rural", 0.14, "ridges"),
                (-70, "S2B", "rural", 0.08, "ridges"), (60, "S2A", "continental", 0.18, "summits"),
            )),
            "report": _passes(102, 5, (
                (80, "S2B", "rural", 0.12, "ridges"), (-55, "S2A", "continental", 0.07, "clear"),
                (80, "S2A", "rural", 0.10, "ridges"), (-55, "S2B", "polluted", 0.20, "summits"),
            )),
        },
    ),
    "steppe": World(
        47.5, 66.0, (0.25,), (0.15, 0.45, 1.0), (0.6, 2.0),
        {
            "tune": _passes(225, 5, (
                (20, "S2A", "continental", 0.12, "clear"), (-95, "S2B", "dusty", 0.25, "cumulus"),
                (20, "S2B", "rural", 0.16, "clear"), (-95, "S2A", "biomass", 0.40, "veil"),
            )),
            "report": _passes(242, 5, (
                (-75, "S2B", "rural", 0.10, "clear"), (40, "S2A", "dusty", 0.30, "cumulus"),
                (-75, "S2A", "continental", 0.18, "veil"), (40, "S2B", "biomass", 0.33, "clear"),
            )),
        },
    ),
    "wetland": World(
        30.2, -91.5, (0.01,), (0.2, 0.7), (1.8, 4.2),
        {
            "tune": _passes(100, 5, (
                (45, "S2A", "coastal", 0.12, "clear"), (-85, "S2B", "rural", 0.20, "cumulus"),
                (45, "S2B", "continental", 0.15, "clear"), (-85, "S2A", "polluted", 0.28, "broken"),
            )),
            "report": _passes(288, 5, (
                (-50, "S2B", "rural", 0.14, "clear"), (75, "S2A", "coastal", 0.22, "cumulus"),
                (-50, "S2A", "biomass", 0.30, "broken"), (75, "S2B", "continental", 0.12, "clear"),
            )),
        },
    ),
    "high": World(
        32.5, 84.0, (4.0, 5.2), (0.15,), (0.2, 0.7),
        {
            "tune": _passes(300, 5, (
                (35, "S2A", "rural", 0.04, "clear"), (-80, "S2B", "dusty", 0.08, "cumulus"),
                (35, "S2B", "rural", 0.05, "veil"), (-80, "S2A", "dusty", 0.12, "clear"),
            )),
            "report": _passes(327, 5, (
                (-60, "S2B", "dusty", 0.06, "cumulus"), (55, "S2A", "rural", 0.05, "clear"),
                (-60, "S2A", "dusty", 0.10, "veil"), (55, "S2B", "rural", 0.04, "cumulus"),
            )),
        },
    ),
    "north": World(
        55.3, 25.0, (0.12,), (0.12, 0.4), (0.3, 1.0),
        {
            "tune": _passes(318, 5, (
                (40, "S2A", "continental", 0.10, "clear"), (-90, "S2B", "rural", 0.08, "cumulus"),
                (40, "S2B", "polluted", 0.18, "clear"), (-90, "S2A", "continental", 0.14, "broken"),
            )),
            "report": _passes(331, 5, (
                (-55, "S2B", "rural", 0.12, "clear"), (65, "S2A", "continental", 0.07, "cumulus"),
                (-55, "S2A", "rural", 0.16, "broken"), (65, "S2B", "polluted", 0.10, "clear"),
            )),
        },
    ),
}  # fmt: skip


def half_of(seed: int) -> str:
    """Even seeds are for tuning, odd ones are reported."""
    return HALVES[seed % 2]


def directions(world: World, which: Pass, parity: int = 0) -> Directions:
    """Sun and views of a date; `parity` is that of the detector, which looks ahead (1) or back (0)."""
    day = datetime(2022, 1, 1, tzinfo=UTC) + timedelta(days=which.day - 1)
    sensing = sensing_time(day, world.lon, world.lat)
    zenith, azimuth = sunlight.position(sensing, world.lon, world.lat)
    view = View(float(which.across), 194.0, 22.0, 22.0)
    views = {}
    for band in BANDS:
        z, a = view.angles(band, 6 + parity, 11.0, 11.0)
        views[band] = float(z), float(a)
    return Directions(sensing, (float(zenith), float(azimuth)), views)
