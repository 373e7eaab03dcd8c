"""What the janitor asks of the store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.models import Attempt, Granule, Job, Product, is_open

#: What is said of a Level-1C that was removed by rule; it may be given again.
REMOVED = "removed, as the rule for Level-1C has it"


def forget_states(session: Session, keep: int) -> list[str]:
    """Forget the recurrent states of all but each chain's newest `keep` products; those no product needs any more."""
    old = _old_states(keep)
    paths = set(session.scalars(sa.select(Product.state_path).where(old)))
    session.execute(sa.update(Product).where(old).values(state_path=None).execution_options(synchronize_session=False))
    still = session.scalars(sa.select(Product.state_path).where(Product.state_path.is_not(None)))
    return sorted(path for path in paths - set(still) if path)


def old_states(session: Session, keep: int) -> list[str]:
    """The states that `forget_states` would forget."""
    old = _old_states(keep)
    paths = set(session.scalars(sa.select(Product.state_path).where(old)))
    still = session.scalars(sa.select(Product.state_path).where(Product.state_path.is_not(None), ~old))
    return sorted(path for path in paths - set(still) if path)


def _old_states(keep: int) -> sa.ColumnElement[bool]:
    newness = (
        sa.func.row_number()
        .over(partition_by=(Product.tile, Product.version), order_by=(Product.sensing.desc(), Product.id.desc()))
        .label("newness")
    )
    ranked = sa.select(Product.id, newness).where(Product.state_path.is_not(None), Product.current).subquery()
    kept = sa.select(ranked.c.id).where(ranked.c.newness <= keep)
    return sa.and_(Product.state_path.is_not(None), Product.id.not_in(kept))


def ended_before(session: Session, attempt_ids: list[int], time: datetime) -> set[int]:
    """Those of the attempts that ended before a time, or that never were."""
    alive = session.scalars(
        sa.select(Attempt.id).where(Attempt.id.in_(attempt_ids), sa.or_(Attempt.ended.is_(None), Attempt.ended >= time))
    )
    return set(attempt_ids) - set(alive)


def old_packages(session: Session, before: datetime, limit: int) -> list[tuple[int, str, int]]:
    """Level-1C that no date needs any more: key, path and size of packages, at most so many.

    Each came before a time, and its date was over by then in every version that makes it.
    """
    rows = session.execute(
        sa.select(Granule.id, Granule.path, Granule.bytes).where(_unneeded(before)).order_by(Granule.id).limit(limit)
    )
    return [(number, path, size) for number, path, size in rows]


def forget_packages(session: Session, numbers: Iterable[int], before: datetime) -> list[str]:
    """Have packages among those that can't be used; the paths of those that still aren't needed."""
    gone = (
        sa.update(Granule)
        .where(Granule.id.in_(list(numbers)), _unneeded(before))
        .values(state="rejected", reason=REMOVED)
        .returning(Granule.path)
        .execution_options(synchronize_session=False)
    )
    return list(session.scalars(gone))


def _unneeded(before: datetime) -> sa.ColumnElement[bool]:
    of_date = Job.acquisition_id == Granule.acquisition_id
    needed = sa.exists().where(of_date, sa.or_(is_open(), Job.closed >= before))
    there = sa.and_(Granule.state.in_(("usable", "superseded")), Granule.downloaded < before)
    return sa.and_(there, sa.exists().where(of_date), ~needed)
