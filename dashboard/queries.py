"""What the pages ask the store: pure functions from a session to a frame or plain rows. The only SQL of the web."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from dashboard.theme import OUTCOMES
from processing import known
from processing.product import names
from processing.scene import Figures
from processing.store import tallies
from processing.store.dialect import epoch
from processing.store.events import DOOR
from processing.store.inputs import inputs
from processing.store.models import (
    OPEN_STATES,
    VERDICTS,
    Acquisition,
    Attempt,
    Campaign,
    Chain,
    ChainTally,
    Event,
    Job,
    Product,
    Quality,
    ReferenceMask,
    SeriesTally,
    Site,
    SiteTile,
    Tile,
    TileTally,
    Validation,
    Verdict,
    is_open,
)
from processing.store.surroundings import withdrawals
from processing.store.verdicts import verdicts_of, worst
from processing.versions import VERSIONS

#: Where tiles that belong to no site are counted.
NO_SITE = "Other tiles"


def _frame(session: Session, query: sa.Executable) -> pd.DataFrame:
    result = session.execute(query)
    return pd.DataFrame.from_records(result.fetchall(), columns=list(result.keys()))


def _hour(time: Any, seconds: int = 3600) -> Any:
    """The hour of a time, in seconds since 1970: there both databases agree on UTC, whatever the session's zone."""
    since_1970 = epoch(time)
    # Written out: as a parameter it would make two different expressions of the one selected and the one grouped by.
    return (since_1970 - since_1970 % sa.literal_column(str(seconds))).label("hour")


def fingerprint(session: Session) -> tuple[Any, ...]:
    """Changes whenever something that the pages show has changed; cheap."""
    return (
        session.scalar(sa.select(sa.func.max(Event.id)).where(Event.kind.not_in(DOOR))),
        session.scalar(sa.select(sa.func.max(Product.id))),
        session.scalar(sa.select(sa.func.count(SiteTile.tile))),
        session.scalar(sa.select(sa.func.max(Verdict.id))),
        session.scalar(sa.select(sa.func.max(Validation.id))),
        *tallies.states(session).items(),
    )


def outcomes_per_hour(session: Session, since: datetime, seconds: int = 3600) -> pd.DataFrame:
    """Dates that came to an end. Columns: hour (UTC), version, outcome, dates.

    `seconds`: 86400 for days instead of hours. A date counts once, by its last revision; as published as long as users
    get a product of it. A package that was refused on arrival is no date (`processing.store.failures.refused`).
    """
    counts: Counter[tuple[int, str, str]] = Counter()
    counted = _ended_by_day(session, since) if seconds == 86400 else _ended_by_hour(session, since, seconds)
    for hour, version, outcome, number in counted:
        counts[hour, version, outcome] += number
    # Of a date that was queued again the last revision counts; there are few of them.
    dates = tallies.again()
    key = (_hour(Job.closed, seconds), Campaign.version, Job.state)
    replaced = (
        sa.select(*key, sa.func.count())
        .select_from(dates)
        .join(Job, tallies.of_date(dates))
        .join(Chain, Job.chain_id == Chain.id)
        .join(Campaign, Chain.campaign_id == Campaign.id)
        .where(Job.closed >= since, Job.state.in_(NO_PRODUCT), Job.revision < dates.c.last)
        .group_by(*key)
    )
    for hour, version, outcome, number in session.execute(replaced):
        counts[hour, version, outcome] -= number
    rows = [(*found, number) for found, number in sorted(counts.items()) if number]
    frame = pd.DataFrame(rows, columns=["hour", "version", "outcome", "dates"])
    return frame.assign(hour=pd.to_datetime(frame["hour"].astype("int64"), unit="s", utc=True))


#: How a date can end without a product.
NO_PRODUCT = tuple(outcome for outcome in OUTCOMES if outcome != "published")


