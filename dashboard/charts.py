"""Charts of counts over time as plain HTML: bars that are links, a curve, a target line. No script, nothing to load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

from dashboard import theme

#: Lengths of a bar, by name.
STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
#: More bars than these stand close together, and in no table.
FEW = 60
#: Weeks begin on Mondays.
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Target:
    """A line that the bars should reach."""

    value: float
    words: str
    colour: str


@dataclass(frozen=True)
class Mark:
    """What the team told of a time: from `start`, to `end` if it took a while; `href`: where it stands."""

    start: datetime
    end: datetime
    words: str
    colour: str
    href: str


@dataclass(frozen=True)
class Bar:
    """Counts from `start` on, by key; `href`: where a click leads."""

    start: datetime
    counts: Mapping[str, int]
    href: str = ""


def floor(time: datetime, step: str) -> datetime:
    """The beginning of the hour, day or week (UTC) that a time lies in."""
    return _MONDAY + (time - _MONDAY) // STEPS[step] * STEPS[step]


def starts(since: datetime, until: datetime, step: str) -> list[datetime]:
    """The beginnings of all hours, days or weeks from one time to another."""
    first, length = floor(since, step), STEPS[step]
    return [first + number * length for number in range((until - first) // length + 1)]


def written(time: datetime, step: str) -> str:
    """An hour, day or week in words."""
    if step == "hour":
        return f"{time:%Y-%m-%d %H}:00 UTC"
    return f"{time:%Y-%m-%d}" if step == "day" else f"week of {time:%Y-%m-%d}"


def bars(
    columns: Sequence[Bar],
    step: str,
    words: Mapping[str, str],
    colours: Mapping[str, str],
    targets: Sequence[Target] = (),
    marks: Sequence[Mark] = (),
) -> str:
    """Bars of counts one on the other, in the order of `words` from the bottom up, as HTML.

    Parameters
    ----------
    columns : sequence of Bar
        In order of time, none left out.
    step : ``hour``, ``day`` or ``week``
    words, colours : mapping
        By key of the counts.
    targets : sequence of Target
        Lines across.
    marks : sequence of Mark
        Behind them.
    """
    most = max([sum(bar.counts.values()) for bar in columns] + [target.value for target in targets] + [1.0])
    top = nice(most)
    body = "".join(_column(bar, step, top, words, colours) for bar in columns)
    lines = "".join(
        f'<div class="goal" style="bottom:{100 * target.value / top:.2f}%;--c:{target.colour}">'
        f"<span>{escape(target.words)}</span></div>"
        for target in targets
    )
    dense = " dense" if len(columns) > FEW else ""
    told = "".join(_mark(mark, columns[0].start, columns[-1].start + STEPS[step]) for mark in marks if columns)
    drawn = f'{_axes(top, columns, step)}<div class="bars{dense}" aria-hidden="true">{body}</div>'
    return f'<div class="chart">{drawn}{lines}{told}</div>{_table(columns, step, words)}'


def _table(columns: Sequence[Bar], step: str, words: Mapping[str, str]) -> str:
    """The same for those who don't see the bars, or can't hit them: the last one first."""
    if len(columns) > FEW:
        return f'<p class="soft">As a table: choose longer bars than of {"an" if step == "hour" else "a"} {step}.</p>'
    rows = []
    for bar in reversed(columns):
        if any(bar.counts.get(key) for key in words):
            when = written(bar.start, step)
            link = f'<a href="{escape(bar.href, quote=True)}">{when}</a>' if bar.href else when
            counts = "".join(f'<td class="num">{theme.number(bar.counts.get(key, 0))}</td>' for key in words)
            rows.append(f"<tr><td>{link}</td>{counts}</tr>")
    if not rows:
        return ""
    head = "".join(f'<th class="num">{escape(word)}</th>' for word in words.values())
    table = f"<table><thead><tr><th>Time</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<details><summary>As a table</summary>{table}</details>"


def _column(bar: Bar, step: str, top: float, words: Mapping[str, str], colours: Mapping[str, str]) -> str:
    told = [f"{words[key]}: {bar.counts[key]}" for key in words if bar.counts.get(key)]
    title = escape(f"{written(bar.start, step)}\n" + ("\n".join(told) or "nothing"), quote=True)
    parts = "".join(
        f'<i style="height:{100 * bar.counts[key] / top:.2f}%;background:{colours[key]}"></i>'
        for key in words
        if bar.counts.get(key)
    )
    if bar.href:
        return f'<a href="{escape(bar.href, quote=True)}" tabindex="-1" title="{title}">{parts}</a>'
    return f'<div title="{title}">{parts}</div>'


def _mark(mark: Mark, first: datetime, last: datetime) -> str:
    """A mark between the ends of the axis; nothing where it lies beyond them."""
    start, end = max(mark.start, first), min(mark.end, last)
    if end < start:
        return ""
    left, width = (100 * (span / (last - first)) for span in (start - first, end - start))
    words = escape(mark.words, quote=True)
    return (
        f'<div class="mark" style="left:{left:.2f}%;width:{width:.2f}%;--c:{mark.colour}">'
        f'<a href="{escape(mark.href, quote=True)}" title="{words}" aria-label="{words}"></a></div>'
    )


def _axes(top: float, columns: Sequence[Bar], step: str) -> str:
    up = "".join(
        f'<span class="up" style="bottom:{100 * share:.0f}%">{theme.number(top * share, 0 if top >= 2 else 1)}</span>'
        for share in (0, 0.5, 1)
    )
    if not columns:
        return up
    shown = sorted({0, (len(columns) - 1) // 3, 2 * (len(columns) - 1) // 3, len(columns) - 1})
    along = "".join(
        f'<span class="along{" last" if place == len(columns) - 1 and place else ""}" '
        f'style="left:{100 * (place + (0.5 if 0 < place < len(columns) - 1 else place > 0)) / len(columns):.1f}%">'
        f"{columns[place].start:{'%m-%d %H:00' if step == 'hour' else '%Y-%m-%d'}}</span>"
        for place in shown
    )
    return up + along


def curve(points: Sequence[tuple[datetime, float]], colour: str, words: str) -> str:
    """One quantity over time, filled to its foot, as HTML.

    Parameters
    ----------
    points : sequence of (datetime, float)
        In order of time.
    colour, words : str
        Of the curve; the words are read to those who don't see it.
    """
    if len(points) < 2:
        return '<p class="soft">Too short a time for a curve.</p>'
    return curves([(points, colour, "")], words)


def curves(lines: Sequence[tuple[Sequence[tuple[datetime, float]], str, str]], words: str) -> str:
    """Several quantities over one time, each with its colour and its dashes (``""``: a whole line that is filled)."""
    every = [point for points, _, _ in lines for point in points]
    first, last = min(every)[0], max(every)[0]
    top, span = nice(max(value for _, value in every)), max((last - first).total_seconds(), 1.0)
    drawn = []
    for points, colour, dashes in lines:
        path = " ".join(
            f"{1000 * (time - first).total_seconds() / span:.1f},{100 - 100 * value / top:.2f}"
            for time, value in points
        )
        line = f'stroke="{colour}" stroke-width="2" vector-effect="non-scaling-stroke" fill="none"'
        if not dashes:
            ends = [1000 * (points[end][0] - first).total_seconds() / span for end in (0, -1)]
            foot = f"{ends[0]:.1f},100 {path} {ends[1]:.1f},100"
            drawn.append(f'<polygon points="{foot}" fill="{colour}" fill-opacity=".14"/>')
        drawn.append(f'<polyline points="{path}" {line} stroke-dasharray="{dashes or "none"}"/>')
    label = escape(words, quote=True)
    picture = f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
    moments = [Bar(first + (last - first) * share, {}) for share in (0, 0.33, 0.67, 1)]
    hours = "hour" if last - first <= timedelta(days=3) else "day"
    return f'<div class="chart">{_axes(top, moments, hours)}{picture}{"".join(drawn)}</svg></div>'


def nice(value: float) -> float:
    """The next round number."""
    if value <= 1:
        return 1.0
    size = 10.0 ** (len(str(int(value))) - 1)
    return next(size * step for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if size * step >= value)
