"""The languages of the public pages: their catalogues, and which one a reader gets.

A catalogue is a gettext file for each area of the web and language, ``locale/AREA.LANGUAGE.po``; a message's id is its
English text. All areas of a language are read together. The English catalogue has the same messages, so that the three
can be held against each other.
"""

from __future__ import annotations

from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE = Path(__file__).parent / "locale"
#: Languages by code, as they call themselves; the first is that of a reader who asks for none of them.
LANGUAGES = {"en": "English", "fr": "Français", "es": "Español"}
#: More preferences than these are not read from a browser's header.
PREFERENCES = 20


@lru_cache
def messages(language: str) -> NullTranslations:
    """The messages of one of `LANGUAGES`, with gettext's verbs; one that no catalogue has stays as it is."""
    found = NullTranslations()
    for path in sorted(LOCALE.glob(f"*.{language}.po")):
        with path.open("rb") as file, BytesIO() as compiled:
            write_mo(compiled, read_po(file, locale=language))
            compiled.seek(0)
            area = GNUTranslations(compiled)
        area.add_fallback(found)
        found = area
    return found


def preferred(accepted: str | None) -> str:
    """The language of `LANGUAGES` that a browser's ``Accept-Language`` likes best."""
    wishes = []
    for place, part in enumerate((accepted or "").split(",")[:PREFERENCES]):
        name, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), place, name.replace("-", "_")))
        except ValueError:
            continue
    names = [name for weight, _, name in sorted(wishes) if weight < 0]
    found = negotiate_locale(names, list(LANGUAGES), sep="_")
    return found.lower() if found else next(iter(LANGUAGES))
