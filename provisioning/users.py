"""Users: the people of an account, and the passwords with which they log in."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Literal

import pydantic
import sqlalchemy as sa
from passlib.context import CryptContext
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import db
from provisioning.db import Base, new_id, now
from provisioning.errors import Conflict, Invalid, NotFound, invalid
from provisioning.fields import Email, Input, Text

SHORTEST = 10  # characters of a password
Role = Literal["admin", "technician", "viewer"]
Password = Annotated[
    str, Field(min_length=SHORTEST, max_length=200, repr=False, json_schema_extra={"writeOnly": True})
]

_passwords = CryptContext(schemes=["argon2"])  # argon2id, 64 MiB and tens of milliseconds for each
# Threads of their own, and few: a flood of logins takes neither the memory nor everybody else's threads.
_threads = ThreadPoolExecutor(2, "passwords")
_LONGEST: Final = 4096  # bytes of a password, beyond which passlib refuses to look at it
_email: Final = pydantic.TypeAdapter[str](Email)


def _absent() -> Any:
    """The default of a field that may be left out but not be null."""
    return None


class UserForm(Input):
    email: Email
    name: Text
    role: Role
    password: Password


class UserPatch(Input):
    """What is left out stays as it is."""

    email: Email = Field(default_factory=_absent)
    name: Text = Field(default_factory=_absent)
    role: Role = Field(default_factory=_absent)
    password: Password = Field(default_factory=_absent)


class Row(Base):
    """`email` is in lower case. A session is good for the `epoch` in which its user logged in."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str]
    epoch: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class User:
    id: str
    account_id: str
    email: str
    name: str
    role: str
    epoch: int
    created_at: datetime


async def create(
    session: AsyncSession, account_id: str, form: UserForm, *, password_hash: str | None = None
) -> User:
    """A new user. Raises `Invalid` when somebody on this server, of any account, has the email.

    `password_hash` is what `hash_password` made of the form's password before the transaction began.
    """
    password_hash = password_hash or await hash_password(form.password)
    email = form.email.lower()
    await _claim(session, email, None)
    row = Row(id=new_id("usr"), account_id=account_id, email=email, name=form.name, role=form.role)
    row.password_hash, row.epoch, row.created_at = password_hash, 1, now()
    session.add(row)
    await _flush(session)
    return value(row)


async def add(
    session: AsyncSession, account_id: str, *, email: str, name: str, role: Role, password: str
) -> User:
    """`create` for an operator, whose password may be of any length. Raises `Conflict` for a taken email."""
    form = UserForm.model_construct(email=email, name=name, role=role, password=password)
    try:
        return await create(session, account_id, form)
    except Invalid:
        raise Conflict("a user with this email exists") from None


async def update(
    session: AsyncSession,
    account_id: str,
    user_id: str,
    patch: UserPatch,
    *,
    password_hash: str | None = None,
) -> User:
    """Changes what `patch` names; another password or role ends the user's sessions.

    Raises `NotFound`, `Invalid` for a taken email, `Conflict` when the last admin would lose the role.
    `password_hash` as with `create`.
    """
    changes = patch.model_dump(exclude_unset=True)
    if password := changes.pop("password", None):
        changes["password_hash"] = password_hash or await hash_password(password)
    if "email" in changes:
        changes["email"] = changes["email"].lower()
        await _claim(session, changes["email"], user_id)
    if changes.get("role", "admin") != "admin":
        await _keep_an_admin(session, account_id, user_id)
    row = await _row(session, account_id, user_id, lock=True)
    if "password_hash" in changes or changes.get("role", row.role) != row.role:
        row.epoch += 1
    for name, new in changes.items():
        setattr(row, name, new)
    await _flush(session)
    return value(row)


async def set_password(session: AsyncSession, account_id: str, email: str, password: str) -> bool:
    """Ends the user's sessions. False when the account has no such user."""
    password_hash = await hash_password(password)
    query = sa.select(Row).where(Row.account_id == account_id, Row.email == email.lower())
    row = await session.scalar(query.with_for_update())
    if row is not None:
        row.password_hash = password_hash
        row.epoch += 1
        await session.flush()
    return row is not None


