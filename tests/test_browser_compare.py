"""Compare in a real browser: one extent after every gesture, masks exactly over their pixels, no other host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from playwright import sync_api as playwright

from benchmarks.compare import centre as one_product
from dashboard import tiles
from dashboard.product_folder import find
from processing import explain
from processing.production import series
from processing.settings import Settings
from processing.simulation import simulate
from tests.browser import FLAGS, chromium, free_port
from tests.dashboard_archive import filled, write_raster
from tests.test_browser import DESKTOP, PHONE, WAIT, Watched, picture, serving

pytestmark = pytest.mark.slow

SIZE = 366
LEFT = "SENTINEL2A_20230806-105031-000_L2A_T31TCJ_D_V1-3"
RIGHT = LEFT.replace("V1-3", "V1-4")
CHECKED = "SENTINEL2B_20230811-105031-000_L2A_T31TCJ_D_V1-4"
COMPLETE = "document.documentElement.dataset.complete > 0 && document.documentElement.dataset.missing === '0'"


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    """A centre where one product is a checkerboard: bright exactly where its mask is set."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), port=free_port())
    store = filled(settings, dates=4, size=SIZE)
    store.dispose()
    odd = np.indices((SIZE, SIZE)).sum(axis=0) % 2 == 1
    place = {"west": 300000.0, "north": 4900020.0, "crs": "EPSG:32631"}
    folder = next(settings.archive.glob(f"*/*/{CHECKED}"))
    for ending in tiles.LAYERS["natural"].files:
        path = find(folder, ending)
        assert path is not None
        write_raster(path, np.where(odd, 2500, 0).astype(np.int16), **place)
    path = find(folder, "MASKS/CLM_R1.tif")
    assert path is not None
    write_raster(path, np.where(odd, 32, 0).astype(np.uint8), **place)
    with serving(settings) as address:
        yield address, settings


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield opened
        opened.close()


def shown(watch: Watched, address: str) -> playwright.Page:
    watch.page.goto(address)
    watch.page.wait_for_function(COMPLETE, timeout=WAIT)
    return watch.page


def settled(page: playwright.Page) -> None:
    page.wait_for_timeout(150)
    page.wait_for_function(COMPLETE, timeout=WAIT)


def test_extents_are_equal_after_every_gesture(browser: playwright.Browser, centre: tuple[str, Settings]) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(watch, f"{centre[0]}/compare?left={LEFT}&right={RIGHT}&third={CHECKED}")
    seen = []
    box = page.locator("canvas").nth(1).bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] * 0.31, box["y"] + box["height"] * 0.57

    def drag() -> None:
        page.mouse.down()
        page.mouse.move(middle[0] + 61, middle[1] - 37, steps=3)
        page.mouse.up()

    page.mouse.move(*middle)
    for gesture in (
        lambda: page.mouse.wheel(0, -120),
        drag,
        lambda: page.mouse.wheel(0, -120),
        lambda: page.keyboard.press("ArrowLeft"),
        lambda: page.keyboard.press("+"),
        lambda: page.set_viewport_size({"width": 1200, "height": 800}),
        lambda: page.mouse.wheel(0, 120),
        lambda: page.keyboard.press("0"),
    ):
        gesture()
        settled(page)
        extents = page.evaluate("window.compare.extents()")
        assert len(extents) == 3
        assert extents[0] == extents[1] == extents[2]
        sizes = page.evaluate("[...document.querySelectorAll('canvas')].map((c) => [c.width, c.height])")
        assert sizes[0] == sizes[1] == sizes[2]
        seen.append(tuple(extents[0]))
    assert len(set(seen)) == len(seen)
    watch.check()
    watch.context.close()


def test_scripts_are_asked_for_once_and_by_their_digest(
    browser: playwright.Browser, centre: tuple[str, Settings]
) -> None:
    watch = Watched(browser, DESKTOP)
    asked: list[str] = []
    watch.page.on("request", lambda request: asked.append(request.url) if "/assets/" in request.url else None)
    shown(watch, f"{centre[0]}/compare?left={LEFT}&right={RIGHT}")
    scripts = [url for url in asked if ".js" in url]
    assert len(scripts) == len(set(scripts)) > 10
    assert all("?v=" in url for url in asked)
    watch.check()
    watch.context.close()