def _ended_by_day(session: Session, since: datetime) -> Iterable[tuple[int, str, str, int]]:
    """Second, version, outcome and number, of whole days."""
    versions = {key: version for key, version in session.execute(sa.select(Campaign.id, Campaign.version))}
    for (day, campaign, what), number in tallies.per_day(session, since, ("made", *NO_PRODUCT)).items():
        yield day * 86400, versions[campaign], "published" if what == "made" else what, number


def _ended_by_hour(session: Session, since: datetime, seconds: int) -> Iterable[tuple[int, str, str, int]]:
    hour = _hour(Product.published, seconds)
    made = sa.select(hour, Product.version, sa.literal("published"), sa.func.count())
    yield from session.execute(made.where(Product.published >= since, Product.current).group_by(hour, Product.version))
    key = (_hour(Job.closed, seconds), Campaign.version, Job.state)
    yield from session.execute(
        sa.select(*key, sa.func.count())
        .join(Chain, Job.chain_id == Chain.id)
        .join(Campaign, Chain.campaign_id == Campaign.id)
        .where(Job.closed >= since, Job.state.in_(NO_PRODUCT))
        .group_by(*key)
    )


def backlog(session: Session) -> pd.DataFrame:
    """Open dates, oldest arrival first.

    Columns: tile, version, sensing, state, created, not_before, running_since, attempts, reason, simulated.
    """
    running = (
        sa.select(Attempt.job_id, sa.func.max(Attempt.claimed).label("running_since"))
        .where(Attempt.ended.is_(None))
        .group_by(Attempt.job_id)
        .subquery()
    )
    query = (
        sa.select(
            Chain.tile,
            Campaign.version,
            Job.sensing,
            Job.state,
            Job.created,
            Job.not_before,
            running.c.running_since,
            Job.attempts,
            Job.reason,
            Acquisition.simulated,
        )
        .join(Chain, Job.chain_id == Chain.id)
        .join(Campaign, Chain.campaign_id == Campaign.id)
        .join(Acquisition, Job.acquisition_id == Acquisition.id)
        .outerjoin(running, running.c.job_id == Job.id)
        .where(is_open())
        .order_by(Job.created, Job.sensing)
    )
    return _frame(session, query)


def products(session: Session, limit: int = 20_000) -> pd.DataFrame:
    """The products that users get, last published first; one row a product, see the columns."""
    query = (
        sa.select(
            Product.identifier,
            Product.tile,
            Product.platform,
            Product.sensing,
            Product.version,
            Product.revision,
            Product.mode,
            Product.valid,
            Product.simulated,
            Product.published,
            Product.bytes,
            Acquisition.first_seen,
            Quality.cloud_percent,
            Quality.snow_percent,
            Quality.no_data_percent,
            Quality.aot_mean,
            Quality.water_vapour_mean,
        )
        .join(Job, Product.job_id == Job.id)
        .join(Acquisition, Job.acquisition_id == Acquisition.id)
        .outerjoin(Quality, Quality.job_id == Product.job_id)
        .where(Product.current)
        .order_by(Product.published.desc(), Product.id.desc())
        .limit(limit)
    )
    frame = _frame(session, query)
    said = verdicts_of(session)
    return frame.assign(
        site=frame["tile"].map(site_names(session)).fillna(""),
        verdict=[worst(said.get(name, ())) for name in frame["identifier"]],
    )


@dataclass(frozen=True)
class Listing:
    """What the list of products is asked for; what is empty asks for nothing.

    Attributes
    ----------
    tile : str
        Part of a tile id.
    site : str
        As `products` names it.
    version : str
    first, last, published : date or None
        First and last day of sensing, and day of publication.
    cloud : int
        Most cloud [%]; 100: any, or none known.
    """

    tile: str = ""
    site: str = ""
    version: str = ""
    first: date | None = None
    last: date | None = None
    published: date | None = None
    cloud: int = 100


