"""Work for each kernel alone, on random fields: for `test_kernels.py`, which measures it, and `scaling.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from processing import atmosphere
from processing.chain import adjacency, aerosol_inversion, resampling, shadow_mask, slope_correction, subsampling
from processing.chain.aerosol_samples import Samples
from processing.chain.geometry import Geometry, direction
from processing.product import raster
from processing.scene import TERRAIN_RESOLUTION
from processing.versions import Parameters

#: Side of a tile, and of a cloud of the benchmark of shadows. [m]
TILE, CLOUD = 109_800, 240
#: Rows that a thread holds at a time.
STRIP = 1024


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Median processor time of this thread."""
    work()
    taken = []
    for _ in range(repeat):
        before = time.thread_time()
        work()
        taken.append(time.thread_time() - before)
    return median(taken)


def fields(rng: np.random.Generator, low: float, high: float, *shape: int) -> Any:
    """Random fields."""
    return rng.uniform(low, high, shape).astype(np.float32)


def strip(size: int, numbers: Parameters) -> dict[str, Callable[[], object]]:
    """What is done to a strip of a 10 m band."""
    rng = np.random.default_rng(0)
    factor = numbers.coarse_resolution // 10
    cells = -(-size // factor)
    rows = min(STRIP, size)
    ground = np.arange(size, dtype=np.int64)
    # neighbours alike, some noise: so it deflates as reflectance does
    counts = (2000 + 800 * np.sin(ground / 90)[None] + rng.normal(0, 60, (rows, size))).astype(np.uint16)
    line = np.stack([fields(rng, 1.0e-4, 1.2e-4, cells, cells), fields(rng, -0.15, -0.12, cells, cells)])
    around = adjacency.Environment(*(fields(rng, low, 0.9, cells, cells) for low in (0.1, 0.6, 0.6)))
    sun, view = (
        direction(fields(rng, *zenith, cells, cells), fields(rng, 100, 102, cells, cells))
        for zenith in ((40, 42), (2, 5))
    )
    terrain = fields(rng, 300, 302, *(2 * (-(-size * 10 // TERRAIN_RESOLUTION),)))
    sums = subsampling.Sums.of((rows, size), factor)
    surface = adjacency.surface_reflectance(counts, line, factor, numbers)
    code = np.kron(rng.random((-(-cells // 10),) * 2) < 0.3, np.ones((10, 10)))[:cells, :cells].astype(np.uint8)
    return {
        "counts to SRE": lambda: adjacency.surface_reflectance(counts, line, factor, numbers),
        "counts to FRE": lambda: slope_correction.flat_reflectance(
            counts, line, around, slope_correction.Slopes(terrain, sun, view), factor, numbers
        ),
        "block sums": lambda: sums.add(0, counts),
        "mask bits to 10 m": lambda: resampling.expand_bits(
            code, counts.shape, factor, numbers.mask_resampling_threshold
        ),
        "overview": lambda: raster.halved(surface, numbers.no_data),
        "differences and deflate": lambda: raster.deflated(surface),
    }


def shadows(clouds: int, numbers: Parameters, side: int = TILE) -> Callable[[], object]:
    """Shadows of many clouds over a whole tile."""
    rng = np.random.default_rng(1)
    cells = side // numbers.coarse_resolution
    shape = cells, cells
    a_row = int(np.ceil(np.sqrt(clouds)))
    row, col = ((np.array(divmod(np.arange(clouds), a_row)) + 0.5) * cells / a_row).astype(int)  # apart from another
    cloud = np.zeros(shape, np.bool_)
    for down, right in np.ndindex(2 * (CLOUD // numbers.coarse_resolution,)):
        cloud[row + down, col + right] = True
    sun, sun_azimuth, view, view_azimuth = (np.full(shape, angle, np.float32) for angle in (40, 150, 4, 100))
    none = np.zeros(shape, np.bool_)
    seen = {shadow_mask.REFERENCE_BAND: view}, {shadow_mask.REFERENCE_BAND: view_azimuth}
    angles = Geometry(sun, sun_azimuth, *seen, none, none, frozenset())
    ratio = fields(rng, 0.5, 1.2, cells, cells)
    altitude = fields(rng, 200, 260, cells, cells)
    return lambda: shadow_mask.detect(ratio, cloud, np.ones(shape, np.bool_), angles, altitude, numbers)


def aerosol(numbers: Parameters, side: int = TILE) -> Callable[[], aerosol_inversion.Nodes]:
    """Inversion of a whole tile, each cell a sample of both methods."""
    rng = np.random.default_rng(2)
    shape = side // numbers.coarse_resolution, side // numbers.coarse_resolution
    red = fields(rng, 0.03, 0.15, *shape)

    def seen(rho: Any, aot: float, band: str) -> Any:
        """What the surface would be by the AOT that is taken away, as a polynomial in it."""
        toa = atmosphere.toa_reflectance(rho, "S2A", band, 35.0, 5.0, 60.0, 0.2, aot, 2.0, 0.3)
        return atmosphere.against_aot(toa, "S2A", band, atmosphere.LightPath(35.0, 5.0, 60.0, 0.2), 2.0, 0.3)

    blue, of_red = seen(0.45 * red, 0.3, "B1"), seen(red, 0.3, "B4")
    everywhere = np.ones(shape, np.bool_)
    samples = Samples(
        spectral=everywhere,
        temporal=everywhere,
        colour=blue - np.float32(0.45) * of_red,
        red=of_red if numbers.aot_slope_spread else of_red[..., :0],
        blue=blue,
        before=seen(0.45 * red, 0.15, "B1"),
        settled=(0.45 * red).astype(np.float32),
        rise=np.zeros(shape, np.float32),
        swir=fields(rng, 0.1, 0.3, *shape),
        lag=np.full(shape, 5, np.int32),
        dark=0.5,
    )
    return lambda: aerosol_inversion.invert(samples, numbers)
