"""Where a date is: for a tile and a day, which passes the orbits make expected, which came, and how far each is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from statistics import median

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing import expected
from processing.expected import Passage
from processing.store import passes
from processing.store.dialect import now as database_now
from processing.store.models import (
    OPEN_STATES,
    Acquisition,
    Attempt,
    Campaign,
    Chain,
    Event,
    Granule,
    Job,
    Product,
    Quality,
    Tile,
)

#: How far a pass is: its time has not come; the source has not published it and is not late yet; it should have come;
#: its package was refused at the door; it is here.
PASS_STATES = ("upcoming", "awaited", "missing", "refused", "arrived")
#: How far a pass that is here is in one version: those of a job, and why one that is ready does not run.
VERSION_STATES = (
    *("published", "withdrawn", "not_valid", "rejected", "failed", "held", "retry", "running"),
    *("queued", "settling", "waits", "paused"),
)
#: Attempts that tell how long a date takes.
TYPICAL = 50


@dataclass(frozen=True)
class Blocker:
    """The older date of the tile that one waits for."""

    sensing: datetime
    platform: str
    state: str
    reason: str


@dataclass(frozen=True)
class Made:
    """A date in one version.

    Attributes
    ----------
    version : str
    default : bool
        Whether users of the tile get this version.
    state : str
        One of `VERSION_STATES`.
    since : datetime or None
        Since when it is so.
    soonest : datetime or None
        When it may be published, at the earliest; of a ``retry``, when it is tried again. None where it is over, or
        nobody can tell.
    blocker : Blocker or None
    reason, reason_class : str
        As the store has them, in English; empty without one.
    product : str or None
        Identifier.
    cloud_percent : float or None
    again : str or None
        State of a further revision that is being made.
    """

    version: str
    default: bool
    state: str
    since: datetime | None = None
    soonest: datetime | None = None
    blocker: Blocker | None = None
    reason: str = ""
    reason_class: str = ""
    product: str | None = None
    cloud_percent: float | None = None
    again: str | None = None


@dataclass(frozen=True)
class Pass:
    """One pass over the tile, and what became of it.

    Attributes
    ----------
    time : datetime
    platform : str
    relative_orbit : int or None
    state : str
        One of `PASS_STATES`.
    due : datetime or None
        Of one that has not come: when it should be here.
    arrived : datetime or None
    packages : tuple of str
        Level-1C packages that came, the refused one too.
    reason : str
        Why its package was refused; empty otherwise.
    simulated : bool
    made : tuple of Made
        The version that users get first.
    """

    time: datetime
    platform: str
    relative_orbit: int | None
    state: str
    due: datetime | None = None
    arrived: datetime | None = None
    packages: tuple[str, ...] = ()
    reason: str = ""
    simulated: bool = False
    made: tuple[Made, ...] = ()


@dataclass(frozen=True)
class Day:
    """All that can be said of a tile on a day.

    Attributes
    ----------
    tile : str
    day : date
        UTC.
    asked : datetime
        When.
    passes : tuple of Pass
        In order of time; empty where no satellite was to pass.
    first : datetime or None
        The first date of the tile that is here.
    before, after : Passage or None
        The nearest passes of other days.
    following : Passage or None
        The next pass that is still to come.
    stopped : tuple of Passage
        The last of each track that is not expected any more.
    silent_since : datetime or None
        Of the last image that arrived over any tile.
    """

    tile: str
    day: date
    asked: datetime
    passes: tuple[Pass, ...]
    first: datetime | None
    before: Passage | None
    after: Passage | None
    following: Passage | None
    stopped: tuple[Passage, ...]
    silent_since: datetime | None


def on(session: Session, tile: str, day: date, now: datetime | None = None) -> Day:
    """What became of the passes over a tile on a day.

    Parameters
    ----------
    now : datetime, optional
        The database's, unless given.
    """
    now = now or database_now(session)
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    known = passes.over_tile(session, tile, now)
    came = [_arrived(session, tile, one, now) for one in _acquisitions(session, tile, start, end)]
    refused = {r.platform: r for r in passes.refusals(session, start, end, tile)}
    gone = [
        _absent(passage, refused.pop(passage.platform, None), known.delay, now)
        for passage in expected.unseen(known.tracks, start, end, now)
    ]
    # Of a pass that nobody expected, and that came all the same as a package that could not be used.
    others = [r for r in refused.values() if r.platform not in {p.platform for p in came}]
    gone += [_absent(Passage(r.datatake, r.platform), r, known.delay, now) for r in others]
    return Day(
        tile=tile,
        day=day,
        asked=now,
        passes=tuple(sorted((*came, *gone), key=lambda one: one.time)),
        first=min((track.seen[0] for track in known.tracks), default=None),
        before=_before(known.tracks, start, now),
        after=expected.following(known.tracks, end - timedelta(microseconds=1), now),
        following=expected.following(known.tracks, now, now),
        stopped=tuple(
            Passage(track.last, track.platform, track.relative_orbit) for track in known.tracks if track.until < now
        ),
        silent_since=session.scalar(sa.select(sa.func.max(Event.time)).where(Event.kind == "arrived")),
    )


def lately(session: Session, tile: str, now: datetime, count: int = 12) -> list[tuple[Passage, str]]:
    """The last passes over a tile, the newest first, each with its state: of a pass, or in the users' version."""
    known = passes.over_tile(session, tile, now)
    version = sa.select(Tile.current_version).where(Tile.mgrs == tile).scalar_subquery()
    jobs = (
        sa.select(Job.id, Job.acquisition_id, Job.state, Job.revision)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .where(Chain.tile == tile, Campaign.version == version)
        .subquery()
    )
    rows = session.execute(
        sa.select(Acquisition.sensing, Acquisition.platform, Acquisition.relative_orbit, jobs.c.state, Product.valid)
        .select_from(Acquisition)
        .outerjoin(jobs, jobs.c.acquisition_id == Acquisition.id)
        .outerjoin(Product, sa.and_(Product.job_id == jobs.c.id, Product.current))
        .where(Acquisition.tile == tile)
        .order_by(Acquisition.sensing.desc(), jobs.c.revision.desc())
        .limit(3 * count)
    )
    found: dict[Passage, str] = {}
    for sensing, platform, orbit, state, valid in rows:
        passage = Passage(sensing, platform, orbit)
        if passage not in found or valid is not None:  # a revision that is being made leaves the product before it
            found[passage] = "withdrawn" if valid is False else state or "arrived"
    oldest = min((p.time for p in found), default=now)
    for passage in expected.unseen(known.tracks, oldest, now, now):
        found[passage] = "missing" if passage.time + known.delay <= now else "awaited"
    return sorted(found.items(), key=lambda one: one[0].time, reverse=True)[:count]


