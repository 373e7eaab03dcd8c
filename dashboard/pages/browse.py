"""Browse: products found; list, map and calendar of a tile in step. The address is the search, and a STAC query too.

Plain HTML, no Panel session: the form works as it is; `static/browse/` asks again whenever a field changes, and draws
the map.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from html import escape
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy.orm import Session

from dashboard import frame, plain, queries, stac, theme, web_mercator, year_calendar
from dashboard.api import coverage as api
from dashboard.api.centre import Centre, Here
from dashboard.year_calendar import calendar_legend, year_svg
from processing import tiling
from processing.errors import SearchError
from processing.store import search as catalogue
from processing.store import verdicts
from processing.store.search import FLAGS, Found, Search

__all__ = ["Form", "calendar_legend", "card", "router", "year_svg"]

ANY = "Any"
CURRENT, EVERY = "Current", "All"
#: Products that are shown at once, and added by each wish for more.
PAGE = 24
#: Counting stops here.
MOST = 1000
ORDERS = {
    "-sensing": "Newest image first",
    "sensing": "Oldest image first",
    "-published": "Last published first",
    "published": "First published first",
}

router = APIRouter()
Text = Annotated[str, Query(max_length=500)]


@dataclass(frozen=True)
class Form:
    """What the fields hold, as the address has it; an empty one asks for nothing.

    Attributes
    ----------
    words : str
        Tile, date, version, platform, orbit, flag, site, or the name of a product.
    tile : str
        Tile ids.
    site, version, platform, orbit, flag : str
    first, last : str
        First and last date.
    cloud, aot : str
        Most cloud [%], highest mean AOT [-].
    since : str
        What was published, withdrawn or reinstated since.
    bbox : str
        West, south, east, north. [deg]
    order : str
        Of `ORDERS`.
    """

    words: Text = ""
    tile: Text = ""
    site: Text = ""
    version: Text = ""
    platform: Text = ""
    orbit: Text = ""
    first: Text = ""
    last: Text = ""
    cloud: Text = ""
    aot: Text = ""
    flag: Text = ""
    since: Text = ""
    bbox: Text = ""
    order: Text = ""

    def given(self) -> dict[str, str]:
        """The fields that ask for something."""
        neutral = {"site": ANY, "platform": ANY, "flag": ANY, "version": CURRENT, "order": "-sensing"}
        values = {field.name: str(getattr(self, field.name)).strip() for field in fields(self)}
        values = {name: value for name, value in values.items() if value and value != neutral.get(name)}
        return {
            name: value
            for name, value in values.items()
            if not (name == "cloud" and value == "100") and not (name == "aot" and value in ("1", "1.0"))
        }

    def address(self) -> str:
        """The page with this search."""
        given = self.given()
        return "/browse" + (f"?{urlencode(given)}" if given else "")


Asked = Annotated[Form, Depends()]


def criteria(session: Session, form: Form) -> tuple[list[tuple[str, Search]], list[str]]:
    """Each thing that is asked for, as a search for it alone with what the reader wrote, and the faults of others."""
    found: list[tuple[str, Search]] = []
    faults: list[str] = []
    for name, value in form.given().items():
        for part in _parts(name, value):
            try:
                found.append((f"{_TITLES[name]} {part}".strip(), _one(session, name, part)))
            except SearchError as fault:
                faults.append(str(fault))
    return found, faults


_TITLES = {
    **{"words": "", "tile": "tile", "site": "site", "version": "version", "platform": "platform", "orbit": "orbit"},
    **{"first": "from", "last": "to", "cloud": "cloud at most", "aot": "AOT at most", "flag": "flag"},
    **{"since": "changed since", "bbox": "the area", "order": "order"},
}


def _parts(name: str, value: str) -> list[str]:
    """Words and tiles one by one; other fields whole."""
    if name == "tile":
        return value.replace(",", " ").split()
    return value.replace(",", " ").replace(";", " ").split() if name == "words" else [value]


def _one(session: Session, name: str, value: str) -> Search:
    """The search for one word or field.

    Raises
    ------
    SearchError
        If it can't be understood.
    """
    if name == "words":
        return catalogue.understand(session, value)
    if name == "tile":
        tile = value.upper().removeprefix("T")
        if not tiling.valid(tile):
            raise SearchError(f"{value} is no tile: an id is such as 31TCJ")
        return Search(tiles=(tile,))
    if name in _LISTS:
        offered = [*queries.offered(session)[name], *([EVERY] if name == "version" else [])]
        if value not in offered:
            raise SearchError(f"{value} is no {name} of this centre: {', '.join(offered) or 'none yet'}")
        chosen: dict[str, Any] = {_LISTS[name]: ("all",) if value == EVERY and name == "version" else (value,)}
        return Search(**chosen)
    if name == "flag" and value not in FLAGS.values():
        raise SearchError(f"{value} is no flag: {', '.join(dict.fromkeys(FLAGS.values()))}")
    if name == "order" and value not in ORDERS:
        raise SearchError(f"{value} is no order: {', '.join(ORDERS)}")
    return Search(**_limit(name, value))


_LISTS = {"site": "sites", "version": "versions", "platform": "platforms"}


def _limit(name: str, value: str) -> dict[str, Any]:
    """Of the fields that are typed: what they restrict."""
    if name == "flag":
        return {"flags": (value,)}
    if name == "order":
        return {"order": value}
    if name == "orbit":
        if not value.isdecimal():
            raise SearchError(f"{value} is no relative orbit")
        return {"orbits": (int(value),)}
    if name == "first":
        return {"first": _moment(value)}
    if name == "last":
        whole_day = timedelta(days=1, microseconds=-1) if len(value) == 10 else timedelta()
        return {"last": _moment(value) + whole_day}
    if name == "since":
        return {"changed_since": _moment(value), "withdrawn": True, "replaced": True}
    if name == "bbox":
        return {"area": _area(value)}
    return {name: (None, _number(name, value))}


def _moment(value: str) -> datetime:
    """A time, or the beginning of a day, as people type it."""
    return stac.moment(f"{value}T00:00:00Z" if len(value) == 10 else value)


def _area(value: str) -> Any:
    try:
        west, south, east, north = (float(part) for part in value.split(","))
    except ValueError:
        raise SearchError(f"{value} is no west,south,east,north") from None
    return catalogue.rectangle(west, south, east, north)


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise SearchError(f"{value} is no {'cloud cover [%]' if name == 'cloud' else 'AOT'}") from None


def together(parts: Sequence[Search]) -> Search:
    """All of it: places and kinds of one field add up, times and limits narrow each other."""
    result = Search()
    for part in parts:
        changed: dict[str, Any] = {}
        for field in fields(Search):
            value, before, nothing = getattr(part, field.name), getattr(result, field.name), field.default
            if value == nothing:
                continue
            if isinstance(value, tuple) and field.name not in ("cloud", "aot") and value != ("all",):
                value = value if before == ("all",) else (*before, *value)
            elif field.name == "versions":
                value = before or value
            elif before != nothing and field.name in ("first", "last"):
                value = max(before, value) if field.name == "first" else min(before, value)
            changed[field.name] = value
        result = replace(result, **changed)
    return result


def why_nothing(session: Session, parts: Sequence[tuple[str, Search]]) -> str:
    """Which word or field is to blame that nothing fits, as HTML."""

    def some(*asked: Search, every: bool = False) -> bool:
        search = together(asked)
        return catalogue.count(session, replace(search, versions=("all",)) if every else search, 1) > 0

    versions = [search for _, search in parts if search.versions]
    limits = [(words, search) for words, search in parts if search not in versions]
    alone = [words for words, search in limits if not some(*versions, search)]
    lines = []
    if not alone and some(*versions, *(search for _, search in limits), every=True):
        lines.append("There are some of another version: ask for All.")
    for words in alone:
        search = dict(limits)[words]
        hint = "; there are some of another version: ask for All" if some(search, every=True) else ""
        lines.append(f"No product fits <b>{escape(words)}</b>{hint}.")
    if not alone:
        for words, _ in parts:
            if some(*(search for other, search in parts if other != words)):
                lines.append(f"Without <b>{escape(words)}</b> there are some.")
        lines = lines or ["Each of the words and fields fits some product, but none fits two of them together."]
    return "<p>Nothing fits.</p>" + "".join(f"<p>{line}</p>" for line in lines)


@dataclass(frozen=True)
class Answer:
    """What a search gives, ready to be shown: pieces of HTML, tiles with their number of products, the next key."""

    said: str
    query: str
    cards: str
    calendar: str
    tiles: dict[str, int]
    after: str | None
    understood: bool


def answered(centre: Centre, form: Form, after: str | None = None) -> Answer:
    """Ask the store for a page of products."""
    with centre.store.read() as session:
        parts, faults = criteria(session, form)
        if faults:
            said = "".join(plain.said(escape(fault)) for fault in faults)
            return Answer(said, "", "", "", {}, None, False)
        search = together([part for _, part in parts])
        try:
            page = catalogue.find(session, search, PAGE, after)
        except SearchError as fault:
            return Answer(plain.said(escape(str(fault))), "", "", "", {}, None, False)
        names = [found.product.identifier for found in page.found]
        words = {name: verdicts.worst(said) for name, said in verdicts.verdicts_of(session, names).items()}
        cards = "".join(card(found, words.get(found.product.identifier, "")) for found in page.found)
        if after is not None:
            return Answer("", "", cards, "", _counted(page.found), page.after, True)
        count = catalogue.count(session, search, MOST)
        if not count:
            cards = f'<div class="nothing">{why_nothing(session, parts)}</div>' if parts else ""
        calendar = _calendar(session, page.found)
    said = f"<h2>{'more than ' if count >= MOST else ''}{theme.number(count)} product{'s' if count != 1 else ''}</h2>"
    address = escape(stac.address(search))
    query = (
        f'<p><a href="{escape(form.address())}">Permalink of this search</a></p>'
        f'<p>The same as a STAC query: <a href="{address}"><code>GET {address}</code></a></p>'
        f'<p>What it finds now: <a href="{_as(address, "list")}">a list to cite</a>, with sizes, sums and a digest; '
        f'<a href="{_as(address, "script")}">a shell script</a> that brings it.</p>'
    )
    return Answer(said, query, cards, calendar, _counted(page.found), page.after, True)


def _as(address: str, form: str) -> str:
    """The address of a STAC search's finds in another form."""
    return address.replace("/stac/search", f"/stac/search/{form}", 1)


