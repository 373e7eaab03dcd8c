"""Validation: what `muscate validate` found, every version and method side by side; a bar opens its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import HoverTool, OpenURL, TapTool
from holoviews.operation.datashader import rasterize

from dashboard import address, glossary, queries, theme
from dashboard.choice import Choice, heads
from dashboard.frame import View, html, legend, table
from processing.bands import DISTRIBUTED
from processing.store import validations
from processing.store.models import Validation as Result
from processing.versions import VERSIONS

if TYPE_CHECKING:
    from dashboard.snapshot import Snapshot
    from processing.settings import Settings
    from processing.store import Store

#: Of methods that have no version (and so no colour): Okabe and Ito's that no version near them has.
OTHERS = ("#56B4E9", "#CC79A7", "#8C564B", "#F0E442", "#7F7F7F", "#17A398")
SUBJECTS = {"valid": "Clear pixels (neither cloud nor shadow)", "cloud": "Clouds", "shadow": "Cloud shadows"}
AXES = {"zero": "Bars from zero", "close": "Close to the differences"}
#: More points than these are drawn as a density.
MANY_POINTS = 3000
CHART: dict[str, Any] = {
    "responsive": True,
    "toolbar": None,
    "show_grid": True,
    "default_tools": [],
    "active_tools": [],
}
HOW = """<div class="note"><h2>Nothing has been validated yet</h2>
<p>Results are kept when a validation knows the centre: add <code>--home DIR</code>.</p>
<p><code>muscate validate clouds PRODUCTS --reference MASKS --home DIR</code><br>
<code>muscate validate aot PRODUCTS --aeronet FILE --home DIR</code><br>
<code>muscate validate reflectance PRODUCTS --reference RASTER --home DIR</code><br>
<code>muscate validate versions PRODUCTS --new V1_4 --old V1_3 --home DIR</code></p></div>"""


class Validation(View):
    """The figures to decide a release by, then each kind of validation in detail."""

    subject: Any = param.Selector(default="valid", objects=list(SUBJECTS), doc="What the bars judge.")
    reference: Any = param.Selector(default="", objects=[""], doc="What masks are held against.")
    axis: Any = param.Selector(default="zero", objects=list(AXES), doc="Where the axis of the bars begins.")
    band: Any = param.Selector(default="B4", objects=list(DISTRIBUTED), doc="Band of the curves.")

    order = param.String(default="", doc="Column that the versions are sorted by, as of `sorted_table`.")

    CHOICES = ("subject", "reference", "axis", "band")
    #: What the address holds.
    ADDRESS = (*CHOICES, "order")

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, **params: Any) -> None:
        self._store = store
        self._rows: dict[str, Sequence[Result]] = {}
        with store.read() as session:
            names = dict.fromkeys(r.reference for r in validations.results(session, "clouds"))
        if names:
            self.param.reference.objects = list(names)
            params = {"reference": next(iter(names)), **params}
        super().__init__(snapshot, settings, **params)
        choices = {"subject": "subject of masks", "reference": "reference kept here", "band": "band"}
        choices |= {"axis": "axis of the bars"}
        self._said = html(address.said(address.unknown(self, address.parameters(), choices)))
        self._said.visible = bool(self._said.object)
        small: dict[str, Any] = {"size": "small", "margin": (3, 8, 3, 0), "description": ""}
        titles = {title: name for name, title in SUBJECTS.items()}
        self._choice = pn.FlexBox(
            pmui.Select.from_param(self.param.subject, options=titles, label="Judged", **{**small, "width": 300}),
            pmui.Select.from_param(self.param.reference, label="Reference", **{**small, "width": 190}),
            pmui.Select.from_param(
                self.param.axis,
                options={title: name for name, title in AXES.items()},
                label="Axis",
                **{**small, "width": 210},
            ),
        )
        self._band = pmui.Select.from_param(self.param.band, label="Band", **{**small, "width": 110})
        self._empty, self._summary, self._sorted = html(HOW), html(), Choice(self._chose)
        self.param.watch(lambda _: self._draw_versions(), "order")
        self._clouds, self._aot = pn.Column(sizing_mode="stretch_width"), pn.Column(sizing_mode="stretch_width")
        self._reflectance, self._versions = (pn.Column(sizing_mode="stretch_width") for _ in range(2))
        self._layout = pn.Column(
            self._said,
            self._empty,
            self._summary,
            self._clouds,
            self._aot,
            self._reflectance,
            self._versions,
            sizing_mode="stretch_width",
        )
        if pn.state.location:
            pn.state.location.sync(self, {name: name for name in self.ADDRESS})

    @param.depends(*CHOICES, watch=True)
    def draw(self) -> None:
        """Show the newest results of each kind."""
        with self._store.read() as session:
            for kind in ("clouds", "aot", "reflectance", "versions"):
                self._rows[kind] = validations.results(session, kind)
            images = {r.image for r in self._rows["clouds"] if r.image}
            self._known = queries.products_of_images(session, images)
            session.expunge_all()
        anything = any(self._rows.values())
        self._empty.visible = not anything
        self._summary.object = summary(self._rows) if anything else ""
        self._draw_clouds()
        self._draw_aot()
        self._draw_reflectance()
        self._draw_versions()

    def _draw_clouds(self) -> None:
        rows = [r for r in self._rows["clouds"] if r.reference == self.reference and r.ring is None]
        if not rows:
            self._clouds.objects = []
            return
        judged = [r for r in rows if r.subject == self.subject]
        methods = in_order({(r.method, r.version) for r in rows})
        colours = {method: colour_of(method, version, place) for place, (method, version) in enumerate(methods)}
        said = '<p class="soft">No method was judged on this.</p>' if not judged else legend(colours.items())
        parts: list[Any] = [
            html(
                "<h2>Clouds and shadows <small>overall accuracy by image; a click on a bar of ours opens the image in "
                "Compare</small></h2>"
            ),
            self._choice,
            html(said),
        ]
        for buffer in sorted({r.buffer for r in judged}, key=lambda b: (b is not None, b)):
            title = "as they are" if buffer is None else f"all masks grown to the same {buffer:g} m"
            drawn = [r for r in judged if r.buffer == buffer]
            floor = 0.0 if self.axis == "zero" else lowest(drawn)
            title += f"; <b>the axis begins at {floor:g} %, not at zero</b>" if floor else ""
            parts += [
                html(f"<h2><small>{title}</small></h2>"),
                pn.pane.HoloViews(
                    bars(drawn, colours, self._known, floor),
                    sizing_mode="stretch_width",
                    height=260,
                    linked_axes=False,
                ),
            ]
        self._clouds.objects = parts

    def _draw_aot(self) -> None:
        parts: list[Any] = []
        for subject, unit in (("aot", "AOT at 550 nm"), ("water_vapour", "water vapour [g cm⁻²]")):
            panels = scatter_panels([r for r in self._rows["aot"] if r.subject == subject], unit)
            if panels:
                title = f"{'Aerosol' if subject == 'aot' else 'Water vapour'}"
                small = (
                    "found against reference; dashed: ± (0.05 + 15 %)"
                    if subject == "aot"
                    else "found against reference"
                )
                parts += [html(f"<h2>{title} <small>{small}</small></h2>"), pn.FlexBox(*panels, gap="8px 16px")]
        self._aot.objects = parts

    def _draw_reflectance(self) -> None:
        rows = [r for r in self._rows["reflectance"] if r.image is None and "uncertainty" in r.metrics]
        noise = [r for r in self._rows["reflectance"] if r.image is None and "noise" in r.metrics]
        parts: list[Any] = []
        if rows:
            parts.append(html("<h2>Reflectance <small>accuracy, precision and uncertainty; all versions</small></h2>"))
            parts.append(html(per_band(rows, ("accuracy", "precision", "uncertainty", "share_inside"))))
            parts.append(self._band)
            curves = [c for r in rows if r.subject == self.band if (c := bin_curves(r)) is not None]
            parts.append(pn.FlexBox(*curves, gap="8px 16px") if curves else html("<p>No figures of this band.</p>"))
        if noise:
            parts.append(html("<h2>Noise of the time series <small>mean deviation of clear triplets</small></h2>"))
            parts.append(html(per_band(noise, ("noise", "noise_quantile_95", "triplets"))))
        self._reflectance.objects = parts

    def _draw_versions(self) -> None:
        frame = two_versions(self._rows["versions"])
        title = "<h2>Version against version <small>mean over the images; a click on a head sorts</small></h2>"
        self._versions.objects = [html(title), self._sorted] if len(frame) else []
        now = {name: getattr(self, name) for name in self.CHOICES}
        now = {name: value for name, value in now.items() if value != self.param[name].default}
        self._sorted.content = sorted_table(frame, self.order, now) if len(frame) else ""

    def _chose(self, choice: str) -> None:
        """A click on the head of a table: ``order:-images``."""
        what, _, value = choice.partition(":")
        if what == "order":
            self.order = value

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout


def in_order(methods: set[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Our own first, by version, then others by name."""
    return sorted(methods, key=lambda m: (m[1] is None, m[1] or "", m[0]))


