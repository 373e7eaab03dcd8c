"""Dates that gave no product, and packages that never became a date: found by filter, grouped by what they share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from processing.naming import bare
from processing.store.models import (
    Acquisition,
    Attempt,
    Campaign,
    Chain,
    Event,
    Granule,
    Job,
    Product,
    Site,
    SiteTile,
)

#: States of a date that an operator looks into.
STATES = ("failed", "rejected", "held", "retry", "not_valid")
#: Why; as in `models.Job.reason_class`. ``""``: none was given, as for dates that are not valid.
CLASSES = ("input", "processor", "infrastructure", "transient", "unknown", "operator")
#: Of a reason: what differs from case to case of the same failure.
_PARTICULAR = (
    (re.compile(r"\b[\w.-]*(?:MSIL1C|_L2A_)[\w.-]*"), "..."),
    (re.compile(r"(?:/[\w.@+-]+){2,}"), "..."),
    (re.compile(r"\b(?:0x)?[0-9a-f]{8,}\b"), "#"),
    (re.compile(r"\bT?\d\d[C-X][A-Z]{2}\b"), "tile"),
    (re.compile(r"(?<![\w.])\d+(?:[.,:-]\d+)*(?!\w)"), "#"),
)
#: Reasons that a signature stands for in one look, at most.
_REASONS = 900


@dataclass(frozen=True)
class Wanted:
    """Which dates; what is empty does not choose.

    Attributes
    ----------
    states : tuple of str
        Of `STATES`, or ``published``; all of `STATES` where it is empty.
    reason_class, site, tile, version, signature : str
        `site` is its code.
    since, until : datetime or None
        When it came to this; the end is left out.
    """

    states: tuple[str, ...] = ()
    reason_class: str = ""
    site: str = ""
    tile: str = ""
    version: str = ""
    signature: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """One such date; `time` is when it came to its state, of one that is held when it was last worked on."""

    job_id: int
    tile: str
    version: str
    platform: str
    sensing: datetime
    state: str
    reason_class: str
    reason: str
    time: datetime
    attempts: int
    simulated: bool


@dataclass(frozen=True)
class Group:
    """Failures that share a signature: how many, when the first and the last were, and the last one's words."""

    signature: str
    state: str
    reason_class: str
    count: int
    first: datetime
    last: datetime
    example: str


@dataclass(frozen=True)
class Refused:
    """A package that never became a date."""

    time: datetime
    name: str
    reason: str
    source: str


def signature(reason: str) -> str:
    """What a reason has in common with those of its kind: names, paths and numbers left out."""
    for pattern, words in _PARTICULAR:
        reason = pattern.sub(words, reason)
    return reason


def _time() -> sa.ColumnElement[datetime]:
    """When a job came to its state: at its end, or at that of its last attempt."""
    ended = sa.select(sa.func.max(Attempt.ended)).where(Attempt.job_id == Job.id).correlate(Job).scalar_subquery()
    return sa.func.coalesce(Job.closed, ended, Job.created, type_=Job.created.type)


