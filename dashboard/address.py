"""What the address of a page says, and what of it means nothing there: it is named, never left out in silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from html import escape
from typing import Any
from urllib.parse import urlencode

import panel as pn
import param
from pydantic import BaseModel

from dashboard import theme


def parameters() -> dict[str, str]:
    """The parameters of the page that is being opened; none without a browser."""
    location = pn.state.location
    return {name: str(value) for name, value in (location.query_params if location else {}).items()}


def unknown(view: param.Parameterized, given: Mapping[str, str], words: Mapping[str, str]) -> list[str]:
    """Which parameters name what a choice of the page does not offer, as text.

    Parameters
    ----------
    view : Parameterized
        The page.
    given : mapping of str to str
        Of the address.
    words : mapping of str to str
        The choices that are looked at, each with what it is a choice of: ``a version with products``.
    """
    found = []
    for name, what in words.items():
        offered = [str(value) for value in view.param[name].objects]
        if name in given and given[name] not in offered:
            others = ", ".join(value for value in offered if value)
            found.append(f"{given[name] or 'An empty word'} is no {what}{f': {others}' if others else ''}")
    return found


def no_days(fields: Mapping[str, Any]) -> list[str]:
    """Which fields hold something that is no day, as text; empty ones are left out."""
    found = []
    for title, value in fields.items():
        try:
            date.fromisoformat(str(value).strip()) if str(value).strip() else None
        except ValueError:
            found.append(f"{title}: {value} is no day such as 2023-08-31")
    return found


def day(text: str) -> date | None:
    """A day such as 2023-08-31; None where there is none, or something else (`no_days` says so)."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def said(faults: Iterable[str]) -> str:
    """Faults as HTML."""
    return "".join(
        f'<div class="note" role="alert" style="--c:{theme.colour("failed")}">{escape(fault)}</div>' for fault in faults
    )


def address(page: str, /, **values: Any) -> str:
    """The address of a page with what it is to show; what is empty is left out."""
    chosen = {name: value for name, value in values.items() if value not in ("", None)}
    return f"/{page}?{urlencode(chosen)}" if chosen else f"/{page}"


def changed(page: str, asked: BaseModel, /, **values: Any) -> str:
    """The address of a page with something else chosen than what was asked for; what asks for nothing is left out."""
    neutral = {name: field.default for name, field in type(asked).model_fields.items()}
    now = asked.model_dump(exclude_defaults=True) | values
    return address(page, **{name: value for name, value in now.items() if value != neutral[name]})
