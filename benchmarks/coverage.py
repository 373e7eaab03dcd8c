"""The map of the coverage in a store of 40,000 products: `python -m benchmarks.coverage [--home DIR]`.

Opens the page Coverage of the store of `benchmarks.pages` in Chromium, warm, and prints the seconds until the map is
drawn and those of the drawing alone; what another period and another colour cost; and, of a date whose state changes in
the store, the time from asking the server to the changed tile's being drawn, and how often the whole map was.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from playwright import sync_api as playwright

from benchmarks import pages
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Acquisition, Event, Job, Product
from tests.browser import FLAGS, chromium, free_port

REPEATS = 5
#: Time that the drawing of everything takes. [ms]
DRAW = """() => new Promise((done) => requestAnimationFrame(() => {
  const began = performance.now()
  document.getElementById("whole").click()
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)))
}))"""


def change(store: Store, number: int) -> None:
    """Another state of the last date of some tile."""
    with store.write() as session:
        query = sa.select(Job).where(Job.state.in_(("ready", "held"))).order_by(Job.sensing.desc(), Job.id)
        job = session.scalars(query.offset(7 * number).limit(1)).one()
        job.state = "held" if job.state == "ready" else "ready"
        tile = session.scalar(sa.select(Acquisition.tile).where(Acquisition.id == job.acquisition_id))
        session.add(Event(time=datetime.now(UTC), kind=job.state, severity="info", tile=tile, data={}))


def until(page: playwright.Page, before: str | None) -> None:
    page.wait_for_function(
        "(before) => document.getElementById('map').dataset.drawings !== before", arg=before, timeout=20_000
    )


def chosen(page: playwright.Page, name: str, value: str) -> float:
    """Seconds from a choice to the map that shows it."""
    before = page.locator("#map").get_attribute("data-drawings")
    began = time.perf_counter()
    page.locator(f"#{name}").select_option(value)
    until(page, before)
    return time.perf_counter() - began


def measure(settings: Settings, store: Store) -> None:
    with pages.serving(settings) as (address, _), playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_cookies([pages.signed_in(settings)])
        page = context.new_page()
        opened = []
        for _ in range(REPEATS + 1):
            began = time.perf_counter()
            page.goto(f"{address}/coverage", wait_until="commit")
            page.wait_for_selector("#map[data-drawings]", timeout=60_000)
            opened.append(time.perf_counter() - began)
        print(f"map of {page.evaluate('document.querySelectorAll(`#tiles option`).length')} tiles of the centre and")
        print(f"  all of THEIA's, warm: {sorted(opened[1:])[REPEATS // 2]:.2f} s, most {max(opened[1:]):.2f} s")
        drawn = sorted(page.evaluate(DRAW) for _ in range(REPEATS))
        print(f"drawing all of it: {drawn[REPEATS // 2]:.0f} ms, most {drawn[-1]:.0f} ms")
        for name, value in (("colour", "delay"), ("span", "3"), ("version", "V1_4"), ("site", "Site 3")):
            print(f"{name} -> {value}: {chosen(page, name, value):.2f} s")
        page.goto(f"{address}/coverage")
        page.wait_for_selector("#matrix[data-rows]", timeout=60_000)
        before = page.locator("#map").get_attribute("data-drawings")
        for number in range(REPEATS):
            change(store, number)
            page.wait_for_function(
                "(count) => performance.getEntriesByName('patch').length > count", arg=number, timeout=30_000
            )
        took = sorted(page.evaluate("performance.getEntriesByName('patch').map((one) => one.duration)"))
        redrawn = int(page.locator("#map").get_attribute("data-drawings") or 0) - int(before or 0)
        print(f"a changed tile, from asking to drawn: {took[len(took) // 2]:.0f} ms, most {took[-1]:.0f} ms")
        print(f"  the whole map was drawn {redrawn} times for it")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="kept, and filled only where it is empty; else a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=options.home or Path(folder), port=free_port())
        settings.make_folders()
        store = Store(settings.url)
        store.upgrade(explicit=True)
        with store.read() as session:
            empty = session.scalar(sa.select(Product.id).limit(1)) is None
        if empty:
            pages.fill(store)
        measure(settings, store)
        store.dispose()


if __name__ == "__main__":
    main()
