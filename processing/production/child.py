"""The process in which the chain runs: its own process group, so that it can be killed whole.

One lives beside each worker slot and takes one date after the other, since importing the chain takes longer than a
small date does. It is ended after a failure, a time-out, the loss of the lease, or some number of dates.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from processing.errors import MuscateError, StorageError
from processing.production.attempt_log import Writer, capture

if TYPE_CHECKING:
    from processing.production.processor import Outcome
    from processing.production.request import Request

#: The function that runs a date: ``module:name``.
PRODUCE = "processing.production.processor:produce"
#: A child is replaced after so many dates, whatever it may have kept.
MAX_DATES = 50
#: A step shorter than this has no line of its own in the log. [s]
SHORT = 0.05
#: An attempt that writes a longer log is stopped, and one that takes more memory: a whole tile takes 2.5 GB. [bytes]
MAX_LOG = 20_000_000
#: Time between two looks at what a date takes. [s]
WATCH_SECONDS = 0.5


class Died(MuscateError):
    """The chain's process ended without an answer: killed, out of memory, or a crash in a library."""

    reason_class = "unknown"
    retry = True

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code
        name = f"signal {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
        super().__init__(f"the chain's process died ({name})")


class Stopped(MuscateError):
    """The chain's process was ended on purpose: it took more time, memory or disk than a date may."""

    reason_class = "unknown"
    retry = True


class OutOfMemory(MuscateError):
    """The chain got no memory: another date, or another program, has it."""

    reason_class = "infrastructure"
    retry = True


class Defect(MuscateError):
    """The chain raised something that is no failure known by name; the traceback is in the attempt's log."""


class Unusable(MuscateError):
    """The chain can't even be loaded: no date is at fault, and none can be made."""

    reason_class = "infrastructure"


class Unclear(MuscateError):
    """A library could not read or write something, and does not say why."""

    reason_class = "unknown"
    retry = True


@dataclass(frozen=True)
class Limits:
    """What a date may take.

    Attributes
    ----------
    seconds : float
        Time. [s]
    memory, staging : float
        Resident memory, and files in the staging folder. [bytes]
    """

    seconds: float = math.inf
    memory: float = math.inf
    staging: float = math.inf


class Step(NamedTuple):
    """What comes through the pipe before the answer: a step begins."""

    name: str
    share: float


class Child:
    """A process that runs dates; started at its first one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection
        self._dates = 0

    def run(
        self,
        produce: str,
        request: Request,
        *,
        log: Path,
        limits: Limits,
        give_up: Callable[[], MuscateError | None] = lambda: None,
        progress: Callable[[str, float], None] = lambda step, share: None,
    ) -> tuple[Outcome, int]:
        """Run one date.

        Parameters
        ----------
        produce : str
            ``module:name`` of the function that runs it.
        log : Path
            Receives all the chain writes.
        limits : Limits
            What it may take.
        give_up : callable
            Asked again and again: an error stops the chain and is raised.
        progress : callable
            Told each step that begins, and the share of the date that is done by then.

        Returns
        -------
        outcome
        int
            Largest resident memory while it ran. [bytes]

        Raises
        ------
        MuscateError
            What the chain raised; `Defect`, `Died` or `Stopped`.
        """
        try:
            self._start()
            self._pipe.send((produce, request, log))
            watch = _Watch(limits, self._process, request.staging, log)
            while True:
                self._wait(watch, give_up)
                answer, peak = self._pipe.recv()
                if not isinstance(answer, Step):
                    break
                progress(answer.name, answer.share)
        except (EOFError, ConnectionError):
            assert self._process is not None
            raise Died(self._process.wait()) from None
        except BaseException:
            self.kill()
            raise
        self._dates += 1
        if isinstance(answer, MuscateError):
            if isinstance(answer, Defect | Unusable | OutOfMemory | Unclear):
                self.kill()
            raise answer
        if self._dates >= MAX_DATES:
            self.kill()
        return answer, peak

    def _wait(self, watch: _Watch, give_up: Callable[[], MuscateError | None]) -> None:
        """Until there is an answer, or a reason to wait no longer, which is raised."""
        while not self._pipe.poll(0.1):
            if (error := give_up() or watch.excess()) is not None:
                raise error

    def kill(self) -> None:
        """End the process and all it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._pipe.close()
            self._process = None

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                # Not `-m`: what this module defines would cross the pipe as part of `__main__`.
                [sys.executable, "-c", f"from {__name__} import main; main()", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p)),
            )
        self._dates = 0


