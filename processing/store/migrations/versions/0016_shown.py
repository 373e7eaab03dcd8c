"""What users get of a time: counted and sorted without a look at the products themselves"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

NAME = "ix_product_shown"


def upgrade() -> None:
    op.create_index(
        NAME,
        "product",
        ["version", "sensing", "tile", "id", "job_id"],
        sqlite_where=sa.text("current IS 1 AND valid IS 1"),
        postgresql_where=sa.text("current IS true AND valid IS true"),
    )


def downgrade() -> None:
    op.drop_index(NAME, "product")
