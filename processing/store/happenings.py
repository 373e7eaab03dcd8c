"""What happened to products, the newest first: for feeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.models import Event, Product, SiteTile

#: Events that users are told of.
TOLD = ("published", "withdrawn", "reinstated")


@dataclass(frozen=True)
class Happening:
    """One event of a product: its number, kind and time, and the reason where one was given."""

    number: int
    kind: str
    time: datetime
    reason: str
    product: Product


def of_products(session: Session, *, site: str = "", tile: str = "", most: int = 100) -> Sequence[Happening]:
    """The last events of a site's or tile's products; of all where neither is named."""
    query = (
        sa.select(Event, Product)
        .join(Product, Product.id == Event.product_id)
        .where(Event.kind.in_(TOLD))
        .order_by(Event.id.desc())
        .limit(most)
    )
    return [_happening(*row) for row in session.execute(narrowed(query, site, tile))]


def after(session: Session, last: int, *, site: str = "", tile: str = "", most: int = 100) -> Sequence[Happening]:
    """The same from after an event on, the oldest first."""
    query = (
        sa.select(Event, Product)
        .join(Product, Product.id == Event.product_id)
        .where(Event.id > last, Event.kind.in_(TOLD))
        .order_by(Event.id)
        .limit(most)
    )
    return [_happening(*row) for row in session.execute(narrowed(query, site, tile))]


def narrowed(query: sa.Select[Event, Product], site: str, tile: str) -> sa.Select[Event, Product]:
    """A query for the products of a site or a tile only."""
    if tile:
        query = query.where(Product.tile == tile)
    if site:
        query = query.where(Product.tile.in_(sa.select(SiteTile.tile).where(SiteTile.site == site)))
    return query


def _happening(event: Event, product: Product) -> Happening:
    return Happening(event.id, event.kind, event.time, str((event.data or {}).get("reason", "")), product)
