"""A token that is staged to follow the current one, and which phones have been told its URL."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_STATES = "state IN ('current', 'staged', 'retired')"
_KEPT = """
    id, account_id, generation, state, digest, sealed, created_at, created_by, retired_at, retired_by
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        op.drop_constraint("ck_provisioning_tokens_state", "provisioning_tokens")
        op.create_check_constraint("ck_provisioning_tokens_state", "provisioning_tokens", _STATES)
        op.add_column("provisioning_tokens", sa.Column("told_at", sa.DateTime(timezone=True)))
    _one_in_state("staged")
    op.add_column("sightings", sa.Column("told_generation", sa.Integer()))


def _one_in_state(state: str) -> None:
    where = sa.text(f"state = '{state}'")
    op.create_index(
        f"uq_provisioning_tokens_{state}",
        "provisioning_tokens",
        ["account_id"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )


def _sqlite() -> None:
    """A constraint changes with its table only. The table is made anew, and with it what stood on it."""
    op.execute("ALTER TABLE provisioning_tokens RENAME TO provisioning_tokens_before")
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
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'retired') = (retired_at IS NOT NULL)", name="ck_provisioning_tokens_retired_at"
        ),
        sa.CheckConstraint(
            "(state = 'retired') = (sealed IS NULL)", name="ck_provisioning_tokens_retired_keeps_no_text"
        ),
        sa.CheckConstraint(_STATES, name="ck_provisioning_tokens_state"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_provisioning_tokens_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_provisioning_tokens"),
        sa.UniqueConstraint("account_id", "generation", name="uq_provisioning_tokens_account_id_generation"),
        sa.UniqueConstraint("digest", name="uq_provisioning_tokens_digest"),
    )
    op.execute(
        f"INSERT INTO provisioning_tokens ({_KEPT}) SELECT {_KEPT} FROM provisioning_tokens_before"  # noqa: S608
    )
    op.execute("DROP TABLE provisioning_tokens_before")
    _one_in_state("current")
    for verb, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        # The account's revision counts every change of its tokens: see migration 0007.
        count = f"UPDATE revisions SET revision = revision + 1 WHERE account_id = {row}.account_id"  # noqa: S608
        name = f"revisions_count_provisioning_tokens_{verb.lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {verb} ON provisioning_tokens BEGIN {count}; END")
