"""Parts that are killed come again, alone; what is stopped ends whole and soon; systemd hears of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from processing.production import centre, supervisor
from processing.production.supervisor import Supervisor, notify
from processing.settings import Settings
from processing.store import Store
from processing.store.models import Anomaly, Event
from tests.browser import answers, free_port

#: Leaves its process number, and that of a child that knows no end; stubborn ones ignore the wish to end.
PART = """
import os, signal, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
print("here", flush=True)
time.sleep(600)
"""


@contextmanager
def supervised(
    folder: Path, *names: str, **commands: list[str]
) -> Iterator[tuple[list[tuple[str, str]], threading.Event]]:
    told: list[tuple[str, str]] = []
    parts = {name: [sys.executable, "-c", PART, str(folder / name), name] for name in names} | commands
    watched = Supervisor(parts, os.environ, lambda name, how: told.append((name, how)))
    stop = threading.Event()
    thread = threading.Thread(target=watched.run, args=(stop,))
    thread.start()
    try:
        yield told, stop
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def pids(folder: Path, name: str) -> list[int]:
    path = folder / name
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("victim", ["web", "watch", "dispatch"])
def test_a_part_that_is_killed_comes_again_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str, number: signal.Signals
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.1)
    names = ("web", "watch", "dispatch")
    with supervised(tmp_path, *names) as (told, _):
        wait_for(lambda: all(len(pids(tmp_path, name)) == 1 for name in names))
        os.kill(pids(tmp_path, victim)[0], number)
        wait_for(lambda: len(pids(tmp_path, victim)) == 2)
        assert told == [(victim, f"signal {number.name}")]
        for name in names:
            assert len(pids(tmp_path, name)) == (2 if name == victim else 1)
            assert psutil.pid_exists(pids(tmp_path, name)[-1])
    assert not any(psutil.pid_exists(pid) for name in names for pid in pids(tmp_path, name))


def test_a_part_that_can_not_go_on_waits_longer_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a web whose port is taken: the others go on."""
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.3)
    times: list[float] = []
    with supervised(tmp_path, "watch", web=["/bin/sh", "-c", "exit 3"]) as (told, _):
        for number in range(1, 4):
            wait_for(lambda number=number: len(told) >= number)
            times.append(time.monotonic())
        assert len(pids(tmp_path, "watch")) == 1
    assert set(told) == {("web", "exit code 3")}
    assert times[2] - times[1] > 0.5  # 0.3, 0.6 ...


def test_one_that_does_not_listen_is_ended_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.5)
    with supervised(tmp_path, "stubborn", "web"):
        wait_for(lambda: pids(tmp_path, "stubborn") and pids(tmp_path, "web"))
    assert not psutil.pid_exists(pids(tmp_path, "stubborn")[0])


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_parts_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, threading\nfrom processing.production.supervisor import Supervisor\n"
        f"Supervisor({{'web': [sys.executable, '-c', {PART!r}, {str(tmp_path / 'web')!r}]}}, os.environ)"
        ".run(threading.Event())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    wait_for(lambda: pids(tmp_path, "web"))
    process.kill()
    process.wait()
    (pid,) = pids(tmp_path, "web")
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        assert listening.recv(100) == b"READY=1"
        with supervised(tmp_path, shows=["/bin/sh", "-c", f'echo "x$NOTIFY_SOCKET" > {tmp_path / "seen"}; sleep 9']):
            wait_for((tmp_path / "seen").exists)
        assert listening.recv(100) == b"STOPPING=1"
    wait_for(lambda: (tmp_path / "seen").read_text() == "x\n")  # it is not theirs


def test_a_part_that_ended_is_among_the_anomalies(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)  # type: ignore[call-arg]
    store = Store(settings.url)
    store.upgrade()
    for _ in range(2):
        centre._note(settings, "dispatch", "signal SIGKILL")
    with store.read() as session:
        anomaly = session.query(Anomaly).one()
        assert (anomaly.reason_class, anomaly.signature, anomaly.count) == ("infrastructure", "dispatch ended", 2)
        assert "signal SIGKILL" in anomaly.last
        assert [e.severity for e in session.query(Event).filter(Event.kind == "part_ended")] == ["error", "error"]
    store.dispose()


@pytest.mark.slow
def test_a_centre_heals_whichever_part_is_killed_and_ends_soon(tmp_path: Path) -> None:
    """The real one: each part is killed once, and all of it stopped as systemd does."""
    home, port = tmp_path / "home", free_port()
    environment = os.environ | {"MUSCATE_DEMONSTRATION": "false", "NOTIFY_SOCKET": str(tmp_path / "notify")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(120)
        command = [sys.executable, "-m", "dashboard", "up", "--home", str(home), "--port", str(port)]
        log = (tmp_path / "up.log").open("wb")
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            assert listening.recv(100) == b"READY=1"
            second = subprocess.run([*command[:-1], str(free_port())], env=environment, capture_output=True, text=True)
            assert second.returncode == 1
            assert "runs on" in second.stderr
            for part in ("watch", "dispatch", "web"):
                parts = {p.cmdline()[-1]: p for p in psutil.Process(up.pid).children()}
                assert set(parts) == {"watch", "dispatch", "web"}
                parts[part].kill()

                def back(part: str = part, before: int = parts[part].pid) -> bool:
                    try:
                        now = {p.cmdline()[-1]: p.pid for p in psutil.Process(up.pid).children()}
                    except (psutil.Error, IndexError):  # one that has just ended
                        return False
                    return len(now) == 3 and now[part] != before

                wait_for(back, 30)
            wait_for(lambda: answers(port), 120)
            children = psutil.Process(up.pid).children(recursive=True)
            began = time.monotonic()
            up.terminate()
            assert listening.recv(100) == b"STOPPING=1"
            assert up.wait(30) == 0
            assert time.monotonic() - began < supervisor.GRACE + 5
            wait_for(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in children))
        finally:
            up.kill()
            up.wait()
            log.close()
    store = Store(f"sqlite:///{home / 'muscate.db'}")
    with store.read() as session:
        assert {a.signature for a in session.query(Anomaly)} == {"watch ended", "dispatch ended", "web ended"}
    store.dispose()
