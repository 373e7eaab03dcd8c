"""What was seen becomes what is to be done: one granule, its acquisition and its jobs, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import InputError
from processing.store import events, sites
from processing.store.dialect import now
from processing.store.lease import advance, lock
from processing.store.models import Acquisition, Chain, Granule, Job, Tile


@dataclass(frozen=True)
class Arrival:
    """One tile of a Level-1C package that was checked and may be catalogued; fields as in `models`."""

    tile: str
    platform: str
    datatake: datetime
    sensing: datetime
    relative_orbit: int | None
    name: str
    baseline: str
    datastrip: datetime
    generation: datetime
    source: str
    path: str
    bytes: int
    simulated: bool


def refuse_known(session: Session, arrival: Arrival) -> None:
    """Refuse a date that is already there.

    Raises
    ------
    InputError
        If the package itself is catalogued, or one of the same pass that was made later.
    """
    acquisition = session.scalar(_same_pass(arrival))
    if acquisition is None:
        return
    usable = [g for g in acquisition.granules if g.state != "rejected"]
    date = f"{arrival.platform} {arrival.tile} {arrival.sensing:%Y-%m-%d}"
    if any(g.name == arrival.name for g in usable):
        raise InputError(arrival.name, f"is already there ({date})")
    newest = max((g.baseline for g in usable), default="")
    if arrival.baseline < newest:
        fault = f"has baseline {arrival.baseline}; {date} is already there with baseline {newest}"
        raise InputError(arrival.name, fault)
    for granule in usable:
        same = granule.baseline == arrival.baseline and granule.datastrip == arrival.datastrip
        if same and granule.generation >= arrival.generation:
            raise InputError(arrival.name, f"{date} is already there, made at the same time or later: {granule.name}")


def add(session: Session, arrival: Arrival, settle_seconds: float = 0.0) -> list[int]:
    """Catalogue a granule and queue its date in every chain of its tile.

    The other half of a pass (another datastrip) joins it; a package made later, or of a newer baseline, takes the
    place of the older ones. A date that ran already, or runs now, is then produced again as its next revision.

    Parameters
    ----------
    settle_seconds : float
        Wait for the other half of the pass before the date is due. [s]

    Returns
    -------
    list of int
        The jobs that wait for it now.

    Raises
    ------
    InputError
        If the date is already there.
    """
    time = now(session)
    sites.register_tile(session, arrival.tile)
    # The tile's row is the lock under which its acquisitions and chains come to be.
    session.execute(sa.select(Tile.mgrs).where(Tile.mgrs == arrival.tile).with_for_update())
    refuse_known(session, arrival)
    acquisition = session.scalar(_same_pass(arrival))
    if acquisition is None:
        acquisition = Acquisition(
            tile=arrival.tile,
            platform=arrival.platform,
            datatake=arrival.datatake.replace(microsecond=0),
            sensing=arrival.sensing,
            relative_orbit=arrival.relative_orbit,
            first_seen=time,
            simulated=arrival.simulated,
        )
        session.add(acquisition)
        session.flush()
    known = {g.name: g for g in acquisition.granules}
    for granule in known.values():
        same = granule.baseline == arrival.baseline and granule.datastrip == arrival.datastrip
        if granule.state == "usable" and (granule.baseline < arrival.baseline or same):
            granule.state, granule.reason = "superseded", f"by {arrival.name}"
    granule = known.get(arrival.name) or Granule(acquisition_id=acquisition.id, name=arrival.name)
    for column in ("source", "baseline", "datastrip", "generation", "path", "bytes", "simulated"):
        setattr(granule, column, getattr(arrival, column))
    granule.seen = time
    granule.state, granule.reason = "usable", None
    session.add(granule)
    due = time + timedelta(seconds=settle_seconds)
    jobs = [_queue(session, chain, acquisition, time, due) for chain in sites.chains(session, arrival.tile)]
    events.record(
        session,
        time,
        "arrived",
        tile=arrival.tile,
        actor=arrival.source,
        data={"l1c": arrival.name, "date": arrival.sensing.isoformat(), "bytes": arrival.bytes},
    )
    session.flush()
    session.expire(acquisition, ["granules"])
    return jobs


def make_due(session: Session, jobs: Iterable[int], settle_seconds: float = 0.0) -> None:
    """Let jobs that were queued with a longer wait be due after `settle_seconds`. [s]"""
    due = now(session) + timedelta(seconds=settle_seconds)
    waiting = session.scalars(sa.select(Job).where(Job.id.in_(list(jobs)), Job.state == "ready")).all()
    for job in waiting:
        job.not_before = min(job.not_before, due)
    for chain in sorted({job.chain_id for job in waiting}):
        advance(session, chain)


def _same_pass(arrival: Arrival) -> sa.Select[Acquisition]:
    return sa.select(Acquisition).where(
        Acquisition.tile == arrival.tile,
        Acquisition.platform == arrival.platform,
        Acquisition.datatake == arrival.datatake.replace(microsecond=0),
    )


def _queue(session: Session, chain: Chain, acquisition: Acquisition, time: datetime, due: datetime) -> int:
    """The open job of the acquisition in a chain: a new one, or one that has not run yet."""
    lock(session, chain.id)
    job = session.scalar(
        sa.select(Job)
        .where(Job.chain_id == chain.id, Job.acquisition_id == acquisition.id)
        .order_by(Job.revision.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    if job is None or job.state in ("running", "published", "not_valid"):
        job = Job(
            chain_id=chain.id,
            acquisition_id=acquisition.id,
            sensing=acquisition.sensing,
            revision=0 if job is None else job.revision + 1,
            not_before=due,
            created=time,
        )
        session.add(job)
    elif job.state != "held":  # a held one stays so, and takes the granule with it
        job.state, job.not_before = "ready", max(due, job.not_before) if job.state == "ready" else due
        job.attempts, job.closed, job.reason, job.reason_class = 0, None, None, None
    advance(session, chain.id)
    return job.id
