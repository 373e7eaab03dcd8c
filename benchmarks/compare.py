"""How fast Compare is on a full product: `python benchmarks/compare.py PRODUCT [--state FILE] [--users 20]`.

PRODUCT is the folder of an L2A product (`muscate process`, or `muscate bench tile` keeps none). A centre with that one
product is served by a process of its own; a real browser opens the page and zooms, then some users zoom at random
places at once, each asking for the 12 tiles of a view over as many connections as a browser has, and thinking in
between. Prints each figure beside its bar. Memory is that of the web's process after each of more rounds at other
places and with another stretch, so that everything is drawn anew while the caches are full: it is flat if the last
round's is the second one's. With the recurrent state that the product's date left (`--state`), also how long the page
takes to explain a pixel.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from processing import product
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Acquisition, Attempt, Campaign, Chain, Job, Product, Tile
from tests.browser import FLAGS, chromium

#: Seconds and MB.
BARS = {
    "first complete picture, two views": 2.0,
    "sharp after a zoom, worst": 1.0,
    "12 tiles of a view, p95, cold": 0.6,
    "12 tiles of a view, p95, warm": 0.15,
    "memory of the web [MB]": 1000,
    "memory, last round over the second": 1.05,
    "pixel explained, first": 1.5,
    "pixel explained, later": 1.5,
}
#: A browser's connections to one server, and the time a user looks at a view. [s]
CONNECTIONS, THINK = 6, 1.5
#: The same while only memory is looked at. [s]
HURRY = 0.2
VIEWS = 6


def centre(home: Path, folder: Path, state: Path | None) -> tuple[Settings, str]:
    """A home whose store has one product, which is only linked to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(home=home, port=probe.getsockname()[1])
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    what = product.read(folder)
    path = f"{what.tile}/{what.version}/{what.identifier}"
    (settings.archive / path).parent.mkdir(parents=True)
    (settings.archive / path).symlink_to(folder.resolve())
    if state is not None:
        (settings.state / f"{path}.npz").parent.mkdir(parents=True)
        (settings.state / f"{path}.npz").symlink_to(state.resolve())
    now = datetime.now(UTC)
    with store.write() as session:
        campaign = Campaign(version=what.version, status="active", priority=0, opened=now)
        session.add_all([campaign, Tile(mgrs=what.tile, current_version=what.version)])
        session.flush()
        chain = Chain(tile=what.tile, campaign_id=campaign.id)
        acquisition = Acquisition(
            tile=what.tile,
            platform=what.platform,
            datatake=what.sensing,
            sensing=what.sensing,
            first_seen=now,
            simulated=what.simulated,
        )
        session.add_all([chain, acquisition])
        session.flush()
        job = Job(
            chain_id=chain.id,
            acquisition_id=acquisition.id,
            sensing=what.sensing,
            state="published",
            not_before=now,
            attempts=1,
            created=now,
            closed=now,
        )
        session.add(job)
        session.flush()
        attempt = Attempt(job_id=job.id, token=1, owner="bench", claimed=now, started=now, ended=now)
        session.add(attempt)
        session.flush()
        session.add(
            Product(
                job_id=job.id,
                attempt_id=attempt.id,
                identifier=what.identifier,
                tile=what.tile,
                platform=what.platform,
                sensing=what.sensing,
                version=what.version,
                path=path,
                mode=what.mode or "init",
                manifest_sha="0" * 64,
                bytes=0,
                published=now,
                simulated=what.simulated,
                absent=sorted(what.absent),
                state_path=f"{path}.npz" if state else None,
            )
        )
    store.dispose()
    return settings, what.identifier


def complete(page: Page, since: float) -> float:
    """Waits for the whole picture; seconds from `since` on the page's clock [ms] to it."""
    page.wait_for_function(
        "(since) => document.documentElement.dataset.missing === '0' && window.compare?.complete > since", arg=since
    )
    return (page.evaluate("window.compare.complete") - since) / 1000


def in_browser(address: str, name: str, explain: bool) -> dict[str, list[float]]:
    """A real browser opens the page with an empty cache, zooms in and out, and clicks a pixel."""
    found: dict[str, list[float]] = {"first": [], "zoom": [], "explain": []}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        for _ in range(3):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            page.goto(f"{address}/compare?left={name}", wait_until="commit")
            page.wait_for_function("window.compare?.complete > 0")
            found["first"].append(page.evaluate("window.compare.complete") / 1000)  # since the navigation began
            box = page.locator("canvas").first.bounding_box()
            assert box is not None
            page.mouse.move(
                box["x"] + box["width"] * random.uniform(0.3, 0.7), box["y"] + box["height"] * random.uniform(0.3, 0.7)
            )
            for turn in (-120, -120, -120, -120, 120, -120):
                page.evaluate(
                    "() => { window.turned = 0; addEventListener('wheel', () => window.turned = performance.now(),"
                    " {once: true, capture: true}) }"
                )
                page.mouse.wheel(0, turn)
                page.wait_for_function("window.turned > 0")
                found["zoom"].append(complete(page, page.evaluate("window.turned")))
            if explain:
                start = time.perf_counter()
                page.mouse.down()
                page.mouse.up()
                page.wait_for_selector("#explain .tests")
                found["explain"].append(time.perf_counter() - start)
            context.close()
        browser.close()
    return found


