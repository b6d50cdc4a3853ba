"""The activity log becomes a chain per account that the database itself keeps append-only."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from provisioning.db import Time

revision = "0002"
down_revision = "0001"

FILTERED = ("event", "resource", "actor", "outcome", "ip")


def upgrade() -> None:
    # Copied aside, since the names of a renamed table's constraints would stand in the new one's way.
    op.execute("CREATE TABLE activity_before AS SELECT * FROM activity")
    op.drop_table("activity")
    activity, heads, values = _tables()
    before = sa.table("activity_before", *(sa.column(c.name, c.type) for c in activity.columns[:9]))
    rows = op.get_bind().execute(sa.select(before).order_by(before.c.account_id, before.c.time, before.c.id))
    for _, group in groupby(rows.mappings(), lambda row: row["account_id"]):
        _carry_over(activity, heads, values, group)
    op.drop_table("activity_before")
    for name in FILTERED:
        op.create_index(f"ix_activity_account_id_{name}_time", "activity", ["account_id", name, "time"])
    _append_only()


def _tables() -> tuple[sa.Table, sa.Table, sa.Table]:
    bytewise = sa.String(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.String()
    activity = op.create_table(
        "activity",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("time", Time(), nullable=False),
        sa.Column("event", bytewise, nullable=False),
        sa.Column("resource", bytewise, nullable=False),
        sa.Column("actor", bytewise, nullable=False),
        sa.Column("outcome", bytewise, nullable=False),
        sa.Column("ip", bytewise, nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("outcome IN ('success', 'failure', 'denied')", name="ck_activity_outcome"),
        sa.PrimaryKeyConstraint("account_id", "time", name="pk_activity"),
        sa.UniqueConstraint("account_id", "seq", name="uq_activity_account_id_seq"),
        sqlite_with_rowid=False,
    )
    heads = op.create_table(
        "activity_heads",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("time", Time(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_activity_heads"),
    )
    values = op.create_table(
        "activity_values",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("value", bytewise, nullable=False),
        sa.Column("last", Time(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "field", "value", name="pk_activity_values"),
        sqlite_with_rowid=False,
    )
    return activity, heads, values


def _carry_over(activity: sa.Table, heads: sa.Table, values: sa.Table, rows: Iterable[Any]) -> None:
    """Chains the entries of one account, in the order of their times, which become unique."""
    connection = op.get_bind()
    head: dict[str, Any] = {"seq": 0, "time": datetime.fromtimestamp(0, UTC), "hash": bytes(32)}
    last: dict[tuple[str, str], datetime] = {}
    for row in rows:
        entry = dict(row)
        entry["time"] = max(entry["time"], head["time"] + timedelta(microseconds=1))
        entry["seq"] = head["seq"] + 1
        shown = entry | {"time": entry["time"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        text = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(head["hash"] + text.encode("utf-8", "backslashreplace")).digest()
        connection.execute(sa.insert(activity).values(**entry, hash=digest))
        head = entry | {"hash": digest}
        hour = entry["time"].replace(minute=0, second=0, microsecond=0)
        last.update({(name, entry[name]): hour + timedelta(hours=1) for name in FILTERED})
    account_id = head["account_id"]
    connection.execute(
        sa.insert(heads).values(
            account_id=account_id,
            seq=head["seq"],
            time=head["time"],
            entry_id=head["id"],
            hash=head["hash"],
        )
    )
    connection.execute(
        sa.insert(values),
        [
            {"account_id": account_id, "field": field, "value": value, "last": time}
            for (field, value), time in last.items()
        ],
    )


def _append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER activity_refuses_{verb.lower()} BEFORE {verb} ON activity "
                "BEGIN SELECT RAISE(ABORT, 'the activity log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION activity_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the activity log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER activity_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON activity "
        "FOR EACH STATEMENT EXECUTE FUNCTION activity_is_append_only()"
    )
