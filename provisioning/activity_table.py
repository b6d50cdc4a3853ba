"""The tables of the activity log, and an entry of it as a value and as a link of the chain."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base

Outcome = Literal["success", "failure", "denied"]

FILTERED: Final = ("event", "resource", "actor", "outcome", "ip")  # the columns that are searched
START: Final = bytes(32)  # the hash before an account's first entry
_HOUR: Final = timedelta(hours=1)

# Compared byte by byte on every database, so that a prefix is a range of an index.
_bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")


class Row(Base):
    """Triggers refuse UPDATE and DELETE. `time` is unique in an account and is its order of pages; `seq`
    is the order of the chain. The two differ only where a clock was set back."""

    __tablename__ = "activity"
    __table_args__ = (
        sa.CheckConstraint("outcome IN ('success', 'failure', 'denied')", name="outcome"),
        sa.UniqueConstraint("account_id", "seq"),
        *(sa.Index(f"ix_activity_account_id_{name}_time", "account_id", name, "time") for name in FILTERED),
        {"sqlite_with_rowid": False},  # an account's entries lie side by side, in order of time
    )

    id: Mapped[str]
    # No foreign key: what was done on an account outlives it.
    account_id: Mapped[str] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(_bytewise)
    resource: Mapped[str] = mapped_column(_bytewise)
    actor: Mapped[str] = mapped_column(_bytewise)
    outcome: Mapped[str] = mapped_column(_bytewise)
    ip: Mapped[str] = mapped_column(_bytewise)
    detail: Mapped[dict[str, Any]]
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    hash: Mapped[bytes]


class Head(Base):
    """The end of an account's chain, locked while an entry is added, so that the chain cannot fork."""

    __tablename__ = "activity_heads"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    time: Mapped[datetime]
    entry_id: Mapped[str]
    hash: Mapped[bytes]


class Value(Base):
    """A value that a searched column has held. `last` is later than its last entry, by an hour at most:
    a value in constant use costs one update an hour."""

    __tablename__ = "activity_values"
    __table_args__ = ({"sqlite_with_rowid": False},)

    account_id: Mapped[str] = mapped_column(primary_key=True)
    field: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(_bytewise, primary_key=True)
    last: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation. `account_id` is "" where a request's account is unknown."""

    id: str
    account_id: str
    time: datetime
    event: str
    resource: str
    actor: str
    outcome: str
    ip: str
    detail: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The entry as the API shows it; `time` is RFC 3339 UTC with microseconds."""
        return {
            "id": self.id,
            "time": self.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "event": self.event,
            "resource": self.resource,
            "actor": self.actor,
            "outcome": self.outcome,
            "ip": self.ip,
            "detail": dict(self.detail),
        }


COLUMNS: Final = tuple(getattr(Row, name) for name in Entry.__slots__)


def link(previous: bytes, entry: Entry, seq: int) -> bytes:
    """The hash of an entry: SHA-256 over the hash before it and the entry's canonical JSON, which has
    sorted keys, no spaces, UTF-8, and the account and the sequence number besides what the API shows."""
    whole = entry.as_json() | {"account_id": entry.account_id, "seq": seq}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(previous + text.encode("utf-8", "backslashreplace")).digest()


def plain(text: str) -> str:
    """At most 255 characters of what a stranger may have sent, fit for every database and its indexes."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "?", text[:255])


def values(entry: Entry) -> list[dict[str, Any]]:
    """What the table of values is to hold for an entry."""
    last = entry.time.replace(minute=0, second=0, microsecond=0) + _HOUR
    return [
        {"account_id": entry.account_id, "field": name, "value": getattr(entry, name), "last": last}
        for name in FILTERED
    ]
