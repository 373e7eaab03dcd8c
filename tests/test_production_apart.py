"""`muscate process` in a process of its own: what ends it ends one package, and the others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processing.errors import StorageError
from processing.production import apart
from processing.production.child import Died

#: A series that meets something bad: takes the place of the chain in the process, by the names of the packages.
SERIES = """
import os, signal, time
from pathlib import Path
from processing.errors import StorageError
from processing.production.request import Work

def process(packages, version, out, *, dem, state, tile, tell):
    tell(Work("given", tuple(packages)))
    for package in packages:
        kind = "later" if "later" in package.name else "date"
        tell(Work(kind, (package,), 0.0, "31TCJ"))
        if "crash" in package.name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in package.name:
            time.sleep(600)
        if "memory" in package.name:
            kept = bytearray(400_000_000)
            time.sleep(600)
        if "full" in package.name:
            raise StorageError("disk: no space")
        if kind == "later":
            continue
        tell(Work("done", (package,)))
        yield {"l1c": package.name, "status": "valid", "reason": tile or ""}
"""

#: Another one, that tells its process and never ends.
SLEEPS = """
import os, time
from pathlib import Path

def process(packages, version, out, **_):
    (Path(out) / "growing").write_text(str(os.getpid()))
    (Path(out) / "growing").rename(Path(out) / "pid")
    time.sleep(600)
"""


def begin(folder: Path) -> str:
    """What has the process take the stand-in in a folder for the series."""
    words = f"import sys; sys.path.insert(0, {str(folder)!r}); import stand_in, processing.production; "
    return words + "sys.modules['processing.production.series'] = processing.production.series = stand_in; "


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones, and a stand-in for the series."""
    (tmp_path / "stand_in.py").write_text(SERIES)
    monkeypatch.setattr(apart, "BEGIN", begin(tmp_path))
    monkeypatch.setattr(apart, "SECONDS", 3.0)
    monkeypatch.setattr(apart, "MEMORY", 300_000_000)


def results(names: list[str], folder: Path) -> list[tuple[str, str, str]]:
    found = apart.process([folder / name for name in names], "V1_4", folder)
    return [(r["l1c"], r["status"], str(r.get("reason"))) for r in found]


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("crash", "the chain's process died (signal SIGSEGV)"),
        ("hang", "it took longer than 3 s"),
        ("memory", "it took more than 0.3 GB of memory"),
    ],
)
def test_what_ends_the_process_ends_one_package_and_the_others_go_on(bad: str, reason: str, tmp_path: Path) -> None:
    found = results(["first", bad, "last"], tmp_path)
    assert found[0] == ("first", "valid", "")
    assert found[1] == (bad, "failed", f"{bad}: {reason}")
    assert found[2] == ("last", "valid", "31TCJ")  # of the same tile as before
    assert len(found) == 3


@pytest.mark.usefixtures("limits")
def test_a_later_date_that_crashes_the_look_back_is_at_fault_itself(tmp_path: Path) -> None:
    found = results(["crash-later", "date"], tmp_path)
    assert [(name, status) for name, status, _ in found] == [("crash-later", "failed"), ("date", "valid")]


@pytest.mark.usefixtures("limits")
def test_a_fault_of_the_disk_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="disk: no space"):
        results(["full"], tmp_path)


def test_a_process_that_never_begins_is_no_package_s_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "BEGIN", "import sys; sys.exit(4); ")
    with pytest.raises(Died, match="exit code 4"):
        results(["a"], tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_stays_behind(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text(SLEEPS)
    code = f"""
import sys
from pathlib import Path
from processing.production import apart
apart.BEGIN = {begin(tmp_path)!r}
list(apart.process([Path("x")], "V1_4", Path({str(tmp_path)!r})))
"""
    program = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    pid = tmp_path / "pid"
    end = time.monotonic() + 30
    while time.monotonic() < end and not pid.exists():
        time.sleep(0.05)
    child = int(pid.read_text())
    program.send_signal(number)
    assert program.wait(20) == (128 + number if number == signal.SIGTERM else -number)
    end = time.monotonic() + 10
    while time.monotonic() < end and Path(f"/proc/{child}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