class _Watch:
    """Sees that a date takes no more than it may."""

    def __init__(self, limits: Limits, process: subprocess.Popen[bytes] | None, staging: Path, log: Path) -> None:
        self.limits, self.staging, self.log = limits, staging, log
        self.process = process
        self._end = time.monotonic() + limits.seconds
        self._due = time.monotonic()

    def excess(self) -> MuscateError | None:
        """What it took too much of."""
        clock = time.monotonic()
        if clock > self._end:
            return Stopped(f"the chain ran longer than {self.limits.seconds:.0f} s")
        if clock < self._due:
            return None
        self._due = clock + WATCH_SECONDS
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > MAX_LOG:
                return Stopped(f"the chain's log grew over {MAX_LOG // 1_000_000} MB")
        if self.process is not None and (taken := memory_of(self.process.pid)) > self.limits.memory:
            return Stopped(f"the chain took {taken / 1e9:.1f} GB of memory, {self.limits.memory / 1e9:.1f} allowed")
        if (written := _size(self.staging)) > self.limits.staging:
            return Stopped(f"the chain wrote {written / 1e9:.1f} GB of files, {self.limits.staging / 1e9:.1f} allowed")
        return None


def _size(folder: Path) -> int:
    """What the files of a folder take on the disk, those that vanish meanwhile apart. [bytes]"""
    taken = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                taken += os.lstat(os.path.join(path, name)).st_blocks * 512
    return taken


def main() -> None:
    """Run the dates that come in through the pipe, until it closes."""
    pipe = Connection(int(sys.argv[1]))
    os.nice(5)  # the pages go first
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    log_of_this = Writer(sys.stderr)
    capture(log_of_this)
    while True:
        try:
            produce, request, log = pipe.recv()
        except EOFError:
            return
        with open(log, "ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        _reset_peak()
        log_of_this.begin()
        answer = _answer(produce, request, pipe, log_of_this)
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send((answer, _peak()))


def _answer(produce: str, request: Request, pipe: Connection, writer: Writer) -> object:
    """Run a date: its outcome, or what it failed of. What happened is in the log."""
    try:
        function = _load(produce)
        from processing.production import progress

        def timed(step: str, seconds: float) -> None:
            if seconds >= SHORT:
                writer.note("ended", step=step, seconds=round(seconds, 3), peak_mb=_peak() // 10**6)

        def begins(step: str, share: float) -> None:
            writer.note("begins", step=step, percent=round(100 * share))
            pipe.send((Step(step, share), 0))

        with progress.told(begins, timed):
            outcome = function(request)
    except MuscateError as error:
        writer.failure(error, bug=False)
        return error
    except Exception as error:
        writer.failure(error, bug=True)
        return _named(error)
    told = ("status", "mode", "figures", "seconds", "origin", "absent", "flags")
    writer.note("outcome", last=True, **{name: getattr(outcome, name) for name in told}, peak_mb=_peak() // 10**6)
    return outcome


def _named(error: Exception) -> MuscateError:
    """The failure that an exception without a name of its own is: of the machine, or a bug."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, MemoryError):
        return OutOfMemory(line)
    if isinstance(error, OSError):
        # The system gives a number with its reason; libraries raise the same class without one.
        return Unclear(line) if error.errno is None else StorageError(line)
    return Defect(line)


def _load(produce: str) -> Callable[[Request], Outcome]:
    module, name = produce.split(":")
    try:
        function: Callable[[Request], Outcome] = getattr(import_module(module), name)
    except Exception as error:
        raise Unusable(f"the chain can't be loaded: {type(error).__name__}: {error}") from error
    return function


def _end_with(parent: int) -> None:
    """End with the worker, even when it was killed: what it had claimed passes to another one."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def memory_of(pid: int) -> int:
    """Resident memory of a process, 0 where that is not known. [bytes]"""
    with contextlib.suppress(OSError, ValueError, IndexError):  # Linux only
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def _reset_peak() -> None:
    with contextlib.suppress(OSError):  # Linux only; elsewhere the peak is the process's
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Largest resident memory since `_reset_peak`. [bytes]"""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
