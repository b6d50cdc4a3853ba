"""Accounts: who they are, how their telephony behaves, and the settings that all their phones share."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import clips, numbers
from provisioning.db import Base, assign, new_id, now, values
from provisioning.errors import NotFound
from provisioning.fields import (
    Address,
    AdminPassword,
    AudioClipId,
    Email,
    Input,
    PhoneNumberId,
    Text,
    Zone,
)
from provisioning.phones.options import Options
from provisioning.sealed import Sealed
from provisioning.vault import Vault

FaxLimit = Annotated[int, Field(ge=0, le=1_000_000, description="faxes in any 3,600 s; null = no limit")]


class General(Input):
    name: Text
    email: Email
    timezone: Zone = "America/New_York"
    billing_address: Address | None = None


class CallSettings(Input):
    """What of the telephony refers to nothing else of the account."""

    extension_length: Annotated[int, Field(ge=3, le=6)] = 4
    transcription_enabled: bool = True
    recording_enabled: bool = True
    parking_timeout_minutes: Annotated[int, Field(ge=1, le=60)] = 5
    inbound_fax_limit: FaxLimit | None = None
    outbound_fax_limit: FaxLimit | None = None


class Telephony(CallSettings):
    default_outbound_number_id: PhoneNumberId | None = None
    hold_music_clip_id: AudioClipId | None = None


class EmergencyRecipients(Input):
    emails: Annotated[list[Email], Field(max_length=50, default_factory=list)]


class Row(Base):
    __tablename__ = "accounts"
    __table_args__ = (
        sa.CheckConstraint("extension_length BETWEEN 3 AND 6", name="extension_length"),
        sa.CheckConstraint("parking_timeout_minutes BETWEEN 1 AND 60", name="parking_timeout_minutes"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(index=True)
    timezone: Mapped[str]
    billing_address: Mapped[dict[str, Any] | None]
    extension_length: Mapped[int]
    # Numbers and clips are the account's, and it refers to one of them: the cycle is cut here.
    default_outbound_number_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("phone_numbers.id", use_alter=True), index=True
    )
    hold_music_clip_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey("audio_clips.id", use_alter=True), index=True
    )
    transcription_enabled: Mapped[bool]
    recording_enabled: Mapped[bool]
    parking_timeout_minutes: Mapped[int]
    inbound_fax_limit: Mapped[int | None]
    outbound_fax_limit: Mapped[int | None]
    options: Mapped[dict[str, Any]]
    bind_phones: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    emergency_recipients: Mapped[list[Any]]
    admin_password: Mapped[bytes] = mapped_column(Sealed("id"))
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Account:
    """`bind_phones` is whether each phone is served at a URL of its own alone, once it knows it."""

    id: str
    general: General
    telephony: Telephony
    options: Options
    emergency_recipients: EmergencyRecipients
    bind_phones: bool


async def add(session: AsyncSession, vault: Vault, general: General) -> Account:
    """A new account with default settings and an admin password of its own."""
    row = Row(id=new_id("acc"), options={}, emergency_recipients=[], created_at=now())
    assign(row, general)
    assign(row, Telephony())
    row.admin_password = _seal(vault, row.id, make_admin_password())
    session.add(row)
    await session.flush()
    return _account(row)


async def get(session: AsyncSession, account_id: str) -> Account:
    return _account(await _row(session, account_id))


async def find(session: AsyncSession, email: str) -> Account | None:
    """The oldest account with this email, whatever its case."""
    row = await session.scalar(
        sa.select(Row).where(sa.func.lower(Row.email) == email.lower()).order_by(Row.id).limit(1)
    )
    return _account(row) if row else None


async def all_ids(session: AsyncSession) -> list[str]:
    """Oldest first."""
    return list(await session.scalars(sa.select(Row.id).order_by(Row.id)))


async def set_general(session: AsyncSession, account_id: str, general: General) -> None:
    assign(await _locked(session, account_id), general)


async def check_telephony(session: AsyncSession, account_id: str, telephony: Telephony) -> None:
    """Raises `Invalid` for a number or a clip that the account does not have."""
    await numbers.expect(
        session, account_id, telephony.default_outbound_number_id, field="default_outbound_number_id"
    )
    await clips.expect(session, account_id, telephony.hold_music_clip_id, field="hold_music_clip_id")


async def set_telephony(session: AsyncSession, account_id: str, telephony: Telephony) -> None:
    """Raises `Invalid` as `check_telephony` does."""
    await check_telephony(session, account_id, telephony)
    assign(await _locked(session, account_id), telephony)


async def set_options(session: AsyncSession, account_id: str, options: Options) -> None:
    (await _locked(session, account_id)).options = options.model_dump(mode="json", exclude_none=True)


async def set_bind_phones(session: AsyncSession, account_id: str, bind_phones: bool) -> None:
    (await _locked(session, account_id)).bind_phones = bind_phones


async def set_emergency_recipients(
    session: AsyncSession, account_id: str, recipients: EmergencyRecipients
) -> None:
    (await _row(session, account_id)).emergency_recipients = list(recipients.emails)


async def admin_password(session: AsyncSession, vault: Vault, account_id: str) -> str:
    """The password for the menus and web pages of the account's phones."""
    row = await _row(session, account_id)
    return vault.open(row.admin_password, "accounts", "admin_password", row.id)


async def set_admin_password(
    session: AsyncSession, vault: Vault, account_id: str, password: AdminPassword
) -> None:
    row = await _locked(session, account_id)
    row.admin_password = _seal(vault, row.id, password)


def make_admin_password() -> str:
    """12 random digits: it is typed on a phone's keypad."""
    return f"{secrets.randbelow(10**12):012}"


async def lock(session: AsyncSession, account_id: str) -> None:
    """Changes of one account follow each other: what one reads, no other changes before it commits."""
    await session.execute(sa.select(Row.id).where(Row.id == account_id).with_for_update())


async def _locked(session: AsyncSession, account_id: str) -> Row:
    """As it is now that nobody else can change it, until the transaction ends."""
    await lock(session, account_id)
    return await _row(session, account_id, fresh=True)


async def _row(session: AsyncSession, account_id: str, *, fresh: bool = False) -> Row:
    """As this transaction knows it; `fresh` as it is now that nobody else can change it."""
    row = await session.get(Row, account_id, populate_existing=fresh)
    if row is None:
        raise NotFound("there is no such account")
    return row


def _seal(vault: Vault, account_id: str, password: str) -> bytes:
    return vault.seal(password, "accounts", "admin_password", account_id)


def _account(row: Row) -> Account:
    return Account(
        row.id,
        values(row, General),
        values(row, Telephony),
        Options.model_validate(row.options),
        EmergencyRecipients(emails=row.emergency_recipients),
        row.bind_phones,
    )
