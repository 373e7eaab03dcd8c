"""How a disk fails, by name, and what is brought down to it; without the libraries of images."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processing.errors import StorageError

#: How a disk says that it is full.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Name the file and the fault where the disk is full or refuses."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: can't be written: {error.strerror or error}") from error


def put(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds the old one or the new one, whole.

    Raises
    ------
    StorageError
        If it can't be written; the old one stays.
    """
    growing = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with growing.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            growing.replace(path)
        finally:
            growing.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Bring the names in a folder down to the disk."""
    with storing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
