"""Why a date gave no product, as the public is told it: the store's reasons are lines for operators, in English."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


def _(text: str) -> str:
    """Mark a message for the catalogues; it is translated where it is told."""
    return text


#: What a reason looks like, and the message that tells it; a number in it is `number`. The first that fits.
KNOWN = (
    (r"(?P<number>[\d.]+) % (of )?cloud", _("%(number)s %% of the image is cloud")),
    (r"(?P<number>[\d.]+) % of the tile not seen clear",
     _("%(number)s %% of the tile was never seen without cloud yet")),
    (r"^no observed pixel", _("the image does not show any of the tile")),
    (r"^outside the validity of the look-up tables|sun zenith", _("the sun stands too low over the tile")),
    (r"^held by the operator", _("the operators keep it back")),
    (r"^given up by the operator", _("the operators gave it up")),
    (r"worker was lost|did not renew its lease", _("the computer that worked on it was lost")),
    (r"process died|time-out|took longer|runaway", _("the program that works on it was stopped")),
    (r"GB free|disk|No space left", _("the archive has no space left")),
    (r"\bdem\b|terrain", _("the terrain model does not serve for this tile")),
    (r"recurrent state", _("what the date before it left behind is missing")),
    (r"already there|which is newer", _("the same pass is there already, in an edition that is as new or newer")),
    (r"not Level-1C|no Level-1C|it begins with|its level is", _("the package is no Level-1C image")),
    (r"encrypted|outside (of )?its folder|holds a link|not a whole zip|nor a whole zip|folders, one package",
     _("the package is no archive that may be unpacked")),
    (r"of another place|of tile .* not of|differ in size or place", _("the package is of another place than it says")),
    (r"cut short|can't be read|damaged|ends too early|checksum|malformed|CRC|truncated|may not be read",
     _("a file of the image is damaged or cut short")),
    (r"no such file|is not there|no longer there|is missing|lacks|no product metadata|no usable package|\bno MTD",
     _("a file of the image is missing")),
    (r"unknown|not known|not admitted|baseline|format", _("the image has a form that is not known here yet")),
)  # fmt: skip
#: What is told by the class of a reason that is none of them.
CLASSES = {
    "input": _("the image can't be used"),
    "processor": _("the program that makes products failed"),
    "infrastructure": _("the computers of the centre failed"),
    "transient": _("something failed that may pass"),
    "operator": _("the operators decided so"),
    "unknown": _("the reason is not known yet"),
}
#: The folders of a path on the centre's own disks: nobody outside is told them.
_FOLDERS = re.compile(r"(?<![\w/.])(?:[A-Za-z]:)?/(?:[^\s/:,;'\"]+/)+")
#: Longer reasons are cut. [characters]
LONGEST = 300


@dataclass(frozen=True)
class Reason:
    """A reason that can be told.

    Attributes
    ----------
    message : str
        To be translated.
    number : str
        That stands in it, or empty.
    original : str
        The store's own line, without folders of the centre; empty where the message says all of it.
    """

    message: str
    number: str = ""
    original: str = ""


@lru_cache(maxsize=4096)
def of(text: str, reason_class: str = "") -> Reason:
    """The reason that a line of the store gives."""
    original = _FOLDERS.sub("", " ".join(text.split()))
    original = original if len(original) <= LONGEST else original[: LONGEST - 1] + "…"
    for pattern, message in KNOWN:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            number = match.groupdict().get("number") or ""
            exact = bool(number) or pattern.startswith("^")
            return Reason(message, number, "" if exact else original)
    return Reason(CLASSES.get(reason_class, CLASSES["unknown"]), "", original)
