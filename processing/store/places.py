"""Which products lie where: by the area that has data, as far as that is kept; else by the tile's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray
from shapely import Geometry, STRtree, affinity
from shapely.geometry import Polygon
from sqlalchemy.orm import Session

from processing import tiling
from processing.errors import SearchError
from processing.store.models import Holding, Product, Tile

#: What may hold between the place of a product and an area; all but the last ask that they touch.
PREDICATES: dict[str, Callable[..., Any]] = {
    "s_intersects": shapely.intersects,
    "s_within": shapely.within,
    "s_contains": shapely.contains,
    "s_equals": shapely.equals,
    "s_touches": shapely.touches,
    "s_overlaps": shapely.overlaps,
    "s_crosses": shapely.crosses,
    "s_disjoint": shapely.disjoint,
}
#: Predicates that hold of every part of a tile where the whole tile lies in the area.
_OF_PARTS = ("s_intersects", "s_within")
#: More tiles than these are not looked up one by one.
MANY = 40
#: How far to the west and to the east of Greenwich tiles go that lie across 180 degrees. [deg]
FARTHEST = 200.0
#: Half of a turn, and what is taken for all of it. [deg]
HALF, ALL_ROUND = 180.0, 359.0
#: The tiles of each store, as they were read last.
_tiles: WeakKeyDictionary[Any, tuple[str, ...]] = WeakKeyDictionary()


@lru_cache(maxsize=4)
def tree(tiles: tuple[str, ...]) -> tuple[STRtree, tuple[str, ...]]:
    """Footprints of tiles, and the names of those that are tiles at all."""
    named = [tile for tile in tiles if tiling.valid(tile)]
    return STRtree([Polygon(tiling.footprint(tile)) for tile in named]), tuple(named)


def touching(tiles: Iterable[str], area: Geometry) -> set[str]:
    """Those of the tiles that an area touches. Longitudes may go on beyond 180 degrees."""
    return _touching(tiles, _turns(area))


def _touching(tiles: Iterable[str], turns: list[Geometry]) -> set[str]:
    shapes, names = tree(tuple(sorted(tiles)))
    found = [shapes.query(each, predicate="intersects") for each in turns]
    return {names[i] for i in np.unique(np.concatenate(found))}


def _turns(area: Geometry) -> list[Geometry]:
    """The same area, and as it is called one turn to the west and to the east where a tile may lie there."""
    west, _, east, _ = area.bounds
    there = [turn for turn in (-360, 360) if west + turn <= FARTHEST and east + turn >= -FARTHEST]
    return [area, *(affinity.translate(area, xoff=turn) for turn in there)]


def _all(session: Session) -> tuple[str, ...]:
    """The tiles of a store, in order. They are read again when there are more of them: none is ever taken away."""
    count = session.scalar(sa.select(sa.func.count()).select_from(Tile)) or 0
    known = _tiles.get(session.get_bind())
    if known is None or len(known) != count:
        _tiles[session.get_bind()] = known = tuple(session.scalars(sa.select(Tile.mgrs).order_by(Tile.mgrs)))
    return known


def condition(
    session: Session, predicate: str, area: Geometry, within: Iterable[str] | None = None
) -> tuple[sa.ColumnElement[bool], set[str]]:
    """Where a predicate holds between a product's place and an area.

    Parameters
    ----------
    predicate : str
        Of `PREDICATES`.
    area : Geometry
        [deg]
    within : iterable of str, optional
        Tiles that are looked at; all of them without.

    Returns
    -------
    (condition, set of str)
        And the tiles that such products may be of; of no use to ``s_disjoint``.
    """
    if predicate not in PREDICATES:
        raise SearchError(f"{predicate} is none of {', '.join(PREDICATES)}")
    tiles = within if within is not None else _all(session)
    if predicate == "s_disjoint":
        touched, _ = condition(session, "s_intersects", area, tiles)
        return sa.not_(touched), set(tiles)
    turns = _turns(area)
    near = _touching(tiles, turns)
    listed = np.array(sorted(near), np.str_)
    shapes = np.array([_tile(tile) for tile in listed.tolist()], np.object_)
    whole_tiles = _lie_in(shapes, turns) if predicate in _OF_PARTS else np.zeros(len(listed), bool)
    sure, rest = set(listed[whole_tiles].tolist()), listed[~whole_tiles].tolist()
    holds = set(listed[~whole_tiles][_holds(predicate, shapes[~whole_tiles], turns)].tolist())
    numbers, names, places = _own(session, rest)
    own = _holds(predicate, places, turns)
    whole = np.isin(names, list(holds))
    some: list[sa.ColumnElement[bool]] = []
    if sure or holds:
        of_them = of_tiles(sure | holds)
        some.append(sa.and_(of_them, sa.not_(_among(numbers[whole & ~own]))) if (whole & ~own).any() else of_them)
    if (own & ~whole).any():
        some.append(_among(numbers[own & ~whole]))
    return (sa.or_(*some) if some else sa.false()), near


def of_tiles(tiles: Iterable[str]) -> sa.ColumnElement[bool]:
    """Whether a product is of one of the tiles."""
    names = sorted(tiles)
    # Of many tiles the products are better met in order of time, than all found and sorted: no index for them.
    return (Product.tile if len(names) <= MANY else Product.tile.concat("")).in_(names)


def _among(numbers: NDArray[np.int64]) -> sa.ColumnElement[bool]:
    """Whether a product's key is one of these, written out: there may be more than a database takes as parameters."""
    return Product.id.in_(sa.bindparam(None, numbers.tolist(), expanding=True, literal_execute=True))


