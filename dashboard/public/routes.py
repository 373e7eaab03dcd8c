"""Addresses of the status pages, and of the same for programs."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from dashboard import languages, writing
from dashboard.api.centre import Here
from dashboard.api.headers import known
from dashboard.public import documents, places
from dashboard.public.status import Board, Look, Sent
from dashboard.public.words import Words
from processing.store import passes, whereabouts
from processing.store.standing import TileStanding

router = APIRouter(include_in_schema=False)

#: Nothing but our own style and images, and no script at all.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
#: Days that may be asked for.
FIRST_DAY, LAST_DAY = date(2015, 6, 1), date(2100, 1, 1)
#: Of what is searched for. [characters]
LONGEST = 100
#: Of the number of a page.
_PART = re.compile(r"[1-9][0-9]{0,3}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


async def _board(request: Request) -> Board:
    board: Board = request.app.state.board
    return board


TheBoard = Annotated[Board, Depends(_board)]


class Looks:
    """Gives the last look at once, and has the next one made beside: only the first reader ever waits.

    Parameters
    ----------
    board : Board
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._next: asyncio.Task[Look] | None = None

    async def latest(self) -> Look | None:
        """The last look; None where there never was one and the store can't be asked."""
        if self._board.stale and (self._next is None or self._next.done()):
            self._next = asyncio.create_task(asyncio.to_thread(self._board.look))
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        if self._board.last is None and self._next is not None:
            await asyncio.wait([self._next])
        return self._board.last


async def _looks(request: Request) -> Looks:
    looks: Looks = request.app.state.looks
    return looks


TheLooks = Annotated[Looks, Depends(_looks)]


def include(app: FastAPI, board: Board) -> None:
    """Give an application the status pages in all languages."""
    app.state.board, app.state.looks = board, Looks(board)
    for code in languages.LANGUAGES:
        app.include_router(_of_sites(code))
        app.include_router(_of_dates(code))
    app.include_router(router)


def _headers(**further: str) -> dict[str, str]:
    return {"Content-Security-Policy": POLICY, "Cache-Control": "public, max-age=20", **further}


def answer(request: Request, sent: Sent, media_type: str = "text/html; charset=utf-8", **further: str) -> Response:
    """A page that was made before, compressed where the reader takes it."""
    headers = _headers(ETag=sent.etag, Vary="Accept-Encoding, Accept-Language", **further)
    if known(request, sent.etag):
        return Response(status_code=304, headers=headers)
    body = sent.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = sent.packed, "gzip"
    return Response(body, media_type=media_type, headers=headers)


def _copy(board: Board, language: str) -> Response:
    """What is left where the store was never reached: the copy that was written before."""
    copied = board.copied(language)
    if copied is None:
        raise HTTPException(503, "the store can't be reached")
    headers = _headers()
    del headers["Content-Security-Policy"]  # it brings its own, with the digest of its style
    return Response(copied, media_type="text/html; charset=utf-8", headers=headers)


async def _front(request: Request, board: Board, looks: Looks, language: str, **further: str) -> Response:
    look = await looks.latest()
    if look is None:
        return await asyncio.to_thread(_copy, board, language)
    return answer(request, board.front(language, look), **further)


@router.head("/", include_in_schema=False)
@router.get("/")
async def home(
    request: Request, board: TheBoard, looks: TheLooks, accept_language: Annotated[str | None, Header()] = None
) -> Response:
    """The status page in the language of the reader's browser."""
    language = languages.preferred(accept_language)
    return await _front(request, board, looks, language, **{"Content-Language": language})


@router.head("/status.json", include_in_schema=False)
@router.get("/status.json")
async def as_json(request: Request, board: TheBoard, looks: TheLooks) -> Response:
    """Every figure of the status page."""
    look = _there(await looks.latest())
    return answer(request, board.document(look), "application/json", **{"Access-Control-Allow-Origin": "*"})


@router.head("/status/{tile}.json", include_in_schema=False)
@router.get("/status/{tile}.json")
async def tile_as_json(tile: str, looks: TheLooks) -> Response:
    """How a tile stands."""
    look = _there(await looks.latest())
    found = look.standing.tiles.get(tile)
    if found is None:
        raise HTTPException(404, f"no tile {tile}")
    return _json(documents.tile(found, look.standing.taken))


@router.head("/status/{tile}/{day}.json", include_in_schema=False)
@router.get("/status/{tile}/{day}.json")
def day_as_json(tile: str, day: str, centre: Here) -> Response:
    """What became of the passes over a tile on a day."""
    when = as_day(day)
    if when is None:
        raise HTTPException(404, f"no day {day}: days are written 2026-11-03")
    with centre.store.read() as session:
        if not passes.known_tile(session, tile):
            raise HTTPException(404, f"no tile {tile}")
        return _json(documents.day(whereabouts.on(session, tile, when)))


def _json(told: dict[str, Any]) -> Response:
    return JSONResponse(told, headers={"Cache-Control": "public, max-age=20", "Access-Control-Allow-Origin": "*"})


def _there(look: Look | None) -> Look:
    if look is None:
        raise HTTPException(503, "the store can't be reached")
    return look


