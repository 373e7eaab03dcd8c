"""What the store knows of products beside their rows: their folders, what was said of them, what became of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from processing.store import formats, holdings
from processing.store.expressions import CHANGES, IMAGE, VALIDATED, VALIDATED_SUBJECTS
from processing.store.models import VERDICTS, Event, Product, Tile, Validation, Verdict


@dataclass(frozen=True)
class Around:
    """Of one product; empty or None where there is nothing.

    Attributes
    ----------
    holdings : bytes, optional
        What lies in its folder, for `store.holdings.unpacked`.
    verdict : str
        The worst of its readers' that hold.
    changed : datetime, optional
        When it was withdrawn or reinstated.
    withdrawn : str
        Why it was withdrawn.
    figures : mapping of str to float
        Of its validation, as filters name them.
    before, after, latest : str
        Names of the products of the same date in the version before and after it, and of the one that users get.
    previous : str
        Name of the product whose recurrent state entered it.
    baselines : mapping of str to str
        Processing baselines of the Level-1C that it was made from, by the names of the packages.
    """

    holdings: bytes | None = None
    verdict: str = ""
    changed: datetime | None = None
    withdrawn: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    latest: str = ""
    previous: str = ""
    baselines: Mapping[str, str] = field(default_factory=dict)


def around(session: Session, products: Sequence[Product]) -> dict[int, Around]:
    """What is known around each of some products, by their keys."""
    if not products:
        return {}
    ids = [product.id for product in products]
    kept = holdings.of(session, ids)
    judged = _verdicts(session, ids)
    changed = {number: time for number, time in session.execute(_CHANGES, {"ids": ids}) if number is not None}
    reasons = withdrawals(session, [product.id for product in products if not product.valid])
    figures = _figures(session, products)
    versions = _versions(session, products)
    previous = _previous(session, products)
    baselines = formats.baselines(session, {name for product in products for name in product.l1c})
    return {
        product.id: Around(
            holdings=kept.get(product.id),
            verdict=judged.get(product.id, ""),
            changed=changed.get(product.id),
            withdrawn=reasons.get(product.id, ""),
            figures=figures.get((product.identifier[:IMAGE], product.version), {}),
            previous=previous.get(product.prev_product or 0, ""),
            baselines={name: baselines[name] for name in product.l1c if name in baselines},
            **_neighbours(product, versions.get((product.tile, product.sensing, product.platform), [])),
        )
        for product in products
    }


def withdrawals(session: Session, product_ids: Sequence[int]) -> dict[int, str]:
    """Why products were withdrawn the last time, by their keys."""
    if not product_ids:
        return {}
    query = (
        sa.select(Event.product_id, Event.data)
        .where(Event.product_id.in_(product_ids), Event.kind == "withdrawn")
        .order_by(Event.id)
    )
    return {number: str(data.get("reason", "")) for number, data in session.execute(query) if number is not None}


# Statements that are made once: to put one together takes the program as long as to answer it takes the database.
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_CHANGES = (
    sa.select(Event.product_id, sa.func.max(Event.time))
    .where(Event.kind.in_(CHANGES), Event.product_id.in_(_IDS))
    .group_by(Event.product_id)
)
_LATER = aliased(Verdict)
_VERDICTS = sa.select(Verdict.product_id, Verdict.verdict).where(
    Verdict.product_id.in_(_IDS),
    Verdict.verdict != "none",
    ~sa.exists().where(
        _LATER.product_id == Verdict.product_id, _LATER.reader == Verdict.reader, _LATER.id > Verdict.id
    ),
)
_FIGURES = (
    sa.select(Validation.image, Validation.version, Validation.subject, Validation.metrics)
    .where(
        Validation.kind == "clouds",
        Validation.image.in_(sa.bindparam("images", expanding=True)),
        Validation.version.is_not(None),
        Validation.subject.in_(VALIDATED_SUBJECTS),
    )
    .order_by(Validation.id)
)
_CURRENT = Product.version == sa.select(Tile.current_version).where(Tile.mgrs == Product.tile).scalar_subquery()
_VERSIONS = sa.select(
    *(Product.tile, Product.sensing, Product.platform, Product.version, Product.identifier, Product.valid, _CURRENT)
).where(
    Product.tile.in_(sa.bindparam("tiles", expanding=True)),
    Product.sensing.in_(sa.bindparam("dates", expanding=True)),
    Product.current,
)
_NAMES = sa.select(Product.id, Product.identifier).where(Product.id.in_(_IDS))


def _verdicts(session: Session, product_ids: Sequence[int]) -> dict[int, str]:
    """The worst verdict that holds of each product that was judged."""
    found: dict[int, str] = {}
    for number, verdict in session.execute(_VERDICTS, {"ids": product_ids}):
        found[number] = max(found.get(number, verdict), verdict, key=VERDICTS.index)
    return found


def _figures(session: Session, products: Sequence[Product]) -> dict[tuple[str, str], dict[str, float]]:
    """Validation figures by image and version, those of the newest run."""
    images = list({product.identifier[:IMAGE] for product in products})
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for image, version, subject, metrics in session.execute(_FIGURES, {"images": images}):
        said = {name: metrics.get(name) for name in VALIDATED}
        found[image, version] |= {
            f"muscate:validation_{subject}_{name}": value for name, value in said.items() if value is not None
        }
    return found


_Version = tuple[str, str, bool, bool]


def _versions(session: Session, products: Sequence[Product]) -> dict[tuple[str, datetime, str], list[_Version]]:
    """The products of each date that count: version, name, whether it is the newest revision, whether users get it."""
    given = {"tiles": list({p.tile for p in products}), "dates": list({p.sensing for p in products})}
    found: dict[tuple[str, datetime, str], list[_Version]] = defaultdict(list)
    for tile, sensing, platform, version, name, valid, default in session.execute(_VERSIONS, given):
        found[tile, sensing, platform].append((version, name, valid, bool(default) and valid))
    return found


def _neighbours(product: Product, versions: list[_Version]) -> dict[str, str]:
    """Of a product among the versions of its date."""

    def number(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.removeprefix("V").split("_") if part.isdigit())

    others = sorted((number(version), name) for version, name, valid, _ in versions if valid)
    own = number(product.version)
    before = [name for other, name in others if other < own]
    after = [name for other, name in others if other > own]
    latest = [name for _, name, _, default in versions if default and name != product.identifier]
    return {
        "before": before[-1] if before else "",
        "after": after[0] if after else "",
        "latest": latest[0] if latest else "",
    }


def _previous(session: Session, products: Sequence[Product]) -> dict[int, str]:
    wanted = {product.prev_product for product in products if product.prev_product is not None}
    rows = session.execute(_NAMES, {"ids": list(wanted)}) if wanted else ()
    return {number: name for number, name in rows}
