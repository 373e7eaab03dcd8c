"""What programs of other houses rely on: HEAD wherever GET is, and files that a page of another host may read.

What is given without cookies may be read by any page (Fetch, "CORS protocol"): STAC Browser, and viewers of COGs run in
the reader's browser, and ask for parts of files.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Beginnings of the addresses that pages of other hosts may read.
OPEN = ("/products/", "/products.atom", "/tiles/", "/xyz/", "/cubes/", "/stac", "/openapi.json")
#: Beginnings of the addresses that serve once: who only looks ahead must not use them up.
USED_UP = ("/sign-in/",)
#: Marks a request that was HEAD: its answer's body is not even read.
HEAD = "muscate_head"
_EXPOSED = "Accept-Ranges, Content-Disposition, Content-Encoding, Content-Length, Content-Range, ETag, Retry-After"
_ALLOWED = "Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, Range"


class Programs:
    """Middleware before the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        open_ = scope["path"].startswith(OPEN)
        if open_ and scope["method"] == "OPTIONS":
            await _preflight(scope["path"])(scope, receive, send)
            return
        if open_:
            send = _exposing(send)
        if scope["method"] == "HEAD" and not scope["path"].startswith(USED_UP):
            scope, send = {**scope, "method": "GET", HEAD: True}, _without_body(send)
        await self._app(scope, receive, send)


def _preflight(path: str) -> Response:
    methods = "GET, HEAD, POST, OPTIONS" if path == "/stac/search" else "GET, HEAD, OPTIONS"
    said = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": _ALLOWED,
        "Access-Control-Max-Age": "86400",
        "Allow": methods,
    }
    return Response(status_code=204, headers=said)


def _exposing(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(k, v) for k, v in message.get("headers", ()) if not k.lower().startswith(b"access-control-")]
            kept += [
                (b"access-control-allow-origin", b"*"),
                (b"access-control-expose-headers", _EXPOSED.encode()),
            ]
            message = {**message, "headers": kept}
        await send(message)

    return sending


def _without_body(send: Send) -> Send:
    ended = False

    async def sending(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif message["type"] == "http.response.body" and not ended and not message.get("more_body", False):
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sending
