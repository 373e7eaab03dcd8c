"""A small scene and a Level-2A for the tests of the product: every value differs from its neighbours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.bands import BANDS, DISTRIBUTED, GROUPS
from processing.scene import L2A, Ancillary, Angles, Composite, Figures, Grid, Scene

SENSING = datetime(2019, 5, 16, 10, 57, 13, 915_987, tzinfo=UTC)
PRODUCED = datetime(2019, 5, 17, 3, 2, 1, 123_456, tzinfo=UTC)
#: What a thin chain leaves out.
ABSENT = frozenset({"FRE", "CLM.SHADOW", "CLM.SHADOW_OUTSIDE", "MG2.TOPOGRAPHIC_SHADOW", "MG2.HIDDEN", "IAB.AOT"})


def grid(pixels: int = 366) -> Grid:
    return Grid("EPSG:32631", 499980.0, 4900020.0, pixels * 10, pixels * 10)


def scene(pixels: int = 366, **changes: Any) -> Scene:
    where = grid(pixels)
    nodes = np.add.outer(np.arange(23), np.arange(23)).astype(np.float32)
    zenith = {}
    detectors = {}
    for band in BANDS.values():
        left, right = 3 + nodes / np.float32(100), 5 + nodes / np.float32(100)
        left[:, 12:] = right[:, :10] = np.nan
        zenith[band.name] = {5: left, 6: right}
        rows, cols = where.shape(band.resolution)
        seen = np.full((rows, cols), 5, np.uint8)
        seen[:, cols // 2 + band.index :] = 6
        seen[: rows // 8] = 0
        detectors[band.name] = seen
    whole = Scene(
        tile="31UER",
        platform="S2A",
        sensing=SENSING,
        orbit=20354,
        relative_orbit=94,
        baseline="02.07",
        identifier="S2A_MSIL1C_20190516T105621_N0207_R094_T31UER_20190516T125136",
        grid=where,
        counts={},
        quantification=10000.0,
        offset={},
        solar_irradiance={band: 1000.5 + BANDS[band].index for band in BANDS},
        angles=Angles(
            west=where.west,
            north=where.north,
            step=5000.0,
            sun_zenith=30 + nodes / np.float32(10),
            sun_azimuth=150 + nodes / np.float32(10),
            view_zenith=zenith,
            view_azimuth={band: {d: 100 + 10 * z for d, z in by.items()} for band, by in zenith.items()},
            mean_sun=(31.25, 151.25),
            mean_view={band: (4.0 + BANDS[band].index / 100, 104.5) for band in BANDS},
        ),
        detectors=detectors,
        defective={},
        ancillary=Ancillary(np.linspace(-2, 300, 16, dtype=np.float32).reshape(4, 4), 0.3, {"ozone": "default"}),
        physical_gain={band: 4.0 + BANDS[band].index / 10 for band in BANDS},
    )
    return replace(whole, **changes)


def l2a(of: Scene, *, absent: frozenset[str] = frozenset(), seed: int = 0, **changes: Any) -> L2A:
    random = np.random.default_rng(seed)

    def reflectance(band: str) -> NDArray[np.int16]:
        shape = of.grid.shape(BANDS[band].resolution)
        counts = random.integers(-200, 12000, shape).astype(np.int16)
        counts[: shape[0] // 8] = -10000
        return counts

    def bits(kind: str, highest: int = 255) -> dict[str, NDArray[np.uint8]]:
        if kind in absent:
            return {}
        return {
            g: random.integers(0, highest + 1, of.grid.shape(r)).astype(np.uint8) for g, r in (("R1", 10), ("R2", 20))
        }

    whole = L2A(
        status="valid",
        mode="nominal",
        version="V1_4",
        surface_reflectance={band: reflectance(band) for band in DISTRIBUTED},
        flat_reflectance={} if "FRE" in absent else {band: reflectance(band) for band in DISTRIBUTED},
        atmosphere={g: np.stack([r, r[::-1]]) for g, r in bits("ATB").items()},
        cloud=bits("CLM"),
        geophysical=bits("MG2"),
        edge=bits("EDG", 1),
        saturation=bits("SAT", 2 ** len(GROUPS["R1"]) - 1),
        interpolated=bits("IAB", 3),
        defective=bits("DFP", 2 ** len(GROUPS["R1"]) - 1),
        absent=absent,
        figures=Figures(
            cloud_percent=12.3456789,
            snow_percent=0.4,
            water_percent=1.5,
            no_data_percent=12.5,
            aot_mean=0.123,
            water_vapour_mean=1.75,
        ),
        flags={"hot_spot": False, "sun_glint": True},
        origin={"ozone": "default of the version", "spectral_response": "S2A"},
        seconds={"cloud_mask": 0.5, "adjacency": 1.25},
    )
    return replace(whole, **changes)


def composite(pixels: int = 366, seed: int = 0, bands: tuple[str, ...] = ("B2", "B4", "B8A")) -> Composite:
    random = np.random.default_rng(seed)
    where = grid(pixels)
    shape = where.shape(240)

    def field() -> NDArray[np.float32]:
        values = random.normal(0.1, 0.05, shape).astype(np.float32)
        values[: shape[0] // 4] = np.nan
        return values

    return Composite(
        tile="31UER",
        version="V1_4",
        grid=where,
        resolution=240,
        sensing=SENSING,
        day=random.integers(-1, 7000, shape).astype(np.int16),
        toa={band: field() for band in bands},
        rayleigh_corrected={band: field() for band in bands},
        surface={band: field() for band in bands},
        stack=np.stack([field(), field()]),
        stack_days=(7075, 7070),
        possible_water=random.random((3, *shape)) < 0.1,
        tested_water=random.random((3, *shape)) < 0.9,
        water=random.random(shape) < 0.1,
        shadow=random.random(shape) < 0.1,
        aot=field(),
        blue=np.stack([field() for _ in range(6)]),
    )
