"""What axe-core finds on all pages, in light and in dark: violations by page and rule; the bar is none.

python -m benchmarks.axe [--pages production,quality]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

from dashboard.languages import LANGUAGES
from processing.settings import Settings
from processing.store import Store, validations
from tests.browser import FLAGS, chromium, free_port
from tests.dashboard_archive import fill
from tests.people import cookie
from tests.test_browser import serving
from tests.test_dashboard_validation import results

#: Of each language.
PUBLIC = ("", "sites", "tiles/31TCJ", "tiles/31TCJ/2023-08-01", "why?place=Muret", "news", "help", "help/masks")
PAGES = (
    *("production", "failures", "coverage", "versions", "browse", "products", "compare", "quality", "validation"),
    *("workbench", "en/nothing"),
    *(f"{language}/{page}" for language in LANGUAGES for page in (*PUBLIC, "sign-in", "account")),
)
#: The rules of WCAG 2.2 up to AA, and what axe holds to be good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WAIT = 60_000


def violations(browser: playwright.Browser, address: str, given: dict[str, str], page: str, scheme: str) -> list[str]:
    """Of one page: rule, how often, and where first."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    context.add_cookies([{**given, "url": address}])  # type: ignore[typeddict-item]
    opened = context.new_page()
    opened.goto(f"{address}/{page}")
    if "/" not in page:
        opened.wait_for_selector("[data-snapshot], main, body > header", timeout=WAIT)
        opened.wait_for_timeout(3000)
    found = Axe().run(opened, options={"runOnly": {"type": "tag", "values": RULES}}).response["violations"]
    context.close()
    return [
        f"{one['id']} ({one['impact']}) x {len(one['nodes'])}: {one['nodes'][0]['html'][:160]} "
        f"@ {one['nodes'][0]['target']}"
        for one in found
    ]


def run(
    home: Path, browser: playwright.Browser, pages: Sequence[str] = PAGES, schemes: Sequence[str] = ("light", "dark")
) -> dict[str, list[str]]:
    """Violations of each page and scheme, over a small archive."""
    settings = Settings(home=home, port=free_port())
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    with store.write() as session:
        fill(settings, session, size=366)
        validations.record(session, results(session))
    given = cookie(settings, store)
    store.dispose()
    with serving(settings) as address:
        return {
            f"{page} {scheme}": violations(browser, address, given, page, scheme)
            for page in pages
            for scheme in schemes
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", default=",".join(PAGES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        found = run(Path(folder) / "home", browser, options.pages.split(","))
        browser.close()
    for page, said in found.items():
        print(f"{page}: {len(said)} violations")
        for line in said:
            print(f"  {line}")
    print(f"{sum(map(len, found.values()))} violations on {len(found)} pages and themes")


if __name__ == "__main__":
    main()
