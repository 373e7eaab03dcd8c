"""Campaigns of the archive as operators ask for them: what one takes, its dates queued, its series cut over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from processing.errors import WrongSetting
from processing.people import Actor
from processing.production import machine
from processing.settings import Settings
from processing.store import Store, campaigns
from processing.store.dialect import now


@dataclass(frozen=True)
class Asked:
    """What somebody wants made anew: some tiles or all; dates sensed from `since` on and before `until`."""

    version: str
    tiles: tuple[str, ...] = ()
    site: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def new(store: Store, settings: Settings, asked: Asked, actor: Actor, *, only_estimate: bool = False) -> dict[str, Any]:
    """Begin a campaign, unless only its estimate is wanted; what it covers and takes, as JSON-ready values.

    Raises
    ------
    WrongSetting
        If what is asked for does not exist, or nothing of it is to be made.
    NotAllowed
        If who asks may not.
    """
    slots = max(1, int(settings.workers * (1 - settings.real_time_share)))
    with store.read() as session:
        wanted = campaigns.scope(session, asked.version, asked.tiles, asked.site, asked.since, asked.until)
        found = campaigns.estimate(session, wanted, slots)
        time = now(session)
    cores = machine.threads() / settings.workers
    told = {
        "version": wanted.version,
        "tiles": len(found.dates),
        "dates": sum(found.dates.values()),
        "dates_without_level_1c": found.gone,
        "seconds_a_date": found.seconds and round(found.seconds, 1),
        "measured_of": found.measured or None,
        "core_hours": None if found.work is None else round(found.work * cores / 3600, 2),
        "disk_gb": round(found.bytes / 1e9, 3),
        "slots": slots,
        "end": None if found.takes is None else (time + timedelta(seconds=found.takes)).isoformat(timespec="minutes"),
        "begun": not only_estimate,
    }
    if only_estimate:
        return told
    if not found.dates:
        raise WrongSetting(f"{wanted.version}: no date of these tiles and days is left to be made")
    with store.write() as session:
        campaigns.begin(session, wanted, actor)
    for tile in wanted.tiles:
        with store.write() as session:
            campaigns.fill(session, wanted, tile)
    return told


def cut_over(store: Store, version: str, tiles: Sequence[str], actor: Actor) -> tuple[list[str], list[str]]:
    """Cut tiles over, or all of a campaign that users don't get yet; what was done, and what was refused, in lines.

    Raises
    ------
    WrongSetting
        If there is no such campaign, or nothing of it could be cut over.
    NotAllowed
        If who asks may not.
    """
    with store.read() as session:
        ready = campaigns.ready(session, version)
    named = [tile.upper().removeprefix("T") for tile in tiles]
    done, refused = [], []
    for tile in named or sorted(ready):
        if not named and "is what users get already" in (ready[tile] or ""):
            continue
        try:
            with store.write() as session:
                done.append(campaigns.cut_over(session, tile, version, actor))
        except WrongSetting as error:
            refused.append(str(error))
    return done, refused
