"""What waits, and why: of all open dates in figures, of some of them one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from processing.store import draining, tallies
from processing.store.dialect import epoch, now
from processing.store.models import (
    CLOSED_STATES,
    OPEN_STATES,
    Acquisition,
    Anomaly,
    Attempt,
    Campaign,
    Chain,
    Job,
    is_open,
)

#: Why a date is not over yet, the most urgent first.
REASONS = {
    "running": "in work",
    "due": "due: waits for a free worker",
    "drained": "due: the centre is drained, nothing starts",
    "disk": "due: waits for room on the archive's disk",
    "settling": "waits for the other half of its pass",
    "retry": "waits to be tried again",
    "older": "waits for an older date of its tile",
    "held": "held: waits for an operator",
    "behind_held": "waits for an older date of its tile that is held",
    "paused": "its campaign is paused",
}
#: What dispatchers call it when the archive has too little room for another date, and how long their word holds.
DISK_FLOOR = "archive without room"
FLOOR_LIFE = timedelta(minutes=3)
#: A campaign's rate is that of these days.
RATE = timedelta(days=7)
#: Seconds of a day: so long steps are read from the tallies.
DAY = 86400


@dataclass(frozen=True)
class Waiting:
    """One open date; `reason` as in `REASONS`, `why` in words."""

    job_id: int
    tile: str
    version: str
    sensing: datetime
    state: str
    created: datetime
    reason: str
    why: str
    simulated: bool


@dataclass(frozen=True)
class Running:
    """One date that is being worked on. `share` is how much of it is done, 0 to 1; None before the first word."""

    job_id: int
    attempt_id: int
    tile: str
    version: str
    sensing: datetime
    owner: str
    host: str | None
    since: datetime
    step: str | None
    share: float | None
    progressed: datetime | None


@dataclass(frozen=True)
class Progress:
    """How far a campaign is.

    Attributes
    ----------
    version, status : str
    opened : datetime
    waiting : int
        Dates that are not over yet.
    ended, arrived : float
        Dates that came to their end, and that were queued, a day of the last `RATE`. [1/day]
    end : datetime or None
        When it has nothing left to do, if it goes on like this; None where it doesn't come to an end.
    """

    version: str
    status: str
    opened: datetime
    waiting: int
    ended: float
    arrived: float
    end: datetime | None

    @property
    def keeps_up(self) -> bool:
        """Whether what waits is no more than the work of a day."""
        return self.waiting <= self.ended


def _reason(session: Session, time: datetime) -> sa.Case[str]:
    """Of an open job, its chain and its campaign; words as in `REASONS`."""
    full = sa.exists(_full(time))
    otherwise = "due" if draining.since(session) is None else "drained"
    offered = sa.case(
        (sa.and_(Job.not_before > time, Job.state == "retry"), "retry"),
        (Job.not_before > time, "settling"),
        (full, "disk"),
        else_=otherwise,
    )
    return sa.case(
        (Job.state == "running", "running"),
        (Job.state == "held", "held"),
        (Campaign.status != "active", "paused"),
        (Chain.next_job_id == Job.id, offered),
        (Chain.next_job_id.is_(None), "behind_held"),
        else_="older",
    )


def _full(time: datetime) -> sa.Select[int]:
    """The word of a dispatcher that the archive has no room for another date."""
    full = sa.select(Anomaly.id).where(Anomaly.closed.is_(None), Anomaly.signature == DISK_FLOOR)
    return full.where(Anomaly.seen > time - FLOOR_LIFE)


def holds_up(session: Session) -> str:
    """What keeps a date that is due from starting; of `REASONS`."""
    if session.scalar(_full(now(session)).limit(1)) is not None:
        return "disk"
    return "due" if draining.since(session) is None else "drained"


def summary(session: Session) -> dict[tuple[str, str], tuple[int, datetime]]:
    """Open dates by version and reason: how many, and when the first of them was queued."""
    # Not named as a column is: the group would be that column's.
    reason = _reason(session, now(session)).label("waits_for")
    first = sa.func.min(Job.created, type_=Job.created.type)
    rows = session.execute(
        sa.select(Campaign.version, reason, sa.func.count(), first)
        .select_from(Job)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .where(is_open())
        .group_by(Campaign.version, sa.literal_column("waits_for"))
    )
    return {(version, kind): (count, created) for version, kind, count, created in rows}


def waiting(session: Session, limit: int = 12, *, tile: str = "", reason: str = "") -> list[Waiting]:
    """Open dates that don't run, first queued first, each with what it waits for."""
    time = now(session)
    kind = _reason(session, time).label("waits_for")
    query = (
        sa.select(Job, Chain, Campaign.version, Acquisition.simulated, kind)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .join(Acquisition, Acquisition.id == Job.acquisition_id)
        .where(is_open(), Job.state != "running")
        .order_by(Job.created, Job.sensing, Job.id)
        .limit(limit)
    )
    if tile:
        query = query.where(Chain.tile == tile)
    if reason:
        query = query.where(_reason(session, time) == reason)
    rows = session.execute(query).all()
    oldest = _oldest(session, {row.Chain.id for row in rows})
    return [
        Waiting(
            job_id=row.Job.id,
            tile=row.Chain.tile,
            version=row.version,
            sensing=row.Job.sensing,
            state=row.Job.state,
            created=row.Job.created,
            reason=row.waits_for,
            why=_why(row.Job, row.Chain, row.waits_for, oldest.get(row.Chain.id)),
            simulated=row.simulated,
        )
        for row in rows
    ]


