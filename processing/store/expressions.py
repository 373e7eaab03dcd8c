"""Filters of CQL2, in its JSON form, as conditions of the database: what products they name, and how these compare.

OGC 21-065r2, "Common Query Language (CQL2)". Text is made JSON by a library, above; here each operator is one entry of
a table. What a product doesn't have is null, and a comparison with null is neither true nor false, as in SQL.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import shapely
import sqlalchemy as sa
from shapely.errors import GEOSException
from sqlalchemy.orm import Session, aliased

from processing.errors import NumberError, SearchError
from processing.store import places
from processing.store.models import (
    VERDICTS,
    Event,
    Granule,
    Job,
    Product,
    Quality,
    SiteTile,
    Tile,
    Validation,
    Verdict,
)

#: Events that change what users get of a product after its publication.
CHANGES = ("withdrawn", "reinstated")
#: Flags of a date's quality, and the words that a reader may use for them.
FLAGS = {"rain": "rain", "hotspot": "hot_spot", "glint": "sun_glint", "sunglint": "sun_glint", "cirrus": "cirrus"}
#: Decimals that a reader sees of a date's figures, and of those of a validation.
FIGURES, VALIDATIONS = 4, 6
#: The collections of STAC: what users get unless they ask for more, and everything.
COLLECTIONS = ("muscate-l2a", "muscate-l2a-all")
#: Most corners of an area.
CORNERS = 500
#: Of a product's name: satellite, time and tile, without its version.
IMAGE = len("SENTINEL2A_20230815-095843-461_L2A_T33TWM")
EARLIEST, LATEST = datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
#: The figures of masks against references: those of a version's clouds and shadows, the newest run.
VALIDATED_SUBJECTS = ("cloud", "shadow", "valid")
VALIDATED = ("balanced_accuracy", "f1", "precision", "recall")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def moment(text: Any) -> datetime:
    """A time of RFC 3339.

    Raises
    ------
    SearchError
        If it is anything else, a date alone or one without a zone among them.
    """
    try:
        if not _TIME.fullmatch(str(text)):
            raise ValueError
        return min(max(datetime.fromisoformat(str(text).upper()), EARLIEST), LATEST).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SearchError(f"{text} is no time such as 2023-08-15T10:00:00Z") from None


def day(text: Any) -> tuple[datetime, datetime]:
    """First and last moment of a date.

    Raises
    ------
    SearchError
    """
    try:
        if not _DATE.fullmatch(str(text)):
            raise ValueError
        first = min(max(datetime.fromisoformat(str(text)).replace(tzinfo=UTC), EARLIEST), LATEST)
        return first, first + timedelta(days=1, microseconds=-1)
    except (ValueError, OverflowError):
        raise SearchError(f"{text} is no date such as 2023-08-15") from None


def platform(name: Any) -> sa.ColumnElement[str]:
    """``S2A`` as STAC says it."""
    return sa.literal("sentinel-").concat(sa.func.lower(sa.func.substr(name, 2)))


def _updated() -> sa.ColumnElement[Any]:
    last = (
        sa.select(sa.func.max(Event.time))
        .where(Event.product_id == Product.id, Event.kind.in_(CHANGES))
        .correlate(Product)
        .scalar_subquery()
    )
    return sa.func.coalesce(last, Product.published)


def _verdict() -> sa.ColumnElement[Any]:
    """The worst of its readers' that hold; null where nobody judged."""
    later = aliased(Verdict)
    newer = sa.exists().where(
        later.product_id == Verdict.product_id, later.reader == Verdict.reader, later.id > Verdict.id
    )
    rank = sa.case({name: place for place, name in enumerate(VERDICTS)}, value=Verdict.verdict)
    worst = (
        sa.select(sa.func.max(rank))
        .where(Verdict.product_id == Product.id, Verdict.verdict != "none", sa.not_(newer))
        .correlate(Product)
        .scalar_subquery()
    )
    return sa.case({place: name for place, name in enumerate(VERDICTS)}, value=worst)


