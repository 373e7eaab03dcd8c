"""Products of one tile and version as one Zarr cube in time, which opens without a decoder of our own.

The root has what lies on the 10 m grid, the groups ``r20m``, ``r40m`` ... the coarser ones: bands of 20 m, and the
overviews that the products have. CF says what the values are, GeoZarr where they lie and which group is coarser. Dates
stand in the order in which they came: who wants them by time sorts by ``time``. So a date that is appended moves none
that is there, and an address in the cube means the same for ever.

A cube is written to a folder (`write`), or made of the products as it is asked for, key by key (`View`).

Formats: Zarr core specification, version 3, and its codec `sharding_indexed`; CF conventions 1.11, 3.5 (flags) and 5.6
(grid mappings); GeoZarr: the Zarr conventions `multiscales`, `proj` and `spatial`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntFlag
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import zarr
from numcodecs import Zstd
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window
from zarr.abc.store import Store as ZarrStore
from zarr.codecs import ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore

from processing.bands import BANDS, GROUPS
from processing.errors import ProductError
from processing.masks import Cloud, Edge, Geophysical, Interpolated
from processing.product import manifest, names, reader
from processing.scene import Grid

#: Side of what is read at once, and of what lies in one file. [pixels]
CHUNK, SHARD = 128, 2048
#: Dates whose times lie in one file.
TIMES = 4096
#: Level of zstd: more takes time and saves little.
LEVEL = 3
#: Reflectance that is taken: slopes corrected.
KIND = "FRE"
#: Conventions of Zarr that the root declares, by the names under which they are registered.
CONVENTIONS = {
    "multiscales": "d35379db-88df-4056-af3a-620245f8e347",
    "proj": "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "spatial": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
}
#: Where a level lies, as its entry in the layout says it too.
_ABSOLUTE = ("spatial:transform", "spatial:shape")
COORDINATES = ("time", "y", "x", "spatial_ref")
#: Of times.
UNITS = "milliseconds since 1970-01-01 00:00:00"


class Layer(NamedTuple):
    """A variable of the cube: where a product has it, and what is said of it.

    Attributes
    ----------
    name : str
    key : str
        Of the file, ``FRE_B2``.
    band : int
        In the file, from 1.
    resolution : int
        Of the file. [m]
    dtype : str
    about : mapping
        Attributes of CF.
    """

    name: str
    key: str
    band: int
    resolution: int
    dtype: str
    about: Mapping[str, Any]


def _flags(bits: type[IntFlag]) -> dict[str, Any]:
    return {
        "flag_masks": [int(bit) for bit in bits],
        "flag_meanings": " ".join((bit.name or "").lower() for bit in bits),
    }


def _of_bands(group: str) -> dict[str, Any]:
    """Flags of a mask that has a bit for each band of a group."""
    return {
        "flag_masks": [1 << place for place in range(len(GROUPS[group]))],
        "flag_meanings": " ".join(GROUPS[group]),
    }


def layers(group: str) -> list[Layer]:
    """What a product has on the grid of a group, ``R1`` or ``R2``."""
    resolution = {"R1": 10, "R2": 20}[group]
    found = []
    for name in GROUPS[group]:
        about = {
            "standard_name": "surface_bidirectional_reflectance",
            "long_name": f"Surface reflectance, {name}, slopes corrected",
            "units": "1",
            "scale_factor": 1e-4,
            "add_offset": 0.0,
            "_FillValue": -10000,
            "radiation_wavelength": BANDS[name].centre / 1000,
            "radiation_wavelength_units": "um",
        }
        found.append(Layer(name, f"{KIND}_{name}", 1, resolution, "int16", about))
    columns = (
        ("WVC", 1, "atmosphere_mass_content_of_water_vapor", "Water vapour", "g cm-2", 1 / 20),
        ("AOT", 2, "atmosphere_optical_thickness_due_to_ambient_aerosol_particles", "AOT at 550 nm", "1", 1 / 200),
    )
    for name, band, standard, words, units, scale in columns:
        about = {"standard_name": standard, "long_name": words, "units": units, "scale_factor": scale}
        found.append(
            Layer(name, f"ATB_{group}", band, resolution, "uint8", {**about, "add_offset": 0.0, "_FillValue": 0})
        )
    masks = {
        "CLM": ("Clouds and shadows", _flags(Cloud)),
        "MG2": ("Water, snow, clouds, shadows of clouds and of relief", _flags(Geophysical)),
        "EDG": ("Edge of the image", _flags(Edge)),
        "SAT": ("Saturated pixels", _of_bands(group)),
        "IAB": ("Water vapour or AOT that was interpolated", _flags(Interpolated)),
    }
    for name, (words, flags) in masks.items():
        about = {"standard_name": "quality_flag", "long_name": words, **flags}
        found.append(Layer(name, f"{name}_{group}", 1, resolution, "uint8", about))
    return found


@dataclass(frozen=True)
class Date:
    """One date of the cube.

    Attributes
    ----------
    product : str
        Identifier.
    sensing : datetime
    platform : str
    manifest_sha256 : str
        Of the product's manifest, which has the sums of its files.
    figures : mapping
        ``cloud_percent``, ``aot_mean`` and others; null where there is none.
    folder : Path or None
        None of one that is there no more: its pixels are no data.
    simulated : bool
    withdrawn : str or None
        Why it was taken back; None if it was not.
    """

    product: str
    sensing: datetime
    platform: str
    manifest_sha256: str
    figures: Mapping[str, Any]
    folder: Path | None
    simulated: bool = False
    withdrawn: str | None = None

    def said(self) -> dict[str, Any]:
        """What the cube's attributes say of it."""
        time = self.sensing.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        source = {"product": self.product, "time": time, "platform": self.platform, "simulated": self.simulated}
        gone = {} if self.withdrawn is None else {"withdrawn": self.withdrawn}
        return {**source, "manifest_sha256": self.manifest_sha256, "figures": dict(self.figures), **gone}


