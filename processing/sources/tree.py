"""A folder of packages that another house's mirror, or another program, fills: SAFE folders and zips, however deep.

Nothing in it is changed. A mirror has candidates: what it lacks proves nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from processing.errors import Unreachable
from processing.l1c.finding import PARTIAL, is_stray
from processing.sources.offers import Listing, Offer, Part, Withdrawn, in_order
from processing.sources.reading import safe_name, sensing_of, tile_of

#: Folders are looked through so deep: .../L1C/2026/03/01/31TCJ/<name>.SAFE.
DEPTH = 9
#: A package in which something was written since is not whole yet. [s]
SETTLED = 120.0


class Tree:
    """One folder.

    Parameters
    ----------
    root : Path
    name : str
    settled : float
        As `SETTLED`. [s]
    """

    mirror = True
    timeless = True

    def __init__(self, root: Path, name: str = "mirror", settled: float = SETTLED) -> None:
        self.name, self._root, self._settled = name, root, settled

    def listing(self, tiles: Iterable[str], first: datetime, end: datetime) -> Listing:
        """Packages of tiles that were written last in the window.

        Raises
        ------
        Unreachable
            If there is no such folder.
        """
        wanted = set(tiles)
        if not self._root.is_dir():
            raise Unreachable(f"{self._root}: no such folder")
        found = [
            offer
            for path in self._packages(self._root, DEPTH)
            if tile_of(path.name) in wanted and (offer := self.one(str(path.relative_to(self._root)))) is not None
        ]
        return Listing(in_order(offer for offer in found if first <= offer.published < end))

    def modified(self, tiles: Iterable[str], since: datetime) -> Listing:
        """Nothing: what changes has a new time, and is listed by it."""
        return Listing(())

    def withdrawn(self, since: datetime) -> Iterator[Withdrawn]:
        """Nothing: what is gone from a mirror is not taken back."""
        return iter(())

    def one(self, key: str) -> Offer | None:
        """A package by its path in the folder; None as long as something is written in it."""
        path = self._root / key
        name = safe_name(path.name)
        sensing = sensing_of(name)
        try:
            files = _files(path)
            newest = max(status.st_mtime for status in files.values())
            sums = _sums(path)
        except (OSError, ValueError):  # gone meanwhile, or empty
            return None
        if sensing is None or (time.time() - newest < self._settled and not sums):
            return None
        when, size = datetime.fromtimestamp(newest, UTC), sum(status.st_size for status in files.values())
        zipped = path.is_file()
        parts = () if zipped else tuple(Part(n, (path / n).as_uri(), s.st_size) for n, s in files.items())
        url = path.resolve().as_uri() if zipped else ""
        return Offer(
            self.name, key, name, url, size, when, when, sensing, tile=tile_of(name), sums=sums, parts=parts
        )  # fmt: skip

    def address(self, url: str) -> str:
        """As it is."""
        return url

    def _packages(self, folder: Path, depth: int) -> Iterator[Path]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(PARTIAL) or is_stray(entry.name):
                continue
            if entry.name.endswith(".SAFE" if entry.is_dir() else ".zip"):
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False) and depth:
                yield from self._packages(Path(entry.path), depth - 1)


def _files(path: Path) -> dict[str, os.stat_result]:
    if path.is_file():
        return {path.name: path.stat()}
    return {p.relative_to(path).as_posix(): p.lstat() for p in sorted(path.rglob("*")) if p.is_file()}


def _sums(path: Path) -> dict[str, str]:
    """The MD5 sum that lies beside a zip."""
    beside = Path(f"{path}.md5")
    words = beside.read_text(encoding="ascii", errors="replace").split() if path.is_file() and beside.exists() else []
    return {"md5": words[0].lower()} if words else {}


def path_of(url: str) -> Path:
    """The file that a ``file:`` address means."""
    return Path(unquote(urlsplit(url).path))
