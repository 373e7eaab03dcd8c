"""A real browser for tests: the system's Chromium driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
import socket
import urllib.request

import pytest

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine: install Debian's `chromium`")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether a dashboard is there and has its database."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://localhost:{port}/health", timeout=10) as answer:
        return bool(answer.status == 200)
    return False
