"""Emergency calls, the locations that they may have come from, and the outbox of their mails."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "emergency_calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("dialed", sa.String(), nullable=False),
        sa.Column("sip_username", sa.String(), nullable=True),
        sa.Column("device_mac", sa.String(), nullable=True),
        sa.Column("caller_number", sa.String(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scene", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.CheckConstraint("dialed IN ('911', '933')", name="ck_emergency_calls_dialed"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_emergency_calls_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_emergency_calls"),
        sa.UniqueConstraint("account_id", "call_id", name="uq_emergency_calls_account_id_call_id"),
    )
    op.create_table(
        "emergency_call_locations",
        sa.Column("location_id", sa.String(), nullable=False),
        sa.Column("emergency_call_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["emergency_call_id"],
            ["emergency_calls.id"],
            name="fk_emergency_call_locations_emergency_call_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("location_id", "emergency_call_id", name="pk_emergency_call_locations"),
    )
    op.create_index(
        "ix_emergency_call_locations_emergency_call_id", "emergency_call_locations", ["emergency_call_id"]
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("emergency_call_id", sa.String(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("unclear", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("late_noted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="ck_mails_state"),
        sa.CheckConstraint(
            "(state = 'waiting') = (next_attempt_at IS NOT NULL)", name="ck_mails_next_attempt_at"
        ),
        sa.CheckConstraint(
            "(state = 'delivered') = (delivered_at IS NOT NULL)", name="ck_mails_delivered_at"
        ),
        sa.ForeignKeyConstraint(
            ["emergency_call_id"],
            ["emergency_calls.id"],
            name="fk_mails_emergency_call_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_mails"),
        sa.UniqueConstraint("emergency_call_id", "recipient", name="uq_mails_emergency_call_id_recipient"),
    )
    op.create_index(
        "ix_mails_waiting",
        "mails",
        ["next_attempt_at"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
