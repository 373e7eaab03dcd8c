"""The attempts of a date, found by whatever name somebody has for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import UnknownName
from processing.store.dialect import now
from processing.store.models import Attempt, Campaign, Chain, Job
from processing.store.orders import find_jobs

#: ``2024-06-08``, or that day of one tile: ``31TCJ/2024-06-08``.
_DAY = re.compile(r"(?:T?(?P<tile>\d\d[C-X][A-Z]{2})[/ ])?(?P<day>\d{4}-\d\d-\d\d)")


@dataclass(frozen=True)
class Try:
    """One attempt; `number` counts those of its date from 1."""

    number: int
    job: Job
    tile: str
    version: str
    attempt: Attempt


def of_job(session: Session, job: Job) -> list[Try]:
    """The attempts of a job, the first one first."""
    chain = session.get_one(Chain, job.chain_id)
    version = session.get_one(Campaign, chain.campaign_id).version
    rows = session.scalars(sa.select(Attempt).where(Attempt.job_id == job.id).order_by(Attempt.claimed, Attempt.id))
    return [Try(number, job, chain.tile, version, attempt) for number, attempt in enumerate(rows, 1)]


def jobs(session: Session, name: str) -> Sequence[Job]:
    """The jobs that a name means: as of `orders.find_jobs`, or those of a day, or of a tile and a day.

    Raises
    ------
    UnknownName
        If nothing has this name, or nothing was sensed on that day.
    """
    day = _DAY.fullmatch(name.strip())
    if day is None:
        return find_jobs(session, name)
    try:
        first = datetime.fromisoformat(day["day"]).replace(tzinfo=UTC)
        following = first + timedelta(days=1)
    except (ValueError, OverflowError):
        raise UnknownName(f"{name}: is no day") from None
    query = sa.select(Job).join(Chain, Chain.id == Job.chain_id)
    query = query.where(Job.sensing >= first, Job.sensing < following)
    if day["tile"]:
        query = query.where(Chain.tile == day["tile"])
    found = session.scalars(query.order_by(Chain.tile, Job.sensing, Job.id)).all()
    if not found:
        raise UnknownName(f"{name}: no date of that day")
    return found


def tell(session: Session, attempt_id: int, step: str, share: float) -> None:
    """Keep how far an attempt is, as long as it goes on. It takes no lock but that of the attempt's row."""
    session.execute(
        sa.update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.ended.is_(None))
        .values(step=step, share=share, progressed=now(session))
        .execution_options(synchronize_session=False)
    )
