"""Phone numbers and audio clips, and the references to them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

REFERENCES = (
    ("accounts", "default_outbound_number_id", "phone_numbers"),
    ("accounts", "hold_music_clip_id", "audio_clips"),
    ("extensions", "outbound_number_id", "phone_numbers"),
    ("devices", "outbound_number_id", "phone_numbers"),
)


def upgrade() -> None:
    op.create_table(
        "phone_numbers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("fax_enabled", sa.Boolean(), nullable=False),
        sa.Column("fax_recipients", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_phone_numbers_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_phone_numbers"),
        sa.UniqueConstraint("account_id", "number", name="uq_phone_numbers_account_id_number"),
    )
    op.create_table(
        "audio_clips",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_audio_clips_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_audio_clips"),
        sa.UniqueConstraint("account_id", "name", name="uq_audio_clips_account_id_name"),
    )
    op.create_table(
        "audio_clip_chunks",
        sa.Column("clip_id", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clip_id"], ["audio_clips.id"], name="fk_audio_clip_chunks_clip_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("clip_id", "index", name="pk_audio_clip_chunks"),
    )
    for table, column, target in REFERENCES:
        # SQLite adds a constraint with its column only. The columns are empty: every id was refused so far.
        op.drop_column(table, column)
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR "
            f"CONSTRAINT fk_{table}_{column} REFERENCES {target} (id)"
        )
        op.create_index(f"ix_{table}_{column}", table, [column], unique=False)
