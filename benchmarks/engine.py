"""What the engine itself costs: claims and commits a second, and its time of the processor beside a chain that waits.

    python -m benchmarks.engine [--database-url URL] [--processes 1 4] [--seconds 5] [--products 400]
    python -m benchmarks.engine --size 40000     how long what it asks the store takes

The database has to be empty; without one it is SQLite, in a folder that goes again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from benchmarks import why_missing
from processing.production import operations
from processing.production.soak import FIRST, Soak, _children, made_up
from processing.production.soak_chain import ORDERS
from processing.scene import Figures
from processing.settings import Settings
from processing.store import Store, backlog, campaigns, catalogue, lease, outcomes, upkeep
from processing.store.models import Product
from processing.store.outcomes import Made

#: Bars: claims and commits a second of one process, and of all; time of the processor a product. [1/s, 1/s, ms]
ALONE, TOGETHER, CPU = 40.0, 80.0, 50.0
#: By how much longer all takes than the chain alone on all slots. [-]
OVERHEAD = 0.1
TILES = 25
#: Cycles after which statements are compiled and caches warm.
WARM = 10
#: How long a question may take. [ms]
ASKED = 100.0


def fill(url: str, dates: int, first: int) -> None:
    """Queue dates of every tile, beginning with the day `first`."""
    store = Store(url)
    tiles = [f"31T{a}{b}" for a in "CDEFG" for b in "HJKLM"][:TILES]
    with store.write() as session:
        for tile in tiles:
            for day in range(first, first + dates):
                sensing = FIRST + timedelta(days=day)
                catalogue.add(session, made_up(tile, sensing, f"{tile}_{day}", "bench"))
    store.dispose()


def enough(seconds: float) -> int:
    """Dates of each tile that no process comes to the end of in so long."""
    return 1 + int(seconds * 200 / TILES)


def cycle(url: str, seconds: float, done: multiprocessing.Queue[tuple[int, float]]) -> None:
    """Claim, begin and publish without a pixel, for so long; how often, and with how much of the processor. [s]"""
    store = Store(url)
    count, used, end = 0, 0.0, math.inf
    while time.monotonic() < end:
        if count == WARM and end == math.inf:
            used, end = time.process_time(), time.monotonic() + seconds
        with store.write() as session:
            claimed = lease.claim(session, f"bench:{os.getpid()}", 60)
        if claimed is None:
            time.sleep(0.001)
            continue
        with store.write() as session:
            lease.started(session, claimed, "bench", "log")
        mode = "nominal" if claimed.previous else "init"
        name = f"{claimed.tile}_{claimed.sensing:%Y%m%d}"
        made = Made(mode, Figures(1.0), {}, True, identifier=name, has_state=True)
        with store.write() as session:
            outcomes.published(session, claimed, made)
        count += 1
    used = time.process_time() - used
    store.dispose()
    done.put((count - WARM, used / max(count - WARM, 1)))


def rate(url: str, processes: int, seconds: float) -> tuple[float, float]:
    """Claims and commits a second of so many processes together, and what each takes of the processor. [1/s, ms]"""
    done: multiprocessing.Queue[tuple[int, float]] = multiprocessing.Queue()
    running = [multiprocessing.Process(target=cycle, args=(url, seconds, done)) for _ in range(processes)]
    for process in running:
        process.start()
    told = [done.get() for _ in running]
    for process in running:
        process.join()
    return sum(count for count, _ in told) / seconds, 1000 * statistics.fmean(used for _, used in told)


class Cost(NamedTuple):
    """What a dispatcher with its slots took: of the processor for its start and a product [s], and its overhead [-]."""

    start: float
    product: float
    overhead: float


def cost(home: Path, url: str, products: int, slots: int, seconds: float) -> Cost:
    """What the engine takes beside a chain that takes so many seconds and nothing of the processor.

    The overhead is by how much longer a product takes than the chain alone on all slots, while all of them are in use.
    """
    tiles = min(25, max(10, 2 * slots))
    soak = Soak(home, database_url=url, tiles=tiles, dates=math.ceil(products / tiles))
    products = tiles * soak.dates
    store = Store(soak.settings.url)
    for batch in soak._batches():
        for tile, day in batch:
            arrival = soak._arrival(tile, day, 0.0)
            orders = soak.settings.l1c / arrival.path / ORDERS
            orders.write_text(json.dumps(json.loads(orders.read_text()) | {"seconds": seconds}))
            with store.write() as session:
                catalogue.add(session, arrival)
    process = dispatcher(home, url, slots)
    at_start = None
    while True:
        with store.read() as session:
            made = session.scalar(sa.select(sa.func.count(Product.id))) or 0
        if at_start is None and made >= 2 * slots:
            at_start = made, used(process.pid)
        if made >= products:
            break
        time.sleep(0.2)
    assert at_start is not None
    taken = (used(process.pid) - at_start[1]) / (products - at_start[0])
    process.terminate()
    process.wait()
    with store.read() as session:
        published = session.scalars(sa.select(Product.published).order_by(Product.published)).all()
    store.dispose()
    busy = published[2 * slots : -2 * slots]
    each = (busy[-1] - busy[0]).total_seconds() / (len(busy) - 1)
    return Cost(at_start[1] - taken * at_start[0], taken, each * slots / seconds - 1 if seconds else math.nan)


def dispatcher(home: Path, url: str, slots: int) -> subprocess.Popen[bytes]:
    """One with the chain's stand-in."""
    code = (
        "import threading\nfrom processing.production.dispatcher import dispatch\n"
        "from processing.production.soak_chain import CHAIN\nfrom processing.settings import Settings\n"
        "import signal\nstop = threading.Event()\nsignal.signal(signal.SIGTERM, lambda *_: stop.set())\n"
        "dispatch(Settings(), stop, CHAIN)\n"
    )
    environment = os.environ | {
        "MUSCATE_HOME": str(home),
        "MUSCATE_DATABASE_URL": url,
        "MUSCATE_WORKERS": str(slots),
        "MUSCATE_MIN_FREE_GB": "0",
        "MUSCATE_AUDIT_DAYS": "0",
    }
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)


