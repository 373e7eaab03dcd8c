"""The routes of the STAC API; what they answer with is made in `dashboard.stac`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from typing import Annotated, Any, ParamSpec

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from dashboard import stac
from dashboard.api import headers
from dashboard.api.centre import Centre, Here, within
from dashboard.stac import ALL, CURRENT, GEOJSON, TITLES
from processing import deflate
from processing.distribution import client, lists
from processing.errors import NumberError, SearchError
from processing.store import search, surroundings
from processing.store.search import Search

P = ParamSpec("P")
#: More products than these are not counted.
MOST_COUNTED = 100_000
#: Level of compression: there is much, and no two answers are alike.
GZIP = 2
#: Which files of each product, as `muscate download --bands`.
Bands = Annotated[str, Query(max_length=1000, description="Files: keys, kinds or bands, with commas.")]
_OPEN = {"Access-Control-Allow-Origin": "*"}

#: A search as JSON, for the description of the API; what is wrong with one is said by `stac.asked`.
_BODY = {
    "type": "object",
    "properties": {
        "collections": {"type": "array", "items": {"type": "string", "enum": list(TITLES)}},
        "ids": {"type": "array", "items": {"type": "string"}},
        "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
        "intersects": {"type": "object", "description": "GeoJSON geometry"},
        "datetime": {"type": "string", "description": "A time of RFC 3339, or an interval of two"},
        "limit": {"type": "integer", "minimum": 1, "default": 10},
        "token": {"type": "string", "description": "Of the link to the next page"},
        "sortby": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "direction": {"enum": ["asc", "desc"]}},
                "required": ["field"],
            },
        },
        "fields": {
            "type": "object",
            "properties": {
                "include": {"type": "array", "items": {"type": "string"}},
                "exclude": {"type": "array", "items": {"type": "string"}},
            },
        },
        "query": {"type": "object", "description": "Of each property its operators"},
        "filter": {"description": "CQL2, JSON or text"},
        "filter-lang": {"type": "string", "enum": ["cql2-json", "cql2-text"], "default": "cql2-json"},
    },
}

router = APIRouter(prefix="/stac")


class Narrowed(BaseModel):
    """The parameters of a search, as text: JSON where the standard says so, lists with commas."""

    model_config = ConfigDict(extra="ignore")

    ids: str | None = Field(None, description="Names of products, with commas.")
    bbox: str | None = Field(None, description="West, south, east, north, with commas. [deg]")
    intersects: str | None = Field(None, description="GeoJSON geometry.")
    datetime: str | None = Field(None, description="A time of RFC 3339, or an interval of two with a slash.")
    limit: str | None = Field(None, description="Most products of a page.")
    token: str | None = Field(None, description="Of the link to the next page.")
    sortby: str | None = Field(None, description="Queryables, with commas; a minus before one: last first.")
    fields: str | None = Field(None, description="Fields that are given, or with a minus left out, with commas.")
    query: str | None = Field(None, description="Of each property its operators, as JSON.")
    filter: str | None = Field(None, description="CQL2: text, or JSON where filter-lang says so.")
    filter_crs: str | None = Field(None, alias="filter-crs", description="OGC:CRS84, which is what it is anyway.")
    filter_lang: str | None = Field(None, alias="filter-lang", description="cql2-text or cql2-json.")

    def given(self) -> dict[str, Any]:
        """Those that were given, as a body has them."""
        said: dict[str, Any] = {n: text for n, text in self.model_dump(by_alias=True).items() if text is not None}
        return said | ({"bbox": said["bbox"].split(",")} if said.get("bbox") else {})


class Searched(Narrowed):
    """The same, of any collection."""

    collections: str | None = Field(None, description="Collections, with commas.")


class _Json(JSONResponse):
    """JSON that scripts of other pages may read: STAC Browser runs in the reader's browser."""

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        media_type: str = "application/json",
        named: dict[str, str] | None = None,
    ) -> None:
        super().__init__(content, status_code, headers={**_OPEN, **(named or {})}, media_type=media_type)


def _missing(what: str) -> Response:
    return _Json({"code": "NotFound", "description": f"there is no {what}"}, 404)


def _refusing(answer: Callable[P, Response]) -> Callable[P, Response]:
    """Answers a search that can't be understood with what is wrong with it."""

    @wraps(answer)
    def answered(*arguments: P.args, **options: P.kwargs) -> Response:
        try:
            return answer(*arguments, **options)
        except SearchError as fault:
            return _bad(fault)

    return answered


