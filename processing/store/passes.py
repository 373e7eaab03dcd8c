"""Which passes over the tiles should have come, by the orbits, and which of them did."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing import expected
from processing.expected import Passage, Track
from processing.store.dialect import epoch
from processing.store.dialect import now as database_now
from processing.store.models import Acquisition, Event, Site, SiteTile, Tile

#: A pass, at half past ten in the morning where it is seen, is missing by the evening however late the source is.
LATEST, EARLIEST = timedelta(hours=12), timedelta(hours=3)
#: An image that came later than this after its pass was not taken in real time: it says nothing of the source.
REAL_TIME = timedelta(days=5)
#: Images that tell the usual delay of the source, at least.
ENOUGH = 5
#: A cycle, and the parts of it in which sightings of one track are looked for. [s] Written out: as parameters they
#: would make two different expressions of one.
_CYCLE_SECONDS = sa.literal_column(str(int(expected.CYCLE.total_seconds())), sa.Integer)
_PHASE_SECONDS = sa.literal_column("3600", sa.Integer)
#: Of the name of a package with one tile: satellite, datatake, tile.
_NAME = re.compile(r"(S2[A-Z])_MSIL1C_(\d{8}T\d{6})_N\d{4}_R\d{3}_T(\d{2}[A-Z]{3})_")


@dataclass(frozen=True)
class Missing:
    """A pass that should have come and has not.

    Attributes
    ----------
    tile, platform : str
    time : datetime
        Of the pass, UTC; to some minutes.
    relative_orbit : int or None
    due : datetime
        When it should have been there.
    """

    tile: str
    time: datetime
    platform: str
    relative_orbit: int | None
    due: datetime


@dataclass(frozen=True)
class Refused:
    """A package that was refused at the door, by what its name says it is of."""

    name: str
    tile: str
    platform: str
    datatake: datetime
    time: datetime
    reason: str


@dataclass(frozen=True)
class Overflown:
    """What is known of the passes over one tile: its tracks, and how long its Level-1C takes to be here as a rule."""

    tracks: list[Track]
    delay: timedelta


def missing(session: Session, since: datetime, until: datetime, now: datetime | None = None) -> list[Missing]:
    """Passes from `since` to before `until` that should have come by now and have not, oldest first.

    Of all tiles of active sites; of other tiles only passes between two that came. One whose package was refused has
    come: it is not missing.

    Parameters
    ----------
    now : datetime, optional
        The database's, unless given.
    """
    now = now or database_now(session)
    refused = {(r.platform, r.tile, r.datatake.date()) for r in refusals(session, since, until)}
    recent = now - expected.CYCLE <= since and until <= now
    flown = lately(session, now) if recent else overflown(session, since, until, now)
    found = [
        Missing(tile, passage.time, passage.platform, passage.relative_orbit, passage.time + known.delay)
        for tile, known in flown.items()
        for passage in expected.unseen(known.tracks, since, min(until, now - known.delay), now)
        if (passage.platform, tile, passage.time.date()) not in refused
    ]
    return sorted(found, key=lambda one: (one.time, one.tile, one.platform))


def overflown(session: Session, since: datetime, until: datetime, now: datetime) -> dict[str, Overflown]:
    """The passes over every tile, by what was seen in a period and as long before and after it as matters."""
    margin = expected.LOST + expected.CYCLE
    rows = session.execute(_rows().where(Acquisition.sensing >= since - margin, Acquisition.sensing < until + margin))
    of_tile: dict[str, list[sa.Row[str, datetime, str, int | None, datetime]]] = defaultdict(list)
    for row in rows:
        of_tile[row.tile].append(row)
    alive, followed = last_seen(session), followed_tiles(session)
    return {tile: _overflown(found, alive, now, followed=tile in followed) for tile, found in of_tile.items()}


def lately(session: Session, now: datetime) -> dict[str, Overflown]:
    """The passes over every tile, for what is asked of the last cycle and of what follows.

    As `overflown` of that cycle, but each track has its sightings of the cycle and the last one before it alone: the
    database finds these, and how long Level-1C takes, so that of a year of every tile few rows are read.
    """
    since = now - expected.CYCLE
    phase = epoch(Acquisition.sensing) % _CYCLE_SECONDS // _PHASE_SECONDS
    last = sa.func.max(Acquisition.sensing, type_=Acquisition.sensing.type)
    track = (Acquisition.tile, Acquisition.platform, Acquisition.relative_orbit)
    before = (
        sa.select(Acquisition.tile, last.label("sensing"), Acquisition.platform, Acquisition.relative_orbit)
        .where(Acquisition.sensing >= since - expected.LOST - expected.CYCLE, Acquisition.sensing < since)
        .group_by(*track, phase)
    )
    newest = sa.select(Acquisition.tile, Acquisition.sensing, *track[1:]).where(Acquisition.sensing >= since)
    newest = newest.where(Acquisition.sensing < now + expected.LOST + expected.CYCLE)
    seen: dict[str, list[Passage]] = defaultdict(list)
    for query in (before, newest):
        for tile, sensing, platform, orbit in session.execute(query):
            seen[tile].append(Passage(sensing, platform, orbit))
    delays, followed = _usual_delays(session, now), followed_tiles(session)
    alive = last_seen(session, sorted({passage.platform for found in seen.values() for passage in found}))
    return {
        tile: Overflown(
            expected.tracks(found, alive, followed=tile in followed), bounded_delay(delays.get(tile, LATEST))
        )
        for tile, found in seen.items()
    }


def _usual_delays(session: Session, now: datetime) -> dict[str, timedelta]:
    """Of each tile of which enough came in real time: its delay that nine in ten do not pass."""
    delay = epoch(Acquisition.first_seen) - epoch(Acquisition.sensing)
    places = (
        sa.select(
            Acquisition.tile,
            Acquisition.first_seen,
            Acquisition.sensing,
            sa.func.row_number().over(partition_by=Acquisition.tile, order_by=delay).label("place"),
            sa.func.count().over(partition_by=Acquisition.tile).label("number"),
        )
        .where(Acquisition.sensing >= now - 9 * expected.CYCLE, Acquisition.sensing <= now)
        .where(delay < int(REAL_TIME.total_seconds()))
        .subquery()
    )
    ninth = (9 * places.c.number + 9) // 10  # nine in ten of them, rounded up
    query = sa.select(places.c.tile, places.c.first_seen, places.c.sensing)
    query = query.where(places.c.number >= ENOUGH, places.c.place == ninth)
    return {tile: seen - sensing for tile, seen, sensing in session.execute(query)}


def over_tile(session: Session, tile: str, now: datetime) -> Overflown:
    """The passes over one tile, by all that was ever seen there; no track where nothing was."""
    rows = session.execute(_rows().where(Acquisition.tile == tile)).all()
    active = sa.select(SiteTile.tile).join(Site, Site.code == SiteTile.site).where(SiteTile.tile == tile, Site.active)
    followed = session.scalar(active.limit(1)) is not None
    alive = last_seen(session, {row.platform for row in rows})
    return _overflown(rows, alive, now, followed=followed)


def _rows() -> sa.Select[str, datetime, str, int | None, datetime]:
    return sa.select(
        Acquisition.tile,
        Acquisition.sensing,
        Acquisition.platform,
        Acquisition.relative_orbit,
        Acquisition.first_seen,
    )


def _overflown(
    rows: Sequence[sa.Row[str, datetime, str, int | None, datetime]],
    alive: Mapping[str, datetime],
    now: datetime,
    *,
    followed: bool,
) -> Overflown:
    seen = [Passage(row.sensing, row.platform, row.relative_orbit) for row in rows]
    recent = [row.first_seen - row.sensing for row in rows if now - 9 * expected.CYCLE <= row.sensing <= now]
    return Overflown(expected.tracks(seen, alive, followed=followed), usual_delay(recent))


def usual_delay(delays: Iterable[timedelta]) -> timedelta:
    """From a pass to its Level-1C being here, as nine in ten of the given ones took at most.

    Between `EARLIEST` and `LATEST`, so that a pass is found missing on its own day; `LATEST` where too few came in
    real time to tell.
    """
    told = sorted(delay for delay in delays if delay < REAL_TIME)
    return LATEST if len(told) < ENOUGH else bounded_delay(told[math.ceil(0.9 * len(told)) - 1])


def bounded_delay(delay: timedelta) -> timedelta:
    """A usual delay within its bounds."""
    return min(max(delay, EARLIEST), LATEST)


def last_seen(session: Session, platforms: Iterable[str] | None = None) -> dict[str, datetime]:
    """When satellites were last seen over any tile: the start of their last datatakes. All that are known, or some."""
    if platforms is None:
        query = sa.select(Acquisition.platform, sa.func.max(Acquisition.datatake)).group_by(Acquisition.platform)
        return {platform: time for platform, time in session.execute(query)}
    found = {}
    for platform in platforms:  # one by one each is a look into the index
        last = sa.select(sa.func.max(Acquisition.datatake)).where(Acquisition.platform == platform)
        if (time := session.scalar(last)) is not None:
            found[platform] = time
    return found


def followed_tiles(session: Session) -> set[str]:
    """Tiles of active sites: of these further passes are to come."""
    return set(session.scalars(sa.select(SiteTile.tile).join(Site, Site.code == SiteTile.site).where(Site.active)))


def refusals(session: Session, since: datetime, until: datetime, tile: str | None = None) -> list[Refused]:
    """Packages of passes from `since` to before `until` that were refused at the door, the newest refusal first."""
    name = Event.data["l1c"].as_string()
    query = (
        sa.select(Event.time, name, Event.data["reason"].as_string())
        .where(Event.kind.in_(("refused", "held")), Event.time >= since)
        .order_by(Event.id.desc())
    )
    if tile is not None:
        query = query.where(name.contains(f"_T{tile}_", autoescape=True))
    return [r for r in _named(session.execute(query)) if since <= r.datatake < until]


def _named(rows: Iterable[sa.Row[datetime, str | None, str | None]]) -> Iterable[Refused]:
    """Those of the refusals whose names are of packages."""
    for time, name, reason in rows:
        match = _NAME.match(name or "")
        try:
            datatake = datetime.strptime(match[2], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if match else None
        except ValueError:
            continue
        if match and datatake is not None:
            yield Refused(str(name), match[3], match[1], datatake, time, reason or "")


def known_tile(session: Session, tile: str) -> bool:
    """Whether a site or an acquisition has named a tile."""
    return session.scalar(sa.select(Tile.mgrs).where(Tile.mgrs == tile)) is not None
