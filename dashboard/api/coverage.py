"""What the page Coverage asks: the ground of its map, every tile in a period, what changed, a tile's calendar."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import threading
from functools import lru_cache
from html import escape
from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response

from dashboard import dates, plain, queries, web_mercator, year_calendar
from dashboard.api.centre import Centre, Here
from dashboard.api.headers import attachment
from dashboard.frame import age
from processing import spreadsheet, tiling

#: Of the outlines as they are sent: whole units. [m]
UNIT = 200
#: Of the coasts, which are drawn small: points closer together are left out. [units]
STEP = 12
#: What is told of each tile, in this order; sites and the rest by name in the exports.
COLUMNS = (
    *("site", "followed", "state", "day", "version", "dates", "products", "known", "clear", "delay", "valid"),
    *("missing", "simulated"),
)
#: Of more months than these the matrix has the last ones.
MONTHS = 180

#: A map as HTML is given up after this. [s]
DRAWING_SECONDS = 120

router = APIRouter()

#: A year of the calendar: from the first satellite on.
Year = Annotated[int | None, Query(ge=2015, le=2100)]
_drawing = threading.Lock()


@router.get("/browse/ground")
def ground(centre: Here, v: str = "") -> Response:
    """Land, borders and tiles in Web Mercator, as rings of whole `UNIT` metres: differences from point to point."""
    found = centre.coverages.latest().tiles
    text, digest = _ground(found)
    fresh = "public, max-age=31536000, immutable" if v == digest else "no-cache"
    return Response(text, media_type="application/json", headers={"Cache-Control": fresh, "ETag": f'"{digest}"'})


def ground_address(tiles: tuple[str, ...]) -> str:
    """Where `ground` is, with its digest: it may be kept for ever."""
    return f"/browse/ground?v={_ground(tiles)[1]}"


@lru_cache(maxsize=2)
def _ground(tiles: tuple[str, ...]) -> tuple[str, str]:
    points = web_mercator.countries()
    gaps = np.flatnonzero(np.isnan(points[:, 0]))
    land = [_thinned(part[~np.isnan(part[:, 0])]) for part in np.split(points, gaps)]
    rings = {tile: _steps(web_mercator.tile(tile)) for tile in tiles if tiling.valid(tile)}
    text = plain.as_json({"unit": UNIT, "land": [ring for ring in land if len(ring) > 6], "tiles": rings})
    return text, hashlib.sha256(text.encode()).hexdigest()[:12]


def _thinned(ring: np.ndarray) -> list[int]:
    """A ring without points that lie closer to the one before than anybody sees."""
    kept = [0]
    for place in range(1, len(ring) - 1):
        if np.abs(ring[place] - ring[kept[-1]]).max() >= STEP * UNIT:
            kept.append(place)
    return _steps(ring[[*kept, len(ring) - 1]])


def _steps(ring: np.ndarray) -> list[int]:
    """A ring as its first point and the steps from there, flat."""
    whole = np.round(ring / UNIT).astype(int)
    found: list[int] = np.concatenate([whole[:1], np.diff(whole, axis=0)]).ravel().tolist()
    return found


@router.get("/api/coverage/tiles")
def tiles(centre: Here, first: str = "", last: str = "", version: str = "", since: int = 0) -> Response:
    """Every tile in a period; with `since` only those that changed after that version of the answer."""
    found = centre.coverages.latest()
    return JSONResponse(answer(found, first, last, version, since) | {"fault": centre.coverages.fault})


def answer(found: dates.Dates, first: str, last: str, version: str, since: int = 0) -> dict[str, Any]:
    """What the page's script reads: a row of `COLUMNS` for each tile that changed."""
    changed = found.changed > since
    rows = {}
    if changed.any():
        frame = counted(found, first, last, version)[changed]
        columns = [frame[name].tolist() for name in COLUMNS]
        rows = {tile: list(row) for tile, *row in zip(frame["tile"], *map(_told, columns), strict=True)}
    return {
        "version": found.version,
        "age": age(found.version, found.taken, found.newest),
        "tiles": rows,
    }


def _told(values: list[Any]) -> list[Any]:
    return [
        None if isinstance(v, float) and np.isnan(v) else round(v, 2) if isinstance(v, float) else v for v in values
    ]


def counted(found: dates.Dates, first: str, last: str, version: str) -> pd.DataFrame:
    """As `dates.by_tile`.

    Raises
    ------
    HTTPException
        404 for a version that is none, 422 for months.
    """
    try:
        return dates.by_tile(found, first, last, version)
    except KeyError:
        raise HTTPException(404, f"no version {version} here: {', '.join(found.versions) or 'none yet'}") from None
    except ValueError:
        raise HTTPException(422, f"{first or last} is no month such as 2023-08") from None


@router.get("/api/coverage/matrix")
def matrix(centre: Here, version: str = "", format: str = "json") -> Response:
    """How complete each tile is in each month: of each cell the dates that ended, that came, and that are missing.

    As JSON the counts of the tiles that have any, up to 255, a byte each, in base64; as CSV a line for each cell.
    """
    found = centre.coverages.latest()
    try:
        months, counts = dates.by_month(found, version)
    except KeyError:
        raise HTTPException(404, f"no version {version} here") from None
    months, counts = months[-MONTHS:], counts[:, -MONTHS:]
    shown: np.ndarray = np.any(counts, axis=(1, 2), keepdims=False)
    names = [tile for tile, any_ in zip(found.tiles, shown.tolist(), strict=True) if any_]
    counts = counts[shown]
    if format == "csv":
        rows = [
            {"tile": tile, "site": found.sites.get(tile, ""), "month": month}
            | {"ended": int(c[0]), "arrived": int(c[1]), "missing": int(c[2])}
            for tile, line in zip(names, counts, strict=True)
            for month, c in zip(months, line, strict=True)
        ]
        return _csv(rows, "completeness.csv", ("tile", "site", "month", "ended", "arrived", "missing"))
    packed = base64.b64encode(np.minimum(counts, 255).astype("uint8").tobytes()).decode()
    return JSONResponse({"version": found.version, "months": months, "tiles": names, "counts": packed})


