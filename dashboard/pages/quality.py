"""Quality: the next product that stands out, looked at and judged by single keys."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import panel as pn
import param
from cachetools import TTLCache

from dashboard import people, queries, theme
from dashboard.choice import FIELDS, WIDE, WIDGET, Choice, field, select
from dashboard.frame import CSS, View, how_to_begin, html, table
from dashboard.pages.products import headline
from dashboard.pages.quality_areas import Areas
from dashboard.pages.quality_keys import BUTTON_KEYS, COMMENT, LAYER_KEYS, REASON_KEYS, VERDICT_KEYS, Keys
from dashboard.pages.quicklooks import NO_MASK
from dashboard.pages.viewer import Viewer
from processing.errors import MuscateError, StoreError
from processing.people import Actor, Role
from processing.quality import queue, reference
from processing.quality.agreement import agreements
from processing.quality.judging import Judgement, judge, undo
from processing.validation import masks

if TYPE_CHECKING:
    from dashboard.snapshot import Snapshot
    from processing.settings import Settings
    from processing.store import Store
    from processing.store.models import ReferenceMask

QUEUES = {"Judged by nobody": False, "Second reading": True}
NOTHING_LEFT = {
    False: "Every product of it has been judged.",
    True: "No product waits for this reader: it takes those that others have judged and he has not.",
}
#: Queues that were ranked a moment ago, which takes a second in a large store, by what they depend on.
_queues: TTLCache[tuple[str, str, bool, str], list[queue.Proposal]] = TTLCache(maxsize=32, ttl=60)
_ranking = threading.Lock()
#: Products of the queue whose images the browser fetches before they are shown.
AHEAD = 2
ACTIONS = {"is kept": "note", "withdraws the product": "withdraw", "holds the next date": "hold"}
#: Classes of an imported mask until the reader says others, and files that one can consist of.
CLASSES = "cloud=cloud shadow=shadow clear=clear attribute=class"
#: What of it is taken at once: a message of a page's socket holds no more. [bytes]
MOST_FILES, LARGEST = 8, 5_500_000
RASTERS, PARTS = (".tif", ".tiff"), (".shx", ".dbf", ".prj", ".cpg")
#: A line of its own, and a part of one.
LINE, PART = {"flex": "1 1 100%", "min-width": "0"}, {"flex": "0 1 auto", "width": "auto"}
#: On a phone the images follow the buttons, and what is said about them comes after.
PHONE_CSS = "@media (max-width: 640px) { .late { order: 1; } .last { order: 2; } }"
#: Looks of buttons that are HTML.
BUTTONS = (
    CSS
    + """
.row { display: flex; flex-wrap: wrap; gap: 5px; }
button { font: inherit; font-size: 13px; color: inherit; background: var(--fill); border: 1px solid var(--line);
  border-radius: 5px; padding: 3px 10px; min-height: 28px; cursor: pointer; }
