"""API keys: how programs authenticate; the key is shown once and kept as a digest."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import db
from provisioning.db import Base, new_id, now
from provisioning.errors import NotFound
from provisioning.fields import Input, Text
from provisioning.vault import Vault

Role = Literal["admin", "technician", "viewer", "switch"]

TOUCH: Final = timedelta(minutes=1)  # so that not every request of a script is a write
_KEY: Final = re.compile(r"ppk_[A-Za-z0-9_-]{43}")


class ApiKeyForm(Input):
    name: Text
    role: Role


class Row(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    role: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`last_used_at` is true to a minute, None before the first use."""

    id: str
    account_id: str
    name: str
    role: str
    created_at: datetime
    last_used_at: datetime | None

    def touch_due(self, at: datetime) -> bool:
        return self.last_used_at is None or self.last_used_at <= at - TOUCH


async def create(
    session: AsyncSession, vault: Vault, account_id: str, form: ApiKeyForm
) -> tuple[ApiKey, str]:
    """A new key and its text, `ppk_` and 43 characters, 256 bit, which cannot be had again."""
    text = f"ppk_{secrets.token_urlsafe(32)}"
    row = Row(id=new_id("ak"), account_id=account_id, name=form.name, role=form.role)
    row.digest, row.created_at, row.last_used_at = vault.digest(text), now(), None
    session.add(row)
    await session.flush()
    return _api_key(row), text


async def add(session: AsyncSession, vault: Vault, account_id: str, *, name: str, role: Role) -> str:
    """The text of a new key."""
    return (await create(session, vault, account_id, ApiKeyForm(name=name, role=role)))[1]


async def get(session: AsyncSession, account_id: str, key_id: str) -> ApiKey:
    return _api_key(await _row(session, account_id, key_id))


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[ApiKey], str | None]:
    query = sa.select(Row).where(Row.account_id == account_id)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return [_api_key(row) for row in rows], following


async def all_of(session: AsyncSession, account_id: str) -> list[ApiKey]:
    """Oldest first."""
    rows = await session.scalars(sa.select(Row).where(Row.account_id == account_id).order_by(Row.id))
    return [_api_key(row) for row in rows]


async def delete(session: AsyncSession, account_id: str, key_id: str) -> None:
    """From the commit on nobody calls with it."""
    await session.delete(await _row(session, account_id, key_id))
    await session.flush()


async def find(session: AsyncSession, vault: Vault, text: str) -> ApiKey | None:
    """The key whose text this is, on any account."""
    if not _KEY.fullmatch(text):
        return None
    row = await session.scalar(sa.select(Row).where(Row.digest == vault.digest(text)))
    return _api_key(row) if row else None


async def touch(session: AsyncSession, key_id: str, *, at: datetime | None = None) -> None:
    """Notes that the key is used."""
    at = at or now()
    earlier = sa.or_(Row.last_used_at.is_(None), Row.last_used_at < at)
    await session.execute(sa.update(Row).where(Row.id == key_id, earlier).values(last_used_at=at))


async def _row(session: AsyncSession, account_id: str, key_id: str) -> Row:
    row = await session.get(Row, key_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such API key")
    return row


def _api_key(row: Row) -> ApiKey:
    return ApiKey(row.id, row.account_id, row.name, row.role, row.created_at, row.last_used_at)
