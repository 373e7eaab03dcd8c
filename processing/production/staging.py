"""Folders in which something grows beside its final place, and which nothing leaves behind, however it ends.

Each has a lock that lasts as long as its process: so what lies there and is not locked was left by one that was
killed, and what is locked is being made by another one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from processing.errors import AlreadyThere
from processing.product import disk

#: Prefix of the folders, and the file in one that is locked.
PREFIX, LOCK = ".staging-", "lock"
#: One without a lock is of a program before this one, and removed when nothing in it changed for so long. [s]
ABANDONED = 3600.0

_own: set[Path] = set()


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """A folder for what will be ``folder/name``, as long as nobody else makes that.

    Raises
    ------
    AlreadyThere
        If another process makes the same.
    StorageError
        If the folder can't be written.
    """
    path = folder / f"{PREFIX}{name}"
    with disk.storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = _locked(path)
    if handle is None:
        raise AlreadyThere(folder / name, "is being made by another process")
    try:
        _own.add(path)
        with disk.storing(path):
            _empty(path)
        yield path
    finally:
        # The lock goes last: nobody else may begin in a folder that is being removed.
        shutil.rmtree(path, ignore_errors=True)
        _own.discard(path)
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left in a folder; never what a live one uses."""
    with suppress(OSError):
        for path in list(folder.glob(f"{PREFIX}*")):
            if not path.is_dir() or path.is_symlink() or path in _own:
                continue
            if not (path / LOCK).exists():
                if time.time() - _newest(path) > ABANDONED:
                    shutil.rmtree(path, ignore_errors=True)
                continue
            handle = _locked(path)
            if handle is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(handle)


@contextmanager
def removed_on_signals() -> Iterator[None]:
    """Remove this process's folders where SIGTERM, SIGHUP or SIGINT ends it; at once, whatever its threads do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    # What is ignored stays so, as nohup has it.
    before = {n: signal.signal(n, _end) for n in ending if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    for path in list(_own):
        for _ in range(10):  # threads may still write into it
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                break
            time.sleep(0.05)
    os._exit(128 + number)


def _locked(path: Path) -> int | None:
    """The lock of a folder, which comes to be if it is not there; None if another process has it."""
    while True:
        path.mkdir(exist_ok=True)
        try:
            handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # removed between the two by the one who had it
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path / LOCK), os.fstat(handle)):
                return handle
        os.close(handle)  # that lock was removed meanwhile with its folder


def _empty(path: Path) -> None:
    """Remove what one that was killed left in it."""
    for inner in path.iterdir():
        if inner.name == LOCK:
            continue
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner)
        else:
            inner.unlink()


def _newest(path: Path) -> float:
    times = [path.stat().st_mtime]
    for inner in path.rglob("*"):
        with suppress(OSError):
            times.append(inner.lstat().st_mtime)
    return max(times)
