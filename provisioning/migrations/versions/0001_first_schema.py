"""The first schema: accounts with their parts, tokens, users, activity and the boot log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("billing_address", sa.JSON(), nullable=True),
        sa.Column("extension_length", sa.Integer(), nullable=False),
        sa.Column("default_outbound_number_id", sa.String(), nullable=True),
        sa.Column("hold_music_clip_id", sa.String(), nullable=True),
        sa.Column("transcription_enabled", sa.Boolean(), nullable=False),
        sa.Column("recording_enabled", sa.Boolean(), nullable=False),
        sa.Column("parking_timeout_minutes", sa.Integer(), nullable=False),
        sa.Column("inbound_fax_limit", sa.Integer(), nullable=True),
        sa.Column("outbound_fax_limit", sa.Integer(), nullable=True),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("emergency_recipients", sa.JSON(), nullable=False),
        sa.Column("admin_password", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("extension_length BETWEEN 3 AND 6", name="ck_accounts_extension_length"),
        sa.CheckConstraint(
            "parking_timeout_minutes BETWEEN 1 AND 60", name="ck_accounts_parking_timeout_minutes"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_index("ix_accounts_email", "accounts", ["email"], unique=False)
    op.create_table(
        "activity",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.CheckConstraint("outcome IN ('success', 'failure', 'denied')", name="ck_activity_outcome"),
        sa.PrimaryKeyConstraint("id", name="pk_activity"),
    )
    op.create_index("ix_activity_account_id_time", "activity", ["account_id", "time", "id"], unique=False)
    op.create_table(
        "boot_log",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.String(), nullable=True),
        sa.Column("device_id", sa.String(), nullable=True),
        sa.Column("mac", sa.String(), nullable=True),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("ip", sa.String(), nullable=False),
        sa.Column("user_agent", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("config_hash", sa.String(), nullable=True),
        sa.Column("firmware", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_boot_log"),
    )
    op.create_index("ix_boot_log_account_id_mac", "boot_log", ["account_id", "mac", "id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_api_keys_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"], unique=False)
    op.create_table(
        "button_templates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("buttons", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_button_templates_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_button_templates"),
        sa.UniqueConstraint("account_id", "name", name="uq_button_templates_account_id_name"),
    )
    op.create_table(
        "extensions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("sip_username", sa.String(), nullable=False),
        sa.Column("sip_password", sa.LargeBinary(), nullable=False),
        sa.Column("outbound_number_id", sa.String(), nullable=True),
        sa.Column("voicemail_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_extensions_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_extensions"),
        sa.UniqueConstraint("account_id", "number", name="uq_extensions_account_id_number"),
        sa.UniqueConstraint("account_id", "sip_username", name="uq_extensions_account_id_sip_username"),
    )
    op.create_table(
        "locations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.JSON(), nullable=True),
        sa.Column("callback_number", sa.String(), nullable=True),
        sa.Column("emergency_recipients", sa.JSON(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_locations_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_locations"),
        sa.UniqueConstraint("account_id", "name", name="uq_locations_account_id_name"),
    )
    op.create_table(
        "provisioning_tokens",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_by", sa.String(), nullable=True),
        sa.CheckConstraint(
            "(state = 'retired') = (retired_at IS NOT NULL)", name="ck_provisioning_tokens_retired_at"
        ),
        sa.CheckConstraint(
            "(state = 'retired') = (sealed IS NULL)", name="ck_provisioning_tokens_retired_keeps_no_text"
        ),
        sa.CheckConstraint("state IN ('current', 'retired')", name="ck_provisioning_tokens_state"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_provisioning_tokens_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_provisioning_tokens"),
        sa.UniqueConstraint("account_id", "generation", name="uq_provisioning_tokens_account_id_generation"),
        sa.UniqueConstraint("digest", name="uq_provisioning_tokens_digest"),
    )
    op.create_index(
        "uq_provisioning_tokens_current",
        "provisioning_tokens",
        ["account_id"],
        unique=True,
        sqlite_where=sa.text("state = 'current'"),
        postgresql_where=sa.text("state = 'current'"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_users_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_index("ix_users_account_id", "users", ["account_id"], unique=False)
    op.create_table(
        "devices",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("mac", sa.String(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("expansion", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("location_id", sa.String(), nullable=True),
        sa.Column("button_template_id", sa.String(), nullable=True),
        sa.Column("button_overrides", sa.JSON(), nullable=False),
        sa.Column("outbound_number_id", sa.String(), nullable=True),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_devices_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["button_template_id"], ["button_templates.id"], name="fk_devices_button_template_id"
        ),
        sa.ForeignKeyConstraint(["location_id"], ["locations.id"], name="fk_devices_location_id"),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("account_id", "mac", name="uq_devices_account_id_mac"),
    )
    op.create_index("ix_devices_button_template_id", "devices", ["button_template_id"], unique=False)
    op.create_index("ix_devices_location_id", "devices", ["location_id"], unique=False)
    op.create_table(
        "device_lines",
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("extension_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_device_lines_device_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["extension_id"], ["extensions.id"], name="fk_device_lines_extension_id"),
        sa.PrimaryKeyConstraint("device_id", "index", name="pk_device_lines"),
    )
    op.create_index("ix_device_lines_extension_id", "device_lines", ["extension_id"], unique=False)
    op.create_table(
        "uploads",
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("suffix", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name="fk_uploads_device_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device_id", "suffix", name="pk_uploads"),
    )
    op.create_table(
        "sightings",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("mac", sa.String(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fetched_ip", sa.String(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("firmware", sa.String(), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_ip", sa.String(), nullable=True),
        sa.Column("refused_generation", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_sightings_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "mac", name="pk_sightings"),
    )
