"""What phones write: the changes made on a phone itself, its contacts, call lists and logs."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, insert

MOST = 512 * 1024  # bytes of one file


class Row(Base):
    """One file of one device; `suffix` is its name without the MAC. It goes when the device goes, so
    that a phone which changes accounts does not bring its old settings."""

    __tablename__ = "uploads"

    device_id: Mapped[str] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    suffix: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes]


async def read(session: AsyncSession, device_id: str, suffix: str) -> bytes | None:
    content: bytes | None = await session.scalar(
        sa.select(Row.content).where(Row.device_id == device_id, Row.suffix == suffix)
    )
    return content


async def replace(session: AsyncSession, device_id: str, suffix: str, content: bytes) -> None:
    await session.execute(
        insert(session, Row)
        .values(device_id=device_id, suffix=suffix, content=content)
        .on_conflict_do_update(index_elements=["device_id", "suffix"], set_={"content": content})
    )


async def append(session: AsyncSession, device_id: str, suffix: str, content: bytes) -> None:
    """Adds to a log and keeps its newest `MOST` bytes."""
    # Two pieces that come at once wait for each other, or one of them would be lost.
    devices = sa.table("devices", sa.column("id"))
    await session.execute(sa.select(devices.c.id).where(devices.c.id == device_id).with_for_update())
    before = await read(session, device_id, suffix) or b""
    await replace(session, device_id, suffix, (before + content)[-MOST:])


async def clear(session: AsyncSession, device_id: str, suffixes: Iterable[str]) -> None:
    """Forgets these files; a phone's stale overrides would win over new settings."""
    await session.execute(sa.delete(Row).where(Row.device_id == device_id, Row.suffix.in_(suffixes)))
