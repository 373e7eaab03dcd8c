"""What axe-core finds on the plain pages, and what they weigh: `python -m benchmarks.public_pages [ADDRESS...]`.

Serves a new home in which there is some news, signs in, opens each address in the three languages at 390 px, and prints
the violations of axe-core, the bytes of all answers as sent, requests to other hosts, and whether the page is wider
than the window. Addresses are given without a language: ``news``, ``help/masks``; all plain pages without one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

from benchmarks.pages import serving
from dashboard.languages import LANGUAGES
from dashboard.public.help import PAGES
from processing.people import Role
from processing.settings import Settings
from processing.sites import sites as known
from processing.store import Store, bulletins, sites
from processing.store.bulletins import Draft
from tests.browser import FLAGS, chromium, free_port
from tests.people import OPERATOR, cookie

ADDRESSES = (
    "",
    "news",
    "news/edit",
    "news/edit/new",
    "help",
    *(f"help/{page}" for page in PAGES),
    "sign-in",
    "account",
)
TEXT = {
    "fr": {"title": "Disque plein", "text": "# Titre\n\n- un\n- deux\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n    code"}
}


def tell(store: Store) -> None:
    """Something of each kind, in one language."""
    now = datetime.now(UTC)
    with store.write() as session:
        sites.register_sites(session, known())
        for kind in ("news", "incident", "maintenance"):
            draft = Draft(kind, "major", now - timedelta(hours=1), now + timedelta(hours=5), (), TEXT)
            bulletins.publish(session, OPERATOR, bulletins.keep(session, OPERATOR, draft).id)


def look(browser: playwright.Browser, signed: dict[str, str], base: str, address: str) -> int:
    """Print what is wrong with a page, opened by a browser that has nothing yet; how many rules it breaks."""
    context = browser.new_context(viewport={"width": 390, "height": 2000}, reduced_motion="reduce")
    context.add_cookies([{**signed, "url": base}])
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    sent: list[float] = []
    wire.on("Network.loadingFinished", lambda told: sent.append(told["encodedDataLength"]))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{base}/{address}", wait_until="networkidle")
    weight, elsewhere = sum(sent), [url for url in asked if not url.startswith((base, "data:"))]
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    found = Axe().run(page).response["violations"]
    print(f"{address:28} {len(found):10} {weight / 1000:8.1f} {len(elsewhere):6}  {'wide' if wide else ''}", flush=True)
    for one in found:
        print(f"    {one['id']}: {one['help']}: {one['nodes'][0]['html'][:100]}")
    context.close()
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="*", default=ADDRESSES)
    addresses = parser.parse_args().address
    with tempfile.TemporaryDirectory() as home, playwright.sync_playwright() as driver:
        settings = Settings(home=Path(home), demonstration=False, port=free_port())
        settings.make_folders()
        store = Store(settings.url)
        store.upgrade()
        tell(store)
        with serving(settings) as (base, _):
            browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
            signed = cookie(settings, store, "ada", Role.ADMIN)
            print(f"{'page':28} {'violations':>10} {'kB':>8} {'others':>6}")
            broken = sum(look(browser, signed, base, f"{code}/{one}") for one in addresses for code in LANGUAGES)
            browser.close()
        store.dispose()
    print(f"{broken} violations")
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
