"""Pages and routes put together. The only file that knows how Panel is mounted."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import holoviews as hv
import panel as pn
import uvicorn
from bokeh.embed.bundle import bundle_for_objs_and_resources
from bokeh.resources import Resources
from fastapi import APIRouter, FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from panel.io.fastapi import add_applications
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from dashboard import api, assets, bounds, door, faults, frame, guard, people, programs, sockets, themed
from dashboard.api import metrics
from dashboard.api.headers import FOREVER
from dashboard.http_cache import HttpCache
from dashboard.line import Line
from dashboard.pages import browse, compare, coverage, failures, production, products, validation, versions
from dashboard.pages.quality import Quality
from dashboard.pages.workbench import Workbench
from dashboard.public import help as helping
from dashboard.public import news, routes, sign_in
from dashboard.public.status import Board
from processing.errors import StoreError
from processing.settings import Settings
from processing.store import Store

#: How long a connection that nobody uses stays open. [s]
KEEP_ALIVE = 60
#: Tiles that are kept in memory as they were sent. [bytes]
TILES_KEPT = 96 * 2**20
#: A swath over a tile.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#0B5C8A"/>'
    '<path d="M9 4h9l5 24h-9z" fill="#56B4E9"/><rect x="10" y="11" width="11" height="11" fill="none" stroke="#fff" '
    'stroke-width="2.5"/></svg>'
)

entrance = APIRouter(include_in_schema=False)


@entrance.get("/favicon.ico")
def icon() -> Response:
    """The icon of all pages."""
    return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


class Compression(GZipMiddleware):
    """Pages and scripts are sent compressed; images and rasters are so already."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"].startswith(("/tiles/", "/xyz/", "/products/")):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class Assets(StaticFiles):
    """Our own scripts and styles: their addresses hold their digest."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """A file, to be kept for ever."""
        response = super().file_response(*arguments, **options)
        response.headers["Cache-Control"] = FOREVER
        return response


def create(settings: Settings) -> FastAPI:
    """The web of one centre: its pages and plain routes, fed by its store."""
    settings.make_folders()
    store = Store(settings.url)
    store.upgrade()
    centre = api.Centre(settings, store)

    public = urlsplit(settings.public_url)
    origins = door.origins() | {public.netloc.lower()} - {""}
    guards = guard.Guards(settings, store, door.secret(settings.home), origins)

    app = FastAPI(title="muscate", docs_url=None, redoc_url=None)
    app.state.guards = guards
    faults.install(app)
    app.add_middleware(themed.Themed)
    app.add_middleware(Compression, minimum_size=2000, compresslevel=5)
    app.add_middleware(HttpCache, paths=("/tiles/", "/xyz/"), limit=TILES_KEPT)
    app.add_middleware(bounds.Sessions)
    app.add_middleware(bounds.Bounds)
    app.add_middleware(sockets.Sockets, secret=door.secret(settings.home))
    app.add_middleware(guard.Guard, guards=guards)
    # Before the guard: a browser asks without a token whether its page may send one, and the page is to read a refusal.
    app.add_middleware(programs.Programs)
    app.add_middleware(metrics.Counted)
    # The outermost: nothing is answered before it.
    names = door.names(settings.host, [*settings.hosts, *([public.netloc] if public.netloc else [])])
    app.add_middleware(door.Door, names=names, origins=origins, https=public.scheme == "https")
    app.include_router(entrance)
    app.include_router(sign_in.router)
    for page in (production, failures, coverage, versions, browse, products, compare, validation):
        app.include_router(page.router)
    app.include_router(news.router)
    app.include_router(helping.router)
    api.include(app, centre)
    routes.include(app, Board(settings, store))
    app.mount("/assets", Assets(directory=assets.STATIC))
    _mount_pages(app, centre)
    return app


def _mount_pages(app: FastAPI, centre: api.Centre) -> None:
    """The pages that Panel makes, each below its name."""
    settings, store, snapshots = centre.settings, centre.store, centre.snapshots
    sockets.let_go()
    hv.extension("bokeh")
    pn.extension(notifications=False, design=frame.Plain, js_files={"patience": assets.address("patience.js")})

    def opener(name: str, make: Callable[..., frame.View]) -> Callable[[], pn.Template]:
        def open_page() -> pn.Template:
            word = people.keep_open()
            return frame.page(name, make(snapshot=snapshots.latest(), settings=settings), snapshots, word)

        return open_page

    views: dict[str, Callable[..., frame.View]] = {
        "quality": partial(Quality, store),
        "workbench": partial(Workbench, store),
    }
    # Makes the folders of Panel's and the others' scripts known: only those known by now are served.
    bundle_for_objs_and_resources(None, Resources("server"))
    add_applications(
        {f"/{name}": opener(name, make) for name, make in views.items()},
        title={f"/{name}": f"{frame.PAGES[name]} · muscate" for name in views},
        app=app,
        location=True,
        websocket_origin=["*"],  # the door has looked at it: bokeh-fastapi does not
        secret_key=door.secret(settings.home),
        sign_sessions=True,
    )


def _warm(centre: api.Centre) -> None:
    """Read all dates, which takes seconds in a large store, before the first reader asks for them."""
    with suppress(StoreError):
        centre.coverages.latest()


def serve(settings: Settings) -> None:
    """Serve the web until it is stopped."""
    # Read by GDAL with its first raster. Here and not with the package: workers are started through it too.
    os.environ.setdefault("GDAL_CACHEMAX", "32")
    # A reader's browser keeps its connections while he looks.
    app = create(settings)
    # What is here now stays: looking through it again for garbage would hold the pages up, by tenths of a second.
    gc.collect()
    gc.freeze()
    stop = threading.Event()
    threading.Thread(target=_warm, args=(app.state.centre,), name="dates", daemon=True).start()
    threading.Thread(target=app.state.board.keep, args=(stop,), name="status", daemon=True).start()
    threading.Thread(target=sockets.give_memory_back, args=(stop,), name="memory", daemon=True).start()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        http=Line,
        timeout_keep_alive=KEEP_ALIVE,
        ws_max_size=sockets.LONGEST,
        server_header=False,
    )
    stop.set()