#: What the list of products can be sorted by.
LISTED = {
    "sensing": Product.sensing,
    "tile": Product.tile,
    "cloud": Quality.cloud_percent,
    "version": Product.version,
    "published": Product.published,
}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


#: Tiles up to which the index of products is asked for each: of one, a look through all dates would not soon be over.
FEW_TILES = 30


def _of_tiles(session: Session, part: str) -> sa.ColumnElement[bool]:
    """Products of tiles that have some letters in their name."""
    named = sa.select(Tile.mgrs).where(Tile.mgrs.contains(part, autoescape=True)).limit(FEW_TILES + 1)
    tiles = list(session.scalars(named))
    return Product.tile.in_(tiles) if len(tiles) <= FEW_TILES else Product.tile.contains(part, autoescape=True)


def _listed(session: Session, asked: Listing) -> dict[str, sa.ColumnElement[bool]]:
    """The condition of each filter that is set, by its name."""
    found: dict[str, sa.ColumnElement[bool]] = {}
    day = timedelta(days=1)
    if asked.tile:
        found["tile"] = _of_tiles(session, asked.tile)
    if asked.site:
        found["site"] = Product.tile.in_([tile for tile, name in site_names(session).items() if name == asked.site])
    if asked.version:
        found["version"] = Product.version == asked.version
    if asked.first is not None:
        found["first"] = Product.sensing >= _midnight(asked.first)
    if asked.last is not None:
        found["last"] = Product.sensing < _midnight(asked.last) + day
    if asked.published is not None:
        start = _midnight(asked.published)
        found["published"] = sa.and_(Product.published >= start, Product.published < start + day)
    if asked.cloud < 100:
        found["cloud"] = Quality.cloud_percent <= asked.cloud
    return found


def listed(
    session: Session, asked: Listing, order: str = "-sensing", offset: int = 0, limit: int = 14
) -> tuple[pd.DataFrame, int]:
    """Some of the products that users get and that fit, and how many there are.

    Columns: identifier, tile, sensing, version, valid, simulated, cloud_percent, site, verdict.
    """
    conditions = _listed(session, asked)
    column = LISTED[order.removeprefix("-")]
    first = column.desc() if order.startswith("-") else column.asc()
    if column is Quality.cloud_percent:  # the others are always known, and an index has them in this order
        first = first.nulls_last()
    query = (
        sa.select(
            *(Product.identifier, Product.tile, Product.sensing, Product.version, Product.valid, Product.simulated),
            Quality.cloud_percent,
        )
        .outerjoin(Quality, Quality.job_id == Product.job_id)
        .where(Product.current, *conditions.values())
        .order_by(first, Product.sensing.desc(), Product.tile.desc(), Product.version.desc())
        .offset(offset)
        .limit(limit)
    )
    frame = _frame(session, query)
    said = verdicts_of(session, frame["identifier"]) if len(frame) else {}
    names = site_names(session)
    frame = frame.assign(
        site=[names.get(tile, "") for tile in frame["tile"]],
        verdict=[worst(said.get(name, ())) for name in frame["identifier"]],
    )
    return frame, _count_listed(session, asked, conditions)


#: Filters that the tallies know, and how far is counted where they don't.
TALLIED, MOST_LISTED = {"tile", "site", "version"}, 20_000


def _count_listed(session: Session, asked: Listing, conditions: Mapping[str, sa.ColumnElement[bool]]) -> int:
    """How many products fit some of the filters; one more than `MOST_LISTED` where there are more."""
    if conditions.keys() <= TALLIED:
        counted = sa.select(sa.func.sum(SeriesTally.products))
        if "tile" in conditions:
            counted = counted.where(SeriesTally.tile.contains(asked.tile, autoescape=True))
        if "site" in conditions:
            of_site = [tile for tile, name in site_names(session).items() if name == asked.site]
            counted = counted.where(SeriesTally.tile.in_(of_site))
        if "version" in conditions:
            counted = counted.where(SeriesTally.version == asked.version)
        return int(session.scalar(counted) or 0)
    found = sa.select(Product.id).where(Product.current, *conditions.values())
    if "cloud" in conditions:
        found = found.outerjoin(Quality, Quality.job_id == Product.job_id)
    return session.scalar(sa.select(sa.func.count()).select_from(found.limit(MOST_LISTED + 1).subquery())) or 0


