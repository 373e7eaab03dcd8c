"""What was sent to whom, by day, user and product."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.dialect import insert
from processing.store.models import Download


def count(session: Session, rows: Iterable[tuple[str, str, str, int, int]]) -> None:
    """Add to the counts: day, name of a user, product, requests, bytes."""
    for day, user, product, requests, size in rows:
        row = insert(session, Download).values(day=day, user=user, product=product, requests=requests, bytes=size)
        more = {
            "requests": Download.requests + row.excluded.requests,
            "bytes": Download.bytes + row.excluded.bytes,
        }
        key = [Download.day, Download.user, Download.product]
        session.execute(row.on_conflict_do_update(index_elements=key, set_=more))


def totals(session: Session, since: str = "") -> list[tuple[str, str, int, int]]:
    """Of each user and product since a day: user, product, requests, bytes; those who took most first."""
    size = sa.func.sum(Download.bytes)
    query = (
        sa.select(Download.user, Download.product, sa.func.sum(Download.requests), size)
        .where(Download.day >= since)
        .group_by(Download.user, Download.product)
        .order_by(size.desc())
    )
    return [(user, product, int(requests), int(total)) for user, product, requests, total in session.execute(query)]
