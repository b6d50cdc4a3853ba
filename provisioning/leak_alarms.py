"""Leak alarms: so many MAC addresses of no device asked with an account's token that it may have leaked.

It is counted in the database, so that who spreads over all servers gets no more than at one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import activity
from provisioning.db import Base, insert, now

MOST: Final = 20  # such MAC addresses within the window; one more raises the alarm
WINDOW: Final = timedelta(minutes=10)  # and so long after there were last so many, the alarm ends
_ADDRESSES: Final = 5  # that are named

_tokens = sa.table("provisioning_tokens", *map(sa.column, ("account_id", "generation", "state")))


class Row(Base):
    """`asked` are the last 21 such MAC addresses: when each asked last, in RFC 3339, and from where.

    A rotation ends the alarm: `generation` is that of the token with which they asked. `requests` are those
    since it was raised; `last_at` is when there were last more than 20.
    """

    __tablename__ = "leak_alarms"

    account_id: Mapped[str] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    generation: Mapped[int]
    asked: Mapped[dict[str, Any]]
    raised_at: Mapped[datetime | None]
    last_at: Mapped[datetime | None]
    requests: Mapped[int] = mapped_column(sa.BigInteger())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server has seen since it told last: of MAC addresses, when and from where each asked last."""

    generation: int
    macs: Mapping[str, tuple[datetime, str]]
    requests: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """`requests` of unknown phones since it was raised, from these `addresses` among others."""

    raised_at: datetime
    last_at: datetime
    requests: int
    addresses: tuple[str, ...]


async def note(session: AsyncSession, account_id: str, asked: Asked) -> datetime | None:
    """Counts what asked, and raises the alarm when it is due, with one entry in the activity log.

    Until when it is on; None when it is not.
    """
    first = {"generation": asked.generation, "asked": {}, "requests": 0}
    await session.execute(
        insert(session, Row).values(account_id=account_id, **first).on_conflict_do_nothing()
    )
    row = (await session.scalars(sa.select(Row).where(Row.account_id == account_id).with_for_update())).one()
    if asked.generation < row.generation:
        return None
    if asked.generation > row.generation:
        row.generation, row.asked, row.last_at = asked.generation, {}, None
    last = max(time for time, _ in asked.macs.values())
    was_on = row.last_at is not None and last < row.last_at + WINDOW
    row.asked = _merged(row.asked, asked.macs)
    row.requests = (row.requests if was_on else 0) + asked.requests
    if len(row.asked) > MOST and _time(next(iter(row.asked.values()))) > last - WINDOW:
        row.last_at = max(last, row.last_at or last)
        if not was_on:
            row.raised_at = last
            await session.flush()
            await _enter(session, row)
    elif not was_on:
        return None
    return row.last_at and row.last_at + WINDOW


def _merged(known: Mapping[str, Any], more: Mapping[str, tuple[datetime, str]]) -> dict[str, Any]:
    """The newest 21, the oldest of them first."""
    found = dict(known)
    for mac, (time, ip) in more.items():
        if mac not in found or _time(found[mac]) < time:
            found[mac] = [time.astimezone(UTC).isoformat(), ip]
    return dict(sorted(found.items(), key=lambda item: _time(item[1]))[-MOST - 1 :])


def _time(asked: Any) -> datetime:
    return datetime.fromisoformat(asked[0])


async def _enter(session: AsyncSession, row: Row) -> None:
    addresses = _addresses(row.asked)
    detail = {
        "unknown_phones": len(row.asked),
        "within_minutes": WINDOW // timedelta(minutes=1),
        "generation": row.generation,
        "addresses": list(addresses),
    }
    await activity.record(
        session,
        row.account_id,
        "provisioning.alarm",
        "account",
        actor="system",
        ip=addresses[0],
        outcome="denied",
        detail=detail,
    )


def _addresses(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """Those from which they asked, the last one first."""
    newest = sorted(asked.values(), key=_time, reverse=True)
    return tuple(dict.fromkeys(ip for _, ip in newest))[:_ADDRESSES]


def _is_on(at: datetime) -> sa.ColumnElement[bool]:
    is_current = sa.exists().where(
        _tokens.c.account_id == Row.account_id,
        _tokens.c.generation == Row.generation,
        _tokens.c.state == "current",
    )
    return sa.and_(Row.last_at > at - WINDOW, is_current)


async def of(session: AsyncSession, account_id: str) -> Alarm | None:
    """The account's alarm, while it is on."""
    row = await session.scalar(sa.select(Row).where(Row.account_id == account_id, _is_on(now())))
    if row is None or row.raised_at is None or row.last_at is None:
        return None
    return Alarm(row.raised_at, row.last_at, row.requests, _addresses(row.asked))


async def count(session: AsyncSession) -> int:
    """How many accounts have an alarm."""
    return await session.scalar(sa.select(sa.func.count()).select_from(Row).where(_is_on(now()))) or 0
