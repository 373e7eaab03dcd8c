"""Our own scripts and styles: the files of `static/`."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"


@lru_cache
def address(name: str) -> str:
    """Address of one of our files; it holds its digest, so that it may be kept for ever."""
    return f"/assets/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


@lru_cache
def text(name: str) -> str:
    """What is in one of our files, for the callbacks that Bokeh sends along with a page."""
    return (STATIC / name).read_text(encoding="utf-8")


def _beside(name: str, shared: bool) -> list[str]:
    folders = [(STATIC / name).parent, *([STATIC / "shared"] if shared else [])]
    return sorted(path.relative_to(STATIC).as_posix() for folder in folders for path in folder.glob("*.js"))


@lru_cache
def _map(name: str, shared: bool) -> str:
    """The import map of a page with one of our modules."""
    return json.dumps({"imports": {f"/assets/{other}": address(other) for other in _beside(name, shared)}})


@lru_cache
def of_map(name: str, shared: bool = False) -> str:
    """The digest by which a policy lets the import map of a page in, as it is written there."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(_map(name, shared).encode()).digest()).decode()}'"


@lru_cache
def module(name: str, shared: bool = False) -> str:
    """One of our ES modules for a page, as HTML. What it imports lies beside it, or in ``shared/`` where it says so.

    Modules name each other without a digest: the page's import map adds it, so that none is ever stale. They are all
    asked for at once, before one names the next.
    """
    ahead = "".join(f'<link rel="modulepreload" href="{address(other)}">' for other in _beside(name, shared))
    return (
        f'<script type="importmap">{_map(name, shared)}</script>{ahead}'
        f'<script type="module" src="{address(name)}"></script>'
    )
