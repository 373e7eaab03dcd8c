"""The status pages as Chromium shows them: readable for all, on a telephone too, and alone with their own host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

from benchmarks import why_missing
from dashboard import languages
from processing.settings import Settings
from tests import dashboard_archive
from tests.browser import answers, free_port

PATHS = ("/", "/sites", "/sites/toulouse", "/tiles/31TCJ", "/tiles/31TCJ/2023-08-06", "/tiles/31TCJ/never", "/why")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = dashboard_archive.filled(settings, size=60)
    with store.write() as session:
        why_missing.fly(session, len(why_missing.FATES))
    store.dispose()
    return settings.home


@pytest.fixture(scope="module")
def web(home: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [sys.executable, "-m", "dashboard", "web", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 90
    while not answers(port):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.3)
    yield port, process
    if process.poll() is None:
        process.kill()
    process.wait()


@pytest.mark.parametrize("language", list(languages.LANGUAGES))
def test_pages_are_readable_for_all_and_ask_nobody_else(
    web: tuple[int, subprocess.Popen[bytes]], browser: playwright.Browser, language: str
) -> None:
    port, _ = web
    for width, scheme in ((1280, "light"), (390, "dark")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))  # type: ignore[misc]
        page.on("console", lambda message, said=said: said.append(message.text))  # type: ignore[misc]
        for path in PATHS:
            page.goto(f"http://localhost:{port}/{language}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            found = Axe().run(page)
            assert found.violations_count == 0, (path, width, found.generate_report())
        assert not [url for url in asked if not url.startswith((f"http://localhost:{port}/", "data:"))]
        assert not [text for text in said if "404" not in text]
        page.close()


def test_a_reader_finds_his_date_by_keyboard(
    web: tuple[int, subprocess.Popen[bytes]], browser: playwright.Browser
) -> None:
    page = browser.new_page()
    page.goto(f"http://localhost:{web[0]}/fr/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_label("Tuile ou lieu").fill("31tcj")
    page.get_by_label("Date").fill("2023-08-06")
    page.keyboard.press("Enter")
    page.wait_for_url("**/fr/tiles/31TCJ/2023-08-06")
    assert page.get_by_text("publiée").count()
    page.get_by_role("link", name="Español").click()
    page.wait_for_url("**/es/tiles/31TCJ/2023-08-06")
    page.close()


def test_what_is_left_when_all_was_killed_can_be_read(
    web: tuple[int, subprocess.Popen[bytes]], home: Path, browser: playwright.Browser
) -> None:
    copy = home / "public" / "fr" / "index.html"
    deadline = time.monotonic() + 60
    while not copy.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(web[1].pid, signal.SIGKILL)
    web[1].wait()
    page = browser.new_page(viewport={"width": 390, "height": 800})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(copy.as_uri())
    assert page.get_by_text("Cette copie a été écrite le").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1080px"
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    page.close()
