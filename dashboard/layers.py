"""The map of the tiles as GeoViews layers in the map's own projection, for notebooks and for the map as a file."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import geoviews as gv
import holoviews as hv
import pandas as pd
import param
from bokeh.embed import file_html
from bokeh.models import HoverTool
from bokeh.resources import INLINE
from cartopy import crs as ccrs
from geoviews.plotting.bokeh import GeoPolygonPlot

from dashboard import ground, web_mercator


class TilePolygons(gv.Polygons):
    """Polygons that are in the map's projection already."""

    group = param.String(default="TilePolygons", constant=True)


class _TilePolygonsPlot(GeoPolygonPlot):
    # GeoViews projects each polygon anew for each session, even into the projection it is in (3 s for 1000 tiles).
    _project_operation = None


hv.Store.register({TilePolygons: _TilePolygonsPlot}, "bokeh")

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


def tile_layer(coverage: pd.DataFrame) -> TilePolygons:
    """The tiles in the colour of the state of their latest date; what a hover tells is in the vdims.

    Parameters
    ----------
    coverage : DataFrame
        As of `queries.coverage`.
    """
    return TilePolygons(ground.polygons(coverage), ["x", "y"], list(ground.TOLD), crs=ccrs.GOOGLE_MERCATOR)


def countries_layer() -> gv.Path:
    """Outlines of the countries as one line with gaps."""
    return gv.Path([web_mercator.countries()], ["x", "y"], crs=ccrs.GOOGLE_MERCATOR)


def coverage_map(coverage: pd.DataFrame) -> Any:
    """Countries and tiles, around the tiles that have dates.

    Parameters
    ----------
    coverage : DataFrame
        As of `queries.coverage`.
    """
    dated = coverage.loc[coverage["dates"] > 0, "tile"]
    west, south, east, north = web_mercator.around(list(dated if len(dated) else coverage["tile"]))
    hover = HoverTool(tooltips=ground.TOOLTIPS)
    layers = countries_layer().opts(**COUNTRIES) * tile_layer(coverage).opts(tools=[hover], **TILES)
    return layers.opts(xlim=(west, east), ylim=(south, north), width=900, height=640, xlabel="", ylabel="")


def main() -> None:
    """Write the map of the coverage that comes as JSON (``orient="split"``) as one HTML file."""
    coverage = pd.read_json(io.StringIO(sys.stdin.read()), orient="split", dtype=False)
    coverage = coverage.assign(sensing=pd.to_datetime(coverage["sensing"], format="ISO8601", utc=True))
    hv.extension("bokeh")
    plot = hv.renderer("bokeh").get_plot(coverage_map(coverage)).state
    page = file_html(plot, INLINE, "Coverage")
    # GeoViews brings Panel along, which asks for a file of its own beside every page; no model of this one needs it.
    sys.stdout.write(re.sub(r'<script[^<>]*src="static/extensions/[^<>]*></script>', "", page))


if __name__ == "__main__":
    main()
