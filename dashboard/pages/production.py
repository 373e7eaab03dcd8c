"""Production: how much, how fast, what waits and why, what is late and where, what went wrong."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Annotated, Any

import pandas as pd
from cachetools import TTLCache
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from dashboard import charts, live, queries, theme
from dashboard.address import address, said
from dashboard.api.centre import Here
from dashboard.choice import choice
from dashboard.frame import kpis, legend, plain, table
from dashboard.snapshot import Snapshot
from processing.settings import Settings
from processing.store import backlog, bulletins, delays, failures, formats, passes, traffic
from processing.store.failures import without_name

PERIODS = {"24 hours": 1, "7 days": 7, "30 days": 30, "1 year": 365}
#: Bars of a period that is shown without a choice of their length.
STEPS = {"24 hours": "hour", "7 days": "day", "30 days": "day", "1 year": "week"}
AUTO = "by period"
#: States behind the tile of what went wrong.
WRONG = ("rejected", "failed")
#: Rows of each list before the rest is left to its own page.
SHOWN = 12
#: A source that sent nothing for this, but did before, is silent.
SILENT = timedelta(hours=36)
#: Share of a quota that is marked.
NEARLY = 0.9
#: Disk that lasts no longer than this is marked. [days]
SHORT = 14
#: Passes that are missing, by store: finding them takes a while, and none is missing from one minute to the next.
_missing: TTLCache[str, list[passes.Missing]] = TTLCache(maxsize=4, ttl=600)
#: Colours of what the team tells.
TOLD = {"news": "#0B5C8A", "incident": "#C5303D", "maintenance": "#6B4FA0"}
#: The archive's growth is that of the last days.
GROWTH_DAYS = 7

router = APIRouter(include_in_schema=False)


def _since(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def outcomes(session: Session, days: int) -> pd.DataFrame:
    """As of `queries.outcomes_per_hour`, in days for a long period."""
    whole = charts.floor(_since(days), "week" if days > 31 else "day" if days > 1 else "hour")
    return queries.outcomes_per_hour(session, whole, 3600 if days <= 31 else 86400)


def by_site(session: Session, days: int) -> dict[str, delays.Delays]:
    """As of `delays.by_site`."""
    return delays.by_site(session, _since(days))


def blame(session: Session) -> delays.Blame | None:
    """As of `delays.blame`, now."""
    return delays.blame(session, datetime.now(UTC))


def failed(session: Session, days: int) -> list[failures.Group]:
    """What went wrong in a period, but dates that are not valid."""
    states = tuple(state for state in failures.STATES if state != "not_valid")
    return failures.groups(session, failures.Wanted(states=states, since=_since(days)))


def refused(session: Session, days: int) -> int:
    """Packages refused in a period."""
    return failures.count_refused(session, _since(days))


def sources(session: Session) -> list[failures.Source]:
    """Where packages come from, with those of the last week."""
    return failures.sources(session, _since(7))


def brought(session: Session) -> list[traffic.Brought]:
    """As of `traffic.brought`, now."""
    return traffic.brought(session, datetime.now(UTC))


def _share(one: traffic.Brought) -> str:
    """How much of a source's quota is used, as HTML; what is nearly used up is marked."""
    if not one.quota:
        return "–"
    share = one.window / one.quota
    return f"{100 * share:.0f} %" + (" " + _warning("nearly used up") if share > NEARLY else "")


def waiting_over_time(session: Session, days: int) -> Sequence[tuple[datetime, int]]:
    """As of `backlog.over_time`, in hours or days."""
    return backlog.over_time(session, _since(days), 3600 if days <= 31 else 86400)


def missing(session: Session) -> list[passes.Missing]:
    """Passes of the last week that should have come, and have not; as they were some minutes ago at most."""
    store = str(session.get_bind().engine.url)
    if store not in _missing:
        now = datetime.now(UTC)
        _missing[store] = passes.missing(session, now - timedelta(days=7), now, now)
    return _missing[store]


