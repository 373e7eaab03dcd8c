"""A centre that is killed and frozen at random for as long as one likes, and what became of its promises.

The chain is a stand-in; all the rest is the engine as it runs: dispatchers, workers, a scheduler, whatever feeds the
store, each a process that may be killed at any moment, and the processes of the chain. Attempts are limited as ever.
Leases and waits are short, and renames slow, so that much happens in little time.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from processing.errors import InputError, MuscateError, WrongSetting
from processing.production import dispatcher, janitor, publish, worker
from processing.production.audit import audit
from processing.production.ingest import BATCH_SECONDS, prepare
from processing.production.publish import MANIFEST, ORPHANS
from processing.production.soak_chain import CHAIN, ORDERS
from processing.production.supervisor import end_with_parent
from processing.settings import Settings
from processing.store import Store, catalogue, lease
from processing.store.models import Acquisition, Attempt, Chain, Job, Product

#: Life of a lease, first wait before a retry, and how much slower a rename is made. [s]
LEASE_SECONDS, RETRY_SECONDS, RENAME_SECONDS = 4.0, 0.5, 0.15
#: How long a date takes at most. [s]
DATE_SECONDS = 0.3
#: What is killed or frozen, and how often of ten times.
VICTIMS = {"child": 3, "worker": 3, "dispatch": 2, "feed": 1, "scheduler": 1}
#: Between two blows to parts of a kind, so that the others get to work. [s]
GAPS = {"scheduler": 15.0, "feed": 5.0, "dispatch": 2.0}
#: Blows for each attempt that began: each ends up to two of them; with more nothing would come to an end.
BLOWS_AN_ATTEMPT = 0.5
#: Of ten blows so many only freeze, for so long: shorter and longer than a lease lives. [s]
FREEZES, FROZEN_SECONDS = 3, (0.5, 3 * LEASE_SECONDS)
#: Of ten blows to whoever publishes so many wait until it is between a rename and its commit, for so long. [s]
IN_BETWEEN, WAIT_SECONDS = 5, 1.0
#: Between two words of how far it is. [s]
TOLD_SECONDS = 10.0
FIRST = datetime(2023, 1, 1, 10, tzinfo=UTC)


def made_up(tile: str, sensing: datetime, name: str, source: str) -> catalogue.Arrival:
    """A package that may be catalogued and that nobody looks into."""
    return catalogue.Arrival(
        tile=tile,
        platform="S2A",
        datatake=sensing,
        sensing=sensing,
        relative_orbit=51,
        name=name,
        baseline="05.10",
        datastrip=sensing,
        generation=sensing,
        source=source,
        path=f"{tile}/{name}.SAFE",
        bytes=1,
        simulated=True,
    )


@dataclass
class Report:
    """What was done to a centre, and what became of it; `broken` has one line for each promise that was not kept."""

    products: int
    published: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    freezes: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    fenced: int = 0
    orphans: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def bit(self) -> bool:
        """Whether it was hard enough to prove something."""
        return min(self.lost, self.fenced, self.orphans) > 0

    def json(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "products": self.products,
            "published": self.published,
            "kills": sum(self.kills.values()),
            "killed": dict(self.kills),
            "freezes": sum(self.freezes.values()),
            "frozen": dict(self.freezes),
            "lost": self.lost,
            "fenced": self.fenced,
            "orphans": self.orphans,
            "seconds": round(self.seconds, 1),
            "broken": self.broken,
        }


class _Part:
    """A process of the centre, forked from this one so that it is soon there again."""

    def __init__(self, kind: str, run: Callable[[], None], log: Path) -> None:
        self.kind, self._run, self._log = kind, run, log
        self.pid = 0
        self.thaws: float | None = None

    def keep(self, store: Store) -> None:
        """Start it, if it isn't there; let it go on, if it was frozen long enough."""
        if self.pid and os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if self.thaws is not None and time.monotonic() >= self.thaws:
                self.thaw()
            return
        self.thaws = None
        store.dispose()  # no two processes may speak through one connection
        self.pid = os.fork()
        if self.pid == 0:  # the new one
            with contextlib.suppress(BaseException):
                end_with_parent(signal.SIGKILL)
                handle = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                os.dup2(handle, 1)
                os.dup2(handle, 2)
                self._run()
            os._exit(0)

    def thaw(self) -> None:
        self.thaws = None
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self, grace: float) -> None:
        """Ask it to end, and end it."""
        self.thaw()
        self.send(signal.SIGTERM)
        limit = time.monotonic() + grace
        while time.monotonic() < limit:
            if os.waitpid(self.pid, os.WNOHANG) != (0, 0):
                return
            time.sleep(0.05)
        self.send(signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Soak:
    """A centre of `tiles` x `dates` products that is treated badly.

    Parameters
    ----------
    home : Path
        An empty folder.
    database_url : str
        An empty database; SQLite in the home if not given.
    scheduler : bool
        With a dask scheduler and workers of its own; else the dispatchers run the dates.
    """

    def __init__(
        self,
        home: Path,
        *,
        database_url: str = "",
        scheduler: bool = False,
        tiles: int = 14,
        dates: int = 50,
        seed: int = 0,
    ) -> None:
        port = _free_port() if scheduler else 0
        self.settings = Settings(
            home=home.resolve(),
            database_url=database_url,
            executor=f"tcp://127.0.0.1:{port}" if scheduler else "local",
            workers=2,
            versions=["V1_4"],
            lease_seconds=LEASE_SECONDS,
            min_free_gb=0.0,
            demonstration=False,
            audit_days=0,
        )
        self.settings.make_folders()
        self.chance = random.Random(seed)  # nosec B311: nothing is secret here
        self.tiles = [f"31T{a}{b}" for a in "CDEFG" for b in "HJKLM"][:tiles]
        if len(self.tiles) < tiles:
            raise WrongSetting(f"{tiles} tiles: at most {len(self.tiles)}")
        self.dates = dates
        store = Store(self.settings.url)
        store.upgrade(explicit=True)
        with store.read() as session:
            if session.scalar(sa.select(Acquisition.id).limit(1)) is not None:
                raise WrongSetting("the database is not empty: a soak wants one of its own")
        prepare(self.settings, store)
        store.dispose()
        kinds: list[tuple[str, Callable[[], None]]] = [("feed", self._feed)]
        if scheduler:
            kinds += [("scheduler", self._schedule), ("worker", self._work), ("worker", self._work)]
        kinds += [("dispatch", self._dispatch), ("dispatch", self._dispatch)]
        self._parts = [_Part(kind, run, home / "soak.log") for kind, run in kinds]
        self._fed, self._renamed = home / "fed", home / "renamed"
        self._renamed.mkdir()
        self._struck: dict[str, float] = {}
        self._frozen_children: dict[int, float] = {}

    def run(
        self,
        seconds: float,
        blows: int | None = None,
        patience: float = 600.0,
        told: Callable[[str], None] = lambda line: None,
    ) -> Report:
        """Strike for so long, or so often, while there is something to be made; then let it come to its end.

        Parameters
        ----------
        seconds : float
            How long. [s]
        blows : int, optional
            How many kills and freezes at least, however long that takes.
        patience : float
            How long what is left may take afterwards. [s]
        told : callable
            Takes a line now and then: how far it is.
        """
        report, began = Report(len(self.tiles) * self.dates), time.monotonic()
        store = Store(self.settings.url)
        pause = seconds / blows if blows else 0.3
        try:
            struck, said = 0, began
            while time.monotonic() - began < seconds or struck < (blows or 0):
                self._keep(store)
                time.sleep(self.chance.uniform(0.2, 1.8) * min(pause, 0.5))
                made = self._count(store, Product)
                if made >= report.products:
                    break
                if time.monotonic() - said > TOLD_SECONDS:
                    said = time.monotonic()
                    told(f"{made} of {report.products} products, {struck} blows")
                if struck < BLOWS_AN_ATTEMPT * self._count(store, Attempt):
                    struck += self._strike(store, report)
            self._finish(store, report, patience)
        finally:
            for part in self._parts:
                if part.pid:
                    part.end(10)
        report.seconds = time.monotonic() - began
        self._judge(store, report)
        store.dispose()
        return report

    def _keep(self, store: Store) -> None:
        self._thaw_children(time.monotonic())
        for part in self._parts:
            if part.kind != "feed" or not self._fed.exists():
                part.keep(store)

    def _thaw_children(self, clock: float) -> None:
        for pid in [pid for pid, thaws in self._frozen_children.items() if thaws <= clock]:
            del self._frozen_children[pid]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _finish(self, store: Store, report: Report, patience: float) -> None:
        self._thaw_children(math.inf)
        for part in self._parts:
            if part.pid:
                part.thaw()
        end = time.monotonic() + patience
        while self._count(store, Product) < report.products and time.monotonic() < end:
            self._keep(store)
            time.sleep(0.3)

    def _count(self, store: Store, table: type[Product | Attempt]) -> int:
        with contextlib.suppress(MuscateError), store.read() as session:
            return session.scalar(sa.select(sa.func.count(table.id))) or 0
        return 0

    def _strike(self, store: Store, report: Report) -> bool:
        """Kill something, or freeze it for a while."""
        (kind,) = self.chance.choices(list(VICTIMS), list(VICTIMS.values()))
        if kind == "worker" and self.settings.executor == "local":
            kind = "dispatch"
        if kind == "child":
            return self._strike_child(store, report)
        found = [p for p in self._parts if p.kind == kind and p.pid and p.thaws is None]
        # Whoever runs dates is struck while it does: one that is just starting proves nothing.
        runs = kind == "worker" or (kind == "dispatch" and self.settings.executor == "local")
        if runs:
            found = [part for part in found if _children(part.pid)]
        if not found or (kind == "feed" and self._fed.exists()):
            return False
        clock = time.monotonic()
        if clock - self._struck.get(kind, -math.inf) < GAPS.get(kind, 0.0):
            return False
        self._struck[kind] = clock
        victim = self.chance.choice(found)
        if runs and self.chance.random() < IN_BETWEEN / 10:
            victim = self._in_between(found) or victim
        if self.chance.random() < FREEZES / 10:
            victim.thaws = time.monotonic() + self.chance.uniform(*FROZEN_SECONDS)
            victim.send(signal.SIGSTOP)
            report.freezes[kind] += 1
        else:
            victim.send(signal.SIGKILL)
            report.kills[kind] += 1
        return True

    def _in_between(self, parts: list[_Part]) -> _Part | None:
        """The first of some parts that has renamed a product and not committed it yet."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            for part in parts:
                if (self._renamed / str(part.pid)).exists():
                    return part
            time.sleep(0.01)
        return None

    def _strike_child(self, store: Store, report: Report) -> bool:
        """Kill or freeze a process of the chain.

        None is killed where a date has lost two already: with a third it would be what kills them.
        """
        children = [pid for part in self._parts if part.pid for pid in _children(part.pid)]
        children = [pid for pid in children if pid not in self._frozen_children]
        if not children:
            return False
        victim = self.chance.choice(children)
        if self.chance.random() < FREEZES / 10:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGSTOP)
                self._frozen_children[victim] = time.monotonic() + self.chance.uniform(*FROZEN_SECONDS)
                report.freezes["child"] += 1
            return True
        with contextlib.suppress(MuscateError), store.read() as session:
            near = sa.select(Job.id).where(Job.state == "running", Job.attempts >= lease.MAX_ATTEMPTS - 1)
            if session.scalar(near.limit(1)) is not None:
                return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            report.kills["child"] += 1
        return True

    # The parts

    def _feed(self) -> None:
        """Catalogue the dates as they are dropped: not in their order, and all of them, however often it is killed."""
        store = Store(self.settings.url)
        for batch in self._batches():
            self._catalogue(store, batch)
            # The next ones come when these are done: what arrives late is made again, and counted twice.
            while self._waits(store):
                time.sleep(0.1)
        self._fed.touch()

    def _batches(self) -> Iterator[list[tuple[str, int]]]:
        chance = random.Random(1)  # nosec B311
        passes = [(tile, day) for tile in self.tiles for day in range(self.dates)]
        # Tiles side by side; of each, some dates come before older ones, as long as none of them is begun.
        passes.sort(key=lambda one: (one[1] // 10, chance.random()))
        size = 10 * len(self.tiles)
        for begin in range(0, len(passes), size):
            yield passes[begin : begin + size]

    def _catalogue(self, store: Store, batch: list[tuple[str, int]]) -> None:
        for tile, day in batch:
            with contextlib.suppress(InputError), store.write() as session:  # it is there already
                catalogue.add(session, self._arrival(tile, day), BATCH_SECONDS)
        with store.write() as session:
            catalogue.make_due(session, session.scalars(sa.select(Job.id).where(Job.state == "ready")).all())

    def _waits(self, store: Store) -> bool:
        with store.read() as session:
            waiting = sa.select(sa.func.count()).where(Chain.next_job_id.is_not(None))
            return bool(session.scalar(waiting))

    def _arrival(self, tile: str, day: int, most: float = DATE_SECONDS) -> catalogue.Arrival:
        sensing = FIRST + timedelta(days=day)
        name = f"{tile}_{sensing:%Y%m%d}"
        package = self.settings.l1c / tile / f"{name}.SAFE"
        package.mkdir(parents=True, exist_ok=True)
        seconds = random.Random(name).uniform(0, most)  # nosec B311
        whole = package / ".orders.json"
        whole.write_text(json.dumps({"sensing": sensing.isoformat(), "seconds": seconds}))
        whole.rename(package / ORDERS)
        return made_up(tile, sensing, name, "soak")

    def _dispatch(self) -> None:
        self._soften()
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        dispatcher.dispatch(self.settings, stop, CHAIN)

    def _work(self) -> None:
        self._soften()
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        worker.work(self.settings, stop)

    def _schedule(self) -> None:
        import asyncio

        import dask
        from distributed import Scheduler

        async def serve() -> None:
            port = int(self.settings.executor.rsplit(":", 1)[1])
            async with Scheduler(host="127.0.0.1", port=port, dashboard=False, dashboard_address="127.0.0.1:0") as one:
                await one.finished()

        with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
            asyncio.run(serve())

    def _soften(self) -> None:
        """In a part: short waits, an eager janitor, and time between a rename and its commit for a blow to fall in."""
        lease.RETRY_SECONDS = RETRY_SECONDS
        dispatcher.JANITOR_SECONDS = 1.0
        real = publish._into_place

        def slow(settings: Settings, claim: lease.Claim, outcome: Any) -> None:
            mark = self._renamed / str(os.getpid())
            real(settings, claim, outcome)
            mark.touch()
            time.sleep(RENAME_SECONDS)
            mark.unlink(missing_ok=True)

        publish._into_place = slow

    # The promises

    def _judge(self, store: Store, report: Report) -> None:
        """What became of all of it."""
        with store.read() as session:
            states = session.execute(sa.select(Job.state, sa.func.count()).group_by(Job.state))
            counts = {state: count for state, count in states}
            outcomes = Counter(session.scalars(sa.select(Attempt.outcome)))
            products = session.scalars(sa.select(Product).order_by(Product.tile, Product.sensing)).all()
        report.published = len(products)
        report.lost, report.fenced = outcomes["lost"], outcomes["fenced"]
        if counts != {"published": report.products}:
            report.broken.append(f"{report.products} dates, and these states: {counts}")
        if report.published != report.products:
            report.broken.append(f"{report.products} dates, {report.published} products")
        janitor.set_orphans_aside(store, self.settings)
        report.orphans = len(list(self.settings.archive.glob(f"{ORPHANS}/*")))
        report.broken += [finding.line for finding in audit(store, self.settings)]
        before: dict[str, list[str]] = {}
        for product in products:
            made_from = json.loads((self.settings.archive / product.path / MANIFEST).read_text())["from"]
            expected = before.setdefault(product.tile, [])
            if made_from != expected:
                report.broken.append(f"{product.identifier}: made from {len(made_from)} dates, not {len(expected)}")
            expected.append(product.sensing.isoformat())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    """The processes of the chain that a part has started."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found
