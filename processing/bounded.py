"""A function of foreign bytes, run in a process of its own that limits of memory and time can end.

A decoder that is given damaged or hostile bytes may take all the memory there is, never come back, or crash. Here it
does so alone: the caller gets the answer or an error in one line.

A server, started at the first call, imports the function's module and forks a child for each call, which takes a few
milliseconds. It ends with the process that started it, and its children with it, however that one ends.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import pickle
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from processing.errors import MuscateError, OverLimit, StorageError

P = ParamSpec("P")
R = TypeVar("R")

#: A child that its alarm did not end is killed after so long. [s]
GRACE = 2.0
#: What a child may keep of GDAL's blocks, as its share of a large machine's memory would be more than the limit. [MB]
GDAL_CACHE = 64

_LENGTH = struct.Struct("!cQ")
#: First byte of a message: the child's answer, its number, or how it ended.
_ANSWER, _NUMBER, _END = b"a", b"n", b"e"
_PR_SET_PDEATHSIG = 1
#: Signals that end the caller, if it wants that; the server and its children end with it and not before.
_NOT_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(function: Callable[..., R], *arguments: Any, memory: int, seconds: float) -> R:
    """What a function of a module gives for some arguments, made in a process of its own.

    Parameters
    ----------
    function : callable
        Found again by its module and name; it, its arguments and its answer must be fit for pickle.
    memory : int
        What it may take beyond what a process with its module takes. [bytes]
    seconds : float
        Wall-clock limit. [s]

    Raises
    ------
    OverLimit
        If it took more memory or time, or crashed.
    StorageError
        If no process can be started.
    Exception
        What the function raised.
    """
    try:
        ours = _ask(function, arguments, memory, seconds)
    except OSError as error:
        raise StorageError(f"no process can be started to read foreign files: {error}") from error
    with ours:
        return _answer(ours, memory, seconds)  # type: ignore[no-any-return]


def _ask(function: Callable[..., Any], arguments: tuple[Any, ...], memory: int, seconds: float) -> socket.socket:
    """Send a request; the socket on which its answer comes."""
    request = pickle.dumps((function.__module__, function.__qualname__, arguments, memory, seconds), protocol=5)
    for last in (False, True):
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                _server.send(function.__module__, theirs)
            _send(ours, _ANSWER, request)
            return ours
        except (BrokenPipeError, ConnectionError):  # the server was killed: another one is started
            ours.close()
            if last:
                raise
        except BaseException:
            ours.close()
            raise
    raise AssertionError


def _answer(ours: socket.socket, memory: int, seconds: float) -> Any:
    answer: tuple[bool, Any] | None = None
    pid, end = 0, time.monotonic() + seconds + GRACE
    while True:
        if pid and not select.select([ours], [], [], max(end - time.monotonic(), 0))[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            end += 60.0
            continue
        try:
            kind, content = _receive(ours)
        except (EOFError, ConnectionError):
            raise OverLimit("the process that read it was ended") from None
        if kind == _NUMBER:
            pid = int(content)
        elif kind == _ANSWER:
            answer = pickle.loads(content)
        else:
            break
    if answer is None:
        raise OverLimit(_why(int(content), memory, seconds))
    good, value = answer
    if good:
        return value
    if isinstance(value, MemoryError):
        raise OverLimit(f"takes more than {_amount(memory)} of memory to read") from value
    raise value


def _why(status: int, memory: int, seconds: float) -> str:
    """Why a child ended without an answer."""
    if status in (-signal.SIGALRM, -signal.SIGKILL):
        return f"takes longer than {seconds:.0f} s to read"
    if status < 0:
        return f"crashes its reader ({signal.Signals(-status).name}), or takes more than {_amount(memory)} of memory"
    return f"ends its reader (exit code {status})"


def _amount(memory: int) -> str:
    return f"{memory / 1e9:.1f} GB" if memory >= 1e8 else f"{memory / 1e6:.0f} MB"


# Messages


def _send(there: socket.socket, kind: bytes, content: bytes) -> None:
    there.sendall(_LENGTH.pack(kind, len(content)))
    there.sendall(content)


def _receive(here: socket.socket) -> tuple[bytes, bytes]:
    kind, length = _LENGTH.unpack(_exactly(here, _LENGTH.size))
    return kind, bytes(_exactly(here, length))


def _exactly(here: socket.socket, length: int) -> bytearray:
    content = bytearray(length)
    view = memoryview(content)
    while view:
        count = here.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return content


# The server, seen from the process that started it


class _Server:
    """The process that forks the children; one for each process that asks, started anew if it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._owner = 0

    def send(self, module: str, there: socket.socket) -> None:
        """Hand over the end of a socket on which a child is to take its request."""
        with self._lock:
            if self._owner != os.getpid() or self._process is None or self._process.poll() is not None:
                self._start()
            assert self._socket is not None
            socket.send_fds(self._socket, [module.encode()], [there.fileno()])

    def _start(self) -> None:
        self._forget()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                # Not `-m`: what this module defines would cross the sockets as part of `__main__`.
                [sys.executable, "-c", f"from {__name__} import serve; serve()", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        self._socket, self._owner = ours, os.getpid()

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            if self._owner == os.getpid():
                self._process.wait()
            else:  # of the process that this one was forked from
                self._process.returncode = 0
            self._process = None

    def end(self) -> None:
        """End the server, if one was started."""
        with self._lock:
            self._forget()


def _environment() -> dict[str, str]:
    """Few threads, each of which would count as memory; GDAL's cache below the limits."""
    ours = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
    ours |= {"GDAL_CACHEMAX": str(GDAL_CACHE), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return dict(os.environ, **ours)


_server = _Server()
atexit.register(_server.end)


# The server and its children


def serve() -> None:
    """Fork a child for each socket that comes in, until who started this is gone; tell how each child ended."""
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    server = socket.socket(fileno=int(sys.argv[1]))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asked: dict[int, socket.socket] = {}
    while True:
        waiting: list[Any] = [server, woken]
        readable, _, _ = select.select(waiting, [], [])
        if woken in readable:
            os.read(woken, 4096)
            _reap(asked)
        if server in readable:
            message, handles, _, _ = socket.recv_fds(server, 4096, 1)
            if not message:
                return
            _import(message.decode())
            there = socket.socket(fileno=handles[0])
            pid = os.fork()
            if pid == 0:
                server.close()
                for other in asked.values():
                    other.close()
                _child(there)
            asked[pid] = there  # to say how the child ended: it alone writes while it lives


def _reap(asked: dict[int, socket.socket]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if (there := asked.pop(pid, None)) is not None:
            with there, contextlib.suppress(OSError):
                _send(there, _END, str(os.waitstatus_to_exitcode(status)).encode())


def _import(module: str) -> None:
    # One that can't be imported is said by the child, which tries again.
    with contextlib.suppress(Exception):
        import_module(module)


def _child(there: socket.socket) -> None:
    """Answer one request; does not return."""
    try:
        _end_with_server()
        _send(there, _NUMBER, str(os.getpid()).encode())
        module, name, arguments, memory, seconds = pickle.loads(_receive(there)[1])
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        function: Any = import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        _limit(memory, seconds)
        answer: tuple[bool, Any]
        try:
            answer = True, function(*arguments)
            content = pickle.dumps(answer, protocol=5)
        except Exception as error:
            content = _told(error)
        _send(there, _ANSWER, content)
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _told(error: Exception) -> bytes:
    """An error fit for the caller: itself where it can be sent."""
    if not isinstance(error, MuscateError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        content = pickle.dumps((False, error), protocol=5)
        pickle.loads(content)
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")), protocol=5)
    return content


def _end_with_server() -> None:
    """Die with the server, which ends with the caller (Linux; elsewhere the alarm ends it)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(memory: int, seconds: float) -> None:
    # Address space and not resident memory: what is claimed and not yet touched counts, and malloc then says no.
    for kind, value in ((resource.RLIMIT_AS, _taken() + memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (limit, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _taken() -> int:
    """Address space of this process. [bytes]"""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0
