"""The catalogues of the three languages, and which one a reader gets."""

from __future__ import annotations

import pytest
from babel.messages.pofile import read_po

from dashboard import languages
from dashboard.languages import LANGUAGES, LOCALE, messages, preferred

AREAS = sorted({path.name.split(".")[0] for path in LOCALE.glob("*.po")})


def catalog(area: str, language: str) -> dict[object, object]:
    with (LOCALE / f"{area}.{language}.po").open("rb") as file:
        return {m.id: m.string for m in read_po(file, locale=language) if m.id}


@pytest.mark.parametrize("area", AREAS)
def test_the_catalogues_of_an_area_have_the_same_messages(area: str) -> None:
    english = catalog(area, "en")
    for language in LANGUAGES:
        assert catalog(area, language).keys() == english.keys()
        assert all(
            text and all(text if isinstance(text, tuple) else (text,)) for text in catalog(area, language).values()
        )


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("de, es;q=0.5, en;q=0.7", "en"),
        ("ES-mx", "es"),
        ("de", "en"),
        (None, "en"),
        ("", "en"),
        ("fr;q=0", "en"),
        (";q=x,,;;", "en"),
    ],
)
def test_a_reader_gets_the_language_he_likes_best(accepted: str | None, language: str) -> None:
    assert preferred(accepted) == language


def test_a_message_without_a_translation_stands_as_it_is() -> None:
    assert messages("fr").gettext("nobody wrote this") == "nobody wrote this"
    assert messages("fr").gettext("Languages") == "Langues"
    assert languages.messages("es").ngettext("one thing", "many things", 2) == "many things"
