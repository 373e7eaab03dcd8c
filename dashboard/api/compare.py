"""What the page Compare asks: values of products at a pixel or in an area, for one date or all of a series."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import shapely
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import JSONResponse, Response
from pyproj import Transformer
from rasterio.errors import RasterioError

from dashboard import pixels, product_folder, queries, rasters, tiles
from dashboard.api.centre import Centre, Here
from dashboard.api.downloads import reader
from dashboard.api.headers import attachment
from dashboard.api.products import looked_at
from processing import spreadsheet
from processing.errors import MuscateError, ProductError, StateError
from processing.explain import explain_stored
from processing.people import Role

if TYPE_CHECKING:
    from processing.store.models import ReferenceMask

#: Products that may be asked for together.
MOST = 4

#: Furthest pixel of a window, from the product's corner.
FURTHEST = 10**6
#: A coordinate of the tile's projection. [m]
Metres = Annotated[float, Query(ge=-1e8, le=1e8, allow_inf_nan=False)]

router = APIRouter()


@router.get("/api/compare/product/{product}")
def offered(centre: Here, product: str) -> dict[str, Any]:
    """Layers and bands that a product offers, and which of its files are missing or cut short."""
    _folder(centre, product)
    return offer(centre, product)


@router.get("/api/compare/pixel")
def pixel(centre: Here, products: str, x: Metres, y: Metres) -> dict[str, Any]:
    """What some products (names with commas) say of a place in the tile's projection [m].

    Beside the values in their folders: ``age`` of the composite [days], and what each ``kept`` mask has there.
    """
    folders = {name: _folder(centre, name) for name in products.split(",")[:MOST]}
    extent = next(filter(None, map(place, folders.values())), None)
    if extent is None:
        raise HTTPException(500, f"{products}: no image can be read")
    found = {}
    for name, folder in folders.items():
        with centre.store.read() as session:
            masks = queries.masks(session, name)
        made = centre.lookups.provenance(name)
        try:
            found[name] = {
                **_read(centre, folder, pixels.sample, x, y),
                "age": pixels.age(made, x - extent["west"], extent["north"] - y),
                "kept": {_title(mask): pixels.kept(centre.settings.masks / mask.path, x, y) for mask in masks},
            }
        except (ProductError, StateError) as fault:
            raise HTTPException(500, str(fault)) from fault
    longitude, latitude = _to_degrees(extent["crs"]).transform(x, y)
    return {"longitude": longitude, "latitude": latitude, "products": found}


@router.get("/api/compare/explain/{product}")
def explained(centre: Here, product: str, x: Metres, y: Metres) -> dict[str, Any]:
    """Why a product's masks are what they are at a place of its projection [m]: every test, value and threshold."""
    extent = place(_folder(centre, product))
    if extent is None:
        raise HTTPException(500, f"{product}: no image can be read")
    longitude, latitude = _to_degrees(extent["crs"]).transform(x, y)
    try:
        with centre.explaining:  # the tests of a whole tile are made again, but never from its Level-1C
            why = explain_stored(centre.store, centre.settings, product, longitude, latitude, decode=False)
            return why.json()
    except MuscateError as fault:
        raise HTTPException(422, str(fault)) from fault


@router.get("/api/compare/series/{tile}")
def over_time(centre: Here, tile: str, x: Metres, y: Metres, version: str, format: str = "json") -> Response:
    """A pixel on all dates of a version: reflectances, NDVI, whether it is clear, the cloud mask in words."""
    rows = _of_all(centre, _looked_at(series(centre, tile, version)), pixels.brief, x, y)
    if format == "csv":
        rows = [{**row, "words": "; ".join(row.get("words", []))} for row in rows]
        return _csv(rows, f"{tile}_{version}_{x:.0f}_{y:.0f}.csv")
    return JSONResponse(rows)


@router.get("/api/compare/statistics/{tile}")
def statistics(centre: Here, tile: str, polygon: str, version: str, format: str = "json") -> Response:
    """An area on all dates of a version. `polygon`: corners ``x y,x y,x y`` in the tile's projection [m]."""
    listed = _looked_at(series(centre, tile, version))
    extent = next(filter(None, (place(centre.settings.archive / path) for path in listed["path"])), None)
    if extent is None:
        raise HTTPException(500, f"no product of tile {tile} can be read")
    west, north = extent["west"], extent["north"]
    whole = shapely.box(west, north - 10 * extent["rows"], west + 10 * extent["cols"], north)
    try:
        if polygon.count(",") >= pixels.CORNERS:
            raise ValueError(f"the area has more than {pixels.CORNERS} corners")
        corners = [(float(x), float(y)) for x, y in (corner.split() for corner in polygon.split(","))]
        shape, repaired = pixels.area(corners, whole)
    except ValueError as fault:
        named = str(fault).startswith("the area")
        raise HTTPException(422, str(fault) if named else "the area's corners are not `x y,x y,...`") from fault
    rows = _of_all(centre, listed, pixels.statistics, shape)
    for row in rows:
        row["repaired"] = repaired
    if format == "csv":
        return _csv(rows, f"{tile}_{version}_area.csv")
    return JSONResponse(
        {"rows": rows, "repaired": repaired, "pixels": max((row.get("pixels", 0) for row in rows), default=0)}
    )


