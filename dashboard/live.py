"""Pages of plain HTML that follow the store: whole at once, and asked for again by `static/live/` while they are open.

Such a page is made of named parts. Its script asks for the same address again and takes over the parts that differ, so
that what is typed, chosen or scrolled to stays. It says which state of the store it shows: while the store is as it
was, the answer holds only the age. Links and forms to the page itself are followed in the same way, and work without
the script.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape

from fastapi import Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from dashboard import frame, people, plain, theme
from dashboard.api.centre import Centre
from dashboard.snapshot import Snapshot

#: How a page says which state of the store it shows.
SEEN = "x-seen"


def part(name: str, content: str, kind: str = "div") -> str:
    """A part of a page that is taken over where it differs."""
    return f'<{kind} data-part="{name}">{content}</{kind}>'


def unchanged(request: Request, centre: Centre, snapshot: Snapshot) -> HTMLResponse | None:
    """The answer to a page that shows this state of the store already."""
    if request.headers.get(SEEN) != str(snapshot.version):
        return None
    return HTMLResponse(_age(centre, snapshot), headers={"Cache-Control": "no-store"})


def page(
    centre: Centre, name: str, snapshot: Snapshot, body: str, *, styles: str = "", status: int = 200
) -> HTMLResponse:
    """The whole page: how old it is, what has to be known of it, and its parts."""
    banner = frame.simulated_banner() if snapshot.all_simulated else ""
    begin = frame.how_to_begin(centre.settings) if snapshot.empty else ""
    head = _age(centre, snapshot) + '<div id="session" role="alert"></div>' + part("banner", banner + begin)
    return plain.page(centre.settings, name, head + body, styles=styles, script="live/main.js", status=status)


def _age(centre: Centre, snapshot: Snapshot) -> str:
    return part("age", frame.age(snapshot.version, snapshot.taken, snapshot.newest, centre.snapshots.fault))


def order(address: str, words: str, fields: Mapping[str, str]) -> str:
    """A button that changes something, with what it sends to an address, as HTML."""
    return form(address, f"<button>{escape(words)}</button>", fields)


def form(address: str, content: str, fields: Mapping[str, str], kind: str = "") -> str:
    """A form that changes something: its fields and buttons as HTML, and what it sends beside them."""
    sent = hidden({"token": people.visit().form_token, **fields})
    looks = f' class="{kind}"' if kind else ""
    return f'<form method="post" action="{escape(address)}"{looks}>{sent}{content}</form>'


def hidden(fields: Mapping[str, object]) -> str:
    """What a form sends beside its own fields, as HTML."""
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">' for name, value in fields.items()
    )


def kept(asked: BaseModel, without: Collection[str]) -> str:
    """All but some of what a page is asked for, as HTML for a form that chooses those."""
    now = asked.model_dump(exclude_defaults=True)
    return hidden({name: value for name, value in now.items() if name not in without})


def answered(text: str, *, fault: bool = False) -> str:
    """What came of an order, as HTML."""
    colour = f' style="--c:{theme.colour("failed")}"' if fault else ""
    return f'<div class="note" role="status"{colour}>{escape(text)}</div>' if text else ""
