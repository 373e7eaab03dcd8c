"""Who works on which chain: claims in time order, leases with a fencing token, and the loss of both.

The lease is on the chain (tile x version), and a chain offers only its oldest open date, so that two dates of a tile
can't run at once nor in the wrong order, however many dispatchers and workers there are. Each claim raises the
chain's token; whoever writes with an older one is refused.
"""

from __future__ import annotations

import time as clocks
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing import timeline
from processing.errors import Fenced
from processing.store import events
from processing.store.dialect import now
from processing.store.models import Acquisition, Attempt, Campaign, Chain, Granule, Job, Product, is_open
from processing.versions import parameters

#: Attempts of a date that may fail, time out or kill the chain's process before the date is given up.
MAX_ATTEMPTS = 3
#: Workers that may be lost with a date, and failures of the infrastructure that it may meet, before it is held.
MAX_SETBACKS = 20
#: First wait before a retry, doubled each time, and the longest. [s]
RETRY_SECONDS, MAX_RETRY_SECONDS = 30.0, 3600.0
#: Life of a lease that nobody says otherwise of. [s]
LEASE_SECONDS = 120.0
#: Priority from which on a chain makes the archive anew: behind everything that is made for the first time.
REPROCESSING = 1000
#: The clock was set if it went so much further, or less, than the time that passed. [s]
STEP_SECONDS = 5.0


@dataclass(frozen=True)
class Previous:
    """The product before a date, and where its recurrent state lies (relative to the home's ``state/``)."""

    product_id: int
    identifier: str
    state_path: str


@dataclass(frozen=True)
class Claim:
    """The right to work on one date, as long as `token` is the chain's."""

    attempt_id: int
    token: int
    chain_id: int
    job_id: int
    acquisition_id: int
    tile: str
    version: str
    platform: str
    sensing: datetime
    relative_orbit: int | None
    revision: int
    #: Level-1C packages, relative to the home's ``l1c/``, and their names.
    packages: tuple[str, ...]
    names: tuple[str, ...]
    previous: Previous | None
    late: bool
    simulated: bool
    #: The packages of each of the next dates known, relative to ``l1c/``: where there is no `previous` to start from.
    later: tuple[tuple[str, ...], ...] = ()
    #: It makes the archive anew: real time goes before it.
    reprocessing: bool = False
    #: It is noted that a worker began with it.
    begun: bool = False


