"""Extensions: the internal numbers of an account, and the credentials with which phones register them."""

import hashlib
import secrets
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import db, numbers
from provisioning.db import Base, new_id, now
from provisioning.errors import NotFound, invalid
from provisioning.fields import Input, PhoneNumberId, SipPassword, SipUsername, Text
from provisioning.phones.options import EMERGENCY_NUMBERS
from provisioning.sealed import Sealed
from provisioning.vault import Vault


class ExtensionBase(Input):
    """`sip_username` None is the number; `sip_password` None keeps what is stored, or makes one."""

    number: Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]
    display_name: Text
    sip_username: SipUsername | None = None
    sip_password: SipPassword | None = Field(default=None, repr=False)
    voicemail_enabled: bool = True


class ExtensionForm(ExtensionBase):
    outbound_number_id: PhoneNumberId | None = None


class Row(Base):
    __tablename__ = "extensions"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "number"),
        sa.UniqueConstraint("account_id", "sip_username"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    number: Mapped[str]
    display_name: Mapped[str]
    sip_username: Mapped[str]
    sip_password: Mapped[bytes] = mapped_column(Sealed("account_id", "id"))
    outbound_number_id: Mapped[str | None] = mapped_column(sa.ForeignKey("phone_numbers.id"), index=True)
    voicemail_enabled: Mapped[bool]
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Extension:
    id: str
    number: str
    display_name: str
    sip_username: str
    outbound_number_id: str | None
    voicemail_enabled: bool


async def add(
    session: AsyncSession, vault: Vault, account_id: str, form: ExtensionForm, *, length: int
) -> Extension:
    """A new extension; its number has exactly `length` digits, the account's extension length."""
    _check_number(form.number, length)
    row = Row(id=new_id("ext"), account_id=account_id, created_at=now())
    row.sip_password = _seal(vault, row, _make_password())
    return await _write(session, vault, row, form)


async def update(
    session: AsyncSession,
    vault: Vault,
    account_id: str,
    extension_id: str,
    form: ExtensionForm,
    *,
    length: int,
) -> Extension:
    """A number that stays may be of an older length."""
    row = await _row(session, account_id, extension_id)
    if form.number != row.number:
        _check_number(form.number, length)
    return await _write(session, vault, row, form)


async def get(session: AsyncSession, account_id: str, extension_id: str) -> Extension:
    return _extension(await _row(session, account_id, extension_id))


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Extension], str | None]:
    query = sa.select(Row).where(Row.account_id == account_id)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return [_extension(row) for row in rows], following


async def delete(session: AsyncSession, account_id: str, extension_id: str) -> None:
    """Raises `Conflict` while a device has it as a line."""
    await session.delete(await _row(session, account_id, extension_id))
    await db.flush_or_conflict(session, "a device has this extension as a line")


async def find(session: AsyncSession, account_id: str, number: str) -> Extension | None:
    row = await session.scalar(sa.select(Row).where(Row.account_id == account_id, Row.number == number))
    return _extension(row) if row else None


async def find_registered(session: AsyncSession, account_id: str, sip_username: str) -> Extension | None:
    """The extension whose phone registers with this name."""
    named = sa.select(Row).where(Row.account_id == account_id, Row.sip_username == sip_username)
    row = await session.scalar(named)
    return _extension(row) if row else None


async def list_numbers(session: AsyncSession, account_id: str) -> list[str]:
    found = await session.scalars(
        sa.select(Row.number).where(Row.account_id == account_id).order_by(Row.number)
    )
    return list(found)


async def of(session: AsyncSession, account_id: str, ids: Iterable[str]) -> Mapping[str, Extension]:
    """Those of `ids` that are extensions of the account, by their id."""
    rows = await session.scalars(sa.select(Row).where(Row.account_id == account_id, Row.id.in_(set(ids))))
    return {row.id: _extension(row) for row in rows}


async def ids_of(session: AsyncSession, account_id: str, numbers: Iterable[str]) -> Mapping[str, str]:
    """The ids of those of `numbers` that are extensions of the account, by number."""
    query = sa.select(Row.number, Row.id).where(Row.account_id == account_id, Row.number.in_(set(numbers)))
    return {number: extension_id for number, extension_id in await session.execute(query)}  # noqa: C416


async def known(session: AsyncSession, account_id: str, ids: Sequence[str]) -> frozenset[str]:
    """Those of `ids` that are extensions of the account."""
    found = await session.scalars(sa.select(Row.id).where(Row.account_id == account_id, Row.id.in_(ids)))
    return frozenset(found)


async def with_passwords(
    session: AsyncSession, vault: Vault, account_id: str, ids: Sequence[str]
) -> list[tuple[Extension, str]]:
    """The extensions of these ids, in their order, each with its SIP password."""
    found = await session.scalars(sa.select(Row).where(Row.account_id == account_id, Row.id.in_(ids)))
    rows = {row.id: row for row in found}
    return [(_extension(rows[i]), open_password(vault, account_id, i, rows[i].sip_password)) for i in ids]


def open_password(vault: Vault, account_id: str, extension_id: str, sealed: bytes) -> str:
    return vault.open(sealed, *_where(account_id, extension_id))


def ha1(sip_username: str, realm: str, password: str) -> str:
    """The digest that a registrar checks a phone's answers with (RFC 7616), good in this realm alone."""
    # MD5 is what SIP phones know; whoever holds it needs no password, so it is as secret as one.
    text = f"{sip_username}:{realm}:{password}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def _write(session: AsyncSession, vault: Vault, row: Row, form: ExtensionForm) -> Extension:
    username = form.sip_username or form.number
    same = sa.or_(Row.number == form.number, Row.sip_username == username)
    clash = await session.scalar(
        sa.select(Row).where(Row.account_id == row.account_id, Row.id != row.id, same).limit(1)
    )
    if clash and clash.number == form.number:
        raise invalid("number", "another extension has this number")
    if clash:
        raise invalid("sip_username", f"extension {clash.number} has this SIP user name")
    await numbers.expect(session, row.account_id, form.outbound_number_id, field="outbound_number_id")
    row.number = form.number
    row.display_name, row.voicemail_enabled = form.display_name, form.voicemail_enabled
    row.sip_username, row.outbound_number_id = username, form.outbound_number_id
    if form.sip_password:
        row.sip_password = _seal(vault, row, form.sip_password)
    session.add(row)
    await session.flush()
    return _extension(row)


async def _row(session: AsyncSession, account_id: str, extension_id: str) -> Row:
    row = await session.get(Row, extension_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such extension")
    return row


def _check_number(number: str, length: int) -> None:
    if len(number) != length:
        raise invalid("number", f"must have {length} digits, the account's extension length")
    for emergency in EMERGENCY_NUMBERS:
        # Phones send these at once, so that nothing longer that begins like them can be dialled.
        if number.startswith(emergency):
            raise invalid("number", f"must not begin with the emergency number {emergency}")


def _make_password() -> str:
    """24 letters and digits, 142 bit."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(24))


def _seal(vault: Vault, row: Row, password: str) -> bytes:
    return vault.seal(password, *_where(row.account_id, row.id))


def _where(account_id: str, extension_id: str) -> tuple[str, ...]:
    return "extensions", "sip_password", account_id, extension_id


def _extension(row: Row) -> Extension:
    return Extension(
        row.id, row.number, row.display_name, row.sip_username, row.outbound_number_id, row.voicemail_enabled
    )
