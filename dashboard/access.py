"""Which part of the web an address belongs to; what each part asks of a visitor is the table of the settings."""

from __future__ import annotations

from dashboard.languages import LANGUAGES

#: Open to all, whatever the table says: without them nobody could sign in, or read why he may not.
ALWAYS = "door"
#: The part by the first words of an address; the longest that fits counts.
PARTS = {
    "": "status",
    "status": "status",
    "status.json": "status",
    "why": "status",
    "why.json": "status",
    "news": "news",
    "news.json": "news",
    "news.atom": "news",
    "feed": "news",
    "feed.atom": "news",
    "incidents": "news",
    "maintenance": "news",
    "maintenance.ics": "news",
    "help": "help",
    "browse": "browse",
    "api/browse": "browse",
    "compare": "compare",
    "api/compare": "compare",
    "products": "products",
    "products.atom": "products",
    "cubes": "products",
    "tiles": "products",
    "xyz": "products",
    "stac": "products",
    "api/products": "products",
    "openapi.json": "products",
    "health": "health",
    "metrics": "metrics",
    "production": "production",
    "failures": "production",
    "api/production": "production",
    "api/summary": "status",
    "coverage": "coverage",
    "api/coverage": "coverage",
    "versions": "versions",
    "api/versions": "versions",
    "quality": "quality",
    "api/quality": "quality",
    "validation": "validation",
    "workbench": "production",
    "people": "people",
    "sign-in": ALWAYS,
    "sign-out": ALWAYS,
    "account": ALWAYS,
    "assets": ALWAYS,
    "static": ALWAYS,
    "components": ALWAYS,
    "favicon.ico": ALWAYS,
    "robots.txt": ALWAYS,
}
#: Words that are another part where they follow a language: pages of the status.
OF_LANGUAGES = {"tiles": "status", "sites": "status", "dates": "status", "find": "status"}
#: Requests by POST that change nothing, and that programs of other houses send.
READING = frozenset({"/stac/search"})
#: Pages of Panel's, each of which opens a session that costs a second of a core and memory.
SESSIONS = frozenset({"quality", "workbench"})
#: Pages whose scripts and styles stand in the page itself: Panel's, and those drawn by scripts of ours.
SCRIPTED = frozenset(
    {
        "production",
        "failures",
        "versions",
        "browse",
        "products",
        "quality",
        "validation",
        "workbench",
        "coverage",
        "compare",
    }
)


def words(path: str) -> list[str]:
    """The words of a path without its language."""
    found = [word for word in path.split("/") if word]
    return found[1:] if found and found[0] in (*LANGUAGES, "{language}") else found


def part(path: str) -> str | None:
    """The part of the web that a path belongs to; None where no part has it."""
    said = words(path)
    if said and said[0] in OF_LANGUAGES and not path.startswith(f"/{said[0]}"):
        return OF_LANGUAGES[said[0]]
    for length in (2, 1):
        if len(said) >= length and (found := PARTS.get("/".join(said[:length]))) is not None:
            return found
    return None if said else PARTS[""]


def gives_back(path: str) -> bool:
    """Whether the route of a form changes nothing where its request was refused, but shows what was typed again."""
    words = path.split("/")[1:4]
    return words[0] in LANGUAGES and words[1:] == ["news", "edit"]
