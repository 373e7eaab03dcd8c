"""Claims dates in time order and has workers run them; all it knows is in the store, so any number of them may run."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time

import structlog

from processing.alerts import rules, watch
from processing.errors import MuscateError, StorageError
from processing.production import janitor, logs, nightly, webhooks, worker
from processing.production.child import PRODUCE
from processing.production.executors import Executor, Run, executor, reach
from processing.production.ingest import prepare
from processing.settings import Settings
from processing.store import Store, backlog, draining, events, lease
from processing.store.dialect import now
from processing.store.lease import Claim

log = structlog.get_logger(__name__)

#: Longest wait before the store is looked at again, and time between two rounds of the janitor. [s]
LOOK_SECONDS, JANITOR_SECONDS = 0.5, 60.0
#: Dates that are claimed in one transaction.
AT_ONCE = 16
#: Wait after a fault, that one that lasts does not fill the log. [s]
FAULT_SECONDS = 5.0
#: Time between two rounds in which it looks at the whole archive. [s]
THOROUGH_SECONDS = 3600.0


def dispatch(settings: Settings, stop: threading.Event, produce: str = PRODUCE) -> None:
    """Claim and place dates until stopped, never more than there are free slots.

    Parameters
    ----------
    produce : str
        As in `worker.run_attempt`.

    Raises
    ------
    WrongSetting
        If the scheduler does not answer at the start, or is one that dates can't be trusted to.
    """
    reach(settings)
    logs.start(settings, "dispatch")
    settings = settings.model_copy(update={"home": settings.home.resolve()})
    store = Store(settings.url)
    store.upgrade()
    prepare(settings, store)
    # Threads: neither a mail server that does not answer nor a look at the archive keeps a date waiting.
    known = rules.read(rules.path(settings))
    ended = threading.Event()
    beside = [
        threading.Thread(target=watch.run, args=(settings, known, ended), name="alerts", daemon=True),
        threading.Thread(target=nightly.run, args=(settings, ended), name="audit", daemon=True),
        threading.Thread(target=webhooks.run, args=(settings, ended), name="webhooks", daemon=True),
    ]
    for thread in beside:
        thread.start()
    worker.stopping.clear()
    try:
        while not stop.is_set():
            try:
                with executor(settings) as slots:
                    try:
                        Dispatcher(slots, store, settings, produce).serve(stop)
                    finally:
                        # Attempts at home end with this process; elsewhere they go on and publish by themselves.
                        if stop.is_set() or settings.executor == "local":
                            worker.stopping.set()
            except OSError as error:
                log.error("scheduler out of reach", scheduler=settings.executor, reason=str(error))
                stop.wait(5)
    finally:
        ended.set()
        worker.end_children()
        for thread in beside:
            thread.join(5)
        store.dispose()


class Dispatcher:
    """What one dispatcher has handed out."""

    def __init__(self, slots: Executor, store: Store, settings: Settings, produce: str) -> None:
        self.executor, self.store, self.settings, self.produce = slots, store, settings, produce
        self.owner = f"{socket.gethostname()}:{os.getpid()}"
        self.program = worker.program()
        self.placed: dict[Run, Claim] = {}
        self._wake = threading.Event()
        self._cleaned, self._cleaned_all = -JANITOR_SECONDS, -THOROUGH_SECONDS
        self._kept = time.monotonic()
        self._told_of_disk: float | None = None

    def serve(self, stop: threading.Event) -> None:
        """Go on until stopped.

        Raises
        ------
        OSError
            If the scheduler is lost.
        """
        log.info("dispatching", executor=self.settings.executor, owner=self.owner)
        while not stop.is_set():
            self._wake.clear()
            try:
                self._tidy()
                self._place(stop)
            except MuscateError as error:
                log.error("dispatch", reason=str(error))
                stop.wait(FAULT_SECONDS)
            except OSError:  # the scheduler's, after which another client is made
                raise
            except Exception:  # of one date, or of a look at the store: the others go on
                log.exception("dispatch")
                stop.wait(FAULT_SECONDS)
            self._wake.wait(LOOK_SECONDS)

    def _tidy(self) -> None:
        """See what has ended, keep the leases of what waits, and let the janitor in from time to time."""
        for run in [run for run in self.placed if run.done()]:
            claim = self.placed.pop(run)
            # One that is lost or broke off leaves its lease to run out; nothing else is needed.
            if (reason := self.executor.trouble(run)) is not None:
                log.error("attempt broke off", attempt=claim.attempt_id, tile=claim.tile, reason=reason)
        clock = time.monotonic()
        if self.placed and clock - self._kept >= self.settings.lease_seconds / 4:
            self._kept = clock
            with self.store.write() as session:
                lease.keep_waiting(session, self.placed.values(), self.settings.lease_seconds)
        if clock - self._cleaned >= JANITOR_SECONDS:
            self._cleaned = clock
            thorough = clock - self._cleaned_all >= THOROUGH_SECONDS
            janitor.sweep(self.store, self.settings, thorough=thorough)
            if thorough:
                self._cleaned_all = clock

    def _place(self, stop: threading.Event) -> None:
        slots, free = self.executor.slots()
        # Some slots are never for the archive, but where there is only one.
        most = max(1, int(slots * (1 - self.settings.real_time_share)))
        while free > 0 and not stop.is_set():
            claims = self._claims(min(free, AT_ONCE), most)
            for claim in claims:
                run = self.executor.run(claim, self.settings, self.produce)
                self.placed[run] = claim
                run.add_done_callback(lambda _: self._wake.set())
                log.info("placed", tile=claim.tile, version=claim.version, date=f"{claim.sensing:%Y-%m-%d}")
            if not claims:
                break
            free -= len(claims)

    def _claims(self, slots: int, of_archive: int) -> list[Claim]:
        """Dates for free slots, in one transaction; no more of the archive than so many run at once."""
        seconds = self.settings.lease_seconds
        archive = sum(claim.reprocessing for claim in self.placed.values())
        with self.store.read() as session:
            if draining.since(session) is not None:
                return []
            if not lease.claimable(session, seconds, urgent=archive >= of_archive):
                return []
        if not self._has_room():
            return []
        found: list[Claim] = []
        with self.store.write() as session:
            while len(found) < slots:
                urgent = archive + sum(claim.reprocessing for claim in found) >= of_archive
                claim = lease.claim(session, self.owner, seconds, urgent=urgent, program=self.program)
                if claim is None:
                    break
                # At home its slot is free now: one transaction less for each date.
                at_home = self.settings.executor == "local"
                found.append(worker.begin(session, claim, seconds) if at_home else claim)
        return found

    def _has_room(self) -> bool:
        """Whether the archive has room for another date; where it hasn't, the store is told, so that all can see it."""
        archive, floor = self.settings.archive, self.settings.min_free_gb
        try:
            free = shutil.disk_usage(archive).free / 1e9
        except OSError as error:
            raise StorageError(f"{archive}: can't be read: {error.strerror}") from error
        if free >= floor:
            if self._told_of_disk is not None:
                self._told_of_disk = None
                with self.store.write() as session:
                    events.end_anomaly(session, now(session), "infrastructure", backlog.DISK_FLOOR)
                log.info("there is room again", free_gb=round(free, 1))
            return True
        if self._told_of_disk is None or time.monotonic() - self._told_of_disk > backlog.FLOOR_LIFE.total_seconds() / 3:
            self._told_of_disk = time.monotonic()
            line = f"{archive}: {free:.1f} GB free, {floor:.1f} wanted: nothing starts"
            log.error("no room", reason=line)
            with self.store.write() as session:
                events.note_anomaly(session, now(session), "infrastructure", backlog.DISK_FLOOR, line)
        return False
