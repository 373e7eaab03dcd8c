"""What tests share: the real five-date series of T33TWM as Level-1C, made once a session, and a browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from playwright import sync_api as playwright

from tests import store_databases
from tests.browser import FLAGS, chromium
from tests.shared import SHARED
from tests.store_databases import copying, migrated  # noqa: F401 - fixtures

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_sessionfinish() -> None:
    """Leave nothing behind."""
    store_databases.end()


def _series(folder: Path, pixels: int) -> Path:
    tool = SHARED / "tools" / "make_l1c.py"
    if not tool.exists():
        pytest.skip(f"{tool} not here")
    with FileLock(f"{folder}.lock"):  # one worker makes it, the others wait
        if not folder.exists():
            partial = folder.with_name(folder.name + ".partial")
            subprocess.run(
                [sys.executable, str(tool), "series", "--out", str(partial), "--pixels", str(pixels)]
                + ["--origin", "4392,3660", "--no-tci"],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            partial.rename(folder)
    return folder


def _session_folder(factory: pytest.TempPathFactory, worker_id: str) -> Path:
    base = factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def t33twm_small(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Five real dates of T33TWM, 732 pixels: a folder of `.SAFE` and `reference/`."""
    return _series(_session_folder(tmp_path_factory, worker_id) / "t33twm_small", 732)


@pytest.fixture(scope="session")
def t33twm(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The same, 2196 pixels."""
    return _series(_session_folder(tmp_path_factory, worker_id) / "t33twm", 2196)


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        browser.close()
