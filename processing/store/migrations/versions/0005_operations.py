"""Progress of attempts, times of packages, and where the time of each product went"""

from __future__ import annotations

from itertools import pairwise

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STAGES = ("source", "notice", "download", "queue", "wait", "work")


def upgrade() -> None:
    op.add_column("granule", sa.Column("offered", TIME, nullable=True))
    op.add_column("granule", sa.Column("downloaded", TIME, nullable=True))
    op.add_column("attempt", sa.Column("step", sa.Text(), nullable=True))
    op.add_column("attempt", sa.Column("share", sa.Double(), nullable=True))
    op.add_column("attempt", sa.Column("progressed", TIME, nullable=True))
    op.create_index("ix_granule_source_seen", "granule", ["source", "seen"])
    op.create_index("ix_job_created", "job", ["created"])
    op.drop_index("ix_job_state_closed", "job")
    op.create_index("ix_job_ended", "job", ["state", "closed", "chain_id", "acquisition_id", "revision"])
    where = sa.text("current")
    columns = ["published", "version", "current"]
    op.create_index("ix_product_made", "product", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "stage_delay",
        sa.Column("job_id", KEY, nullable=False),
        sa.Column("tile", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("published", TIME, nullable=False),
        *(sa.Column(stage, sa.Double(), nullable=True) for stage in STAGES),
        sa.Column("total", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_stage_delay_job_id_job")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_stage_delay")),
    )
    op.create_index("ix_stage_delay_published", "stage_delay", ["published"])
    _fill()


def _fill() -> None:
    """What is known of the packages and products that are there: a package was looked at once it was whole."""
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE granule SET offered = generation, downloaded = seen"))
    seconds = "CAST(strftime('%s', {}) AS REAL)" if connection.dialect.name == "sqlite" else "EXTRACT(EPOCH FROM {})"
    least = "MAX(0.0, {})" if connection.dialect.name == "sqlite" else "GREATEST(0.0, {})"
    times = (
        *("p.sensing", "MAX(g.offered)", "MAX(g.seen)", "MAX(g.downloaded)"),
        *("MAX(j.created)", "MAX(COALESCE(a.started, a.claimed))", "p.published"),
    )
    spent = [
        least.format(f"{seconds.format(later)} - {seconds.format(earlier)}")
        for earlier, later in [*pairwise(times), (times[0], times[-1])]
    ]
    connection.execute(
        sa.text(
            f"INSERT INTO stage_delay (job_id, tile, version, published, {', '.join(STAGES)}, total) "  # nosec B608
            f"SELECT p.job_id, p.tile, p.version, p.published, {', '.join(spent)} FROM product p "
            "JOIN job j ON j.id = p.job_id JOIN attempt a ON a.id = p.attempt_id "
            "JOIN granule g ON g.acquisition_id = j.acquisition_id AND g.state = 'usable' "
            "WHERE p.revision = 0 GROUP BY p.job_id, p.tile, p.version, p.published, p.sensing"
        )
    )


def downgrade() -> None:
    op.drop_table("stage_delay")
    op.drop_index("ix_product_made", "product")
    op.drop_index("ix_job_ended", "job")
    op.create_index("ix_job_state_closed", "job", ["state", "closed"])
    op.drop_index("ix_job_created", "job")
    op.drop_index("ix_granule_source_seen", "granule")
    for column in ("progressed", "share", "step"):
        op.drop_column("attempt", column)
    for column in ("downloaded", "offered"):
        op.drop_column("granule", column)
