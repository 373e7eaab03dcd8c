"""How the centre stands, as its users ask it: is it on time, how late is each tile and why, how much is published."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from processing import expected
from processing.expected import CYCLE, Passage
from processing.store import passes, tallies
from processing.store.dialect import now as database_now
from processing.store.models import (
    OPEN_STATES,
    Acquisition,
    Campaign,
    Chain,
    Event,
    Job,
    Product,
    Site,
    SiteTile,
    Tile,
    is_open,
)
from processing.store.passes import REAL_TIME, Overflown

#: Of a tile and of a site, the worst first. ``late``: a date that came is not over after the target. ``missing``: a
#: pass should have come and has not. ``ended``: no satellite is expected any more. ``none``: nothing has come yet.
STATES = ("late", "missing", "on_time", "waiting", "ended", "none")
#: What counts as typical, and how far back the rate goes.
RECENT = timedelta(days=30)
#: Tiles that belong to no site are told together, under this code.
NO_SITE = "-"


@dataclass(frozen=True)
class Delays:
    """From the pass of a satellite to the product: as half and as nine in ten of them took at most."""

    typical: timedelta
    long: timedelta


@dataclass(frozen=True)
class OpenDate:
    """A date that came and is not over, in the version that users of its tile get."""

    tile: str
    sensing: datetime
    created: datetime
    state: str
    reason: str


@dataclass(frozen=True)
class TileStanding:
    """One tile.

    Attributes
    ----------
    tile : str
    state : str
        One of `STATES`.
    version : str or None
        The one that its users get.
    latest, published : datetime or None
        Sensing time of the last product, and when it was published.
    product : str or None
    delays : Delays or None
        Of the last month, or None.
    delay_now : timedelta or None
        Of the oldest pass of the last cycles that users still wait for; else of the last product. None where neither
        was taken in real time.
    waiting : tuple of OpenDate
        The oldest first.
    missing : tuple of Passage
        Of the last cycle.
    following : Passage or None
        The next pass that is to come.
    """

    tile: str
    state: str
    version: str | None = None
    latest: datetime | None = None
    published: datetime | None = None
    product: str | None = None
    delays: Delays | None = None
    delay_now: timedelta | None = None
    waiting: tuple[OpenDate, ...] = ()
    missing: tuple[Passage, ...] = ()
    following: Passage | None = None


@dataclass(frozen=True)
class SiteStanding:
    """One site: the worst of its tiles, the last of their dates, the longest of their delays."""

    code: str
    name: str
    country: str
    tiles: tuple[str, ...]
    state: str
    latest: datetime | None
    delay_now: timedelta | None
    delays: Delays | None
    states: Mapping[str, int]


@dataclass(frozen=True)
class Standing:
    """The whole centre.

    Attributes
    ----------
    taken : datetime
    state : str
        One of `STATES`.
    tiles : mapping of str to TileStanding
    sites : tuple of SiteStanding
        In the order in which they are served; the tiles of no site last.
    per_day : tuple of (date, int)
        Products published on each of the last days, this one included.
    last_day : int
        Products published in the last 24 hours.
    delays : Delays or None
        Of all tiles.
    open : mapping of str to int
        Dates that are not over, of all versions, by the state of their job.
    held : tuple of str
        Why dates are held, each reason once.
    versions : mapping of str to int
        Products that users can get.
    products : int
    newest : datetime or None
        When the last product was published.
    arrived : datetime or None
        When the last Level-1C came.
    simulated : bool
        Whether all that is there comes from the simulation.
    """

    taken: datetime
    state: str
    tiles: Mapping[str, TileStanding]
    sites: tuple[SiteStanding, ...]
    per_day: tuple[tuple[date, int], ...]
    last_day: int
    delays: Delays | None
    open: Mapping[str, int]
    held: tuple[str, ...]
    versions: Mapping[str, int]
    products: int
    newest: datetime | None
    arrived: datetime | None
    simulated: bool = field(default=False)

    def count(self, state: str) -> int:
        """Sites in a state."""
        return sum(site.state == state for site in self.sites)

    def tiles_in(self, state: str) -> int:
        """Tiles in a state."""
        return sum(tile.state == state for tile in self.tiles.values())


def fingerprint(session: Session) -> tuple[Any, ...]:
    """Changes whenever something that is told has changed; cheap."""
    return (
        session.scalar(sa.select(sa.func.max(Event.id))),
        session.scalar(sa.select(sa.func.max(Product.id))),
        session.scalar(sa.select(sa.func.count(SiteTile.tile))),
        *tallies.states(session).items(),
    )


def take(session: Session, target: timedelta, now: datetime | None = None) -> Standing:
    """How the centre stands.

    Parameters
    ----------
    target : timedelta
        A date that came is late if it is not over after this.
    now : datetime, optional
        The database's, unless given.
    """
    now = now or database_now(session)
    flown = passes.lately(session, now)
    refused = {(r.platform, r.tile, r.datatake.date()) for r in passes.refusals(session, now - CYCLE, now)}
    last, waiting, recent = _last_products(session), _waiting(session), _recent(session, now)
    followed = passes.followed_tiles(session)
    tiles = {}
    for tile, version in session.execute(sa.select(Tile.mgrs, Tile.current_version).order_by(Tile.mgrs)):
        known = flown.get(tile) or Overflown([], passes.LATEST)
        gone = tuple(
            p
            for p in expected.unseen(known.tracks, now - CYCLE, now - known.delay, now)
            if (p.platform, tile, p.time.date()) not in refused
        )
        tiles[tile] = _tile(
            TileStanding(
                tile,
                "none",
                version,
                *(last.get(tile) or _Last(None, None, None)),
                _delays(recent.get(tile, ())),
                None,
                tuple(waiting.get(tile, ())),
                gone if tile in followed else (),
                expected.following(known.tracks, now, now),
            ),
            recent.get(tile, ()),
            target,
            now,
        )
    sites = tuple(_sites(session, tiles))
    every = [delay for delays in recent.values() for _, delay in delays]
    return Standing(
        taken=now,
        state=_worst(site.state for site in sites),
        tiles=tiles,
        sites=sites,
        delays=_delays([(now, delay) for delay in every]),
        **_counts(session, now),
    )


def _tile(
    bare: TileStanding, recent: Sequence[tuple[datetime, timedelta]], target: timedelta, now: datetime
) -> TileStanding:
    """A tile with its state and its delay."""
    real = [date.sensing for date in bare.waiting if date.created - date.sensing < REAL_TIME]
    awaited = min([*real, *(p.time for p in bare.missing)], default=None)
    late = any(now - date.created > target for date in bare.waiting)
    if late:
        state = "late"
    elif bare.missing:
        state = "missing"
    elif bare.latest is None:
        state = "waiting" if bare.waiting else "none"
    elif bare.waiting or bare.following:
        state = "on_time"
    else:
        state = "ended"
    last = max(recent, default=None)
    delay = now - awaited if awaited is not None else last[1] if last else None
    return replace(bare, state=state, delay_now=delay)


class _Last(NamedTuple):
    sensing: datetime | None
    published: datetime | None
    product: str | None


def _last_products(session: Session) -> dict[str, _Last]:
    """Of each tile the last product that its users get: sensing, publication, identifier."""
    offered = (Product.current, Product.valid, Product.version == Tile.current_version)
    # Tile by tile each is a look into the index; all together would read every product.
    newest = aliased(Product)
    sensing = (
        sa.select(sa.func.max(newest.sensing))
        .where(newest.tile == Tile.mgrs, newest.version == Tile.current_version, newest.current, newest.valid)
        .scalar_subquery()
    )
    last = sa.select(Tile.mgrs.label("tile"), sensing.label("sensing")).subquery()
    query = (
        sa.select(Product.tile, Product.sensing, Product.published, Product.identifier)
        .join(last, sa.and_(last.c.tile == Product.tile, last.c.sensing == Product.sensing))
        .join(Tile, Tile.mgrs == Product.tile)
        .where(*offered)
        .order_by(Product.identifier)
    )
    return {tile: _Last(sensing, published, name) for tile, sensing, published, name in session.execute(query)}


def _waiting(session: Session) -> dict[str, list[OpenDate]]:
    """Dates that are not over, by tile, the oldest first."""
    query = (
        sa.select(Chain.tile, Job.sensing, Job.created, Job.state, Job.reason)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .join(Tile, Tile.mgrs == Chain.tile)
        .where(is_open(), Job.revision == 0, Campaign.version == Tile.current_version)
        .order_by(Job.sensing)
    )
    found: dict[str, list[OpenDate]] = defaultdict(list)
    for tile, sensing, created, state, reason in session.execute(query):
        found[tile].append(OpenDate(tile, sensing, created, state, reason or ""))
    return found


def _recent(session: Session, now: datetime) -> dict[str, list[tuple[datetime, timedelta]]]:
    """Passes of the last month that were taken and published in real time, by tile: when, and their delay."""
    query = (
        sa.select(Product.tile, Product.sensing, Product.published)
        .join(Tile, Tile.mgrs == Product.tile)
        .where(
            Product.sensing >= now - RECENT - REAL_TIME,
            Product.published >= now - RECENT,
            Product.revision == 0,
            Product.version == Tile.current_version,
        )
    )
    found: dict[str, list[tuple[datetime, timedelta]]] = defaultdict(list)
    for tile, sensing, published in session.execute(query):
        found[tile].append((sensing, published - sensing))
    return found


def _delays(recent: Sequence[tuple[datetime, timedelta]]) -> Delays | None:
    if not recent:
        return None
    told = sorted(delay for _, delay in recent)
    return Delays(told[math.ceil(len(told) / 2) - 1], told[math.ceil(0.9 * len(told)) - 1])


def _sites(session: Session, tiles: Mapping[str, TileStanding]) -> Iterable[SiteStanding]:
    """Active sites with tiles, in the order in which they are served, and the tiles of none."""
    owned: dict[str, list[str]] = defaultdict(list)
    placed = set()
    for code, tile in session.execute(sa.select(SiteTile.site, SiteTile.tile).order_by(SiteTile.tile)):
        owned[code].append(tile)
        placed.add(tile)
    for site in session.scalars(sa.select(Site).where(Site.active).order_by(Site.priority, Site.name)):
        if owned[site.code]:
            yield _site(site.code, site.name, site.country, [tiles[tile] for tile in owned[site.code]])
    rest = [standing for tile, standing in tiles.items() if tile not in placed and standing.state != "none"]
    if rest:
        yield _site(NO_SITE, "", "", rest)


def _site(code: str, name: str, country: str, tiles: Sequence[TileStanding]) -> SiteStanding:
    delays = [tile.delays for tile in tiles if tile.delays]
    return SiteStanding(
        code,
        name,
        country,
        tuple(tile.tile for tile in tiles),
        _worst(tile.state for tile in tiles),
        max((tile.latest for tile in tiles if tile.latest), default=None),
        max((tile.delay_now for tile in tiles if tile.delay_now), default=None),
        Delays(sorted(delay.typical for delay in delays)[(len(delays) - 1) // 2], max(delay.long for delay in delays))
        if delays
        else None,
        Counter(tile.state for tile in tiles),
    )


def _worst(states: Iterable[str]) -> str:
    return min(states, key=STATES.index, default="none")


def _counts(session: Session, now: datetime) -> dict[str, Any]:
    """Figures of the whole centre, by their names in `Standing`."""
    first = (now - RECENT).date() + timedelta(days=1)
    start = datetime(first.year, first.month, first.day, tzinfo=now.tzinfo)
    counts: Counter[int] = Counter()
    for (day, _, _), number in tallies.per_day(session, start, ("published",)).items():
        counts[day] += number
    zero = date(1970, 1, 1)
    days = [first + timedelta(days=i) for i in range((now.date() - first).days + 1)]
    held = session.scalars(
        sa.select(Job.reason).where(is_open(), Job.state == "held", Job.reason.is_not(None)).distinct()
    )
    real = session.scalar(sa.select(Acquisition.id).where(Acquisition.simulated.is_(False)).limit(1))
    any_date = session.scalar(sa.select(Acquisition.id).limit(1))
    versions = tallies.of_versions(session, valid=True)
    return {
        "per_day": tuple((one, counts[(one - zero).days]) for one in days),
        "last_day": session.scalar(
            sa.select(sa.func.count()).where(Job.state == "published", Job.closed >= now - timedelta(days=1))
        ),
        "open": {state: number for state, number in tallies.states(session).items() if state in OPEN_STATES},
        "held": tuple(sorted(reason for reason in held if reason)),
        "versions": versions,
        "products": sum(versions.values()),
        "newest": session.scalar(sa.select(sa.func.max(Product.published))),
        "arrived": session.scalar(sa.select(sa.func.max(Event.time)).where(Event.kind == "arrived")),
        "simulated": any_date is not None and real is None,
    }
