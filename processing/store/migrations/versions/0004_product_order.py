"""Products in order of time, page by page"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_product_published", "product")
    op.create_index("ix_product_published_id", "product", ["published", "id"])
    op.create_index("ix_product_sensing_id", "product", ["sensing", "id"])
    op.create_index("ix_product_relative_orbit_sensing_id", "product", ["relative_orbit", "sensing", "id"])


def downgrade() -> None:
    op.drop_index("ix_product_relative_orbit_sensing_id", "product")
    op.drop_index("ix_product_sensing_id", "product")
    op.drop_index("ix_product_published_id", "product")
    op.create_index("ix_product_published", "product", ["published"])
