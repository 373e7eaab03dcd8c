"""Browse: products found; list, map and calendar of a tile in step. The address is the search, and a STAC query too."""

from __future__ import annotations

import calendar as days
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import holoviews as hv
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import HoverTool
from cartopy import crs as ccrs

from dashboard import queries, stac, theme, web_mercator
from dashboard.frame import View, how_to_begin, html, legend
from dashboard.pages.coverage import COUNTRIES, TILES, TilePolygons, countries_layer, same_scale
from processing.errors import SearchError
from processing.store import search as catalogue
from processing.store import verdicts
from processing.store.search import FLAGS, Found, Search

if TYPE_CHECKING:
    from dashboard.snapshot import Snapshot
    from processing.settings import Settings
    from processing.store import Store

ANY = "Any"
CURRENT, EVERY = "Current", "All"
#: Products that are shown at once, and added by each wish for more.
PAGE = 24
#: Tiles without a result that are drawn for orientation.
FAINT = 1500
MAP_HEIGHT = 330
ORDERS = {
    "Newest image first": "-sensing",
    "Oldest image first": "sensing",
    "Last published first": "-published",
    "First published first": "published",
}

CARDS_CSS = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(152px, 1fr)); gap: 12px; }
.card { border: 1px solid var(--line); border-radius: 8px; overflow: hidden; background: var(--fill); min-width: 0; }
.card img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; background:
  repeating-linear-gradient(45deg, var(--fill) 0 6px, transparent 6px 12px); font-size: 11px; }