def _validated(subject: str, figure: str) -> Callable[[], sa.ColumnElement[Any]]:
    """A figure of a product's mask against a reference made by hand or by others, of the newest run that has it."""

    def found() -> sa.ColumnElement[Any]:
        value = Validation.metrics[figure].as_float()
        return (
            sa.select(value)
            .where(
                Validation.kind == "clouds",
                Validation.image == sa.func.substr(Product.identifier, 1, IMAGE),
                Validation.version == Product.version,
                Validation.subject == subject,
                value.is_not(None),
            )
            .order_by(Validation.id.desc())
            .limit(1)
            .correlate(Product)
            .scalar_subquery()
        )

    return found


def _site() -> sa.ColumnElement[Any]:
    """The site that a product's tile is of; null where it is of none."""
    return (
        sa.select(sa.func.min(SiteTile.site)).where(SiteTile.tile == Product.tile).correlate(Product).scalar_subquery()
    )


def _default() -> sa.ColumnElement[bool]:
    current = sa.select(Tile.current_version).where(Tile.mgrs == Product.tile).scalar_subquery()
    return sa.and_(Product.current, Product.valid, Product.version == current)


def _collection() -> sa.ColumnElement[str]:
    """The collection that an item says it is of: every product is of the second one too."""
    return sa.case((_default(), COLLECTIONS[0]), else_=COLLECTIONS[1])


def _baseline() -> sa.ColumnElement[Any]:
    """The newest processing baseline of the Level-1C that a product was made from."""
    named = sa.cast(Product.l1c, sa.Text).like(sa.literal('%"').concat(Granule.name).concat('"%'))
    made = sa.select(sa.func.max(Granule.baseline)).join(Job, Job.acquisition_id == Granule.acquisition_id)
    return made.where(Job.id == Product.job_id, named).correlate(Product).scalar_subquery()


@dataclass(frozen=True)
class Property:
    """What a filter may name: its kind, ``number``, ``integer``, ``string``, ``boolean``, ``time``, and its column;
    `shown`: the decimals of a number that readers see, and ask for when they ask for what is equal.
    """

    kind: str
    column: Callable[[], Any]
    shown: int | None = None


#: What filters may name and answers be sorted by, as STAC calls it.
PROPERTIES: dict[str, Property] = {
    "id": Property("string", lambda: Product.identifier),
    "datetime": Property("time", lambda: Product.sensing),
    "published": Property("time", lambda: Product.published),
    "created": Property("time", lambda: Product.published),
    "updated": Property("time", _updated),
    "platform": Property("string", lambda: platform(Product.platform)),
    "sat:relative_orbit": Property("integer", lambda: Product.relative_orbit),
    "grid:code": Property("string", lambda: sa.literal("MGRS-").concat(Product.tile)),
    "version": Property("string", lambda: Product.version),
    "processing:version": Property("string", _baseline),
    "collection": Property("string", _collection),
    "mission": Property("string", lambda: sa.literal("sentinel-2")),
    "deprecated": Property("boolean", lambda: sa.not_(_default())),
    "eo:cloud_cover": Property("number", lambda: Quality.cloud_percent, FIGURES),
    "eo:snow_cover": Property("number", lambda: Quality.snow_percent, FIGURES),
    "muscate:water_percent": Property("number", lambda: Quality.water_percent, FIGURES),
    "muscate:no_data_percent": Property("number", lambda: Quality.no_data_percent, FIGURES),
    "muscate:aot_mean": Property("number", lambda: Quality.aot_mean, FIGURES),
    "muscate:water_vapour_mean": Property("number", lambda: Quality.water_vapour_mean, FIGURES),
    "muscate:mode": Property("string", lambda: Product.mode),
    "muscate:revision": Property("integer", lambda: Product.revision),
    "muscate:simulated": Property("boolean", lambda: Product.simulated),
    "muscate:withdrawn": Property("boolean", lambda: sa.not_(Product.valid)),
    "muscate:site": Property("string", _site),
    "muscate:verdict": Property("string", _verdict),
    **{
        f"muscate:validation_{subject}_{figure}": Property("number", _validated(subject, figure), VALIDATIONS)
        for subject in VALIDATED_SUBJECTS
        for figure in VALIDATED
    },
}
#: The names of the geometry, of the flags of a date as a list, and of any one of them.
GEOMETRY, RAISED, FLAG = ("geometry",), "muscate:flags", "muscate:flag"

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / sa.func.nullif(b, 0.0),
}
_Ends = tuple[Any, Any]
#: Allen's relations of two intervals; of a moment both ends are the same.
_TEMPORAL: dict[str, Callable[[_Ends, _Ends], Any]] = {
    "t_after": lambda a, b: a[0] > b[1],
    "t_before": lambda a, b: a[1] < b[0],
    "t_contains": lambda a, b: sa.and_(a[0] < b[0], a[1] > b[1]),
    "t_disjoint": lambda a, b: sa.or_(a[1] < b[0], a[0] > b[1]),
    "t_during": lambda a, b: sa.and_(a[0] > b[0], a[1] < b[1]),
    "t_equals": lambda a, b: sa.and_(a[0] == b[0], a[1] == b[1]),
    "t_finishedby": lambda a, b: sa.and_(a[0] < b[0], a[1] == b[1]),
    "t_finishes": lambda a, b: sa.and_(a[0] > b[0], a[1] == b[1]),
    "t_intersects": lambda a, b: sa.and_(a[0] <= b[1], a[1] >= b[0]),
    "t_meets": lambda a, b: a[1] == b[0],
    "t_metby": lambda a, b: a[0] == b[1],
    "t_overlappedby": lambda a, b: sa.and_(a[0] > b[0], a[0] < b[1], a[1] > b[1]),
    "t_overlaps": lambda a, b: sa.and_(a[0] < b[0], a[1] > b[0], a[1] < b[1]),
    "t_startedby": lambda a, b: sa.and_(a[0] == b[0], a[1] > b[1]),
    "t_starts": lambda a, b: sa.and_(a[0] == b[0], a[1] < b[1]),
}


