"""The words of the field, each with an anchor in the help: a page that uses one links it there."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path

HELP = Path(__file__).parent / "help"
#: The page of the words; without a language it leads to the reader's own.
PAGE = "/help/glossary"

#: Words that lead there from the labels of figures and tables. The others would be links all over a page.
LABELS = (
    *("Mode", "backward", "composite", "AOT", "CLM", "MG2", "SRE", "FRE", "WVC", "F1", "omission", "commission"),
    *("accuracy", "precision", "recall", "uncertainty", "RMSE", "bias", "not valid"),
)


def sections(name: str) -> dict[str, str]:
    """The parts of one of the help's files by their headings (``## ...``), in its order, as markdown."""
    parts = re.split(r"^## (.+)$", (HELP / name).read_text(encoding="utf-8"), flags=re.M)
    return {heading.strip(): text.strip() for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


@lru_cache
def words() -> dict[str, str]:
    """What each word means, in markdown."""
    return sections("glossary.md")


def anchor(word: str) -> str:
    """The anchor of a word on the page of the words.

    Raises
    ------
    KeyError
        If it is none of them, whatever its case.
    """
    known = {name.lower(): name for name in words()}[word.lower()]
    return re.sub(r"[^a-z0-9]+", "-", known.lower())


def term(word: str, shown: str | None = None) -> str:
    """A word that leads to what it means, as HTML.

    Parameters
    ----------
    word : str
        Of `words`.
    shown : str, optional
        The text of the link; the word itself.

    Raises
    ------
    KeyError
        If it is none of them: a page must not lead nowhere.
    """
    return f'<a class="term" href="{PAGE}#{anchor(word)}">{escape(word if shown is None else shown)}</a>'


def linked(text: str, *, only: tuple[str, ...] | None = None) -> str:
    """A text as HTML in which the first mention of each word leads to what it means.

    Words that are abbreviations are found as they are written (``AOT``), the others in either case.
    """
    wanted = sorted(only if only is not None else words(), key=len, reverse=True)
    pattern = "|".join(re.escape(word) for word in wanted)
    seen: set[str] = set()

    def link(match: re.Match[str]) -> str:
        found = match[0]
        word = next(word for word in wanted if word.lower() == found.lower())
        if word in seen or (word.isupper() and word != found):
            return escape(found)
        seen.add(word)
        return term(word, found)

    parts = []
    last = 0
    for match in re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", text, re.I):
        parts += [escape(text[last : match.start()]), link(match)]
        last = match.end()
    return "".join([*parts, escape(text[last:])])
