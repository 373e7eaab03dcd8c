"""The parameters of an item search, of GET as text, of POST as JSON, as a search of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import shapely
from shapely.errors import GEOSException

from dashboard.stac.bounds import finite, sound
from dashboard.stac.filters import filtered, parsed, queried
from dashboard.stac.items import DEFAULT, Fields
from dashboard.stac.times import interval
from dashboard.stac.vocabulary import ALL, CURRENT, SORTABLES, TITLES
from processing.errors import SearchError
from processing.store.expressions import CORNERS
from processing.store.places import the_short_way
from processing.store.search import Search, rectangle

#: Most items of a page; more may be asked for, and are not given.
MOST = 250


@dataclass(frozen=True)
class Asked:
    """A search as it came over HTTP.

    Attributes
    ----------
    search : Search
    limit : int
        Most items of a page.
    after : str, optional
        Token of the page before.
    collection : str, optional
        The one that was asked for.
    fields : Fields, optional
        Without it items are given whole.
    """

    search: Search
    limit: int
    after: str | None
    collection: str | None
    fields: Fields | None


def asked(body: Mapping[str, Any]) -> Asked:
    """What the parameters of an item search ask for.

    Raises
    ------
    SearchError
        If they can't be understood.
    """
    sound(body)
    collections, ids = _list(body, "collections"), _list(body, "ids")
    search = _narrowed(Search(area=_area(body.get("bbox"), body.get("intersects")), identifiers=tuple(ids)), body)
    # Who names a product wants that product, whatever its version.
    if ALL in collections or (not collections and ids):
        search = replace(search, versions=search.versions or ("all",), withdrawn=True)
    return Asked(
        limit=_limit(body.get("limit", 10)),
        search=replace(search, order=_order(body.get("sortby"))),
        after=_token(body.get("token")),
        collection=(ALL if ALL in collections else CURRENT) if collections else None,
        fields=_fields(body["fields"]) if "fields" in body else None,
    )


def _narrowed(search: Search, body: Mapping[str, Any]) -> Search:
    """A search by the collections, times and filters of a request."""
    collections = _list(body, "collections")
    if collections and not set(collections) & set(TITLES):
        search = replace(search, identifiers=("",))  # no product is of these collections
    if body.get("datetime"):
        first, last = interval(str(body["datetime"]))
        search = replace(search, first=first, last=last)
    if body.get("query") not in (None, ""):
        search = queried(search, _json(body["query"], "query"))
    return search if body.get("filter") in (None, "") else filtered(search, _expression(body))


def _expression(body: Mapping[str, Any]) -> Any:
    """The filter as CQL2 JSON: of GET text without a word about its language, of POST JSON."""
    given, said = body["filter"], body.get("filter-lang")
    if said not in (None, "cql2-json", "cql2-text"):
        raise SearchError("filters are understood in cql2-text and cql2-json")
    if body.get("filter-crs") not in (None, "http://www.opengis.net/def/crs/OGC/1.3/CRS84"):
        raise SearchError("filters are understood in OGC:CRS84")
    if said == "cql2-json" or (said is None and not isinstance(given, str)):
        return _json(given, "filter")
    return sound(parsed(given))


def _list(body: Mapping[str, Any], name: str) -> list[str]:
    value = body.get(name)
    if value is None:
        return []
    if isinstance(value, str):
        return [part for part in value.split(",") if part]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise SearchError(f"{name} is no list of words")
    return list(value)


def _json(value: Any, name: str) -> Any:
    try:
        return sound(json.loads(value)) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise SearchError(f"{name} is no JSON") from None


def _token(value: Any) -> str | None:
    if not value:
        return None
    if not isinstance(value, str):
        raise SearchError("token is no key of a page")
    return value


def _limit(value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        limit = int(finite(value))
    except (TypeError, ValueError):
        raise SearchError("limit is no number") from None
    if limit < 1:
        raise SearchError(f"limit {limit} is less than 1")
    return min(limit, MOST)


def _area(bbox: Any, intersects: Any) -> Any:
    """Polygon that is asked for, None for the world."""
    if bbox and intersects:
        raise SearchError("give either bbox or intersects")
    if bbox:
        return _rectangle(bbox)
    if intersects:
        return _polygon(intersects)
    return None


def _polygon(intersects: Any) -> shapely.Geometry:
    """The area of a GeoJSON geometry; one that is not valid is refused with the place of its fault."""
    try:
        area = shapely.from_geojson(json.dumps(_json(intersects, "intersects")))
    except (GEOSException, TypeError, ValueError) as fault:
        raise SearchError(f"intersects is no GeoJSON geometry: {fault}") from None
    if area is None or area.is_empty:
        raise SearchError("intersects is empty")
    corners = shapely.get_coordinates(area)
    if not (abs(corners) <= (720, 90)).all():
        raise SearchError("intersects lies beyond the globe")
    if len(corners) > CORNERS:
        raise SearchError(f"intersects has {len(corners)} corners: more than {CORNERS}")
    if not area.is_valid:
        raise SearchError(f"intersects is not valid: {shapely.is_valid_reason(area)}")
    return the_short_way(area)


def _rectangle(bbox: Any) -> Any:
    if isinstance(bbox, str):
        raise SearchError("bbox is a text, not a list of numbers")
    try:
        numbers = [float(finite(n)) for n in bbox]
    except (TypeError, ValueError):
        raise SearchError("bbox has something that is no number") from None
    if len(numbers) not in (4, 6):
        raise SearchError(f"bbox has {len(numbers)} numbers instead of 4 or 6")
    return rectangle(*numbers[:2], *numbers[len(numbers) // 2 :][:2])


def _order(sortby: Any) -> str:
    """The order of a search from what it is sorted by."""
    if not sortby:
        return "-sensing"
    if isinstance(sortby, str):
        words = [part.strip() for part in sortby.split(",")]
        keys = [(word[1:] if word[:1] in ("+", "-") else word, "-" if word[:1] == "-" else "") for word in words]
    else:
        try:
            keys = [(str(k["field"]), {"asc": "", "desc": "-"}[k.get("direction", "asc")]) for k in sortby]
        except (TypeError, KeyError, AttributeError):
            raise SearchError("sortby is a list of field and direction, asc or desc") from None
    names = [(name.removeprefix("properties."), down) for name, down in keys]
    if strange := [name for name, _ in names if name not in SORTABLES]:
        raise SearchError(f"{strange[0][:100]} can't be sorted by; known are {', '.join(SORTABLES)}")
    said = {"datetime": "sensing"}
    return ",".join(down + said.get(name, name) for name, down in names)


def _fields(fields: Any) -> Fields:
    if fields is None:
        raise SearchError("fields is null: leave it out, or give include and exclude")
    if isinstance(fields, dict):
        include, exclude = _list(fields, "include"), _list(fields, "exclude")
        if not include and ("include" in fields or not exclude):
            include = [name for name in DEFAULT if name not in exclude]
        return Fields(frozenset(include), frozenset(exclude))
    if not fields:
        return Fields(frozenset(DEFAULT), frozenset())
    parts = [part.strip() for part in _list({"fields": fields}, "fields")]
    return Fields(
        frozenset(part.lstrip("+") for part in parts if not part.startswith("-")),
        frozenset(part[1:] for part in parts if part.startswith("-")),
    )
