"""Words that STAC and OGC fixed, and ours: collections, conformance, what a filter may name."""

from __future__ import annotations

from typing import Any

from processing import known
from processing.store.expressions import COLLECTIONS, FLAGS, PROPERTIES, VALIDATED, VALIDATED_SUBJECTS

CURRENT, ALL = COLLECTIONS
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
    *(f"{_API}/{kind}#filter" for kind in ("item-search", "ogcapi-features")),
    f"{_API}-rc.3/item-search#filter",
    f"{_API}-rc.3/ogcapi-features#filter",
    *(f"{_OGC}/ogcapi-features-1/1.0/conf/{part}" for part in ("core", "oas30", "geojson")),
    *(f"{_OGC}/ogcapi-features-3/1.0/conf/{part}" for part in ("filter", "features-filter", "queryables")),
    *(f"{_OGC}/cql2/1.0/conf/{part}" for part in (
        *("cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators", "case-insensitive-comparison"),
        *("basic-spatial-functions", "basic-spatial-functions-plus", "spatial-functions", "temporal-functions"),
        "property-property",
    )),
]  # fmt: skip


def platform(name: str) -> str:
    """``S2A`` as STAC says it: ``sentinel-2a``."""
    return f"sentinel-{name[1:].lower()}"


def grid_code(tile: str) -> str:
    """A tile as STAC says it: ``MGRS-31TCJ``."""
    return f"MGRS-{tile}"


_TITLES = {
    "eo:cloud_cover": "Cloud [% of observed pixels]",
    "eo:snow_cover": "Snow [% of observed pixels]",
    "muscate:water_percent": "Water [% of observed pixels]",
    "muscate:no_data_percent": "Without data [% of all pixels]",
    "muscate:aot_mean": "Mean AOT at 550 nm [-]",
    "muscate:water_vapour_mean": "Mean water vapour [g cm-2]",
    "grid:code": "Tile, MGRS-31TCJ",
    "version": "Processing version, V1_4",
    "processing:version": "Processing baseline of the Level-1C, 05.10",
    "collection": "The collection that the item says it is of",
    "muscate:site": "Code of the site that its tile is of",
    "updated": "When it was published, withdrawn or reinstated",
    "muscate:verdict": "The worst of its readers' verdicts",
    **{
        f"muscate:validation_{subject}_{figure}": f"Mask of {subject} against a reference, {figure.replace('_', ' ')}"
        for subject in VALIDATED_SUBJECTS
        for figure in VALIDATED
    },
}
_WORDS = {
    "muscate:verdict": ["good", "suspect", "bad"],
    "muscate:mode": ["init", "nominal", "backward"],
}
_KINDS: dict[str, dict[str, Any]] = {"time": {"type": "string", "format": "date-time"}}


def _queryable(name: str, kind: str) -> dict[str, Any]:
    found = dict(_KINDS.get(kind, {"type": kind}))
    if name in _TITLES:
        found["title"] = _TITLES[name]
    if name in _WORDS:
        found["enum"] = _WORDS[name]
    return found


def platforms() -> list[str]:
    """The satellites that the centre knows."""
    return [platform(name) for name in known.current().satellites]


#: What a filter may name, in JSON schema, beside the satellites that the centre knows.
QUERYABLES: dict[str, dict[str, Any]] = {
    "geometry": {"$ref": "https://geojson.org/schema/Geometry.json", "title": "Where it has data"},
    **{name: _queryable(name, found.kind) for name, found in PROPERTIES.items()},
    "eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100, "title": _TITLES["eo:cloud_cover"]},
    "muscate:flag": {"type": "string", "enum": list(dict.fromkeys(FLAGS.values()))},
    "muscate:flags": {"type": "array", "items": {"type": "string", "enum": list(dict.fromkeys(FLAGS.values()))}},
}
#: What answers can be sorted by.
SORTABLES = tuple(PROPERTIES)