def used(pid: int) -> float:
    """Time of the processor of a process, of its children and of those that it had. [s]"""
    total = 0.0
    for one in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


def questions(store: Store, products: int, tiles: int) -> dict[str, float]:
    """How long what the engine and `muscate status` ask takes in a store of so many products. [ms]"""
    why_missing.fill(store, products, tiles)
    wanted = campaigns.Scope("V2_0", tuple(why_missing.names(tiles)))
    asked = {
        "status": lambda session: operations.status(store),
        "claimable": lambda session: lease.claimable(session),
        "backlog": backlog.summary,
        "campaigns": backlog.campaigns,
        "burn-up": backlog.burn_up,
        "janitor, states": lambda session: upkeep.forget_states(session, 10),
        "janitor, leases": lambda session: lease.expire(session),
        "breaker": campaigns.break_off,
        "estimate of a campaign": lambda session: campaigns.estimate(session, wanted, 8),
    }
    found = {}
    for name, question in asked.items():
        taken = []
        for _ in range(3):
            with store.read() as session:
                began = time.perf_counter()
                question(session)
                taken.append(1000 * (time.perf_counter() - began))
        found[name] = min(taken)
    return found


def main() -> None:
    """Print the figures beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", default="")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--products", type=int, default=400, help="0: claims and commits alone.")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--chain", type=float, default=1.0, help="How long its stand-in takes. [s]")
    parser.add_argument("--size", type=int, help="Only ask a store of so many products.")
    given = parser.parse_args()
    if given.size:
        with tempfile.TemporaryDirectory(prefix="muscate-engine-") as folder:
            store = Store(given.database_url or f"sqlite:///{folder}/muscate.db")
            store.upgrade(explicit=True)
            for name, taken in questions(store, given.size, 1076).items():
                print(f"{name}: {taken:.0f} ms at {given.size} products (bar {ASKED:.0f})")
        return
    with tempfile.TemporaryDirectory(prefix="muscate-engine-") as folder:
        home = Path(folder)
        url = given.database_url or f"sqlite:///{home / 'muscate.db'}"
        if given.products:
            found = cost(home, url, given.products, given.slots, given.chain)
            print(f"engine CPU a product {1000 * found.product:.1f} ms (bar {CPU:.0f}); its start {found.start:.1f} s")
            print(
                f"overhead {100 * found.overhead:.1f} % of wall time (bar {100 * OVERHEAD:.0f}): {given.slots} slots, "
                f"a chain of {given.chain:.1f} s, {given.products} products"
            )
        Store(url).upgrade(explicit=True)
        fill(url, enough(max(given.processes, default=1) * given.seconds), 100_000)
        for processes in given.processes:
            bar = ALONE if processes == 1 else TOGETHER
            found, used = rate(url, processes, given.seconds)
            print(
                f"claim + begin + commit, {processes} processes: {found:.0f} /s (bar {bar:.0f}), {used:.1f} ms CPU each"
            )
        print(f"{Settings(home=home).url if not given.database_url else 'Postgres'}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
