"""Validation: what `muscate validate` found, every version and method side by side; a bar opens its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from dashboard import address, glossary, live, queries, theme
from dashboard.api.centre import Here
from dashboard.choice import heads, select
from dashboard.frame import legend, table
from dashboard.pages import validation_charts as drawing
from dashboard.snapshot import Snapshot
from processing.bands import DISTRIBUTED
from processing.store import validations
from processing.store.models import Validation as Result
from processing.versions import VERSIONS

#: Of methods that have no version (and so no colour): Okabe and Ito's that no version near them has.
OTHERS = ("#56B4E9", "#CC79A7", "#8C564B", "#F0E442", "#7F7F7F", "#17A398")
SUBJECTS = {"valid": "Clear pixels (neither cloud nor shadow)", "cloud": "Clouds", "shadow": "Cloud shadows"}
AXES = {"zero": "Bars from zero", "close": "Close to the differences"}
#: What the air is measured by, with its unit.
AIR = {"aot": ("Aerosol", "AOT at 550 nm"), "water_vapour": ("Water vapour", "water vapour [g cm⁻²]")}
KINDS = ("clouds", "aot", "reflectance", "versions")
HOW = """<div class="note"><h2>Nothing has been validated yet</h2>
<p>Results are kept when a validation knows the centre: add <code>--home DIR</code>.</p>
<p><code>muscate validate clouds PRODUCTS --reference MASKS --home DIR</code><br>
<code>muscate validate aot PRODUCTS --aeronet FILE --home DIR</code><br>
<code>muscate validate reflectance PRODUCTS --reference RASTER --home DIR</code><br>
<code>muscate validate versions PRODUCTS --new V1_4 --old V1_3 --home DIR</code></p></div>"""

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Field(max_length=500)]


class Asked(BaseModel):
    """What the address asks for.

    Attributes
    ----------
    subject : str
        What the bars judge, of `SUBJECTS`.
    reference : str
        What masks are held against; empty: the first that is kept here.
    axis : str
        Where the axis of the bars begins, of `AXES`.
    band : str
        Of the curves.
    order : str
        Column that the versions are sorted by, as of `sorted_table`.
    """

    subject: Text = "valid"
    reference: Text = ""
    axis: Text = "zero"
    band: Text = "B4"
    order: Text = ""

    def hidden(self, *without: str) -> str:
        """All but some of what is asked for, as HTML for a form that chooses those."""
        return live.kept(self, without)


@dataclass(frozen=True)
class Found:
    """The newest results by kind, and the products of their images by image and version."""

    rows: Mapping[str, Sequence[Result]]
    known: Mapping[tuple[str, str], str]


def found(session: Session) -> Found:
    """What is kept of all validations."""
    rows = {kind: validations.results(session, kind) for kind in KINDS}
    known = queries.products_of_images(session, {r.image for r in rows["clouds"] if r.image})
    session.expunge_all()
    return Found(rows, known)


class Validation:
    """The figures to decide a release by, then each kind of validation in detail."""

    def __init__(self, snapshot: Snapshot, asked: Asked) -> None:
        self.asked = asked
        everything = snapshot.ask(found)
        self._rows, self._known = everything.rows, everything.known
        self._references = list(dict.fromkeys(r.reference for r in self._rows["clouds"]))
        #: What of the address can't be, in words.
        self.faults = self._unknown()

    def _unknown(self) -> list[str]:
        now = self.asked
        offered = {
            "subject": (SUBJECTS, "subject of masks"),
            "reference": (["", *self._references], "reference kept here"),
            "axis": (AXES, "axis of the bars"),
            "band": (DISTRIBUTED, "band"),
        }
        given = {name: str(getattr(now, name)) for name in offered}
        return [
            f"{given[name] or 'An empty word'} is no {what}: {', '.join(word for word in words if word)}"
            for name, (words, what) in offered.items()
            if given[name] not in words
        ]

    def parts(self) -> dict[str, str]:
        """The figures side by side, then the masks, the air, the reflectance and the versions, each as HTML."""
        anything = any(self._rows.values())
        return {
            "faults": address.said(self.faults),
            "empty": "" if anything else HOW,
            "summary": summary(self._rows) if anything else "",
            "clouds": self._clouds(),
            "air": "".join(self._air(subject) for subject in AIR),
            "reflectance": self._reflectance(),
            "versions": self._versions(),
        }

    def body(self) -> str:
        """The parts, as HTML."""
        return "".join(live.part(name, content) for name, content in self.parts().items())

    @cached_property
    def _reference(self) -> str:
        return self.asked.reference or (self._references[0] if self._references else "")

    def _form(self, fields: str, *names: str) -> str:
        """A form that chooses some of what the address holds."""
        return (
            f'<form method="get" action="/validation" class="fields wide">{fields}{self.asked.hidden(*names)}'
            '<button class="unscripted">Show</button></form>'
        )

    def _clouds(self) -> str:
        now = self.asked
        rows = [r for r in self._rows["clouds"] if r.reference == self._reference and r.ring is None]
        if not rows:
            return ""
        judged = [r for r in rows if r.subject == now.subject]
        methods = in_order({(r.method, r.version) for r in rows})
        colours = {method: colour_of(method, version, place) for place, (method, version) in enumerate(methods)}
        title = "overall accuracy by image; a click on a bar of ours opens the image in Compare"
        first = self._references[0]
        fields = (
            select("subject", "Judged", now.subject, SUBJECTS, "valid")
            + select("reference", "Reference", self._reference, {name: name for name in self._references}, first)
            + select("axis", "Axis", now.axis, AXES, "zero")
        )
        said = '<p class="soft">No method was judged on this.</p>' if not judged else legend(colours.items())
        parts = [f"<h2>Clouds and shadows <small>{title}</small></h2>"]
        parts += [self._form(fields, "subject", "reference", "axis"), said]
        for buffer in sorted({r.buffer for r in judged}, key=lambda b: (b is not None, b)):
            title = "as they are" if buffer is None else f"all masks grown to the same {buffer:g} m"
            drawn = [r for r in judged if r.buffer == buffer]
            floor = lowest(drawn) if now.axis == "close" else 0.0
            note = f"; <b>the axis begins at {floor:g} %, not at zero</b>" if floor else ""
            parts.append(f"<h2><small>accuracy [%], {title}{note}</small></h2>")
            parts.append(bars(drawn, colours, self._known, floor, f"Overall accuracy, {title}"))
        return "".join(parts)

    def _air(self, subject: str) -> str:
        words, unit = AIR[subject]
        panels = scatter_panels([r for r in self._rows["aot"] if r.subject == subject], unit)
        if not panels:
            return ""
        small = "found against reference" + ("; dashed: ± (0.05 + 15 %)" if subject == "aot" else "")
        return f'<h2>{words} <small>{small}</small></h2><div class="panels">{"".join(panels)}</div>'

    def _reflectance(self) -> str:
        rows = [r for r in self._rows["reflectance"] if r.image is None and "uncertainty" in r.metrics]
        noise = [r for r in self._rows["reflectance"] if r.image is None and "noise" in r.metrics]
        parts = []
        if rows:
            parts.append("<h2>Reflectance <small>accuracy, precision and uncertainty; all versions</small></h2>")
            parts.append(per_band(rows, ("accuracy", "precision", "uncertainty", "share_inside")))
            band = self.asked.band
            parts.append(self._form(select("band", "Band", band, {one: one for one in DISTRIBUTED}, "B4"), "band"))
            drawn = [c for r in rows if r.subject == band if (c := bin_curves(r))]
            parts.append(f'<div class="panels">{"".join(drawn)}</div>' if drawn else "<p>No figures of this band.</p>")
        if noise:
            parts.append("<h2>Noise of the time series <small>mean deviation of clear triplets</small></h2>")
            parts.append(per_band(noise, ("noise", "noise_quantile_95", "triplets")))
        return "".join(parts)

    def _versions(self) -> str:
        frame = two_versions(self._rows["versions"])
        if not len(frame):
            return ""
        title = "<h2>Version against version <small>mean over the images; a click on a head sorts</small></h2>"
        now = self.asked.model_dump(exclude_defaults=True, exclude={"order"})
        return title + sorted_table(frame, self.asked.order, now)


@router.get("/validation", response_class=HTMLResponse)
def page(centre: Here, request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """The page, or how old it is where it shows this state of the store already."""
    snapshot = centre.snapshots.latest()
    if (answer := live.unchanged(request, centre, snapshot)) is not None:
        return answer
    view = Validation(snapshot, asked)
    return live.page(centre, "validation", snapshot, view.body(), styles="live.css", status=404 if view.faults else 200)


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
    words: str = "",
) -> str:
    """Overall accuracy, a group of bars for each image and one for all of them, as HTML.

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
    words : str
        What they are.
    """
    images = [*sorted({r.image for r in rows if r.image}, key=short), ""]  # by date, whatever the satellite
    drawn = [
        drawing.Bar(row.image or "", row.method, 100 * value, compare_link(row, known))
        for row in rows
        if (value := row.metrics.get("overall_accuracy")) is not None
    ]
    return drawing.bars(drawn, {image: short(image or None) for image in images}, colours, floor, words)


def compare_link(row: Result, known: Mapping[tuple[str, str], str]) -> str:
    """Where a bar leads: the product in Compare, beside another version of the image where there is one; or nowhere."""
    if row.image is None:
        return ""
    versions = {version: name for (image, version), name in known.items() if image == row.image}
    own = versions.pop(row.version or "", None)
    if own is None:
        own = versions.pop(max(versions), None) if versions else None
    if own is None:
        return ""
    return f"/compare?left={own}&right={versions[max(versions)] if versions else own}"


def scatter_panels(rows: Sequence[Result], unit: str) -> list[str]:
    """For each version and reference a panel of found against reference, with its figures, as HTML."""
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
        words = f"{version} against {kind}: {figures_line(numbers) or 'no figures'}"
        panels.append(
            f"<div><p>{theme.chip(version, theme.version_colour(version))} {bands} "
            f'<span class="soft">against {escape(kind)}<br>{figures_line(numbers)}</span></p>'
            f"{scatter(clouds[version, kind], top, unit, words)}</div>"
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


def scatter(points: np.ndarray, top: float, unit: str, words: str) -> str:
    """Points of (reference, found), or their density where they are many, with identity and limits, as SVG."""
    x = np.linspace(0, top, 101)
    lines = [drawing.Line(list(zip(x, x, strict=True)), "gray", width=1)]
    if unit.startswith("AOT"):
        for sign in (-1, 1):
            y = x + sign * (0.05 + 0.15 * x)
            inside = np.where((y >= 0) & (y <= top), y, np.nan)
            lines.append(drawing.Line(list(zip(x, inside, strict=True)), "gray", "5 4", 1))
    return drawing.scatter(points, top, (f"reference: {unit}", f"product: {unit}"), lines, words)


def bin_curves(row: Result) -> str:
    """Accuracy, precision and uncertainty by bin of reflectance, and what is allowed, as HTML; empty without bins."""
    bins = [
        b for name, b in row.metrics.get("bins", {}).items() if name != "all" and b.get("reference_mean") is not None
    ]
    if not bins:
        return ""
    bins.sort(key=lambda b: b["reference_mean"])
    colours = {"specification": "#D62728", "accuracy": "#0072B2", "precision": "#E69F00", "uncertainty": "#009E73"}
    lines = [
        drawing.Line(
            [(b["reference_mean"], np.nan if b[name] is None else b[name]) for b in bins],
            colour,
            "5 4" if name == "specification" else "",
        )
        for name, colour in colours.items()
    ]
    version = row.version or row.method
    inside = f"{theme.number(100 * (row.metrics.get('share_inside') or 0), 1)} % inside"
    words = f"{version} against {row.reference}, {row.subject}: accuracy, precision and uncertainty; {inside}"
    told = legend({"allowed" if n == "specification" else n: c for n, c in colours.items()}.items())
    return (
        f"<div><p>{theme.chip(version, theme.version_colour(version))} <span class='soft'>against "
        f"{escape(row.reference)}, {inside}</span></p>"
        f"{drawing.curves(lines, (f'{row.subject}: reference', 'reflectance'), words)}{told}</div>"
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
