"""Whether a package is whole: each file of its zip has its CRC, and each file that its manifest lists is there with
its size and sum. A package counts only then, whatever the catalogue's own sums say.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from processing.errors import InputError, StorageError
from processing.l1c.checksums import MANIFEST, METHODS, Entry, listed
from processing.l1c.package import DAMAGE, Package, open_package

#: Of one read. [bytes]
PIECE = 1 << 20


def fault_of(path: Path, name: str) -> str:
    """What is wrong with a zip or a SAFE folder; empty if it is the whole package of that name.

    Raises
    ------
    StorageError
        If the disk can't be read.
    """
    try:
        package = open_package(path)
        there = PurePosixPath(package.root or path.name).name.removesuffix(".SAFE")
        if there.removesuffix(".zip") != name:
            return f"holds {there[:100]}, another package"
        entries = listed(package)
        if not entries:
            return f"has no {MANIFEST} with sums"
        with _files(package) as (names, opened):
            absent = sorted(entries.keys() - set(names))
            if absent:
                return f"lacks {PurePosixPath(absent[0]).name}, which its {MANIFEST} lists"
            return next((fault for one in names if (fault := _fault(one, opened, entries.get(one)))), "")
    except InputError as fault:
        return fault.fault
    except DAMAGE as fault:
        return f"is damaged: {fault}"
    except OSError as fault:
        raise StorageError(f"{path}: can't be read: {fault.strerror or fault}") from fault


@contextmanager
def _files(package: Package) -> Iterator[tuple[list[str], Callable[[str], IO[bytes]]]]:
    """Names of all files in a package, and what opens one to be read from its beginning to its end."""
    if not package.zipped:
        root = package.path
        names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.is_symlink())
        yield names, lambda name: (root / name).open("rb")
        return
    with zipfile.ZipFile(package.path) as archive:
        inside = [n for n in archive.namelist() if n.startswith(package.root) and not n.endswith("/")]
        yield [n.removeprefix(package.root) for n in inside], lambda name: archive.open(package.root + name)


def _fault(name: str, opened: Callable[[str], IO[bytes]], entry: Entry | None) -> str:
    """What is wrong with one file. One that is not listed is read all the same: its zip has a sum of it."""
    short, size, sum_ = PurePosixPath(name).name, 0, _sum(entry)
    try:
        with opened(name) as file:
            while piece := file.read(PIECE):
                size += len(piece)
                sum_.update(piece)
    except DAMAGE as fault:
        return f"{short} in it is damaged: {fault}"
    if entry is None:
        return ""
    if size != entry.size:
        return f"{short} has {size} bytes, its {MANIFEST} says {entry.size}"
    return (
        "" if sum_.hexdigest() == entry.digest else f"{short} is damaged: its {entry.method} is not that of {MANIFEST}"
    )


def _sum(entry: Entry | None) -> Any:
    return METHODS[entry.method][0]() if entry is not None else hashlib.md5(usedforsecurity=False)
