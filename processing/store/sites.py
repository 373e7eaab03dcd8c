"""Sites, tiles, campaigns and chains: what is to be followed, and in which versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.people import Actor
from processing.sites import Site as KnownSite
from processing.store import events, lease
from processing.store.dialect import insert, now
from processing.store.models import Campaign, Chain, Site, SiteTile, Tile
from processing.versions import VERSIONS, parameters

#: Order of the versions, oldest first.
_AGE = {name: age for age, name in enumerate(VERSIONS)}


def register_sites(session: Session, known: Iterable[KnownSite]) -> None:
    """Bring the site tables in line with the list of sites; a site that left the list becomes inactive."""
    codes = []
    for site in known:
        codes.append(site.code)
        values = {"name": site.name, "country": site.country, "priority": site.priority, "active": True}
        session.execute(
            insert(session, Site)
            .values(code=site.code, **values)
            .on_conflict_do_update(index_elements=["code"], set_=values)
        )
        for tile in site.tiles:
            register_tile(session, tile)
        session.execute(sa.delete(SiteTile).where(SiteTile.site == site.code, SiteTile.tile.not_in(site.tiles)))
        session.execute(
            insert(session, SiteTile)
            .values([{"site": site.code, "tile": tile} for tile in site.tiles])
            .on_conflict_do_nothing()
        )
    session.execute(sa.update(Site).where(Site.code.not_in(codes)).values(active=False))


def register_tile(session: Session, tile: str) -> None:
    """Make a tile known."""
    session.execute(insert(session, Tile).values(mgrs=tile).on_conflict_do_nothing())


def open_campaigns(session: Session, versions: Sequence[str]) -> None:
    """Open the campaigns of the versions to be produced that have none yet.

    Raises
    ------
    ValueError
        If a version is unknown or not produced.
    """
    for version in versions:
        parameters(version)
        time = now(session)
        opened = session.scalar(
            insert(session, Campaign)
            .values(version=version, status="active", priority=0, opened=time)
            .on_conflict_do_nothing()
            .returning(Campaign.id)
        )
        if opened is not None:
            events.record(session, time, "campaign_opened", version=version)
            continue
        # One that began with a part of the archive is now of every tile.
        known = session.scalars(sa.select(Campaign).where(Campaign.version == version)).one()
        if known.tiles is not None:
            known.tiles = known.since = known.until = None
            known.priority = 0


def new_campaign(session: Session, version: str, actor: Actor) -> None:
    """Open the campaign of a version because somebody asks for it.

    Raises
    ------
    ValueError
        If the version is unknown or not produced.
    NotAllowed
        If who asks may not.
    """
    actor.require("campaign")
    open_campaigns(session, [version])
    events.audit(session, now(session), "campaign_asked_for", actor, version=version)


def set_campaign(session: Session, version: str, status: str, actor: Actor) -> None:
    """Pause, resume (``active``) or close a campaign. Dates that run now finish; no other one starts.

    Raises
    ------
    ValueError
        If there is no campaign of this version.
    NotAllowed
        If who asks may not.
    """
    actor.require("campaign")
    campaign = session.scalar(sa.select(Campaign).where(Campaign.version == version))
    if campaign is None:
        raise ValueError(f"no campaign of version {version}")
    campaign.status = status
    session.flush()
    for chain_id in session.scalars(sa.select(Chain.id).where(Chain.campaign_id == campaign.id).order_by(Chain.id)):
        lease.advance(session, chain_id)
    events.audit(session, now(session), "campaign_" + status, actor, version=version)


def urgency(session: Session, tile: str) -> int:
    """The priority of the most urgent site that has the tile."""
    sites = sa.select(sa.func.min(Site.priority)).join(SiteTile, SiteTile.site == Site.code)
    return session.scalar(sites.where(SiteTile.tile == tile)) or 0


def chains(session: Session, tile: str, sensing: datetime | None = None) -> list[Chain]:
    """The tile's chains of all campaigns that are not closed and cover it, made where missing.

    Those that a cut-over closed are not among them.

    Parameters
    ----------
    sensing : datetime, optional
        Only campaigns that cover this date.
    """
    found = session.scalars(sa.select(Campaign).where(Campaign.status != "closed").order_by(Campaign.id)).all()
    campaigns = [c for c in found if c.tiles is None or tile in c.tiles]
    urgent = urgency(session, tile)
    for campaign in campaigns:
        session.execute(
            insert(session, Chain)
            .values(tile=tile, campaign_id=campaign.id, priority=campaign.priority + urgent, token=0)
            .on_conflict_do_nothing()
        )
    # What is made anew is nobody's default before it was cut over.
    versions = [c.version for c in campaigns if c.tiles is None] or [c.version for c in campaigns]
    if versions:
        newest = max(versions, key=lambda name: _AGE.get(name, -1))
        session.execute(
            sa.update(Tile).where(Tile.mgrs == tile, Tile.current_version.is_(None)).values(current_version=newest)
        )
    wanted = [c.id for c in campaigns if sensing is None or _covers(c, sensing)]
    query = sa.select(Chain).where(Chain.tile == tile, Chain.campaign_id.in_(wanted), Chain.closed.is_(None))
    return list(session.scalars(query.order_by(Chain.id)))


def _covers(campaign: Campaign, sensing: datetime) -> bool:
    after = campaign.since is None or sensing >= campaign.since
    return after and (campaign.until is None or sensing < campaign.until)


def watched(session: Session) -> list[str]:
    """Tiles of all active sites."""
    query = sa.select(SiteTile.tile).join(Site, Site.code == SiteTile.site).where(Site.active).distinct()
    return sorted(session.scalars(query))
