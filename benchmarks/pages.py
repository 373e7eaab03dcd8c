"""How soon a page can be used in a store of 40,000 products: `python -m benchmarks.pages [PAGE...] [--home DIR]`.

Fills an empty home with rows alone (1,076 tiles, two versions, a backlog, failures of several kinds; no folders),
serves it, opens each page in Chromium, and prints the seconds until it can be used, the processor seconds of server
and browser, and the largest of each. A page can be used when its content stands and the browser has come to rest.

A page is given as its address, ``production?period=7+days``; all pages of the frame without one. `--home` keeps the
store for the next run.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import sqlalchemy as sa
from playwright import sync_api as playwright
from sqlalchemy.orm import Session

from dashboard.frame import PAGES
from processing import tiling
from processing.people import Role, command_line
from processing.product import names
from processing.settings import Settings
from processing.store import Store, people, tallies
from processing.store.delays import STAGES
from processing.store.models import (
    Acquisition,
    Anomaly,
    Attempt,
    Base,
    Campaign,
    Chain,
    Event,
    Granule,
    Job,
    Product,
    Quality,
    Site,
    SiteTile,
    StageDelay,
    Tile,
)
from tests.browser import FLAGS, answers, chromium, free_port

TILES, PRODUCTS, SITES = 1076, 40_000, 60
#: Versions by the share of the tiles that they are made for: the second one is a campaign that is under way.
VERSIONS = {"V1_4": 1.0, "V2_0": 0.25}
#: How a date ended, of 1000.
ENDS = {"published": 800, "not_valid": 170, "rejected": 18, "failed": 12}
REASONS = {
    "rejected": (
        ("input", "S2A_MSIL1C.SAFE: B04.jp2: cut short"),
        ("input", "MTD_TL.xml: malformed"),
        ("operator", "given up by the operator"),
    ),
    "failed": (
        ("processor", "ZeroDivisionError: division by zero"),
        ("unknown", "the chain's process died (signal SIGKILL)"),
        ("unknown", "the worker was lost 3 times"),
    ),
    "held": (("input", "dem.tif: does not cover the tile"), ("operator", "held by the operator")),
    "not_valid": ((None, "97.1 % cloud"),),
}
#: Seconds that a page may take to come to rest. [s]
PATIENCE = 60.0
#: The browser is at rest: nothing was changed on the page for a while, and it has nothing else to do.
AT_REST = """(quiet) => new Promise((rest) => {
  let last = performance.now(), began = last
  const roots = new Set()
  const changes = new MutationObserver(() => { last = performance.now(); look() })
  const look = () => {
    const walk = (root) => {
      if (!roots.has(root)) { roots.add(root); changes.observe(root, {subtree: true, childList: true}) }
      for (const e of root.querySelectorAll("*")) if (e.shadowRoot) walk(e.shadowRoot)
    }
    walk(document)
  }
  look()
  const timer = setInterval(() => {
    if (performance.now() - last >= quiet || performance.now() - began > 30000) {
      clearInterval(timer); changes.disconnect()
      rest(performance.timeOrigin + last)
    }
  }, 50)
})"""
QUIET = 600


def tiles(count: int = TILES) -> list[str]:
    """Tiles of Europe and Africa that lie on a grid of their own zone."""
    letters = "ABCDEFGHJKLMNPQRSTUV"
    found = [
        name
        for zone in range(29, 39)
        for band in "KLMNPQRSTU"
        for column in "ABCDEFGHJKLMNPQRSTUVWXYZ"
        for row in letters
        if tiling.valid(name := f"{zone:02d}{band}{column}{row}")
    ]
    return found[:: len(found) // count][:count]


def fill(store: Store, products: int = PRODUCTS, tile_count: int = TILES, now: datetime | None = None) -> None:
    """Rows of a centre that is at work; `now` is the time of its last event."""
    random.seed(1)
    rows = _Rows(now or datetime.now(UTC), tiles(tile_count))
    rows.make(products)
    with store.engine.begin() as connection:
        if not store.is_sqlite:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table in (
            Site,
            Tile,
            SiteTile,
            Campaign,
            Acquisition,
            Granule,
            Chain,
            Job,
            Attempt,
            Product,
            Quality,
            StageDelay,
        ):
            _insert(connection, table, rows.of(table))
        _insert(connection, Anomaly, rows.of(Anomaly))
        _insert(connection, Event, sorted(rows.of(Event), key=lambda row: row["time"]))
        if not store.is_sqlite:
            for table in (Campaign, Acquisition, Granule, Chain, Job, Attempt, Product, Anomaly):
                key = f"SELECT setval('{table.__tablename__}_id_seq', {len(rows.of(table)) + 1})"
                connection.execute(sa.text(key))
            with Session(connection) as session:
                tallies.count_again(session)  # the triggers that count were not asked
                session.flush()
            connection.execute(sa.text("ANALYZE"))


def _insert(connection: sa.Connection, table: type[Base], rows: list[dict[str, Any]]) -> None:
    for first in range(0, len(rows), 10_000):
        connection.execute(sa.insert(table), rows[first : first + 10_000])


class _Rows:
    """Rows by table, in the order of their keys."""

    def __init__(self, now: datetime, names: list[str]) -> None:
        self.now, self.tiles = now.replace(microsecond=0), names
        self._rows: dict[type[Base], list[dict[str, Any]]] = {}

    def of(self, table: type[Base]) -> list[dict[str, Any]]:
        return self._rows.setdefault(table, [])

    def add(self, table: type[Base], **values: Any) -> int:
        """Add a row; its key."""
        rows = self.of(table)
        rows.append({"id": len(rows) + 1, **values} if hasattr(table, "id") else values)
        return len(rows)

    def make(self, products: int) -> None:
        for number in range(SITES):
            place = {"name": f"Site {number}", "country": "", "active": True, "priority": number}
            self.add(Site, code=f"s{number}", **place)
        campaigns = {
            version: self.add(
                Campaign, version=version, status="active", priority=20 * order, opened=self.now - timedelta(days=300)
            )
            for order, version in enumerate(VERSIONS)
        }
        valid = ENDS["published"] / sum(ENDS.values())
        # The campaign is half done.
        ended = products / valid / (len(self.tiles) * (1 + sum(VERSIONS.values())) / 2)
        for place, tile in enumerate(self.tiles):
            dates = int(ended) + (place < ended % 1 * len(self.tiles))
            self.add(Tile, mgrs=tile, current_version="V1_4")
            self.add(SiteTile, site=f"s{place * SITES // len(self.tiles)}", tile=tile)
            passes = [self._acquisition(tile, place, date, dates) for date in range(dates)]
            for version, share in VERSIONS.items():
                if place < share * len(self.tiles):
                    self._chain(place, version, campaigns[version], passes)
        self._refusals()
        for end, kinds in REASONS.items():
            for kind, reason in kinds:
                if kind in ("processor", "unknown", "input") and end != "not_valid":
                    age = timedelta(days=random.random())
                    case = {"signature": reason[:24], "last": reason, "opened": self.now - age, "seen": self.now}
                    self.add(Anomaly, reason_class=kind, count=random.randint(1, 90), **case)

    def _acquisition(self, tile: str, place: int, date: int, dates: int) -> dict[str, Any]:
        sensing = self.now - timedelta(days=5 * (dates - date) - place % 5, seconds=place)
        seen = sensing + timedelta(hours=random.uniform(3, 14))
        row = {"tile": tile, "platform": "S2A" if date % 2 else "S2B", "datatake": sensing.replace(second=0)}
        row |= {"sensing": sensing, "relative_orbit": 1 + place % 143, "first_seen": seen, "simulated": False}
        row["id"] = self.add(Acquisition, **row)
        whole = seen + timedelta(minutes=2)
        stamp = f"{sensing:%Y%m%dT%H%M%S}"
        name = f"{row['platform']}_MSIL1C_{stamp}_N0510_R{row['relative_orbit']:03d}_T{tile}_{stamp}"
        self.add(
            Granule,
            **{"acquisition_id": row["id"], "name": name, "source": "inbox", "baseline": "05.10", "datastrip": sensing},
            **{"offered": sensing + timedelta(hours=2), "downloaded": whole},
            **{"generation": sensing + timedelta(hours=2), "path": f"{tile}/{name}.SAFE", "bytes": 700_000_000},
            **{"state": "usable", "seen": seen, "simulated": False},
        )
        self._event(seen, "arrived", tile=tile, actor="inbox", data={"l1c": name, "date": sensing.isoformat()})
        return row | {"name": name, "whole": whole}

    def _chain(self, place: int, version: str, campaign: int, passes: list[dict[str, Any]]) -> None:
        tile = passes[0]["tile"]
        chain = self.add(
            Chain, tile=tile, campaign_id=campaign, priority=campaign, token=len(passes), **dict.fromkeys(LEASE)
        )
        # The campaign has gone through half of the archive; in real time the last date waits here and there.
        opened = len(passes) // 2 if version != "V1_4" else len(passes) - (place % 10 == 0)
        previous = None
        for date, acquisition in enumerate(passes):
            if date >= opened:
                self._open(chain, version, acquisition, first=date == opened, running=place < 4, held=place % 50 == 10)
                continue
            state = random.choices(list(ENDS), list(ENDS.values()))[0]
            previous = self._ended(chain, version, acquisition, state, previous)

    def _job(self, chain: int, acquisition: dict[str, Any], state: str, **values: Any) -> int:
        reasons = REASONS.get(state)
        kind, reason = random.choice(reasons) if reasons else (None, None)
        given = {"state": state, "reason_class": kind, "reason": reason, "created": acquisition["whole"]}
        given |= {"not_before": acquisition["whole"], "attempts": 1, "late": False, "revision": 0, "closed": None}
        place = {"chain_id": chain, "acquisition_id": acquisition["id"], "sensing": acquisition["sensing"]}
        return self.add(Job, **place, **(given | values))

    def _open(
        self, chain: int, version: str, acquisition: dict[str, Any], *, first: bool, running: bool, held: bool
    ) -> None:
        state = "held" if first and held else "running" if first and running else "ready"
        job = self._job(chain, acquisition, state)
        offered = self.of(Chain)[chain - 1]
        if first and not held:
            offered |= {"next_job_id": job, "next_due": acquisition["first_seen"]}
        if first and state == "running":
            offered |= {"lease_owner": "host:1", "lease_until": self.now + timedelta(days=1)}
            self._attempt(job, self.now - timedelta(minutes=4), None, None, None)

    def _attempt(self, job: int, began: datetime, ended: datetime | None, outcome: str | None, mode: str | None) -> int:
        times = {"claimed": began - timedelta(seconds=2), "started": began, "ended": ended}
        what = {"outcome": outcome, "mode": mode, "owner": "host:1", "host": "host", "token": 1}
        return self.add(Attempt, job_id=job, **times, **what, log_path=f"attempts/a{job}.log", peak_memory=4 << 30)

    def _ended(
        self, chain: int, version: str, acquisition: dict[str, Any], state: str, previous: int | None
    ) -> int | None:
        tile, sensing = acquisition["tile"], acquisition["sensing"]
        began = min(acquisition["whole"] + timedelta(minutes=random.expovariate(1 / 40)), self.now)
        ended = min(began + timedelta(minutes=random.uniform(3, 9)), self.now)
        job = self._job(chain, acquisition, state, closed=ended)
        mode = ("nominal" if previous else "init") if state in ("published", "not_valid") else None
        attempt = self._attempt(job, began, ended, state, mode)
        what = {"tile": tile, "version": version, "job_id": job, "actor": "host:1"}
        self._event(began, "claimed", **what, data={"date": sensing.isoformat()})
        reason = {"reason": self.of(Job)[-1]["reason"]} if state != "published" else {}
        severity = {"rejected": "warning", "failed": "error"}.get(state, "info")
        product = None
        if state == "published":
            stem = names.identifier(acquisition["platform"], sensing, tile, version)
            who = {"job_id": job, "attempt_id": attempt, "identifier": stem, "tile": tile}
            who |= {"platform": acquisition["platform"], "sensing": sensing, "version": version, "revision": 0}
            who |= {"relative_orbit": acquisition["relative_orbit"], "path": f"{tile}/{version}/{stem}", "mode": mode}
            who |= {"valid": True, "current": True, "prev_product": previous, "previous_not_latest": False}
            who |= {"manifest_sha": "0" * 64, "bytes": 900_000_000, "published": ended, "simulated": False}
            lists = {"l1c": [acquisition["name"]], "absent": [], "origin": {}, "seconds": {"read": 20.0}}
            product = self.add(Product, **who, state_path=None, **lists)
            way = (sensing, sensing + timedelta(hours=2), acquisition["first_seen"], acquisition["whole"])
            way += (acquisition["whole"], began, ended)
            spent = [(later - earlier).total_seconds() for earlier, later in pairwise(way)]
            stages = dict(zip(STAGES, spent, strict=True))
            self.add(StageDelay, job_id=job, tile=tile, version=version, published=ended, **stages, total=sum(spent))
        if state in ("published", "not_valid"):
            cloud = 97.1 if state == "not_valid" else 90 * random.random() ** 2
            shares = {"cloud_percent": cloud, "snow_percent": 0.0, "water_percent": 2.0, "no_data_percent": 1.0}
            air = {"aot_mean": random.random() ** 2, "water_vapour_mean": 2.0}
            self.add(Quality, job_id=job, **shares, **air, flags={}, other={})
        self._event(ended, state, severity, **what, product_id=product, data={"date": sensing.isoformat()} | reason)
        return product or previous

    def _event(self, time: datetime, kind: str, severity: str = "info", **values: Any) -> None:
        given = {"tile": None, "version": None, "job_id": None, "product_id": None, "actor": None} | values
        self.of(Event).append({"time": time, "kind": kind, "severity": severity, **given})

    def _refusals(self) -> None:
        for number in range(40):
            time = self.now - timedelta(hours=5 * number)
            data = {"l1c": f"holiday_{number}.jpg", "reason": f"holiday_{number}.jpg: is no Level-1C package"}
            self._event(time, "refused", "warning", actor="inbox", data=data)


def sites_of(session: Any, *, code: bool = False) -> list[tuple[str, str]]:
    """Site, by its code or its name, and tile."""
    column = Site.code if code else Site.name
    rows = session.execute(sa.select(column, SiteTile.tile).join(SiteTile, SiteTile.site == Site.code))
    return [(site, tile) for site, tile in rows]


LEASE = ("next_job_id", "next_due", "lease_owner", "lease_until")


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[str, psutil.Process]]:
    """The web in a process of its own: its address and process."""
    code = "from processing.settings import Settings; from dashboard.app import serve; serve(Settings())"
    environment = {**os.environ, "MUSCATE_HOME": str(settings.home), "MUSCATE_PORT": str(settings.port)}
    with (settings.home / "web.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=log, stderr=log)
    try:
        while not answers(settings.port):
            if process.poll() is not None:
                raise SystemExit((settings.home / "web.log").read_text())
            time.sleep(0.3)
        yield f"http://localhost:{settings.port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def processor_seconds(root: psutil.Process) -> dict[int, float]:
    """Of a process and all its children, by their ids. [s]"""
    seconds = {}
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.Error):
            used = process.cpu_times()
            seconds[process.pid] = used.user + used.system
    return seconds


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """Processor seconds between two looks. What ends meanwhile, as that of the page before, takes none of it away."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def opened(
    context: playwright.BrowserContext, address: str, server: psutil.Process, drawing: psutil.Process
) -> tuple[float, float, float]:
    """Seconds until a page can be used; processor seconds of server and browser until it is at rest."""
    before = processor_seconds(server), processor_seconds(drawing)
    page = context.new_page()
    try:
        start = time.time()
        page.goto(address, wait_until="commit", timeout=PATIENCE * 1000)
        page.wait_for_selector("[data-snapshot], h1", timeout=PATIENCE * 1000)
        there = time.time()
        last = page.evaluate(AT_REST, QUIET) / 1000
        used = spent(before[0], processor_seconds(server)), spent(before[1], processor_seconds(drawing))
        return max(there, last) - start, *used
    finally:
        page.close()


