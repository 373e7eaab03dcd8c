"""Masks of clouds and shadows, from wherever they come, brought to one grid."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import CRSError, RasterioError
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject, transform_geom
from rasterio.windows import Window
from shapely import from_wkb, get_coordinates, make_valid
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, box, mapping, shape

from processing.errors import InputError, ProductError
from processing.masks import Cloud, Edge
from processing.product import Product
from processing.scene import Grid
from processing.validation import foreign
from processing.versions import VERSIONS

VECTORS = (".geojson", ".json", ".shp", ".gpkg")
KINDS = ("cloud", "shadow", "clear", "unobserved")
#: What a class of a raster or polygon becomes; two more that the mapping may not know.
_CODES = {kind: code for code, kind in enumerate(KINDS)}
_OUTSIDE, _UNKNOWN = 4, 5
#: Pixels of a raster that are read at once.
_STRIP = 2**22


@dataclass(frozen=True)
class Frame:
    """The pixels on which masks are compared: a grid at one resolution. [m]"""

    grid: Grid
    resolution: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grid.shape(self.resolution)

    @property
    def transform(self) -> Affine:
        """Column and row to the projection. [m]"""
        return Affine(*self.grid.transform(self.resolution))


@dataclass(frozen=True)
class Mask:
    """What one method says of one image.

    Attributes
    ----------
    method : str
        ``muscate V1_4``, ``s2cloudless``.
    cloud, observed : (row, col) bool
    shadow : (row, col) bool or None
        None where the method knows no shadows.
    buffer : float
        Width by which the method has already grown its clouds, and its shadows unless `shadow_buffer` says it. [m]
    version : str or None
        Of our own products.
    unknown : dict of str to int
        Classes the mapping does not name, with their pixels.
    unnamed_is_clear : bool
        Whether those were taken as clear; else they are unobserved.
    notes : tuple of str
        What was repaired or left out, in words.
    half_shade : (row, col) bool or None
        Of a truth: ground that is neither in shadow nor fully lit.
    shadow_buffer : float or None
        Width by which the shadows have been grown, if another one. [m]
    """

    method: str
    cloud: NDArray[np.bool_]
    shadow: NDArray[np.bool_] | None
    observed: NDArray[np.bool_]
    buffer: float = 0.0
    version: str | None = None
    unknown: dict[str, int] = field(default_factory=dict)
    unnamed_is_clear: bool = False
    notes: tuple[str, ...] = ()
    half_shade: NDArray[np.bool_] | None = None
    shadow_buffer: float | None = None


@dataclass(frozen=True)
class Classes:
    """What the classes of a mask file mean.

    Attributes
    ----------
    kinds : mapping of str to str
        Class, as text, to ``cloud``, ``shadow``, ``clear`` or ``unobserved``.
    attribute : str
        Property of the polygons that holds the class.
    buffer : float
        By which the mask was grown when it was made. [m]

    A class that is not named is left out of the comparison where ``clear`` names any, and is clear where it names
    none. It is counted in both cases.
    """

    kinds: Mapping[str, str]
    attribute: str = "class"
    buffer: float = 0.0

    @property
    def unnamed(self) -> int:
        """Code of a class that is not named."""
        return _UNKNOWN if "clear" in self.kinds.values() else _CODES["clear"]


def _scl(cloud: Iterable[int]) -> Classes:
    clouds = set(cloud)
    clear = {2, 4, 5, 6, 7, 8, 9, 10, 11} - clouds
    named = {"cloud": clouds, "shadow": {3}, "clear": clear, "unobserved": {0, 1}}
    return Classes({str(value): kind for kind, values in named.items() for value in values})


#: Known meanings by name. Sen2Cor's scene classification: 7 unclassified or cloud of low probability, 8 cloud of medium
#: probability, 9 of high probability, 10 thin cirrus.
SCHEMES = {
    "scl": _scl((8, 9, 10)),
    "scl-high": _scl((9,)),
    "scl-medium": _scl((8, 9)),
    "scl-low": _scl((7, 8, 9, 10)),
}


def classes(text: str) -> Classes:
    """The meaning of a mask file's classes.

    Parameters
    ----------
    text : str
        A name of `SCHEMES`; a TOML file with ``cloud``, ``shadow``, ``clear``, ``unobserved`` (lists of classes), and
        optionally ``attribute`` and ``buffer``; or the same in words, ``cloud=8,9,10 shadow=3 buffer=100``.

    Raises
    ------
    ValueError
        If it is none of these.
    InputError
        If the file can't be understood.
    """
    if text in SCHEMES:
        return SCHEMES[text]
    if text.endswith(".toml"):
        path = Path(text)
        try:
            given = tomllib.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(path, f"can't be read: {error}") from error
        try:
            return _classes(given)
        except ValueError as error:
            raise InputError(path, str(error)) from None
    words = [word.partition("=") for word in text.split()]
    if not words or not all(equals for _, equals, _ in words):
        raise ValueError(f"{text!r} is neither a TOML file, nor one of {', '.join(SCHEMES)}, nor words like cloud=8,9")
    return _classes(
        {name: values if name in ("attribute", "buffer") else values.split(",") for name, _, values in words}
    )


def _classes(given: Mapping[str, Any]) -> Classes:
    if strange := set(given) - {*KINDS, "attribute", "buffer"}:
        raise ValueError(f"{', '.join(sorted(strange))}: not one of {', '.join(KINDS)}, attribute, buffer")
    kinds: dict[str, str] = {}
    for kind in KINDS:
        values = given.get(kind, [])
        if not isinstance(values, list):
            raise ValueError(f"{kind} is no list of classes")
        for value in map(str, values):
            if value in kinds:
                raise ValueError(f"class {value} is both {kinds[value]} and {kind}")
            kinds[value] = kind
    if not {"cloud", "shadow"} & set(kinds.values()):
        raise ValueError("names neither a cloud nor a shadow class")
    try:
        buffer = float(given.get("buffer", 0.0))
    except (TypeError, ValueError):
        raise ValueError(f"buffer {given['buffer']!r} is no number") from None
    if not 0 <= buffer < float("inf"):
        raise ValueError(f"buffer {buffer} is no width")
    return Classes(kinds, str(given.get("attribute", "class")), buffer)


def of_product(product: Product, frame: Frame) -> Mask:
    """CLM of a MUSCATE product, ours or another centre's: every cloud, high and thin ones too, and every shadow.

    Raises
    ------
    ProductError
        If a mask can't be read.
    """
    group, resolution = ("R1", 10) if frame.resolution < 20 else ("R2", 20)
    bits, edge = product.mask("CLM", group), product.mask("EDG", group)
    if bits.shape != product.grid.shape(resolution):
        raise ProductError(product.path, f"its CLM is of {bits.shape}, its grid of {product.grid.shape(resolution)}")
    coded = np.full(bits.shape, _CODES["clear"], np.uint8)
    coded[bits & (Cloud.SHADOW | Cloud.SHADOW_OUTSIDE) != 0] = _CODES["shadow"]
    cloudy = bits & (Cloud.CLOUD | Cloud.THINNEST | Cloud.HIGH) != 0
    coded[cloudy] = _CODES["cloud"]
    coded[edge & Edge.NO_DATA != 0] = _CODES["unobserved"]
    onto = _warp(coded, product.grid.crs, Affine(*product.grid.transform(resolution)), frame, _OUTSIDE, product.path)
    own = product.authority.lower() == "muscate"
    has_shadow = "CLM.SHADOW" not in product.absent
    # a version says by how much it grows its masks; of another centre's products we don't know
    numbers = VERSIONS[product.version].parameters if own and product.version in VERSIONS else None
    buffers = numbers.buffers if numbers is not None else (0.0, 0.0)
    mask = _mask(
        f"{product.authority} {product.version}",
        onto,
        buffer=buffers[0],
        version=product.version if own else None,
        shadows=has_shadow,
    )
    return replace(mask, shadow_buffer=buffers[1])


def of_file(path: Path, meaning: Classes, frame: Frame, method: str) -> Mask:
    """A mask made by others, a raster or polygons, in any projection; brought to the frame by the nearest pixel.

    Raises
    ------
    InputError
        If the file can't be read, does not overlap the frame, or holds no class that the mapping knows.
    """
    vector = path.suffix.lower() in VECTORS
    notes: tuple[str, ...] = ()
    if vector:
        coded, unknown, notes = _polygons(path, meaning, frame)
    else:
        coded, unknown = _raster(path, meaning, frame)
    if not np.any(coded != _OUTSIDE):
        raise InputError(path, f"does not overlap the image ({frame.grid.crs}, {_extent(frame.grid)})")
    if not np.any(coded < _OUTSIDE):
        raise InputError(path, f"none of its classes ({', '.join(sorted(unknown))}) is in the mapping")
    mask = _mask(method, coded, buffer=meaning.buffer, shadows="shadow" in meaning.kinds.values())
    return replace(mask, unknown=unknown, unnamed_is_clear=meaning.unnamed != _UNKNOWN, notes=notes)


def _mask(
    method: str, coded: NDArray[np.uint8], *, buffer: float, version: str | None = None, shadows: bool = True
) -> Mask:
    return Mask(
        method=method,
        cloud=coded == _CODES["cloud"],
        shadow=coded == _CODES["shadow"] if shadows else None,
        observed=coded < _CODES["unobserved"],
        buffer=buffer,
        version=version,
    )


def _raster(path: Path, meaning: Classes, frame: Frame) -> tuple[NDArray[np.uint8], dict[str, int]]:
    try:
        with rasterio.open(path, driver=_driver(path)) as dataset:
            foreign.pixels(path, dataset.width, dataset.height)
            crs, transform = foreign.projection(path, dataset.crs), dataset.transform
            found, places = _places(path, dataset, meaning)
    except RasterioError as error:
        raise InputError(path, f"can't be read as a raster: {error}") from error
    names = [str(value) for value in found]
    lookup = np.array([_code(name, meaning) for name in names], np.uint8)
    onto = _warp(places, crs, transform, frame, -2, path)
    coded = np.full(frame.shape, _OUTSIDE, np.uint8)
    coded[onto == -1] = _CODES["unobserved"]
    coded[onto >= 0] = lookup[onto[onto >= 0]]
    counts = np.bincount(onto[onto >= 0], minlength=len(found))
    unknown = {
        name: int(count) for name, count in zip(names, counts, strict=True) if count and name not in meaning.kinds
    }
    return coded, unknown


def _driver(path: Path) -> str:
    """The one that a file's name and first bytes say: GDAL looks for no other."""
    return foreign.checked(path) if path.suffix.lower() in foreign.KINDS else foreign.raster(path)


