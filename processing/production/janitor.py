"""What has to be tidied up so that nothing looks as if it ran, and no disk fills with what nobody needs."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from weakref import WeakKeyDictionary

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from processing.distribution.holdings import FORM, describe
from processing.product import disk
from processing.production import journal
from processing.production.publish import ORPHANS, set_aside, staged
from processing.settings import Settings
from processing.storage import remove
from processing.store import Store, campaigns, events, holdings, lease, upkeep
from processing.store.dialect import now
from processing.store.models import Campaign, Chain, Product

log = structlog.get_logger(__name__)

#: Recurrent states kept of each chain: as many dates may come late and still find the state that preceded them.
KEPT_STATES = 10
#: Orphans and half-placed packages are removed after this. [s]
ORPHAN_SECONDS, PARTIAL_SECONDS = 7 * 86400.0, 3600.0
#: Packages of Level-1C that are removed in one transaction.
PACKAGES_AT_ONCE = 200
#: Products of which what lies in their folders is looked up in one round.
DESCRIBED_A_ROUND = 20
#: Up to which product it is known of each database that what lies in the folders is kept.
_described: WeakKeyDictionary[sa.Engine, int] = WeakKeyDictionary()


def sweep(store: Store, settings: Settings, *, thorough: bool = True) -> None:
    """One round; what takes longer only where it is to be `thorough`.

    Raises
    ------
    StoreError, StorageError
        If the database can't be reached or the disk not be written; the next round does the rest.
    """
    with store.write() as session:
        expired = lease.expire(session, settings.lease_seconds)
        events.close_anomalies(session, now(session))
        broken_off = campaigns.break_off(session)
    for line in broken_off:
        log.error("campaign broken off", reason=line)
    if expired:
        log.warning("leases ran out", chains=expired)
    describe_some(store, settings)
    with disk.storing(settings.archive):
        _sweep_staging(store, settings)
        if not thorough:
            return
        journal.export(store, settings)
        _sweep_states(store, settings)
        for name in set_orphans_aside(store, settings):
            log.warning("folder without a product set aside", folder=name)
        _sweep_old(settings.archive.glob(f"{ORPHANS}/*"), ORPHAN_SECONDS)
        _sweep_old(settings.l1c.glob("*/.*.partial"), PARTIAL_SECONDS)
        if settings.log_days:
            _sweep_old(settings.logs.glob("attempts/*/*.log"), 86400 * settings.log_days)
        if settings.l1c_days:
            _sweep_packages(store, settings)


def describe_some(store: Store, settings: Settings, most: int = DESCRIBED_A_ROUND) -> int:
    """Keep what lies in the folders of products that were published before that was kept; how many it did."""
    known = _described.get(store.engine, 0)
    with store.read() as session:
        waiting = holdings.missing(session, FORM, most, known)
        newest = session.scalar(sa.select(sa.func.max(Product.id))) or 0
    # What is published from now on is described with its row: the archive is looked through once.
    _described[store.engine] = waiting[0][0] - 1 if waiting else newest
    for number, path in waiting:
        contents = describe(settings.archive / path).json()
        with store.write() as session:
            holdings.keep(session, number, contents)
    return len(waiting)


def _sweep_staging(store: Store, settings: Settings) -> None:
    """Remove the staging folders of attempts that ended some time ago."""
    folders = staged(settings)
    if folders:
        with store.read() as session:
            before = now(session) - timedelta(seconds=2 * settings.lease_seconds)
            gone = upkeep.ended_before(session, sorted(set(folders.values())), before)
        for folder, attempt in folders.items():
            if attempt in gone:
                shutil.rmtree(folder, ignore_errors=True)


def _sweep_states(store: Store, settings: Settings) -> None:
    with store.write() as session:
        paths = upkeep.forget_states(session, KEPT_STATES)
    for path in paths:
        (settings.state / path).unlink(missing_ok=True)


def _sweep_packages(store: Store, settings: Settings) -> None:
    """Remove Level-1C that no date needs any more. The rows first: no attempt begins with a package that goes."""
    before = timedelta(days=settings.l1c_days)
    while True:
        with store.read() as session:
            time = now(session)
            found = [number for number, _, _ in upkeep.old_packages(session, time - before, PACKAGES_AT_ONCE)]
        with store.write() as session:
            paths = upkeep.forget_packages(session, found, time - before)
            if paths:
                data = {"packages": len(paths), "reason": f"MUSCATE_L1C_DAYS is {settings.l1c_days}"}
                events.record(session, time, "level1c_removed", actor="janitor", data=data)
        for path in paths:
            remove(settings.l1c / path)
        if len(found) < PACKAGES_AT_ONCE or not paths:
            return


def _sweep_old(paths: Iterator[Path], seconds: float) -> None:
    for path in paths:
        if time.time() - path.stat().st_mtime > seconds:
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)


def product_folders(settings: Settings, tile: str, version: str) -> Iterator[Path]:
    """Folders in the places of products of one chain, whether a row knows them or not."""
    for entry in sorted((settings.archive / tile / version).glob("*")):
        if re.fullmatch(r"revision-\d+", entry.name):
            yield from sorted(entry.glob("*"))
        else:
            yield entry


def set_orphans_aside(store: Store, settings: Settings) -> list[str]:
    """Move folders that no row knows to ``.orphans/``; their names.

    Before one is moved it is looked for again with the chain's row locked, so that no attempt is between its rename and
    its commit.
    """
    moved = []
    with store.read() as session:
        chains = session.execute(
            sa.select(Chain.id, Chain.tile, Campaign.version).join(Campaign, Campaign.id == Chain.campaign_id)
        ).all()
    for chain_id, tile, version in chains:
        with store.read() as session:
            strange = _strange(session, settings, tile, version)
        if not strange:
            continue
        with store.write() as session, disk.storing(settings.archive):
            lease.lock(session, chain_id)
            for folder in _strange(session, settings, tile, version):
                set_aside(settings, folder)
                moved.append(folder.name)
    return moved


def _strange(session: Session, settings: Settings, tile: str, version: str) -> list[Path]:
    """Folders of a chain that no row knows."""
    found = list(product_folders(settings, tile, version))
    if not found:
        return []
    known = set(session.scalars(sa.select(Product.path).where(Product.tile == tile, Product.version == version)))
    return [folder for folder in found if str(folder.relative_to(settings.archive)) not in known]
