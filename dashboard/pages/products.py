"""Products: the list, and of the chosen one reflectance and masks side by side on the product's own grid."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.models import Range1d, WMTSTileSource
from bokeh.plotting import figure

from dashboard import address, queries, theme, tiles
from dashboard.choice import FIELDS, Choice, field, heads, select
from dashboard.frame import CSS, View, how_to_begin, html, kpis
from processing import tiling
from processing.errors import ProductError
from processing.masks import OF_TERRAIN

if TYPE_CHECKING:
    from pathlib import Path

    from dashboard.snapshot import Snapshot
    from processing.settings import Settings
    from processing.store import Store
    from processing.store.models import Product

ANY = "All"
#: Layers that can lie under the masks, or alone on the left.
IMAGES = ("natural", "false", "natural-flat", "aot", "water-vapour")
NO_MASK = "none"
#: Height of the two views. [px]
HEIGHT = 480
#: Rows of the list.
ROWS = 14
#: On a phone the images come before the choice of what they show.
PHONE_CSS = "@media (max-width: 640px) { .late { order: 1; } }"
#: What the list can be sorted by, either way.
ORDERS = [sign + name for name in queries.LISTED for sign in ("-", "")]
#: On a phone the list has the columns that one chooses by.
LIST_STYLE = CSS + FIELDS + "th, td { padding-right: 7px; } @media (max-width: 640px) { .much { display: none; } }"


@dataclass(frozen=True)
class Extent:
    """Corner and size of a product on the ground, in its UTM projection. [m]"""

    west: float
    north: float
    width: float
    height: float


def tile_url(folder: queries.Folder, layer: str, bits: int | None = None) -> str:
    """Address of a layer's tiles for Bokeh; it holds the product's digest, so that it may be kept for ever.

    There is always an image: Bokeh may ask for one that fails again every millisecond, without end.
    """
    style = "" if bits is None else f"&bits={bits}"
    return f"/tiles/{folder.identifier}/{layer}/{{Z}}/{{X}}/{{Y}}?v={folder.manifest_sha[:12]}&blank=1{style}"


def tile_source(extent: Extent) -> WMTSTileSource:
    """A lattice of tiles that begins at the product's north-west corner; the address comes later."""
    return WMTSTileSource(
        url="",
        tile_size=tiles.SIZE,
        min_zoom=0,
        max_zoom=tiles.NATIVE,
        initial_resolution=tiles.RESOLUTION0,
        wrap_around=False,
        **origin(extent),
    )


def origin(extent: Extent) -> dict[str, Any]:
    """Where Bokeh's lattice begins: it counts from the south-west of level 0's only tile. [m]"""
    return {
        "x_origin_offset": -extent.west,
        "y_origin_offset": -(extent.north - tiles.SIZE * tiles.RESOLUTION0),
    }