def listed_alone(session: Session, asked: Listing) -> dict[str, tuple[int, int]]:
    """How many products fit each filter alone, and all filters but that one: why a list is empty."""
    conditions = _listed(session, asked)
    return {
        name: (
            _count_listed(session, asked, {name: condition}),
            _count_listed(session, asked, {key: other for key, other in conditions.items() if key != name}),
        )
        for name, condition in conditions.items()
    }


def choices_of_list(session: Session) -> tuple[list[str], list[str]]:
    """Names of sites and versions that have products."""
    names = site_names(session)
    pairs = session.execute(sa.select(SeriesTally.tile, SeriesTally.version).where(SeriesTally.products > 0)).all()
    sites = {names.get(tile, "") for tile, _ in pairs} - {""}
    return sorted(sites), sorted({version for _, version in pairs})


def judged(session: Session) -> dict[str, dict[str, int]]:
    """Current products of each version by the worst that a reader said of them; ``""``: that nobody judged."""
    last = sa.select(sa.func.max(Verdict.id)).group_by(Verdict.product_id, Verdict.reader)
    place = sa.case({verdict: number for number, verdict in enumerate(VERDICTS)}, value=Verdict.verdict)
    worst_said = (
        sa.select(Verdict.product_id, sa.func.max(place).label("place"))
        .where(Verdict.id.in_(last), Verdict.verdict != "none")
        .group_by(Verdict.product_id)
        .subquery()
    )
    query = (
        sa.select(Product.version, worst_said.c.place, sa.func.count())
        .join(worst_said, worst_said.c.product_id == Product.id)
        .where(Product.current)
        .group_by(Product.version, worst_said.c.place)
        .order_by(Product.version, worst_said.c.place)
    )
    found: dict[str, dict[str, int]] = {
        version: {"": number} for version, number in tallies.of_versions(session).items()
    }
    for version, said, products in session.execute(query):
        found[version][VERDICTS[said]] = products
        found[version][""] -= products
    return {version: {said: number for said, number in of.items() if number} for version, of in found.items()}


def site_names(session: Session) -> dict[str, str]:
    """Tile to the names of its sites."""
    query = (
        sa.select(SiteTile.tile, Site.name).join(Site, SiteTile.site == Site.code).order_by(Site.priority, Site.name)
    )
    names: dict[str, str] = {}
    for tile, name in session.execute(query):
        names[tile] = f"{names[tile]}, {name}" if tile in names else name
    return names


def events(session: Session, limit: int = 200) -> pd.DataFrame:
    """The last events, newest first. Columns: id, time, kind, severity, tile, version, actor, data, job_id, product."""
    query = (
        sa.select(
            Event.id,
            Event.time,
            Event.kind,
            Event.severity,
            Event.tile,
            Event.version,
            Event.actor,
            Event.data,
            Event.job_id,
            Product.identifier.label("product"),
        )
        .outerjoin(Product, Product.id == Event.product_id)
        .where(Event.kind.not_in(DOOR))
        .order_by(Event.id.desc())
        .limit(limit)
    )
    return _frame(session, query)


