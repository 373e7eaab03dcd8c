"""Small Level-1C scenes made in memory: a surface of known reflectance under a known atmosphere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing import atmosphere
from processing.bands import BANDS
from processing.chain.geometry import Geometry
from processing.chain.observation import Observation
from processing.chain.terrain_shadow import Relief
from processing.scene import Ancillary, Angles, Composite, Grid, Scene
from processing.versions import Parameters

CELL = 240  # [m]
QUANTIFICATION = 10000.0
OFFSET = -1000.0
START = datetime(2023, 8, 10, 9, 58, tzinfo=UTC)

#: Surface reflectances of each band. [-]
VEGETATION = {"B1": 0.02, "B2": 0.03, "B3": 0.06, "B4": 0.04, "B5": 0.09, "B6": 0.25, "B7": 0.32, "B8": 0.34}
VEGETATION |= {"B8A": 0.35, "B9": 0.35, "B11": 0.18, "B12": 0.09}
SOIL = {"B1": 0.07, "B2": 0.09, "B3": 0.12, "B4": 0.16, "B5": 0.18, "B6": 0.20, "B7": 0.22, "B8": 0.23}
SOIL |= {"B8A": 0.24, "B9": 0.24, "B11": 0.32, "B12": 0.28}
#: In B9 as bright as if it lay on the ground, for it has only a third of the water vapour above it.
CLOUD = dict.fromkeys(VEGETATION, 0.6) | {"B9": 1.0, "B11": 0.5, "B12": 0.45}
SNOW = dict.fromkeys(VEGETATION, 0.8) | {"B11": 0.08, "B12": 0.05}
WATER = dict.fromkeys(VEGETATION, 0.02) | {"B8A": 0.01, "B9": 0.01, "B11": 0.005, "B12": 0.005}

Surface = Mapping[str, ArrayLike]


def mix(first: Surface, second: Surface, share: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """`first` where `share` is 0, `second` where it is 1; `share` is (row, col) on the coarse grid."""
    return {band: np.asarray(first[band]) * (1 - share) + np.asarray(second[band]) * share for band in VEGETATION}


def blot(cells: tuple[int, int], row: int, col: int, half: int) -> NDArray[np.float64]:
    """1 in a square of 2 `half` + 1 cells around a cell, 0 elsewhere."""
    share = np.zeros(cells)
    share[max(row - half, 0) : row + half + 1, max(col - half, 0) : col + half + 1] = 1
    return share


def ground(cells: tuple[int, int], seed: int = 1) -> dict[str, NDArray[np.float64]]:
    """Fields of vegetation and soil, the same for the same seed."""
    share = np.random.default_rng(seed).uniform(0, 1, cells)
    return mix(VEGETATION, SOIL, share)


def angles(
    grid: Grid,
    sun: tuple[float, float] = (35.0, 150.0),
    views: Mapping[int, tuple[float, float]] | None = None,
) -> Angles:
    """Uniform sun and, in each detector of all bands, uniform view angles (zenith, azimuth). [deg]"""
    views = views or {1: (6.0, 105.0)}
    step = 5000.0
    shape = (int(grid.height // step) + 2, int(grid.width // step) + 2)

    def uniform(value: float) -> NDArray[np.float32]:
        return np.full(shape, value, np.float32)

    return Angles(
        west=grid.west,
        north=grid.north,
        step=step,
        sun_zenith=uniform(sun[0]),
        sun_azimuth=uniform(sun[1]),
        view_zenith={band: {d: uniform(view[0]) for d, view in views.items()} for band in BANDS},
        view_azimuth={band: {d: uniform(view[1]) for d, view in views.items()} for band in BANDS},
        mean_sun=sun,
        mean_view={band: next(iter(views.values())) for band in BANDS},
    )


def scene(
    surface: Surface,
    cells: tuple[int, int] = (12, 12),
    days: float = 0.0,
    sun: tuple[float, float] = (35.0, 150.0),
    view: tuple[float, float] = (6.0, 105.0),
    aot: float | NDArray[np.floating] = 0.1,
    water_vapour: float = 2.0,
    ozone: float = 0.3,
    altitude: ArrayLike = 200.0,
    b10: ArrayLike = 0.001,
    unobserved: NDArray[np.bool_] | None = None,
    size: tuple[int, int] | None = None,
    seen: Surface | None = None,
) -> Scene:
    """A scene whose surface reflectances are those given, a number or a (row, col) array of cells for each band.

    Parameters
    ----------
    days : float
        After `START`.
    b10 : array_like
        Top-of-atmosphere reflectance of B10, where the ground is not seen. [-]
    unobserved : (row, col) bool
        Cells without data.
    size : (height, width)
        Of the image, when it does not fill its cells. [m]
    seen : mapping of band to array_like
        Top-of-atmosphere reflectances made elsewhere, instead of those of `surface` under the tables. [-]
    """
    height, width = size or (cells[0] * CELL, cells[1] * CELL)
    grid = Grid("EPSG:32631", 300000.0, 4900020.0, width, height)
    assert grid.shape(CELL) == cells
    geometry = (*sun, *view)
    altitudes = np.broadcast_to(np.asarray(altitude, np.float32), cells).copy()
    known = np.clip(np.nan_to_num(altitudes), 0, 3000)  # what lies outside the tables is lit as at their border
    counts = {}
    for band, b in BANDS.items():
        if band == "B10":
            toa: NDArray[np.floating] = np.asarray(b10, np.float64)
        elif seen is not None:
            toa = np.asarray(seen[band], np.float64)
        else:
            toa = atmosphere.toa_reflectance(
                np.asarray(surface[band], np.float64),
                "S2A",
                band,
                geometry[0],
                geometry[2],
                geometry[1] - geometry[3],
                known.astype(np.float64) / 1000,
                aot,
                water_vapour,
                ozone,
            )
        assert np.isfinite(toa).all(), "outside the tables"
        whole = np.clip(np.rint(np.broadcast_to(toa, cells) * QUANTIFICATION - OFFSET), 1, 65535).astype(np.uint16)
        if unobserved is not None:
            whole[unobserved] = 0
        factor = CELL // b.resolution
        full = np.repeat(np.repeat(whole, factor, axis=0), factor, axis=1)
        rows, cols = grid.shape(b.resolution)
        counts[band] = np.ascontiguousarray(full[:rows, :cols])
    return Scene(
        tile="31TCJ",
        platform="S2A",
        sensing=START + timedelta(days=days),
        orbit=42547,
        relative_orbit=51,
        baseline="05.10",
        identifier=f"S2A_MSIL1C_{START + timedelta(days=days):%Y%m%dT%H%M%S}_N0510_R051_T31TCJ",
        grid=grid,
        counts=counts,
        quantification=QUANTIFICATION,
        offset=dict.fromkeys(BANDS, OFFSET),
        solar_irradiance=dict.fromkeys(BANDS, 1000.0),
        angles=angles(grid, sun, {1: view}),
        detectors={band: np.ones(c.shape, np.uint8) for band, c in counts.items()},
        defective={band: np.zeros(c.shape, np.bool_) for band, c in counts.items()},
        ancillary=Ancillary(altitudes, ozone, {"altitude": "test", "ozone": "test"}),
    )


def onto(made: Scene, numbers: Parameters) -> Scene:
    """The scene with its altitude on the version's coarse grid."""
    factor = CELL // numbers.coarse_resolution
    altitude = np.kron(made.ancillary.altitude, np.ones((factor, factor), np.float32))
    return replace(made, ancillary=replace(made.ancillary, altitude=altitude))


def observation(
    reflectance: Mapping[str, NDArray[np.float32]],
    past: Composite | None,
    tested: NDArray[np.bool_],
    angles: Geometry,
    saturated: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Observation:
    """What the mask tests look at, on level ground without a terrain model."""
    level = np.zeros(tested.shape, np.float32)
    return Observation(
        day=0,
        past=past,
        reflectance=reflectance,
        high=level,
        water_vapour=level,
        saturated=saturated or {},
        observed=tested,
        tested=tested,
        angles=angles,
        altitude=level,
        terrain=False,
        relief=Relief(level, level + 1, level > 0, level > 0),
    )