class Client:
    """One user's connections, and no more of HTTP than the tiles need: two cores serve him and the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def get(self, target: str) -> int:
        """Status of an answer that was read whole; a connection that the server has closed is opened anew."""
        async with self._free:
            while True:
                kept = self._idle.pop() if self._idle else None
                reader, writer = kept or await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost:{self._port}\r\n\r\n".encode())
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                    if length:
                        await reader.readexactly(int(length[1]))
                except (asyncio.IncompleteReadError, ConnectionError):
                    writer.close()
                    if not kept:
                        raise
                    continue
                self._idle.append((reader, writer))
                return int(head.split(None, 2)[1])

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def zooming(port: int, name: str, users: int, seed: int, think: float = THINK, stretch: str = "") -> list[float]:
    """Seconds that each view of 12 tiles took, of users who look at random places at once."""

    async def user(number: int) -> list[float]:
        places, took = random.Random(1000 * seed + number), []
        with contextlib.closing(Client(port)) as client:
            await asyncio.sleep(places.uniform(0, think))
            for _ in range(VIEWS):
                z = places.randint(2, 5)
                last = max(0, int(10980 * 2.0 ** (z - 5) / 512) - 2)
                x, y = places.randint(0, last), places.randint(0, last)
                wanted = [
                    f"/tiles/{name}/{layer}/{z}/{x + i}/{y + j}?v={'0' * 12}&lossy={layer != 'CLM'}{stretch}"
                    for layer in ("natural", "false", "CLM")
                    for i in (0, 1)
                    for j in (0, 1)
                ]
                start = time.perf_counter()
                answers = await asyncio.gather(*map(client.get, wanted))
                took.append(time.perf_counter() - start)
                assert set(answers) <= {200, 204}
                await asyncio.sleep(think)
        return took

    return [second for one in await asyncio.gather(*(user(number) for number in range(users))) for second in one]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("product", type=Path)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=8, help="more rounds, to see memory stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="muscate-compare-") as home:
        settings, name = centre(Path(home), given.product, given.state)
        environment = {**os.environ, "MUSCATE_HOME": home, "MUSCATE_PORT": str(settings.port)}
        code = "from processing.settings import Settings; from dashboard.app import serve; serve(Settings())"
        web = subprocess.Popen([sys.executable, "-c", code], env=environment)
        address = f"http://localhost:{settings.port}"
        try:
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{address}/health", timeout=2).read()
                    break
                except OSError:
                    time.sleep(0.5)
            process = psutil.Process(web.pid)

            def memory() -> float:
                return process.memory_info().rss / 2**20

            start = memory()
            figures = {}
            spent = process.cpu_times().user
            cold = asyncio.run(zooming(settings.port, name, given.users, 1))
            cost = (process.cpu_times().user - spent) / len(cold)
            after_cold = memory()
            spent = process.cpu_times().user
            warm = asyncio.run(zooming(settings.port, name, given.users, 1))
            again = (process.cpu_times().user - spent) / len(warm)
            more = []
            for seed in range(2, 2 + given.rounds):
                asyncio.run(zooming(settings.port, name, given.users, seed, HURRY, f"&range=0,0.{10 + seed}"))
                more.append(memory())
            browsed = in_browser(address, name, given.state is not None)
            figures["first complete picture, two views"] = float(np.median(browsed["first"]))
            figures["sharp after a zoom, worst"] = max(browsed["zoom"])
            figures["12 tiles of a view, p95, cold"] = float(np.percentile(cold, 95))
            figures["12 tiles of a view, p95, warm"] = float(np.percentile(warm, 95))
            figures["memory of the web [MB]"] = max(after_cold, *more, memory())
            figures["memory, last round over the second"] = more[-1] / more[1]
            if browsed["explain"]:
                figures["pixel explained, first"] = browsed["explain"][0]
                figures["pixel explained, later"] = max(browsed["explain"][1:])
        finally:
            web.terminate()
            web.wait(20)
    print(f"{name}, {given.users} users, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    for label, value in figures.items():
        print(f"{label:44}{value:9.2f}   <= {BARS[label]:g}{'' if value <= BARS[label] else '  missed'}")
    print(f"{'first picture, each':44}{' '.join(f'{v:.2f}' for v in browsed['first']):>9}")
    print(f"{'sharp after a zoom, median':44}{np.median(browsed['zoom']):9.2f}")
    print(f"{'12 tiles, median, cold and warm':44}{np.median(cold):9.2f} {np.median(warm):.2f}")
    print(f"{'processor for 12 tiles, cold and warm [s]':44}{cost:9.3f} {again:.3f}")
    steps = " ".join(f"{value:.0f}" for value in (start, after_cold, *more))
    print(f"{'memory before, after each round [MB]':44} {steps}")


if __name__ == "__main__":
    main()
