"""Coverage: every tile of THEIA and of the centre on a map, by what the reader chooses. Plain HTML, no Panel session.

The map, the matrix and the table are drawn in the browser by `static/coverage/` from `dashboard.api.coverage`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from dashboard import dates, frame, plain, theme, web_mercator
from dashboard.api import coverage as api
from dashboard.api.centre import Here
from processing import tiling
from processing.sites import theia_tiles

ALL = "All sites"
#: What tiles can be coloured by.
COLOURS = {
    "state": "State of the latest date",
    "delay": "Delay from image to product",
    "version": "Version of the latest product",
    "dates": "Dates in the period",
    "clear": "Share of clear dates",
    "valid": "Last valid date",
    "missing": "Missing passes in the period",
}
#: Months that a period can be long; 0: from the first date on.
SPANS = {0: "From the first date", 1: "One month", 3: "Three months", 12: "Twelve months"}
#: Beside the states of dates.
OTHER_STATES = {
    "withdrawn": ("Withdrawn", "#8C2D04"),
    "absent": ("Not followed by this centre", "#E3E6E9"),
}
#: How a state is drawn, so that it is told without its colour: the pattern's name in `static/coverage/classes.js`.
PATTERNS = {
    "published": "plain",
    "not_valid": "rows",
    "running": "dots",
    "waiting": "rising",
    "rejected": "falling",
    "failed": "crossed",
    "held": "columns",
    "withdrawn": "grid",
    "none": "plain",
    "absent": "plain",
}

router = APIRouter()


@dataclass(frozen=True)
class Asked:
    """What the address asks for, and what of it can't be.

    Attributes
    ----------
    colour, site, version, tile : str
        Empty where not chosen.
    until : str
        Last month of the period; empty: now.
    span : int
        Of `SPANS`.
    year : int or None
        Of the calendar.
    faults : tuple of str
        Ready HTML.
    """

    colour: str = "state"
    site: str = ""
    version: str = ""
    tile: str = ""
    until: str = ""
    span: int = 0
    year: int | None = None
    faults: tuple[str, ...] = ()

    def period(self, months: list[str]) -> tuple[str, str]:
        """First and last month of the period, of the months that have dates; empty: no limit."""
        last = self.until or (months[-1] if self.span and months else "")
        return (month_before(last, self.span - 1) if last and self.span else ""), last


def month_before(month: str, count: int) -> str:
    """The month so many before ``2023-08``."""
    whole = int(month[:4]) * 12 + int(month[5:]) - 1 - count
    return f"{whole // 12:04d}-{whole % 12 + 1:02d}"


def understood(found: dates.Dates, asked: dict[str, str]) -> Asked:
    """The parameters of the address; one that means nothing here is left out and said."""
    faults: list[str] = []
    good: dict[str, Any] = {}
    sites = names_of_sites(found)
    offered: dict[str, tuple[Any, str]] = {
        "colour": (COLOURS, "nothing that tiles can be coloured by"),
        "site": (sites, "no site of this centre"),
        "version": (found.versions, "no version of this centre"),
        "span": ([str(span) for span in SPANS], "no length of a period (0, 1, 3, 12 months)"),
    }
    for name, value in asked.items():
        value = value.strip()
        if not value or (name == "site" and value == ALL):
            continue
        fault = ""
        if name in offered and value not in offered[name][0]:
            fault = offered[name][1]
        elif name == "tile" and not tiling.valid(value := value.upper().removeprefix("T")):
            fault = "no tile: an id is such as 31TCJ"
        elif name == "until" and not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", value):
            fault = "no month such as 2023-08"
        elif name == "year" and not re.fullmatch(r"20\d\d", value):
            fault = "no year"
        if fault:
            faults.append(f"<b>{escape(value)}</b> is {fault}.")
        else:
            good[name] = value
    numbers: dict[str, Any] = {name: int(good.pop(name)) for name in ("span", "year") if name in good}
    return Asked(**good, **numbers, faults=tuple(faults))


def names_of_sites(found: dates.Dates) -> list[str]:
    """Sites that have tiles here."""
    return sorted({site for joined in found.sites.values() for site in joined.split(", ") if site})


Text = Annotated[str, Field(max_length=200)]


class Address(BaseModel):
    """The parameters of the page."""

    colour: Text = ""
    site: Text = ""
    version: Text = ""
    tile: Text = ""
    until: Text = ""
    span: Text = ""
    year: Text = ""


@router.get("/coverage", response_class=HTMLResponse)
def coverage(centre: Here, address: Annotated[Address, Query()]) -> HTMLResponse:
    """The map, its legend, the matrix and the tiles as a table."""
    found = centre.coverages.latest()
    asked = understood(found, address.model_dump())
    months, _ = dates.by_month(found)
    parts = [frame.age(found.version, found.taken, found.newest)]
    if centre.coverages.fault:
        parts.append(plain.said(f"The store can't be read: {escape(centre.coverages.fault)}"))
    if found.all_simulated:
        parts.append(frame.simulated_banner())
    parts += [plain.said(fault) for fault in asked.faults]
    if not len(found.rows):
        parts.append(frame.how_to_begin(centre.settings))
    parts.append(_body(centre, found, asked, months))
    first, last = asked.period(months)
    data = {
        "ground": api.ground_address(found.tiles),
        "columns": api.COLUMNS,
        **api.answer(found, first, last, asked.version),
        "months": months,
        "chosen": {
            **{name: getattr(asked, name) for name in ("colour", "site", "version", "tile", "until", "span")},
            "year": asked.year,
        },
        "around": list(web_mercator.around(_in_view(found, asked.site))),
        "colours": {
            **{key: [*words, PATTERNS.get(key, "plain")] for key, words in {**theme.STATES, **OTHER_STATES}.items()},
        },
        "versions": {name: theme.version_colour(name) for name in found.versions},
        "simulated": theme.SIMULATED,
        "clear": dates.CLEAR,
        "theia": len(theia_tiles()),
    }
    page = plain.page(
        centre.settings,
        "coverage",
        "".join(parts),
        styles="coverage.css",
        script="coverage/main.js",
        data=data,
        status=404 if asked.faults else 200,
    )
    page.headers["Link"] = f"<{api.ground_address(found.tiles)}>; rel=preload; as=fetch; crossorigin"
    return page


def _in_view(found: dates.Dates, site: str) -> list[str]:
    """The tiles that the map begins with: those of a site, else those with dates, else all of the centre's."""
    if site:
        return [tile for tile, joined in found.sites.items() if site in joined.split(", ")]
    with_dates = [found.tiles[place] for place in found.rows["tile"].unique()]
    return [tile for tile in with_dates or found.known or found.tiles if tiling.valid(tile)]


