"""A terrain model as it is in its files, made altitudes in metres: what the files say of their numbers is read first.

A number that no ground has is a void, whether it is tagged as one or not, and is left out before anything is averaged.
What can't be told from voids is refused by name, as is a model whose altitudes are those of the tile in another unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.fill import fillnodata
from rasterio.warp import transform, transform_bounds
from rasterio.windows import Window
from scipy import ndimage

from processing.errors import AncillaryError
from processing.resources import DATA
from processing.scene import TERRAIN_RESOLUTION, Grid

Field = NDArray[np.float32]

#: No ground lies outside of this: the Dead Sea's shore and Mount Everest, with room. [m]
ALTITUDE_RANGE = (-500.0, 9000.0)
#: So many values above it may stand for voids (9999, 32767, 1e38); more are altitudes in another unit.
MARKS = 2
#: Metres of the units that files name.
UNITS: Mapping[str, float] = {
    **dict.fromkeys(("", "m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("ft", "foot", "feet", "international foot"), 0.3048),
    **dict.fromkeys(
        ("us survey foot", "us survey feet", "ussurveyfoot", "us-ft", "ftus", "foot_us", "us_ft"), 1200 / 3937
    ),
    **dict.fromkeys(("dm", "decimetre", "decimetres", "decimeter", "decimeters"), 0.1),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
    **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
}
#: The unit of a vertical axis in WKT.
VERTICAL = re.compile(r'VERT(?:_CS|CRS)\[.*?UNIT\["([^"]*)",\s*([\d.]+)', re.DOTALL)
#: A gap narrower than this is bridged from both sides; wider ones are the sea's. [pixels of the model]
BRIDGE = 10
#: Zeros that end in a cliff all around are no sea but voids without a tag. [m]
CLIFF = 100.0
#: Rows of a model that are read at a time.
ROWS = 512
#: Factors by which a wrong unit multiplies, and how near to one a model's altitudes must be; the names of the units.
FACTORS: Mapping[str, float] = {"feet": 1 / 0.3048, "decimetres": 10.0, "centimetres": 100.0}
NEAR = 0.1
#: Of ground lower than this nothing can be told; an area as large as this has the mean that the map has. [m]
LOW, LARGE = 100.0, 50_000
#: Ground that is so much above the sea is not at its level everywhere. [m]
SEA = 60.0


@dataclass
class Altitudes:
    """What a model says around a tile.

    Attributes
    ----------
    values : (row, col) float32
        NaN where it says nothing. [m]
    where : Affine
        Of its pixels, which may be several of the file's.
    said : dict of str to int
        What was found odd and mended, with the number of its pixels or 1.
    impossible : list of float
        Some of the numbers that no ground has, the least and the greatest among them. [m]
    """

    values: Field
    where: Affine
    said: dict[str, int] = field(default_factory=dict)
    impossible: list[float] = field(default_factory=list)


def read(model: rasterio.DatasetReader, path: Path, grid: Grid, pixel: float) -> Altitudes | None:
    """Altitudes of a model around a tile; None where it has no pixel there.

    Parameters
    ----------
    pixel : float
        Size of the model's pixels. Those smaller than half of `TERRAIN_RESOLUTION` are averaged. [m]

    Raises
    ------
    AncillaryError
        If its numbers are no altitudes in a known unit.
    """
    window = _window(model, grid)
    if window is None:
        return None
    factor, shift, said = _meaning(model, path)
    # Of pixels much smaller than ours one in some is read, else those of a whole tile would be too many.
    thin = max(1, int(TERRAIN_RESOLUTION / 4 / pixel))
    side = max(1, int(TERRAIN_RESOLUTION / 2 / (pixel * thin)))
    height, width = max(1, window.height // thin), max(1, window.width // thin)
    rows, cols = -(-height // side), -(-width // side)
    found = np.empty((rows, cols), np.float32)
    marks: set[float] = set()
    impossible: list[float] = []
    step = max(ROWS // side, 1)
    for first in range(0, rows, step):
        last = min(first + step, rows)
        top, bottom = first * side, min(last * side, height)
        part = Window(window.col_off, window.row_off + top * thin, width * thin, (bottom - top) * thin)
        values = _numbers(model, part, (bottom - top, width)) * np.float32(factor) + np.float32(shift)
        impossible += _without_impossible(values, path, marks, said)
        found[first:last] = _averaged(values, side)
    _without_false_sea(found, said)
    bridge(found, said)
    if left := int(np.count_nonzero(np.isnan(found))):  # beside the tile too: its edge leans on them
        said["pixels of the model without data"] = left
    where = model.transform @ Affine.translation(window.col_off, window.row_off) @ Affine.scale(side * thin)
    return Altitudes(found, where, said, impossible)


def _window(model: rasterio.DatasetReader, grid: Grid) -> Window | None:
    """The part of a model around a tile, with room for interpolation."""
    edges = np.linspace(0, 1, 33)
    x = np.concatenate([edges, edges, np.zeros(33), np.ones(33)]) * grid.width + grid.west
    y = np.concatenate([np.zeros(33), np.ones(33), edges, edges]) * grid.height + grid.south
    cols, rows = ~model.transform @ np.array(transform(grid.crs, model.crs, x, y))
    if model.crs.is_geographic:  # a tile over the antimeridian has its other part at the model's other end
        turn = 360 / abs(model.transform.a)
        if np.ptp(cols) > turn / 2:
            cols = np.array([0, model.width])
    room = 4 + int(2 * TERRAIN_RESOLUTION / max(abs(model.transform.a), 1e-9)) if not model.crs.is_geographic else 8
    left, right = (int(v) for v in np.clip([cols.min() - room, cols.max() + room + 1], 0, model.width))
    top, bottom = (int(v) for v in np.clip([rows.min() - room, rows.max() + room + 1], 0, model.height))
    return Window(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _meaning(model: rasterio.DatasetReader, path: Path) -> tuple[float, float, dict[str, int]]:
    """What makes metres of a model's numbers: factor and shift, and what is to be said of it."""
    scale, offset = float(model.scales[0]), float(model.offsets[0])
    if not (np.isfinite(scale) and np.isfinite(offset) and scale):
        raise AncillaryError(path, f"a terrain model with a scale of {scale:g} and an offset of {offset:g}")
    unit = (model.units[0] or "").strip()
    metres = UNITS.get(unit.lower().replace("_", " "), UNITS.get(unit.lower()))
    if metres is None:
        raise AncillaryError(path, f"altitudes in {unit[:40]!r}, which is no unit of length that is known")
    if not unit and (vertical := VERTICAL.search(model.crs.to_wkt())):
        unit, metres = vertical[1], float(vertical[2])
    said = {}
    if (scale, offset) != (1.0, 0.0):
        said[f"numbers times {scale:g} plus {offset:g}, as its tags say"] = 1
    if metres != 1:
        said[f"altitudes in {unit[:40]} brought to metres"] = 1
    return scale * metres, offset * metres, said