def of_folder(folder: Path) -> tuple[Date, str, str, Grid]:
    """A product's folder as a date, with its tile, version and grid.

    Raises
    ------
    ProductError
        If it is no product.
    """
    found = reader.read(folder)
    try:
        sha = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    except OSError as error:
        raise ProductError(folder, f"its manifest can't be read: {error.strerror or error}") from error
    figures = found.figures.as_dict()
    date = Date(found.identifier, found.sensing, found.platform, sha, figures, folder, found.simulated)
    return date, found.tile, found.version, found.grid


def of_dates(tile: str, version: str, dates: Sequence[Date]) -> Cube:
    """A cube of products that are known, on the grid of the first one that is there.

    Raises
    ------
    ProductError
        If none is there, or that one can't be read.
    """
    folders = [date.folder for date in dates if date.folder is not None]
    if not folders:
        raise ProductError(f"{tile}_{version}", "all of its products were withdrawn")
    path = names.found(folders[0], "CLM_R1")
    try:
        with rasterio.open(path) as dataset:
            bounds, crs, overviews = dataset.bounds, f"EPSG:{dataset.crs.to_epsg()}", len(dataset.overviews(1))
    except RasterioError as error:
        raise ProductError(folders[0], f"{path.name} can't be read: {error}") from error
    width, height = round(bounds.right - bounds.left), round(bounds.top - bounds.bottom)
    return Cube(tile, version, Grid(crs, bounds.left, bounds.top, width, height), overviews, dates)


@dataclass(frozen=True)
class Cube:
    """What a cube is of, without its pixels.

    Attributes
    ----------
    tile, version : str
    grid : Grid
    overviews : int
        Of the products' rasters of 10 m.
    dates : sequence of Date
        In their order in the cube.
    """

    tile: str
    version: str
    grid: Grid
    overviews: int
    dates: Sequence[Date]

    @property
    def levels(self) -> int:
        """How often the grid of 10 m is halved: once at least, as some bands are of 20 m."""
        return max(1, self.overviews)

    def resolution(self, level: int) -> int:
        """Size of the pixels. [m]"""
        return 10 << level

    def shape(self, level: int) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.grid.shape(10)
        for _ in range(level):
            rows, cols = (rows + 1) // 2, (cols + 1) // 2
        return rows, cols

    def side(self, level: int) -> int:
        """Rows and columns of a chunk."""
        return min(CHUNK, _multiple(max(self.shape(level)), 16))

    def group(self, level: int) -> str:
        """The path of a level in the cube; empty for the first, which is the root."""
        return f"r{self.resolution(level)}m" if level else ""

    def layers(self, level: int) -> list[Layer]:
        """What a level has: on coarser ones the bands of both groups, and the masks of 10 m."""
        fine = layers("R1")
        if not level:
            return fine
        coarse = layers("R2")
        if level == 1:  # as the product has it at 20 m
            return [*(one for one in fine if one.name in GROUPS["R1"] and self.overviews), *coarse]
        return [*fine, *(one for one in coarse if one.name in GROUPS["R2"])]

    def attributes(self) -> dict[str, Any]:
        """Of the root: what the cube is, and where each date is from."""
        layout: list[dict[str, Any]] = []
        for level in range(self.levels + 1):
            factor = [2.0, 2.0] if level else [1.0, 1.0]
            before = {"derived_from": self.group(level - 1) or "."} if level else {}
            transform = {"transform": {"scale": factor, "translation": [0.0, 0.0]}}
            where = {name: value for name, value in self.place(level).items() if name in _ABSOLUTE}
            layout.append({"asset": self.group(level) or ".", **before, **transform, **where})
        return {
            "Conventions": "CF-1.11",
            "zarr_conventions": [{"uuid": uuid, "name": name} for name, uuid in CONVENTIONS.items()],
            "title": f"Surface reflectance of tile {self.tile}, {self.version}",
            "source": "muscate, Sentinel-2",
            "simulated": any(date.simulated for date in self.dates),
            "tile": self.tile,
            "version": self.version,
            "order": "the dates stand in the order in which they came: sort by time where that matters",
            "multiscales": {"layout": layout, "resampling_method": "average"},
            "dates": [date.said() for date in self.dates],
            **self.place(0),
        }

    def place(self, level: int) -> dict[str, Any]:
        """Attributes of a level that say where it lies."""
        rows, cols = self.shape(level)
        step, west, north = self.resolution(level), self.grid.west, self.grid.north
        return {
            "proj:code": self.grid.crs,
            "spatial:transform": [step, 0.0, west, 0.0, -step, north],
            "spatial:shape": [rows, cols],
            "spatial:dimensions": ["y", "x"],
        }


