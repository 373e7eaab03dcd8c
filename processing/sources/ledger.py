"""What became of a source's packages, in a file that only grows: nothing is brought twice or dropped unsaid."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processing import storage
from processing.errors import WrongSetting

#: What a package may become for good; else it ``waits``.
FINAL = ("fetched", "not wanted", "rejected", "withdrawn")


class Ledger:
    """One line each time, the last one counts."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        with storage.storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.known: dict[str, dict[str, Any]] = {}
        #: Up to when all was listed, and when the days before that were listed once more.
        self.until: datetime | None = None
        self.again: datetime | None = None
        #: The tiles that were listed; None where a ledger of before doesn't say.
        self.tiles: frozenset[str] | None = None
        for line in path.read_bytes().split(b"\n") if path.exists() else []:
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError):  # cut short by a kill
                continue

    def _take(self, entry: dict[str, Any]) -> None:
        if "until" in entry:
            self.until = datetime.fromisoformat(entry["until"])
            if "again" in entry:
                self.again = datetime.fromisoformat(entry["again"])
            if "tiles" in entry:
                self.tiles = frozenset(entry["tiles"])
        else:
            self.known[entry["key"]] = entry

    def note(self, **entry: Any) -> None:
        """Add a line, down to the disk."""
        self.note_all([entry])

    def note_all(self, entries: Iterable[dict[str, Any]]) -> None:
        """Add lines, down to the disk together."""
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        stamped = [{**entry, "time": stamp} for entry in entries]
        if not stamped:
            return
        lines = "".join("\n" + json.dumps(entry, ensure_ascii=False) for entry in stamped)
        with self._lock, storage.storing(self._path), self._path.open("ab") as file:
            file.write(lines.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
            for entry in stamped:
                self._take(entry)

    def state(self, key: str) -> str:
        """What became of a package last; empty where nothing is known of it."""
        return str(self.known.get(key, {}).get("state", ""))

    def waiting(self) -> list[str]:
        """Packages that nothing final became of."""
        return [key for key, entry in self.known.items() if entry.get("state") not in FINAL]


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """That no other process brings packages into the same home meanwhile.

    Raises
    ------
    WrongSetting
        If one does.
    """
    with storage.storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WrongSetting(f"{folder.parent}: another `muscate fetch` runs here") from None
        yield
