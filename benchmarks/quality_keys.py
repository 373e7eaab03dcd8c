"""How long a reader's keys take: products judged one after the other in a real browser, without a mouse.

    python -m benchmarks.quality_keys [--products 60]

A home is filled with small products; the page Quality is opened in Chromium; each product gets one key (every fifth one
a reason before it, one is taken back on the way) as soon as it is shown with its tiles. Prints seconds in all and from
key to the next product beside their bars, and checks that the store kept every verdict, in order.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright import sync_api as playwright

from processing.settings import Settings
from processing.store import Store
from processing.store.models import Verdict
from tests.browser import FLAGS, chromium, free_port
from tests.dashboard_archive import fill
from tests.test_browser import DESKTOP, WAIT, Watched, serving

#: From a key to the next product with its picture. [s]
MEDIAN, LATE = 0.5, 1.0
#: Whether both views have all their tiles of a product's picture and mask.
LOADED = """(product) => {
  const sources = Bokeh.documents.flatMap((document) => [...document._all_models.values()])
    .filter((model) => model.type === "WMTSTileSource")
  return sources.length === 3 && sources.every((source) => source.url.includes(`/${product}/`)
    && [...source.tiles.values()].some((tile) => tile.loaded)
    && [...source.tiles.values()].every((tile) => tile.loaded || tile.finished))
}"""


@dataclass(frozen=True)
class Judged:
    """`products` in the order they were shown; `seconds` from each key to the next product with its picture."""

    products: list[str]
    seconds: list[float]
    total: float


def shown(page: playwright.Page, last: str) -> str:
    """The product after `last`, once the browser has its picture and its mask."""
    head = page.locator(f'[data-product]:not([data-product="{last}"])')
    head.wait_for(timeout=WAIT)
    product = str(head.get_attribute("data-product"))
    page.wait_for_function(LOADED, arg=product, timeout=WAIT, polling=20)
    return product


def judge(page: playwright.Page, number: int) -> Judged:
    """Judge products with single keys. Good, suspect and bad in turn."""
    products, seconds = [], []
    page.locator("[data-keys=ready]").wait_for(state="attached", timeout=WAIT)
    product = shown(page, "")
    began = time.perf_counter()
    for place in range(number):
        products.append(product)
        if place % 5 == 4:
            page.keyboard.press("1")
        pressed = time.perf_counter()
        page.keyboard.press("gsb"[place % 3])
        if place < number - 1:
            product = shown(page, product)
            seconds.append(time.perf_counter() - pressed)
    return Judged(products, seconds, time.perf_counter() - began)


def run(browser: playwright.Browser, home: Path, number: int) -> tuple[Judged, Store]:
    """A centre with more than `number` products, of which so many are judged."""
    settings = Settings(home=home, port=free_port())
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    with store.write() as session:
        # seven tiles, one of them in two versions
        fill(settings, session, dates=number // 7 + 2, size=366)
    with serving(settings) as address:
        watch = Watched(browser, DESKTOP)
        judged = judge(watch.open(f"{address}/quality?reader=anna"), number)
        for _ in range(50):  # the last one is on its way
            with store.read() as session:
                if session.query(Verdict).count() >= number:
                    break
            time.sleep(0.1)
        watch.check()
        watch.context.close()
    with store.read() as session:
        rows = session.query(Verdict).order_by(Verdict.id)
        said = [(v.product.identifier, v.verdict, v.reasons) for v in rows]
    expected = [
        (product, ("good", "suspect", "bad")[i % 3], ["false_cloud"] if i % 5 == 4 else [])
        for i, product in enumerate(judged.products)
    ]
    assert said == expected
    assert len(set(judged.products)) == number
    return judged, store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=60)
    number = parser.parse_args().products
    with tempfile.TemporaryDirectory() as home, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        judged, store = run(browser, Path(home), number)
        store.dispose()
        browser.close()
    median, late = np.percentile(judged.seconds, [50, 95])
    print(f"{number} products judged with {number + number // 5} keys and no mouse in {judged.total:.1f} s")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; from key to next product and picture [s]:")
    for label, value, bar in (("median", median, MEDIAN), ("p95", late, LATE)):
        print(f"{label:8}{value:6.2f}   <= {bar:g}{'' if value <= bar else '  missed'}")
    print(f"{'longest':8}{max(judged.seconds):6.2f}")


if __name__ == "__main__":
    main()
