"""What lies in the folders of products, when they were withdrawn, and what was sent to whom"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
CHANGES = sa.text("kind IN ('withdrawn', 'reinstated')")


def upgrade() -> None:
    op.create_table(
        "holding",
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("contents", JSON, nullable=False),
        sa.Column("footprint", sa.LargeBinary, nullable=True),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_holding_product_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_holding")),
    )
    op.create_index("ix_event_changes", "event", ["product_id", "time"], sqlite_where=CHANGES, postgresql_where=CHANGES)


def downgrade() -> None:
    op.drop_index("ix_event_changes", "event")
    op.drop_table("download")
    op.drop_table("holding")