.card > div { padding: 6px 9px 8px; font-size: 12.5px; }
.card b { font-size: 13.5px; font-weight: 600; font-variant-numeric: tabular-nums; }
.card .links { display: flex; flex-wrap: wrap; gap: 2px 10px; margin-top: 3px; }
.year { display: block; width: 100%; height: auto; min-width: 540px; max-width: 760px; }
.year text { font-size: 9px; fill: currentColor; opacity: .65; }
.year rect { stroke: color-mix(in srgb, currentColor 22%, transparent); stroke-width: .6; fill: transparent; }
.year a rect { stroke-width: 1; cursor: pointer; } .year a:hover rect { stroke: currentColor; stroke-width: 1.6; }
"""
#: From a clear date to one that is all cloud.
CLOUD_RAMP = ("#08519c", "#3182bd", "#6baed6", "#9ecae1", "#c6dbef", "#eff3f7")


class Browse(View):
    """The form, what it finds as cards and on the map, and the calendar of a tile."""

    words = param.String(doc="Tile, date, version, platform, orbit, flag, site, or the name of a product.")
    tile = param.String(doc="Tile ids, 31TCJ.")
    site: Any = param.Selector(default=ANY, objects=[ANY])
    version: Any = param.Selector(default=CURRENT, objects=[CURRENT, EVERY])
    platform: Any = param.Selector(default=ANY, objects=[ANY])
    orbit = param.String(doc="Relative orbit.")
    first = param.String(doc="First date, 2023-08-01.")
    last = param.String(doc="Last date.")
    cloud = param.Integer(default=100, bounds=(0, 100), doc="Most cloud. [%]")
    aot = param.Number(default=1.0, bounds=(0, 1), doc="Highest mean AOT; 1: any. [-]")
    flag: Any = param.Selector(default=ANY, objects=[ANY, *dict.fromkeys(FLAGS.values())])
    since = param.String(doc="What was published, withdrawn or reinstated since, 2026-11-20 or 2026-11-20T12:00.")
    bbox = param.String(doc="West, south, east, north. [deg]")
    order: Any = param.Selector(default="-sensing", objects=list(ORDERS.values()))

    #: What the address holds.
    ADDRESS = (
        *("words", "tile", "site", "version", "platform", "orbit", "first", "last", "cloud", "aot", "flag", "since"),
        *("bbox", "order"),
    )

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, **params: Any) -> None:
        self._store = store
        with store.read() as session:
            offered = queries.offered(session)
        for name, values in offered.items():
            self.param[name].objects = [*self.param[name].objects, *values]
        super().__init__(snapshot, settings, **params)
        self._found: list[Found] = []
        self._verdicts: dict[str, str] = {}
        self._after: str | None = None
        self._form = self._fields()
        button: dict[str, Any] = {"size": "small", "variant": "outlined"}
        self._clear = pmui.Button(label="Clear the search", on_click=lambda _: self.clear(), margin=(6, 8), **button)
        self._more = pmui.Button(label="Show more", on_click=lambda _: self._go_on(), margin=(10, 0), **button)
        self._form.append(self._clear)
        self._empty, self._said, self._query = html(), html(), html()
        self._cards, self._calendar = html(), html()
        for pane in (self._cards, self._calendar):
            pane.stylesheets = [*pane.stylesheets, CARDS_CSS]
        self._map = pn.pane.HoloViews(sizing_mode="stretch_width", height=MAP_HEIGHT, linked_axes=False)
        self._full = pn.Column(
            self._form,
            self._said,
            pn.FlexBox(
                pn.Column(
                    self._map,
                    self._calendar,
                    self._query,
                    styles={"flex": "2 1 420px", "min-width": "min(100%, 320px)", "max-width": "100%"},
                ),
                pn.Column(self._cards, self._more, styles={"flex": "3 1 560px", "min-width": "min(100%, 320px)"}),
                sizing_mode="stretch_width",
                gap="8px 20px",
            ),
            sizing_mode="stretch_width",
        )
        self._layout = pn.Column(self._empty, self._full, sizing_mode="stretch_width")
        if pn.state.location:
            pn.state.location.sync(self, {name: name for name in self.ADDRESS})

    def _fields(self) -> pn.FlexBox:
        """The form."""
        small: dict[str, Any] = {"size": "small", "margin": (3, 6, 3, 0), "description": ""}
        short, middle = {**small, "width": 112}, {**small, "width": 150}
        return pn.FlexBox(
            pmui.TextInput.from_param(
                self.param.words, label="Words", placeholder="toulouse 2023-08 V1_4", **{**small, "width": 268}
            ),
            pmui.TextInput.from_param(self.param.tile, label="Tile", placeholder="31TCJ", **short),
            pmui.Select.from_param(self.param.site, label="Site", **middle),
            pmui.TextInput.from_param(self.param.first, label="From", placeholder="2023-08-01", **short),
            pmui.TextInput.from_param(self.param.last, label="To", placeholder="2023-08-31", **short),
            pmui.Select.from_param(self.param.version, label="Version", **short),
            pmui.Select.from_param(self.param.platform, label="Platform", **short),
            pmui.TextInput.from_param(self.param.orbit, label="Orbit", placeholder="51", **{**small, "width": 76}),
            pmui.Select.from_param(self.param.flag, label="Flag", **short),
            pmui.TextInput.from_param(self.param.since, label="Changed since", placeholder="2026-11-20", **middle),
            pmui.Select.from_param(self.param.order, options=ORDERS, label="Order", **{**small, "width": 196}),
            pmui.IntSlider.from_param(
                self.param.cloud, label="Cloud at most [%]", **{**small, "width": 190, "margin": (3, 14, 3, 4)}
            ),
            pmui.FloatSlider.from_param(
                self.param.aot, label="AOT at most", step=0.05, **{**small, "width": 190, "margin": (3, 14, 3, 4)}
            ),
            align_items="center",
            sizing_mode="stretch_width",
        )

    def search(self) -> Search:
        """What the form asks for.

        Raises
        ------
        SearchError
            If a field can't be understood.
        """
        tiles = tuple(word.upper().removeprefix("T") for word in self.tile.replace(",", " ").split())
        search = Search(order=self.order, tiles=tiles)
        if self.words.strip():
            with self._store.read() as session:
                search = catalogue.understand(session, self.words, search)
        return replace(search, **self._kinds(search), **self._times(search), **self._limits())

    def _kinds(self, search: Search) -> dict[str, Any]:
        """What is chosen from a list, and the orbit, beside what the words say."""
        asked: dict[str, Any] = {}
        if self.site != ANY:
            asked["sites"] = (*search.sites, self.site)
        if self.version == EVERY:
            asked["versions"] = search.versions or ("all",)
        elif self.version != CURRENT:
            asked["versions"] = (self.version,)
        if self.platform != ANY:
            asked["platforms"] = (self.platform,)
        if self.flag != ANY:
            asked["flags"] = (*search.flags, self.flag)
        if self.orbit.strip():
            if not self.orbit.strip().isdecimal():
                raise SearchError(f"{self.orbit} is no relative orbit")
            asked["orbits"] = (int(self.orbit),)
        return asked

    def _times(self, search: Search) -> dict[str, Any]:
        """First and last date, no wider than the words say, and since when something changed."""
        asked: dict[str, Any] = {}
        if self.first.strip():
            asked["first"] = max(filter(None, (search.first, stac.moment(self.first.strip()))))
        if self.last.strip():
            end = stac.moment(self.last.strip())
            end += timedelta(days=1, microseconds=-1) if len(self.last.strip()) == 10 else timedelta()
            asked["last"] = min(filter(None, (search.last, end)))
        if self.since.strip():
            asked |= {"changed_since": stac.moment(self.since.strip()), "withdrawn": True, "replaced": True}
        return asked

    def _limits(self) -> dict[str, Any]:
        """Most cloud [%] and AOT [-], and the area."""
        asked: dict[str, Any] = {}
        if self.cloud < 100:
            asked["cloud"] = (None, float(self.cloud))
        if self.aot < 1:
            asked["aot"] = (None, float(self.aot))
        if self.bbox.strip():
            try:
                west, south, east, north = (float(part) for part in self.bbox.split(","))
            except ValueError:
                raise SearchError(f"{self.bbox} is no west,south,east,north") from None
            asked["area"] = catalogue.rectangle(west, south, east, north)
        return asked

    def clear(self) -> None:
        """Ask for nothing in particular."""
        self.param.update(**{name: self.param[name].default for name in self.ADDRESS})

    @param.depends(*ADDRESS, watch=True)
    def draw(self) -> None:
        """Search anew, and show what is found."""
        self._empty.object = how_to_begin(self.settings) if self.snapshot.empty else ""
        self._empty.visible, self._full.visible = self.snapshot.empty, not self.snapshot.empty
        if self.snapshot.empty:
            return
        self._found, self._after = [], None
        try:
            search = self.search()
            with self._store.read() as session:
                count = catalogue.count(session, search)
            self._fetch(search)
        except SearchError as fault:
            self._said.object = f'<div class="note" style="--c:{theme.colour("failed")}">{escape(str(fault))}</div>'
            self._query.object = ""
        else:
            words = f"{theme.number(count)} product{'s' if count != 1 else ''}"
            self._said.object = f"<h2>{'more than ' if count >= 1000 else ''}{words}</h2>"
            address = stac.address(search)
            wanted = {name: getattr(self, name) for name in self.ADDRESS}
            wanted = {name: value for name, value in wanted.items() if value != self.param[name].default}
            here = "/browse" + ("?" + urlencode(wanted) if wanted else "")
            self._query.object = (
                f'<p><a href="{escape(here)}">Permalink of this search</a></p>'
                f'<p>The same as a STAC query: <a href="{escape(address)}"><code>GET {escape(address)}</code></a></p>'
            )
        self._show()
        self._draw_map()
        self._draw_calendar()

    def _fetch(self, search: Search) -> None:
        """Add the next page to what was found."""
        with self._store.read() as session:
            page = catalogue.find(session, search, PAGE, self._after)
            names = [f.product.identifier for f in page.found]
            self._verdicts |= {n: verdicts.worst(v) for n, v in verdicts.verdicts_of(session, names).items()}
        self._found += page.found
        self._after = page.after

    def _go_on(self) -> None:
        self._fetch(self.search())
        self._show()
        self._draw_map()

    def _show(self) -> None:
        cards = "".join(card(found, self._verdicts.get(found.product.identifier, "")) for found in self._found)
        nothing = '<p class="soft">Nothing fits. Leave something out, or ask for all versions.</p>'
        self._cards.object = f'<div class="cards">{cards}</div>' if cards else nothing
        self._more.visible = self._after is not None

    def _draw_map(self) -> None:
        count = Counter(found.product.tile for found in self._found)
        faint = [t for t in self.snapshot.coverage["tile"] if t not in count][:FAINT]
        west, south, east, north = web_mercator.around(list(count) or faint)
        hover = HoverTool(tooltips=[("Tile", "@tile"), ("Products shown", "@products")], point_policy="follow_mouse")
        tiles = result_layer(count, faint).opts(**{**TILES, "tools": [hover, "tap", "box_select"]})
        self._tap = hv.streams.Tap(source=tiles)
        self._tap.add_subscriber(self._tapped)
        self._bounds = hv.streams.BoundsXY(source=tiles)
        self._bounds.add_subscriber(self._boxed)
        self._map.object = (countries_layer().opts(**COUNTRIES) * tiles).opts(
            xlim=(west, east), ylim=(south, north), responsive=True, height=MAP_HEIGHT, xlabel="", ylabel="",
            hooks=[same_scale],
        )  # fmt: skip

    def _tapped(self, x: float | None, y: float | None) -> None:
        """A click on a tile of the map searches in it; another one in all."""
        if x is None or y is None:
            return
        lon, lat = web_mercator.degrees(x, y)
        try:
            place = catalogue.rectangle(lon, lat, lon, lat)
        except SearchError:
            return
        hit = catalogue.touching(self.snapshot.coverage["tile"], place)
        if hit:
            self.tile = "" if self.tile else ", ".join(sorted(hit))

    def _boxed(self, bounds: tuple[float, float, float, float] | None) -> None:
        if bounds is not None:
            (west, south), (east, north) = web_mercator.degrees(*bounds[:2]), web_mercator.degrees(*bounds[2:])
            self.bbox = f"{max(west, -180):.3f},{max(south, -90):.3f},{min(east, 180):.3f},{min(north, 90):.3f}"

    def _draw_calendar(self) -> None:
        """Of the first product's tile, in the year of its date."""
        if not self._found:
            self._calendar.object = ""
            return
        product = self._found[0].product
        with self._store.read() as session:
            dates = queries.calendar(session, product.tile, product.version, product.sensing.year)
        year, tile = product.sensing.year, product.tile
        before, after = (
            f'<a href="/browse?{urlencode({"tile": tile, "last": f"{year - 1}-12-31"})}">{year - 1}</a>',
            f'<a href="/browse?{urlencode({"tile": tile, "first": f"{year + 1}-01-01", "order": "sensing"})}">'
            f"{year + 1}</a>",
        )
        self._calendar.object = (
            f"<h2>{escape(tile)} in {year} <small>{escape(product.version)} · {before} · {after}</small></h2>"
            f'<div class="scroll">{year_svg(year, dates)}</div>{calendar_legend(dates)}'
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout


def result_layer(count: Counter[str], faint: Iterable[str]) -> TilePolygons:
    """Tiles with results in colour, others as faint outlines."""
    polygons = []
    for tile, products in [*((t, 0) for t in faint), *count.items()]:
        ring = web_mercator.tile(tile)
        colour = theme.ACCENT if products else "#A9B1BA"
        polygons.append(
            {"x": ring[:, 0], "y": ring[:, 1], "tile": tile, "products": str(products or "–"), "colour": colour}
        )
    return TilePolygons(polygons, ["x", "y"], ["tile", "products", "colour"], crs=ccrs.GOOGLE_MERCATOR)


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


def _without(row: Any) -> tuple[str, str]:
    """What became of a date of which there is no product, and its colour: what was published is withdrawn now."""
    state = theme.state(row.state)
    return ("Withdrawn", theme.colour("failed")) if state == "published" else (theme.word(state), theme.colour(state))


def calendar_legend(dates: pd.DataFrame) -> str:
    """What the colours of the days of `year_svg` say, as HTML."""
    ramp = f"linear-gradient(90deg, {', '.join(CLOUD_RAMP)})"
    absent = dict.fromkeys(_without(row) for row in dates.itertuples() if not isinstance(row.identifier, str))
    others = [(words, f"color-mix(in srgb, {colour} 45%, transparent)") for words, colour in absent]
    return legend([("Cloud, from none to all", ramp), *others])


def year_svg(year: int, dates: pd.DataFrame) -> str:
    """The days of a year, a column a week; those with an image are coloured, and linked to their product.

    Parameters
    ----------
    dates : DataFrame
        As of `queries.calendar`.
    """
    size, left, top = 13, 24, 14
    first = datetime(year, 1, 1, tzinfo=UTC)
    shift = first.weekday()
    cells, seen = [], {row.sensing.timetuple().tm_yday: row for row in dates.itertuples()}
    for number in range(1, 366 + days.isleap(year)):
        week, weekday = divmod(number - 1 + shift, 7)
        place = f'x="{left + size * week}" y="{top + size * weekday}" width="{size - 2}" height="{size - 2}" rx="2"'
        row = seen.get(number)
        if row is None:
            cells.append(f"<rect {place}/>")
            continue
        cloud = row.cloud_percent
        known = cloud is not None and cloud == cloud
        there = isinstance(row.identifier, str)
        words, colour = (theme.word(row.state), theme.ACCENT) if there else _without(row)
        said = f"{row.sensing:%Y-%m-%d}, {row.platform}: {words}"
        said += f", cloud {cloud:.0f} %" if known else ""
        if there:
            colour = CLOUD_RAMP[min(int(cloud / 100 * len(CLOUD_RAMP)), len(CLOUD_RAMP) - 1)] if known else colour
            cell = f'<rect {place} style="fill:{colour}"><title>{escape(said)}</title></rect>'
            cells.append(f'<a href="/products?product={escape(row.identifier)}">{cell}</a>')
        else:
            cells.append(f'<rect {place} style="fill:{colour};fill-opacity:.45"><title>{escape(said)}</title></rect>')
    for month in range(1, 13):
        week = ((datetime(year, month, 1, tzinfo=UTC) - first).days + shift) // 7
        cells.append(f'<text x="{left + size * week}" y="9">{days.month_abbr[month]}</text>')
    for weekday, name in ((0, "Mon"), (3, "Thu"), (6, "Sun")):
        cells.append(f'<text x="0" y="{top + size * weekday + 9}">{name}</text>')
    return f'<svg class="year" viewBox="0 0 {left + 54 * size} {top + 7 * size}" role="img">{"".join(cells)}</svg>'
