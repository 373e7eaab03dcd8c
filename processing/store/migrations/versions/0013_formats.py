"""Packages that wait for their satellite or baseline to be admitted, and when each tile switched to a format"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
#: What came before there was such a table, each format of a tile by its first package.
KNOWN = """
    INSERT INTO seen_format (tile, platform, baseline, kind, name, sensing, seen)
    SELECT a.tile, a.platform, g.baseline, 'SAFE', g.name, a.sensing, g.seen
    FROM granule g JOIN acquisition a ON a.id = g.acquisition_id
    WHERE g.id IN (
        SELECT MIN(first.id) FROM granule first JOIN acquisition its ON its.id = first.acquisition_id
        GROUP BY its.tile, its.platform, first.baseline
    )
"""


def upgrade() -> None:
    op.create_table(
        "held_package",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("needs", JSON, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_held_package")),
    )
    op.create_table(
        "seen_format",
        sa.Column("tile", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sensing", TIME, nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.ForeignKeyConstraint(["tile"], ["tile.mgrs"], name=op.f("fk_seen_format_tile")),
        sa.PrimaryKeyConstraint("tile", "platform", "baseline", "kind", name=op.f("pk_seen_format")),
    )
    op.create_index(op.f("ix_seen_format_seen"), "seen_format", ["seen"])
    op.execute(KNOWN)


def downgrade() -> None:
    op.drop_table("seen_format")
    op.drop_table("held_package")
