"""Who takes how much: turns and quotas of users, and counts by user and product."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastapi import HTTPException, Request

from dashboard import bounds, people, queries
from dashboard.api.sending import Terms, Turns
from processing.errors import StoreError
from processing.people import VISITOR, Actor, Role
from processing.settings import Settings
from processing.store import downloads

if TYPE_CHECKING:
    from processing.store import Store

log = logging.getLogger(__name__)

#: Of a quota, and within which it is counted. [s]
DAY, MINUTE = 86400.0, 60.0
#: Users whose quotas are remembered at most.
USERS = 20_000
#: Counts go to the store after so long. [s]
EVERY = 5.0


def reader() -> Actor:
    """Who asks; a visitor where nobody looked at that."""
    try:
        return people.reader()
    except LookupError:
        return Actor(VISITOR, Role.PUBLIC, "?")


class Downloads:
    """What was taken from one centre.

    Parameters
    ----------
    settings : Settings
    store : Store
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.turns = Turns(1e6 * settings.send_mb_per_second)
        self._quota, self._store = 1e9 * settings.user_gb_per_day, store
        self._taken: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()
        self._counts: defaultdict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._lock, self._kept = threading.Lock(), time.monotonic()

    def of(self, request: Request, found: queries.Folder) -> Terms:
        """On what terms a product is sent.

        Raises
        ------
        HTTPException
            429 if the user has had his day's share.
        """
        who = reader()
        address = request.client.host if request.client else "?"
        # Visitors take turns by their addresses, which are not kept.
        user = f"address {bounds.block(address) or address}" if who.name == VISITOR else who.name
        wait = self._wait(user)
        if wait:
            raise HTTPException(
                429,
                f"more than {self._quota / 1e9:g} GB were sent to you in a day",
                {"Retry-After": str(int(wait) + 1)},
            )

        def sent(size: int) -> None:
            self._count(user, who.name, found.identifier, size)

        return Terms(user, self.turns, sent)

    def _wait(self, user: str) -> float:
        """How long until a user may have more. [s]"""
        if not self._quota:
            return 0.0
        with self._lock:
            taken, now = self._taken.get(user, deque()), time.monotonic()
            while taken and taken[0][0] < now - DAY:
                taken.popleft()
            if sum(size for _, size in taken) < self._quota:
                return 0.0
            return taken[0][0] + DAY - now

    def _count(self, user: str, name: str, product: str, size: int) -> None:
        with self._lock:
            if self._quota:
                self._take(user, size)
            count = self._counts[f"{datetime.now(UTC):%Y-%m-%d}", name, product]
            count[0] += 1
            count[1] += size
            if time.monotonic() < self._kept + EVERY:
                return
            self._kept = time.monotonic()
        threading.Thread(target=self.keep, daemon=True).start()

    def _take(self, user: str, size: int) -> None:
        """Add to a user's day: what falls into one minute as one; who took nothing for longest is forgotten first."""
        taken, now = self._taken.setdefault(user, deque()), time.monotonic()
        self._taken.move_to_end(user)
        while len(self._taken) > USERS:
            self._taken.popitem(last=False)
        if taken and taken[-1][0] > now - MINUTE:
            began, before = taken.pop()
            taken.append((began, before + size))
        else:
            taken.append((now, size))

    def keep(self) -> None:
        """Put what was counted into the store."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(lambda: [0, 0])
        rows = [(day, name, product, requests, size) for (day, name, product), (requests, size) in counts.items()]
        try:
            with self._store.write() as session:
                downloads.count(session, rows)
        except StoreError as fault:
            log.warning("%d counts of downloads could not be kept: %s", len(rows), fault)