#: What somebody does on an open page, and what he then sees: a filter.
FILTERS: dict[str, tuple[Callable[[playwright.Page], None], str]] = {
    "production": (lambda page: page.get_by_role("link", name="7 days").click(), "last 7 days, by version"),
    "failures": (lambda page: _typed(page, "Tile", "30NXM"), "· 30NXM"),
    "products": (lambda page: _typed(page, "Tile", "0ZZ"), "has this in its id: 0ZZ"),
}


def _typed(page: playwright.Page, label: str, text: str) -> None:
    page.get_by_label(label, exact=True).fill(text)
    page.keyboard.press("Enter")


def filtered(context: playwright.BrowserContext, address: str, name: str) -> float:
    """Seconds from a choice to what it shows."""
    act, words = FILTERS[name]
    page = context.new_page()
    try:
        page.goto(f"{address}/{name}", timeout=PATIENCE * 1000)
        page.wait_for_selector("[data-snapshot]", timeout=PATIENCE * 1000)
        page.evaluate(AT_REST, QUIET)
        start = time.time()
        act(page)
        page.get_by_text(words).first.wait_for(timeout=PATIENCE * 1000)
        return time.time() - start
    finally:
        page.close()


def signed_in(settings: Settings) -> dict[str, str]:
    """The cookie of an administrator."""
    store = Store(settings.url)
    with store.write() as session:
        known = [person for person in people.everybody(session) if person.name == "bench"]
        who = known[0] if known else people.add(session, "bench", Role.ADMIN, command_line(), None)
        token = people.begin(session, who, "127.0.0.1", "benchmark", "benchmark")
    store.dispose()
    return {"name": f"muscate-{settings.port}", "value": token, "url": f"http://localhost:{settings.port}"}


