"""Users: the people of an account, and the passwords with which they log in."""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from passlib.context import CryptContext
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, new_id, now
from provisioning.errors import Conflict

Role = Literal["admin", "technician", "viewer"]

_passwords = CryptContext(schemes=["argon2"])


class Row(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class User:
    id: str
    account_id: str
    email: str
    role: str


async def add(
    session: AsyncSession, account_id: str, *, email: str, name: str, role: Role, password: str
) -> User:
    """A new user; emails are compared without case and are one person's on the whole server."""
    email = email.lower()
    if await session.scalar(sa.select(Row.id).where(Row.email == email)):
        raise Conflict("a user with this email exists")
    row = Row(id=new_id("usr"), account_id=account_id, email=email, name=name, role=role, created_at=now())
    row.password_hash = await hash_password(password)
    session.add(row)
    await session.flush()
    return User(row.id, account_id, email, role)


async def set_password(session: AsyncSession, account_id: str, email: str, password: str) -> bool:
    """False when the account has no such user."""
    row = await session.scalar(sa.select(Row).where(Row.account_id == account_id, Row.email == email.lower()))
    if row is not None:
        row.password_hash = await hash_password(password)
        await session.flush()
    return row is not None


async def hash_password(password: str) -> str:
    """argon2id takes tens of milliseconds: in a thread, or every phone would wait for it."""
    return await asyncio.to_thread(_passwords.hash, password)


def make_password() -> str:
    """16 characters, 96 bit."""
    return secrets.token_urlsafe(12)
