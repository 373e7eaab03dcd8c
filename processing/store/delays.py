"""Where the time goes between the sensing of a date and its product: by stage, of each product and of sites."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from processing.store.models import Acquisition, Attempt, Granule, Job, Product, Site, SiteTile, StageDelay

#: From sensing to publication, with what the time went into.
STAGES = {
    "source": "published by the source",
    "notice": "noticed here",
    "download": "downloaded and checked",
    "queue": "queued",
    "wait": "waiting for older dates and a worker",
    "work": "in work",
}
#: All sites together.
EVERY = "*"
#: Percentiles that are told.
PERCENTILES = (50, 90, 95)
#: A delay is told of the newest products of a period, no more than so many.
NEWEST = 10_000
#: What counts as now, and what it is compared with, where a stage is blamed.
RECENT, USUAL = timedelta(days=1), timedelta(days=30)
#: A stage is blamed for what it takes longer than usual, above this. [s]
NOTEWORTHY = 60.0


@dataclass(frozen=True)
class Delays:
    """Percentiles over some products, as in `PERCENTILES`. [s]

    Attributes
    ----------
    products : int
        That they are of.
    stages : dict of str to tuple of float
        By stage; one that is never known is left out.
    total : tuple of float
        From sensing to publication.
    """

    products: int
    stages: dict[str, tuple[float, ...]]
    total: tuple[float, ...]


@dataclass(frozen=True)
class Blame:
    """The stage that makes products late, or that takes most of the time where none is later than usual.

    Attributes
    ----------
    stage : str
    seconds, usual, total : float
        Median of the stage now, as it usually is, and of all stages now; `usual` is NaN where nothing is older. [s]
    """

    stage: str
    seconds: float
    usual: float
    total: float


def note(session: Session, product: Product, job: Job | None = None, attempt: Attempt | None = None) -> None:
    """Keep where the time of a date's first product went. A later revision is nobody's delay.

    `job`, `attempt`: those of the product, where they are at hand.
    """
    if product.revision:
        return
    job = job or session.get_one(Job, product.job_id)
    attempt = attempt or session.get_one(Attempt, product.attempt_id)
    last = sa.func.max
    times = session.execute(
        sa.select(
            Acquisition.sensing,
            last(Granule.offered, type_=Granule.offered.type),
            last(Granule.seen, type_=Granule.seen.type),
            last(Granule.downloaded, type_=Granule.downloaded.type),
        )
        .join(Granule, sa.and_(Granule.acquisition_id == Acquisition.id, Granule.state == "usable"), isouter=True)
        .where(Acquisition.id == job.acquisition_id)
        .group_by(Acquisition.sensing)
    ).one()
    way = [*times, job.created, attempt.started or attempt.claimed, product.published]
    session.add(
        StageDelay(
            job_id=job.id,
            tile=product.tile,
            version=product.version,
            published=product.published,
            total=_seconds(way[0], way[-1]),
            **dict(zip(STAGES, map(_seconds, way[:-1], way[1:]), strict=True)),
        )
    )


def _seconds(earlier: datetime | None, later: datetime | None) -> float | None:
    """None where one isn't known; clocks of sources and hosts may differ, no stage takes less than nothing."""
    return None if earlier is None or later is None else max(0.0, (later - earlier).total_seconds())


def delays(session: Session, since: datetime, until: datetime | None = None) -> Delays | None:
    """Of the products published in a period; None where there is none."""
    rows = session.execute(_published(since, until)).all()
    return _percentiles(_table(rows)) if rows else None


def by_site(session: Session, since: datetime) -> dict[str, Delays]:
    """Of the products published since a time, by the name of the site; ``""``: of no site, `EVERY`: of all of them.

    Sites come in their order, those without a product are left out.
    """
    rows = session.execute(_published(since, None)).all()
    if not rows:
        return {}
    names = session.execute(
        sa.select(SiteTile.tile, Site.name).join(Site, Site.code == SiteTile.site).order_by(Site.priority, Site.name)
    ).all()
    of_tile: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        of_tile[row[0]].append(number)
    of_site: dict[str, list[int]] = {}
    for tile, name in names:
        of_site.setdefault(name, []).extend(of_tile.get(tile, ()))
    known = {tile for tile, _ in names}
    of_site[""] = [number for tile, numbers in of_tile.items() if tile not in known for number in numbers]
    table = _table(rows)
    found = {EVERY: _percentiles(table)}
    return found | {name: _percentiles(table[numbers]) for name, numbers in of_site.items() if numbers}


def blame(session: Session, now: datetime, recent: Delays | None = None) -> Blame | None:
    """The stage that explains the delay of the last day's products best; None where there is none.

    `recent`: their delays, where they are known already.
    """
    recent = recent or delays(session, now - RECENT)
    if recent is None or not recent.stages:
        return None
    before = delays(session, now - USUAL, now - RECENT)
    usual = {stage: before.stages.get(stage, (np.nan,))[0] if before else np.nan for stage in recent.stages}
    medians = {stage: values[0] for stage, values in recent.stages.items()}
    longer = {stage: medians[stage] - usual[stage] for stage in medians if usual[stage] == usual[stage]}
    worst = max(longer, key=lambda stage: longer[stage], default=None)
    if worst is None or longer[worst] < NOTEWORTHY:
        worst = max(medians, key=lambda stage: medians[stage])
    return Blame(worst, medians[worst], usual[worst], recent.total[0])


def _published(since: datetime, until: datetime | None) -> sa.Select[Any]:
    columns = [getattr(StageDelay, stage) for stage in STAGES]
    query = sa.select(StageDelay.tile, *columns, StageDelay.total).where(StageDelay.published >= since)
    if until is not None:
        query = query.where(StageDelay.published < until)
    return query.order_by(StageDelay.published.desc()).limit(NEWEST)


def _table(rows: Sequence[sa.Row[Any]]) -> np.ndarray:
    """Seconds of products (row) by stage and in all (column), NaN where not known."""
    return np.array([tuple(row)[1:] for row in rows], dtype=float)


def _percentiles(table: np.ndarray) -> Delays:
    known = ~np.isnan(table).all(axis=0)
    values = np.nanpercentile(table[:, known], PERCENTILES, axis=0).T
    columns = [name for name, there in zip((*STAGES, "total"), known, strict=True) if there]
    told = {name: tuple(map(float, of_stage)) for name, of_stage in zip(columns, values, strict=True)}
    return Delays(len(table), told, told.pop("total"))