def _csv(rows: list[dict[str, Any]], name: str, columns: tuple[str, ...]) -> Response:
    return Response(spreadsheet.as_csv(rows, columns), media_type="text/csv", headers=attachment(name))


#: Columns of the exports: those of `dates.by_tile` with their units.
EXPORTED = {"delay": "delay_hours", "day": "latest_date", "valid": "last_valid_date", "known": "dates_with_known_cloud"}


@router.get("/api/coverage/export")
def export(
    centre: Here, first: str = "", last: str = "", version: str = "", site: str = "", format: str = "csv"
) -> Response:
    """The tiles of the map in a period as CSV or GeoJSON (longitude and latitude); as HTML the map as it is now."""
    frame = counted(centre.coverages.latest(), first, last, version)
    if site:
        frame = frame[frame["site"].map(lambda joined: site in joined.split(", "))]
    frame = frame.drop(columns="clear").assign(clear_dates=frame["clear"]).rename(columns=EXPORTED)
    rows: list[dict[str, Any]] = [
        {str(name): None if isinstance(v, float) and np.isnan(v) else v for name, v in row.items()}
        for row in frame.to_dict("records")
    ]
    if format == "csv":
        return _csv(rows, "coverage.csv", tuple(frame.columns))
    if format == "html":
        return _as_html(centre)
    if format != "geojson":
        raise HTTPException(422, f"{format} is no format: csv, geojson, html")
    features = [
        {
            "type": "Feature",
            "id": row["tile"],
            "properties": row,
            "geometry": {"type": "Polygon", "coordinates": [np.round(_outline(row["tile"]), 6).tolist()]},
        }
        for row in rows
        if tiling.valid(row["tile"])
    ]
    return JSONResponse(
        {"type": "FeatureCollection", "features": features},
        media_type="application/geo+json",
        headers=attachment("coverage.geojson"),
    )


def _as_html(centre: Centre) -> Response:
    """The map as one file that needs nothing else: GeoViews' layers with Bokeh's scripts inside.

    Drawn by a process of its own, one at a time: GeoViews takes seconds, and once imported it is on every page.
    """
    with centre.store.read() as session:
        coverage = queries.coverage(session)
    with _drawing:
        drawn = subprocess.run(
            [sys.executable, "-m", "dashboard.layers"],
            input=coverage.to_json(orient="split", date_format="iso"),
            capture_output=True,
            text=True,
            timeout=DRAWING_SECONDS,
            check=False,
        )
    if drawn.returncode:
        raise HTTPException(500, f"the map could not be drawn: {(drawn.stderr.splitlines() or ['?'])[-1]}")
    return HTMLResponse(drawn.stdout, headers=attachment("coverage.html"))


def _outline(tile: str) -> np.ndarray:
    """Counter-clockwise, as RFC 7946 has it."""
    return tiling.footprint(tile)[::-1]


@router.get("/api/coverage/calendar/{tile}", response_class=HTMLResponse)
def of_tile(centre: Here, tile: str, year: Year = None, version: str = "") -> HTMLResponse:
    """A tile's dates in a year (that of its last date), each with its state, and what is missing, as HTML."""
    if not tiling.valid(tile):
        raise HTTPException(404, f"{tile} is no tile")
    return HTMLResponse(tile_calendar(centre, tile, year, version))


def tile_calendar(centre: Centre, tile: str, year: int | None, version: str = "") -> str:
    """The calendar of a tile with the way to its products, as HTML."""
    found = centre.coverages.latest()
    if tile not in found.known:
        return f"<h2>{escape(tile)}</h2><p>This centre does not follow the tile.</p>"
    rows = found.of(version if version in found.versions else "")
    times = rows.loc[rows["tile"] == found.tiles.index(tile), "time"]
    years = sorted({pd.Timestamp(t, unit="s").year for t in (times.min(), times.max()) if t == t})
    year = year or (years[-1] if years else found.taken.year)
    with centre.store.read() as session:
        shown = queries.calendar(session, tile, version, year)
    around = [
        f'<a data-year="{y}" href="/coverage?{urlencode({"tile": tile, "year": y})}">{y}</a>'
        for y in (year - 1, year + 1)
        if years and years[0] <= y <= years[-1]
    ]
    links = [f'<a href="/products?tile={tile}">Products</a>', f'<a href="/browse?tile={tile}">Browse</a>']
    if shown["identifier"].map(lambda name: isinstance(name, str)).any():
        links.append(f'<a href="/compare?tile={tile}">Compare</a>')
    missing = list(dates.missing_days(found, tile, year))
    words = year_calendar.in_words(shown, missing)
    return (
        f"<h2>{escape(tile)} in {year} <small>{escape(found.sites.get(tile, ''))}</small></h2>"
        f'<p class="soft">{" · ".join([*around, *links])}</p>'
        f'<div class="scroll" tabindex="0">{year_calendar.year_svg(year, shown, missing)}</div>'
        f"{year_calendar.calendar_legend(shown, missing)}{words}"
    )
