"""People, their sessions, and from where they did what"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("event", sa.Column("origin", sa.Text(), nullable=True))
    op.create_table(
        "person",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.CheckConstraint("role IN ('public', 'scientist', 'operator', 'admin')", name=op.f("ck_person_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("name", name=op.f("uq_person_name")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_person_issuer_subject")),
    )
    op.create_table(
        "sign_in",
        sa.Column("id", KEY, nullable=False),
        sa.Column("token_sha", sa.Text(), nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("revoked", TIME, nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_sign_in_person_id_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in")),
        sa.UniqueConstraint("token_sha", name=op.f("uq_sign_in_token_sha")),
    )
    op.create_index("ix_sign_in_person_id", "sign_in", ["person_id"])
    op.create_table(
        "sign_in_link",
        sa.Column("token_sha", sa.Text(), nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_sign_in_link_person_id_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_sha", name=op.f("pk_sign_in_link")),
    )
    op.create_index("ix_sign_in_link_person_id", "sign_in_link", ["person_id"])
    op.create_table(
        "sign_in_failure",
        sa.Column("id", KEY, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("name_sha", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_failure")),
    )
    op.create_index("ix_sign_in_failure_time", "sign_in_failure", ["time"])


def downgrade() -> None:
    for table in ("sign_in_failure", "sign_in_link", "sign_in", "person"):
        op.drop_table(table)
    op.drop_column("event", "origin")