button:hover { filter: brightness(.92); } button:focus-visible { outline: 2px solid #2E86B5; outline-offset: 1px; }
button[aria-pressed=true] { background: #0B5C8A; color: #fff; }
"""
)
#: Looks of the fields.
SMALL: dict[str, Any] = {"margin": (3, 8, 3, 0), "stylesheets": [WIDGET]}


class Quality(View):
    """The queue, the product at its head, and the reader's word about it."""

    reader = param.String(doc="Who reads.")
    product = param.String(doc="Identifier of the product that is shown.")
    tile = param.String(doc="Part of a tile id.")
    queue: Any = param.Selector(default=False, objects=QUEUES, doc="Whether it is the second reading.")

    #: What the address holds.
    ADDRESS = ("reader", "product", "tile", "queue")

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, **params: Any) -> None:
        self._store = store
        self._proposals: list[queue.Proposal] = []
        #: Products this session judged, and what was done to them.
        self._done: list[tuple[str, str]] = []
        self._detail: queries.Detail | None = None
        self._asking: asyncio.Task[None] | None = None
        super().__init__(snapshot, settings, **params)
        self.keys = Keys(self.press, keys=[*VERDICT_KEYS, *REASON_KEYS, *BUTTON_KEYS, *LAYER_KEYS], reader=self.reader)
        self.keys.link(self, reader="reader", bidirectional=True)
        self._progress, self._head, self._said, self._empty, self._agreement = (html() for _ in range(5))
        for pane in (self._head, self._said, self._agreement):
            pane.styles = LINE
        self._said.css_classes = self._agreement.css_classes = ["last"]
        self._notice = html(visible=False, styles=LINE)
        self._progress.styles = {"flex": "1 1 300px"}
        self.viewer = Viewer()
        self.areas = Areas(self.viewer, self._note, SMALL)
        self.reasons = Reasons(self._chose, style=BUTTONS, margin=(2, 0), styles=LINE, css_classes=["late"])
        self.reasons.param.watch(lambda event: self.areas.give_reason(event.new or [], event.old or []), "value")
        self._choices = Choice(self._chose, style=CSS + FIELDS + WIDE, sizing_mode="fixed")
        self.comment = pn.widgets.TextInput(placeholder=COMMENT, width=280, **SMALL)
        self.action = pn.widgets.Select(
            label="A bad verdict", options=ACTIONS, value="note", width=190, visible=settings.readers_act, **SMALL
        )
        self.files: Any = None
        self.classes: Any = None
        self.imports = pn.Column(
            Choice(self._chose, content='<button data-choice="import:">Import a mask</button>', style=BUTTONS),
            css_classes=["last"],
            styles=LINE,
        )
        self._show_fields()
        self._full = self._lines()
        self._layout = pn.Column(self.keys, self._empty, self._full, sizing_mode="stretch_width")
        if pn.state.location:
            pn.state.location.sync(self, {name: name for name in self.ADDRESS})
        who = people.actor()
        if who.role is not Role.PUBLIC:  # a verdict is kept under the name that he signed in with
            self.reader = who.name

    def _open_importing(self) -> None:
        """The line that takes a mask from a file, once it is asked for: few readers do."""
        if self.files is not None:
            return
        self.files = pn.widgets.FileInput(
            label="Its file", multiple=True, accept=",".join((*RASTERS, *masks.VECTORS, *PARTS)), **SMALL
        )
        self.classes = pn.widgets.TextInput(label="Its classes", value=CLASSES, width=340, **SMALL)
        title = "<h2>Import a mask <small>GeoTIFF, GeoJSON, GeoPackage, or all files of a shapefile</small></h2>"

        async def taken(_: Any) -> None:
            await self._import()

        take = pn.widgets.Button(label="Import", on_click=taken, **SMALL)
        self.imports[:] = [pn.FlexBox(html(title, styles=LINE), self.files, self.classes, take, align_items="center")]

    def _fields(self) -> str:
        """Who reads, which queue, and of which tile, as HTML."""
        queues = {str(value): words for words, value in QUEUES.items()}
        reader = escape(self.reader, quote=True)
        return (
            f'<div class="fields"><label>Reader<input value="{reader}" placeholder="Sign in to judge" disabled></label>'
            f"{select('queue', 'Queue', str(self.queue), queues)}{field('tile', 'Tile', self.tile, '31TCJ')}</div>"
        )

    def _chose(self, choice: str) -> None:
        """Another value of a field, or a button that was pressed: ``tile:31TCJ``, ``queue:True``, ``key:g``."""
        what, _, value = choice.partition(":")
        if what == "key" and value in (*VERDICT_KEYS, *BUTTON_KEYS, *REASON_KEYS):
            self.press(value, self.product)
        elif what == "tile":
            self.tile = value
        elif what == "queue" and value in map(str, QUEUES.values()):
            self.queue = value == str(True)
        elif choice == "import:":
            self._open_importing()

    def _lines(self) -> pn.FlexBox:
        """Lines of the page; only the buttons and the fields share one where it is wide enough."""
        given = [self.comment, self.areas.kind, self.action]
        return pn.FlexBox(
            pn.FlexBox(self._choices, self._progress, align_items="center", gap="2px 12px", styles=LINE),
            self._notice,
            self._head,
            Choice(self._chose, content=_buttons(), style=BUTTONS, styles=PART),
            pn.FlexBox(*given, align_items="center", styles=PART, css_classes=["late"]),
            self.reasons,
            self.viewer,
            self.imports,
            self._said,
            self._agreement,
            sizing_mode="stretch_width",
            stylesheets=[PHONE_CSS],
        )

    def draw(self) -> None:
        """Show what the snapshot says; ask for a product if none is shown."""
        empty = not self.snapshot.ask(queries.count_products)[0]
        self._empty.object = how_to_begin(self.settings) if empty else ""
        self._empty.visible, self._full.visible = empty, not empty
        if empty:
            return
        self._count()
        self._agreement.object = self._readers()
        if not self._proposals:
            self.ask()

    @param.depends("reader", "queue", "tile", watch=True)
    def _show_fields(self) -> None:
        self._choices.content = self._fields()

    @param.depends("reader", "queue", "tile", watch=True)
    def ask(self) -> None:
        """Ask the store what to look at; in a browser it comes when it is found, and nobody else waits for it."""
        document = pn.state.curdoc
        if document is None:
            self._take(self._ranked(self._wanted()))
        elif self._asking is None:
            self._head.object = self._head.object or '<p class="soft">Products that stand out are looked for.</p>'
            self._asking = asyncio.get_running_loop().create_task(self._ask(document))

    async def _ask(self, document: Any) -> None:
        found: list[queue.Proposal] = []
        wanted: tuple[str, str, bool, str] | None = None
        try:
            while wanted != self._wanted():  # something else may be chosen meanwhile
                wanted = self._wanted()
                found = await asyncio.to_thread(self._ranked, wanted)
        except StoreError as fault:
            shown: Callable[[], None] = partial(self._note, f"The store can't be read: {fault}")
        else:
            shown = partial(self._take, found)
        finally:
            self._asking = None
        with suppress(AttributeError, RuntimeError):  # the page was closed meanwhile, and its document is gone
            document.add_next_tick_callback(shown)

    def _take(self, proposals: list[queue.Proposal]) -> None:
        """Stay with the product that is shown if it is to be judged; else show the first one."""
        self._proposals = proposals
        self._count()
        if self._detail is None or self._detail.product.identifier != self.product:
            if not self.product:
                self._next()
            if self._detail is None:  # what the address asks for, or that there is nothing
                self._open()
        elif self._proposals and self.product not in {p.identifier for p in self._proposals}:
            self._next()

    def _wanted(self) -> tuple[str, str, bool, str]:
        """What the queue depends on: without a second reading not on who reads."""
        tile = self.tile.strip().upper().removeprefix("T")
        return str(self.settings.url), self.reader.strip() if self.queue else "", bool(self.queue), tile

    def _ranked(self, wanted: tuple[str, str, bool, str]) -> list[queue.Proposal]:
        """What may be judged now, in the order that it was ranked in a moment ago where nothing was added since."""
        _, reader, second, tile = wanted
        with _ranking, self._store.read() as session:
            now = queue.candidates(session, reader, second=second, tile=tile)
            ranked = _queues.get(wanted)
            if ranked is None or not now.keys() <= {one.product_id for one in ranked}:
                ranked = _queues[wanted] = queue.proposals(session, reader, second=second, tile=tile)
        return [one for one in ranked if one.product_id in now]

    def press(self, key: str, product: str) -> None:
        """One key, meant for the product that was shown when it was pressed."""
        if key == "u":
            self._undo()
        elif product != self.product or not product:
            return  # the page went on before the key came in
        elif key in VERDICT_KEYS:
            self._judge(VERDICT_KEYS[key])
        elif key in REASON_KEYS:
            reason = REASON_KEYS[key]
            chosen = self._chosen()
            self.reasons.value = [r for r in chosen if r != reason] if reason in chosen else [*chosen, reason]
        elif key == "n":
            self._next(put_off=True)
        elif key == "v":
            self.viewer.mask = "CLM" if self.viewer.mask == NO_MASK else NO_MASK
        elif key == "f":
            self.viewer.left = "false" if self.viewer.left == "natural" else "natural"
        elif key == "d":
            self.areas.drop_last()
        elif key == "r":
            self._keep_mask()

    def _judge(self, verdict: str) -> None:
        try:
            said = Judgement(
                verdict,
                people.actor(),
                reasons=self._chosen(),
                comment=self.comment.value_input or self.comment.value or "",
                areas=[
                    {"geometry": shape, "reason": why} for shape, kind, why in self.areas.shapes() if kind == "area"
                ],
                action=self.action.value,
            )
            done = judge(self._store, self.settings, self.product, said)
        except (MuscateError, ValueError) as fault:
            self._note(f"Not kept: {fault}")
            return
        self._note(f"{self.product}: {done}" if done else "")
        self._done.append((self.product, done))
        self._next()

    def _keep_mask(self) -> None:
        """Keep the drawn clouds and shadows as the reference of this image."""
        shapes = [(shape, kind) for shape, kind, _ in self.areas.shapes() if kind != "area"]
        try:
            kept = reference.keep_drawn(self._store, self.settings, self.product, shapes, people.actor())
        except (MuscateError, ValueError) as fault:
            self._note(f"Not kept: {fault}")
            return
        self._note(_kept(kept))
        self.areas.drop_mask()

    async def _import(self) -> None:
        """Keep a mask from a file of the reader's as the reference of this image; others need not wait for it."""
        names: Any = self.files.filename or []
        contents: Any = self.files.value or []
        files = dict(zip(names, contents, strict=True)) if isinstance(names, list) else {names: contents}
        actor, product, said = people.actor(), self.product, self.classes.value.strip()
        self._note("The file is read.")
        try:
            kept = await asyncio.to_thread(self._imported, files, said, product, actor)
        except (MuscateError, ValueError) as fault:
            self._note(f"Not kept: {fault}")
            return
        self._note(_kept(kept))

    def _imported(self, files: dict[str, bytes], said: str, product: str, actor: Actor) -> ReferenceMask:
        actor.require("import_masks")
        if len(files) > MOST_FILES or sum(map(len, files.values())) > LARGEST:
            raise ValueError(f"at most {MOST_FILES} files of {LARGEST / 1e6:.0f} MB together are taken here")
        if said.endswith(".toml"):
            raise ValueError("a TOML file of classes is for the command `muscate mask import`")
        meaning = masks.classes(said)
        with TemporaryDirectory(prefix="muscate-mask-") as folder:
            paths = []
            for name, content in files.items():
                plain = re.sub(r"[^\w.-]", "_", Path(name).name)[-100:]
                paths.append(Path(folder, plain.lstrip(".") or "mask"))
                paths[-1].write_bytes(content)
            whole = [path for path in paths if path.suffix.lower() in (*RASTERS, *masks.VECTORS)]
            if len(whole) != 1:
                raise ValueError("choose one GeoTIFF, GeoJSON or GeoPackage, or all files of one shapefile")
            try:
                return reference.import_file(self._store, self.settings, product, whole[0], meaning, actor)
            except MuscateError as fault:
                raise ValueError(str(fault).replace(folder, "").lstrip("/")) from None

    def _undo(self) -> None:
        if not self._done:
            self._note("Nothing to undo in this session.")
            return
        product, done = self._done[-1]
        try:
            answer = undo(self._store, product, people.actor(), done)
        except MuscateError as fault:
            self._note(f"Not taken back: {fault}")
            return
        self._done.pop()
        self._note(f"{product}: {answer}")
        self._proposals = [p for p in self._proposals if p.identifier != product]
        self._proposals.insert(0, queue.Proposal(0, product, 0.0, ()))
        self.product = product
        self._count()

    def _next(self, put_off: bool = False) -> None:
        """Go to the next product that nobody took meanwhile; `put_off`: this one goes to the end."""
        here = [p for p in self._proposals if p.identifier == self.product]
        self._proposals = [p for p in self._proposals if p.identifier != self.product] + (here if put_off else [])
        with self._store.read() as session:
            while self._proposals and self.queue is False and queue.taken(session, self._proposals[0].product_id):
                self._proposals.pop(0)
        if not self._proposals:
            self._proposals = self._ranked(self._wanted())  # older ones, where the archive holds more than a queue
        self.product = self._proposals[0].identifier if self._proposals else ""
        with self._store.read() as session:
            ahead = [queries.folder(session, p.identifier) for p in self._proposals[1 : 1 + AHEAD]]
        self.keys.ahead = [[f.identifier, f.manifest_sha[:12]] for f in ahead if f is not None]
        self._count()

    def _note(self, text: str) -> None:
        self._notice.object = f'<div class="note">{escape(text)}</div>' if text else ""
        self._notice.visible = bool(text)

    def _chosen(self) -> list[str]:
        return list(self.reasons.value or ())

    # What is shown

    @param.depends("product", watch=True)
    def _open(self) -> None:
        self.reasons.value, self.comment.value, self.comment.value_input = [], "", ""
        self.areas.clear()
        self._detail = None
        if self.product:
            with self._store.read() as session:
                self._detail = queries.detail(session, self.product)
        detail = self._detail
        self.viewer.__panel__().visible = False
        self.imports.visible = detail is not None
        self._said.object = ""
        if detail is None:
            self._head.object = (
                f'<div class="note"><b>{escape(self.product)}</b> is not a product of this centre.</div>'
                if self.product
                else f'<div class="note"><h2>The queue is empty</h2><p>{NOTHING_LEFT[self.queue]}</p></div>'
            )
            return
        proposal = next((p for p in self._proposals if p.identifier == self.product), None)
        why = "; ".join(proposal.why) if proposal else ""
        reason = f"<b>Stands out:</b> {escape(why) or 'in nothing'}"
        name = escape(self.product)
        link = f'<a href="/compare?left={name}" target="_blank">Compare · c</a>'
        self._head.object = headline(detail) + f'<div data-product="{name}">{reason} · {link}</div>'
        self._said.object = _earlier(detail)
        self._head.object += self.viewer.show_product(detail.product, self.settings.archive)

    def _count(self) -> None:
        mine = len(self._done)
        said = self.snapshot.ask(queries.judged).values()
        every = sum(sum(of_version.values()) for of_version in said)
        judged = every - sum(of_version.get("", 0) for of_version in said)
        self._progress.object = (
            f'<span data-left="{len(self._proposals)}"><b>{theme.number(len(self._proposals))}</b> in the queue · '
            f"<b>{theme.number(mine)}</b> judged in this session · {theme.number(judged)} of "
            f"{theme.number(every)} products judged at all · "
            '<a href="/api/quality/verdicts.csv">CSV</a> · <a href="/api/quality/verdicts.geojson">GeoJSON</a></span>'
        )

    def _readers(self) -> str:
        with self._store.read() as session:
            found = agreements(session)
        if not found:
            return ""
        rows = [
            [
                escape(a.first),
                escape(a.second),
                theme.number(a.products),
                f"{100 * a.observed:.0f} %",
                "not defined" if a.kappa is None else f"{a.kappa:.2f}",
            ]
            for a in found
        ]
        head = ["Reader", "and", "Products", "Agreed", "Cohen's kappa"]
        return "<h2>Agreement of readers</h2>" + table(head, rows, numbers=head[2:])

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout


class Reasons(Choice):
    """Reasons of a verdict as buttons, each with its key."""

    value = param.List(default=[], doc="Of `theme.REASONS`.")

    @param.depends("value", watch=True, on_init=True)
    def _draw(self) -> None:
        buttons = "".join(
            f'<button name="{reason}" data-choice="key:{key}" aria-pressed="{str(reason in self.value).lower()}">'
            f"{theme.REASONS[reason]} · {key}</button>"
            for key, reason in REASON_KEYS.items()
        )
        self.content = f'<div class="row">{buttons}</div>'


def _buttons() -> str:
    """What keys do, for a mouse, as HTML."""
    made = []
    for key, verdict in VERDICT_KEYS.items():
        words, colour = theme.VERDICTS[verdict]
        style = f' style="background:{colour};color:{theme.ink(colour)}"'
        made.append(f'<button name="key-{key}" data-choice="key:{key}"{style}>{words} · {key}</button>')
    made += [f'<button name="key-{key}" data-choice="key:{key}">{words}</button>' for key, words in BUTTON_KEYS.items()]
    return f'<div class="row">{"".join(made)}</div>'


def _kept(mask: ReferenceMask) -> str:
    """That a mask was kept, and what has to be known of it."""
    counts = ", ".join(f"{theme.number(n)} {kind}" for kind, n in mask.pixels.items() if n)
    kept = f"Kept as the reference mask of {mask.image}: {counts} pixels of {reference.RESOLUTION} m."
    return " ".join([kept, *(f"{remark[0].upper()}{remark[1:]}." for remark in reference.remarks(mask))])


def _earlier(detail: queries.Detail) -> str:
    """What readers said of this product, as HTML."""
    rows = [
        [
            theme.verdict_chip(v.verdict),
            escape(v.reader),
            escape(", ".join(theme.REASONS[r] for r in v.reasons)),
            escape(v.comment),
            ", ".join(theme.REASONS[area["reason"]] if area["reason"] else "no reason" for area in v.areas),
            theme.utc(v.time),
        ]
        for v in detail.verdicts
    ]
    if not rows:
        return ""
    return "<h2>Verdicts of this product</h2>" + table(["", "Reader", "Reasons", "Comment", "Areas", "When"], rows)