def as_day(text: str) -> date | None:
    """A day that may be asked for; None where a text is none."""
    if not _DAY.fullmatch(text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None


def _of_sites(language: str) -> APIRouter:
    """The pages of the centre and of its sites, in one language."""
    pages = APIRouter(prefix=f"/{language}", include_in_schema=False)
    words = Words(language)

    @pages.head("/", include_in_schema=False)
    @pages.get("/")
    async def front(request: Request, board: TheBoard, looks: TheLooks) -> Response:
        return await _front(request, board, looks, language)

    @pages.get("")
    async def bare() -> Response:
        return RedirectResponse(f"/{language}/", 308)

    @pages.head("/sites", include_in_schema=False)
    @pages.get("/sites")
    async def sites(request: Request, board: TheBoard, looks: TheLooks) -> Response:
        return answer(request, board.sites(language, _there(await looks.latest())))

    @pages.head("/sites/{code}", include_in_schema=False)
    @pages.get("/sites/{code}")
    async def site(code: str, request: Request, board: TheBoard, looks: TheLooks, page: str = "1") -> Response:
        look = _there(await looks.latest())
        sent = board.site(language, look, code, int(page) if _PART.fullmatch(page) else 0)
        if sent is None:
            fault = words.text("There is no site %(code)s.", code=code)
            return unknown(language, fault, "/sites")
        return answer(request, sent)

    return pages


def _of_dates(language: str) -> APIRouter:
    """The pages of tiles and days, and the search for them, in one language."""
    pages = APIRouter(prefix=f"/{language}", include_in_schema=False)
    words = Words(language)

    @pages.head("/tiles/{tile}", include_in_schema=False)
    @pages.get("/tiles/{tile}")
    async def tile(tile: str, board: TheBoard, looks: TheLooks, centre: Here) -> Response:
        look = _there(await looks.latest())
        found = look.standing.tiles.get(tile)
        if found is None:
            return no_tile(language, tile)
        return await asyncio.to_thread(_tile, language, board, look, found, centre)

    @pages.head("/tiles/{tile}/{day}", include_in_schema=False)
    @pages.get("/tiles/{tile}/{day}")
    def day(tile: str, day: str, board: TheBoard, centre: Here) -> Response:
        when = as_day(day)
        if when is None:
            fault = words.text("There is no day %(day)s: days are written 2026-11-03.", day=day)
            return unknown(language, fault, f"/tiles/{tile}/{day}", tile)
        with centre.store.read() as session:
            if not passes.known_tile(session, tile):
                return no_tile(language, tile)
            found = whereabouts.on(session, tile, when)
        page = writing.page("day.html", language, here=f"/tiles/{tile}/{day}", day=found, words=words, look=board.last)
        return HTMLResponse(page, headers=_headers())

    @pages.head("/why", include_in_schema=False)
    @pages.get("/why")
    async def why(
        looks: TheLooks,
        place: str = "",
        asked: Annotated[str, Query(alias="date")] = "",
    ) -> Response:
        look = _there(await looks.latest())
        return await asyncio.to_thread(_why, language, place.strip()[:LONGEST], asked.strip()[:LONGEST], look)

    return pages


def _tile(language: str, board: Board, look: Look, found: TileStanding, centre: Any) -> Response:
    with centre.store.read() as session:
        lately = whereabouts.lately(session, found.tile, look.standing.taken)
    page = writing.page(
        "tile.html",
        language,
        here=f"/tiles/{found.tile}",
        tile=found,
        sites=[site for site in look.standing.sites if found.tile in site.tiles],
        lately=lately,
        **board.told(language, look),
    )
    return HTMLResponse(page, headers=_headers())


def _why(language: str, place: str, asked: str, look: Look) -> Response:
    """The page of a tile and a day, or the tiles among which to choose, or what was not understood."""
    words = Words(language)
    day = as_day(asked)
    found = places.find(place, look.standing.tiles, look.standing.sites) if place else []
    if day is not None and len(found) == 1:
        return RedirectResponse(f"/{language}/tiles/{found[0]}/{day}", 303)
    fault = ""
    if not place or not asked:
        fault = words.text("Say a tile or a place, and a date.")
    elif day is None:
        fault = words.text("There is no day %(day)s: days are written 2026-11-03.", day=asked)
    elif not found:
        fault = words.text("No tile of this centre is meant by %(place)s.", place=place)
    named = places.names(found, look.standing.sites) if day is not None else []
    page = writing.page(
        "place.html", language, here="/why", place=place, day=day, found=named, fault=fault, words=words
    )
    return HTMLResponse(page, 404 if fault and place and asked else 200, headers=_headers())


def no_tile(language: str, tile: str) -> Response:
    """The page of a tile that the centre does not have."""
    fault = Words(language).text("There is no tile %(tile)s at this centre.", tile=tile)
    return unknown(language, fault, f"/tiles/{tile}")


def unknown(language: str, fault: str, here: str, place: str = "") -> Response:
    """What was asked for is not there: what it was, and the way to ask again."""
    page = writing.page(
        "place.html", language, here=here, place=place, day=None, found=[], fault=fault, words=Words(language)
    )
    return HTMLResponse(page, 404, headers=_headers())
