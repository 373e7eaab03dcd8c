"""The first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "anomaly",
        sa.Column("id", KEY, nullable=False),
        sa.Column("reason_class", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("last", sa.Text(), nullable=False),
        sa.Column("opened", TIME, nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("closed", TIME, nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anomaly")),
    )
    op.create_index("ix_anomaly_closed", "anomaly", ["closed"])
    op.create_index(
        "uq_anomaly_open",
        "anomaly",
        ["reason_class", "signature"],
        unique=True,
        sqlite_where=sa.text("closed IS NULL"),
        postgresql_where=sa.text("closed IS NULL"),
    )

    op.create_table(
        "campaign",
        sa.Column("id", KEY, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("opened", TIME, nullable=False),
        sa.CheckConstraint("status IN ('active', 'paused', 'closed')", name=op.f("ck_campaign_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
        sa.UniqueConstraint("version", name=op.f("uq_campaign_version")),
    )
    op.create_table(
        "event",
        sa.Column("id", KEY, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("tile", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("job_id", KEY, nullable=True),
        sa.Column("product_id", KEY, nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.CheckConstraint("severity IN ('info', 'warning', 'error')", name=op.f("ck_event_severity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_kind_time", "event", ["kind", "time"])
    op.create_index("ix_event_time", "event", ["time"])

    op.create_table(
        "site",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_site")),
    )
    op.create_table(
        "tile",
        sa.Column("mgrs", sa.Text(), nullable=False),
        sa.Column("current_version", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("mgrs", name=op.f("pk_tile")),
    )
    op.create_table(
        "acquisition",
        sa.Column("id", KEY, nullable=False),
        sa.Column("tile", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("datatake", TIME, nullable=False),
        sa.Column("sensing", TIME, nullable=False),
        sa.Column("relative_orbit", sa.Integer(), nullable=True),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["tile"], ["tile.mgrs"], name=op.f("fk_acquisition_tile")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acquisition")),
        sa.UniqueConstraint("tile", "platform", "datatake", name=op.f("uq_acquisition_tile_platform_datatake")),
    )
    op.create_index("ix_acquisition_tile_sensing", "acquisition", ["tile", "sensing"])

    op.create_table(
        "chain",
        sa.Column("id", KEY, nullable=False),
        sa.Column("tile", sa.Text(), nullable=False),
        sa.Column("campaign_id", KEY, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("next_job_id", KEY, nullable=True),
        sa.Column("next_due", TIME, nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_chain_campaign_id")),
        sa.ForeignKeyConstraint(["tile"], ["tile.mgrs"], name=op.f("fk_chain_tile")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain")),
        sa.UniqueConstraint("tile", "campaign_id", name=op.f("uq_chain_tile_campaign_id")),
    )
    op.create_index("ix_chain_campaign_id", "chain", ["campaign_id"])
    op.create_index(
        "ix_chain_claim",
        "chain",
        ["priority", "next_due", "id"],
        sqlite_where=sa.text("next_job_id IS NOT NULL"),
        postgresql_where=sa.text("next_job_id IS NOT NULL"),
    )

    op.create_table(
        "site_tile",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("tile", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["site.code"], name=op.f("fk_site_tile_site")),
        sa.ForeignKeyConstraint(["tile"], ["tile.mgrs"], name=op.f("fk_site_tile_tile")),
        sa.PrimaryKeyConstraint("site", "tile", name=op.f("pk_site_tile")),
    )
    op.create_index("ix_site_tile_tile", "site_tile", ["tile"])

    op.create_table(
        "granule",
        sa.Column("id", KEY, nullable=False),
        sa.Column("acquisition_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("datastrip", TIME, nullable=False),
        sa.Column("generation", TIME, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.CheckConstraint("state IN ('usable', 'superseded', 'rejected')", name=op.f("ck_granule_state")),
        sa.ForeignKeyConstraint(["acquisition_id"], ["acquisition.id"], name=op.f("fk_granule_acquisition_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_granule")),
        sa.UniqueConstraint("acquisition_id", "name", name=op.f("uq_granule_acquisition_id_name")),
    )
    op.create_index("ix_granule_name", "granule", ["name"])

    op.create_table(
        "job",
        sa.Column("id", KEY, nullable=False),
        sa.Column("chain_id", KEY, nullable=False),
        sa.Column("acquisition_id", KEY, nullable=False),
        sa.Column("sensing", TIME, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("not_before", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("reason_class", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("closed", TIME, nullable=True),
        sa.CheckConstraint(
            "state IN ('ready', 'running', 'retry', 'held', 'published', 'not_valid', 'rejected', 'failed')",
            name=op.f("ck_job_state"),
        ),
        sa.ForeignKeyConstraint(["acquisition_id"], ["acquisition.id"], name=op.f("fk_job_acquisition_id")),
        sa.ForeignKeyConstraint(["chain_id"], ["chain.id"], name=op.f("fk_job_chain_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint(
            "chain_id", "acquisition_id", "revision", name=op.f("uq_job_chain_id_acquisition_id_revision")
        ),
    )
    op.create_index("ix_job_acquisition_id", "job", ["acquisition_id"])
    op.create_index(
        "ix_job_open",
        "job",
        ["chain_id", "sensing", "revision"],
        sqlite_where=sa.text("state IN ('ready', 'running', 'retry', 'held')"),
        postgresql_where=sa.text("state IN ('ready', 'running', 'retry', 'held')"),
    )
    op.create_index("ix_job_state_closed", "job", ["state", "closed"])

    op.create_table(
        "attempt",
        sa.Column("id", KEY, nullable=False),
        sa.Column("job_id", KEY, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("claimed", TIME, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("peak_memory", sa.BigInteger(), nullable=True),
        sa.Column("log_path", sa.Text(), nullable=True),
        sa.CheckConstraint("mode IN ('init', 'nominal', 'backward')", name=op.f("ck_attempt_mode")),
        sa.CheckConstraint(
            "outcome IN ('published', 'not_valid', 'rejected', 'failed', 'lost', 'fenced', 'cancelled')",
            name=op.f("ck_attempt_outcome"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_attempt_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("job_id", "token", name=op.f("uq_attempt_job_id_token")),
    )
    op.create_index("ix_attempt_ended", "attempt", ["ended"])

    op.create_table(
        "quality",
        sa.Column("job_id", KEY, nullable=False),
        sa.Column("cloud_percent", sa.Double(), nullable=True),
        sa.Column("snow_percent", sa.Double(), nullable=True),
        sa.Column("water_percent", sa.Double(), nullable=True),
        sa.Column("no_data_percent", sa.Double(), nullable=True),
        sa.Column("aot_mean", sa.Double(), nullable=True),
        sa.Column("water_vapour_mean", sa.Double(), nullable=True),
        sa.Column("flags", JSON, nullable=False),
        sa.Column("other", JSON, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_quality_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_quality")),
    )
    op.create_index("ix_quality_cloud_percent", "quality", ["cloud_percent"])

    op.create_table(
        "product",
        sa.Column("id", KEY, nullable=False),
        sa.Column("job_id", KEY, nullable=False),
        sa.Column("attempt_id", KEY, nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("tile", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("sensing", TIME, nullable=False),
        sa.Column("relative_orbit", sa.Integer(), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("prev_product", KEY, nullable=True),
        sa.Column("previous_not_latest", sa.Boolean(), nullable=False),
        sa.Column("state_path", sa.Text(), nullable=True),
        sa.Column("manifest_sha", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("published", TIME, nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("l1c", JSON, nullable=False),
        sa.Column("absent", JSON, nullable=False),
        sa.Column("origin", JSON, nullable=False),
        sa.Column("seconds", JSON, nullable=False),
        sa.CheckConstraint("mode IN ('init', 'nominal', 'backward')", name=op.f("ck_product_mode")),
        sa.CheckConstraint("prev_product <> id", name=op.f("ck_product_not_its_own_previous")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_product_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_product_job_id")),
        sa.ForeignKeyConstraint(["prev_product"], ["product.id"], name=op.f("fk_product_prev_product")),
        sa.ForeignKeyConstraint(["tile"], ["tile.mgrs"], name=op.f("fk_product_tile")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_product_attempt_id")),
        sa.UniqueConstraint("identifier", "revision", name=op.f("uq_product_identifier_revision")),
        sa.UniqueConstraint("job_id", name=op.f("uq_product_job_id")),
        sa.UniqueConstraint("path", name=op.f("uq_product_path")),
    )
    op.create_index("ix_product_published", "product", ["published"])
    op.create_index("ix_product_tile_version_sensing", "product", ["tile", "version", "sensing"])
    op.create_index(
        "uq_product_current",
        "product",
        ["tile", "sensing", "platform", "version"],
        unique=True,
        sqlite_where=sa.text("current"),
        postgresql_where=sa.text("current"),
    )


def downgrade() -> None:
    for table in (
        "product",
        "quality",
        "attempt",
        "job",
        "granule",
        "site_tile",
        "chain",
        "acquisition",
        "tile",
        "site",
        "event",
        "campaign",
        "anomaly",
    ):
        op.drop_table(table)
