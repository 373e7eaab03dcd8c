"""The public pages on light or dark ground, as their reader chose on another page: they have no script that could.

What is sent stays one page for all; only of those who have chosen, the beginning of theirs says what.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import access, cookies

COOKIE = "muscate-theme"
THEMES = ("light", "dark")
_BEGINNING = b"<html lang="


class Themed:
    """Middleware before what compresses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; pages with scripts choose by themselves."""
        theme = chosen(Headers(scope=scope)) if scope["type"] == "http" else ""
        if scope["type"] != "http" or scope["path"].strip("/").split("/")[0] in access.SCRIPTED:
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        mark = f' data-theme="{theme}"'.encode() if theme else b""

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                if headers.get("content-type", "").startswith("text/html") or message["status"] == 304:
                    headers.add_vary_header("Cookie")
                    if mark and "etag" in headers:
                        headers["etag"] = re.sub('"$', f'-{theme}"', headers["etag"])
                    start = {**message, "headers": headers.raw}
                    return
            if start is not None:
                first, start = start, None
                body = message.get("body", b"")
                if mark and _BEGINNING in body[:200]:
                    message = {**message, "body": body.replace(_BEGINNING, b"<html" + mark + b" lang=", 1)}
                    headers = MutableHeaders(raw=first["headers"])
                    if "content-length" in headers:
                        headers["content-length"] = str(int(headers["content-length"]) + len(mark))
                await send(first)
            await send(message)

        await self._app(_without(scope, theme) if theme else scope, receive, sending)


def chosen(headers: Headers) -> str:
    """The theme that a browser says was chosen; empty where none was."""
    said = cookies.read(headers.get("cookie", "")).get(COOKIE, "")
    return said if said in THEMES else ""


def _without(scope: Scope, theme: str) -> Scope:
    """The same request for what is sent to all: as it is, not compressed, and known by its own tag."""
    kept = []
    for name, value in scope["headers"]:
        if name.lower() == b"accept-encoding":
            continue
        if name.lower() == b"if-none-match":
            value = value.replace(f'-{theme}"'.encode(), b'"')
        kept.append((name, value))
    return {**scope, "headers": kept}
