"""Reprocessing: a version made of the archive, what that takes, and how its series takes the place of the old one.

A campaign has tiles and a period; in each tile its dates are a chain of their own, behind all that is made for the
first time. Dates that arrive meanwhile are queued in both series. When a tile's new series has all that the old one
has, a cut-over makes it the one that users get.
"""

from __future__ import annotations

import heapq
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from processing.errors import WrongSetting
from processing.people import Actor
from processing.store import events, lease, sites
from processing.store.dialect import now
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
    Site,
    SiteTile,
    Tile,
)
from processing.versions import VERSIONS, parameters

#: Attempts of which the seconds of a date are the median.
MEASURED = 500
#: A campaign is paused when dates of so many tiles failed alike within this time.
BREAKER_TILES, BREAKER_TIME = 5, timedelta(minutes=30)


@dataclass(frozen=True)
class Scope:
    """What a campaign covers.

    Attributes
    ----------
    version : str
    tiles : tuple of str
        Sorted.
    since, until : datetime or None
        Dates sensed from the one on and before the other.
    """

    version: str
    tiles: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Estimate:
    """What a campaign takes.

    Attributes
    ----------
    dates : dict of str to int
        Dates to be made, by tile.
    gone : int
        Dates of the period whose Level-1C is there no more.
    seconds : float or None
        Of one date, as measured; None where nothing was. [s]
    measured : str
        Of which version.
    bytes : int
        Of all products together, by those of the tiles. [bytes]
    work, takes : float or None
        Of all dates one after the other, and on the slots that are free for it, each tile one date at a time. [s]
    """

    dates: dict[str, int]
    gone: int
    seconds: float | None
    measured: str
    bytes: int
    work: float | None
    takes: float | None