def coverage(session: Session) -> pd.DataFrame:
    """Every tile of the store with the state of its latest date.

    Columns: tile, site, sensing and state of the latest date (NaT and ``none`` before the first), version (of that
    state: the newest that has the date), simulated (of that date), products, dates.
    """
    tiles = pd.DataFrame({"tile": list(session.scalars(sa.select(Tile.mgrs).order_by(Tile.mgrs)))}, dtype=object)
    newest = aliased(Acquisition)
    last = sa.select(sa.func.max(newest.sensing, type_=newest.sensing.type)).where(newest.tile == TileTally.tile)
    dates = _frame(
        session,
        sa.select(TileTally.tile, TileTally.dates, last.scalar_subquery().label("sensing")).where(TileTally.dates > 0),
    )
    number = sa.func.sum(SeriesTally.valid).label("products")
    counts = _frame(session, sa.select(SeriesTally.tile, number).group_by(SeriesTally.tile))
    newer = aliased(Acquisition)
    latest = sa.select(sa.func.max(newer.sensing)).where(newer.tile == Tile.mgrs).scalar_subquery()
    states = _frame(
        session,
        sa.select(Chain.tile, Job.state, Campaign.version, Job.revision, Acquisition.simulated)
        .select_from(Tile)
        .join(Acquisition, sa.and_(Acquisition.tile == Tile.mgrs, Acquisition.sensing == latest))
        .join(Job, Job.acquisition_id == Acquisition.id)
        .join(Chain, Job.chain_id == Chain.id)
        .join(Campaign, Chain.campaign_id == Campaign.id),
    )
    states = states.sort_values(["version", "revision"]).drop_duplicates("tile", keep="last")
    frame = tiles.merge(dates, how="left", on="tile").merge(counts, how="left", on="tile")
    frame = frame.merge(states.drop(columns="revision"), how="left", on="tile")
    return frame.assign(
        site=frame["tile"].map(site_names(session)).fillna(""),
        state=frame["state"].fillna("none").astype(str),
        version=frame["version"].fillna("").astype(str),
        simulated=frame["simulated"].eq(True),
        products=frame["products"].fillna(0).astype(int),
        dates=frame["dates"].fillna(0).astype(int),
    )


def progress(session: Session) -> pd.DataFrame:
    """How far each version is at each site. Columns: site, version, state, dates.

    A date counts once, by its last revision; as published as long as users get a product of it. A tile of no site
    counts at `NO_SITE`, one of several at their joined names.
    """
    made = _frame(
        session,
        sa.select(SeriesTally.tile, SeriesTally.version, SeriesTally.products.label("dates")),
    ).assign(state="published")
    of_chain = sa.select(Chain.tile, Campaign.version).join(Campaign, Chain.campaign_id == Campaign.id)
    jobs = _frame(
        session,
        of_chain.add_columns(ChainTally.state, ChainTally.jobs.label("dates"))
        .join(ChainTally, ChainTally.chain_id == Chain.id)
        .where(ChainTally.state != "published"),
    )
    # Of the few dates that were queued again: all but the last job, and that too where users get an older product.
    dates, other = tallies.again(), aliased(Job)
    product = sa.exists().where(
        other.chain_id == Job.chain_id,
        other.acquisition_id == Job.acquisition_id,
        other.id == Product.job_id,
        Product.current,
    )
    twice = _frame(
        session,
        of_chain.add_columns(Job.state, (-sa.func.count()).label("dates"))
        .join(Job, Job.chain_id == Chain.id)
        .join(dates, tallies.of_date(dates))
        .where(Job.state != "published", sa.or_(Job.revision < dates.c.last, product))
        .group_by(Chain.tile, Campaign.version, Job.state),
    )
    frame = pd.concat([frame for frame in (made, jobs, twice) if len(frame)] or [made])
    frame = frame.assign(site=frame["tile"].map(site_names(session)).fillna(NO_SITE))
    frame = frame.groupby(["site", "version", "state"], as_index=False)["dates"].sum()
    return frame[frame["dates"] > 0].reset_index(drop=True)


def dates_known(session: Session) -> pd.Series:
    """Dates that have arrived, per site as in `progress`."""
    frame = _frame(session, sa.select(TileTally.tile, TileTally.dates).where(TileTally.dates > 0))
    frame = frame.assign(site=frame["tile"].map(site_names(session)).fillna(NO_SITE))
    return frame.groupby("site")["dates"].sum()


