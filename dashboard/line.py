"""The line to a client: how long it may take over a request, and over what it is sent.

The server waits for a request as long as its client likes, keeps headers without end, and keeps an answer that nobody
takes. A few hundred such lines hold it up; so each of them is cut here when its time is over.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: A request's head has to be there within this time, its body after it. [s]
HEAD, BODY = 15.0, 30.0
#: Something of an answer has to be taken within this time. [s]
STALLED = 60.0
#: Longest head of a request. [bytes]
LONGEST = 64 * 2**10


class Line(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with an end to its patience."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        #: Bytes of the request's head so far; None while none is awaited.
        self._head: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and is to say something."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._set_deadline(None)
        self._set_stall(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """It says something."""
        if self._head is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > LONGEST:
            self._set_deadline(None)
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head = None
        self._set_deadline(BODY)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request is there."""
        self._set_deadline(None)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on it is a socket, with pings of its own."""
        self._set_deadline(None)
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """It does not take what it is sent."""
        super().pause_writing()
        self._set_stall(STALLED)

    def resume_writing(self) -> None:
        """It takes it again."""
        self._set_stall(None)
        super().resume_writing()

    def _await_head(self) -> None:
        self._head = 0
        self._set_deadline(HEAD)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._cut)

    def _set_stall(self, seconds: float | None) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = None if seconds is None else self.loop.call_later(seconds, self._cut)

    def _cut(self) -> None:
        self.transport.abort()
