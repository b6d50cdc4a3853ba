"""Phone numbers: what the public dials to reach the account, and what it shows when it calls out."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import phonenumbers
import sqlalchemy as sa
from phonenumbers import ValidationResult
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import db
from provisioning.db import Base, assign, new_id, now, values
from provisioning.errors import NotFound, invalid, missing
from provisioning.fields import Email, Input, one_line


def e164(text: str) -> str:
    """A number in international form as people write it, `+1 (212) 555-0100`, as `+12125550100`."""
    if not re.fullmatch(r"\+[0-9 ()./-]+", text):
        raise ValueError("must be + and the country code, then digits, such as +12125550100")
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise ValueError("must begin with + and the code of a country, such as +1") from None
    # Possible is enough: the length is right for the country. Which ranges are in use changes faster than
    # servers are upgraded, and whoever owns a number of a new range could not enter it at all.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise ValueError("has too few or too many digits for its country")
    made = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if len(made) > 16:
        raise ValueError("must have 15 digits at most")
    return made


E164 = Annotated[
    str, Field(max_length=40, examples=["+12125550100", "+1 (212) 555-0100"]), AfterValidator(e164)
]


class NumberForm(Input):
    """`fax_recipients` are told of each fax that comes in on the number."""

    number: E164
    label: Annotated[str, Field(max_length=100), AfterValidator(one_line)] = ""
    fax_enabled: bool = False
    fax_recipients: Annotated[list[Email], Field(max_length=50, default_factory=list)]


class Row(Base):
    __tablename__ = "phone_numbers"
    __table_args__ = (sa.UniqueConstraint("account_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    number: Mapped[str]
    label: Mapped[str]
    fax_enabled: Mapped[bool]
    fax_recipients: Mapped[list[Any]]
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    id: str
    form: NumberForm


async def add(session: AsyncSession, account_id: str, form: NumberForm) -> PhoneNumber:
    row = Row(id=new_id("num"), account_id=account_id, created_at=now())
    return await _write(session, row, form)


async def update(session: AsyncSession, account_id: str, number_id: str, form: NumberForm) -> PhoneNumber:
    return await _write(session, await _row(session, account_id, number_id), form)


async def get(session: AsyncSession, account_id: str, number_id: str) -> PhoneNumber:
    return _number(await _row(session, account_id, number_id))


async def find(session: AsyncSession, account_id: str, number: str) -> PhoneNumber | None:
    """`number` in E.164."""
    row = await session.scalar(sa.select(Row).where(Row.account_id == account_id, Row.number == number))
    return _number(row) if row else None


async def expect(session: AsyncSession, account_id: str, number_id: str | None, *, field: str) -> None:
    """Raises `Invalid` for that field unless the id is None or that of a number of the account."""
    if number_id is not None:
        with missing(field):
            await _row(session, account_id, number_id)


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[PhoneNumber], str | None]:
    query = sa.select(Row).where(Row.account_id == account_id)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return [_number(row) for row in rows], following


async def delete(session: AsyncSession, account_id: str, number_id: str) -> None:
    """Raises `Conflict` while the account, an extension or a device calls out with it."""
    await session.delete(await _row(session, account_id, number_id))
    await db.flush_or_conflict(session, "the account, an extension or a device calls out with this number")


async def _write(session: AsyncSession, row: Row, form: NumberForm) -> PhoneNumber:
    same = await find(session, row.account_id, form.number)
    if same and same.id != row.id:
        raise invalid("number", "the account has this number already")
    assign(row, form)
    session.add(row)
    await session.flush()
    return _number(row)


async def _row(session: AsyncSession, account_id: str, number_id: str) -> Row:
    row = await session.get(Row, number_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such phone number")
    return row


def _number(row: Row) -> PhoneNumber:
    return PhoneNumber(row.id, values(row, NumberForm))
