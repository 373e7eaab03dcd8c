"""A product as a STAC item: what the store, its metadata and its manifest tell of it."""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from cachetools import LRUCache
from shapely.affinity import translate
from shapely.geometry import Polygon, box, mapping

import processing
from dashboard.stac import times
from dashboard.stac.assets import text as text_of_assets
from dashboard.stac.assets import written
from dashboard.stac.vocabulary import ALL, CURRENT, GEOJSON, JSON, grid_code, platform
from processing import tiling
from processing.distribution.holdings import FORM, describe
from processing.store import holdings
from processing.store.expressions import FIGURES, VALIDATIONS
from processing.store.models import Product
from processing.store.search import Found
from processing.store.surroundings import Around

EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in (
        *("eo/v2.0.0", "file/v2.1.0", "grid/v1.1.0", "processing/v1.2.0", "projection/v2.0.0", "raster/v2.0.0"),
        *("sat/v1.0.0", "timestamps/v1.1.0", "version/v1.2.0", "view/v1.0.0"),
    )
]
#: The Level-1C of Copernicus, by its name since 2016; older packages of several tiles are no items there.
_L1C = "https://stac.dataspace.copernicus.eu/v1/collections/sentinel-2-l1c/items"
_L1C_NAME = re.compile(r"S2[A-Z]_MSIL1C_\d{8}T\d{6}_N\d{4}_R\d{3}_T\w{5}_\d{8}T\d{6}")
#: Of all that is kept of products' folders as it is sent, and of each beside its assets. [bytes]
KEPT, OVERHEAD = 48 * 2**20, 3000
#: What tells items apart, given whatever `fields` names.
_NAMED = ("type", "id", "collection", "properties.datetime")
#: What is given where `fields` includes nothing: members that make an object an item.
DEFAULT = (
    *("type", "stac_version", "stac_extensions", "id", "collection", "links", "geometry", "bbox", "assets"),
    "properties.datetime",
)


class _Held(NamedTuple):
    """What is said of a product's folder in its item; `assets` is JSON."""

    assets: str
    properties: dict[str, Any]
    geometry: dict[str, Any]
    bounds: tuple[float, float, float, float]


_ready: LRUCache[Any, _Held] = LRUCache(KEPT, lambda held: len(held.assets) + OVERHEAD)
_lock = threading.Lock()


def item(base: str, root: Path, found: Found, collection: str | None, around: Around | None = None) -> dict[str, Any]:
    """A product as a STAC item.

    Parameters
    ----------
    base : str
        Address of the web, without a slash at the end.
    root : Path
        Folder of the product.
    found : Found
    collection : str, optional
        The one that was asked for.
    around : Around, optional
    """
    around = around or Around()
    held = _held(base, root, found.product, around)
    return {**_outline(base, found, held, collection, around), "assets": json.loads(held.assets)}


def text(
    base: str, root: Path, found: Found, collection: str | None, around: Around, fields: Fields | None = None
) -> str:
    """The same as JSON, and of it what was asked for: assets, which are nine tenths of it, are not made to be cut."""
    held = _held(base, root, found.product, around)
    outline = _outline(base, found, held, collection, around)
    if fields is None:
        return f'{written(outline)[:-1]},"assets":{held.assets}}}'
    if fields.of_assets():
        outline["assets"] = json.loads(held.assets)
    return written(only(outline, fields))


def _outline(base: str, found: Found, held: _Held, collection: str | None, around: Around) -> dict[str, Any]:
    """An item without its assets."""
    product, own = found.product, CURRENT if found.shown_by_default else ALL
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": product.identifier,
        "collection": collection or own,
        "geometry": held.geometry,
        "bbox": list(held.bounds),
        "properties": {**_properties(found, around), **held.properties, **_some_properties(found, around)},
        "links": _links(base, product, collection or own, own, around),
    }


