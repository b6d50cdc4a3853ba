"""Ticks: somebody was at this phone after the last rotation of the token."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, now


class Row(Base):
    """A device's last tick. It counts for one generation of the token, so that a rotation starts anew."""

    __tablename__ = "ticks"

    device_id: Mapped[str] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    generation: Mapped[int]
    ticked_at: Mapped[datetime]
    ticked_by: Mapped[str]


@dataclass(frozen=True, slots=True)
class Tick:
    """`at` and `by` are None while nobody was there."""

    device_id: str
    generation: int
    at: datetime | None = None
    by: str | None = None


async def of(session: AsyncSession, device_id: str, generation: int) -> Tick:
    row = await session.get(Row, device_id)
    if row is None or row.generation != generation:
        return Tick(device_id, generation)
    return Tick(device_id, generation, row.ticked_at, row.ticked_by)


async def put(session: AsyncSession, device_id: str, generation: int, *, by: str) -> Tick:
    """Who ticked first stays."""
    tick = await of(session, device_id, generation)
    if tick.at is None:
        await session.merge(Row(device_id=device_id, generation=generation, ticked_at=now(), ticked_by=by))
        await session.flush()
    return await of(session, device_id, generation)


async def remove(session: AsyncSession, device_id: str) -> None:
    await session.execute(sa.delete(Row).where(Row.device_id == device_id))
