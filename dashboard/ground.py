"""The tiles as polygons of the map's projection, with what a pointer over one tells."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dashboard import theme, web_mercator

#: What is known of each polygon.
TOLD = ("tile", "site", "date", "state", "products", "origin", "colour")
_TITLES = {"Tile": "tile", "Site": "site", "Latest date": "date", "State": "state", "Products": "products"}
#: Of Bokeh.
TOOLTIPS = [(title, f"@{{{column}}}") for title, column in _TITLES.items()]


def polygons(coverage: pd.DataFrame) -> list[dict[str, Any]]:
    """Each tile's ring in Web Mercator, in the colour of the state of its latest date, and `TOLD`.

    Parameters
    ----------
    coverage : DataFrame
        As of `queries.coverage`.
    """
    found = []
    for row in coverage.itertuples():
        ring = web_mercator.tile(row.tile)
        found.append(
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
    return found
