"""One look at the store for all sessions: made at most every few seconds, and only if somebody looks.

A look only finds out whether anything has changed. What is shown of a state of the store is asked for when a page
wants it first, and serves all pages until the store changes; what was asked last is then asked again at once, in the
thread that looked, so that open pages find it ready.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from sqlalchemy.orm import Session

from dashboard import queries
from dashboard.closed import hidden, hiding

if TYPE_CHECKING:
    from processing.store import Store

#: Time between two looks. [s]
SECONDS = 5.0
#: Answers that are kept of one state of the store, those that were used last.
KEPT = 24

Answer = TypeVar("Answer")


class _Answers:
    """What was asked of one state of the store."""

    def __init__(self, store: Store, before: _Answers | None = None) -> None:
        self.store = store
        self._lock = threading.RLock()
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._wanted: set[Any] = set()
        self._older: dict[Any, Any] = {} if before is None else dict(before._kept)

    def ask(self, key: Any, query: Callable[[Session], Answer], *, wanted: bool = True) -> Answer:
        """What a query says; `wanted`: by a page, so that it is worth asking again when the store has changed."""
        with self._lock:
            if wanted:
                self._wanted.add(key)
            if key not in self._kept:
                try:
                    with self.store.read() as session:
                        self._kept[key] = query(session)
                except Exception:
                    # The store has gone since: what it said before is better than nothing, and its age is shown.
                    if key not in self._older:
                        raise
                    return self._older[key]
                self._older.pop(key, None)
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]

    def wanted(self) -> list[Any]:
        """What pages asked of it, as far as it is kept."""
        with self._lock:
            return [key for key in self._kept if key in self._wanted]


class Snapshot:
    """The store at one time.

    Attributes
    ----------
    version : int
        Grows when anything changed.
    taken : datetime
        When the store was looked at last and found like this.
    """

    def __init__(self, version: int, taken: datetime, answers: _Answers) -> None:
        self.version = version
        self.taken = taken
        self._answers = answers

    @property
    def store(self) -> Store:
        """What it is of, to give orders to."""
        return self._answers.store

    def ask(self, query: Callable[..., Answer], *values: Any) -> Answer:
        """What a query says, asked once for each state of the store. `values` must be hashable."""
        return self._answers.ask(*_question(query, values, hidden()))

    @property
    def backlog(self) -> pd.DataFrame:
        """As of `queries.backlog`."""
        return self.ask(queries.backlog)

    @property
    def products(self) -> pd.DataFrame:
        """As of `queries.products`."""
        return self.ask(queries.products)

    @property
    def events(self) -> pd.DataFrame:
        """As of `queries.events`."""
        return self.ask(queries.events)

    @property
    def coverage(self) -> pd.DataFrame:
        """As of `queries.coverage`."""
        return self.ask(queries.coverage)

    @property
    def progress(self) -> pd.DataFrame:
        """As of `queries.progress`."""
        return self.ask(queries.progress)

    @property
    def known(self) -> pd.Series:
        """As of `queries.dates_known`."""
        return self.ask(queries.dates_known)

    @property
    def mixed(self) -> pd.DataFrame:
        """As of `queries.mixed_series`."""
        return self.ask(queries.mixed_series)

    @property
    def newest(self) -> datetime | None:
        """When the newest product was published."""
        return self.ask(queries.newest_product)

    @property
    def empty(self) -> bool:
        """Whether nothing has arrived yet: no date, nor a package that was refused."""
        return not self.ask(queries.anything)

    @property
    def all_simulated(self) -> bool:
        """Whether all that is shown comes from the simulation."""
        return self.ask(queries.all_simulated)


def _question(
    query: Callable[..., Answer], values: tuple[Any, ...], tiles: frozenset[str]
) -> tuple[Any, Callable[[Session], Answer]]:
    """What a query is known by, and the query; what is hidden from who asks belongs to both."""
    return (query, values, tiles), partial(_asked, query, values, tiles)


def _asked(query: Callable[..., Answer], values: tuple[Any, ...], tiles: frozenset[str], session: Session) -> Answer:
    with hiding(tiles):
        return query(session, *values)


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

    def latest(self, *, at_once: bool = False) -> Snapshot:
        """The newest snapshot. While the store can't be read the last one is given, and `fault` says why.

        `at_once`: the store is asked in any case, by who has just changed it.
        """
        with self._lock:
            if self._snapshot is None or at_once or time.monotonic() - self._looked >= self._seconds:
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
        with hiding(frozenset()), self.store.read() as session:
            seen = queries.fingerprint(session)
        before = self._snapshot
        if before is not None and seen == self._seen:
            self._snapshot = Snapshot(before.version, now, before._answers)
            return
        answers = _Answers(self.store, before._answers if before else None)
        # The frame of every page asks for the first ones.
        first, hides = (queries.newest_product, queries.anything, queries.all_simulated), frozenset[str]()
        always = [(query, (), hides) for query in first]
        for asked in dict.fromkeys([*always, *(before._answers.wanted() if before else ())]):
            answers.ask(*_question(*asked), wanted=False)
        self._snapshot, self._seen = Snapshot(before.version + 1 if before else 1, now, answers), seen