def _counted(found: Sequence[Found]) -> dict[str, int]:
    return dict(Counter(one.product.tile for one in found))


def _calendar(session: Session, found: Sequence[Found]) -> str:
    """Of the first product's tile, in the year of its date."""
    if not found:
        return ""
    product = found[0].product
    year, tile = product.sensing.year, product.tile
    dates = queries.calendar(session, tile, product.version, year)
    before = urlencode({"tile": tile, "last": f"{year - 1}-12-31"})
    later = urlencode({"tile": tile, "first": f"{year + 1}-01-01", "order": "sensing"})
    return (
        f'<h2>{escape(tile)} in {year} <small>{escape(product.version)} · <a href="/browse?{before}">{year - 1}</a> · '
        f'<a href="/browse?{later}">{year + 1}</a></small></h2><div class="scroll" tabindex="0">'
        f"{year_svg(year, dates)}</div>{calendar_legend(dates)}{year_calendar.in_words(dates)}"
    )


@router.get("/browse/found")
def found(centre: Here, form: Asked, after: str | None = None) -> JSONResponse:
    """A page of products as pieces of the page Browse."""
    return JSONResponse(vars(answered(centre, form, after)), headers={"Cache-Control": "no-store"})


@router.get("/browse", response_class=HTMLResponse)
def browse(centre: Here, form: Asked) -> HTMLResponse:
    """The form, what it finds as cards and on the map, and the calendar of a tile."""
    dates = centre.coverages.latest()
    head = frame.age(dates.version, dates.taken, dates.newest)
    if not len(dates.rows):
        return plain.page(
            centre.settings,
            "browse",
            head + frame.how_to_begin(centre.settings),
            styles="browse.css",
            script="browse/main.js",
        )
    if centre.coverages.fault:
        head += plain.said(f"The store can't be read: {escape(centre.coverages.fault)}")
    answer = answered(centre, form)
    with centre.store.read() as session:
        fields_ = _fields(session, form)
    tiles = [tile for tile in (answer.tiles or sorted(dates.known)) if tiling.valid(tile)]
    data = {
        "ground": api.ground_address(dates.tiles),
        "known": sorted(dates.known),
        "around": list(web_mercator.around(tiles)),
        "tiles": answer.tiles,
        "after": answer.after,
        "colour": theme.ACCENT,
    }
    banner = frame.simulated_banner() if dates.all_simulated else ""
    return plain.page(
        centre.settings,
        "browse",
        head + banner + fields_ + _results(answer),
        styles="browse.css",
        script="browse/main.js",
        data=data,
        status=200 if answer.understood else 404,
    )


