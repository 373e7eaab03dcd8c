"""Setbacks of a date, what a campaign covers, and what took the place of a product"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("job", sa.Column("setbacks", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("campaign", sa.Column("tiles", JSON, nullable=True))
    op.add_column("campaign", sa.Column("since", TIME, nullable=True))
    op.add_column("campaign", sa.Column("until", TIME, nullable=True))
    op.add_column("chain", sa.Column("closed", TIME, nullable=True))
    op.add_column("product", sa.Column("superseded_by", KEY, nullable=True))
    where = sa.text("superseded_by IS NOT NULL")
    op.create_index(
        "ix_product_superseded_by", "product", ["superseded_by"], sqlite_where=where, postgresql_where=where
    )
    where = sa.text("state_path IS NOT NULL")
    columns = ["tile", "version", "sensing", "id", "current", "state_path"]
    op.create_index("ix_product_state", "product", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_product_state", "product")
    op.drop_index("ix_product_superseded_by", "product")
    op.drop_column("product", "superseded_by")
    op.drop_column("chain", "closed")
    for column in ("until", "since", "tiles"):
        op.drop_column("campaign", column)
    op.drop_column("job", "setbacks")
