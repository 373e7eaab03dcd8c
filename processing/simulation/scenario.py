"""What a simulated scene is made of: the recipe of a place and of its sky."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

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
        ``cumulus``, ``stratus`` or ``cirrus``.
    height : (float, float)
        Range above the ground. [m]
    size : float
        Of the largest clouds. [m]
    share : float
        Of the cloud cover of a date. [-]
    """

    kind: str
    height: tuple[float, float]
    size: float
    share: float = 1.0


CUMULUS = Clouds("cumulus", (900, 2200), 2400)
STRATUS = Clouds("stratus", (1200, 3000), 9000)
CIRRUS = Clouds("cirrus", (8500, 10500), 6000)


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
    relief : float
        Strength of the pattern that slopes and ravines leave in the reflectance of wild land; the terrain itself is
        flat. [-]
    blue_red : (float, float)
        B1 / B4 and B2 / B4 over vegetation. [-]
    altitude : float
        [m]
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
    relief: float = 0.25
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
