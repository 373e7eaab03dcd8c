"""Alerts are opened, told, told again and closed here. All that is known of them is in the store.

One transaction looks and queues the messages; then each is taken under a short lease, sent, and noted. So any number of
watchers may run, a restart repeats nothing, and a message whose sender does not answer is tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from processing.alerts.conditions import CONDITIONS, Case, Look
from processing.alerts.rules import Rule, Rules
from processing.alerts.senders import SENDERS, TOTAL, Message
from processing.errors import MuscateError
from processing.settings import Settings
from processing.store import Store, bulletins, events
from processing.store.dialect import insert, now
from processing.store.models import Alert, AlertMessage

log = structlog.get_logger(__name__)

#: Time between two looks, the time that sending one message may take at most, and the waits before it is tried again.
LOOK_SECONDS = 60.0
LEASE = timedelta(seconds=3 * TOTAL)
WAITS = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 240))


def check(store: Store, settings: Settings, rules: Rules, time: datetime | None = None) -> int:
    """One look: open, repeat and close alerts, and queue what is to be told; how many messages were queued.

    Raises
    ------
    StoreError
        If the database can't be reached.
    """
    with store.read() as session:  # may take a while, and keeps nobody from writing
        time = time or now(session)
        look = Look(session, time, settings.archive)
        holds = {name: CONDITIONS[rule.when](look, rule) for name, rule in rules.rules.items()}
    with store.write() as session:
        look = Look(session, time, settings.archive)
        queued = sum(_apply(look, name, rule, holds[name]) for name, rule in rules.rules.items())
        # A rule that is gone from the file holds no more, and nobody is told.
        gone = sa.update(Alert).where(Alert.closed.is_(None), Alert.rule.not_in(list(rules.rules)))
        session.execute(gone.values(closed=time))
    return queued


def _apply(look: Look, name: str, rule: Rule, cases: Sequence[Case]) -> int:
    """Hold the alerts of one rule against what holds now."""
    silenced = bulletins.under_maintenance(look.session, look.time) if rule.silenced_by_maintenance else frozenset()
    queued = 0
    for case in cases:
        alert = _seen(look, name, rule, case, quiet=_covers(silenced, case))
        if alert is None or _covers(silenced, case):
            continue
        if alert.told is None:
            due = look.time - alert.opened >= timedelta(minutes=rule.lasting_minutes)
        else:
            due = look.time - alert.told >= timedelta(hours=rule.repeat_hours)
        if due:
            queued += _queue(look, alert, rule, "opened" if alert.told is None else "again")
    still = [case.subject for case in cases]
    gone = sa.select(Alert).where(Alert.rule == name, Alert.closed.is_(None), Alert.subject.not_in(still))
    for alert in look.session.scalars(gone.order_by(Alert.id)).all():
        if look.time - alert.seen >= timedelta(minutes=rule.calm_minutes):
            alert.closed = look.time
            if alert.told is not None:
                queued += _queue(look, alert, rule, "over")
    return queued


def _covers(silenced: frozenset[str] | None, case: Case) -> bool:
    """Whether maintenance accounts for a case: of the whole centre, or of all sites that it concerns."""
    return silenced is None or bool(case.sites and case.sites <= silenced)


def _seen(look: Look, name: str, rule: Rule, case: Case, *, quiet: bool) -> Alert | None:
    """The open alert of a case, opened if there is none; not while maintenance accounts for it."""
    if not quiet:
        values = {"rule": name, "subject": case.subject, "line": case.line, "severity": rule.severity}
        made = insert(look.session, Alert).values(**values, opened=look.time, seen=look.time)
        again = made.on_conflict_do_update(
            index_elements=["rule", "subject"],
            index_where=Alert.closed.is_(None),
            set_={"line": case.line, "severity": rule.severity, "seen": look.time},
        )
        look.session.execute(again)
    find = sa.select(Alert).where(Alert.rule == name, Alert.subject == case.subject, Alert.closed.is_(None))
    alert = look.session.scalar(find.execution_options(populate_existing=True).with_for_update())
    if alert is not None:
        alert.seen = look.time
    return alert


def _queue(look: Look, alert: Alert, rule: Rule, what: str) -> int:
    line = alert.line if what != "over" else f"no more: {alert.line}"
    for sender in dict.fromkeys(rule.senders):
        look.session.add(
            AlertMessage(alert=alert, what=what, sender=sender, line=line, made=look.time, due=look.time, tries=0)
        )
    if what != "over":
        alert.told = look.time
    severity = alert.severity if what != "over" else "info"
    data = {"rule": alert.rule, "subject": alert.subject, "line": line}
    events.record(look.session, look.time, f"alert_{what}", severity=severity, actor="alerts", data=data)
    return len(set(rule.senders))


def send(store: Store, rules: Rules, stop: threading.Event | None = None) -> int:
    """Send what is due, one after the other; how many were sent.

    Raises
    ------
    StoreError
        If the database can't be reached.
    """
    sent = 0
    while not (stop and stop.is_set()):
        with store.write() as session:
            taken = _take(session)
            if taken is None:
                return sent
            key, sender, message = taken
        known = rules.senders.get(sender)
        fault = None
        try:
            if known is None:
                raise MuscateError(f"there is no sender {sender} any more")
            SENDERS[type(known)](known, message)
            sent += 1
        except (MuscateError, OSError, ValueError) as error:
            fault = " ".join(str(error).split())[:500]
            log.error("alert not sent", sender=sender, rule=message.rule, reason=fault)
        with store.write() as session:
            _note(session, key, fault, gone=known is None)
    return sent


def _take(session: Session) -> tuple[int, str, Message] | None:
    """The next message that is due, for as long as sending it may take."""
    time = now(session)
    query = sa.select(AlertMessage).where(AlertMessage.ended.is_(None), AlertMessage.due <= time)
    row = session.scalar(
        query.order_by(AlertMessage.due, AlertMessage.id).limit(1).with_for_update(skip_locked=True, of=AlertMessage)
    )
    if row is None:
        return None
    row.due, row.tries = time + LEASE, row.tries + 1
    alert = session.get_one(Alert, row.alert_id)
    message = Message(
        f"alert-{row.id}-{row.made:%Y%m%d%H%M%S}",
        alert.rule,
        alert.subject,
        alert.severity,
        row.what,
        row.line,
        alert.opened,
        row.made,
    )
    return row.id, row.sender, message


def _note(session: Session, key: int, fault: str | None, *, gone: bool) -> None:
    row, time = session.get_one(AlertMessage, key), now(session)
    row.fault = fault
    if fault is None or gone or row.tries > len(WAITS):
        row.ended = time
    else:
        row.due = time + WAITS[row.tries - 1]


def open_alerts(session: Session) -> Sequence[Alert]:
    """The alerts that hold, the oldest first."""
    return session.scalars(sa.select(Alert).where(Alert.closed.is_(None)).order_by(Alert.id)).all()


def holding(store: Store, settings: Settings, rules: Rules) -> list[tuple[str, dict[str, Any]]]:
    """What holds now, by rule, and whether maintenance accounts for it. Nothing is changed."""
    found = []
    with store.read() as session:
        look = Look(session, now(session), settings.archive)
        silenced = bulletins.under_maintenance(session, look.time)
        for name, rule in rules.rules.items():
            for case in CONDITIONS[rule.when](look, rule):
                quiet = rule.silenced_by_maintenance and _covers(silenced, case)
                found.append((name, {"subject": case.subject, "line": case.line, "silenced": quiet}))
    return found


def unsent(session: Session) -> Sequence[AlertMessage]:
    """Messages that wait for their sender to answer, or were given up within a month, the oldest first."""
    lately = AlertMessage.made >= now(session) - timedelta(days=30)
    query = sa.select(AlertMessage).where(AlertMessage.fault.is_not(None), lately).order_by(AlertMessage.id)
    return session.scalars(query.limit(200)).all()


def run(settings: Settings, rules: Rules, stop: threading.Event, seconds: float = LOOK_SECONDS) -> None:
    """Look and send until stopped."""
    store = Store(settings.url)
    while not stop.is_set():
        try:
            check(store, settings, rules)
            send(store, rules, stop)
        except (MuscateError, OSError) as error:
            log.error("alerts", reason=str(error))
        stop.wait(seconds)
    store.dispose()