@dataclass(frozen=True)
class _Value:
    """A part of a comparison: its kind, and what it is for the database; `plain` as it was written, `shown` as of
    `Property`.
    """

    kind: str
    sql: Any
    plain: Any = None
    shown: int | None = None


def condition(session: Session, expression: Any) -> sa.ColumnElement[bool]:
    """An expression of CQL2 JSON as a condition on products, joined with `Quality`.

    Raises
    ------
    SearchError
        If it is none, names what no product has, or compares what can't be compared.
    """
    return _Compiler(session).boolean(expression)


def check(expression: Any) -> None:
    """Look whether an expression can be understood, without a store.

    Raises
    ------
    SearchError
        As `condition`.
    """
    _Compiler(None).boolean(expression)


class _Compiler:
    """Goes through one expression; without a session to see whether it can be understood."""

    def __init__(self, session: Session | None) -> None:
        self._session = session

    def boolean(self, given: Any) -> sa.ColumnElement[bool]:
        if isinstance(given, bool):
            return sa.true() if given else sa.false()
        if isinstance(given, Mapping) and "property" in given:
            value = self._value(given)
            if value.kind != "boolean":
                raise SearchError(f"{given['property']} is neither true nor false")
            return sa.and_(value.sql)
        if not isinstance(given, Mapping) or not isinstance(given.get("op"), str):
            raise SearchError("a filter of CQL2 JSON has an op and args")
        name, arguments = given["op"], given.get("args")
        if not isinstance(arguments, list):
            raise SearchError(f"{name} has no args")
        lowered = name.lower()
        if lowered in ("and", "or"):
            if len(arguments) < 2:
                raise SearchError(f"{name} has fewer than 2 args")
            return (sa.and_ if lowered == "and" else sa.or_)(*(self.boolean(part) for part in arguments))
        if lowered == "not":
            return sa.not_(self.boolean(self._counted(name, arguments, 1)[0]))
        return self._test(name, lowered, arguments)

    def _test(self, name: str, lowered: str, arguments: list[Any]) -> sa.ColumnElement[bool]:
        if lowered == "isnull":
            (one,) = self._counted(name, arguments, 1)
            if _name(one) == RAISED:
                return Quality.job_id.is_(None)
            return sa.false() if self._is_geometry(one) else self._value(one).sql.is_(None)
        if arguments and _name(arguments[0]) == FLAG:
            return self._flag(lowered, *self._counted(name, arguments, 2))
        if lowered in ("between", "in", "like"):
            found: sa.ColumnElement[bool] = getattr(self, f"_{lowered}")(arguments)
            return found
        if lowered in _COMPARED:
            left, right = self._pair(*self._counted(name, arguments, 2))
            if lowered in ("=", "<>"):
                return _equal(left, right) if lowered == "=" else sa.not_(_equal(left, right))
            return sa.and_(_COMPARED[lowered](left.sql, right.sql))
        if lowered in places.PREDICATES:
            return self._spatial(lowered, *self._counted(name, arguments, 2))
        if lowered in _TEMPORAL:
            first, second = (self._ends(one) for one in self._counted(name, arguments, 2))
            return sa.and_(_TEMPORAL[lowered](first, second))
        if lowered in ("a_contains", "a_containedby", "a_overlaps", "a_equals"):
            return self._flags(lowered, *self._counted(name, arguments, 2))
        raise SearchError(f"{name} is no operator that is known here")

    @staticmethod
    def _counted(name: str, arguments: list[Any], count: int) -> list[Any]:
        if len(arguments) != count:
            raise SearchError(f"{name} has {len(arguments)} args instead of {count}")
        return arguments

    @staticmethod
    def _is_geometry(given: Any) -> bool:
        return _name(given) in GEOMETRY

    def _between(self, arguments: list[Any]) -> sa.ColumnElement[bool]:
        if len(arguments) == 2 and isinstance(arguments[1], list):  # as drafts of the standard wrote it
            arguments = [arguments[0], *arguments[1]]
        value, least, most = self._counted("between", arguments, 3)
        (one, low), (_, high) = self._pair(value, least), self._pair(value, most)
        return sa.and_(one.sql >= low.sql, one.sql <= high.sql)

    def _in(self, arguments: list[Any]) -> sa.ColumnElement[bool]:
        value, listed = self._counted("in", arguments, 2)
        if not isinstance(listed, list) or not listed:
            raise SearchError("in has no list")
        pairs = [self._pair(value, each) for each in listed]
        if pairs[0][0].shown is not None:
            return sa.or_(*(_equal(one, other) for one, other in pairs))
        found: sa.ColumnElement[bool] = pairs[0][0].sql.in_([other.sql for _, other in pairs])
        return found

    def _like(self, arguments: list[Any]) -> sa.ColumnElement[bool]:
        value, pattern = (self._value(one) for one in self._counted("like", arguments, 2))
        if value.kind != "string" or pattern.kind != "string" or pattern.plain is None:
            raise SearchError("like compares a text with a pattern")
        # SQLite's own LIKE is blind to capitals: its GLOB is not.
        on_sqlite = self._session is None or self._session.get_bind().dialect.name == "sqlite"
        found: sa.ColumnElement[bool] = (
            value.sql.op("GLOB", is_comparison=True)(_glob(pattern.plain))
            if on_sqlite
            else value.sql.like(pattern.plain, escape="\\")
        )
        return found

    def _value(self, given: Any) -> _Value:
        if isinstance(given, Mapping):
            return self._named(given)
        if isinstance(given, bool):
            return _Value("boolean", sa.literal(given), given)
        if isinstance(given, int | float):
            if not math.isfinite(given) or abs(given) > 2**63 - 1:
                raise NumberError(f"{given} is no number that can be compared with")
            return _Value("number", sa.literal(float(given)), given)
        if isinstance(given, str):
            return _Value("string", sa.literal(given), given)
        raise SearchError(f"{given} can't be compared")

    def _named(self, given: Mapping[str, Any]) -> _Value:
        if "property" in given:
            name = _name(given)
            if name == RAISED:
                raise SearchError(f"{RAISED} is a list: a_contains, a_containedby, a_overlaps and a_equals compare it")
            if name not in PROPERTIES:
                raise SearchError(
                    f"{name}: there is no such queryable; known are {', '.join([*PROPERTIES, *GEOMETRY])}"
                )
            return _Value(PROPERTIES[name].kind, PROPERTIES[name].column(), shown=PROPERTIES[name].shown)
        if "timestamp" in given or "date" in given:
            time = moment(given["timestamp"]) if "timestamp" in given else day(given["date"])[0]
            return _Value("time", sa.literal(time, Product.published.type), time)
        if isinstance(given.get("op"), str) and isinstance(given.get("args"), list):
            return self._calculated(given["op"], given["args"])
        raise SearchError(f"{dict(given)} can't be compared")

    def _calculated(self, name: str, arguments: list[Any]) -> _Value:
        if name.lower() == "casei":
            value = self._value(self._counted(name, arguments, 1)[0])
            if value.kind != "string":
                raise SearchError("casei has no text")
            folded = None if value.plain is None else value.plain.lower()
            return _Value("string", sa.func.lower(value.sql) if folded is None else sa.literal(folded), folded)
        if name in _ARITHMETIC:
            left, right = (self._value(one) for one in self._counted(name, arguments, 2))
            if {left.kind, right.kind} - {"number", "integer"}:
                raise SearchError(f"{name} calculates with numbers")
            double = (sa.cast(side.sql, sa.Double) for side in (left, right))
            return _Value("number", _ARITHMETIC[name](*double))
        raise SearchError(f"{name} is no operator that is known here")

    def _pair(self, first: Any, second: Any) -> tuple[_Value, _Value]:
        """Both sides of a comparison, of one kind: a text that stands for a number or a time is taken for it."""
        left, right = self._value(first), self._value(second)
        left, right = _coerced(left, right), _coerced(right, left)
        numbers = {"number", "integer"}
        if left.kind != right.kind and not {left.kind, right.kind} <= numbers:
            raise SearchError(f"{first} and {second} can't be compared: {left.kind} and {right.kind}")
        return left, right

    def _ends(self, given: Any) -> _Ends:
        """First and last moment of a time or an interval."""
        if isinstance(given, Mapping) and "date" in given:
            return tuple(sa.literal(time, Product.published.type) for time in day(given["date"]))  # type: ignore[return-value]
        if isinstance(given, Mapping) and "interval" in given:
            listed = given["interval"]
            if not isinstance(listed, list) or len(listed) != 2:
                raise SearchError("an interval has two ends")
            first, last = (self._end(end, place) for place, end in enumerate(listed))
            return first, last
        value = _coerced(self._value(given), _Value("time", None))
        if value.kind != "time":
            raise SearchError(f"{given} is no time")
        return value.sql, value.sql

    def _end(self, given: Any, place: int) -> Any:
        if given in ("..", ""):
            return sa.literal((EARLIEST, LATEST)[place], Product.published.type)
        if isinstance(given, Mapping):
            return self._ends(given)[place]
        time = day(given)[place] if _DATE.fullmatch(str(given)) else moment(given)
        return sa.literal(time, Product.published.type)

    def _spatial(self, name: str, first: Any, second: Any) -> sa.ColumnElement[bool]:
        if self._is_geometry(second) and not self._is_geometry(first):
            turned = {"s_within": "s_contains", "s_contains": "s_within"}
            return self._spatial(turned.get(name, name), second, first)
        if not self._is_geometry(first) or self._is_geometry(second):
            raise SearchError(f"{name} compares the geometry with an area")
        where = area(second)
        return sa.true() if self._session is None else places.condition(self._session, name, where)[0]

    def _flag(self, name: str, flag: Any, value: Any) -> sa.ColumnElement[bool]:
        """Whether a flag, or one of several, was raised."""
        flags = value if name == "in" and isinstance(value, list) else [value]
        if name not in ("=", "in"):
            raise SearchError(f"{FLAG} = is all that it can be asked; {RAISED} is a list")
        if strange := [one for one in flags if one not in FLAGS.values()]:
            raise SearchError(f"{strange[0]} is no flag: {', '.join(dict.fromkeys(FLAGS.values()))}")
        return self._flags("a_overlaps", {"property": RAISED}, flags)

    def _flags(self, name: str, first: Any, second: Any) -> sa.ColumnElement[bool]:
        """The flags of a date as an array."""
        if _name(first) != RAISED or not isinstance(second, list):
            raise SearchError(f"{name} compares {RAISED} with a list")
        if not all(isinstance(flag, str) for flag in second):
            raise SearchError(f"{name}: the flags are words")
        known = list(dict.fromkeys(FLAGS.values()))
        raised = {flag: sa.func.coalesce(Quality.flags[flag].as_boolean(), sa.false()) for flag in known}
        if name == "a_overlaps":
            return sa.or_(sa.false(), *(raised[flag] for flag in second if flag in raised))
        has = [raised[flag] for flag in second if flag in raised]
        if len(has) < len(second) and name != "a_containedby":
            return sa.false()
        hasnt = [sa.not_(raised[flag]) for flag in known if flag not in second]
        parts: dict[str, list[Any]] = {"a_contains": has, "a_containedby": hasnt, "a_equals": [*has, *hasnt]}
        return sa.and_(sa.true(), *parts[name])