def mixed_series(session: Session) -> pd.DataFrame:
    """Tiles whose series, taken as the newest version of each date, mixes versions. Columns: tile, site, versions."""
    several = tallies.mixed_tiles(session)
    newest = (
        sa.select(Product.tile, sa.func.max(Product.version).label("version"))
        .where(Product.current, Product.valid, Product.tile.in_(several))
        .group_by(Product.tile, Product.sensing, Product.platform)
        .subquery()
    )
    counts = _frame(
        session,
        sa.select(newest.c.tile, newest.c.version, sa.func.count().label("dates"))
        .group_by(newest.c.tile, newest.c.version)
        .order_by(newest.c.tile, newest.c.version),
    )
    names = site_names(session)
    rows = [
        {
            "tile": tile,
            "site": names.get(str(tile), ""),
            "versions": ", ".join(f"{row.version}: {row.dates}" for row in of_tile.itertuples()),
        }
        for tile, of_tile in counts.groupby("tile")
        if len(of_tile) > 1
    ]
    return pd.DataFrame(rows, columns=["tile", "site", "versions"])


def newest_product(session: Session) -> datetime | None:
    """When the newest product was published."""
    return session.scalar(sa.select(sa.func.max(Product.published, type_=Product.published.type)))


def anything(session: Session) -> bool:
    """Whether anything has ever arrived: a date, or a package that was refused."""
    refused = sa.select(Event.id).where(Event.kind == "refused").limit(1)
    return session.scalar(sa.select(Acquisition.id).limit(1)) is not None or session.scalar(refused) is not None


def all_simulated(session: Session) -> bool:
    """Whether there are dates, and all of them come from the simulation."""
    seen = sa.select(Acquisition.id).where(Acquisition.simulated.is_(False)).limit(1)
    return session.scalar(seen) is None and session.scalar(sa.select(Acquisition.id).limit(1)) is not None


def count_products(session: Session) -> tuple[int, int]:
    """Products that users get, and how many of them come from the simulation: as many as `products` would list."""
    every, _, simulated = tallies.products(session)
    return every, simulated


def archive_growth(session: Session, days: int) -> float:
    """Bytes that were published a day, in the last days."""
    since = datetime.now(UTC) - timedelta(days=days)
    return float(session.scalar(sa.select(sa.func.sum(Product.bytes)).where(Product.published >= since)) or 0) / days


def offered(session: Session) -> dict[str, list[str]]:
    """What a search can choose from: ``site`` (codes), ``version``, ``platform``."""
    return {
        "site": list(session.scalars(sa.select(Site.code).order_by(Site.priority, Site.name))),
        "version": list(session.scalars(sa.select(Campaign.version).order_by(Campaign.version))),
        "platform": list(known.current().satellites),
    }


def titles_of_sites(session: Session) -> dict[str, str]:
    """Names of the sites by their code."""
    return {code: name for code, name in session.execute(sa.select(Site.code, Site.name))}


def products_of_images(session: Session, images: Iterable[str]) -> dict[tuple[str, str], str]:
    """Current products of acquisitions (``SENTINEL2A_..._L2A_T33TWM``) by acquisition and version."""
    names = {f"{image}_D_{version.replace('_', '-')}": (image, version) for image in images for version in VERSIONS}
    query = sa.select(Product.identifier).where(Product.identifier.in_(names), Product.current)
    return {names[found]: found for found in session.scalars(query)}