def _before(tracks: Sequence[expected.Track], start: datetime, now: datetime) -> Passage | None:
    seen = [Passage(t, track.platform, track.relative_orbit) for track in tracks for t in track.seen if t < start]
    unseen = expected.unseen(tracks, start - 2 * expected.CYCLE, start, now)
    return max([*seen, *unseen], default=None)


def _absent(passage: Passage, refused: passes.Refused | None, delay: timedelta, now: datetime) -> Pass:
    """A pass of which nothing is catalogued."""
    due = passage.time + delay
    state = "upcoming" if passage.time > now else "awaited" if due > now else "missing"
    found = Pass(passage.time, passage.platform, passage.relative_orbit, state, due=due)
    if refused is None:
        return found
    return replace(found, state="refused", arrived=refused.time, packages=(refused.name,), reason=refused.reason)


def _acquisitions(session: Session, tile: str, start: datetime, end: datetime) -> Sequence[Acquisition]:
    query = sa.select(Acquisition).where(
        Acquisition.tile == tile, Acquisition.sensing >= start, Acquisition.sensing < end
    )
    return session.scalars(query.order_by(Acquisition.sensing)).all()


def _arrived(session: Session, tile: str, acquisition: Acquisition, now: datetime) -> Pass:
    """A pass that is catalogued, with all that was made of it."""
    names = session.scalars(sa.select(Granule.name).where(Granule.acquisition_id == acquisition.id).order_by("id"))
    default = session.scalar(sa.select(Tile.current_version).where(Tile.mgrs == tile))
    rows = session.execute(
        sa.select(Job, Chain, Campaign, Quality.cloud_percent)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .outerjoin(Quality, Quality.job_id == Job.id)
        .where(Job.acquisition_id == acquisition.id)
        .order_by(Campaign.version, Job.revision)
    ).all()
    products = session.scalars(
        sa.select(Product)
        .join(Job, Job.id == Product.job_id)
        .where(Job.acquisition_id == acquisition.id, Product.current)
    ).all()
    of_version = {product.version: product for product in products}
    last = {row.Campaign.version: row for row in rows}
    made = [
        replace(_made(session, row, of_version.get(version), now), default=version == default)
        for version, row in last.items()
    ]
    return Pass(
        time=acquisition.sensing,
        platform=acquisition.platform,
        relative_orbit=acquisition.relative_orbit,
        state="arrived",
        arrived=acquisition.first_seen,
        packages=tuple(names),
        simulated=acquisition.simulated,
        made=tuple(sorted(made, key=lambda one: (not one.default, one.version))),
    )


