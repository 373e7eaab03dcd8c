"""One attempt on a worker: keep the lease, run the chain in a child process, publish or record what happened."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from processing import __version__
from processing.errors import (
    Fenced,
    InputError,
    L1CError,
    MuscateError,
    OutOfRange,
    StorageError,
    StoreError,
    Unrecognised,
)
from processing.naming import bare
from processing.product import disk
from processing.production import attempt_log, logs, publish
from processing.production.child import PRODUCE, Child, Limits, Unusable
from processing.production.request import Request, Setup
from processing.settings import Settings
from processing.store import Store, attempts, lease, outcomes
from processing.store.lease import Claim

log = structlog.get_logger(__name__)

#: How often the progress of a date is written down at most. [s]
TELL_SECONDS = 5.0
#: Set when this process is asked to stop: attempts return their dates.
stopping = threading.Event()
_idle: list[Child] = []


class Returned(MuscateError):
    """The worker is being stopped."""


@cache
def _store(url: str) -> Store:
    return Store(url)


@contextmanager
def _child() -> Iterator[Child]:
    """A child that is idle, or a new one."""
    try:
        child = _idle.pop()
    except IndexError:
        child = Child()
    try:
        yield child
    finally:
        _idle.append(child)


def end_children() -> None:
    """End the children that are idle."""
    while _idle:
        _idle.pop().kill()


class _Lease:
    """Renews the lease of a claim from a thread of its own, and says when it passed on."""

    def __init__(self, store: Store, claim: Claim, seconds: float) -> None:
        self.store, self.claim, self.seconds = store, claim, seconds
        self.lost: Fenced | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> _Lease:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._stop.wait(self.seconds / 4):
            try:
                with self.store.write() as session:
                    lease.renew(session, self.claim, self.seconds)
            except Fenced as error:
                self.lost = error
                return
            except StoreError as error:  # it may come back before the lease ends
                log.warning("lease not renewed", reason=str(error))


class _Telling:
    """Writes down how far an attempt is, now and then: a short one leaves no trace but its end."""

    def __init__(self, store: Store, claim: Claim) -> None:
        self.store, self.claim = store, claim
        self._due: float | None = None
        self._untold: tuple[str, float] | None = None

    def __call__(self, step: str, share: float) -> None:
        """A step begins."""
        self._untold = step, share
        if self._due is None:
            self._due = time.monotonic() + TELL_SECONDS
        self.tell()

    def tell(self) -> None:
        """Write the last word down if it is time to."""
        if self._untold is None or self._due is None or time.monotonic() < self._due:
            return
        (step, share), self._untold = self._untold, None
        self._due = time.monotonic() + TELL_SECONDS
        try:
            with self.store.write() as session:
                attempts.tell(session, self.claim.attempt_id, step, share)
        except StoreError as error:  # the date is more than the word of it
            log.warning("progress not told", reason=str(error))


def log_file(claim: Claim) -> Path:
    """The log of an attempt, relative to the home's ``logs/``."""
    return Path("attempts", f"{claim.sensing:%Y-%m}", f"{claim.tile}_{claim.version}_a{claim.attempt_id}.log")


def begin(session: Session, claim: Claim, seconds: float) -> Claim:
    """Note that this host begins with a claim, in the transaction that claims it or in one of its own.

    Raises
    ------
    Fenced
        As of `lease.started`.
    """
    lease.started(session, claim, socket.gethostname(), str(log_file(claim)), seconds)
    return replace(claim, begun=True)


def run_attempt(claim: Claim, settings: Settings, produce: str = PRODUCE) -> str:
    """Work on a claimed date to its end.

    Parameters
    ----------
    produce : str
        ``module:name`` of a function like `processing.production.processor.produce`.

    Returns
    -------
    str
        ``published``, ``not_valid``, ``rejected``, ``retry``, ``held``, ``failed``, ``fenced`` or ``returned``.
    """
    store = _store(settings.url)
    with structlog.contextvars.bound_contextvars(
        tile=claim.tile,
        version=claim.version,
        date=f"{claim.sensing:%Y-%m-%d}",
        job=claim.job_id,
        attempt=claim.attempt_id,
    ):
        staging = publish.staging(settings, claim)
        began = time.monotonic()
        try:
            with _Lease(store, claim, settings.lease_seconds) as held:
                done = _attempt(store, settings, claim, staging, held, produce)
        except Fenced:
            done = "fenced"
            with store.write() as session:
                lease.note_fenced(session, claim)
        except Returned:
            done = "returned"
            with store.write() as session:
                outcomes.given_back(session, claim)
        except MuscateError as error:
            done = _record(store, claim, error)
            attempt_log.note(
                settings.logs / log_file(claim),
                "recorded",
                "warning",
                error=type(error).__name__,
                reason=" ".join(str(error).split()),
            )
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        attempt_log.note(settings.logs / log_file(claim), done, seconds=round(time.monotonic() - began, 1))
        log.info(done)
        return done


