"""The products of a tile and version as a Zarr cube in time, made key by key as it is asked for."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import TYPE_CHECKING

from cachetools import LRUCache, TTLCache
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from dashboard import queries
from dashboard.api import headers
from dashboard.api.centre import Centre, Here
from dashboard.api.products import taken_back
from processing import tiling
from processing.errors import ProductError

if TYPE_CHECKING:
    from processing.distribution.cubes import View

router = APIRouter()
#: Cubes whose metadata are kept, and how long one is believed without asking the store again. [s]
KEPT, REMEMBERED = 32, 5.0
#: Products whose withdrawal is told one by one.
MOST_TOLD = 5
_NAME = re.compile(r"([0-9A-Z]{5})_(V\d_\d)\.zarr")
_views: LRUCache[tuple[object, str, str], View] = LRUCache(KEPT)
_recent: TTLCache[tuple[object, str, str], tuple[View, str]] = TTLCache(KEPT, REMEMBERED)
_lock = threading.Lock()


@router.head("/cubes/{name}/{key:path}", include_in_schema=False)
@router.get("/cubes/{name}/{key:path}")
def part(request: Request, centre: Here, name: str, key: str) -> Response:
    """What lies under a key of the cube ``31TCJ_V1_4.zarr``: metadata, or a chunk cut out of a product.

    ``xarray.open_zarr("http://.../cubes/31TCJ_V1_4.zarr")`` opens it. Dates keep their places: what is published later
    stands behind, what was withdrawn is no data, and its date says why. What is read counts as what is downloaded.
    """
    match = _NAME.fullmatch(name)
    if match is None or not tiling.valid(match[1]):
        raise HTTPException(404, f"{name} is no cube, as 31TCJ_V1_4.zarr is")
    view, digest = _view(centre, match[1], match[2])
    etag = f'"{digest[:24]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"'
    caching = {"ETag": etag, "Cache-Control": "no-cache"}
    if headers.known(request, etag):
        return Response(status_code=304, headers=caching)
    try:
        found = view.get(key)
    except ProductError as fault:
        raise HTTPException(404, str(fault)) from fault
    date = view.date(key)
    if found is None:  # 404 of a date that was withdrawn too: clients take that for no data, and any other for a fault
        gone = f": {taken_back(date.product, date.withdrawn)}" if date and date.withdrawn is not None else ""
        raise HTTPException(404, f"{name} has nothing under {key[:100]}{gone}")
    if date is not None:  # as much of a product as if its file were read
        folder = queries.Folder(date.product, "", date.manifest_sha256, simulated=False)
        centre.downloads.of(request, folder).sent(len(found))
    kind = "application/json" if key.endswith(".json") else "application/octet-stream"
    return Response(found, media_type=kind, headers=caching)


def _view(centre: Centre, tile: str, version: str) -> tuple[View, str]:
    """The cube as its products are now, and a digest of that."""
    with _lock:
        known = _recent.get((centre, tile, version))
    if known is None:
        known = _made(centre, tile, version)
        with _lock:
            _recent[centre, tile, version] = known
    return known


def _made(centre: Centre, tile: str, version: str) -> tuple[View, str]:
    # It brings in Zarr, which most visitors never ask for.
    from processing.distribution import cubes

    with centre.store.read() as session:
        places = queries.cube(session, tile, version)
    if not places:
        raise HTTPException(404, f"no product of {tile} in {version}")
    if all(one.withdrawn is not None for one in places):
        words = "; ".join(taken_back(one.identifier, one.withdrawn or "") for one in places[:MOST_TOLD])
        raise HTTPException(410, f"no product of {tile} in {version} is left: {words}")
    seen = [(one.identifier, one.manifest_sha, one.given, one.withdrawn) for one in places]
    digest = hashlib.sha256(repr(seen).encode()).hexdigest()
    with _lock:
        view = _views.get((centre, name := f"{tile}_{version}", digest))
    if view is None:
        archive = centre.settings.archive
        dates = [
            cubes.Date(
                *(one.identifier, one.sensing, one.platform, one.manifest_sha, one.figures),
                archive / one.path if one.given else None,
                one.simulated,
                one.withdrawn,
            )
            for one in places
        ]
        try:
            view = cubes.View(cubes.of_dates(tile, version, dates))
        except ProductError as fault:
            raise HTTPException(404, str(fault)) from fault
        with _lock:
            _views[centre, name, digest] = view
    return view, digest
