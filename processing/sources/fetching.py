"""From a source into the drop box: what is new for the tiles of the sites, once, and only when it is whole.

What became of each package stands in ``sources/<source>.jsonl`` of the home, the last line counts: nothing is brought
twice, nothing is dropped without a word. Windows of publication times overlap, and the end of the last one is kept
after all of it was listed.
"""

from __future__ import annotations

import json
import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from processing import storage
from processing.distribution import transfer
from processing.distribution.transfer import Corrupt, Expected, Link, Refused
from processing.errors import MuscateError, StorageError
from processing.settings import Settings
from processing.sources.account import Account
from processing.sources.offers import Offer, Source, Withdrawn
from processing.store import Store, events
from processing.store.dialect import now

log = structlog.get_logger(__name__)

#: What was published in the hours before the last look is listed again.
OVERLAP = timedelta(hours=48)
#: Connections that an account of the Copernicus Data Space may have.
CONNECTIONS = 4
#: A package without sums is waited for so long: they come hours after it.
SUMS_WITHIN = timedelta(hours=12)
#: What a package may become: a line of the ledger ends with one of these, or ``waits``.
FINAL = ("fetched", "not wanted", "rejected", "withdrawn")


@dataclass(frozen=True)
class Fate:
    """What became of one package in one round, and why."""

    name: str
    state: str
    reason: str = ""
    moved: int = 0


class Ledger:
    """What became of a source's packages: one line each time, the last one counts."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        with storage.storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.known: dict[str, dict[str, Any]] = {}
        self.until: datetime | None = None
        for line in path.read_bytes().split(b"\n") if path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:  # cut short by a kill
                continue
            self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if "until" in entry:
            self.until = datetime.fromisoformat(entry["until"])
        else:
            self.known[entry["key"]] = entry

    def note(self, **entry: Any) -> None:
        """Add a line."""
        line = json.dumps({**entry, "time": datetime.now(UTC).isoformat(timespec="seconds")})
        with self._lock, storage.storing(self._path), self._path.open("ab") as file:
            file.write(b"\n" + line.encode())
            file.flush()
            os.fsync(file.fileno())
            self._take(entry)


@dataclass
class Fetcher:
    """One source for one centre.

    Attributes
    ----------
    account : Account, optional
        What proves who asks for packages.
    clock : callable
        The time.
    """

    settings: Settings
    store: Store
    source: Source
    account: Account | None = None
    connections: int = CONNECTIONS
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _ledger: Ledger = field(init=False)
    _threads: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        self._folder = self.settings.home / "sources"
        self._ledger = Ledger(self._folder / f"{self.source.name}.jsonl")

    def round(self, tiles: Iterable[str], since: datetime) -> list[Fate]:
        """Look once, bring what is new, and flag what was taken back.

        Parameters
        ----------
        since : datetime
            Of publication: where the first look begins.

        Raises
        ------
        Unreachable, SourceDrift
            If the source can't be listed: the next look begins where this one did.
        """
        tiles, end = sorted(set(tiles)), self.clock()
        first = since if self._ledger.until is None else max(since, self._ledger.until - OVERLAP)
        listing = self.source.listing(tiles, first, end)
        for doubt in listing.doubts:
            self._anomaly("listing differs from one order to the other", doubt)
        new = [offer for offer in listing.offers if self._is_open(offer)]
        listed = {offer.key for offer in new}
        again = [o for o in self.source.modified(tiles, first) if o.key not in listed and self._is_open(o)]
        with ThreadPoolExecutor(self.connections, "fetch") as pool:
            fates = list(pool.map(self._bring, [*new, *again]))
        fates += [fate for taken in self.source.withdrawn(first) if (fate := self._taken_back(taken)) is not None]
        self._ledger.note(until=end.isoformat())
        return fates

    def _is_open(self, offer: Offer) -> bool:
        return self._ledger.known.get(offer.key, {}).get("state") not in FINAL

    def _bring(self, offer: Offer) -> Fate:
        """One package, whatever befalls it."""
        try:
            fate = self._fate(offer)
        except (Refused, Corrupt) as fault:
            fate = Fate(offer.name, "rejected", " ".join(str(fault).split()))
        except (MuscateError, OSError) as fault:
            fate = Fate(offer.name, "waits", " ".join(str(fault).split()))
        self._ledger.note(key=offer.key, name=offer.name, state=fate.state, reason=fate.reason, bytes=fate.moved)
        if fate.state == "rejected":
            self._anomaly("package of a source that can't be used", f"{offer.name}: {fate.reason}")
        return fate

    def _fate(self, offer: Offer) -> Fate:
        if offer.unwanted:
            return Fate(offer.name, "not wanted", offer.unwanted)
        if not offer.online:
            return Fate(offer.name, "waits", "is not online at its source")
        if not offer.sums and self.clock() - offer.published < SUMS_WITHIN:
            return Fate(offer.name, "waits", "has no sum yet")
        target = self._folder / f"{offer.name}.zip"
        moved = self._whole(offer, target)
        with storage.storing(self.settings.inbox):
            os.replace(target, self.settings.inbox / target.name)
        return Fate(offer.name, "fetched", moved=moved)

    def _whole(self, offer: Offer, target: Path) -> int:
        """Bring a package and look whether it is whole: its sums as the source says, then the zip itself.

        The size that a catalogue says is not always that of the zip, which is made when it is asked for.
        """
        expected = Expected(None, offer.sums)
        try:
            moved = transfer.fetch(self._link(), offer.url, target, expected)
        except Refused as fault:
            if fault.status != 401 or self.account is None:
                raise
            self.account.forget()  # the token ended before its time
            moved = transfer.fetch(self._link(), offer.url, target, expected)
        fault_ = _fault_of(target)
        if fault_:
            target.unlink(missing_ok=True)
            raise Corrupt(f"{offer.url}: {fault_}")
        return moved

    def _link(self) -> Link:
        if not hasattr(self._threads, "link"):
            self._threads.link = Link(self.account.headers if self.account else dict)
        found: Link = self._threads.link
        return found

    def _taken_back(self, taken: Withdrawn) -> Fate | None:
        known = self._ledger.known.get(taken.key)
        if known is None or known["state"] == "withdrawn":
            return None
        had = known["state"] == "fetched"
        self._ledger.note(key=taken.key, name=taken.name, state="withdrawn", reason=taken.cause, bytes=0)
        if had:
            self._anomaly("package withdrawn at its source", f"{taken.name}: {taken.cause}")
        return Fate(taken.name, "withdrawn", taken.cause)

    def _anomaly(self, signature: str, line: str) -> None:
        with self.store.write() as session:
            events.note_anomaly(session, now(session), "input", signature, line)


def _fault_of(path: Path) -> str:
    """What is wrong with a zip; empty if each of its files has its sum."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        return f"{bad} in it is damaged" if bad else ""
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as fault:
        return f"is no sound zip: {fault}"
    except OSError as fault:
        raise StorageError(f"{path}: {fault.strerror}") from fault


__all__ = ["Fate", "Fetcher"]