def test_wheel_keeps_the_ground_under_the_cursor(browser: playwright.Browser, centre: tuple[str, Settings]) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(watch, f"{centre[0]}/compare?left={LEFT}&right={RIGHT}")
    box = page.locator("canvas").nth(0).bounding_box()
    assert box is not None
    at = round(box["width"] * 0.3), round(box["height"] * 0.6)
    page.mouse.move(box["x"] + at[0], box["y"] + at[1])

    def ground() -> tuple[float, float]:
        west, north, east, south = page.evaluate("window.compare.extents()[0]")
        return west + (east - west) * at[0] / box["width"], north - (north - south) * at[1] / box["height"]

    before = ground()
    for _ in range(3):
        page.mouse.wheel(0, -120)
        settled(page)
        assert ground() == pytest.approx(before, abs=10)
    watch.context.close()


@pytest.mark.parametrize("zoom", [5, 6, 7, 9, 11])
@pytest.mark.parametrize("ratio", [1, 2])
def test_mask_pixel_covers_exactly_its_reflectance_pixel(
    browser: playwright.Browser, centre: tuple[str, Settings], zoom: int, ratio: int
) -> None:
    """Left the bright pixels, right the mask alone: the same screen pixels, each square whole."""
    context = browser.new_context(viewport=DESKTOP, device_scale_factor=ratio)
    page = context.new_page()
    page.goto(
        f"{centre[0]}/compare?left={CHECKED}&right={CHECKED}&left.mask=&right.layer=none&right.mask=CLM&right.bits=255"
        f"&opacity=1&at=301830,4898190,{zoom}"
    )
    page.wait_for_function(COMPLETE, timeout=WAIT)
    bright, covered, extent = page.evaluate(
        """() => [...[...document.querySelectorAll("canvas")].map((canvas, i) => {
             const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
             const bits = []
             for (let row = 0; row < canvas.height; row++) {
               let line = ""
               for (let col = 0; col < canvas.width; col++) {
                 const at = 4 * (row * canvas.width + col)
                 line += i === 0 ? +(data[at] > 127 && data[at + 3] > 0) : +(data[at + 3] > 0)
               }
               bits.push(line)
             }
             return bits
           }), window.compare.extents()[0]]"""
    )
    left, right = (np.array([[*map(int, line)] for line in lines], bool) for lines in (bright, covered))
    np.testing.assert_array_equal(left, right)
    metres = 10 / 2 ** (zoom - 5)
    cols = np.floor((extent[0] - 300000.0 + metres * (np.arange(left.shape[1]) + 0.5)) / 10).astype(int)
    rows = np.floor((4900020.0 - extent[1] + metres * (np.arange(left.shape[0]) + 0.5)) / 10).astype(int)
    inside = ((rows >= 0) & (rows < SIZE))[:, None] & ((cols >= 0) & (cols < SIZE))[None]
    np.testing.assert_array_equal(left, inside & ((rows[:, None] + cols[None]) % 2 == 1))
    context.close()


def test_versions_differences_swipe_blink_and_dates(
    browser: playwright.Browser, centre: tuple[str, Settings], tmp_path: Path
) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(watch, f"{centre[0]}/compare?left={LEFT}&right={LEFT}")
    page.get_by_role("button", name="Two versions").click()
    settled(page)
    assert page.locator("canvas").count() == 3
    assert f"right={RIGHT}" in page.evaluate("(() => new Promise((go) => setTimeout(() => go(location.href), 400)))()")
    picture(page, "compare-versions", tmp_path)
    page.keyboard.press("s")
    settled(page)
    assert page.locator("canvas").count() == 1
    picture(page, "compare-swipe", tmp_path)
    page.keyboard.press("b")
    settled(page)
    page.keyboard.press("d")
    page.get_by_title("Next date").click()
    playwright.expect(page.locator("#today")).to_have_text("2023-08-11")
    settled(page)
    page.reload()
    page.wait_for_function(COMPLETE, timeout=WAIT)
    playwright.expect(page.locator("#today")).to_have_text("2023-08-11")
    assert page.locator("canvas").count() == 3
    watch.check()
    watch.context.close()


