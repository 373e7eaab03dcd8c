"""Compare: products of a tile side by side, and what they say of a pixel or an area. Plain HTML, no Panel session.

The views are drawn in the browser by `static/compare/` from the tile service; the routes here give it the list of a
tile's products and the values under the cursor.
"""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import shapely
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pyproj import Transformer
from rasterio.errors import RasterioError

from dashboard import assets, frame, inputs, pixels, queries, theme, tiles
from processing.bands import BANDS, DISTRIBUTED
from processing.errors import InputError, MuscateError, ProductError, StateError
from processing.explain import explain_stored
from processing.settings import Settings

if TYPE_CHECKING:
    from processing.store import Store
    from processing.store.models import ReferenceMask

#: Words of a view in an address.
VIEWS = ("left", "right", "third", "fourth")
#: Products read at once for a series.
THREADS = 4


def router(settings: Settings, store: Store, damaged: Callable[[Path, InputError], None]) -> APIRouter:
    """The page and its routes; `damaged` is told of files that can't be read."""
    routes = APIRouter()
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pixels")
    one_at_once = threading.Lock()

    def known(identifier: str) -> queries.Folder:
        with store.read() as session:
            found = queries.folder(session, identifier)
        if found is None:
            raise HTTPException(404, f"no product {identifier}")
        return found

    def series(tile: str, version: str = "") -> pd.DataFrame:
        with store.read() as session:
            frame = queries.series(session, tile)
        frame = frame[frame["version"] == version] if version else frame
        if not len(frame):
            raise HTTPException(404, f"no product of tile {tile} {version}".rstrip())
        return frame

    def read(folder: Path, work: Callable[..., Any], *arguments: Any) -> Any:
        """Some work on a product; a damaged one opens its anomaly."""
        try:
            return work(folder, *arguments)
        except ProductError as fault:
            damaged(folder, fault)
            raise

    def of_all(frame: pd.DataFrame, work: Callable[..., Any], *arguments: Any) -> list[dict[str, Any]]:
        """Some work on every product of a series; a damaged one says so in its row."""

        def one(row: Any) -> dict[str, Any]:
            head = {"date": row.sensing.isoformat(), "product": row.identifier}
            try:
                return {**head, **read(settings.archive / row.path, work, *arguments), "fault": ""}
            except ProductError as fault:
                return {**head, "clear": False, "clear_pixels": 0, "fault": str(fault)}

        return list(pool.map(one, frame.itertuples()))

    def offer(identifier: str) -> dict[str, Any]:
        folder = settings.archive / known(identifier).path
        with store.read() as session:
            kept = [{"id": mask.id, "title": _title(mask)} for mask in queries.masks(session, identifier)]
        made = inputs.kept(store, settings, identifier)
        layers = tiles.layers(folder)
        layers += [name for name, there in (("age", made.state), ("toa", made.level1c)) if there]
        faults = _faults(folder)
        for fault in faults:
            damaged(folder, ProductError(folder, fault))
        return {"layers": layers, "bands": tiles.bands(folder), "kept": kept, "faults": faults}

    @routes.get("/compare", response_class=HTMLResponse)
    def compare(
        left: str = "", right: str = "", third: str = "", fourth: str = "", product: str = "", tile: str = ""
    ) -> HTMLResponse:
        """Two to four linked views."""
        asked = [name for name in (left or product, right, third, fourth) if name]
        with store.read() as session:
            every = queries.tiles_with_products(session)
            details = [queries.detail(session, name) for name in asked]
        unknown = [name for name, detail in zip(asked, details, strict=True) if detail is None]
        if unknown:
            return _page(f'<div class="note"><b>{escape(", ".join(unknown))}</b>: no such product here.</div>', 404)
        if not every:
            return _page(frame.how_to_begin(settings))
        owned = {detail.product.tile for detail in details if detail}
        if len(owned) > 1:
            names = " and ".join(sorted(owned))
            return _page(
                f'<div class="note">Tiles {names} don\'t lie on one grid: choose products of one tile.</div>', 400
            )
        tile = owned.pop() if owned else tile or every[0]
        if tile not in every:
            return _page(f'<div class="note">No product of tile <b>{escape(tile)}</b> here.</div>', 404)
        listed = series(tile)
        chosen = asked or [_first(listed)]
        chosen = chosen if len(chosen) > 1 else chosen * 2
        try:
            place = next(filter(None, (_place(settings.archive / path) for path in _order(listed, chosen))))
        except StopIteration:
            return _page(f'<div class="note">No product of tile <b>{escape(tile)}</b> can be read.</div>', 500)
        return _page(
            _body(every, tile),
            data={
                "tile": tile,
                **place,
                "chosen": chosen,
                "products": _listed(listed),
                "offered": {name: offer(name) for name in set(chosen)},
                **_styles(),
            },
        )

    @routes.get("/api/compare/product/{product}")
    def offered(product: str) -> dict[str, Any]:
        """Layers and bands that a product offers, and which of its files are missing or cut short."""
        return offer(product)

    @routes.get("/api/compare/pixel")
    def pixel(products: str, x: float, y: float) -> dict[str, Any]:
        """What some products (names with commas) say of a place in the tile's projection [m].

        Beside the values in their folders: ``age`` of the composite [days], and what each ``kept`` mask has there.
        """
        folders = {name: settings.archive / known(name).path for name in products.split(",")[: len(VIEWS)]}
        place = next(filter(None, map(_place, folders.values())), None)
        if place is None:
            raise HTTPException(500, f"{products}: no image can be read")
        found = {}
        for name, folder in folders.items():
            with store.read() as session:
                masks = queries.masks(session, name)
            made = inputs.kept(store, settings, name)
            try:
                found[name] = {
                    **read(folder, pixels.sample, x, y),
                    "age": pixels.age(made, x - place["west"], place["north"] - y),
                    "kept": {_title(mask): pixels.kept(settings.masks / mask.path, x, y) for mask in masks},
                }
            except (ProductError, StateError) as fault:
                raise HTTPException(500, str(fault)) from fault
        longitude, latitude = _to_degrees(place["crs"]).transform(x, y)
        return {"longitude": longitude, "latitude": latitude, "products": found}

    @routes.get("/api/compare/explain/{product}")
    def explained(product: str, x: float, y: float) -> dict[str, Any]:
        """Why a product's masks are what they are at a place of its projection [m]: every test, value and threshold."""
        place = _place(settings.archive / known(product).path)
        if place is None:
            raise HTTPException(500, f"{product}: no image can be read")
        longitude, latitude = _to_degrees(place["crs"]).transform(x, y)
        try:
            with one_at_once:  # the tests of a whole tile are made again, but never from its Level-1C
                return explain_stored(store, settings, product, longitude, latitude, decode=False).json()
        except MuscateError as fault:
            raise HTTPException(422, str(fault)) from fault

    @routes.get("/api/compare/series/{tile}")
    def over_time(tile: str, x: float, y: float, version: str, format: str = "json") -> Response:
        """A pixel on all dates of a version: reflectances, NDVI, whether it is clear, the cloud mask in words."""
        rows = of_all(series(tile, version), pixels.brief, x, y)
        if format == "csv":
            rows = [{**row, "words": "; ".join(row.get("words", []))} for row in rows]
            return _csv(rows, f"{tile}_{version}_{x:.0f}_{y:.0f}.csv")
        return JSONResponse(rows)

    @routes.get("/api/compare/statistics/{tile}")
    def statistics(tile: str, polygon: str, version: str, format: str = "json") -> Response:
        """An area on all dates of a version. `polygon`: corners ``x y,x y,x y`` in the tile's projection [m]."""
        listed = series(tile, version)
        place = next(filter(None, (_place(settings.archive / path) for path in listed["path"])), None)
        if place is None:
            raise HTTPException(500, f"no product of tile {tile} can be read")
        west, north = place["west"], place["north"]
        extent = shapely.box(west, north - 10 * place["rows"], west + 10 * place["cols"], north)
        try:
            corners = [(float(x), float(y)) for x, y in (corner.split() for corner in polygon.split(","))]
            shape, repaired = pixels.area(corners, extent)
        except ValueError as fault:
            named = str(fault).startswith("the area")
            raise HTTPException(422, str(fault) if named else "the area's corners are not `x y,x y,...`") from fault
        rows = of_all(listed, pixels.statistics, shape)
        for row in rows:
            row["repaired"] = repaired
        if format == "csv":
            return _csv(rows, f"{tile}_{version}_area.csv")
        return JSONResponse(
            {"rows": rows, "repaired": repaired, "pixels": max((row.get("pixels", 0) for row in rows), default=0)}
        )

    @routes.get("/api/compare/range/{product}")
    def spread(product: str, bands: str, window: str) -> dict[str, float]:
        """Reflectances that 2 % and 98 % of the pixels of a window (left,top,right,bottom [10 m]) stay below."""
        keys = bands.split(",")
        folder = settings.archive / known(product).path
        try:
            left, top, right, bottom = (int(value) for value in window.split(","))
            tiles.endings("band" if len(keys) == 1 else "rgb", tiles.Style(bands=tuple(keys)))
            low, high = read(folder, pixels.percentiles, keys, (left, top, right, bottom))
        except (ValueError, LookupError) as fault:
            raise HTTPException(422, str(fault)) from fault
        except ProductError as fault:
            raise HTTPException(500, str(fault)) from fault
        return {"low": low, "high": high}

    return routes


