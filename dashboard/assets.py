"""Our own scripts and styles: the files of `static/`."""

from __future__ import annotations

import hashlib
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
