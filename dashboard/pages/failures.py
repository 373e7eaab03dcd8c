"""Failures: every date that gave no product or had to be looked at, why, what its attempts did, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from dashboard import live, people, queries, theme
from dashboard.address import address, changed
from dashboard.api.centre import Centre, Here
from dashboard.choice import field, select
from dashboard.forms import Fields, moment
from dashboard.frame import table
from dashboard.pages import rights
from dashboard.pages.production import PERIODS
from dashboard.snapshot import Snapshot
from processing.errors import MuscateError, NotAllowed, UnknownName
from processing.production import operations
from processing.settings import Settings
from processing.store import Store, attempts, failures, formats, orders
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

router = APIRouter(include_in_schema=False)


def found(session: Session, wanted: Wanted, page: int) -> tuple[list[Failure], int]:
    """One page of dates, and how many there are."""
    return failures.find(session, wanted, PAGE, page * PAGE), sum(failures.counts(session, wanted).values())


def refused(session: Session, since: datetime | None, until: datetime | None) -> list[failures.Refused]:
    """As of `failures.refused`."""
    return failures.refused(session, since, until, REFUSED)


Text = Annotated[str, Field(max_length=500)]


class Asked(BaseModel):
    """What the address asks for.

    Attributes
    ----------
    state : str
        One of `STATES`, or several states with commas.
    reason_class, site, tile, version, period : str
        `ANY` and `ALL` ask for nothing.
    since, until : str
        Ended from this day on, 2026-08-31, in place of a period; and before this day.
    signature : str
        What the reasons have in common.
    page : int
    job : str
        Key of the date that is looked at.
    attempt : int
        The attempt whose log is shown; 0: the last one.
    """

    state: Text = ANY
    reason_class: Text = ANY
    site: Text = ANY
    tile: Text = ""
    version: Text = ANY
    period: Text = ALL
    since: Text = ""
    until: Text = ""
    signature: Text = ""
    page: Annotated[int, Field(ge=0, le=10**6)] = 0
    job: Text = ""
    attempt: Annotated[int, Field(ge=0, le=10**6)] = 0

    def changed(self, **values: object) -> str:
        """The address of the page with something else chosen."""
        return changed("failures", self, **values)


class Failures:
    """Filters, list, and the chosen date with its attempts; the address holds all of them."""

    def __init__(self, store: Store, snapshot: Snapshot, settings: Settings, asked: Asked) -> None:
        self._store, self.snapshot, self.settings, self.asked = store, snapshot, settings, asked
        self._sites = dict(snapshot.ask(failures.sites))
        self._versions = [ANY, *snapshot.ask(queries.offered)["version"]]
        #: What of the address can't be, in words.
        self.faults: list[str] = []

    def parts(self, told: str = "", admitted: str = "") -> dict[str, str]:
        """The filters, the list and the chosen date, each as HTML; `told`, `admitted`: what came of an order."""
        head = listed = turned_away = ""
        try:
            wanted = self.wanted()
        except ValueError as fault:
            self.faults.append(str(fault))
            head = f'<h2>Failures</h2><div class="note" role="alert">{escape(str(fault))}.</div>'
        else:
            head, listed, turned_away = self._listed(wanted)
        return {
            "head": head,
            "filters": self._fields(),
            "list": listed,
            "held": admitted + self._held(),
            "refused": turned_away,
            "detail": self._detail(told),
        }

    def body(self, told: str = "", admitted: str = "") -> str:
        """The parts where they belong, as HTML."""
        made = {name: live.part(name, content) for name, content in self.parts(told, admitted).items()}
        # On a narrow screen what was chosen stands above the long list.
        both = f'<div class="wide">{made["list"]}{made["refused"]}</div><div class="narrow">{made["detail"]}</div>'
        return f'{made["head"]}{made["held"]}{made["filters"]}<div class="beside turned">{both}</div>'

    def _fields(self) -> str:
        """The filters, as HTML."""
        now = self.asked
        states = {ANY: "all that went wrong", **{state: _word(state) for state in STATES if state != ANY}}
        fields = (
            select("state", "State", now.state, states, ANY),
            select("reason_class", "Class", now.reason_class, {name: name for name in (ANY, *failures.CLASSES)}, ANY),
            select("site", "Site", now.site, {ANY: ANY, **self._sites}, ANY),
            field("tile", "Tile", now.tile, "31TCJ"),
            select("version", "Version", now.version, {name: name for name in self._versions}, ANY),
            select("period", "Ended in the last", now.period, {name: name for name in (ALL, *PERIODS)}, ALL),
            field("since", "From", now.since, "2026-08-01"),
            field("until", "Before", now.until, "2026-08-31"),
            field("signature", "Reason in common", now.signature),
        )
        return f'<form method="get" action="/failures" class="fields">{"".join(fields)}<button>Show</button></form>'

    # What is wanted

    def wanted(self) -> Wanted:
        """What the filters ask for.

        Raises
        ------
        ValueError
            If one of them can't be understood; the words are for the reader.
        """
        now = self.asked
        states = STATES.get(now.state) or tuple(name.strip() for name in now.state.split(","))
        offered = {
            "state": (states, (*failures.STATES, "published"), "no state"),
            "reason_class": ((now.reason_class,), (ANY, *failures.CLASSES), "no class of reasons"),
            "site": ((now.site,), (ANY, *self._sites), "no site of this centre"),
            "version": ((now.version,), self._versions, "no version of this centre"),
            "period": ((now.period,), (ALL, *PERIODS), f"no period: {', '.join(PERIODS)}"),
        }
        for given, words, what in offered.values():
            if unknown := [name for name in given if name not in words]:
                raise ValueError(f"{unknown[0]} is {what}")
        since, until = _day(now.since), _day(now.until)
        if since is None and until is None and now.period != ALL:
            # To the minute, so that looking twice asks once.
            since = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=PERIODS[now.period])
        return Wanted(
            states=states,
            reason_class="" if now.reason_class == ANY else now.reason_class,
            site="" if now.site == ANY else now.site,
            tile=now.tile.strip().upper().removeprefix("T"),
            version="" if now.version == ANY else now.version,
            signature=now.signature,
            since=since,
            until=until,
        )

    # The list

    def _listed(self, wanted: Wanted) -> tuple[str, str, str]:
        """Title, list and refused drops, as HTML."""
        rows, total = self.snapshot.ask(found, wanted, self.asked.page)
        counts = f"{theme.number(total)} date{'' if total == 1 else 's'}"
        head = f"<h2>{counts} <small>{escape(' · '.join(self._told(wanted)))}</small></h2>"
        listed = '<p class="soft">No date is like this.</p>'
        if rows:
            listed = _list(rows, self.asked) + self._pages(total)
        return head, listed, _refused_table(self.snapshot.ask(refused, wanted.since, wanted.until))

    def _told(self, wanted: Wanted) -> list[str]:
        """The filters in words."""
        told = [", ".join(map(_word, wanted.states))]
        told += [wanted.reason_class, self._sites.get(wanted.site, ""), wanted.tile, wanted.version]
        if wanted.since is not None:
            told.append(f"since {theme.utc(wanted.since)}")
        if wanted.until is not None:
            told.append(f"before {theme.utc(wanted.until)}")
        return [words for words in told if words]

    def _pages(self, total: int) -> str:
        """Links to the pages beside this one."""
        links, here = [], self.asked.page
        for number, words in ((here - 1, "◀ later ones"), (here + 1, "earlier ones ▶")):
            if number >= 0 and number * PAGE < total:
                links.append(f'<a href="{escape(self.asked.changed(page=number))}">{words}</a>')
        first = here * PAGE + 1
        told = f"{first} to {min(first + PAGE - 1, total)} of {theme.number(total)}"
        return f"<p>{' · '.join([told, *links])}</p>"

    def _held(self) -> str:
        """What waits to be admitted, and a button for each, as HTML; nothing where nothing waits."""
        rows = []
        for need, count in self.snapshot.ask(formats.waiting).items():
            told = f"{theme.number(count)} package{'' if count == 1 else 's'} {formats.recognised([need])}."
            way = "Sign in as an operator to admit it."
            if rights.may("admit"):
                way = live.order(self.asked.changed(), f"Admit {need}", {"order": "admit", "name": need})
            rows.append(f"<p>{escape(told)} <code>muscate admit {escape(need)}</code></p>")
            rows.append(f'<div class="orders">{way}</div>')
        return f'<div class="note" role="status">{"".join(rows)}</div>' if rows else ""

    def admit(self, name: str) -> str:
        """Let a satellite or baseline in by what waits for it; what came of it, as HTML."""
        # It reads packages and folds tables: not for every page.
        from processing.production import admission

        try:
            made = admission.admit(self._store, self.settings, name, people.actor(), release=False)
        except NotAllowed:
            raise
        except MuscateError as error:
            return live.answered(f"admit: {error}", fault=True)
        report = escape("\n".join(made.report))
        done = live.answered(f"{name} is admitted: what waits for it is taken within a minute")
        # a table of figures: on a narrow screen it is scrolled, not broken
        style = "white-space:pre;overflow-x:auto"
        return f'{done}<pre class="log" style="{style}" tabindex="0" role="group" aria-label="Report">{report}</pre>'

    # The chosen date

    def _detail(self, told: str) -> str:
        if not self.asked.job:
            return told + '<p class="soft">Choose a date to see its attempts and their logs.</p>'
        try:
            with self._store.read() as session:
                job = attempts.jobs(session, f"job:{self.asked.job}")[0]
                tries = attempts.of_job(session, job)
                story = orders.story(session, job)
        except UnknownName:
            self.faults.append(f"There is no date {self.asked.job}")
            return told + f'<p class="note">There is no date {escape(self.asked.job)}.</p>'
        number = self.asked.attempt or len(tries)
        shown = next((one for one in tries if one.number == number), None)
        made = self._facts(job, story) + self._orders(job) + told
        return made + self._attempts(tries, number) + self._log(shown)

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
            began, link = made.started or made.claimed, escape(self.asked.changed(attempt=one.number))
            mark = " aria-current=true" if one.number == number else ""
            rows.append(
                (
                    f'<a href="{link}"{mark}>{one.number}</a>',
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
        return f'{title}<pre class="log" tabindex="0" role="group" aria-label="Log">{text}</pre>'

    def _orders(self, job: Job) -> str:
        """Buttons for what may be done with a date, by those who may."""
        if not rights.may("order"):
            return '<p class="soft">Sign in as an operator to retry, hold or reject it.</p>'
        here = self.asked.changed()
        buttons = [
            live.order(here, verb.capitalize(), {"order": verb})
            for verb, states in ORDERS.items()
            if job.state in states
        ]
        return f'<div class="orders">{"".join(buttons)}</div>'

    def order(self, verb: str) -> str:
        """Give an order for the chosen date; what came of it, as HTML."""
        try:
            if verb not in ORDERS:
                raise UnknownName(f"{verb} is no order: {', '.join(ORDERS)}")
            answer = getattr(operations, verb)(self._store, f"job:{self.asked.job}", people.actor())
        except NotAllowed:
            raise
        except MuscateError as error:
            return live.answered(f"{verb}: {error}", fault=True)
        return live.answered(f"{verb}: {answer}")


@router.get("/failures", response_class=HTMLResponse)
def page(centre: Here, request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """The page, or how old it is where it shows this state of the store already."""
    snapshot = centre.snapshots.latest()
    if (answer := live.unchanged(request, centre, snapshot)) is not None:
        return answer
    return _page(centre, snapshot, asked)


@router.post("/failures", response_class=HTMLResponse)
def order(centre: Here, asked: Annotated[Asked, Query()], fields: Fields) -> HTMLResponse:
    """Give an order for the date that the address names, or admit what is held; the page with what came of it."""
    snapshot = centre.snapshots.latest()
    page, verb = Failures(centre.store, snapshot, centre.settings, asked), fields.get("order", "")
    told, admitted = ("", page.admit(fields.get("name", ""))) if verb == "admit" else (page.order(verb), "")
    return _page(centre, centre.snapshots.latest(at_once=True), asked, told, admitted)


def _page(centre: Centre, snapshot: Snapshot, asked: Asked, told: str = "", admitted: str = "") -> HTMLResponse:
    made = Failures(centre.store, snapshot, centre.settings, asked)
    body = made.body(told, admitted)
    return live.page(centre, "failures", snapshot, body, styles="live.css", status=404 if made.faults else 200)


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
        return moment(text)
    except ValueError:
        raise ValueError(f"{text} is no day like 2026-08-31") from None


def _list(rows: list[Failure], asked: Asked) -> str:
    """Dates as a table; a click on one chooses it."""
    body = []
    for row in rows:
        chosen = ' class="chosen" aria-current="true"' if str(row.job_id) == asked.job else ""
        mark = " " + theme.simulated_mark() if row.simulated else ""
        tile = escape(asked.changed(tile=row.tile, page=0, job="", attempt=0))
        date = escape(asked.changed(job=str(row.job_id), attempt=0))
        body.append(
            f"<tr{chosen}><td>{theme.chip(_word(row.state), theme.colour(row.state))}{mark}</td>"
            f'<td><a href="{tile}">{escape(row.tile)}</a></td>'
            f'<td><a href="{date}" data-job="{row.job_id}">{row.sensing:%Y-%m-%d}</a></td>'
            f'<td>{escape(row.version)}</td><td class="reason">{escape(row.reason)}</td>'
            f'<td>{escape(row.reason_class)}</td><td style="white-space:nowrap">{row.time:%Y-%m-%d %H:%M}</td>'
            f'<td class="num">{row.attempts}</td></tr>'
        )
    head = "".join(f"<th>{name}</th>" for name in ("State", "Tile", "Date", "Version", "Reason", "Class", "Ended, UTC"))
    whole = f'<thead><tr>{head}<th class="num">Attempts</th></tr></thead><tbody>{"".join(body)}</tbody>'
    return f'<div class="scroll" tabindex="0" role="group" aria-label="Dates"><table>{whole}</table></div>'


def _refused_table(turned_away: list[failures.Refused]) -> str:
    title = '<h2 id="refused">Refused drops <small>packages that never became a date</small></h2>'
    if not turned_away:
        return title + '<p class="soft">None in this time.</p>'
    rows = [
        (f"{one.time:%Y-%m-%d %H:%M}", escape(one.name), escape(one.reason), escape(one.source)) for one in turned_away
    ]
    return title + table(["Time, UTC", "Package", "Reason", "From"], rows)
