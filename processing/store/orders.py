"""What an operator may tell the centre: retry, replay, hold, release, reject a date; withdraw, reinstate a product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import UnknownName
from processing.naming import bare
from processing.people import Actor
from processing.store import backlog, events, lease, replays, upkeep
from processing.store.dialect import now
from processing.store.models import Acquisition, Campaign, Chain, Granule, Job, Product

#: Digits of a job's key: of one more the databases have none.
LONGEST_KEY = 18


def find_jobs(session: Session, name: str) -> Sequence[Job]:
    """The latest job of each chain that a name means, oldest date first.

    Parameters
    ----------
    name : str
        Of a Level-1C package (with or without ``.SAFE``, ``.zip``), of a product, or ``job:<id>``.

    Raises
    ------
    UnknownName
        If nothing has this name.
    """
    plain = bare(name.rstrip("/").rsplit("/", 1)[-1])
    jobs = sa.select(Job)
    if plain.startswith("job:") and plain.isascii() and plain[4:].isdecimal() and len(plain) <= 4 + LONGEST_KEY:
        jobs = jobs.where(Job.id == int(plain[4:]))
    else:
        of_granule = sa.select(Granule.acquisition_id).where(Granule.name == plain)
        of_product = sa.select(Product.job_id).where(Product.identifier == plain)
        other = sa.orm.aliased(Job)
        later = sa.exists().where(
            other.chain_id == Job.chain_id,
            other.acquisition_id == Job.acquisition_id,
            other.revision > Job.revision,
        )
        jobs = jobs.where(sa.or_(sa.and_(Job.acquisition_id.in_(of_granule), ~later), Job.id.in_(of_product)))
    found = session.scalars(jobs.order_by(Job.sensing, Job.id)).all()
    if not found:
        raise UnknownName(f"{name}: no Level-1C package, product or job of this name")
    return found


def retry(session: Session, job: Job, actor: Actor) -> str:
    """Queue a date that failed, was rejected, or waits for its retry; at once."""
    return _order(session, job, actor, "retry", ("failed", "rejected", "retry"), "ready")


def replay(session: Session, job: Job, actor: Actor) -> str:
    """Make a date's product again, as its next revision, and after it those of the later dates that go back to it."""
    actor.require("order")
    lease.lock(session, job.chain_id)
    product = session.scalar(
        sa.select(Product)
        .join(Job, Job.id == Product.job_id)
        .where(Job.chain_id == job.chain_id, Job.acquisition_id == job.acquisition_id, Product.current)
    )
    _audit(session, "replay", actor, tile=job.acquisition.tile, job_id=job.id)
    if product is None:
        return f"is {job.state}, without a product: nothing to replay"
    queued = sum(replays.again(session, p, actor.name) for p in (product, *replays.dependent(session, product)))
    return f"{queued} queued"


def hold(session: Session, job: Job, actor: Actor) -> str:
    """Keep a date, and with it the later ones of its chain, from being processed; one that runs is stopped."""
    return _order(session, job, actor, "hold", ("ready", "retry", "running"), "held", "held by the operator")


def release(session: Session, job: Job, actor: Actor) -> str:
    """Let a held date go on."""
    return _order(session, job, actor, "release", ("held",), "ready")


def reject(session: Session, job: Job, actor: Actor) -> str:
    """Give a date up so that its chain goes on without it; one that runs is stopped."""
    states = ("ready", "retry", "running", "held", "failed")
    return _order(session, job, actor, "reject", states, "rejected", "given up by the operator")


def hold_after(session: Session, product: Product, actor: Actor) -> str:
    """Keep the next date of a product's chain from being processed: it would begin from what this one left."""
    following = session.scalar(
        sa.select(Job)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .where(
            Chain.tile == product.tile,
            Campaign.version == product.version,
            Job.sensing > product.sensing,
            Job.state.in_(("ready", "retry", "running")),
        )
        .order_by(Job.sensing, Job.revision)
        .limit(1)
    )
    if following is None:
        return "no later date waits: nothing to hold"
    return f"{following.sensing:%Y-%m-%d} {hold(session, following, actor)}"


def withdraw(session: Session, product: Product, actor: Actor, reason: str = "") -> str:
    """Take a product back from the users: it stays on disk, no later date begins from what it left."""
    actor.require("withdraw")
    if not product.valid:
        return "is withdrawn already"
    product.valid = False
    _note(session, product, "withdrawn", actor, severity="warning", data={"reason": reason} if reason else {})
    return "withdrawn"


