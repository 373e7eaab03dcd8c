"""Failures: every date that gave no product or had to be looked at, why, what its attempts did, and what to do."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param
from sqlalchemy.orm import Session

from dashboard import people, queries, theme
from dashboard.frame import CSS, View, html, table
from dashboard.pages import rights
from dashboard.pages.choice import Choice, field, select
from dashboard.pages.production import PERIODS, address
from dashboard.snapshot import Snapshot
from processing.errors import MuscateError, UnknownName
from processing.production import operations
from processing.settings import Settings
from processing.store import Store, attempts, failures, orders
from processing.store.attempts import Try
from processing.store.failures import Failure, Wanted
from processing.store.models import Job

ANY = "any"
ALL = "all"
#: What a reader may choose; `ANY` are all that went wrong.
STATES = {
    ANY: tuple(state for state in failures.STATES if state != "not_valid"),
    **{state: (state,) for state in failures.STATES},
    "published": ("published",),
}
#: Dates on a page.
PAGE = 50
#: Orders that somebody may give, by the states in which they make sense.
ORDERS = {
    "retry": ("failed", "rejected", "retry"),
    "replay": ("published", "failed", "rejected", "not_valid"),
    "hold": ("ready", "retry", "running"),
    "release": ("held",),
    "reject": ("ready", "retry", "running", "held", "failed"),
}
#: Refused packages that are listed.
REFUSED = 30

STYLE = (
    CSS
    + """
tr.chosen { background: var(--fill); outline: 1px solid var(--soft); }
td, a { overflow-wrap: normal; } td a { white-space: nowrap; }
td.reason { max-width: 46ch; overflow-wrap: anywhere; }
pre.log { font-size: 12px; line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--fill);
          border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; max-height: 520px; overflow: auto;
          margin: 4px 0; }
pre.log .warning { font-weight: 600; } pre.log .error { font-weight: 600; border-left: 3px solid #D55E00;
                                                        padding-left: 6px; display: inline-block; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 4px 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""
)


def found(session: Session, wanted: Wanted, page: int) -> tuple[list[Failure], int]:
    """One page of dates, and how many there are."""
    return failures.find(session, wanted, PAGE, page * PAGE), sum(failures.counts(session, wanted).values())


def refused(session: Session, since: datetime | None, until: datetime | None) -> list[failures.Refused]:
    """As of `failures.refused`."""
    return failures.refused(session, since, until, REFUSED)


class Text(param.String):
    """Text, even where the address holds what looks like a number."""

    def __set__(self, obj: Any, val: Any) -> None:
        """Take a value as it was written."""
        super().__set__(obj, str(val) if isinstance(val, int | float) else val)