def pixels(folder: Path, layer: Layer, level: int, cube: Cube, window: Window | None = None) -> NDArray[Any]:
    """Pixels of a product on a level of its cube, or a window of them; those that it has not are no data.

    Raises
    ------
    ProductError
        If the raster is missing, can't be read, or is of another size than the cube.
    """
    path = names.found(folder, layer.key)
    overview = level - (1 if layer.resolution == 20 else 0) - 1
    options = {} if overview < 0 else {"overview_level": overview}
    try:
        with rasterio.open(path, **options) as dataset:
            if dataset.shape != cube.shape(level):
                raise ProductError(folder, f"{path.name} has {dataset.shape} pixels, the cube {cube.shape(level)}")
            found: NDArray[Any] = dataset.read(layer.band, window=window)
            return found
    except RasterioError as error:
        raise ProductError(folder, f"{path.name} can't be read: {error}") from error


# The making of a cube's metadata and coordinates


@contextmanager
def _quiet() -> Iterator[None]:
    """Consolidated metadata are no part of Zarr 3 yet, which its library says each time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield


def describe(store: ZarrStore, cube: Cube, *, sharded: bool) -> None:
    """Write the cube's metadata and coordinates, those at the root last: until then the cube is what it was.

    What is there of the same shape is left as it is.
    """
    root = zarr.open_group(store, mode="a", zarr_format=3, use_consolidated=False)
    for level in range(cube.levels + 1):
        group = root.require_group(cube.group(level)) if level else root
        if level:
            group.update_attributes(cube.place(level))
        for layer in cube.layers(level):
            _variable(group, cube, level, layer, sharded=sharded)
        _coordinates(group, cube, level)
    # one file takes the place of one file: whoever opens the cube sees all of its dates, or those before
    with _quiet():
        whole = MemoryStore()
        asyncio.run(_consolidated(store, whole, cube))


async def _consolidated(store: ZarrStore, whole: MemoryStore, cube: Cube) -> None:
    """Put the root's attributes and the metadata of all its members in their place at once."""
    for key in _metadata(cube):
        content = await store.get(key, prototype=default_buffer_prototype())
        if content is not None:
            await whole.set(key, content)
    group = await zarr.api.asynchronous.open_group(whole, mode="a", use_consolidated=False)
    await group.update_attributes(cube.attributes())
    await zarr.api.asynchronous.consolidate_metadata(whole, zarr_format=3)
    content = await whole.get("zarr.json", prototype=default_buffer_prototype())
    assert content is not None
    await store.set("zarr.json", content)


def _metadata(cube: Cube) -> Iterator[str]:
    """Keys of the metadata of all members."""
    yield "zarr.json"
    for level in range(cube.levels + 1):
        base = f"{cube.group(level)}/".lstrip("/")
        if level:
            yield f"{base}zarr.json"
        for name in (*(layer.name for layer in cube.layers(level)), *COORDINATES):
            yield f"{base}{name}/zarr.json"