def calendar(session: Session, tile: str, version: str, year: int) -> pd.DataFrame:
    """A tile's dates in a year. Columns: sensing, platform, state, cloud_percent, identifier (None without a product).

    The state of a date is that of its last revision; without a version that of the newest version that has it.
    """
    first = datetime(year, 1, 1, tzinfo=UTC)
    query = (
        sa.select(Job.sensing, Acquisition.platform, Job.state, Quality.cloud_percent, Product.identifier)
        .join(Chain, Job.chain_id == Chain.id)
        .join(Campaign, Chain.campaign_id == Campaign.id)
        .join(Acquisition, Job.acquisition_id == Acquisition.id)
        .outerjoin(Quality, Quality.job_id == Job.id)
        .outerjoin(Product, sa.and_(Product.job_id == Job.id, Product.current, Product.valid))
        .where(
            Chain.tile == tile,
            *([Campaign.version == version] if version else []),
            Job.sensing >= first,
            Job.sensing < first.replace(year=year + 1),
        )
        .order_by(Job.sensing, Campaign.version, Job.revision)
    )
    return _frame(session, query).drop_duplicates(["sensing", "platform"], keep="last")


def series(session: Session, tile: str) -> pd.DataFrame:
    """Current products of a tile in time order.

    Columns: identifier, platform, sensing, version, valid, simulated, path, manifest_sha, cloud_percent.
    """
    query = (
        sa.select(
            Product.identifier,
            Product.platform,
            Product.sensing,
            Product.version,
            Product.valid,
            Product.simulated,
            Product.path,
            Product.manifest_sha,
            Quality.cloud_percent,
        )
        .outerjoin(Quality, Quality.job_id == Product.job_id)
        .where(Product.tile == tile, Product.current)
        .order_by(Product.sensing, Product.version)
    )
    return _frame(session, query)


def tiles_with_products(session: Session) -> list[str]:
    """Tiles that have a product, the one that was published last first."""
    last = (
        sa.select(sa.func.max(Product.published))
        .where(Product.tile == SeriesTally.tile, Product.current)
        .scalar_subquery()
    )
    tiles = sa.select(SeriesTally.tile).where(SeriesTally.products > 0).group_by(SeriesTally.tile)
    return list(session.scalars(tiles.order_by(last.desc())))


@dataclass(frozen=True)
class Folder:
    """Where a product lies. `path` is relative to the archive; `withdrawn` is why it was taken back, None if not."""

    identifier: str
    path: str
    manifest_sha: str
    simulated: bool
    published: datetime | None = None
    withdrawn: str | None = None


def folder(session: Session, identifier: str) -> Folder | None:
    """Where the newest revision of a product lies; None if the store doesn't know it."""
    query = (
        sa.select(
            Product.identifier,
            Product.path,
            Product.manifest_sha,
            Product.simulated,
            Product.published,
            Product.id,
            Product.valid,
        )
        .where(Product.identifier == identifier)
        .order_by(Product.revision.desc())
        .limit(1)
    )
    row = session.execute(query).first()
    if row is None:
        return None
    name, path, manifest_sha, simulated, published, number, valid = row
    withdrawn = None if valid else withdrawals(session, [number]).get(number, "")
    return Folder(name, path, manifest_sha, simulated, published, withdrawn)


@dataclass(frozen=True)
class Place:
    """One date of a tile and version, where its first product put it; `given` is whether users may have it,
    `withdrawn` why it was taken back, None if it was not.
    """

    identifier: str
    sensing: datetime
    platform: str
    path: str
    manifest_sha: str
    given: bool
    simulated: bool
    figures: dict[str, float | None]
    withdrawn: str | None = None


def cube(session: Session, tile: str, version: str) -> list[Place]:
    """The dates of a tile and version in the order in which they came; of each the revision that counts."""
    rows = session.execute(
        sa.select(Product, Quality)
        .outerjoin(Quality, Quality.job_id == Product.job_id)
        .where(Product.tile == tile, Product.version == version)
        .order_by(Product.id)
    ).all()
    reasons = withdrawals(session, [product.id for product, _ in rows if not product.valid])
    found: dict[tuple[datetime, str], Place] = {}
    for product, quality in rows:  # a later revision takes the place of the one before it
        found[product.sensing, product.platform] = Place(
            *(product.identifier, product.sensing, product.platform, product.path, product.manifest_sha),
            product.valid and product.current,
            product.simulated,
            {} if quality is None else {one.name: getattr(quality, one.name) for one in fields(Figures)},
            None if product.valid else reasons.get(product.id, ""),
        )
    return list(found.values())


