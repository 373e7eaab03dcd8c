"""Where products grow: nothing is left behind however a process ends, and two never make the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processing.errors import ProductError
from processing.production.alone import Runs, alone
from processing.production.staging import ABANDONED, LOCK, PREFIX, staging, sweep
from processing.settings import Settings

#: Grows something for ever in a folder of its own.
GROW = """
import sys, time
from pathlib import Path
from processing.production.staging import removed_on_signals, staging
with removed_on_signals(), staging(Path(sys.argv[1]), "product") as folder:
    (folder / "half").mkdir()
    number = 0
    print("growing", flush=True)
    while True:
        number += 1
        (folder / "half" / f"raster{number % 50}").write_bytes(bytes(1000))
        time.sleep(0.001)
"""


#: What ends it; who runs the tests may ignore some of them, as `nohup` and shells do for what is in the background.
ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def growing(folder: Path, ignored: signal.Signals | None = None) -> subprocess.Popen[str]:
    def heed() -> None:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", GROW, str(folder)], stdout=subprocess.PIPE, text=True, preexec_fn=heed
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "growing\n"
    return process


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    process = growing(tmp_path)
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert left(tmp_path) == []


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As `nohup` starts it."""
    process = growing(tmp_path, ignored=signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    assert left(tmp_path) == []


def test_what_a_killed_process_left_is_swept_and_what_a_live_one_uses_is_not(tmp_path: Path) -> None:
    process = growing(tmp_path)
    sweep(tmp_path)
    assert left(tmp_path) == [f"{PREFIX}product"]
    with pytest.raises(ProductError, match="product: is being made by another process"), staging(tmp_path, "product"):
        pass
    with staging(tmp_path, "other"):
        sweep(tmp_path)
        assert left(tmp_path) == [f"{PREFIX}other", f"{PREFIX}product"]
    process.kill()
    process.wait()
    assert left(tmp_path) == [f"{PREFIX}product"]
    sweep(tmp_path)
    assert left(tmp_path) == []


def test_what_a_killed_process_left_is_no_part_of_the_next_one(tmp_path: Path) -> None:
    process = growing(tmp_path)
    process.kill()
    process.wait()
    with staging(tmp_path, "product") as folder:
        assert [p.name for p in folder.iterdir()] == [LOCK]
    assert left(tmp_path) == []


@pytest.mark.parametrize(("age", "swept"), [(0.0, False), (2 * ABANDONED, True)])
def test_a_folder_of_an_older_program_is_swept_when_it_is_old(age: float, swept: bool, tmp_path: Path) -> None:
    old = tmp_path / f"{PREFIX}abcd"
    (old / "half").mkdir(parents=True)
    for path in (old / "half", old):
        os.utime(path, (time.time() - age,) * 2)
    sweep(tmp_path)
    assert old.exists() is not swept


def test_a_fault_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with staging(tmp_path, "product") as folder:
            (folder / "half").mkdir()
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail()
    assert left(tmp_path) == []


def test_of_a_part_that_is_to_be_alone_the_second_says_who_is_there(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)  # type: ignore[call-arg]
    with alone(settings, "watch"):
        words = rf"muscate watch runs on {tmp_path} already \(process {os.getpid()} on"
        with pytest.raises(Runs, match=words), alone(settings, "watch"):
            pass
        with alone(settings, "up"):
            pass
    with alone(settings, "watch"):
        pass