def _options(choices: dict[Any, str], chosen: Any) -> str:
    return "".join(
        f'<option value="{escape(str(key))}"{" selected" if key == chosen else ""}>{escape(title)}</option>'
        for key, title in choices.items()
    )


def _body(centre: Here, found: dates.Dates, asked: Asked, months: list[str]) -> str:
    """The controls and the places that the script fills."""
    sites = _options({"": ALL, **{name: name for name in names_of_sites(found)}}, asked.site)
    versions = _options({"": "Newest of each date", **{name: name for name in found.versions}}, asked.version)
    place = months.index(asked.until) if asked.until in months else max(len(months) - 1, 0)
    calendar = api.tile_calendar(centre, asked.tile, asked.year, asked.version) if asked.tile else ""
    return f"""
<div id="kpis" class="kpis"></div>
<form id="choices" class="tools">
  <label>Colour by <select id="colour">{_options(dict(COLOURS), asked.colour)}</select></label>
  <label>Zoom to site <select id="site">{sites}</select></label>
  <label>Version <select id="version">{versions}</select></label>
  <label>Tile <input id="find" list="tiles" size="7" placeholder="31TCJ" value="{escape(asked.tile)}"
  autocomplete="off">  <datalist id="tiles"></datalist></label>
  <label>Period <select id="span">{_options(dict(SPANS), asked.span)}</select></label>
  <span class="time"><label for="until">until</label>
  <button type="button" id="earlier" aria-label="A month earlier">◀</button>
  <input type="range" id="until" min="0" max="{max(len(months) - 1, 0)}" value="{place}" {"" if months else "disabled"}>
  <button type="button" id="later" aria-label="A month later">▶</button>
  <button type="button" id="film" aria-label="Play the months as a film">▶ Film</button>
  <output id="month"></output></span>
</form>
<p id="said" class="soft" role="status"></p>
<div class="columns">
<section class="wide" aria-label="Map">
  <div id="legend" class="legend"></div>
  <div id="map" tabindex="0" role="application" aria-label="Map of the tiles: arrows move it, + and - zoom, a click
opens the calendar of a tile. The same is in the table below."><canvas id="ground"></canvas><canvas id="drawn"></canvas>
    <div class="zoom"><button id="in" aria-label="Zoom in">+</button><button id="out" aria-label="Zoom out">−</button>
    <button id="whole" aria-label="All tiles with dates">⤢</button></div><div id="tip" hidden></div></div>
  <p class="soft">Take it with you: <a id="csv" href="/api/coverage/export">CSV</a> ·
  <a id="geojson" href="/api/coverage/export?format=geojson">GeoJSON</a> · <button id="png" class="link">PNG of the
  map</button> · <a href="/api/coverage/export?format=html">HTML map</a> ·
  <a id="permalink" href="/coverage">Permalink</a></p>
  <section id="calendar" aria-live="polite">{calendar or '<p class="soft">A click on a tile opens its calendar.</p>'}
  </section>
</section>
<section class="narrow" aria-label="Tiles"><h2>Tiles <small id="count">state of the latest date</small></h2>
  <div id="table" class="scroll tall" tabindex="0"></div></section>
</div>
<section aria-label="Completeness"><h2>Completeness <small>tile by month: dates that came to an end (published or not
valid), of those that came or should have come</small></h2>
<div id="scale" class="legend"></div>
<div id="matrix" tabindex="0" role="application" aria-label="Matrix of tiles and months: arrows choose a cell,
Enter opens its calendar"><canvas></canvas><div class="rows"></div></div>
<p id="cell" class="soft" role="status">Move over a cell, or choose it with the arrows.</p>
<p class="soft"><a id="matrixcsv" href="/api/coverage/matrix?format=csv">The matrix as CSV</a></p></section>"""
