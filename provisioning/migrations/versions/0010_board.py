"""The board after a rotation: which phones somebody was at, and the rows of the boot log that it looks for.

The indexes hold those rows alone, so that all others cost what they did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "ticks",
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("ticked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ticked_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_ticks_device_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("device_id", name="pk_ticks"),
    )
    _partial("mac_unknown", ["account_id", "time"])
    _partial("render_error", ["account_id", "mac", "time"])


def _partial(verdict: str, columns: list[str]) -> None:
    rows = sa.text(f"verdict = '{verdict}'")
    op.create_index(f"ix_boot_log_{verdict}", "boot_log", columns, sqlite_where=rows, postgresql_where=rows)
