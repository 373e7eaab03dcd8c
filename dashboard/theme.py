"""Colours and words: one colour and one word for a state, a version or a mask bit, wherever it is shown.

Colours are told apart by colour-blind readers (Okabe and Ito, "Color universal design", 2008) and always stand beside
their word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

from processing.bands import R1
from processing.masks import Cloud, Edge, Geophysical, Interpolated
from processing.versions import VERSIONS

#: What a reader sees of a date: the states of jobs, in words and colours. `none`: nothing has arrived yet.
STATES: dict[str, tuple[str, str]] = {
    "published": ("Published", "#009E73"),
    "not_valid": ("Not valid (too cloudy)", "#7FA6C4"),
    "running": ("Running", "#CC79A7"),
    "waiting": ("Waiting", "#D9B400"),
    "rejected": ("Rejected", "#E69F00"),
    "failed": ("Failed", "#D55E00"),
    "held": ("Held", "#6B4FA0"),
    "none": ("No date yet", "#A9B1BA"),
}
#: States of a job that readers see under another one.
SAME_AS = {
    "ready": "waiting",
    "retry": "waiting",
    "superseded": "published",
    "cancelled": "held",
}
#: States that end a date's way, in the order of the charts.
OUTCOMES = ("published", "not_valid", "rejected", "failed")

#: What readers say of a product, and why.
VERDICTS = {"good": ("Good", "#009E73"), "suspect": ("Suspect", "#E69F00"), "bad": ("Bad", "#D55E00")}
REASONS = {
    "false_cloud": "False cloud",
    "missed_cloud": "Missed cloud",
    "false_shadow": "False shadow",
    "missed_shadow": "Missed shadow",
    "snow": "Snow",
    "water": "Water",
    "aot": "AOT",
    "water_vapour": "Water vapour",
    "reflectance": "Reflectance",
    "edge": "Edge",
    "geometry": "Geometry",
    "missing_data": "Missing data",
    "other": "Other",
}

_VERSION_COLOURS = ("#8C96A3", "#E69F00", "#B8A200", "#56B4E9", "#0072B2", "#009E73", "#CC79A7", "#D55E00", "#6B4FA0")

#: Of controls and links.
ACCENT = "#0B5C8A"
SIMULATED = "#B4570A"

AOT_RAMP = ["#fff7d6", "#fed976", "#fd8d3c", "#e31a1c", "#800026"]
WATER_VAPOUR_RAMP = ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"]
GREY_RAMP = ["#000000", "#ffffff"]
AGE_RAMP = ["#fde725", "#5ec962", "#21918c", "#3b528b", "#440154"]
NDVI_RAMP = ["#5b4a8a", "#b08d57", "#f2e8b6", "#7fbf5a", "#1a7a34", "#00441b"]
#: Of differences: less, the same, more.
DIVERGING = ["#053061", "#4393c3", "#f7f7f7", "#d6604d", "#67001f"]
#: Of two masks.
AGREEMENT = {"both": "#4D5560", "first": "#E69F00", "second": "#0096FF"}


@dataclass(frozen=True)
class BitStyle:
    """One bit of a mask: its value, its words and its colour."""

    bit: int
    words: str
    colour: str
    shown: bool = True


_BAND_COLOURS = tuple(zip(R1, ("#1E90FF", "#00A087", "#D55E00", "#8B1A1A"), strict=True))

#: Bits of the mask rasters, the one that wins where several are set first. The summary bit CLM 1 says nothing of its
#: own and is left out until it is asked for.
MASKS: dict[str, tuple[BitStyle, ...]] = {
    "CLM": (
        BitStyle(Cloud.SHADOW, "Shadow of a cloud in the image", "#3F2FC4"),
        BitStyle(Cloud.SHADOW_OUTSIDE, "Shadow of a cloud outside the image", "#7B5BD6"),
        BitStyle(Cloud.MULTI_TEMPORAL, "Cloud, multi-temporal test", "#D55E00"),
        BitStyle(Cloud.MONO_TEMPORAL, "Cloud, mono-temporal test", "#F0A202"),
        BitStyle(Cloud.HIGH, "High cloud (1.38 µm)", "#E377C2"),
        BitStyle(Cloud.THINNEST, "Thinnest clouds, by extension", "#F4E04D"),
        BitStyle(Cloud.CLOUD, "Cloud but the thinnest", "#7FDBFF"),
        BitStyle(Cloud.ANY, "Any cloud or shadow (summary)", "#9AA5B1", shown=False),
    ),
    "MG2": (
        BitStyle(Geophysical.SNOW, "Snow", "#E377C2"),
        BitStyle(Geophysical.CLOUD, "Cloud", "#F0A202"),
        BitStyle(Geophysical.CLOUD_SHADOW, "Cloud shadow", "#3F2FC4"),
        BitStyle(Geophysical.WATER, "Water", "#1E90FF"),
        BitStyle(Geophysical.TOPOGRAPHIC_SHADOW, "Topographic shadow", "#4D4D4D"),
        BitStyle(Geophysical.HIDDEN, "Hidden by relief", "#8C564B"),
        BitStyle(Geophysical.SUN_TOO_LOW, "Sun too low for the slope correction", "#B22222"),
        BitStyle(Geophysical.TANGENT_SUN, "Sun tangent to the slope", "#00A087"),
    ),
    "SAT": tuple(BitStyle(1 << i, f"{band} saturated", colour) for i, (band, colour) in enumerate(_BAND_COLOURS)),
    "EDG": (BitStyle(Edge.NO_DATA, "Not observed", "#6B7280"),),
    "IAB": (
        BitStyle(Interpolated.AOT, "Aerosol interpolated", "#D55E00"),
        BitStyle(Interpolated.WATER_VAPOUR, "Water vapour interpolated", "#0072B2"),
        BitStyle(Interpolated.VEIL, "Thin high cloud taken away", "#CC79A7"),
    ),
    "DFP": tuple(BitStyle(1 << i, f"{band} defective", colour) for i, (band, colour) in enumerate(_BAND_COLOURS)),
}
#: Kinds of a mask that was kept to judge products by, as bits: cloud, shadow, not observed (`reference_masks`).
REFERENCE = (
    BitStyle(1, "Cloud", "#FFD300"),
    BitStyle(2, "Shadow", "#00C2D1"),
    BitStyle(4, "Not judged", "#6B7280", shown=False),
)
MASK_TITLES = {
    "CLM": "Clouds and shadows (CLM)",
    "MG2": "Geophysical mask (MG2)",
    "SAT": "Saturation (SAT)",
    "EDG": "Edge of the observation (EDG)",
    "IAB": "Interpolated atmosphere (IAB)",
    "DFP": "Defective pixels (DFP)",
}


def state(name: str) -> str:
    """The state a reader sees for a state of a job."""
    return SAME_AS.get(name, name)


def word(name: str) -> str:
    """A state in words."""
    return STATES[state(name)][0]


def colour(name: str) -> str:
    """A state's colour."""
    return STATES[state(name)][1]


