"""HTML in which a click or a field chooses something: many fields cost a browser less than one widget does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import panel as pn
import param

from dashboard.assets import STATIC
from dashboard.frame import CSS

FIELDS = """
.fields { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: end; margin: 2px 0 8px; }
.fields label { display: flex; flex-direction: column; font-size: 12px; color: var(--soft); }
.fields input, .fields select { font: inherit; font-size: 14px; color: inherit; padding: 5px 8px; border-radius: 6px;
    border: 1px solid var(--line); background: transparent; min-width: 110px; max-width: 230px; height: 32px; }
.fields option { color: #111820; background: #fff; }
.choice { display: inline-flex; margin: 0 14px 8px 0; border: 1px solid var(--line); border-radius: 6px;
          overflow: hidden; }
.choice button { font: inherit; font-size: 13px; color: inherit; background: none; border: 0; padding: 6px 13px;
                 cursor: pointer; }
.choice button + button { border-left: 1px solid var(--line); }
.choice button:hover { background: var(--fill); }
.choice button[aria-pressed=true] { background: #0B5C8A; color: #fff; }
.choice button:focus-visible, .fields :focus-visible { outline: 2px solid #56B4E9; outline-offset: -2px; }
"""


def field(name: str, label: str, value: str, hint: str = "") -> str:
    """A field of text, as HTML."""
    told = f' placeholder="{escape(hint)}"' if hint else ""
    return f'<label>{escape(label)}<input name="{name}" value="{escape(value, quote=True)}"{told}></label>'


def select(name: str, label: str, value: str, options: Mapping[str, str]) -> str:
    """A choice of one of several, by their words, as HTML."""
    chosen = options if value in options else {value: value.replace(",", ", ").replace("_", " "), **options}
    listed = "".join(
        f'<option value="{escape(key, quote=True)}"{" selected" if key == value else ""}>{escape(words)}</option>'
        for key, words in chosen.items()
    )
    return f'<label>{escape(label)}<select name="{name}">{listed}</select></label>'


def buttons(name: str, label: str, value: str, options: Iterable[str]) -> str:
    """A choice of one of a few that stand side by side, as HTML."""
    listed = "".join(
        f'<button type="button" name="{name}-{number}" data-choice="{name}:{escape(option)}" '
        f'aria-pressed="{"true" if option == value else "false"}">{escape(option)}</button>'
        for number, option in enumerate(options)
    )
    return f'<span class="choice" role="group" aria-label="{escape(label)}">{listed}</span>'


class Choice(pn.custom.JSComponent):
    """Shows HTML; a click on what bears ``data-choice``, or another value of a field, is told to the page.

    Links have an address too, for those who open it beside. Of a field ``name:value`` is told.
    """

    content = param.String(doc="Ready HTML.")
    style = param.String(default=CSS + FIELDS)

    _esm = STATIC / "choice.js"

    def __init__(self, chosen: Callable[[str], None], **params: Any) -> None:
        self._chosen = chosen
        super().__init__(**{"sizing_mode": "stretch_width", "margin": (4, 0), **params})

    def _handle_msg(self, data: Any) -> None:
        self._chosen(str(data["choice"]))