def _results(answer: Answer) -> str:
    more = "" if answer.after else " hidden"
    return f"""
<div id="said" role="status">{answer.said}</div>
<div class="columns"><section class="map" aria-label="Where">
  <div id="map" tabindex="0" role="application" aria-label="Map: arrows move it, + and - zoom; a click on a tile
searches there, another one everywhere"><canvas></canvas><canvas></canvas><div class="zoom">
  <button id="in" aria-label="Zoom in">+</button><button id="out" aria-label="Zoom out">−</button></div></div>
  <p class="soft"><button id="here" class="link">Search in the area that the map shows</button></p>
  <div id="calendar">{answer.calendar}</div><div id="query">{answer.query}</div>
</section><section class="found" aria-label="Products"><div id="cards" class="cards">{answer.cards}</div>
<button id="more"{more}>Show more</button></section></div>"""


def _fields(session: Session, form: Form) -> str:
    """The form."""
    offered = queries.offered(session)
    sites = queries.titles_of_sites(session)

    def text(name: str, title: str, example: str, size: int) -> str:
        value = escape(str(getattr(form, name)))
        hint = f' placeholder="{example}"' if example else ""
        return f'<label>{title} <input name="{name}" value="{value}" size="{size}"{hint} autocomplete="off"></label>'

    def choice(name: str, title: str, values: dict[str, str], neutral: str) -> str:
        chosen = str(getattr(form, name)).strip() or neutral
        listed = values if chosen in values else {chosen: chosen, **values}
        options = "".join(
            f'<option value="{escape(key)}"{" selected" if key == chosen else ""}>{escape(words)}</option>'
            for key, words in listed.items()
        )
        return f'<label>{title} <select name="{name}" data-neutral="{neutral}">{options}</select></label>'

    def slider(name: str, title: str, most: str, step: str) -> str:
        value = escape(str(getattr(form, name)).strip() or most)
        return (
            f'<label>{title} <output>{value}</output><input type="range" name="{name}" min="0" max="{most}" '
            f'step="{step}" value="{value}" data-neutral="{most}"></label>'
        )

    def same(names: Sequence[str]) -> dict[str, str]:
        return {name: name for name in names}

    return f"""<form id="form" class="tools" action="/browse" role="search">
{text("words", "Words", "toulouse 2023-08 V1_4", 30)}{text("tile", "Tile", "31TCJ", 9)}
{choice("site", "Site", {ANY: ANY, **{code: sites[code] for code in offered["site"]}}, ANY)}
{text("first", "From", "2023-08-01", 11)}{text("last", "To", "2023-08-31", 11)}
{choice("version", "Version", same([CURRENT, EVERY, *offered["version"]]), CURRENT)}
{choice("platform", "Platform", same([ANY, *offered["platform"]]), ANY)}{text("orbit", "Orbit", "51", 5)}
{choice("flag", "Flag", same([ANY, *dict.fromkeys(FLAGS.values())]), ANY)}
{text("since", "Changed since", "2026-11-20", 12)}{choice("order", "Order", ORDERS, "-sensing")}
{slider("cloud", "Cloud at most [%]", "100", "1")}{slider("aot", "AOT at most", "1", "0.05")}
{text("bbox", "Area", "west,south,east,north", 20)}
<button>Search</button><a class="button" href="/browse">Clear the search</a></form>"""


