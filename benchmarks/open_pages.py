"""People with open pages while tiles change state: `python -m benchmarks.open_pages [--minutes 30] [--people 30]`.

Serves the store of `benchmarks.pages`, opens the operators' pages as so many browsers would, by their sockets or by
asking what is new every five seconds, and changes the state of a date every second. Prints the memory of the server
before, with all pages open, at the end and a minute after they were closed; and for how long its loop was blocked at
most, by the clock and in processor seconds: on a busy machine the clock counts those who share it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import sqlalchemy as sa

from benchmarks import coverage, pages
from benchmarks.session_memory import opened
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Product
from tests.browser import answers, free_port

#: Pages with a socket, and pages that ask what is new.
SOCKETS = ("quality",)
ASKING = ("production", "failures", "versions", "products", "coverage", "validation")
#: Between two questions of an open page. [s]
ASK = 5.0
#: After closing, memory is looked at for so long. [s]
AFTER = 60
#: The web, with a watch over its loop: blocked by the clock, and seconds of all its threads meanwhile.
WEB = """
import asyncio, sys, time
import uvicorn
from dashboard import sockets
from dashboard.app import create
from dashboard.line import Line
from processing.settings import Settings

async def watch():
    while True:
        began, used = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.02)
        blocked, busy = time.perf_counter() - began - 0.02, time.thread_time() - used
        if blocked > 0.05:
            print(f"{time.time():.2f} {blocked:.3f} {busy:.3f}", flush=True)

async def serve():
    settings = Settings()
    config = uvicorn.Config(create(settings), host=settings.host, port=settings.port, log_level="warning", http=Line,
                            ws_max_size=sockets.LONGEST)
    watching = asyncio.create_task(watch())
    await uvicorn.Server(config).serve()

asyncio.run(serve())
"""


@contextmanager
def served(settings: Settings) -> Iterator[tuple[str, psutil.Process, Path]]:
    """The web: its address, its process, and what its watch wrote."""
    log = settings.home / "watch.log"
    opens = json.dumps(
        dict.fromkeys(("production", "versions", "coverage", "products", "quality", "validation"), "public")
    )
    environment = {"MUSCATE_HOME": str(settings.home), "MUSCATE_PORT": str(settings.port), "MUSCATE_ACCESS": opens}
    with log.open("wb") as file, (settings.home / "web.log").open("wb") as faults:
        process = subprocess.Popen(
            [sys.executable, "-c", WEB], env={**os.environ, **environment}, stdout=file, stderr=faults
        )
        try:
            while not answers(settings.port):
                if process.poll() is not None:
                    raise SystemExit((settings.home / "web.log").read_text())
                time.sleep(0.3)
            yield f"localhost:{settings.port}", psutil.Process(process.pid), log
        finally:
            process.terminate()
            process.wait(20)


async def person(address: str, page: str, ready: asyncio.Semaphore, gone: asyncio.Event) -> None:
    """Open a page, and stay on it."""
    if page in SOCKETS:
        async with AsyncExitStack() as stack:
            socket = await stack.enter_async_context(opened(address, page))
            ready.release()
            stay = asyncio.create_task(gone.wait())
            while not stay.done():
                message = asyncio.create_task(socket.recv())
                await asyncio.wait({message, stay}, return_when=asyncio.FIRST_COMPLETED)
                message.cancel()
        return
    async with httpx.AsyncClient(timeout=60) as client:
        text = (await client.get(f"http://{address}/{page}")).raise_for_status().text
        ready.release()
        while not gone.is_set():
            seen = re.search(r'data-snapshot="(\d+)"', text)
            try:
                await asyncio.wait_for(gone.wait(), ASK)
            except TimeoutError:
                headers = {"x-seen": seen[1] if seen else ""}
                text = (await client.get(f"http://{address}/{page}", headers=headers)).raise_for_status().text


def memory(process: psutil.Process) -> float:
    """What the server holds. [MB]"""
    return float(process.memory_info().rss) / 2**20


async def visit(address: str, process: psutil.Process, people: int, minutes: float) -> tuple[list[float], float]:
    """Memory every ten seconds while all are there [MB], and when they were all there [s since 1970]."""
    ready, gone = asyncio.Semaphore(0), asyncio.Event()
    every = [*SOCKETS, *ASKING]
    there = []
    for number in range(people):
        there.append(asyncio.create_task(person(address, every[number % len(every)], ready, gone)))
        await ready.acquire()
    began, held = time.time(), []
    while time.time() < began + 60 * minutes:
        await asyncio.sleep(10)
        held.append(memory(process))
        if failed := [one for one in there if one.done()]:
            failed[0].result()
    gone.set()
    await asyncio.gather(*there)
    return held, began


@contextmanager
def changing(store: Store) -> Iterator[None]:
    """A date changes its state every second."""
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.wait(1):
            coverage.change(store, number % 20)
            number += 1

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def measure(settings: Settings, store: Store, people: int, minutes: float) -> None:
    with served(settings) as (address, process, log):
        asyncio.run(visit(address, process, 7, 0.1))  # what is loaded once doesn't count as theirs
        time.sleep(20)
        before = memory(process)
        used = sum(process.cpu_times()[:2])
        with changing(store):
            held, began = asyncio.run(visit(address, process, people, minutes))
            ended = time.time()
        used = sum(process.cpu_times()[:2]) - used
        after = [held[-1]]
        while time.time() < ended + AFTER:
            time.sleep(2)
            after.append(memory(process))
        rows = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    blocked = [(wall, busy) for at, wall, busy in rows if began <= at <= ended]
    print(f"{people} people for {minutes:g} minutes, pages {', '.join((*SOCKETS, *ASKING))}")
    print(
        f"memory: {before:.0f} MB before, {held[0]:.0f} MB with all, {held[-1]:.0f} MB at the end, most {max(held):.0f}"
    )
    print(f"  a session: {(max(held) - before) / people:.1f} MB; a minute after closing: {min(after):.0f} MB")
    walls, busy = ([*(one[place] for one in blocked), 0.0] for place in (0, 1))
    for of, seconds in (("by the clock", walls), ("of its own work", busy)):
        print(
            f"loop blocked at most {1000 * max(seconds):.0f} ms {of}, {sum(s > 0.2 for s in seconds)} times over 200 ms"
        )
    print(f"server: {used / (ended - began):.2f} processors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="kept, and filled only where it is empty; else a temporary one")
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=options.home or Path(folder), port=free_port(), demonstration=False)
        settings.make_folders()
        store = Store(settings.url)
        store.upgrade(explicit=True)
        with store.read() as session:
            empty = session.scalar(sa.select(Product.id).limit(1)) is None
        if empty:
            pages.fill(store)
        print(f"{datetime.now(UTC):%H:%M:%S} filled", flush=True)
        measure(settings, store, options.people, options.minutes)
        store.dispose()


if __name__ == "__main__":
    main()
