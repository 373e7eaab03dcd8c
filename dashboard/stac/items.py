"""A product as a STAC item: what the store, its metadata and its manifest tell of it."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import shapely
from shapely.affinity import translate
from shapely.geometry import Polygon, box, mapping

import processing
from dashboard.stac import times
from dashboard.stac.vocabulary import ALL, CURRENT, GEOJSON, JSON, grid_code, platform
from processing import tiling
from processing.bands import BANDS, DISTRIBUTED, Band
from processing.distribution.holdings import File, Holdings, Raster, describe
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
_L1C_NAME = re.compile(r"S2[A-D]_MSIL1C_\d{8}T\d{6}_N\d{4}_R\d{3}_T\w{5}_\d{8}T\d{6}")
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_TYPES = {".tif": _COG, ".xml": "application/xml", ".json": JSON, ".jpg": "image/jpeg"}
#: Names that need no percents in an address.
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
#: Common names of the bands in STAC.
_COMMON = {
    **{"B2": "blue", "B3": "green", "B4": "red", "B5": "rededge071", "B6": "rededge075", "B7": "rededge078"},
    **{"B8": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22"},
}
#: Title and role of each kind of file.
_KINDS = {
    "SRE": ("Surface reflectance, without slope correction", "reflectance"),
    "FRE": ("Surface reflectance, slopes corrected", "reflectance"),
    "ATB": ("Water vapour and aerosol optical thickness", "data"),
    "UNC": ("Standard deviations of AOT and reflectance", "data"),
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
#: What tells items apart, given whatever `fields` names.
_NAMED = ("type", "id", "collection", "properties.datetime")
#: What is given where `fields` includes nothing: members that make an object an item.
DEFAULT = (
    *("type", "stac_version", "stac_extensions", "id", "collection", "links", "geometry", "bbox", "assets"),
    "properties.datetime",
)


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
    product, around = found.product, around or Around()
    kept = Holdings.of_json(around.holdings) if around.holdings else None
    inside = kept or contents(root, product.manifest_sha)
    # As long as the store doesn't have it, the product is searched by its tile, and so said to lie there.
    geometry, bounds = place(kept.footprint) if kept and kept.footprint else footprint(product.tile)
    own = CURRENT if found.shown_by_default else ALL
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": product.identifier,
        "collection": collection or own,
        "geometry": geometry,
        "bbox": list(bounds),
        "properties": {**_properties(found, around), **inside.properties, **_some_properties(found, around)},
        "assets": _assets(base, product, inside),
        "links": _links(base, product, collection or own, own, around),
    }


def place(geometry: dict[str, Any]) -> tuple[dict[str, Any], tuple[float, float, float, float]]:
    """A geometry that is kept and its bbox; one that is cut at 180 degrees has a bbox whose west is above its east."""
    found = shapely.geometry.shape(geometry)
    west, south, east, north = found.bounds
    if west <= -179.999 and east >= 179.999:
        parts = [part.bounds for part in found.geoms]
        west = min(bounds[0] for bounds in parts if bounds[0] > 0)
        east = max(bounds[2] for bounds in parts if bounds[0] <= 0)
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
def contents(root: Path, manifest_sha: str) -> Holdings:
    """Read once for each product: what was published doesn't change, and what replaces it has another digest."""
    return describe(root)


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
        "instruments": ["msi"],
        "gsd": 10,
        "grid:code": grid_code(product.tile),
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
    }


def _some_properties(found: Found, around: Around) -> dict[str, Any]:
    """What some products have."""
    product, quality = found.product, found.quality
    properties: dict[str, Any] = {name: round(value, 6) for name, value in around.figures.items()}
    if around.verdict:
        properties["muscate:verdict"] = around.verdict
    if not product.valid and around.withdrawn:
        properties["muscate:withdrawn_reason"] = around.withdrawn
    if "flat_reflectance" in product.origin:
        properties["muscate:flat_reflectance"] = "equal to SRE: the ground is taken as flat, without a terrain model"
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
        properties |= {key: round(value, 4) for key, value in figures.items() if value is not None}
        properties["muscate:flags"] = sorted(flag for flag, raised in quality.flags.items() if raised is True)
    return properties


def _assets(base: str, product: Product, inside: Holdings) -> dict[str, Any]:
    """The product's files, and what the web makes of them."""
    here = f"{base}/products/{product.identifier}"
    code = tiling.grid(product.tile).crs
    files = dict(_asset(here, name, file, code) for name, file in inside.files.items())
    flat = "flat_reflectance" in product.origin
    if "manifest" in files:
        files["manifest"]["file:checksum"] = "1220" + product.manifest_sha
    return {
        **{key: _flat(asset) if flat and key.startswith("FRE_") else asset for key, asset in files.items()},
        "thumbnail": {
            "href": f"{here}/thumbnail?v={product.manifest_sha[:12]}",
            "type": "image/png",
            "title": "Natural colour",
            "roles": ["thumbnail"],
        },
        "package": {
            "href": f"{here}/zip",
            "type": "application/zip",
            "title": "The whole product",
            "roles": ["archive"],
        },
    }


