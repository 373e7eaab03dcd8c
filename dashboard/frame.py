"""What all pages share: title bar, navigation, banner, refresh; and small pieces of HTML."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from typing import Any, ClassVar
from urllib.parse import urlencode

import panel as pn
from bokeh.themes import Theme as Colours
from panel.io.resources import parse_template
from panel.theme.base import DefaultTheme, Design, Theme

from dashboard import assets, glossary, people, theme
from dashboard.snapshot import SECONDS, Snapshot, Snapshots
from processing.errors import StoreError
from processing.people import VISITOR, Actor
from processing.settings import Settings

PAGES = {
    "production": "Production",
    "failures": "Failures",
    "coverage": "Coverage",
    "versions": "Versions",
    "browse": "Browse",
    "products": "Products",
    "compare": "Compare",
    "quality": "Quality",
    "validation": "Validation",
    "workbench": "Workbench",
}

#: For pieces of HTML, in both themes: colours derive from the text's.
CSS = """
:host { --line: color-mix(in srgb, currentColor 16%, transparent);
        --soft: color-mix(in srgb, currentColor 70%, transparent);
        --fill: color-mix(in srgb, currentColor 5%, transparent); font-size: 14px; line-height: 1.45; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 2px; }
h1 { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
h2 { font-size: 15px; font-weight: 600; margin: 4px 0 6px; } h2 small { font-weight: 400; color: var(--soft); }
.age { text-align: right; font-size: 12.5px; }
p { margin: 4px 0; } .soft { color: var(--soft); }
.chip { display: inline-block; border-radius: 4px; padding: 1px 7px; font-size: 12px; font-weight: 500;
        white-space: nowrap; }
.kpis { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 10px; }
.kpi { border: 1px solid var(--line); border-radius: 8px; padding: 9px 12px; background: var(--fill); min-width: 0;
       color: inherit; text-decoration: none; display: block; }
a.kpi:hover { border-color: var(--soft); }
.kpi b { display: block; font-size: 23px; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.25; }
.kpi span { color: var(--soft); font-size: 12.5px; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); white-space: nowrap; }
th, td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.num, th.num { text-align: right; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 12.5px; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 5px;
            vertical-align: -1px;
            box-shadow: inset 0 0 0 1px color-mix(in srgb, currentColor 30%, transparent); }
