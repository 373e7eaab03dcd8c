"""The days of a year with what became of each image, as a small picture in words and colours."""

from __future__ import annotations

import calendar as days
from collections.abc import Collection
from datetime import UTC, datetime
from html import escape
from typing import Any

import pandas as pd

from dashboard import theme
from dashboard.frame import legend

#: From a clear date to one that is all cloud.
CLOUD_RAMP = ("#08519c", "#3182bd", "#6baed6", "#9ecae1", "#c6dbef", "#eff3f7")
#: A pass that should have come and has not.
MISSING = "Missing: expected by the orbits, nothing has come"
SIZE, LEFT, TOP = 13, 24, 14


def _without(row: Any) -> tuple[str, str]:
    """What became of a date of which there is no product, and its colour: what was published is withdrawn now."""
    state = theme.state(row.state)
    return ("Withdrawn", theme.colour("failed")) if state == "published" else (theme.word(state), theme.colour(state))


def calendar_legend(dates: pd.DataFrame, missing: Collection[str] = ()) -> str:
    """What the colours of the days of `year_svg` say, as HTML."""
    ramp = f"linear-gradient(90deg, {', '.join(CLOUD_RAMP)})"
    absent = dict.fromkeys(_without(row) for row in dates.itertuples() if not isinstance(row.identifier, str))
    others = [(words, f"color-mix(in srgb, {colour} 45%, transparent)") for words, colour in absent]
    if missing:
        others.append((f"{MISSING} (crossed)", "transparent"))
    return legend([("Cloud, from none to all", ramp), *others])


def year_svg(year: int, dates: pd.DataFrame, missing: Collection[str] = ()) -> str:
    """The days of a year, a column a week; those with an image are coloured, and linked to their product.

    Parameters
    ----------
    dates : DataFrame
        As of `queries.calendar`.
    missing : collection of str
        Days on which a pass should have come and has not, ``2023-08-15``.
    """
    first = datetime(year, 1, 1, tzinfo=UTC)
    shift = first.weekday()
    cells, seen = [], {row.sensing.timetuple().tm_yday: row for row in dates.itertuples()}
    for number in range(1, 366 + days.isleap(year)):
        week, weekday = divmod(number - 1 + shift, 7)
        x, y = LEFT + SIZE * week, TOP + SIZE * weekday
        row = seen.get(number)
        day = f"{datetime.strptime(f'{year} {number}', '%Y %j'):%Y-%m-%d}"
        if row is not None:
            cells.append(_cell(row, f'x="{x}" y="{y}" width="{SIZE - 2}" height="{SIZE - 2}" rx="2"'))
            continue
        cells.append(f'<rect x="{x}" y="{y}" width="{SIZE - 2}" height="{SIZE - 2}" rx="2">')
        cells.append(f"<title>{day}: {MISSING}</title></rect>" if day in missing else "</rect>")
        if day in missing:
            cells.append(f'<path class="missing" d="M{x + 2} {y + 2}l7 7m0 -7l-7 7"/>')
    for month in range(1, 13):
        week = ((datetime(year, month, 1, tzinfo=UTC) - first).days + shift) // 7
        cells.append(f'<text x="{LEFT + SIZE * week}" y="9">{days.month_abbr[month]}</text>')
    for weekday, name in ((0, "Mon"), (3, "Thu"), (6, "Sun")):
        cells.append(f'<text x="0" y="{TOP + SIZE * weekday + 9}">{name}</text>')
    words = f"{year}: {len(seen)} days with an image, {len(missing)} missing"
    return (
        f'<svg class="year" viewBox="0 0 {LEFT + 54 * SIZE} {TOP + 7 * SIZE}" role="group" aria-label="{words}">'
        f"{''.join(cells)}</svg>"
    )


def _cell(row: Any, place: str) -> str:
    """The day of an image."""
    cloud = row.cloud_percent
    known = cloud is not None and cloud == cloud
    there = isinstance(row.identifier, str)
    words, colour = (theme.word(row.state), theme.ACCENT) if there else _without(row)
    said = f"{row.sensing:%Y-%m-%d}, {row.platform}: {words}"
    said += f", cloud {cloud:.0f} %" if known else ""
    if not there:
        return f'<rect {place} style="fill:{colour};fill-opacity:.45"><title>{escape(said)}</title></rect>'
    colour = CLOUD_RAMP[min(int(cloud / 100 * len(CLOUD_RAMP)), len(CLOUD_RAMP) - 1)] if known else colour
    cell = f'<rect {place} style="fill:{colour}"><title>{escape(said)}</title></rect>'
    return f'<a href="/products?product={escape(row.identifier)}" aria-label="{escape(said)}">{cell}</a>'


def in_words(dates: pd.DataFrame, missing: Collection[str] = ()) -> str:
    """The dates of `year_svg` by what became of them, for those who can't tell colours apart."""
    states: dict[str, list[str]] = {}
    for row in dates.itertuples():
        word = theme.word(row.state) if isinstance(row.identifier, str) else _without(row)[0]
        states.setdefault(word, []).append(f"{row.sensing:%m-%d}")
    if missing:
        states["Missing"] = [day[5:] for day in missing]
    lines = "".join(
        f"<tr><th>{escape(word)}</th><td>{len(found)}</td><td>{escape(', '.join(found))}</td></tr>"
        for word, found in states.items()
    )
    return (
        f'<details><summary>The dates in words</summary><table class="days">{lines}</table></details>' if lines else ""
    )
