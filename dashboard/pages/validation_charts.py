"""Charts of the page Validation as HTML and SVG: bars that are links, points or their density, curves. No script."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from dashboard import charts, theme
from dashboard.tiles.images import png

#: Points that are told one by one; more are dots; more than `DOTS` are drawn as a density of so many cells a side.
TOLD, DOTS, CELLS = 300, 3000, 100
#: From one point in a cell to the most of all.
DENSITY = list(reversed(theme.AGE_RAMP))
#: Size of a chart of two quantities, and where its frame begins and ends. [px]
WIDTH, HEIGHT = 350, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 8, 40


@dataclass(frozen=True)
class Bar:
    """A share of one image by one method [%]; `href`: where a click leads, empty where nothing is there."""

    image: str
    method: str
    value: float
    href: str


@dataclass(frozen=True)
class Line:
    """A curve of (x, y); where `y` is not a number it has a gap."""

    points: Sequence[tuple[float, float]]
    colour: str
    dashes: str = ""
    width: float = 2


def bars(
    drawn: Sequence[Bar], images: Mapping[str, str], colours: Mapping[str, str], floor: float = 0.0, words: str = ""
) -> str:
    """A group of bars for each image, up to 100 %, as HTML.

    Parameters
    ----------
    drawn : sequence of Bar
    images : mapping of str to str
        Their words, in the order of the groups.
    colours : mapping of method to colour
        In the order of the bars of a group.
    floor : float
        Where the bars begin. [%]
    words : str
        What the bars are.
    """
    of_image: dict[str, list[Bar]] = {image: [] for image in images}
    for bar in sorted(drawn, key=lambda bar: list(colours).index(bar.method)):
        of_image[bar.image].append(bar)
    width = 84 / max(1, len(colours))
    groups = []
    for image, group in of_image.items():
        parts = "".join(
            _bar(bar, images[image], (8 + list(colours).index(bar.method) * width, 0.9 * width), colours, floor)
            for bar in group
        )
        groups.append(f"<div>{parts}<span>{escape(images[image])}</span></div>")
    up = "".join(
        f'<span class="up" style="bottom:{100 * share:.0f}%">{floor + share * (100 - floor):g}</span>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    least = 24 * len(images)
    inside = f'{up}<div aria-hidden="true">{"".join(groups)}</div>'
    chart = f'<div class="chart groups" style="min-width:{least}px">{inside}</div>'
    scroll = f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(words, quote=True)}">{chart}</div>'
    return scroll + _table([(images[image], group) for image, group in of_image.items()], list(colours))


def _bar(bar: Bar, image: str, across: tuple[float, float], colours: Mapping[str, str], floor: float) -> str:
    left, width = across
    high = 100 * (bar.value - floor) / (100 - floor)
    style = f"left:{left:.2f}%;width:{width:.2f}%;height:{max(high, 0):.2f}%;background:{colours[bar.method]}"
    note = "a click opens it" if bar.href else "no product of it is in this centre"
    title = escape(f"{bar.method}\n{image}\n{bar.value:.2f} %\n{note}", quote=True)
    if bar.href:
        return f'<a href="{escape(bar.href, quote=True)}" tabindex="-1" title="{title}" style="{style}"></a>'
    return f'<i title="{title}" style="{style}"></i>'


def _table(groups: Sequence[tuple[str, Sequence[Bar]]], methods: Sequence[str]) -> str:
    """The same for those who don't see the bars, or can't hit them."""
    rows = []
    for image, group in groups:
        values = {bar.method: bar for bar in group}
        cells = ""
        for method in methods:
            text = f"{values[method].value:.2f}" if method in values else "–"
            href = values[method].href if method in values else ""
            link = f'<a href="{escape(href, quote=True)}">{text}</a>' if href else text
            cells += f'<td class="num">{link}</td>'
        rows.append(f'<tr><th scope="row">{escape(image)}</th>{cells}</tr>')
    head = "".join(f'<th scope="col" class="num">{escape(method)} [%]</th>' for method in methods)
    table = f'<table><thead><tr><th scope="col">Image</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    scroll = f'<div class="scroll" tabindex="0" role="group" aria-label="Table">{table}</div>'
    return f"<details><summary>As a table</summary>{scroll}</details>"


def scatter(points: NDArray[np.float64], top: float, axes: tuple[str, str], lines: Sequence[Line], words: str) -> str:
    """Points of (x, y), or their density where they are many, with lines, as SVG.

    Parameters
    ----------
    points : (point, 2) float64
    top : float
        Where both axes end; they begin at zero.
    axes : (str, str)
        What is along and up.
    lines : sequence of Line
    words : str
        What is read to those who don't see it.
    """
    frame = _Frame((0, top), (0, top), axes)
    inside = points[np.isfinite(points).all(1)]
    if len(inside) > DOTS:
        drawn = frame.image(_density(inside, top))
    elif len(inside) > TOLD:
        path = "".join(f"M{frame.x(x):.1f},{frame.y(y):.1f}h0" for x, y in inside)
        drawn = f'<path class="dots" d="{path}"/>'
    else:
        drawn = "".join(
            f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3"><title>reference {x:.3f}, found {y:.3f}</title>'
            "</circle>"
            for x, y in inside
        )
    return frame.whole(drawn, lines, words)


def _density(points: NDArray[np.float64], top: float) -> bytes:
    """How many points lie in each cell, as a PNG; where none does it is clear."""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=CELLS, range=((0, top), (0, top)))
    counts = counts[::-1]  # north is up
    share = np.log(np.maximum(counts, 1)) / max(np.log(counts.max(initial=1)), 1e-9)
    ramp = np.array([theme.rgb(colour) for colour in DENSITY], float)
    place = share * (len(ramp) - 1)
    image = np.zeros((*counts.shape, 4), np.uint8)
    for band in range(3):
        image[..., band] = np.interp(place, np.arange(len(ramp)), ramp[:, band]).astype(np.uint8)
    image[..., 3] = np.where(counts > 0, 255, 0)
    return png(image, smooth=False)


def curves(lines: Sequence[Line], axes: tuple[str, str], words: str) -> str:
    """Curves over one axis, as SVG; both axes begin at zero, or at what is less."""
    every = np.array([point for line in lines for point in line.points], float).reshape(-1, 2)
    low = np.minimum(np.nanmin(every, axis=0), 0)
    high = np.maximum(np.nanmax(every, axis=0), low + 1e-6)
    frame = _Frame((low[0], high[0]), (low[1], high[1]), axes)
    return frame.whole("", lines, words)


class _Frame:
    """The axes of a chart of two quantities."""

    def __init__(self, along: tuple[float, float], up: tuple[float, float], axes: tuple[str, str]) -> None:
        self._along, self._up, self._axes = along, up, axes

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self._along[0]) / (self._along[1] - self._along[0])

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self._up[0]) / (self._up[1] - self._up[0])

    def image(self, content: bytes) -> str:
        """An image that fills the frame."""
        source = base64.b64encode(content).decode()
        place = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
        return f'<image {place} preserveAspectRatio="none" href="data:image/png;base64,{source}"/>'

    def whole(self, drawn: str, lines: Sequence[Line], words: str) -> str:
        """The chart with its axes and lines."""
        paths = "".join(self._line(line) for line in lines)
        return (
            f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
            f'aria-label="{escape(words, quote=True)}"><g class="grid">{self._ticks()}</g>{drawn}{paths}</svg>'
        )

    def _line(self, line: Line) -> str:
        path, pen = [], "M"
        for x, y in line.points:
            if np.isfinite(x) and np.isfinite(y):
                path.append(f"{pen}{self.x(x):.1f},{self.y(y):.1f}")
                pen = "L"
            else:
                pen = "M"
        dashes = f' stroke-dasharray="{line.dashes}"' if line.dashes else ""
        return f'<path class="line" d="{"".join(path)}" stroke="{line.colour}" stroke-width="{line.width:g}"{dashes}/>'

    def _ticks(self) -> str:
        made = []
        right, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
        for value in ticks(*self._along):
            x = self.x(value)
            made.append(f'<path d="M{x:.1f},{TOP}V{foot}"/><text x="{x:.1f}" y="{foot + 15}">{value:g}</text>')
        for value in ticks(*self._up):
            y = self.y(value)
            place = f'x="{LEFT - 5}" y="{y + 4:.1f}" class="up"'
            made.append(f'<path d="M{LEFT},{y:.1f}H{right}"/><text {place}>{value:g}</text>')
        along, up = map(escape, self._axes)
        middle = (TOP + foot) / 2
        made.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}">{along}</text>')
        made.append(f'<text x="11" y="{middle}" transform="rotate(-90 11 {middle})">{up}</text>' if up else "")
        return "".join(made)


def ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers from one to another."""
    step = charts.nice((high - low) / 5 * 1e12) / 1e12
    first = int(np.ceil(low / step - 1e-9))
    return [float(f"{number * step:.6g}") for number in range(first, int(np.floor(high / step + 1e-9)) + 1)]
