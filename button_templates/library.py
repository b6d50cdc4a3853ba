"""The button templates of an account, and the starters that come with the server."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from button_templates.layout import Button, Buttons, restored, stored
from provisioning import db
from provisioning.db import Base, new_id, now
from provisioning.errors import NotFound, invalid
from provisioning.fields import Input, Text, check, one_line


class TemplateForm(Input):
    name: Text
    description: Annotated[str, Field(max_length=200), AfterValidator(one_line)] = ""
    buttons: Buttons = ()


class Row(Base):
    __tablename__ = "button_templates"
    __table_args__ = (sa.UniqueConstraint("account_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str]
    buttons: Mapped[list[Any]]
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Template:
    id: str
    name: str
    description: str
    buttons: tuple[Button, ...]


async def add(session: AsyncSession, account_id: str, form: TemplateForm) -> Template:
    row = Row(id=new_id("btn"), account_id=account_id, created_at=now())
    return await _write(session, row, form)


async def update(session: AsyncSession, account_id: str, template_id: str, form: TemplateForm) -> Template:
    return await _write(session, await _row(session, account_id, template_id), form)


async def get(session: AsyncSession, account_id: str, template_id: str) -> Template:
    return _template(await _row(session, account_id, template_id))


async def find(session: AsyncSession, account_id: str, name: str) -> Template | None:
    row = await session.scalar(sa.select(Row).where(Row.account_id == account_id, Row.name == name))
    return _template(row) if row else None


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Template], str | None]:
    query = sa.select(Row).where(Row.account_id == account_id)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return [_template(row) for row in rows], following


async def delete(session: AsyncSession, account_id: str, template_id: str) -> None:
    """Raises `Conflict` while a device is bound to it."""
    await session.delete(await _row(session, account_id, template_id))
    await db.flush_or_conflict(session, "a device uses this button template")


@cache
def starters() -> Mapping[str, TemplateForm]:
    """Ready layouts by the name of their file, to begin a template of one's own with."""
    folder = resources.files("button_templates") / "starters"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): check(TemplateForm, tomllib.loads(file.read_text("utf-8")))
        for file in files
    }


async def check_name(session: AsyncSession, account_id: str, template_id: str, name: str) -> None:
    """Raises `Invalid` when another template of the account has this name."""
    namesake = await find(session, account_id, name)
    if namesake and namesake.id != template_id:
        raise invalid("name", "another button template has this name")


async def _write(session: AsyncSession, row: Row, form: TemplateForm) -> Template:
    await check_name(session, row.account_id, row.id, form.name)
    row.name, row.description = form.name, form.description
    row.buttons = stored(form.buttons)
    session.add(row)
    await session.flush()
    return _template(row)


async def _row(session: AsyncSession, account_id: str, template_id: str) -> Row:
    row = await session.get(Row, template_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such button template")
    return row


def _template(row: Row) -> Template:
    return Template(row.id, row.name, row.description, restored(row.buttons))