def _numbers(model: rasterio.DatasetReader, part: Window, shape: tuple[int, int]) -> Field:
    """Numbers of a part of a model as they are in the file, NaN where it says that there are none."""
    read = model.read(1, window=part, masked=True, out_shape=shape)
    if np.iscomplexobj(read):
        raise ValueError("complex numbers")
    return np.asarray(np.ma.filled(read.astype(np.float32), np.nan), np.float32)


def _without_impossible(values: Field, path: Path, marks: set[float], said: dict[str, int]) -> list[float]:
    """Make voids of what no ground has; the least and the greatest of that.

    Raises
    ------
    AncillaryError
        If there are so many values above the highest ground that they must be altitudes in another unit.
    """
    low, high = ALTITUDE_RANGE
    above = values > high  # inf too
    below = values < low
    if above.any():
        marks.update(np.unique(values[above])[: MARKS + 1].tolist())
        if len(marks) > MARKS:
            raise AncillaryError(
                path, f"altitudes to {np.nanmax(values):g} m; the highest ground has less than {high:g}: another unit?"
            )
    impossible = above | below
    count = int(np.count_nonzero(impossible))
    if not count:
        return []
    text = "pixels outside of -500 to 9000 m taken as voids"
    said[text] = said.get(text, 0) + count
    extremes = [float(values[impossible].min()), float(values[impossible].max())]
    values[impossible] = np.nan
    return extremes


