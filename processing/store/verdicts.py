"""What readers said of products: kept one after the other, never changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from shapely import from_geojson, get_coordinates
from shapely.errors import GEOSException
from shapely.geometry import box, mapping
from sqlalchemy.orm import Session, contains_eager

from processing import tiling
from processing.errors import BadArea, UnknownName
from processing.people import Actor
from processing.store import events
from processing.store.dialect import now
from processing.store.models import REASONS, VERDICTS, Product, Verdict

#: Most corners of an area: a hand draws no more.
CORNERS = 10_000
#: Longest comment. [characters]
COMMENT = 4_000


def product(session: Session, identifier: str) -> Product:
    """The newest revision of a product.

    Raises
    ------
    UnknownName
        If the store does not know it.
    """
    query = sa.select(Product).where(Product.identifier == identifier).order_by(Product.revision.desc()).limit(1)
    found = session.scalar(query)
    if found is None:
        raise UnknownName(f"{identifier}: no product of this name")
    return found


def keep(
    session: Session,
    product: Product,
    verdict: str,
    actor: Actor,
    *,
    reasons: Iterable[str] = (),
    comment: str = "",
    areas: Iterable[Mapping[str, Any]] = (),
) -> Verdict:
    """Add a verdict; those before it stay, and of this reader's it is the one that holds.

    Parameters
    ----------
    verdict : str
        Of `VERDICTS`.
    actor : Actor
        Who says so: the reader.
    reasons : iterable of str
        Of `REASONS`.
    areas : iterable of mapping
        ``geometry``: a GeoJSON polygon in the tile's projection [m]; ``reason``: of `REASONS`, or None.

    Raises
    ------
    ValueError
        If verdict or reason is not one of those, or nobody says so.
    BadArea
        If an area is no polygon, is empty, crosses itself or lies outside of the tile.
    NotAllowed
        If the reader may not judge.
    """
    actor.require("judge")
    reasons, reader = list(dict.fromkeys(reasons)), actor.name.strip()
    if len(comment) > COMMENT:
        raise ValueError(f"the comment has more than {COMMENT} characters")
    if verdict not in VERDICTS:
        raise ValueError(f"{verdict!r} is not one of {', '.join(VERDICTS)}")
    if not reader:
        raise ValueError("a verdict needs the name of its reader")
    kept: list[dict[str, Any]] = [
        {"geometry": checked_area(product.tile, area["geometry"]), "reason": area.get("reason")} for area in areas
    ]
    if strange := {*reasons, *(a["reason"] for a in kept if a["reason"])} - set(REASONS):
        raise ValueError(f"{', '.join(sorted(strange))}: not one of {', '.join(REASONS)}")
    row = Verdict(
        product_id=product.id,
        verdict=verdict,
        reasons=reasons,
        areas=kept,
        crs=tiling.grid(product.tile).crs,
        comment=comment.strip(),
        reader=reader,
        time=now(session),
    )
    session.add(row)
    session.flush()
    place = {"tile": product.tile, "version": product.version, "product_id": product.id}
    events.audit(session, row.time, "judged", actor, data={"verdict": verdict}, **place)
    return row


def take_back(session: Session, product: Product, actor: Actor) -> Verdict | None:
    """Undo a reader's last verdict: what the reader had said before holds again. None if there is nothing to undo."""
    said = sa.select(Verdict).where(Verdict.product_id == product.id, Verdict.reader == actor.name.strip())
    rows = session.scalars(said.order_by(Verdict.id.desc()).limit(2)).all()
    if not rows or rows[0].verdict == "none":
        return None
    before = rows[1] if len(rows) > 1 else None
    again: dict[str, Any] = {}
    if before is not None:
        again = {"reasons": before.reasons, "comment": before.comment, "areas": before.areas}
    return keep(session, product, before.verdict if before else "none", actor, **again)


def verdicts_of(session: Session, identifiers: Iterable[str] | None = None) -> dict[str, list[Verdict]]:
    """The verdicts that hold, by product: the last one of each reader, in the order they were given.

    Only of current revisions; a product nobody judges has no key. `identifiers` None: of all products.
    """
    last = sa.select(sa.func.max(Verdict.id)).group_by(Verdict.product_id, Verdict.reader)
    query = (
        sa.select(Verdict)
        .join(Verdict.product)
        .options(contains_eager(Verdict.product))
        .where(Verdict.id.in_(last), Verdict.verdict != "none", Product.current)
        .order_by(Verdict.id)
    )
    if identifiers is not None:
        query = query.where(Product.identifier.in_(list(identifiers)))
    found: dict[str, list[Verdict]] = {}
    for verdict in session.scalars(query):
        found.setdefault(verdict.product.identifier, []).append(verdict)
    return found


def worst(verdicts: Sequence[Verdict]) -> str:
    """One word for a product that several readers judged: the worst; empty where nobody did."""
    return max((v.verdict for v in verdicts), key=VERDICTS.index, default="")


def checked_area(tile: str, geometry: Mapping[str, Any]) -> dict[str, Any]:
    """A polygon as it may be kept: in the tile's projection, cut at the tile's edge. [m]

    Raises
    ------
    BadArea
        If it is no polygon, is empty, crosses itself or lies outside of the tile.
    """
    try:
        polygon = from_geojson(json.dumps(geometry))
        if len(get_coordinates(polygon)) > CORNERS:
            raise BadArea(f"an area has more than {CORNERS} corners")
    except (GEOSException, TypeError, ValueError) as error:
        raise BadArea(f"an area is no GeoJSON polygon: {error}") from None
    if polygon.geom_type not in ("Polygon", "MultiPolygon"):
        raise BadArea(f"an area is a {polygon.geom_type}, not a polygon")
    if not polygon.convex_hull.area > 0:
        raise BadArea("an area is empty")
    if not polygon.is_valid:
        raise BadArea("an area crosses itself")
    grid = tiling.grid(tile)
    inside = polygon.intersection(box(grid.west, grid.south, grid.east, grid.north))
    if not inside.area > 0:
        west, north = get_coordinates(polygon).mean(axis=0)
        raise BadArea(f"an area near {west:.0f} E, {north:.0f} N ({grid.crs}) lies outside of the tile {tile}")
    shape: dict[str, Any] = json.loads(json.dumps(mapping(inside)))
    return shape
