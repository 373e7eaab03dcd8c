"""Reprocessing beside real time, and hosts that are cut off: `python -m benchmarks.beside [--hosts]`.

Dates of some tiles arrive one after the other and are made by workers that take no pixels but time. First alone, then
while a campaign makes the archive anew in another version. Prints how long dates took from arrival to product, at the
95th percentile, beside the bar: it grows by 20 % at most.

With ``--hosts``: three hosts (processes with homes of their own, the archive in common) on one Postgres. One of them is
frozen, which cuts it off from the database as well as from the others, for so many lives of a lease as five minutes
are of 120 s; then it goes on. Nothing may be made twice or lost, and what it had is taken up within one lease.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from benchmarks.queries import postgres
from processing.people import Actor, Role
from processing.production import dispatcher, janitor
from processing.production.audit import audit
from processing.production.soak import LEASE_SECONDS, Soak, _Part
from processing.production.soak_chain import CHAIN, ORDERS
from processing.settings import Settings
from processing.store import Store, campaigns, catalogue
from processing.store.models import Attempt, Chain, Job, Product

#: By how much the delay of real time may grow. [-]
BAR = 0.2
#: Slots, seconds of a date, dates of the archive of each tile, and new dates that arrive.
SLOTS, SECONDS, ARCHIVE, NEW = 4, 1.0, 6, 60
#: Between two arrivals: real time takes a third of the slots. [s]
EVERY = SECONDS / SLOTS * 3
#: Of life: a host is cut off for so long, and a lease lives so long. [s]
CUT_SECONDS, LEASE = 300.0, 120.0
ADMIN = Actor("bench", Role.ADMIN, "command line")


class Centre:
    """A soak's centre that nobody strikes."""

    def __init__(self, home: Path, url: str, tiles: int, dates: int, settings: dict[str, object]) -> None:
        self.soak = Soak(home, database_url=url, tiles=tiles, dates=dates)
        self.settings: Settings = self.soak.settings.model_copy(update=settings)
        self.store = Store(self.settings.url)
        self.parts: list[_Part] = []

    def arrive(self, tile: str, day: int, seconds: float) -> None:
        """Catalogue a date that takes so long."""
        arrival = self.soak._arrival(tile, day)
        orders = self.settings.l1c / arrival.path / ORDERS
        orders.write_text(json.dumps(json.loads(orders.read_text()) | {"seconds": seconds}))
        with self.store.write() as session:
            catalogue.add(session, arrival)

    def host(self, settings: Settings) -> _Part:
        """A host whose dispatcher runs the dates itself."""

        def run() -> None:
            dispatcher.JANITOR_SECONDS = 1.0
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            os.setpgid(0, 0)
            dispatcher.dispatch(settings, stop, CHAIN)

        part = _Part("dispatch", run, self.settings.home / "host.log")
        self.parts.append(part)
        part.keep(self.store)
        return part

    def open(self, version: str = "") -> int:
        """Dates that are not over."""
        query = sa.select(sa.func.count(Job.id)).join(Chain, Chain.id == Job.chain_id).where(Job.closed.is_(None))
        with self.store.read() as session:
            return session.scalar(query) or 0

    def end(self) -> None:
        """End all hosts."""
        for part in self.parts:
            if part.pid:
                part.end(10)
        self.store.dispose()


