"""The event log and the anomalies: what happened, in order, and which failures are going on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.people import Actor
from processing.store.dialect import insert
from processing.store.models import Anomaly, Event, Product

#: What people did at the door. Operators don't see it among what happened to dates, and no page is drawn again for it.
DOOR = ("signed_in", "signed_out", "sign_in_refused", "request_refused", "sessions_revoked")
#: An anomaly without a new case for this long is over.
ANOMALY_LIFE = timedelta(days=1)


def record(session: Session, time: datetime, kind: str, **fields: Any) -> None:
    """Append an event. `fields`: severity, tile, version, job_id, product_id, actor, origin, `data` (for JSON)."""
    session.add(Event(time=time, kind=kind, **fields))


def audit(session: Session, time: datetime, kind: str, actor: Actor, **fields: Any) -> None:
    """Append an event of what somebody did: who, as what, from where, besides what `record` takes."""
    data = {**fields.pop("data", {}), "role": str(actor.role)}
    record(session, time, kind, actor=actor.name, origin=actor.origin, data=data, **fields)


@dataclass(frozen=True)
class Told:
    """An event as it is shown; `product` is an identifier."""

    number: int
    time: datetime
    kind: str
    severity: str
    tile: str | None
    version: str | None
    job_id: int | None
    product: str | None
    actor: str | None
    data: dict[str, Any]

    def json(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {**asdict(self), "time": self.time.isoformat(timespec="seconds")}


def find(
    session: Session, words: str = "", *, kind: str = "", tile: str = "", since: datetime, limit: int = 100
) -> list[Told]:
    """Events that have all of some words, in any of what is told of them and in any case; the newest first."""
    query = (
        sa.select(Event, Product.identifier)
        .outerjoin(Product, Product.id == Event.product_id)
        .where(Event.time >= since, Event.kind.not_in(DOOR))
        .order_by(Event.id.desc())
        .limit(limit)
    )
    if kind:
        query = query.where(Event.kind == kind)
    if tile:
        query = query.where(Event.tile == tile.upper().removeprefix("T"))
    for word in words.split():
        places = (Event.kind, Event.tile, Event.version, Event.actor, Product.identifier, sa.cast(Event.data, sa.Text))
        query = query.where(sa.or_(*(place.icontains(word, autoescape=True) for place in places)))
    return [
        Told(e.id, e.time, e.kind, e.severity, e.tile, e.version, e.job_id, product, e.actor, e.data)
        for e, product in session.execute(query)
    ]


def note_anomaly(session: Session, time: datetime, reason_class: str, signature: str, line: str) -> None:
    """Count a case of a failure; the first case opens its anomaly."""
    case = insert(session, Anomaly).values(
        reason_class=reason_class, signature=signature, last=line, opened=time, seen=time, count=1
    )
    session.execute(
        case.on_conflict_do_update(
            index_elements=["reason_class", "signature"],
            index_where=Anomaly.closed.is_(None),
            set_={"count": Anomaly.count + 1, "seen": time, "last": line},
        )
    )


def end_anomaly(session: Session, time: datetime, reason_class: str, signature: str) -> None:
    """Close an anomaly whose cause is seen to be gone."""
    session.execute(
        sa.update(Anomaly)
        .where(Anomaly.closed.is_(None), Anomaly.reason_class == reason_class, Anomaly.signature == signature)
        .values(closed=time)
    )


def close_anomalies(session: Session, time: datetime) -> None:
    """Close the anomalies whose last case is old."""
    session.execute(
        sa.update(Anomaly).where(Anomaly.closed.is_(None), Anomaly.seen < time - ANOMALY_LIFE).values(closed=time)
    )
