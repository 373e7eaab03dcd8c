"""The promises of the store as SQL: each check gives one line per violation, none when all is well."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from processing.store import tallies
from processing.store.dialect import now
from processing.store.models import OPEN_STATES, Attempt, Campaign, Chain, Job, Product

P = Product
Before = aliased(Product, name="before")


def violations(session: Session) -> Iterator[str]:
    """All broken promises, in words."""
    for check in (
        out_of_order,
        wrong_previous,
        missing_previous,
        several_current,
        jobs_without_attempt,
        chains_not_offering,
        two_running,
        lease_without_owner,
        tallies.wrong_tallies,
    ):
        yield from (f"{check.__name__.replace('_', ' ')}: {line}" for line in check(session))


def out_of_order(session: Session) -> list[str]:
    """Products made from a state that is not older than they are."""
    rows = session.execute(
        sa.select(P.identifier, Before.identifier)
        .join(Before, Before.id == P.prev_product)
        .where(sa.or_(Before.sensing >= P.sensing, Before.tile != P.tile, Before.version != P.version))
    )
    return [f"{product} from {before}" for product, before in rows]


def wrong_previous(session: Session) -> list[str]:
    """Current products whose previous is not the newest valid one before them, without saying so."""
    between = aliased(Product, name="between")
    rows = session.execute(
        sa.select(P.identifier, between.identifier)
        .join(Before, Before.id == P.prev_product)
        .join(
            between,
            sa.and_(
                between.tile == P.tile,
                between.version == P.version,
                between.sensing < P.sensing,
                between.sensing > Before.sensing,
                between.current,
                between.valid,
            ),
        )
        .where(P.current, P.previous_not_latest.is_(False))
    )
    return [f"{product} without {between}" for product, between in rows]


def missing_previous(session: Session) -> list[str]:
    """Nominal products that don't say what they were made from."""
    return list(session.scalars(sa.select(P.identifier).where(P.mode == "nominal", P.prev_product.is_(None))))


def several_current(session: Session) -> list[str]:
    """Dates with more than one current product, or with products none of which is current."""
    keys = (P.tile, P.platform, P.sensing, P.version)
    rows = session.execute(sa.select(*keys).group_by(*keys).having(sa.func.sum(sa.case((P.current, 1), else_=0)) != 1))
    return [f"{r.tile} {r.platform} {r.sensing:%Y-%m-%d} {r.version}" for r in rows]


def jobs_without_attempt(session: Session) -> list[str]:
    """Jobs that count as running without an open attempt, or attempts open on jobs that don't run."""
    opened = sa.exists().where(Attempt.job_id == Job.id, Attempt.ended.is_(None))
    jobs = session.scalars(sa.select(Job.id).where((Job.state == "running") != opened))
    return [f"job:{job}" for job in jobs]


def chains_not_offering(session: Session) -> list[str]:
    """Chains that don't offer their oldest open date; of a paused campaign the one that runs."""
    older = aliased(Job, name="older")
    offered = sa.and_(Job.state != "held", sa.or_(Campaign.status == "active", Job.state == "running"))
    first = ~sa.exists().where(
        older.chain_id == Job.chain_id,
        older.state.in_(OPEN_STATES),
        sa.or_(Campaign.status == "active", older.state == "running"),
        sa.tuple_(older.sensing, older.revision) < sa.tuple_(Job.sensing, Job.revision),
    )
    expected = (
        sa.select(Job.chain_id, Job.id)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .where(Job.state.in_(OPEN_STATES), first, offered)
        .subquery()
    )
    rows = session.execute(
        sa.select(Chain.id, Chain.tile, Chain.next_job_id, expected.c.id)
        .outerjoin(expected, expected.c.chain_id == Chain.id)
        .where(sa.func.coalesce(Chain.next_job_id, -1) != sa.func.coalesce(expected.c.id, -1))
    )
    return [f"chain {row[0]} of {row[1]} offers job {row[2]}, not {row[3]}" for row in rows]


def two_running(session: Session) -> list[str]:
    """Chains that run more than one date at once, or that run one nobody holds a lease for."""
    rows = session.execute(
        sa.select(Chain.id, Chain.tile, sa.func.count(Job.id))
        .join(Job, sa.and_(Job.chain_id == Chain.id, Job.state == "running"))
        .group_by(Chain.id, Chain.tile, Chain.lease_until)
        .having(sa.or_(sa.func.count(Job.id) > 1, Chain.lease_until.is_(None)))
    )
    return [f"chain {row[0]} of {row[1]}: {row[2]} running" for row in rows]


def lease_without_owner(session: Session) -> list[str]:
    """Chains that are kept from running by a lease nobody has."""
    rows = session.execute(
        sa.select(Chain.id, Chain.tile).where(Chain.lease_owner.is_(None) != Chain.lease_until.is_(None))
    )
    return [f"chain {row[0]} of {row[1]}" for row in rows]


def expired_leases(session: Session) -> int:
    """Chains whose worker did not renew its lease."""
    return session.scalar(sa.select(sa.func.count()).where(Chain.lease_until < now(session))) or 0