def _bad(fault: SearchError) -> Response:
    code, status = ("Unprocessable", 422) if isinstance(fault, NumberError) else ("BadRequest", 400)
    return _Json({"code": code, "description": str(fault)}, status)


async def _searched(
    request: Request, centre: Centre, body: Mapping[str, Any], *, post: bool = False, of: str = ""
) -> Response:
    """`_items`, when its turn comes."""
    try:
        found = partial(_items, request, centre, body, post=post, of=of)
        return await within(centre.searching, found)
    except SearchError as fault:
        return _bad(fault)


@router.get("")
@router.get("/", include_in_schema=False)
def landing(request: Request, centre: Here) -> Response:
    """Where the API begins: what it can do, and where."""
    return _Json(stac.landing(_base(request, centre)))


@router.get("/conformance")
def conformance() -> Response:
    """The parts of the standards that it follows."""
    return _Json({"conformsTo": stac.CONFORMS})


@router.get("/collections")
def collections(request: Request, centre: Here) -> Response:
    """The collections: what users get by default, and everything."""
    return _Json(
        {
            "collections": [_collection(request, centre, name) for name in TITLES],
            "links": stac.links(_base(request, centre), _own(request, centre)),
        }
    )


@router.get("/collections/{name}")
def one_collection(request: Request, centre: Here, name: str) -> Response:
    """One collection."""
    return _Json(_collection(request, centre, name)) if name in TITLES else _missing(f"collection {name}")


@router.get("/queryables")
@router.get("/collections/{name}/queryables")
def queryables(request: Request, centre: Here, name: str = CURRENT) -> Response:
    """What a filter may name, in JSON schema."""
    if name not in TITLES:
        return _missing(f"collection {name}")
    return _Json(stac.queryables(name, _own(request, centre)), media_type="application/schema+json")


@router.get("/collections/{name}/items")
async def all_items(request: Request, centre: Here, name: str, narrowed: Annotated[Narrowed, Query()]) -> Response:
    """The products of a collection, as a search."""
    if name not in TITLES:
        return _missing(f"collection {name}")
    return await _searched(request, centre, {**narrowed.given(), "collections": [name]}, of=name)


@router.get("/collections/{name}/items/{product}")
def one_item(request: Request, centre: Here, name: str, product: str) -> Response:
    """One product, whatever its version."""
    if name not in TITLES:
        return _missing(f"collection {name}")
    wanted = Search(identifiers=(product,), versions=("all",), withdrawn=True)
    with centre.store.read() as session:
        found = search.find(session, wanted, 1).found
        around = surroundings.around(session, [f.product for f in found])
    if found and name == CURRENT and not found[0].product.valid:
        reason = around[found[0].product.id].withdrawn
        return _Json({"code": "Gone", "description": f"{product} was withdrawn{': ' + reason if reason else ''}"}, 410)
    if not found or (name == CURRENT and not found[0].shown_by_default):
        return _missing(f"product {product} in {name}")
    root = centre.settings.archive / found[0].product.path
    item = stac.item(_base(request, centre), root, found[0], name, around[found[0].product.id])
    return _Json(item, media_type=GEOJSON)


@router.get("/search")
async def get_search(request: Request, centre: Here, searched: Annotated[Searched, Query()]) -> Response:
    """Products by the parameters of an item search."""
    return await _searched(request, centre, searched.given())


@router.post("/search", openapi_extra={"requestBody": {"content": {"application/json": {"schema": _BODY}}}})
async def post_search(request: Request, centre: Here, body: dict[str, Any]) -> Response:
    """Products by the same parameters as JSON."""
    return await _searched(request, centre, body, post=True)


def _base(request: Request, centre: Centre) -> str:
    """The web's address, as its users know it."""
    return centre.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")


#: Most products of a list or a script.
MOST_LISTED = 10_000


@router.get("/search/list")
@_refusing
def listed(request: Request, centre: Here, searched: Annotated[Searched, Query()], bands: Bands = "") -> Response:
    """What a search finds now as a list to be cited: names, sizes and sums, and one digest over all of them."""
    products, search_ = _found(request, centre, searched, bands)
    named = headers.attachment(f"muscate-{lists.digest_of(products)[:12]}.json")
    return _Json(lists.frozen(products, search_), named=named)


