"""Plain HTTP: health, tiles, products and their files, a small summary. Ids are looked up in the store, never paths."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from dashboard import inputs, queries, tiles
from dashboard.snapshot import Snapshots
from processing.errors import InputError, L1CError, ProductError, StateError, StorageError
from processing.settings import Settings
from processing.store import events

if TYPE_CHECKING:
    from processing.store import Store

#: Tiles made at once: reading and encoding run outside of the interpreter's lock.
THREADS = min(8, 2 * (os.cpu_count() or 1))
FOREVER = "public, max-age=31536000, immutable"
#: A swath over a tile.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#0B5C8A"/>'
    '<path d="M9 4h9l5 24h-9z" fill="#56B4E9"/><rect x="10" y="11" width="11" height="11" fill="none" stroke="#fff" '
    'stroke-width="2.5"/></svg>'
)
#: How long a product's folder is believed without asking the store again. [s]
REMEMBERED = 10.0
#: Last level of the Web Mercator lattice.
MERCATOR_LAST = 18
#: How often the same fault of the same product counts as a case of its anomaly. [s]
NOTED = 600.0


@dataclass(frozen=True)
class Wanted:
    """What the parameters of an address ask for."""

    style: tiles.Style
    second: str
    mask: int
    blank: bool


def _wanted(
    bits: int = 255,
    pattern: tiles.Pattern = tiles.Pattern.FILL,
    bands: str = "",
    scale: Annotated[str, Query(alias="range")] = "",
    second: Annotated[str, Query(alias="with")] = "",
    lossy: bool = False,
    mask: int = 0,
    blank: bool = False,
) -> Wanted:
    """``bits=96``, ``pattern=outline``, ``bands=SRE_B8,SRE_B4,SRE_B3``, ``range=0,0.5,0,0.25,0,0.25``, ``with=ID``.

    ``mask=7`` is a kept mask of the product's image, for the layer ``reference``. ``blank=1`` gives an image in any
    case: an empty one where nothing of the product lies, one that says what is wrong where it can't be read.
    """
    try:
        values = tuple(float(value) for value in scale.split(",")) if scale else ()
    except ValueError:
        raise HTTPException(422, f"range is {scale}, not numbers with commas") from None
    return Wanted(
        tiles.Style(bits & 255, pattern, tuple(bands.split(",")) if bands else (), values, lossy), second, mask, blank
    )


def anomalies(store: Store) -> Callable[[Path, InputError], None]:
    """Opens or counts the anomaly of a damaged product or Level-1C; the same fault again counts only after a while."""

    @lru_cache(maxsize=1024)
    def note(path: Path, what: str, fault: str, period: int) -> None:
        with store.write() as session:
            events.note_anomaly(session, datetime.now(UTC), InputError.reason_class, f"damaged {what}", fault)

    return lambda path, fault: note(
        path, "Level-1C" if isinstance(fault, L1CError) else "product", str(fault), int(time.monotonic() / NOTED)
    )


Look = Annotated[Wanted, Depends(_wanted)]


def router(settings: Settings, store: Store, snapshots: Snapshots) -> APIRouter:
    """All plain routes of the web."""
    routes = APIRouter()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tiles")
    lookups = ThreadPoolExecutor(1, thread_name_prefix="lookups")
    # JPEG 2000 takes long to decode: one tile of the Level-1C at a time, and the other layers don't wait for it.
    decoding = ThreadPoolExecutor(1, thread_name_prefix="toa")

    kept_inputs = partial(inputs.kept, store, settings)
    known: dict[str, tuple[float, queries.Folder]] = {}

    def folder(identifier: str) -> queries.Folder:
        """Where a product lies, as the store has it."""
        with store.read() as session:
            found = queries.folder(session, identifier)
        if found is None:
            raise HTTPException(404, f"no product {identifier}")
        if len(known) >= 4096:
            known.clear()
        known[identifier] = time.monotonic() + REMEMBERED, found
        return found

    @lru_cache(maxsize=4096)
    def reference(product: queries.Folder, mask: int) -> str:
        """Path of a kept mask of a product's image; a mask is never written again."""
        with store.read() as session:
            path = next((one.path for one in queries.masks(session, product.identifier) if one.id == mask), None)
        if path is None:
            raise HTTPException(404, f"no mask {mask} of {product.identifier}")
        return path

    async def remembered(identifier: str) -> queries.Folder:
        """Where a product lies, without the store if it was asked a moment ago: a thread would wait for its turn."""
        until, found = known.get(identifier, (0.0, None))
        if found is not None and until > time.monotonic():
            return found
        return await asyncio.get_running_loop().run_in_executor(lookups, folder, identifier)

    @routes.get("/", include_in_schema=False)
    def home() -> Response:
        return RedirectResponse("/production")

    @routes.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})

    @routes.get("/health")
    def health() -> Response:
        """Whether the store answers, and how old what it shows is."""
        now = datetime.now(UTC)
        try:
            with store.read() as session:
                figures = queries.health(session)
        except Exception as fault:  # whatever is wrong with the store, this route is there to say it
            return JSONResponse({"status": "down", "reason": f"{type(fault).__name__}: {fault}"}, 503)
        newest = figures["newest_product"]
        return JSONResponse(
            {
                "status": "ok",
                "products": figures["products"],
                "open": figures["open"],
                "newest_product": newest and newest.isoformat(),
                "newest_product_age_seconds": newest and (now - newest).total_seconds(),
                "newest_event": figures["newest_event"] and figures["newest_event"].isoformat(),
                "time": now.isoformat(),
            }
        )

    damaged = anomalies(store)

    async def answer(
        request: Request, product: str, layer: str, place: tuple[int, int, int], v: str, look: Wanted, xyz: bool
    ) -> Response:
        """A tile of either lattice."""
        loop = asyncio.get_running_loop()
        found = await remembered(product)
        second = await remembered(look.second) if look.second else None
        z, x, y = place
        kept = await loop.run_in_executor(lookups, reference, found, look.mask) if look.mask else ""
        offered = layer in tiles.LAYERS and tiles.LAYERS[layer].pair == (second is not None)
        offered = offered and (layer == "reference") == bool(kept)
        if not offered or not 0 <= z <= (MERCATOR_LAST if xyz else tiles.LAST) or x < 0 or y < 0:
            raise HTTPException(404, f"no layer {layer}, or no such tile")
        try:
            files = tiles.endings(layer, look.style)
        except LookupError as fault:
            raise HTTPException(404, f"no layer {fault.args[0]}") from fault
        except ValueError as fault:
            raise HTTPException(422, str(fault)) from fault
        shas = [one.manifest_sha for one in (found, second) if one]
        digest = f"{shas}/{layer}{kept}/{place}/{xyz}/{look.style}/{tiles.RENDERING}"
        etag = f'"{hashlib.sha256(digest.encode()).hexdigest()[:24]}"'
        # Only an address that names the products' digests may be kept for ever: a new revision has another one.
        named = v.split(",")
        lasting = len(named) == len(shas) and all(n and sha.startswith(n) for n, sha in zip(named, shas, strict=True))
        headers = {"Cache-Control": FOREVER if lasting else "public, max-age=60", "ETag": etag}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if look.blank and z > tiles.NATIVE:  # Bokeh fetches the level after its last one, and never shows it
            return Response(tiles.BLANK, media_type="image/png", headers=headers)
        if layer == "age":
            made = await loop.run_in_executor(lookups, kept_inputs, found.identifier)
            if xyz or made.state is None:
                raise HTTPException(404, f"{found.identifier}: the state that entered its date is not kept here")
        if layer == "toa":
            if xyz:
                raise HTTPException(404, "the Level-1C is not drawn in Web Mercator")
            made = await loop.run_in_executor(lookups, kept_inputs, found.identifier)
            if not made.level1c:
                words = f"{found.identifier}: the Level-1C of its date is not kept here: {', '.join(made.gone)}"
                raise HTTPException(404, words.rstrip(": "))
            files = ()
        roots = [settings.masks / kept] if kept else [settings.archive / one.path for one in (found, second) if one]
        for root in roots:
            if any(tiles.find(root, ending) is None for ending in files):
                raise HTTPException(404, f"{root.name} has no {layer}: one of {', '.join(files)} is missing")

        def draw() -> bytes | None:
            if layer == "age":
                return tiles.age(*inputs.days(made.state), made.day, z, x, y, look.style)
            if layer == "toa":
                return tiles.toa(made.level1c, made.tile, z, x, y, look.style)
            if xyz:
                return tiles.mercator(roots[0], layer, z, x, y, look.style)
            return tiles.tile(roots[0], layer, z, x, y, look.style, *roots[1:])

        try:
            image = await loop.run_in_executor(decoding if layer == "toa" else pool, draw)
        except (StateError, StorageError) as fault:
            raise HTTPException(500, str(fault)) from fault
        except (ProductError, L1CError) as fault:
            await loop.run_in_executor(pool, damaged, roots[0], fault)
            raise HTTPException(500, str(fault)) from fault
        if image is None and look.blank:
            image = tiles.BLANK
        if image is None:
            return Response(status_code=204, headers=headers)
        kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
        return Response(image, media_type=f"image/{kind}", headers=headers)

    @routes.get("/tiles/{product}/{layer}/{z}/{x}/{y}")
    async def tile(
        request: Request, product: str, layer: str, z: int, x: int, y: int, look: Look, v: str = ""
    ) -> Response:
        """One PNG of 512 x 512 on the product's own grid; 204 outside of it."""
        try:
            return await answer(request, product, layer, (z, x, y), v, look, xyz=False)
        except HTTPException as fault:
            if not look.blank:
                raise
            return Response(_said(fault.detail), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})

    @routes.get("/xyz/{product}/{layer}/{z}/{x}/{y}.png")
    async def xyz(
        request: Request, product: str, layer: str, z: int, x: int, y: int, look: Look, v: str = ""
    ) -> Response:
        """One PNG of 256 x 256 in Web Mercator, for GIS and web maps; 204 outside of the product."""
        return await answer(request, product, layer, (z, x, y), v, look, xyz=True)

    @routes.get("/products/{product}/thumbnail")
    async def thumbnail(request: Request, product: str, v: str = "") -> Response:
        """The whole product in natural colour, 256 pixels wide or high."""
        loop = asyncio.get_running_loop()
        found = await remembered(product)
        lasting = v and found.manifest_sha.startswith(v)
        etag = f'"{found.manifest_sha[:24]}-{tiles.RENDERING}"'
        headers = {"Cache-Control": FOREVER if lasting else "public, max-age=60", "ETag": etag}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        try:
            image = await loop.run_in_executor(pool, tiles.thumbnail, settings.archive / found.path, "natural")
        except ProductError as fault:
            raise HTTPException(404, str(fault)) from fault
        return Response(image, media_type="image/png", headers=headers)

    @routes.get("/products/{product}/zip")
    def package(product: str) -> Response:
        """The whole product as one zip, its files as they are."""
        root = settings.archive / folder(product).path
        named = {"Content-Disposition": f'attachment; filename="{product}.zip"'}
        return StreamingResponse(zipped(product, _files(root)), media_type="application/zip", headers=named)

    @routes.get("/products/{product}/files")
    def files(product: str) -> list[dict[str, Any]]:
        """Files of a product: name, size in bytes, address."""
        root = settings.archive / folder(product).path
        return [
            {"name": name, "bytes": path.stat().st_size, "href": f"/products/{product}/files/{name}"}
            for name, path in _files(root).items()
        ]

    @routes.api_route("/products/{product}/files/{name:path}", methods=["GET", "HEAD"])
    def file(request: Request, product: str, name: str) -> Response:
        """One file of a product; parts of it on request, so that a COG can be read from afar."""
        found = folder(product)
        path = _files(settings.archive / found.path).get(name)
        if path is None:
            raise HTTPException(404, f"{product} has no file {name}")
        digest = hashlib.sha256(f"{found.manifest_sha}/{name}".encode()).hexdigest()[:24]
        headers = {"ETag": f'"{digest}"', "Access-Control-Allow-Origin": "*"}
        if digest in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return FileResponse(path, headers=headers)

    @routes.get("/api/summary")
    def summary() -> dict[str, Any]:
        """What the production page shows, in figures."""
        snapshot = snapshots.latest()
        backlog = snapshot.backlog["state"].value_counts()
        return {
            "taken": snapshot.taken.isoformat(),
            "products": len(snapshot.products),
            "simulated": int(snapshot.products["simulated"].sum()),
            "backlog": {str(state): int(count) for state, count in backlog.items()},
            "tiles": len(snapshot.coverage),
            "dates": int(snapshot.known.sum()),
        }

    return routes


def _said(words: str) -> str:
    """Words as an image of a tile's size."""
    lines = "".join(f'<tspan x="24" dy="22">{escape(line)}</tspan>' for line in textwrap.wrap(words, 52))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{tiles.SIZE}" height="{tiles.SIZE}">'
        f'<text y="24" font-family="sans-serif" font-size="16" fill="#B3261E">{lines}</text></svg>'
    )


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


def _files(root: Path) -> dict[str, Path]:
    """Regular files below a product's folder by their relative name; only these can be asked for."""
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
