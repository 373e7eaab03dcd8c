"""Addresses that are told when a product of a site or tile is published, withdrawn or reinstated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import UnknownName
from processing.people import Actor
from processing.store import events, happenings
from processing.store.dialect import now
from processing.store.happenings import Happening
from processing.store.models import Event, Site, Webhook

#: After so many failures in a row nobody is called any more.
MOST_FAILURES = 12
#: The first wait after a failure; each is twice the one before.
FIRST_WAIT = timedelta(seconds=30)


@dataclass(frozen=True)
class Call:
    """What one address has to be told: the events, oldest first, and the last event that was looked at."""

    key: int
    url: str
    secret: str
    told: list[dict[str, Any]]
    last: int


def add(session: Session, actor: Actor, url: str, secret: str, *, site: str = "", tile: str = "") -> Webhook:
    """Have an address told of what happens from now on: of a site, a tile, or everything.

    Raises
    ------
    UnknownName
        If there is no such site.
    """
    if site and session.get(Site, site) is None:
        raise UnknownName(f"{site}: no site of this centre")
    last = session.scalar(sa.select(sa.func.max(Event.id))) or 0
    made = now(session)
    row = Webhook(url=url, secret=secret, site=site or None, tile=tile or None, last_event=last, due=made, made=made)
    session.add(row)
    session.flush()
    events.audit(session, made, "webhook_added", actor, tile=tile or None, data={"url": url, "site": site})
    return row


def remove(session: Session, actor: Actor, key: int) -> None:
    """Tell an address no more.

    Raises
    ------
    UnknownName
        If there is none of that number.
    """
    row = session.get(Webhook, key)
    if row is None:
        raise UnknownName(f"{key}: no webhook of that number")
    events.audit(session, now(session), "webhook_removed", actor, data={"url": row.url})
    session.delete(row)


def everything(session: Session) -> list[Webhook]:
    """All of them."""
    return list(session.scalars(sa.select(Webhook).order_by(Webhook.id)))


def due(session: Session, most: int = 100) -> list[Call]:
    """Whom to call now, each with at most so many events."""
    time = now(session)
    rows = session.scalars(
        sa.select(Webhook).where(Webhook.due <= time, Webhook.failures < MOST_FAILURES).order_by(Webhook.id)
    ).all()
    calls = []
    for row in rows:
        found = happenings.after(session, row.last_event, site=row.site or "", tile=row.tile or "", most=most)
        if found:
            calls.append(Call(row.id, row.url, row.secret, [_said(one) for one in found], found[-1].number))
    return calls


def _said(one: Happening) -> dict[str, Any]:
    return {
        "event": one.kind,
        "time": one.time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "id": one.product.identifier,
        "tile": one.product.tile,
        "version": one.product.version,
        "datetime": one.product.sensing.isoformat().replace("+00:00", "Z"),
        "reason": one.reason,
    }


def called(session: Session, key: int, last: int) -> None:
    """That an address was told of all up to an event."""
    values = {"last_event": last, "failures": 0, "fault": None, "due": now(session)}
    session.execute(sa.update(Webhook).where(Webhook.id == key).values(**values))


def failed(session: Session, key: int, fault: str) -> None:
    """That an address could not be told; it is called again after a while, and not for ever."""
    row = session.get(Webhook, key)
    if row is not None:
        time: datetime = now(session)
        row.failures, row.fault = row.failures + 1, fault[:500]
        row.due = time + FIRST_WAIT * 2 ** (row.failures - 1)
