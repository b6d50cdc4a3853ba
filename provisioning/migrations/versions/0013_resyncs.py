"""Runs of resyncs, and in each the phones that are asked to look for new settings."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "resyncs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("reboot", sa.Boolean(), nullable=False),
        sa.Column("via", sa.String(), nullable=True),
        sa.Column("over_seconds", sa.Integer(), nullable=False),
        sa.Column("many", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("via IN ('server', 'address')", name="ck_resyncs_via"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_resyncs_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_resyncs"),
    )
    op.create_index("ix_resyncs_account_id", "resyncs", ["account_id"])
    op.create_index("ix_resyncs_created_at", "resyncs", ["created_at"])
    op.create_table(
        "resync_phones",
        sa.Column("resync_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'sent', 'answered', 'refused', 'no_answer', 'not_sent', 'stopped')",
            name="ck_resync_phones_state",
        ),
        sa.CheckConstraint(
            "(state IN ('waiting', 'sent')) = (due_at IS NOT NULL)", name="ck_resync_phones_due_at"
        ),
        sa.ForeignKeyConstraint(
            ["resync_id"], ["resyncs.id"], name="fk_resync_phones_resync_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_resync_phones_device_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("resync_id", "position", name="pk_resync_phones"),
    )
    op.create_index("ix_resync_phones_device_id", "resync_phones", ["device_id"])
    for name, column, where, unique in (
        ("ix_resync_phones_due_at", "due_at", "due_at IS NOT NULL", False),
        ("ix_resync_phones_sent", "device_id", "state = 'sent'", True),
    ):
        op.create_index(
            name,
            "resync_phones",
            [column],
            unique=unique,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
