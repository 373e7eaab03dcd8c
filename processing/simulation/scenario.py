"""What a simulated scene is made of: the recipe of a place and of its sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from processing import tiling

#: Reflectance of what covers the ground, in the order of `SPECTRAL_BANDS`: typical values of spectral libraries,
#: smoothed. Over vegetation B1 and B2 follow from B4 (`Scenario.blue_red`).
SPECTRAL_BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12")
SPECTRA: dict[str, tuple[float, ...]] = {
    "crop": (0.016, 0.018, 0.058, 0.036, 0.090, 0.310, 0.400, 0.435, 0.455, 0.440, 0.185, 0.085),
    "grass": (0.022, 0.025, 0.066, 0.050, 0.108, 0.250, 0.310, 0.335, 0.355, 0.345, 0.220, 0.115),
    "straw": (0.063, 0.069, 0.112, 0.148, 0.175, 0.205, 0.228, 0.250, 0.268, 0.275, 0.330, 0.230),
    "forest": (0.012, 0.013, 0.034, 0.026, 0.062, 0.195, 0.250, 0.270, 0.290, 0.280, 0.125, 0.052),
    "shrub": (0.024, 0.027, 0.056, 0.056, 0.094, 0.175, 0.205, 0.225, 0.240, 0.240, 0.200, 0.120),
    "brown soil": (0.062, 0.074, 0.100, 0.134, 0.155, 0.170, 0.184, 0.198, 0.210, 0.216, 0.275, 0.240),
    "pale soil": (0.095, 0.118, 0.165, 0.222, 0.248, 0.265, 0.280, 0.297, 0.310, 0.318, 0.385, 0.345),
    "red soil": (0.042, 0.052, 0.082, 0.150, 0.178, 0.196, 0.212, 0.230, 0.245, 0.252, 0.345, 0.290),
    "sand": (0.130, 0.165, 0.245, 0.325, 0.352, 0.372, 0.390, 0.408, 0.424, 0.432, 0.500, 0.460),
    "lava": (0.030, 0.034, 0.040, 0.046, 0.050, 0.053, 0.056, 0.060, 0.063, 0.063, 0.078, 0.072),
    "roof": (0.078, 0.090, 0.118, 0.165, 0.185, 0.200, 0.212, 0.225, 0.235, 0.238, 0.255, 0.225),
    "concrete": (0.105, 0.122, 0.140, 0.155, 0.165, 0.175, 0.182, 0.190, 0.196, 0.200, 0.220, 0.200),
    "clear water": (0.036, 0.033, 0.022, 0.010, 0.007, 0.006, 0.005, 0.005, 0.004, 0.004, 0.002, 0.002),
    "green water": (0.036, 0.040, 0.050, 0.028, 0.022, 0.014, 0.013, 0.012, 0.011, 0.009, 0.004, 0.003),
    "brown water": (0.050, 0.062, 0.086, 0.082, 0.075, 0.048, 0.044, 0.038, 0.030, 0.022, 0.006, 0.004),
    "lagoon": (0.075, 0.092, 0.088, 0.034, 0.020, 0.012, 0.010, 0.009, 0.008, 0.007, 0.003, 0.002),
    "snow": (0.930, 0.930, 0.920, 0.910, 0.900, 0.880, 0.860, 0.840, 0.820, 0.700, 0.090, 0.070),
}


#: Of the spectra above.
WATERS = ("clear water", "green water", "brown water", "lagoon")


@dataclass(frozen=True)
class Crop:
    """A rotation of the fields.

    Attributes
    ----------
    share : float
        Of the parcels. [-]
    sown, green, ripe, cut : int
        Days of the year on which it comes up, is fully green, begins to dry, is harvested; may run past 365.
    cover : float
        Of the ground when fully green. [-]
    plant : str
        Name in `SPECTRA`.
    """

    share: float
    sown: int
    green: int
    ripe: int
    cut: int
    cover: float = 0.9
    plant: str = "crop"


@dataclass(frozen=True)
class Clouds:
    """A kind of cloud at one height.

    Attributes
    ----------
    kind : str
        ``cumulus``, ``stratus``, ``veil`` (thin, of water) or ``cirrus`` (of ice).
    height : (float, float)
        Range above the altitude of the scenario. [m]
    size : float
        Of the largest clouds. [m]
    share : float
        Of the cloud cover of a date. [-]
    thickness : float
        Optical thickness of the densest part of the largest cloud. [-]
    number : float
        Cumulus: that many single clouds, most of them small; 0: a field that is cut where the cover wants it. [km-2]
    """

    kind: str
    height: tuple[float, float]
    size: float
    share: float = 1.0
    thickness: float = 35.0
    number: float = 0.0


CUMULUS = Clouds("cumulus", (900, 2200), 2400)
FAIR_WEATHER = Clouds("cumulus", (800, 1700), 900, thickness=25, number=2.5)
STRATUS = Clouds("stratus", (1200, 3000), 9000, thickness=20)
VEIL = Clouds("veil", (3000, 4500), 7000, thickness=3.0)
CIRRUS = Clouds("cirrus", (8500, 10500), 6000, thickness=3.0)


@dataclass(frozen=True)
class Weather:
    """One date: its sky, and what has been done to the ground.

    Attributes
    ----------
    clouds : tuple of (Clouds, float)
        Kinds of cloud, each with the share of the image that it covers. [-]
    aot, water_vapour : float
        Means. [-], [g cm-2]
    patchy : float
        Relative standard deviation of the AOT over the image. [-]
    wind : float
        Over water, which glints with it; 0: water never glints. [m s-1]
    bared : float
        Share of the parcels that have been harvested or ploughed since the first date, overnight. [-]
    snow : float
        Share of the image under snow, the highest ground first. [-]
    """

    clouds: tuple[tuple[Clouds, float], ...] = ()
    aot: float = 0.12
    water_vapour: float = 2.0
    patchy: float = 0.10
    wind: float = 0.0
    bared: float = 0.0
    snow: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """The ingredients of a place.

    Attributes
    ----------
    soils : tuple of str
        Soils of the parcels, the common one first.
    crops : tuple of Crop
    parcel : float
        Area of a parcel. [ha]
    forest, shrub, town, lake, sea : float
        Share of the image. [-]
    wood, water : str
        Spectrum of forests, and of rivers and lakes.
    river : float
        Width, 0 none. [m]
    hedges : float
        Share of parcel borders that are overgrown. [-]
    sand : float
        Share of the image under bright sand. [-]
    tilled : tuple of str
        What parcels show that have been laid bare overnight.
    relief : float
        Strength of the pattern that slopes and ravines leave in the reflectance of wild land. [-]
    mountains : float
        Height of the highest summit above the lowest valley; 0: the terrain is flat. [m]
    blue_red : (float, float)
        B1 / B4 and B2 / B4 over vegetation. [-]
    altitude : float
        Of the lowest valley. [m]
    aerosol_model : str
    aot, water_vapour : (float, float)
        Range of the dates' means. [-], [g cm-2]
    ozone : float
        [cm atm]
    clouds : tuple of Clouds
        Kinds, one of which a date has (drawn by their shares).
    """

    soils: tuple[str, ...] = ("brown soil", "pale soil")
    crops: tuple[Crop, ...] = (
        Crop(0.30, -60, 110, 165, 188),
        Crop(0.25, 120, 190, 245, 275),
        Crop(0.15, 95, 160, 210, 230),
        Crop(0.22, -100, 60, 320, 500, 0.85, "grass"),
        Crop(0.08, 400, 460, 500, 540),
    )
    parcel: float = 5.0
    forest: float = 0.12
    shrub: float = 0.0
    town: float = 0.05
    lake: float = 0.01
    sea: float = 0.0
    wood: str = "forest"
    water: str = "green water"
    river: float = 90.0
    hedges: float = 0.35
    sand: float = 0.0
    tilled: tuple[str, ...] = ("pale soil", "straw", "brown soil")
    relief: float = 0.25
    mountains: float = 0.0
    blue_red: tuple[float, float] = (0.45, 0.49)
    altitude: float = 0.0
    aerosol_model: str = "continental"
    aot: tuple[float, float] = (0.08, 0.25)
    water_vapour: tuple[float, float] = (1.4, 2.6)
    ozone: float = 0.300
    clouds: tuple[Clouds, ...] = field(default=(replace(CUMULUS, share=0.7), replace(STRATUS, share=0.3)))


TEMPERATE = Scenario()
ISLAND = Scenario(
    soils=("red soil", "brown soil"),
    crops=(
        Crop(0.65, -200, 0, 330, 400, 0.95),
        Crop(0.20, 150, 260, 480, 530, 0.9),
        Crop(0.15, -100, 30, 320, 500, 0.7, "grass"),
    ),
    parcel=2.5,
    forest=0.42,
    shrub=0.08,
    town=0.05,
    lake=0,
    sea=0.30,
    water="clear water",
    river=0,
    hedges=0.25,
    relief=0.55,
    aot=(0.04, 0.10),
    water_vapour=(2.4, 3.6),
    ozone=0.270,
    clouds=(Clouds("cumulus", (800, 1800), 1800),),
)
SEMI_ARID = Scenario(
    soils=("pale soil", "sand", "red soil"),
    crops=(
        Crop(0.35, -50, 60, 110, 145, 0.75),
        Crop(0.18, 90, 150, 240, 280, 0.8),
        Crop(0.32, -200, 0, 360, 500, 0.32, "shrub"),
        Crop(0.15, 400, 460, 500, 540),
    ),
    parcel=3.5,
    forest=0.0,
    shrub=0.42,
    town=0.05,
    lake=0.0,
    water="brown water",
    river=35.0,
    hedges=0.08,
    relief=0.40,
    aot=(0.12, 0.35),
    water_vapour=(1.2, 2.2),
    clouds=(replace(CUMULUS, share=0.7), replace(CIRRUS, share=0.3)),
)
STEPPE = replace(
    SEMI_ARID,
    soils=("pale soil", "brown soil"),
    parcel=2.0,
    shrub=0.2,
    lake=0.03,
    town=0.04,
    relief=0.25,
    water="green water",
    clouds=(replace(CUMULUS, share=0.6), replace(STRATUS, share=0.4)),
)
SAVANNA = Scenario(
    soils=("red soil", "brown soil"),
    crops=(
        Crop(0.50, 160, 235, 285, 315, 0.8),
        Crop(0.30, 175, 250, 300, 330, 0.75, "grass"),
        Crop(0.20, 400, 460, 500, 540),
    ),
    parcel=1.2,
    forest=0.10,
    shrub=0.45,
    town=0.03,
    lake=0.03,
    water="brown water",
    river=30.0,
    hedges=0.1,
    relief=0.3,
    aot=(0.15, 0.45),
    water_vapour=(3.0, 4.5),
    ozone=0.270,
    clouds=(replace(CUMULUS, share=0.8), Clouds("stratus", (2000, 4000), 8000, 0.2)),
)
RAINFOREST = replace(
    ISLAND, forest=0.85, shrub=0.0, sea=0.0, town=0.01, river=300.0, water="brown water", relief=0.3,
    aot=(0.05, 0.15), water_vapour=(4.0, 5.0),
)  # fmt: skip

#: Recipes of places that differ from what their latitude suggests.
RECIPES: dict[str, Scenario] = {
    "40KCB": ISLAND,
    "20PQB": ISLAND,
    "20QPC": ISLAND,
    "38LNL": ISLAND,
    "22NCL": RAINFOREST,
    "32SNE": STEPPE,
    "32SPF": STEPPE,
    "32TMM": replace(TEMPERATE, sea=0.35, forest=0.35, relief=0.5, river=0),
}


def recipe(tile: str) -> Scenario:
    """The scenario of a tile: its own, or one after the latitude of its centre."""
    if tile in RECIPES:
        return RECIPES[tile]
    latitude = abs(float(tiling.footprint(tile)[:-1, 1].mean()))
    if latitude > 38:
        return TEMPERATE
    if latitude > 22:
        return SEMI_ARID
    return SAVANNA


@dataclass(frozen=True)
class Series:
    """A series of dates of one place.

    Attributes
    ----------
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
        The same series and seed give the same bytes.
    scenario : Scenario, optional
        Default: `recipe` of the tile.
    platforms : sequence of str
    orbits : int
        Relative orbits that see the place in turn, as far as there are so many.
    weather : sequence of Weather
        Of each date, repeated when shorter. Empty: drawn, as the following say.
    aot, water_vapour : sequence of float, optional
        Mean of each date [-], [g cm-2]; repeated when shorter. Default: drawn from the scenario's ranges.
    cloud_cover : (float, float)
        Least and largest share of cloud; the dates are spread over the range. [-]
    overcast : sequence of int
        Dates (by position) with more than 95 % of cloud.
    """

    tile: str
    dates: int | Sequence[datetime] = 5
    start: datetime = datetime(2024, 6, 1, tzinfo=UTC)
    size: int = 366
    origin: tuple[int, int] | None = None
    seed: int = 0
    scenario: Scenario | None = None
    platforms: Sequence[str] = ("S2A", "S2B")
    orbits: int = 1
    weather: Sequence[Weather] = ()
    aot: Sequence[float] | None = None
    water_vapour: Sequence[float] | None = None
    cloud_cover: tuple[float, float] = (0.0, 0.4)
    overcast: Sequence[int] = ()


_HARVEST = replace(
    TEMPERATE,
    soils=("pale soil", "brown soil"),
    crops=(Crop(0.45, -60, 110, 150, 205), Crop(0.35, 120, 190, 245, 275), Crop(0.20, 95, 160, 180, 230)),
    parcel=8.0,
    forest=0.06,
    sand=0.03,
    tilled=("pale soil", "sand", "straw"),
)
_TROPICS = replace(SAVANNA, lake=0.05, forest=0.30, shrub=0.30, sea=0.08, water="green water")
_ALPS = replace(TEMPERATE, forest=0.40, town=0.02, lake=0.02, altitude=700, mountains=1900, parcel=2.0)

#: Series on which masks are judged: twelve dates, from two orbits where two see the place, a third of them clear.
SERIES: dict[str, Series] = {
    # A plain in spring: every kind of cloud, ploughing, late snow, sand, towns and lakes.
    "truth": Series(
        "31TDJ", 12, datetime(2024, 3, 3, tzinfo=UTC), 1098, orbits=2,
        scenario=replace(TEMPERATE, sand=0.03, lake=0.03, town=0.08),
        weather=(
            Weather(aot=0.08, water_vapour=1.2),
            Weather(((CUMULUS, 0.20),), 0.14, 1.5),
            Weather(((FAIR_WEATHER, 0.15),), 0.10, 1.4, bared=0.08),
            Weather(aot=0.18, water_vapour=1.6, patchy=0.20, bared=0.16),
            Weather(((STRATUS, 0.55),), 0.12, 1.8, bared=0.16),
            Weather(((CIRRUS, 0.45),), 0.10, 1.2, bared=0.24),
            Weather(aot=0.09, water_vapour=0.9, bared=0.24, snow=0.12),
            Weather(((VEIL, 0.40),), 0.12, 1.5, bared=0.32, snow=0.06),
            Weather(((replace(FAIR_WEATHER, number=3.5), 0.25),), 0.15, 1.9, bared=0.40),
            Weather(aot=0.30, water_vapour=2.2, patchy=0.30, bared=0.48),
            Weather(((CUMULUS, 0.25), (CIRRUS, 0.30)), 0.12, 1.8, bared=0.48),
            Weather(aot=0.12, water_vapour=1.7, bared=0.60),
        ),
    ),
    # Bright soils in summer: most fields are harvested within two months.
    "harvest": Series(
        "30TYP", 12, datetime(2024, 6, 26, tzinfo=UTC), 1098, orbits=2, scenario=_HARVEST,
        weather=(
            Weather(aot=0.12),
            Weather(((FAIR_WEATHER, 0.12),), 0.15, 2.2, bared=0.10),
            Weather(aot=0.10, bared=0.22),
            Weather(((VEIL, 0.30),), 0.12, 2.0, bared=0.30),
            Weather(((CUMULUS, 0.30),), 0.18, 2.6, bared=0.38),
            Weather(aot=0.25, water_vapour=2.8, patchy=0.25, bared=0.45),
            Weather(aot=0.14, bared=0.58),
            Weather(((CIRRUS, 0.35), (FAIR_WEATHER, 0.10)), 0.14, 2.2, bared=0.62),
            Weather(((STRATUS, 0.45),), 0.12, 2.4, bared=0.66),
            Weather(aot=0.09, bared=0.74),
            Weather(((FAIR_WEATHER, 0.22),), 0.20, 2.8, bared=0.78),
            Weather(aot=0.12, bared=0.84),
        ),
    ),
    # Haze that comes and goes, many small clouds, water that may glint.
    "tropics": Series(
        "30PXU", 12, datetime(2024, 8, 18, tzinfo=UTC), 1098, scenario=_TROPICS,
        weather=(
            Weather(aot=0.20, water_vapour=3.6, wind=5),
            Weather(((replace(FAIR_WEATHER, number=3.5, size=600), 0.15),), 0.30, 4.2, 0.25, 4),
            Weather(((CUMULUS, 0.30),), 0.25, 4.4, 0.20, 6),
            Weather(aot=0.45, water_vapour=3.8, patchy=0.30, wind=3),
            Weather(((replace(FAIR_WEATHER, number=4, size=500), 0.20),), 0.45, 4.4, 0.35, 5),
            Weather(aot=0.25, water_vapour=3.9, patchy=0.20, wind=7),
            Weather(((VEIL, 0.45),), 0.30, 4.0, 0.20, 4),
            Weather(((CIRRUS, 0.50),), 0.22, 3.8, 0.20, 5),
            Weather(aot=0.60, water_vapour=3.6, patchy=0.25, wind=2),
            Weather(((CUMULUS, 0.35), (FAIR_WEATHER, 0.08), (CIRRUS, 0.20)), 0.35, 4.4, 0.25, 5),
            Weather(((STRATUS, 0.60),), 0.30, 4.2, 0.20, 5, bared=0.10),
            Weather(aot=0.20, water_vapour=3.4, patchy=0.15, wind=6, bared=0.15),
        ),
    ),
    # Snow that falls and melts over steep terrain, the sun low.
    "mountains": Series(
        "32TMR", 12, datetime(2024, 2, 22, tzinfo=UTC), 1098, orbits=2, scenario=_ALPS,
        weather=(
            Weather(aot=0.06, water_vapour=0.6, snow=0.40),
            Weather(((replace(CUMULUS, height=(2200, 3200)), 0.20),), 0.08, 0.8, snow=0.38),
            Weather(aot=0.05, water_vapour=0.5, snow=0.55),
            Weather(((CIRRUS, 0.40),), 0.06, 0.6, snow=0.50),
            Weather(((replace(STRATUS, height=(2300, 3400)), 0.50),), 0.08, 1.0, snow=0.48),
            Weather(aot=0.10, water_vapour=0.9, snow=0.42),
            Weather(((replace(FAIR_WEATHER, height=(2100, 2800)), 0.12),), 0.08, 1.0, snow=0.38),
            Weather(((VEIL, 0.35),), 0.08, 1.0, snow=0.35),
            Weather(aot=0.07, water_vapour=0.8, snow=0.60),
            Weather(((replace(CUMULUS, height=(2200, 3200)), 0.30), (CIRRUS, 0.25)), 0.08, 1.1, snow=0.45),
            Weather(aot=0.09, water_vapour=1.0, snow=0.36),
            Weather(aot=0.08, water_vapour=1.1, snow=0.30),
        ),
    ),
}  # fmt: skip
