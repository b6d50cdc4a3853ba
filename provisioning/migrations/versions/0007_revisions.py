"""For each account a number that grows with every change which may alter a phone's file.

The database counts, so that no way to change a row can forget it: triggers on the tables that files are made
of. A later migration which makes one of these tables anew has to make its triggers anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_OWNED = ("devices", "extensions", "locations", "button_templates", "provisioning_tokens")


def upgrade() -> None:
    op.create_table(
        "revisions",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_revisions_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_revisions"),
    )
    op.execute("INSERT INTO revisions (account_id, revision) SELECT id, revision FROM accounts")
    # It counted what some functions remembered to count.
    op.execute("ALTER TABLE accounts DROP COLUMN revision")
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _sqlite() -> None:
    op.execute(
        "CREATE TRIGGER revisions_begin AFTER INSERT ON accounts "
        "BEGIN INSERT INTO revisions (account_id, revision) VALUES (NEW.id, 1); END"
    )
    _count("accounts", "UPDATE", "NEW.id")
    for verb, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        for table in _OWNED:
            _count(table, verb, f"{row}.account_id")
        owner = f"(SELECT account_id FROM devices WHERE id = {row}.device_id)"  # noqa: S608
        _count("device_lines", verb, owner)


def _count(table: str, verb: str, account: str) -> None:
    count = f"UPDATE revisions SET revision = revision + 1 WHERE account_id = {account}"  # noqa: S608
    op.execute(
        f"CREATE TRIGGER revisions_count_{table}_{verb.lower()} AFTER {verb} ON {table} BEGIN {count}; END"
    )


def _postgresql() -> None:
    """Once for each statement, since one may write thousands of rows."""
    op.execute(
        "CREATE FUNCTION revisions_begin() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO revisions (account_id, revision) VALUES (NEW.id, 1); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER revisions_begin AFTER INSERT ON accounts "
        "FOR EACH ROW EXECUTE FUNCTION revisions_begin()"
    )
    _function("revisions_count", "SELECT account_id FROM changed")
    _function("revisions_count_account", "SELECT id FROM changed")
    _function(
        "revisions_count_lines",
        "SELECT devices.account_id FROM changed JOIN devices ON devices.id = changed.device_id",
    )
    _trigger("accounts", "UPDATE", "NEW", "revisions_count_account")
    for verb, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        for table in _OWNED:
            _trigger(table, verb, row, "revisions_count")
        _trigger("device_lines", verb, row, "revisions_count_lines")


def _function(name: str, accounts: str) -> None:
    count = f"UPDATE revisions SET revision = revision + 1 WHERE account_id IN ({accounts})"  # noqa: S608
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {count}; RETURN NULL; END $$"
    )


def _trigger(table: str, verb: str, row: str, function: str) -> None:
    op.execute(
        f"CREATE TRIGGER revisions_count_{verb.lower()} AFTER {verb} ON {table} "
        f"REFERENCING {row} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
    )
