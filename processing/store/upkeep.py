"""What the janitor asks of the store."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.models import Attempt, Product


def forget_states(session: Session, keep: int) -> list[str]:
    """Forget the recurrent states of all but each chain's newest `keep` products; those no product needs any more."""
    newness = (
        sa.func.row_number()
        .over(partition_by=(Product.tile, Product.version), order_by=(Product.sensing.desc(), Product.id.desc()))
        .label("newness")
    )
    ranked = sa.select(Product.id, newness).where(Product.state_path.is_not(None), Product.current).subquery()
    kept = sa.select(ranked.c.id).where(ranked.c.newness <= keep)
    old = sa.and_(Product.state_path.is_not(None), Product.id.not_in(kept))
    paths = set(session.scalars(sa.select(Product.state_path).where(old)))
    session.execute(sa.update(Product).where(old).values(state_path=None).execution_options(synchronize_session=False))
    still = session.scalars(sa.select(Product.state_path).where(Product.state_path.is_not(None)))
    return sorted(path for path in paths - set(still) if path)


def ended_before(session: Session, attempt_ids: list[int], time: datetime) -> set[int]:
    """Those of the attempts that ended before a time, or that never were."""
    alive = session.scalars(
        sa.select(Attempt.id).where(Attempt.id.in_(attempt_ids), sa.or_(Attempt.ended.is_(None), Attempt.ended >= time))
    )
    return set(attempt_ids) - set(alive)
