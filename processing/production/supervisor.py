"""Keeps the parts of a centre going: one that ends is started again, and stops none of the others."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

#: First wait before a part is started again, doubled each time, and the longest. [s]
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
#: A part that lived so long is started again as if for the first time. [s]
SETTLED = 60.0
#: Parts that are asked to end have so long. [s]
GRACE = 10.0
#: prctl(2): the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


@dataclass
class _Part:
    """A program that is to run all the time."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    due: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs programs side by side until it is stopped.

    Parameters
    ----------
    commands : mapping of str to sequence of str
        Command lines by the names of the parts.
    environment : mapping
        Of all of them.
    died : callable
        Told the name of a part that ended, and in words how, before it is started again.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        died: Callable[[str, str], None] = lambda name, how: None,
    ) -> None:
        self._parts = [_Part(name, command) for name, command in commands.items()]
        self._width = max(map(len, commands), default=0)
        # What speaks to the system's supervisor is this process.
        self._environment = {name: value for name, value in environment.items() if name != "NOTIFY_SOCKET"}
        self._died = died
        self._saying = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Keep the parts going until stopped, and end them."""
        try:
            while not stop.wait(0.2):
                for part in self._parts:
                    self._look(part)
        finally:
            notify("STOPPING=1")
            self._end()

    def _look(self, part: _Part) -> None:
        """Start a part, if it is time to; see that it ended."""
        clock = time.monotonic()
        if part.process is None:
            if clock >= part.due:
                self._start(part)
            return
        code = part.process.poll()
        if code is None:
            return
        # Whatever it had started goes with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(part.process.pid, signal.SIGKILL)
        part.process = None
        part.deaths = 1 if clock - part.started > SETTLED else part.deaths + 1
        wait = min(FIRST_WAIT * 2.0 ** min(part.deaths - 1, 10), LONGEST_WAIT)
        part.due = clock + wait
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.say("muscate", f"{part.name} ended ({how}): it is started again in {wait:.0f} s")
        self._died(part.name, how)

    def _start(self, part: _Part) -> None:
        try:
            part.process = subprocess.Popen(
                part.command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent if sys.platform == "linux" else None,
            )
        except OSError as error:  # no process, no memory: it may come
            part.due = time.monotonic() + LONGEST_WAIT
            self.say("muscate", f"{part.name} can't be started: {error.strerror}")
            return
        part.started = time.monotonic()
        self.say("muscate", f"{part.name} started (process {part.process.pid})")
        threading.Thread(target=self._pass_on, args=(part.name, part.process), daemon=True).start()

    def _pass_on(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.say(name, line.decode(errors="replace").rstrip())

    def say(self, name: str, line: str) -> None:
        """A line of a part."""
        with self._saying, contextlib.suppress(OSError, ValueError):
            print(f"{datetime.now():%H:%M:%S} {name:{self._width}} | {line}", flush=True)

    def _end(self) -> None:
        """Ask the parts to end, and end those that don't."""
        running = [part.process for part in self._parts if part.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        end = time.monotonic() + GRACE
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(end - time.monotonic(), 0.0))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """In a new process: end with whoever started it, even when that is killed. Elsewhere than on Linux it lives on."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, number)


def notify(state: str) -> None:
    """Tell systemd, if it is this that started us: ``READY=1``, ``STOPPING=1``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
        telling.connect("\0" + address[1:] if address.startswith("@") else address)
        telling.sendall(state.encode())
