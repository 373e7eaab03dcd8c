"""The masks made by hand that a centre keeps to judge products by: what is in their rasters, and which ones count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import InputError
from processing.settings import Settings
from processing.store.models import ReferenceMask
from processing.validation.masks import Classes

#: Values of the kept rasters.
VALUES = {"unobserved": 0, "clear": 1, "cloud": 2, "shadow": 3}


def newest(session: Session) -> Sequence[ReferenceMask]:
    """Of each image the mask that was kept last, by image."""
    last = sa.select(sa.func.max(ReferenceMask.id)).group_by(ReferenceMask.image)
    return session.scalars(
        sa.select(ReferenceMask).where(ReferenceMask.id.in_(last)).order_by(ReferenceMask.image)
    ).all()


def kept(session: Session, settings: Settings) -> tuple[list[Path], Classes]:
    """The rasters of the newest masks, and what their values mean.

    Raises
    ------
    InputError
        If there are none, or they were grown by different widths: they can't be compared at once then.
    """
    masks = newest(session)
    if not masks:
        raise InputError(settings.masks, "no mask made by hand is kept here: muscate mask import")
    widths = sorted({m.buffer for m in masks})
    if len(widths) > 1:
        raise InputError(settings.masks, f"its masks were grown by {', '.join(f'{w:g}' for w in widths)} m: not alike")
    meaning = Classes({str(value): kind for kind, value in VALUES.items()}, buffer=widths[0])
    return [settings.masks / m.path for m in masks], meaning
