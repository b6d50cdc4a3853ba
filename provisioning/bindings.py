"""Bindings: which phones have asked at the URL of their own, and so are served nowhere else."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, Database, insert, now

_AT_ONCE: Final = 500  # phones
# A device's id and MAC address, and the generation and the opening of the key that it showed.
Asking = tuple[str, str, int, int]
_devices = sa.table("devices", *map(sa.column, ("id", "account_id", "mac", "opening")))


class Row(Base):
    """A device's last binding. It counts for one MAC address, one generation of the token and one opening of
    the device, so that another phone in its place, a rotation, and whoever opens it again end it.

    It has a table of its own since each change of a device counts as one of what its phones are served: with
    thousands of phones that are bound one after the other, nothing would stay in memory.
    """

    __tablename__ = "bindings"

    device_id: Mapped[str] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    mac: Mapped[str]
    generation: Mapped[int]
    opening: Mapped[int]
    bound_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Binding:
    """How a device stands: for the `opening`th time opened again, and bound since then, or not."""

    opening: int
    bound_at: datetime | None


class Binder:
    """Binds phones, each before it is answered. Those that ask while a transaction is under way share the
    next: after a rotation it is a whole fleet, and a transaction for each would take longer than all else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Asking, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def bind(self, device_id: str, mac: str, generation: int, opening: int) -> None:
        """Afterwards it is committed. Raises what the database raises."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append(((device_id, mac, generation, opening), done))
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            of_these, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            error: Exception | None = None
            try:
                async with self._database.write() as session:
                    # In one order, so that two servers do not wait in a circle for each other's rows.
                    await put(session, *sorted({phone for phone, _ in of_these}))
            except Exception as failed:
                error = failed
            for _, done in of_these:
                if done.done():  # who asked has gone
                    continue
                if error:
                    done.set_exception(error)
                else:
                    done.set_result(None)


async def of(session: AsyncSession, device_ids: Sequence[str], generation: int) -> Mapping[str, Binding]:
    """`generation` is that of the token in force."""
    query = (
        sa.select(_devices.c.id, _devices.c.opening, Row.bound_at)
        .outerjoin(
            Row,
            sa.and_(
                _counts(),
                Row.generation == generation,
            ),
        )
        .where(_devices.c.id.in_(device_ids))
    )
    return {row.id: Binding(row.opening, row.bound_at) for row in await session.execute(query)}


async def count(session: AsyncSession, account_id: str, generation: int) -> int:
    """How many phones of the account are bound."""
    query = (
        sa.select(sa.func.count())
        .select_from(Row)
        .join(_devices, _counts())
        .where(_devices.c.account_id == account_id, Row.generation == generation)
    )
    return await session.scalar(query) or 0


def _counts() -> sa.ColumnElement[bool]:
    """Whether it does, in the generation that it is of."""
    of_device = Row.device_id == _devices.c.id, Row.mac == _devices.c.mac, Row.opening == _devices.c.opening
    return sa.and_(*of_device)


async def unbind(session: AsyncSession, *device_ids: str) -> None:
    """Each is served at its own URL as before, and at the shared one again."""
    await _delete(session, Row.device_id.in_(device_ids))


async def end(session: AsyncSession, account_id: str) -> None:
    """No phone of the account is bound any more."""
    owned = sa.select(_devices.c.id).where(_devices.c.account_id == account_id)
    await _delete(session, Row.device_id.in_(owned))


async def _delete(session: AsyncSession, of_these: sa.ColumnElement[bool]) -> None:
    """In the order in which a fleet is bound, so that neither waits in a circle for the other's rows."""
    locked = sa.select(Row.device_id).where(of_these).order_by(Row.device_id).with_for_update()
    await session.execute(locked)
    await session.execute(sa.delete(Row).where(of_these))


async def put(session: AsyncSession, *phones: Asking) -> None:
    """Binds the phones that asked with the keys of these generations and openings. The first time stays, and
    what was overtaken changes nothing."""
    found = (
        sa.select(
            _devices.c.id,
            sa.bindparam("with_mac", type_=Row.mac.type),
            sa.bindparam("in_generation", type_=Row.generation.type),
            sa.bindparam("at_opening", type_=Row.opening.type),
            sa.bindparam("at", type_=Row.bound_at.type),
        )
        .where(_devices.c.id == sa.bindparam("device"))
        # One that is deleted meanwhile is not found then, and no reason to refuse all.
        .with_for_update(read=True, key_share=True)
    )
    held = "mac", "generation", "opening", "bound_at"
    putting = insert(session, Row).from_select(["device_id", *held], found)
    new = putting.excluded
    statement = putting.on_conflict_do_update(
        index_elements=[Row.device_id],
        set_={name: new[name] for name in held},
        where=sa.or_(
            new.mac != Row.mac,
            sa.tuple_(new.generation, new.opening) > sa.tuple_(Row.generation, Row.opening),
        ),
    )
    names, at = ("device", "with_mac", "in_generation", "at_opening"), now()
    connection = await session.connection()
    await connection.execute(statement, [dict(zip(names, each, strict=True), at=at) for each in phones])