def measure(settings: Settings, pages: list[str], repeats: int, width: int) -> None:
    """Open each page once to warm it, then again and again."""
    print(f"{'':40} {'seconds':>13} {'CPU seconds':>13}")
    print(f"{'page':40} {'p50':>6} {'most':>6} {'p50':>6} {'most':>6} {'server':>7} {'browser':>7}")
    with serving(settings) as (address, server), playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        drawing = next(child for child in psutil.Process().children(recursive=True) if "chrom" in child.name())
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.add_cookies([signed_in(settings)])
        for name in pages:
            try:
                opened(context, f"{address}/{name}", server, drawing)
                runs = [opened(context, f"{address}/{name}", server, drawing) for _ in range(repeats)]
            except playwright.Error as fault:
                print(f"{name:40} {str(fault).splitlines()[0]}")
                continue
            wall, of_server, of_browser = (np.array(values) for values in zip(*runs, strict=True))
            used = of_server + of_browser
            figures = np.median(wall), wall.max(), np.median(used), used.max()
            print(f"{name:40} {' '.join(f'{figure:6.2f}' for figure in figures)}", end=" ")
            print(f"{np.median(of_server):7.2f} {np.median(of_browser):7.2f}", flush=True)
        for name in (name for name in pages if name in FILTERS):
            seconds = [filtered(context, address, name) for _ in range(repeats)]
            print(f"{name + ': a filter':40} {np.median(seconds):6.2f} {max(seconds):6.2f}", flush=True)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", default=list(PAGES))
    parser.add_argument("--home", type=Path, help="kept, and filled only where it is empty; else a temporary one")
    parser.add_argument("--products", type=int, default=PRODUCTS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=1280, help="of the window [px]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=options.home or Path(folder), port=free_port())
        settings.make_folders()
        store = Store(settings.url)
        store.upgrade(explicit=True)
        with store.read() as session:
            empty = session.scalar(sa.select(Product.id).limit(1)) is None
        if empty:
            start = time.perf_counter()
            fill(store, options.products)
            print(f"filled in {time.perf_counter() - start:.0f} s")
        with store.read() as session:
            counts = [session.scalar(sa.select(sa.func.count()).select_from(t)) for t in (Product, Job, Tile)]
        print("{} products, {} dates in their versions, {} tiles".format(*counts))
        store.dispose()
        measure(settings, options.pages, options.repeats, options.width)


if __name__ == "__main__":
    main()
