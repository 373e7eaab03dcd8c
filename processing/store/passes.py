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
from processing.store.dialect import now as database_now
from processing.store.models import Acquisition, Event, Site, SiteTile, Tile

#: How long after a pass its Level-1C is there as a rule, where too few came in real time to tell.
USUAL_DELAY = timedelta(hours=12)
#: A pass, at half past ten in the morning where it is seen, is missing by the evening however late the source is.
LATEST, EARLIEST = timedelta(hours=12), timedelta(hours=3)
#: An image that came later than this after its pass was not taken in real time: it says nothing of the source.
REAL_TIME = timedelta(days=5)
#: Images that tell the usual delay of the source, at least.
ENOUGH = 5
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
    delay = usual_delay(session, now)
    refused = {(r.platform, r.tile, r.datatake.date()) for r in refusals(session, since, until)}
    found = []
    for tile, lines in all_tracks(session, since, until).items():
        for passage in expected.unseen(lines, since, min(until, now - delay), now):
            if (passage.platform, tile, passage.time.date()) not in refused:
                found.append(
                    Missing(tile, passage.time, passage.platform, passage.relative_orbit, passage.time + delay)
                )
    return sorted(found, key=lambda one: (one.time, one.tile, one.platform))


def all_tracks(session: Session, since: datetime, until: datetime) -> dict[str, list[Track]]:
    """The tracks over every tile, by what was seen in a period and as long before and after it as matters."""
    rows = session.execute(
        sa.select(Acquisition.tile, Acquisition.sensing, Acquisition.platform, Acquisition.relative_orbit).where(
            Acquisition.sensing >= since - expected.LOST - expected.CYCLE,
            Acquisition.sensing < until + expected.LOST + expected.CYCLE,
        )
    )
    seen: dict[str, list[Passage]] = defaultdict(list)
    for tile, sensing, platform, orbit in rows:
        seen[tile].append(Passage(sensing, platform, orbit))
    alive, followed = last_seen(session), followed_tiles(session)
    return {tile: expected.tracks(passages, alive, followed=tile in followed) for tile, passages in seen.items()}


def tracks(session: Session, tile: str, alive: Mapping[str, datetime] | None = None) -> list[Track]:
    """The tracks over one tile, by all that was ever seen there; none where nothing was.

    Parameters
    ----------
    alive : mapping of str to datetime, optional
        As `last_seen` gives it; looked up unless given.
    """
    rows = session.execute(
        sa.select(Acquisition.sensing, Acquisition.platform, Acquisition.relative_orbit).where(Acquisition.tile == tile)
    )
    active = sa.select(SiteTile.tile).join(Site, Site.code == SiteTile.site).where(SiteTile.tile == tile, Site.active)
    followed = session.scalar(active.limit(1)) is not None
    return expected.tracks(
        [Passage(*row) for row in rows], last_seen(session) if alive is None else alive, followed=followed
    )


def last_seen(session: Session) -> dict[str, datetime]:
    """When each satellite was last seen over any tile: the start of its last datatake."""
    query = sa.select(Acquisition.platform, sa.func.max(Acquisition.datatake)).group_by(Acquisition.platform)
    return {platform: time for platform, time in session.execute(query)}


def followed_tiles(session: Session) -> set[str]:
    """Tiles of active sites: of these further passes are to come."""
    return set(session.scalars(sa.select(SiteTile.tile).join(Site, Site.code == SiteTile.site).where(Site.active)))


def usual_delay(session: Session, now: datetime, tiles: Sequence[str] = ()) -> timedelta:
    """From a pass to its Level-1C being here, as nine in ten of the last month's took at most.

    Between `EARLIEST` and `LATEST`, so that a pass is found missing on its own day; `USUAL_DELAY` where too few came.

    Parameters
    ----------
    tiles : sequence of str
        Of these only; empty: of all.
    """
    query = sa.select(Acquisition.sensing, Acquisition.first_seen).where(
        Acquisition.sensing >= now - 3 * expected.CYCLE, Acquisition.sensing <= now
    )
    if tiles:
        query = query.where(Acquisition.tile.in_(tiles))
    delays = sorted(d for sensing, seen in session.execute(query) if (d := seen - sensing) < REAL_TIME)
    if len(delays) < ENOUGH:
        return USUAL_DELAY
    return min(max(delays[math.ceil(0.9 * len(delays)) - 1], EARLIEST), LATEST)


def refusals(session: Session, since: datetime, until: datetime, tile: str | None = None) -> list[Refused]:
    """Packages of passes from `since` to before `until` that were refused at the door, the newest refusal first."""
    name = Event.data["l1c"].as_string()
    query = (
        sa.select(Event.time, name, Event.data["reason"].as_string())
        .where(Event.kind == "refused", Event.time >= since)
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
