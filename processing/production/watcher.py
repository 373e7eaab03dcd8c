"""The inbox: what is dropped there is catalogued once it is whole; what is bad goes to ``rejected/`` with its reason.

The folder is looked at again and again, which also works where no file system events come, as on NFS.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import structlog

from processing.errors import MuscateError, StorageError
from processing.product import disk
from processing.production import logs
from processing.production.ingest import SUFFIXES, Ingested, files, ingest, packages, prepare, remove, same_files
from processing.settings import Settings
from processing.store import Store, events
from processing.store.dialect import now
from processing.store.models import Granule

log = structlog.get_logger(__name__)

#: Endings of files that a transfer program has not finished yet.
PARTIAL = (".part", ".partial", ".tmp", ".filepart", ".crdownload", ".aria2")
#: ``<package>.done`` beside a package says that it is whole; checksums may lie beside one.
DONE = ".done"
BESIDE = (DONE, ".md5", ".reason.txt")
#: A whole package waits this long at most for the rest of the inbox to come to rest, so that dates which are
#: dropped together enter in the order of time and not in that of the drop. [s]
PATIENCE = 20.0
#: Prefix of what was catalogued and is about to be removed.
TAKEN = ".taken-"

Signature = tuple[int, int, int]


class Inbox:
    """What was seen at the last look."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self._seen: dict[Path, Signature] = {}
        self._whole_since: dict[Path, float] = {}
        self._noticed: dict[Path, datetime] = {}

    def look(self) -> list[Ingested]:
        """Look once and take what is whole: stable since the last look, or marked ``.done``."""
        visible, seen = self._scan()
        moving = any(self._seen.get(path) != signature for path, signature in seen.items())
        whole = [p for p in visible if p in self._seen and self._seen[p] == seen[p]]
        self._noticed = {p: self._noticed.get(p, datetime.now(UTC)) for p in visible}
        clock = time.monotonic()
        self._whole_since = {p: self._whole_since.get(p, clock) for p in whole}
        self._seen = seen
        impatient = any(clock - since >= PATIENCE for since in self._whole_since.values())
        marked = [p for p in visible if Path(f"{p}{DONE}").exists()]
        take = sorted({*marked, *(whole if impatient or not moving else [])})
        results = list(ingest(self.settings, self.store, take, "inbox", self._noticed)) if take else []
        for result in results:
            self._clear(result)
        return results

    def _scan(self) -> tuple[list[Path], dict[Path, Signature]]:
        """Packages that may be taken, and signatures of all that is there, whole or not."""
        visible: list[Path] = []
        seen: dict[Path, Signature] = {}
        try:
            entries = sorted(self.settings.inbox.iterdir())
        except OSError as error:
            raise StorageError(f"{self.settings.inbox}: can't be read: {error.strerror}") from error
        for entry in entries:
            if entry == self.settings.rejected or entry.name.endswith(BESIDE):
                continue
            if entry.name.startswith(TAKEN):
                remove(entry)  # a removal that was interrupted
                continue
            seen[entry] = _signature(entry)
            if entry.name.startswith(".") or entry.suffix in PARTIAL:
                continue
            held = packages(entry)
            if entry.is_dir() and held == [entry] and entry.suffix not in SUFFIXES and not any(entry.iterdir()):
                continue  # an empty folder says nothing yet
            for package in held:
                seen[package] = _signature(package)
                visible.append(package)
        return visible, seen

    def _clear(self, result: Ingested) -> None:
        """Take a package that is catalogued out of the inbox, or set a bad one aside."""
        package = result.path
        if not result.accepted and not result.bad:
            return  # the disk or the store is in trouble: it stays, and is looked at again
        with disk.storing(package):
            if result.accepted or self._is_ours(package):
                taken = package.with_name(TAKEN + package.name)
                package.rename(taken)
                remove(taken)
            else:
                self._reject(result)
        Path(f"{package}{DONE}").unlink(missing_ok=True)
        self._seen.pop(package, None)
        folder = package.parent
        if folder != self.settings.inbox and not any(folder.iterdir()):
            folder.rmdir()

    def _is_ours(self, package: Path) -> bool:
        """Whether it was catalogued already by an ingest that was stopped before it could clear the inbox."""
        name = package.name.removesuffix(".zip").removesuffix(".SAFE")
        with self.store.read() as session:
            known = [g.path for g in session.query(Granule).filter(Granule.name == name)]
        try:
            return any(same_files(package, self.settings.l1c / path) for path in known)
        except MuscateError:
            return False

    def _reject(self, result: Ingested) -> None:
        package, number = result.path, 1
        target = self.settings.rejected / package.name
        while target.exists() or target.is_symlink():
            number += 1
            target = self.settings.rejected / f"{package.name}.{number}"
        reason = result.reason or "no reason"
        target.with_name(target.name + ".reason.txt").write_text(reason + "\n", encoding="utf-8")
        package.rename(target)
        with self.store.write() as session:
            data = {"l1c": package.name, "reason": reason}
            events.record(session, now(session), "refused", severity="warning", actor="inbox", data=data)
            events.note_anomaly(session, now(session), "input", "refused Level-1C", reason)


def watch(settings: Settings, stop: threading.Event) -> None:
    """Look into the inbox every `settings.scan_seconds` until stopped."""
    logs.start(settings, "watch")
    store = Store(settings.url)
    store.upgrade()
    prepare(settings, store)
    inbox = Inbox(settings, store)
    log.info("watching", inbox=str(settings.inbox.resolve()))
    while not stop.is_set():
        try:
            inbox.look()
        except MuscateError as error:
            log.error("inbox", reason=str(error))
        stop.wait(settings.scan_seconds)
    store.dispose()


def _signature(entry: Path) -> Signature:
    """Size, newest change and number of files; changes as long as something is written."""
    try:
        found = [s for _, s in files(entry)]
        found.append(os.stat(entry))
    except (OSError, MuscateError):  # vanished meanwhile, a broken link, or something the reader will refuse
        return (-1, 0, 0)
    return sum(s.st_size for s in found), max(s.st_mtime_ns for s in found), len(found)