def _oldest(session: Session, chains: set[int]) -> dict[int, Job]:
    """The oldest open date of each chain."""
    first = (
        sa.select(Job.id)
        .where(Job.chain_id == Chain.id, is_open())
        .order_by(Job.sensing, Job.revision, Job.id)
        .limit(1)
        .correlate(Chain)
        .scalar_subquery()
    )
    job = aliased(Job)
    return {
        found.chain_id: found
        for found in session.scalars(
            sa.select(job).select_from(Chain).join(job, job.id == first).where(Chain.id.in_(chains))
        )
    }


def _why(job: Job, chain: Chain, reason: str, oldest: Job | None) -> str:
    words = REASONS[reason]
    if reason in ("older", "behind_held") and oldest is not None:
        words = f"{REASONS['older']}, {oldest.sensing:%Y-%m-%d}, which is {oldest.state}"
    elif reason in ("settling", "retry"):
        words += f", not before {job.not_before:%Y-%m-%d %H:%M} UTC"
    elif reason == "due" and chain.lease_owner is not None:
        words = f"waits for {chain.lease_owner}, who works on another date of this tile"
    return f"{words} ({job.reason})" if job.reason else words


def running(session: Session) -> list[Running]:
    """What is being worked on, the one that began first at the top."""
    rows = session.execute(
        sa.select(Job, Attempt, Chain.tile, Campaign.version)
        .join(Attempt, sa.and_(Attempt.job_id == Job.id, Attempt.ended.is_(None)))
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .where(is_open(), Job.state == "running")
        .order_by(Attempt.claimed)
    )
    return [
        Running(
            job_id=job.id,
            attempt_id=attempt.id,
            tile=tile,
            version=version,
            sensing=job.sensing,
            owner=attempt.owner,
            host=attempt.host,
            since=attempt.started or attempt.claimed,
            step=attempt.step,
            share=attempt.share,
            progressed=attempt.progressed,
        )
        for job, attempt, tile, version in rows
    ]


def campaigns(session: Session) -> list[Progress]:
    """How far each campaign is, the first opened first."""
    time = now(session)
    since = time - RATE
    found = session.scalars(sa.select(Campaign).order_by(Campaign.opened, Campaign.id)).all()
    waiting = tallies.by_campaign(session, OPEN_STATES)
    ended = _count(session, Job.state.in_(CLOSED_STATES), Job.closed >= since)
    arrived = _count(session, Job.created >= since)
    told = []
    for campaign in found:
        # One that is younger than the time its rate is taken over has had less of it.
        days = max(min(RATE, time - campaign.opened) / timedelta(days=1), 1 / 24)
        rates = ended.get(campaign.id, 0) / days, arrived.get(campaign.id, 0) / days
        left = waiting.get(campaign.id, 0)
        gain = rates[0] - rates[1]
        end = (
            time + timedelta(days=left / gain) if campaign.status == "active" and left and gain > 1e-3 * left else None
        )
        told.append(Progress(campaign.version, campaign.status, campaign.opened, left, *rates, end))
    return told


