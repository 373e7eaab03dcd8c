"""From a search of the page to the request that finds the same: `requests`, the other way round."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from shapely.geometry import box, mapping

from dashboard.stac import times
from dashboard.stac.filters import RANGES, SETS
from dashboard.stac.vocabulary import ALL, CURRENT, grid_code, platform
from processing.store.search import Search


def address(search: Search) -> str:
    """The GET request of this API that finds the same as a search of the page; without the host."""
    everything = search.versions or search.withdrawn or search.replaced
    parameters: dict[str, str] = {"collections": ALL if everything else CURRENT}
    if search.identifiers:
        parameters["ids"] = ",".join(search.identifiers)
    if search.area is not None:
        parameters |= _area(search.area)
    if search.first or search.last:
        parameters["datetime"] = f"{times.text(search.first) or '..'}/{times.text(search.last) or '..'}"
    tests = [*_sets(search), *_ranges(search), *_others(search)]
    if tests:
        expression = tests[0] if len(tests) == 1 else {"op": "and", "args": tests}
        parameters |= {"filter-lang": "cql2-json", "filter": json.dumps(expression, separators=(",", ":"))}
    if search.order != "-sensing":
        parameters["sortby"] = search.order.replace("sensing", "datetime")
    return "/stac/search?" + urlencode(parameters, safe=',:/{}[]"', quote_via=quote)


def _area(area: Any) -> dict[str, str]:
    west, south, east, north = area.bounds
    if area.equals(box(west, south, east, north)):
        return {"bbox": ",".join(f"{n:.6g}" for n in (west, south, east - 360 if east > 180 else east, north))}
    return {"intersects": json.dumps(mapping(area))}


def _test(operator: str, name: str, value: Any) -> dict[str, Any]:
    """A comparison in CQL2 JSON."""
    return {"op": operator, "args": [{"property": name}, value]}


def _sets(search: Search) -> list[dict[str, Any]]:
    said = {"tiles": grid_code, "platforms": platform}
    tests = []
    for name, (field, _) in SETS.items():
        values = list(getattr(search, field))
        if field == "identifiers" or not values or values == ["all"]:
            continue
        if field in said:
            values = [said[field](value) for value in values]
        tests.append(_test("=", name, values[0]) if len(values) == 1 else _test("in", name, values))
    return tests


def _ranges(search: Search) -> list[dict[str, Any]]:
    tests = []
    for name, field in RANGES.items():
        least, most = getattr(search, field)
        tests += [_test(operator, name, end) for operator, end in ((">=", least), ("<=", most)) if end is not None]
    return tests


def _others(search: Search) -> list[dict[str, Any]]:
    moments = (
        (">=", "updated", search.changed_since),
        (">=", "published", search.published_since),
        ("<", "published", search.published_before),
    )
    tests = [_test(operator, name, {"timestamp": times.text(time)}) for operator, name, time in moments if time]
    tests += [_test("=", "muscate:flag", flag) for flag in search.flags]
    tests += [json.loads(text) for text in search.expressions]
    if search.simulated is not None:
        tests.append(_test("=", "muscate:simulated", search.simulated))
    return tests
