"""Workbench: rate, coverage, progress and the images of a product as plots to zoom into, linked with each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import param
import rasterio
import sqlalchemy as sa
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool
from bokeh.plotting import figure
from holoviews.operation.datashader import regrid

from dashboard import address, ground, product_folder, queries, theme, web_mercator
from dashboard.choice import WIDGET
from dashboard.frame import View, how_to_begin, html, legend
from processing.errors import ProductError
from processing.masks import Cloud
from processing.store.models import Product

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy.orm import Session

    from dashboard.snapshot import Snapshot
    from processing.settings import Settings
    from processing.store import Store

#: Days of the rate.
DAYS = 30
#: Newest products that are offered.
OFFERED = 60
#: Samples of an image on a side at most: what is zoomed into is a sample of the product, and Compare shows its pixels.
SIDE = 1830
#: Reflectance that is drawn white. [-]
WHITE = 0.25
#: Of what stands beside another where the page is wide enough.
BESIDE = {"flex": "1 1 340px", "min-width": "0"}
#: States by the word that the reader sees.
COLOURS = dict(theme.STATES.values())
#: Axes of the images: those of one name move together on a page, and the map's are others.
GROUND = ["easting", "northing"]
#: Height of the plots. [px]
HEIGHT = 330
PLOT: dict[str, Any] = {
    "responsive": True,
    "toolbar": "above",
    "default_tools": ["pan", "wheel_zoom", "box_zoom", "reset"],
    "active_tools": [],
}
BARS: dict[str, Any] = {
    **PLOT,
    "stacked": True,
    "bar_width": 0.7,
    "line_color": None,
    "height": HEIGHT,
    "xlabel": "",
    "ylabel": "dates",
    "tools": ["hover"],
    "cmap": COLOURS,
    "show_legend": False,
    "padding": 0.05,
}
#: Of the map.
MAP_HEIGHT, MAP_TOOLS = 460, "pan,wheel_zoom,box_zoom,reset"
#: Name of the tiles in it.
TILES = "tiles"
#: What is drawn of CLM: word, bits, colour.
MASKS = (
    ("cloud", Cloud.CLOUD | Cloud.THINNEST | Cloud.HIGH, "#D55E00"),
    ("cloud shadow", Cloud.SHADOW | Cloud.SHADOW_OUTSIDE, "#4B0082"),
)
#: Opacity of the masks. [of 255]
OPACITY = 190


def newest_products(session: Session) -> list[str]:
    """Identifiers of the products that were published last."""
    named = sa.select(Product.identifier).where(Product.current, Product.valid)
    return list(session.scalars(named.order_by(Product.published.desc()).limit(OFFERED)))


def _counted(frame: pd.DataFrame, key: str, state: str) -> pd.DataFrame:
    """Dates by a key and a state, the state in the reader's words."""
    worded = frame.assign(**{state: [theme.word(name) for name in frame[state]]})
    return worded.groupby([key, state], as_index=False)["dates"].sum()


def rate(outcomes: pd.DataFrame, since: datetime) -> hv.Bars:
    """Dates that came to an end each day, by what became of them.

    Parameters
    ----------
    outcomes : DataFrame
        As of `queries.outcomes_per_hour`, in days.
    since : datetime
        The first day.
    """
    days = [f"{since + timedelta(days=n):%m-%d}" for n in range(DAYS + 1)]
    counted = _counted(outcomes.assign(day=outcomes["hour"].dt.strftime("%m-%d")), "day", "outcome")
    grid = pd.MultiIndex.from_product([days, counted["outcome"].unique()], names=["day", "outcome"])
    counted = counted.set_index(["day", "outcome"]).reindex(grid, fill_value=0).reset_index()
    return hv.Bars(counted, ["day", "outcome"], "dates").opts(xrotation=90, **BARS)


def progress(counts: pd.DataFrame) -> hv.Bars:
    """Dates of each version by state.

    Parameters
    ----------
    counts : DataFrame
        As of `queries.progress`.
    """
    return hv.Bars(_counted(counts, "version", "state"), ["version", "state"], "dates").opts(invert_axes=True, **BARS)


