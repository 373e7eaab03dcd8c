"""The whole centre as its users meet it: real products dropped in the inbox, products and pages out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright import sync_api as playwright

from processing import product
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Job, Product
from tests.browser import answers, free_port
from tests.people import cookie
from tests.rasters import digests

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("centre")]

#: The first of the five has more than 90 % of cloud with its buffer.
DATES, VALID = 5, 4


@contextlib.contextmanager
def centre(home: Path, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """`muscate up` in a process group of its own, stopped as a user stops it."""
    environment = os.environ | {f"MUSCATE_{name.upper()}": value for name, value in settings.items()}
    home.mkdir(parents=True, exist_ok=True)
    log = (home / "up.log").open("wb")
    up = subprocess.Popen(
        [sys.executable, "-m", "dashboard", "up", "--home", str(home), "--port", str(port)],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield up
    finally:
        os.killpg(up.pid, signal.SIGINT)
        try:
            up.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(up.pid, signal.SIGKILL)
            up.wait()
        log.close()


def wait_for(condition: object, seconds: float, what: str, log: Path) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            pytest.fail(f"{what} after {seconds:.0f} s; log ends:\n{log.read_text()[-4000:]}")
        time.sleep(0.5)


@pytest.fixture(scope="module")
def series_centre(t33twm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A running centre into whose inbox the five real dates were dropped, newest first, and one broken package."""
    home, port = tmp_path_factory.mktemp("centre") / "home", free_port()
    with centre(home, port, demonstration="false", scan_seconds="0.5", pause_seconds="1"):
        inbox = home / "inbox"
        # The folders are made before the tables are.
        wait_for(lambda: answers(port), 120, "no dashboard", home / "up.log")
        for package in sorted(t33twm.glob("*.SAFE"), key=lambda p: p.name.split("_")[2], reverse=True):
            shutil.copytree(package, inbox / f".{package.name}")
            (inbox / f".{package.name}").rename(inbox / package.name)
        broken = inbox / "S2A_MSIL1C_20230901T095031_N0510_R079_T33TWM_20230901T133204.SAFE"
        broken.mkdir()
        (broken / "MTD_MSIL1C.xml").write_text("<not closed")
        store = Store(f"sqlite:///{home / 'muscate.db'}")

        def done() -> bool:
            with store.read() as session:
                return session.query(Job).filter(Job.state.in_(["published", "not_valid"])).count() == DATES

        wait_for(done, 300, "five dates not done", home / "up.log")
        yield home, port


def test_dates_are_published_in_order_each_from_the_one_before(series_centre: tuple[Path, int]) -> None:
    store = Store(f"sqlite:///{series_centre[0] / 'muscate.db'}")
    with store.read() as session:
        rows = session.query(Product).order_by(Product.sensing).all()
        assert len(rows) == VALID
        assert [p.mode for p in rows] == ["backward"] + ["nominal"] * (VALID - 1)
        assert [p.prev_product for p in rows] == [None] + [p.id for p in rows[:-1]]
        assert [p.published for p in rows] == sorted(p.published for p in rows)
        for row in rows:
            read = product.read(series_centre[0] / "archive" / row.path)
            assert read.verify() == []


def test_broken_package_is_set_aside_with_its_reason(series_centre: tuple[Path, int]) -> None:
    rejected = series_centre[0] / "inbox" / "rejected"
    wait_for(lambda: any(rejected.glob("*.reason.txt")), 30, "no reason", series_centre[0] / "up.log")
    (reason,) = rejected.glob("*.reason.txt")
    assert "MTD_MSIL1C.xml" in reason.read_text()
    assert (rejected / reason.name.removesuffix(".reason.txt") / "MTD_MSIL1C.xml").read_text() == "<not closed"


def test_process_makes_the_same_pixels_as_the_centre(
    series_centre: tuple[Path, int], t33twm: Path, tmp_path: Path
) -> None:
    packages = [str(p) for p in t33twm.glob("*.SAFE")]
    done = subprocess.run(
        [sys.executable, "-m", "dashboard", "process", *packages, "--version", "V1_4", "--out", str(tmp_path / "out")]
        + ["--state", str(tmp_path / "state"), "--json"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["status"] for r in results] == ["not_valid"] + ["valid"] * VALID
    ours, theirs = digests(tmp_path / "out", ".tif"), digests(series_centre[0] / "archive", ".tif")
    assert len(ours) > VALID * 20
    assert ours == theirs


@pytest.mark.parametrize("view", ["coverage", "production", "versions", "products"])
def test_each_view_shows_the_real_series(
    series_centre: tuple[Path, int], browser: playwright.Browser, view: str, tmp_path: Path
) -> None:
    """Screenshots go to the folder `MUSCATE_SCREENSHOTS`, or to the test's own."""
    store = Store(f"sqlite:///{series_centre[0] / 'muscate.db'}")
    with store.read() as session:
        clear = session.query(Product).order_by(Product.sensing.desc()).first()
        assert clear is not None
        query = f"?product={clear.identifier}" if view == "products" else ""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    settings = Settings(home=series_centre[0], port=series_centre[1])
    page.context.add_cookies([{**cookie(settings, store), "url": f"http://localhost:{series_centre[1]}"}])
    tiles: list[int] = []
    page.on("response", lambda answer: tiles.append(answer.status) if "/tiles/" in answer.url else None)
    page.goto(f"http://localhost:{series_centre[1]}/{view}{query}", timeout=60_000)
    expected = {"coverage": "33TWM", "production": "published", "versions": "4 / 5", "products": "T33TWM"}[view]
    page.get_by_text(expected).first.wait_for(timeout=60_000)
    page.locator("canvas:visible, .bar:visible, .chart:visible, table:visible").first.wait_for(timeout=60_000)
    page.wait_for_timeout(4_000)
    folder = Path(os.environ.get("MUSCATE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    shot = folder / f"{view}.png"
    page.screenshot(path=shot)
    page.close()
    assert np.asarray(Image.open(shot).convert("L")).std() > 10  # something is drawn
    if view == "products":
        assert tiles.count(200) >= 2
        assert set(tiles) <= {200, 204}


def test_health_answers(series_centre: tuple[Path, int]) -> None:
    assert answers(series_centre[1])


def test_an_empty_home_shows_a_simulated_archive_within_two_minutes(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    with centre(home, port):
        store = Store(f"sqlite:///{home / 'muscate.db'}")

        def shown() -> bool:
            if not (home / "muscate.db").exists():
                return False
            with contextlib.suppress(Exception), store.read() as session:
                return session.query(Product).filter(Product.simulated).count() >= 1
            return False

        wait_for(shown, 120, "no simulated product", home / "up.log")
        assert answers(port)
