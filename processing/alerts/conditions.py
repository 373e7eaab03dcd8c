"""What the rules look for in the store. Each gives the cases that hold now; a case has a subject of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.alerts.rules import Rule
from processing.store import formats
from processing.store.models import (
    Acquisition,
    Anomaly,
    Attempt,
    Campaign,
    Chain,
    Granule,
    Job,
    Product,
    SiteTile,
    is_open,
)

#: States of a date that waits for the centre, not for a person.
WAITING = ("ready", "running", "retry")
#: Days over which the growth of the archive is taken.
GROWTH = timedelta(days=7)


@dataclass(frozen=True)
class Case:
    """Something that holds.

    Attributes
    ----------
    subject : str
        What it holds of: a rule has one alert for each.
    line : str
        In words.
    sites : frozenset of str
        Codes of the sites that it concerns; none: the whole centre.
    """

    subject: str
    line: str
    sites: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Look:
    """One look at the centre: its rows, its time, its archive."""

    session: Session
    time: datetime
    archive: Path


def late(look: Look, rule: Rule) -> list[Case]:
    """Sites whose real-time dates wait too long. A paused campaign waits because somebody wants it to."""
    before = look.time - timedelta(hours=rule.hours)
    site = sa.func.coalesce(SiteTile.site, Chain.tile)
    rows = look.session.execute(
        sa.select(site, sa.func.count(sa.distinct(Job.id)), sa.func.min(Job.created))
        .select_from(Job)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .outerjoin(SiteTile, SiteTile.tile == Chain.tile)
        .where(
            is_open(), Job.state.in_(WAITING), Job.created < before, Campaign.status == "active", Campaign.priority == 0
        )
        .group_by(site)
        .order_by(site)
    )
    return [
        Case(
            code, f"dates of {code} that wait: {count}, the oldest for {_hours(look.time - oldest)}", frozenset({code})
        )
        for code, count, oldest in rows
        if not rule.sites or code in rule.sites
    ]


def failures(look: Look, rule: Rule) -> list[Case]:
    """Kinds of failures that have many cases, the last of them lately; and, once, what waits to be admitted."""
    since = look.time - timedelta(hours=rule.hours)
    rows = look.session.scalars(
        sa.select(Anomaly)
        .where(Anomaly.closed.is_(None), Anomaly.seen >= since, Anomaly.count >= rule.count)
        .order_by(Anomaly.id)
    )
    found = [
        Case(f"{row.reason_class}, {row.signature}", f"{row.count} times {row.signature}: {row.last}") for row in rows
    ]
    return [*found, *_to_admit(look)]


def _to_admit(look: Look) -> list[Case]:
    """One case for all packages of satellites or baselines that nobody has admitted: they wait until somebody does."""
    waiting = formats.waiting(look.session)
    if not waiting:
        return []
    told = "; ".join(f"{count} {formats.recognised([need])}" for need, count in waiting.items())
    return [Case("input, held Level-1C", f"packages that wait: {told} (muscate admit {' or '.join(waiting)})")]


def lost(look: Look, rule: Rule) -> list[Case]:
    """Hosts whose workers were lost."""
    since = look.time - timedelta(hours=rule.hours)
    host = sa.func.coalesce(Attempt.host, Attempt.owner)
    rows = look.session.execute(
        sa.select(host, SiteTile.site, Attempt.id)
        .join(Job, Job.id == Attempt.job_id)
        .join(Acquisition, Acquisition.id == Job.acquisition_id)
        .outerjoin(SiteTile, SiteTile.tile == Acquisition.tile)
        .where(Attempt.outcome.in_(("lost", "fenced")), Attempt.ended >= since)
        .order_by(host)
    )
    attempts: dict[str, set[int]] = {}
    where: dict[str, set[str]] = {}
    for name, site, attempt in rows:
        attempts.setdefault(name, set()).add(attempt)
        where.setdefault(name, set()).update([site] if site else [])
    return [
        Case(name, f"{len(found)} times in {rule.hours:g} h a worker of {name} was lost", frozenset(where[name]))
        for name, found in attempts.items()
        if len(found) >= rule.count and (not rule.sites or where[name] & set(rule.sites))
    ]


def silent(look: Look, rule: Rule) -> list[Case]:
    """That no Level-1C arrives any more: anywhere, or of the sites that the rule names. A new centre is not silent."""
    if not rule.sites:
        newest = look.session.scalar(sa.select(sa.func.max(Granule.seen)))
        return _silent(look, rule, "all sources", newest, frozenset())
    rows = look.session.execute(
        sa.select(SiteTile.site, sa.func.max(Granule.seen))
        .join(Acquisition, Acquisition.tile == SiteTile.tile)
        .join(Granule, Granule.acquisition_id == Acquisition.id)
        .where(SiteTile.site.in_(rule.sites))
        .group_by(SiteTile.site)
        .order_by(SiteTile.site)
    )
    return [case for code, newest in rows for case in _silent(look, rule, code, newest, frozenset({code}))]


def _silent(look: Look, rule: Rule, subject: str, newest: datetime | None, where: frozenset[str]) -> list[Case]:
    if newest is None or look.time - newest <= timedelta(hours=rule.hours):
        return []
    return [Case(subject, f"no Level-1C of {subject} for {_hours(look.time - newest)}", where)]


def idle(look: Look, rule: Rule) -> list[Case]:
    """That nothing is published though dates wait."""
    before = look.time - timedelta(hours=rule.hours)
    waiting, oldest = look.session.execute(
        sa.select(sa.func.count(), sa.func.min(Job.created))
        .select_from(Job)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .where(is_open(), Job.state.in_(WAITING), Campaign.status == "active")
    ).one()
    newest = look.session.scalar(sa.select(sa.func.max(Product.published)))
    since = max(time for time in (newest, oldest) if time is not None) if waiting else look.time
    if since >= before:
        return []
    return [Case("production", f"nothing was published for {_hours(look.time - since)}, {waiting} dates wait")]


def disk(look: Look, rule: Rule) -> list[Case]:
    """That the archive's disk is nearly full, by its room or by the days left at the rate of the last week."""
    free = shutil.disk_usage(look.archive).free
    grown = look.session.scalar(sa.select(sa.func.sum(Product.bytes)).where(Product.published >= look.time - GROWTH))
    a_day = float(grown or 0) / GROWTH.days
    days = free / a_day if a_day else None
    short = rule.free_gb is not None and free < rule.free_gb * 1e9
    soon = rule.days is not None and days is not None and days < rule.days
    if not (short or soon):
        return []
    left = "" if days is None else f", {days:.1f} days at the rate of the last week"
    return [Case("archive", f"{free / 1e9:.1f} GB free in the archive{left}")]


def _hours(time: timedelta) -> str:
    return f"{time.total_seconds() / 3600:.1f} h"


#: By the words of the rules.
CONDITIONS: dict[str, Callable[[Look, Rule], Sequence[Case]]] = {
    "late": late,
    "failures": failures,
    "lost": lost,
    "silent": silent,
    "idle": idle,
    "disk": disk,
}
