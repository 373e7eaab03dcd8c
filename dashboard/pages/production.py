"""Production: how much, how fast, what waits, what went wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import holoviews as hv
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import BasicTicker, CustomJS, HoverTool, NumeralTickFormatter, TapTool

from dashboard import assets, theme
from dashboard.frame import View, how_to_begin, html, kpis, legend, plain, table

PERIODS = {"24 hours": 1, "7 days": 7, "30 days": 30, "1 year": 365}
#: Hours of the hourly chart, at most.
HOURS = 72


def stacked(
    frame: pd.DataFrame,
    step: str,
    since: datetime,
    until: datetime,
    by: str,
    colours: dict[str, str],
    words: dict[str, str],
) -> hv.Rectangles:
    """Dates per day or hour, one on the other by `by`, as bars whose width is the step's.

    Parameters
    ----------
    frame : DataFrame
        Columns hour, `by`, dates.
    step : ``D`` or ``h``
    since, until : datetime
        Limits of the time axis, which goes on to the end of the last bar.
    colours, words : dict
        Per value of `by`, from the bottom up.
    """
    width = pd.Timedelta(1, unit=step)
    sums = frame.assign(bar=frame["hour"].dt.floor(step)).groupby(["bar", by])["dates"].sum().unstack(fill_value=0)
    rows = [bar for start, row in sums.iterrows() for bar in _bar(pd.Timestamp(start), row, step, colours, words)]
    bars = hv.Rectangles(rows, ["start", "bottom", "end", "top"], ["when", "what", "dates", "colour"])
    first, last = (pd.Timestamp(t).tz_localize(None) for t in (since, until))
    limits = first, last.floor(step) + width
    top = max((row[3] for row in rows), default=1)
    return bars.opts(
        color="colour",
        line_color=None,
        responsive=True,
        height=220,
        xlim=limits,
        ylim=(0, top * 1.08),
        xlabel="",
        ylabel="",
        tools=[_hover()],
        default_tools=["xwheel_zoom", "xpan", "reset"],
        active_tools=[],
        toolbar=None,
        show_grid=True,
        gridstyle={"xgrid_line_color": None, "grid_line_alpha": 0.5},
        hooks=[_integers],
    )


def _bar(start: pd.Timestamp, row: pd.Series, step: str, colours: dict[str, str], words: dict[str, str]) -> list[Any]:
    """The parts of one bar, from the bottom up."""
    width = pd.Timedelta(1, unit=step)
    begin = start.tz_localize(None)
    when = f"{begin:%Y-%m-%d %H}:00" if step == "h" else f"{begin:%Y-%m-%d}"
    parts, bottom = [], 0
    for value, colour in colours.items():
        count = int(row.get(value, 0))
        if count:
            sides = begin + width * 0.06, bottom, begin + width * 0.94, bottom + count
            parts.append((*sides, when, words[value], count, colour))
            bottom += count
    return parts


def _hover() -> Any:
    return HoverTool(tooltips=[("UTC", "@when"), ("", "@what"), ("dates", "@dates")])


def _integers(plot: Any, element: Any) -> None:
    """Counts have no fractions; bars reach the axis."""
    figure = plot.state
    figure.yaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    figure.yaxis.formatter = NumeralTickFormatter(format="0,0")
    figure.outline_line_color = None


def _to_products(plot: Any, element: Any) -> None:
    """A click on a bar opens the products of that day and version."""
    plot.state.add_tools(
        TapTool(
            renderers=[plot.handles["glyph_renderer"]],
            callback=CustomJS(code=assets.text("production_bars.js"), module=True),
        )
    )


class Production(View):
    """Rate, outcomes, backlog, delays and events of a selectable period."""

    period: Any = param.Selector(default="30 days", objects=list(PERIODS), doc="What the charts and figures cover.")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._kpis = html()
        self._days = pn.pane.HoloViews(sizing_mode="stretch_width", height=220, linked_axes=False)
        self._hours = pn.pane.HoloViews(sizing_mode="stretch_width", height=220, linked_axes=False)
        self._outcomes = pn.pane.HoloViews(sizing_mode="stretch_width", height=220, linked_axes=False)
        self._days_title, self._hours_title, self._outcomes_title = html(), html(), html()
        self._backlog, self._events, self._empty = html(), html(), html()
        choice = pmui.RadioButtonGroup.from_param(
            self.param.period,
            options=list(PERIODS),
            size="small",
            label="",
            description="",
            width=340,
            margin=(0, 0, 6, 0),
        )
        wide = {"flex": "1 1 420px", "min-width": "min(100%, 320px)"}
        charts = pn.FlexBox(
            pn.Column(self._days_title, self._days, styles=wide),
            pn.Column(self._outcomes_title, self._outcomes, styles=wide),
            pn.Column(self._hours_title, self._hours, styles=wide),
            sizing_mode="stretch_width",
            gap="8px 20px",
        )
        lists = pn.FlexBox(
            pn.Column(self._backlog, styles=wide),
            pn.Column(self._events, styles=wide),
            sizing_mode="stretch_width",
            gap="8px 20px",
        )
        self._full = pn.Column(choice, self._kpis, charts, lists, sizing_mode="stretch_width")
        self._layout = pn.Column(self._empty, self._full, sizing_mode="stretch_width")

    @param.depends("period", watch=True)
    def draw(self) -> None:
        """Draw the charts, figures and lists of the period."""
        snapshot = self.snapshot
        now = datetime.now(UTC)
        days = PERIODS[self.period]
        since = now - timedelta(days=days)
        self._empty.object = how_to_begin(self.settings) if snapshot.empty else ""
        self._empty.visible, self._full.visible = snapshot.empty, not snapshot.empty
        outcomes = snapshot.outcomes[snapshot.outcomes["hour"] >= pd.Timestamp(since).floor("h")]
        made = outcomes[outcomes["outcome"] == "published"]
        names = sorted(set(made["version"]))
        versions = {v: theme.version_colour(v) for v in names}
        words = {v: v for v in names}

        self._kpis.object = kpis(self._figures(outcomes, since, now))
        key = legend(versions.items()) if names else '<div class="soft">No product in this period.</div>'
        self._days_title.object = (
            f"<h2>Products per day <small>last {self.period}, by version, UTC days</small></h2>{key}"
        )
        start = pd.Timestamp(since).floor("D") if days > 1 else pd.Timestamp(since)
        self._days.object = stacked(made, "D", start, now, "version", versions, words).opts(
            hooks=[_integers, _to_products]
        )
        hours = min(days * 24, HOURS)
        first = now - timedelta(hours=hours)
        self._hours_title.object = f"<h2>Products per hour <small>last {hours} hours, by version, UTC</small></h2>{key}"
        self._hours.object = stacked(
            made[made["hour"] >= pd.Timestamp(first).floor("h")], "h", first, now, "version", versions, words
        ).opts(hooks=[_integers, _to_products])
        kinds = {s: theme.colour(s) for s in theme.OUTCOMES}
        titles = {s: theme.word(s) for s in theme.OUTCOMES}
        self._outcomes_title.object = (
            f"<h2>Outcomes per day <small>all versions, last {self.period}, UTC days</small></h2>"
            + legend((titles[s], c) for s, c in kinds.items())
        )
        self._outcomes.object = stacked(outcomes, "D", start, now, "outcome", kinds, titles)
        self._backlog.object = self._backlog_table(now)
        self._events.object = self._events_table()

    def _figures(self, outcomes: pd.DataFrame, since: datetime, now: datetime) -> list[tuple[str, ...]]:
        sums = outcomes.groupby("outcome")["dates"].sum()
        ended = int(sums.sum())
        published = int(sums.get("published", 0))
        lost = int(sums.get("rejected", 0)) + int(sums.get("failed", 0))
        last_day = outcomes[(outcomes["outcome"] == "published") & (outcomes["hour"] >= now - timedelta(hours=24))]
        backlog = self.snapshot.backlog
        waiting = backlog[backlog["state"] != "running"]
        running = len(backlog) - len(waiting)
        oldest = waiting.iloc[0] if len(waiting) else None
        fresh = self.snapshot.products
        fresh = fresh[fresh["published"] >= since]
        arrival = (fresh["published"] - fresh["first_seen"]).median()
        sensing = (fresh["published"] - fresh["sensing"]).median()
        share = f"{100 * published / ended:.0f} % of the dates that ended" if ended else "no date ended"
        return [
            ("Products", theme.number(published), share, "/products"),
            ("Last 24 hours", theme.number(int(last_day["dates"].sum())), "products published"),
            ("Backlog", theme.number(len(backlog)), f"dates: {running} running, {len(waiting)} waiting"),
            (
                "Oldest waiting",
                "–" if oldest is None else theme.duration(now - oldest["created"]),
                "nothing waits" if oldest is None else f"{oldest['tile']}, {oldest['sensing']:%Y-%m-%d}",
            ),
            ("Median delay from arrival", theme.duration(_seconds(arrival)), "to publication"),
            ("Median delay from sensing", theme.duration(_seconds(sensing)), "to publication"),
            ("Not valid", theme.number(int(sums.get("not_valid", 0))), "too cloudy: no product"),
            ("Rejected or failed", theme.number(lost), "dates, see the events below"),
        ]

    def _backlog_table(self, now: datetime) -> str:
        backlog = self.snapshot.backlog
        shown = backlog.head(12)
        title = f"<h2>Backlog <small>{theme.number(len(backlog))} dates"
        title += f", the {len(shown)} oldest</small></h2>" if len(shown) < len(backlog) else "</small></h2>"
        if not len(backlog):
            return title + '<p class="soft">Nothing waits and nothing runs.</p>'
        rows = [
            (
                theme.state_chip(row.state) + (" " + theme.simulated_mark() if row.simulated else ""),
                escape(row.tile),
                f"{row.sensing:%Y-%m-%d}",
                escape(row.version),
                theme.duration(
                    now
                    - (row.running_since if row.state == "running" and not pd.isna(row.running_since) else row.created)
                ),
                plain(row.reason),
            )
            for row in shown.itertuples()
        ]
        return title + table(["State", "Tile", "Date", "Version", "For", "Why"], rows, numbers=["For"])

    def _events_table(self) -> str:
        rows = [
            (
                f'<span style="white-space:nowrap">{event.time:%m-%d %H:%M:%S}</span>',
                _severity(event.severity) + escape(event.kind.replace("_", " ")),
                f"{plain(event.tile)} {plain(event.version)}",
                _words(event),
            )
            for event in self.snapshot.events.head(14).itertuples()
        ]
        return "<h2>Last events <small>UTC</small></h2>" + table(["Time", "What", "Tile", ""], rows)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout


def _seconds(value: Any) -> float | None:
    return None if pd.isna(value) else value.total_seconds()


def _severity(severity: str) -> str:
    return {
        "warning": theme.chip("warning", theme.STATES["rejected"][1]) + " ",
        "error": theme.chip("error", theme.STATES["failed"][1]) + " ",
    }.get(severity, "")


def _words(event: Any) -> str:
    """What an event carries, in short; its product as a link."""
    data = event.data if isinstance(event.data, dict) else {}
    text = str(data.get("reason") or data.get("l1c") or str(data.get("date", ""))[:10])
    if data.get("reason") and data.get("l1c"):
        text = f"{data['l1c']}: {text}"
    if isinstance(event.product, str):
        return f'<a href="/products?product={escape(event.product)}">{escape(event.product)}</a>'
    return escape(text if len(text) < 160 else text[:157] + "...")