@lru_cache(maxsize=100_000)
def _tile(tile: str) -> Polygon:
    return Polygon(tiling.footprint(tile))


def _lie_in(shapes: Any, turns: list[Geometry]) -> NDArray[np.bool_]:
    covered: NDArray[np.bool_] = np.logical_or.reduce([shapely.covers(each, shapes) for each in turns])
    return covered


def _holds(predicate: str, places: Any, turns: list[Geometry]) -> NDArray[np.bool_]:
    test = PREDICATES[predicate]
    held: NDArray[np.bool_] = np.logical_or.reduce([test(places, each) for each in turns])
    return held


def _own(session: Session, tiles: list[str]) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.object_]]:
    """Keys, tiles and places of the products of tiles that have data in a part of them only."""
    rows: list[Any] = []
    if tiles:
        query = (
            sa.select(Product.id, Product.tile, Holding.footprint)
            .join(Holding, Holding.product_id == Product.id)
            .where(Product.tile.in_(tiles), Holding.footprint.is_not(None))
        )
        rows = list(session.execute(query))
    numbers = np.array([row[0] for row in rows], np.int64)
    names = np.array([row[1] for row in rows], np.str_)
    return numbers, names, shapely.from_wkb(np.array([row[2] for row in rows], np.object_))


def the_short_way(area: Geometry) -> Geometry:
    """The same area, its edges the short way round the globe: one across 180 degrees, written with longitudes of
    both signs, has some of more than half a turn. A box around all of the globe stays one.
    """
    written = list(shapely.get_parts(area))
    parts = [_short(part) for part in written]
    if all(part is before for part, before in zip(parts, written, strict=True)):
        return area
    whole = shapely.union_all(parts) if len(parts) > 1 else parts[0]
    return whole if whole.is_valid else area


def _short(part: Geometry) -> Geometry:
    outline = part.exterior if part.geom_type == "Polygon" else part
    steps = np.abs(np.diff(shapely.get_coordinates(outline)[:, 0]))
    if not ((steps > HALF) & (steps < ALL_ROUND)).any():
        return part
    return shapely.transform(part, lambda lon, lat: (lon + 360 * (lon < 0), lat), interleaved=False)


def rectangle(west: float, south: float, east: float, north: float) -> Geometry:
    """The area between two meridians and two parallels; one that crosses 180 degrees has its west above its east.

    Raises
    ------
    SearchError
        If it is none.
    """
    try:
        fine = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90
    except TypeError:
        fine = False
    if not fine:
        raise SearchError(f"{west:g},{south:g},{east:g},{north:g} is no rectangle of west, south, east, north")
    return shapely.box(west, south, east if east >= west else east + 360, north)
