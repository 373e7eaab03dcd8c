"""How fast one file comes, against curl on the same one: `python -m benchmarks.download_speed [--megabytes N]`.

One connection, from Python's own file server on loopback, in turn; the client is a process of its own, whose largest
memory is printed. Sums are made again by the client and not by curl. Bars: 0.7 of curl's throughput, 100 MB.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processing.distribution.transfer import Expected, Link, fetch


def _client(url: str, target: Path, size: int, sha256: str) -> None:
    """What the child process does: bring the file, print seconds and megabytes of memory."""
    begun = time.perf_counter()
    fetch(Link(), url, target, Expected(size, {"sha256": sha256}))
    print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _free_port() -> int:
    with socket.socket() as one:  # what the tests have for this brings more along than a client may have of memory
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = options.megabytes * 10**6
    with tempfile.TemporaryDirectory() as folder:
        digest, port = hashlib.sha256(), _free_port()
        with (Path(folder) / "file").open("wb") as file:
            for _ in range(options.megabytes):  # a child's largest memory begins with its parent's
                page = os.urandom(10**6)
                digest.update(page)
                file.write(page)
        sha256, url = digest.hexdigest(), f"http://127.0.0.1:{port}/file"
        words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", folder]
        ours, curls, memory = [], [], []
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                time.sleep(1)
                for place in range(options.rounds):
                    begun = time.perf_counter()
                    subprocess.run(["curl", "-fsS", "-o", f"{folder}/curl{place}", url], check=True)
                    curls.append(time.perf_counter() - begun)
                    child = [sys.executable, "-m", "benchmarks.download_speed", "--child", url, f"{folder}/ours{place}"]
                    done = subprocess.run([*child, str(size), sha256], check=True, capture_output=True, text=True)
                    seconds, megabytes = map(float, done.stdout.split())
                    ours.append(seconds)
                    memory.append(megabytes)
            finally:
                server.terminate()
    curl, own = (size / 1e6 / statistics.median(seconds) for seconds in (curls, ours))
    print(f"{options.megabytes} MB: curl {curl:.0f} MB/s, ours {own:.0f} MB/s with the sum, {own / curl:.2f} of it")
    print(f"{max(memory):.0f} MB of memory")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _client(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
