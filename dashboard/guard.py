"""The guard behind the door: who sends a request, whether he may open what he asks for, and whether it is he.

What each part of the web asks of a visitor is the table of the settings (`Settings.table`); pages, sockets, files,
tiles and programs' routes are held against it here and nowhere else. A request that changes something must come from a
page of this web and bring along the token of that page's forms. What is refused of those stands in the events.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from cachetools import TTLCache
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import access, cookies, faults, forms, languages, themed
from dashboard.closed import Closed, hiding
from dashboard.door import POLICY_VIOLATION, place
from dashboard.people import Visit, visiting
from processing.errors import StoreError, printable
from processing.people import Actor, Role
from processing.settings import Settings
from processing.store import Store, events
from processing.store.dialect import now
from processing.store.people import LIFE, digest

log = logging.getLogger(__name__)

#: Methods that change nothing: RFC 9110, 9.2.1.
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: How a request of a script of ours brings its token along, and a form.
TOKEN_HEADER, TOKEN_FIELD = "x-muscate-token", "token"
#: Why a request is refused that may have been typed before its sender signed in anew.
NO_TOKEN = "lacks the token of its page"
#: How long a session is believed without asking the store again, where nothing is changed. [s]
BELIEVED = 2.0
#: The same while the store does not answer. [s]
STORE_AWAY = 900.0
#: How far into a form of several parts its token is looked for. [bytes]
TOKEN_WITHIN = 64 * 2**10
#: Refused requests that are kept in an hour; a flood is told by its first ones.
KEPT_AN_HOUR = 1000


@dataclass
class Guards:
    """What the guard knows of its web.

    Attributes
    ----------
    settings : Settings
    store : Store
    secret : bytes
        The home's.
    origins : collection of str
        Further ``host:port`` whose pages are ours.
    """

    settings: Settings
    store: Store
    secret: bytes
    origins: Collection[str] = ()
    closed: Closed = field(init=False)
    _believed: TTLCache[str, Actor | None] = field(default_factory=lambda: TTLCache(4096, BELIEVED))
    _known: TTLCache[str, Actor | None] = field(default_factory=lambda: TTLCache(4096, STORE_AWAY))
    _kept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.closed = Closed(self.settings, self.store)

    def secure(self, scope: Scope) -> bool:
        """Whether browsers speak to this web by https: its cookies are then for https alone."""
        return self.settings.public_url.startswith("https:") or scope["scheme"] in ("https", "wss")

    def cookie(self, scope: Scope) -> str:
        """Name of the cookie with a session's token. Cookies know no ports: two centres of one machine differ in it."""
        return "__Host-muscate" if self.secure(scope) else f"muscate-{self.settings.port}"

    def visit(self, scope: Scope, brought: Mapping[str, str]) -> Visit:
        """Who sends a request, by its cookies; a program, by the token that it bears."""
        name = self.cookie(scope)
        token = brought.get(name, "") or _bearer(scope)
        visitor = brought.get(f"{name}-form", "") or secrets.token_urlsafe(16)
        address = (scope.get("client") or ["?"])[0]
        sha = digest(token) if token else ""
        return Visit(self.store, sha, address, self.form_token(sha or visitor), visitor)

    def form_token(self, of: str) -> str:
        """What the forms of a session, or of a browser without one, have to bring along."""
        return hmac.new(self.secret, b"form " + of.encode(), sha256).hexdigest()

    async def signed(self, visit: Visit, *, fresh: bool) -> Actor | None:
        """Who has signed in; `fresh`: the store is asked in any case."""
        if not visit.token_sha:
            return None
        if fresh or visit.token_sha not in self._believed:
            try:
                found = await asyncio.to_thread(visit.signed)
            except StoreError:
                if fresh or visit.token_sha not in self._known:
                    raise
                return self._known[visit.token_sha]  # he may look, at the last that was seen
            self._believed[visit.token_sha] = self._known[visit.token_sha] = found
            return found
        return self._believed.get(visit.token_sha)

    def keep_session(self, response: Response, scope: Scope, token: str) -> None:
        """Give a browser the token of its session."""
        self.keep(response, scope, "", token, int(LIFE.total_seconds()))

    def keep(self, response: Response, scope: Scope, ending: str, value: str, seconds: int | None = None) -> None:
        """Give a browser a cookie that no script reads, and that other pages' forms don't bring along."""
        name = self.cookie(scope) + ending
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self.secure(scope), httponly=True, samesite="lax"
        )

    def ours(self, headers: Headers) -> bool:
        """Whether a request comes from a page of this web, as far as its browser says so."""
        here = {headers.get("host", "").lower(), urlsplit(self.settings.public_url).netloc.lower(), *self.origins}
        origin = headers.get("origin")
        if origin is not None:
            return place(origin) in here - {""}
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        referer = headers.get("referer")
        return referer is None or place(referer) in here - {""}

    async def refused(self, who: Actor, method: str, path: str, why: str) -> None:
        """Keep in the events that a request was refused which would have changed something."""
        path = printable(path[:200])
        log.warning("refused %s %s of %s (%s): %s", method, path, who.name, who.origin, why)
        self._kept = [at for at in self._kept if at > time.monotonic() - 3600]
        if len(self._kept) >= KEPT_AN_HOUR:
            return
        self._kept.append(time.monotonic())
        await asyncio.to_thread(self._refused, who, {"method": method, "path": path, "why": why})

    def _refused(self, who: Actor, data: dict[str, Any]) -> None:
        try:
            with self.store.write() as session:
                events.audit(session, now(session), "request_refused", who, severity="warning", data=data)
        except StoreError:
            log.exception("a refused request could not be kept")


