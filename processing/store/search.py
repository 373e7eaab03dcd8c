"""Products found: by place, date, version, platform, orbit, cloud, aerosol, flags, words, and by what changed.

A page of answers ends with a key of its last product, not with a count of those before it: the hundredth page costs
what the first one costs, and a product that is published meanwhile moves nothing.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from shapely import Geometry, from_wkb
from sqlalchemy.orm import Session

from processing import tiling
from processing.errors import SearchError
from processing.naming import bare
from processing.store import expressions, places
from processing.store.expressions import CHANGES
from processing.store.expressions import FLAGS as FLAGS
from processing.store.models import Event, Holding, Product, Quality, Site, SiteTile, Tile
from processing.store.places import rectangle as rectangle
from processing.store.places import touching as touching

#: What answers can be ordered by; a minus: last first.
ORDERS = ("-sensing", "sensing", "-published", "published")
#: Most names that an order has.
MOST_KEYS = 4
#: Relative orbits of Sentinel-2, and room for what other satellites have.
MOST_ORBITS = 999
#: Most names, tiles or orbits of a search: more than a database takes at once.
MOST_VALUES = 10_000
#: Longest text that is understood. [characters]
LONGEST = 2000
#: Parts of the names of products and of Level-1C packages that say nothing that could be searched for.
_NOISE = re.compile(r"L1C|L2A|MSIL1C|MSIL2A|C|D|N\d{4}|SAFE|ZARR|ZIP")
_DATE = re.compile(r"(\d{4})-?(\d\d)?-?(\d\d)?(?:[T-]\d{6}(?:-\d+)?)?")
#: ``V1_4``, or ``V1-4`` in names: rewritten as one word that has no separator in it.
_VERSION = re.compile(r"(?<![A-Za-z0-9])[Vv](\d+)[_-](\d+)(?![A-Za-z0-9])")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Search:
    """What is looked for; everything left out is not restricted.

    Attributes
    ----------
    identifiers, tiles, sites, platforms : tuple of str
        Any of them; sites by their code.
    area : Geometry, optional
        Longitude and latitude; products of the tiles that it touches. [deg]
    first, last : datetime, optional
        Sensing time, both included.
    changed_since : datetime, optional
        Published, withdrawn or reinstated at this time or later.
    published_since, published_before : datetime, optional
        The first is included.
    versions : tuple of str
        Empty: of each tile the version that its users get by default; ``("all",)``: all.
    orbits : tuple of int
        Relative orbits.
    cloud, aot : (float or None, float or None)
        Least and most cloud of the observed pixels [%], least and most mean AOT at 550 nm [-].
    flags : tuple of str
        ``rain``, ``hot_spot``, ``sun_glint``, ``cirrus``: all of them were raised.
    simulated : bool, optional
    withdrawn : bool
        Also products that were withdrawn.
    replaced : bool
        Also products of which a newer revision took the place.
    expressions : tuple of str
        Filters of CQL2, in JSON, that all have to hold: see `expressions`.
    order : str
        One of `ORDERS`, or names of `expressions.PROPERTIES` with commas, a minus before each that goes down. What a
        product doesn't have comes last.
    """

    identifiers: tuple[str, ...] = ()
    tiles: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    area: Geometry | None = None
    first: datetime | None = None
    last: datetime | None = None
    changed_since: datetime | None = None
    published_since: datetime | None = None
    published_before: datetime | None = None
    versions: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    orbits: tuple[int, ...] = ()
    cloud: tuple[float | None, float | None] = (None, None)
    aot: tuple[float | None, float | None] = (None, None)
    flags: tuple[str, ...] = ()
    simulated: bool | None = None
    withdrawn: bool = False
    replaced: bool = False
    expressions: tuple[str, ...] = ()
    order: str = "-sensing"


@dataclass(frozen=True)
class Found:
    """One product; `shown_by_default` unless another version, another revision or its withdrawal hides it."""

    product: Product
    quality: Quality | None
    shown_by_default: bool


@dataclass(frozen=True)
class Page:
    """Some answers, and the key that gives those after them: None at the end.

    `matching` is what holds of all that fit, for `count`: which products lie in an area is half of the work.
    """

    found: tuple[Found, ...]
    after: str | None
    matching: tuple[sa.ColumnElement[bool], ...] = field(default=(), repr=False, compare=False)


def find(session: Session, search: Search, limit: int = 50, after: str | None = None) -> Page:
    """Products that fit.

    Parameters
    ----------
    limit : int
        Most products of the page.
    after : str, optional
        Key that the page before ended with.

    Raises
    ------
    SearchError
        If the order, a flag or the key is none.
    """
    _bounded(search)
    keys = _keys(search.order)
    conditions = _conditions(session, search)
    beyond = [] if after is None else [_beyond(keys, _values(keys, after))]
    query = (
        sa.select(Product, Quality, _default(), *(column for _, column, _ in keys))
        .outerjoin(Quality, Quality.job_id == Product.job_id)
        .where(*conditions, *beyond)
        .order_by(*_ordered(keys))
        .limit(limit + 1)
    )
    rows = session.execute(query).all()
    found = tuple(Found(row[0], row[1], bool(row[2])) for row in rows[:limit])
    session.expunge_all()
    return Page(found, _token(keys, rows[limit - 1][3:]) if len(rows) > limit else None, tuple(conditions))


#: A key that answers are ordered by: its kind, its column, and whether it goes down.
_Key = tuple[str, Any, bool]


def _keys(order: str) -> list[_Key]:
    """What an order is by; the last key is the product's own, so that no two are alike.

    Raises
    ------
    SearchError
        If it is none.
    """
    names = [part.strip() for part in order.split(",")]
    if not all(names) or len(names) > MOST_KEYS:
        raise SearchError(f"{order} is no order of 1 to {MOST_KEYS} names")
    keys: list[_Key] = []
    for name in names:
        plain = name.lstrip("+-")
        known = expressions.PROPERTIES.get({"sensing": "datetime"}.get(plain, plain))
        if known is None:
            raise SearchError(f"{plain} is no order: {', '.join((*ORDERS, *expressions.PROPERTIES))}")
        column = known.column()
        if known.kind == "boolean":  # which databases don't order
            column = sa.case((column, 1), else_=0)
        keys.append((known.kind, column, name.startswith("-")))
    return [*keys, ("integer", Product.id, keys[0][2])]


def _plain(keys: list[_Key]) -> bool:
    """Whether an order is one of `ORDERS`: by a time that every product has, and for which there is an index."""
    return len(keys) == 2 and any(keys[0][1] is column for column in (Product.sensing, Product.published))


def _ordered(keys: list[_Key]) -> list[sa.ColumnElement[Any]]:
    if _plain(keys):
        return [column.desc() if down else column.asc() for _, column, down in keys]
    by: list[sa.ColumnElement[Any]] = []
    for _, column, down in keys[:-1]:
        by += [column.is_(None), column.desc() if down else column.asc()]
    return [*by, keys[-1][1].desc() if keys[-1][2] else keys[-1][1].asc()]


def _beyond(keys: list[_Key], values: list[Any]) -> sa.ColumnElement[bool]:
    """Whether a product comes after one with these values."""
    if _plain(keys) and keys[0][2] == keys[1][2]:
        columns = sa.tuple_(*(column for _, column, _ in keys))
        last = sa.tuple_(*(sa.literal(v, column.type) for v, (_, column, _) in zip(values, keys, strict=True)))
        beyond: sa.ColumnElement[bool] = columns < last if keys[0][2] else columns > last
        return beyond
    (_, column, down), value = keys[0], values[0]
    if value is None:  # those that have none are the last, and alike
        return sa.and_(column.is_(None), _beyond(keys[1:], values[1:])) if len(keys) > 1 else sa.false()
    further: sa.ColumnElement[bool] = column < value if down else column > value
    if len(keys) == 1:
        return further
    same = sa.and_(column == value, _beyond(keys[1:], values[1:]))
    return sa.or_(further, same, column.is_(None))


def _token(keys: list[_Key], values: Sequence[Any]) -> str:
    """The key of a page that ends with these values."""
    if _plain(keys):
        return f"{(values[0] - _EPOCH) // timedelta(microseconds=1)}.{values[1]}"
    said = [v.isoformat() if isinstance(v, datetime) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


def _values(keys: list[_Key], after: str) -> list[Any]:
    """What a page ended with, by its key.

    Raises
    ------
    SearchError
        If it is none of this order.
    """
    if _plain(keys):
        return list(_key(after))
    try:
        values = json.loads(base64.urlsafe_b64decode(after.encode("ascii")))
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError
        return [_read(kind, value) for (kind, _, _), value in zip(keys, values, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError):  # OverflowError: of a time of year 1 in another zone
        raise SearchError(f"{after[:100]} is no key of a page") from None


def _read(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "time":
        return datetime.fromisoformat(value).astimezone(UTC)
    kinds: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool, int)}
    if not isinstance(value, kinds.get(kind, (int, float))) or "\x00" in str(value) or abs(_size(value)) > 2**62:
        raise ValueError
    return value


def _size(value: Any) -> float:
    return value if isinstance(value, int | float) else 0


def _bounded(search: Search) -> None:
    """Refuse what no database takes.

    Raises
    ------
    SearchError
        If a list is too long, an orbit too large, or a text holds a NUL or half of a character.
    """
    listed = (search.identifiers, search.tiles, search.sites, search.versions, search.platforms, search.flags)
    if sum(map(len, (*listed, search.orbits))) > MOST_VALUES:
        raise SearchError(f"the search names more than {MOST_VALUES} things")
    if any(abs(orbit) > MOST_ORBITS for orbit in search.orbits):
        raise SearchError(f"there is no relative orbit above {MOST_ORBITS}")
    for text in (text for texts in listed for text in texts):
        if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
            raise SearchError("the search has a character that no name has")


def count(session: Session, search: Search, most: int = 1000, page: Page | None = None) -> int:
    """How many fit; counting stops at `most`.

    Parameters
    ----------
    page : Page, optional
        One that was just found by the same search.
    """
    _bounded(search)
    matching = _conditions(session, search) if page is None else page.matching
    query = sa.select(Product.id).where(*matching).limit(most)
    if search.expressions or search.flags or any((*search.cloud, *search.aot)) or 0 in (*search.cloud, *search.aot):
        query = query.outerjoin(Quality, Quality.job_id == Product.job_id)
    return session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0


def understand(session: Session, text: str, search: Search | None = None) -> Search:
    """A search from words: tiles, dates, versions, platforms, orbits, flags, names of products and of sites.

    ``toulouse 2023-08 V1_4 S2A R051 rain``; the name of a product or of a Level-1C package is taken apart.

    Parameters
    ----------
    search : Search, optional
        What the words add to.

    Raises
    ------
    SearchError
        If a word is none of them.
    """
    search = search or Search()
    if len(text) > LONGEST:
        raise SearchError(f"the search has more than {LONGEST} characters")
    rest: list[str] = []
    for word in re.split(r"[\s,;_]+", _VERSION.sub(r" V\1.\2 ", text)):
        plain = bare(word).upper()
        tile, platform = plain.removeprefix("T"), plain.replace("SENTINEL", "S")
        date = _DATE.fullmatch(plain)
        if not plain or _NOISE.fullmatch(plain):
            continue
        if len(tile) == 5 and tiling.valid(tile):
            search = replace(search, tiles=(*search.tiles, tile))
        elif re.fullmatch(r"S2[A-Z]", platform):
            search = replace(search, platforms=(*search.platforms, platform))
        elif re.fullmatch(r"V\d\.\d", plain):
            search = replace(search, versions=(*search.versions, plain.replace(".", "_")))
        elif re.fullmatch(r"R\d{1,3}", plain):
            search = replace(search, orbits=(*search.orbits, int(plain[1:])))
        elif plain.lower().replace("-", "") in FLAGS:
            search = replace(search, flags=(*search.flags, FLAGS[plain.lower().replace("-", "")]))
        elif date:
            first, last = period(word, *(int(part) for part in date.groups() if part))
            search = replace(search, first=max(filter(None, (search.first, first))))
            search = replace(search, last=min(filter(None, (search.last, last))))
        else:
            rest.append(word)
    return replace(search, sites=(*search.sites, *_sites(session, rest))) if rest else search


def period(text: str, year: int, month: int | None = None, day: int | None = None) -> tuple[datetime, datetime]:
    """First and last moment of a year, a month or a day.

    Raises
    ------
    SearchError
        If there is no such date; `text` is what is named.
    """
    try:
        first = datetime(year, month or 1, day or 1, tzinfo=UTC)
        following = (
            first + timedelta(days=1)
            if day
            else datetime(year + (month or 12) // 12, (month or 0) % 12 + 1, 1, tzinfo=UTC)
        )
    except (ValueError, OverflowError):
        raise SearchError(f"{text}: there is no such date") from None
    return first, following - timedelta(microseconds=1)


def changes(session: Session, products: Iterable[Product]) -> dict[int, datetime]:
    """When products were last withdrawn or reinstated, by id; the others have no key."""
    query = (
        sa.select(Event.product_id, sa.func.max(Event.time))
        .where(Event.kind.in_(CHANGES), Event.product_id.in_([product.id for product in products]))
        .group_by(Event.product_id)
    )
    return {number: time for number, time in session.execute(query) if number is not None}


def _folded(text: str) -> str:
    """Without accents and capitals."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()