def _name(given: Any) -> str:
    """What a part of an expression names; empty where it names nothing."""
    return (
        str(given["property"]).removeprefix("properties.") if isinstance(given, Mapping) and "property" in given else ""
    )


def _equal(first: _Value, second: _Value) -> sa.ColumnElement[bool]:
    """Whether two values are one, of numbers as far as readers see them."""
    for one, other in ((first, second), (second, first)):
        if one.shown is not None and other.plain is not None:
            least, most = around(float(other.plain), one.shown)
            return sa.and_(one.sql >= least, one.sql <= most)
    return sa.and_(first.sql == second.sql)


def around(number: float, decimals: int) -> tuple[float, float]:
    """The numbers of which a reader sees this one."""
    half = 0.5000001 * 10.0**-decimals
    return number - half, number + half


def _coerced(value: _Value, other: _Value) -> _Value:
    """A text as the number, truth or time that it is compared with: clients that ask by GET send all as text."""
    if value.kind != "string" or value.plain is None or other.kind == "string":
        return value
    if other.kind in ("number", "integer"):
        try:
            number = float(value.plain)
        except ValueError:
            return value
        if not math.isfinite(number):
            raise NumberError(f"{value.plain} is no number that can be compared with")
        return _Value("number", sa.literal(number), number)
    if other.kind == "boolean" and value.plain.lower() in ("true", "false"):
        return _Value("boolean", sa.literal(value.plain.lower() == "true"), value.plain)
    if other.kind == "time":
        time = day(value.plain)[0] if _DATE.fullmatch(value.plain) else moment(value.plain)
        return _Value("time", sa.literal(time, Product.published.type), time)
    return value


