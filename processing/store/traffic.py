"""What was brought from each source, by the hour: accounts have quotas that roll."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.dialect import insert
from processing.store.models import Traffic

#: Of the Copernicus Data Space's quota.
WINDOW = timedelta(days=30)


@dataclass(frozen=True)
class Brought:
    """From one source: bytes of the last hour, day and 30 days, the last day's rate while it was busy [bytes s⁻¹], and
    the bytes that its account may have in 30 days, None where nobody says.
    """

    source: str
    hour: int
    day: int
    window: int
    rate: float | None
    quota: int | None


def count(session: Session, source: str, time: datetime, size: int, seconds: float, quota: int | None = None) -> None:
    """Add bytes that came in some seconds to those of their hour."""
    hour = time.replace(minute=0, second=0, microsecond=0)
    row = insert(session, Traffic).values(source=source, hour=hour, bytes=size, seconds=seconds, quota=quota)
    more = {
        "bytes": Traffic.bytes + row.excluded.bytes,
        "seconds": Traffic.seconds + row.excluded.seconds,
        "quota": row.excluded.quota,
    }
    session.execute(row.on_conflict_do_update(index_elements=[Traffic.source, Traffic.hour], set_=more))


def used(session: Session, source: str, time: datetime) -> int:
    """Bytes that came from a source in the 30 days before."""
    total = sa.select(sa.func.sum(Traffic.bytes)).where(Traffic.source == source, Traffic.hour > time - WINDOW)
    return int(session.scalar(total) or 0)


def brought(session: Session, time: datetime) -> list[Brought]:
    """From each source that something came from in the 30 days before; by name."""
    found: dict[str, list[Traffic]] = {}
    rows = sa.select(Traffic).where(Traffic.hour > time - WINDOW).order_by(Traffic.source, Traffic.hour)
    for row in session.scalars(rows):
        found.setdefault(row.source, []).append(row)
    return [_brought(source, rows, time) for source, rows in found.items()]


def _brought(source: str, rows: list[Traffic], time: datetime) -> Brought:
    def within(span: timedelta) -> list[Traffic]:
        return [row for row in rows if row.hour > time - span]

    day = within(timedelta(hours=24))
    busy = sum(row.seconds for row in day)
    return Brought(
        source,
        sum(row.bytes for row in within(timedelta(hours=1))),
        sum(row.bytes for row in day),
        sum(row.bytes for row in rows),
        sum(row.bytes for row in day) / busy if busy > 0 else None,
        rows[-1].quota,
    )
