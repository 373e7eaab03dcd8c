"""The dashboard in a real browser: content, no other host, no error, linked views, phone width, live refresh.

Screenshots go to the folder `MUSCATE_SCREENSHOTS`, or to the test's own.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from playwright import sync_api as playwright

from processing.settings import Settings
from processing.store import Store, validations
from processing.store.models import Event, Job, Product, ReferenceMask
from tests.browser import answers, free_port
from tests.dashboard_archive import fill
from tests.people import cookie
from tests.test_dashboard_validation import results

pytestmark = pytest.mark.slow

PAGES = ("production", "coverage", "versions", "browse", "products", "quality", "validation", "workbench")
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
#: Warnings of the browser about its own drawing.
HARMLESS = re.compile(r"GL Driver")
#: Bokeh's own complaint about a message that comes in while the page is being closed.
GONE = re.compile(
    r"Traceback \(most recent call last\):\n(?:(?!Traceback).*\n)*?"
    r" *assert self\._session is not None\n(?:[ ^]*\n)?AssertionError"
)
WAIT = 60_000
#: Of each web's address the cookie of an admin, anna, who has signed in there.
SIGNED: dict[str, dict[str, str]] = {}


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The web in a process of its own; gives its address."""
    code = "from processing.settings import Settings; from dashboard.app import serve; serve(Settings())"
    environment = {**os.environ, "MUSCATE_HOME": str(settings.home), "MUSCATE_PORT": str(settings.port)}
    log = settings.home / "web.log"
    with log.open("w") as stream:
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=stream, stderr=stream)
    address = f"http://localhost:{settings.port}"
    try:
        for _ in range(240):
            if process.poll() is not None:
                pytest.fail(f"the web ended: {log.read_text()}")
            if answers(settings.port):
                break
            time.sleep(0.5)
        store = Store(settings.url)
        SIGNED[address] = cookie(settings, store)
        store.dispose()
        yield address
        faults = GONE.sub("", log.read_text())
        assert "Traceback" not in faults, faults
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """A centre with six sites, on a free port."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), port=free_port())
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    with store.write() as session:
        fill(settings, session, size=366)
        validations.record(session, results(session))
    with serving(settings) as address:
        yield address, store
    store.dispose()


class Watched:
    """A page whose requests and console are kept."""

    def __init__(self, browser: playwright.Browser, size: dict[str, int], dark: bool = False) -> None:
        self.context = browser.new_context(viewport=size)
        self.page = self.context.new_page()
        self.hosts: set[str] = set()
        self.failed: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname or ""))
        self.page.on("response", lambda r: self.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, address: str) -> playwright.Page:
        here = urlparse(address)
        self.context.add_cookies([{**SIGNED[f"{here.scheme}://{here.netloc}"], "url": address}])
        self.page.goto(address)
        self.page.wait_for_selector("[data-snapshot]", timeout=WAIT)
        return self.page

    def check(self) -> None:
        assert self.hosts <= {"localhost", ""}, f"asked other hosts: {self.hosts}"
        assert not self.failed
        assert not [text for text in self.complaints if not HARMLESS.search(text)]


@contextmanager
def watched(browser: playwright.Browser, size: dict[str, int] = DESKTOP) -> Iterator[Watched]:
    page = Watched(browser, size)
    yield page
    page.check()
    page.context.close()


def picture(page: playwright.Page, name: str, folder: Path) -> None:
    folder = Path(os.environ.get("MUSCATE_SCREENSHOTS", folder))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


#: Of each Bokeh figure on the page with tiles: extents and size in pixels.
FIGURES = """() => {
  const figures = []
  for (const doc of Bokeh.documents) for (const model of doc._all_models.values())
    if (model.type === "Figure" && model.renderers.some((r) => r.type === "TileRenderer"))
      figures.push([model.x_range.start, model.x_range.end, model.y_range.start, model.y_range.end,
                    model.inner_width, model.inner_height])
  return figures
}"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "production",
            (
                "Products per day",
                "Outcomes per day",
                "What waits, and why",
                "Delays by stage",
                "Backlog",
                "Last events",
                "UTC",
            ),
        ),
        ("coverage", ("Zoom to site", "31TCJ", "Not valid (too cloudy)", "No date yet", "Latest date")),
        (
            "versions",
            ("Progress of the versions", "Toulouse", "Known defect", "Mixed versions", "retired, not produced"),
        ),
        ("quality", ("36 in the queue", "Good · g", "False cloud · 1", "Stands out", "Shadow of a cloud in the image")),
        (
            "validation",
            ("Side by side", "all masks grown to the same 240 m", "B2/B4", "B1/B4", "Version against version"),
        ),
        ("browse", ("31 products", "Permalink of this search", "GET /stac/search", "30PVT in 2023", "download")),
        ("products", ("36 of 36 products", "next date", "Shadow of a cloud in the image", "reflectance 0 to 0.25")),
    ],
)
def test_page_shows_its_content(
    browser: playwright.Browser, centre: tuple[str, Store], tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/{name}")
        for text in (*words, "All products shown here come from the simulation"):
            playwright.expect(page.get_by_text(text).first).to_be_visible(timeout=WAIT)
        assert page.locator("canvas").count() > 0 or name in ("production", "versions", "products", "validation")
        page.wait_for_timeout(1500)
        picture(page, name, tmp_path)
        page.get_by_role("button", name="theme").click()
        page.wait_for_timeout(1000)
        picture(page, f"{name}-dark", tmp_path)


#: What reaches beyond the page's right edge and can't be scrolled to, the inside of components too.
BEYOND = """() => {
  const found = [], width = document.documentElement.clientWidth
  const visit = (root) => {
    for (const element of root.children) {
      const style = getComputedStyle(element), box = element.getBoundingClientRect()
      if (style.display === "none" || style.visibility === "hidden") continue
      if (/\\bbk-Figure\\b/.test(element.className) || element.tagName === "svg" || element.tagName === "IMG") {
        if (box.right > width + 1) found.push(`${element.tagName} ${element.className?.baseVal ?? element.className}`)
        continue
      }
      // The frame of the page scrolls too: only what is lower than it is a piece that scrolls by itself.
      if (["auto", "scroll"].includes(style.overflowX) && element.clientHeight < 0.7 * innerHeight) continue
      if (element.classList.contains("scroll") && style.overflowX === "auto") continue  // a long table
      const seen = box.width > 0 && box.height > 0
      if (element.classList.contains("look")) {  // the tiles of an image end where its window does
        if (box.right > width + 1) found.push(element.className)
        continue
      }
      if (seen && box.right > width + 1) found.push(`${element.tagName} ${element.className}`)
      if (element.shadowRoot) visit(element.shadowRoot)
      visit(element)
    }
  }
  visit(document.body)
  return found
}"""


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(browser: playwright.Browser, centre: tuple[str, Store], tmp_path: Path, name: str) -> None:
    with watched(browser, PHONE) as watch:
        page = watch.open(f"{centre[0]}/{name}")
        page.wait_for_timeout(1000)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        wide = page.evaluate(
            # what is turned inside a drawing has no width of its own; whether it stands out, `BEYOND` tells
            """() => [...document.querySelectorAll("main :not(svg *)")].filter((e) => e.scrollWidth > e.clientWidth + 1
                 && getComputedStyle(e).overflowX === "visible" && e.clientWidth > 0).map((e) => e.className)"""
        )
        assert not wide
        assert not page.evaluate(BEYOND)
        for title in ("Production", "Coverage", "Versions", "Browse", "Products", "Quality", "Validation"):
            link = page.get_by_role("link", name=title, exact=True).first
            link.scroll_into_view_if_needed()  # Panel's pages have them in a strip that a finger moves
            box = link.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE["width"]
        picture(page, f"{name}-phone", tmp_path)


#: Of what has the focus, its place in the page, that of components within too; empty for the page itself.
FOCUS = """() => {
  let element = document.activeElement
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement
  if (!element || element === document.body || element === document.documentElement) return ""
  const place = []
  for (let node = element; node; node = node.parentNode ?? node.host)
    place.push(node.parentNode ? [...node.parentNode.children].indexOf(node) : "in")
  return place.join()
}"""


@pytest.mark.parametrize("name", ["products", "quality"])
def test_the_tab_key_leads_through_the_page_and_out(
    browser: playwright.Browser, centre: tuple[str, Store], name: str
) -> None:
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/{name}")
        if name == "quality":
            page.wait_for_function(f"({FIGURES})().length === 2 && ({FIGURES})()[0][4] > 0", timeout=WAIT)
        else:
            page.wait_for_load_state("networkidle")  # its script and its images are there
        seen: list[str] = []
        for _ in range(300):
            page.keyboard.press("Tab")
            where = page.evaluate(FOCUS)
            if not where or where in seen[:1]:
                break
            assert where not in seen, "the focus goes in circles"
            seen.append(where)
        else:
            pytest.fail("the focus stays in the page")
        assert len(seen) > 20


def test_production_leads_to_the_versions(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/production")
        page.get_by_role("link", name="Versions", exact=True).click()
        page.wait_for_selector("text=Progress of the versions", timeout=WAIT)


def test_both_views_keep_one_extent(browser: playwright.Browser, centre: tuple[str, Store], tmp_path: Path) -> None:
    """After a zoom by wheel and a drag, ranges and scales of left and right agree, and the pixels lie on each other."""
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/quality")
        page.wait_for_function(f"({FIGURES})().length === 2 && ({FIGURES})()[0][4] > 0", timeout=WAIT)
        page.wait_for_timeout(1500)
        before = page.evaluate(FIGURES)
        canvas = page.locator(".bk-Canvas, .bk-canvas-events").nth(0)
        box = canvas.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
        for _ in range(4):
            page.mouse.wheel(0, -240)
            page.wait_for_timeout(250)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.6, steps=4)
        page.mouse.up()
        page.wait_for_timeout(1500)
        left, right = page.evaluate(FIGURES)
        assert left == right
        assert left[:4] != before[0][:4]
        assert left[1] - left[0] < before[0][1] - before[0][0]
        scale = (left[1] - left[0]) / left[4], (left[3] - left[2]) / left[5]
        assert scale[0] == pytest.approx(scale[1], rel=0.01)
        picture(page, "quality-zoomed", tmp_path)


def test_mask_covers_the_clouds_on_the_screen(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    """The archive's clouds are white and all in the mask: what is white on the left is coloured on the right."""
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/products")
        figures = page.locator(".look")
        for _ in range(30):
            page.wait_for_timeout(1000)
            shots = [figures.nth(side).screenshot() for side in (0, 1)]
            left, right = (np.asarray(Image.open(io.BytesIO(s)).convert("RGB"), int)[2:-2, 2:-2] for s in shots)
            height, width = min(left.shape[0], right.shape[0]), min(left.shape[1], right.shape[1])
            # A strip at the left was not observed, and shows the page, which is white as well.
            left, right = (image[:height, width // 20 : width] for image in (left, right))
            white = (left > 250).all(axis=2)
            coloured = np.abs(left - right).sum(axis=2) > 30
            if coloured.sum() > 100 and (white & coloured).sum() > 0.99 * white.sum():
                break
        assert 100 < coloured.sum() < 0.5 * coloured.size
        # The images of the two tiles are drawn alike; a pixel of the border may differ by its smoothing.
        assert (white & coloured).sum() > 0.99 * white.sum()


def test_chosen_product_is_in_the_address(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    address, store = centre
    with store.read() as session:
        series = session.scalars(
            sa.select(Product.identifier)
            .where(Product.tile == "31TCJ", Product.version == "V1_4")
            .order_by(Product.sensing)
        ).all()
    with watched(browser) as watch:
        page = watch.open(f"{address}/products?product={series[0]}")
        head = page.locator("[data-part=head]")
        playwright.expect(head).to_contain_text(series[0])
        page.get_by_role("link", name="next date").click()
        playwright.expect(head).to_contain_text(series[1], timeout=WAIT)
        assert series[1] in page.url
        other = page.locator("a[data-product]").nth(4)
        name = other.get_attribute("data-product")
        other.click()
        playwright.expect(head).to_contain_text(str(name), timeout=WAIT)
        assert str(name) in page.url
        page.go_back()
        playwright.expect(head).to_contain_text(series[1], timeout=WAIT)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_product_is_found_looked_at_and_opened_where_it_was_clicked(
    browser: playwright.Browser, centre: tuple[str, Store], size: dict[str, int], tmp_path: Path
) -> None:
    """By filters, the list, the choices of the images; each in the address, without the page being loaded anew."""
    with watched(browser, size) as watch:
        page = watch.open(f"{centre[0]}/products")
        page.evaluate("window.same = true")
        page.get_by_label("Tile", exact=True).fill("31TCJ")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("[data-part=list]")).not_to_contain_text("36 of 36", timeout=WAIT)
        page.locator("a[data-product]").nth(2).click()
        page.wait_for_function("/tile=31TCJ.*product=|product=.*tile=31TCJ/.test(location.search)", timeout=WAIT)
        playwright.expect(page.locator("[data-asked]")).to_be_in_viewport(timeout=WAIT)
        shadows = page.get_by_role("button", name="Shadow of a cloud in the image")
        shadows.click()
        playwright.expect(shadows).to_have_attribute("aria-pressed", "false", timeout=WAIT)
        playwright.expect(shadows).to_be_focused(timeout=WAIT)
        page.get_by_label("Mask opacity").fill("0.9")
        page.wait_for_function("location.search.includes('opacity=0.9')", timeout=WAIT)
        page.wait_for_selector("main:not([aria-busy])", timeout=WAIT)
        assert page.evaluate("getComputedStyle(document.querySelector('.look .mask')).opacity") == "0.9"
        page.get_by_label("Left: image").select_option("false")
        playwright.expect(page.locator(".look").first).to_have_attribute(
            "aria-label", re.compile("Infrared"), timeout=WAIT
        )
        assert page.evaluate("window.same")
        picture(page, f"products-chosen-{size['width']}", tmp_path)
        look = page.locator(".look").first
        west, north, width, height = map(float, str(look.get_attribute("data-ground")).split(","))
        box = look.bounding_box()
        assert box is not None
        look.click(position={"x": 0.75 * box["width"], "y": 0.25 * box["height"]})
        page.wait_for_function("window.compare?.complete > 0", timeout=WAIT)
        left, top, right, bottom = page.evaluate("window.compare.extents()")[0]
        middle = west + 0.75 * width, north - 0.25 * height
        assert [(left + right) / 2, (top + bottom) / 2] == pytest.approx(middle, abs=25)
        page.wait_for_function("location.search.includes('left.layer=false')", timeout=WAIT)
        assert "right.mask=CLM" in page.url


def test_search_is_in_the_address_and_the_query(
    browser: playwright.Browser, centre: tuple[str, Store], tmp_path: Path
) -> None:
    """What is typed is in the address, the address opened anew and the STAC query shown find the same."""
    address, _ = centre
    with watched(browser) as watch:
        page = watch.open(f"{address}/browse")
        cards = page.locator("[data-product]")
        playwright.expect(cards).to_have_count(24, timeout=WAIT)
        page.get_by_label("Words").fill("réunion 2023-08 S2A")
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_text(re.compile(r"^\d products?$"))).to_be_visible(timeout=WAIT)
        names = [card.get_attribute("data-product") for card in cards.all()]
        assert names
        assert all("SENTINEL2A" in name and "T40KCB" in name for name in names)
        page.wait_for_function("location.search.includes('words=')", timeout=WAIT)
        picture(page, "browse-found", tmp_path)
        query = page.locator("a:has(code)").get_attribute("href")
        again = watch.open(page.url)
        playwright.expect(again.locator("[data-product]")).to_have_count(len(names), timeout=WAIT)
        with urllib.request.urlopen(f"{address}{urllib.parse.quote(query, safe='/?=&%')}") as answer:
            assert [item["id"] for item in json.load(answer)["features"]] == names


def test_pages_follow_the_store(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    """What happens in the store is on the open page within some seconds, without a reload."""
    address, store = centre
    with watched(browser) as watch:
        page = watch.open(f"{address}/production")
        version = page.locator("[data-snapshot]").first.get_attribute("data-snapshot")
        with store.write() as session:
            session.add(
                Event(
                    time=datetime.now(UTC),
                    kind="refused",
                    severity="warning",
                    data={"l1c": "S2A_BROKEN.SAFE", "reason": "no product XML"},
                )
            )
        playwright.expect(page.get_by_text("S2A_BROKEN.SAFE").first).to_be_visible(timeout=30_000)
        assert page.locator("[data-snapshot]").first.get_attribute("data-snapshot") != version


def test_map_zooms_to_a_site_and_follows_states(
    browser: playwright.Browser, centre: tuple[str, Store], tmp_path: Path
) -> None:
    address, store = centre
    with watched(browser) as watch:
        page = watch.open(f"{address}/coverage")
        page.wait_for_selector("#map[data-ready]", timeout=WAIT)
        page.get_by_label("Zoom to site").select_option("Réunion")
        rows = page.locator("#table tbody tr")
        playwright.expect(rows).to_have_count(1, timeout=WAIT)
        page.wait_for_timeout(1000)
        picture(page, "coverage-site", tmp_path)
        drawings = page.locator("#map").get_attribute("data-drawings")
        with store.write() as session:
            job = session.scalars(sa.select(Job).where(Job.state == "ready")).one()
            job.state = "held"
        playwright.expect(page.get_by_text("Held (1)")).to_be_visible(timeout=30_000)
        # That tile alone is drawn anew: all the others stay as they are.
        assert page.locator("#map").get_attribute("data-drawings") == drawings
        assert page.evaluate("performance.getEntriesByName('patch').length") > 0


def test_every_choice_of_coverage_is_in_the_address(
    browser: playwright.Browser, centre: tuple[str, Store], tmp_path: Path
) -> None:
    """What is chosen by mouse or keyboard is in the address, and the address opened anew shows the same."""
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/coverage")
        page.wait_for_selector("#map[data-ready]", timeout=WAIT)
        page.locator("#colour").select_option("clear")
        page.locator("#site").select_option("Toulouse")
        page.locator("#version").select_option("V1_4")
        page.locator("#span").select_option("3")
        page.locator("#find").fill("31TCJ")
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_text("31TCJ in 2023")).to_be_visible(timeout=WAIT)
        page.wait_for_function("location.search.includes('until=')", timeout=WAIT)
        asked = urllib.parse.parse_qs(urlparse(page.url).query)
        assert {name: asked[name] for name in ("colour", "site", "version", "span", "tile")} == {
            **{"colour": ["clear"], "site": ["Toulouse"], "version": ["V1_4"], "span": ["3"], "tile": ["31TCJ"]}
        }
        legend = page.locator("#legend").inner_text()
        assert "% clear" in legend
        picture(page, "coverage-clear", tmp_path)
        page = watch.open(page.url)
        page.wait_for_selector("#map[data-ready]", timeout=WAIT)
        assert page.locator("#legend").inner_text() == legend
        assert page.locator("#table tbody tr").count() == 2
        playwright.expect(page.get_by_text("31TCJ in 2023")).to_be_visible(timeout=WAIT)


def test_coverage_gives_the_map_as_a_picture(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/coverage")
        page.wait_for_selector("#map[data-ready]", timeout=WAIT)
        page.wait_for_timeout(500)
        with page.expect_download() as waiting:
            page.get_by_role("button", name="PNG").click()
        image = np.asarray(Image.open(waiting.value.path()).convert("RGB"), int)
        green = np.abs(image - (0x00, 0x9E, 0x73)).sum(axis=2) < 60
        assert green.sum() > 100  # tiles whose latest date is published, and their swatch
        assert image.shape[0] > page.locator("#map").bounding_box()["height"]


def test_matrix_and_map_are_used_by_keyboard(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/coverage")
        page.wait_for_selector("#matrix[data-rows='7']", timeout=WAIT)
        page.locator("#matrix").focus()
        page.keyboard.press("ArrowDown")
        said = page.locator("#cell")
        playwright.expect(said).to_contain_text("dates ended", timeout=WAIT)
        tile = said.inner_text()[:5]
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_text(f"{tile} in 2023")).to_be_visible(timeout=WAIT)
        page.locator("#map").focus()
        before = page.locator("#map").get_attribute("data-drawings")
        page.keyboard.press("+")
        page.wait_for_function(
            "(before) => document.getElementById('map').dataset.drawings !== before", arg=before, timeout=WAIT
        )


def test_click_on_a_bar_opens_the_image(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    with watched(browser, {"width": 1440, "height": 1800}) as watch:
        page = watch.open(f"{centre[0]}/validation")
        bar = page.locator(".groups a").first
        where = str(bar.get_attribute("href"))
        bar.click()
        page.wait_for_url(f"**{where}", timeout=WAIT, wait_until="commit")
        playwright.expect(page.get_by_label("Product of view left")).to_have_value(
            where.split("left=")[1].split("&")[0], timeout=WAIT
        )


@pytest.mark.parametrize("name", PAGES)
def test_empty_store_says_what_to_do(
    browser: playwright.Browser, empty: tuple[str, Settings], tmp_path: Path, name: str
) -> None:
    address, settings = empty
    with watched(browser) as watch:
        page = watch.open(f"{address}/{name}")
        what = "muscate validate clouds" if name == "validation" else str(settings.inbox.resolve())
        playwright.expect(page.get_by_text(what)).to_be_visible(timeout=WAIT)
        picture(page, f"{name}-empty", tmp_path)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    """A centre where nothing has arrived."""
    settings = Settings(home=tmp_path_factory.mktemp("empty"), port=free_port())
    settings.make_folders()
    with serving(settings) as address:
        yield address, settings


def test_products_are_judged_by_single_keys_without_a_mouse(browser: playwright.Browser, tmp_path: Path) -> None:
    """Each key keeps a verdict of the product that is shown and leads to the next one with its picture."""
    from benchmarks import quality_keys

    judged, store = quality_keys.run(browser, tmp_path / "home", 6)
    store.dispose()
    assert len(judged.seconds) == 5


def test_keys_work_after_a_choice_was_made(browser: playwright.Browser, centre: tuple[str, Store]) -> None:
    """A choice keeps the focus after it was made; the next key is meant for the page."""
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/quality?reader=dora")
        page.locator("[data-keys=ready]").wait_for(state="attached", timeout=WAIT)
        product = page.locator("[data-product]").get_attribute("data-product")
        choice = page.get_by_label("Lasso and box draw")
        choice.select_option("shadows of a mask")
        choice.focus()
        page.keyboard.press("n")
        page.wait_for_function(
            "(product) => !location.search.includes(product) && location.search.includes('product=')",
            arg=product,
            timeout=WAIT,
        )


def test_images_of_a_phone_come_before_what_is_rarely_used(
    browser: playwright.Browser, centre: tuple[str, Store]
) -> None:
    with watched(browser, PHONE) as watch:
        page = watch.open(f"{centre[0]}/quality?reader=anna")
        image = page.locator(".bk-Figure").first.bounding_box()
        comment = page.get_by_placeholder("Comment").bounding_box()
        good = page.get_by_role("button", name="Good").bounding_box()
        assert good is not None
        assert image is not None
        assert comment is not None
        assert good["y"] < image["y"] < PHONE["height"] - 200
        assert comment["y"] > image["y"] + image["height"]


def test_an_open_page_is_patient_with_a_web_that_is_down(
    browser: playwright.Browser, centre: tuple[str, Store]
) -> None:
    """Bokeh by itself asks for a tile that failed again every millisecond; when the web is back the tiles come."""
    watch = Watched(browser, DESKTOP)
    asked: list[str] = []
    begun: list[float] = []

    def note(request: playwright.Request) -> None:
        if "/tiles/" in request.url:
            begun.append(time.monotonic())
            asked.append(request.url)

    watch.page.on("request", note)
    watch.page.route("**/tiles/**", lambda route: route.abort())
    page = watch.open(f"{centre[0]}/quality")
    page.wait_for_function(f"({FIGURES})().length === 2 && ({FIGURES})()[0][4] > 0", timeout=WAIT)
    page.wait_for_timeout(5000)
    assert asked
    # After 1, 3, 7, 15 s, a slow machine sees more of them; for both views, where they show the same image.
    assert max(asked.count(url) for url in asked) <= 2 * (1 + math.log2(1 + time.monotonic() - begun[0]))
    page.unroute("**/tiles/**")
    page.wait_for_function(TILES_THERE, timeout=WAIT)
    watch.context.close()


#: Whether all tiles that Bokeh wants are there.
TILES_THERE = """() => {
  const tiles = Bokeh.documents.flatMap((document) => [...document._all_models.values()])
    .filter((model) => model.type === "WMTSTileSource").flatMap((model) => [...model.tiles.values()])
  return tiles.length > 0 && tiles.every((tile) => tile.loaded)
}"""


def test_a_key_opens_the_product_in_compare_where_it_was_looked_at(
    browser: playwright.Browser, centre: tuple[str, Store]
) -> None:
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/quality?reader=anna")
        page.locator("[data-keys=ready]").wait_for(state="attached", timeout=WAIT)
        page.wait_for_function(f"({FIGURES})().length === 2 && ({FIGURES})()[0][1] > 1000", timeout=WAIT)
        product = page.locator("[data-product]").get_attribute("data-product")
        west, east, south, north = page.evaluate(FIGURES)[0][:4]
        with page.context.expect_page() as opened:
            page.keyboard.press("c")
        other = opened.value
        other.wait_for_function("window.compare?.complete > 0", timeout=WAIT)
        assert f"left={product}" in other.url
        left, top, right, bottom = other.evaluate("window.compare.extents()")[0]
        assert [(left + right) / 2, (top + bottom) / 2] == pytest.approx(
            [(west + east) / 2, (south + north) / 2], abs=20
        )


def test_a_mask_is_drawn_with_the_mouse_and_kept(
    browser: playwright.Browser, centre: tuple[str, Store], tmp_path: Path
) -> None:
    """A box drawn over the left view lies where it was drawn, and `r` keeps its pixels as clouds."""
    address, store = centre
    with watched(browser) as watch:
        page = watch.open(f"{address}/quality?reader=anna")
        page.wait_for_function(f"({FIGURES})().length === 2 && ({FIGURES})()[0][4] > 0", timeout=WAIT)
        playwright.expect(page.get_by_label("Reader")).to_be_visible(timeout=WAIT)
        page.get_by_label("Lasso and box draw").select_option("clouds of a mask")
        page.locator(".bk-tool-icon-box-select").first.click()
        box = page.locator(".bk-Canvas, .bk-canvas-events").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
        page.mouse.up()
        page.wait_for_timeout(1000)
        picture(page, "quality-drawn", tmp_path)
        page.keyboard.press("r")
        playwright.expect(page.get_by_text(re.compile("Kept as the reference mask of"))).to_be_visible(timeout=WAIT)
        product = page.locator("[data-product]").first.get_attribute("data-product")
    with store.read() as session:
        kept = session.scalars(sa.select(ReferenceMask)).one()
        assert kept.origin == "drawn"
        assert str(product).startswith(kept.image)
        assert kept.pixels["cloud"] > 100


def test_a_mask_is_imported_from_a_file_and_the_theme_goes_along(
    browser: playwright.Browser, centre: tuple[str, Store]
) -> None:
    """The file goes through the page's socket; light or dark, chosen on a page of Panel's, is kept for the others."""
    corners = [[300_100, 4_899_000], [300_400, 4_899_000], [300_400, 4_899_300], [300_100, 4_899_000]]
    shape = {"type": "Polygon", "coordinates": [corners]}
    feature = {"type": "Feature", "properties": {"class": "cloud"}, "geometry": shape}
    crs = {"type": "name", "properties": {"name": "EPSG:32631"}}
    made = json.dumps({"type": "FeatureCollection", "features": [feature], "crs": crs}).encode()
    with watched(browser) as watch:
        page = watch.open(f"{centre[0]}/quality?tile=31TCJ")
        page.get_by_role("button", name="Import a mask").click(timeout=WAIT)
        file = {"name": "hand.geojson", "mimeType": "application/json", "buffer": made}
        page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Import", exact=True).click()
        playwright.expect(page.get_by_text(re.compile("Kept as the reference mask of"))).to_be_visible(timeout=WAIT)
        page.get_by_label("Mask opacity").fill("0.2")
        page.wait_for_function(
            "Bokeh.documents.some((d) => [...d._all_models.values()].some((m) => m.alpha === 0.2))", timeout=WAIT
        )
        page.get_by_role("button", name="theme").click()
        watch.open(f"{centre[0]}/products")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    with centre[1].write() as session:
        session.execute(sa.delete(ReferenceMask).where(ReferenceMask.origin == "hand.geojson"))