def colour_of(method: str, version: str | None, place: int) -> str:
    """Our versions have the colour they have on all pages."""
    return theme.version_colour(version) if version else OTHERS[place % len(OTHERS)]


def short(image: str | None) -> str:
    """``2023-08-15 33TWM`` of SENTINEL2A_20230815-095757-246_L2A_T33TWM."""
    if image is None:
        return "all"
    parts = image.split("_")
    return f"{parts[1][:4]}-{parts[1][4:6]}-{parts[1][6:8]} {parts[3][1:]}" if len(parts) > 3 else image


def lowest(rows: Sequence[Result]) -> float:
    """Where an axis that shows differences begins: the whole ten below the lowest accuracy. [%]"""
    found = [row.metrics["overall_accuracy"] for row in rows if row.metrics.get("overall_accuracy") is not None]
    return float(max(0.0, np.floor(min(found, default=0) * 10 - 1) * 10))


def bars(
    rows: Sequence[Result],
    colours: Mapping[str, str],
    known: Mapping[tuple[str, str], str],
    floor: float = 0.0,
) -> hv.Rectangles:
    """Overall accuracy, a group of bars for each image and one for all of them.

    Parameters
    ----------
    rows : sequence of Result
        Of one subject and treatment.
    colours : mapping of method to colour
        In the order of the bars.
    known : mapping of (image, version) to identifier
        Products that can be opened.
    floor : float
        Where the bars begin. [%]
    """
    images = [*sorted({r.image for r in rows if r.image}, key=short), None]  # by date, whatever the satellite
    width = 0.84 / max(1, len(colours))
    drawn = []
    for row in rows:
        value = row.metrics.get("overall_accuracy")
        if value is None:
            continue
        left = images.index(row.image) - 0.42 + list(colours).index(row.method) * width
        href = compare_link(row, known)
        drawn.append(
            (left, floor, left + 0.9 * width, 100 * value, row.method, short(row.image), f"{100 * value:.2f} %",
             colours[row.method], href, "a click opens it" if href != "#" else "no product of it is in this centre")
        )  # fmt: skip
    hover = HoverTool(
        tooltips=[("Method", "@method"), ("Image", "@image"), ("Overall accuracy", "@value"), ("", "@note")],
        point_policy="follow_mouse",
    )
    return hv.Rectangles(drawn, ["x0", "y0", "x1", "y1"], ["method", "image", "value", "colour", "href", "note"]).opts(
        **CHART,
        color="colour",
        line_color=None,
        height=260,
        ylim=(floor, 100),
        xlim=(-0.5, len(images) - 0.5),
        xticks=[(place, short(image)) for place, image in enumerate(images)],
        xrotation=35,
        xlabel="",
        ylabel=f"accuracy [%], from {floor:g}" if floor else "accuracy [%]",
        tools=[hover, TapTool(callback=OpenURL(url="@href", same_tab=True))],
        nonselection_alpha=1,
    )


