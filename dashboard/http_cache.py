"""An HTTP cache before the web: answers are kept in memory as long as they allow it, as a caching proxy would."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cachetools import TLRUCache
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Of an answer without its body and address: headers, places in tables. [bytes]
OVERHEAD = 1500
#: However long an answer may be kept, it is asked for again after so long: a product may have been withdrawn. [s]
ASKED_AGAIN = 300
#: Addresses that are longer are not kept. [bytes]
LONGEST = 2000

_MAX_AGE = re.compile(rb"max-age=(\d+)")


@dataclass(frozen=True)
class Answer:
    """One whole answer, what it is kept under, and how long it may be. [s]"""

    address: bytes
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: bytes
    age: int


def _size(answer: Answer) -> int:
    return len(answer.body) + len(answer.address) + OVERHEAD


def _until(_: bytes, answer: Answer, now: float) -> float:
    return now + answer.age


class HttpCache:
    """Gives an address below some paths the answer it had before, without asking the application again.

    Kept is what was asked for with GET, has an ETag and came whole, for as long as its Cache-Control says. What was
    used longest ago goes first. Runs on the event loop only.

    Parameters
    ----------
    app : ASGIApp
    paths : tuple of str
        Beginnings of the paths.
    limit : int
        Of all answers together. [bytes]
    clock : callable
        Time. [s]
    """

    def __init__(
        self, app: ASGIApp, paths: tuple[str, ...], limit: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._paths = app, paths
        self._answers: TLRUCache[bytes, Answer] = TLRUCache(limit, _until, clock, _size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, from memory or by the application."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._paths):
            await self._app(scope, receive, send)
            return
        address = scope["raw_path"] + b"?" + scope["query_string"]
        answer = self._answers.get(address)
        if answer is None:
            await self._app(scope, receive, self._keeping(address, send))
            return
        known = next((value for name, value in scope["headers"] if name == b"if-none-match"), b"")
        status, body = (304, b"") if answer.etag in known else (answer.status, answer.body)
        headers = [pair for pair in answer.headers if status != 304 or pair[0] != b"content-length"]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _keeping(self, address: bytes, send: Send) -> Send:
        head: dict[str, Any] = {}

        async def passed_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            elif head["status"] in (200, 204) and not message.get("more_body"):
                self._keep(address, head["status"], list(head["headers"]), message.get("body", b""))
            await send(message)

        return passed_on

    def _keep(self, address: bytes, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        named = dict(headers)
        age = _MAX_AGE.search(named.get(b"cache-control", b""))
        whole = status == 204 or named.get(b"content-length") == str(len(body)).encode()
        if age is None or b"etag" not in named or not whole or len(address) > LONGEST:
            return
        answer = Answer(address, status, headers, body, named[b"etag"], min(int(age[1]), ASKED_AGAIN))
        if _size(answer) <= self._answers.maxsize:
            self._answers[address] = answer
