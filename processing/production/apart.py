"""`series.process` in a process of its own, which limits of memory and time can end: what `muscate process` does.

Damaged or hostile bytes may crash a decoder, keep it busy for ever or make it take all memory. Then the package that
was in work has failed, and the others go on in a new process.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from processing.errors import MuscateError, printable
from processing.production.child import Died, Stopped, memory_of
from processing.production.request import Work

#: What the process may take: for small images, and for each whole tile of one beyond that. [bytes], [s]
MEMORY, MEMORY_PER_TILE = 2_200_000_000, 6_000_000_000
SECONDS, SECONDS_PER_TILE = 600.0, 7200.0
#: How often its memory is looked at, and how long it has to end by itself after a signal. [s]
LOOK, GRACE = 0.2, 10.0
#: What the process does before anything else.
BEGIN = ""

_PR_SET_PDEATHSIG = 1


def process(
    packages: Sequence[Path],
    version: str,
    out: Path,
    *,
    dem: Path | None = None,
    state: Path | None = None,
    tile: str | None = None,
    admitted: Path | None = None,
) -> Iterator[dict[str, Any]]:
    """`series.process`; a package whose work had to be ended has failed too, with the limit as its reason.

    What the next date begins from is kept by its process: after one that was ended it begins as the first one does, or
    from `state`.

    Raises
    ------
    MuscateError
        What `series.process` raised.
    """
    left: Sequence[Path] | None = None  # until the process has looked into what was given
    while left is None or left:
        run = _Run()
        try:
            yield from run.results(
                (packages if left is None else left, version, out, dem, state, tile or run.tile, admitted)
            )
            return
        except (Died, Stopped) as error:
            if not run.work.packages:
                raise
            for package in run.work.packages:
                yield _failed(package, error)
            ended = {*run.done, *run.work.packages}
            left, tile = [package for package in run.packages if package not in ended], tile or run.tile
        finally:
            run.end()


def _failed(package: Path, error: MuscateError) -> dict[str, Any]:
    nothing = dict.fromkeys(("product", "status", "mode", "cloud_percent", "aot_mean"))
    reason = printable(f"{package.name}: {error}")
    return {"l1c": printable(package.name), **nothing, "status": "failed", "seconds": {}, "reason": reason}


class _Run:
    """One process, and what is known of where it is."""

    def __init__(self) -> None:
        self.packages: list[Path] = []
        self.done: set[Path] = set()
        self.tile: str | None = None
        self.work = Work("start", ())
        self._pipe, theirs = Pipe()
        debug = logging.getLogger("processing").isEnabledFor(logging.DEBUG)
        with theirs:
            words = [str(number) for number in (theirs.fileno(), int(debug), os.getpid())]
            self._process = subprocess.Popen(
                # Not `-m`: what this module defines would cross the pipe as part of `__main__`.
                [sys.executable, "-c", f"{BEGIN}from {__name__} import main; main()", *words],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=dict(os.environ, PYTHONPATH=os.pathsep.join(p for p in sys.path if p)),
            )

    def results(self, asked: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        """What the process yields, until it is done.

        Raises
        ------
        Died, Stopped
            If it ended without an answer, or had to be ended.
        MuscateError
            What it raised.
        """
        with self._passing_signals_on():
            try:
                self._pipe.send(asked)
                while True:
                    kind, what = self._receive()
                    if kind == "result":
                        yield what
                    elif kind == "error":
                        raise what
                    elif kind == "end":
                        return
            except (EOFError, ConnectionError):
                raise Died(self._process.wait()) from None

    def _receive(self) -> tuple[str, Any]:
        """The next message; what it says of the work is noted."""
        longest = SECONDS + self.work.tiles * SECONDS_PER_TILE
        end = time.monotonic() + longest
        most = MEMORY + self.work.tiles * MEMORY_PER_TILE
        while not self._pipe.poll(LOOK):
            if time.monotonic() > end:
                raise Stopped(f"it took longer than {longest:.0f} s")
            if memory_of(self._process.pid) > most:
                raise Stopped(f"it took more than {most / 1e9:.1f} GB of memory")
        kind, what = self._pipe.recv()
        if kind == "work":
            if what.kind == "given":
                self.packages = list(what.packages)
            elif what.kind == "done":
                self.done.update(what.packages)
                self.work = Work("between", ())
            else:
                self.work, self.tile = what, what.tile or self.tile
        return kind, what

    @contextmanager
    def _passing_signals_on(self) -> Iterator[None]:
        """Have the process end, and with it what it had begun, where a signal ends this one."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ending = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

        def pass_on(number: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.kill(self._process.pid, number)
                self._process.wait(GRACE)
            self.end()
            os._exit(128 + number)

        before = {n: signal.signal(n, pass_on) for n in ending if signal.getsignal(n) is not signal.SIG_IGN}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def end(self) -> None:
        """End the process, if it has not ended by itself."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()  # it removes what it had begun
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._pipe.close()


# The process


def main() -> None:
    """Answer the one request that comes in through the pipe."""
    pipe = Connection(int(sys.argv[1]))
    with contextlib.suppress(OSError, AttributeError):  # Linux; elsewhere it ends when it next has something to tell
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[3]):  # it ended before this was said
        return
    if int(sys.argv[2]):
        logging.basicConfig()
        logging.getLogger("processing").setLevel(logging.DEBUG)
    from processing import known
    from processing.production import series

    packages, version, out, dem, state, tile, admitted = pipe.recv()
    tell: Callable[[Work], None] = lambda work: pipe.send(("work", work))  # noqa: E731
    try:
        known.use(admitted)
        for result in series.process(packages, version, out, dem=dem, state=state, tile=tile, tell=tell):
            pipe.send(("result", result))
        pipe.send(("end", None))
    except Exception as error:
        logging.getLogger(__name__).debug("process", exc_info=True)
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        pipe.send(("error", error))
