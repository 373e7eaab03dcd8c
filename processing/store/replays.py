"""What a date that came late, or was made again, means for the later dates of its chain: they begin from it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing import timeline
from processing.store import events
from processing.store.dialect import now
from processing.store.lease import advance
from processing.store.models import OPEN_STATES, Granule, Job, Product
from processing.versions import parameters


def after(session: Session, product: Product, most: int) -> None:
    """Say on the next product that it was made without this one; if at most `most` depend on it, make them again.

    Those are the products after it up to where the tile starts anew. More than that is an operator's decision.
    """
    later = dependent(session, product)
    if not later:
        return
    later[0].previous_not_latest = True
    if len(later) <= most:
        for successor in later:
            again(session, successor, "dispatcher")


def again(session: Session, product: Product, actor: str) -> bool:
    """Queue a product's date as its next revision; False where it waits or runs already, or its Level-1C is gone."""
    job = session.get_one(Job, product.job_id)
    newest = session.scalars(
        sa.select(Job)
        .where(Job.chain_id == job.chain_id, Job.acquisition_id == job.acquisition_id)
        .order_by(Job.revision.desc())
        .limit(1)
    ).one()
    usable = sa.select(Granule.id).where(Granule.acquisition_id == job.acquisition_id, Granule.state == "usable")
    if newest.state in OPEN_STATES or session.scalar(usable.limit(1)) is None:
        return False
    time = now(session)
    revision = Job(
        chain_id=job.chain_id,
        acquisition_id=job.acquisition_id,
        sensing=job.sensing,
        revision=newest.revision + 1,
        not_before=time,
        created=time,
    )
    session.add(revision)
    advance(session, job.chain_id)
    events.record(
        session,
        time,
        "replayed",
        tile=product.tile,
        version=product.version,
        job_id=revision.id,
        product_id=product.id,
        actor=actor,
        data={"date": job.sensing.isoformat(), "revision": revision.revision},
    )
    return True


def dependent(session: Session, product: Product) -> Sequence[Product]:
    """The current products after one, oldest first, whose composite goes back to it."""
    later = session.scalars(
        sa.select(Product).where(
            Product.tile == product.tile,
            Product.version == product.version,
            Product.sensing > product.sensing,
            Product.current,
            Product.valid,
        )
    )
    return timeline.dependents(later, product.sensing, parameters(product.version))
