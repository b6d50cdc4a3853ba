"""Bindings: which phones have asked at the URL of their own, and so are served nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, insert, now

_devices = sa.table("devices", sa.column("id"), sa.column("account_id"), sa.column("opening"))


class Row(Base):
    """A device's last binding. It counts for one generation of the token and one opening of the device, so
    that a rotation, and whoever opens the phone again, ends it.

    It has a table of its own since each change of a device counts as one of what its phones are served: with
    thousands of phones that are bound one after the other, nothing would stay in memory.
    """

    __tablename__ = "bindings"

    device_id: Mapped[str] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    generation: Mapped[int]
    opening: Mapped[int]
    bound_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Binding:
    """How a device stands: for the `opening`th time opened again, and bound since then, or not."""

    opening: int
    bound_at: datetime | None


async def of(session: AsyncSession, device_ids: Sequence[str], generation: int) -> Mapping[str, Binding]:
    """`generation` is that of the token in force."""
    query = (
        sa.select(_devices.c.id, _devices.c.opening, Row.bound_at)
        .outerjoin(
            Row,
            sa.and_(
                Row.device_id == _devices.c.id,
                Row.generation == generation,
                Row.opening == _devices.c.opening,
            ),
        )
        .where(_devices.c.id.in_(device_ids))
    )
    return {row.id: Binding(row.opening, row.bound_at) for row in await session.execute(query)}


async def end(session: AsyncSession, account_id: str) -> None:
    """No phone of the account is bound any more."""
    owned = sa.select(_devices.c.id).where(_devices.c.account_id == account_id)
    await session.execute(sa.delete(Row).where(Row.device_id.in_(owned)))


async def put(session: AsyncSession, device_id: str, generation: int, opening: int) -> None:
    """Binds the phone that asked with the key of this generation and opening. The first time stays; what is
    no longer so, or was overtaken, changes nothing."""
    found = sa.select(
        _devices.c.id,
        sa.literal(generation, Row.generation.type),
        sa.literal(opening, Row.opening.type),
        sa.literal(now(), Row.bound_at.type),
    ).where(_devices.c.id == device_id, _devices.c.opening == opening)
    put_in = insert(session, Row).from_select(["device_id", "generation", "opening", "bound_at"], found)
    new = put_in.excluded
    await session.execute(
        put_in.on_conflict_do_update(
            index_elements=[Row.device_id],
            set_={"generation": new.generation, "opening": new.opening, "bound_at": new.bound_at},
            where=sa.tuple_(new.generation, new.opening) > sa.tuple_(Row.generation, Row.opening),
        )
    )