def _asset(here: str, name: str, file: File, code: str) -> tuple[str, dict[str, Any]]:
    """Key and asset of a file."""
    key = asset_key(name)
    kind, _, rest = key.partition("_")
    title, role = _KINDS.get(kind) or (name.rpartition("/")[2], "metadata")
    band = BANDS.get(rest) if kind in ("SRE", "FRE") else None
    asset: dict[str, Any] = {
        "href": f"{here}/files/{name if _PLAIN.fullmatch(name) else quote(name)}",
        "type": _TYPES.get(name[name.rfind(".") :], "application/octet-stream"),
        "title": f"{title}{', ' + rest if rest and rest != 'ALL' else ''}",
        "roles": ["data", role] if band else [role],
        "file:size": file.size,
    }
    if file.sha256:
        asset["file:checksum"] = "1220" + file.sha256  # multihash: sha2-256, 32 bytes
    if file.raster:
        asset |= _grid(file.raster, code) | {"bands": _bands(key, band, file.raster)}
    return key, asset


def asset_key(name: str) -> str:
    """What tells a file from the others of its product: ``SRE_B4``."""
    stem = name.rpartition("/")[2].rpartition(".")[0] or name
    return stem.rpartition("_V")[2].partition("_")[2] or stem


def _grid(raster: Raster, code: str) -> dict[str, Any]:
    """A raster's own grid and type: the item's are those of 10 m, and a client takes them where an asset has none."""
    (rows, cols), (step, _, west, _, down, north) = raster.shape, raster.transform
    grid: dict[str, Any] = {
        "gsd": _whole(step),
        "proj:code": code,
        "proj:shape": [rows, cols],
        "proj:transform": list(raster.transform),
        "proj:bbox": [west, north + rows * down, west + cols * step, north],
        "raster:spatial_resolution": _whole(step),
        "raster:sampling": "area",
        "data_type": raster.data_type,
    }
    return grid if raster.nodata is None else {**grid, "nodata": _whole(raster.nodata)}


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def _bands(key: str, band: Band | None, raster: Raster) -> list[dict[str, Any]]:
    """What is said of each band of a raster."""
    names = [band.name] if band else ["WVC", "AOT"] if key.startswith("ATB") else [key]
    found = []
    for place, one in enumerate(raster.bands):
        name = names[place] if len(names) == len(raster.bands) else f"{key}_{place + 1}"
        about: dict[str, Any] = {"name": name}
        if one["description"]:
            about["description"] = one["description"]
        if one["unit"]:
            about["unit"] = one["unit"]
        if (one["scale"], one["offset"]) != (1, 0):
            about |= {"raster:scale": one["scale"], "raster:offset": _whole(one["offset"])}
        if band:
            about |= _waves(band)
        found.append(about)
    return found


def _waves(band: Band) -> dict[str, Any]:
    """What light a band sees."""
    common = {"eo:common_name": _COMMON[band.name]} if band.name in _COMMON else {}
    return {**common, "eo:center_wavelength": band.centre / 1000, "eo:full_width_half_max": band.width / 1000}


def item_assets() -> dict[str, Any]:
    """What the items of a collection have as assets, without what differs from one to the next."""
    found: dict[str, Any] = {}
    for kind in ("SRE", "FRE"):
        for name, band in BANDS.items():
            if name not in DISTRIBUTED:
                continue
            found[f"{kind}_{name}"] = {
                "type": _COG,
                "title": f"{_KINDS[kind][0]}, {name}",
                "roles": ["data", _KINDS[kind][1]],
                "gsd": 10 if band.resolution == 10 else 20,
                "data_type": "int16",
                "nodata": -10000,
                "bands": [{"name": name, "raster:scale": 0.0001, "raster:offset": 0, **_waves(band)}],
            }
    for kind in ("ATB", "CLM", "MG2", "EDG", "SAT", "IAB", "DFP"):
        for group, step in (("R1", 10), ("R2", 20)):
            title, role = _KINDS[kind]
            asset: dict[str, Any] = {"type": _COG, "title": f"{title}, {group}", "roles": [role], "gsd": step}
            found[f"{kind}_{group}"] = {**asset, "data_type": "uint8"}
    found["ATB_R1"] |= {"nodata": 0, "bands": [{"name": "WVC"}, {"name": "AOT"}]}
    found["ATB_R2"] |= {"nodata": 0, "bands": [{"name": "WVC"}, {"name": "AOT"}]}
    return found | {
        "MTD_ALL": {"type": "application/xml", "title": "Metadata", "roles": ["metadata"]},
        "QKL_ALL": {"type": "image/jpeg", "title": "Quicklook", "roles": ["overview"]},
        "thumbnail": {"type": "image/png", "title": "Natural colour", "roles": ["thumbnail"]},
        "package": {"type": "application/zip", "title": "The whole product", "roles": ["archive"]},
    }


def _flat(asset: dict[str, Any]) -> dict[str, Any]:
    """The asset of a flat reflectance without a terrain model."""
    return {**asset, "description": "The ground is taken as flat, as there is no terrain model: equal to SRE."}


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
            {"rel": "derived_from", "href": f"{_L1C}/{package}", "type": GEOJSON, "title": package}
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


def only(whole: dict[str, Any], fields: Fields | None) -> dict[str, Any]:
    """The members that were asked for: those included, or all, without those excluded.

    A name within ``properties`` may go without that word. What is included and excluded is given.
    """
    if fields is None:
        return whole
    include, exclude = (frozenset(_known(name, whole) for name in names) for names in fields)
    kept: dict[str, Any] = {}
    if include:
        for name in (*_NAMED, *include):
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
