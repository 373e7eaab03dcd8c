"""What was seen becomes what is to be done: one granule, its acquisition and its jobs, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing import timeline
from processing.errors import InputError
from processing.store import events, formats, sites
from processing.store.dialect import now
from processing.store.lease import advance, lock
from processing.store.models import Acquisition, Attempt, Chain, Granule, Job, Tile
from processing.timeline import Ground

#: The ground that packages of one pass observed, by their names; where it isn't known their datastrips tell alone.
Grounds = Mapping[str, Ground]


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
    #: When it was first noticed; None: now.
    seen: datetime | None = None
    #: When its source published it; None: when it was made.
    offered: datetime | None = None
    #: Kind of the package.
    kind: str = "SAFE"


def siblings(session: Session, arrival: Arrival) -> Sequence[Granule]:
    """The usable packages of the same pass, the first that came first."""
    acquisition = session.scalar(_same_pass(arrival))
    if acquisition is None:
        return []
    return sorted((g for g in acquisition.granules if g.state == "usable"), key=lambda g: g.id)


def refuse_known(session: Session, arrival: Arrival, grounds: Grounds | None = None) -> None:
    """Refuse a date that is already there.

    Raises
    ------
    InputError
        If the package itself is catalogued, or all it could give is there in one of the same pass that was made later.
    """
    acquisition = session.scalar(_same_pass(arrival))
    if acquisition is None:
        return
    date = f"{arrival.platform} {arrival.tile} {arrival.sensing:%Y-%m-%d}"
    if any(g.name == arrival.name for g in acquisition.granules if g.state != "rejected"):
        raise InputError(arrival.name, f"is already there ({date})")
    usable = [g for g in acquisition.granules if g.state != "rejected"]
    if any(found is arrival for found in _serving(usable, arrival, grounds)):
        return
    there = max(usable, key=lambda g: (g.datastrip == arrival.datastrip, g.baseline, g.generation))
    if there.baseline > arrival.baseline:
        fault = f"has baseline {arrival.baseline}; {date} is already there with baseline {there.baseline}"
    elif there.baseline < arrival.baseline:
        fault = f"shows a part only of what is already there of {date}: {there.name}"
    else:
        fault = f"{date} is already there, made at the same time or later: {there.name}"
    raise InputError(arrival.name, fault)


def _serving(there: Iterable[Granule], arrival: Arrival, grounds: Grounds | None) -> list[Granule | Arrival]:
    """What serves of a pass with a package that comes to those that are there."""
    known = grounds or {}
    return timeline.serving([*sorted(there, key=lambda g: g.id), arrival], lambda package: known.get(package.name))


def add(session: Session, arrival: Arrival, settle_seconds: float = 0.0, grounds: Grounds | None = None) -> list[int]:
    """Catalogue a granule and queue its date in every chain of its tile.

    The other half of a pass (another datastrip) joins it; a package made later, or of a newer baseline, takes the
    place of the older one of its datastrip (`timeline.serving`). A date that ran already, or runs now, is then produced
    again as its next revision.

    Parameters
    ----------
    settle_seconds : float
        Wait for the other half of the pass before the date is due. [s]
    grounds : mapping, optional
        What the package and those of the same pass observed.

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
    refuse_known(session, arrival, grounds)
    chains = [lock(session, chain.id) for chain in sites.chains(session, arrival.tile, arrival.sensing)]
    acquisition = _put(session, arrival, time, grounds)
    due = time + timedelta(seconds=settle_seconds)
    jobs = [_queue(session, chain, acquisition, time, due) for chain in chains]
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


