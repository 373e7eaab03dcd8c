"""Help: what the products are and how to read them, made from the code's own names, bits and versions.

The first page speaks three languages, the others English.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dashboard import assets, glossary, languages, markdown, theme, writing
from dashboard.api.centre import Here
from processing import __version__
from processing.bands import DISTRIBUTED, GROUP_RESOLUTION, GROUPS
from processing.masks import Cloud, Edge, Geophysical, Interpolated
from processing.product import metadata, names
from processing.versions import CURRENT, VERSIONS

router = APIRouter(include_in_schema=False)

#: Pages after the first one, in their order.
PAGES = ("files", "masks", "versions", "reading", "citing", "glossary")
#: For an hour: they change with the program only.
KEPT = {"Cache-Control": "public, max-age=3600"}
#: The bits of the masks whose bits have names; of SAT and DFP each bit is a band's.
NAMED = {"CLM": Cloud, "MG2": Geophysical, "IAB": Interpolated, "EDG": Edge}
CITATION = (glossary.HELP / "CITATION.cff", Path(__file__).parents[2] / "CITATION.cff")


@dataclass(frozen=True)
class Bit:
    """One bit of a mask as it is shown; `picture` is its address, empty where there is none."""

    name: str
    value: int
    words: str
    colour: str
    picture: str = ""
    origin: str = ""


def bits(mask: str) -> list[Bit]:
    """The bits of a mask, the lowest first: from its flags, in the words and colours of all pages."""
    styles = {style.bit: style for style in theme.MASKS[mask]}
    pictures = _pictures()
    found = []
    for flag in NAMED[mask]:
        key = f"{mask}.{flag.name}"
        picture = assets.address(f"help/{key}.webp") if key in pictures else ""
        origin = pictures[key]["product"] if key in pictures else ""
        style = styles[flag.value]
        found.append(Bit(flag.name or "", flag.value, style.words, style.colour, picture, origin))
    return found


@lru_cache
def _pictures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((assets.STATIC / "help" / "index.json").read_text())
    return found


@dataclass(frozen=True)
class File:
    """A kind of file of a product: the pattern of its names, what it is (HTML), and how many there are."""

    kind: str
    names: tuple[str, ...]
    what: str


def files() -> list[File]:
    """The kinds of files of a product, by the keys that the writer gives them."""
    groups = tuple(GROUPS)
    keys: dict[str, tuple[str, ...]] = {
        kind: tuple(f"{kind}_{b}" for b in DISTRIBUTED) for kind in metadata.REFLECTANCES
    }
    keys["ATB"] = tuple(f"ATB_{group}" for group in groups)
    keys["UNC"] = ("UNC_R2",)
    for kind in names.MASKS:
        keys[kind] = tuple(f"{kind}_{group}" for group in groups)
    keys["DTF"] = tuple(f"DTF_{group}-D05" for group in groups)
    keys |= {kind: (f"{kind}_ALL",) for kind in ("QKL", "MTD", "JPI")}
    told = glossary.sections("files.md")
    found = [
        File(kind, tuple(names.file_path("…", key) for key in listed), markdown.html(told[kind]))
        for kind, listed in keys.items()
    ]
    return [*found, File("manifest", ("manifest.json",), markdown.html(told["manifest"]))]


def citation() -> dict[str, str]:
    """What CITATION.cff says on its first level."""
    text = next(path for path in CITATION if path.exists()).read_text(encoding="utf-8")
    found = dict(re.findall(r'^([a-z-]+): "?([^"\n>]+)"?$', text, flags=re.M))
    (author,) = re.findall(r"^authors:\n  - name: (.+)$", text, flags=re.M)
    return {**found, "author": author}


@lru_cache
def _reading() -> str:
    code = (glossary.HELP / "read_product.py").read_text(encoding="utf-8")
    text = (glossary.HELP / "reading.md").read_text(encoding="utf-8")
    return markdown.page(text.replace("[[read_product.py]]", f"```python\n{code.strip()}\n```"))


def _told(page: str) -> dict[str, Any]:
    """What the template of a page speaks of."""
    if page == "files":
        return {"files": files(), "groups": GROUPS, "resolutions": GROUP_RESOLUTION}
    if page == "masks":
        text = markdown.page((glossary.HELP / "masks.md").read_text(encoding="utf-8"))
        return {"text": text, "masks": {m: bits(m) for m in NAMED}, "titles": theme.MASK_TITLES, "groups": GROUPS}
    if page == "versions":
        return {"versions": list(VERSIONS.values())[::-1], "current": CURRENT}
    if page == "reading":
        return {"text": _reading()}
    if page == "citing":
        return {"citation": citation(), "number": __version__}
    return {"words": {word: (glossary.anchor(word), markdown.html(text)) for word, text in glossary.words().items()}}


def _language(language: str) -> str:
    if language not in languages.LANGUAGES:
        raise HTTPException(404, f"no pages in {language}")
    return language


Language = Annotated[str, Depends(_language)]


@router.get("/help")
@router.get("/help/{page}")
def choose(request: Request, accept_language: Annotated[str | None, Header()] = None) -> Response:
    """The page in the language of the reader's browser."""
    return RedirectResponse(f"/{languages.preferred(accept_language)}{request.url.path}")


@router.get("/{language}/help")
def first(here: Here, language: Language) -> Response:
    """What the products are, how to get them, what to look at first."""
    text = markdown.page((glossary.HELP / f"index.{language}.md").read_text(encoding="utf-8"))
    told = {"text": text, "pages": PAGES, "contact": here.settings.contact, "citation": citation()}
    return HTMLResponse(writing.page("help.html", language, here="/help", **told), headers=KEPT)


@router.get("/{language}/help/{page}")
def rest(language: Language, page: str) -> Response:
    """One of the other pages."""
    if page not in PAGES:
        raise HTTPException(404, f"no page {page}")
    told = {"page": page, "pages": PAGES, **_told(page)}
    return HTMLResponse(writing.page(f"help_{page}.html", language, here=f"/help/{page}", **told), headers=KEPT)
