"""How far each campaign is and when it ends; what its version changes; and the campaign started, paused, resumed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from sqlalchemy.orm import Session

from dashboard import charts, theme
from dashboard.frame import legend, table
from processing.people import Actor
from processing.store import Store, backlog, sites, validations
from processing.store.models import Validation
from processing.versions import VERSIONS

#: What is told of a difference between two versions: its name, what it is called, in which unit or as a share.
_EFFECTS = (
    ("share_new", "share_old", "masked pixels"),
    ("difference", None, "mean difference of reflectance"),
    ("bias", None, "mean difference"),
)
#: Orders, by the status of a campaign in which they make sense.
ORDERS = {"pause": ("active",), "resume": ("paused",)}


def effects(session: Session) -> list[Validation]:
    """What `muscate validate versions` found last, over all images."""
    rows = [row for row in validations.results(session, "versions") if row.image is None]
    session.expunge_all()
    return rows


def burn_ups(told: Sequence[backlog.BurnUp], progress: Sequence[backlog.Progress]) -> str:
    """Of each campaign the dates that ended beneath those that are known, with the end it goes to, as HTML."""
    ends = {one.version: one for one in progress}
    return "<h2>Campaigns</h2>" + "".join(_burn_up(one, ends[one.version]) for one in told if one.version in ends)


def _burn_up(one: backlog.BurnUp, progress: backlog.Progress) -> str:
    done, known = one.done[-1], one.known[-1]
    colour, scope = theme.version_colour(one.version), theme.STATES["none"][1]
    lines = [([(t, float(n)) for t, n in one.done], colour, ""), ([(t, float(n)) for t, n in one.known], scope, "5 4")]
    end = ""
    if progress.end is not None and not progress.keeps_up:
        # What is still queued on the way is part of what it goes to.
        days = (progress.end - done[0]).total_seconds() / 86400
        final = known[1] + progress.arrived * days
        lines.append(([(done[0], float(done[1])), (progress.end, final)], colour, "2 5"))
        end = f"done on {progress.end:%Y-%m-%d} at {progress.ended:.0f} dates a day, {progress.arrived:.0f} coming in"
    elif progress.status != "active":
        end = progress.status
    elif progress.keeps_up and progress.waiting:
        end = "keeps up: less than a day's work waits"
    elif progress.waiting:
        end = "no end in sight: as much is queued as ends, or more"
    else:
        end = "up to date"
    share = f"{100 * done[1] / known[1]:.0f} %" if known[1] else "–"
    words = f"{one.version}: {done[1]} of {known[1]} dates ended, {end}"
    chart = charts.curves(lines, words) if len(one.done) > 1 else ""
    key = legend([("dates that ended", colour), ("dates known", scope)])
    return (
        f"<p>{theme.chip(one.version, colour)} <b>{share}</b> <span class='soft'>{theme.number(done[1])} of "
        f"{theme.number(known[1])} dates ended; {escape(end)}</span></p>{key}{chart}"
    )


def effect(rows: Sequence[Validation]) -> str:
    """What each version changed against another, as validation runs measured it, as HTML."""
    lines = [
        [
            f"{theme.chip(row.version or row.method, theme.version_colour(row.version or ''))} against "
            f"{escape(row.reference)}",
            escape(row.subject.replace("_", " ")),
            told,
            escape(str(row.metrics.get("images", row.metrics.get("pixels", "")))),
            f"{row.made:%Y-%m-%d}",
        ]
        for row in rows
        if (told := _told(row.metrics))
    ]
    title = "<h2>What the versions change <small>as measured on the same images</small></h2>"
    if not lines:
        command = "muscate validate versions PRODUCTS --new V1_4 --old V1_3"
        return f'{title}<p class="soft">Not measured yet: <code>{command}</code></p>'
    link = '<p><a href="/validation">All figures, with their images</a></p>'
    return title + table(["Versions", "What", "Change", "Images", "Measured"], lines, ["Images"]) + link


def _told(metrics: dict[str, Any]) -> str:
    for name, other, words in _EFFECTS:
        value = metrics.get(name)
        if value is None:
            continue
        if other is not None:
            before = metrics.get(other)
            if before is not None:
                return f"{words}: {100 * value:.1f} %, before {100 * before:.1f} % ({100 * (value - before):+.1f})"
            continue
        relative = metrics.get("relative")
        share = f" ({100 * relative:+.1f} %)" if relative is not None else ""
        return f"{words} {value:+.4f}{share}"
    return ""


def startable(progress: Sequence[backlog.Progress]) -> list[str]:
    """Versions that are produced and have no campaign yet."""
    open_ones = {one.version for one in progress}
    return [name for name, version in VERSIONS.items() if version.produced and name not in open_ones]


def order(store: Store, verb: str, version: str, actor: Actor) -> str:
    """Start, pause or resume a campaign; what was done, in words.

    Raises
    ------
    NotAllowed
        If who asks may not.
    """
    with store.write() as session:
        if verb == "start":
            sites.new_campaign(session, version, actor)
            return f"{version}: every date that arrives from now on is queued for it too"
        sites.set_campaign(session, version, "paused" if verb == "pause" else "active", actor)
    return f"{version}: {'paused; dates that run finish' if verb == 'pause' else 'goes on'}"
