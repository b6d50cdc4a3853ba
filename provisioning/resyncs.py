"""Resyncs: a run asks phones to look for new settings, spread over time, and keeps what each answered."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from provisioning.db import Base, new_id, now
from provisioning.errors import NotFound

Via = Literal["server", "address"]
State = Literal["waiting", "sent", "answered", "refused", "no_answer", "not_sent", "stopped"]
KEPT: Final = timedelta(days=14)
_LONGEST: Final = timedelta(hours=2)  # twice what a run may be spread over
_MOST: Final = 3  # claims of one phone; a server that dies of it is not to take all others along


class Row(Base):
    """`via` None is through the SIP server where there is one; `many` is whether it was more than one press
    on one phone's page, which goes before."""

    __tablename__ = "resyncs"
    __table_args__ = (sa.CheckConstraint("via IN ('server', 'address')", name="via"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    actor: Mapped[str]
    reboot: Mapped[bool]
    via: Mapped[str | None]
    over_seconds: Mapped[int]
    many: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(index=True)
    stopped_at: Mapped[datetime | None]


_DUE: Final = sa.text("due_at IS NOT NULL")
_SENT: Final = sa.text("state = 'sent'")


class PhoneRow(Base):
    """`due_at` is when the phone may be taken: a claim is nothing but to set it past its end. An index lets
    no phone be asked twice at a time, whatever the runs that it is in."""

    __tablename__ = "resync_phones"
    __table_args__ = (
        sa.CheckConstraint(f"state IN {get_args(State)}", name="state"),
        sa.CheckConstraint("(state IN ('waiting', 'sent')) = (due_at IS NOT NULL)", name="due_at"),
        sa.Index("ix_resync_phones_due_at", "due_at", sqlite_where=_DUE, postgresql_where=_DUE),
        sa.Index(
            "ix_resync_phones_sent", "device_id", unique=True, sqlite_where=_SENT, postgresql_where=_SENT
        ),
    )

    resync_id: Mapped[str] = mapped_column(sa.ForeignKey("resyncs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    state: Mapped[str]
    due_at: Mapped[datetime | None]
    attempts: Mapped[int]
    sent_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    status: Mapped[int | None]
    reason: Mapped[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A phone that is ours to ask; `attempt` is 1 for the first."""

    resync_id: str
    position: int
    account_id: str
    device_id: str
    reboot: bool
    via: Via | None
    attempt: int


@dataclass(frozen=True, slots=True)
class End:
    """How asking a phone ended; `status` is that of SIP, None without an answer."""

    state: State
    status: int | None = None
    reason: str = ""


async def add(
    session: AsyncSession,
    account_id: str,
    device_ids: Sequence[str],
    *,
    actor: str,
    reboot: bool,
    via: Via | None,
    over_seconds: int = 0,
    many: bool = False,
) -> Row:
    """A run that asks these phones in this order, evenly over the time."""
    at = now()
    row = Row(id=new_id("rsn"), account_id=account_id, actor=actor, reboot=reboot, via=via, many=many)
    row.over_seconds, row.created_at = over_seconds, at
    session.add(row)
    await session.flush()
    step = timedelta(seconds=over_seconds / max(len(device_ids), 1))
    phones = [
        {
            "resync_id": row.id,
            "position": position,
            "device_id": device_id,
            "state": "waiting",
            "due_at": at + position * step,
            "attempts": 0,
            "reason": "",
        }
        for position, device_id in enumerate(device_ids)
    ]
    await session.execute(sa.insert(PhoneRow), phones)
    return row


async def get(session: AsyncSession, account_id: str, resync_id: str) -> Row:
    row = await session.get(Row, resync_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such resync")
    return row


async def counts(session: AsyncSession, resync_id: str) -> Mapping[str, int]:
    """How many of its phones are in each state."""
    query = (
        sa.select(PhoneRow.state, sa.func.count())
        .where(PhoneRow.resync_id == resync_id)
        .group_by(PhoneRow.state)
    )
    return dict.fromkeys(get_args(State), 0) | {state: n for state, n in await session.execute(query)}  # noqa: C416


async def phones(
    session: AsyncSession, resync_id: str, *, state: State | None, limit: int, after: int
) -> Sequence[PhoneRow]:
    """Its phones behind the position `after`, in the order in which they are asked."""
    query = sa.select(PhoneRow).where(PhoneRow.resync_id == resync_id, PhoneRow.position > after)
    if state:
        query = query.where(PhoneRow.state == state)
    return list(await session.scalars(query.order_by(PhoneRow.position).limit(limit)))


async def last_of(session: AsyncSession, device_id: str) -> tuple[Row, PhoneRow] | None:
    """The last time that the phone was asked or is to be."""
    query = (
        sa.select(Row, PhoneRow)
        .join(PhoneRow, PhoneRow.resync_id == Row.id)
        .where(PhoneRow.device_id == device_id)
        .order_by(Row.id.desc())
        .limit(1)
    )
    found = (await session.execute(query)).first()
    return (found[0], found[1]) if found else None


async def under_way(session: AsyncSession, account_id: str) -> Row | None:
    """The newest run of many phones that is not at its end."""
    left = sa.exists().where(PhoneRow.resync_id == Row.id, PhoneRow.due_at.is_not(None))
    query = sa.select(Row).where(Row.account_id == account_id, Row.many, left)
    return await session.scalar(query.order_by(Row.id.desc()).limit(1))


async def stop(session: AsyncSession, row: Row) -> None:
    """Those that are being asked are let finish."""
    row.stopped_at = row.stopped_at or now()
    await session.execute(
        sa.update(PhoneRow)
        .where(PhoneRow.resync_id == row.id, PhoneRow.state == "waiting")
        .values(state="stopped", due_at=None)
    )


async def is_due(session: AsyncSession, at: datetime) -> bool:
    """Whether a phone may be taken. A read, so that looking each second holds up no writer."""
    return await session.scalar(sa.select(PhoneRow.position).where(*_due(at)).limit(1)) is not None


async def claim(session: AsyncSession, lease: timedelta, *, limit: int, at: datetime) -> list[Claim]:
    """Takes up to so many phones that are due, and those whose server has died while it asked them."""
    query = (
        sa.select(PhoneRow, Row)
        .join(Row, Row.id == PhoneRow.resync_id)
        .where(*_due(at))
        .order_by(Row.many, PhoneRow.due_at, PhoneRow.resync_id, PhoneRow.position)
        .limit(limit)
        .with_for_update(of=PhoneRow, skip_locked=True)  # what another server is just taking is not ours
    )
    claimed: dict[str, Claim] = {}
    for phone, run in await session.execute(query):
        if phone.state == "sent" and (phone.attempts >= _MOST or run.stopped_at):
            _end(phone, End("no_answer", reason="the server that asked it ended before an answer came"))
        elif phone.device_id not in claimed:
            phone.attempts += 1
            # From now: the transaction may have waited for its turn.
            phone.state, phone.sent_at, phone.due_at = "sent", now(), now() + lease
            via: Via | None = "server" if run.via == "server" else "address" if run.via else None
            claimed[phone.device_id] = Claim(
                run.id, phone.position, run.account_id, phone.device_id, run.reboot, via, phone.attempts
            )
    return list(claimed.values())


async def ended(session: AsyncSession, ends: Sequence[tuple[Claim, End]]) -> None:
    """Nothing for a phone that was claimed again since."""
    for claim, end in sorted(ends, key=lambda each: (each[0].resync_id, each[0].position)):
        if phone := await _ours(session, claim):
            _end(phone, end)


async def give_back(session: AsyncSession, claims: Collection[Claim]) -> None:
    """Another server may take these at once."""
    for claim in sorted(claims, key=lambda each: (each.resync_id, each.position)):
        if phone := await _ours(session, claim):
            stopped = (await session.get_one(Row, claim.resync_id)).stopped_at is not None
            phone.state, phone.due_at = ("stopped", None) if stopped else ("waiting", now())


async def delete_old(session: AsyncSession, before: datetime) -> None:
    await session.execute(sa.delete(Row).where(Row.created_at < before))


async def _ours(session: AsyncSession, claim: Claim) -> PhoneRow | None:
    phone = await session.get(PhoneRow, (claim.resync_id, claim.position), with_for_update=True)
    return phone if phone and (phone.state, phone.attempts) == ("sent", claim.attempt) else None


def _end(phone: PhoneRow, end: End) -> None:
    phone.state, phone.status, phone.reason = end.state, end.status, end.reason
    phone.ended_at, phone.due_at = now(), None


def _due(at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    other = aliased(PhoneRow)
    asked = sa.exists().where(other.device_id == PhoneRow.device_id, other.state == "sent")
    # One that waits for longer than any run takes was put down before the clock was set back.
    due = sa.or_(PhoneRow.due_at <= at, PhoneRow.due_at > at + _LONGEST)
    return due, sa.or_(PhoneRow.state == "sent", sa.not_(asked))
