"""A centre that is drained: what runs comes to its end and nothing further starts, on any host, until it is let go on.

It is the last word of an operator among the events, so that every dispatcher of every host hears it.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.people import Actor
from processing.store import events
from processing.store.dialect import now
from processing.store.models import Event

#: The events by which a centre is drained, and let go on.
DRAINED, LET_GO_ON = "drained", "undrained"


def since(session: Session) -> datetime | None:
    """Since when the centre is drained; None where it is not."""
    drained, let_go_on = (_last(kind) for kind in (DRAINED, LET_GO_ON))
    begun, ended = session.execute(sa.select(drained, let_go_on)).one()
    return begun if begun is not None and (ended is None or begun > ended) else None


def _last(kind: str) -> sa.ScalarSelect[datetime]:
    return sa.select(sa.func.max(Event.time, type_=Event.time.type)).where(Event.kind == kind).scalar_subquery()


def begin(session: Session, actor: Actor) -> bool:
    """Start nothing further; False where that is so already.

    Raises
    ------
    NotAllowed
        If who asks may not.
    """
    return _say(session, actor, DRAINED, wanted=True)


def end(session: Session, actor: Actor) -> bool:
    """Let the centre go on; False where it does.

    Raises
    ------
    NotAllowed
        If who asks may not.
    """
    return _say(session, actor, LET_GO_ON, wanted=False)


def _say(session: Session, actor: Actor, kind: str, *, wanted: bool) -> bool:
    actor.require("order")
    if (since(session) is not None) is wanted:
        return False
    events.audit(session, now(session), kind, actor)
    session.flush()
    return True