def _attempt(store: Store, settings: Settings, claim: Claim, staging: Path, held: _Lease, produce: str) -> str:
    log_path = log_file(claim)
    with disk.storing(staging):
        staging.mkdir(parents=True)
        (settings.logs / log_path).parent.mkdir(parents=True, exist_ok=True)
    if not claim.begun:
        with store.write() as session:
            begin(session, claim, settings.lease_seconds)
    attempt_log.note(
        settings.logs / log_path,
        "attempt",
        tile=claim.tile,
        version=claim.version,
        sensing=f"{claim.sensing:%Y-%m-%dT%H:%M:%SZ}",
        revision=claim.revision,
        l1c=list(claim.names),
        previous=claim.previous.identifier if claim.previous else None,
        later_dates=len(claim.later),
        host=socket.gethostname(),
        code=__version__,
    )
    state = None if claim.previous is None else settings.state / claim.previous.state_path
    if state is not None and not state.exists():
        # Never start anew in silence where a state should be.
        raise StorageError(f"{state}: the recurrent state of the previous date is missing")

    telling = _Telling(store, claim)

    def give_up() -> MuscateError | None:
        telling.tell()
        return held.lost or (Returned("the worker is being stopped") if stopping.is_set() else None)

    with _child() as child:
        outcome, peak = child.run(
            produce,
            Request(
                packages=[settings.l1c / path for path in claim.packages],
                tile=claim.tile,
                version=claim.version,
                staging=staging,
                previous_state=state,
                later=[[settings.l1c / path for path in date] for date in claim.later],
                setup=Setup(dem=settings.dem, terrain_cache=settings.home / "terrain", admitted=settings.admitted),
            ),
            log=settings.logs / log_path,
            limits=Limits(
                settings.attempt_seconds, settings.attempt_memory_gb * 1e9, settings.attempt_staging_gb * 1e9
            ),
            give_up=give_up,
            progress=telling,
        )
    kept = publish.made(outcome, peak)
    if outcome.status == "valid":
        publish.publish(store, settings, claim, outcome, kept)
        return "published"
    with store.write() as session:
        reason = outcome.origin.get("reason") or f"{outcome.figures.cloud_percent:.1f} % cloud"
        outcomes.not_valid(session, claim, kept, reason)
    attempt_log.note(settings.logs / log_path, "no product", reason=reason)
    return "not_valid"


def _record(store: Store, claim: Claim, error: MuscateError) -> str:
    """A failure known by name: the Level-1C is refused, or the attempt failed."""
    reason = " ".join(str(error).split())
    log.warning("attempt failed", reason=reason, failure=type(error).__name__)
    try:
        with store.write() as session:
            if isinstance(error, L1CError | OutOfRange) and not isinstance(error, Unrecognised):
                bad = bare(error.path.name) if isinstance(error, L1CError) else None
                return outcomes.rejected(session, claim, error.reason_class, reason, bad)
            failure = outcomes.Failure(
                error.reason_class,
                reason,
                type(error).__name__,
                again=error.retry,
                # A terrain model, a state, an installation that can't be used, a satellite that is no more admitted:
                # the later dates would meet the same.
                hold=isinstance(error, InputError | Unusable),
                exit_code=getattr(error, "exit_code", None),
            )
            return outcomes.failed(session, claim, failure)
    except Fenced:
        return "fenced"
    except StoreError as gone:
        log.error("outcome not recorded: the lease will run out", reason=str(gone))
        return "lost"


@cache
def _code() -> str:
    """Digest of the program's own files."""
    package = Path(__file__).parents[1]
    digest = sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def program() -> str:
    """The version of this program, and a digest of its files."""
    return f"{__version__} {_code()}"


def identity(settings: Settings) -> dict[str, str]:
    """What a process that runs dates has to have in common with who hands them out: program, Python, and the disk."""
    try:
        place = str((settings.archive / publish.STAGING).stat().st_ino)
    except OSError as error:
        place = f"no archive in {settings.home} ({error.strerror})"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"program": program(), "Python": version, "archive": place}


def condition(settings: Settings) -> dict[str, str]:
    """What else whoever hands dates out is told of a process that runs them: its kernels, and the room that it sees."""
    try:
        room = f"{shutil.disk_usage(settings.archive).free / 1e9:.1f} GB"
    except OSError as error:
        room = str(error.strerror)
    return {"host": socket.gethostname(), "kernels": "compiled" if is_warm() else "not compiled", "room": room}


def is_warm() -> bool:
    """Whether the kernels of this installation are compiled (`muscate warmup`)."""
    return any(Path(__file__).parents[1].rglob("*.nbi"))


def work(settings: Settings, stop: threading.Event) -> None:
    """Join the dask scheduler of `settings.executor` with `settings.workers` slots until stopped."""
    logs.start(settings, "worker")
    if not settings.joins:
        log.info(f"nothing to join: the dispatcher has the dates run (MUSCATE_EXECUTOR is {settings.executor})")
        stop.wait()
        return
    asyncio.run(_join(settings, stop))
    end_children()


async def _join(settings: Settings, stop: threading.Event) -> None:
    import dask
    from distributed import Worker

    # Memory is bounded by the batch system: the chain runs in a child, which dask does not see.
    with dask.config.set({"distributed.worker.memory.terminate": False}):
        slots = [
            await Worker(
                settings.executor, nthreads=1, memory_limit=0, dashboard_address="127.0.0.1:0", death_timeout=60
            )
            for _ in range(settings.workers)
        ]
    log.info("joined", scheduler=settings.executor, slots=len(slots))
    while not stop.is_set() and all(slot.status.name == "running" for slot in slots):
        await asyncio.sleep(0.5)
    stopping.set()
    for slot in slots:
        await slot.close(timeout=10)