# What every claim and commit asks is put together once: that takes longer than the database needs to answer.
_OLDEST = (
    sa.select(Job.id, Job.state, Job.not_before)
    .join(Chain, Chain.id == Job.chain_id)
    .join(Campaign, Campaign.id == Chain.campaign_id)
    # A date that runs keeps its place when its campaign is paused: its lease may still be lost.
    .where(
        Job.chain_id == sa.bindparam("chain"), is_open(), sa.or_(Campaign.status == "active", Job.state == "running")
    )
    .order_by(Job.sensing, Job.revision, Job.id)
    .limit(1)
)
_LOCKED = (
    sa.select(Chain)
    .where(Chain.id == sa.bindparam("chain"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_RUNNING = (
    sa.select(Job, Attempt)
    .outerjoin(Attempt, sa.and_(Attempt.job_id == Job.id, Attempt.ended.is_(None)))
    .where(Job.chain_id == sa.bindparam("chain"), is_open(), Job.state == "running")
)
_DATE = (
    sa.select(Job, Acquisition, Campaign.version)
    .join(Acquisition, Acquisition.id == Job.acquisition_id)
    .join(Chain, Chain.id == Job.chain_id)
    .join(Campaign, Campaign.id == Chain.campaign_id)
    .where(Job.id == sa.bindparam("job"))
)
_USABLE = (
    sa.select(Granule)
    .where(Granule.acquisition_id == sa.bindparam("acquisition"), Granule.state == "usable")
    .order_by(Granule.name)
)
_OF_SERIES = (Product.tile == sa.bindparam("tile"), Product.version == sa.bindparam("version"), Product.current)
_BEFORE = (
    sa.select(Product)
    .where(*_OF_SERIES, Product.sensing < sa.bindparam("sensing"), Product.valid)
    .order_by(Product.sensing.desc())
    .limit(1)
)
_AFTER = sa.select(Product.id).where(*_OF_SERIES, Product.sensing > sa.bindparam("sensing")).limit(1)


def advance(session: Session, chain_id: int, locked: Chain | None = None) -> None:
    """Let the chain offer its oldest open date, or nothing. Part of every transaction that touches its jobs.

    The chain's row stays locked to the end of the transaction, so that two of them can't miss each other's jobs.
    `locked`: the row, where this transaction has locked it already.
    """
    session.flush()
    chain = locked or lock(session, chain_id)
    oldest = session.execute(_OLDEST, {"chain": chain_id}).one_or_none()
    offered = oldest if oldest is not None and oldest.state != "held" else None
    chain.next_job_id = offered.id if offered else None
    chain.next_due = offered.not_before if offered else None


def lock(session: Session, chain_id: int) -> Chain:
    """The chain's row, locked and read afresh."""
    return session.scalars(_LOCKED, {"chain": chain_id}).one()


@dataclass
class _Clock:
    """How far a database's clock was ahead of the time that passes here, and since when it may be wrong."""

    ahead: float
    stepped: float | None = None


_clocks: WeakKeyDictionary[object, _Clock] = WeakKeyDictionary()


def _is_steady(session: Session, time: datetime, seconds: float) -> bool:
    """Whether the database's clock went as time does, for as long as a lease lives at least.

    After it was set, leases say nothing until those who have them renewed them; a clock that is set while nobody looks
    goes unseen.
    """
    passed = clocks.monotonic()
    ahead = time.timestamp() - passed
    clock = _clocks.setdefault(session.get_bind().engine, _Clock(ahead))
    if abs(ahead - clock.ahead) > STEP_SECONDS:
        clock.stepped = passed
    clock.ahead = ahead
    if clock.stepped is not None and passed - clock.stepped > seconds:
        clock.stepped = None
    return clock.stepped is None


def _ran_out(session: Session, time: datetime, seconds: float) -> sa.ColumnElement[bool]:
    """Of a chain: that whoever has its lease did not renew it.

    A lease that reaches further than any is given for is of before the clock was set back.
    """
    if not _is_steady(session, time, seconds):
        return sa.false()
    latest = time + timedelta(seconds=2 * max(seconds, LEASE_SECONDS))
    return sa.or_(Chain.lease_until < time, Chain.lease_until > latest)


def claimable(session: Session, seconds: float = LEASE_SECONDS, *, urgent: bool = False) -> bool:
    """Whether a claim could find something now: a look without a lock."""
    return session.scalar(_due(session, now(session), seconds, urgent=urgent).limit(1)) is not None


def _due(session: Session, time: datetime, seconds: float, *, urgent: bool = False) -> sa.Select[int]:
    due = (
        sa.select(Chain.id)
        .where(
            Chain.next_job_id.is_not(None),
            Chain.next_due <= time,
            sa.or_(Chain.lease_until.is_(None), _ran_out(session, time, seconds)),
        )
        .order_by(Chain.priority, Chain.next_due, Chain.id)
    )
    return due.where(Chain.priority < REPROCESSING) if urgent else due


def claim(
    session: Session, owner: str, seconds: float, *, urgent: bool = False, program: str | None = None
) -> Claim | None:
    """Take the most urgent chain that is due and free, and open an attempt of its oldest date.

    Parameters
    ----------
    owner : str
        Who asks.
    seconds : float
        Life of the lease. [s]
    urgent : bool
        Nothing of a campaign that makes the archive anew: the slot is kept for real time.
    program : str, optional
        What will run it, kept with the event.

    Returns
    -------
    Claim or None
        None if nothing is due. A chain that turns out to have nothing due after all is left alone for this time.
    """
    time = now(session)
    chain = _take(session, owner, time, seconds, urgent=urgent)
    if chain is None:
        return None
    _lose(session, chain.id, time)
    advance(session, chain.id, chain)
    if chain.next_job_id is None or chain.next_due is None or chain.next_due > time:
        # The date was given up just now, or an older one that is not due came while it ran.
        chain.lease_owner = chain.lease_until = None
        return None
    date = session.execute(_DATE, {"job": chain.next_job_id}).one()
    packages = session.scalars(_USABLE, {"acquisition": date.Job.acquisition_id}).all()
    if not packages:
        _reject_without_package(session, chain, date.Job, time)
        return None
    return _open(session, chain, date, packages, time, program)


def _reject_without_package(session: Session, chain: Chain, job: Job, time: datetime) -> None:
    """Close a date whose packages another version has found bad: they are so for this one too."""
    reason = session.scalar(
        sa.select(Granule.reason)
        .where(Granule.acquisition_id == job.acquisition_id, Granule.state == "rejected")
        .order_by(Granule.seen.desc())
        .limit(1)
    )
    job.state, job.reason, job.reason_class, job.closed = "rejected", reason or "no usable package", "input", time
    chain.lease_owner = chain.lease_until = None
    version = session.get_one(Campaign, chain.campaign_id).version
    data = {"date": job.sensing.isoformat(), "reason": job.reason}
    place = {"tile": chain.tile, "version": version, "job_id": job.id}
    events.record(session, time, "rejected", severity="warning", data=data, **place)
    advance(session, chain.id, chain)


def _take(session: Session, owner: str, time: datetime, seconds: float, *, urgent: bool) -> Chain | None:
    """Put the lease of the most urgent chain that is due and free under a new token."""
    # An uncorrelated scalar subquery is evaluated once; on SQLite the write lock is already ours.
    due = _due(session, time, seconds, urgent=urgent).limit(1).with_for_update(skip_locked=True)
    return session.scalar(
        sa.update(Chain)
        .where(Chain.id == due.scalar_subquery())
        .values(lease_owner=owner, lease_until=time + timedelta(seconds=seconds), token=Chain.token + 1)
        .returning(Chain)
        .execution_options(synchronize_session=False, populate_existing=True)
    )


def _open(
    session: Session,
    chain: Chain,
    date: sa.Row[Job, Acquisition, str],
    granules: Sequence[Granule],
    time: datetime,
    program: str | None,
) -> Claim:
    """Open an attempt of a date under the lease that its chain has."""
    owner = chain.lease_owner
    assert owner is not None
    job, acquisition, version = date
    job.state, job.reason, job.reason_class = "running", None, None
    job.late = newest_published(session, chain.tile, version, job) is not None
    before = previous(session, chain.tile, version, job)
    attempt = Attempt(job_id=job.id, token=chain.token, owner=owner, claimed=time)
    session.add(attempt)
    session.flush()
    data = {"token": chain.token, "late": job.late, "date": job.sensing.isoformat()}
    if program is not None:
        data["program"] = program
    events.record(session, time, "claimed", tile=chain.tile, version=version, job_id=job.id, actor=owner, data=data)
    return Claim(
        attempt_id=attempt.id,
        token=chain.token,
        chain_id=chain.id,
        job_id=job.id,
        acquisition_id=acquisition.id,
        tile=chain.tile,
        version=version,
        platform=acquisition.platform,
        sensing=job.sensing,
        relative_orbit=acquisition.relative_orbit,
        revision=job.revision,
        packages=tuple(g.path for g in granules),
        names=tuple(g.name for g in granules),
        previous=before,
        late=job.late,
        simulated=acquisition.simulated,
        # One of them may be what an attempt failed on.
        later=() if before or job.attempts else later(session, version, job),
        reprocessing=chain.priority >= REPROCESSING,
    )


def previous(session: Session, tile: str, version: str, job: Job) -> Previous | None:
    """The newest valid product before a date.

    None too where it is so old that the tile starts anew, or its state was removed, as for a very late date.
    """
    newest = session.scalars(_BEFORE, {"tile": tile, "version": version, "sensing": job.sensing})
    found = timeline.predecessor(newest, job.sensing, parameters(version))
    if found is None or found.state_path is None:
        return None
    return Previous(found.id, found.identifier, found.state_path)


def later(session: Session, version: str, job: Job) -> tuple[tuple[str, ...], ...]:
    """The packages of the dates after one from which its chain may start backward, oldest date first."""
    numbers = parameters(version)
    candidates = session.scalars(
        sa.select(Acquisition)
        .join(Job, Job.acquisition_id == Acquisition.id)
        .where(
            Job.chain_id == job.chain_id,
            Job.sensing > job.sensing,
            Job.sensing < timeline.reach(job.sensing, numbers),
            Job.state.in_(("ready", "published")),
        )
        .group_by(Acquisition.id)
        .order_by(Acquisition.sensing)
        .limit(numbers.backward_dates)
    )
    dates = timeline.feeders(candidates, job.sensing, numbers)
    packages: dict[int, list[str]] = {date.id: [] for date in dates}
    usable = sa.select(Granule.acquisition_id, Granule.path).where(
        Granule.acquisition_id.in_(packages), Granule.state == "usable"
    )
    for acquisition, path in session.execute(usable.order_by(Granule.name)):
        packages[acquisition].append(path)
    return tuple(tuple(paths) for paths in packages.values() if paths)


def newest_published(session: Session, tile: str, version: str, job: Job) -> int | None:
    """A product of the chain newer than a date: the date is then late."""
    return session.scalar(_AFTER, {"tile": tile, "version": version, "sensing": job.sensing})


def fence(session: Session, claim: Claim) -> Chain:
    """The locked chain of a claim.

    Raises
    ------
    Fenced
        If the lease passed on, or the attempt has ended.
    """
    chain = lock(session, claim.chain_id)
    if chain.token != claim.token or chain.lease_owner is None:
        raise Fenced(f"attempt {claim.attempt_id} of {claim.tile} {claim.sensing:%Y-%m-%d}: the lease passed on")
    return chain


def renew(session: Session, claim: Claim, seconds: float) -> None:
    """Keep the lease for another `seconds`.

    Raises
    ------
    Fenced
        If the lease passed on.
    """
    fence(session, claim).lease_until = now(session) + timedelta(seconds=seconds)


def keep_waiting(session: Session, claims: Collection[Claim], seconds: float) -> None:
    """Keep the leases of dates that were handed out and that no worker began with yet; one that runs keeps its own."""
    until = now(session) + timedelta(seconds=seconds)
    for claim in sorted(claims, key=lambda claim: claim.chain_id):
        chain = lock(session, claim.chain_id)
        begun = session.scalar(sa.select(Attempt.started).where(Attempt.id == claim.attempt_id))
        if begun is None and chain.token == claim.token and chain.lease_owner is not None:
            chain.lease_until = until


def started(session: Session, claim: Claim, host: str, log_path: str, seconds: float = LEASE_SECONDS) -> None:
    """Note that a worker began, with a whole lease before it.

    Raises
    ------
    Fenced
        If the lease passed on, or a worker began with this attempt already: a scheduler may run a task again.
    """
    chain = fence(session, claim)
    attempt = session.get_one(Attempt, claim.attempt_id, populate_existing=True)
    if attempt.started is not None:
        began = f"attempt {claim.attempt_id} of {claim.tile} {claim.sensing:%Y-%m-%d} was begun by {attempt.host}"
        raise Fenced(f"{began} already")
    time = now(session)
    attempt.started, attempt.host, attempt.log_path = time, host, log_path
    chain.lease_until = time + timedelta(seconds=seconds)


def note_fenced(session: Session, claim: Claim) -> None:
    """Note that a worker whose lease was lost came back, and was refused."""
    attempt = session.get_one(Attempt, claim.attempt_id)
    if attempt.outcome == "lost":
        attempt.outcome = "fenced"


def expire(session: Session, seconds: float = LEASE_SECONDS) -> int:
    """Free the chains whose lease ran out, so that nothing looks as if it ran; how many there were."""
    time = now(session)
    _set_back(session, time)
    stale: Sequence[int] = session.scalars(
        sa.select(Chain.id)
        .where(Chain.lease_until.is_not(None), _ran_out(session, time, seconds))
        .order_by(Chain.id)
        .with_for_update(skip_locked=True)
    ).all()
    for chain_id in stale:
        chain = lock(session, chain_id)
        chain.token += 1
        chain.lease_owner = chain.lease_until = None
        _lose(session, chain_id, time)
        advance(session, chain_id, chain)
    return len(stale)


def _set_back(session: Session, time: datetime) -> None:
    """Dates that were queued later than now are of before the clock was set back: they wait no longer for it."""
    future = sa.select(Job).where(Job.created > time + timedelta(seconds=STEP_SECONDS), is_open())
    jobs = session.scalars(future.order_by(Job.chain_id)).all()
    for job in jobs:
        job.not_before, job.created = job.not_before - (job.created - time), time
    for chain_id in sorted({job.chain_id for job in jobs}):
        advance(session, chain_id)


def interrupt(session: Session, chain_id: int, time: datetime) -> None:
    """Take the lease away from whoever has it: the attempt is cancelled, its worker finds itself fenced."""
    chain = lock(session, chain_id)
    chain.token += 1
    chain.lease_owner = chain.lease_until = None
    for job, attempt in _running(session, chain_id):
        job.state = "ready"
        if attempt is not None:
            attempt.ended, attempt.outcome = time, "cancelled"


def _running(session: Session, chain_id: int) -> Sequence[sa.Row[Job, Attempt | None]]:
    return session.execute(_RUNNING, {"chain": chain_id}).all()


def wait(failures: int) -> timedelta:
    """How long a date waits after so many failures in a row."""
    return timedelta(seconds=min(RETRY_SECONDS * 2.0 ** min(failures - 1, 30), MAX_RETRY_SECONDS))


def _lose(session: Session, chain_id: int, time: datetime) -> None:
    """Close what still counts as running on a chain whose lease ran out.

    The date is not at fault: a host that fails takes whatever it has with it. The first time it goes on at once, then
    with longer and longer waits, and at last an operator is asked. Where no worker began, nothing is counted.
    """
    for job, attempt in _running(session, chain_id):
        if attempt is not None:
            attempt.ended, attempt.outcome = time, "lost"
        if attempt is None or attempt.started is None:
            if attempt is not None:
                attempt.reason = "no worker began with it"
            job.state = "ready"
            _say_lost(session, job, attempt, time, "no worker began with it")
            continue
        attempt.reason = "the worker did not renew its lease"
        job.setbacks += 1
        job.reason_class, job.reason = "infrastructure", "the worker was lost"
        if job.setbacks >= MAX_SETBACKS:
            job.state, job.reason = "held", f"the infrastructure failed {job.setbacks} times, the last worker was lost"
        elif job.setbacks > 1:
            job.state, job.not_before = "retry", time + wait(job.setbacks - 1)
        else:
            job.state = "ready"
        events.note_anomaly(session, time, "infrastructure", "worker lost", f"job {job.id}: {job.reason}")
        _say_lost(session, job, attempt, time, job.reason)


def _say_lost(session: Session, job: Job, attempt: Attempt | None, time: datetime, reason: str) -> None:
    chain = session.get_one(Chain, job.chain_id)
    events.record(
        session,
        time,
        "lost",
        severity="error" if job.state == "held" else "warning",
        tile=chain.tile,
        version=session.get_one(Campaign, chain.campaign_id).version,
        job_id=job.id,
        actor=attempt.owner if attempt else None,
        data={"date": job.sensing.isoformat(), "reason": reason, "setbacks": job.setbacks, "state": job.state},
    )