class Viewer(pn.viewable.Viewer):
    """Two figures with one extent: on the left an image, on the right an image under a mask."""

    left: Any = param.Selector(default="natural", objects=list(IMAGES), doc="Image of the left view.")
    right: Any = param.Selector(default="natural", objects=list(IMAGES), doc="Image under the mask.")
    mask: Any = param.Selector(default="CLM", objects=[*theme.MASKS, NO_MASK], doc="Mask of the right view.")
    bits: Any = param.List(default=[], doc="Bits of the mask that are drawn.")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._folder: queries.Folder | None = None
        self._extent: Extent | None = None
        nowhere = Extent(0, 0, 1, 1)
        self.x_range, self.y_range = Range1d(start=0, end=1), Range1d(start=0, end=1)
        self._sources = {name: tile_source(nowhere) for name in ("left", "right", "mask")}
        #: Left and right.
        self.figures = [self._figure(), self._figure()]
        self.renderers = {
            "left": self.figures[0].add_tile(self._sources["left"], smoothing=False),
            "right": self.figures[1].add_tile(self._sources["right"], smoothing=False),
            "mask": self.figures[1].add_tile(self._sources["mask"], smoothing=False, alpha=0.6, level="glyph"),
        }
        small: dict[str, Any] = {"size": "small", "width": 205, "margin": (4, 8, 4, 0), "description": ""}
        self._left = pmui.Select.from_param(self.param.left, options=_titles(IMAGES), label="Left: image", **small)
        self._right = pmui.Select.from_param(self.param.right, options=_titles(IMAGES), label="Right: image", **small)
        self._mask = pmui.Select.from_param(
            self.param.mask, options=_titles([*theme.MASKS, NO_MASK]), label="Right: mask over it", **small
        )
        opacity = pmui.FloatSlider(
            label="Mask opacity", start=0, end=1, step=0.05, value=0.6, width=150, size="small", margin=(0, 8)
        )
        opacity.jslink(self.renderers["mask"], value="alpha")
        self._bits = pmui.CheckBoxGroup(label="", options={}, value=[], inline=True, margin=0)
        self._bits.param.watch(lambda event: setattr(self, "bits", list(event.new)), "value")
        self._left_legend, self._right_legend = html(), html()
        self._panes = [pn.pane.Bokeh(plot, sizing_mode="stretch_width", height=HEIGHT) for plot in self.figures]
        side = {"flex": "1 1 400px", "min-width": "min(100%, 300px)"}
        self._layout = pn.Column(
            pn.FlexBox(
                self._left, self._right, self._mask, opacity, align_items="center", gap="2px 6px", css_classes=["late"]
            ),
            pn.FlexBox(
                pn.Column(self._panes[0], self._left_legend, styles=side),
                pn.Column(self._panes[1], self._bits, self._right_legend, styles=side),
                sizing_mode="stretch_width",
                gap="4px 16px",
            ),
            sizing_mode="stretch_width",
            visible=False,  # until there is something to ask tiles of
            stylesheets=[PHONE_CSS],
        )
        self._choose_bits()

    def _figure(self) -> Any:
        plot = figure(
            x_range=self.x_range,
            y_range=self.y_range,
            match_aspect=True,
            sizing_mode="stretch_width",
            height=HEIGHT,
            tools="pan,wheel_zoom,box_zoom,reset",
            active_scroll="wheel_zoom",
            min_border=0,
            toolbar_location="above",
            output_backend="canvas",
        )
        plot.axis.visible = False
        plot.grid.visible = False
        plot.toolbar.logo = None
        return plot

    def show_product(self, product: Product, archive: Path) -> str:
        """Open a product of the archive; else what is wrong with it as HTML, and nothing is shown."""
        path = archive / product.path
        try:
            offered = tiles.offered(path)
            if not any(name in IMAGES for name in offered):
                raise ProductError(path, "no image of this product is on disk")
            extent = Extent(*tiles.extent(path, offered[0]))
        except ProductError as fault:
            return (
                f'<div class="note" style="--c:{theme.colour("failed")}">'
                f"The product can't be shown: {escape(str(fault))}</div>"
            )
        folder = queries.Folder(product.identifier, product.path, product.manifest_sha, product.simulated)
        self.open(folder, extent, offered)
        self._layout.visible = True
        return ""

    def open(self, folder: queries.Folder, extent: Extent, layers: list[str]) -> None:
        """Show a product; the place and scale stay if it lies where the one before lay."""
        moved = extent != self._extent
        self._folder, self._extent = folder, extent
        images = [name for name in IMAGES if name in layers]
        masks = [*(name for name in theme.MASKS if name in layers), NO_MASK]
        self._left.options = self._right.options = _titles(images)
        self._mask.options = _titles(masks)
        self.param.update(
            left=self.left if self.left in images else images[0],
            right=self.right if self.right in images else images[0],
            mask=self.mask if self.mask in masks else NO_MASK,
        )
        if moved:
            self.change(lambda: self._move(extent))
        self._draw()

    def _move(self, extent: Extent) -> None:
        x, y = extent.west + extent.width / 2, extent.north - extent.height / 2
        # The browser fits the first product into its frame, and says how large that is; the later ones are fitted here.
        across, down = self._drawn_size()
        pixel = max(extent.width / across, extent.height / down)
        for span, middle, half in ((self.x_range, x, pixel * across / 2), (self.y_range, y, pixel * down / 2)):
            start, end = middle - half, middle + half
            span.update(start=start, end=end, reset_start=start, reset_end=end)
        for source in self._sources.values():
            source.update(**origin(extent))

    def _drawn_size(self) -> tuple[int, int]:
        """Width and height of a figure as the browser drew it; 1 before it has. [px]"""
        try:
            return self.figures[0].inner_width or 1, self.figures[0].inner_height or 1
        except UnsetValueError:
            return 1, 1

    def change(self, change: Callable[[], None]) -> None:
        """Change Bokeh's models. An event of a widget comes without the document's lock, which a next tick has."""
        document = self.x_range.document
        if document is not None and document.session_context is not None:
            document.add_next_tick_callback(change)
        else:
            change()

    @param.depends("mask", watch=True)
    def _choose_bits(self) -> None:
        styles = theme.MASKS.get(self.mask, ())
        self._bits.param.update(
            options={style.words: int(style.bit) for style in styles},
            value=[int(style.bit) for style in styles if style.shown],
            sx=_coloured(styles),
        )
        self._bits.visible = bool(styles)
        self._draw()

    @param.depends("left", "right", "bits", watch=True)
    def _draw(self) -> None:
        self._left_legend.object = _image_legend(self.left)
        self._right_legend.object = _image_legend(self.right)
        if self._folder is None:
            return
        masked = self.mask != NO_MASK and bool(self.bits)
        urls = {"left": tile_url(self._folder, self.left), "right": tile_url(self._folder, self.right)}
        if masked:
            urls["mask"] = tile_url(self._folder, self.mask, sum(self.bits))

        def change() -> None:
            self.renderers["mask"].visible = masked
            for name, url in urls.items():
                self._sources[name].url = url

        self.change(change)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout


def _titles(layers: Iterable[str]) -> dict[str, str]:
    """Layers by their title, as a choice."""
    return {tiles.LAYERS[name].title if name != NO_MASK else "No mask": name for name in layers}


def _coloured(styles: tuple[theme.BitStyle, ...]) -> dict[str, Any]:
    """Small check boxes, each in the colour of its bit: they are the legend of the mask."""
    boxes = {
        f"& label:nth-of-type({place}) .MuiCheckbox-root": {"color": f"{style.colour} !important"}
        for place, style in enumerate(styles, 1)
    }
    return {
        "& .MuiFormControlLabel-label": {"fontSize": "12.5px"},
        "& .MuiCheckbox-root": {"padding": "1px 4px 1px 8px", "filter": "drop-shadow(0 0 .6px #555)"},
        **boxes,
    }


def _image_legend(layer: str) -> str:
    """The scale of an image in words, or as a ramp."""
    ramps = {
        "aot": (theme.AOT_RAMP, "0", f"{tiles.AOT_TOP:g} and more", "AOT at 550 nm [-]"),
        "water-vapour": (theme.WATER_VAPOUR_RAMP, "0", f"{tiles.WATER_VAPOUR_TOP:g} and more", "water vapour [g cm⁻²]"),
    }
    if layer in ramps:
        colours, low, high, quantity = ramps[layer]
        return (
            f'<div class="legend"><span>{quantity}: {low} <i style="width:140px;background:linear-gradient(90deg, '
            f'{", ".join(colours)})"></i>{high}</span></div>'
        )
    words = {
        "natural": "B4, B3, B2 of SRE, reflectance 0 to 0.25",
        "natural-flat": "B4, B3, B2 of FRE, reflectance 0 to 0.25",
        "false": "B8 (0 to 0.5), B4, B3 (0 to 0.25) of SRE",
    }
    return f'<div class="soft">{words[layer]}</div>'