@dataclass(frozen=True)
class MadeFrom:
    """What a date went in with. Paths are relative to the states and to the Level-1C of the centre.

    Attributes
    ----------
    tile : str
    sensing : datetime
    state : str or None
        Recurrent state that the date was compared with; None without a past.
    level1c : tuple of str
        Packages; empty unless all of them are known.
    """

    tile: str
    sensing: datetime
    state: str | None
    level1c: tuple[str, ...]


def made_from(session: Session, identifier: str) -> MadeFrom:
    """What the newest revision of a product was made from.

    Raises
    ------
    UnknownName
        If the store doesn't know it.
    """
    found = inputs(session, identifier)
    product = session.scalars(
        sa.select(Product).where(Product.identifier == identifier).order_by(Product.revision.desc()).limit(1)
    ).one()
    whole = len(found.l1c) == len(product.l1c)
    return MadeFrom(product.tile, product.sensing, found.previous_state, found.l1c if whole else ())


def masks(session: Session, identifier: str) -> Sequence[ReferenceMask]:
    """Kept masks of a product's image, which serve all its versions; the newest first."""
    product = session.scalar(sa.select(Product).where(Product.identifier == identifier).limit(1))
    if product is None:
        return []
    image = names.series(product.platform, product.sensing, product.tile)
    return session.scalars(
        sa.select(ReferenceMask).where(ReferenceMask.image == image).order_by(ReferenceMask.id.desc())
    ).all()


@dataclass(frozen=True)
class Detail:
    """One product as the viewer shows it, with its neighbours in time and the other versions of its date."""

    product: Product
    quality: Quality | None
    before: str | None
    after: str | None
    previous: str | None
    versions: tuple[tuple[str, str], ...]
    site: str
    verdicts: tuple[Verdict, ...]


def detail(session: Session, identifier: str) -> Detail | None:
    """Everything about one product (its newest revision); None if the store doesn't know it."""
    product = session.scalars(
        sa.select(Product).where(Product.identifier == identifier).order_by(Product.revision.desc()).limit(1)
    ).first()
    if product is None:
        return None
    series = sa.select(Product.identifier).where(
        Product.tile == product.tile, Product.version == product.version, Product.current
    )
    other = aliased(Product)
    result = Detail(
        product=product,
        quality=session.get(Quality, product.job_id),
        before=session.scalar(
            series.where(Product.sensing < product.sensing).order_by(Product.sensing.desc()).limit(1)
        ),
        after=session.scalar(series.where(Product.sensing > product.sensing).order_by(Product.sensing).limit(1)),
        previous=session.scalar(sa.select(other.identifier).where(other.id == product.prev_product)),
        versions=tuple(
            (version, name)
            for version, name in session.execute(
                sa.select(Product.version, Product.identifier)
                .where(
                    Product.tile == product.tile,
                    Product.sensing == product.sensing,
                    Product.platform == product.platform,
                    Product.current,
                )
                .order_by(Product.version)
            )
        ),
        site=site_names(session).get(product.tile, ""),
        verdicts=tuple(verdicts_of(session, [product.identifier]).get(product.identifier, ())),
    )
    session.expunge_all()
    return result


def health(session: Session) -> dict[str, Any]:
    """A few figures that show that the store answers."""
    return {
        "products": count_products(session)[0],
        "open": sum(number for state, number in tallies.states(session).items() if state in OPEN_STATES),
        "newest_product": session.scalar(sa.select(sa.func.max(Product.published))),
        "newest_event": session.scalar(sa.select(sa.func.max(Event.time))),
    }
