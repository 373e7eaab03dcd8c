"""What a reader or a program gets instead of what was asked for: a page in the reader's language, or JSON."""

from __future__ import annotations

import asyncio
import logging

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from dashboard import languages, people, writing
from processing.errors import NotAllowed, StoreError, printable

log = logging.getLogger(__name__)


def reads_html(headers: Headers) -> bool:
    """Whether who asks wants a page to read, as a browser that opens an address does."""
    return "text/html" in headers.get("accept", "")


def answer(scope: Scope, status: int, why: str) -> Response:
    """The answer of a status: a page with a way back for who reads one, else JSON as FastAPI's."""
    headers = Headers(scope=scope)
    if not reads_html(headers):
        return JSONResponse({"detail": why}, status)
    words = scope["path"].split("/")
    said = words[1] if len(words) > 1 and words[1] in languages.LANGUAGES else ""
    language = said or languages.preferred(headers.get("accept-language"))
    page = writing.page("fault.html", language, here="/", status=status, why=why, path=scope["path"])
    return HTMLResponse(page, status)


def install(app: FastAPI) -> None:
    """Give an application these answers."""

    @app.exception_handler(HTTPException)
    async def known(request: Request, fault: HTTPException) -> Response:
        if not reads_html(request.headers) or fault.status_code < 400:
            return await http_exception_handler(request, fault)
        response = answer(request.scope, fault.status_code, str(fault.detail))
        response.headers.update(fault.headers or {})
        return response

    @app.exception_handler(NotAllowed)
    async def not_allowed(request: Request, fault: NotAllowed) -> Response:
        who = await asyncio.to_thread(people.actor)
        await app.state.guards.refused(who, request.method, request.url.path, str(fault))
        return answer(request.scope, 403, str(fault))

    @app.exception_handler(StoreError)
    async def unreachable(request: Request, fault: StoreError) -> Response:
        log.error("%s %s: %s", request.method, printable(request.url.path[:200]), fault)
        return answer(request.scope, 503, str(fault))
