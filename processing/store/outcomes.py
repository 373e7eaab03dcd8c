"""How an attempt ends: each verb is fenced, closes the attempt, moves the job and lets the chain go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.scene import Figures
from processing.store import delays, events, holdings, replays
from processing.store.dialect import insert, now
from processing.store.lease import MAX_ATTEMPTS, MAX_SETBACKS, Claim, advance, fence, wait
from processing.store.models import Attempt, Chain, Granule, Job, Product, Quality

#: A revision that lacks so much more of the tile than what it replaces is spoken of. [%]
LESS_GROUND = 1.0


_ROWS = sa.select(Job, Attempt).join(Attempt, Attempt.job_id == Job.id).where(Attempt.id == sa.bindparam("attempt"))


@dataclass(frozen=True)
class Made:
    """What the store keeps of a finished date, published or not valid; fields as in `models`."""

    mode: str
    figures: Figures
    flags: Mapping[str, bool]
    simulated: bool
    peak_memory: int | None = None
    #: Of a product only.
    identifier: str = ""
    has_state: bool = False
    manifest_sha: str = ""
    bytes: int = 0
    #: Further figures by name.
    other: Mapping[str, float | None] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    #: What lies in the product's folder: `distribution.holdings.Holdings.json`.
    holdings: dict[str, Any] | None = None


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed, and what may help.

    Attributes
    ----------
    reason_class : str
        ``infrastructure`` failures are not the date's fault and don't count against its attempts; after very many
        of them it is held.
    reason : str
        In one line.
    signature : str
        What such failures have in common, for the anomaly.
    again : bool
        Trying again may help.
    hold : bool
        Only an operator can help, and the later dates would meet the same: the chain waits.
    exit_code : int or None
        Of the chain's process, where it died.
    """

    reason_class: str
    reason: str
    signature: str
    again: bool = False
    hold: bool = False
    exit_code: int | None = None


class _Ended(NamedTuple):
    """The state that a job enters with the end of an attempt, and why."""

    state: str
    reason: str | None = None
    reason_class: str | None = None
    made: Made | None = None
    exit_code: int | None = None


def product_path(claim: Claim, identifier: str) -> PurePosixPath:
    """Where a product lies in the archive: ``<tile>/<version>/<identifier>``.

    A date that was produced again lies beside the first one, under ``revision-<n>/``: a published folder never
    changes.
    """
    folder = PurePosixPath(claim.tile, claim.version)
    return (folder / f"revision-{claim.revision}" if claim.revision else folder) / identifier


def published(session: Session, claim: Claim, made: Made, replay_dates: int = 0) -> Product:
    """Record a product whose folder was just put in its place; the last step of the transaction that did so.

    Products of later dates were made without it: the next one says so, and if at most `replay_dates` depend on it
    they are queued again as their next revisions.

    Raises
    ------
    Fenced
        If the lease passed on.
    """
    chain = fence(session, claim)
    # As long as they are held here, nobody below has to read them again.
    job, attempt = session.execute(_ROWS, {"attempt": claim.attempt_id}).one()
    assert job.id == claim.job_id
    time = now(session)
    path = product_path(claim, made.identifier)
    own_state = path.with_name(path.name + ".npz")
    same_date = sa.and_(
        Product.tile == claim.tile,
        Product.version == claim.version,
        Product.platform == claim.platform,
        Product.sensing == claim.sensing,
    )
    _note_less_ground(session, claim, made, same_date, time)
    session.execute(sa.update(Product).where(same_date, Product.current).values(current=False))
    product = Product(
        job_id=claim.job_id,
        attempt_id=claim.attempt_id,
        identifier=made.identifier,
        tile=claim.tile,
        platform=claim.platform,
        sensing=claim.sensing,
        relative_orbit=claim.relative_orbit,
        version=claim.version,
        revision=claim.revision,
        path=str(path),
        mode=made.mode,
        prev_product=claim.previous.product_id if claim.previous and made.mode == "nominal" else None,
        state_path=str(own_state) if made.has_state else claim.previous.state_path if claim.previous else None,
        manifest_sha=made.manifest_sha,
        bytes=made.bytes,
        published=time,
        simulated=made.simulated,
        l1c=list(claim.names),
        absent=made.absent,
        origin=made.origin,
        seconds=made.seconds,
    )
    session.add(product)
    session.flush()
    if made.holdings is not None:
        holdings.keep(session, product.id, made.holdings)
    delays.note(session, product, job, attempt)
    if claim.late:
        replays.after(session, product, replay_dates)
    _keep_figures(session, claim, made)
    _close(session, claim, chain, time, _Ended("published", made=made))
    _event(session, claim, time, "published", product_id=product.id, data={"identifier": made.identifier})
    return product


def _note_less_ground(
    session: Session, claim: Claim, made: Made, same_date: sa.ColumnElement[bool], time: datetime
) -> None:
    """Say so where a revision shows less ground than the product whose place it takes."""
    before = session.execute(
        sa.select(Product.identifier, Quality.no_data_percent)
        .join(Quality, Quality.job_id == Product.job_id)
        .where(same_date, Product.current)
        .limit(1)
    ).one_or_none()
    lacking = made.figures.no_data_percent
    if before is None or before[1] is None or not lacking > before[1] + LESS_GROUND:
        return
    text = f"{made.identifier}: {lacking:.1f} % of it without data, {before[1]:.1f} % of what it replaces"
    events.note_anomaly(session, time, "input", "revision with less ground", text)
    _event(session, claim, time, "less ground", severity="warning", data={"reason": text, "replaces": before[0]})