class Failures(View):
    """Filters, list, and the chosen date with its attempts; the address holds all of them."""

    state: Any = Text(default=ANY, doc="One of `STATES`, or several states with commas.")
    reason_class: Any = param.Selector(default=ANY, objects=[ANY, *failures.CLASSES])
    site: Any = param.Selector(default=ANY, objects=[ANY])
    tile: Any = Text(doc="Tile, 31TCJ.")
    version: Any = param.Selector(default=ANY, objects=[ANY])
    period: Any = param.Selector(default=ALL, objects=[ALL, *PERIODS])
    since: Any = Text(doc="Ended from this day on, 2026-08-31; in place of a period.")
    until: Any = Text(doc="Ended before this day.")
    signature: Any = Text(doc="What the reasons have in common.")
    page = param.Integer(default=0, bounds=(0, None))
    job: Any = Text(doc="Key of the date that is looked at.")
    attempt = param.Integer(default=0, bounds=(0, None), doc="The attempt whose log is shown; 0: the last one.")

    #: What the address holds.
    ADDRESS = ("state", "reason_class", "site", "tile", "version", "period", "since", "until", "signature")
    CHOICE = ("page", "job", "attempt")

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, **params: Any) -> None:
        self._store = store
        self._sites = dict(snapshot.ask(failures.sites))
        self.param.site.objects = [ANY, *self._sites]
        self.param.version.objects = [ANY, *snapshot.ask(queries.offered)["version"]]
        super().__init__(snapshot, settings, **params)
        self._head, self._said = html(), html()
        self._filters = Choice(self._chose)
        self._list = Choice(self._chose, style=STYLE)
        self._detail = Choice(self._chose, style=STYLE)
        self._refused = html()
        self._buttons = pn.FlexBox(sizing_mode="stretch_width", gap="0 8px")
        wide = {"flex": "3 1 520px", "min-width": "min(100%, 320px)", "max-width": "100%"}
        self._layout = pn.Column(
            self._head,
            self._filters,
            pn.FlexBox(
                pn.Column(self._list, self._refused, styles=wide),
                pn.Column(self._detail, self._buttons, self._said, styles={**wide, "flex": "2 1 420px"}),
                # On a narrow screen what was chosen stands above the long list.
                flex_wrap="wrap-reverse",
                align_items="flex-end",
                sizing_mode="stretch_width",
                gap="8px 24px",
            ),
            sizing_mode="stretch_width",
        )
        if pn.state.location:
            pn.state.location.sync(self, {name: name for name in (*self.ADDRESS, *self.CHOICE)})
        self.param.watch(self._narrowed, list(self.ADDRESS))
        self.param.watch(lambda _: self.draw(), list(self.CHOICE))

    def _fields(self) -> str:
        """The filters, as HTML."""
        states = {ANY: "all that went wrong", **{state: _word(state) for state in STATES if state != ANY}}
        versions = {name: name for name in self.param.version.objects}
        fields = (
            select("state", "State", self.state, states),
            select("reason_class", "Class", self.reason_class, {name: name for name in (ANY, *failures.CLASSES)}),
            select("site", "Site", self.site, {ANY: ANY, **self._sites}),
            field("tile", "Tile", self.tile, "31TCJ"),
            select("version", "Version", self.version, versions),
            select("period", "Ended in the last", self.period, {name: name for name in (ALL, *PERIODS)}),
            field("since", "From", self.since, "2026-08-01"),
            field("until", "Before", self.until, "2026-08-31"),
            field("signature", "Reason in common", self.signature),
        )
        return f'<div class="fields">{"".join(fields)}</div>'

    # What is wanted

    def wanted(self) -> Wanted:
        """What the filters ask for.

        Raises
        ------
        ValueError
            If one of them can't be understood; the words are for the reader.
        """
        states = STATES.get(self.state) or tuple(name.strip() for name in self.state.split(","))
        unknown = [name for name in states if name not in (*failures.STATES, "published")]
        if unknown:
            raise ValueError(f"{unknown[0]} is no state")
        since, until = _day(self.since), _day(self.until)
        if since is None and until is None and self.period != ALL:
            # To the minute, so that looking twice asks once.
            since = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=PERIODS[self.period])
        return Wanted(
            states=states,
            reason_class="" if self.reason_class == ANY else self.reason_class,
            site="" if self.site == ANY else self.site,
            tile=self.tile.strip().upper().removeprefix("T"),
            version="" if self.version == ANY else self.version,
            signature=self.signature,
            since=since,
            until=until,
        )

    def _narrowed(self, *_: Any) -> None:
        """Other filters: from the first page on."""
        if self.page:
            self.page = 0  # draws
        else:
            self.draw()

    def _chose(self, choice: str) -> None:
        """A click in the list or in the detail, ``job:12``, ``attempt:2``, ``page:1``; a filter, ``tile:31TCJ``."""
        what, _, value = choice.partition(":")
        with contextlib.suppress(ValueError):  # a choice that isn't offered, and was not made on this page
            if what == "job":
                self.param.update(job=value, attempt=0)
            elif what in ("page", "attempt"):
                self.param.update(**{what: int(value)})
            elif what in self.ADDRESS:
                self.param.update(**{what: value})

    # Drawing

    def draw(self) -> None:
        """Show the list and the chosen date."""
        with pn.io.hold():
            self._filters.content = self._fields()
            try:
                wanted = self.wanted()
            except ValueError as fault:
                self._head.object = f'<h2>Failures</h2><div class="note">{escape(str(fault))}.</div>'
                self._list.content = self._refused.object = ""
            else:
                self._draw_list(wanted)
            self._draw_detail()

    def _draw_list(self, wanted: Wanted) -> None:
        rows, total = self.snapshot.ask(found, wanted, self.page)
        counts = f"{theme.number(total)} date{'' if total == 1 else 's'}"
        chosen = " · ".join(self._told(wanted))
        self._head.object = f"<h2>{counts} <small>{escape(chosen)}</small></h2>"
        if not rows:
            self._list.content = '<p class="soft">No date is like this.</p>'
        else:
            self._list.content = _list(rows, self.job, self._link) + self._pages(total)
        turned_away = self.snapshot.ask(refused, wanted.since, wanted.until)
        self._refused.object = _refused_table(turned_away)

    def _told(self, wanted: Wanted) -> list[str]:
        """The filters in words."""
        told = [", ".join(map(_word, wanted.states))]
        told += [wanted.reason_class, self._sites.get(wanted.site, ""), wanted.tile, wanted.version]
        if wanted.since is not None:
            told.append(f"since {theme.utc(wanted.since)}")
        if wanted.until is not None:
            told.append(f"before {theme.utc(wanted.until)}")
        return [words for words in told if words]

    def _link(self, **values: Any) -> str:
        """The address of this page with something else chosen."""
        now = {name: getattr(self, name) for name in self.ADDRESS}
        kept = {name: value for name, value in now.items() if value != self.param[name].default}
        return escape(address("failures", **{**kept, **values}))

    def _pages(self, total: int) -> str:
        """Links to the pages beside this one."""
        links = []
        for number, words in ((self.page - 1, "◀ later ones"), (self.page + 1, "earlier ones ▶")):
            if number >= 0 and number * PAGE < total:
                links.append(f'<a href="{self._link(page=number)}" data-choice="page:{number}">{words}</a>')
        first = self.page * PAGE + 1
        here = f"{first} to {min(first + PAGE - 1, total)} of {theme.number(total)}"
        return f"<p>{' · '.join([here, *links])}</p>"

    def _draw_detail(self) -> None:
        self._buttons.objects = []
        if not self.job:
            self._detail.content = '<p class="soft">Choose a date to see its attempts and their logs.</p>'
            return
        try:
            with self._store.read() as session:
                job = attempts.jobs(session, f"job:{self.job}")[0]
                tries = attempts.of_job(session, job)
                told = orders.story(session, job)
        except UnknownName:
            self._detail.content = f'<p class="note">There is no date {escape(self.job)}.</p>'
            return
        number = self.attempt or len(tries)
        shown = next((one for one in tries if one.number == number), None)
        self._detail.content = self._facts(job, told) + self._attempts(tries, number) + self._log(shown)
        self._buttons.objects = self._orders(job)

    def _facts(self, job: Job, told: dict[str, Any]) -> str:
        tile = str(told["date"]).split()[1]
        links = [f'<a href="/coverage?tile={escape(tile)}">the tile</a>']
        links.append(f'<a href="{escape(address("failures", tile=tile))}">all that went wrong with it</a>')
        if told["product"]:
            product = escape(str(told["product"]))
            links.insert(0, f'<a href="/products?product={product}">the product and its pixels</a>')
        rows = {
            "State": theme.chip(_word(job.state), theme.colour(job.state)),
            "Why": escape(str(told["why"])),
            "Class": escape(job.reason_class or "–"),
            "Product": escape(str(told["product"] or "–")),
            "Level-1C": "<br>".join(escape(name) for name in told["l1c"]) or "–",
            "Attempts": f"{told['attempts']} that count, revision {told['revision']}" + (", late" if job.late else ""),
            "See": " · ".join(links),
        }
        facts = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items())
        return f"<h2>{escape(str(told['date']))} <small>{escape(str(told['version']))}</small></h2><dl>{facts}</dl>"

    def _attempts(self, tries: list[Try], number: int) -> str:
        rows = []
        for one in tries:
            made = one.attempt
            began, link = made.started or made.claimed, self._link(job=self.job, attempt=one.number)
            mark = " aria-current=true" if one.number == number else ""
            rows.append(
                (
                    f'<a href="{link}" data-choice="attempt:{one.number}"{mark}>{one.number}</a>',
                    theme.utc(began),
                    theme.duration(made.ended - began) if made.ended else "runs",
                    escape(made.outcome or (made.step or "running").replace("_", " ")),
                    escape(made.host or made.owner),
                    f"{made.peak_memory / 1e9:.1f} GB" if made.peak_memory else "–",
                )
            )
        if not rows:
            return '<p class="soft">No worker has begun with it.</p>'
        return "<h2>Attempts</h2>" + table(
            ["No.", "Began", "Took", "Outcome", "Host", "Memory"], rows, ["Took", "Memory"]
        )

    def _log(self, shown: Try | None) -> str:
        if shown is None:
            return ""
        lines = operations.log_lines(self.settings, shown.attempt.log_path)
        text = "\n".join(f'<span class="{escape(line.level)}">{escape(line.text())}</span>' for line in lines)
        command = f"muscate logs job:{shown.job.id} --attempt {shown.number}"
        title = f"<h2>Log of attempt {shown.number} <small><code>{command}</code></small></h2>"
        return f'{title}<pre class="log" tabindex="0" aria-label="Log">{text}</pre>'

    # Orders

    def _orders(self, job: Job) -> list[Any]:
        """Buttons for what may be done with a date, by those who may."""
        if not rights.may("order"):
            return [html('<p class="soft">Sign in as an operator to retry, hold or reject it.</p>')]
        return [
            pmui.Button(
                label=verb.capitalize(),
                size="small",
                variant="outlined",
                on_click=lambda _, verb=verb: self._order(verb, job.id),
            )
            for verb, states in ORDERS.items()
            if job.state in states
        ]

    def _order(self, verb: str, job_id: int) -> None:
        try:
            answer = getattr(operations, verb)(self._store, f"job:{job_id}", people.actor())
        except MuscateError as error:
            answer = str(error)
        self._said.object = f'<div class="note" role="status">{escape(verb)}: {escape(answer)}</div>'
        self._draw_detail()

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout


