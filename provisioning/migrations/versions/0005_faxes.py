"""Faxes: which were admitted lately."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "faxes",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fax_id", sa.String(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_faxes_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "direction", "seq", name="pk_faxes"),
        sa.UniqueConstraint("account_id", "direction", "fax_id", name="uq_faxes_account_id_direction_fax_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_faxes_account_id_direction_time_seq", "faxes", ["account_id", "direction", "time", "seq"]
    )
