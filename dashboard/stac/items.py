"""A product as a STAC item: what the store, its metadata and its manifest tell of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from lxml import etree
from shapely.affinity import translate
from shapely.geometry import Polygon, box, mapping

import processing
from dashboard import product_folder
from dashboard.stac import times
from dashboard.stac.vocabulary import ALL, CURRENT, GEOJSON, JSON, grid_code, platform
from processing import tiling
from processing.bands import BANDS, Band
from processing.store.models import Product, Quality
from processing.store.search import Found

EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in (
        *("eo/v2.0.0", "file/v2.1.0", "grid/v1.1.0", "processing/v1.2.0", "projection/v2.0.0", "sat/v1.0.0"),
        *("timestamps/v1.1.0", "version/v1.2.0", "view/v1.0.0"),
    )
]
#: The Level-1C of Copernicus, by its name since 2016; older packages of several tiles are no items there.
_L1C = "https://stac.dataspace.copernicus.eu/v1/collections/sentinel-2-l1c/items"
_L1C_NAME = re.compile(r"S2[A-D]_MSIL1C_\d{8}T\d{6}_N\d{4}_R\d{3}_T\w{5}_\d{8}T\d{6}")
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_TYPES = {".tif": _COG, ".xml": "application/xml", ".json": JSON, ".jpg": "image/jpeg"}
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
#: Members that make an object an item.
_ALWAYS = {"type", "stac_version", "id", "collection", "links", "geometry", "bbox", "properties", "assets"}


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
    found : Found
    collection : str, optional
        The one that was asked for.
    verdict : str
        The worst of its readers' that hold.
    changed : datetime, optional
        When it was withdrawn or reinstated.
    """
    product = found.product
    geometry, bounds = footprint(product.tile)
    inside = contents(root, product.manifest_sha)
    own = CURRENT if found.shown_by_default else ALL
    properties = {**_properties(found, changed), **inside.properties, **_some_properties(product, found.quality)}
    if verdict:
        properties["muscate:verdict"] = verdict
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": product.identifier,
        "collection": collection or own,
        "geometry": geometry,
        "bbox": list(bounds),
        "properties": properties,
        "assets": _assets(base, product, inside),
        "links": _links(base, product, collection or own, own),
    }


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
        sums = {name: entry["sha256"] for name, entry in product_folder.manifest(root).items()}
    except product_folder.UNREADABLE:
        sums = {}
    files = {name: (path.stat().st_size, sums.get(name)) for name, path in product_folder.files(root).items()}
    properties: dict[str, Any] = {}
    for path in root.glob("*_MTD_ALL.xml"):
        try:
            properties = _seen(path)
        except (OSError, etree.XMLSyntaxError, TypeError, ValueError):
            continue
    return Contents(files, properties)


def _seen(path: Path) -> dict[str, Any]:
    """Place and sun, as a product's metadata have them."""
    tree = etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True))
    sun = "Geometric_Informations/Mean_Value_List/Sun_Angles"
    zenith, azimuth = (float(tree.findtext(f"{sun}/{angle}_ANGLE")) for angle in ("ZENITH", "AZIMUTH"))
    group = "Geoposition_Informations//Group_Geopositioning[@group_id='R1']"
    west, north, step, rows, cols = (
        int(float(tree.findtext(f"{group}/{tag}"))) for tag in ("ULX", "ULY", "XDIM", "NROWS", "NCOLS")
    )
    return {
        "view:sun_elevation": round(90 - zenith, 4),
        "view:sun_azimuth": round(azimuth % 360, 4),
        "proj:shape": [rows, cols],
        "proj:transform": [step, 0, west, 0, -step, north],
        "proj:bbox": [west, north - rows * step, west + cols * step, north],
    }


def _properties(found: Found, changed: datetime | None) -> dict[str, Any]:
    """What every product has."""
    product = found.product
    return {
        "title": f"{product.tile} {product.sensing:%Y-%m-%d} {product.version}"
        + (", simulated" if product.simulated else ""),
        "datetime": times.text(product.sensing),
        "created": times.text(product.published),
        "updated": times.text(changed or product.published),
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


def _some_properties(product: Product, quality: Quality | None) -> dict[str, Any]:
    """What some products have."""
    properties: dict[str, Any] = {}
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
    return properties


def _assets(base: str, product: Product, inside: Contents) -> dict[str, Any]:
    """The product's files, and what the web makes of them."""
    here = f"{base}/products/{product.identifier}"
    files = dict(_asset(here, name, *about) for name, about in inside.files.items())
    flat = "flat_reflectance" in product.origin
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


def _asset(here: str, name: str, size: int, checksum: str | None) -> tuple[str, dict[str, Any]]:
    """Key and asset of a file."""
    path = Path(name)
    key = path.stem.rpartition("_V")[2].partition("_")[2] or path.stem
    kind, _, rest = key.partition("_")
    title, role = _KINDS.get(kind, (path.name, "metadata"))
    band = BANDS.get(rest) if kind in ("SRE", "FRE") else None
    asset: dict[str, Any] = {
        "href": f"{here}/files/{quote(name)}",
        "type": _TYPES.get(path.suffix, "application/octet-stream"),
        "title": f"{title}{', ' + rest if rest and rest != 'ALL' else ''}",
        "roles": ["data", role] if band else [role],
        "file:size": size,
    }
    if checksum:
        asset["file:checksum"] = "1220" + checksum  # multihash: sha2-256, 32 bytes
    if band:
        asset |= _reflectance(band)
    return key, asset


def _flat(asset: dict[str, Any]) -> dict[str, Any]:
    """The asset of a flat reflectance without a terrain model."""
    return {**asset, "description": "The ground is taken as flat, as there is no terrain model: equal to SRE."}


def _reflectance(band: Band) -> dict[str, Any]:
    """What the asset of a band has beside."""
    common = {"eo:common_name": _COMMON[band.name]} if band.name in _COMMON else {}
    waves = {"eo:center_wavelength": band.centre / 1000, "eo:full_width_half_max": band.width / 1000}
    return {
        "gsd": 10 if band.resolution == 10 else 20,
        "data_type": "int16",
        "nodata": -10000,
        "bands": [{"name": band.name, "raster:scale": 0.0001, **common, **waves}],
    }


def _links(base: str, product: Product, collection: str, own: str) -> list[dict[str, Any]]:
    """Of an item in a collection; `own` is the one where it is at home."""
    collections, name = f"{base}/stac/collections", product.identifier
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
    ]


class Fields(NamedTuple):
    """Members of an item that are wanted, and those that aren't: ``assets``, ``properties.platform``."""

    include: frozenset[str]
    exclude: frozenset[str]


def only(whole: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """The members that were asked for; those that make it an item always stay."""
    include, exclude = fields
    if not include and not exclude:
        return whole
    kept = {key: value for key, value in whole.items() if key in _ALWAYS or not include or key in include}
    for part in ("properties", "assets"):
        wanted = {name.partition(".")[2] for name in include if name.startswith(part + ".")}
        unwanted = {name.partition(".")[2] for name in exclude if name.startswith(part + ".")}
        if include and part not in include:
            kept[part] = {k: v for k, v in kept[part].items() if k in wanted or (part, k) == ("properties", "datetime")}
        kept[part] = {k: v for k, v in kept[part].items() if k not in unwanted}
    for name in exclude & {"assets", "geometry", "bbox", "links", "stac_extensions"}:
        kept.pop(name, None)
    return kept
