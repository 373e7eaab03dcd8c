"""A store lost and restored from its archive: what differs, and how long it took.

    python -m benchmarks.rebuild [--products 2000]

Makes a centre of so many products (metadata and manifests only, of tiles in two versions, some made again, some
withdrawn, some judged), exports its journal, removes the store and rebuilds it. Prints what the rebuilt store has that
the lost one had not or the other way round, beside the bar: nothing, in 60 s.
"""

from __future__ import annotations

import argparse
import json
import re
import tarfile
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from benchmarks.why_missing import names
from processing import product
from processing.people import Actor, Role
from processing.product.names import identifier
from processing.production import journal
from processing.production.ingest import prepare
from processing.production.publish import MANIFEST
from processing.production.rebuild import rebuild
from processing.production.soak import made_up
from processing.settings import Settings
from processing.store import Store, catalogue, checks, lease, orders, outcomes, verdicts
from processing.store.lease import Claim
from processing.store.models import Acquisition, Event, Granule, Job, Product, Quality, Tile, Verdict
from processing.store.outcomes import Made

PRODUCTS, SECONDS = 2000, 60.0
TILES = 20
#: A home of before whose metadata are the pattern.
PATTERN = Path(__file__).parents[1] / "tests" / "reference" / "home_0.1.0.tar.xz"
FIRST = datetime(2024, 1, 3, 10, 56, 35, tzinfo=UTC)
OPERATOR = Actor("bench", Role.ADMIN, "command line")


