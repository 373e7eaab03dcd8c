"""Markdown that people write, as HTML that harms nobody: tags are text, links lead where they say, images are links."""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup

#: Where a link may lead, besides places on this web.
SCHEMES = ("http", "https", "mailto")


def leads_somewhere(address: str) -> bool:
    """Whether a link may stand: to a page, to a mailbox, or within this web."""
    address = address.strip()
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme:
        return parts.scheme.lower() in SCHEMES
    # "//host" and what browsers read as it ("/\host") leave this web without saying so
    return not re.match(r"[\\/]{2}|[\\/]?[\x00-\x20]", address) and ":" not in address.split("/")[0]


class _Renderer(RendererHTML):
    """Headings start below those of the page, links tell their target nothing, wide blocks can be scrolled by key."""

    #: Levels by which a heading goes down.
    down = 2

    def heading_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        tokens[idx].tag = f"h{min(6, int(tokens[idx].tag[1]) + self.down)}"
        return self.renderToken(tokens, idx, options, env)

    heading_close = heading_open

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        tokens[idx].attrSet("rel", "nofollow noopener")
        return self.renderToken(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        return f'<div class="wide" tabindex="0">{self.renderToken(tokens, idx, options, env)}'

    def table_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        return f"{self.renderToken(tokens, idx, options, env)}</div>"

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        side = str(tokens[idx].attrs.pop("style", "")).removeprefix("text-align:")
        if side:  # a style within the page is not let through on the public ones
            tokens[idx].attrSet("class", f"to-{side}")
        return self.renderToken(tokens, idx, options, env)

    td_open = th_open

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        return super().fence(tokens, idx, options, env).replace("<pre>", '<pre tabindex="0">', 1)

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        return super().code_block(tokens, idx, options, env).replace("<pre>", '<pre tabindex="0">', 1)


class _PageRenderer(_Renderer):
    """A whole page: its first heading is the page's own."""

    down = 0


def _parser(renderer: type[_Renderer]) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=renderer).enable("table").disable("image")
    parser.validateLink = leads_somewhere  # type: ignore[method-assign, assignment]
    return parser


@lru_cache
def _written() -> MarkdownIt:
    return _parser(_Renderer)


@lru_cache
def _page() -> MarkdownIt:
    return _parser(_PageRenderer)


@lru_cache(maxsize=512)
def html(text: str) -> Markup:
    """A text of a page's part as HTML."""
    return Markup(_written().render(text))  # nosec B704: without HTML of the text's own


def page(text: str) -> Markup:
    """A text of ours that is a page of its own, as HTML."""
    return Markup(_page().render(text))  # nosec B704: ours
