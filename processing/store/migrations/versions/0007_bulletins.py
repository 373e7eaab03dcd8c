"""News, incidents and maintenance; alerts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "bulletin",
        sa.Column("id", KEY, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("starts", TIME, nullable=False),
        sa.Column("ends", TIME, nullable=True),
        sa.Column("sites", JSON, nullable=False),
        sa.Column("texts", JSON, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("changed", TIME, nullable=False),
        sa.Column("published", TIME, nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('news', 'incident', 'maintenance')", name=op.f("ck_bulletin_kind")),
        sa.CheckConstraint("grade IN ('info', 'minor', 'major')", name=op.f("ck_bulletin_grade")),
        sa.CheckConstraint("state IN ('draft', 'published', 'withdrawn')", name=op.f("ck_bulletin_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulletin")),
        sa.UniqueConstraint("uid", name=op.f("uq_bulletin_uid")),
    )
    op.create_index("ix_bulletin_state_starts", "bulletin", ["state", "starts"])
    op.create_table(
        "bulletin_update",
        sa.Column("id", KEY, nullable=False),
        sa.Column("bulletin_id", KEY, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("texts", JSON, nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["bulletin_id"], ["bulletin.id"], name=op.f("fk_bulletin_update_bulletin_id_bulletin")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulletin_update")),
    )
    op.create_index("ix_bulletin_update_bulletin_id", "bulletin_update", ["bulletin_id"])
    op.create_table(
        "alert",
        sa.Column("id", KEY, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("opened", TIME, nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("told", TIME, nullable=True),
        sa.Column("closed", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index("ix_alert_closed", "alert", ["closed"])
    still = sa.text("closed IS NULL")
    op.create_index(
        "uq_alert_open", "alert", ["rule", "subject"], unique=True, sqlite_where=still, postgresql_where=still
    )
    op.create_table(
        "alert_message",
        sa.Column("id", KEY, nullable=False),
        sa.Column("alert_id", KEY, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("made", TIME, nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.CheckConstraint("what IN ('opened', 'again', 'over')", name=op.f("ck_alert_message_what")),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_alert_message_alert_id_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_message")),
    )
    op.create_index("ix_alert_message_alert_id", "alert_message", ["alert_id"])
    waiting = sa.text("ended IS NULL")
    op.create_index(
        "ix_alert_message_due", "alert_message", ["due", "id"], sqlite_where=waiting, postgresql_where=waiting
    )


def downgrade() -> None:
    op.drop_table("alert_message")
    op.drop_table("alert")
    op.drop_table("bulletin_update")
    op.drop_table("bulletin")
