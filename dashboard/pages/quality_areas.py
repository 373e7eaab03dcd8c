"""Areas that a reader draws over the views of a product."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import panel as pn
from bokeh.events import SelectionGeometry
from bokeh.models import BoxSelectTool, ColumnDataSource, LassoSelectTool
from shapely import make_valid
from shapely.geometry import LinearRing, Polygon, box, mapping

from dashboard import theme
from dashboard.pages.viewer import Viewer

#: What a drawn area is: part of the verdict, or of a mask made by hand.
MARKS = {"areas of the verdict": "area", "clouds of a mask": "cloud", "shadows of a mask": "shadow"}
MARK_COLOURS = {"area": "#FF2D95", "cloud": "#F0A202", "shadow": "#3F2FC4"}
#: Most areas of a product, and corners of a line as it comes; fewer than these are kept as they are.
MOST, LONGEST, FREE = 100, 20_000, 60
#: Most corners of a line that crosses itself: its repair takes with the square of them.
CROSSING = 150
#: Half of it is what a line may be moved by. [m]
PIXEL = 10.0
#: How an area's reason is written at its corner.
WORDS: dict[str, Any] = {
    "text_color": "white",
    "text_font_size": "12px",
    "text_baseline": "bottom",
    "background_fill_color": MARK_COLOURS["area"],
    "padding": 3,
}


class Area(NamedTuple):
    """A drawn area: coordinates [m], kind (of `MARKS`), and why it was marked (of `REASONS`)."""

    xs: list[float]
    ys: list[float]
    kind: str
    reason: str | None


def _columns(drawn: Sequence[Area]) -> dict[str, Any]:
    """Areas as Bokeh draws them, with the words of their reason at their north-west corner."""
    return {
        "xs": [area.xs for area in drawn],
        "ys": [area.ys for area in drawn],
        "colour": [MARK_COLOURS[area.kind] for area in drawn],
        "x": [min(area.xs) for area in drawn],
        "y": [max(area.ys) for area in drawn],
        "words": [theme.REASONS[area.reason] if area.reason else "" for area in drawn],
    }


def _shape(drawn: Mapping[str, Any]) -> Polygon | None:
    """What was drawn, without the corners that a hand makes and nobody sees; None if it is no area.

    Raises
    ------
    ValueError
        If it has a corner that is none, or too many.
    """
    if drawn.get("type") == "rect":
        corners = [drawn[corner] for corner in ("x0", "y0", "x1", "y1")]
        if not np.isfinite(np.array(corners, float)).all():
            raise ValueError("a corner is no place")
        return box(*corners)
    if drawn.get("type") != "poly" or len(drawn["x"]) < 3:
        return None
    if len(drawn["x"]) > LONGEST:
        raise ValueError(f"the line has more than {LONGEST} corners")
    line = np.column_stack([np.array(drawn["x"], float), np.array(drawn["y"], float)])
    if not np.isfinite(line).all():
        raise ValueError("a corner is no place")
    shape = Polygon(line)
    return shape if len(line) <= FREE else Polygon(LinearRing(line).simplify(PIXEL / 2))


def _sound(shape: Polygon) -> list[Polygon]:
    """The parts of an area whose line may cross itself.

    Raises
    ------
    ValueError
        If it crosses itself and has more corners than can be repaired soon.
    """
    if shape.is_valid:
        return [shape] if shape.area > 0 else []
    if len(shape.exterior.coords) > CROSSING:
        raise ValueError(f"the line crosses itself, and has more than {CROSSING} corners")
    repaired = make_valid(shape, method="structure", keep_collapsed=False)
    return [part for part in getattr(repaired, "geoms", [repaired]) if part.area > 0]


class Areas:
    """Boxes and lassos in both views of a product, each of the kind that is chosen when it is drawn.

    Parameters
    ----------
    viewer : Viewer
        Whose figures get the tools.
    say : callable
        Takes what the reader should know of the last area; empty if nothing.
    options : dict
        Of the choice of the kind, for its looks.
    """

    def __init__(self, viewer: Viewer, say: Callable[[str], None], options: dict[str, Any]) -> None:
        self._viewer = viewer
        self._say = say
        self._drawn: list[Area] = []
        #: Reason that was chosen last.
        self._reason: str | None = None
        self.kind = pn.widgets.Select(label="Lasso and box draw", options=MARKS, value="area", width=190, **options)
        self._source = ColumnDataSource(_columns([]))
        for plot in viewer.figures:
            plot.add_tools(LassoSelectTool(renderers=[]), BoxSelectTool(renderers=[]))
            plot.patches(
                "xs", "ys", source=self._source, level="overlay", color="colour", fill_alpha=0.15, line_width=2
            )
            plot.text("x", "y", "words", source=self._source, level="overlay", **WORDS)
            plot.on_event(SelectionGeometry, self.mark)

    def mark(self, event: SelectionGeometry) -> None:
        """Keep a box or lasso that was drawn in one of the views; a line that crosses itself is repaired."""
        drawn: Any = event.geometry
        if not event.final or drawn is None:
            return
        try:
            shape = _shape(drawn)
            parts = [] if shape is None else _sound(shape)
        except ValueError as fault:
            self._say(f"Not taken: {fault}.")
            return
        if shape is None:
            return
        if len(self._drawn) + len(parts) > MOST:
            self._say(f"Not taken: {MOST} areas are drawn already.")
            return
        self._say("" if shape.is_valid else "The line crossed itself: repaired.")
        kind = self.kind.value
        reason = self._reason if kind == "area" else None
        added = [Area(list(x), list(y), kind, reason) for x, y in (part.exterior.coords.xy for part in parts)]
        self._set([*self._drawn, *added])

    def give_reason(self, chosen: Sequence[str], before: Sequence[str]) -> None:
        """An area has the reason that was chosen last before it was drawn, or the first one chosen after."""
        added = next((reason for reason in chosen if reason not in before), None)
        self._reason = added or (self._reason if self._reason in chosen else None)
        now = [
            area if area.reason in chosen or area.kind != "area" else area._replace(reason=added)
            for area in self._drawn
        ]
        if now != self._drawn:
            self._set(now)

    def shapes(self) -> list[tuple[dict[str, Any], str, str | None]]:
        """The drawn areas as GeoJSON polygons in the tile's projection, each with its kind and reason."""
        return [(mapping(Polygon(zip(a.xs, a.ys, strict=True))), a.kind, a.reason) for a in self._drawn]

    def drop_last(self) -> None:
        """Take the area away that was drawn last."""
        self._set(self._drawn[:-1])

    def drop_mask(self) -> None:
        """Take away what belongs to a mask; the verdict's areas stay."""
        self._set([area for area in self._drawn if area.kind == "area"])

    def clear(self) -> None:
        """Take all areas away."""
        self._set([])

    def _set(self, drawn: list[Area]) -> None:
        self._drawn = drawn
        self._viewer.change(lambda: setattr(self._source, "data", _columns(drawn)))