class Centre:
    """A centre whose products are made of metadata alone."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, versions=["V1_4", "V2_0"])
        for folder in (self.settings.archive, self.settings.l1c, self.settings.state):
            folder.mkdir(parents=True)
        self.store = Store(self.settings.url)
        self.store.upgrade()
        prepare(self.settings, self.store)
        with tarfile.open(PATTERN) as archive:
            member = next(m for m in archive.getmembers() if m.name.endswith("V1-4_MTD_ALL.xml"))
            file = archive.extractfile(member)
            assert file is not None
            self._pattern = file.read().decode()

    def fill(self, tiles: int, dates: int) -> None:
        """Every tile with so many dates in each version; some made again, withdrawn, judged."""
        for tile in names(tiles):
            for number in range(dates):
                with self.store.write() as session:
                    catalogue.add(session, self.arrival(tile, number))
            self.make_all()
        with self.store.write() as session:
            made = session.scalars(sa.select(Product).order_by(Product.id)).all()
            for row in made[5::50]:
                orders.replay(session, session.get_one(Job, row.job_id), OPERATOR)
        self.make_all()
        with self.store.write() as session:
            made = session.scalars(sa.select(Product).where(Product.current).order_by(Product.id)).all()
            for row in made[::40]:
                verdicts.keep(session, row, "suspect", OPERATOR, reasons=["snow"], comment="bright ground")
            for row in made[1::90]:
                orders.withdraw(session, row, OPERATOR, "seen to be wrong")

    def arrival(self, tile: str, number: int) -> catalogue.Arrival:
        sensing = FIRST + timedelta(days=5 * number, seconds=number % 7)
        name = f"S2A_MSIL1C_{sensing:%Y%m%dT%H%M%S}_N0510_R051_T{tile}_{sensing + timedelta(hours=2):%Y%m%dT%H%M%S}"
        package = self.settings.l1c / tile / f"{name}.zip"
        package.parent.mkdir(exist_ok=True)
        package.write_bytes(b"PK")
        given = {"generation": sensing + timedelta(hours=2), "path": f"{tile}/{name}.zip", "bytes": 2}
        return replace(made_up(tile, sensing, name, "bench"), **given)

    def make_all(self) -> None:
        while True:
            with self.store.write() as session:
                claim = lease.claim(session, "bench", 60)
            if claim is None:
                return
            with self.store.write() as session:
                lease.started(session, claim, "bench", "log")
            made = self._made(claim)
            with self.store.write() as session:
                outcomes.published(session, claim, made, replay_dates=5)

    def _made(self, claim: Claim) -> Made:
        """Write the folder of a date; what the store keeps of it."""
        name = identifier(claim.platform, claim.sensing, claim.tile, claim.version)
        path = outcomes.product_path(claim, name)
        folder = self.settings.archive / path
        folder.mkdir(parents=True)
        mode = "NOMINAL_MODE" if claim.previous else "INIT_MODE"
        text = re.sub("SENTINEL2A_20240608-105835-000_L2A_T31TCJ_C_V1-4", name, self._pattern)
        text = text.replace("2024-06-08T10:58:35.000Z", f"{claim.sensing:%Y-%m-%dT%H:%M:%S.000Z}")
        text = text.replace("T31TCJ", f"T{claim.tile}").replace("BACKWARD_MODE", mode)
        text = text.replace(">1.4<", f">{claim.version[1:].replace('_', '.')}<")
        text = text.replace("2026-11-30T07:01:02.288Z", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
        text = re.sub(r"S2A_MSIL1C_\w+", claim.names[0], text)
        written = text.encode()
        (folder / f"{name}_MTD_ALL.xml").write_bytes(written)
        sums = {f"{name}_MTD_ALL.xml": {"size": len(written), "sha256": sha256(written).hexdigest()}}
        told = {"identifier": name, "version": claim.version, "l1c": claim.names[0], "simulated": True, "files": sums}
        manifest = json.dumps(told).encode()
        (folder / MANIFEST).write_bytes(manifest)
        state = self.settings.state / path.with_name(f"{path.name}.npz")
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_bytes(b"")
        read = product.read(folder)
        return Made(
            mode=read.mode or "init",
            figures=read.figures,
            flags=read.flags,
            simulated=True,
            identifier=name,
            has_state=True,
            manifest_sha=sha256(manifest).hexdigest(),
            bytes=len(written) + len(manifest),
            absent=sorted(read.absent),
            origin=read.origin,
        )

    def lose(self) -> None:
        """Export the journal and remove the store; an empty one is there instead."""
        journal.export(self.store, self.settings, settled=timedelta())
        self.store.dispose()
        for file in self.settings.home.glob("muscate.db*"):
            file.unlink()
        self.store = Store(self.settings.url)
        self.store.upgrade()


def contents(session: Session) -> dict[str, Any]:
    """What a store has of its products and of what readers and operators said, without its keys."""
    before = aliased(Product)
    columns = (
        *("tile", "platform", "sensing", "relative_orbit", "version", "path", "mode", "valid", "current"),
        "previous_not_latest",
        *("state_path", "manifest_sha", "bytes", "published", "simulated", "l1c", "absent", "origin"),
    )
    rows = session.execute(
        sa.select(Product, Quality, before.identifier, before.revision)
        .join(Quality, Quality.job_id == Product.job_id)
        .outerjoin(before, before.id == Product.prev_product)
    )
    figures = [c.key for c in sa.inspect(Quality).columns if c.key not in ("job_id", "other")]
    products = {
        f"{row.identifier} {row.revision}": {
            **{name: getattr(row, name) for name in columns},
            **{name: getattr(quality, name) for name in figures},
            "before": (name, revision),
        }
        for row, quality, name, revision in rows
    }
    of_verdict = [getattr(Verdict, name) for name in journal.VERDICTS]
    return {
        **products,
        "dates": sorted(session.execute(sa.select(Acquisition.tile, Acquisition.platform, Acquisition.datatake)).all()),
        "packages": sorted(session.execute(sa.select(Granule.name, Granule.state, Granule.path)).all()),
        "verdicts": session.execute(
            sa.select(Product.identifier, *of_verdict).join(Product).order_by(Verdict.id)
        ).all(),
        "defaults": sorted(session.execute(sa.select(Tile.mgrs, Tile.current_version)).all()),
        "events": session.execute(
            sa.select(Event.time, Event.kind, Event.tile, Event.actor, Event.data)
            .where(Event.kind.not_in(("rebuilt", "campaign_opened")))
            .order_by(Event.id)
        ).all(),
    }


def differing(lost: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is not the same, one line each."""
    lines = []
    for key in sorted(lost.keys() | found.keys()):
        one, other = lost.get(key), found.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            lines += [f"{key}: {n}: {one[n]!r}, now {other[n]!r}" for n in one if one[n] != other[n]]
        elif one != other:
            lines.append(f"{key}: {str(one)[:200]}, now {str(other)[:200]}")
    return lines


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=PRODUCTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muscate-rebuild-") as folder:
        centre = Centre(Path(folder) / "home")
        centre.fill(TILES, given.products // TILES // 2)
        with centre.store.read() as session:
            lost = contents(session)
        centre.lose()
        began = time.monotonic()
        report = rebuild(centre.store, centre.settings)
        seconds = time.monotonic() - began
        with centre.store.read() as session:
            lines = [*differing(lost, contents(session)), *checks.violations(session)]
        centre.store.dispose()
    for line in lines[:20]:
        print(line)
    print(f"{report.products} products, {report.events} events, {report.verdicts} verdicts", end="")
    print(f" restored in {seconds:.1f} s (bar {SECONDS:.0f})")
    print(f"{len(lines)} differences (bar 0)")


if __name__ == "__main__":
    main()
