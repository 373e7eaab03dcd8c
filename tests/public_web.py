"""Some of the public routes on a server of their own, without Panel: who sends a request says so in a header."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard import assets, people
from dashboard.api.centre import Centre
from processing.people import VISITOR, Actor, Role
from processing.settings import Settings
from processing.store import Store
from tests.browser import free_port

#: Header that names the sender's role.
ROLE = "x-role"


class Introduced:
    """In place of the door: the visit of whoever a header names."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        role = Role(dict(scope.get("headers", ())).get(ROLE.encode(), b"public").decode())
        name = VISITOR if role is Role.PUBLIC else f"some {role}"
        token = sha256(name.encode()).hexdigest()
        with people.visiting(people.Visit(None, "", "127.0.0.1", token, fixed=Actor(name, role, "127.0.0.1"))):
            await self._app(scope, receive, send)


def application(settings: Settings, store: Store, *routers: APIRouter) -> FastAPI:
    app = FastAPI()
    app.state.centre = Centre(settings, store)
    app.add_middleware(Introduced)
    app.mount("/assets", StaticFiles(directory=assets.STATIC))
    for router in routers:
        app.include_router(router)
    return app


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Address of an application that is served meanwhile."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://localhost:{port}"
    server.should_exit = True
    thread.join(10)