def _places(path: Path, dataset: Any, meaning: Classes) -> tuple[list[int], NDArray[np.int16]]:
    """The values of a raster, and for each pixel the place of its own among them; -1 where it has none.

    Read a strip after the other: of a whole tile at 10 m no more is held than this answer.
    """
    places = np.empty(dataset.shape, np.int16)
    order: dict[int, int] = {}
    strip = max(1, _STRIP // dataset.width)
    for top in range(0, dataset.height, strip):
        window = Window(0, top, dataset.width, min(strip, dataset.height - top))
        values, valid = dataset.read(1, window=window), dataset.read_masks(1, window=window) != 0
        if values.dtype.kind not in "iuf":
            raise InputError(path, f"holds {values.dtype}: no classes")
        if values.dtype.kind == "f":
            if not np.array_equal(values[valid], np.rint(values[valid])):
                raise InputError(path, "holds numbers with fractions: no classes")
            values = np.where(valid, np.clip(values, -(2.0**53), 2.0**53), 0).astype(np.int64)
        here, index = _distinct(values)
        for value in here.tolist():
            order.setdefault(value, len(order))
        if len(order) > foreign.CLASSES:
            raise InputError(path, f"holds more than {foreign.CLASSES} values: no classes")
        # a value that is both declared no-data and named in the mapping is what the mapping says
        named = np.array([str(value) in meaning.kinds for value in here.tolist()], bool)
        rows = np.array([order[value] for value in here.tolist()], np.int16)[index]
        rows[~valid & ~named[index]] = -1
        places[top : top + rows.shape[0]] = rows
    return list(order), places


def _distinct(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The distinct values, and the place of each one among them; of small numbers without sorting."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        found, index = np.unique(values, return_inverse=True)
        return found, index.reshape(values.shape)
    found = np.flatnonzero(np.bincount(values.ravel()))
    places = np.zeros(int(found[-1]) + 1, np.int64)
    places[found] = np.arange(len(found))
    return found, places[values]


def _polygons(path: Path, meaning: Classes, frame: Frame) -> tuple[NDArray[np.uint8], dict[str, int], tuple[str, ...]]:
    """Polygons onto the frame; later ones lie over earlier ones. Between them it is clear. Also what was repaired."""
    shapes, given = _geojson(path) if foreign.checked(path) == "GeoJSON" else _vector(path)
    crs = foreign.projection(path, given)
    if len(shapes) > foreign.FEATURES:
        raise InputError(path, f"has {len(shapes)} features: more than {foreign.FEATURES}")
    image = box(frame.grid.west, frame.grid.south, frame.grid.east, frame.grid.north)
    try:
        polygons, places, crossed = _looked_at(path, shapes, meaning)
        there = [transform_geom(crs, frame.grid.crs, mapping(polygon)) for polygon, _ in polygons]
        outside = sum(not image.intersects(shape(geometry)) for geometry in there)
        drawn = [(geometry, place + 1) for geometry, (_, place) in zip(there, polygons, strict=True)]
        onto = rasterize(drawn, out_shape=frame.shape, transform=frame.transform, fill=0, dtype="int32")
    except (RasterioError, CRSError, ShapelyError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(path, f"its polygons can't be used: {error}") from error
    if not onto.any():
        return np.full(frame.shape, _OUTSIDE, np.uint8), {}, ()
    lookup = np.array([_CODES["clear"], *(_code(value, meaning) for value in places)], np.uint8)
    counts = np.bincount(onto.ravel(), minlength=len(lookup))
    unknown = {value: int(counts[i + 1]) for i, value in enumerate(places) if value not in meaning.kinds}
    counted = ((crossed, "crossed themselves: repaired"), (outside, "lie outside of the image: left out"))
    notes = tuple(f"{number} of {len(drawn)} polygons {words}" for number, words in counted if number)
    return lookup[onto], {value: count for value, count in unknown.items() if count}, notes


def _looked_at(
    path: Path, shapes: list[tuple[dict[str, Any], dict[str, Any]]], meaning: Classes
) -> tuple[list[tuple[Any, int]], list[str], int]:
    """Polygons, each with the place of its class; the classes; and how many polygons crossed themselves."""
    crossed = corners = 0
    places: dict[str, int] = {}
    polygons = []
    for geometry, properties in shapes:
        if meaning.attribute not in properties:
            raise InputError(path, f"a polygon has no {meaning.attribute!r}: {', '.join(properties) or 'nothing'}")
        place = places.setdefault(_text(properties[meaning.attribute]), len(places))
        polygon, repaired = _sound(geometry, path)
        crossed += repaired
        corners += len(get_coordinates(polygon))
        if len(places) > foreign.CLASSES or corners > foreign.CORNERS:
            raise InputError(path, f"has more than {foreign.CLASSES} classes or {foreign.CORNERS} corners")
        polygons.append((polygon, place))
    if not polygons:
        raise InputError(path, "holds no polygon")
    return polygons, list(places), crossed


def _sound(geometry: Any, path: Path) -> tuple[Any, bool]:
    """A polygon that does not cross itself, and whether it had to be made so."""
    found = shape(geometry)
    if found.geom_type not in ("Polygon", "MultiPolygon"):
        raise InputError(path, f"holds a {found.geom_type}: a mask needs polygons")
    if not found.convex_hull.area > 0:
        raise InputError(path, "holds an empty polygon")
    if found.is_valid:
        return found, False
    if len(get_coordinates(found)) > foreign.CROSSING:
        raise InputError(path, f"holds a polygon that crosses itself, of more than {foreign.CROSSING} corners")
    repaired = make_valid(found, method="structure", keep_collapsed=False)
    parts = [part for part in getattr(repaired, "geoms", [repaired]) if part.area > 0]
    return MultiPolygon([p for part in parts for p in getattr(part, "geoms", [part])]), True


def _geojson(path: Path) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], str]:
    try:
        document = json.loads(path.read_text())
        features = document["features"] if document["type"] == "FeatureCollection" else [document]
        shapes = [(f["geometry"], f.get("properties") or {}) for f in features if f["geometry"] is not None]
        # RFC 7946 knows longitude and latitude only; files that name another projection are common all the same
        crs = document.get("crs", {}).get("properties", {}).get("name", "EPSG:4326")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(path, f"is no GeoJSON of polygons: {error}") from error
    return shapes, crs


def _vector(path: Path) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], str]:
    import pyogrio  # it takes a while, and GeoJSON needs it not

    try:
        meta, _, geometries, fields = pyogrio.raw.read(path, max_features=foreign.FEATURES + 1)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise InputError(path, f"can't be read: {error}") from error
    if meta["crs"] is None:
        raise InputError(path, "has no projection")
    names = [str(name) for name in meta["fields"]]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*fields, strict=True)]
    return [
        (mapping(from_wkb(geometry)), row)
        for geometry, row in zip(geometries, rows, strict=True)
        if geometry is not None
    ], meta["crs"]


