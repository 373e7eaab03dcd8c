"""A staged product becomes a published one: renamed into the archive inside the transaction that records it.

So a product is there whole or not at all, and two attempts can never meet on one name. A folder without a row, left
by a crash between the rename and the commit, is an orphan and no product: it is moved to `.orphans/`.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa

from processing.distribution.holdings import describe
from processing.errors import ProductError, StoreError
from processing.product import disk
from processing.product.clear_sky import clear_reflectance
from processing.settings import Settings
from processing.store import Store, lease, outcomes
from processing.store.lease import Claim
from processing.store.models import Product
from processing.store.outcomes import Made

if TYPE_CHECKING:
    from processing.production.processor import Outcome

#: Inside the archive, so that renames stay on one file system.
STAGING, ORPHANS = ".staging", ".orphans"
MANIFEST = "manifest.json"


def staging(settings: Settings, claim: Claim) -> Path:
    """A folder for one run of an attempt: a scheduler may run it twice, and the two never meet."""
    return settings.archive / STAGING / f"a{claim.attempt_id}-{uuid4().hex[:8]}"


def staged(settings: Settings) -> dict[Path, int]:
    """The folders of attempts, and the attempt that each is of."""
    found = {p: re.fullmatch(r"a(\d+)(-[0-9a-f]{8})?", p.name) for p in settings.archive.glob(f"{STAGING}/a*")}
    return {path: int(name[1]) for path, name in found.items() if name}


def made(outcome: Outcome, peak_memory: int | None) -> Made:
    """What the store keeps of an outcome.

    Raises
    ------
    ProductError
        If the staged product is not what the outcome says.
    """
    kept = Made(
        mode=outcome.mode,
        figures=outcome.figures,
        flags=outcome.flags,
        simulated=outcome.simulated,
        peak_memory=peak_memory,
        identifier=outcome.identifier,
        absent=list(outcome.absent),
        origin=dict(outcome.origin),
        seconds=dict(outcome.seconds),
    )
    if outcome.product is None:
        return kept
    if outcome.product.name != outcome.identifier:
        raise ProductError(outcome.product, f"is not named {outcome.identifier}")
    try:
        digest = sha256((outcome.product / MANIFEST).read_bytes()).hexdigest()
    except FileNotFoundError:
        raise ProductError(outcome.product, f"has no {MANIFEST}") from None
    size = sum(p.stat().st_size for p in outcome.product.rglob("*") if p.is_file())
    return replace(
        kept,
        other=clear_reflectance(outcome.product),
        has_state=outcome.state is not None,
        manifest_sha=digest,
        bytes=size,
        holdings=describe(outcome.product).json(),
    )


def publish(store: Store, settings: Settings, claim: Claim, outcome: Outcome, kept: Made) -> None:
    """Put a valid outcome in its place; while the database can't be reached, try again for as long as a lease lives.

    Raises
    ------
    Fenced
        If the lease passed on; nothing was published.
    StorageError
        If the archive can't be written; nothing was published.
    StoreError
        If the database stays out of reach.
    """
    end = time.monotonic() + 3 * settings.lease_seconds
    wait = 0.5
    while True:
        try:
            with store.write() as session:
                # Where the answer to an earlier commit got lost, it may have been done all the same.
                if session.scalar(sa.select(Product.id).where(Product.attempt_id == claim.attempt_id)) is None:
                    lease.fence(session, claim)
                    _into_place(settings, claim, outcome)
                    outcomes.published(session, claim, kept, settings.replay_dates)
            return
        except StoreError:
            if time.monotonic() + wait > end:
                raise
            time.sleep(wait)
            wait *= 2


def _into_place(settings: Settings, claim: Claim, outcome: Outcome) -> None:
    relative = outcomes.product_path(claim, outcome.identifier)
    final = settings.archive / relative
    assert outcome.product is not None
    with disk.storing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        if outcome.product.exists():  # else an earlier try of this same attempt renamed it already
            if final.exists():
                set_aside(settings, final)
            os.rename(outcome.product, final)
        disk.sync(final.parent)
        if outcome.state is not None:
            state = settings.state / relative.with_name(relative.name + ".npz")
            state.parent.mkdir(parents=True, exist_ok=True)
            if outcome.state.exists():
                disk.move(outcome.state, state)
            disk.sync(state.parent)


def set_aside(settings: Settings, orphan: Path) -> None:
    """Move a folder that no row knows out of the way."""
    orphans = settings.archive / ORPHANS
    orphans.mkdir(exist_ok=True)
    target = orphans / f"{orphan.name}.{uuid4().hex[:8]}"
    os.rename(orphan, target)
    os.utime(target)  # its age as an orphan counts from now