def reinstate(session: Session, product: Product, actor: Actor) -> str:
    """Give a withdrawn product to the users again; one that was made without it meanwhile says so."""
    actor.require("withdraw")
    if product.valid:
        return "is not withdrawn"
    product.valid = True
    before = sa.orm.aliased(Product)
    made_from_older = sa.select(before.id).where(before.sensing < product.sensing)
    session.execute(
        sa.update(Product)
        .where(
            Product.tile == product.tile,
            Product.version == product.version,
            Product.sensing > product.sensing,
            Product.prev_product.in_(made_from_older),
            Product.current,
        )
        .values(previous_not_latest=True)
    )
    _note(session, product, "reinstated", actor)
    return "reinstated"


def _note(session: Session, product: Product, kind: str, actor: Actor, **fields: Any) -> None:
    place = {"tile": product.tile, "version": product.version, "job_id": product.job_id, "product_id": product.id}
    _audit(session, kind, actor, **place, **fields)


def _audit(session: Session, kind: str, actor: Actor, **fields: Any) -> None:
    events.audit(session, now(session), kind, actor, **fields)


def _order(
    session: Session, job: Job, actor: Actor, verb: str, states: tuple[str, ...], state: str, reason: str | None = None
) -> str:
    actor.require("order")
    chain = lease.lock(session, job.chain_id)
    session.refresh(job)
    if job.state not in states:
        return f"is {job.state}: nothing to {verb}"
    time = now(session)
    if job.state == "running":
        lease.interrupt(session, chain.id, time)
    job.state, job.reason, job.reason_class = state, reason, "operator" if reason else None
    job.closed = time if state == "rejected" else None
    if state == "ready":
        job.attempts, job.setbacks, job.not_before = 0, 0, time
        usable = sa.update(Granule).where(Granule.acquisition_id == job.acquisition_id, Granule.state == "rejected")
        usable = usable.where(Granule.reason.is_distinct_from(upkeep.REMOVED))
        session.execute(usable.values(state="usable", reason=None))
    lease.advance(session, chain.id)
    version = session.get_one(Campaign, chain.campaign_id).version
    events.audit(session, time, verb, actor, tile=chain.tile, version=version, job_id=job.id)
    return {"ready": "queued", "held": "held", "rejected": "given up"}[state]


def story(session: Session, job: Job) -> dict[str, object]:
    """Which rule keeps a date waiting, or what became of it."""
    chain = session.get_one(Chain, job.chain_id)
    campaign = session.get_one(Campaign, chain.campaign_id)
    acquisition = session.get_one(Acquisition, job.acquisition_id)
    product = session.scalar(sa.select(Product).where(Product.job_id == job.id))
    return {
        "date": f"{acquisition.platform} {acquisition.tile} {job.sensing:%Y-%m-%dT%H:%M:%SZ}",
        "version": campaign.version,
        "job": f"job:{job.id}",
        "revision": job.revision,
        "state": job.state,
        "why": _why(session, job, chain, campaign, product),
        "attempts": job.attempts,
        "late": job.late,
        "product": product.identifier if product else None,
        "l1c": [g.name for g in acquisition.granules if g.state == "usable"],
    }


def _why(session: Session, job: Job, chain: Chain, campaign: Campaign, product: Product | None) -> str:
    time = now(session)
    if product is not None:
        later = "" if product.current else "; another revision took its place"
        return f"published {product.published:%Y-%m-%d %H:%M} UTC as {product.path}{later}"
    if job.state == "running":
        return f"runs under the lease of {chain.lease_owner} until {chain.lease_until:%H:%M:%S} UTC"
    if job.state not in ("ready", "retry"):
        return job.reason or job.state
    if campaign.status != "active":
        return f"the campaign {campaign.version} is {campaign.status}"
    reason = f" ({job.reason})" if job.reason else ""
    if chain.next_job_id != job.id:
        oldest = session.scalars(
            sa.select(Job)
            .where(Job.chain_id == chain.id, Job.state.in_(("ready", "running", "retry", "held")))
            .order_by(Job.sensing, Job.revision)
            .limit(1)
        ).one()
        return f"waits for an older date of its tile, {oldest.sensing:%Y-%m-%d}, which is {oldest.state}{reason}"
    if chain.lease_until is not None and chain.lease_until >= time:
        return f"waits for {chain.lease_owner}, who works on another date of this tile{reason}"
    if job.not_before > time:
        rule = "to be tried again" if job.state == "retry" else "settling"
        return f"{rule}: not before {job.not_before:%Y-%m-%d %H:%M:%S} UTC{reason}"
    return f"{backlog.REASONS[backlog.holds_up(session)]}{reason}"
