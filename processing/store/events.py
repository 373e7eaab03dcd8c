"""The event log and the anomalies: what happened, in order, and which failures are going on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.people import Actor
from processing.store.dialect import insert
from processing.store.models import Anomaly, Event

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
