"""The inbox: what is dropped there is catalogued once it is whole; what is bad goes to ``rejected/`` with its reason.

The folder is looked at again and again, which also works where no file system events come, as on NFS.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import structlog

from processing.errors import MuscateError, StorageError, printable
from processing.known import read as read_known
from processing.l1c import packages
from processing.l1c.finding import PARTIAL, is_stray
from processing.product import disk
from processing.production import logs
from processing.production.alone import Runs, alone
from processing.production.arriving import SUM, fault_by, has_manifest, lacking, sums_beside
from processing.production.ingest import INBOX, SUFFIXES, Ingested, files, ingest, named, prepare, same_files
from processing.settings import Settings
from processing.storage import remove
from processing.store import Store, events, formats
from processing.store.dialect import now
from processing.store.models import Granule, HeldPackage

log = structlog.get_logger(__name__)

#: ``<package>.done`` beside a package says that it is whole; checksums may lie beside one.
DONE = ".done"
BESIDE = (DONE, SUM, ".reason.txt")
#: A whole package waits this long at most for the rest of the inbox to come to rest, so that dates which are
#: dropped together enter in the order of time and not in that of the drop. [s]
PATIENCE = 20.0
#: Prefix of what was catalogued and is about to be removed.
TAKEN = ".taken-"
#: Of a file, on all usual file systems. [bytes]
LONGEST_NAME = 255

Signature = tuple[int, int, int]


class Inbox:
    """What was seen at the last look."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self._seen: dict[Path, Signature] = {}
        self._whole_since: dict[Path, float] = {}
        self._noticed: dict[Path, datetime] = {}
        #: Of packages that may only pause: what they lack.
        self._told: dict[Path, str] = {}
        #: Of packages with sums beside them: which was looked at, and how it differs.
        self._summed: dict[Path, tuple[tuple[Signature, Signature], str]] = {}

    def look(self) -> list[Ingested]:
        """Look once and take what is whole: stable since the last look, or said to be whole by what lies beside it.

        What is stable and lacks something is waited for as long as a copy may pause.
        """
        visible, seen = self._scan()
        moving = any(self._seen.get(path) != signature for path, signature in seen.items())
        whole = [p for p in visible if p in self._seen and self._seen[p] == seen[p]]
        self._noticed = {p: self._noticed.get(p, datetime.now(UTC)) for p in visible}
        clock = time.monotonic()
        self._whole_since = {p: self._whole_since.get(p, clock) for p in whole}
        self._told = {p: said for p, said in self._told.items() if p in self._whole_since}
        self._seen = seen
        impatient = any(clock - since >= PATIENCE for since in self._whole_since.values())
        marked, differ = self._said_whole(visible, seen)
        ready = whole if impatient or not moving else []
        take = sorted({*marked, *(p for p in ready if p not in differ and not self._may_grow(p))})
        results = list(ingest(self.settings, self.store, take, INBOX, self._noticed)) if take else []
        results = [result for result in results if not self._to_be_read_again(result, marked)]
        results += [Ingested(printable(p.name), p, False, differ[p], True) for p in ready if differ.get(p)]
        troubles = [error for result in results if (error := self._cleared(result)) is not None]
        if troubles:
            raise troubles[0]  # when all the others are out of the way
        return results

    def _said_whole(self, visible: list[Path], seen: dict[Path, Signature]) -> tuple[set[Path], dict[Path, str]]:
        """Packages that what lies beside them says to be whole; and of those whose sums differ, how: a copy on its way
        has another sum, so an empty text means to wait.
        """
        marked = {p for p in visible if os.path.exists(f"{p}{DONE}")}
        differ: dict[Path, str] = {}
        for package in visible:
            if (sums := sums_beside(package)) is None:
                continue
            known = (seen[package], _signature(sums))
            if self._summed.get(package, (None, ""))[0] != known:
                if package not in self._whole_since and package not in marked:
                    differ[package] = ""  # it still grows: its sum would say nothing
                    continue
                self._summed[package] = known, fault_by(sums, package)
            if not (fault := self._summed[package][1]):
                marked.add(package)
            else:
                differ[package] = fault if package in marked or self._is_quiet(package) else ""
                marked.discard(package)
        self._summed = {p: found for p, found in self._summed.items() if p in seen}
        return marked, differ

    def _is_quiet(self, package: Path) -> bool:
        """Whether nothing of a package has changed for longer than a copy may pause."""
        since = self._whole_since.get(package)
        return since is not None and time.monotonic() - since >= self.settings.pause_seconds

    def _may_grow(self, package: Path) -> bool:
        """Whether a package that is stable may only pause: it lacks something, or was read in vain just before."""
        if self._is_quiet(package):
            return False
        if package in self._told:
            return True
        if found := lacking(package):
            self._told[package] = found
            log.info("waiting for the rest", l1c=printable(package.name), lacks=printable(found))
        return bool(found)

    def _to_be_read_again(self, result: Ingested, marked: set[Path]) -> bool:
        """Whether a package that was refused may only pause, as nothing in it says what it consists of."""
        package = result.path
        if result.accepted or not result.bad or package in marked or self._is_quiet(package) or has_manifest(package):
            return False
        self._told[package] = result.reason or ""
        return True

    def release(self) -> list[Ingested]:
        """Take what was held and need wait no more, the dates of each tile in their order; one process at a time.

        Raises
        ------
        MuscateError
            If the store or the disk is in trouble: it is tried again.
        """
        with self.store.read() as session:
            waiting = list(formats.held(session))
        if not waiting:
            return []
        known = read_known(self.settings.admitted)
        ready = [p for p in waiting if all(need in known.satellites or known.baseline(need) for need in p.needs)]
        if not ready:
            return []
        try:
            with alone(self.settings, "release"):
                return self._release(ready)
        except Runs:
            return []

    def _release(self, ready: list[HeldPackage]) -> list[Ingested]:
        results = []
        held = {self.settings.l1c / package.path: package for package in ready}
        sources = {path: package.source for path, package in held.items()}
        noticed = {path: package.seen for path, package in held.items()}
        for result in ingest(self.settings, self.store, list(held), sources, noticed):
            results.append(result)
            if result.held or not (result.accepted or result.bad):
                continue
            if result.bad and not self._is_ours(result.path):
                with disk.storing(result.path):
                    self._reject(result)
            with self.store.write() as session:
                formats.let_go(session, held[result.path].name)
            remove(result.path)
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
            if entry == self.settings.rejected or entry.name.endswith(BESIDE) or is_stray(entry.name):
                continue
            if entry.name.startswith(TAKEN):
                remove(entry)  # a removal that was interrupted
                continue
            seen[entry] = _signature(entry)
            if entry.name.startswith(".") or entry.suffix in PARTIAL:
                continue
            held = packages(entry)
            if held == [entry] and entry.suffix not in SUFFIXES and _is_empty_folder(entry):
                continue  # an empty folder says nothing yet
            for package in held:
                seen[package] = _signature(package)
                visible.append(package)
        return visible, seen

    def _cleared(self, result: Ingested) -> MuscateError | None:
        """`_clear`, with what it could not do: the other packages don't wait for it."""
        try:
            self._clear(result)
        except MuscateError as error:
            return error
        except OSError as error:
            return StorageError(f"{result.path}: can't be moved: {error.strerror or error}")
        return None

    def _clear(self, result: Ingested) -> None:
        """Take a package that is catalogued out of the inbox, or set a bad one aside."""
        package = result.path
        if not (result.accepted or result.bad or result.held):
            return  # the disk or the store is in trouble: it stays, and is looked at again
        with disk.storing(package):
            if not os.path.lexists(package):
                pass  # taken out by its owner meanwhile
            elif result.accepted or result.held or self._is_ours(package):
                taken = package.with_name(f"{TAKEN}{uuid4().hex}")
                package.rename(taken)
                remove(taken)
            else:
                self._reject(result)
        with suppress(OSError):
            Path(f"{package}{DONE}").unlink(missing_ok=True)
            if not os.path.lexists(package) and (sums := sums_beside(package)) is not None:
                sums.unlink(missing_ok=True)
        self._seen.pop(package, None)
        self._remove_empty(package.parent)

    def _remove_empty(self, folder: Path) -> None:
        """Remove a folder of the inbox that nothing is left in but what desktops leave, and those around it."""
        while folder != self.settings.inbox and self.settings.inbox in folder.parents:
            left = list(folder.iterdir())
            if not all(is_stray(path.name) for path in left):
                return
            remove(folder)
            folder = folder.parent

    def _is_ours(self, package: Path) -> bool:
        """Whether it was catalogued already by an ingest that was stopped before it could clear the inbox."""
        name = named(package)
        with self.store.read() as session:
            known = [g.path for g in session.query(Granule).filter(Granule.name == name)]
        try:
            return any(same_files(package, self.settings.l1c / path) for path in known)
        except MuscateError:
            return False

    def _reject(self, result: Ingested) -> None:
        package, number = result.path, 1
        while True:
            target = self.settings.rejected / _named(package.name, "" if number == 1 else f".{number}")
            if not os.path.lexists(target):
                break
            number += 1
        reason = result.reason or "no reason"
        beside = target.with_name(_named(target.name, ".reason.txt"))
        beside.write_text(reason + "\n", encoding="utf-8", errors="backslashreplace")
        package.rename(target)
        with self.store.write() as session:
            data = {"l1c": printable(package.name), "reason": reason}
            events.record(session, now(session), "refused", severity="warning", actor="inbox", data=data)
            events.note_anomaly(session, now(session), "input", "refused Level-1C", reason)