def _averaged(values: Field, side: int) -> Field:
    """Means of blocks of `side` x `side` pixels, of those that are known."""
    if side == 1:
        return values
    rows, cols = (-(-size // side) for size in values.shape)
    room = [(0, rows * side - values.shape[0]), (0, cols * side - values.shape[1])]
    blocks = np.pad(values, room, constant_values=np.nan).reshape(rows, side, cols, side)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _without_false_sea(values: Field, said: dict[str, int]) -> None:
    """Make voids of zeros amid ground that is far above or below the sea on all their sides."""
    zero = values == 0
    if not zero.any() or zero.all():
        return
    height = np.where(zero | np.isnan(values), np.inf, np.abs(values))
    beside = ndimage.minimum_filter(height, 3, mode="nearest")
    labels, count = ndimage.label(zero, np.ones((3, 3)))
    lowest = np.asarray(ndimage.minimum(beside, labels, np.arange(1, count + 1)))
    voids = np.concatenate([[False], (lowest > CLIFF) & np.isfinite(lowest)])[labels]
    if found := int(np.count_nonzero(voids)):
        said["pixels of 0 m amid high ground taken as voids"] = found
        values[voids] = np.nan


def bridge(values: Field, said: dict[str, int]) -> None:
    """Fill narrow gaps, as seams between the parts of a model or single voids, from both of their sides."""
    gap = np.isnan(values)
    if not gap.any() or gap.all():
        return
    wide = ndimage.binary_opening(np.pad(gap, BRIDGE, mode="edge"), np.ones((BRIDGE, BRIDGE)))
    wide = wide[BRIDGE:-BRIDGE, BRIDGE:-BRIDGE]
    # Beside a wide gap, as along a coast, what is narrow is a part of it.
    narrow = gap & ~ndimage.binary_dilation(wide, np.ones((3, 3)), iterations=BRIDGE)
    if narrow.any():
        filled = fillnodata(np.where(gap, np.float32(0), values), mask=~gap, max_search_distance=2 * BRIDGE)
        values[narrow] = filled[narrow]
        text = "pixels without data filled from around"
        said[text] = said.get(text, 0) + int(np.count_nonzero(narrow))


# What is known of the Earth


@cache
def _world() -> tuple[NDArray[np.uint8], float, float]:
    with np.load(DATA / "altitude" / "world.npz") as file:
        return file["steps"], float(file["step"]), float(file["lowest"])


def expected(grid: Grid, shape: tuple[int, int]) -> Field:
    """Altitude by a coarse map of the Earth at the centres of cells that divide a tile, NaN at sea. [m]"""
    steps, step, lowest = _world()
    rows, cols = shape
    x, y = np.meshgrid(
        grid.west + (np.arange(cols) + 0.5) * grid.width / cols,
        grid.north - (np.arange(rows) + 0.5) * grid.height / rows,
    )
    lon, lat = transform(grid.crs, "EPSG:4326", x.ravel(), y.ravel())
    row = (90 - np.array(lat)) / 180 * steps.shape[0] - 0.5
    col = (np.array(lon) + 180) / 360 * steps.shape[1] - 0.5
    known = np.where(steps == np.iinfo(steps.dtype).max, np.nan, steps * np.float32(step) + np.float32(lowest))
    at = np.clip(np.round(row).astype(int), 0, steps.shape[0] - 1), np.round(col).astype(int) % steps.shape[1]
    return np.asarray(known[at].reshape(shape), np.float32)


def doubt(grid: Grid, coarse: Field, dem: Path) -> str | None:
    """What is odd about a tile's altitudes, by a coarse map of the Earth; None if nothing is.

    Parameters
    ----------
    coarse : (row, col) float32
        Altitudes of the tile, those of voids NaN. [m]

    Raises
    ------
    AncillaryError
        If they are those of the map in another unit.
    """
    known = expected(grid, coarse.shape)
    both = np.isfinite(known) & np.isfinite(coarse)
    if both.sum() < both.size / 2:
        return None
    model, map_ = float(coarse[both].mean(dtype=np.float64)), float(known[both].mean(dtype=np.float64))
    if map_ > SEA and not coarse[both].any():
        raise AncillaryError(dem, f"0 m everywhere, where the ground has some {map_:.0f} m")
    guess = ""
    for unit, factor in FACTORS.items() if map_ > LOW else ():
        if abs(model / map_ / factor - 1) < NEAR:
            guess = f": are these {unit}?"
            if min(grid.width, grid.height) >= LARGE:
                raise AncillaryError(
                    dem, f"a mean altitude of {model:.0f} m, where the ground has some {map_:.0f} m{guess}"
                )
    room = 150 + 0.3 * abs(map_) + float(np.ptp(known[both])) + _relief(grid)
    if abs(model - map_) > room:
        return f"its mean altitude is {model:.0f} m, a coarse map of the Earth has {map_:.0f} m there{guess}"
    return None


def _relief(grid: Grid) -> float:
    """Highest less lowest altitude of the map's cells in and around a tile. [m]"""
    around = Grid(grid.crs, grid.west - 10_000, grid.north + 10_000, grid.width + 20_000, grid.height + 20_000)
    west, _, east, _ = transform_bounds(around.crs, "EPSG:4326", around.west, around.south, around.east, around.north)
    if west > east:  # over the antimeridian
        return 1000.0
    known = expected(around, (16, 16))
    return float(np.nanmax(known) - np.nanmin(known)) if np.isfinite(known).any() else 0.0
