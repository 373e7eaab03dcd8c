"""What products' folders hold, kept with their rows."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

import shapely
import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.dialect import insert
from processing.store.models import Holding, Product

_CONTENTS = sa.select(Holding.product_id, Holding.contents).where(
    Holding.product_id.in_(sa.bindparam("ids", expanding=True))
)


def keep(session: Session, product_id: int, contents: dict[str, Any]) -> None:
    """Keep what lies in a product's folder, `Holdings.json`, in the place of what was kept before."""
    shape = contents.get("footprint")
    wkb = None if shape is None else shapely.to_wkb(shapely.geometry.shape(shape))
    packed = zlib.compress(json.dumps(contents, separators=(",", ":")).encode())
    row = insert(session, Holding).values(product_id=product_id, form=contents["form"], contents=packed, footprint=wkb)
    new = {name: row.excluded[name] for name in ("form", "contents", "footprint")}
    session.execute(row.on_conflict_do_update(index_elements=[Holding.product_id], set_=new))


def of(session: Session, product_ids: Iterable[int]) -> dict[int, bytes]:
    """What is kept of products, as it is kept, by their keys; the others have none."""
    rows = session.execute(_CONTENTS, {"ids": list(product_ids)})
    return {number: contents for number, contents in rows}


def unpacked(contents: bytes) -> dict[str, Any]:
    """`Holdings.json` from what is kept of a product."""
    found: dict[str, Any] = json.loads(zlib.decompress(contents))
    return found


def missing(session: Session, form: int, most: int, after: int = 0) -> list[tuple[int, str]]:
    """Products of which nothing is kept, or in a form before this one: keys above `after`, and paths in the archive."""
    query = (
        sa.select(Product.id, Product.path)
        .outerjoin(Holding, Holding.product_id == Product.id)
        .where(Product.id > after, sa.or_(Holding.product_id.is_(None), Holding.form != form))
        .order_by(Product.id)
        .limit(most)
    )
    return [(number, path) for number, path in session.execute(query)]
