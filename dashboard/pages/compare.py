"""Compare: products of a tile side by side, and what they say of a pixel or an area. Plain HTML, no Panel session.

The views are drawn in the browser by `static/compare/` from the tile service; the page gives it the list of a tile's
products, and `dashboard.api.compare` the values under the cursor.
"""

from __future__ import annotations

import json
from functools import lru_cache
from html import escape
from typing import Any

import pandas as pd
from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from dashboard import assets, frame, people, queries, theme, tiles
from dashboard.api.centre import Centre, Here
from dashboard.api.compare import offer, place, series
from processing.bands import BANDS, DISTRIBUTED

router = APIRouter()


@router.get("/compare", response_class=HTMLResponse)
def compare(
    centre: Here, left: str = "", right: str = "", third: str = "", fourth: str = "", product: str = "", tile: str = ""
) -> HTMLResponse:
    """Two to four linked views."""
    asked = [name for name in (left or product, right, third, fourth) if name]
    with centre.store.read() as session:
        every = queries.tiles_with_products(session)
        details = [queries.detail(session, name) for name in asked]
    unknown = [name for name, detail in zip(asked, details, strict=True) if detail is None]
    if unknown:
        return _page(centre, f'<div class="note"><b>{escape(", ".join(unknown))}</b>: no such product here.</div>', 404)
    if not every:
        return _page(centre, frame.how_to_begin(centre.settings))
    owned = {detail.product.tile for detail in details if detail}
    if len(owned) > 1:
        names = " and ".join(sorted(owned))
        return _page(
            centre, f'<div class="note">Tiles {names} don\'t lie on one grid: choose products of one tile.</div>', 400
        )
    tile = owned.pop() if owned else tile or every[0]
    if tile not in every:
        return _page(centre, f'<div class="note">No product of tile <b>{escape(tile)}</b> here.</div>', 404)
    listed = series(centre, tile)
    chosen = asked or [_first(listed)]
    chosen = chosen if len(chosen) > 1 else chosen * 2
    extent = next(filter(None, (place(centre.settings.archive / path) for path in _order(listed, chosen))), None)
    if extent is None:
        return _page(centre, f'<div class="note">No product of tile <b>{escape(tile)}</b> can be read.</div>', 500)
    return _page(
        centre,
        _body(every, tile),
        data={
            "tile": tile,
            **extent,
            "chosen": chosen,
            "products": _listed(listed),
            "offered": {name: offer(centre, name) for name in dict.fromkeys(chosen)},
            **_styles(),
        },
    )


def _first(listed: pd.DataFrame) -> str:
    """The newest date of the newest version with little cloud, or the newest of all; of those that users get if any."""
    offered = listed[listed["valid"]] if listed["valid"].any() else listed
    clear = offered[offered["cloud_percent"].fillna(100) < 60]
    return str((clear if len(clear) else offered).sort_values(["version", "sensing"]).iloc[-1]["identifier"])


def _order(listed: pd.DataFrame, chosen: list[str]) -> list[str]:
    """Paths of the products, the chosen ones first."""
    return list(listed.sort_values("identifier", key=lambda names: ~names.isin(chosen))["path"])


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


def _page(centre: Centre, body: str, status: int = 200, data: dict[str, Any] | None = None) -> HTMLResponse:
    links = frame.navigation("compare", centre.settings, people.reader())
    script = ""
    if data is not None:
        text, module = json.dumps(data).replace("<", "\\u003c"), assets.module("compare/main.js", shared=True)
        script = f'<script type="application/json" id="data">{text}</script>{module}'
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Compare · muscate</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/favicon.ico" type="image/svg+xml">'
        f'<link rel="stylesheet" href="{assets.address("compare.css")}">{frame.HEAD}</head>'
        '<body><header><a class="skip" href="#page">Skip to the content</a>'
        f"<b>muscate</b>{links}{frame.THEME}<h1>Compare</h1></header>{body}{script}</body></html>",
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
  ><button data-mode="blink">Blink</button><label
  title="While Blink is on: the next view after 0.8 s; without it with each press of Blink or b"><input type="checkbox"
  id="auto" checked>blink automatically</label></span>
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
