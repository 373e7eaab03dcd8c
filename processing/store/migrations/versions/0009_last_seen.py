"""The last datatake of each satellite, found without a look at all acquisitions"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_acquisition_platform_datatake", "acquisition", ["platform", "datatake"])


def downgrade() -> None:
    op.drop_index("ix_acquisition_platform_datatake", "acquisition")
