"""Files that are there whole or not at all, on the disk and not only in its cache."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import shutil
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from processing.deflate import crc32
from processing.storage import storing as storing
from processing.storage import sync as sync

#: Of the page that what passes the cache by is put together in, a multiple of any disk's blocks. [bytes]
_PAGE = 4 << 20


def write(path: Path, chunks: Iterable[bytes]) -> dict[str, str | int]:
    """Write a new file down to the disk and give its size [bytes], SHA-256 and CRC-32 (of zips).

    A file longer than a page passes the disk's cache by, where that is possible: to be copied into it, and to be
    written from there, costs several seconds of the kernel's time a tile, and drives out the images of the next date.
    """
    digest, size, crc = sha256(), 0, 0
    with storing(path), path.open("xb", buffering=0) as file:
        page, filled = memoryview(mmap.mmap(-1, _PAGE)), 0  # begins where a page of memory does, as the disk wants it
        direct = False
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                taken = min(len(rest), _PAGE - filled)
                page[filled : filled + taken] = rest[:taken]
                filled, rest = filled + taken, rest[taken:]
                if filled == _PAGE:
                    direct = direct or _past_the_cache(file.fileno(), True)
                    digest.update(page)
                    crc = crc32(page, crc)
                    _write(file.fileno(), page)
                    size, filled = size + filled, 0
        if direct:  # which takes whole blocks only
            _past_the_cache(file.fileno(), False)
        digest.update(page[:filled])
        crc = crc32(page[:filled], crc)
        _write(file.fileno(), page[:filled])
        os.fsync(file.fileno())
    return {"size": size + filled, "sha256": digest.hexdigest(), "crc32": crc}


def move(source: Path, target: Path) -> None:
    """Put a file into its place at once, also on another disk.

    Raises
    ------
    OSError
        If it can't be written; nothing stands in its place then that did not before.
    """
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
        try:
            shutil.copyfile(source, beside)
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
        source.unlink()


def _write(handle: int, rest: memoryview) -> None:
    while rest:
        try:
            rest = rest[os.write(handle, rest) :]
        except OSError as error:  # a disk of larger blocks, or one that promised to pass its cache by and can't
            if error.errno != errno.EINVAL or not fcntl.fcntl(handle, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0):
                raise
            _past_the_cache(handle, False)


def _past_the_cache(handle: int, wanted: bool) -> bool:
    """Let what is written pass the cache by, or no longer; False where the system or the disk knows no such thing."""
    if not hasattr(os, "O_DIRECT"):
        return False
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT)
    except OSError:
        return False
    return True