def _glob(pattern: str) -> str:
    """A pattern of CQL2, ``%`` any text, ``_`` any character, a backslash before one that is meant, as one of GLOB."""
    parts, quoted = [], False
    for character in pattern:
        if not quoted and character in "%_\\":
            quoted = character == "\\"
            parts.append({"%": "*", "_": "?"}.get(character, ""))
            continue
        parts.append(f"[{character}]" if character in "*?[" else character)
        quoted = False
    return "".join(parts)


def area(given: Any) -> shapely.Geometry:
    """The geometry of a filter: GeoJSON, or a bbox.

    Raises
    ------
    SearchError
        If it is none, with the place of its fault.
    """
    if isinstance(given, Mapping) and "bbox" in given:
        numbers = given["bbox"]
        if not isinstance(numbers, list) or len(numbers) not in (4, 6):
            raise SearchError("a bbox has 4 or 6 numbers")
        half = len(numbers) // 2
        return places.rectangle(*numbers[:2], *numbers[half : half + 2])
    try:
        found = shapely.geometry.shape(given)
        valid, empty = found.is_valid, found.is_empty
    except (GEOSException, TypeError, ValueError, AttributeError, KeyError, IndexError) as fault:
        raise SearchError(f"the filter has something that is no GeoJSON geometry: {fault}") from None
    if empty:
        raise SearchError("the filter has an empty geometry")
    if len(shapely.get_coordinates(found)) > CORNERS:
        raise SearchError(f"the filter's geometry has more than {CORNERS} corners")
    if not (abs(shapely.get_coordinates(found)) <= (720, 90)).all():
        raise SearchError("the filter's geometry lies beyond the globe")
    if not valid:
        raise SearchError(f"the filter's geometry is not valid: {shapely.is_valid_reason(found)}")
    return places.the_short_way(found)