@router.get("/api/compare/range/{product}")
def spread(centre: Here, product: str, bands: str, window: str) -> dict[str, float]:
    """Reflectances that 2 % and 98 % of the pixels of a window (left,top,right,bottom [10 m]) stay below."""
    keys = bands.split(",")
    folder = _folder(centre, product)
    try:
        left, top, right, bottom = (int(value) for value in window.split(","))
        if max(map(abs, (left, top, right, bottom))) > FURTHEST:
            raise ValueError("the window lies outside of the product")
        tiles.endings("band" if len(keys) == 1 else "rgb", tiles.Style(bands=tuple(keys)))
        low, high = _read(centre, folder, pixels.percentiles, keys, (left, top, right, bottom))
    except (ValueError, LookupError) as fault:
        raise HTTPException(422, str(fault)) from fault
    except ProductError as fault:
        raise HTTPException(500, str(fault)) from fault
    return {"low": low, "high": high}


def _folder(centre: Centre, product: str) -> Path:
    """Folder of a product that who asks may look at.

    Raises
    ------
    HTTPException
        404 if the store doesn't know it, 410 with the reason if it was withdrawn.
    """
    return centre.settings.archive / looked_at(centre.lookups.product(product)).path


def _looked_at(listed: pd.DataFrame) -> pd.DataFrame:
    """Those of a series that who asks may look at.

    Raises
    ------
    HTTPException
        410 if all of them were withdrawn.
    """
    if reader().role.reaches(Role.SCIENTIST):
        return listed
    seen = listed[listed["valid"]]
    if not len(seen):
        raise HTTPException(410, f"all products of it were withdrawn: {', '.join(listed['identifier'].head(MOST))}")
    return seen


def series(centre: Centre, tile: str, version: str = "") -> pd.DataFrame:
    """Products of a tile, of one version or all, as of `queries.series`.

    Raises
    ------
    HTTPException
        404 if there are none.
    """
    with centre.store.read() as session:
        frame = queries.series(session, tile)
    frame = frame[frame["version"] == version] if version else frame
    if not len(frame):
        raise HTTPException(404, f"no product of tile {tile} {version}".rstrip())
    return frame


def offer(centre: Centre, identifier: str) -> dict[str, Any]:
    """Layers and bands that a product offers, its kept masks, and its faults, which open its anomaly.

    Raises
    ------
    HTTPException
        404 if the store doesn't know it.
    """
    folder = centre.folder(identifier)
    with centre.store.read() as session:
        kept = [{"id": mask.id, "title": _title(mask)} for mask in queries.masks(session, identifier)]
    made = centre.lookups.provenance(identifier)
    layers = tiles.offered(folder)
    layers += [name for name, there in (("age", made.state), ("toa", made.level1c)) if there]
    faults = product_folder.faults(folder)
    for fault in faults:
        centre.anomalies.note(folder, ProductError(folder, fault))
    return {"layers": layers, "bands": product_folder.reflectances(folder), "kept": kept, "faults": faults}


def place(folder: Path) -> dict[str, Any] | None:
    """Where a product lies: corner [m], size in pixels of 10 m, projection; None if no raster can be read."""
    for name in ("natural", "CLM", "aot"):
        path = product_folder.find(folder, tiles.LAYERS[name].files[0])
        if path is None:
            continue
        try:
            raster = rasters.opened(path)
        except RasterioError:
            continue
        west, south, east, north = raster.bounds
        return {
            "west": west,
            "north": north,
            "cols": round((east - west) / 10),
            "rows": round((north - south) / 10),
            "crs": str(raster.crs),
        }
    return None


def _read(centre: Centre, folder: Path, work: Callable[..., Any], *arguments: Any) -> Any:
    """Some work on a product; a damaged one opens its anomaly."""
    try:
        return work(folder, *arguments)
    except ProductError as fault:
        centre.anomalies.note(folder, fault)
        raise


def _of_all(centre: Centre, frame: pd.DataFrame, work: Callable[..., Any], *arguments: Any) -> list[dict[str, Any]]:
    """Some work on every product of a series; a damaged one says so in its row."""

    def one(row: Any) -> dict[str, Any]:
        head = {"date": row.sensing.isoformat(), "product": row.identifier}
        try:
            return {**head, **_read(centre, centre.settings.archive / row.path, work, *arguments), "fault": ""}
        except ProductError as fault:
            return {**head, "clear": False, "clear_pixels": 0, "fault": str(fault)}

    return list(centre.series.map(one, frame.itertuples()))


def _title(mask: ReferenceMask) -> str:
    return f"{mask.origin}, {mask.reader}, {mask.time:%Y-%m-%d}"


@lru_cache
def _to_degrees(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _csv(rows: Iterable[dict[str, Any]], name: str) -> Response:
    """Rows as CSV; a missing value is an empty cell."""
    return Response(spreadsheet.as_csv(list(rows)), media_type="text/csv; charset=utf-8", headers=attachment(name))
