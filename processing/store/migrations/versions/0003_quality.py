"""Verdicts of readers and masks made by hand"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "verdict",
        sa.Column("id", KEY, nullable=False),
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reasons", JSON, nullable=False),
        sa.Column("areas", JSON, nullable=False),
        sa.Column("crs", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.CheckConstraint("verdict IN ('good', 'suspect', 'bad', 'none')", name=op.f("ck_verdict_verdict")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_verdict_product_id_product")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
    )
    op.create_index("ix_verdict_product_id_reader", "verdict", ["product_id", "reader"])
    op.create_table(
        "reference_mask",
        sa.Column("id", KEY, nullable=False),
        sa.Column("product_id", KEY, nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("origin_sha", sa.Text(), nullable=True),
        sa.Column("classes", JSON, nullable=False),
        sa.Column("buffer", sa.Double(), nullable=False),
        sa.Column("pixels", JSON, nullable=False),
        sa.Column("unknown", JSON, nullable=False),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_reference_mask_product_id_product")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reference_mask")),
    )
    op.create_index("ix_reference_mask_product_id", "reference_mask", ["product_id"])
    op.create_index("ix_reference_mask_image", "reference_mask", ["image"])


def downgrade() -> None:
    op.drop_table("reference_mask")
    op.drop_table("verdict")
