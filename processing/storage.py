"""How a disk fails, by name, and what is brought down to it; without the libraries of images."""

from __future__ import annotations

import errno
import os
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


def sync(folder: Path) -> None:
    """Bring the names in a folder down to the disk."""
    with storing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