.note { border-left: 4px solid var(--c, #0B5C8A); padding: 6px 12px; background: var(--fill);
        border-radius: 0 6px 6px 0; }
.cell { border-radius: 5px; padding: 4px 9px; min-width: 92px; } .cell span { float: right; }
code { background: var(--fill); padding: 1px 5px; border-radius: 4px; overflow-wrap: anywhere; }
"""

#: In the head of every page: the theme that was chosen.
HEAD = f'<script src="{assets.address("chosen.js")}"></script>'
#: The button that chooses it; `static/shared/theme.js` shows it.
THEME = '<button id="theme" aria-label="Change the theme" hidden>◐</button>'
#: Lines and words of figures.
_SEEN = "#777B81"
#: A page around a session of Panel's, of which all but the view is there before its scripts are.
_SESSION = """{% extends base %}
{% block preamble %}{{ head }}{% endblock %}
{% block contents %}{{ top }}<main id="main">
{% for doc in docs %}{% for root in doc.roots %}{{ embed(root) }}{% endfor %}{% endfor %}
</main>{% endblock %}"""


def html(content: str = "", **options: Any) -> pn.pane.HTML:
    """A piece of HTML with the shared style."""
    return pn.pane.HTML(content, stylesheets=[CSS], sizing_mode="stretch_width", **{"margin": (4, 0), **options})


def age(version: int, taken: datetime, newest: datetime | None, fault: str = "") -> str:
    """When the store was read, and when the newest product was published, or why it can't be read now, as HTML."""
    text = f"Store read {taken:%H:%M:%S} UTC"
    if newest is not None:
        text += f" · newest product {theme.duration(datetime.now(UTC) - newest)} ago"
    if fault:
        text = f"The store can't be read since {taken:%Y-%m-%d %H:%M:%S} UTC: {fault}"
    return f'<div class="soft age" data-snapshot="{version}">{escape(text)}</div>'


def simulated_banner() -> str:
    """What stands above a page where all that is shown comes from the simulation, as HTML."""
    return (
        f'<div class="note" style="--c:{theme.SIMULATED}">{theme.simulated_mark()} All products shown here come from '
        "the simulation: nothing of it was seen by a satellite.</div>"
    )


def plain(value: Any) -> str:
    """Text from the store as HTML; nothing for a gap, which a frame holds as NaN."""
    return escape(value) if isinstance(value, str) else ""


def kpis(tiles: Iterable[Sequence[str]]) -> str:
    """Figures with their label, a note and maybe a link, as HTML."""
    cells = []
    for label, value, note, *link in tiles:
        named = escape(label) if link else glossary.linked(label, only=glossary.LABELS)  # no link within a link
        body = f"<span>{named}</span><b>{escape(value)}</b><span>{escape(note)}</span>"
        cells.append(
            f'<a class="kpi" href="{escape(link[0])}">{body}</a>' if link else f'<div class="kpi">{body}</div>'
        )
    return f'<div class="kpis">{"".join(cells)}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """Rows of ready HTML as a table that scrolls sideways where the page is narrow."""
    mark = [' class="num"' if c in numbers else "" for c in columns]
    titles = [glossary.linked(c, only=glossary.LABELS) for c in columns]
    head = "".join(f"<th{m}>{title}</th>" for title, m in zip(titles, mark, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{m}>{cell}</td>" for cell, m in zip(row, mark, strict=True)) + "</tr>" for row in rows
    )
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="group" aria-label="Table">{whole}</div>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Words with their colours, as HTML."""
    return (
        '<div class="legend">'
        + "".join(f'<span><i style="background:{colour}"></i>{escape(text)}</span>' for text, colour in entries)
        + "</div>"
    )


def how_to_begin(settings: Settings) -> str:
    """What to do while the store is empty, as HTML."""
    return (
        '<div class="note"><h2>Nothing has arrived yet</h2>'
        f"<p>Put Sentinel-2 Level-1C products (<code>.SAFE</code> folders or <code>.zip</code> files) into the inbox "
        f"<code>{escape(str(settings.inbox.resolve()))}</code>. They are taken in within seconds, "
        "produced in the order of their dates, and shown here.</p>"
        "<p>For a first look without own products: <code>muscate simulate --help</code>.</p></div>"
    )


class _Ground(DefaultTheme):
    """Figures on the ground of their page, light or dark, in colours that are seen on both."""

    bokeh_theme = Colours(
        json={
            "attrs": {
                "Plot": {"background_fill_alpha": 0, "border_fill_alpha": 0, "outline_line_color": _SEEN},
                "Axis": {f"{part}_color": _SEEN for part in ("axis_line", "major_tick_line", "minor_tick_line")}
                | {f"{part}_text_color": _SEEN for part in ("axis_label", "major_label")},
                "Grid": {"grid_line_color": _SEEN, "grid_line_alpha": 0.25},
                "Toolbar": {"logo": None},
            }
        }
    )


class Plain(Design):
    """Panel's components without styles of their own: they take the page's."""

    _themes: ClassVar[dict[str, type[Theme]]] = {"default": _Ground, "dark": _Ground}


class View(pn.viewable.Viewer):
    """A page that shows a snapshot; `draw` is called at the start and whenever the store has changed."""

    def __init__(self, snapshot: Snapshot, settings: Settings, **params: Any) -> None:
        self.snapshot = snapshot
        self.settings = settings
        super().__init__(**params)

    def draw(self) -> None:
        """Show the snapshot."""
        raise NotImplementedError


def navigation(here: str, settings: Settings, actor: Actor) -> str:
    """Links to the pages that somebody may open, to the public ones, and to his account, as HTML."""
    table = settings.table
    links = "".join(
        f'<a href="/{key}"{" aria-current=page" if key == here else ""}>{title}</a>'
        for key, title in PAGES.items()
        if key not in table or actor.role.reaches(table[key])
    )
    if actor.name == VISITOR:
        account = f'<a class="account" href="/sign-in?next=/{here}">Sign in</a>'
    else:
        account = f'<a class="account" href="/account" title="{escape(actor.role)}">{escape(actor.name)}</a>'
    return f'<nav aria-label="Pages"><a href="/">Status</a>{links}{account}</nav>'


def top(name: str, settings: Settings) -> str:
    """The bar above every page, as HTML."""
    return (
        '<header><a class="skip" href="#main">Skip to the content</a><b>muscate</b>'
        f"{navigation(name, settings, people.reader())}{THEME}</header>"
    )


def head(styles: str = "") -> str:
    """What stands in the head of every page: styles, a file beside those of all; the icon, and the theme, as HTML."""
    sheets = "".join(
        f'<link rel="stylesheet" href="{assets.address(sheet)}">' for sheet in ("plain.css", styles) if sheet
    )
    return (
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="/favicon.ico">{sheets}{HEAD}'
    )


def ended(word: str) -> str:
    """That a session is over while a page is open, and how to go on, as HTML."""
    address = f"/sign-in?{urlencode({'renew': word})}"
    return (
        f'<div class="note" role="alert" style="--c:{theme.colour("failed")}" data-session="ended">'
        "<b>Your session has ended.</b> What you typed stays here, and nothing more is kept until you "
        f'<a href="{escape(address)}" target="_blank" rel="opener">sign in again in a new tab</a>; '
        "then go on in this one.</div>"
    )


def _over(document: Any) -> bool:
    """Whether the session of whoever opened a page is over; not while the store can't say it."""
    try:
        return people.visit(document).over
    except (LookupError, StoreError):
        return False


def page(name: str, view: View, snapshots: Snapshots, word: str = "") -> pn.Template:
    """The whole page around a view; looks for a newer snapshot every few seconds while it is open.

    `word` is that of the page's reader (`people.keep_open`).
    """
    title = html(f"<h1>{escape(PAGES[name])}</h1>", margin=0)
    told = html(margin=0)
    banner = html()
    session = html(visible=False)
    document = pn.state.curdoc

    def refresh() -> None:
        snapshot = view.snapshot
        told.object = age(snapshot.version, snapshot.taken, snapshot.newest, snapshots.fault)
        banner.object = ""
        if snapshot.all_simulated:
            banner.object = simulated_banner()
        banner.visible = bool(banner.object)

    async def pull() -> None:
        over = await asyncio.to_thread(_over, document)
        if over != session.visible:
            session.object, session.visible = (ended(word) if over else ""), over
        if over:
            return  # nothing new is told to him, and nothing that he typed is drawn again
        snapshot = await asyncio.to_thread(snapshots.latest)
        changed = snapshot.version != view.snapshot.version
        view.snapshot = snapshot
        refresh()
        if changed:
            view.draw()

    refresh()
    view.draw()
    if pn.state.curdoc:
        pn.state.add_periodic_callback(pull, int(SECONDS * 1000))  # type: ignore[arg-type]  # takes coroutines too
    made = pn.Template(_template(), location=True, design=Plain)
    made.add_panel("page", pn.Column(title, told, session, banner, view, sizing_mode="stretch_width", margin=0))
    parts = {"head": head() + assets.module("session/main.js", shared=True), "top": top(name, view.settings)}
    for part, content in {**parts, "apple_icon": None, "app_favicon": None}.items():  # the last: Panel's own, not ours
        made.add_variable(part, content)
    return made


@lru_cache
def _template() -> Any:
    return parse_template(_SESSION)
