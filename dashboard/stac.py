"""The catalogue as a STAC API: the same search as the page's, for `pystac-client`, QGIS, STAC Browser and scripts.

STAC 1.1, STAC API 1.0 (core, collections, features, item search, sort, fields, query, filter in CQL2 JSON). An item is
a product; its geometry is that of its tile, by which areas are searched. The collection ``muscate-l2a`` has of each
date what users get by default: the newest revision in the tile's current version; ``muscate-l2a-all`` has every
version, and those that were withdrawn, marked as deprecated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from lxml import etree
from shapely import from_geojson
from shapely.affinity import translate
from shapely.errors import GEOSException
from shapely.geometry import Polygon, box, mapping

import processing
from processing import tiling
from processing.bands import BANDS, PLATFORMS
from processing.errors import SearchError
from processing.settings import Settings
from processing.store import search as catalogue
from processing.store import verdicts
from processing.store.search import Found, Search

if TYPE_CHECKING:
    from processing.store import Store

CURRENT, ALL = "muscate-l2a", "muscate-l2a-all"
TITLES = {
    CURRENT: "Sentinel-2 Level-2A, current version",
    ALL: "Sentinel-2 Level-2A, every version, withdrawn products included",
}
_EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in (
        *("eo/v2.0.0", "file/v2.1.0", "grid/v1.1.0", "processing/v1.2.0", "projection/v2.0.0", "sat/v1.0.0"),
        *("timestamps/v1.1.0", "version/v1.2.0", "view/v1.0.0"),
    )
]
_API = "https://api.stacspec.org/v1.0.0"
_OGC = "http://www.opengis.net/spec"
CONFORMS = [
    *(f"{_API}/{part}" for part in ("core", "collections", "ogcapi-features", "item-search")),
    *(f"{_API}/{kind}#{part}" for kind in ("item-search", "ogcapi-features") for part in ("sort", "fields", "query")),
    f"{_API}-rc.3/item-search#filter",
    f"{_API}-rc.3/ogcapi-features#filter",
    *(f"{_OGC}/ogcapi-features-1/1.0/conf/{part}" for part in ("core", "oas30", "geojson")),
    f"{_OGC}/ogcapi-features-3/1.0/conf/filter",
    *(f"{_OGC}/cql2/1.0/conf/{part}" for part in ("cql2-json", "basic-cql2")),
]
#: Most items of a page; more may be asked for, and are not given.
MOST = 250
GEOJSON = "application/geo+json"
#: The Level-1C of Copernicus, by its name since 2016; older packages of several tiles are no items there.
_L1C = "https://stac.dataspace.copernicus.eu/v1/collections/sentinel-2-l1c/items"
_L1C_NAME = re.compile(r"S2[A-D]_MSIL1C_\d{8}T\d{6}_N\d{4}_R\d{3}_T\w{5}_\d{8}T\d{6}")
_OPEN = {"Access-Control-Allow-Origin": "*"}
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_TYPES = {".tif": _COG, ".xml": "application/xml", ".json": "application/json", ".jpg": "image/jpeg"}
#: Common names of the bands in STAC.
_COMMON = {
    **{"B2": "blue", "B3": "green", "B4": "red", "B5": "rededge071", "B6": "rededge075", "B7": "rededge078"},
    **{"B8": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22"},
}
_KINDS = {
    "SRE": ("Surface reflectance, without slope correction", "reflectance"),
    "FRE": ("Surface reflectance, slopes corrected", "reflectance"),
    "ATB": ("Water vapour and aerosol optical thickness", "data"),
    "CLM": ("Clouds and shadows", "cloud"),
    "MG2": ("Water, snow, clouds, shadows of clouds and of relief", "data"),
    "EDG": ("Edge of the image", "data-mask"),
    "SAT": ("Saturated pixels", "saturation"),
    "IAB": ("Pixels whose water vapour or AOT was interpolated", "data-mask"),
    "DFP": ("Defective pixels", "data-mask"),
    "DTF": ("Detector footprints", "data"),
    "QKL": ("Quicklook", "overview"),
    "MTD": ("Metadata", "metadata"),
    "JPI": ("How it was made", "metadata"),
}

#: What a filter may name, in JSON schema.
QUERYABLES: dict[str, dict[str, Any]] = {
    "eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100, "title": "Cloud [% of observed pixels]"},
    "muscate:aot_mean": {"type": "number", "title": "Mean AOT at 550 nm [-]"},
    "platform": {"type": "string", "enum": [f"sentinel-{p[1:].lower()}" for p in PLATFORMS]},
    "sat:relative_orbit": {"type": "integer"},
    "grid:code": {"type": "string", "title": "Tile, MGRS-31TCJ"},
    "version": {"type": "string", "title": "Processing version, V1_4"},
    "muscate:site": {"type": "string", "title": "Code of a site"},
    "muscate:flag": {"type": "string", "enum": list(dict.fromkeys(catalogue.FLAGS.values()))},
    "muscate:simulated": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "published": {"type": "string", "format": "date-time"},
    "updated": {"type": "string", "format": "date-time", "title": "Published, withdrawn or reinstated since (>=, >)"},
}


# What is asked for


def moment(text: Any) -> datetime:
    """A time of RFC 3339; a date alone is its first moment.

    Raises
    ------
    SearchError
    """
    try:
        time = datetime.fromisoformat(str(text))
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SearchError(f"{text} is no time such as 2023-08-15T10:00:00Z") from None


def _interval(text: str) -> tuple[datetime | None, datetime | None]:
    """``2023-08-01T00:00:00Z/..``; a date alone is the whole day."""
    ends = text.split("/")
    if len(ends) > 2 or (len(ends) == 2 and all(end in ("", "..") for end in ends)):
        raise SearchError(f"{text} is no time and no interval of two")
    first, last = ends[0], ends[-1]
    start = None if first in ("", "..") else moment(first)
    end = None if last in ("", "..") else moment(last)
    if end is not None and len(last) == 10:
        end += timedelta(days=1, microseconds=-1)
    if start is not None and end is not None and start > end:
        raise SearchError(f"{text} ends before it begins")
    return start, end


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SearchError(f"{value} is no number")
    return value


def _narrow(search: Search, name: str, values: Iterable[Any]) -> Search:
    """Both what was asked before and any of the values."""
    before, wanted = getattr(search, name), tuple(dict.fromkeys(values))
    both = tuple(v for v in wanted if v in before) if before else wanted
    nothing = (-1,) if name == "orbits" else ("",)  # a value that no product has
    changed: dict[str, Any] = {name: both or nothing}
    return replace(search, **changed)


def _platform(value: Any) -> str:
    return str(value).upper().replace("SENTINEL-", "S")


_SETS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "platform": ("platforms", _platform),
    "sat:relative_orbit": ("orbits", lambda value: int(_number(value))),
    "grid:code": ("tiles", lambda value: str(value).removeprefix("MGRS-")),
    "version": ("versions", str),
    "muscate:site": ("sites", str),
    "id": ("identifiers", str),
}
_RANGES = {"eo:cloud_cover": "cloud", "muscate:aot_mean": "aot"}
_TIMES = {
    "datetime": ("first", "last"),
    "published": ("published_since", "published_before"),
    "updated": ("changed_since", ""),
}
_OPERATORS = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "in"}
_MICROSECOND = timedelta(microseconds=1)


def _compared(search: Search, operator: str, name: str, value: Any) -> Search:
    """One comparison of a filter added to a search."""
    if name in _SETS and operator in ("=", "in"):
        field, read = _SETS[name]
        if operator == "in" and not isinstance(value, list):
            raise SearchError(f"{name} in {value}: not a list")
        return _narrow(search, field, [read(v) for v in (value if operator == "in" else [value])])
    if name in _RANGES and operator in ("<", "<=", ">", ">=", "="):
        least, most = getattr(search, _RANGES[name])
        number = float(_number(value))
        if operator in (">", ">=", "="):
            lowest = math.nextafter(number, math.inf) if operator == ">" else number
            least = lowest if least is None else max(least, lowest)
        if operator in ("<", "<=", "="):
            highest = math.nextafter(number, -math.inf) if operator == "<" else number
            most = highest if most is None else min(most, highest)
        changed: dict[str, Any] = {_RANGES[name]: (least, most)}
        return replace(search, **changed)
    if name in _TIMES and operator in ("<", "<=", ">", ">=") and (_TIMES[name][1] or operator.startswith(">")):
        time = moment(value.get("timestamp", value.get("date")) if isinstance(value, dict) else value)
        first, last = _TIMES[name]
        if operator.startswith(">"):
            time += _MICROSECOND if operator == ">" else timedelta()
            before = getattr(search, first)
            changed = {first: time if before is None else max(time, before)}
        else:  # `last` is included, `published_before` is not
            time -= _MICROSECOND if (operator, last) == ("<", "last") else timedelta()
            time += _MICROSECOND if (operator, last) == ("<=", "published_before") else timedelta()
            before = getattr(search, last)
            changed = {last: time if before is None else min(time, before)}
        return replace(search, **changed)
    if name == "muscate:flag" and operator == "=":
        return replace(search, flags=(*search.flags, str(value)))
    if name == "muscate:simulated" and operator == "=" and isinstance(value, bool):
        return replace(search, simulated=value)
    raise SearchError(f"{name} {operator} {value}: no such filter; known are {', '.join(QUERYABLES)}")


def filtered(search: Search, expression: Any) -> Search:
    """A search with a filter of CQL2 JSON: comparisons, `in`, `between`, joined by `and`.

    Raises
    ------
    SearchError
        If it has anything else.
    """
    if not isinstance(expression, dict) or not isinstance(expression.get("args"), list):
        raise SearchError("a filter of CQL2 JSON has an op and args")
    operator, arguments = expression.get("op"), expression["args"]
    if operator == "and":
        for part in arguments:
            search = filtered(search, part)
        return search
    if not arguments or not isinstance(arguments[0], dict) or "property" not in arguments[0]:
        raise SearchError(f"{operator}: the first of its args is no property")
    name = str(arguments[0]["property"])
    if operator == "between" and len(arguments) == 3:
        return _compared(_compared(search, ">=", name, arguments[1]), "<=", name, arguments[2])
    if len(arguments) != 2:
        raise SearchError(f"{operator} has {len(arguments)} args")
    return _compared(search, str(operator), name, arguments[1])


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [part for part in value.split(",") if part] if isinstance(value, str) else [str(part) for part in value]


def _json(value: Any, name: str) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise SearchError(f"{name} is no JSON") from None


def _area(bbox: Any, intersects: Any) -> Any:
    if bbox and intersects:
        raise SearchError("give either bbox or intersects")
    if bbox:
        try:
            numbers = [float(n) for n in (bbox.split(",") if isinstance(bbox, str) else bbox)]
        except (TypeError, ValueError):
            raise SearchError("bbox has something that is no number") from None
        if len(numbers) not in (4, 6):
            raise SearchError(f"bbox has {len(numbers)} numbers instead of 4 or 6")
        return catalogue.rectangle(*numbers[:2], *numbers[len(numbers) // 2 :][:2])
    if intersects:
        try:
            area = from_geojson(json.dumps(_json(intersects, "intersects")))
        except (GEOSException, TypeError, ValueError) as fault:
            raise SearchError(f"intersects is no GeoJSON geometry: {fault}") from None
        if area.is_empty:
            raise SearchError("intersects is empty")
        return area if area.is_valid else area.buffer(0)
    return None


def _order(sortby: Any) -> str:
    if not sortby:
        return "-sensing"
    if isinstance(sortby, str):
        keys = [(part.lstrip("+-"), "-" if part.startswith("-") else "") for part in sortby.split(",")]
    else:
        try:
            keys = [(str(k["field"]), "-" if k.get("direction") == "desc" else "") for k in sortby]
        except (TypeError, KeyError, AttributeError):
            raise SearchError("sortby is a list of field and direction") from None
    names = {"datetime": "sensing", "published": "published", "updated": "published", "created": "published"}
    name = names.get(keys[0][0].removeprefix("properties."))
    if len(keys) > 1 or name is None:
        raise SearchError("sorted by one of datetime, published")
    return keys[0][1] + name


@dataclass(frozen=True)
class Asked:
    """A search as it came over HTTP."""

    search: Search
    limit: int
    after: str | None
    collection: str | None
    fields: tuple[frozenset[str], frozenset[str]]


def asked(body: Mapping[str, Any]) -> Asked:
    """What the parameters of an item search ask for: of GET as text, of POST as JSON.

    Raises
    ------
    SearchError
        If they can't be understood.
    """
    collections, ids = _list(body.get("collections")), _list(body.get("ids"))
    unknown = set(collections) - set(TITLES)
    # Who names a product wants that product, whatever its version.
    everything = ALL in collections or (not collections and bool(ids))
    search = Search(area=_area(body.get("bbox"), body.get("intersects")), identifiers=tuple(ids))
    if unknown and not set(collections) - unknown:
        search = replace(search, identifiers=("",))  # no product is of these collections
    if body.get("datetime"):
        first, last = _interval(str(body["datetime"]))
        search = replace(search, first=first, last=last)
    query = _json(body.get("query"), "query") or {}
    if not isinstance(query, dict) or not all(isinstance(tests, dict) for tests in query.values()):
        raise SearchError("query has for each property its operators")
    for name, tests in query.items():
        for operator, value in tests.items():
            search = _compared(search, _OPERATORS.get(operator, operator), name.removeprefix("properties."), value)
    if body.get("filter"):
        if body.get("filter-lang", "cql2-json") != "cql2-json":
            raise SearchError("filters are understood in cql2-json")
        search = filtered(search, _json(body["filter"], "filter"))
    if everything:
        search = replace(search, versions=search.versions or ("all",), withdrawn=True)
    try:
        limit = int(body.get("limit", 10))
    except (TypeError, ValueError):
        raise SearchError(f"limit {body['limit']} is no number") from None
    if limit < 1:
        raise SearchError(f"limit {limit} is less than 1")
    return Asked(
        replace(search, order=_order(body.get("sortby"))),
        min(limit, MOST),
        str(body["token"]) if body.get("token") else None,
        (ALL if ALL in collections else CURRENT) if collections else None,
        _fields(body.get("fields")),
    )


def _fields(fields: Any) -> tuple[frozenset[str], frozenset[str]]:
    """Members to be included and those to be left out."""
    if isinstance(fields, dict):
        return frozenset(map(str, fields.get("include") or ())), frozenset(map(str, fields.get("exclude") or ()))
    parts = _list(fields)
    return (
        frozenset(part.lstrip("+") for part in parts if not part.startswith("-")),
        frozenset(part[1:] for part in parts if part.startswith("-")),
    )


def address(search: Search) -> str:
    """The GET request of this API that finds the same as a search of the page; without the host."""
    parameters: dict[str, str] = {}
    if search.versions or search.withdrawn or search.replaced:
        parameters["collections"] = ALL
    else:
        parameters["collections"] = CURRENT
    if search.identifiers:
        parameters["ids"] = ",".join(search.identifiers)
    if search.area is not None:
        west, south, east, north = search.area.bounds
        rectangle = ",".join(f"{n:.6g}" for n in (west, south, east - 360 if east > 180 else east, north))
        if search.area.equals(box(*search.area.bounds)):
            parameters["bbox"] = rectangle
        else:
            parameters["intersects"] = json.dumps(mapping(search.area))
    if search.first or search.last:
        parameters["datetime"] = f"{_time(search.first) or '..'}/{_time(search.last) or '..'}"
    tests: list[dict[str, Any]] = []

    def test(operator: str, name: str, *values: Any) -> None:
        tests.append({"op": operator, "args": [{"property": name}, *values]})

    for name, (field, _) in _SETS.items():
        values = list(getattr(search, field))
        if field == "identifiers" or not values or values == ["all"]:
            continue
        if field == "tiles":
            values = [f"MGRS-{value}" for value in values]
        elif field == "platforms":
            values = [f"sentinel-{value[1:].lower()}" for value in values]
        if len(values) == 1:
            test("=", name, values[0])
        else:
            test("in", name, values)
    for name, field in _RANGES.items():
        least, most = getattr(search, field)
        if least is not None:
            test(">=", name, least)
        if most is not None:
            test("<=", name, most)
    if search.changed_since:
        test(">=", "updated", {"timestamp": _time(search.changed_since)})
    if search.published_since:
        test(">=", "published", {"timestamp": _time(search.published_since)})
    if search.published_before:
        test("<", "published", {"timestamp": _time(search.published_before)})
    for flag in search.flags:
        test("=", "muscate:flag", flag)
    if search.simulated is not None:
        test("=", "muscate:simulated", search.simulated)
    if tests:
        expression = tests[0] if len(tests) == 1 else {"op": "and", "args": tests}
        parameters |= {"filter-lang": "cql2-json", "filter": json.dumps(expression, separators=(",", ":"))}
    if search.order != "-sensing":
        parameters["sortby"] = search.order.replace("sensing", "datetime")
    return "/stac/search?" + urlencode(parameters, safe=',:/{}[]"', quote_via=quote)


# What is answered


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=20_000)
def footprint(tile: str) -> tuple[dict[str, Any], tuple[float, float, float, float]]:
    """GeoJSON geometry of a tile and its bbox; one across 180 degrees is cut there, its bbox has west above east."""
    polygon = Polygon(tiling.footprint(tile).round(6))
    west, south, east, north = polygon.bounds
    if west >= -180 and east <= 180:
        return mapping(polygon), polygon.bounds
    world = box(-180, -90, 180, 90)
    parts = [translate(polygon, xoff=turn).intersection(world) for turn in (-360, 0, 360)]
    rings = [mapping(part)["coordinates"] for part in parts if part.area > 0]
    bounds = (west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north)
    return {"type": "MultiPolygon", "coordinates": rings}, bounds


@dataclass(frozen=True)
class Contents:
    """What lies in a product's folder: size and sha256 (None where no manifest has it) of each file, and metadata."""

    files: dict[str, tuple[int, str | None]]
    properties: dict[str, Any]


