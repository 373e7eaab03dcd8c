"""Words that STAC and OGC fixed, and ours: collections, conformance, what a filter may name."""

from __future__ import annotations

from typing import Any

from processing.bands import PLATFORMS
from processing.store.search import FLAGS

CURRENT, ALL = "muscate-l2a", "muscate-l2a-all"
#: Of the collections.
TITLES = {
    CURRENT: "Sentinel-2 Level-2A, current version",
    ALL: "Sentinel-2 Level-2A, every version, withdrawn products included",
}
JSON, GEOJSON, SCHEMA = "application/json", "application/geo+json", "application/schema+json"

_API = "https://api.stacspec.org/v1.0.0"
_OGC = "http://www.opengis.net/spec"
#: Relation of a link to what a filter may name.
QUERYABLES_REL = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
CONFORMS = [
    *(f"{_API}/{part}" for part in ("core", "collections", "ogcapi-features", "item-search")),
    *(f"{_API}/{kind}#{part}" for kind in ("item-search", "ogcapi-features") for part in ("sort", "fields", "query")),
    f"{_API}-rc.3/item-search#filter",
    f"{_API}-rc.3/ogcapi-features#filter",
    *(f"{_OGC}/ogcapi-features-1/1.0/conf/{part}" for part in ("core", "oas30", "geojson")),
    f"{_OGC}/ogcapi-features-3/1.0/conf/filter",
    *(f"{_OGC}/cql2/1.0/conf/{part}" for part in ("cql2-json", "basic-cql2")),
]


def platform(name: str) -> str:
    """``S2A`` as STAC says it: ``sentinel-2a``."""
    return f"sentinel-{name[1:].lower()}"


def grid_code(tile: str) -> str:
    """A tile as STAC says it: ``MGRS-31TCJ``."""
    return f"MGRS-{tile}"


#: What a filter may name, in JSON schema.
QUERYABLES: dict[str, dict[str, Any]] = {
    "eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100, "title": "Cloud [% of observed pixels]"},
    "muscate:aot_mean": {"type": "number", "title": "Mean AOT at 550 nm [-]"},
    "platform": {"type": "string", "enum": [platform(p) for p in PLATFORMS]},
    "sat:relative_orbit": {"type": "integer"},
    "grid:code": {"type": "string", "title": "Tile, MGRS-31TCJ"},
    "version": {"type": "string", "title": "Processing version, V1_4"},
    "muscate:site": {"type": "string", "title": "Code of a site"},
    "muscate:flag": {"type": "string", "enum": list(dict.fromkeys(FLAGS.values()))},
    "muscate:simulated": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "published": {"type": "string", "format": "date-time"},
    "updated": {"type": "string", "format": "date-time", "title": "Published, withdrawn or reinstated since (>=, >)"},
}