class Products(View):
    """Filters, list, and the chosen product; the address holds all of them."""

    product = param.String(doc="Identifier of the chosen product.")
    tile = param.String(doc="Part of a tile id.")
    site: Any = param.Selector(default=ANY, objects=[ANY])
    version: Any = param.Selector(default=ANY, objects=[ANY])
    first = param.String(doc="First date, 2023-08-31.")
    last = param.String(doc="Last date.")
    published = param.String(doc="Day of publication.")
    cloud = param.Integer(default=100, bounds=(0, 100), doc="Most cloud. [%]")
    order: Any = param.Selector(default="-sensing", objects=list(ORDERS), doc="What the list is sorted by.")
    page = param.Integer(default=0, bounds=(0, None), doc="Of the list.")

    #: What the address holds.
    FILTERS = ("tile", "site", "version", "first", "last", "published", "cloud")
    ADDRESS = ("product", *FILTERS, "order", "page")

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, **params: Any) -> None:
        self._store = store
        self._offer(snapshot)
        super().__init__(snapshot, settings, **params)
        self._unknown = address.unknown(
            self, address.parameters(), {"site": "site with products here", "version": "version with products here"}
        )
        self._filters, self._list = Choice(self._chose), Choice(self._chose, style=LIST_STYLE)
        self._head, self._facts, self._empty, self._said = (html() for _ in range(4))
        self._viewer = Viewer()
        button: dict[str, Any] = {"size": "small", "variant": "outlined", "margin": (3, 8, 3, 0)}
        self._before = pmui.Button(label="◀ previous date", on_click=lambda _: self._go("before"), **button)
        self._after = pmui.Button(label="next date ▶", on_click=lambda _: self._go("after"), **button)
        self._detail: queries.Detail | None = None
        self._rows: tuple[pd.DataFrame, int] = pd.DataFrame(), 0
        self._chosen = pn.Column(
            self._head,
            pn.Row(self._before, self._after),
            self._viewer,
            self._facts,
            sizing_mode="stretch_width",
        )
        self._full = pn.FlexBox(
            pn.Column(
                self._filters,
                self._said,
                self._list,
                styles={"flex": "1 1 430px", "min-width": "min(100%, 320px)", "max-width": "100%"},
            ),
            pn.Column(self._chosen, styles={"flex": "2 1 640px", "min-width": "min(100%, 320px)"}),
            sizing_mode="stretch_width",
            gap="8px 20px",
        )
        self._layout = pn.Column(self._empty, self._full, sizing_mode="stretch_width")
        if pn.state.location:
            pn.state.location.sync(self, {name: name for name in self.ADDRESS})
        self.param.watch(self._narrowed, list(self.FILTERS))
        self.param.watch(lambda _: self.draw(), ["order", "page"])

    def _offer(self, snapshot: Snapshot) -> None:
        sites, versions = snapshot.ask(queries.choices_of_list)
        self.param.site.objects, self.param.version.objects = [ANY, *sites], [ANY, *versions]

    def _chose(self, choice: str) -> None:
        """A click or a field: ``product:SENTINEL2A_...``, ``order:-cloud``, ``tile:31TCJ``."""
        what, _, value = choice.partition(":")
        with contextlib.suppress(ValueError):  # a choice that isn't offered, and was not made on this page
            if what in ("cloud", "page"):
                self.param.update(**{what: int(value or 100)})
            elif what in self.ADDRESS:
                self.param.update(**{what: value})

    def _narrowed(self, *_: Any) -> None:
        """Other filters: from the first page on."""
        if self.page:
            self.page = 0  # draws
        else:
            self.draw()

    def wanted(self) -> queries.Listing:
        """What the filters ask for; a day that is none asks for nothing, and is said."""
        return queries.Listing(
            tile=self.tile.strip().upper().removeprefix("T"),
            site="" if self.site == ANY else self.site,
            version="" if self.version == ANY else self.version,
            first=address.day(self.first),
            last=address.day(self.last),
            published=address.day(self.published),
            cloud=self.cloud,
        )

    def draw(self) -> None:
        """List the products that pass the filters; open the first one if none is chosen."""
        total, _ = self.snapshot.ask(queries.count_products)
        self._empty.object = how_to_begin(self.settings) if not total else ""
        self._empty.visible, self._full.visible = not total, bool(total)
        if not total:
            return
        self._offer(self.snapshot)
        wanted = self.wanted()
        rows, found = self._rows = self.snapshot.ask(queries.listed, wanted, self.order, self.page * ROWS, ROWS)
        with pn.io.hold():
            self._filters.content = self._fields()
            self._said.object = address.said(self._faults(wanted, found))
            self._said.visible = bool(self._said.object)
            self._list.content = self._table()
            if not self.product:
                self._before.disabled = self._after.disabled = True
            if not self.product and len(rows):
                self.product = rows.iloc[0]["identifier"]
            elif self._detail is None:
                self._open()

    def _fields(self) -> str:
        """The filters, as HTML."""
        sites, versions = ({name: name for name in self.param[of].objects} for of in ("site", "version"))
        fields = (
            field("tile", "Tile", self.tile, "31TCJ"),
            select("site", "Site", self.site, sites),
            select("version", "Version", self.version, versions),
            field("first", "From", self.first, "2023-08-01"),
            field("last", "To", self.last, "2023-08-31"),
            field("published", "Published on", self.published, "2026-11-22"),
            '<label>Cloud at most [%]<input type="number" name="cloud" min="0" max="100" step="5" '
            f'value="{self.cloud}"></label>',
        )
        return f'<div class="fields">{"".join(fields)}</div>'

    def _table(self) -> str:
        """The list, as HTML."""
        (rows, found), (total, _) = self._rows, self.snapshot.ask(queries.count_products)
        now = {name: getattr(self, name) for name in self.ADDRESS}
        now = {name: value for name, value in now.items() if value != self.param[name].default}

        def link(words: str, name: str, **values: Any) -> str:
            (what, value), *_ = values.items()
            there = escape(address.address("products", **{**now, **values}))
            return f'<a href="{there}" name="{escape(name)}" data-choice="{what}:{escape(str(value))}">{words}</a>'

        body = []
        for row in rows.itertuples():
            chosen = ' class="chosen" aria-current="true"' if row.identifier == self.product else ""
            day = link(f"{row.sensing:%Y-%m-%d}", row.identifier, product=row.identifier)
            known = row.cloud_percent is not None and row.cloud_percent == row.cloud_percent
            cloud = f"{theme.number(row.cloud_percent)} %" if known else "–"
            origin = theme.simulated_mark() if row.simulated else "Level-1C"
            body.append(
                f"<tr{chosen}><td>{day}</td><td>{escape(row.tile)}</td>"
                f'<td class="num">{cloud}</td><td>{theme.verdict_chip(row.verdict) if row.verdict else ""}</td>'
                f'<td>{escape(row.version)}</td><td class="much">{"published" if row.valid else "withdrawn"}</td>'
                f'<td class="much">{escape(row.site)}</td><td class="much">{origin}</td></tr>'
            )
        plain = '<th scope="col" class="much">'
        titles = {"sensing": "Date", "tile": "Tile", "cloud": "Cloud"}
        head = heads(titles, self.order, "products", now, ["cloud"]).removesuffix("</tr></thead>")
        last = heads({"version": "Version"}, self.order, "products", now)
        head += '<th scope="col">Verdict</th>' + last.removeprefix("<thead><tr>").removesuffix("</tr></thead>")
        head += f"{plain}State</th>{plain}Site</th>{plain}Origin</th></tr></thead>"
        pages = []
        if self.page:
            pages.append(link("◀ before", "page-before", page=self.page - 1))
        if (self.page + 1) * ROWS < found:
            pages.append(link("next ▶", "page-next", page=self.page + 1))
        first = self.page * ROWS + 1
        here = f"{first} to {min(first + ROWS - 1, found)}" if found else ""
        count = f"{theme.number(found)} of {theme.number(total)} products"
        return (
            f'<p class="soft">{count}</p><div class="scroll" tabindex="0" role="group" aria-label="Products">'
            f"<table>{head}<tbody>{''.join(body)}</tbody></table></div>"
            f'<p class="soft">{" · ".join(filter(None, [here, *pages]))}</p>'
        )

    def _faults(self, wanted: queries.Listing, found: int) -> list[str]:
        """What is asked for and means nothing, or is not there; else which filter leaves nothing."""
        faults = [*self._unknown]
        faults += address.no_days({"From": self.first, "To": self.last, "Published on": self.published})
        if found:
            return faults
        alone = self.snapshot.ask(queries.listed_alone, wanted)
        if wanted.tile and not alone["tile"][0]:
            what = "No product is of tile" if tiling.valid(wanted.tile) else "No tile with products has this in its id:"
            faults.append(f"{what} {self.tile.strip()}")
        if faults:
            return faults
        titles = {
            **{"tile": f"Tile {self.tile}", "site": f"Site {self.site}", "version": f"Version {self.version}"},
            **{"first": f"From {self.first}", "last": f"To {self.last}", "published": f"Published on {self.published}"},
            "cloud": f"Cloud at most {self.cloud} %",
        }
        faults = [f"No product fits the filter {titles[name]}" for name, (fit, _) in alone.items() if not fit]
        faults = faults[:1] or [
            f"Without the filter {titles[name]} there are {theme.number(others)} products"
            for name, (_, others) in alone.items()
            if others
        ]
        return faults or ["No product fits all of the filters together"]

    def _go(self, where: str) -> None:
        target = getattr(self._detail, where, None)
        if target:
            self.product = target

    @param.depends("product", watch=True)
    def _open(self) -> None:
        if not self.product:
            return
        with self._store.read() as session:
            self._detail = queries.detail(session, self.product)
        detail = self._detail
        if len(self._rows[0]):
            self._list.content = self._table()  # marks another one
        self._viewer.__panel__().visible = False
        self._before.disabled = detail is None or detail.before is None
        self._after.disabled = detail is None or detail.after is None
        if detail is None:
            self._head.object = (
                f'<div class="note"><b>{escape(self.product)}</b> is not a product of this centre.</div>'
            )
            self._facts.object = ""
            return
        self._facts.object = _facts(detail)
        self._head.object = headline(detail) + self._viewer.show_product(detail.product, self.settings.archive)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout


