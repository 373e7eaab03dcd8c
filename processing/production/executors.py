"""Where claimed dates are run: in threads of the dispatcher, or on the workers of a dask scheduler or batch system."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import structlog

from processing.errors import WrongSetting
from processing.production import batch, worker
from processing.production.publish import STAGING
from processing.settings import Settings
from processing.store.lease import Claim

if TYPE_CHECKING:
    import distributed

log = structlog.get_logger(__name__)

#: How long a scheduler may take to answer, and to be reached at all. [s]
ANSWER_SECONDS, REACH_SECONDS = 30, 5


class Run(Protocol):
    """A date that was handed out."""

    def done(self) -> bool:
        """Whether it is over, in whatever way."""

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        """Have a function called at its end."""


class Executor(Protocol):
    """Runs attempts."""

    def slots(self) -> tuple[int, int]:
        """How many dates may run at once, and how many more could begin now, whoever has handed out the others."""

    def run(self, claim: Claim, settings: Settings, produce: str) -> Run:
        """Hand a date out."""

    def trouble(self, run: Run) -> str | None:
        """Why a run that is over did not come to an end of its own; None if it did."""


def reach(settings: Settings) -> None:
    """See that the scheduler or batch system of the settings is there, before anything is begun.

    Raises
    ------
    WrongSetting
        If it is not.
    """
    if settings.executor == "local":
        return
    if not settings.joins:
        batch.check(settings)
        return
    address = urlsplit(settings.executor)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), REACH_SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WrongSetting(f"{settings.executor}: the scheduler does not answer ({reason})") from error


@contextmanager
def executor(settings: Settings) -> Iterator[Executor]:
    """The executor that the settings name.

    Raises
    ------
    OSError
        If the scheduler can't be reached.
    WrongSetting
        If it would run a lost date again by itself, or there is no such batch system here.
    """
    if settings.executor == "local":
        with ThreadPoolExecutor(settings.workers, "slot") as pool:
            yield Here(pool, settings.workers)
        return
    from distributed import Client

    (settings.archive / STAGING).mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        jobs = None if settings.joins else opened.enter_context(batch.pool(settings))
        address = jobs.cluster if jobs else settings.executor
        client = opened.enter_context(Client(address, timeout=ANSWER_SECONDS, set_as_default=False))
        there = Elsewhere(client, settings, jobs)
        there.check(settings.executor)
        yield there


class Here:
    """Threads are enough at home: each only looks after the child process that runs the chain."""

    def __init__(self, pool: ThreadPoolExecutor, size: int) -> None:
        self._pool, self._size = pool, size
        self._runs: set[Future[str]] = set()

    def slots(self) -> tuple[int, int]:
        """As of `Executor`."""
        self._runs = {run for run in self._runs if not run.done()}
        return self._size, self._size - len(self._runs)

    def run(self, claim: Claim, settings: Settings, produce: str) -> Future[str]:
        """As of `Executor`."""
        run = self._pool.submit(worker.run_attempt, claim, settings, produce)
        self._runs.add(run)
        return run

    def trouble(self, run: Run) -> str | None:
        """As of `Executor`."""
        assert isinstance(run, Future)
        error = run.exception()
        return None if error is None else repr(error)


class Elsewhere:
    """The workers of a scheduler, its own or jobs of a batch system. It keeps nothing that the store does not have."""

    def __init__(self, client: distributed.Client, settings: Settings, jobs: batch.Pool | None = None) -> None:
        self._client, self._settings, self._jobs = client, settings, jobs
        self._known: set[str] = set()

    def check(self, address: str) -> None:
        """Refuse a scheduler that runs what a lost worker had again by itself: that is for the store to decide.

        Raises
        ------
        WrongSetting
        """

        def allowed(dask_scheduler: Any) -> int:
            return int(dask_scheduler.allowed_failures)

        if found := self._ask(allowed):
            variable = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0"
            raise WrongSetting(f"{address}: runs lost dates again by itself, {found} times: start it with {variable}")

    def slots(self) -> tuple[int, int]:
        """As of `Executor`: what other dispatchers placed, and what waits at the scheduler, takes its slot too."""

        def look(dask_scheduler: Any) -> tuple[dict[str, int], int]:
            states = ("waiting", "queued", "no-worker", "processing")
            taken = sum(task.state in states for task in dask_scheduler.tasks.values())
            running = {name: one for name, one in dask_scheduler.workers.items() if one.status.name == "running"}
            return {name: one.nthreads for name, one in running.items()}, taken

        if self._jobs is not None:
            self._jobs.keep()
        workers, taken = self._ask(look)
        refused = self._refuse(set(workers) - self._known)
        self._known = set(workers) - refused
        slots = sum(threads for name, threads in workers.items() if name in self._known)
        return slots, slots - taken

    def _refuse(self, strangers: set[str]) -> set[str]:
        """Send workers away that run another program, or another archive; they say so, and end."""
        if not strangers:
            return set()
        ours = worker.identity(self._settings)
        asked: dict[str, Any] = {"workers": sorted(strangers), "on_error": "return"}
        try:
            found = self._client.run(worker.identity, self._settings, **asked)
            how = self._client.run(worker.condition, self._settings, **asked)
        except (OSError, RuntimeError, ValueError, KeyError) as error:  # one of them left meanwhile
            log.warning("workers not asked", reason=str(error))
            return strangers
        refused = set()
        for name, theirs in found.items():
            if theirs == ours:
                log.info("worker joined", worker=name, program=ours["program"], condition=how.get(name))
                continue
            refused.add(name)
            apart = [k for k in ours if not isinstance(theirs, dict) or theirs.get(k) != ours[k]]
            log.error("worker refused", worker=name, differs=apart, ours=ours, theirs=theirs)
        if refused:
            self._client.retire_workers(workers=sorted(refused), close_workers=True)
        return refused

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """Run a function on the scheduler. It crosses as its code: the scheduler need not have this program."""
        try:
            return self._client.run_on_scheduler(question)
        except (RuntimeError, ValueError, TypeError) as error:  # what dask says of a connection that is gone
            raise OSError(f"the scheduler does not answer: {error}") from error

    def run(self, claim: Claim, settings: Settings, produce: str) -> distributed.Future[str]:
        """As of `Executor`."""
        key = f"a{claim.attempt_id}-{claim.token}"
        return self._client.submit(worker.run_attempt, claim, settings, produce, key=key, pure=False, retries=0)

    def trouble(self, run: Run) -> str | None:
        """As of `Executor`."""
        status = getattr(run, "status", "lost")
        if status == "finished":
            return None
        return repr(run.exception()) if status == "error" else str(status)  # type: ignore[attr-defined]
