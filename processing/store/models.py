"""Tables of the store: the only truth about sites, acquisitions, jobs, leases, products and events.

Types are portable between SQLite and Postgres. Times are UTC and carry their zone. A name that ends in ``_id`` is a
key of the store; tiles, sites and versions are known by their own names (``31TCJ``, ``V1_4``).

The way of a date: a *granule* (one Level-1C package seen for one tile) belongs to an *acquisition* (one pass over one
tile; two half packages share it). For each *chain* (tile x version) an acquisition gives a *job*; each try of it is an
*attempt*; a valid one leaves a *product*. Both valid and not valid dates leave a *quality* row.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

#: States of a job that its chain still has to work on; the oldest of them is the chain's next date.
#: ``held`` blocks its chain until somebody releases it, so that time order is kept.
OPEN_STATES = ("ready", "running", "retry", "held")
#: States of a job that is over.
CLOSED_STATES = ("published", "not_valid", "rejected", "failed")
JOB_STATES = OPEN_STATES + CLOSED_STATES
#: ``usable``: whole and catalogued. ``superseded``: a newer package of the same acquisition is used instead.
GRANULE_STATES = ("usable", "superseded", "rejected")
CAMPAIGN_STATUS = ("active", "paused", "closed")
#: How an attempt ended; null while it runs.
OUTCOMES = ("published", "not_valid", "rejected", "failed", "lost", "fenced", "cancelled")
MODES = ("init", "nominal", "backward")
SEVERITIES = ("info", "warning", "error")
#: What `muscate validate` judges.
VALIDATIONS = ("clouds", "aot", "reflectance", "versions")
#: Of people: `processing.people.Role`.
ROLES = ("public", "scientist", "operator", "admin")
#: What a reader says of a product, the best first; ``none``: takes back what was said.
VERDICTS = ("good", "suspect", "bad", "none")
#: Why a product is not good.
REASONS = (
    *("false_cloud", "missed_cloud", "false_shadow", "missed_shadow", "snow", "water"),
    *("aot", "water_vapour", "reflectance", "edge", "geometry", "missing_data", "other"),
)

#: What the team tells its readers, and how grave it is, the lightest first.
BULLETINS = ("news", "incident", "maintenance")
GRADES = ("info", "minor", "major")
BULLETIN_STATES = ("draft", "published", "withdrawn")
#: How far an incident or a maintenance is; the last ones end it. News have none.
STAGES: dict[str, tuple[str, ...]] = {
    "news": (),
    "incident": ("investigating", "identified", "monitoring", "resolved"),
    "maintenance": ("planned", "begun", "over", "cancelled"),
}
#: Of an alert: that it began, that it goes on, that it is over.
ALERT_MESSAGES = ("opened", "again", "over")


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A time with its zone, always UTC. SQLite keeps no zone: it is taken off on the way in and put back after."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To the database: in UTC. A time without zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time without zone: {value}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """From the database: in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Json = sa.JSON().with_variant(JSONB, "postgresql")
NullableJson = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _among(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(v) for v in values)})"


def _where(condition: str) -> dict[str, Any]:
    """A partial index on both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


class Base(DeclarativeBase):
    """What the tables have in common: names of constraints, and columns of Python's types."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: UTCDateTime,
        dict[str, Any]: Json,
        list[str]: Json,
        list[dict[str, Any]]: Json,
        dict[str, int]: Json,
        str: sa.Text,
        float: sa.Double,
    }


class Site(Base):
    """A region whose tiles are produced together, as users know it."""

    __tablename__ = "site"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    country: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    #: The smallest is served first.
    priority: Mapped[int]


class Tile(Base):
    """An MGRS tile, ``31TCJ``. Known as soon as a site or an acquisition names it."""

    __tablename__ = "tile"

    mgrs: Mapped[str] = mapped_column(primary_key=True)
    #: The version users get by default; null until the first date is catalogued.
    current_version: Mapped[str | None]


class SiteTile(Base):
    """Which tiles a site has; a tile may belong to several sites."""

    __tablename__ = "site_tile"

    site: Mapped[str] = mapped_column(sa.ForeignKey("site.code"), primary_key=True)
    tile: Mapped[str] = mapped_column(sa.ForeignKey("tile.mgrs"), primary_key=True, index=True)