def coverage_map(coverage: pd.DataFrame) -> figure:
    """Countries and tiles, around the tiles that have dates.

    A figure of Bokeh's own: HoloViews takes 16 s to draw a thousand polygons, each a table to it. GeoViews' map is a
    file of its own (`dashboard.layers`).

    Parameters
    ----------
    coverage : DataFrame
        As of `queries.coverage`.
    """
    dated = coverage.loc[coverage["dates"] > 0, "tile"]
    west, south, east, north = web_mercator.around(list(dated if len(dated) else coverage["tile"]))
    drawn = figure(match_aspect=True, height=MAP_HEIGHT, sizing_mode="stretch_width", tools=MAP_TOOLS)
    drawn.axis.visible = drawn.grid.visible = False
    shown = drawn.rect((west + east) / 2, (south + north) / 2, east - west, north - south, fill_alpha=0, line_alpha=0)
    drawn.x_range = DataRange1d(renderers=[shown], range_padding=0)
    drawn.y_range = DataRange1d(renderers=[shown], range_padding=0)
    lines = web_mercator.countries().astype(np.float32)  # half as much to send, and it stands within a metre
    drawn.line(lines[:, 0], lines[:, 1], color="#8A95A1", line_width=0.8)
    tiles = drawn.patches("x", "y", name=TILES, source=ColumnDataSource(_columns(coverage)), color="colour")
    tiles.glyph.update(fill_alpha=0.62, line_width=2)
    drawn.add_tools(HoverTool(tooltips=ground.TOOLTIPS, renderers=[tiles]))
    return drawn


def _columns(coverage: pd.DataFrame) -> dict[str, list[Any]]:
    found = ground.polygons(coverage)
    rings = {axis: [np.rint(polygon[axis]).astype(int).tolist() for polygon in found] for axis in ("x", "y")}
    return {**rings, **{key: [polygon[key] for polygon in found] for key in ground.TOLD}}


def recolour(drawn: figure, coverage: pd.DataFrame) -> bool:
    """Tell a map the states that have changed, and those alone; False where its tiles are others now."""
    source = cast("Any", drawn.select_one({"name": TILES})).data_source
    new = _columns(coverage)
    if source.data["tile"] != new["tile"]:
        return False
    patches = {
        key: [
            (place, value)
            for place, (old, value) in enumerate(zip(source.data[key], new[key], strict=True))
            if old != value
        ]
        for key in ground.TOLD
    }
    source.patch({key: changed for key, changed in patches.items() if changed})
    return True


def sample(path: Path) -> tuple[NDArray[Any], tuple[float, float, float, float]]:
    """A raster at `SIDE` samples at most, and its bounds. [m]"""
    with rasterio.open(path) as file:
        step = max(1, -(-max(file.shape) // SIDE))
        shape = tuple(-(-n // step) for n in file.shape)
        return file.read(1, out_shape=shape), tuple(file.bounds)


def quicklooks(folder: Path) -> tuple[Any, Any]:
    """Natural colours, and the same under the masks: side by side on a page, zooming into one zooms into both.

    Raises
    ------
    ProductError
        If a raster is missing.
    """
    bands, bounds = [], (0.0, 0.0, 0.0, 0.0)
    for band in ("B4", "B3", "B2"):
        counts, bounds = sample(product_folder.required(folder, f"FRE_{band}.tif"))
        bands.append(np.clip(counts / (1e4 * WHITE) * 255, 0, 255).astype(np.uint8))
    seen = np.where(np.min(bands, axis=0) > 0, 255, 0).astype(np.uint8)
    image = hv.RGB(np.dstack([*bands, seen]), bounds=bounds, kdims=GROUND, vdims=[*"RGBA"])
    masks, bounds = sample(product_folder.required(folder, "MASKS/CLM_R2.tif"))
    drawn = np.zeros((*masks.shape, 4), np.uint8)
    for _, bits, colour in MASKS:
        drawn[(masks & bits) > 0] = (*theme.rgb(colour), OPACITY)
    over = hv.RGB(drawn, bounds=bounds, kdims=GROUND, vdims=[*"RGBA"])
    shown = {"xaxis": None, "yaxis": None, "aspect": 1, "max_width": 620, **PLOT}
    alone = regrid(image).relabel("Reflectance").opts(**shown)
    masked = (regrid(image) * regrid(over)).relabel("Masks")
    return alone, masked.opts(hv.opts.Overlay(**shown))


def _legend(states: pd.Series) -> pn.pane.HTML:
    there = {theme.state(name) for name in states}
    return html(legend(pair for name, pair in theme.STATES.items() if name in there))


def _plot(bars: hv.Bars) -> pn.pane.HoloViews:
    """Bars with an axis of their own: else those of one quantity share it on a page, a day's dates a year's."""
    return pn.pane.HoloViews(bars, linked_axes=False, sizing_mode="stretch_width", margin=0)


class Workbench(View):
    """The four plots, and the choice of the product whose images are shown."""

    product = param.String(default="", doc="Identifier of the product whose images are shown.")

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, **params: Any) -> None:
        self._store = store
        super().__init__(snapshot, settings, **params)
        self._said = html()
        self._ground: figure | None = None
        #: Whether the page stands in the browser.
        self._stands = False
        #: What the charts show.
        self._counted: dict[pn.Column, pd.DataFrame] = {}
        self._choice = pn.widgets.Select(
            label="Product", options=[""], stylesheets=[WIDGET], sizing_mode="stretch_width", margin=(3, 0)
        )
        self._choice.param.watch(lambda event: setattr(self, "product", event.new or ""), "value")
        self._rate, self._map, self._progress, self._images = (
            pn.Column(sizing_mode="stretch_width", min_width=300) for _ in range(4)
        )
        self._layout = pn.Column(
            self._said,
            pn.FlexBox(*(pn.Column(part, styles=BESIDE) for part in (self._rate, self._progress)), gap="14px"),
            self._choice,
            self._images,
            self._map,
            sizing_mode="stretch_width",
        )
        if pn.state.location:
            pn.state.location.sync(self, {"product": "product"})

    def draw(self) -> None:
        """Show the store as it is: the map and charts at once, the images as soon as the page stands."""
        self._said.object = how_to_begin(self.settings) if self.snapshot.empty else ""
        if self._ground is None or not recolour(self._ground, self.snapshot.coverage):
            self._ground = coverage_map(self.snapshot.coverage)
            told = html("<h2>Site coverage <small>state of each tile's latest date</small></h2>")
            self._map.objects = [told, pn.pane.Bokeh(self._ground, sizing_mode="stretch_width", margin=0)]
        names = self.snapshot.ask(newest_products)
        if self.product and self.product not in names:
            names = [self.product, *names]
        self._choice.options = names or [""]
        self._choice.value = self.product or (names[0] if names else "")
        self._draw_charts()
        pn.state.onload(self._stand)

    def _stand(self) -> None:
        self._stands = True
        if not self._images.objects:
            self._draw_images()

    def _draw_charts(self) -> None:
        since = (datetime.now(UTC) - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
        ended = self.snapshot.ask(queries.outcomes_per_hour, since, 86400)
        title = f"<h2>Production rate <small>dates a day, last {DAYS} days</small></h2>"
        self._count(self._rate, title, ended, ended["outcome"], partial(rate, since=since))
        counts = self.snapshot.progress
        title = "<h2>Version progress <small>dates by state</small></h2>"
        self._count(self._progress, title, counts, counts["state"], progress)

    def _count(
        self,
        place: pn.Column,
        title: str,
        counts: pd.DataFrame,
        states: pd.Series,
        chart: Callable[[pd.DataFrame], hv.Bars],
    ) -> None:
        """Put a chart of counts into its place, unless it stands there already."""
        if place in self._counted and self._counted[place].equals(counts):
            return
        self._counted[place] = counts
        there: list[Any] = (
            [_legend(states), _plot(chart(counts))] if len(counts) else [html("<p class=soft>There is none yet.</p>")]
        )
        place.objects = [html(title), *there]

    @param.depends("product", watch=True)
    def _draw_images(self) -> None:
        if not self._stands:
            return
        if not self.product:
            self._images.objects = []
            return
        with self._store.read() as session:
            folder = queries.folder(session, self.product)
        if folder is None:
            self._images.objects = [html(address.said([f"no product is called {self.product}"]))]
            return
        try:
            looks = quicklooks(self.settings.archive / folder.path)
        except (ProductError, rasterio.RasterioIOError) as error:
            drawn: Any = html(address.said([f"its images can't be shown: {error}"]))
        else:
            panes = (pn.pane.HoloViews(look, sizing_mode="stretch_width", margin=0) for look in looks)
            drawn = pn.FlexBox(*(pn.Column(pane, styles=BESIDE) for pane in panes), gap="14px")
        colours = legend([(word, colour) for word, _, colour in MASKS])
        link = f'<p class="soft">Its pixels, one by one: <a href="/compare?left={self.product}">Compare</a></p>'
        self._images.objects = [html("<h2>Quicklooks</h2>" + colours), drawn, html(link)]

    def __panel__(self) -> pn.viewable.Viewable:
        """The layout."""
        return self._layout
