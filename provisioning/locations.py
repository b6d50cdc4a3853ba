"""Locations: the account's physical sites, each with the address that a 911 call from there needs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import db
from provisioning.db import Base, assign, new_id, now, values
from provisioning.errors import NotFound, invalid
from provisioning.fields import Address, DialString, Email, Input, Text, Zone


class LocationForm(Input):
    """`timezone` None is the account's."""

    name: Text
    address: Address | None = None
    callback_number: DialString | None = None
    emergency_recipients: Annotated[list[Email], Field(max_length=50, default_factory=list)]
    timezone: Zone | None = None


class Row(Base):
    __tablename__ = "locations"
    __table_args__ = (sa.UniqueConstraint("account_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    address: Mapped[dict[str, Any] | None]
    callback_number: Mapped[str | None]
    emergency_recipients: Mapped[list[Any]]
    timezone: Mapped[str | None]
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Location:
    id: str
    form: LocationForm


async def add(session: AsyncSession, account_id: str, form: LocationForm) -> Location:
    row = Row(id=new_id("loc"), account_id=account_id, created_at=now())
    return await _write(session, row, form)


async def update(session: AsyncSession, account_id: str, location_id: str, form: LocationForm) -> Location:
    return await _write(session, await _row(session, account_id, location_id), form)


async def get(session: AsyncSession, account_id: str, location_id: str) -> Location:
    return _location(await _row(session, account_id, location_id))


async def find(session: AsyncSession, account_id: str, name: str) -> Location | None:
    row = await session.scalar(sa.select(Row).where(Row.account_id == account_id, Row.name == name))
    return _location(row) if row else None


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Location], str | None]:
    query = sa.select(Row).where(Row.account_id == account_id)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return [_location(row) for row in rows], following


async def delete(session: AsyncSession, account_id: str, location_id: str) -> None:
    """Raises `Conflict` while a device is there."""
    await session.delete(await _row(session, account_id, location_id))
    await db.flush_or_conflict(session, "a device is at this location")


async def _write(session: AsyncSession, row: Row, form: LocationForm) -> Location:
    namesake = await find(session, row.account_id, form.name)
    if namesake and namesake.id != row.id:
        raise invalid("name", "another location has this name")
    assign(row, form)
    session.add(row)
    await session.flush()
    return _location(row)


async def _row(session: AsyncSession, account_id: str, location_id: str) -> Row:
    row = await session.get(Row, location_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such location")
    return row


def _location(row: Row) -> Location:
    return Location(row.id, values(row, LocationForm))
