"""How soon the public page is sent, beside a worker at work: `python -m benchmarks.status_page [--seconds S]`.

Fills a home with the rows of a centre of 40,000 products and 1,076 tiles, serves it, keeps a process as busy as a
worker beside it and writes an event every second, so that what the page tells is stale again and again. Asks for the
page in three languages 50 times a second, and prints the times, the bytes of the page with all that it needs, and
whether the copy is there and readable after everything was killed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks import why_missing
from processing.settings import Settings
from processing.store import Store, events
from tests.browser import answers, free_port

RATE = 50
LANGUAGES = ("en", "fr", "es")
#: As a worker: arrays, all the time.
WORKER = "import numpy as np\nwhile True: np.sort(np.random.random(3_000_000))"


@contextmanager
def served(home: Path) -> Iterator[tuple[int, list[subprocess.Popen[bytes]]]]:
    """The web of a home, and a worker beside it; both are killed at the end, if not before."""
    port = free_port()
    web = [sys.executable, "-m", "dashboard", "web", "--home", str(home), "--port", str(port)]
    parts = [subprocess.Popen(web, start_new_session=True), subprocess.Popen([sys.executable, "-c", WORKER])]
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            if time.monotonic() > deadline:
                raise TimeoutError("the web does not answer")
            time.sleep(0.5)
        yield port, parts
    finally:
        kill(parts)


def kill(parts: list[subprocess.Popen[bytes]]) -> None:
    """End all of them at once, without a word."""
    for part in parts:
        if part.poll() is None:
            os.kill(part.pid, signal.SIGKILL)
            part.wait()


def fetch(port: int, path: str) -> bytes:
    """What is under an address, as it is without compression."""
    with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=30) as answer:
        return bytes(answer.read())


def times(port: int, seconds: float) -> np.ndarray:
    """How long each answer took, asked for at its own time whatever became of those before. [s]"""

    def ask(number: int) -> float:
        due = start + number / RATE
        time.sleep(max(due - time.perf_counter(), 0))
        fetch(port, f"/{LANGUAGES[number % len(LANGUAGES)]}/")
        return time.perf_counter() - due

    with ThreadPoolExecutor(16) as pool:
        start = time.perf_counter() + 0.5
        return np.array(list(pool.map(ask, range(round(RATE * seconds)))))


@contextmanager
def busy(store: Store) -> Iterator[None]:
    """Something happens every second."""
    stop = threading.Event()

    def happen() -> None:
        while not stop.wait(1):
            with store.write() as session:
                events.record(session, datetime.now(UTC), "benchmark")

    thread = threading.Thread(target=happen)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def size(port: int) -> int:
    """Bytes of the page and of all that it names, the largest language."""
    found = []
    for language in LANGUAGES:
        page = fetch(port, f"/{language}/")
        named = re.findall(rb'<link rel="(?:stylesheet|icon)" href="([^"]+)"', page)
        found.append(len(page) + sum(len(fetch(port, path.decode())) for path in named))
    return max(found)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=45.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        settings.make_folders()
        store = Store(settings.url)
        store.upgrade()
        why_missing.fill(store)
        with served(settings.home) as (port, parts), busy(store):
            fetch(port, "/en/")
            took = 1000 * times(port, arguments.seconds)
            whole = size(port)
            copy = settings.home / "public" / "fr" / "index.html"
            deadline = time.monotonic() + 90
            while not copy.exists() and time.monotonic() < deadline:
                time.sleep(1)
            kill(parts)
        text = copy.read_text(encoding="utf-8") if copy.exists() else ""
        store.dispose()
    print(f"{len(took)} answers at {RATE} a second: ", end="")
    print(", ".join(f"p{q} {np.percentile(took, q):.1f} ms" for q in (50, 95, 99, 100)))
    print(f"page with style and icon: {whole / 1000:.1f} kB")
    readable = text.rstrip().endswith("</html>") and "<style>" in text
    print(
        f"copy after kill -9 of everything: {len(text.encode()) / 1000:.1f} kB, {'whole' if readable else 'NOT THERE'}"
    )


if __name__ == "__main__":
    main()