def _count(session: Session, *conditions: sa.ColumnElement[bool]) -> dict[int, int]:
    """Jobs by the key of their campaign."""
    counts = sa.select(Job.chain_id, sa.func.count().label("jobs")).where(*conditions).group_by(Job.chain_id).subquery()
    rows = session.execute(
        sa.select(Chain.campaign_id, sa.func.sum(counts.c.jobs))
        .join(counts, counts.c.chain_id == Chain.id)
        .group_by(Chain.campaign_id)
    )
    return {campaign: int(jobs) for campaign, jobs in rows}


def over_time(session: Session, since: datetime, step: int = 3600) -> Sequence[tuple[datetime, int]]:
    """How many dates were open at the end of each `step` seconds since a time, up to now.

    Counted back from those that are open now, by what was queued and what came to its end: a date that was queued
    again counts as open all the time.
    """
    time = now(session)
    opened = sum(number for state, number in tallies.states(session).items() if state in OPEN_STATES)
    if step == DAY:
        queued, closed = (_by_day(session, since, what) for what in (("queued",), CLOSED_STATES))
    else:
        queued = _per_step(session, Job.created, step, Job.created >= since)
        closed = _per_step(session, Job.closed, step, Job.closed >= since, Job.state.in_(CLOSED_STATES))
    last, first = int(time.timestamp()) // step, int(since.timestamp()) // step
    found = [(time, opened)]
    for number in range(last, first, -1):
        opened += closed.get(number, 0) - queued.get(number, 0)
        found.append((datetime.fromtimestamp(number * step, tz=time.tzinfo), max(opened, 0)))
    return found[::-1]


def _by_day(session: Session, since: datetime, what: Sequence[str]) -> dict[int, int]:
    found: Counter[int] = Counter()
    for (day, _, _), number in tallies.per_day(session, since, what).items():
        found[day] += number
    return found


def _per_step(
    session: Session, column: sa.orm.InstrumentedAttribute[datetime | None], step: int, *where: sa.ColumnElement[bool]
) -> dict[int, int]:
    # Written out: as a parameter it would make two different expressions of the one selected and the one grouped by.
    seconds = epoch(column)
    number = (seconds - seconds % sa.literal_column(str(step))).label("number")
    rows = session.execute(sa.select(number, sa.func.count()).where(*where).group_by(number))
    return {int(found) // step: count for found, count in rows}


@dataclass(frozen=True)
class BurnUp:
    """How a campaign came here: dates that had ended, and dates that were known to it, at the end of each day."""

    version: str
    done: Sequence[tuple[datetime, int]]
    known: Sequence[tuple[datetime, int]]


def burn_up(session: Session, days: int = 120) -> list[BurnUp]:
    """Of each campaign, the first opened first; counted back from today, as in `over_time`."""
    time = now(session)
    since = time - timedelta(days=days)
    closed = tallies.by_campaign(session, CLOSED_STATES)
    waiting = tallies.by_campaign(session, OPEN_STATES)
    ended = _per_day(session, since, CLOSED_STATES)
    queued = _per_day(session, since, ("queued",))
    told = []
    for campaign in session.scalars(sa.select(Campaign).order_by(Campaign.opened, Campaign.id)):
        done = closed.get(campaign.id, 0)
        curves = [(done, ended), (done + waiting.get(campaign.id, 0), queued)]
        first = max(since, campaign.opened)
        told.append(BurnUp(campaign.version, *(_back(total, per, campaign.id, first, time) for total, per in curves)))
    return told


def _back(
    total: int, per_day: dict[tuple[int, int], int], campaign: int, since: datetime, time: datetime
) -> list[tuple[datetime, int]]:
    """A sum at the end of each day, back from what it is now."""
    found = [(time, total)]
    for day in range(int(time.timestamp()) // 86400, int(since.timestamp()) // 86400, -1):
        total -= per_day.get((campaign, day), 0)
        found.append((datetime.fromtimestamp(day * 86400, tz=time.tzinfo), total))
    return found[::-1]


def _per_day(session: Session, since: datetime, what: Sequence[str]) -> dict[tuple[int, int], int]:
    """Jobs by the key of their campaign and the day."""
    found: dict[tuple[int, int], int] = Counter()
    for (day, campaign, _), number in tallies.per_day(session, since, what).items():
        found[campaign, day] += number
    return found