def _sites(session: Session, words: Sequence[str]) -> list[str]:
    """Sites whose code, name or country holds all words."""
    sites = [(s.code, _folded(f"{s.code} {s.name} {s.country}")) for s in session.scalars(sa.select(Site))]
    for word in words:
        if not any(_folded(word) in text for _, text in sites):
            raise SearchError(
                f"{word} is no tile, date, version, platform, orbit (R051), flag, product or site of this centre"
            )
    found = [code for code, text in sites if all(_folded(word) in text for word in words)]
    if not found:
        raise SearchError(f"no site has all of the words {' '.join(words)}")
    return found


def _default() -> sa.ColumnElement[bool]:
    """Whether a product is the one that users get without asking for another."""
    current = sa.select(Tile.current_version).where(Tile.mgrs == Product.tile).scalar_subquery()
    return sa.and_(Product.current, Product.valid, Product.version == current)


def _conditions(session: Session, search: Search) -> list[sa.ColumnElement[bool]]:
    conditions = [
        *_of_place(session, search),
        *_of_time(session, search),
        *_of_versions(session, search),
        *_of_figures(search),
        *(expressions.condition(session, json.loads(text)) for text in search.expressions),
    ]
    if search.simulated is not None:
        conditions.append(Product.simulated.is_(search.simulated))
    if not search.withdrawn:
        conditions.append(Product.valid.is_(True))
    if not search.replaced:
        conditions.append(Product.current.is_(True))
    return conditions


