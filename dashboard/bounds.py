"""What a request may be at all, before anything looks into it: how long its parts, of which characters, how often."""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections import OrderedDict, deque
from urllib.parse import unquote_to_bytes

from panel.util import parse_query
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import door, faults

log = logging.getLogger(__name__)

#: Longest path and longest query. A polygon of some hundred corners is the longest that anybody asks. [bytes]
PATH, QUERY = 2_000, 32_000
#: Longest query of a page of Panel's. [bytes]
PAGE_QUERY = 4_000
#: Longest body: that of a search. [bytes]
BODY = 128 * 2**10

#: Sessions that one address may open in so many seconds: each takes a second of a core, and memory until it is closed.
#: A reader opens a few; an office of many behind one address does not open more in a minute.
SESSIONS, WITHIN = 30, 60.0
#: Addresses that are remembered at most.
ADDRESSES = 10_000


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
    if door.opens_session(scope["path"]):
        return _fault_of_page(query)
    return 0, ""


def _fault_of_page(query: bytes) -> tuple[int, str]:
    """`_fault` of the query of a page of Panel's, which reads its values as numbers and lists, and trips over some."""
    if len(query) > PAGE_QUERY:
        return 414, f"the query has more than {PAGE_QUERY} bytes"
    try:
        parse_query("?" + query.decode("latin-1"))
    except (ValueError, RecursionError):
        return 400, "the query has a number in it that can't be read"
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


class Sessions:
    """Middleware that answers an address that opens more sessions than readers do; what costs little is not counted.

    What runs on this machine is not counted: it has the machine's cores in any case. A proxy tells whom it speaks for.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._opened: OrderedDict[str, deque[float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        wait = self._wait(scope) if scope["type"] == "http" and door.opens_session(scope["path"]) else 0
        if wait:
            who = (scope.get("client") or ["?"])[0]
            log.warning("refused %s of %s: more than %d sessions in %.0f s", door.shown(scope), who, SESSIONS, WITHIN)
            response = faults.answer(scope, 429, f"too many pages opened at once: try again in {wait} s")
            response.headers["retry-after"] = str(wait)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _wait(self, scope: Scope) -> int:
        """Seconds until who asks may open a session; 0: now, which is counted."""
        who = block((scope.get("client") or ("", 0))[0])
        if not who:
            return 0
        now = time.monotonic()
        opened = self._opened.setdefault(who, deque())
        self._opened.move_to_end(who)
        while len(self._opened) > ADDRESSES:
            self._opened.popitem(last=False)
        while opened and now - opened[0] > WITHIN:
            opened.popleft()
        if len(opened) >= SESSIONS:
            return math.ceil(WITHIN - (now - opened[0]))
        opened.append(now)
        return 0


def block(address: str) -> str:
    """What is counted together: an address, of IPv6 the network of one customer; empty where it is not counted."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a socket of this machine
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_loopback:
        return ""
    return str(found if found.version == 4 else ipaddress.ip_network((int(found), 64), strict=False))