def _jobs(state: str, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """Conditions on jobs of one state; a date that was queued again since is another job's."""
    later = aliased(Job)
    queued_again = sa.exists().where(
        later.chain_id == Job.chain_id, later.acquisition_id == Job.acquisition_id, later.revision > Job.revision
    )
    # What users get counts, even where it is being made again.
    given = sa.exists().where(Product.job_id == Job.id, Product.current)
    found: list[sa.ColumnElement[bool]] = [Job.state == state, given if state == "published" else ~queued_again]
    # An open job has no time of its end, and there are few of them.
    time = Job.closed if state not in ("held", "retry") else _time()
    if wanted.since is not None:
        found.append(time >= wanted.since)
    if wanted.until is not None:
        found.append(time < wanted.until)
    if wanted.reason_class:
        found.append(sa.func.coalesce(Job.reason_class, "") == wanted.reason_class)
    if wanted.tile:
        found.append(Chain.tile == wanted.tile)
    if wanted.version:
        found.append(Campaign.version == wanted.version)
    if wanted.site:
        found.append(Chain.tile.in_(sa.select(SiteTile.tile).where(SiteTile.site == wanted.site)))
    return found


def _states(wanted: Wanted) -> Iterable[str]:
    return [state for state in (*STATES, "published") if state in (wanted.states or STATES)]


def find(session: Session, wanted: Wanted, limit: int = 50, offset: int = 0) -> list[Failure]:
    """The dates, the last one first."""
    reasons = _of_signature(session, wanted) if wanted.signature else None
    rows: list[sa.Row[Job, str, str, str, bool, datetime]] = []
    for state in _states(wanted):
        time = _time().label("time")
        query = (
            sa.select(Job, Chain.tile, Campaign.version, Acquisition.platform, Acquisition.simulated, time)
            .join(Chain, Chain.id == Job.chain_id)
            .join(Campaign, Campaign.id == Chain.campaign_id)
            .join(Acquisition, Acquisition.id == Job.acquisition_id)
            .where(*_jobs(state, wanted))
            .order_by(Job.closed.desc() if state not in ("held", "retry") else sa.desc("time"), Job.id.desc())
            .limit(limit + offset)
        )
        rows += session.execute(query if reasons is None else query.where(_reason().in_(reasons))).all()
    rows.sort(key=lambda row: (row.time, row.Job.id), reverse=True)
    return [
        Failure(
            job_id=job.id,
            tile=tile,
            version=version,
            platform=platform,
            sensing=job.sensing,
            state=job.state,
            reason_class=job.reason_class or "",
            reason=job.reason or "",
            time=time,
            attempts=job.attempts,
            simulated=simulated,
        )
        for job, tile, version, platform, simulated, time in rows[offset : offset + limit]
    ]


def _reason() -> sa.ColumnElement[str]:
    return sa.func.coalesce(Job.reason, "")


def groups(session: Session, wanted: Wanted) -> list[Group]:
    """The dates by what they have in common, the most frequent first."""
    found: dict[tuple[str, str, str], Group] = {}
    for state, kind, reason, count, first, last in _by_reason(session, replace(wanted, signature="")):
        key = signature(reason), state, kind
        known = found.get(key)
        if known is None:
            found[key] = Group(*key, count, first, last, reason)
        else:
            newest = reason if last > known.last else known.example
            times = min(first, known.first), max(last, known.last)
            found[key] = Group(*key, known.count + count, *times, newest)
    chosen = [group for group in found.values() if not wanted.signature or group.signature == wanted.signature]
    return sorted(chosen, key=lambda group: (-group.count, group.signature, group.state))


def counts(session: Session, wanted: Wanted) -> dict[str, int]:
    """How many dates there are, by state."""
    found = dict.fromkeys(_states(wanted), 0)
    for group in groups(session, wanted):
        found[group.state] += group.count
    return found


def _by_reason(session: Session, wanted: Wanted) -> Iterable[tuple[str, str, str, int, datetime, datetime]]:
    """State, class and reason of the dates, how many, and when the first and the last were."""
    kind = sa.func.coalesce(Job.reason_class, "")
    for state in _states(wanted):
        time = Job.closed if state not in ("held", "retry") else _time()
        first, last = (limit(time, type_=Job.created.type) for limit in (sa.func.min, sa.func.max))
        query = sa.select(kind, _reason(), sa.func.count(), first, last).select_from(Job)
        if wanted.tile or wanted.site or wanted.version:
            query = query.join(Chain, Chain.id == Job.chain_id).join(Campaign, Campaign.id == Chain.campaign_id)
        for row in session.execute(query.where(*_jobs(state, wanted)).group_by(Job.reason_class, Job.reason)):
            yield (state, *row)


def _of_signature(session: Session, wanted: Wanted) -> Sequence[str]:
    reasons = {reason for _, _, reason, *_ in _by_reason(session, replace(wanted, signature=""))}
    return sorted(reason for reason in reasons if signature(reason) == wanted.signature)[:_REASONS]


def refused(
    session: Session, since: datetime | None = None, until: datetime | None = None, limit: int = 50
) -> list[Refused]:
    """Packages that were refused before they became a date, the last one first."""
    query = sa.select(Event).where(Event.kind == "refused").order_by(Event.time.desc()).limit(limit)
    if since is not None:
        query = query.where(Event.time >= since)
    if until is not None:
        query = query.where(Event.time < until)
    return [
        Refused(event.time, str(event.data.get("l1c", "")), without_name(event.data), event.actor or "")
        for event in session.scalars(query)
    ]


def count_refused(session: Session, since: datetime) -> int:
    """How many packages were refused since a time before they became a date."""
    query = sa.select(sa.func.count()).where(Event.kind == "refused", Event.time >= since)
    return session.scalar(query) or 0


def without_name(data: dict[str, object]) -> str:
    """The reason that an event carries, without the name of the package where it begins with that."""
    name, reason = str(data.get("l1c") or ""), str(data.get("reason") or "")
    stem = bare(name)
    for start in (name, stem):
        if start and reason.startswith(start):
            return reason.removeprefix(start).lstrip(" :,") or reason
    return reason


@dataclass(frozen=True)
class Source:
    """What is known of one source of packages."""

    name: str
    packages: int
    last: datetime


def sources(session: Session, since: datetime) -> list[Source]:
    """Where packages come from: how many came since a time, and when the last one did at all."""
    names = _distinct_sources(session)
    found = []
    for name in names:
        last = session.scalar(
            sa.select(sa.func.max(Granule.seen, type_=Granule.seen.type)).where(Granule.source == name)
        )
        count = session.scalar(sa.select(sa.func.count()).where(Granule.source == name, Granule.seen >= since))
        if last is not None:
            found.append(Source(name, count or 0, last))
    return sorted(found, key=lambda source: source.last, reverse=True)


def _distinct_sources(session: Session) -> list[str]:
    """One look at the index for each source, however many packages there are."""
    found: list[str] = []
    name = session.scalar(sa.select(sa.func.min(Granule.source)))
    while name is not None:
        found.append(name)
        name = session.scalar(sa.select(sa.func.min(Granule.source)).where(Granule.source > name))
    return found


def sites(session: Session) -> list[tuple[str, str]]:
    """Code and name of each site that has tiles, in their order."""
    rows = session.execute(sa.select(Site.code, Site.name).order_by(Site.priority, Site.name))
    return [(code, name) for code, name in rows]
