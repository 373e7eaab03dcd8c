"""How a public page is written: a template, a language, and what it tells."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboard import assets, languages

TEMPLATES = Path(__file__).parent / "templates"


@lru_cache
def _environment(language: str) -> Environment:
    """Templates of one language: all text is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(languages.messages(language), newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(language=language, languages=languages.LANGUAGES, assets=assets)
    return environment


def page(template: str, language: str, **told: Any) -> str:
    """A page as HTML.

    Parameters
    ----------
    template : str
        File in ``templates/``; most extend ``base.html``.
    language : str
        One of `languages.LANGUAGES`.
    **told
        What the template speaks of. ``here``, the address of the page without its language, lets ``base.html`` offer
        the other languages.
    """
    return _environment(language).get_template(template).render(**told)


def query(**asked: str | None) -> str:
    """What was asked for, as the end of an address: with its question mark, or nothing."""
    given = {name: value for name, value in asked.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
