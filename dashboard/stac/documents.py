"""What is around the items: the landing page, collections, queryables, links."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dashboard.stac import times
from dashboard.stac.assets import item_assets
from dashboard.stac.items import EXTENSIONS
from dashboard.stac.vocabulary import CONFORMS, GEOJSON, JSON, QUERYABLES, QUERYABLES_REL, SCHEMA, TITLES, platforms


def links(base: str, here: str, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Of an answer with the address `here`; `base` is the web's, without a slash at the end."""
    root = {"rel": "root", "href": f"{base}/stac", "type": JSON}
    return [{"rel": "self", "href": here, "type": JSON}, root, *more]


def landing(base: str) -> dict[str, Any]:
    """Where the API begins: what it can do, and where."""
    here = f"{base}/stac"
    search = {"rel": "search", "href": f"{here}/search", "type": GEOJSON}
    openapi = "application/vnd.oai.openapi+json;version=3.0"
    return {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": "muscate",
        "title": "muscate",
        "description": "Sentinel-2 Level-2A of this production centre.",
        "conformsTo": CONFORMS,
        "links": [
            *links(base, here),
            {"rel": "conformance", "href": f"{here}/conformance", "type": JSON},
            {"rel": "data", "href": f"{here}/collections", "type": JSON},
            search | {"method": "GET"},
            search | {"method": "POST"},
            {"rel": "service-desc", "href": f"{base}/openapi.json", "type": openapi},
            {"rel": QUERYABLES_REL, "href": f"{here}/queryables", "type": SCHEMA},
            *(
                {"rel": "child", "href": f"{here}/collections/{name}", "type": JSON, "title": title}
                for name, title in TITLES.items()
            ),
        ],
    }


def collection(
    base: str,
    name: str,
    bounds: tuple[float, float, float, float],
    times_there: tuple[datetime | None, datetime | None],
) -> dict[str, Any]:
    """A collection by its name.

    Parameters
    ----------
    base : str
        Address of the web, without a slash at the end.
    name : str
        Key of `TITLES`.
    bounds : tuple of float
        West, south, east, north of its products. [deg]
    times_there : (datetime or None, datetime or None)
        Sensing of the first and the last one.
    """
    here = f"{base}/stac/collections/{name}"
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": name,
        "title": TITLES[name],
        "description": "Surface reflectance, aerosol, water vapour and masks of Sentinel-2 in MUSCATE's format, "
        "one item a tile and date. Simulated products are marked by muscate:simulated.",
        "stac_extensions": EXTENSIONS,
        "license": "other",
        "keywords": ["Sentinel-2", "L2A", "surface reflectance", "MUSCATE", "MAJA"],
        "extent": {
            "spatial": {"bbox": [list(bounds)]},
            "temporal": {"interval": [[times.text(time) for time in times_there]]},
        },
        "summaries": {
            "platform": platforms(),
            "constellation": ["sentinel-2"],
            "instruments": ["msi"],
            "gsd": [10, 20],
        },
        "item_assets": item_assets(),
        "links": [
            *links(base, here),
            {"rel": "parent", "href": f"{base}/stac", "type": JSON},
            {"rel": "items", "href": f"{here}/items", "type": GEOJSON},
            {"rel": QUERYABLES_REL, "href": f"{here}/queryables", "type": SCHEMA},
        ],
    }


def queryables(name: str, here: str) -> dict[str, Any]:
    """What a filter of a collection may name, as the JSON schema with the address `here`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": here,
        "type": "object",
        "title": TITLES[name],
        "properties": QUERYABLES | {"platform": QUERYABLES["platform"] | {"enum": platforms()}},
        "additionalProperties": False,
    }