def delays(home: Path, url: str, *, beside: bool) -> np.ndarray:
    """From arrival to product of the dates of real time. [s]"""
    given: dict[str, object] = {"workers": SLOTS, "lease_seconds": 60.0, "versions": ["V1_4"]}
    centre = Centre(home, url, 20, ARCHIVE, given)
    try:
        for tile in centre.soak.tiles:
            for day in range(ARCHIVE):
                centre.arrive(tile, day, 0.0)
        centre.host(centre.settings)
        while centre.open():
            time.sleep(0.2)
        if beside:
            with centre.store.write() as session:
                wanted = campaigns.scope(session, "V2_0")
                campaigns.begin(session, wanted, ADMIN)
                for tile in wanted.tiles:
                    campaigns.fill(session, wanted, tile)
            _slow(centre)
            time.sleep(3 * SECONDS)
        began, tiles = time.monotonic(), centre.soak.tiles
        for number in range(NEW):
            time.sleep(max(0.0, began + number * EVERY - time.monotonic()))
            centre.arrive(tiles[number % len(tiles)], 1000 + number // len(tiles) * 5, SECONDS)
        query = (
            sa.select(Job.created, Product.published)
            .join(Product, Product.job_id == Job.id)
            .where(Product.version == "V1_4", Job.sensing >= sa.bindparam("first"))
        )
        first = {"first": centre.soak._arrival(tiles[0], 1000).sensing}
        while True:
            with centre.store.read() as session:
                rows = session.execute(query, first).all()
            if len(rows) == NEW:
                return np.array([(published - created).total_seconds() for created, published in rows])
            time.sleep(0.5)
    finally:
        centre.end()


def _slow(centre: Centre) -> None:
    """Let the archive's dates take as long as the new ones."""
    for orders in centre.settings.l1c.glob(f"*/*/{ORDERS}"):
        orders.write_text(json.dumps(json.loads(orders.read_text()) | {"seconds": SECONDS}))


def hosts(home: Path, url: str, tiles: int = 8, dates: int = 12) -> dict[str, object]:
    """Three hosts, one of them cut off; what became of the dates.

    Returns
    -------
    dict
        ``dates``, ``published``, ``twice`` (products of one date), ``broken`` (promises), ``fenced``, ``lost``,
        ``resumed`` (from the freeze until what the host had was taken up [lives of a lease]).
    """
    centre = Centre(home, url, tiles, dates, {"workers": 2, "versions": ["V1_4"], "lease_seconds": LEASE_SECONDS})
    try:
        for tile in centre.soak.tiles:
            for day in range(dates):
                centre.arrive(tile, day, 0.3)
        parts = [centre.host(settings) for settings in _homes(centre.settings)]
        victim = parts[0]
        had: list[int] = []
        while not had:
            time.sleep(0.1)
            with centre.store.read() as session:
                owned = sa.select(Attempt.job_id).where(
                    Attempt.owner.like(f"%:{victim.pid}"), Attempt.ended.is_(None), Attempt.started.is_not(None)
                )
                had = list(session.scalars(owned))
        os.killpg(victim.pid, signal.SIGSTOP)
        _signal_children(victim.pid, signal.SIGSTOP)
        cut = time.monotonic()
        resumed = None
        while time.monotonic() - cut < CUT_SECONDS / LEASE * LEASE_SECONDS:
            time.sleep(0.1)
            with centre.store.read() as session:
                again = sa.select(sa.func.count(Attempt.id)).where(Attempt.job_id.in_(had)).group_by(Attempt.job_id)
                counts = list(session.scalars(again))
            if resumed is None and all(count > 1 for count in counts):
                resumed = time.monotonic() - cut
        os.killpg(victim.pid, signal.SIGCONT)
        _signal_children(victim.pid, signal.SIGCONT)
        while centre.open():
            time.sleep(0.2)
    finally:
        centre.end()
    store = Store(centre.settings.url)
    janitor.set_orphans_aside(store, centre.settings)
    with store.read() as session:
        products = list(session.execute(sa.select(Product.tile, Product.sensing)).all())
        outcomes = list(session.scalars(sa.select(Attempt.outcome)))
    found: dict[str, object] = {
        "dates": tiles * dates,
        "published": len(products),
        "twice": len(products) - len(set(map(tuple, products))),
        "broken": [finding.line for finding in audit(store, centre.settings)],
        "lost": outcomes.count("lost"),
        "fenced": outcomes.count("fenced"),
        "resumed": None if resumed is None else resumed / LEASE_SECONDS,
    }
    store.dispose()
    return found


def _homes(settings: Settings) -> Iterator[Settings]:
    """Homes of three hosts: inbox and logs of their own, archive, states and Level-1C in common."""
    for number in range(3):
        home = settings.home / f"host{number}"
        home.mkdir()
        for name in ("archive", "state", "l1c"):
            (home / name).symlink_to(settings.home / name)
        own = settings.model_copy(update={"home": home})
        own.make_folders()
        yield own


def _signal_children(pid: int, number: signal.Signals) -> None:
    from processing.production.soak import _children

    for child in _children(pid):
        os.kill(child, number)


@contextmanager
def _folder() -> Iterator[Path]:
    # Not one that only its owner may enter: run as root, Postgres belongs to somebody else.
    with tempfile.TemporaryDirectory(prefix="muscate-beside-") as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "home").mkdir()
        yield Path(folder)


def main() -> None:
    """Print the figures beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", action="store_true")
    given = parser.parse_args()
    if given.hosts:
        with _folder() as folder, postgres(folder / "postgres") as url:
            for name, value in hosts(folder / "home", url).items():
                print(f"{name}: {value}")
            cut = timedelta(seconds=CUT_SECONDS / LEASE * LEASE_SECONDS)
            print(
                f"a lease lives {LEASE_SECONDS:.0f} s instead of {LEASE:.0f}: cut off for {cut.total_seconds():.0f} s"
            )
        return
    found = {}
    for beside in (False, True):
        with _folder() as folder:
            found[beside] = delays(folder / "home", "", beside=beside)
    alone, together = (float(np.percentile(found[beside], 95)) for beside in (False, True))
    print(f"p95 of real time alone {alone:.2f} s, beside the archive {together:.2f} s")
    print(f"grows by {100 * (together / alone - 1):.0f} % (bar {100 * BAR:.0f} %), {SLOTS} slots, dates of {SECONDS} s")


if __name__ == "__main__":
    main()