class Acquisition(Base):
    """One pass of one satellite over one tile, whatever packages carry it."""

    __tablename__ = "acquisition"
    __table_args__ = (
        sa.UniqueConstraint("tile", "platform", "datatake"),
        sa.Index(None, "tile", "sensing"),
        sa.Index(None, "platform", "datatake"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    tile: Mapped[str] = mapped_column(sa.ForeignKey("tile.mgrs"))
    #: ``S2A``, ``S2B``, ``S2C``.
    platform: Mapped[str]
    #: Sensing start of the datatake, to the second: the same for both halves of a pass and for every baseline.
    datatake: Mapped[datetime]
    #: Sensing time of the tile; dates of a chain are ordered by it.
    sensing: Mapped[datetime]
    relative_orbit: Mapped[int | None]
    first_seen: Mapped[datetime]
    simulated: Mapped[bool] = mapped_column(default=False)

    granules: Mapped[list[Granule]] = relationship(back_populates="acquisition", order_by="Granule.id")


class Granule(Base):
    """One tile of one Level-1C package."""

    __tablename__ = "granule"
    __table_args__ = (
        sa.UniqueConstraint("acquisition_id", "name"),
        sa.CheckConstraint(_among("state", GRANULE_STATES), name="state"),
        sa.Index(None, "name"),
        sa.Index(None, "source", "seen"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    acquisition_id: Mapped[int] = mapped_column(sa.ForeignKey("acquisition.id"))
    #: Name of the package without ``.SAFE`` or ``.zip``.
    name: Mapped[str]
    #: Where it came from: ``inbox``, ``ingest``, later a remote source.
    source: Mapped[str]
    #: Processing baseline of the Level-1C, ``05.10``.
    baseline: Mapped[str]
    #: Start of its datastrip: the halves of a pass differ in it, a package made anew does not.
    datastrip: Mapped[datetime]
    #: When the Level-1C was made.
    generation: Mapped[datetime]
    #: Of the package, relative to the home's ``l1c/``.
    path: Mapped[str]
    #: Size of the package. [bytes]
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(default="usable")
    reason: Mapped[str | None]
    #: When its source published it, as far as that is known: else when it was made.
    offered: Mapped[datetime | None]
    #: When it was first noticed.
    seen: Mapped[datetime]
    #: When it was whole, checked and in its place.
    downloaded: Mapped[datetime | None]
    simulated: Mapped[bool] = mapped_column(default=False)

    acquisition: Mapped[Acquisition] = relationship(back_populates="granules")


class HeldPackage(Base):
    """A Level-1C package that waits until somebody admits its satellite or processing baseline."""

    __tablename__ = "held_package"

    #: Without ``.SAFE`` or ``.zip``, as in `Granule`.
    name: Mapped[str] = mapped_column(primary_key=True)
    #: Relative to the home's ``l1c/``.
    path: Mapped[str]
    #: What has to be admitted, ``S2D``, ``06.00``, or both.
    needs: Mapped[list[str]] = mapped_column(default=list)
    source: Mapped[str]
    #: Size of the package. [bytes]
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    #: When it was first noticed.
    seen: Mapped[datetime]


class SeenFormat(Base):
    """The first package of a tile that came in some format: when a tile switched to a baseline or a kind of package."""

    __tablename__ = "seen_format"
    __table_args__ = (sa.Index(None, "seen"),)

    tile: Mapped[str] = mapped_column(sa.ForeignKey("tile.mgrs"), primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    #: Processing baseline of the Level-1C, ``05.10``.
    baseline: Mapped[str] = mapped_column(primary_key=True)
    #: Kind of the package: ``SAFE``, ``EOPF Zarr``.
    kind: Mapped[str] = mapped_column(primary_key=True)
    #: The package, its date, and when it was noticed.
    name: Mapped[str]
    sensing: Mapped[datetime]
    seen: Mapped[datetime]


class Campaign(Base):
    """The production of one version: of real time and of the archive. Its chains hold the tiles."""

    __tablename__ = "campaign"
    __table_args__ = (sa.CheckConstraint(_among("status", CAMPAIGN_STATUS), name="status"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    #: ``V1_4``
    version: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(default="active")
    #: 0 real time, `lease.REPROCESSING` of the archive; a chain's adds the urgency of its site.
    priority: Mapped[int] = mapped_column(default=0)
    opened: Mapped[datetime]
    #: Its tiles; null: all.
    tiles: Mapped[list[str] | None] = mapped_column(NullableJson)
    #: Dates sensed from the one on and before the other; null: without bound.
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]


class Chain(Base):
    """One tile in one version: its dates are worked on one after the other, oldest first, under one lease."""

    __tablename__ = "chain"
    __table_args__ = (
        sa.UniqueConstraint("tile", "campaign_id"),
        sa.Index("ix_chain_claim", "priority", "next_due", "id", **_where("next_job_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    tile: Mapped[str] = mapped_column(sa.ForeignKey("tile.mgrs"))
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"), index=True)
    priority: Mapped[int] = mapped_column(default=0)
    #: The oldest open date, if it may run; recomputed in every transaction that touches the chain's jobs.
    next_job_id: Mapped[int | None] = mapped_column(Key)
    next_due: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    #: When another version's series took its place: no date that arrives is queued in it any more.
    closed: Mapped[datetime | None]
    #: Grows with each claim; a write that shows an older one is refused.
    token: Mapped[int] = mapped_column(sa.BigInteger, default=0)

    campaign: Mapped[Campaign] = relationship()


class Job(Base):
    """One date of one chain. `reason` says in one line why it waits, was refused or failed."""

    __tablename__ = "job"
    __table_args__ = (
        sa.UniqueConstraint("chain_id", "acquisition_id", "revision"),
        sa.CheckConstraint(_among("state", JOB_STATES), name="state"),
        sa.Index("ix_job_open", "chain_id", "sensing", "revision", **_where(_among("state", OPEN_STATES))),
        sa.Index("ix_job_waiting", "created", "sensing", "id", **_where(_among("state", OPEN_STATES))),
        sa.Index(None, "acquisition_id"),
        # As much of a job as counting what ended needs, so that the rows themselves need not be read.
        sa.Index("ix_job_ended", "state", "closed", "chain_id", "acquisition_id", "revision"),
        sa.Index("ix_job_again", "chain_id", "acquisition_id", "revision", **_where("revision > 0")),
        sa.Index(None, "created"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    chain_id: Mapped[int] = mapped_column(sa.ForeignKey("chain.id"))
    acquisition_id: Mapped[int] = mapped_column(sa.ForeignKey("acquisition.id"))
    #: The acquisition's, copied for the order.
    sensing: Mapped[datetime]
    #: 0, or more when the date was produced again (other half of the pass, newer baseline).
    revision: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(default="ready")
    #: Not to be claimed earlier: settling of the pass, or the wait before a retry.
    not_before: Mapped[datetime]
    #: Attempts that count against the limit of retries.
    attempts: Mapped[int] = mapped_column(default=0)
    #: Workers lost with it and failures of the infrastructure, since it was queued last: the wait grows with them.
    setbacks: Mapped[int] = mapped_column(default=0)
    #: The date came after a newer one of the chain was produced: it runs alone, from the state that preceded it.
    late: Mapped[bool] = mapped_column(default=False)
    #: ``input``, ``processor``, ``infrastructure``, ``transient``, ``unknown``.
    reason_class: Mapped[str | None]
    reason: Mapped[str | None]
    created: Mapped[datetime]
    #: When it reached a closed state.
    closed: Mapped[datetime | None]

    chain: Mapped[Chain] = relationship()
    acquisition: Mapped[Acquisition] = relationship()


def is_open() -> sa.ColumnElement[bool]:
    """Whether a job is open, written out so that both databases see which indices have all that is asked for."""
    return Job.state.in_(sa.bindparam("open_states", OPEN_STATES, expanding=True, literal_execute=True))


class Attempt(Base):
    """One try of a job under one lease."""

    __tablename__ = "attempt"
    __table_args__ = (
        sa.UniqueConstraint("job_id", "token"),
        sa.CheckConstraint(_among("outcome", OUTCOMES), name="outcome"),
        sa.CheckConstraint(_among("mode", MODES), name="mode"),
        sa.Index(None, "ended"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    job_id: Mapped[int] = mapped_column(sa.ForeignKey("job.id"))
    token: Mapped[int] = mapped_column(sa.BigInteger)
    owner: Mapped[str]
    host: Mapped[str | None]
    claimed: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    outcome: Mapped[str | None]
    mode: Mapped[str | None]
    #: One line; the whole is in the log.
    reason: Mapped[str | None]
    exit_code: Mapped[int | None]
    #: Largest resident memory of the chain's process. [bytes]
    peak_memory: Mapped[int | None] = mapped_column(sa.BigInteger)
    #: Relative to the home's ``logs/``.
    log_path: Mapped[str | None]
    #: What it was at when it last told, how much of it was done by then [0-1], and when that was.
    step: Mapped[str | None]
    share: Mapped[float | None]
    progressed: Mapped[datetime | None]

    job: Mapped[Job] = relationship()


class Product(Base):
    """A published Level-2A product: it exists for users from the commit of this row on."""

    __tablename__ = "product"
    __table_args__ = (
        sa.UniqueConstraint("identifier", "revision"),
        sa.CheckConstraint(_among("mode", MODES), name="mode"),
        sa.CheckConstraint("prev_product <> id", name="not_its_own_previous"),
        sa.Index("uq_product_current", "tile", "sensing", "platform", "version", unique=True, **_where("current")),
        sa.Index(None, "tile", "version", "sensing"),
        sa.Index("ix_product_of_tile", "tile", "published"),
        sa.Index(None, "sensing", "id"),
        sa.Index(None, "published", "id"),
        sa.Index("ix_product_made", "published", "version", "current", **_where("current")),
        # All that a count of a search looks at, and the keys that what it finds is joined by. SQLite takes it for what
        # asks in these very words, as searches do, and for nothing else.
        sa.Index(
            *("ix_product_shown", "version", "sensing", "tile", "id", "job_id"),
            sqlite_where=sa.text("current IS 1 AND valid IS 1"),
            postgresql_where=sa.text("current IS true AND valid IS true"),
        ),
        sa.Index(None, "relative_orbit", "sensing", "id"),
        sa.Index(None, "superseded_by", **_where("superseded_by IS NOT NULL")),
        sa.Index("ix_product_passed_over", "current", **_where("previous_not_latest")),
        sa.Index(
            "ix_product_state",
            *("tile", "version", "sensing", "id", "current", "state_path"),
            **_where("state_path IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    job_id: Mapped[int] = mapped_column(sa.ForeignKey("job.id"), unique=True)
    attempt_id: Mapped[int] = mapped_column(sa.ForeignKey("attempt.id"), unique=True)
    #: MUSCATE's name, ``SENTINEL2A_20230815-095843-461_L2A_T33TWM_C_V1-4``.
    identifier: Mapped[str]
    tile: Mapped[str] = mapped_column(sa.ForeignKey("tile.mgrs"))
    platform: Mapped[str]
    #: The acquisition's.
    sensing: Mapped[datetime]
    relative_orbit: Mapped[int | None]
    version: Mapped[str]
    revision: Mapped[int] = mapped_column(default=0)
    #: Folder of the product, relative to the archive.
    path: Mapped[str] = mapped_column(unique=True)
    mode: Mapped[str]
    #: False once it was withdrawn. A date that is not valid (too cloudy) leaves no product at all.
    valid: Mapped[bool] = mapped_column(default=True)
    #: False once another revision of the date took its place.
    current: Mapped[bool] = mapped_column(default=True)
    #: The product whose recurrent state entered this one; null in the init and backward modes.
    prev_product: Mapped[int | None] = mapped_column(sa.ForeignKey("product.id"))
    #: Another date between the previous product and this one came late: it did not enter this one.
    previous_not_latest: Mapped[bool] = mapped_column(default=False)
    #: Recurrent state for the next date, relative to the home's ``state/``: its own, or that of the product before
    #: where this date left it unchanged; null once removed, when many newer ones are there.
    state_path: Mapped[str | None]
    #: The product of another version that a cut-over put in its place.
    superseded_by: Mapped[int | None] = mapped_column(Key)
    #: sha256 of the product's manifest, which has the sha256 of each file.
    manifest_sha: Mapped[str]
    #: Size of the folder. [bytes]
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    published: Mapped[datetime]
    simulated: Mapped[bool] = mapped_column(default=False)
    #: Level-1C packages that went in.
    l1c: Mapped[list[str]] = mapped_column(default=list)
    #: Masks and rasters whose step is not in the version's order: ``CLM.SHADOW``, ``FRE``.
    absent: Mapped[list[str]] = mapped_column(default=list)
    #: Source of each ancillary quantity and table, and every fallback.
    origin: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Time spent in each step. [s]
    seconds: Mapped[dict[str, Any]] = mapped_column(default=dict)

    job: Mapped[Job] = relationship()
    quality: Mapped[Quality | None] = relationship(
        primaryjoin="foreign(Product.job_id) == Quality.job_id", viewonly=True, uselist=False
    )


class Holding(Base):
    """What lies in a product's folder, `distribution.holdings.Holdings`, so that a search need not open it.

    Written with the product; of one that was published before there was such a table, by the janitor.
    """

    __tablename__ = "holding"

    product_id: Mapped[int] = mapped_column(sa.ForeignKey("product.id", ondelete="CASCADE"), primary_key=True)
    #: Number of the description's form.
    form: Mapped[int]
    #: JSON, deflated: of some forty files each with its sums.
    contents: Mapped[bytes]
    #: Where the data lie, as WKB [deg]; null where the whole tile has data.
    footprint: Mapped[bytes | None]


class Download(Base):
    """What was sent on one day to one user of one product. Visitors are counted together: nobody keeps who they are."""

    __tablename__ = "download"

    #: ``2026-11-30``, UTC.
    day: Mapped[str] = mapped_column(primary_key=True)
    #: Name of a person who had signed in, else that of all visitors.
    user: Mapped[str] = mapped_column("person", primary_key=True)
    #: Its identifier.
    product: Mapped[str] = mapped_column(primary_key=True)
    requests: Mapped[int]
    #: Sent, whether to the end or not.
    bytes: Mapped[int] = mapped_column(sa.BigInteger)


class Traffic(Base):
    """What came from one source of Level-1C in one hour."""

    __tablename__ = "traffic"

    source: Mapped[str] = mapped_column(primary_key=True)
    #: Its beginning.
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    #: While something was on its way.
    seconds: Mapped[float]
    #: That the account may have in 30 days; null where nobody says. [bytes]
    quota: Mapped[int | None] = mapped_column(sa.BigInteger)


class Webhook(Base):
    """An address that is told of products of a site or tile; of all where neither is named."""

    __tablename__ = "webhook"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    url: Mapped[str]
    #: Signs what is sent; empty: nothing does.
    secret: Mapped[str]
    site: Mapped[str | None]
    tile: Mapped[str | None]
    #: The last event that it was told of, or that was before its time.
    last_event: Mapped[int] = mapped_column(Key)
    #: Not to be called earlier.
    due: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=0)
    fault: Mapped[str | None]
    made: Mapped[datetime]


class StageDelay(Base):
    """Where the time went between the sensing of a date and its first product; written with the product.

    Null where one of the two ends of a stage isn't known. [s]
    """

    __tablename__ = "stage_delay"

    job_id: Mapped[int] = mapped_column(sa.ForeignKey("job.id"), primary_key=True)
    tile: Mapped[str]
    version: Mapped[str]
    published: Mapped[datetime] = mapped_column(index=True)
    #: Sensing to its publication at the source.
    source: Mapped[float | None]
    #: From there until it was noticed here.
    notice: Mapped[float | None]
    #: Until the package was whole and checked.
    download: Mapped[float | None]
    #: Until it was queued: at once, but in a version that was opened later.
    queue: Mapped[float | None]
    #: Until a worker began.
    wait: Mapped[float | None]
    #: Until it was published.
    work: Mapped[float | None]
    #: From sensing to publication.
    total: Mapped[float]


class Quality(Base):
    """What the chain found in one date, published or not valid: `scene.Figures` by name. Null where not computed."""

    __tablename__ = "quality"

    job_id: Mapped[int] = mapped_column(sa.ForeignKey("job.id"), primary_key=True)
    #: Of the observed pixels. [%]
    cloud_percent: Mapped[float | None] = mapped_column(index=True)
    snow_percent: Mapped[float | None]
    water_percent: Mapped[float | None]
    #: Of all pixels. [%]
    no_data_percent: Mapped[float | None]
    #: [-]
    aot_mean: Mapped[float | None]
    #: [g cm-2]
    water_vapour_mean: Mapped[float | None]
    #: ``rain``, ``hot_spot``, ``sun_glint``, ``cirrus``, those that were tested.
    flags: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Any further figure.
    other: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Anomaly(Base):
    """A kind of failure that is going on: opened at its first case, counted, closed when it is over."""

    __tablename__ = "anomaly"
    __table_args__ = (
        sa.Index("uq_anomaly_open", "reason_class", "signature", unique=True, **_where("closed IS NULL")),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    reason_class: Mapped[str]
    #: What its cases have in common: the error's name.
    signature: Mapped[str]
    #: The last case in one line.
    last: Mapped[str]
    opened: Mapped[datetime]
    seen: Mapped[datetime]
    closed: Mapped[datetime | None] = mapped_column(index=True)
    count: Mapped[int] = mapped_column(default=1)


class Event(Base):
    """What happened, in order of `id`; only ever appended to. A page asks for those after the last it saw."""

    __tablename__ = "event"
    __table_args__ = (
        sa.CheckConstraint(_among("severity", SEVERITIES), name="severity"),
        sa.Index(None, "time"),
        sa.Index(None, "kind", "time"),
        sa.Index("ix_event_changes", "product_id", "time", **_where("kind IN ('withdrawn', 'reinstated')")),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    time: Mapped[datetime]
    kind: Mapped[str]
    severity: Mapped[str] = mapped_column(default="info")
    tile: Mapped[str | None]
    version: Mapped[str | None]
    job_id: Mapped[int | None] = mapped_column(Key)
    product_id: Mapped[int | None] = mapped_column(Key)
    #: Who: a worker, ``watcher``, the name of a person.
    actor: Mapped[str | None]
    #: From where a person did it: ``command line``, or the address of a browser; null of the parts of the centre.
    origin: Mapped[str | None]
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ChainTally(Base):
    """How many jobs a chain has in each state. This and the other tallies are kept by triggers of the database.

    So they change in the transaction that changes what they count, whoever writes it; `processing.store.tallies`.
    """

    __tablename__ = "chain_tally"

    chain_id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(primary_key=True)
    jobs: Mapped[int]


class SeriesTally(Base):
    """How many current products a tile has in a version."""

    __tablename__ = "series_tally"

    tile: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    products: Mapped[int]
    #: Those of them that were not withdrawn, and that come from the simulation.
    valid: Mapped[int]
    simulated: Mapped[int]


class TileTally(Base):
    """How many dates of a tile ever arrived."""

    __tablename__ = "tile_tally"

    tile: Mapped[str] = mapped_column(primary_key=True)
    dates: Mapped[int]


class DayTally(Base):
    """What there was on each day: jobs ``queued``, jobs by the state they closed in, current products ``made``.

    In parts, by the chain: commits of different tiles seldom wait for each other.
    """

    __tablename__ = "day_tally"

    #: Since 1970, UTC.
    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    campaign_id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    what: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


class Validation(Base):
    """A figure of merit of products or of another processor's masks against a reference (`muscate validate`).

    Rows are only ever added: a later run of the same comparison stands beside the earlier one.
    """

    __tablename__ = "validation"
    __table_args__ = (
        sa.CheckConstraint(_among("kind", VALIDATIONS), name="kind"),
        sa.Index(None, "kind", "image"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    kind: Mapped[str]
    #: What was compared: ``valid``, ``cloud``, ``shadow``; a band, ``B4``; ``aot``, ``water_vapour``.
    subject: Mapped[str]
    #: Whose result was judged: ``muscate V1_4``, ``s2cloudless``.
    method: Mapped[str]
    #: Processing version of our own products; null for other processors.
    version: Mapped[str | None]
    #: What it was held against: ``SCL``, an AERONET site, ``V1_3``.
    reference: Mapped[str]
    #: The acquisition, ``SENTINEL2A_20230815-095843-461_L2A_T33TWM``; null for all of them together.
    image: Mapped[str | None]
    #: Buffer around clouds and shadows that all masks were brought to; null where compared as they are. [m]
    buffer: Mapped[float | None]
    #: Width of the ring around the reference's clouds and shadows that was left out; null where none. [m]
    ring: Mapped[float | None]
    #: The figures by name; null where one is not defined.
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    made: Mapped[datetime]
    #: The command line.
    command: Mapped[str]


class Verdict(Base):
    """What a reader said of a product. Rows are only ever added: of those of one reader the last one holds."""

    __tablename__ = "verdict"
    __table_args__ = (
        sa.CheckConstraint(_among("verdict", VERDICTS), name="verdict"),
        sa.Index(None, "product_id", "reader"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("product.id"))
    verdict: Mapped[str]
    #: Of `REASONS`.
    reasons: Mapped[list[str]] = mapped_column(default=list)
    #: Where: each a dict of ``geometry`` (GeoJSON polygon in the projection `crs` [m]) and ``reason`` (or null).
    areas: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    #: Projection of the areas, the tile's: ``EPSG:32631``.
    crs: Mapped[str]
    comment: Mapped[str]
    reader: Mapped[str]
    time: Mapped[datetime]

    product: Mapped[Product] = relationship()


class ReferenceMask(Base):
    """A mask of clouds and shadows made by hand, kept to judge products by. The newest one of an image counts."""

    __tablename__ = "reference_mask"
    __table_args__ = (sa.Index(None, "image"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    #: The product it was made for; it serves all versions of its image.
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("product.id"), index=True)
    #: The acquisition, ``SENTINEL2A_20230815-095843-461_L2A_T33TWM``.
    image: Mapped[str]
    #: Raster of the classes of `validation.reference_masks`, relative to the home's ``masks/``.
    path: Mapped[str]
    #: Name of the file it was read from, or ``drawn``.
    origin: Mapped[str]
    #: sha256 of that file; null where drawn.
    origin_sha: Mapped[str | None]
    #: The file's classes and what each means: ``cloud``, ``shadow``, ``clear``, ``unobserved``.
    classes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Width by which it had been grown when it was made. [m]
    buffer: Mapped[float]
    #: Pixels of each kind.
    pixels: Mapped[dict[str, int]] = mapped_column(default=dict)
    #: Classes that the mapping does not name, with their pixels.
    unknown: Mapped[dict[str, int]] = mapped_column(default=dict)
    #: What was repaired or left out, in words.
    notes: Mapped[list[str]] = mapped_column(default=list)
    reader: Mapped[str]
    time: Mapped[datetime]

    product: Mapped[Product] = relationship()


class Person(Base):
    """Somebody who may sign in."""

    __tablename__ = "person"
    __table_args__ = (
        sa.CheckConstraint(_among("role", ROLES), name="role"),
        sa.UniqueConstraint("issuer", "subject"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    #: As it stands in the events.
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    #: Its argon2 hash; null where another house vouches for the person, or a link did.
    password: Mapped[str | None]
    #: The house that vouches (OpenID Connect), and what the person is called there.
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    created: Mapped[datetime]


class SignIn(Base):
    """A person's session in one browser. Only the digest of what the browser shows is kept."""

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    #: sha256 of the token in the cookie.
    token_sha: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id", ondelete="CASCADE"), index=True)
    created: Mapped[datetime]
    #: The last request, to some minutes.
    seen: Mapped[datetime]
    expires: Mapped[datetime]
    #: When it was ended before its time.
    revoked: Mapped[datetime | None]
    #: Address of the browser, and what it calls itself.
    origin: Mapped[str]
    browser: Mapped[str]

    person: Mapped[Person] = relationship()


class SignInLink(Base):
    """A link that signs a person in once, soon."""

    __tablename__ = "sign_in_link"

    #: sha256 of the token in the link.
    token_sha: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id", ondelete="CASCADE"), index=True)
    expires: Mapped[datetime]


class SignInFailure(Base):
    """A name and password that did not fit, kept as long as it counts against the next try."""

    __tablename__ = "sign_in_failure"
    __table_args__ = (sa.Index(None, "time"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    time: Mapped[datetime]
    #: sha256 of the name: what is typed there may be a password.
    name_sha: Mapped[str]
    address: Mapped[str]


class Bulletin(Base):
    """What the team tells its readers: news, an incident, or a maintenance, in one to three languages."""

    __tablename__ = "bulletin"
    __table_args__ = (
        sa.CheckConstraint(_among("kind", BULLETINS), name="kind"),
        sa.CheckConstraint(_among("grade", GRADES), name="grade"),
        sa.CheckConstraint(_among("state", BULLETIN_STATES), name="state"),
        sa.Index(None, "state", "starts"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    #: Its name in feeds and calendars, for ever.
    uid: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    grade: Mapped[str]
    state: Mapped[str] = mapped_column(default="draft")
    #: Of `STAGES`: that of the last update; empty for news.
    stage: Mapped[str] = mapped_column(default="")
    starts: Mapped[datetime]
    ends: Mapped[datetime | None]
    #: Codes of the sites that it concerns; none: the whole centre.
    sites: Mapped[list[str]] = mapped_column(default=list)
    #: By language: ``title``, and ``text`` in markdown.
    texts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Who wrote it last.
    author: Mapped[str]
    created: Mapped[datetime]
    changed: Mapped[datetime]
    published: Mapped[datetime | None]
    #: Grows with each change.
    sequence: Mapped[int] = mapped_column(default=0)

    updates: Mapped[list[BulletinUpdate]] = relationship(back_populates="bulletin", order_by="BulletinUpdate.id")


class BulletinUpdate(Base):
    """One step of an incident or a maintenance, or an afterthought to news. Rows are only ever added."""

    __tablename__ = "bulletin_update"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    bulletin_id: Mapped[int] = mapped_column(sa.ForeignKey("bulletin.id"), index=True)
    time: Mapped[datetime]
    stage: Mapped[str] = mapped_column(default="")
    #: By language, in markdown.
    texts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    author: Mapped[str]

    bulletin: Mapped[Bulletin] = relationship(back_populates="updates")


class Alert(Base):
    """A rule of the alerts that holds, or held, of a subject: a site, a kind of failure, the disk."""

    __tablename__ = "alert"
    __table_args__ = (sa.Index("uq_alert_open", "rule", "subject", unique=True, **_where("closed IS NULL")),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    rule: Mapped[str]
    subject: Mapped[str]
    #: The case in one line, as it was seen last.
    line: Mapped[str]
    severity: Mapped[str]
    opened: Mapped[datetime]
    #: When it was last found to hold.
    seen: Mapped[datetime]
    #: When somebody was last told; null as long as nobody was.
    told: Mapped[datetime | None]
    closed: Mapped[datetime | None] = mapped_column(index=True)


class AlertMessage(Base):
    """A message of an alert to one sender: queued in the transaction that found it, so that none is lost or doubled."""

    __tablename__ = "alert_message"
    __table_args__ = (
        sa.CheckConstraint(_among("what", ALERT_MESSAGES), name="what"),
        sa.Index("ix_alert_message_due", "due", "id", **_where("ended IS NULL")),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    alert_id: Mapped[int] = mapped_column(sa.ForeignKey("alert.id"), index=True)
    what: Mapped[str]
    sender: Mapped[str]
    line: Mapped[str]
    made: Mapped[datetime]
    #: Not to be sent earlier: the wait before another try, or the time that whoever sends it now may take.
    due: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    #: When it was sent, or given up.
    ended: Mapped[datetime | None]
    #: Why it was not sent; null if it was.
    fault: Mapped[str | None]

    alert: Mapped[Alert] = relationship()
