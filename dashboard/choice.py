"""Choices of a page as plain HTML: links and fields, whose values stand in the address.

Pages without a Panel session follow them as `dashboard.live` says; on Panel's pages `Choice` does: many fields, and the
rows of a list, cost a browser less than one widget does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import panel as pn
import param

from dashboard.address import address
from dashboard.assets import STATIC
from dashboard.frame import CSS

FIELDS = """
.fields { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: end; margin: 2px 0 8px; }
.fields label { display: flex; flex-direction: column; font-size: 12px; color: var(--soft); }
.fields input, .fields select { font: inherit; font-size: 14px; color: inherit; padding: 5px 8px; border-radius: 6px;
    border: 1px solid var(--line); background: transparent; width: 118px; height: 32px; }
.fields input[type=range] { padding: 0; margin: 0; accent-color: #2E86B5; width: 150px; }
.fields option { background: Canvas; color: CanvasText; } .fields :focus-visible { outline: 2px solid #56B4E9; }
th a { color: inherit; text-decoration: none; } th a[aria-current] { text-decoration: underline; }
tr.chosen { background: var(--fill); outline: 1px solid var(--soft); } td a { white-space: nowrap; }
"""

#: Widgets of Panel's, which have their own colours otherwise: as the fields.
WIDGET = """
label { font-size: 12px; color: color-mix(in srgb, currentColor 70%, transparent); }
.bk-input, .bk-btn { font: inherit; font-size: 14px; color: inherit; background: transparent; border-radius: 6px;
    border: 1px solid color-mix(in srgb, currentColor 16%, transparent); }
select:not([multiple]).bk-input { appearance: auto; background-image: none; }
option { background: Canvas; color: CanvasText; }
.bk-input:focus-visible, .bk-btn:focus-visible { outline: 2px solid #2E86B5; }
"""

#: Choices as wide as their words.
WIDE = ".fields select { width: auto; max-width: 100%; }"


def field(name: str, label: str, value: str, hint: str = "") -> str:
    """A field of text, as HTML."""
    told = f' placeholder="{escape(hint)}"' if hint else ""
    return f'<label>{escape(label)}<input name="{name}" value="{escape(value, quote=True)}"{told}></label>'


def select(name: str, label: str, value: str, options: Mapping[str, str], neutral: str = "") -> str:
    """A choice of one of several, by their words, as HTML; `neutral`: what asks for nothing."""
    chosen = options if value in options else {value: value.replace(",", ", ").replace("_", " "), **options}
    listed = "".join(
        f'<option value="{escape(key, quote=True)}"{" selected" if key == value else ""}>{escape(words)}</option>'
        for key, words in chosen.items()
    )
    return f'<label>{escape(label)}<select name="{name}" data-neutral="{escape(neutral)}">{listed}</select></label>'


def choice(page: str, name: str, label: str, now: Mapping[str, str], options: Iterable[str]) -> str:
    """A choice of one of a few that stand side by side, as HTML.

    Parameters
    ----------
    page, name, label : str
        Of the page, of the value in its address, and what is read to those who don't see it.
    now : mapping of str to str
        All values of the address as they are.
    options : iterable of str
    """
    listed = "".join(
        f'<a href="{escape(address(page, **{**now, name: option}))}"'
        f"{' aria-current=true' if option == now[name] else ''}>{escape(option)}</a>"
        for option in options
    )
    return f'<span class="choice" role="group" aria-label="{escape(label)}">{listed}</span>'


class Choice(pn.custom.JSComponent):
    """Shows HTML; a click on what bears ``data-choice``, or another value of a field, is told to the page.

    Links have an address too, for those who open it beside. Of a field ``name:value`` is told; of one that
    slides, while it does.
    """

    content = param.String(doc="Ready HTML.")
    style = param.String(default=CSS + FIELDS)

    _esm = STATIC / "choice.js"

    def __init__(self, chosen: Callable[[str], None], **params: Any) -> None:
        self._chosen = chosen
        super().__init__(**{"sizing_mode": "stretch_width", "margin": (4, 0), **params})

    def _handle_msg(self, data: Any) -> None:
        self._chosen(str(data["choice"]))


def heads(titles: Mapping[str, str], order: str, page: str, now: Mapping[str, str], numbers: Iterable[str] = ()) -> str:
    """Heads of a table whose links sort it, as HTML; what it is sorted by, once more the other way round.

    Parameters
    ----------
    titles : mapping of str to str
        By the name of what is sorted by.
    order : str
        What it is sorted by: a name, with a minus before it from the largest on.
    page : str
    now : mapping of str to str
        The other values of the address.
    numbers : iterable of str
        Names whose columns are aligned to the right.
    """
    right = set(numbers)
    cells = []
    for name, title in titles.items():
        here = order.removeprefix("-") == name
        other = name if order == f"-{name}" else f"-{name}"
        mark = (" ▼" if order.startswith("-") else " ▲") if here else ""
        said = f' aria-sort="{"descending" if order.startswith("-") else "ascending"}"' if here else ""
        link = escape(address(page, **{**now, "order": other}))
        cells.append(
            f'<th scope="col"{said}{" class=num" if name in right else ""}><a href="{link}" name="order-{name}" '
            f'data-choice="order:{other}">{escape(title)}{mark}</a></th>'
        )
    return f"<thead><tr>{''.join(cells)}</tr></thead>"