@router.get("/search/script")
@_refusing
def script(request: Request, centre: Here, searched: Annotated[Searched, Query()], bands: Bands = "") -> Response:
    """What a search finds now as a script that brings it, for any shell with curl and sha256sum."""
    products, search_ = _found(request, centre, searched, bands)
    return Response(
        lists.script(products, search_), media_type="text/x-shellscript", headers=headers.attachment("get.sh")
    )


def _found(request: Request, centre: Centre, searched: Searched, bands: str) -> tuple[list[client.Product], str]:
    """All products of a search, with the files that were chosen, and its address.

    Raises
    ------
    SearchError
        If they are more than `MOST_LISTED`, or what was chosen is none of their files.
    """
    wanted, base = stac.asked(searched.given()), _base(request, centre)
    chosen = [name for name in bands.split(",") if name]
    return client.of_items(_every(centre, wanted, base), chosen), f"{base}/stac/search?{request.url.query}"


def _every(centre: Centre, wanted: stac.Asked, base: str) -> Iterator[dict[str, Any]]:
    """The items of a search, page after page.

    Raises
    ------
    SearchError
        As of `_found`.
    """
    after: str | None = None
    for _ in range(-(-MOST_LISTED // stac.MOST)):
        with centre.store.read() as session:
            page = search.find(session, wanted.search, stac.MOST, after)
            around = surroundings.around(session, [f.product for f in page.found])
        for found in page.found:
            root = centre.settings.archive / found.product.path
            yield stac.item(base, root, found, wanted.collection, around[found.product.id])
        after = page.after
        if after is None:
            return
    raise SearchError(f"the search finds more than {MOST_LISTED} products: narrow it")


def _own(request: Request, centre: Centre, **parameters: str) -> str:
    """The address that was asked, as users know it."""
    asked = request.url.include_query_params(**parameters) if parameters else request.url
    query = f"?{asked.query}" if asked.query else ""
    return f"{_base(request, centre)}{asked.path}{query}"


def _collection(request: Request, centre: Centre, name: str) -> dict[str, Any]:
    def extent() -> Any:
        with centre.store.read() as session:
            return search.extent(session, default=name == CURRENT)

    bounds, ends = centre.once(("extent", name), extent)
    return stac.collection(_base(request, centre), name, bounds, ends)


def _items(request: Request, centre: Centre, body: Mapping[str, Any], *, post: bool = False, of: str = "") -> Response:
    """A page of what a search finds, and the address of the next one."""
    wanted, base = stac.asked(body), _base(request, centre)
    with centre.store.read() as session:
        page = search.find(session, wanted.search, wanted.limit, wanted.after)
        around = surroundings.around(session, [f.product for f in page.found])
        all_there = page.after is None and wanted.after is None
        matched = (
            len(page.found)
            if all_there
            else centre.once(("count", wanted.search), lambda: search.count(session, wanted.search, MOST_COUNTED, page))
        )
    features = []
    for found in page.found:
        own = wanted.collection if wanted.collection != CURRENT or found.shown_by_default else ALL
        root = centre.settings.archive / found.product.path
        features.append(stac.text(base, root, found, own, around[found.product.id], wanted.fields))
    more: list[dict[str, Any]] = []
    if of:
        where = f"{base}/stac/collections/{of}"
        more = [{"rel": rel, "href": where, "type": "application/json"} for rel in ("collection", "parent")]
    if page.after is not None:
        more.append(_next(request, centre, page.after, body if post else None))
    answer = {
        "type": "FeatureCollection",
        "numberReturned": len(features),
        "links": stac.links(base, _own(request, centre), *more),
    }
    if matched < MOST_COUNTED:  # beyond, nobody knows without counting them all each time
        answer["numberMatched"] = matched
    whole = f'{stac.written(answer)[:-1]},"features":[{",".join(features)}]}}'.encode()
    named = {**_OPEN, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):  # here, where nobody else waits for it
        whole, named["Content-Encoding"] = deflate.compress(whole, GZIP, wbits=31), "gzip"
    return Response(whole, media_type=GEOJSON, headers=named)


def _next(request: Request, centre: Centre, after: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    """Link to the page after this one; `body` is what was posted, if it was."""
    link = {"rel": "next", "type": GEOJSON}
    if body is None:
        return {**link, "href": _own(request, centre, token=after), "method": "GET"}
    return {**link, "href": _own(request, centre), "method": "POST", "body": {**body, "token": after}}