def _title(mask: ReferenceMask) -> str:
    return f"{mask.origin}, {mask.reader}, {mask.time:%Y-%m-%d}"


def _first(listed: pd.DataFrame) -> str:
    """The newest date of the newest version with little cloud, or the newest of all."""
    clear = listed[listed["cloud_percent"].fillna(100) < 60]
    return str((clear if len(clear) else listed).sort_values(["version", "sensing"]).iloc[-1]["identifier"])


def _order(listed: pd.DataFrame, chosen: list[str]) -> list[str]:
    """Paths of the products, the chosen ones first."""
    return list(listed.sort_values("identifier", key=lambda names: ~names.isin(chosen))["path"])


@lru_cache
def _to_degrees(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _place(folder: Path) -> dict[str, Any] | None:
    """Where a product lies: corner [m], size in pixels of 10 m, projection; None if no raster can be read."""
    for name in ("natural", "CLM", "aot"):
        path = tiles.find(folder, tiles.LAYERS[name].files[0])
        if path is None:
            continue
        try:
            raster = tiles.opened(path)
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


def _faults(folder: Path) -> list[str]:
    """Files of a product's manifest that are missing or of another size."""
    manifest = folder / "manifest.json"
    if not folder.is_dir():
        return ["its folder is missing"]
    if not manifest.exists():
        return []
    try:
        files = {name: entry["size"] for name, entry in json.loads(manifest.read_bytes())["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        return [f"manifest.json can't be read: {fault}"]
    faults = []
    for name, size in files.items():
        try:
            found = (folder / name).stat().st_size
        except OSError:
            faults.append(f"{name} is missing")
            continue
        if found != size:
            faults.append(f"{name} has {found} bytes instead of {size}")
    return faults


def _listed(listed: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "id": row.identifier,
            "day": f"{row.sensing:%Y-%m-%d}",
            "time": row.sensing.isoformat(),
            "platform": row.platform,
            "version": row.version,
            "cloud": None if pd.isna(row.cloud_percent) else float(row.cloud_percent),
            "simulated": bool(row.simulated),
            "valid": bool(row.valid),
            "v": row.manifest_sha[:12],
        }
        for row in listed.itertuples()
    ]


@lru_cache
def _styles() -> dict[str, Any]:
    """Words, colours and scales, the same as of the tiles."""

    def ramp(colours: list[str], low: float, high: float, unit: str) -> dict[str, Any]:
        return {"colours": colours, "ends": [low, high], "unit": unit}

    return {
        "layers": {name: layer.title for name, layer in tiles.LAYERS.items()},
        "masks": {
            kind: [{"bit": int(s.bit), "words": s.words, "colour": s.colour, "shown": s.shown} for s in styles]
            for kind, styles in {**theme.MASKS, "reference": theme.REFERENCE}.items()
        },
        "agreement": theme.AGREEMENT,
        "bands": {band: BANDS[band].centre for band in DISTRIBUTED},
        "ramps": {
            "band": ramp(theme.GREY_RAMP, 0, 0.4, "reflectance"),
            "ndvi": ramp(theme.NDVI_RAMP, -0.2, 1, "NDVI"),
            "aot": ramp(theme.AOT_RAMP, 0, tiles.AOT_TOP, "AOT at 550 nm"),
            "water-vapour": ramp(theme.WATER_VAPOUR_RAMP, 0, tiles.WATER_VAPOUR_TOP, "g cm⁻²"),
            "age": ramp(theme.AGE_RAMP, 0, tiles.AGE_TOP, "days since the ground was seen"),
            "difference": ramp(theme.DIVERGING, -tiles.DIFFERENCE_TOP, tiles.DIFFERENCE_TOP, "this minus left"),
        },
    }


def _csv(rows: Iterable[dict[str, Any]], name: str) -> Response:
    """Rows as CSV; a missing value is an empty cell."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(stream.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _page(body: str, status: int = 200, data: dict[str, Any] | None = None) -> HTMLResponse:
    links = "".join(
        f'<a href="/{key}"{" aria-current=page" if key == "compare" else ""}>{title}</a>'
        for key, title in frame.PAGES.items()
    )
    script = ""
    if data is not None:
        text = json.dumps(data).replace("<", "\\u003c")
        script = f'<script type="application/json" id="data">{text}</script>{assets.module("compare/main.js")}'
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Compare · muscate</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="{assets.address("compare.css")}"></head>'
        f"<body><header><b>muscate</b><nav>{links}</nav></header>{body}{script}</body></html>",
        status,
    )


def _body(every: list[str], tile: str) -> str:
    choices = "".join(f"<option{' selected' if name == tile else ''}>{escape(name)}</option>" for name in sorted(every))
    keys = (
        ("wheel, two fingers, + −", "zoom by two"),
        ("drag, arrows", "move"),
        ("0", "the whole tile"),
        ("[ ]", "previous, next date"),
        ("space", "film of the dates between those chosen below the slider"),
        ("d s b", "side by side, swipe, blink (again: the next view)"),
        ("m", "masks off and on"),
        ("o", "mask filled, outlined, hatched"),
        ("click", "the pixel's tests and time series"),
        ("p", "draw an area; Enter closes it, Escape gives it up"),
    )
    table = "".join(f"<tr><td><kbd>{escape(key)}</kbd></td><td>{escape(words)}</td></tr>" for key, words in keys)
    patterns = "".join(f"<option>{pattern}</option>" for pattern in tiles.Pattern)
    select = '<select aria-label="Band"></select>'
    return f"""
<div id="page"><main>
<div class="tools" role="toolbar" aria-label="Views">
  <span><label for="tile">Tile</label><select id="tile">{choices}</select></span>
  <span><button data-mode="side">Side by side</button><button data-mode="swipe">Swipe</button
  ><button data-mode="blink">Blink</button><label><input type="checkbox" id="auto" checked>by itself</label></span>
  <span><button id="add">Add a view</button><button id="versions">Two versions and their difference</button></span>
  <span><label for="opacity">Mask</label><input type="range" id="opacity" min="0" max="1" step="0.05">
  <select id="pattern" aria-label="Pattern of the mask">{patterns}</select></span>
  <span title="The same in all views">Reflectance <input type="number" id="low" step="0.01" aria-label="Lowest">
  to <input type="number" id="high" step="0.01" aria-label="Highest"><button id="fit" title="2 to 98 % of what the
left view shows">Fit</button><button id="own" title="The layers' own scales">Reset</button></span>
  <span id="three" hidden>R {select} G {select} B {select}</span><span id="one" hidden>Band {select}</span>
  <span id="differences" hidden><label for="width">Difference ±</label>
  <input type="number" id="width" step="0.01" min="0.001"></span>
  <span><button id="out" title="Zoom out">−</button><button id="in" title="Zoom in">+</button
  ><button id="all" title="The whole tile">Whole</button></span>
  <span><button id="polygon">Draw an area</button><button id="help" title="Keys">?</button></span>
  <span id="said" class="soft" role="status"></span>
</div>
<div id="heads"></div><div id="canvases"></div>
<div id="time"><button id="before" title="Previous date">◀</button><b id="today"></b>
  <input type="range" id="day" min="0" step="1" aria-label="Date"><button id="after" title="Next date">▶</button>
  <button id="play">▶ Film</button>
  <select id="since" aria-label="First date of the film" title="First date of the film"></select><div id="strip"></div
  ><select id="until" aria-label="Last date of the film" title="Last date of the film"></select></div>
<div class="soft" id="where">Move over a view for its coordinates.</div>
</main><aside aria-label="Inspector">
<div id="area"></div><p id="outside" class="refused" hidden>This place lies outside of the tile.</p>
<div id="pixel"><p class="soft">Move over a view for the values of a pixel; click for its tests and its time series.</p>
</div><div id="series"></div><div id="explain"></div></aside></div>
<dialog id="keys"><h2>Keys</h2><table>{table}</table><form method="dialog"><button>Close</button></form></dialog>"""