async def get(session: AsyncSession, account_id: str, user_id: str) -> User:
    return value(await _row(session, account_id, user_id))


async def find(session: AsyncSession, email: str) -> User | None:
    """The user with this email, whatever its case, on any account."""
    row = await _by_email(session, email)
    return value(row) if row else None


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[User], str | None]:
    query = sa.select(Row).where(Row.account_id == account_id)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return [value(row) for row in rows], following


async def all_of(session: AsyncSession, account_id: str) -> list[User]:
    """Oldest first."""
    rows = await session.scalars(sa.select(Row).where(Row.account_id == account_id).order_by(Row.id))
    return [value(row) for row in rows]


async def delete(session: AsyncSession, account_id: str, user_id: str) -> None:
    """Their sessions go with them. Raises `NotFound`, or `Conflict` for the account's last admin."""
    await _keep_an_admin(session, account_id, user_id)
    await session.delete(await _row(session, account_id, user_id, lock=True))
    await session.flush()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a password is held against; both are None for an email that nobody has."""

    user: User | None
    password_hash: str | None = field(repr=False)


async def credentials(session: AsyncSession, email: str) -> Credentials:
    """The first step of a login; `verify` is the second, for which no session should be kept waiting."""
    row = await _by_email(session, email)
    return Credentials(value(row), row.password_hash) if row else Credentials(None, None)


async def verify(credentials: Credentials, password: str) -> User | None:
    """The user whose password this is. It takes as long for nobody as for a wrong password."""
    right = await _in_thread(_verify, password, credentials.password_hash)
    return credentials.user if right else None


async def hash_password(password: str) -> str:
    """argon2id takes tens of milliseconds: in a thread, or every phone would wait for it."""
    hashed: str = await _in_thread(_passwords.hash, password)
    return hashed


def make_password() -> str:
    """16 characters, 96 bit."""
    return secrets.token_urlsafe(12)


def value(row: Row) -> User:
    return User(row.id, row.account_id, row.email, row.name, row.role, row.epoch, row.created_at)


async def _in_thread(work: Any, *arguments: object) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)


def _verify(password: str, password_hash: str | None) -> bool:
    # Made by the first login, whoever's it is: the time that it takes tells nothing of the email.
    nobodys = _nobodys_hash()
    secret = password.encode("utf-8", "surrogatepass")
    right: bool = _passwords.verify(secret[:_LONGEST], password_hash or nobodys)
    return right and password_hash is not None and len(secret) <= _LONGEST


@cache
def _nobodys_hash() -> str:
    text: str = _passwords.hash(secrets.token_urlsafe(32))
    return text


async def _by_email(session: AsyncSession, email: str) -> Row | None:
    try:
        email = _email.validate_python(email).lower()
    except pydantic.ValidationError:
        return None  # NUL and lone surrogates among others, which the databases cannot be asked for
    return await session.scalar(sa.select(Row).where(Row.email == email))


async def _claim(session: AsyncSession, email: str, user_id: str | None) -> None:
    holder = await session.scalar(sa.select(Row.id).where(Row.email == email))
    if holder not in {None, user_id}:
        raise _taken()


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except sa.exc.IntegrityError as error:
        # Another transaction was faster; the two databases name the constraint or the column.
        if "email" in str(error.orig):
            raise _taken() from None
        raise


def _taken() -> Invalid:
    return invalid("email", "another user has this email")


async def _keep_an_admin(session: AsyncSession, account_id: str, user_id: str) -> None:
    # Locked, so that two admins who remove each other at once do so one after the other.
    admins = sa.select(Row.id).where(Row.account_id == account_id, Row.role == "admin").order_by(Row.id)
    if list(await session.scalars(admins.with_for_update())) == [user_id]:
        raise Conflict("an account keeps at least one admin")


async def _row(session: AsyncSession, account_id: str, user_id: str, *, lock: bool = False) -> Row:
    row = await session.get(Row, user_id, with_for_update=lock, populate_existing=lock)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such user")
    return row
