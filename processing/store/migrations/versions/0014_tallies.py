"""How many dates and products there are, kept by triggers in the transactions that change them"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("chain_tally", "series_tally", "tile_tally", "day_tally")


class Kept(NamedTuple):
    """What the rows of a table count for. `{row}` is OLD or NEW, `{sign}` -1 or 1, `{day...}` the day of a time."""

    name: str
    table: str
    #: Columns whose change counts, and when; none: rows never change in what counts.
    watched: tuple[str, ...]
    insert: str


_DAY = (
    "INSERT INTO day_tally (day, campaign_id, part, what, number) SELECT {day}, chain.campaign_id, chain.id % 16, "
    "{what}, {sign} FROM {source} WHERE {where} ON CONFLICT (day, campaign_id, part, what) DO UPDATE SET number = "
    "day_tally.number + excluded.number"
)
KEPT = (
    Kept(
        "job_states",
        "job",
        ("state", "chain_id"),
        "INSERT INTO chain_tally (chain_id, state, jobs) VALUES ({row}.chain_id, {row}.state, {sign}) "
        "ON CONFLICT (chain_id, state) DO UPDATE SET jobs = chain_tally.jobs + excluded.jobs",
    ),
    Kept(
        "jobs_queued",
        "job",
        ("created",),
        _DAY.format(
            day="{day_created}", what="'queued'", sign="{sign}", source="chain", where="chain.id = {row}.chain_id"
        ),
    ),
    Kept(
        "jobs_closed",
        "job",
        ("closed", "state"),
        _DAY.format(
            day="{day_closed}",
            what="{row}.state",
            sign="{sign}",
            source="chain",
            where="chain.id = {row}.chain_id AND {row}.closed IS NOT NULL",
        ),
    ),
    Kept(
        "products_of_series",
        "product",
        ("current", "valid"),
        "INSERT INTO series_tally (tile, version, products, valid, simulated) SELECT {row}.tile, {row}.version, "
        "{sign}, CASE WHEN {row}.valid THEN {sign} ELSE 0 END, CASE WHEN {row}.simulated THEN {sign} ELSE 0 END WHERE "
        "{row}.current ON CONFLICT (tile, version) DO UPDATE SET products = series_tally.products + excluded.products, "
        "valid = series_tally.valid + excluded.valid, simulated = series_tally.simulated + excluded.simulated",
    ),
    Kept(
        "products_made",
        "product",
        ("current", "published"),
        _DAY.format(
            day="{day_published}",
            what="'made'",
            sign="{sign}",
            source="job JOIN chain ON chain.id = job.chain_id",
            where="job.id = {row}.job_id AND {row}.current",
        ),
    ),
    Kept(
        "dates_of_tile",
        "acquisition",
        ("tile",),
        "INSERT INTO tile_tally (tile, dates) VALUES ({row}.tile, {sign}) ON CONFLICT (tile) DO UPDATE SET dates = "
        "tile_tally.dates + excluded.dates",
    ),
)


def _statement(kept: Kept, row: str, sign: int, dialect: str) -> str:
    if dialect == "sqlite":
        day = "CAST(STRFTIME('%s', SUBSTR({}, 1, 19)) AS INTEGER) / 86400"
    else:
        day = "CAST(FLOOR(EXTRACT(epoch FROM {}) / 86400) AS INTEGER)"
    days = {f"day_{column}": day.format(f"{row}.{column}") for column in ("created", "closed", "published")}
    return kept.insert.format(row=row, sign=sign, **days)


def _changed(kept: Kept, dialect: str) -> str:
    differs = "IS NOT" if dialect == "sqlite" else "IS DISTINCT FROM"
    return " OR ".join(f"OLD.{column} {differs} NEW.{column}" for column in kept.watched)


def _on_sqlite(kept: Kept) -> None:
    gone, come = (_statement(kept, row, sign, "sqlite") for row, sign in (("OLD", -1), ("NEW", 1)))
    watched = ", ".join(kept.watched)
    for event, statements in (
        ("INSERT", (come,)),
        ("DELETE", (gone,)),
        (f"UPDATE OF {watched}", (gone, come)),
    ):
        verb = event.split()[0].lower()
        when = f"WHEN {_changed(kept, 'sqlite')} " if verb == "update" else ""
        body = "; ".join(statements)
        op.execute(
            sa.text(f"CREATE TRIGGER tally_{kept.name}_{verb} AFTER {event} ON {kept.table} {when}BEGIN {body}; END")
        )


def _on_postgres(kept: Kept) -> None:
    gone, come = (_statement(kept, row, sign, "postgresql") for row, sign in (("OLD", -1), ("NEW", 1)))
    op.execute(
        sa.text(
            f"CREATE FUNCTION tally_{kept.name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF TG_OP <> 'INSERT' THEN {gone}; END IF; IF TG_OP <> 'DELETE' THEN {come}; END IF; RETURN NULL; END $$"
        )
    )
    call = f"EXECUTE FUNCTION tally_{kept.name}()"
    watched, changed = ", ".join(kept.watched), _changed(kept, "postgresql")
    op.execute(sa.text(f"CREATE TRIGGER tally_{kept.name} AFTER INSERT OR DELETE ON {kept.table} FOR EACH ROW {call}"))
    op.execute(
        sa.text(
            f"CREATE TRIGGER tally_{kept.name}_update AFTER UPDATE OF {watched} ON {kept.table} FOR EACH ROW "
            f"WHEN ({changed}) {call}"
        )
    )


def _count(dialect: str) -> None:
    """Fill the tables from what there is."""
    day = "CAST(FLOOR(EXTRACT(epoch FROM {}) / 86400) AS INTEGER)"
    if dialect == "sqlite":
        day = "CAST(STRFTIME('%s', SUBSTR({}, 1, 19)) AS INTEGER) / 86400"
    chain = "JOIN chain ON chain.id = job.chain_id"
    for statement in (
        "INSERT INTO chain_tally (chain_id, state, jobs) SELECT chain_id, state, count(*) FROM job GROUP BY chain_id, "
        "state",
        "INSERT INTO series_tally (tile, version, products, valid, simulated) SELECT tile, version, count(*), sum(CASE "
        "WHEN valid THEN 1 ELSE 0 END), sum(CASE WHEN simulated THEN 1 ELSE 0 END) FROM product WHERE current GROUP BY "
        "tile, version",
        "INSERT INTO tile_tally (tile, dates) SELECT tile, count(*) FROM acquisition GROUP BY tile",
        *(
            f"INSERT INTO day_tally (day, campaign_id, part, what, number) SELECT {day.format(time)}, "  # nosec B608: constants
            f"chain.campaign_id, chain.id % 16, {what}, count(*) FROM {source} GROUP BY 1, 2, 3, 4"
            for time, what, source in (
                ("job.created", "'queued'", f"job {chain}"),
                ("job.closed", "job.state", f"job {chain} WHERE job.closed IS NOT NULL"),
                (
                    "product.published",
                    "'made'",
                    f"product JOIN job ON job.id = product.job_id {chain} WHERE product.current",
                ),
            )
        ),
    ):
        op.execute(sa.text(statement))


def upgrade() -> None:
    op.create_table(
        "chain_tally",
        sa.Column("chain_id", KEY, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text(), primary_key=True),
        sa.Column("jobs", sa.Integer(), nullable=False),
    )
    op.create_table(
        "series_tally",
        sa.Column("tile", sa.Text(), primary_key=True),
        sa.Column("version", sa.Text(), primary_key=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("products", "valid", "simulated")),
    )
    op.create_table(
        "tile_tally",
        sa.Column("tile", sa.Text(), primary_key=True),
        sa.Column("dates", sa.Integer(), nullable=False),
    )
    op.create_table(
        "day_tally",
        sa.Column("day", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("campaign_id", KEY, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("what", sa.Text(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
    )
    where = sa.text("revision > 0")
    op.create_index(
        "ix_job_again", "job", ["chain_id", "acquisition_id", "revision"], sqlite_where=where, postgresql_where=where
    )
    where = sa.text("state IN ('ready', 'running', 'retry', 'held')")
    columns = ["created", "sensing", "id"]
    op.create_index("ix_job_waiting", "job", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_product_of_tile", "product", ["tile", "published"])
    where = sa.text("previous_not_latest")
    op.create_index("ix_product_passed_over", "product", ["current"], sqlite_where=where, postgresql_where=where)
    dialect = op.get_bind().dialect.name
    _count(dialect)
    for kept in KEPT:
        if dialect == "sqlite":
            _on_sqlite(kept)
        else:
            _on_postgres(kept)


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    for kept in KEPT:
        if sqlite:
            for verb in ("insert", "delete", "update"):
                op.execute(sa.text(f"DROP TRIGGER tally_{kept.name}_{verb}"))
        else:
            op.execute(sa.text(f"DROP FUNCTION tally_{kept.name}() CASCADE"))
    op.drop_index("ix_product_passed_over", "product")
    op.drop_index("ix_product_of_tile", "product")
    op.drop_index("ix_job_waiting", "job")
    op.drop_index("ix_job_again", "job")
    for table in TABLES:
        op.drop_table(table)