def headline(detail: queries.Detail) -> str:
    """A product's tile, time, versions and verdicts, as HTML."""
    product = detail.product
    mark = " " + theme.simulated_mark() if product.simulated else ""
    withdrawn = "" if product.valid else " " + theme.chip("withdrawn", theme.colour("failed"))
    said = " ".join(theme.verdict_chip(v.verdict, by=v.reader) for v in detail.verdicts)
    versions = " ".join(
        theme.chip(version, theme.version_colour(version))
        if name == product.identifier
        else f'<a href="/products?product={escape(name)}">{theme.chip(version, theme.version_colour(version))}</a>'
        for version, name in detail.versions
    )
    return (
        f"<h2>{escape(product.tile)}{', ' + escape(detail.site) if detail.site else ''}, {theme.utc(product.sensing)} "
        f"{versions}{withdrawn}{mark} {said}</h2>"
        f'<div class="soft" style="overflow-wrap:anywhere">{escape(product.identifier)}</div>'
    )


def _facts(detail: queries.Detail) -> str:
    product, quality = detail.product, detail.quality

    def percent(value: float | None) -> str:
        return theme.number(value, 1) + (" %" if value is not None else "")

    figures: list[tuple[str, ...]] = []
    if quality is not None:
        figures = [
            ("Cloud", percent(quality.cloud_percent), "of observed pixels"),
            ("Snow", percent(quality.snow_percent), "of observed pixels"),
            ("Not observed", percent(quality.no_data_percent), "of all pixels"),
            ("AOT", theme.number(quality.aot_mean, 2), "mean, 550 nm"),
            ("Water vapour", theme.number(quality.water_vapour_mean, 2), "mean [g cm⁻²]"),
        ]
    figures.append(("Mode", product.mode, f"{product.platform}, orbit {product.relative_orbit or '–'}"))
    figures.append(("Published", f"{product.published:%Y-%m-%d}", f"{product.published:%H:%M} UTC"))
    figures.append(("Size", f"{theme.number(product.bytes / 1e6, 1)} MB", f"revision {product.revision}"))
    absent = "".join(f'<p class="soft">{escape(line)}</p>' for line in not_made(product))
    before = ""
    if detail.previous:
        name = escape(detail.previous)
        before = f'<p class="soft">Composite of <a href="/products?product={name}">{name}</a></p>'
    name = escape(product.identifier)
    links = f'<a href="/products/{name}/files">Files of this product</a> · <a href="/compare?left={name}">Compare</a>'
    files = f'<p class="soft">{links}</p>'
    return kpis(figures) + absent + before + _sources(product.origin) + files


def not_made(product: Product) -> list[str]:
    """What a product does not have, each with its true reason: no terrain model, or no step of its version."""
    absent = set(product.absent)
    without_terrain = (
        absent & {"FRE", *OF_TERRAIN} if "no terrain model" in str(product.origin.get("flat_reflectance")) else set()
    )
    lines = []
    if without_terrain:
        lines.append(f"Not made, as no terrain model was given: {', '.join(sorted(without_terrain))}")
    if absent - without_terrain:
        steps = ", ".join(sorted(absent - without_terrain))
        lines.append(f"Not made, as {product.version} has no step for it in {product.mode} mode: {steps}")
    return lines


def _sources(origin: Mapping[str, str]) -> str:
    """Where each quantity came from, and every fallback; closed until asked for."""
    words = {name: "AOT" if name == "aot" else name.replace("_", " ").capitalize() for name in sorted(origin)}
    rows = "".join(f"<tr><th>{escape(said)}</th><td>{escape(origin[name])}</td></tr>" for name, said in words.items())
    return f'<details class="soft"><summary>Made from</summary><table>{rows}</table></details>' if rows else ""
