"""What became of anything that was ever seen, or should have been: one answer for whatever name somebody has for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.errors import UnknownName
from processing.expected import Passage
from processing.naming import HELD, bare
from processing.store import failures, orders, whereabouts
from processing.store.models import Event
from processing.store.passes import known_tile
from processing.store.whereabouts import Pass

#: ``31TCJ/2024-06-08``, and what the name of a Level-1C says of tile and day.
_DAY = re.compile(r"T?(?P<tile>\d\d[C-X][A-Z]{2})[/ ](?P<day>\d{4}-\d\d-\d\d)")
_LEVEL1C = re.compile(r"(?P<platform>S2[A-Z])_MSIL1C_(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)T.*_T(?P<tile>\w{5})_")


def stories(session: Session, name: str) -> dict[str, Any]:
    """What became of a Level-1C package, a product, ``job:<id>`` or a tile's day (``31TCJ/2024-06-08``).

    One key for each version of each date, its value what the store has of it, JSON-ready; always with ``state`` and,
    in a sentence, ``why``. Packages that were refused and passes that did not come are told too.

    Raises
    ------
    UnknownName
        If nothing has this name, and nothing was to come that could have had it.
    """
    known = bare(name.strip().rstrip("/"))
    if (day := _DAY.fullmatch(known)) is not None:
        return dict(_of_day(session, day["tile"], _date(name, day["day"])))
    try:
        jobs = orders.find_jobs(session, name)
    except UnknownName:
        found = dict(_refused(session, known.rsplit("/", 1)[-1])) or dict(_never_seen(session, known))
        if not found:
            raise
        return found
    return {f"{told['date']} {told['version']}": told for told in (orders.story(session, job) for job in jobs)}


def _date(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UnknownName(f"{name}: is no day") from None


def _refused(session: Session, known: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Refusals of a package at the door, the last one first."""
    names = [known + ending for ending in ("", *HELD)]
    query = sa.select(Event).where(Event.kind == "refused", Event.data["l1c"].as_string().in_(names))
    for event in session.scalars(query.order_by(Event.id.desc()).limit(10)):
        why = f"refused on {event.time:%Y-%m-%d %H:%M} UTC: {failures.without_name(event.data)}"
        yield f"{known} {event.time:%Y-%m-%dT%H:%M:%SZ}", {"state": "refused", "why": why, "source": event.actor}


def _never_seen(session: Session, known: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pass that a Level-1C of this name would be of."""
    match = _LEVEL1C.match(known.rsplit("/", 1)[-1])
    if match is None or not known_tile(session, match["tile"]):
        return
    day = _date(known, f"{match['year']}-{match['month']}-{match['day']}")
    for key, told in _of_day(session, match["tile"], day):
        if told.get("platform") == match["platform"]:
            yield key, told | {"why": f"no package of this name came; {told['why']}"}


def _of_day(session: Session, tile: str, day: date) -> Iterator[tuple[str, dict[str, Any]]]:
    if not known_tile(session, tile):
        raise UnknownName(f"{tile}: no site has this tile, and nothing was ever seen of it")
    found = whereabouts.on(session, tile, day)
    for one in found.passes:
        key = f"{one.platform} {tile} {one.time:%Y-%m-%dT%H:%M:%SZ}"
        common = {"platform": one.platform, "l1c": list(one.packages)}
        if not one.made:
            yield key, {**common, "state": one.state, "why": _absent(one)}
        for package in one.packages[:1] if one.made else ():
            for job in orders.find_jobs(session, package):
                told = orders.story(session, job)
                yield f"{told['date']} {told['version']}", {**told, "platform": one.platform}
    if not found.passes:
        yield f"{tile} {day}", {"platform": None, "state": "no pass", "why": _nothing(found)}


def _absent(one: Pass) -> str:
    """Of a pass of which nothing is catalogued."""
    due = f"{one.due:%Y-%m-%d %H:%M} UTC" if one.due else "some time"
    return {
        "upcoming": f"the satellite passes at about {one.time:%H:%M} UTC; its Level-1C is expected by {due}",
        "awaited": f"the source has not published it yet; it is expected by {due}",
        "missing": f"it should have come by {due}, and has not",
        "refused": f"its package was refused: {one.reason}",
        "arrived": "it is here, and no version is made of it",
    }[one.state]


def _nothing(found: whereabouts.Day) -> str:
    """Why there is no pass on a day."""

    def told(passage: Passage | None) -> str:
        return f"{passage.platform} on {passage.time:%Y-%m-%d}" if passage else "none known"

    if found.first is None:
        return "nothing was ever seen of this tile: its passes are not known yet"
    if found.day < found.first.date():
        return f"it is before the first date that is here, {found.first:%Y-%m-%d}"
    return f"no satellite passes that day; before it {told(found.before)}, after it {told(found.after)}"