def _of_place(session: Session, search: Search) -> list[sa.ColumnElement[bool]]:
    """Which products by name, tile and orbit."""
    conditions: list[sa.ColumnElement[bool]] = []
    if search.identifiers:
        conditions.append(Product.identifier.in_(search.identifiers))
    tiles = _tiles(session, search)
    if search.area is not None:
        there, near = places.condition(session, "s_intersects", search.area, tiles)
        conditions.append(there)
        if len(near) <= places.MANY:  # for the index
            conditions.append(places.of_tiles(near))
    elif tiles is not None:
        conditions.append(places.of_tiles(tiles))
    for name, column in (("platforms", Product.platform), ("orbits", Product.relative_orbit)):
        if values := getattr(search, name):
            conditions.append(column.in_(values))
    return conditions


def _of_time(session: Session, search: Search) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if search.first is not None:
        conditions.append(Product.sensing >= search.first)
    if search.last is not None:
        conditions.append(Product.sensing <= search.last)
    if search.changed_since is not None:
        published = Product.published >= search.changed_since
        later = session.scalars(
            sa.select(Event.product_id).where(Event.kind.in_(CHANGES), Event.time >= search.changed_since).distinct()
        ).all()
        conditions.append(sa.or_(published, Product.id.in_(later)) if later else published)  # the plain one is faster
    if search.published_since is not None:
        conditions.append(Product.published >= search.published_since)
    if search.published_before is not None:
        conditions.append(Product.published < search.published_before)
    return conditions


def _of_versions(session: Session, search: Search) -> list[sa.ColumnElement[bool]]:
    if search.versions == ("all",):
        return []
    if search.versions:
        return [Product.version.in_(search.versions)]
    current = sa.select(Tile.current_version).where(Tile.mgrs == Product.tile).scalar_subquery()
    produced = session.scalars(sa.select(Tile.current_version).distinct()).all()
    if len(produced) == 1 and produced[0] is not None:  # all tiles have the same: nothing to look up for each product
        return [Product.version == produced[0]]
    return [Product.version.in_(produced), Product.version == current]  # the first is for the index


def _of_figures(search: Search) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    measured = ((search.cloud, Quality.cloud_percent), (search.aot, Quality.aot_mean))
    for (least, most), figure in measured:
        if least is not None:
            conditions.append(figure >= least)
        if most is not None:
            conditions.append(figure <= most)
    for flag in search.flags:
        if flag not in FLAGS.values():
            raise SearchError(f"{flag} is no flag: {', '.join(dict.fromkeys(FLAGS.values()))}")
        conditions.append(Quality.flags[flag].as_boolean())
    return conditions


def _tiles(session: Session, search: Search) -> set[str] | None:
    """The tiles that a product may be of, wherever its data lie; None: any."""
    tiles = set(search.tiles) if search.tiles else None
    if search.sites:
        of_sites = set(session.scalars(sa.select(SiteTile.tile).where(SiteTile.site.in_(search.sites))))
        tiles = of_sites if tiles is None else tiles & of_sites
    return tiles