def _variable(group: zarr.Group, cube: Cube, level: int, layer: Layer, *, sharded: bool) -> None:
    """A variable of as many dates as the cube has."""
    rows, cols = cube.shape(level)
    shape = (len(cube.dates), rows, cols)
    if layer.name in group:
        array = group[layer.name]
        assert isinstance(array, zarr.Array)
        if array.shape != shape:
            array.resize(shape)
        return
    side = cube.side(level)
    shards = (1, *(min(SHARD, _multiple(n, side)) for n in (rows, cols))) if sharded else None
    group.create_array(
        layer.name,
        shape=shape,
        chunks=(1, side, side),
        shards=shards,
        dtype=layer.dtype,
        fill_value=layer.about.get("_FillValue", 0),
        compressors=[ZstdCodec(level=LEVEL)],
        dimension_names=("time", "y", "x"),
        attributes={**layer.about, "grid_mapping": "spatial_ref"},
    )


def _multiple(number: int, of: int) -> int:
    return -(-number // of) * of


def _coordinates(group: zarr.Group, cube: Cube, level: int) -> None:
    rows, cols = cube.shape(level)
    step = cube.resolution(level)
    times = np.array([round(date.sensing.timestamp() * 1000) for date in cube.dates], np.int64)
    if "time" in group:
        array = group["time"]
        assert isinstance(array, zarr.Array)
        if array.shape != times.shape:
            array.resize(times.shape)
        array[:] = times
        return
    about = {"standard_name": "time", "units": UNITS, "calendar": "proleptic_gregorian", "axis": "T"}
    _put(group, "time", times, ("time",), about, chunk=TIMES)
    for name, places, first in (
        ("y", cube.grid.north - step * (np.arange(rows) + 0.5), "projection_y_coordinate"),
        ("x", cube.grid.west + step * (np.arange(cols) + 0.5), "projection_x_coordinate"),
    ):
        _put(group, name, places, (name,), {"standard_name": first, "units": "m", "axis": name.upper()})
    crs = CRS(cube.grid.crs)
    about = {**crs.to_cf(), "GeoTransform": f"{cube.grid.west} {step} 0 {cube.grid.north} 0 {-step}"}
    _put(group, "spatial_ref", np.zeros((), np.int64), (), about)


def _put(
    group: zarr.Group, name: str, values: NDArray[Any], dims: tuple[str, ...], about: dict[str, Any], chunk: int = 0
) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=(chunk,) if chunk else values.shape,
        dtype=values.dtype,
        fill_value=0,
        compressors=[ZstdCodec(level=LEVEL)] if values.ndim else None,
        dimension_names=dims,
        attributes=about,
    )
    array[...] = values


# A cube in a folder


def write(out: Path, folders: Sequence[Path]) -> tuple[int, int]:
    """Write products of one tile and version to a cube, or append those that it lacks.

    Pixels are written before the metadata know of them: whoever reads meanwhile sees the cube as it was, and one that
    is cut off leaves it so. A date that is there with the same manifest is left alone; one of another revision is
    written anew.

    Returns
    -------
    (int, int)
        Dates that were written, and that the cube has.

    Raises
    ------
    ProductError
        If one is no product, is damaged, or does not fit the cube or the others; nothing is added.
    """
    read = sorted((of_folder(folder) for folder in folders), key=lambda one: one[0].sensing)
    _, tile, version, grid = read[0]
    for date, *rest in read:
        if rest != [tile, version, grid]:
            raise ProductError(date.product, f"is of {rest[0]} {rest[1]} on another grid than {tile} {version}")
    there = _there(out, tile, version, grid)
    dates, fresh = _joined(there, [date for date, *_ in read])
    cube = replace(of_dates(tile, version, [read[0][0]]), grid=grid, dates=dates)
    for place in fresh:
        _check(cube, dates[place])
    out.mkdir(parents=True, exist_ok=True)
    store = LocalStore(out)
    if there is None:
        describe(store, replace(cube, dates=[]), sharded=True)
    for place in fresh:
        _write_date(store, cube, place)
    describe(store, cube, sharded=True)
    return len(fresh), len(dates)


def _there(out: Path, tile: str, version: str, grid: Grid) -> list[Date] | None:
    """The dates of the cube that is there; None where there is none."""
    if not out.exists():
        return None
    try:
        said = json.loads((out / "zarr.json").read_text())["attributes"]
        origin = said["spatial:transform"]
        if (said["tile"], said["version"]) != (tile, version):
            raise ProductError(out, f"is a cube of {said['tile']} {said['version']}, not of {tile} {version}")
        same = (origin[2], origin[5]) == (grid.west, grid.north) and said["spatial:shape"] == list(grid.shape(10))
        if not same or said["proj:code"] != grid.crs:
            raise ProductError(out, "is a cube on another grid")
        return [
            Date(
                one["product"],
                datetime.fromisoformat(one["time"]),
                one["platform"],
                one["manifest_sha256"],
                one["figures"],
                None,
                one["simulated"],
            )
            for one in said["dates"]
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, ProductError):
            raise
        raise ProductError(out, f"is there, and is no cube of this program ({error})") from error