def _word(state: str) -> str:
    """A state in words; one that waits to be tried again has been tried."""
    return "To be tried again" if state == "retry" else theme.word(state)


def _day(text: str) -> datetime | None:
    """A day or a time, UTC; None for nothing.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if not text.strip():
        return None
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text} is no day like 2026-08-31") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _list(rows: list[Failure], job: str, link: Any) -> str:
    """Dates as a table; a click on one chooses it."""
    body = []
    for row in rows:
        chosen = ' class="chosen" aria-current="true"' if str(row.job_id) == job else ""
        choice = f'href="{link(job=row.job_id)}" data-choice="job:{row.job_id}"'
        mark = " " + theme.simulated_mark() if row.simulated else ""
        tile = f'<a href="{link(tile=row.tile)}" data-choice="tile:{escape(row.tile)}">{escape(row.tile)}</a>'
        body.append(
            f"<tr{chosen}><td>{theme.chip(_word(row.state), theme.colour(row.state))}{mark}</td><td>{tile}</td>"
            f"<td><a {choice}>{row.sensing:%Y-%m-%d}</a></td><td>{escape(row.version)}</td>"
            f'<td class="reason">{escape(row.reason)}</td><td>{escape(row.reason_class)}</td>'
            f'<td style="white-space:nowrap">{row.time:%Y-%m-%d %H:%M}</td><td class="num">{row.attempts}</td></tr>'
        )
    head = "".join(f"<th>{name}</th>" for name in ("State", "Tile", "Date", "Version", "Reason", "Class", "Ended, UTC"))
    return (
        f'<div class="scroll"><table><thead><tr>{head}<th class="num">Attempts</th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _refused_table(turned_away: list[failures.Refused]) -> str:
    title = '<h2 id="refused">Refused drops <small>packages that never became a date</small></h2>'
    if not turned_away:
        return title + '<p class="soft">None in this time.</p>'
    rows = [
        (f"{one.time:%Y-%m-%d %H:%M}", escape(one.name), escape(one.reason), escape(one.source)) for one in turned_away
    ]
    return title + table(["Time, UTC", "Package", "Reason", "From"], rows)
