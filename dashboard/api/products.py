"""Products and their files."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

from dashboard import frame, plain, product_folder, theme, tiles
from dashboard.api import headers
from dashboard.api.centre import Here
from processing.errors import ProductError

router = APIRouter()


@router.get("/products/{product}/thumbnail")
async def thumbnail(request: Request, centre: Here, product: str, v: str = "") -> Response:
    """The whole product in natural colour, 256 pixels wide or high."""
    found = await centre.lookups.remembered(product)
    etag = f'"{found.manifest_sha[:24]}-{tiles.RENDERING}"'
    caching = headers.caching(etag, lasting=bool(v) and found.manifest_sha.startswith(v))
    if headers.known(request, etag):
        return Response(status_code=304, headers=caching)
    folder = centre.settings.archive / found.path
    try:
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(centre.drawing, tiles.thumbnail, folder, "natural")
    except ProductError as fault:
        raise HTTPException(404, str(fault)) from fault
    return Response(image, media_type="image/png", headers=caching)


@router.get("/products/{product}/zip")
def package(centre: Here, product: str) -> Response:
    """The whole product as one zip, its files as they are."""
    whole = zipped(product, product_folder.files(centre.folder(product)))
    return StreamingResponse(whole, media_type="application/zip", headers=headers.attachment(f"{product}.zip"))


@router.get("/products/{product}/files", response_model=None)
def files(request: Request, centre: Here, product: str) -> Response:
    """Files of a product: name, size in bytes, address. Programs get JSON, a browser the same as a page."""
    listed = [
        {"name": name, "bytes": path.stat().st_size, "href": f"/products/{product}/files/{name}"}
        for name, path in product_folder.files(centre.folder(product)).items()
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
    found = centre.lookups.product(product)
    path = product_folder.files(centre.settings.archive / found.path).get(name)
    if path is None:
        raise HTTPException(404, f"{product} has no file {name}")
    digest = hashlib.sha256(f"{found.manifest_sha}/{name}".encode()).hexdigest()[:24]
    named = {"ETag": f'"{digest}"', "Access-Control-Allow-Origin": "*"}
    if headers.known(request, digest):
        return Response(status_code=304, headers=named)
    return FileResponse(path, headers=named)


class _Pipe(io.RawIOBase):
    """What a zip writes, until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def zipped(name: str, files: dict[str, Path]) -> Iterator[bytes]:
    """A zip of `files` in the folder `name`, made while it is sent: rasters are compressed already, so it stores."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for inside, path in files.items():
            with path.open("rb") as source, archive.open(f"{name}/{inside}", "w", force_zip64=True) as target:
                while chunk := source.read(1 << 20):
                    target.write(chunk)
                    yield pipe.take()
    yield pipe.take()
