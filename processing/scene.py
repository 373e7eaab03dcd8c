"""The nouns of the chain: arrays with their grid, units and date.

Nothing here reads a file. A mapping of rasters may be a `Lazy` one, whose values are made when they are asked for
and not kept, so that a whole tile never has to be in memory at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Mode = Literal["init", "nominal", "backward"]
Status = Literal["valid", "not_valid"]

#: Days are counted from here in composites, as in MAJA.
EPOCH = date(2000, 1, 1)
#: Counts of a Level-1C pixel that was not observed, and of one that saturated.
NO_DATA_COUNTS = 0
SATURATED_COUNTS = 65535

#: Pixels of `Ancillary.terrain`: terrain models of the whole Earth have some 30 m. [m]
TERRAIN_RESOLUTION = 20
#: Pressure at the sea in the standard atmosphere. [hPa]
STANDARD_PRESSURE = 1013.25


def day_of(sensing: datetime) -> int:
    """Days since 2000-01-01 (UTC)."""
    return (sensing.astimezone(UTC).date() - EPOCH).days


V = TypeVar("V")
P = TypeVar("P", bound=np.generic)


class Lazy(Mapping[str, V]):
    """A mapping whose values are made at each look-up by `make(key)` and never kept."""

    def __init__(self, keys: Iterable[str], make: Callable[[str], V]) -> None:
        self._keys = dict.fromkeys(keys)
        self._make = make

    def __getitem__(self, key: str) -> V:
        if key not in self._keys:
            raise KeyError(key)
        return self._make(key)

    def __contains__(self, key: object) -> bool:  # that of Mapping would make the value
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class Strips(Lazy[NDArray[P]]):
    """Rasters that are made when they are asked for, whole or some rows at a time, with the same values."""

    def __init__(
        self,
        heights: Mapping[str, int],
        make: Callable[[str, slice], NDArray[P]],
        let_go: Callable[[str], None] = lambda _key: None,
    ) -> None:
        """
        Parameters
        ----------
        heights : mapping of key to int
            Rows of each raster.
        make : callable
            `make(key, rows)` gives an array (..., row, col) of those rows.
        let_go : callable
            Told the key of a raster that nobody will ask for any more.
        """
        super().__init__(heights, lambda key: make(key, slice(0, heights[key])))
        self.strip, self.let_go = make, let_go


def strip(rasters: Mapping[str, NDArray[P]], key: str, rows: slice) -> NDArray[P]:
    """Some rows of a raster, made alone where the mapping can."""
    return rasters.strip(key, rows) if isinstance(rasters, Strips) else rasters[key][..., rows, :]


def let_go(rasters: Mapping[str, NDArray[P]], key: str) -> None:
    """Have the memory of a raster back that nobody will ask for any more, where the mapping can give it."""
    if isinstance(rasters, Strips):
        rasters.let_go(key)


def strips(rasters: Mapping[str, NDArray[P]], key: str, height: int, rows: int = 1024) -> Iterator[NDArray[P]]:
    """A raster `height` rows high from its top down: by `rows` of them where the mapping can, else whole."""
    if not isinstance(rasters, Strips):
        yield rasters[key]
        return
    for first in range(0, height, rows):
        yield rasters.strip(key, slice(first, min(first + rows, height)))


@dataclass(frozen=True)
class Grid:
    """Where the pixels of an image lie: a north-up rectangle in a UTM projection.

    Attributes
    ----------
    crs : str
        ``EPSG:326zz`` or ``EPSG:327zz``.
    west, north : float
        Outer corner of the first pixel. [m]
    width, height : int
        Size of the rectangle. [m]
    """

    crs: str
    west: float
    north: float
    width: int
    height: int

    def shape(self, resolution: int) -> tuple[int, int]:
        """Rows and columns at `resolution` [m]; the last ones may stand out of the rectangle and are then no-data."""
        return -(-self.height // resolution), -(-self.width // resolution)

    def transform(self, resolution: int) -> tuple[float, float, float, float, float, float]:
        """Affine coefficients (a, b, c, d, e, f) of pixel corners at `resolution` [m]."""
        return (float(resolution), 0.0, self.west, 0.0, -float(resolution), self.north)

    @property
    def east(self) -> float:
        """Outer edge of the last column. [m]"""
        return self.west + self.width

    @property
    def south(self) -> float:
        """Outer edge of the last row. [m]"""
        return self.north - self.height


@dataclass(frozen=True)
class Angles:
    """Sun and view angles at the nodes of a regular grid, as the Level-1C gives them.

    Node (i, j) is at (`north` - i * `step`, `west` + j * `step`): the grid may reach out of the image.

    Attributes
    ----------
    west, north, step : float
        Position of the first node and distance of the nodes. [m]
    sun_zenith, sun_azimuth : (row, col) float32
        [deg], azimuth from north over east.
    view_zenith, view_azimuth : dict of band to dict of detector to (row, col) float32
        [deg], NaN where the detector does not see. Azimuth is the direction from the ground to the satellite.
    mean_sun : (zenith, azimuth)
        [deg]
    mean_view : dict of band to (zenith, azimuth)
        [deg]
    """

    west: float
    north: float
    step: float
    sun_zenith: NDArray[np.float32]
    sun_azimuth: NDArray[np.float32]
    view_zenith: Mapping[str, Mapping[int, NDArray[np.float32]]]
    view_azimuth: Mapping[str, Mapping[int, NDArray[np.float32]]]
    mean_sun: tuple[float, float]
    mean_view: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Forecast:
    """A forecast of the air around a tile, as arrays.

    Attributes
    ----------
    latitude, longitude : (row,), (col,) float64
        Of its points. [deg]
    values : mapping of str to (row, col) float64
        By ECMWF's short names: ``tco3`` [kg m-2], ``msl`` [Pa], ``aod550``, ``ssaod550``, ... [-]. NaN where none.
    """

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Ancillary:
    """What the chain needs to know beside the image, each with where it came from.

    Attributes
    ----------
    altitude : (row, col) float32
        Mean altitude of each coarse pixel (the version's coarse resolution). [m]
    ozone : float
        Column above the ground. [cm atm]
    origin : dict of str to str
        Per quantity (``altitude``, ``ozone``, ...) a short name of its source, for the product's metadata.
    terrain : (row, col) float32 or None
        Altitude every `TERRAIN_RESOLUTION`, from which the slopes are taken; None without a terrain model. [m]
    pressure : float
        Of the air, reduced to the sea's level. [hPa]
    aerosol : dict of str to float, or None
        Models of the tables with their shares of the AOT, as a forecast has them; None without one.
    aot : float or None
        AOT at 550 nm of the same forecast. [-]
    """

    altitude: NDArray[np.float32]
    ozone: float
    origin: Mapping[str, str]
    terrain: NDArray[np.float32] | None = None
    pressure: float = STANDARD_PRESSURE
    aerosol: Mapping[str, float] | None = None
    aot: float | None = None


class Responses(NamedTuple):
    """Whose spectral responses an admitted satellite has: their name in the tables, and why, in words."""

    sensor: str
    origin: str


@dataclass(frozen=True)
class Scene:
    """One acquisition of one tile as Level-1C: what the chain corrects.

    Attributes
    ----------
    tile : str
        MGRS id without the T, ``31TCJ``.
    platform : str
        ``S2A``, ``S2B``, ``S2C``.
    sensing : datetime
        Sensing time of the tile, UTC.
    orbit, relative_orbit : int
    baseline : str
        Processing baseline of the Level-1C, ``05.10``.
    identifier : str
        Name of the Level-1C package.
    grid : Grid
    counts : mapping of band to (row, col) uint16
        Counts at the band's resolution; 0 no data, 65535 saturated. All 13 bands.
    quantification : float
        Reflectance = (counts + offset) / quantification. [-]
    offset : mapping of band to float
        RADIO_ADD_OFFSET, 0 before baseline 04.00. [counts]
    solar_irradiance : mapping of band to float
        [W m-2 um-1], for the product's metadata.
    angles : Angles
    detectors : mapping of band to (row, col) uint8
        Detector that saw each pixel, 1..12, 0 none; at the band's resolution.
    defective : mapping of band to (row, col) bool
        Pixels the Level-1C names defective or lost; at the band's resolution.
    saturated : mapping of band to (row, col) bool
        Pixels the Level-1C names saturated, beside those of 65535 counts; their counts are what they at least are.
        Empty where it names none.
    simulated : bool
        True where the Level-1C says that it was made by `muscate simulate`.
    physical_gain : mapping of band to float
        PHYSICAL_GAINS of the Level-1C, for the product's metadata; empty where it gives none. [counts W-1 m2 sr um]
    spacing : mapping of band to int
        Of a thinned scene, which serves the coarse grid alone: `counts` and `detectors` have every so many rows and
        columns of the band; the counts are the low-pass samples of its 5/3 wavelet, centred on those pixels, and 0
        where they hold something unobserved. It may have the bands of `bands.COARSE` alone. Empty for a whole scene.
    responses : Responses or None
        None for a satellite that the tables know by its name.
    """

    tile: str
    platform: str
    sensing: datetime
    orbit: int
    relative_orbit: int
    baseline: str
    identifier: str
    grid: Grid
    counts: Mapping[str, NDArray[np.uint16]]
    quantification: float
    offset: Mapping[str, float]
    solar_irradiance: Mapping[str, float]
    angles: Angles
    detectors: Mapping[str, NDArray[np.uint8]]
    defective: Mapping[str, NDArray[np.bool_]]
    ancillary: Ancillary
    simulated: bool = False
    physical_gain: Mapping[str, float] = field(default_factory=dict)
    spacing: Mapping[str, int] = field(default_factory=dict)
    saturated: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    responses: Responses | None = None

    @property
    def day(self) -> int:
        """Days since 2000-01-01 (UTC)."""
        return day_of(self.sensing)


@dataclass(frozen=True)
class Composite:
    """The recurrent state a date leaves for the next one of the same tile: the past as the chain knows it.

    All rasters are on the coarse grid. NaN, 0 or -1 as stated where nothing clear was seen yet.

    Attributes
    ----------
    tile, version : str
    grid : Grid
    resolution : int
        Of the coarse grid. [m]
    sensing : datetime
        The last date that went in, UTC: the newest one, but for a few cells after a backward start.
    day : (row, col) int16
        Date of each pixel as days since 2000-01-01, -1 without data.
    toa : dict of band to (row, col) float32
        Gas-corrected top-of-atmosphere reflectance (MAJA's RTA). [-]
    rayleigh_corrected : dict of band to (row, col) float32
        MAJA's RCR. [-]
    surface : dict of band to (row, col) float32
        MAJA's RTC. [-]
    stack : (n, row, col) float32
        Rayleigh-corrected B2 of the last valid dates, newest first, n <= 10 (MAJA's STO). [-]
    stack_days : tuple of int
    possible_water, tested_water : (n, row, col) bool
        The last dates' water tests, newest first, n <= 10 (MAJA's PWA, TWA).
    water : (row, col) bool
        MAJA's WAS.
    shadow : (row, col) bool
        Cloud shadows of the newest date, nowhere where none was sought.
    aot : (row, col) float32
        AOT of the newest date. [-]
    blue : (term, row, col) float32
        Surface reflectance of each pixel's date in the AOT's blue band as a polynomial in AOT, constant term first:
        what MAJA's reduced tables by date (LTC) tell of it.
    backward : bool
        Made of later dates in inverse order of time, to begin a series with: `sensing` is then the oldest of them.
    """

    tile: str
    version: str
    grid: Grid
    resolution: int
    sensing: datetime
    day: NDArray[np.int16]
    toa: dict[str, NDArray[np.float32]]
    rayleigh_corrected: dict[str, NDArray[np.float32]]
    surface: dict[str, NDArray[np.float32]]
    stack: NDArray[np.float32]
    stack_days: tuple[int, ...]
    possible_water: NDArray[np.bool_]
    tested_water: NDArray[np.bool_]
    water: NDArray[np.bool_]
    shadow: NDArray[np.bool_]
    aot: NDArray[np.float32]
    blue: NDArray[np.float32]
    backward: bool = False


@dataclass(frozen=True)
class Evidence:
    """What the mask tests of one date looked at, and what the atmosphere was found to be, on the coarse grid.

    Kept beside the recurrent state: with the state before it, every mask of the date can be found again, and each of
    its cells explained, without the Level-1C.

    Attributes
    ----------
    reflectance : dict of band to (row, col) float32
        Rayleigh-corrected. [-]
    high : (row, col) float32
        Reflectance of B10 from `cirrus.above_ground`. [-]
    water_vapour_read : (row, col) float32
        Column as read, above the cloud where there is one; NaN where it can't be. [g cm-2]
    saturated : dict of band to (row, col) bool
    observed, tested : (row, col) bool
        Seen by all bands; of these, inside the validity of the tables.
    sun_zenith, sun_azimuth : (row, col) float32
        [deg]
    view_zenith, view_azimuth : dict of band to (row, col) float32
        Of the bands that stand for all in the tests. [deg]
    altitude : (row, col) float32
        [m]
    terrain : bool
        Whether the altitude is that of a terrain model.
    water_vapour, aot : (row, col) float32
        As the date was corrected with. [g cm-2], [-]
    water_vapour_filled, aot_filled : (row, col) bool
        Where they were filled in from around.
    aot_spectral, aot_temporal : (row, col) bool
        Samples that the AOT was read from: by their colour, and against the past.
    backward : Composite or None
        What entered the date, where it was made of later ones and so is no other date's state.
    detail : dict of name to (row, col) int8
        By how much each cell of the masks is brighter than the coarse one around it, near what is masked; empty in
        versions that draw no mask by it. [0.004]
    spots : dict of name to (row, col) float32
        How much brighter the brightest of them is, and how uneven they are, of each coarse cell. [-]
    veil : (row, col) bool or None
        Where the light of a thin high cloud was taken away; None where there was none.
    """

    reflectance: dict[str, NDArray[np.float32]]
    high: NDArray[np.float32]
    water_vapour_read: NDArray[np.float32]
    saturated: dict[str, NDArray[np.bool_]]
    observed: NDArray[np.bool_]
    tested: NDArray[np.bool_]
    sun_zenith: NDArray[np.float32]
    sun_azimuth: NDArray[np.float32]
    view_zenith: dict[str, NDArray[np.float32]]
    view_azimuth: dict[str, NDArray[np.float32]]
    altitude: NDArray[np.float32]
    terrain: bool
    water_vapour: NDArray[np.float32]
    water_vapour_filled: NDArray[np.bool_]
    aot: NDArray[np.float32]
    aot_filled: NDArray[np.bool_]
    aot_spectral: NDArray[np.bool_]
    aot_temporal: NDArray[np.bool_]
    backward: Composite | None = None
    detail: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    spots: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    veil: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Figures:
    """What a date amounts to, in numbers that its product, its metadata and the store all keep. NaN where not known.

    Attributes
    ----------
    cloud_percent, snow_percent, water_percent : float
        Of the observed pixels. [%]
    no_data_percent : float
        Of all pixels. [%]
    aot_mean : float
        At 550 nm. [-]
    water_vapour_mean : float
        [g cm-2]
    """

    cloud_percent: float = math.nan
    snow_percent: float = math.nan
    water_percent: float = math.nan
    no_data_percent: float = math.nan
    aot_mean: float = math.nan
    water_vapour_mean: float = math.nan

    def as_dict(self) -> dict[str, float | None]:
        """By name, for JSON and SQL, which have no NaN: None where not known."""
        return {name: None if math.isnan(value) else float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class L2A:
    """What the chain makes of one scene. With status ``not_valid`` the mappings are empty: no reflectance leaves.

    Rasters are keyed by band (``B2``) or by resolution group (``R1`` 10 m, ``R2`` 20 m) and scaled as in the product.

    Attributes
    ----------
    status, mode, version : str
    surface_reflectance : mapping of band to (row, col) int16
        SRE: reflectance * 10000, -10000 no data.
    flat_reflectance : mapping of band to (row, col) int16
        FRE; `surface_reflectance` itself where the ground is taken as flat.
    atmosphere : mapping of group to (2, row, col) uint8
        ATB: water vapour * 20 [g cm-2] and AOT * 200, 0 no data.
    cloud, geophysical, edge, saturation, interpolated, defective : mapping of group to (row, col) uint8
        CLM, MG2, EDG, SAT, IAB, DFP with the bits of `masks` (SAT and DFP: one bit a band in the group's order).
    uncertainty : mapping of group to (11, row, col) uint8
        UNC, of the 20 m group: standard deviation of the AOT and of the reflectance in each band of the product, of the
        ground of its coarse cell; scaled by the version's `uncertainty_quantification`, 0 no data. Empty where the
        version gives none.
    absent : frozenset of str
        Masks and rasters whose step is not in the version's order: names of `masks.Cloud` as ``CLM.SHADOW``,
        of `masks.Geophysical` as ``MG2.TOPOGRAPHIC_SHADOW``, or a whole raster as ``FRE``. Declared absent in the
        metadata.
    figures : Figures
        Of a date that is not valid those that were found till then.
    flags : dict of str to bool
        ``rain``, ``hot_spot``, ``sun_glint``, ``cirrus`` for those that were tested.
    origin : dict of str to str
        Where each ancillary quantity and table came from, and every fallback that was taken.
    seconds : dict of str to float
        Time spent in each step of the coarse stage. [s]
    evidence : Evidence or None
        Of a valid date.
    """

    status: Status
    mode: Mode
    version: str
    surface_reflectance: Mapping[str, NDArray[np.int16]]
    flat_reflectance: Mapping[str, NDArray[np.int16]]
    atmosphere: Mapping[str, NDArray[np.uint8]]
    cloud: Mapping[str, NDArray[np.uint8]]
    geophysical: Mapping[str, NDArray[np.uint8]]
    edge: Mapping[str, NDArray[np.uint8]]
    saturation: Mapping[str, NDArray[np.uint8]]
    interpolated: Mapping[str, NDArray[np.uint8]]
    defective: Mapping[str, NDArray[np.uint8]]
    absent: frozenset[str]
    figures: Figures
    flags: dict[str, bool] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    evidence: Evidence | None = None
    uncertainty: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
