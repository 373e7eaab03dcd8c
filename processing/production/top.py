"""The production in a terminal: slots, dates in work, what waits, rates and ends."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import sqlalchemy as sa
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from processing.errors import StoreError
from processing.settings import Settings
from processing.store import Store, backlog, campaigns, draining
from processing.store.dialect import now
from processing.store.models import Anomaly, Product

#: Width of a bar of progress. [characters]
BAR = 20


def show(store: Store, settings: Settings, every: float, *, once: bool = False) -> None:
    """Show it until it is interrupted, or once.

    Parameters
    ----------
    every : float
        Time between two looks. [s]
    """
    if once:
        Console().print(_look(store, settings))
        return
    try:
        with Live(_look(store, settings), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(_look(store, settings), refresh=True)
    except KeyboardInterrupt:
        return


def _look(store: Store, settings: Settings) -> Group | Text:
    try:
        with store.read() as session:
            return screen(session, settings)
    except StoreError as error:
        return Text(f"the store is out of reach: {error}")


def screen(session: Session, settings: Settings) -> Group:
    """All of it at this moment."""
    moment = now(session)
    running = backlog.running(session)
    made = session.scalar(sa.select(sa.func.count()).where(Product.published >= moment - timedelta(hours=1))) or 0
    slots = f" of {settings.workers}" if not settings.joins else f" on {settings.executor}"
    head = Text(f"{moment:%Y-%m-%d %H:%M:%S} UTC   in work {len(running)}{slots}   published {made} in the last hour")
    if (drained := draining.since(session)) is not None:
        head.append(f"   drained since {drained:%Y-%m-%d %H:%M}: nothing starts")
    anomalies = session.scalars(sa.select(Anomaly).where(Anomaly.closed.is_(None)).order_by(Anomaly.seen.desc()))
    wrong = [Text(f"{a.count} x {a.signature}: {a.last}", no_wrap=True, overflow="ellipsis") for a in anomalies]
    return Group(head, _running(running, moment), _waiting(session), _campaigns(session, settings, moment), *wrong)


def _running(running: list[backlog.Running], moment: datetime) -> Table:
    table = Table("tile", "date", "version", "step", "", "since", "on", title="in work", title_justify="left")
    for one in running:
        share = one.share or 0.0
        bar = "#" * round(BAR * share) + "." * (BAR - round(BAR * share))
        since = int((moment - one.since).total_seconds())
        step, where = one.step or "", one.host or one.owner
        table.add_row(one.tile, f"{one.sensing:%Y-%m-%d}", one.version, step, bar, f"{since} s", where)
    return table


def _waiting(session: Session) -> Table:
    table = Table("version", "waits", "dates", "the oldest since", title="waiting", title_justify="left")
    for (version, reason), (count, first) in sorted(backlog.summary(session).items()):
        if reason != "running":
            table.add_row(version, backlog.REASONS[reason], str(count), f"{first:%Y-%m-%d %H:%M}")
    return table


def _campaigns(session: Session, settings: Settings, moment: datetime) -> Table:
    table = Table("version", "", "waiting", "a day", "end", title="campaigns", title_justify="left")
    for one in backlog.campaigns(session):
        left = campaigns.remaining(session, one.version, settings.workers) if one.waiting else None
        end = f"{moment + left:%Y-%m-%d %H:%M}" if left is not None and one.status == "active" else ""
        table.add_row(one.version, one.status, str(one.waiting), f"{one.ended:.1f}", end)
    return table