def _put(session: Session, arrival: Arrival, time: datetime, grounds: Grounds | None) -> Acquisition:
    """Put a granule to its pass, in the place of those that it replaces."""
    acquisition = session.scalar(_same_pass(arrival))
    if acquisition is None:
        acquisition = Acquisition(
            tile=arrival.tile,
            platform=arrival.platform,
            datatake=timeline.datatake(arrival.datatake),
            sensing=arrival.sensing,
            relative_orbit=arrival.relative_orbit,
            first_seen=time,
            simulated=arrival.simulated,
        )
        session.add(acquisition)
        session.flush()
    known = {g.name: g for g in acquisition.granules}
    usable = [granule for granule in known.values() if granule.state == "usable"]
    serving = _serving(usable, arrival, grounds)
    for granule in usable:
        if not any(granule is served for served in serving):
            granule.state, granule.reason = "superseded", f"by {arrival.name}"
    _date(session, acquisition, arrival)
    granule = known.get(arrival.name) or Granule(acquisition_id=acquisition.id, name=arrival.name)
    for column in ("source", "baseline", "datastrip", "generation", "path", "bytes", "simulated"):
        setattr(granule, column, getattr(arrival, column))
    granule.seen = min(arrival.seen or time, time)
    granule.offered, granule.downloaded = arrival.offered or arrival.generation, time
    granule.state, granule.reason = "usable", None
    session.add(granule)
    seen = {"name": arrival.name, "sensing": arrival.sensing, "seen": granule.seen}
    formats.note(
        session,
        time,
        **{"tile": arrival.tile, "platform": arrival.platform, "baseline": arrival.baseline, "kind": arrival.kind},
        **seen,
    )
    return acquisition


def _date(session: Session, acquisition: Acquisition, arrival: Arrival) -> None:
    """Date a pass as the image put together from its packages will be, whichever of them came first.

    Not once an attempt began: its product bears the date that the pass had.
    """
    halves = any(g.state == "usable" for g in acquisition.granules)
    sensing = min(acquisition.sensing, arrival.sensing) if halves else arrival.sensing
    of_pass = sa.select(Job.id).where(Job.acquisition_id == acquisition.id)
    begun = sa.select(Attempt.id).where(Attempt.job_id.in_(of_pass))
    if sensing == acquisition.sensing or session.scalar(begun.limit(1)) is not None:
        return
    acquisition.sensing = sensing
    session.execute(sa.update(Job).where(Job.acquisition_id == acquisition.id).values(sensing=sensing))


def make_due(session: Session, jobs: Iterable[int], settle_seconds: float = 0.0) -> None:
    """Let jobs that were queued with a longer wait be due after `settle_seconds`. [s]"""
    due = now(session) + timedelta(seconds=settle_seconds)
    waiting = session.scalars(sa.select(Job).where(Job.id.in_(list(jobs)), Job.state == "ready")).all()
    for job in waiting:
        job.not_before = min(job.not_before, due)
    for chain in sorted({job.chain_id for job in waiting}):
        advance(session, chain)


def postpone(session: Session, jobs: Iterable[int], seconds: float) -> None:
    """Let jobs that wait for others of their batch wait on, `seconds` from now; what is due or began is left alone."""
    time = now(session)
    waiting = sa.select(Job).where(Job.id.in_(list(jobs)), Job.state == "ready", Job.not_before > time)
    found = session.scalars(waiting).all()
    for job in found:
        job.not_before = time + timedelta(seconds=seconds)
    for chain in sorted({job.chain_id for job in found}):
        advance(session, chain)


def _same_pass(arrival: Arrival) -> sa.Select[Acquisition]:
    return sa.select(Acquisition).where(
        Acquisition.tile == arrival.tile,
        Acquisition.platform == arrival.platform,
        Acquisition.datatake == timeline.datatake(arrival.datatake),
    )


def _queue(session: Session, chain: Chain, acquisition: Acquisition, time: datetime, due: datetime) -> int:
    """The open job of the acquisition in a locked chain: a new one, or one that has not run yet."""
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
        job.attempts, job.setbacks, job.closed, job.reason, job.reason_class = 0, 0, None, None, None
    advance(session, chain.id)
    return job.id
