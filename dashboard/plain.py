"""The frame of pages that are plain HTML with our own scripts: no Panel session, so they are there at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fastapi.responses import HTMLResponse

from dashboard import assets, frame, theme
from processing.settings import Settings


def page(
    settings: Settings,
    name: str,
    body: str,
    *,
    styles: str = "",
    script: str = "",
    data: Mapping[str, Any] | None = None,
    status: int = 200,
) -> HTMLResponse:
    """A whole page.

    Parameters
    ----------
    settings : Settings
    name : str
        Of `frame.PAGES`.
    body : str
        Ready HTML.
    styles, script : str
        File of styles beside those of all, and ES module, in ``static/``.
    data : mapping, optional
        What the script reads from the element ``data``.
    """
    text = "" if data is None else f'<script type="application/json" id="data">{as_json(data)}</script>'
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{frame.PAGES[name]} · muscate</title>"
        f"{frame.head(styles)}</head><body>{frame.top(name, settings)}"
        f'<main id="main"><h1 class="unseen">{frame.PAGES[name]}</h1>{body}</main>'
        f"{text}{assets.module(script, shared=True) if script else ''}</body></html>",
        status,
        headers={"Cache-Control": "no-store", "Content-Security-Policy": policy(script)},
    )


@lru_cache
def policy(script: str) -> str:
    """What the browser may load for a page: files of this web, styles in the page, and its script's import map."""
    own = f" {assets.of_map(script, shared=True)}" if script else ""
    return (
        f"default-src 'none'; script-src 'self'{own}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )


def as_json(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a script of a page."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def said(text: str) -> str:
    """Something that the reader asked for and that can't be, as HTML."""
    return f'<div class="note" role="alert" style="--c:{theme.colour("failed")}">{text}</div>'