def compare_link(row: Result, known: Mapping[tuple[str, str], str]) -> str:
    """Where a bar leads: the product in Compare, beside another version of the image where there is one."""
    if row.image is None:
        return "#"
    versions = {version: name for (image, version), name in known.items() if image == row.image}
    own = versions.pop(row.version or "", None)
    if own is None:
        own = versions.pop(max(versions), None) if versions else None
    if own is None:
        return "#"
    return f"/compare?left={own}&right={versions[max(versions)] if versions else own}"


def scatter_panels(rows: Sequence[Result], unit: str) -> list[pn.Column]:
    """For each version and reference a panel of found against reference, with its figures."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for row in rows:
        station = row.image is not None and "found" in row.metrics
        kind = "AERONET" if row.reference.startswith("AERONET") else row.reference
        if station or row.image is None:
            groups.setdefault((row.version or row.method, kind), []).append(row)
    clouds = {}
    for key, group in groups.items():
        points = [(r.metrics["reference"], r.metrics["found"]) for r in group if r.image is not None]
        for row in group:
            sample = row.metrics.get("sample", {})
            points += zip(sample.get("reference", ()), sample.get("found", ()), strict=True)
        clouds[key] = np.array(points, float).reshape(-1, 2)
    top = 1.06 * max((float(c.max()) for c in clouds.values() if len(c)), default=0.5)
    panels = []
    for (version, kind), group in sorted(groups.items(), key=lambda item: item[0][::-1]):
        about = max((r for r in group if r.image is None), key=lambda r: r.id, default=None)
        numbers = about.metrics if about else {}
        bands = escape(relation(version))
        if not unit.startswith("AOT"):  # the relation of the bands and the limits are the aerosol's
            bands, numbers = "", {name: value for name, value in numbers.items() if name != "share_inside"}
        panels.append(
            pn.Column(
                html(
                    f"{theme.chip(version, theme.version_colour(version))} {bands} "
                    f"<span class='soft'>against {escape(kind)}<br>{figures_line(numbers)}</span>"
                ),
                pn.pane.HoloViews(scatter(clouds[version, kind], top, unit), linked_axes=False, width=350, height=330),
                width=358,
            )
        )
    return panels


def relation(version: str) -> str:
    """How a version finds the aerosol: ``B1/B4``."""
    known = VERSIONS.get(version)
    return f"{known.parameters.aot_blue_band}/B4" if known is not None and known.parameters is not None else ""


def figures_line(numbers: Mapping[str, Any]) -> str:
    """Pairs, bias, RMSE and what else there is, as one line of text."""
    words = {"pairs": "pairs", "bias": "bias", "rmse": "RMSE", "share_inside": "inside", "correlation": "r"}
    parts = []
    for name, word in words.items():
        value = numbers.get(name)
        if value is not None:
            shown = (
                f"{100 * value:.0f} %" if name == "share_inside" else theme.number(value, 0 if name == "pairs" else 3)
            )
            parts.append(f"{word} {shown}")
    return ", ".join(parts)


def scatter(points: np.ndarray, top: float, unit: str) -> Any:
    """Points of (reference, found), or their density where they are many, with the line of identity and the limits."""
    cloud = hv.Points(points, ["reference", "found"])
    size: dict[str, Any] = {"width": 350, "height": 330, "toolbar": None, "default_tools": []}
    if len(points) > MANY_POINTS:
        drawn: Any = rasterize(
            cloud, dynamic=False, width=100, height=100, x_range=(0, top), y_range=(0, top)
        ).opts(cmap="viridis", cnorm="log", clipping_colors={"min": "transparent", "NaN": "transparent"})  # fmt: skip
    else:
        drawn = cloud.opts(size=6, color=theme.ACCENT, alpha=0.75, tools=["hover"])
    line = np.array([0.0, top])
    overlay = drawn * hv.Curve((line, line)).opts(color="gray", line_width=1)
    if unit.startswith("AOT"):
        for sign in (-1, 1):
            limit = line + sign * (0.05 + 0.15 * line)
            overlay *= hv.Curve((line, limit)).opts(color="gray", line_width=1, line_dash="dashed")
    return overlay.opts(
        hv.opts.Overlay(xlim=(0, top), ylim=(0, top), xlabel=f"reference: {unit}", ylabel=f"product: {unit}", **size)
    )


def bin_curves(row: Result) -> pn.Column | None:
    """Accuracy, precision and uncertainty by bin of reflectance, and what is allowed."""
    bins = [
        b for name, b in row.metrics.get("bins", {}).items() if name != "all" and b.get("reference_mean") is not None
    ]
    if not bins:
        return None
    bins.sort(key=lambda b: b["reference_mean"])
    x = [b["reference_mean"] for b in bins]
    colours = {"specification": "#D62728", "accuracy": "#0072B2", "precision": "#E69F00", "uncertainty": "#009E73"}
    overlay = hv.Overlay(
        [
            hv.Curve((x, [np.nan if b[name] is None else b[name] for b in bins]), "reference", "reflectance").opts(
                color=colour, line_width=2, line_dash="dashed" if name == "specification" else "solid"
            )
            for name, colour in colours.items()
        ]
    ).opts(width=350, height=240, toolbar=None, xlabel=f"{row.subject}: reference", ylabel="", show_grid=True)
    version = row.version or row.method
    return pn.Column(
        html(
            f"{theme.chip(version, theme.version_colour(version))} <span class='soft'>against {escape(row.reference)}, "
            f"{theme.number(100 * (row.metrics.get('share_inside') or 0), 1)} % inside</span>"
        ),
        pn.pane.HoloViews(overlay, linked_axes=False, width=350, height=240),
        html(legend({"allowed" if n == "specification" else n: c for n, c in colours.items()}.items())),
        width=358,
    )


def figure(value: Any) -> str:
    """A figure of merit as text."""
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else theme.number(value)


def per_band(rows: Sequence[Result], names: Sequence[str]) -> str:
    """Figures by band, a column for each version and figure, as HTML."""
    versions = in_order({(r.method, r.version) for r in rows})
    found = {(r.subject, r.method): r for r in rows}
    bands = [band for band in DISTRIBUTED if any((band, method) in found for method, _ in versions)]
    columns = [f"{version or method} {name.replace('_', ' ')}" for name in names for method, version in versions]
    lines = [
        [
            band,
            *(
                figure(found[band, m].metrics.get(name)) if (band, m) in found else "–"
                for name in names
                for m, _ in versions
            ),
        ]
        for band in bands
    ]
    return table(["Band", *columns], lines, numbers=columns)


def two_versions(rows: Sequence[Result]) -> pd.DataFrame:
    """What `validate versions` found over all images: a line for each pair and subject, a column a figure."""
    lines = [
        {"Versions": f"{row.version or ''} against {row.reference}", "What": row.subject}
        | {
            name.replace("_", " "): value
            for name, value in row.metrics.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        for row in sorted(rows, key=lambda r: (r.version or "", r.reference, r.subject))
        if row.image is None
    ]
    return pd.DataFrame(lines)


def sorted_table(frame: pd.DataFrame, order: str, now: Mapping[str, str]) -> str:
    """Figures as a table whose heads sort it, as HTML: numbers are sorted as numbers, and stand under each other.

    Parameters
    ----------
    frame : DataFrame
    order : str
        A column, with a minus before it from the largest on; another word: as it comes.
    now : mapping of str to str
        The other values of the page's address.
    """
    numbers = [name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])]
    whole = {name for name in numbers if (frame[name].dropna() % 1 == 0).all()}
    if order.removeprefix("-") in frame.columns:
        frame = frame.sort_values(order.removeprefix("-"), ascending=not order.startswith("-"), na_position="last")

    def cell(name: str, value: Any) -> str:
        if name not in numbers:
            return f"<td>{escape(str(value))}</td>"
        return f'<td class="num">{"–" if pd.isna(value) else theme.number(value, 0 if name in whole else 4)}</td>'

    columns = [str(name) for name in frame.columns]
    head = heads({name: name for name in columns}, order, "validation", now, numbers)
    body = "".join(
        f"<tr>{''.join(cell(*pair) for pair in zip(columns, row, strict=True))}</tr>"
        for row in frame.itertuples(index=False)
    )
    return f'<div class="scroll" tabindex="0" role="group" aria-label="Versions"><table>{head}{body}</table></div>'


def summary(rows: Mapping[str, Sequence[Result]]) -> str:
    """All versions and methods side by side: one line for each figure of merit, the best one bold, as HTML."""
    overall = [r for kind in ("clouds", "aot", "reflectance") for r in rows[kind] if r.image is None and r.ring is None]
    methods = in_order({(r.method, r.version) for r in overall})
    lines: dict[tuple[str, bool], dict[str, float]] = {}

    def put(line: str, row: Result, name: str, *, least: bool = False) -> None:
        value = row.metrics.get(name)
        if value is not None:
            lines.setdefault((line, least), {})[row.method] = float(value)

    for row in overall:
        treated = "" if row.buffer is None else f", all grown to {row.buffer:g} m"
        if row.kind == "clouds":
            where = f"{SUBJECTS[row.subject]} against {row.reference}{treated}"
            put(f"{where}: overall accuracy", row, "overall_accuracy")
            put(f"{where}: F1", row, "f1")
        elif row.kind == "aot":
            against = "AERONET" if row.reference.startswith("AERONET") else row.reference
            what = "AOT" if row.subject == "aot" else "Water vapour"
            put(f"{what} against {against}: RMSE", row, "rmse", least=True)
            if row.subject == "aot":
                put(f"{what} against {against}: share inside ± (0.05 + 15 %)", row, "share_inside")
        elif row.subject in ("B2", "B4", "B8"):
            put(f"{row.subject} against {row.reference}: uncertainty", row, "uncertainty", least=True)
            put(f"{row.subject}, {row.reference}: noise", row, "noise", least=True)
    body = []
    for (line, least), values in lines.items():
        best = (min if least else max)(values.values())
        cells = []
        for method, _ in methods:
            value = values.get(method)
            text = "" if value is None else f"{value:.4f}"
            cells.append(f"<b>{text}</b>" if value == best and len(set(values.values())) > 1 else text)
        body.append([glossary.linked(line, only=glossary.LABELS), *cells])
    heads = [version or method for method, version in methods]
    return "<h2>Side by side <small>over all images; the best is bold</small></h2>" + table(
        ["Figure", *heads], body, numbers=heads
    )