def not_valid(session: Session, claim: Claim, made: Made, reason: str) -> None:
    """Record a date that gives no product (too cloudy, hardly observed). The chain goes on from the older state."""
    chain = fence(session, claim)
    time = now(session)
    _keep_figures(session, claim, made)
    _close(session, claim, chain, time, _Ended("not_valid", reason, made=made))
    _event(session, claim, time, "not_valid", data={"reason": reason})


def rejected(session: Session, claim: Claim, reason_class: str, reason: str, bad: str | None = None) -> str:
    """Record that the Level-1C can't be used; the chain goes on. `bad`: the name of the package at fault, if known.

    The same package may be delivered again. Where others of the pass are usable, among them those that the bad one had
    replaced, the date is queued again with these.

    Returns
    -------
    str
        ``rejected``, or ``retry`` where it is queued again.
    """
    chain = fence(session, claim)
    time = now(session)
    all_ = session.scalars(sa.select(Granule).where(Granule.acquisition_id == claim.acquisition_id)).all()
    used = [g for g in all_ if g.name in claim.names]
    at_fault = [g for g in used if g.name == bad] or used
    for granule in at_fault:
        granule.state, granule.reason = "rejected", reason
    for granule in all_:
        if granule.state == "superseded" and granule.reason in {f"by {g.name}" for g in at_fault}:
            granule.state, granule.reason = "usable", None
    session.flush()
    events.note_anomaly(session, time, reason_class, "rejected Level-1C", reason)
    _event(session, claim, time, "rejected", severity="warning", data={"reason": reason})
    left = {g.name for g in all_ if g.state == "usable"}
    if left and left != _made_from(session, claim):
        session.get_one(Job, claim.job_id).not_before = time
        _close(session, claim, chain, time, _Ended("retry", reason, reason_class))
        return "retry"
    _close(session, claim, chain, time, _Ended("rejected", reason, reason_class))
    return "rejected"


def _made_from(session: Session, claim: Claim) -> set[str]:
    """Names of the packages that the current product of a date was made from."""
    current = sa.select(Product.l1c).join(Job, Job.id == Product.job_id)
    current = current.where(Job.chain_id == claim.chain_id, Job.acquisition_id == claim.acquisition_id, Product.current)
    return set(session.scalar(current.limit(1)) or ())


def failed(session: Session, claim: Claim, failure: Failure, max_attempts: int = MAX_ATTEMPTS) -> str:
    """Record an attempt that failed, and decide what becomes of the date.

    Returns
    -------
    str
        ``retry``, ``held`` or ``failed``: the job's new state.
    """
    chain = fence(session, claim)
    time = now(session)
    job = session.get_one(Job, claim.job_id)
    if failure.reason_class == "infrastructure":
        job.setbacks += 1
    else:
        job.attempts += 1
    if failure.hold or (failure.again and job.setbacks >= MAX_SETBACKS):
        state = "held"
    elif failure.again and job.attempts < max_attempts:
        state = "retry"
        job.not_before = time + wait(job.attempts + job.setbacks)
    else:
        state = "failed"
    ended = _Ended(state, failure.reason, failure.reason_class, exit_code=failure.exit_code)
    _close(session, claim, chain, time, ended)
    events.note_anomaly(session, time, failure.reason_class, failure.signature, failure.reason)
    severity = "warning" if state == "retry" else "error"
    data = {"reason": failure.reason, "class": failure.reason_class}
    _event(session, claim, time, state, severity=severity, data=data)
    return state


def given_back(session: Session, claim: Claim) -> None:
    """A worker that is being stopped returns its date unharmed; it can be claimed again at once."""
    chain = fence(session, claim)
    time = now(session)
    _close(session, claim, chain, time, _Ended("ready"))
    _event(session, claim, time, "given_back", data={"reason": "the worker is being stopped"})


def _close(session: Session, claim: Claim, chain: Chain, time: datetime, ended: _Ended) -> None:
    """Close the attempt, put the job in its new state, free the chain and let it go on."""
    state = ended.state
    attempt = session.get_one(Attempt, claim.attempt_id)
    attempt.ended, attempt.reason, attempt.exit_code = time, ended.reason, ended.exit_code
    attempt.outcome = {"retry": "failed", "held": "failed", "ready": "cancelled"}.get(state, state)
    if ended.made is not None:
        attempt.mode, attempt.peak_memory = ended.made.mode, ended.made.peak_memory
    job = session.get_one(Job, claim.job_id)
    job.state, job.reason, job.reason_class = state, ended.reason, ended.reason_class
    job.closed = None if state in ("retry", "held", "ready") else time
    advance(session, chain.id, chain)
    chain.lease_owner = chain.lease_until = None


def _keep_figures(session: Session, claim: Claim, made: Made) -> None:
    """The columns of `Quality` have the names of `Figures`."""
    columns = {"flags": dict(made.flags), "other": dict(made.other), **made.figures.as_dict()}
    row = insert(session, Quality).values(job_id=claim.job_id, **columns)
    session.execute(row.on_conflict_do_update(index_elements=[Quality.job_id], set_=columns))


def _event(session: Session, claim: Claim, time: datetime, kind: str, **fields: Any) -> None:
    fields["data"] = {"date": claim.sensing.isoformat(), **fields.get("data", {})}
    events.record(session, time, kind, tile=claim.tile, version=claim.version, job_id=claim.job_id, **fields)