def test_each_view_says_what_it_shows(browser: playwright.Browser, centre: tuple[str, Settings]) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(
        watch,
        f"{centre[0]}/compare?left={LEFT}&right={RIGHT}&third={RIGHT}&fourth={RIGHT}&right.mask=CLM&third.layer=aot",
    )
    names = page.locator(".names")
    playwright.expect(names).to_have_text(
        [
            "2023-08-06 V1_3 · Natural colour",
            "2023-08-06 V1_4 · Natural colour · CLM",
            "2023-08-06 V1_4 · Aerosol optical thickness",
            "2023-08-06 V1_4 · Natural colour",
        ]
    )
    page.keyboard.press("s")
    playwright.expect(names.locator("span")).to_have_text(
        ["2023-08-06 V1_3 · Natural colour", "2023-08-06 V1_4 · Natural colour · CLM"]
    )
    page.locator("#auto").uncheck()
    page.keyboard.press("b")
    playwright.expect(names).to_have_text("2023-08-06 V1_3 · Natural colour")
    page.keyboard.press("b")
    playwright.expect(names).to_have_text("2023-08-06 V1_4 · Natural colour · CLM")
    watch.check()
    watch.context.close()


def test_a_view_names_its_bands(browser: playwright.Browser, centre: tuple[str, Settings]) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(
        watch,
        f"{centre[0]}/compare?left={LEFT}&right={RIGHT}&left.layer=band"
        "&right.layer=difference&right.mask=agreement-CLM&band=SRE_B3",
    )
    playwright.expect(page.locator(".names")).to_have_text(
        ["2023-08-06 V1_3 · SRE B3", "2023-08-06 V1_4 · difference SRE B3 · CLM agreed or not"]
    )
    watch.check()
    watch.context.close()


def test_film_of_a_period(browser: playwright.Browser, centre: tuple[str, Settings]) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(watch, f"{centre[0]}/compare?left={LEFT}&right={LEFT}")
    days = page.locator("#strip button").evaluate_all("(bars) => bars.map((bar) => bar.dataset.day)")
    assert len(days) > 3
    page.get_by_label("First date of the film").select_option(days[1])
    page.get_by_label("Last date of the film").select_option(days[2])
    page.wait_for_function("(film) => location.search.includes(film)", arg=f"film={days[1]},{days[2]}", timeout=WAIT)
    page.reload()
    page.wait_for_function(COMPLETE, timeout=WAIT)
    page.evaluate(
        """() => { window.seen = []
             new MutationObserver(() => window.seen.push(document.getElementById("today").textContent))
               .observe(document.getElementById("today"), {childList: true, characterData: true, subtree: true}) }"""
    )
    page.keyboard.press("Space")
    page.wait_for_function("window.seen.length > 4", timeout=WAIT)
    page.keyboard.press("Space")
    assert set(page.evaluate("window.seen")) == {days[1], days[2]}
    watch.check()
    watch.context.close()


def test_a_click_beside_the_tile_is_answered(browser: playwright.Browser, centre: tuple[str, Settings]) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(watch, f"{centre[0]}/compare?left={LEFT}&right={LEFT}&at=290000,4900000,5")
    page.locator("canvas").first.click(position={"x": 20, "y": 20})
    playwright.expect(page.get_by_text("This place lies outside of the tile.")).to_be_visible()
    watch.check()
    watch.context.close()


def test_inspector_says_what_is_under_the_cursor(
    browser: playwright.Browser, centre: tuple[str, Settings], tmp_path: Path
) -> None:
    watch = Watched(browser, DESKTOP)
    page = shown(watch, f"{centre[0]}/compare?left={CHECKED}&right={CHECKED}&at=301835,4898185,9")
    box = page.locator("canvas").nth(0).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    playwright.expect(page.locator("#where")).to_contain_text("EPSG:32631")
    column, row = (int(v) for v in page.locator("#where").inner_text().split("column ")[1].split(", row "))
    words = "Shadow of a cloud in the image" if (column + row) % 2 else "0.0000"
    playwright.expect(page.locator("#pixel")).to_contain_text(words, timeout=WAIT)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    playwright.expect(page.locator("#series")).to_contain_text("All dates of V1_4", timeout=WAIT)
    page.keyboard.press("p")
    for x, y in ((0.2, 0.2), (0.7, 0.3), (0.5, 0.8)):
        page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
    page.keyboard.press("Enter")
    playwright.expect(page.get_by_role("link", name="Statistics as CSV")).to_be_visible(timeout=WAIT)
    picture(page, "compare-inspector", tmp_path)
    # Made-up rasters have no metadata: the page says that their masks can't be explained.
    playwright.expect(page.locator("#explain")).to_contain_text("Not explained", timeout=WAIT)
    watch.failed = [line for line in watch.failed if "/explain/" not in line]
    watch.complaints = [text for text in watch.complaints if "422" not in text]
    watch.check()
    watch.context.close()


