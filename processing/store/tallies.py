"""How much there is, without counting it: tallies that triggers keep in the transactions that change what they count.

They are of jobs by chain and state, of current products by tile and version, of dates by tile, and of what was queued,
closed and made on each day (`models.ChainTally` and the next ones; the triggers are in the migration 0014).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from processing.store.dialect import epoch
from processing.store.models import (
    Acquisition,
    Base,
    Chain,
    ChainTally,
    DayTally,
    Job,
    Product,
    SeriesTally,
    TileTally,
)

#: Parts in which a day is counted, as in the migration.
PARTS = 16
#: Seconds of a day, written out: as a parameter it would make two different expressions of one.
_DAY = sa.literal_column("86400", sa.Integer)


def states(session: Session) -> dict[str, int]:
    """Jobs by state, in the order of the states' names; those that none is in are left out."""
    total = sa.func.sum(ChainTally.jobs)
    query = sa.select(ChainTally.state, total).group_by(ChainTally.state).order_by(ChainTally.state)
    return {state: int(number) for state, number in session.execute(query) if number}


def by_campaign(session: Session, among: Iterable[str]) -> dict[int, int]:
    """Jobs in some states by the key of their campaign."""
    query = (
        sa.select(Chain.campaign_id, sa.func.sum(ChainTally.jobs))
        .join(Chain, Chain.id == ChainTally.chain_id)
        .where(ChainTally.state.in_(list(among)))
        .group_by(Chain.campaign_id)
    )
    return {campaign: int(number) for campaign, number in session.execute(query) if number}


def per_day(session: Session, since: datetime, what: Iterable[str]) -> dict[tuple[int, int, str], int]:
    """What there was on each day from that of `since` on: by day since 1970, key of the campaign, and what."""
    query = (
        sa.select(DayTally.day, DayTally.campaign_id, DayTally.what, sa.func.sum(DayTally.number))
        .where(DayTally.day >= int(since.timestamp()) // 86400, DayTally.what.in_(list(what)))
        .group_by(DayTally.day, DayTally.campaign_id, DayTally.what)
    )
    return {(day, campaign, kind): int(number) for day, campaign, kind, number in session.execute(query) if number}


def products(session: Session) -> tuple[int, int, int]:
    """Current products: all, those that were not withdrawn, and those that come from the simulation."""
    columns = (SeriesTally.products, SeriesTally.valid, SeriesTally.simulated)
    found = session.execute(sa.select(*(sa.func.coalesce(sa.func.sum(column), 0) for column in columns))).one()
    return int(found[0]), int(found[1]), int(found[2])


def of_versions(session: Session, *, valid: bool = False) -> dict[str, int]:
    """Current products by version; `valid`: only those that were not withdrawn."""
    column = SeriesTally.valid if valid else SeriesTally.products
    query = sa.select(SeriesTally.version, sa.func.sum(column)).group_by(SeriesTally.version)
    return {version: int(number) for version, number in session.execute(query.order_by(SeriesTally.version)) if number}


def dates(session: Session) -> int:
    """Dates that ever arrived."""
    return int(session.scalar(sa.select(sa.func.sum(TileTally.dates))) or 0)


def again() -> sa.Subquery:
    """Dates that were queued again, which are few: ``chain_id``, ``acquisition_id`` and their ``last`` revision."""
    job = aliased(Job)
    keys = (job.chain_id, job.acquisition_id)
    last = sa.func.max(job.revision).label("last")
    return sa.select(*keys, last).where(job.revision > 0).group_by(*keys).subquery()


def of_date(dates: sa.Subquery) -> sa.ColumnElement[bool]:
    """Whether a job is of one of the dates that `again` finds."""
    return sa.and_(Job.chain_id == dates.c.chain_id, Job.acquisition_id == dates.c.acquisition_id)


def _counts() -> dict[type[Base], sa.Select[Any]]:
    """Of each tally what it should say: its columns in their order."""
    one = sa.func.count().label("number")

    def day(time: Any) -> sa.ColumnElement[int]:
        seconds = epoch(time)
        return ((seconds - seconds % _DAY) // _DAY).label("day")

    def kept(column: Any) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((column, 1), else_=0))

    part = (Chain.id % sa.literal_column(str(PARTS), sa.Integer)).label("part")
    closed = (day(Job.closed), Chain.campaign_id, part, Job.state.label("what"))
    queued = (day(Job.created), Chain.campaign_id, part, sa.literal_column("'queued'", sa.Text).label("what"))
    made = (day(Product.published), Chain.campaign_id, part, sa.literal_column("'made'", sa.Text).label("what"))
    of_chain = (Chain, Chain.id == Job.chain_id)
    keys = sa.text("1, 2, 3, 4")
    days = sa.union_all(
        sa.select(*queued, one).select_from(Job).join(*of_chain).group_by(keys),
        sa.select(*closed, one).select_from(Job).join(*of_chain).where(Job.closed.is_not(None)).group_by(keys),
        sa.select(*made, one)
        .select_from(Product)
        .join(Job, Job.id == Product.job_id)
        .join(*of_chain)
        .where(Product.current)
        .group_by(keys),
    ).subquery()
    return {
        ChainTally: sa.select(Job.chain_id, Job.state, one).group_by(Job.chain_id, Job.state),
        SeriesTally: sa.select(Product.tile, Product.version, one, kept(Product.valid), kept(Product.simulated))
        .where(Product.current)
        .group_by(Product.tile, Product.version),
        TileTally: sa.select(Acquisition.tile, one).group_by(Acquisition.tile),
        DayTally: sa.select(days),
    }


def wrong_tallies(session: Session) -> list[str]:
    """Tallies that don't say what there is, one line each; this counts everything."""
    found = []
    for table, count in _counts().items():
        columns = list(sa.inspect(table).columns)
        keys = len(sa.inspect(table).primary_key)
        told = {tuple(row)[:keys]: tuple(row)[keys:] for row in session.execute(sa.select(*columns)) if any(row[keys:])}
        true = {tuple(row)[:keys]: tuple(map(int, tuple(row)[keys:])) for row in session.execute(count)}
        for key in sorted(told.keys() | true.keys(), key=str):
            if told.get(key) != true.get(key):
                place = " ".join(map(str, key))
                found.append(f"{table.__tablename__} of {place}: {told.get(key)}, there are {true.get(key)}")
    return found


def count_again(session: Session) -> None:
    """Let the tallies say what there is."""
    for table, count in _counts().items():
        session.execute(sa.delete(table))
        columns = [column.name for column in sa.inspect(table).columns]
        session.execute(sa.insert(table).from_select(columns, count))


def mixed_tiles(session: Session) -> list[str]:
    """Tiles that have products that users may get in more than one version."""
    several = (
        sa.select(SeriesTally.tile)
        .where(SeriesTally.valid > 0)
        .group_by(SeriesTally.tile)
        .having(sa.func.count() > 1)
        .order_by(SeriesTally.tile)
    )
    return list(session.scalars(several))