def _text(value: Any) -> str:
    """A class as the mapping writes it: 3 and 3.0 are the same."""
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


def _code(value: str, meaning: Classes) -> int:
    kind = meaning.kinds.get(value)
    return meaning.unnamed if kind is None else _CODES[kind]


def _warp(values: NDArray[Any], crs: Any, transform: Affine, frame: Frame, outside: int, path: Path) -> NDArray[Any]:
    """The nearest value for each pixel of the frame, `outside` where there is none."""
    onto = np.full(frame.shape, outside, values.dtype)
    try:
        reproject(
            values,
            onto,
            src_transform=transform,
            src_crs=crs,
            src_nodata=outside,
            dst_transform=frame.transform,
            dst_crs=frame.grid.crs,
            dst_nodata=outside,
            resampling=Resampling.nearest,
        )
    except (RasterioError, CRSError) as error:
        raise InputError(path, f"can't be brought to {frame.grid.crs}: {error}") from error
    return onto


def _extent(grid: Grid) -> str:
    return f"{grid.west:.0f}..{grid.east:.0f} E, {grid.south:.0f}..{grid.north:.0f} N"


_TILE = re.compile(r"(?<![A-Za-z0-9])T(\d{2}[A-Z]{3})(?![A-Za-z0-9])")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})-?(\d{2})-?(\d{2})(?!\d)")


def named(path: Path) -> tuple[str | None, str | None]:
    """Tile (``31TCJ``) and date (``20230815``) that a file's own name, else that of its folder, tells."""
    tile = date = None
    for name in (path.name, path.parent.name, path.parent.parent.name):
        if tile is None and (match := _TILE.search(name)):
            tile = match[1]
        if date is None and (match := _DATE.search(name)):
            date = "".join(match.groups())
    return tile, date
