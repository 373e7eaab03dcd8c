"""How fast one account may ask: so many requests a minute, and for all its connections the pause that one was told."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from processing.distribution.transfer import after

#: Of the Copernicus Data Space, for a general user: requests a minute, and bytes in 30 days.
PER_MINUTE, QUOTA = 2000, 12 * 10**12
#: Answers that ask all connections to wait, and not the one alone.
TOO_MANY = frozenset({429, 503})


@dataclass
class Pace:
    """Shared by all connections of an account.

    Attributes
    ----------
    per_minute : int
    clock, sleep : callable
        Time, and what waits. [s]
    """

    per_minute: int = PER_MINUTE
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _asked: deque[float] = field(default_factory=deque, repr=False)
    _held: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait(self) -> None:
        """Until one more request may be sent, which is counted."""
        while (pause := self._pause()) > 0:
            self.sleep(pause)

    def _pause(self) -> float:
        with self._lock:
            now = self.clock()
            while self._asked and self._asked[0] <= now - 60:
                self._asked.popleft()
            full = self._asked[0] + 60 - now if len(self._asked) >= self.per_minute else 0.0
            pause = max(full, self._held - now)
            if pause <= 0:
                self._asked.append(now)
            return pause

    def told(self, status: int, headers: Mapping[str, str]) -> None:
        """What a server answered: where it asks to wait, all wait."""
        if status in TOO_MANY:
            with self._lock:
                self._held = max(self._held, self.clock() + after(headers.get("retry-after")))