def told(session: Session, days: int) -> list[charts.Mark]:
    """What the team told of the time: on the charts it stands where it belongs."""
    now = datetime.now(UTC)
    return [
        charts.Mark(
            mark.starts,
            mark.starts if mark.kind == "news" else min(mark.ends or now, now),
            f"{mark.kind}: {mark.title} ({mark.starts:%Y-%m-%d %H:%M} UTC)",
            TOLD[mark.kind],
            f"/en/news/{mark.uid}",
        )
        for mark in bulletins.marks(session, _since(days), now)
    ]


@router.get("/production", response_class=HTMLResponse)
def page(centre: Here, request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """The page, or how old it is where it shows this state of the store already."""
    snapshot = centre.snapshots.latest()
    if (answer := live.unchanged(request, centre, snapshot)) is not None:
        return answer
    offered = {"period": tuple(PERIODS), "step": (AUTO, *charts.STEPS)}
    given = asked.model_dump()
    faults = [
        f"{given[name]} is no {name}: {', '.join(words)}" for name, words in offered.items() if given[name] not in words
    ]
    good = {name: value for name, value in given.items() if value in offered[name]}
    body = live.part("said", said(faults)) + Production(snapshot, centre.settings, **good).body()
    return live.page(centre, "production", snapshot, body, styles="live.css", status=404 if faults else 200)


class Asked(BaseModel):
    """What the address asks for."""

    period: Annotated[str, Field(max_length=40)] = "30 days"
    step: Annotated[str, Field(max_length=40)] = AUTO


@dataclass(frozen=True)
class Production:
    """Rate, outcomes, backlog, delays and events of a period.

    Attributes
    ----------
    snapshot : Snapshot
    settings : Settings
    period : str
        Of `PERIODS`: what the charts and figures cover.
    step : str
        Length of a bar: of `charts.STEPS`, or `AUTO`.
    """

    snapshot: Snapshot
    settings: Settings
    period: str = "30 days"
    step: str = AUTO

    @property
    def days(self) -> int:
        """Length of the period."""
        return PERIODS[self.period]

    def parts(self) -> dict[str, str]:
        """The charts, figures and lists, each as HTML."""
        ended = self.snapshot.ask(outcomes, self.days)
        now = datetime.now(UTC)
        return {
            "choice": self._choices(),
            "kpis": kpis(self._figures(ended, now)),
            "rate": self._rate(ended, now),
            "outcomes": self._outcomes(ended, now),
            "backlog": self._backlog(),
            "now": self._now(now),
            "waits": self._waits(now),
            "failed": self._failed(),
            "delays": self._delays(),
            "campaigns": self._campaigns(now),
            "sources": self._sources(now),
            "formats": self._formats(),
            "events": self._events(),
        }

    def body(self) -> str:
        """The parts where they belong, as HTML; none while nothing has arrived."""
        if self.snapshot.empty:
            return ""
        made = {name: live.part(name, content) for name, content in self.parts().items()}
        rows = (("rate", "outcomes", "backlog", "now"), ("waits", "failed"), ("campaigns", "sources"))
        charted, lists, last = (f'<div class="beside">{"".join(made[name] for name in row)}</div>' for row in rows)
        return (
            made["choice"] + made["kpis"] + charted + lists + made["delays"] + last + made["formats"] + made["events"]
        )

    def _choices(self) -> str:
        now = {"period": self.period, "step": self.step}
        return choice("production", "period", "Period", now, PERIODS) + choice(
            "production", "step", "Length of a bar", now, (AUTO, *charts.STEPS)
        )

    # Figures

    def _figures(self, ended: pd.DataFrame, now: datetime) -> list[tuple[str, ...]]:
        inside = ended[ended["hour"] >= pd.Timestamp(charts.floor(_since(self.days), "hour"))]
        sums = inside.groupby("outcome")["dates"].sum()
        every, published = int(sums.sum()), int(sums.get("published", 0))
        lost = sum(int(sums.get(state, 0)) for state in WRONG)
        turned_away = self.snapshot.ask(refused, self.days)
        share = f"{100 * published / every:.0f} % of the dates that ended" if every else "no date ended"
        told = self.snapshot.ask(by_site, self.days).get(delays.EVERY)
        blamed = self.snapshot.ask(blame)
        failed_page = address("failures", state=",".join(WRONG), period=self.period)
        return [
            ("Products", theme.number(published), share, address("failures", state="published", period=self.period)),
            *self._load(now),
            (
                "From sensing, 90 % within",
                theme.duration(told.total[1] if told else None),
                f"half within {theme.duration(told.total[0])}" if told else "no product in this period",
            ),
            (
                "Where the time goes",
                theme.duration(blamed.seconds) if blamed else "–",
                _blamed(blamed) if blamed else "no product in the last day",
            ),
            (
                "Not valid",
                theme.number(int(sums.get("not_valid", 0))),
                "too cloudy: no product",
                address("failures", state="not_valid", period=self.period),
            ),
            ("Rejected or failed", theme.number(lost), "dates: each with its reason and log", failed_page),
            (
                "Refused drops",
                theme.number(turned_away),
                "packages that never became a date",
                address("failures", period=self.period) + "#refused",
            ),
            *self._missing(),
            self._disk(),
        ]

    def _load(self, now: datetime) -> list[tuple[str, ...]]:
        """What is open: in work, and waiting."""
        open_dates = self.snapshot.ask(backlog.summary)
        running = sum(count for (_, reason), (count, _) in open_dates.items() if reason == "running")
        waits = [(since, count) for (_, reason), (count, since) in open_dates.items() if reason != "running"]
        first = min(since for since, _ in waits) if waits else None
        slots = f"of {self.settings.workers} slots" if self.settings.executor == "local" else "on the cluster"
        return [
            ("In work", theme.number(running), slots),
            (
                "Backlog",
                theme.number(running + sum(count for _, count in waits)),
                f"dates: {running} running, {sum(count for _, count in waits)} waiting",
            ),
            (
                "Oldest waiting",
                "–" if first is None else theme.duration(now - first),
                "nothing waits" if first is None else f"since {theme.utc(first)}",
            ),
        ]

    def _missing(self) -> list[tuple[str, ...]]:
        found = self.snapshot.ask(missing)
        if not found:
            return []
        tiles = sorted({one.tile for one in found})
        named = ", ".join(tiles[:3]) + (f" and {len(tiles) - 3} more" if len(tiles) > 3 else "")
        return [("Missing passes", theme.number(len(found)), f"should have come in 7 days: {named}")]

    def _disk(self) -> tuple[str, ...]:
        try:
            free = shutil.disk_usage(self.settings.archive).free - 1e9 * self.settings.min_free_gb
        except OSError as error:
            return ("Disk", "–", f"{self.settings.archive}: {error.strerror}")
        growth = self.snapshot.ask(queries.archive_growth, GROWTH_DAYS)
        if not growth:
            return ("Disk", f"{free / 1e9:.0f} GB", "free; nothing was published lately")
        days = max(free, 0) / growth
        mark = "soon full: " if days < SHORT else ""
        left = f"{days:.0f} days" if days < 1000 else "years"
        return ("Disk lasts", left, f"{mark}{free / 1e9:.0f} GB free, {growth / 1e9:.1f} GB a day")

    # Charts

    @property
    def _length(self) -> str:
        """Length of a bar; a year is not drawn in hours."""
        chosen = STEPS[self.period] if self.step == AUTO else str(self.step)
        return "day" if chosen == "hour" and self.days > 31 else chosen

    def _bars(self, ended: pd.DataFrame, by: str, now: datetime) -> list[charts.Bar]:
        """Bars of the period, each leading to the dates behind it."""
        step = self._length
        counts: dict[datetime, dict[str, int]] = defaultdict(dict)
        for hour, key, dates in zip(ended["hour"], ended[by], ended["dates"], strict=True):
            bar = counts[charts.floor(hour.to_pydatetime(), step)]
            bar[key] = bar.get(key, 0) + int(dates)
        state = "published" if by == "version" else ",".join(theme.OUTCOMES)
        return [
            charts.Bar(start, counts.get(start, {}), _dates_of(start, step, state) if start in counts else "")
            for start in charts.starts(_since(self.days), now, step)
        ]

    def _rate(self, ended: pd.DataFrame, now: datetime) -> str:
        made = ended[ended["outcome"] == "published"]
        names = sorted(set(made["version"]))
        colours = {name: theme.version_colour(name) for name in names}
        length = charts.STEPS[self._length] / timedelta(days=1)
        targets = [
            charts.Target(value * length, f"target {name}", theme.version_colour(name))
            for name, value in self.settings.targets.items()
        ]
        columns = self._bars(made, "version", now)
        title = f"<h2>Products per {self._length} <small>last {self.period}, by version, UTC</small></h2>"
        key = legend(colours.items()) if names else '<div class="soft">No product in this period.</div>'
        marks = self.snapshot.ask(told, self.days)
        kinds = {mark.words.partition(":")[0] for mark in marks}
        key += legend((kind.capitalize(), colour) for kind, colour in TOLD.items() if kind in kinds) if marks else ""
        return title + key + charts.bars(columns, self._length, {n: n for n in names}, colours, targets, marks)

    def _outcomes(self, ended: pd.DataFrame, now: datetime) -> str:
        words = {state: theme.word(state) for state in theme.OUTCOMES}
        colours = {state: theme.colour(state) for state in theme.OUTCOMES}
        title = f"<h2>Outcomes per {self._length} <small>all versions, last {self.period}, UTC</small></h2>"
        key = legend((words[state], colours[state]) for state in words)
        return title + key + charts.bars(self._bars(ended, "outcome", now), self._length, words, colours)

    def _backlog(self) -> str:
        points = [(time, float(count)) for time, count in self.snapshot.ask(waiting_over_time, self.days)]
        words = f"Open dates in the last {self.period}: {points[0][1]:.0f} at the beginning, {points[-1][1]:.0f} now"
        title = f"<h2>Backlog <small>open dates, last {self.period}</small></h2>"
        return title + charts.curve(points, theme.colour("waiting"), words)

    # Lists

    def _now(self, now: datetime) -> str:
        found = self.snapshot.ask(backlog.running)
        title = "<h2>In work now</h2>"
        if not found:
            return title + '<p class="soft">Nothing runs.</p>'
        rows = [
            (
                f'<a href="{_job(run.job_id)}">{escape(run.tile)}</a>',
                _unbroken(f"{run.sensing:%Y-%m-%d}"),
                escape(run.version),
                escape(run.host or run.owner),
                theme.duration(now - run.since),
                _how_far(run),
            )
            for run in found[:SHOWN]
        ]
        more = _more(len(found), "dates in work")
        return title + table(["Tile", "Date", "Version", "On", "For", "At"], rows, numbers=["For"]) + more

    def _waits(self, now: datetime) -> str:
        open_dates = self.snapshot.ask(backlog.summary)
        counts: dict[str, tuple[int, datetime]] = {}
        for (_, reason), (count, since) in open_dates.items():
            known = counts.get(reason, (0, since))
            counts[reason] = known[0] + count, min(known[1], since)
        counts.pop("running", None)
        title = "<h2>What waits, and why</h2>"
        if not counts:
            return title + '<p class="soft">Nothing waits.</p>'
        order = [reason for reason in backlog.REASONS if reason in counts]
        summary = table(
            ["Why", "Dates", "Longest"],
            [
                (
                    escape(backlog.REASONS[reason]),
                    theme.number(counts[reason][0]),
                    theme.duration(now - counts[reason][1]),
                )
                for reason in order
            ],
            numbers=["Dates", "Longest"],
        )
        rows = [
            (
                theme.state_chip(one.state) + (" " + theme.simulated_mark() if one.simulated else ""),
                f'<a href="{_job(one.job_id)}">{escape(one.tile)}</a>',
                _unbroken(f"{one.sensing:%Y-%m-%d}"),
                escape(one.version),
                _unbroken(theme.duration(now - one.created)),
                escape(one.why),
            )
            for one in self.snapshot.ask(backlog.waiting, SHOWN)
        ]
        total = sum(count for count, _ in counts.values())
        oldest = f"<h2>The {len(rows)} that wait longest <small>of {theme.number(total)}</small></h2>"
        return title + summary + oldest + table(["State", "Tile", "Date", "Version", "For", "Why"], rows, ["For"])

    def _failed(self) -> str:
        groups = self.snapshot.ask(failed, self.days)
        title = f"<h2>What went wrong <small>last {self.period}, by what they have in common</small></h2>"
        if not groups:
            return title + '<p class="soft">Nothing failed, and nothing is held.</p>'
        rows = [
            (
                theme.state_chip(group.state),
                f'<a href="{_group(group, self.period)}">{escape(group.signature or "no reason given")}</a>',
                escape(group.reason_class),
                theme.number(group.count),
                _unbroken(f"{group.first:%m-%d %H:%M}"),
                _unbroken(f"{group.last:%m-%d %H:%M}"),
            )
            for group in groups[:SHOWN]
        ]
        every = address("failures", state=",".join(failures.STATES[:-1]), period=self.period)
        more = f'<p><a href="{escape(every)}">All of them, with their logs</a></p>'
        return title + table(["State", "Reason", "Class", "Dates", "First", "Last"], rows, ["Dates"]) + more

    def _delays(self) -> str:
        found = dict(self.snapshot.ask(by_site, self.days))
        title = (
            f"<h2>Delays by stage <small>products of the last {self.period}: half of them within; on a figure: "
            "90 % and 95 %</small></h2>"
        )
        if not found:
            return title + '<p class="soft">No product in this period.</p>'
        every = found.pop(delays.EVERY)
        stages = [stage for stage in delays.STAGES if stage in every.stages]
        rows = [_delay_row("All sites", every, stages, bold=True)]
        rest = sorted(found.items(), key=lambda item: -item[1].total[1])
        rows += [_delay_row(name or queries.NO_SITE, told, stages) for name, told in rest]
        columns = ["Site", "Products", *(delays.STAGES[stage].capitalize() for stage in stages)]
        columns += ["p50", "p90", "p95"]
        head, tail = rows[: SHOWN + 1], rows[SHOWN + 1 :]
        text = title + table(columns, head, columns[1:])
        if tail:
            text += f"<details><summary>{len(tail)} more sites</summary>{table(columns, tail, columns[1:])}</details>"
        return text

    def _campaigns(self, now: datetime) -> str:
        rows = [
            (
                theme.chip(one.version, theme.version_colour(one.version)),
                escape(one.status),
                theme.number(one.waiting),
                theme.number(one.ended, 1),
                theme.number(one.arrived, 1),
                _end(one, now),
            )
            for one in self.snapshot.ask(backlog.campaigns)
        ]
        columns = ["Version", "Status", "Waiting", "Ended a day", "Queued a day", "Done"]
        return "<h2>Campaigns <small>rates of the last 7 days</small></h2>" + table(columns, rows, columns[2:5])

    def _formats(self) -> str:
        """When tiles switched to another baseline or kind of Level-1C, as HTML; nothing as long as none has."""
        switched = [one for one in self.snapshot.ask(formats.switches) if one.before]
        if not switched:
            return ""
        rows = [
            (
                f'<a href="{escape(address("coverage", tile=one.tile))}">{escape(one.tile)}</a>',
                f"{escape(one.before)} to {escape(one.baseline)}",
                escape(one.kind),
                f"{one.seen:%Y-%m-%d %H:%M}",
                escape(one.name),
            )
            for one in switched[:SHOWN]
        ]
        tiles = len({one.tile for one in switched})
        title = f"<h2>Formats of the Level-1C <small>tiles that switched: {theme.number(tiles)}</small></h2>"
        more = "" if len(switched) <= SHOWN else '<p class="soft">All of them: <code>muscate formats --json</code></p>'
        return title + table(["Tile", "Baseline", "Kind", "Since, UTC", "First package"], rows) + more

    def _sources(self, now: datetime) -> str:
        found = self.snapshot.ask(sources)
        title = "<h2>Sources <small>of Level-1C</small></h2>"
        if not found:
            return title + '<p class="soft">No package has arrived yet.</p>' + self._traffic()
        rows = [
            (
                escape(source.name) + (" " + _warning("silent") if now - source.last > SILENT else ""),
                theme.number(source.packages),
                theme.utc(source.last),
                theme.duration(now - source.last),
            )
            for source in found
        ]
        return (
            title + table(["Source", "In 7 days", "Last package", "Ago"], rows, ["In 7 days", "Ago"]) + self._traffic()
        )

    def _traffic(self) -> str:
        """What was brought from other houses' catalogues, and what of their quotas is used."""
        found = self.snapshot.ask(brought)
        if not found:
            return ""
        rows = [
            (
                escape(one.source),
                f"{one.day / 1e9:.1f}",
                "–" if one.rate is None else f"{one.rate / 1e6:.1f}",
                f"{one.window / 1e9:.1f}",
                _share(one),
            )
            for one in found
        ]
        columns = ["Brought from", "GB in 24 h", "MB/s a connection", "GB in 30 days", "Of its quota"]
        return table(columns, rows, columns[1:])

    def _events(self) -> str:
        rows = [
            (
                _unbroken(f"{event.time:%m-%d %H:%M:%S}"),
                _severity(event.severity) + escape(event.kind.replace("_", " ")),
                f"{plain(event.tile)} {plain(event.version)}",
                _words(event),
            )
            for event in self.snapshot.events.head(14).itertuples()
        ]
        return "<h2>Last events <small>UTC</small></h2>" + table(["Time", "What", "Tile", "About"], rows)


def _unbroken(text: str) -> str:
    """On one line."""
    return f'<span style="white-space:nowrap">{escape(text)}</span>'


def _dates_of(start: datetime, step: str, state: str) -> str:
    """The page of the dates that ended within a bar."""
    end = start + charts.STEPS[step]
    return address("failures", state=state, since=_iso(start), until=_iso(end))


def _iso(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M}" if time.hour or time.minute else f"{time:%Y-%m-%d}"


def _job(job_id: int) -> str:
    return escape(address("failures", job=job_id))


def _group(group: failures.Group, period: str) -> str:
    return escape(address("failures", state=group.state, signature=group.signature, period=period))


def _more(count: int, words: str) -> str:
    return f'<p class="soft">{theme.number(count)} {words} in all</p>' if count > SHOWN else ""


def _how_far(run: backlog.Running) -> str:
    if run.share is None:
        return '<span class="soft">just begun</span>'
    percent = 100 * run.share
    return (
        f'<progress max="100" value="{percent:.0f}" aria-label="{percent:.0f} % done"></progress> '
        f"{percent:.0f} %, {escape((run.step or '').replace('_', ' '))}"
    )


def _delay_row(name: str, told: delays.Delays, stages: Iterable[str], *, bold: bool = False) -> tuple[str, ...]:
    cells = []
    for stage in stages:
        values = told.stages.get(stage)
        hint = " / ".join(theme.duration(value) for value in values[1:]) if values else ""
        cells.append(
            f'<span title="90 % / 95 %: {escape(hint)}">{theme.duration(values[0] if values else None)}</span>'
        )
    site = f"<b>{escape(name)}</b>" if bold else escape(name)
    return (site, theme.number(told.products), *cells, *(theme.duration(value) for value in told.total))


def _blamed(found: delays.Blame) -> str:
    usual = f", {theme.duration(found.usual)} usually" if found.usual == found.usual else ""
    return f"{delays.STAGES[found.stage]}: half of the last day's products{usual}"


def _end(one: backlog.Progress, now: datetime) -> str:
    """When a campaign has nothing left to do, in words."""
    if one.status != "active":
        return f'<span class="soft">{escape(one.status)}</span>'
    if not one.waiting:
        return "nothing left"
    if one.keeps_up:
        return "keeps up: less than a day's work waits"
    if one.end is None:
        return _warning("grows") + " more is queued than ends"
    return f"{one.end:%Y-%m-%d}, in {theme.duration(one.end - now)}"


def _warning(text: str) -> str:
    return theme.chip(text, theme.STATES["rejected"][1])


def _severity(severity: str) -> str:
    return {
        "warning": _warning("warning") + " ",
        "error": theme.chip("error", theme.STATES["failed"][1]) + " ",
    }.get(severity, "")


def _words(event: Any) -> str:
    """What an event carries, whole; a product or a date as a link."""
    data = event.data if isinstance(event.data, dict) else {}
    if isinstance(event.product, str):
        return f'<a href="/products?product={escape(event.product)}">{escape(event.product)}</a>'
    name, reason = str(data.get("l1c") or ""), without_name(data)
    text = escape(f"{name}: {reason}" if name and reason else name or reason or str(data.get("date", ""))[:10])
    job = getattr(event, "job_id", None)
    return f'<a href="{_job(int(job))}">{text}</a>' if job is not None and not pd.isna(job) and text else text
