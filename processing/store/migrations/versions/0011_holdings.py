"""What lies in the folders of products, when they were withdrawn, and what was sent to whom"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CHANGES = sa.text("kind IN ('withdrawn', 'reinstated')")


def upgrade() -> None:
    op.create_table(
        "holding",
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("form", sa.Integer(), nullable=False),
        sa.Column("contents", sa.LargeBinary(), nullable=False),
        sa.Column("footprint", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_holding_product_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_holding")),
    )
    op.create_table(
        "download",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "person", "product", name=op.f("pk_download")),
    )
    op.create_table(
        "webhook",
        sa.Column("id", KEY, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("tile", sa.Text(), nullable=True),
        sa.Column("last_event", KEY, nullable=False),
        sa.Column("due", TIME, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("made", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_index("ix_event_changes", "event", ["product_id", "time"], sqlite_where=CHANGES, postgresql_where=CHANGES)


def downgrade() -> None:
    op.drop_index("ix_event_changes", "event")
    op.drop_table("webhook")
    op.drop_table("download")
    op.drop_table("holding")
