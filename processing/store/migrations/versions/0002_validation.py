"""Results of validations"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "validation",
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("buffer", sa.Double(), nullable=True),
        sa.Column("ring", sa.Double(), nullable=True),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("made", TIME, nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('clouds', 'aot', 'reflectance', 'versions')", name=op.f("ck_validation_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_validation")),
    )
    op.create_index("ix_validation_kind_image", "validation", ["kind", "image"])


def downgrade() -> None:
    op.drop_table("validation")
