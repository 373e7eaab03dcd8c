"""Files that are there whole or not at all, on the disk and not only in its cache."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from ..errors import StorageError


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Name the file and the fault where the disk is full or refuses."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: can't be written: {error.strerror or error}") from error


def write(path: Path, chunks: Iterable[bytes]) -> dict[str, str | int]:
    """Write a new file down to the disk and give its size [bytes] and SHA-256."""
    digest, size = sha256(), 0
    with storing(path), path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return {"size": size, "sha256": digest.hexdigest()}


def sync(folder: Path) -> None:
    """Bring the names in a folder down to the disk."""
    with storing(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
