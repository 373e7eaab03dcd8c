"""Filters of CQL2, text or JSON, and the tests of the query extension, as searches of the catalogue."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from dashboard.stac.bounds import finite, shallow
from processing.errors import SearchError
from processing.store.expressions import FIGURES, around, check, day, moment
from processing.store.search import MOST_ORBITS, Search


def _number(value: Any) -> float:
    """A number, or a text that is one: clients that ask by GET send all as text."""
    try:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise TypeError
        return float(finite(value))
    except (TypeError, ValueError):
        raise SearchError(f"{str(value)[:100]} is no number") from None


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
_OPERATORS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "in"}
#: Those of texts: what stands before and after the text in the pattern of `like`.
_PATTERNS = {"startsWith": ("", "%"), "endsWith": ("%", ""), "contains": ("%", "%")}
_MICROSECOND = timedelta(microseconds=1)


def parsed(text: Any) -> Any:
    """A filter of CQL2 text as JSON.

    Raises
    ------
    SearchError
        If it can't be understood, with the place of the fault.
    """
    import cql2

    if not isinstance(text, str):
        raise SearchError("a filter of CQL2 text is a text")
    try:
        return cql2.parse_text(shallow(text)).to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError, RecursionError) as fault:
        raise SearchError(f"the filter is no CQL2 text: {' '.join(str(fault).split())[:300]}") from None


def filtered(search: Search, expression: Any) -> Search:
    """A search with a filter of CQL2 JSON.

    What a search has a field for is put there, as the page does, where the store has an index for it; the rest is kept
    as an expression.

    Raises
    ------
    SearchError
        If it is no such filter.
    """
    if isinstance(expression, dict) and isinstance(expression.get("args"), list):
        operator, arguments = expression.get("op"), expression["args"]
        if operator == "and" and len(arguments) > 1:
            for part in arguments:
                search = filtered(search, part)
            return search
        plain = _plain(search, operator, arguments)
        if plain is not None:
            return plain
    check(expression)
    text = json.dumps(expression, sort_keys=True)
    return replace(search, expressions=tuple(dict.fromkeys((*search.expressions, text))))


def _plain(search: Search, operator: Any, arguments: list[Any]) -> Search | None:
    """A search with a comparison that it has a field for; None if it has none."""
    if not arguments or not isinstance(arguments[0], dict) or "property" not in arguments[0]:
        return None
    name, values = str(arguments[0]["property"]).removeprefix("properties."), arguments[1:]
    if operator == "between" and len(values) == 1 and isinstance(values[0], list):
        values = values[0]  # as drafts of the standard wrote it
    if operator == "between" and len(values) == 2 and all(_is_plain(value) for value in values):
        least = _compared(search, ">=", name, values[0])
        return None if least is None else _compared(least, "<=", name, values[1])
    if len(values) != 1 or not _is_plain(values[0]):
        return None
    return _compared(search, operator, name, values[0])


def _is_plain(value: Any) -> bool:
    """Whether a value is written out, not named or calculated."""
    if isinstance(value, list):
        return all(_is_plain(each) for each in value)
    return not isinstance(value, dict) or bool({"timestamp", "date"} & set(value))


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
            search = filtered(search, _asked(name.removeprefix("properties."), operator, value))
    return search


def _asked(name: str, operator: str, value: Any) -> dict[str, Any]:
    """A test of the query extension in CQL2 JSON."""
    known = {"property": name}
    if operator in _PATTERNS:
        before, after = _PATTERNS[operator]
        quoted = re.sub(r"([%_\\])", r"\\\1", str(value))
        return {"op": "like", "args": [known, f"{before}{quoted}{after}"]}
    if operator not in _OPERATORS:
        raise SearchError(f"{operator} is none of {', '.join((*_OPERATORS, *_PATTERNS))}")
    return {"op": _OPERATORS[operator], "args": [known, value]}


def _compared(search: Search, operator: Any, name: str, value: Any) -> Search | None:
    """One comparison of a filter added to a search; None where a search has no field for it."""
    if name in SETS and operator in ("=", "in"):
        return _one_of(search, operator, name, value)
    if name in RANGES and operator in ("<", "<=", ">", ">=", "="):
        return _within(search, operator, name, value)
    if name in TIMES and operator in ("<", "<=", ">", ">=") and (TIMES[name][1] or operator.startswith(">")):
        return _at_times(search, operator, name, value)
    if name == "muscate:flag" and operator == "=":
        return replace(search, flags=tuple(dict.fromkeys((*search.flags, str(value)))))
    if name == "muscate:simulated" and operator == "=" and str(value).lower() in ("true", "false"):
        return replace(search, simulated=str(value).lower() == "true")
    return None


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
    equal = around(number, FIGURES) if operator == "=" else (number, number)
    if operator in (">", ">=", "="):
        lowest = math.nextafter(number, math.inf) if operator == ">" else equal[0]
        least = lowest if least is None else max(least, lowest)
    if operator in ("<", "<=", "="):
        highest = math.nextafter(number, -math.inf) if operator == "<" else equal[1]
        most = highest if most is None else min(most, highest)
    changed: dict[str, Any] = {RANGES[name]: (least, most)}
    return replace(search, **changed)


def _at_times(search: Search, operator: str, name: str, value: Any) -> Search:
    said = value.get("timestamp", value.get("date")) if isinstance(value, dict) else value
    time = day(said)[0] if re.fullmatch(r"\d{4}-\d\d-\d\d", str(said)) else moment(said)
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
