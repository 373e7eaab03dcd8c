"""The files of a product as the assets of its item, as JSON text.

An item has some forty assets, and all that is said of one but its address, its size and its sum is said of the same
file of thousands of products. So their text is put together from parts that are kept, which takes a tenth of what it
takes to make objects of it and write those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from dashboard.stac.vocabulary import JSON
from processing import tiling
from processing.bands import BANDS, DISTRIBUTED, Band
from processing.store.models import Product

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
#: Names of files that are kept.
MOST_KEPT = 4096
_FLAT = "The ground is taken as flat, as there is no terrain model: equal to SRE."
#: Descriptions, scales, offsets and units of a raster's bands.
_Bands = tuple[tuple[str | None, float, float, str | None], ...]


def text(base: str, product: Product, files: Mapping[str, Any]) -> str:
    """The product's files, and what the web makes of them, as a JSON object.

    Parameters
    ----------
    base : str
        Address of the web, without a slash at the end.
    product : Product
    files : mapping of str to dict
        By their relative names, as `Holdings.json` has them.
    """
    here = f"{base}/products/{product.identifier}"
    address = written(here)[:-1]  # with its first quotation mark
    code = tiling.grid(product.tile).crs
    flat = "flat_reflectance" in product.origin
    found: dict[str, str] = {}
    for name, file in files.items():
        about = _about(name.replace(product.identifier, "*", 1), name)
        sha = product.manifest_sha if about.key == "manifest" else file["sha256"]
        there = name if about.plain else quote(name)
        found[about.key] = (
            f'{about.begin}{address}/files/{there}",{about.said},"file:size":{file["size"]}'
            + (f',"file:checksum":"1220{sha}"' if sha else "")  # multihash: sha2-256, 32 bytes
            + (_raster(about.key, file["raster"], code) if file["raster"] else "")
            + (f',"description":"{_FLAT}"' if flat and about.key.startswith("FRE_") else "")
            + "}"
        )
    web = (
        f'"thumbnail":{{"href":{address}/thumbnail?v={product.manifest_sha[:12]}",{_THUMBNAIL}}}',
        f'"package":{{"href":{address}/zip",{_PACKAGE}}}',
    )
    return "{" + ",".join((*found.values(), *web)) + "}"


def written(value: Any) -> str:
    """JSON as it is sent."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def asset_key(name: str) -> str:
    """What tells a file from the others of its product: ``SRE_B4``."""
    stem = name.rpartition("/")[2].rpartition(".")[0] or name
    return stem.rpartition("_V")[2].partition("_")[2] or stem


#: What is said of what the web makes of a product.
_THUMBNAIL_SAID = {"type": "image/png", "title": "Natural colour", "roles": ["thumbnail"]}
_PACKAGE_SAID = {"type": "application/zip", "title": "The whole product", "roles": ["archive"]}
_THUMBNAIL, _PACKAGE = written(_THUMBNAIL_SAID)[1:-1], written(_PACKAGE_SAID)[1:-1]


class _About(NamedTuple):
    """What is said of a file whatever its product: its key, how its member begins, type with title and roles, and
    whether its name needs no percents in an address.
    """

    key: str
    begin: str
    said: str
    plain: bool


_kept: dict[str, _About] = {}


def _about(ending: str, name: str) -> _About:
    """Of a file with this name, kept under its ending where that tells all: who is of no kind has its name as title."""
    found = _kept.get(ending)
    if found is None:
        found = _looked_at(name)
        if found.key.partition("_")[0] in _KINDS and len(_kept) < MOST_KEPT:
            _kept[ending] = found
    return found


def _looked_at(name: str) -> _About:
    key, last = asset_key(name), name.rpartition("/")[2]
    kind, _, rest = key.partition("_")
    title, role = _KINDS.get(kind) or (last, "metadata")
    said = {
        "type": _TYPES.get(name[name.rfind(".") :], "application/octet-stream"),
        "title": f"{title}{', ' + rest if rest and rest != 'ALL' else ''}",
        "roles": ["data", role] if _band(key) else [role],
    }
    return _About(key, f'{written(key)}:{{"href":', written(said)[1:-1], _PLAIN.fullmatch(name) is not None)


def _band(key: str) -> Band | None:
    kind, _, rest = key.partition("_")
    return BANDS.get(rest) if kind in ("SRE", "FRE") else None


def _raster(key: str, raster: Mapping[str, Any], code: str) -> str:
    """A raster's own grid and type: the item's are those of 10 m, and a client takes them where an asset has none."""
    bands = tuple((one["description"], one["scale"], one["offset"], one["unit"]) for one in raster["bands"])
    return _grid(tuple(raster["shape"]), tuple(raster["transform"]), code) + _pixels(
        key, raster["data_type"], raster["nodata"], bands
    )


@lru_cache(maxsize=8192)
def _grid(shape: tuple[int, int], transform: tuple[float, ...], code: str) -> str:
    (rows, cols), (step, _, west, _, down, north) = shape, transform
    said = {
        "gsd": _whole(step),
        "proj:code": code,
        "proj:shape": [rows, cols],
        "proj:transform": list(transform),
        "proj:bbox": [west, north + rows * down, west + cols * step, north],
        "raster:spatial_resolution": _whole(step),
        "raster:sampling": "area",
    }
    return "," + written(said)[1:-1]


@lru_cache(maxsize=4096)
def _pixels(key: str, data_type: str, nodata: float | None, bands: _Bands) -> str:
    without: dict[str, Any] = {} if nodata is None else {"nodata": _whole(nodata)}
    return "," + written({"data_type": data_type, **without, "bands": _bands(key, bands)})[1:-1]


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def _bands(key: str, bands: _Bands) -> list[dict[str, Any]]:
    """What is said of each band of a raster."""
    band = _band(key)
    names = [band.name] if band else ["WVC", "AOT"] if key.startswith("ATB") else [key]
    found = []
    for place, (description, scale, offset, unit) in enumerate(bands):
        about: dict[str, Any] = {"name": names[place] if len(names) == len(bands) else f"{key}_{place + 1}"}
        if description:
            about["description"] = description
        if unit:
            about["unit"] = unit
        if (scale, offset) != (1, 0):
            about |= {"raster:scale": scale, "raster:offset": _whole(offset)}
        found.append(about | (_waves(band) if band else {}))
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
        "thumbnail": _THUMBNAIL_SAID,
        "package": _PACKAGE_SAID,
    }
