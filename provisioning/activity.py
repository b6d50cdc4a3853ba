"""The activity log: what was done on an account, by whom, from where, and how it ended.

The entries of an account are a chain: each one's hash covers the hash of the one before, so that an entry
which was changed, removed or moved behind the server's back is found by `verify`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning.activity_events import EVENTS
from provisioning.activity_search import Filters, page
from provisioning.activity_table import COLUMNS, START, Entry, Head, Outcome, Row, Value, link, plain, values
from provisioning.db import Base, new_id, now
from provisioning.errors import NotFound

__all__ = ["EVENTS", "Entry", "Filters", "Outcome", "Row", "page", "record", "record_stale_fetch", "verify"]

_SKEW: Final = timedelta(seconds=10)  # by which the clocks of a fleet may differ
_HOUR: Final = timedelta(hours=1)
_SLICE: Final = 1000  # entries that `verify` holds in memory


async def record(
    session: AsyncSession,
    account_id: str,
    event: str,
    resource: str,
    *,
    actor: str,
    ip: str = "",
    outcome: Outcome = "success",
    detail: Mapping[str, Any] | None = None,
) -> Entry:
    """Enters an operation in the transaction of its change: no entry, no change.

    `event` is one of `EVENTS`, else ValueError. `detail` is JSON. The account's other entries wait until
    the transaction ends, so this is best its last step.
    """
    if event not in EVENTS:
        raise ValueError(f"{event} is not an event of the activity log")
    head = await _locked_head(session, account_id)
    time = now()
    if head.time - _SKEW < time <= head.time:
        time = head.time + timedelta(microseconds=1)
    entry = Entry(
        id=new_id("act"),
        account_id=account_id,
        time=time,
        event=event,
        resource=plain(resource),
        actor=plain(actor),
        outcome=outcome,
        ip=plain(ip),
        # As it will be read again, or the hash of a tuple or of a number as a key would differ then.
        detail=json.loads(json.dumps(detail or {}, allow_nan=False)),
    )
    await _append(session, entry, head.seq + 1, link(head.hash, entry, head.seq + 1))
    return entry


async def record_stale_fetch(session: AsyncSession, account_id: str, mac: str, *, ip: str) -> None:
    """Enters that a phone asked with a rotated token, unless that was entered within the last hour."""
    phone = f"phone/{mac}"
    entered = (
        sa.select(Row.time)
        .where(Row.account_id == account_id, Row.actor == phone, Row.event == "phone.fetch")
        .where(Row.time > now() - _HOUR)
        .limit(1)
    )
    if await session.scalar(entered):
        return
    await _locked_head(session, account_id)
    # Another server may have entered it before we had the lock.
    if not await session.scalar(entered):
        await record(session, account_id, "phone.fetch", phone, actor=phone, ip=ip, outcome="denied")


async def verify(session: AsyncSession, account_id: str | None = None) -> str | None:
    """The id of the first entry that was changed or moved, or of the one after a gap; None when all is well.

    Walks the chain of one account, or of all. `session` is one that reads a single snapshot. Raises
    `NotFound` when the account that is named has no activity.
    """
    if account_id is not None:
        return await _first_broken(session, account_id)
    known = set(await session.scalars(sa.select(Head.account_id)))
    known |= set(await session.scalars(sa.select(Row.account_id).distinct()))
    for known_id in sorted(known):
        if broken := await _first_broken(session, known_id):
            return broken
    return None


@dataclass(frozen=True, slots=True)
class _Head:
    seq: int
    time: datetime
    hash: bytes


async def _locked_head(session: AsyncSession, account_id: str) -> _Head:
    """The end of the chain; other transactions that want it wait. SQLite's writers wait anyway."""
    head = sa.select(Head.seq, Head.time, Head.hash).where(Head.account_id == account_id).with_for_update()
    if found := (await session.execute(head)).first():
        return _Head(*found)
    first = {"seq": 0, "time": datetime.fromtimestamp(0, UTC), "entry_id": "", "hash": START}
    await session.execute(
        _insert(session, Head).values(account_id=account_id, **first).on_conflict_do_nothing()
    )
    return _Head(*(await session.execute(head)).one())


async def _append(session: AsyncSession, entry: Entry, seq: int, digest: bytes) -> None:
    columns = {name: getattr(entry, name) for name in Entry.__slots__}
    await session.execute(sa.insert(Row).values(**columns, seq=seq, hash=digest))
    await session.execute(
        sa.update(Head)
        .where(Head.account_id == entry.account_id)
        .values(seq=seq, time=entry.time, entry_id=entry.id, hash=digest)
        .execution_options(synchronize_session=False)
    )
    insert = _insert(session, Value)
    insert = insert.on_conflict_do_update(
        index_elements=["account_id", "field", "value"],
        set_={"last": insert.excluded.last},
        where=Value.last < insert.excluded.last,
    )
    await (await session.connection()).execute(insert, values(entry))


def _insert(session: AsyncSession, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    dialect = session.get_bind().dialect.name
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


async def _first_broken(session: AsyncSession, account_id: str) -> str | None:
    head = (
        await session.execute(
            sa.select(Head.seq, Head.hash, Head.entry_id).where(Head.account_id == account_id)
        )
    ).first()
    seq, digest = 0, START
    chain = sa.select(*COLUMNS, Row.seq, Row.hash).where(Row.account_id == account_id).order_by(Row.seq)
    while rows := (await session.execute(chain.where(Row.seq > seq).limit(_SLICE))).all():
        for *columns, entered, said in rows:
            entry, seq = Entry(*columns), seq + 1
            digest = link(digest, entry, seq)
            if head is None or seq > head.seq or (entered, said) != (seq, digest):
                return entry.id
    if head is None:
        raise NotFound("there is no activity of this account")
    return None if (head.seq, head.hash) == (seq, digest) else head.entry_id