def _made(
    session: Session, row: sa.Row[Job, Chain, Campaign, float | None], product: Product | None, now: datetime
) -> Made:
    """A date in one version, by its newest job and by the product that users have of it."""
    job, campaign = row.Job, row.Campaign
    if product is not None:
        again = job.state if job.id != product.job_id else None
        found = Made(campaign.version, False, "published", product.published, product=product.identifier, again=again)
        return found if product.valid else _withdrawn(session, found, product)
    found = Made(
        version=campaign.version,
        default=False,
        state=job.state,
        since=job.closed,
        reason=job.reason or "",
        reason_class=job.reason_class or "",
        cloud_percent=row.cloud_percent if job.state == "not_valid" else None,
    )
    return _open(session, found, row, now) if job.state in OPEN_STATES else found


def _withdrawn(session: Session, found: Made, product: Product) -> Made:
    event = session.execute(
        sa.select(Event.time, Event.data)
        .where(Event.kind == "withdrawn", Event.product_id == product.id)
        .order_by(Event.id.desc())
        .limit(1)
    ).first()
    reason = str(event.data.get("reason", "")) if event else ""
    since = event.time if event else None
    return replace(found, state="withdrawn", since=since, reason=reason, reason_class="operator" if reason else "")


def _open(session: Session, found: Made, row: sa.Row[Job, Chain, Campaign, float | None], now: datetime) -> Made:
    """What a date waits for that is not over, and when it may be."""
    job, campaign = row.Job, row.Campaign
    usual = _duration(session)
    if job.state == "running":
        claimed = session.scalar(
            sa.select(sa.func.max(Attempt.claimed)).where(Attempt.job_id == job.id, Attempt.ended.is_(None))
        )
        return replace(found, since=claimed, soonest=max(now, (claimed or now) + usual))
    if job.state == "held":
        return replace(found, since=job.created)
    if campaign.status != "active":
        return replace(found, state="paused", since=job.created)
    ahead = _ahead(session, job)
    if ahead:
        first = ahead[0]
        blocker = Blocker(first.sensing, first.platform, first.state, first.reason or "")
        soonest = None if any(one.state == "held" for one in ahead) else now + (len(ahead) + 1) * usual
        return replace(found, state="waits", since=job.created, blocker=blocker, soonest=soonest)
    if job.state == "retry":
        return replace(found, since=job.created, soonest=max(now, job.not_before))
    state = "settling" if job.not_before > now else "queued"
    return replace(found, state=state, since=job.created, soonest=max(now, job.not_before) + usual)


def _ahead(session: Session, job: Job) -> Sequence[sa.Row[datetime, str, str, str | None]]:
    """Dates of the same chain that have to be over before a job may run, oldest first."""
    earlier = sa.or_(Job.sensing < job.sensing, sa.and_(Job.sensing == job.sensing, Job.revision < job.revision))
    return session.execute(
        sa.select(Job.sensing, Acquisition.platform, Job.state, Job.reason)
        .join(Acquisition, Acquisition.id == Job.acquisition_id)
        .where(Job.chain_id == job.chain_id, Job.state.in_(OPEN_STATES), Job.id != job.id, earlier)
        .order_by(Job.sensing, Job.revision, Job.id)
    ).all()


def _duration(session: Session) -> timedelta:
    """How long an attempt takes that ends with a product, as half of the last ones did."""
    last = (
        sa.select(Attempt.claimed, Attempt.ended)
        .where(Attempt.ended.is_not(None), Attempt.outcome == "published")
        .order_by(Attempt.ended.desc())
        .limit(TYPICAL)
    )
    return _median(row.ended - row.claimed for row in session.execute(last) if row.ended)


def _median(spans: Iterable[timedelta]) -> timedelta:
    seconds = [span.total_seconds() for span in spans]
    return timedelta(seconds=median(seconds) if seconds else 0)
