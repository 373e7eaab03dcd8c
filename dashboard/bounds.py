"""What a request may be at all, before anything looks into it: how long its parts, of which characters."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Longest path and longest query. A polygon of some hundred corners is the longest that anybody asks. [bytes]
PATH, QUERY = 2_000, 32_000
#: Longest body: that of a search. [bytes]
BODY = 128 * 2**10


class TooLong(HTTPException):
    """A body that goes on beyond its bound."""

    def __init__(self) -> None:
        super().__init__(413, f"the body has more than {BODY} bytes")


class Bounds:
    """Middleware that answers a request which is too long, or has a NUL in its address, which no name has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, words = _fault(scope)
        if status:
            await PlainTextResponse(words, status_code=status)(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, _counted(receive), sending)
        except TooLong as fault:
            if not begun:
                await PlainTextResponse(fault.detail, fault.status_code)(scope, receive, send)


def _fault(scope: Scope) -> tuple[int, str]:
    """Status and words that refuse a request; 0 where it is fine."""
    path, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    if len(path) > PATH:
        return 414, f"the path has more than {PATH} bytes"
    if len(query) > QUERY:
        return 414, f"the query has more than {QUERY} bytes"
    if b"\x00" in unquote_to_bytes(path) or b"\x00" in unquote_to_bytes(query):
        return 400, "the address has a NUL in it"
    return 0, ""


def _counted(receive: Receive) -> Receive:
    length = 0

    async def receiving() -> Message:
        nonlocal length
        message = await receive()
        length += len(message.get("body", b""))
        if length > BODY:
            raise TooLong()
        return message

    return receiving
