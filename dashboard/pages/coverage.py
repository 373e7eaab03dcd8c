"""Coverage: where the tiles lie and how each one's latest date stands."""

from __future__ import annotations

from html import escape
from typing import Any

import geoviews as gv
import holoviews as hv
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import CustomJS, HoverTool
from cartopy import crs as ccrs
from geoviews.plotting.bokeh import GeoPolygonPlot

from dashboard import assets, theme, web_mercator
from dashboard.frame import View, how_to_begin, html, kpis, legend, table

ALL = "All sites"


class TilePolygons(gv.Polygons):
    """Polygons that are in the map's projection already."""

    group = param.String(default="TilePolygons", constant=True)


class _TilePolygonsPlot(GeoPolygonPlot):
    # GeoViews projects each polygon anew for each session, even into the projection it is in (3 s for 1000 tiles).
    _project_operation = None


hv.Store.register({TilePolygons: _TilePolygonsPlot}, "bokeh")


def tile_layer(coverage: pd.DataFrame) -> TilePolygons:
    """The tiles in the colour of the state of their latest date; what a hover tells is in the vdims.

    Parameters
    ----------
    coverage : DataFrame
        As of `queries.coverage`.
    """
    polygons = []
    for row in coverage.itertuples():
        ring = web_mercator.tile(row.tile)
        polygons.append(
            {
                "x": ring[:, 0],
                "y": ring[:, 1],
                "tile": row.tile,
                "site": row.site or "–",
                "date": "–" if pd.isna(row.sensing) else f"{row.sensing:%Y-%m-%d}",
                "state": theme.word(row.state) + (f", {row.version}" if row.version else ""),
                "products": theme.number(row.products),
                "origin": "SIMULATED" if row.simulated else "Level-1C" if row.dates else "–",
                "colour": theme.colour(row.state),
            }
        )
    vdims = ["tile", "site", "date", "state", "products", "origin", "colour"]
    return TilePolygons(polygons, ["x", "y"], vdims, crs=ccrs.GOOGLE_MERCATOR)


def countries_layer() -> gv.Path:
    """Outlines of the countries as one line with gaps."""
    return gv.Path([web_mercator.countries()], ["x", "y"], crs=ccrs.GOOGLE_MERCATOR)


def _hover() -> Any:
    names = {
        "Tile": "tile",
        "Site": "site",
        "Latest date": "date",
        "State": "state",
        "Products": "products",
        "Origin": "origin",
    }
    return HoverTool(
        tooltips=[(title, f"@{{{column}}}") for title, column in names.items()], point_policy="follow_mouse"
    )


def same_scale(plot: Any, element: Any) -> None:
    """Hook of a map: a metre is as long northwards as eastwards, whatever the room the page leaves."""
    figure = plot.state
    figure.outline_line_color = None
    keep = CustomJS(args={"figure": figure}, code=assets.text("coverage_scale.js"), module=True)
    figure.js_on_change("inner_width", keep)
    figure.js_on_change("inner_height", keep)
    figure.toolbar.logo = None


COUNTRIES = {"projection": ccrs.GOOGLE_MERCATOR, "color": "#8A95A1", "line_width": 0.8, "apply_ranges": False}
TILES = {
    "projection": ccrs.GOOGLE_MERCATOR,
    "color": "colour",
    "line_color": "colour",
    "fill_alpha": 0.62,
    "line_width": 2,
    "apply_ranges": False,
    "default_tools": ["pan", "wheel_zoom", "reset"],
    "active_tools": ["pan", "wheel_zoom"],
}