class Guard:
    """Middleware behind the door."""

    def __init__(self, app: ASGIApp, guards: Guards) -> None:
        self._app, self._guards = app, guards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = headers.get("cookie", "")
        brought, name = cookies.read(sent), self._guards.cookie(scope)
        visit = self._guards.visit(scope, brought)
        # Nothing behind the guard may write its cookies into a page, or has a use for those of others.
        scope = {**cookies.kept(scope, sent, {themed.COOKIE}), "muscate_openid": brought.get(f"{name}-openid", "")}
        changes = scope["type"] == "http" and scope["method"] not in SAFE and scope["path"] not in access.READING
        with visiting(visit):
            try:
                who = await self._guards.signed(visit, fresh=changes)
                least, tiles = await self._asked(scope, (who or visit.nobody).role)
            except StoreError as fault:
                who, least, tiles = None, self._least(scope), frozenset()
                if least is not Role.PUBLIC or self._guards.closed.shows(scope["path"]):
                    await faults.answer(scope, 503, str(fault))(scope, receive, send)
                    return
            if changes:
                receive, why = await self._sent_by_himself(headers, visit, receive)
                if why is None and not (who or visit.nobody).role.reaches(least):
                    why = f"needs the role {least}"
                if why is not None:
                    await self._guards.refused(who or visit.nobody, scope["method"], scope["path"], why)
                    if why != NO_TOKEN or not access.gives_back(scope["path"]):
                        await faults.answer(scope, 403, why)(scope, receive, send)
                        return
                    scope |= {"muscate_refused": why}
            elif not (who or visit.nobody).role.reaches(least):
                await self._turned_away(scope, receive, send, who, least)
                return
            private = least is not Role.PUBLIC or self._guards.closed.shows(scope["path"])
            with hiding(tiles):
                await self._app(scope, receive, partial(_private, send) if private else send)

    async def _asked(self, scope: Scope, role: Role) -> tuple[Role, frozenset[str]]:
        """The role that an address asks for, and the tiles of which a role is shown no product there."""
        least, known = self._least(scope), self._guards.closed
        if not known.shows(scope["path"]):
            return least, frozenset()
        tiles = await asyncio.to_thread(known.tiles, role)
        named = known.names(scope["path"], scope.get("query_string", b"").decode("latin-1"), tiles)
        return (known.least if named else least), tiles

    def _least(self, scope: Scope) -> Role:
        """The role that an address asks for. One that stands in no part is for the admin, where it leads anywhere."""
        part = access.part(scope["path"])
        if part == access.ALWAYS:
            return Role.PUBLIC
        if part is not None:
            return self._guards.settings.table[part]
        words = access.words(scope["path"])
        leads = any(access.words(path)[:1] == words[:1] for path in paths(scope["app"].router.routes))
        return Role.ADMIN if leads else Role.PUBLIC

    async def _sent_by_himself(self, headers: Headers, visit: Visit, receive: Receive) -> tuple[Receive, str | None]:
        """What is wrong with where a changing request comes from, if anything; and its body, to be read again."""
        if not self._guards.ours(headers):
            return receive, "was sent by a page of another host"
        given = headers.get(TOKEN_HEADER)
        if given is None:
            receive, body = await _beginning(receive, headers)
            given = _token(headers, body)
        if not hmac.compare_digest(given.encode(), visit.form_token.encode()):
            return receive, NO_TOKEN
        return receive, None

    async def _turned_away(self, scope: Scope, receive: Receive, send: Send, who: Actor | None, least: Role) -> None:
        """Answer a request for what its sender may not open: who has not signed in is asked to."""
        if scope["type"] == "websocket":
            await receive()  # the connection is asked for before it can be refused
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": f"needs the role {least}"})
            return
        headers = Headers(scope=scope)
        response: Response
        if who is None and faults.reads_html(headers):
            language = languages.preferred(headers.get("accept-language"))
            query = scope["query_string"].decode("latin-1")
            there = scope["path"] + (f"?{query}" if query else "")
            response = RedirectResponse(f"/{language}/sign-in?next={quote(there, safe='/')}", 303)
        else:
            response = faults.answer(scope, 401 if who is None else 403, f"needs the role {least}")
            if who is None:
                response.headers["WWW-Authenticate"] = 'Bearer realm="muscate"'
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)


