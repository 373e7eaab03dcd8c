"""What bad packages cost a centre: an inbox with ten good dates, without and with some of every kind of bad one.

    python -m benchmarks.bad_inbox [--size 366] [--bad 40]

`muscate up` runs on a home of its own with each of the two inboxes, the centre's watcher, dispatcher and workers as
they are. Prints how many were published and set aside, the seconds from the start of the watch to the last product or
refusal, and what the bad ones add beside its bar; each reason is held against what is wrong with that package.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processing.settings import Settings
from processing.simulation import Series, simulate
from processing.store import Store
from processing.store.models import Product
from tests.browser import free_port
from tests.spoiled_packages import KINDS

#: What the bad ones may add. [s]
BAR = 60.0
GOOD = 10
LIMIT = 900.0


def fill(inbox: Path, good: list[Path], bad: int) -> dict[str, str]:
    """Put good dates and so many kinds of bad packages, made of the last date, into an inbox; what each shall say."""
    expected = {}
    for package in good[:-1]:
        shutil.copytree(package, inbox / package.name)
    for number, kind in enumerate(list(KINDS)[:bad]):
        spoil, words = KINDS[kind]
        with tempfile.TemporaryDirectory(dir=inbox.parent) as made:
            package = spoil(good[-1], Path(made))
            target = inbox / (package.name if len(os.fsencode(package.name)) > 240 else f"{number:02d}_{package.name}")
            package.rename(target)
        expected[target.name] = words
    return expected


def run(home: Path, good: list[Path], bad: int) -> tuple[float, int, dict[str, bool]]:
    """Seconds, products, and of each package that was set aside whether its reason is the true one."""
    settings = Settings(home=home)  # type: ignore[call-arg]
    settings.make_folders()
    expected = fill(settings.inbox, good, bad)
    environment = os.environ | {
        "MUSCATE_DEMONSTRATION": "false",
        "MUSCATE_SCAN_SECONDS": "1",
        "MUSCATE_PAUSE_SECONDS": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "dashboard", "up", "--home", str(home), "--port", str(free_port())]
    with (home / "up.log").open("wb") as log:
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        began = watching(home, up)
        store = Store(settings.url)
        while time.monotonic() - began < LIMIT:
            with store.read() as session:
                published = session.query(Product).filter(Product.current).count()
            aside = told(settings, expected)
            if published == len(good) - 1 and len(aside) == len(expected):
                break
            time.sleep(0.2)
        seconds = time.monotonic() - began
        store.dispose()
        return seconds, published, aside
    finally:
        os.killpg(up.pid, signal.SIGTERM)
        up.wait(60)


def watching(home: Path, up: subprocess.Popen[bytes]) -> float:
    """When the watcher began to look."""
    log = home / "logs" / "watch.log"
    while up.poll() is None and not (log.exists() and "watching" in log.read_text()):
        time.sleep(0.05)
    if up.poll() is not None:
        raise SystemExit((home / "up.log").read_text()[-2000:])
    return time.monotonic()


def told(settings: Settings, expected: dict[str, str]) -> dict[str, bool]:
    """Of each package that was set aside, whether its reason is the true one."""
    found = {}
    for name, words in expected.items():
        for reason in settings.rejected.glob("*.reason.txt"):
            if os.path.lexists(settings.rejected / name) and reason.name[:200] == f"{name}.reason.txt"[:200]:
                found[name] = re.search(words, reason.read_text()) is not None
    return found


def main() -> None:
    """Print the figures; exit code 1 where one is over its bar."""
    parser = argparse.ArgumentParser(description="What bad packages cost a centre.")
    parser.add_argument("--size", type=int, default=366)
    parser.add_argument("--bad", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        numbers = vars(Series("31TCJ")) | {"size": given.size, "dates": GOOD + 1}
        good = sorted(simulate(Path(folder) / "good", **numbers))
        alone, made, _ = run(Path(folder) / "alone", good, 0)
        print(f"good ones alone: {made} of {GOOD} published, {alone:.1f} s", flush=True)
        seconds, made, aside = run(Path(folder) / "mixed", good, given.bad)
    true = sum(aside.values())
    print(f"with {given.bad} bad ones: {made} of {GOOD} published, {seconds:.1f} s")
    print(f"set aside: {len(aside)} of {given.bad}, with their true reason: {true}")
    for name in [name for name, right in aside.items() if not right]:
        print(f"  another reason than expected: {name}")
    print(f"beyond the chain's time: {seconds - alone:.1f} s (bar: {BAR:.0f} s)")
    if made < GOOD or true < given.bad or seconds - alone > BAR:
        sys.exit(1)


if __name__ == "__main__":
    main()