class Coverage(View):
    """The map, its legend and the tiles as a table; a site can be chosen."""

    site: Any = param.Selector(default=ALL, objects=[ALL], doc="The site the map zooms to.")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._data = hv.streams.Pipe(data=self.snapshot.coverage)
        self._drawn: pd.DataFrame | None = None
        self._map = pn.pane.HoloViews(sizing_mode="stretch_width", height=560, linked_axes=False)
        self._empty, self._kpis, self._legend, self._table = html(), html(), html(), html()
        choice = pmui.Select.from_param(
            self.param.site, label="Zoom to site", description="", size="small", width=220, margin=(4, 0)
        )
        self._layout = pn.Column(
            self._empty,
            self._kpis,
            pn.FlexBox(
                pn.Column(
                    pn.FlexBox(choice, self._legend, align_items="center", gap="4px 20px", sizing_mode="stretch_width"),
                    self._map,
                    styles={"flex": "3 1 560px", "min-width": "min(100%, 320px)"},
                ),
                pn.Column(
                    self._table,
                    styles={
                        "flex": "2 1 420px",
                        "min-width": "min(100%, 320px)",
                        "max-height": "720px",
                        "overflow-y": "auto",
                    },
                ),
                sizing_mode="stretch_width",
                gap="8px 20px",
            ),
            sizing_mode="stretch_width",
        )

    def draw(self) -> None:
        """Colour the tiles by their latest state; zoom at the start only."""
        snapshot = self.snapshot
        coverage = snapshot.coverage
        self._empty.object = how_to_begin(self.settings) if snapshot.empty else ""
        self._empty.visible = snapshot.empty
        names = sorted({site for joined in coverage["site"] for site in joined.split(", ") if site})
        if self.param.site.objects != [ALL, *names]:
            self.param.site.objects = [ALL, *names]
        count = coverage["state"].map(theme.state).value_counts()
        self._legend.object = legend(
            (f"{title} ({theme.number(int(count.get(key, 0)))})", colour)
            for key, (title, colour) in theme.STATES.items()
        )
        with_dates = coverage[coverage["dates"] > 0]
        self._kpis.object = kpis(
            [
                ("Tiles", theme.number(len(coverage)), f"of {theme.number(len(names))} sites"),
                ("With dates", theme.number(len(with_dates)), "tiles"),
                ("Latest date published", theme.number(int(count.get("published", 0))), "tiles"),
                (
                    "Products",
                    theme.number(int(coverage["products"].sum())),
                    f"of {theme.number(int(coverage['dates'].sum()))} dates",
                    "/products",
                ),
            ]
        )
        if self._drawn is None or not self._drawn.equals(coverage):
            self._drawn = coverage
            if self._map.object is None:
                self._zoom()
            else:
                self._data.send(coverage)
        self._rows()

    @param.depends("site", watch=True)
    def _zoom(self) -> None:
        """Draws the map anew around the site."""
        west, south, east, north = web_mercator.around(self._tiles_in_view())
        hover = _hover()
        tiles = hv.DynamicMap(lambda data: tile_layer(data).opts(tools=[hover], **TILES), streams=[self._data])
        layers = countries_layer().opts(**COUNTRIES) * tiles
        self._map.object = layers.opts(
            xlim=(west, east),
            ylim=(south, north),
            responsive=True,
            height=560,
            xlabel="",
            ylabel="",
            hooks=[same_scale],
        )
        self._rows()

    def _tiles_in_view(self) -> list[str]:
        coverage = self.snapshot.coverage
        if self.site == ALL:
            with_dates = coverage[coverage["dates"] > 0]
            return list(with_dates["tile"] if len(with_dates) else coverage["tile"])
        return list(coverage.loc[coverage["site"].map(lambda joined: self.site in joined.split(", ")), "tile"])

    def _rows(self) -> None:
        coverage = self.snapshot.coverage
        shown = coverage[coverage["tile"].isin(self._tiles_in_view())].sort_values(["site", "tile"])
        rows = [
            (
                f'<a href="/products?tile={escape(row.tile)}">{escape(row.tile)}</a>',
                escape(row.site),
                "–" if pd.isna(row.sensing) else f"{row.sensing:%Y-%m-%d}",
                theme.state_chip(row.state) + (" " + theme.simulated_mark() if row.simulated else ""),
                theme.number(row.products),
                theme.number(row.dates),
            )
            for row in shown.head(300).itertuples()
        ]
        self._table.object = "<h2>Tiles <small>state of the latest date</small></h2>" + table(
            ["Tile", "Site", "Latest date", "State", "Products", "Dates"], rows, numbers=["Products", "Dates"]
        )

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout
