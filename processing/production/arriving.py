"""What lies in the inbox and is not whole yet: a copy that pauses is no broken package."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from processing.distribution import transfer
from processing.errors import MuscateError, StorageError
from processing.l1c.checksums import MANIFEST, listed
from processing.l1c.package import MAX_UNPACKED, Package

#: Beside a package, with its sum.
SUM = ".md5"
#: Sums of more files than a package has. [bytes]
LONGEST = 16 * 2**20


def lacking(package: Path) -> str:
    """What a package still lacks as far as names and sizes tell; empty if nothing.

    Of a zip its end, where the list of its files is; of a folder a file that its manifest lists, or the rest of one.
    """
    try:
        if package.is_file():
            with package.open("rb") as file:
                begun = file.read(2)
            return "its end" if begun in (b"", b"P", b"PK") and not zipfile.is_zipfile(package) else ""
        for name, entry in listed(Package(package)).items():
            path = package / name
            if not path.is_symlink() and (not path.exists() or path.stat().st_size < entry.size):
                return path.name
    except (MuscateError, OSError, ValueError):  # who reads it names the fault
        return ""
    return ""


def has_manifest(package: Path) -> bool:
    """Whether a package says itself what it consists of; of a zip its own list does."""
    return os.path.isfile(package) or os.path.isfile(package / MANIFEST)


def sums_beside(package: Path) -> Path | None:
    """The file with a package's MD5 sums beside it: ``X.zip.md5`` or ``X.md5``; None where there is none."""
    for path in (Path(f"{package}{SUM}"), package.with_suffix(SUM)):
        if os.path.isfile(path):  # which a name that is too long does not stop
            return path
    return None


def fault_by(sums: Path, package: Path) -> str:
    """How a package differs from the sums beside it; empty if they are its own.

    Raises
    ------
    StorageError
        If the disk can't be read.
    """
    try:
        if sums.stat().st_size > LONGEST:
            return f"{sums.name} beside it is longer than sums are"
        lines = [line for line in sums.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        said = list(_said(lines))
        if len(said) != len(lines) or not said:
            return f"{sums.name} beside it holds no MD5 sum"
        if sum(_sizes(package, said)) > MAX_UNPACKED:
            return f"larger than the {MAX_UNPACKED / 1e9:.1f} GB that are taken"
        return (_of_zip if package.is_file() else _of_folder)(sums, package, said)
    except OSError as fault:
        if isinstance(fault, (FileNotFoundError, NotADirectoryError)) and Path(fault.filename) != sums:
            return f"{Path(fault.filename).name} is missing, of which {sums.name} has a sum"
        raise StorageError(f"{package}: can't be read: {fault.strerror or fault}") from fault


def _of_zip(sums: Path, package: Path, said: list[tuple[str, str]]) -> str:
    own = [sum_ for sum_, name in said if Path(name).name in ("", package.name)]
    if not own:
        return f"{sums.name} beside it has sums of other files"
    found = transfer.digest(package, "md5")
    return "" if found == own[-1] else f"its MD5 is {found}, {sums.name} says {own[-1]}"


def _of_folder(sums: Path, package: Path, said: list[tuple[str, str]]) -> str:
    for sum_, name in dict.fromkeys(said):
        path = package / _inner(package, name)
        if not _inner(package, name) or not stat.S_ISREG(path.lstat().st_mode):
            return f"{Path(name).name} is missing, of which {sums.name} has a sum"
        if transfer.digest(path, "md5") != sum_:
            return f"{Path(name).name}: its MD5 is not that of {sums.name}"
    return ""


def _inner(package: Path, name: str) -> str:
    """The name of a file within its package; empty where it leads out."""
    inner = name.partition(f"{package.name}/")[2] or name.removeprefix("./")
    return "" if inner.startswith("/") or ".." in Path(inner).parts else inner


def _sizes(package: Path, said: list[tuple[str, str]]) -> list[int]:
    """Lengths of the files that have to be read for some sums. [bytes]"""
    if package.is_file():
        return [package.stat().st_size]
    return [(package / name).lstat().st_size for name in {_inner(package, name) for _, name in said}]


def _said(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Sums and names as md5sum writes them: ``<sum>  name``, ``<sum> *name``, or ``MD5 (name) = <sum>``."""
    for line in map(str.strip, lines):
        if found := re.fullmatch(r"([0-9a-fA-F]{32})(?:\s+\*?(.*))?", line):
            yield found[1].lower(), found[2] or ""
        elif found := re.fullmatch(r"MD5\s*\((.*)\)\s*=\s*([0-9a-fA-F]{32})", line):
            yield found[2].lower(), found[1]
