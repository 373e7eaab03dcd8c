"""Claims dates in time order and has workers run them; all it knows is in the store, so any number of them may run."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dask
import structlog
from distributed import Client, Future, Scheduler, SpecCluster, Worker

from processing.alerts import rules, watch
from processing.errors import MuscateError, StorageError
from processing.production import janitor, logs, webhooks, worker
from processing.production.child import PRODUCE
from processing.production.ingest import prepare
from processing.settings import Settings
from processing.store import Store, lease

log = structlog.get_logger(__name__)

#: Longest wait before the store is looked at again, and time between two rounds of the janitor. [s]
LOOK_SECONDS, JANITOR_SECONDS = 0.5, 60.0
#: Wait after a fault, that one that lasts does not fill the log. [s]
FAULT_SECONDS = 5.0


@contextmanager
def _client(settings: Settings) -> Iterator[Client]:
    """A dask client: of the scheduler given in the settings, or of workers in threads of this process.

    Threads are enough at home: each only looks after the child process that runs the chain.
    """
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        if settings.executor != "local":
            with Client(settings.executor, timeout=30, set_as_default=False) as client:
                yield client
            return
        # dask serves its figures over HTTP in any case; they stay on this host. The rest goes through memory.
        quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        slot = {"cls": Worker, "options": {"nthreads": 1, "memory_limit": 0, **quiet}}
        scheduler = {"cls": Scheduler, "options": {"protocol": "inproc", **quiet}}
        with (
            SpecCluster({n: slot for n in range(settings.workers)}, scheduler) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


def dispatch(settings: Settings, stop: threading.Event, produce: str = PRODUCE) -> None:
    """Claim and place dates until stopped, never more than there are free slots.

    Parameters
    ----------
    produce : str
        As in `worker.run_attempt`.
    """
    logs.start(settings, "dispatch")
    settings = settings.model_copy(update={"home": settings.home.resolve()})
    store = Store(settings.url)
    store.upgrade()
    prepare(settings, store)
    # A thread: a mail server that does not answer keeps no date waiting.
    known = rules.read(rules.path(settings))
    telling = threading.Thread(target=watch.run, args=(settings, known, stop), name="alerts", daemon=True)
    telling.start()
    threading.Thread(target=webhooks.run, args=(settings, stop), name="webhooks", daemon=True).start()
    worker.stopping.clear()
    while not stop.is_set():
        try:
            with _client(settings) as client:
                _serve(client, store, settings, stop, produce)
                # Attempts at home end with this process; elsewhere they go on and publish by themselves.
                worker.stopping.set()
        except OSError as error:
            log.error("scheduler out of reach", scheduler=settings.executor, reason=str(error))
            stop.wait(5)
    worker.end_children()
    telling.join(5)
    store.dispose()


def _serve(client: Client, store: Store, settings: Settings, stop: threading.Event, produce: str) -> None:
    owner = f"{socket.gethostname()}:{os.getpid()}"
    wake = threading.Event()
    placed: set[Future[str]] = set()
    cleaned = -JANITOR_SECONDS
    log.info("dispatching", executor=settings.executor, owner=owner)
    while not stop.is_set():
        wake.clear()
        try:
            if time.monotonic() - cleaned >= JANITOR_SECONDS:
                cleaned = time.monotonic()
                janitor.sweep(store, settings)
            placed = {future for future in placed if not _ended(future)}
            slots = sum(w["nthreads"] for w in client.scheduler_info()["workers"].values())
            while len(placed) < slots and not stop.is_set():
                claim = _claim(store, settings, owner)
                if claim is None:
                    break
                key = f"a{claim.attempt_id}-{claim.token}"
                future = client.submit(worker.run_attempt, claim, settings, produce, key=key, pure=False, retries=0)
                future.add_done_callback(lambda _: wake.set())
                placed.add(future)
                log.info("placed", tile=claim.tile, version=claim.version, date=f"{claim.sensing:%Y-%m-%d}")
        except MuscateError as error:
            log.error("dispatch", reason=str(error))
            stop.wait(FAULT_SECONDS)
        except OSError:  # the scheduler's, after which another client is made
            raise
        except Exception:  # of one date, or of a look at the store: the others go on
            log.exception("dispatch")
            stop.wait(FAULT_SECONDS)
        wake.wait(LOOK_SECONDS)
    worker.stopping.set()
    if settings.executor == "local":
        for future in placed:
            with suppress(Exception):  # one that does not end now leaves its lease to run out
                future.exception(timeout=30)


def _claim(store: Store, settings: Settings, owner: str) -> lease.Claim | None:
    with store.read() as session:
        if not lease.claimable(session):
            return None
    free = shutil.disk_usage(settings.archive).free / 1e9
    if free < settings.min_free_gb:
        raise StorageError(f"{settings.archive}: {free:.1f} GB free, {settings.min_free_gb:.1f} wanted: nothing starts")
    with store.write() as session:
        return lease.claim(session, owner, settings.lease_seconds)


def _ended(future: Future[str]) -> bool:
    """Whether an attempt is over. One that is lost or broke off leaves its lease to run out; nothing else is needed."""
    if not future.done():
        return False
    if future.status != "finished":
        log.error(
            "attempt broke off",
            key=future.key,
            reason=repr(future.exception()) if future.status == "error" else future.status,
        )
    return True
