"""Products and their files."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from functools import lru_cache, partial
from html import escape
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from dashboard import frame, plain, product_folder, queries, theme, tiles
from dashboard.api import headers
from dashboard.api.centre import Centre, Here, within
from dashboard.api.downloads import reader
from dashboard.api.sending import Sent, pages
from processing.distribution import zips
from processing.errors import ProductError
from processing.people import Role

router = APIRouter()


@router.get("/products/{product}/thumbnail")
async def thumbnail(request: Request, centre: Here, product: str, v: str = "") -> Response:
    """The whole product in natural colour, 256 pixels wide or high."""
    found = given(await centre.lookups.remembered(product))
    etag = f'"{found.manifest_sha[:24]}-{tiles.RENDERING}"'
    caching = headers.caching(etag, lasting=bool(v) and found.manifest_sha.startswith(v))
    if headers.known(request, etag):
        return Response(status_code=304, headers=caching)
    folder = centre.settings.archive / found.path
    try:
        image = await within(centre.drawing, tiles.thumbnail, folder, "natural")
    except ProductError as fault:
        raise HTTPException(404, str(fault)) from fault
    return Response(image, media_type="image/png", headers=caching)


@router.head("/products/{product}/zip", include_in_schema=False)
@router.get("/products/{product}/zip")
async def package(request: Request, centre: Here, product: str) -> Response:
    """The whole product as one zip, its files as they are; any part of it."""
    found = await centre.lookups.soon(centre.lookups.product, product)
    given(found)
    about = await asyncio.to_thread(centre.downloads.of, request, found)
    whole = await asyncio.to_thread(_layout, centre, found)
    return Sent(whole.size, whole.read, whole.etag, about, "application/zip", headers.attachment(f"{product}.zip"))


def given(found: queries.Folder) -> queries.Folder:
    """A product that users may have.

    Raises
    ------
    HTTPException
        410 with the reason if it was withdrawn.
    """
    if found.withdrawn is not None:
        raise HTTPException(410, taken_back(found.identifier, found.withdrawn))
    return found


def looked_at(found: queries.Folder) -> queries.Folder:
    """A product that who asks may look at: what was withdrawn by those alone who say whether that was right.

    Raises
    ------
    HTTPException
        As of `given`.
    """
    return found if found.withdrawn is None or reader().role.reaches(Role.SCIENTIST) else given(found)


def taken_back(identifier: str, reason: str) -> str:
    """That a product was withdrawn, and why, in words."""
    return f"{identifier} was withdrawn{': ' + reason if reason else ''}"


def _layout(centre: Centre, found: queries.Folder) -> zips.Layout:
    return _layouts(centre.settings.archive / found.path, found.manifest_sha, found.published)


@lru_cache(maxsize=64)
def _layouts(folder: Path, manifest_sha: str, published: datetime | None) -> zips.Layout:
    """Read once: where a manifest is older than its sums of zips, the files are read for them."""
    try:
        entries = product_folder.manifest(folder)
    except product_folder.UNREADABLE:
        entries = {}
    sums = {name: entry.get("crc32") for name, entry in entries.items()}
    return zips.layout(folder.name, product_folder.files(folder), sums, published or datetime(1980, 1, 1, tzinfo=UTC))


@router.get("/products/{product}/files", response_model=None)
def files(request: Request, centre: Here, product: str) -> Response:
    """Files of a product: name, size in bytes, address. Programs get JSON, a browser the same as a page."""
    found = given(centre.lookups.product(product))
    listed = [
        {"name": name, "bytes": path.stat().st_size, "href": f"/products/{product}/files/{name}"}
        for name, path in product_folder.files(centre.settings.archive / found.path).items()
    ]
    vary = {"Vary": "Accept"}
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(listed, headers=vary)
    page = plain.page(centre.settings, "products", _as_page(product, listed))
    page.headers.update(vary)
    return page


def _as_page(product: str, listed: list[dict[str, Any]]) -> str:
    """The files as a table, as HTML."""
    name = escape(product)
    rows = [
        (f'<a href="{escape(quote(one["href"]))}">{escape(one["name"])}</a>', theme.number(one["bytes"] / 1e3, 1))
        for one in listed
    ]
    total = sum(one["bytes"] for one in listed) / 1e6
    return (
        f'<h2 style="overflow-wrap:anywhere">Files of {name}</h2><p>{len(listed)} files, {theme.number(total, 1)} MB · '
        f'<a href="/products/{name}/zip">all as a zip</a> · <a href="/products?product={name}">look at it</a> · '
        f'<a href="/compare?left={name}">compare</a></p>{frame.table(["File", "Size [kB]"], rows, ["Size [kB]"])}'
    )


@router.head("/products/{product}/files/{name:path}", include_in_schema=False)
@router.get("/products/{product}/files/{name:path}")
def file(request: Request, centre: Here, product: str, name: str) -> Response:
    """One file of a product; parts of it on request, so that a COG can be read from afar."""
    found = given(centre.lookups.product(product))
    path = product_folder.files(centre.settings.archive / found.path).get(name)
    if path is None:
        raise HTTPException(404, f"{product} has no file {name}")
    digest = hashlib.sha256(f"{found.manifest_sha}/{name}".encode()).hexdigest()[:24]
    kind = {".tif": "image/tiff"}.get(path.suffix) or guess_type(path.name)[0] or "application/octet-stream"
    about = centre.downloads.of(request, found)
    return Sent(path.stat().st_size, partial(pages, path), digest, about, kind)