def paths(routes: Iterable[BaseRoute], before: str = "") -> Iterator[str]:
    """The paths of routes as they are written, those of routers within routers too."""
    for route in routes:
        inner: Any = getattr(route, "original_router", None)  # FastAPI keeps a router that was included as one route
        if inner is None:
            yield before + getattr(route, "path", "")
        else:
            yield from paths(inner.routes, before + getattr(getattr(route, "include_context", None), "prefix", ""))


async def _private(send: Send, message: Message) -> None:
    """An answer that not everybody may have is kept by no cache that many share."""
    if message["type"] == "http.response.start":
        headers = [
            (k, v.replace(b"public", b"private") if k.lower() == b"cache-control" else v)
            for k, v in message.get("headers", ())
        ]
        if not any(k.lower() == b"cache-control" for k, _ in headers):
            headers.append((b"cache-control", b"private, no-cache"))
        message = {**message, "headers": headers}
    await send(message)


def _bearer(scope: Scope) -> str:
    """The token of a program, as ``muscate user token`` gave it (RFC 6750)."""
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


async def _beginning(receive: Receive, headers: Headers) -> tuple[Receive, bytes]:
    """The body as far as its token may stand in it, and a `receive` that gives the whole once more."""
    most = forms.LARGEST if "urlencoded" in headers.get("content-type", "") else TOKEN_WITHIN
    taken: list[Message] = []
    body = b""
    while len(body) < most:
        message = await receive()
        taken.append(message)
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            break

    async def again() -> Message:
        return taken.pop(0) if taken else await receive()

    return again, body


def _token(headers: Headers, body: bytes) -> str:
    kind = headers.get("content-type", "")
    if "application/x-www-form-urlencoded" in kind:
        try:
            return parse_qs(body.decode(), max_num_fields=1000).get(TOKEN_FIELD, [""])[0]
        except (UnicodeDecodeError, ValueError):
            return ""
    found = re.search(rb'name="?token"?\r\n\r\n([0-9a-f]+)\r\n', body) if "multipart/form-data" in kind else None
    return found[1].decode() if found else ""
