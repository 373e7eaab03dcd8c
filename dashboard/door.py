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

from dashboard import access, faults
from processing.errors import printable

log = logging.getLogger(__name__)

#: Names that lead to this machine alone.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Names of a parameter and a header by which bokeh takes a session's id from a visitor.
SESSION_ID = frozenset({"bokeh_session_id", "bokeh-session-id"})
#: With every answer: a file is what it says it is, where a reader comes from is told to nobody else, and no page asks
#: for his camera or place.
HEADERS = (
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
#: Of pages that need no script of their own: nothing but files of this web.
STRICT = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
#: Of Panel's pages, whose libraries write scripts and styles into the page and compile text: as strict as they work.
PANEL = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; worker-src 'self' blob:; "
    b"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
#: A year. [s]
LONG = 365 * 24 * 3600
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
    https : bool
        Whether browsers are to come by https alone.
    """

    def __init__(
        self, app: ASGIApp, names: Collection[str] | None, origins: Collection[str] = (), *, https: bool = False
    ) -> None:
        self._app, self._names, self._origins = app, names, origins
        lasting = ((b"strict-transport-security", f"max-age={LONG}".encode()),) if https else ()
        self._headers = (*HEADERS, *lasting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        fault = self._fault(headers, socket=scope["type"] == "websocket")
        send = _with_headers(send, (*self._headers, (b"content-security-policy", policy(scope["path"]))))
        if fault is None:
            await self._let_in(_without_session(scope), receive, send)
            return
        log.warning("refused %s of %s: %s", shown(scope), (scope.get("client") or ["?"])[0], fault)
        if scope["type"] == "websocket":
            await receive()  # the connection is asked for before it can be refused
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": fault[:100]})
        else:
            await PlainTextResponse(fault, status_code=421)(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; a fault of ours that nobody took is a page too."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            if scope["type"] == "websocket" or begun:
                raise
            log.exception("%s %s", scope["method"], shown(scope))
            await faults.answer(scope, 500, "a fault of the centre")(scope, receive, send)

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


def shown(scope: Scope) -> str:
    """What a request asks for, as one line of a log shows it."""
    return printable(scope["path"][:200])


def place(address: str) -> str:
    """``host:port`` of an address, lower case; empty where it is none."""
    try:
        return urlsplit(address.lower()).netloc
    except ValueError:
        return ""


def policy(path: str) -> bytes:
    """What the browser may load for a page."""
    words = path.strip("/").split("/")
    return PANEL if words[0] in access.SCRIPTED and (len(words) == 1 or words[0] != "products") else STRICT


def opens_session(path: str) -> bool:
    """Whether an address is that of a page of Panel's."""
    return path.strip("/").split("/")[0] in access.SESSIONS


def _with_headers(send: Send, headers: Collection[tuple[bytes, bytes]]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = list(message.get("headers", ()))
            known = {name.lower() for name, _ in said}
            message["headers"] = said + [pair for pair in headers if pair[0] not in known]
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
    if host in ("0.0.0.0", "::", "") and not given:  # nosec B104: compared, not listened on
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
