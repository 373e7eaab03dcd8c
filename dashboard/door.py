"""The door of the web: who may open a session on it, and under which name it may be spoken to.

A page of a stranger that a reader has open beside ours must not speak for him. So a browser's socket is taken only from
a page of this web, a request only under a name of this web (a stranger's name may be made to lead here), and a session
is one that the web has made: an id that a visitor brings along is put aside.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

#: Names that lead to this machine alone.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Names of a parameter and a header by which bokeh takes a session's id from a visitor.
SESSION_ID = frozenset({"bokeh_session_id", "bokeh-session-id"})
#: With every answer: no page of another host may frame one of ours, a file is what it says it is, and where a reader
#: comes from is told to nobody else. Panel's pages make scripts of their own, so that these can't be shut out.
HEADERS = (
    (b"content-security-policy", b"frame-ancestors 'self'; base-uri 'self'; object-src 'none'; form-action 'self'"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)
#: Code with which a socket is closed that breaks a rule: RFC 6455, 7.4.1.
POLICY_VIOLATION = 1008


class Door:
    """Middleware before all else of the application.

    Parameters
    ----------
    app : ASGIApp
    names : collection of str or None
        Under which the web may be spoken to, lower case and without a port; None: any, where it listens to a network
        and nobody has said its names. Those of `LOOPBACK` may always.
    origins : collection of str
        Further ``host:port`` whose pages may open a socket, as behind a proxy that changes the name.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] | None, origins: Collection[str] = ()) -> None:
        self._app, self._names, self._origins = app, names, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        fault = self._fault(headers, socket=scope["type"] == "websocket")
        if fault is None:
            await self._app(_without_session(scope), receive, _with_headers(send))
            return
        log.warning("refused %s of %s: %s", scope["path"], (scope.get("client") or ["?"])[0], fault)
        if scope["type"] == "websocket":
            await receive()  # the connection is asked for before it can be refused
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": fault[:100]})
        else:
            await PlainTextResponse(fault, status_code=421)(scope, receive, _with_headers(send))

    def _fault(self, headers: dict[bytes, str], *, socket: bool) -> str | None:
        host = headers.get(b"host", "").lower()
        name = _name(host)
        if not name or (self._names is not None and name not in self._names and name not in LOOPBACK):
            return "this web is not known under that name: see MUSCATE_HOSTS"
        origin = headers.get(b"origin")
        if socket and origin is not None:
            there = origin.lower().partition("://")[2]  # an origin is no more than a scheme and ``host:port``
            if there not in (host, *self._origins):
                return "a page of another host may not open a session here"
        return None


def _name(host: str) -> str:
    """The name in ``host:port``; empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return sending


def _without_session(scope: Scope) -> Scope:
    """The same request, without an id that the visitor gives to his session."""
    query = scope["query_string"].decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True)  # names may be written in percents
    if any(key.lower() in SESSION_ID for key, _ in pairs):
        query = urlencode([(key, value) for key, value in pairs if key.lower() not in SESSION_ID])
    headers = [(key, value) for key, value in scope["headers"] if key.lower().decode("latin-1") not in SESSION_ID]
    return {**scope, "query_string": query.encode("latin-1"), "headers": headers}


def names(host: str, given: Collection[str]) -> frozenset[str] | None:
    """Names of a web that listens on `host`: those that were given, and that one; None for any."""
    if host in ("0.0.0.0", "::", "") and not given:
        return None
    return frozenset(_name(name.lower()) or name.lower() for name in (*given, host)) | LOOPBACK


def origins() -> frozenset[str]:
    """Further pages that may open a socket: bokeh's own variable for what stands behind a proxy."""
    return frozenset(
        one.strip().lower() for one in os.environ.get("BOKEH_ALLOW_WS_ORIGIN", "").split(",") if one.strip()
    )


def secret(home: Path) -> bytes:
    """What sessions of a home are signed with: made once, readable by its owner alone."""
    path = home / "secret"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        known = path.read_bytes()
        if len(known) < 32:
            raise ValueError(f"{path}: is cut short; remove it, and a new one is made") from None
        return known
    with os.fdopen(file, "wb") as opened:
        made = secrets.token_hex(32).encode()
        opened.write(made)
        return made