def _key(after: str) -> tuple[datetime, int]:
    match = re.fullmatch(r"(-?\d{1,17})\.(\d{1,18})", after)
    try:
        if match:
            return _EPOCH + timedelta(microseconds=int(match[1])), int(match[2])
    except OverflowError:
        pass
    raise SearchError(f"{after} is no key of a page")


def extent(
    session: Session, *, default: bool = False
) -> tuple[tuple[float, float, float, float], tuple[datetime | None, datetime | None]]:
    """West, south, east, north of what is there [deg], and the times of the first and the last product.

    Parameters
    ----------
    default : bool
        Only of what users get without asking for another version.

    Returns
    -------
    (bounds, (first, last))
        The world and no times without products.
    """
    wanted = [_default()] if default else []
    ends = sa.select(sa.func.min(Product.sensing), sa.func.max(Product.sensing)).where(*wanted)
    first, last = session.execute(ends).one()
    whole = sa.or_(Holding.product_id.is_(None), Holding.footprint.is_(None))
    tiles = set(
        session.scalars(
            sa.select(Product.tile)
            .outerjoin(Holding, Holding.product_id == Product.id)
            .where(whole, *wanted)
            .distinct()
        )
    )
    parts = session.scalars(
        sa.select(Holding.footprint)
        .join(Product, Product.id == Holding.product_id)
        .where(Holding.footprint.is_not(None), Product.tile.not_in(tiles), *wanted)
    ).all()
    shapes = [*places.tree(tuple(sorted(tiles)))[0].geometries, *from_wkb(list(parts))]
    if not shapes:
        return (-180.0, -90.0, 180.0, 90.0), (first, last)
    bounds = np.array([shape.bounds for shape in shapes])
    west, south = np.maximum(bounds[:, :2].min(axis=0), (-180, -90)).tolist()
    east, north = np.minimum(bounds[:, 2:].max(axis=0), (180, 90)).tolist()
    return (west, south, east, north), (first, last)
