"""The archive held against the store and against its own checksums, and what is damaged made again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import ProductError, WrongSetting
from processing.people import Actor
from processing.product import disk, manifest
from processing.production.janitor import product_folders, set_orphans_aside
from processing.production.publish import MANIFEST, set_aside
from processing.settings import Settings
from processing.store import Store, checks, events, formats, lease, replays
from processing.store.dialect import now
from processing.store.models import Granule, Job, Product

#: Rows that are read at once.
BATCH = 500
#: Between two words of how far it is. [s]
TOLD_SECONDS = 10.0


class Share(NamedTuple):
    """One of `parts` slices of the archive, from 1 to `parts`; all of them together are the whole."""

    part: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """``3/30``.

        Raises
        ------
        WrongSetting
            If it is no such share.
        """
        first, _, last = text.partition("/")
        if not re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text) or not 1 <= int(first) <= int(last):
            raise WrongSetting(f"share {text!r}: is not K/N with K from 1 to N, as 3/30")
        return cls(int(first), int(last))

    def has(self, key: sa.orm.InstrumentedAttribute[int]) -> sa.ColumnElement[bool]:
        """Whether a row is in it, by its key."""
        return key % self.parts == self.part - 1


WHOLE = Share(1, 1)


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, in one line.

    Attributes
    ----------
    product : int or None
        The product that has to be made again.
    granule : int or None
        The package that is gone.
    withdraws : bool
        The product's files can't be given to anybody.
    """

    line: str
    product: int | None = None
    granule: int | None = None
    withdraws: bool = False


def audit(
    store: Store,
    settings: Settings,
    share: Share = WHOLE,
    *,
    hashes: bool = True,
    told: Callable[[str], None] = lambda line: None,
) -> Iterator[Finding]:
    """Broken promises of the store, and between the store and the disk, as they are found.

    Parameters
    ----------
    share : Share
        Of the products and packages that are looked at; the store's own promises are held up whole each time.
    hashes : bool
        Read every file of the products; else their manifests only.
    told : callable
        Takes a line now and then: how far it is.
    """
    with store.read() as session:
        yield from (Finding(line) for line in checks.violations(session))
        held = formats.held(session)
    for package in held:
        if not (settings.l1c / package.path).exists():
            yield Finding(f"held Level-1C missing: {package.name}")
    looked, said = 0, time.monotonic()
    for products in _batches(store, sa.select(Product).where(share.has(Product.id), Product.bytes > 0)):
        for product in products:
            yield from _of_product(settings, product, hashes)
            looked += 1
            if time.monotonic() - said > TOLD_SECONDS:
                said = time.monotonic()
                told(f"{looked} products looked at")
    usable = sa.select(Granule).where(Granule.state == "usable", share.has(Granule.id))
    for granules in _batches(store, usable):
        for granule in granules:
            if not (settings.l1c / granule.path).exists():
                yield Finding(f"Level-1C missing: {granule.name}", granule=granule.id)
    yield from _folders(store, settings, share)


def _batches(store: Store, query: sa.Select[Any]) -> Iterator[Sequence[Any]]:
    """Rows of one table in order of their keys; no transaction lasts longer than reading some of them."""
    table = query.column_descriptions[0]["entity"]
    last = 0
    while True:
        with store.read() as session:
            rows = session.scalars(query.where(table.id > last).order_by(table.id).limit(BATCH)).all()
        if not rows:
            return
        yield rows
        last = rows[-1].id


def _of_product(settings: Settings, product: Product, hashes: bool) -> Iterator[Finding]:
    folder, name = settings.archive / product.path, product.identifier
    try:
        digest = sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        yield Finding(f"product without its folder: {name}", product.id, withdraws=True)
    else:
        if digest != product.manifest_sha:
            yield Finding(f"product with another manifest than was published: {name}", product.id, withdraws=True)
        elif hashes and (faults := _damage(folder)):
            yield Finding(f"damaged product: {name}: {'; '.join(faults)}", product.id, withdraws=True)
    if product.state_path is not None and not (settings.state / product.state_path).exists():
        yield Finding(f"product without its recurrent state: {name}", product.id)


def _damage(folder: Path) -> list[str]:
    try:
        return manifest.damage(folder)
    except ProductError as error:
        return [error.fault]


def _folders(store: Store, settings: Settings, share: Share) -> Iterator[Finding]:
    """Folders that no row knows, in the places of products."""
    places = sorted(p for p in settings.archive.glob("*/*") if p.is_dir() and not p.parent.name.startswith("."))
    for number, place in enumerate(places):
        if number % share.parts != share.part - 1:
            continue
        tile, version = place.parent.name, place.name
        found = list(product_folders(settings, tile, version))
        with store.read() as session:
            rows = sa.select(Product.path).where(Product.tile == tile, Product.version == version, Product.bytes > 0)
            known = set(session.scalars(rows))
        for folder in found:
            if (path := str(folder.relative_to(settings.archive))) not in known:
                yield Finding(f"folder without a product: {path}")


def mend(store: Store, settings: Settings, findings: Sequence[Finding], actor: Actor) -> list[str]:
    """Set what is damaged aside and queue its date again; what was done, one line each.

    A damaged product is withdrawn until its next revision is there. One whose Level-1C is gone stays as it is.

    Raises
    ------
    NotAllowed
        If who asks may not.
    """
    actor.require("order")
    done = []
    withdrawn = {f.product for f in findings if f.withdraws}
    for key in sorted({f.product for f in findings if f.product is not None}):
        with store.write() as session, disk.storing(settings.archive):
            done.append(_make_again(session, settings, key, key in withdrawn, actor))
    for key in [f.granule for f in findings if f.granule is not None]:
        with store.write() as session:
            granule = session.get_one(Granule, key)
            granule.state, granule.reason = "rejected", "is no longer on the disk"
            events.audit(session, now(session), "package_lost", actor, data={"l1c": granule.name})
            done.append(f"{granule.name}: may be given again")
    if any(f.line.startswith("folder without a product") for f in findings):
        done += [f"{name}: set aside" for name in set_orphans_aside(store, settings)]
    return done


def _make_again(session: Session, settings: Settings, key: int, withdraws: bool, actor: Actor) -> str:
    product = session.get_one(Product, key)
    lease.lock(session, session.get_one(Job, product.job_id).chain_id)
    session.refresh(product)
    place = {"tile": product.tile, "version": product.version, "job_id": product.job_id, "product_id": product.id}
    queued = product.current and replays.again(session, product, actor.name)
    if product.current and not queued:
        return f"{product.identifier}: stays as it is: its date is queued already, or its Level-1C is gone"
    if product.state_path is not None and not (settings.state / product.state_path).exists():
        product.state_path = None  # its next revision has one again, before a later date asks for it
    if withdraws:
        product.valid, product.bytes = False, 0
        folder = settings.archive / product.path
        if folder.exists():
            set_aside(settings, folder)
        data = {"reason": "damaged, found by the audit"}
        events.audit(session, now(session), "set_aside", actor, severity="warning", data=data, **place)
    return f"{product.identifier}: {'set aside' if withdraws else 'kept'}{', queued again' if queued else ''}"