def _joined(there: list[Date] | None, given: Sequence[Date]) -> tuple[list[Date], list[int]]:
    """The dates that the cube will have, and the places of those that have to be written."""
    dates, fresh = list(there or ()), []
    for date in given:
        same = [n for n, old in enumerate(dates) if (old.sensing, old.platform) == (date.sensing, date.platform)]
        if not same:
            fresh.append(len(dates))
            dates.append(date)
        elif dates[same[0]].manifest_sha256 != date.manifest_sha256:
            fresh.append(same[0])
            dates[same[0]] = date
    return dates, fresh


def _check(cube: Cube, date: Date) -> None:
    """Refuse a product whose files are not what its manifest says, before anything is written."""
    assert date.folder is not None
    if damage := manifest.damage(date.folder):
        raise ProductError(date.folder, damage[0])
    for level in range(cube.levels + 1):
        for layer in cube.layers(level):
            pixels(date.folder, layer, level, cube, Window(0, 0, 1, 1))


def _write_date(store: LocalStore, cube: Cube, place: int) -> None:
    """The pixels of one date, which the metadata need not know of yet."""
    date = cube.dates[place]
    assert date.folder is not None
    root = zarr.open_group(store, mode="r+", zarr_format=3, use_consolidated=False)
    for level in range(cube.levels + 1):
        group = root[cube.group(level)] if level else root
        assert isinstance(group, zarr.Group)
        for layer in cube.layers(level):
            array = group[layer.name]
            assert isinstance(array, zarr.Array)
            if array.shape[0] <= place:
                array.resize((place + 1, *array.shape[1:]))
            array[place] = pixels(date.folder, layer, level, cube)


# A cube that is made as it is asked for


async def _content(store: MemoryStore) -> dict[str, bytes]:
    """All that a store has."""
    found = {}
    async for key in store.list():
        content = await store.get(key, prototype=default_buffer_prototype())
        if content is not None:
            found[key] = content.to_bytes()
    return found


class View:
    """A cube by its keys: metadata that are made once, and chunks that are cut out of the products.

    Parameters
    ----------
    cube : Cube
    """

    def __init__(self, cube: Cube) -> None:
        self.cube = cube
        made = MemoryStore()
        describe(made, cube, sharded=False)
        self._kept = asyncio.run(_content(made))
        self._layers = {
            (f"{cube.group(level)}/{layer.name}".lstrip("/")): (level, layer)
            for level in range(cube.levels + 1)
            for layer in cube.layers(level)
        }

    def _place(self, key: str) -> tuple[int, int, int, int, Layer] | None:
        """Date, row and column of a chunk, and its level and layer; None of anything else."""
        path, _, place = key.partition("/c/")
        numbers = place.split("/")
        if path not in self._layers or len(numbers) != 3 or not all(n.isdecimal() and len(n) < 7 for n in numbers):
            return None
        date, row, col = (int(n) for n in numbers)
        return (date, row, col, *self._layers[path]) if date < len(self.cube.dates) else None

    def date(self, key: str) -> Date | None:
        """The date whose pixels a key has; None of anything else."""
        found = self._place(key)
        return None if found is None else self.cube.dates[found[0]]

    def get(self, key: str) -> bytes | None:
        """What lies under a key; None where nothing does, or where there is no data.

        Raises
        ------
        ProductError
            If the product of a chunk can't be read.
        """
        if key in self._kept:
            return self._kept[key]
        found = self._place(key)
        return None if found is None else self._chunk(*found)

    def _chunk(self, date: int, row: int, col: int, level: int, layer: Layer) -> bytes | None:
        (rows, cols), side = self.cube.shape(level), self.cube.side(level)
        if row * side >= rows or col * side >= cols:
            return None
        folder = self.cube.dates[date].folder
        if folder is None:
            return None
        window = Window(col * side, row * side, min(side, cols - col * side), min(side, rows - row * side))
        seen = pixels(folder, layer, level, self.cube, window)
        fill = layer.about.get("_FillValue", 0)
        whole = np.full((side, side), fill, seen.dtype)
        whole[: seen.shape[0], : seen.shape[1]] = seen
        if (whole == fill).all():
            return None
        return bytes(Zstd(level=LEVEL).encode(whole.astype(whole.dtype.newbyteorder("<"))))