def _named(name: str, ending: str) -> str:
    """A name with an ending, cut so that a file may bear it."""
    limit = LONGEST_NAME - len(os.fsencode(ending))
    return os.fsdecode(os.fsencode(name)[:limit]) + ending


def _is_empty_folder(entry: Path) -> bool:
    try:
        return entry.is_dir() and all(is_stray(path.name) for path in entry.iterdir())
    except OSError:
        return False


def watch(settings: Settings, stop: threading.Event) -> None:
    """Look into the inbox every `settings.scan_seconds` until stopped, and let go what was held until it was admitted.

    Raises
    ------
    Runs
        If another process does so already.
    """
    with alone(settings, "watch"):
        _watch(settings, stop)


def _watch(settings: Settings, stop: threading.Event) -> None:
    logs.start(settings, "watch")
    store = Store(settings.url)
    store.upgrade()
    prepare(settings, store)
    inbox = Inbox(settings, store)
    log.info("watching", inbox=str(settings.inbox.resolve()))
    while not stop.is_set():
        try:
            inbox.release()
            inbox.look()
        except MuscateError as error:
            log.error("inbox", reason=str(error))
        except Exception:  # whatever it is, the next look may get on; the traceback is in the log
            log.exception("inbox")
        stop.wait(settings.scan_seconds)
    store.dispose()


def _signature(entry: Path) -> Signature:
    """Size, newest change and number of files; changes as long as something is written."""
    try:
        found = [s for _, s in files(entry)]
        found.append(os.stat(entry))
    except (OSError, ValueError, MuscateError):  # vanished, a broken link, or what will be refused
        return (-1, 0, 0)
    return sum(s.st_size for s in found), max(s.st_mtime_ns for s in found), len(found)
