"""Parts of a centre of which one runs at a time: the next one is told so."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from processing.errors import MuscateError
from processing.product import disk
from processing.settings import Settings


class Runs(MuscateError):
    """The part runs already."""

    reason_class = "infrastructure"


@contextmanager
def alone(settings: Settings, part: str) -> Iterator[None]:
    """Be the only one that runs a part on this home, as long as this process lives.

    Raises
    ------
    Runs
        If another process does, in words that name it.
    """
    path = settings.home / f".{part}.lock"
    with disk.storing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            whose = os.pread(handle, 200, 0).decode(errors="replace").strip()
            home = settings.home.resolve()
            raise Runs(f"muscate {part} runs on {home} already ({whose or 'another process'})") from None
        with disk.storing(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
