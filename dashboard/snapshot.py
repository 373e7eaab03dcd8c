"""One look at the store for all sessions: made at most every few seconds, and only if somebody looks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboard import queries

if TYPE_CHECKING:
    from processing.store import Store

#: Time between two looks. [s]
SECONDS = 5.0
#: How far back the charts go.
HISTORY = timedelta(days=400)


@dataclass(frozen=True)
class Snapshot:
    """The store at one time. `version` grows when anything changed; the frames are those of `queries`."""

    version: int
    taken: datetime
    outcomes: pd.DataFrame
    backlog: pd.DataFrame
    products: pd.DataFrame
    events: pd.DataFrame
    coverage: pd.DataFrame
    progress: pd.DataFrame
    known: pd.Series
    mixed: pd.DataFrame

    @property
    def empty(self) -> bool:
        """Whether no date has arrived yet."""
        return not self.known.sum()

    @property
    def all_simulated(self) -> bool:
        """Whether all that is shown comes from the simulation."""
        shown = pd.concat([self.products["simulated"], self.backlog["simulated"]])
        return bool(len(shown) and shown.astype(bool).all())


class Snapshots:
    """Gives the newest `Snapshot`; safe to call from any thread.

    Parameters
    ----------
    store : Store
    seconds : float
        A snapshot younger than this is given again without asking the store.
    """

    def __init__(self, store: Store, seconds: float = SECONDS) -> None:
        self.store = store
        self._seconds = seconds
        self._lock = threading.Lock()
        self._looked = -float("inf")
        self._seen: tuple[Any, ...] | None = None
        self._snapshot: Snapshot | None = None
        #: Why the last look failed; the snapshot is then an older one.
        self.fault = ""

    def latest(self) -> Snapshot:
        """The newest snapshot. While the store can't be read the last one is given, and `fault` says why."""
        with self._lock:
            if self._snapshot is None or time.monotonic() - self._looked >= self._seconds:
                try:
                    self._look()
                    self.fault = ""
                except Exception as fault:
                    if self._snapshot is None:
                        raise
                    self.fault = f"{type(fault).__name__}: {fault}".splitlines()[0]
                self._looked = time.monotonic()
            assert self._snapshot is not None
            return self._snapshot

    def _look(self) -> None:
        now = datetime.now(UTC)
        with self.store.read() as session:
            seen = queries.fingerprint(session)
            if self._snapshot is not None and seen == self._seen:
                self._snapshot = Snapshot(**{**vars(self._snapshot), "taken": now})
                return
            self._snapshot = Snapshot(
                version=self._snapshot.version + 1 if self._snapshot else 1,
                taken=now,
                outcomes=queries.outcomes_per_hour(session, now - HISTORY),
                backlog=queries.backlog(session),
                products=queries.products(session),
                events=queries.events(session),
                coverage=queries.coverage(session),
                progress=queries.progress(session),
                known=queries.dates_known(session),
                mixed=queries.mixed_series(session),
            )
            self._seen = seen
