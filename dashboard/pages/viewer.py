"""The two linked figures of a product that readers draw in: reflectance, and reflectance under a mask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import panel as pn
import param
from bokeh.core.property.descriptors import UnsetValueError
from bokeh.models import Range1d, WMTSTileSource
from bokeh.plotting import figure

from dashboard import queries, theme, tiles
from dashboard.choice import FIELDS, WIDE, Choice
from dashboard.frame import CSS, html
from dashboard.pages.quicklooks import (
    IMAGES,
    NO_MASK,
    Extent,
    Look,
    choices,
    fault,
    image_legend,
    opacity,
    opened,
    switches,
    tile_url,
)
from processing.errors import ProductError

if TYPE_CHECKING:
    from pathlib import Path

    from processing.store.models import Product

#: Height of the two views. [px]
HEIGHT = 480
#: Looks of the switches of a mask's bits.
SWITCHES = """
.switches { display: flex; flex-wrap: wrap; gap: 4px; margin: 4px 0; }
button { display: inline-flex; align-items: center; gap: 6px; min-height: 26px; font: inherit; font-size: 12.5px;
  padding: 2px 8px; color: inherit; background: var(--fill); border: 1px solid currentColor; border-radius: 5px;
  cursor: pointer; }
button:focus-visible { outline: 2px solid #2E86B5; }
button[aria-pressed=false] { color: var(--soft); border: 1px dashed var(--line); }
[aria-pressed=false] i { opacity: .35; }
button i { width: 12px; height: 12px; border-radius: 3px; flex: none; }
"""
#: On a phone the images come before the choice of what they show.
PHONE_CSS = "@media (max-width: 640px) { .late { order: 1; } }"


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
    opacity = param.Number(default=0.6, bounds=(0, 1), doc="Of the mask.")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._folder: queries.Folder | None = None
        self._extent: Extent | None = None
        self._offered: list[str] = [*IMAGES, *theme.MASKS]
        nowhere = Extent(0, 0, 1, 1)
        self.x_range, self.y_range = Range1d(start=0, end=1), Range1d(start=0, end=1)
        self._sources = {name: tile_source(nowhere) for name in ("left", "right", "mask")}
        #: Left and right.
        self.figures = [self._figure(), self._figure()]
        self.renderers = {
            "left": self.figures[0].add_tile(self._sources["left"], smoothing=False),
            "right": self.figures[1].add_tile(self._sources["right"], smoothing=False),
            "mask": self.figures[1].add_tile(self._sources["mask"], smoothing=False, alpha=self.opacity, level="glyph"),
        }
        self._choices = Choice(self._chose, style=CSS + FIELDS + WIDE, margin=0, css_classes=["late"])
        self._left_legend, self._right_legend = html(), Choice(self._chose, style=CSS + SWITCHES)
        self._panes = [pn.pane.Bokeh(plot, sizing_mode="stretch_width", height=HEIGHT) for plot in self.figures]
        side = {"flex": "1 1 400px", "min-width": "min(100%, 300px)"}
        self._layout = pn.Column(
            self._choices,
            pn.FlexBox(
                pn.Column(self._panes[0], self._left_legend, styles=side),
                pn.Column(self._panes[1], self._right_legend, styles=side),
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
        try:
            extent, offered = opened(archive / product.path)
        except ProductError as error:
            return fault(error)
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
        self._offered = layers
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

    def _chose(self, choice: str) -> None:
        """Another value of a field, or a switch that was pressed: ``mask:MG2``, ``bit:32``."""
        what, _, value = choice.partition(":")
        if what == "bit" and value in {f"{style.bit:d}" for style in theme.MASKS.get(self.mask, ())}:
            bit = int(value)
            self.bits = [one for one in self.bits if one != bit] if bit in self.bits else [*self.bits, bit]
        elif what == "opacity":
            with suppress(ValueError):  # no number, or none of an opacity
                self.opacity = float(value)
        elif what in ("left", "right", "mask") and value in self.param[what].objects:
            self.param.update(**{what: value})

    @param.depends("mask", watch=True)
    def _choose_bits(self) -> None:
        self.bits = [int(style.bit) for style in theme.MASKS.get(self.mask, ()) if style.shown]
        self._draw()

    @param.depends("left", "right", "bits", watch=True)
    def _draw(self) -> None:
        look = Look(self.left, self.right, self.mask, sum(self.bits), self.opacity)
        self._choices.content = f'<div class="fields">{choices(look, self._offered, look)}{opacity(look, look)}</div>'
        self._left_legend.object = image_legend(self.left)
        self._right_legend.content = f'<div class="switches">{switches(look)}</div>{image_legend(self.right)}'
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

    @param.depends("opacity", watch=True)
    def _fade(self) -> None:
        self.change(lambda: setattr(self.renderers["mask"], "alpha", self.opacity))

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout
