"""Bytes of products as they are sent: whole or in parts, each user in his turn.

A part is asked for as RFC 9110, 14 says: one that lies beyond the end is refused with 416, a word that is no range is
passed over. Who asks for much has many connections; turns go by users, not by connections (deficit round robin,
Shreedhar and Varghese, SIGCOMM 1995), so that he starves nobody, and all of them together get no more of the machine
than production can spare.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dashboard.programs import HEAD

#: More parts than these at once are not given: the whole is.
MOST_PARTS = 1
#: Of one piece that is read and sent. [bytes]
PIECE = 1 << 18
#: What a user may send in one turn: a piece, so that many connections get no more than one. [bytes]
QUANTUM = PIECE
#: Pieces that are read at once.
READING = 2
#: Time that was not used and may be caught up with. [s]
BURST = 0.1

_RANGE = re.compile(r"([0-9]{0,40})[ \t]*-[ \t]*([0-9]{0,40})")


class BeyondTheEnd(Exception):
    """A range that has no byte in common with what there is."""


def part(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last that a Range asks for; None: the whole.

    Raises
    ------
    BeyondTheEnd
        If it is a range, and lies beyond the end.
    """
    unit, equals, said = (header or "").partition("=")
    if not equals or unit.strip().lower() != "bytes" or said.count(",") >= MOST_PARTS:
        return None
    found = _RANGE.fullmatch(said.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise BeyondTheEnd
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise BeyondTheEnd
    return int(first), min(int(last) + 1, size) if last else size


@dataclass(frozen=True)
class Terms:
    """On what terms bytes are sent.

    Attributes
    ----------
    user : str
        Whose turn it has to be.
    turns : Turns
    sent : callable
        Told of the bytes that were sent, once, at the end.
    """

    user: str
    turns: Turns
    sent: Callable[[int], None]


@dataclass
class _User:
    """One user's pieces that wait, each with its size; what he may send in his turn [bytes], and his connections."""

    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)
    deficit: int = 0
    connections: int = 0


class Turns:
    """Whose piece is read next. Runs on one event loop.

    Parameters
    ----------
    rate : float
        Bytes a second of all users together; 0: as many as there can be.
    at_once : int
        Pieces under way at once.
    """

    def __init__(self, rate: float = 0.0, at_once: int = READING) -> None:
        self.rate, self._free, self._waiting = rate, at_once, 0
        self._users: OrderedDict[str, _User] = OrderedDict()
        self._next = 0.0
        self._waking: asyncio.TimerHandle | None = None

    @contextmanager
    def connection(self, name: str) -> Iterator[None]:
        """A user has his place in the ring as long as he has a connection, also between two pieces."""
        user = self._users.setdefault(name, _User())
        user.connections += 1
        try:
            yield
        finally:
            user.connections -= 1
            if not user.connections:
                self._users.pop(name, None)

    async def take(self, name: str, size: int) -> None:
        """Wait for one's turn to send a piece; `give` has to follow. Within `connection`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        user = self._users[name]
        user.waiting.append((size, turn))
        self._waiting += 1
        if user.deficit >= size:  # his turn came while his last piece was on its way
            self._users.move_to_end(name, last=False)
        self._go_on()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """That a piece was read."""
        self._free += 1
        self._go_on()

    def _go_on(self) -> None:
        """Let as many go as may; where the rate forbids it, later."""
        now = time.monotonic()
        while self._free and self._waiting:
            if self.rate and now < self._next:
                if self._waking is None:
                    self._waking = asyncio.get_running_loop().call_later(self._next - now, self._wake)
                return
            size = self._one()
            if size and self.rate:
                self._next = max(self._next, now - BURST) + size / self.rate

    def _wake(self) -> None:
        self._waking = None
        self._go_on()

    def _one(self) -> int:
        """The next piece of the user whose turn it is, and the turn of the next one; its size, 0 if none waits."""
        name, user = next(iter(self._users.items()))
        self._users.move_to_end(name)
        while user.waiting and user.waiting[0][1].done():  # who asked for it has gone
            user.waiting.popleft()
            self._waiting -= 1
        if not user.waiting:
            user.deficit = QUANTUM  # no more than one turn is kept for him
            return 0
        size, turn = user.waiting[0]
        if user.deficit < size:
            user.deficit += QUANTUM
        if user.deficit < size:
            return 0
        user.deficit -= size
        user.waiting.popleft()
        self._waiting -= 1
        self._free -= 1
        turn.set_result(None)
        return size


class Sent(Response):
    """Bytes of a known size, whole or in the part that was asked for.

    Parameters
    ----------
    size : int
        Of the whole. [bytes]
    read : callable
        Gives the bytes from one place to before another, a page at a time.
    etag : str
        Of the whole, without quotation marks.
    terms : Terms
    media_type : str
    headers : dict
    """

    def __init__(
        self,
        size: int,
        read: Callable[[int, int], Iterator[bytes]],
        etag: str,
        terms: Terms,
        media_type: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            media_type=media_type, headers={"Accept-Ranges": "bytes", "ETag": f'"{etag}"', **(headers or {})}
        )
        del self.headers["content-length"]
        self._size, self._read, self._etag = size, read, etag
        self._terms = terms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        headers = Headers(scope=scope)
        status, first, end = self._asked(headers)
        self.headers["Content-Length"] = str(end - first)
        if status == 304:
            del self.headers["content-length"]
        elif status == 416:
            self.headers["Content-Range"] = f"bytes */{self._size}"
        elif status == 206:
            self.headers["Content-Range"] = f"bytes {first}-{end - 1}/{self._size}"
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers})
        if scope["method"] != "HEAD" and HEAD not in scope and first < end:
            await self._send_all(first, end, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _asked(self, headers: Headers) -> tuple[int, int, int]:
        """Status, first byte, and the one after the last."""
        wanted_one = headers.get("if-match")
        if wanted_one is not None and wanted_one.strip() != "*" and not _names(wanted_one, self._etag):
            return 412, 0, 0
        known = headers.get("if-none-match", "")
        if known.strip() == "*" or f'"{self._etag}"' in known:
            return 304, 0, 0
        condition = headers.get("if-range")
        wanted = headers.get("range") if condition in (None, f'"{self._etag}"') else None
        try:
            found = part(wanted, self._size)
        except BeyondTheEnd:
            return 416, 0, 0
        return (200, 0, self._size) if found is None else (206, *found)

    async def _send_all(self, first: int, end: int, send: Send) -> None:
        pages, done, turns = self._read(first, end), 0, self._terms.turns
        try:
            with turns.connection(self._terms.user):
                while done < end - first:
                    await turns.take(self._terms.user, min(PIECE, end - first - done))
                    try:
                        page = await asyncio.to_thread(next, pages)
                    finally:
                        turns.give()  # not after it was sent: who takes it slowly holds nobody up
                    await send({"type": "http.response.body", "body": page, "more_body": True})
                    done += len(page)
        finally:
            self._terms.sent(done)
            with suppress(ValueError):  # it is being read in a thread still: collected when that is over
                pages.close()  # type: ignore[attr-defined]


def _names(listed: str, etag: str) -> bool:
    """Whether a tag is among those of a header, as it is: a weak one says that the bytes may differ."""
    return f'"{etag}"' in (one.strip() for one in listed.split(","))


def pages(path: Path, first: int, end: int) -> Iterator[bytes]:
    """The bytes of a file from one place to before another."""
    with path.open("rb") as file:
        file.seek(first)
        while first < end:
            page = file.read(min(PIECE, end - first))
            if not page:
                raise OSError(f"{path}: is shorter than it was")
            first += len(page)
            yield page
