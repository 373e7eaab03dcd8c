"""Versions: how far each processing version is at each site, and what the versions are."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui

from dashboard import charts, glossary, people, theme
from dashboard.frame import View, how_to_begin, html, legend, table
from dashboard.pages import rights, version_progress
from processing.errors import MuscateError
from processing.store import backlog
from processing.versions import VERSIONS

#: The share of published dates as a colour, from none to all (a single hue: read by everybody).
_SHARE = ("#E7EEF4", "#C3DBEA", "#8FC0DD", "#4F9CC6", "#1F78AD", "#0B5C8A")
#: Tiles whose series mix versions that are named.
MIXED = 6
#: Order of the parts of a progress bar.
_PARTS = ("published", "not_valid", "rejected", "failed", "running", "waiting", "held")


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


class Versions(View):
    """Site x version, progress, notes, and series that mix versions."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._empty, self._mixed, self._bars, self._matrix, self._notes = html(), html(), html(), html(), html()
        self._verdicts, self._burn_up, self._effect, self._said = html(), html(), html(), html()
        self._burn_up.stylesheets = [*self._burn_up.stylesheets, charts.CSS]
        self._orders = pn.FlexBox(sizing_mode="stretch_width", gap="0 8px")
        half = {"flex": "1 1 480px", "min-width": "min(100%, 320px)"}
        self._layout = pn.Column(
            self._empty,
            self._mixed,
            pn.FlexBox(
                pn.Column(
                    self._bars, self._burn_up, self._orders, self._said, self._matrix, self._verdicts, styles=half
                ),
                pn.Column(self._effect, self._notes, styles=half),
                sizing_mode="stretch_width",
                gap="8px 28px",
            ),
            sizing_mode="stretch_width",
        )

    def draw(self) -> None:
        """Show progress, mixed versions, verdicts and notes of the versions."""
        snapshot = self.snapshot
        self._empty.object = how_to_begin(self.settings) if snapshot.empty else ""
        self._empty.visible = snapshot.empty
        self._mixed.object = self._warning()
        self._mixed.visible = bool(self._mixed.object)
        self._bars.object = self._progress()
        self._matrix.object = self._table()
        self._verdicts.object = self._judged()
        self._notes.object = self._versions()
        campaigns = snapshot.ask(backlog.campaigns)
        told = version_progress.burn_ups(snapshot.ask(backlog.burn_up), campaigns) if campaigns else ""
        self._burn_up.object = told
        self._effect.object = version_progress.effect(snapshot.ask(version_progress.effects))
        self._orders.objects = self._buttons(campaigns)

    def _buttons(self, campaigns: Sequence[backlog.Progress]) -> list[Any]:
        """Orders to the campaigns, for those who may give them."""
        if not rights.may("campaign"):
            return []
        named = [("start", version) for version in version_progress.startable(campaigns)]
        named += [
            (v, c.version) for c in campaigns for v, states in version_progress.ORDERS.items() if c.status in states
        ]
        return [
            pmui.Button(
                label=f"{verb.capitalize()} {version}",
                size="small",
                variant="outlined",
                on_click=lambda _, verb=verb, version=version: self._order(verb, version),
            )
            for verb, version in named
        ]

    def _order(self, verb: str, version: str) -> None:
        try:
            answer = version_progress.order(self.snapshot.store, verb, version, people.actor())
        except (MuscateError, ValueError) as error:
            answer = str(error)
        self._said.object = f'<div class="note" role="status">{escape(answer)}</div>'

    def _states(self, **chosen: str) -> dict[str, int]:
        """Dates by state as readers see them, of one version, maybe of one site."""
        rows = self.snapshot.progress
        for column, value in chosen.items():
            rows = rows[rows[column] == value]
        sums = rows.groupby(rows["state"].map(theme.state))["dates"].sum()
        return {part: int(sums[part]) for part in _PARTS if part in sums}

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
            states = self._states(version=name)
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
            states = {v: self._states(site=str(site), version=v) for v in names}
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
        products = self.snapshot.products
        said = products[products["verdict"] != ""]
        if not len(said):
            return ""
        counts = said.groupby(["version", "verdict"]).size().unstack(fill_value=0)
        rows = [
            [
                theme.chip(str(name), theme.version_colour(str(name))),
                *(theme.number(int(row.get(verdict, 0))) for verdict in theme.VERDICTS),
                f"{row.sum()} of {(products['version'] == name).sum()}",
            ]
            for name, row in counts.iterrows()
        ]
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

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout
