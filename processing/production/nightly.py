"""The nightly audit: every night a slice of the archive is read, so that all of it is in a given number of days."""

from __future__ import annotations

import threading
from datetime import timedelta

import sqlalchemy as sa
import structlog

from processing.errors import MuscateError
from processing.production.alone import Runs, alone
from processing.production.audit import Share, audit
from processing.settings import Settings
from processing.store import Store, events
from processing.store.dialect import now
from processing.store.models import Event

log = structlog.get_logger(__name__)

#: Hours of the day in which it may begin (UTC), and the time between two looks at the clock. [s]
HOURS, LOOK_SECONDS = range(0, 5), 300.0


def run(settings: Settings, stop: threading.Event) -> None:
    """Audit a slice each night until stopped."""
    store = Store(settings.url)
    while settings.audit_days and not stop.wait(LOOK_SECONDS):
        try:
            with store.read() as session:
                night = now(session).hour in HOURS
            if night:
                once(store, settings, stop)
        except MuscateError as error:
            log.error("audit", reason=str(error))
    store.dispose()


def once(store: Store, settings: Settings, stop: threading.Event) -> bool:
    """Audit the slice of this day, unless it was, or somebody is at it; whether it was done to its end."""
    try:
        with alone(settings, "audit"):
            return _once(store, settings, stop)
    except Runs:
        return False


def _once(store: Store, settings: Settings, stop: threading.Event) -> bool:
    with store.write() as session:
        time = now(session)
        since = time - timedelta(hours=20)
        begun = sa.select(Event.id).where(Event.kind == "audit_begun", Event.time > since)
        if session.scalar(begun.limit(1)) is not None:
            return False
        share = Share(time.toordinal() % settings.audit_days + 1, settings.audit_days)
        data = {"share": f"{share.part}/{share.parts}"}
        events.record(session, time, "audit_begun", actor="janitor", data=data)
    log.info("audit begins", **data)
    found = 0
    for finding in audit(store, settings, share):
        if stop.is_set():
            return False
        found += 1
        log.error("audit", finding=finding.line)
        with store.write() as session:
            time = now(session)
            events.note_anomaly(session, time, "infrastructure", "damage in the archive", finding.line)
            data_of = {"finding": finding.line}
            events.record(session, time, "damage", severity="error", product_id=finding.product, data=data_of)
    with store.write() as session:
        events.record(session, now(session), "audited", actor="janitor", data={**data, "findings": found})
    return True
