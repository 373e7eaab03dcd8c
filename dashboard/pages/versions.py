"""Versions: how far each processing version is at each site, and what the versions are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import pandas as pd
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard import glossary, live, people, queries, theme
from dashboard.api.centre import Here
from dashboard.forms import Fields
from dashboard.frame import legend, table
from dashboard.pages import rights, version_progress
from dashboard.snapshot import Snapshot
from processing.errors import MuscateError, NotAllowed
from processing.store import backlog
from processing.versions import VERSIONS

#: The share of published dates as a colour, from none to all (a single hue: read by everybody).
_SHARE = ("#E7EEF4", "#C3DBEA", "#8FC0DD", "#4F9CC6", "#1F78AD", "#0B5C8A")
#: Tiles whose series mix versions that are named.
MIXED = 6
#: Order of the parts of a progress bar.
_PARTS = ("published", "not_valid", "rejected", "failed", "running", "waiting", "held")

router = APIRouter(include_in_schema=False)


def matrix(progress: pd.DataFrame, known: pd.Series) -> pd.DataFrame:
    """Dates published per site and version. Index site, a column per version, and ``known``: dates."""
    done = progress[progress["state"].map(theme.state) == "published"]
    cells = done.pivot_table(index="site", columns="version", values="dates", aggfunc="sum", fill_value=0)
    return cells.reindex(known.index, fill_value=0).astype(int).assign(known=known)


def _cell(published: int, known: int, states: dict[str, int]) -> str:
    share = published / known if known else 0.0
    fill = _SHARE[min(int(share * (len(_SHARE) - 1) + 0.999), len(_SHARE) - 1)]
    rest = ", ".join(f"{n} {theme.word(s).lower()}" for s, n in states.items() if s != "published" and n)
    return (
        f'<div class="cell" title="{escape(rest)}" style="background:{fill};color:{theme.ink(fill)}">'
        f"<b>{100 * share:.0f} %</b> <span>{theme.number(published)} / {theme.number(known)}</span></div>"
    )


def _bar(states: dict[str, int], known: int) -> str:
    """Parts of the known dates by state, as one bar."""
    parts = "".join(
        f'<i title="{escape(theme.word(s))}: {states[s]}" style="flex:{states[s]};background:{theme.colour(s)}"></i>'
        for s in _PARTS
        if states.get(s)
    )
    rest = known - sum(states.values())
    if rest > 0:
        parts += f'<i title="Not planned: {rest}" style="flex:{rest}"></i>'
    return (
        '<div style="display:flex;height:12px;border-radius:6px;overflow:hidden;background:var(--line)">'
        + parts
        + "</div>"
    )


@dataclass(frozen=True)
class Versions:
    """Site x version, progress, notes, and series that mix versions."""

    snapshot: Snapshot

    def parts(self) -> dict[str, str]:
        """Progress, mixed versions, verdicts and notes of the versions, each as HTML."""
        snapshot = self.snapshot
        campaigns = snapshot.ask(backlog.campaigns)
        return {
            "mixed": self._warning(),
            "bars": self._progress(),
            "burn-up": version_progress.burn_ups(snapshot.ask(backlog.burn_up), campaigns) if campaigns else "",
            "orders": self._orders(campaigns),
            "matrix": self._table(),
            "verdicts": self._judged(),
            "effect": version_progress.effect(snapshot.ask(version_progress.effects)),
            "notes": self._versions(),
        }

    def body(self, told: str = "") -> str:
        """The parts where they belong, as HTML; `told`: what came of an order."""
        made = {name: live.part(name, content) for name, content in self.parts().items()}
        made["orders"] += live.part("said", told)
        left = "".join(made[name] for name in ("bars", "burn-up", "orders", "matrix", "verdicts"))
        return f'{made["mixed"]}<div class="beside"><div>{left}</div><div>{made["effect"]}{made["notes"]}</div></div>'

    def _orders(self, campaigns: Sequence[backlog.Progress]) -> str:
        """Orders to the campaigns, for those who may give them, as HTML."""
        if not rights.may("campaign"):
            return ""
        named = [("start", version) for version in version_progress.startable(campaigns)]
        named += [
            (v, c.version) for c in campaigns for v, states in version_progress.ORDERS.items() if c.status in states
        ]
        buttons = [
            live.order("/versions", f"{verb.capitalize()} {version}", {"order": verb, "version": version})
            for verb, version in named
        ]
        cuts = version_progress.cuts(self.snapshot.ask(version_progress.behind_users))
        return f'<div class="orders">{"".join(buttons)}</div>{cuts}'

    @cached_property
    def _states(self) -> dict[tuple[str, str], dict[str, int]]:
        """Dates by state as readers see them, of each site and version; of a version at all sites: site ``""``."""
        sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for row in self.snapshot.progress.itertuples():
            state = theme.state(row.state)
            for site in (row.site, ""):
                sums[site, row.version][state] += int(row.dates)
        return {key: {part: counts[part] for part in _PARTS if part in counts} for key, counts in sums.items()}

    def _warning(self) -> str:
        mixed = self.snapshot.mixed
        if not len(mixed):
            return ""
        rows = [(escape(r.tile), escape(r.site), escape(r.versions)) for r in mixed.head(MIXED).itertuples()]
        colour = theme.STATES["rejected"][1]
        more = f'<p class="soft">and {len(mixed) - MIXED} more tiles</p>' if len(mixed) > MIXED else ""
        title = f"{theme.number(len(mixed))} tile{'s' if len(mixed) > 1 else ''}"
        return (
            f'<div class="note" style="--c:{colour}"><h2>{theme.chip("Mixed versions", colour)} {title}</h2>'
            "<p>Taken as the newest version of each date, these series are not of one version: a step in them may come "
            "from the version, not from the ground.</p>"
            + table(["Tile", "Site", "Products by version"], rows)
            + more
            + "</div>"
        )

    def _progress(self) -> str:
        known = int(self.snapshot.known.sum())
        blocks = []
        for name in sorted(set(self.snapshot.progress["version"])):
            states = self._states["", name]
            published = states.get("published", 0)
            share = f"{100 * published / known:.0f} %" if known else "–"
            blocks.append(
                f'<p>{theme.chip(name, theme.version_colour(name))} <b>{share}</b> <span class="soft">'
                f"{theme.number(published)} published of {theme.number(known)} dates known</span></p>"
                f"{_bar(states, known)}"
            )
        if not blocks:
            return ""
        key = legend((theme.word(s), theme.colour(s)) for s in _PARTS)
        return "<h2>Progress of the versions</h2>" + "".join(blocks) + f'<div style="margin-top:8px">{key}</div>'

    def _table(self) -> str:
        known = self.snapshot.known
        if not len(known):
            return ""
        cells = matrix(self.snapshot.progress, known)
        names = [v for v in VERSIONS if v in cells or VERSIONS[v].produced]
        names += [v for v in cells if v not in names and v != "known"]
        rows = []
        for site, row in cells.iterrows():
            states = {v: self._states.get((str(site), v), {}) for v in names}
            rows.append(
                [
                    escape(str(site)),
                    theme.number(int(row["known"])),
                    *(
                        _cell(int(row.get(v, 0)), int(row["known"]), states[v])
                        if states[v]
                        else '<span class="soft">not planned</span>'
                        for v in names
                    ),
                ]
            )
        return "<h2>Sites and versions <small>products published of dates known</small></h2>" + table(
            ["Site", "Dates", *names], rows, numbers=["Dates"]
        )

    def _judged(self) -> str:
        """Products of each version by what readers said of them; the worst word counts."""
        counts = self.snapshot.ask(queries.judged)
        rows = [
            [
                theme.chip(name, theme.version_colour(name)),
                *(theme.number(said.get(verdict, 0)) for verdict in theme.VERDICTS),
                f"{sum(said.values()) - said.get('', 0)} of {theme.number(sum(said.values()))}",
            ]
            for name, said in counts.items()
            if set(said) - {""}
        ]
        if not rows:
            return ""
        words = [text for text, _ in theme.VERDICTS.values()]
        return "<h2>Verdicts of readers <small>products, by the worst that was said</small></h2>" + table(
            ["Version", *words, "Judged"], rows, numbers=[*words, "Judged"]
        )

    def _versions(self) -> str:
        blocks = ["<h2>What the versions are</h2>"]
        for name, version in VERSIONS.items():
            if name == "V1_3":
                never = '<span class="soft">Never distributed: the number stays empty.</span>'
                blocks.append(f"<p>{theme.chip('V1_2', '#8C96A3')} {never}</p>")
            status = "" if version.produced else " " + theme.chip("retired, not produced", "#8C96A3")
            since = f' <span class="soft">since {version.released:%B %Y}</span>' if version.released else ""
            defect = f"<p><b>Known defect.</b> {escape(version.known_defect)}</p>" if version.known_defect else ""
            blocks.append(
                f'<div style="margin:10px 0">{theme.chip(name, theme.version_colour(name))}{status}{since}'
                f"<p>{glossary.linked(version.summary, only=glossary.LABELS)}</p>{defect}</div>"
            )
        return "".join(blocks)


@router.get("/versions", response_class=HTMLResponse)
def page(centre: Here, request: Request) -> HTMLResponse:
    """The page, or how old it is where it shows this state of the store already."""
    snapshot = centre.snapshots.latest()
    if (answer := live.unchanged(request, centre, snapshot)) is not None:
        return answer
    return live.page(centre, "versions", snapshot, Versions(snapshot).body(), styles="live.css")


@router.post("/versions", response_class=HTMLResponse)
def order(centre: Here, fields: Fields) -> HTMLResponse:
    """Give an order to a campaign; the page with what came of it."""
    verb, version = fields.get("order", ""), fields.get("version", "")
    try:
        if verb in version_progress.CUTS:
            tiles = fields.get("tiles", "")
            told = live.answered(version_progress.cut(centre.store, verb, version, tiles, people.actor()))
        elif verb in ("start", *version_progress.ORDERS):
            told = live.answered(version_progress.order(centre.store, verb, version, people.actor()))
        else:
            raise ValueError("no order")
    except NotAllowed:
        raise
    except (MuscateError, ValueError) as error:
        told = live.answered(f"{verb}: {error}", fault=True)
    snapshot = centre.snapshots.latest(at_once=True)
    return live.page(centre, "versions", snapshot, Versions(snapshot).body(told), styles="live.css")
