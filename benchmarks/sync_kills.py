"""`muscate sync` killed again and again: `python -m benchmarks.sync_kills [--products N] [--kills N]`.

Serves many small products, begins to bring them, kills the client with SIGKILL at odd moments, lets it end at last,
and looks: is all there and right, what did the server send beyond what there is, and does another run move a byte?
Bar: complete, verified, nothing sent twice beyond the parts in flight when it was killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks import small_archive
from processing.settings import Settings
from processing.store import Store, downloads
from tests.browser import free_port

CONNECTIONS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--kilobytes", type=int, default=40)
    parser.add_argument("--rate", type=float, default=4.0, help="MB a second that the server sends")
    options = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        home, into = Path(folder) / "home", Path(folder) / "mine"
        size = 1000 * options.kilobytes
        total = small_archive.fill(home, options.products, options.files, size)
        with small_archive.served(home, free_port(), send_mb_per_second=options.rate) as address:
            words = [sys.executable, "-m", "dashboard", "sync", "--url", address, "--into", str(into), "--json"]
            words += ["--connections", str(CONNECTIONS)]
            killed = 0
            while killed < options.kills:
                before = _there(into)
                client = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                # As long as nothing new came it is still starting: a kill then would say nothing.
                while client.poll() is None and _there(into) == before:
                    time.sleep(0.02)
                time.sleep(random.uniform(0.0, 0.7 * total / 1e6 / options.rate / options.kills))
                if client.poll() is not None:
                    break
                os.kill(client.pid, signal.SIGKILL)
                client.wait()
                killed += 1
            last = subprocess.run(words, capture_output=True, text=True, check=False)
            again = subprocess.run(words, capture_output=True, text=True, check=False)
            time.sleep(6)  # the server keeps its counts every few seconds, with the next request
            one = httpx.get(f"{address}/stac/search", params={"limit": 1}).json()["features"][0]
            httpx.get(one["assets"]["manifest"]["href"])
            time.sleep(1)
        settings = Settings(home=home)
        store = Store(settings.url)
        with store.read() as session:
            sent = sum(row[3] for row in downloads.totals(session))
        wrong = [
            path.name
            for path in (home / "archive").glob("*/*/*/**/*")
            if path.is_file() and not _same(path, into / Path(*path.parts[len((home / "archive").parts) + 2 :]))
        ]
    most = killed * CONNECTIONS * size
    print(f"{options.products} products, {total / 1e6:.1f} MB, killed {killed} times")
    print(f"exit code of the last run {last.returncode}, {len(wrong)} files missing or wrong")
    print(
        f"sent beyond what there is: {(sent - total) / 1e6:.2f} MB, in flight at the kills at most {most / 1e6:.2f} MB"
    )
    moved = json.loads(again.stdout.splitlines()[-1])["bytes"]
    print(f"a run after that: exit code {again.returncode}, {moved} bytes")
    if killed < options.kills:
        print(f"it was over before it could be killed {options.kills} times: give it a lower --rate")
    if last.returncode or again.returncode or wrong or moved or sent - total > most:
        sys.exit(1)


def _there(into: Path) -> int:
    try:
        return (into / "manifest.jsonl").stat().st_size
    except OSError:
        return 0


def _same(path: Path, other: Path) -> bool:
    return other.is_file() and path.read_bytes() == other.read_bytes()


if __name__ == "__main__":
    main()
