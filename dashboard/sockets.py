"""Sockets of sessions, before and behind what serves them: refused without a token of ours, let go when closed.

Written for bokeh-fastapi 0.1 and Panel 1.9, which leave these things open or behind: a token is unpacked before its
signature is looked at; one that is none ends in a traceback; and a session whose browser has gone is not told so.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from typing import Any

import panel as pn
from bokeh.util.token import check_token_signature, get_token_payload
from bokeh_fastapi.handler import WSHandler
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.door import shown
from processing.production import machine

log = logging.getLogger(__name__)

#: Code with which a socket is closed that breaks a rule: RFC 6455, 7.4.1.
POLICY_VIOLATION = 1008
#: Longest message of a client: a file that a reader hands in, as text, and what is around it. [bytes]
LONGEST = 8 * 2**20
#: Longest token. [bytes]
LONGEST_TOKEN = 32 * 2**10
#: After a session has gone, until others that left with it have gone too. [s]
TOGETHER = 5.0


class Sockets:
    """Middleware that opens a socket only for a session of this web.

    Parameters
    ----------
    app : ASGIApp
    secret : bytes
        Sessions are signed with it.
    """

    def __init__(self, app: ASGIApp, secret: bytes) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a socket through, or close it."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        fault = self._fault(scope)
        if fault:
            log.warning("refused %s of %s: %s", shown(scope), (scope.get("client") or ["?"])[0], fault)
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": fault})
            return
        closed = False

        async def sending(message: Message) -> None:
            nonlocal closed
            closed |= message["type"] == "websocket.close"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # of a session that has gone meanwhile: its page is to be opened again
            log.warning("closed %s: %s", shown(scope), str(error).splitlines()[0] if str(error) else type(error))
            if not closed:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "open the page again"})

    def _fault(self, scope: Scope) -> str:
        protocols = scope.get("subprotocols") or []
        if len(protocols) != 2 or protocols[0] != "bokeh" or len(protocols[1]) > LONGEST_TOKEN:
            return "no token of a session"
        try:
            if not check_token_signature(protocols[1], secret_key=self._secret, signed=True):
                return "the token was not made here"
            expiry = get_token_payload(protocols[1]).get("session_expiry", 0)
        except (ValueError, KeyError, TypeError, AttributeError, LookupError):
            return "no token of a session"
        return "" if time.time() < expiry else "the token has expired"


async def _receive_loop(handler: Any) -> None:
    """Messages of a session's browser until it is gone, which is told to the session at once."""
    try:
        while (message := await handler._socket.receive())["type"] != "websocket.disconnect":
            fragment = message.get("text") if message.get("text") is not None else message.get("bytes")
            if fragment is not None and not await _taken(handler, fragment):
                return
    finally:
        if handler.connection is not None:
            handler.application.client_lost(handler.connection)


async def _taken(handler: Any, fragment: str | bytes) -> bool:
    """Whether a part of a message was understood, and the message, with its last part, answered."""
    try:
        message = await handler.receiver.consume(fragment)
        work = message and await handler.handler.handle(message, handler.connection)
    except Exception as error:
        log.warning("closed a session: %s: %s", type(error).__name__, (str(error).splitlines() or [""])[0][:200])
        await handler._socket.close(POLICY_VIOLATION, "a message that is none")
        return False
    if work:
        await handler.send_message(work)
    return True


def let_go() -> None:
    """From now on a session whose browser has gone is told so; a message that makes no sense is one line of the log."""
    WSHandler._receive_loop = _receive_loop
    handling = logging.getLogger("bokeh.server.protocol_handler")
    if _in_one_line not in handling.filters:
        handling.addFilter(_in_one_line)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Take the traceback, and what a stranger wrote, from what bokeh logs of a message; it is answered as an error."""
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        record.msg = "a message that makes no sense: %s"
        record.args = (f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}",)
        record.exc_info = record.exc_text = None
    return True


def give_memory_back(stop: threading.Event) -> None:
    """Give to the system what sessions that have gone leave, until told to stop.

    A page is a ring of objects, and what is free glibc keeps: both would wait for their turn, which is far away.
    """
    gone = threading.Event()
    pn.state.on_session_destroyed(lambda _: gone.set())
    while not stop.is_set():
        if gone.wait(TOGETHER):
            stop.wait(TOGETHER)
            gone.clear()
            gc.collect()
            machine.trim()