def _held(base: str, root: Path, product: Product, around: Around) -> _Held:
    """What the store keeps of a product's folder, else what is read in it."""
    key = (base, product.identifier, product.manifest_sha, around.holdings and hash(around.holdings))
    with _lock:
        known = _ready.get(key)
    if known is not None:
        return known
    inside = holdings.unpacked(around.holdings) if around.holdings else {}
    there = inside.get("footprint")
    if inside.get("form") != FORM:  # as long as the store doesn't have it, it is searched by its tile, and said there
        inside, there = contents(root, product.manifest_sha), None
    made = _Held(
        text_of_assets(base, product, inside["files"]),
        inside["properties"],
        *(place(there) if there else footprint(product.tile)),
    )
    with _lock, suppress(ValueError):  # larger than all that is kept
        _ready[key] = made
    return made


def place(geometry: dict[str, Any]) -> tuple[dict[str, Any], tuple[float, float, float, float]]:
    """A geometry that is kept and its bbox; one that is cut at 180 degrees has a bbox whose west is above its east."""
    rings = geometry["coordinates"]
    parts = [rings] if geometry["type"] == "Polygon" else rings
    bounds = [(min(lon), min(lat), max(lon), max(lat)) for lon, lat in (zip(*part[0], strict=True) for part in parts)]
    west, south, east, north = (
        pick(one) for pick, one in zip((min, min, max, max), zip(*bounds, strict=True), strict=True)
    )
    if west <= -179.999 and east >= 179.999:
        west = min(one[0] for one in bounds if one[0] > 0)
        east = max(one[2] for one in bounds if one[0] <= 0)
    return geometry, (west, south, east, north)


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


@lru_cache(maxsize=4096)
def contents(root: Path, manifest_sha: str) -> dict[str, Any]:
    """Read once for each product: what was published doesn't change, and what replaces it has another digest."""
    return describe(root).json()


def _properties(found: Found, around: Around) -> dict[str, Any]:
    """What every product has."""
    product = found.product
    return {
        "title": f"{product.tile} {product.sensing:%Y-%m-%d} {product.version}"
        + (", simulated" if product.simulated else ""),
        "datetime": times.text(product.sensing),
        "created": times.text(product.published),
        "updated": times.text(around.changed or product.published),
        "published": times.text(product.published),
        "platform": platform(product.platform),
        "constellation": "sentinel-2",
        "mission": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "grid:code": grid_code(product.tile),
        "proj:code": tiling.grid(product.tile).crs,
        "processing:level": "L2",
        "processing:facility": "muscate",
        "processing:software": {"muscate": processing.__version__},
        "version": product.version,
        "deprecated": not found.shown_by_default,
        "muscate:simulated": product.simulated,
        "muscate:mode": product.mode,
        "muscate:revision": product.revision,
        "muscate:withdrawn": not product.valid,
        "muscate:l1c": product.l1c,
        "muscate:absent": product.absent,
    }


def _some_properties(found: Found, around: Around) -> dict[str, Any]:
    """What some products have."""
    product, quality = found.product, found.quality
    properties: dict[str, Any] = {name: round(value, VALIDATIONS) for name, value in around.figures.items()}
    if around.verdict:
        properties["muscate:verdict"] = around.verdict
    if not product.valid and around.withdrawn:
        properties["muscate:withdrawn_reason"] = around.withdrawn
    if "flat_reflectance" in product.origin:
        properties["muscate:flat_reflectance"] = "equal to SRE: the ground is taken as flat, without a terrain model"
    if around.baselines:  # ours is `version`
        properties["processing:version"] = max(around.baselines.values())
    if product.relative_orbit is not None:
        properties["sat:relative_orbit"] = product.relative_orbit
    if product.simulated:
        properties["description"] = "SIMULATED: made from a simulation, nothing of it was seen by a satellite."
    if quality is not None:
        figures = {
            "eo:cloud_cover": quality.cloud_percent,
            "eo:snow_cover": quality.snow_percent,
            "muscate:water_percent": quality.water_percent,
            "muscate:no_data_percent": quality.no_data_percent,
            "muscate:aot_mean": quality.aot_mean,
            "muscate:water_vapour_mean": quality.water_vapour_mean,
        }
        properties |= {key: round(value, FIGURES) for key, value in figures.items() if value is not None}
        properties["muscate:flags"] = sorted(flag for flag, raised in quality.flags.items() if raised is True)
    return properties