def scope(
    session: Session,
    version: str,
    tiles: Iterable[str] = (),
    site: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Scope:
    """A campaign as it is asked for.

    Raises
    ------
    WrongSetting
        If the version, a tile or the site does not exist, the period is none, or the version is produced already.
    """
    try:
        parameters(version)
    except ValueError:
        raise WrongSetting(f"{version}: no such version; there are {', '.join(VERSIONS)}") from None
    wanted = {tile.upper().removeprefix("T") for tile in tiles}
    if site is not None:
        of_site = set(session.scalars(sa.select(SiteTile.tile).where(SiteTile.site == site)))
        if not of_site:
            known = session.scalars(sa.select(Site.code).where(Site.active).order_by(Site.code))
            raise WrongSetting(f"{site}: no such site; there are {', '.join(known)}")
        wanted |= of_site
    there = set(session.scalars(sa.select(Acquisition.tile).distinct()))
    if strange := wanted - there - (set() if site is None else of_site):
        raise WrongSetting(f"{', '.join(sorted(strange))}: nothing was ever seen of this tile")
    wanted = wanted & there if wanted else there
    if not wanted:
        raise WrongSetting("nothing is in the archive that could be made anew")
    if since is not None and until is not None and since >= until:
        raise WrongSetting(f"from {since:%Y-%m-%d} to {until:%Y-%m-%d}: is no period")
    found = session.scalar(sa.select(Campaign).where(Campaign.version == version))
    if found is not None and found.tiles is None:
        raise WrongSetting(f"{version} is produced already, of every date since {found.opened:%Y-%m-%d}")
    return Scope(version, tuple(sorted(wanted)), since, until)


def _dates(wanted: Scope) -> sa.Select[Acquisition]:
    """Acquisitions of a scope that no job of its version has."""
    job, chain, campaign = aliased(Job), aliased(Chain), aliased(Campaign)
    queued = (
        sa.exists()
        .where(job.acquisition_id == Acquisition.id, job.chain_id == chain.id)
        .where(chain.campaign_id == campaign.id, campaign.version == wanted.version)
    )
    query = sa.select(Acquisition).where(Acquisition.tile.in_(wanted.tiles), ~queued)
    if wanted.since is not None:
        query = query.where(Acquisition.sensing >= wanted.since)
    if wanted.until is not None:
        query = query.where(Acquisition.sensing < wanted.until)
    return query


_usable = sa.exists().where(Granule.acquisition_id == Acquisition.id, Granule.state == "usable")


def estimate(session: Session, wanted: Scope, slots: int) -> Estimate:
    """What a campaign takes.

    Parameters
    ----------
    slots : int
        Dates that may run at once.
    """
    dates = _dates(wanted).subquery()
    here = aliased(Acquisition, dates)
    usable = sa.exists().where(Granule.acquisition_id == here.id, Granule.state == "usable")
    counts = session.execute(sa.select(here.tile, sa.func.count()).where(usable).group_by(here.tile))
    per_tile = {tile: count for tile, count in counts}
    gone = session.scalar(sa.select(sa.func.count()).select_from(here).where(~usable)) or 0
    seconds, measured = _seconds(session, wanted.version)
    of_tile = session.execute(
        sa.select(Product.tile, sa.func.avg(Product.bytes))
        .where(Product.tile.in_(wanted.tiles), Product.bytes > 0)
        .group_by(Product.tile)
    )
    sizes = {tile: float(size) for tile, size in of_tile}
    usual = statistics.fmean(sizes.values()) if sizes else 0.0
    room = sum(count * sizes.get(tile, usual) for tile, count in per_tile.items())
    if seconds is None:
        return Estimate(per_tile, gone, None, measured, int(room), None, None)
    work = seconds * sum(per_tile.values())
    return Estimate(
        per_tile, gone, seconds, measured, int(room), work, makespan(list(per_tile.values()), seconds, slots)
    )


def _seconds(session: Session, version: str) -> tuple[float | None, str]:
    """How long a date takes from the start of its attempt to its end: in this version, or else in any. [s]"""
    last = (
        sa.select(Attempt.started, Attempt.ended, Campaign.version)
        .join(Job, Job.id == Attempt.job_id)
        .join(Chain, Chain.id == Job.chain_id)
        .join(Campaign, Campaign.id == Chain.campaign_id)
        .where(Attempt.outcome == "published", Attempt.started.is_not(None))
        .order_by(Attempt.id.desc())
        .limit(MEASURED)
    )
    for query in (last.where(Campaign.version == version), last):
        rows = session.execute(query).all()
        if rows:
            taken = [(ended - started).total_seconds() for started, ended, _ in rows if ended and started]
            return statistics.median(taken), " and ".join(sorted({row.version for row in rows}))
    return None, ""


def makespan(chains: Sequence[int], seconds: float, slots: int) -> float:
    """How long chains of dates take together, each one date at a time, the longest first. [s]

    Parameters
    ----------
    chains : sequence of int
        Dates of each.
    seconds : float
        Of one date. [s]
    slots : int
        Dates that run at once.
    """
    left = [-count for count in chains if count]
    heapq.heapify(left)
    rounds = 0
    while left:
        # All dates take as long: they begin and end together, and whoever has most left goes first.
        taken = [heapq.heappop(left) for _ in range(min(slots, len(left)))]
        steps = 1 if left else -max(taken)  # where nobody waits, all go on to the end of the shortest
        rounds += steps
        for count in taken:
            if count + steps < 0:
                heapq.heappush(left, count + steps)
    return rounds * seconds


def begin(session: Session, wanted: Scope, actor: Actor) -> None:
    """Open a campaign, or let one cover more; its dates are queued tile by tile (`fill`).

    Raises
    ------
    NotAllowed
        If who asks may not.
    """
    actor.require("campaign")
    time = now(session)
    campaign = session.scalar(sa.select(Campaign).where(Campaign.version == wanted.version))
    if campaign is None:
        campaign = Campaign(version=wanted.version, opened=time, tiles=[])
        session.add(campaign)
    campaign.status, campaign.priority = "active", lease.REPROCESSING
    campaign.tiles = sorted({*(campaign.tiles or ()), *wanted.tiles})
    campaign.since, campaign.until = wanted.since, wanted.until
    data = {
        "tiles": len(wanted.tiles),
        "from": wanted.since and wanted.since.isoformat(),
        "to": wanted.until and wanted.until.isoformat(),
    }
    events.audit(session, time, "campaign_asked_for", actor, version=wanted.version, data=data)


def fill(session: Session, wanted: Scope, tile: str) -> int:
    """Queue the dates of one tile that a campaign covers and that are not queued in it yet; how many."""
    session.execute(sa.select(Tile.mgrs).where(Tile.mgrs == tile).with_for_update())
    time = now(session)
    (chain,) = [c for c in sites.chains(session, tile) if c.campaign.version == wanted.version]
    lease.lock(session, chain.id)
    of_tile = _dates(Scope(wanted.version, (tile,), wanted.since, wanted.until)).where(_usable)
    found = session.scalars(of_tile.order_by(Acquisition.sensing)).all()
    session.add_all(
        Job(chain_id=chain.id, acquisition_id=date.id, sensing=date.sensing, not_before=time, created=time)
        for date in found
    )
    lease.advance(session, chain.id)
    return len(found)


def cancel(session: Session, version: str, actor: Actor) -> int:
    """End a campaign: what runs is stopped, what was made stays; how many dates fell out.

    Raises
    ------
    WrongSetting
        If there is no such campaign, or it is no reprocessing.
    NotAllowed
        If who asks may not.
    """
    actor.require("campaign")
    campaign = _reprocessing(session, version)
    campaign.status = "closed"
    session.flush()
    chains = session.scalars(sa.select(Chain.id).where(Chain.campaign_id == campaign.id).order_by(Chain.id)).all()
    dropped = sum(_drop(session, chain, "the campaign was cancelled") for chain in chains)
    events.audit(session, now(session), "campaign_cancelled", actor, version=version, data={"dates": dropped})
    return dropped


def _reprocessing(session: Session, version: str) -> Campaign:
    campaign = session.scalar(sa.select(Campaign).where(Campaign.version == version).with_for_update())
    if campaign is None:
        raise WrongSetting(f"no campaign of version {version}")
    if campaign.tiles is None:
        raise WrongSetting(f"{version} is produced of every date that arrives: no campaign of the archive")
    return campaign


def _drop(session: Session, chain_id: int, reason: str) -> int:
    """Close the open dates of a chain: those that were never tried leave no trace."""
    lease.lock(session, chain_id)
    time = now(session)
    lease.interrupt(session, chain_id, time)
    session.flush()
    opened = sa.and_(Job.chain_id == chain_id, Job.state.in_(OPEN_STATES))
    tried = sa.exists().where(Attempt.job_id == Job.id)
    gone = session.execute(
        sa.delete(Job).where(opened, ~tried).returning(Job.id).execution_options(synchronize_session=False)
    ).all()
    closed = session.execute(
        sa.update(Job)
        .where(opened)
        .values(state="rejected", reason=reason, reason_class="operator", closed=time)
        .returning(Job.id)
        .execution_options(synchronize_session=False)
    ).all()
    session.expire_all()
    lease.advance(session, chain_id)
    return len(gone) + len(closed)


def behind(session: Session, tile: str, version: str) -> str | None:
    """Why a tile's series in a version can't take the place of the one that users get; None where it can."""
    place = session.get(Tile, tile)
    if place is None:
        return f"{tile}: no such tile"
    chain = _chain(session, tile, version)
    if chain is None:
        return f"{tile}: is not produced in {version}"
    old = place.current_version
    if old == version:
        return f"{tile}: {version} is what users get already"
    ours = sa.select(Job.state, sa.func.count()).where(Job.chain_id == chain.id).group_by(Job.state)
    states = {state: count for state, count in session.execute(ours)}
    if waiting := sum(states.get(state, 0) for state in OPEN_STATES):
        return f"{tile}: dates of {version} that are not over yet: {waiting}"
    if not states.get("published"):
        return f"{tile}: {version} has no product"
    job = aliased(Job)
    here = sa.exists().where(
        job.chain_id == chain.id, job.acquisition_id == Job.acquisition_id, job.state.in_(("published", "not_valid"))
    )
    given_up = sa.exists().where(
        job.chain_id == chain.id, job.acquisition_id == Job.acquisition_id, job.state == "rejected"
    )
    lacking = session.scalar(
        sa.select(sa.func.count())
        .select_from(Product)
        .join(Job, Job.id == Product.job_id)
        .where(Product.tile == tile, Product.version == old, Product.current, Product.valid, ~here, ~given_up)
    )
    if lacking:
        return f"{tile}: dates of {old} that {version} has not: {lacking}"
    return None


def _chain(session: Session, tile: str, version: str) -> Chain | None:
    of_version = sa.select(Campaign.id).where(Campaign.version == version).scalar_subquery()
    return session.scalar(sa.select(Chain).where(Chain.tile == tile, Chain.campaign_id == of_version))


def cut_over(session: Session, tile: str, version: str, actor: Actor) -> str:
    """Make a version's series the one that users get of a tile; what was done, in words.

    The products of the series before are superseded, each by that of its date, and stay where they are; no date that
    arrives from now on is queued in it. All of it is one transaction.

    Raises
    ------
    WrongSetting
        If the series has not all that the other one has.
    NotAllowed
        If who asks may not.
    """
    actor.require("campaign")
    # As where a date is catalogued: nothing can arrive meanwhile.
    session.execute(sa.select(Tile.mgrs).where(Tile.mgrs == tile).with_for_update())
    if (reason := behind(session, tile, version)) is not None:
        raise WrongSetting(reason)
    place = session.get_one(Tile, tile)
    old, time = place.current_version, now(session)
    new_chain = _chain(session, tile, version)
    assert new_chain is not None
    old_chain = _chain(session, tile, old) if old is not None else None
    for chain_id in sorted(c.id for c in (new_chain, old_chain) if c is not None):
        lease.lock(session, chain_id)
    if (reason := behind(session, tile, version)) is not None:  # what ran has ended
        raise WrongSetting(reason)
    if old_chain is not None:
        old_chain.closed = time
        _drop(session, old_chain.id, f"{version} took the place of {old}")
    new_chain.closed, new_chain.priority = None, sites.urgency(session, tile)
    place.current_version = version
    session.flush()
    others = sa.select(Chain.id).where(Chain.campaign_id == new_chain.campaign_id, Chain.priority >= lease.REPROCESSING)
    if session.scalar(others.limit(1)) is None:  # from now on it is real time
        session.get_one(Campaign, new_chain.campaign_id).priority = 0
    taken = _supersede(session, tile, old, version)
    events.audit(session, time, "cut_over", actor, tile=tile, version=version, data={"from": old, "products": taken})
    return f"{tile}: {version} in place of {old}, {taken} products superseded"


def _supersede(session: Session, tile: str, old: str | None, new: str) -> int:
    """Let each product of a series point to that of the same date in the other; how many do."""
    session.flush()
    ours = sa.and_(Product.tile == tile, Product.version == new)
    session.execute(sa.update(Product).where(ours).values(superseded_by=None))
    after, job, job_of_after = aliased(Product), aliased(Job), aliased(Job)
    successor = (
        sa.select(after.id)
        .join(job_of_after, job_of_after.id == after.job_id)
        .join(job, job.acquisition_id == job_of_after.acquisition_id)
        .where(after.tile == tile, after.version == new, after.current, job.id == Product.job_id)
        .limit(1)
        .scalar_subquery()
    )
    done = session.execute(
        sa.update(Product)
        .where(Product.tile == tile, Product.version == old, Product.current)
        .values(superseded_by=successor)
        .returning(Product.superseded_by)
        .execution_options(synchronize_session=False)
    ).all()
    session.expire_all()
    return sum(row[0] is not None for row in done)


def ready(session: Session, version: str) -> dict[str, str | None]:
    """The tiles of a campaign, and of each why it can't be cut over yet; None where it can.

    Raises
    ------
    WrongSetting
        If there is no such campaign.
    """
    campaign = session.scalar(sa.select(Campaign).where(Campaign.version == version))
    if campaign is None:
        raise WrongSetting(f"no campaign of version {version}")
    of = sa.select(Chain.tile).where(Chain.campaign_id == campaign.id).order_by(Chain.tile)
    return {tile: behind(session, tile, version) for tile in session.scalars(of)}


def break_off(session: Session) -> list[str]:
    """Pause the campaigns of which dates of several tiles failed alike lately; one line for each.

    The rest of the archive would fail alike. What all of the failures have in common is said with it.
    """
    time = now(session)
    failed = (
        sa.select(Campaign, Chain.tile, Attempt.reason, Attempt.host, Attempt.job_id, Attempt.ended)
        .join(Chain, Chain.campaign_id == Campaign.id)
        .join(Job, Job.chain_id == Chain.id)
        .join(Attempt, Attempt.job_id == Job.id)
        .where(Attempt.outcome == "failed", Attempt.ended >= time - BREAKER_TIME)
        .where(Campaign.status == "active", Campaign.priority >= lease.REPROCESSING)
    )
    alike: dict[tuple[Campaign, str], list[tuple[str, str | None, int]]] = defaultdict(list)
    for campaign, tile, reason, host, job, ended in session.execute(failed):
        if ended is not None and ended >= _resumed(session, campaign):
            alike[campaign, _kind(reason or "")].append((tile, host, job))
    told = []
    for (campaign, kind), cases in alike.items():
        tiles, hosts = {tile for tile, _, _ in cases}, {host for _, host, _ in cases}
        if len(tiles) < BREAKER_TILES or campaign.status != "active":
            continue
        campaign.status = "paused"
        session.flush()
        for chain_id in session.scalars(sa.select(Chain.id).where(Chain.campaign_id == campaign.id).order_by(Chain.id)):
            lease.advance(session, chain_id)
        where = f"all on {hosts.pop()}" if len(hosts) == 1 else f"on {len(hosts)} hosts"
        where += _by_programs(session, time - BREAKER_TIME, {job for _, _, job in cases})
        line = f"{campaign.version} is paused: dates of {len(tiles)} tiles failed alike, {where}: {kind}"
        data = {"reason": line, "tiles": sorted(tiles)}
        events.record(session, time, "campaign_broken_off", severity="error", version=campaign.version, data=data)
        events.note_anomaly(session, time, "processor", f"campaign {campaign.version} broken off", line)
        told.append(line)
    return told


def _by_programs(session: Session, since: datetime, jobs: set[int]) -> str:
    """By which programs dates were run, in words; nothing where none said so."""
    program = Event.data["program"].as_string()
    claimed = sa.select(program).where(Event.kind == "claimed", Event.time >= since, Event.job_id.in_(jobs)).distinct()
    found = sorted(name for name in session.scalars(claimed) if name)
    if not found:
        return ""
    return f", all by program {found[0]}" if len(found) == 1 else f", by programs {' and '.join(found)}"


def _resumed(session: Session, campaign: Campaign) -> datetime:
    """When somebody last let a campaign go on: what failed before is known to him."""
    resumed = sa.select(sa.func.max(Event.time, type_=Event.time.type))
    resumed = resumed.where(Event.kind == "campaign_active", Event.version == campaign.version)
    return session.scalar(resumed) or campaign.opened


def _kind(reason: str) -> str:
    """A reason without what tells one date from another."""
    return re.sub(r"\S*\d\S*", "#", reason)


def remaining(session: Session, version: str, slots: int) -> timedelta | None:
    """How long the open dates of a campaign take from now on; None where no date was measured."""
    of_version = sa.select(Campaign.id).where(Campaign.version == version).scalar_subquery()
    rows = session.execute(
        sa.select(Job.chain_id, sa.func.count())
        .join(Chain, Chain.id == Job.chain_id)
        .where(Chain.campaign_id == of_version, Job.state.in_(OPEN_STATES))
        .group_by(Job.chain_id)
    ).all()
    seconds, _ = _seconds(session, version)
    if seconds is None:
        return None
    return timedelta(seconds=makespan([count for _, count in rows], seconds, slots))