def card(found: Found, verdict: str) -> str:
    """A product with its picture, its figures and what can be done with it, as HTML."""
    product, quality = found.product, found.quality
    name = escape(product.identifier)
    marks = [theme.chip(product.version, theme.version_colour(product.version))]
    if product.simulated:
        marks.append(theme.simulated_mark())
    if not product.valid:
        marks.append(theme.chip("withdrawn", theme.colour("failed")))
    if not product.current:
        marks.append(theme.chip("replaced", theme.colour("none")))
    elif product.revision:
        marks.append(theme.chip(f"revision {product.revision}", theme.colour("waiting")))
    if verdict:
        marks.append(theme.verdict_chip(verdict))
    figures = []
    if quality is not None and quality.cloud_percent is not None:
        figures.append(f"cloud {theme.number(quality.cloud_percent)} %")
    if quality is not None and quality.aot_mean is not None:
        figures.append(f"AOT {theme.number(quality.aot_mean, 2)}")
    picture = f"/products/{name}/thumbnail?v={product.manifest_sha[:12]}"
    return (
        f'<div class="card" data-product="{name}"><a href="/products?product={name}" title="{name}">'
        f'<img loading="lazy" src="{picture}" alt="no picture"></a><div>'
        f"<b>{product.sensing:%Y-%m-%d}</b> {escape(product.tile)}<br>{escape(product.platform)}"
        f"{f' R{product.relative_orbit:03d}' if product.relative_orbit else ''}<br>{' '.join(marks)}<br>"
        f'<span class="soft">{", ".join(figures) or "&nbsp;"}</span><div class="links">'
        f'<a href="/products?product={name}">look</a><a href="/compare?left={name}">compare</a>'
        f'<a href="/products/{name}/zip" title="{theme.number(product.bytes / 1e6, 1)} MB">download</a>'
        "</div></div></div>"
    )
