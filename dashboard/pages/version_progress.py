"""How far each campaign is and when it ends; what its version changes; and the orders to it, up to its cut-over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dashboard import charts, live, theme
from dashboard.choice import field
from dashboard.frame import legend, table
from processing.people import Actor
from processing.production import campaigns
from processing.store import Store, backlog, sites, validations
from processing.store import campaigns as stored
from processing.store.models import Campaign, Chain, Tile, Validation
from processing.versions import VERSIONS

#: What is told of a difference between two versions: its name, what it is called, in which unit or as a share.
_EFFECTS = (
    ("share_new", "share_old", "masked pixels"),
    ("difference", None, "mean difference of reflectance"),
    ("bias", None, "mean difference"),
)
#: Orders, by the status of a campaign in which they make sense.
ORDERS = {"pause": ("active",), "resume": ("paused",)}
#: Orders of a cut-over: what is ready for it, and the thing itself.
CUTS = {"ready": "Which are ready", "cut-over": "Cut over"}
#: Tiles that are named with why they can't be cut over.
NAMED = 12


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


def behind_users(session: Session) -> dict[str, int]:
    """Of each version that is made, the tiles of which users get an older one."""
    query = (
        sa.select(Campaign.version, Tile.current_version, sa.func.count())
        .join(Chain, Chain.campaign_id == Campaign.id)
        .join(Tile, Tile.mgrs == Chain.tile)
        .where(Campaign.status != "closed", Chain.closed.is_(None), Tile.current_version != Campaign.version)
        .group_by(Campaign.version, Tile.current_version)
    )
    age = {name: place for place, name in enumerate(VERSIONS)}
    found: Counter[str] = Counter()
    for version, now, tiles in session.execute(query):
        if age.get(version, -1) > age.get(now or "", -1):
            found[version] += tiles
    return dict(found)


def cuts(behind: Mapping[str, int]) -> str:
    """What gives users the series of newer versions, for those who may, as HTML."""
    made = []
    for version, tiles in behind.items():
        buttons = "".join(f'<button name="order" value="{verb}">{words}</button>' for verb, words in CUTS.items())
        form = live.form("/versions", field("tiles", "Tiles", "", "all") + buttons, {"version": version}, "fields")
        made.append(
            f"<details><summary>Cut over to {escape(version)}: users of {_tiles(tiles)} still get an older version"
            "</summary>"
            "<p>Users get the new series in place of the one before, tile by tile, each at once and whole; the old "
            "products stay and point to the new ones. A tile whose new series lacks a date of the old one is refused, "
            f"and the others go on.</p>{form}</details>"
        )
    return "".join(made)


def cut(store: Store, verb: str, version: str, tiles: str, actor: Actor) -> str:
    """Look what can be cut over, or cut it over; what came of it, in words.

    Parameters
    ----------
    verb : str
        Of `CUTS`.
    tiles : str
        Parted by spaces or commas; empty: all that users don't get yet.

    Raises
    ------
    WrongSetting
        If there is no such campaign or tile, or nothing could be cut over.
    NotAllowed
        If who asks may not.
    """
    actor.require("campaign")
    named = [name.upper().removeprefix("T") for name in tiles.replace(",", " ").split()]
    if verb == "cut-over":
        done, refused = campaigns.cut_over(store, version, named, actor)
        return f"{version}: {_tiles(len(done))} cut over" + _refused(refused)
    with store.read() as session:
        found = stored.ready(session, version)
    if strange := [tile for tile in named if tile not in found]:
        raise ValueError(f"not produced in {version}: {', '.join(strange)}")
    wanted = {tile: why for tile, why in found.items() if tile in named} if named else found
    refused = [why for why in wanted.values() if why is not None and "is what users get already" not in why]
    ready = sum(why is None for why in wanted.values())
    return f"{version}: {_tiles(ready)} can be cut over" + _refused(refused)


def _tiles(count: int) -> str:
    return f"{theme.number(count)} tile{'' if count == 1 else 's'}"


def _refused(reasons: Sequence[str]) -> str:
    if not reasons:
        return "; none is refused"
    more = f"; and {theme.number(len(reasons) - NAMED)} more" if len(reasons) > NAMED else ""
    return f"; {_tiles(len(reasons))} can't: {'; '.join(reasons[:NAMED])}{more}"
