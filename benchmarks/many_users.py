"""Many users who download while the chain runs: `python -m benchmarks.many_users [--users N] [--seconds S]`.

Serves one large product to users of as many addresses of this machine, the first of whom has many connections, and
runs the chain on a simulated date with and without them in turn. Bars: no failure; production slows by 10 % at most;
the slowest of equal users gets 0.8 of the fastest's bytes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from http.client import HTTPConnection
from pathlib import Path

import httpx
import numpy as np

from benchmarks import small_archive
from tests.browser import free_port

#: Connections of the user who asks for most.
BULK = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=366, help="pixels of the chain's date")
    parser.add_argument("--megabytes", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, work = Path(folder) / "home", Path(folder)
        small_archive.fill(home, 1, 1, options.megabytes * 10**6)
        muscate = [sys.executable, "-m", "dashboard"]
        made = [*muscate, "simulate", "--out", str(work / "l1c"), "--dates", "2", "--size", str(options.size)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        port = free_port()
        with small_archive.served(home, port) as address:
            item = httpx.get(f"{address}/stac/search").json()["features"][0]
            path = next(a["href"] for a in item["assets"].values() if a["href"].endswith(".bin")).partition(str(port))[
                2
            ]
            alone, beside = [], []
            crowd = Crowd(port, path, options.users)
            for _ in range(options.rounds):
                alone.append(_chain(muscate, work))
                with crowd:
                    beside.append(_chain(muscate, work))
    taken = [crowd.taken[user] for user in range(1, options.users)]
    slower = np.median(beside) / np.median(alone) - 1
    print(f"{options.users} users, {sum(crowd.taken.values()) / 1e6:.0f} MB, {crowd.failures} failures")
    print(f"slowest of equal users {min(taken) / max(taken):.2f} of the fastest; one with {BULK} connections "
          f"{crowd.taken[0] / np.median(taken):.2f} of the others' median")  # fmt: skip
    print(f"chain alone {np.median(alone):.1f} s, beside them {np.median(beside):.1f} s: {100 * slower:+.0f} %")


def _chain(muscate: list[str], work: Path) -> float:
    """Seconds of the chain on the two dates."""
    out = work / f"out{time.monotonic_ns()}"
    packages = sorted(str(path) for path in (work / "l1c").glob("*.SAFE"))
    begun = time.monotonic()
    words = [*muscate, "process", *packages, "--out", str(out), "--version", "V1_4"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env={**os.environ})
    return time.monotonic() - begun


class Crowd:
    """Users who download as long as the context lasts."""

    def __init__(self, port: int, path: str, users: int) -> None:
        self.taken: defaultdict[int, int] = defaultdict(int)
        self.failures = 0
        self._port, self._path, self._users = port, path, users

    def __enter__(self) -> None:
        self._over = threading.Event()
        several = [0] * BULK + list(range(1, self._users))
        self._threads = [threading.Thread(target=self._download, args=(user,)) for user in several]
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _download(self, user: int) -> None:
        while not self._over.is_set():
            connection = HTTPConnection("127.0.0.1", self._port, timeout=60, source_address=(f"127.0.0.{user + 2}", 0))
            try:
                connection.request("GET", self._path)
                answer = connection.getresponse()
                if answer.status != 200:
                    self.failures += 1
                while not self._over.is_set() and (page := answer.read(1 << 18)):
                    self.taken[user] += len(page)
            except OSError:
                self.failures += 1
            finally:
                connection.close()


if __name__ == "__main__":
    main()
