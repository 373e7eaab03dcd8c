"""Filters of CQL2 JSON, and the tests of the query extension, as searches of the catalogue."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from dashboard.stac.times import moment
from dashboard.stac.vocabulary import QUERYABLES
from processing.errors import SearchError
from processing.store.search import MOST_ORBITS, Search


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SearchError(f"{value} is no number")
    return value


def _orbit(value: Any) -> int:
    """A relative orbit; of a number that is none, one that no product has."""
    number = _number(value)
    return int(number) if number == int(number) and 0 < number <= MOST_ORBITS else -1


def _platform(value: Any) -> str:
    return str(value).upper().replace("SENTINEL-", "S")


#: Properties that are one of some values: field of a search, and how a value is read.
SETS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "platform": ("platforms", _platform),
    "sat:relative_orbit": ("orbits", _orbit),
    "grid:code": ("tiles", lambda value: str(value).removeprefix("MGRS-")),
    "version": ("versions", str),
    "muscate:site": ("sites", str),
    "id": ("identifiers", str),
}
#: Properties that lie between two numbers: field of a search.
RANGES = {"eo:cloud_cover": "cloud", "muscate:aot_mean": "aot"}
#: Properties that lie between two times: fields of a search of the first and the last; empty: there is none.
TIMES = {
    "datetime": ("first", "last"),
    "published": ("published_since", "published_before"),
    "updated": ("changed_since", ""),
}
#: Operators of the query extension.
_OPERATORS = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "in"}
_MICROSECOND = timedelta(microseconds=1)


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
    if not isinstance(operator, str):
        raise SearchError("op is no word")
    if operator == "between" and len(arguments) == 3:
        return _compared(_compared(search, ">=", name, arguments[1]), "<=", name, arguments[2])
    if len(arguments) != 2:
        raise SearchError(f"{operator} has {len(arguments)} args")
    return _compared(search, operator, name, arguments[1])


def queried(search: Search, query: Any) -> Search:
    """A search with the tests of a query: of each property its operators, ``{"eo:cloud_cover": {"lt": 15}}``.

    Raises
    ------
    SearchError
        If it is anything else.
    """
    if not isinstance(query, Mapping) or not all(isinstance(tests, Mapping) for tests in query.values()):
        raise SearchError("query has for each property its operators")
    for name, tests in query.items():
        for operator, value in tests.items():
            search = _compared(search, _OPERATORS.get(operator, operator), name.removeprefix("properties."), value)
    return search


def _compared(search: Search, operator: str, name: str, value: Any) -> Search:
    """One comparison of a filter added to a search."""
    if name in SETS and operator in ("=", "in"):
        return _one_of(search, operator, name, value)
    if name in RANGES and operator in ("<", "<=", ">", ">=", "="):
        return _within(search, operator, name, value)
    if name in TIMES and operator in ("<", "<=", ">", ">=") and (TIMES[name][1] or operator.startswith(">")):
        return _at_times(search, operator, name, value)
    if name == "muscate:flag" and operator == "=":
        return replace(search, flags=tuple(dict.fromkeys((*search.flags, str(value)))))
    if name == "muscate:simulated" and operator == "=" and isinstance(value, bool):
        return replace(search, simulated=value)
    raise SearchError(f"{name} {operator} {value}: no such filter; known are {', '.join(QUERYABLES)}")


def _one_of(search: Search, operator: str, name: str, value: Any) -> Search:
    field, read = SETS[name]
    if operator == "in" and not isinstance(value, list):
        raise SearchError(f"{name} in {value}: not a list")
    return _narrowed(search, field, [read(v) for v in (value if operator == "in" else [value])])


def _narrowed(search: Search, field: str, values: Iterable[Any]) -> Search:
    """Both what was asked before and any of the values."""
    before, wanted = getattr(search, field), tuple(dict.fromkeys(values))
    known = set(before)
    both = tuple(v for v in wanted if v in known) if before else wanted
    nothing = (-1,) if field == "orbits" else ("",)  # a value that no product has
    changed: dict[str, Any] = {field: both or nothing}
    return replace(search, **changed)


def _within(search: Search, operator: str, name: str, value: Any) -> Search:
    least, most = getattr(search, RANGES[name])
    number = float(_number(value))
    if operator in (">", ">=", "="):
        lowest = math.nextafter(number, math.inf) if operator == ">" else number
        least = lowest if least is None else max(least, lowest)
    if operator in ("<", "<=", "="):
        highest = math.nextafter(number, -math.inf) if operator == "<" else number
        most = highest if most is None else min(most, highest)
    changed: dict[str, Any] = {RANGES[name]: (least, most)}
    return replace(search, **changed)


def _at_times(search: Search, operator: str, name: str, value: Any) -> Search:
    time = moment(value.get("timestamp", value.get("date")) if isinstance(value, dict) else value)
    first, last = TIMES[name]
    if operator.startswith(">"):
        time += _MICROSECOND if operator == ">" else timedelta()
        before = getattr(search, first)
        changed: dict[str, Any] = {first: time if before is None else max(time, before)}
    else:  # `last` is included, `published_before` is not
        time -= _MICROSECOND if (operator, last) == ("<", "last") else timedelta()
        time += _MICROSECOND if (operator, last) == ("<=", "published_before") else timedelta()
        before = getattr(search, last)
        changed = {last: time if before is None else min(time, before)}
    return replace(search, **changed)