def version_colour(name: str) -> str:
    """A version's colour, the same on all pages."""
    known = list(VERSIONS)
    index = known.index(name) + (1 if name > "V1_2" else 0) if name in known else len(known) + 1
    return _VERSION_COLOURS[index % len(_VERSION_COLOURS)]


def rgb(code: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def ink(code: str) -> str:
    """Black or white: the one that reads better on a colour (WCAG relative luminance), by 4.5 at least on any."""
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in rgb(code)]
    return "#ffffff" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.179 else "#000000"


def number(value: float | int | None, digits: int = 0) -> str:
    """With thousands separators (thin spaces); a dash for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def duration(value: timedelta | float | None) -> str:
    """Time in the two largest units that matter: ``3 h 12 min``. A number is seconds."""
    if value is None:
        return "–"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if math.isnan(seconds):
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes:02d} min" if hours < 10 else f"{round(seconds / 3600)} h"
    days = seconds / 86400
    return f"{days:.0f} days" if days < 730 else f"{days / 365.25:.1f} years"


def utc(value: datetime | None) -> str:
    """A time in UTC, said so."""
    if value is None:
        return "–"
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def chip(text: str, background: str) -> str:
    """A word on its colour, as HTML."""
    return f'<span class="chip" style="background:{background};color:{ink(background)}">{escape(text)}</span>'


def state_chip(name: str) -> str:
    """A state as HTML."""
    return chip(word(name), colour(name))


def verdict_chip(verdict: str, *, by: str = "") -> str:
    """What was said of a product, as HTML; nothing where nobody said anything."""
    if verdict not in VERDICTS:
        return ""
    text, background = VERDICTS[verdict]
    return chip(f"{text}, {by}" if by else text, background)


def simulated_mark() -> str:
    """The mark of everything that was made by the simulation, as HTML."""
    return f'<span class="chip" style="background:{SIMULATED};color:#fff">SIMULATED</span>'