def test_a_click_says_why_the_pixel_is_masked(
    browser: playwright.Browser, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """A product of the chain with the state it left: every test with its value, found again from the page."""
    made = tmp_path_factory.mktemp("made")
    (package,) = simulate(
        made / "l1c", tile="31TCJ", dates=1, start=datetime(2024, 6, 1), size=366, truth=False, cloud_cover=(0.2, 0.3)
    )
    (result,) = series.process([package], "V1_4", made / "out", state=made / "state")
    assert result["status"] == "valid", result
    (folder,) = (made / "out").iterdir()
    own, _ = explain.states(folder, made / "state")
    settings, name = one_product(made / "home", folder, own)
    with serving(settings) as address:
        watch = Watched(browser, DESKTOP)
        page = shown(watch, f"{address}/compare?left={name}&right={name}")
        page.locator("canvas").first.click()
        playwright.expect(page.locator("#explain .tests")).to_contain_text("reflectance", timeout=WAIT)
        assert page.locator("#explain .tests tr").count() > 10
        assert page.locator("#explain .refused").count() == 0  # what is found again is what the product has
        picture(page, "compare-explained", tmp_path)
        watch.check()
        watch.context.close()


def test_two_fingers_zoom(browser: playwright.Browser, centre: tuple[str, Settings]) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{centre[0]}/compare?left={LEFT}&right={RIGHT}")
    page.wait_for_function(COMPLETE, timeout=WAIT)
    heights = [canvas.bounding_box()["height"] for canvas in page.locator("canvas").all()]  # type: ignore[index]
    assert sum(heights) < PHONE["height"]  # something beside them scrolls the page
    page.locator("canvas").first.evaluate("(canvas) => canvas.scrollIntoView()")
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    driver = context.new_cdp_session(page)

    def touch(kind: str, *apart: float) -> None:
        points = [{"x": x + at, "y": y, "id": number} for number, at in enumerate(apart)]
        driver.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    level = page.evaluate("window.compare.state.z")
    middle = page.evaluate("[window.compare.state.cx, window.compare.state.cy]")
    touch("touchStart", -30)
    touch("touchStart", -30, 30)
    for half in (40, 60, 90, 120):
        touch("touchMove", -half, half)
    touch("touchEnd")
    settled(page)
    assert page.evaluate("window.compare.state.z") == level + 2  # four times as far apart
    assert page.evaluate("[window.compare.state.cx, window.compare.state.cy]") == pytest.approx(middle, abs=10)
    extents = page.evaluate("window.compare.extents()")
    assert extents[0] == extents[1]
    assert page.locator("#series").inner_text() == ""  # two fingers are no click
    page.get_by_title("Zoom out").click()
    assert page.evaluate("window.compare.state.z") == level + 1
    page.get_by_title("The whole tile").click()
    assert page.evaluate("window.compare.state.z") == level
    context.close()


def test_phone_and_damaged_product(browser: playwright.Browser, centre: tuple[str, Settings], tmp_path: Path) -> None:
    watch = Watched(browser, PHONE)
    page = shown(watch, f"{centre[0]}/compare?left={LEFT}&right={RIGHT}")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    picture(page, "compare-phone", tmp_path)
    watch.check()
    watch.context.close()
    damaged = "SENTINEL2B_20230801-105031-000_L2A_T31TCJ_D_V1-3"
    path = find(next(centre[1].archive.glob(f"*/*/{damaged}")), "SRE_B4.tif")
    assert path is not None
    path.write_bytes(path.read_bytes()[:5000])
    watch = Watched(browser, DESKTOP)
    page = shown(watch, f"{centre[0]}/compare?left={damaged}&right={RIGHT}")
    playwright.expect(page.locator(".fault").first).to_contain_text("SRE_B4.tif", timeout=WAIT)
    watch.context.close()
