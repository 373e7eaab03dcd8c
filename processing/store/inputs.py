"""What a published product was made from, as far as it is still known."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import UnknownName
from processing.store.models import Granule, Job, Product


@dataclass(frozen=True)
class Inputs:
    """Of one product. Paths are relative to the archive, to the states, and to the Level-1C of the centre.

    Attributes
    ----------
    path : str
        Folder of the product.
    state, previous_state : str or None
        Recurrent states that the date left and that entered it; None where there was none, or it was removed.
    l1c : tuple of str
    """

    path: str
    state: str | None
    previous_state: str | None
    l1c: tuple[str, ...]


def inputs(session: Session, name: str) -> Inputs:
    """Inputs of a product by its identifier; of several revisions the current one.

    Raises
    ------
    UnknownName
        If no product has this name.
    """
    bare = name.rstrip("/").rsplit("/", 1)[-1]
    product = session.scalar(
        sa.select(Product)
        .where(Product.identifier == bare)
        .order_by(Product.current.desc(), Product.revision.desc())
        .limit(1)
    )
    if product is None:
        raise UnknownName(f"{name}: no product of this name")
    previous = None if product.prev_product is None else session.get_one(Product, product.prev_product)
    of_the_pass = sa.select(Job.acquisition_id).where(Job.id == product.job_id).scalar_subquery()
    packages = session.scalars(
        sa.select(Granule.path).where(Granule.acquisition_id == of_the_pass, Granule.name.in_(product.l1c))
    ).all()
    before = None if previous is None else previous.state_path
    return Inputs(product.path, product.state_path, before, tuple(packages))