@lru_cache(maxsize=4096)
def contents(root: Path, manifest_sha: str) -> Contents:
    """Read once for each product: what was published doesn't change, and what replaces it has another digest."""
    try:
        sums = {
            name: entry["sha256"] for name, entry in json.loads((root / "manifest.json").read_bytes())["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        sums = {}
    files = {
        path.relative_to(root).as_posix(): path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    properties: dict[str, Any] = {}
    for path in root.glob("*_MTD_ALL.xml"):
        try:
            tree = etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True))
            sun = "Geometric_Informations/Mean_Value_List/Sun_Angles"
            zenith, azimuth = (float(tree.findtext(f"{sun}/{angle}_ANGLE")) for angle in ("ZENITH", "AZIMUTH"))
            group = "Geoposition_Informations//Group_Geopositioning[@group_id='R1']"
            west, north, step, rows, cols = (
                int(float(tree.findtext(f"{group}/{tag}"))) for tag in ("ULX", "ULY", "XDIM", "NROWS", "NCOLS")
            )
        except (OSError, etree.XMLSyntaxError, TypeError, ValueError):
            continue
        properties = {
            "view:sun_elevation": round(90 - zenith, 4),
            "view:sun_azimuth": round(azimuth % 360, 4),
            "proj:shape": [rows, cols],
            "proj:transform": [step, 0, west, 0, -step, north],
            "proj:bbox": [west, north - rows * step, west + cols * step, north],
        }
    return Contents({name: (path.stat().st_size, sums.get(name)) for name, path in files.items()}, properties)


def _asset(base: str, product: str, name: str, size: int, checksum: str | None) -> tuple[str, dict[str, Any]]:
    """Key and asset of a file."""
    path = Path(name)
    key = path.stem.rpartition("_V")[2].partition("_")[2] or path.stem
    kind, _, rest = key.partition("_")
    title, role = _KINDS.get(kind, (path.name, "metadata"))
    band = BANDS.get(rest) if kind in ("SRE", "FRE") else None
    asset: dict[str, Any] = {
        "href": f"{base}/products/{product}/files/{quote(name)}",
        "type": _TYPES.get(path.suffix, "application/octet-stream"),
        "title": f"{title}{', ' + rest if rest and rest != 'ALL' else ''}",
        "roles": ["data", role] if band else [role],
        "file:size": size,
    }
    if checksum:
        asset["file:checksum"] = "1220" + checksum  # multihash: sha2-256, 32 bytes
    if band:
        asset["gsd"] = 10 if band.resolution == 10 else 20
        asset |= {"data_type": "int16", "nodata": -10000}
        common = {"eo:common_name": _COMMON[rest]} if rest in _COMMON else {}
        waves = {"eo:center_wavelength": band.centre / 1000, "eo:full_width_half_max": band.width / 1000}
        asset["bands"] = [{"name": rest, "raster:scale": 0.0001, **common, **waves}]
    return key, asset


def item(
    base: str, root: Path, found: Found, collection: str | None, verdict: str = "", changed: datetime | None = None
) -> dict[str, Any]:
    """A product as a STAC item.

    Parameters
    ----------
    base : str
        Address of the web, without a slash at the end.
    root : Path
        Folder of the product.
    collection : str, optional
        The one that was asked for.
    verdict : str
        The worst of its readers' that hold.
    changed : datetime, optional
        When it was withdrawn or reinstated.
    """
    product, quality = found.product, found.quality
    geometry, bounds = footprint(product.tile)
    inside = contents(root, product.manifest_sha)
    name = product.identifier
    own = CURRENT if found.shown_by_default else ALL
    collection = collection or own
    properties: dict[str, Any] = {
        "title": f"{product.tile} {product.sensing:%Y-%m-%d} {product.version}"
        + (", simulated" if product.simulated else ""),
        "datetime": _time(product.sensing),
        "created": _time(product.published),
        "updated": _time(changed or product.published),
        "published": _time(product.published),
        "platform": f"sentinel-{product.platform[1:].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "grid:code": f"MGRS-{product.tile}",
        "proj:code": tiling.grid(product.tile).crs,
        "processing:level": "L2",
        "processing:facility": "muscate",
        "processing:software": {"muscate": processing.__version__},
        "processing:version": product.version,
        "version": product.version,
        "deprecated": not found.shown_by_default,
        "muscate:simulated": product.simulated,
        "muscate:mode": product.mode,
        "muscate:revision": product.revision,
        "muscate:withdrawn": not product.valid,
        "muscate:l1c": product.l1c,
        "muscate:absent": product.absent,
        **inside.properties,
    }
    if product.relative_orbit is not None:
        properties["sat:relative_orbit"] = product.relative_orbit
    if product.simulated:
        properties["description"] = "SIMULATED: made from a simulation, nothing of it was seen by a satellite."
    if quality is not None:
        figures = {
            "eo:cloud_cover": quality.cloud_percent,
            "eo:snow_cover": quality.snow_percent,
            "muscate:no_data_percent": quality.no_data_percent,
            "muscate:aot_mean": quality.aot_mean,
            "muscate:water_vapour_mean": quality.water_vapour_mean,
        }
        properties |= {key: round(value, 4) for key, value in figures.items() if value is not None}
        properties["muscate:flags"] = sorted(flag for flag, raised in quality.flags.items() if raised is True)
    if verdict:
        properties["muscate:verdict"] = verdict
    assets = dict(_asset(base, name, file, *about) for file, about in inside.files.items())
    digest = product.manifest_sha[:12]
    assets["thumbnail"] = {
        "href": f"{base}/products/{name}/thumbnail?v={digest}",
        "type": "image/png",
        "title": "Natural colour",
        "roles": ["thumbnail"],
    }
    assets["package"] = {
        "href": f"{base}/products/{name}/zip",
        "type": "application/zip",
        "title": "The whole product",
        "roles": ["archive"],
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": _EXTENSIONS,
        "id": name,
        "collection": collection,
        "geometry": geometry,
        "bbox": list(bounds),
        "properties": properties,
        "assets": assets,
        "links": [
            {"rel": "self", "href": f"{base}/stac/collections/{collection}/items/{name}", "type": GEOJSON},
            {"rel": "canonical", "href": f"{base}/stac/collections/{own}/items/{name}", "type": GEOJSON},
            {"rel": "parent", "href": f"{base}/stac/collections/{collection}", "type": "application/json"},
            {"rel": "collection", "href": f"{base}/stac/collections/{collection}", "type": "application/json"},
            {"rel": "root", "href": f"{base}/stac", "type": "application/json"},
            {"rel": "alternate", "href": f"{base}/products?product={name}", "type": "text/html"},
            *(
                {"rel": "derived_from", "href": f"{_L1C}/{package}", "type": GEOJSON, "title": package}
                for package in product.l1c
                if not product.simulated and _L1C_NAME.fullmatch(package)
            ),
        ],
    }


def _only(whole: dict[str, Any], fields: tuple[frozenset[str], frozenset[str]]) -> dict[str, Any]:
    """The members that were asked for; those that make it an item always stay."""
    include, exclude = fields
    if not include and not exclude:
        return whole
    always = {"type", "stac_version", "id", "collection", "links", "geometry", "bbox", "properties", "assets"}
    kept = {key: value for key, value in whole.items() if key in always or not include or key in include}
    for part in ("properties", "assets"):
        wanted = {name.partition(".")[2] for name in include if name.startswith(part + ".")}
        unwanted = {name.partition(".")[2] for name in exclude if name.startswith(part + ".")}
        if include and part not in include:
            kept[part] = {k: v for k, v in kept[part].items() if k in wanted or (part, k) == ("properties", "datetime")}
        kept[part] = {k: v for k, v in kept[part].items() if k not in unwanted}
    for name in exclude & {"assets", "geometry", "bbox", "links", "stac_extensions"}:
        kept.pop(name, None)
    return kept


class _Json(JSONResponse):
    """JSON that scripts of other pages may read: STAC Browser runs in the reader's browser."""

    def __init__(self, content: Any, status_code: int = 200, media_type: str = "application/json") -> None:
        super().__init__(content, status_code, headers=_OPEN, media_type=media_type)


def router(settings: Settings, store: Store) -> APIRouter:
    """All routes of the STAC API."""
    routes = APIRouter(prefix="/stac")

    def base(request: Request) -> str:
        return str(request.base_url).rstrip("/")

    def links(request: Request, *more: dict[str, Any]) -> list[dict[str, Any]]:
        root = {"rel": "root", "href": f"{base(request)}/stac", "type": "application/json"}
        return [{"rel": "self", "href": str(request.url), "type": "application/json"}, root, *more]

    def collection(request: Request, name: str) -> dict[str, Any]:
        here = f"{base(request)}/stac/collections/{name}"
        with store.read() as session:
            boxes, first = catalogue.extent(session)
        return {
            "type": "Collection",
            "stac_version": "1.1.0",
            "id": name,
            "title": TITLES[name],
            "description": "Surface reflectance, aerosol, water vapour and masks of Sentinel-2 in MUSCATE's format, "
            "one item a tile and date. Simulated products are marked by muscate:simulated.",
            "license": "other",
            "keywords": ["Sentinel-2", "L2A", "surface reflectance", "MUSCATE", "MAJA"],
            "extent": {
                "spatial": {"bbox": [list(boxes)]},
                "temporal": {"interval": [[_time(first), None]]},
            },
            "summaries": {
                "platform": QUERYABLES["platform"]["enum"],
                "constellation": ["sentinel-2"],
                "instruments": ["msi"],
                "gsd": [10, 20],
            },
            "links": [
                {"rel": "self", "href": here, "type": "application/json"},
                {"rel": "root", "href": f"{base(request)}/stac", "type": "application/json"},
                {"rel": "parent", "href": f"{base(request)}/stac", "type": "application/json"},
                {"rel": "items", "href": f"{here}/items", "type": GEOJSON},
                {
                    "rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables",
                    "href": f"{here}/queryables",
                    "type": "application/schema+json",
                },
            ],
        }

    def items(request: Request, body: Mapping[str, Any], *, post: bool = False, of: str = "") -> Response:
        wanted = asked(body)
        with store.read() as session:
            page = catalogue.find(session, wanted.search, wanted.limit, wanted.after)
            judged = verdicts.verdicts_of(session, [f.product.identifier for f in page.found])
            verdict = {name: verdicts.worst(given) for name, given in judged.items()}
            changed = catalogue.changes(session, [f.product for f in page.found])
        make = partial(item, base(request))
        features = []
        for found in page.found:
            name = found.product.identifier
            own = wanted.collection if wanted.collection != CURRENT or found.shown_by_default else ALL
            whole = make(
                settings.archive / found.product.path, found, own, verdict.get(name, ""), changed.get(found.product.id)
            )
            features.append(_only(whole, wanted.fields))
        more: list[dict[str, Any]] = []
        if of:
            where = f"{base(request)}/stac/collections/{of}"
            more = [{"rel": rel, "href": where, "type": "application/json"} for rel in ("collection", "parent")]
        if page.after is not None:
            following: dict[str, Any] = {"rel": "next", "type": GEOJSON}
            if post:
                where = str(request.url)
                more.append(following | {"href": where, "method": "POST", "body": {**body, "token": page.after}})
            else:
                url = str(request.url.include_query_params(token=page.after))
                more.append(following | {"href": url, "method": "GET"})
        answer = {
            "type": "FeatureCollection",
            "features": features,
            "numberReturned": len(features),
            "links": links(request, *more),
        }
        return _Json(answer, media_type=GEOJSON)

    def guarded(answer: Callable[[], Response]) -> Response:
        try:
            return answer()
        except SearchError as fault:
            return _Json({"code": "BadRequest", "description": str(fault)}, 400)

    def missing(what: str) -> Response:
        return _Json({"code": "NotFound", "description": f"there is no {what}"}, 404)

    @routes.get("")
    @routes.get("/", include_in_schema=False)
    def landing(request: Request) -> Response:
        here = f"{base(request)}/stac"
        search = {"rel": "search", "href": f"{here}/search", "type": GEOJSON}
        return _Json(
            {
                "type": "Catalog",
                "stac_version": "1.1.0",
                "id": "muscate",
                "title": "muscate",
                "description": "Sentinel-2 Level-2A of this production centre.",
                "conformsTo": CONFORMS,
                "links": [
                    {"rel": "self", "href": here, "type": "application/json"},
                    {"rel": "root", "href": here, "type": "application/json"},
                    {"rel": "conformance", "href": f"{here}/conformance", "type": "application/json"},
                    {"rel": "data", "href": f"{here}/collections", "type": "application/json"},
                    search | {"method": "GET"},
                    search | {"method": "POST"},
                    {
                        "rel": "service-desc",
                        "href": f"{base(request)}/openapi.json",
                        "type": "application/vnd.oai.openapi+json;version=3.0",
                    },
                    {
                        "rel": "http://www.opengis.net/def/rel/ogc/1.0/queryables",
                        "href": f"{here}/queryables",
                        "type": "application/schema+json",
                    },
                    *(
                        {
                            "rel": "child",
                            "href": f"{here}/collections/{name}",
                            "type": "application/json",
                            "title": title,
                        }
                        for name, title in TITLES.items()
                    ),
                ],
            }
        )

    @routes.get("/conformance")
    def conformance() -> Response:
        return _Json({"conformsTo": CONFORMS})

    @routes.get("/collections")
    def collections(request: Request) -> Response:
        return _Json({"collections": [collection(request, name) for name in TITLES], "links": links(request)})

    @routes.get("/collections/{name}")
    def one_collection(request: Request, name: str) -> Response:
        return _Json(collection(request, name)) if name in TITLES else missing(f"collection {name}")

    @routes.get("/queryables")
    @routes.get("/collections/{name}/queryables")
    def queryables(request: Request, name: str = CURRENT) -> Response:
        if name not in TITLES:
            return missing(f"collection {name}")
        return _Json(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": str(request.url),
                "type": "object",
                "title": TITLES[name],
                "properties": QUERYABLES,
                "additionalProperties": False,
            },
            media_type="application/schema+json",
        )

    @routes.get("/collections/{name}/items")
    def all_items(request: Request, name: str) -> Response:
        if name not in TITLES:
            return missing(f"collection {name}")
        return guarded(lambda: items(request, {**request.query_params, "collections": [name]}, of=name))

    @routes.get("/collections/{name}/items/{product}")
    def one_item(request: Request, name: str, product: str) -> Response:
        if name not in TITLES:
            return missing(f"collection {name}")
        wanted = Search(identifiers=(product,), versions=("all",), withdrawn=True)
        with store.read() as session:
            found = catalogue.find(session, wanted, 1).found
            changed = catalogue.changes(session, [f.product for f in found])
            verdict = verdicts.worst(verdicts.verdicts_of(session, [product]).get(product, []))
        if not found or (name == CURRENT and not found[0].shown_by_default):
            return missing(f"product {product} in {name}")
        root = settings.archive / found[0].product.path
        return _Json(
            item(base(request), root, found[0], name, verdict, changed.get(found[0].product.id)), media_type=GEOJSON
        )

    @routes.get("/search")
    def get_search(request: Request) -> Response:
        return guarded(lambda: items(request, request.query_params))

    @routes.post("/search")
    def post_search(request: Request, body: dict[str, Any]) -> Response:
        return guarded(lambda: items(request, body, post=True))

    @routes.options("/search", include_in_schema=False)
    def options() -> Response:
        allowed = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "content-type"}
        return Response(status_code=204, headers=_OPEN | allowed)

    return routes
