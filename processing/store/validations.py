"""What validations found, kept for the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.dialect import now
from processing.store.models import Validation

#: What one comparison has in common with its repetition.
_SAME = (
    Validation.kind,
    Validation.subject,
    Validation.method,
    Validation.reference,
    Validation.image,
    Validation.buffer,
    Validation.ring,
)


def record(session: Session, rows: Iterable[Mapping[str, Any]]) -> list[Validation]:
    """Add results, each a mapping of `Validation`'s columns; `made` is now."""
    made = now(session)
    results = [Validation(**row, made=made) for row in rows]
    session.add_all(results)
    session.flush()
    return results


def results(session: Session, kind: str) -> Sequence[Validation]:
    """The newest result of each comparison of a kind (``clouds``, ``aot``, ``reflectance``, ``versions``), by image."""
    newest = sa.select(sa.func.max(Validation.id)).where(Validation.kind == kind).group_by(*_SAME)
    order = (Validation.image, Validation.method, Validation.id)
    return session.scalars(sa.select(Validation).where(Validation.id.in_(newest)).order_by(*order)).all()
