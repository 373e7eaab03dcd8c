"""What the engine itself costs: claims and commits a second, and time of the processor a product, with a chain of none.

    python -m benchmarks.engine [--database-url URL] [--processes 1 4] [--seconds 5] [--products 300]
    python -m benchmarks.engine --size 40000     how long what it asks the store takes

The database has to be empty; without one it is SQLite, in a folder that goes again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from benchmarks import why_missing
from processing.production import operations
from processing.production.soak import FIRST, Soak
from processing.scene import Figures
from processing.settings import Settings
from processing.store import Store, backlog, campaigns, catalogue, lease, outcomes, upkeep
from processing.store.models import Job, Product
from processing.store.outcomes import Made

#: Bars: claims and commits a second of one process, and of all; time of the processor a product. [1/s, 1/s, ms]
ALONE, TOGETHER, CPU = 40.0, 80.0, 50.0
TILES = 25
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
                name = f"{tile}_{day}"
                catalogue.add(
                    session,
                    catalogue.Arrival(
                        tile=tile,
                        platform="S2A",
                        datatake=sensing,
                        sensing=sensing,
                        relative_orbit=51,
                        name=name,
                        baseline="05.10",
                        datastrip=sensing,
                        generation=sensing,
                        source="bench",
                        path=f"{tile}/{name}.SAFE",
                        bytes=1,
                        simulated=True,
                    ),
                )
    store.dispose()


def cycle(url: str, seconds: float, done: multiprocessing.Queue[int]) -> None:
    """Claim, begin and publish without a pixel, for so long."""
    store = Store(url)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with store.write() as session:
            claimed = lease.claim(session, f"bench:{os.getpid()}", 60)
        if claimed is None:
            time.sleep(0.001)
            continue
        with store.write() as session:
            lease.started(session, claimed, "bench", "log")
        made = Made("init", Figures(1.0), {}, True, identifier=f"{claimed.tile}_{claimed.sensing:%Y%m%d}")
        with store.write() as session:
            outcomes.published(session, claimed, made)
        count += 1
    store.dispose()
    done.put(count)


def rate(url: str, processes: int, seconds: float) -> float:
    """Claims and commits a second of so many processes together."""
    done: multiprocessing.Queue[int] = multiprocessing.Queue()
    running = [multiprocessing.Process(target=cycle, args=(url, seconds, done)) for _ in range(processes)]
    for process in running:
        process.start()
    total = sum(done.get() for _ in running)
    for process in running:
        process.join()
    return total / seconds


def cpu(home: Path, url: str, products: int) -> tuple[float, float]:
    """Time of the processor, and of the clock, a product, of a dispatcher with one slot and its process. [ms]"""
    soak = Soak(home, database_url=url, tiles=10, dates=products // 10)
    store = Store(soak.settings.url)
    for batch in soak._batches():
        for tile, day in batch:
            with store.write() as session:
                catalogue.add(session, soak._arrival(tile, day, 0.0))
    code = (
        "import threading\nfrom processing.production.dispatcher import dispatch\n"
        "from processing.production.soak_chain import CHAIN\nfrom processing.settings import Settings\n"
        "import signal\nstop = threading.Event()\nsignal.signal(signal.SIGTERM, lambda *_: stop.set())\n"
        "dispatch(Settings(), stop, CHAIN)\n"
    )
    environment = os.environ | {
        "MUSCATE_HOME": str(home),
        "MUSCATE_DATABASE_URL": url,
        "MUSCATE_WORKERS": "1",
        "MUSCATE_MIN_FREE_GB": "0",
        "MUSCATE_AUDIT_DAYS": "0",
    }
    before, process = resource.getrusage(resource.RUSAGE_CHILDREN), None
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    first = None
    while True:
        with store.read() as session:
            made = session.scalar(sa.select(sa.func.count(Product.id))) or 0
            left = session.scalar(sa.select(sa.func.count(Job.id)).where(Job.state != "published")) or 0
        if first is None and made:
            first = (time.monotonic(), made)
        if not left:
            break
        time.sleep(0.2)
    assert first is not None
    clock = (time.monotonic() - first[0]) / max(products - first[1], 1)
    process.terminate()
    process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    store.dispose()
    return 1000 * used / products, 1000 * clock


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
    parser.add_argument("--products", type=int, default=300)
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
        used, clock = cpu(home, url, given.products)
        print(f"engine CPU a product {used:.1f} ms (bar {CPU:.0f}), start of its two processes included")
        print(f"wall time a product {clock:.1f} ms with a chain of none and one slot")
        dates = 1 + int(max(given.processes, default=1) * given.seconds * 200 / TILES)
        fill(url, dates, 100_000)
        for processes in given.processes:
            bar = ALONE if processes == 1 else TOGETHER
            found = rate(url, processes, given.seconds)
            print(f"claim + begin + commit, {processes} processes: {found:.0f} /s (bar {bar:.0f})")
        print(f"{Settings(home=home).url if not given.database_url else 'Postgres'}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