def _links(base: str, product: Product, collection: str, own: str, around: Around) -> list[dict[str, Any]]:
    """Of an item in a collection; `own` is the one where it is at home."""
    collections, name = f"{base}/stac/collections", product.identifier
    others = {
        "predecessor-version": around.before,
        "successor-version": around.after,
        "latest-version": around.latest,
        "derived_from": around.previous,
    }
    return [
        {"rel": "self", "href": f"{collections}/{collection}/items/{name}", "type": GEOJSON},
        {"rel": "canonical", "href": f"{collections}/{own}/items/{name}", "type": GEOJSON},
        {"rel": "parent", "href": f"{collections}/{collection}", "type": JSON},
        {"rel": "collection", "href": f"{collections}/{collection}", "type": JSON},
        {"rel": "root", "href": f"{base}/stac", "type": JSON},
        {"rel": "alternate", "href": f"{base}/products?product={name}", "type": "text/html"},
        *(
            {
                **{"rel": "derived_from", "href": f"{_L1C}/{package}", "type": GEOJSON, "title": package},
                **({"processing:version": around.baselines[package]} if package in around.baselines else {}),
            }
            for package in product.l1c
            if not product.simulated and _L1C_NAME.fullmatch(package)
        ),
        *(
            {"rel": rel, "href": f"{collections}/{ALL}/items/{other}", "type": GEOJSON, "title": other}
            for rel, other in others.items()
            if other
        ),
    ]


class Fields(NamedTuple):
    """Members of an item that are wanted, and those that aren't: ``assets``, ``properties.platform``."""

    include: frozenset[str]
    exclude: frozenset[str]

    def of_assets(self) -> bool:
        """Whether anything of the assets is wanted."""
        named = {name.partition(".")[0] for name in self.include}
        return "assets" in named or (not named and "assets" not in self.exclude)


def only(whole: dict[str, Any], fields: Fields | None) -> dict[str, Any]:
    """The members that were asked for: those included, or all, without those excluded.

    A name within ``properties`` may go without that word. What is included and excluded is given.
    """
    if fields is None:
        return whole
    include, exclude = (frozenset(_known(name, whole) for name in names) for names in fields)
    kept: dict[str, Any] = {}
    if include:
        # Who leaves something out as well does not want these few alone.
        for name in (*_NAMED, *include, *(["stac_version"] if exclude - include else [])):
            _put(kept, whole, name.split("."))
    else:
        kept = dict(whole)
    kept.setdefault("properties", {})
    for name in exclude - include:
        kept = _without(kept, name.split("."))
    for name in include:  # what is named more closely than what it lies in is given
        if any(name.startswith(f"{other}.") for other in exclude):
            _put(kept, whole, name.split("."))
    return kept


def _known(name: str, whole: dict[str, Any]) -> str:
    first = name.partition(".")[0]
    return name if first in whole or first in ("geometry", "assets") else f"properties.{name}"


def _put(kept: dict[str, Any], whole: Any, path: list[str]) -> None:
    """Add what lies at a path, if there is anything."""
    if not isinstance(whole, dict) or path[0] not in whole:
        return
    if len(path) == 1:
        kept[path[0]] = whole[path[0]]
    elif isinstance(whole[path[0]], dict):
        inner = kept.get(path[0])
        inner = dict(inner) if isinstance(inner, dict) else {}
        _put(inner, whole[path[0]], path[1:])
        kept[path[0]] = inner


def _without(kept: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """The same without what lies at a path."""
    if path[0] not in kept:
        return kept
    if len(path) == 1:
        return {key: value for key, value in kept.items() if key != path[0]}
    inner = kept[path[0]]
    return {**kept, path[0]: _without(inner, path[1:])} if isinstance(inner, dict) else kept
