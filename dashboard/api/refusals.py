"""What is answered to a request that can't be understood, or that no file answers."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from tornado.web import HTTPError


def include(app: FastAPI) -> None:
    """Give an application these answers."""
    app.add_exception_handler(RequestValidationError, _misunderstood)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPError, _of_panel)  # type: ignore[arg-type]


async def _misunderstood(request: Request, fault: RequestValidationError) -> Response:
    """422 with what is wrong where, but not with what was given: numbers that are none can't be said in JSON."""
    said = [
        {"loc": [_plain(part) for part in error["loc"]], "msg": _plain(error["msg"]), "type": error["type"]}
        for error in fault.errors()[:20]
    ]
    return JSONResponse({"detail": said}, 422)


async def _of_panel(request: Request, fault: HTTPError) -> Response:
    """Panel's own routes refuse as its other server does."""
    return JSONResponse({"detail": fault.log_message or fault.reason or "not found"}, fault.status_code)


def _plain(said: object) -> object:
    """Text that can be sent: an address may hold halves of characters."""
    return said.encode("utf-8", "replace").decode()[:500] if isinstance(said, str) else said
