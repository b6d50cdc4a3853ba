"""Devices: the phones of an account, and all that one of them is to know when it boots."""

import difflib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final

import sqlalchemy as sa
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from button_templates import library
from button_templates.layout import Button, Buttons, restored, stored
from provisioning import bindings, db, extensions, locations, numbers
from provisioning.db import Base, new_id, now
from provisioning.errors import FieldError, Invalid, NotFound, collected, invalid, missing
from provisioning.fields import Input, Mac, PhoneNumberId, Text, one_line
from provisioning.phones.options import Options, resolve
from provisioning.phones.vendor import Vendor

Vendors = Mapping[str, Vendor]
MASK: Final = "********"
_SLICE: Final = 50  # devices


class DeviceForm(Input):
    """`vendor` None is told from the MAC. `expansion` names the type of the modules where a model takes
    several; `lines` are ids of extensions in order; an override replaces the template's button."""

    mac: Mac
    vendor: Text | None = None
    model: Text
    expansion: Text | None = None
    name: Annotated[str, Field(max_length=100), AfterValidator(one_line)] = ""
    location_id: Text | None = None
    lines: Annotated[list[Text], Field(default_factory=list)]
    button_template_id: Text | None = None
    button_overrides: Buttons = ()
    outbound_number_id: PhoneNumberId | None = None
    options: Annotated[Options, Field(default_factory=Options)]


class Row(Base):
    __tablename__ = "devices"
    __table_args__ = (sa.UniqueConstraint("account_id", "mac"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    mac: Mapped[str]
    vendor: Mapped[str]
    model: Mapped[str]
    expansion: Mapped[str | None]
    name: Mapped[str]
    location_id: Mapped[str | None] = mapped_column(sa.ForeignKey("locations.id"), index=True)
    button_template_id: Mapped[str | None] = mapped_column(sa.ForeignKey("button_templates.id"), index=True)
    button_overrides: Mapped[list[Any]]
    outbound_number_id: Mapped[str | None] = mapped_column(sa.ForeignKey("phone_numbers.id"), index=True)
    options: Mapped[dict[str, Any]]
    # How often it was opened again for a phone that lost its key: see `bindings`.
    opening: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    created_at: Mapped[datetime]


class LineRow(Base):
    """A line of a device; `index` from 1 is the phone's account or registration number."""

    __tablename__ = "device_lines"

    device_id: Mapped[str] = mapped_column(sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    extension_id: Mapped[str] = mapped_column(sa.ForeignKey("extensions.id"), index=True)


@dataclass(frozen=True, slots=True)
class Device:
    id: str
    account_id: str
    mac: str
    vendor: str
    model: str
    expansion: str | None
    name: str
    location_id: str | None
    lines: tuple[str, ...]
    button_template_id: str | None
    button_overrides: tuple[Button, ...]
    outbound_number_id: str | None
    options: Options
    opening: int = 0

    def form(self) -> DeviceForm:
        """The device as its own form, to be changed in part."""
        return DeviceForm(
            **{name: getattr(self, name) for name in DeviceForm.model_fields if name != "lines"},
            lines=list(self.lines),
        )


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a phone's files depend on besides the account: the platform's options, our address, the day."""

    vendors: Vendors
    platform: Options
    base_url: str
    today: date


async def add(session: AsyncSession, vendors: Vendors, account_id: str, form: DeviceForm) -> Device:
    row = Row(id=new_id("dev"), account_id=account_id, mac=form.mac, created_at=now())
    return await _write(session, vendors, row, form)


async def update(
    session: AsyncSession, vendors: Vendors, account_id: str, device_id: str, form: DeviceForm
) -> Device:
    return await _write(session, vendors, await _row(session, account_id, device_id), form)


async def find(session: AsyncSession, account_id: str, mac: str) -> Device | None:
    row = await session.scalar(sa.select(Row).where(Row.account_id == account_id, Row.mac == mac))
    return await _device(session, row) if row else None


async def get(session: AsyncSession, account_id: str, device_id: str) -> Device:
    return await _device(session, await _row(session, account_id, device_id))


async def page(
    session: AsyncSession,
    account_id: str,
    *conditions: sa.ColumnElement[bool],
    limit: int,
    cursor: str | None,
) -> tuple[list[Device], str | None]:
    """The devices whose rows meet all conditions."""
    query = sa.select(Row).where(Row.account_id == account_id, *conditions)
    rows, following = await db.page(session, query, limit=limit, cursor=cursor)
    return await _with_lines(session, rows), following


async def of(session: AsyncSession, account_id: str, ids: Sequence[str]) -> list[Device]:
    """Those of `ids` that are devices of the account."""
    rows = await session.scalars(sa.select(Row).where(Row.account_id == account_id, Row.id.in_(ids)))
    return await _with_lines(session, list(rows))


async def reopen(session: AsyncSession, account_id: str, device_id: str) -> Device:
    """From now on the phone has another key, and is bound by none."""
    row = await _row(session, account_id, device_id)
    row.opening = Row.opening + 1  # by the database: two that open it at once are two
    await session.flush()
    await session.refresh(row)
    return await _device(session, row)


async def delete(session: AsyncSession, account_id: str, device_id: str) -> None:
    """The phone's uploads go with it."""
    await session.delete(await _row(session, account_id, device_id))
    await session.flush()


async def each(session: AsyncSession, account_id: str) -> AsyncIterator[Device]:
    """Every device of the account, oldest first, read in slices: thousands at once would hold up all else."""
    query = sa.select(Row).where(Row.account_id == account_id).order_by(Row.id).limit(_SLICE)
    last = ""
    while rows := list(await session.scalars(query.where(Row.id > last))):
        for device in await _with_lines(session, rows):
            yield device
        last = rows[-1].id


async def total(session: AsyncSession, account_id: str) -> int:
    """How many devices the account has."""
    count = sa.select(sa.func.count()).select_from(Row).where(Row.account_id == account_id)
    return await session.scalar(count) or 0


async def list_all(session: AsyncSession, account_id: str) -> list[Device]:
    return [device async for device in each(session, account_id)]


async def ids(session: AsyncSession, account_id: str, *conditions: sa.ColumnElement[bool]) -> Sequence[str]:
    """Of the devices whose rows meet all conditions, oldest first."""
    query = sa.select(Row.id).where(Row.account_id == account_id, *conditions)
    return list(await session.scalars(query.order_by(Row.id)))


async def names(
    session: AsyncSession, account_id: str, device_ids: Sequence[str]
) -> Mapping[str, tuple[str, str]]:
    """Name and MAC address of each of these, by its id."""
    query = sa.select(Row.id, Row.name, Row.mac).where(Row.account_id == account_id, Row.id.in_(device_ids))
    return {row.id: (row.name, row.mac) for row in await session.execute(query)}


async def counts_by_template(session: AsyncSession, account_id: str) -> Mapping[str, int]:
    """How many devices are bound to each button template, by its id."""
    query = (
        sa.select(Row.button_template_id, sa.func.count())
        .where(Row.account_id == account_id, Row.button_template_id.is_not(None))
        .group_by(Row.button_template_id)
    )
    return {str(template): count for template, count in await session.execute(query)}


async def models_of(session: AsyncSession, account_id: str, template_id: str) -> list[tuple[str, str | None]]:
    """The models, with the type of their modules, of the devices that are bound to the template.

    That of the most devices comes first.
    """
    query = (
        sa.select(Row.model, Row.expansion)
        .where(Row.account_id == account_id, Row.button_template_id == template_id)
        .group_by(Row.model, Row.expansion)
        .order_by(sa.func.count().desc(), Row.model, Row.expansion)
    )
    return [(model, expansion) for model, expansion in await session.execute(query)]


async def check_account_options(
    session: AsyncSession, rendering: Rendering, account_id: str, options: Options
) -> None:
    """Raises `Invalid` when a device of the account could not be rendered with these options above it."""
    if not lack(resolve(rendering.platform, options)):
        return
    query = sa.select(Row.mac, Row.options).where(Row.account_id == account_id)
    async for mac, own in await session.stream(query.execution_options(yield_per=_SLICE)):
        if why := lack(resolve(rendering.platform, options, Options.model_validate(own))):
            raise invalid("", f"device {mac}: {why}")


def lack(options: Options) -> str | None:
    """What is missing for any phone to work with these options."""
    if options.sip_server is None:
        return "the phone option sip_server is set neither for the phone nor above it"
    if options.transport_trust == "custom" and options.transport_ca is None:
        return "the phone option transport_trust is custom, and transport_ca is not set"
    return None


def provisioning_url(base_url: str, token: str, key: str = "") -> str:
    """With a key that of one phone alone."""
    return f"{base_url}/p/{token}/{key}/" if key else f"{base_url}/p/{token}/"


def check_form(rendering: Rendering, account: Options, form: DeviceForm) -> None:
    """Raises `Invalid` for what can be told without the database: vendor, model, options."""
    _check_model(_vendor(rendering.vendors, form), form)
    if why := lack(resolve(rendering.platform, account, form.options)):
        raise invalid("options", why)


def write_columns(row: Row, vendors: Vendors, form: DeviceForm) -> bool:
    """Whether the device was there, and is of another model now. Its binding is to end then: under a model
    that is not bound the phone was told the URL that all share, and asks there (`bindings.unbind`)."""
    was = row.vendor, row.model
    row.mac, row.vendor, row.model, row.expansion = (
        form.mac,
        _vendor(vendors, form).name,
        form.model,
        form.expansion,
    )
    row.name, row.location_id, row.button_template_id = form.name, form.location_id, form.button_template_id
    row.button_overrides, row.outbound_number_id = stored(form.button_overrides), form.outbound_number_id
    row.options = form.options.model_dump(mode="json", exclude_none=True)
    return was[0] is not None and was != (row.vendor, row.model)


async def changed(
    session: AsyncSession, vendors: Vendors, account_id: str, device_id: str, form: DeviceForm
) -> Device:
    """The device as `update` would make it; raises what that raises, and changes nothing."""
    row = await _row(session, account_id, device_id)
    await _check(session, vendors, row, form)
    values = {name: getattr(form, name) for name in DeviceForm.model_fields}
    values |= {"vendor": _vendor(vendors, form).name, "lines": tuple(form.lines)}
    return Device(id=device_id, account_id=account_id, **values)


async def _check(session: AsyncSession, vendors: Vendors, row: Row, form: DeviceForm) -> None:
    _check_model(_vendor(vendors, form), form)
    await _check_references(session, row, form)


async def _write(session: AsyncSession, vendors: Vendors, row: Row, form: DeviceForm) -> Device:
    await _check(session, vendors, row, form)
    is_another_model = write_columns(row, vendors, form)
    session.add(row)
    await session.flush()
    if is_another_model:
        await bindings.unbind(session, row.id)
    await session.execute(sa.delete(LineRow).where(LineRow.device_id == row.id))
    session.add_all(LineRow(device_id=row.id, index=i, extension_id=e) for i, e in enumerate(form.lines, 1))
    await session.flush()
    return await _device(session, row)


def _vendor(vendors: Vendors, form: DeviceForm) -> Vendor:
    if form.vendor is not None:
        if form.vendor not in vendors:
            raise invalid("vendor", f"must be one of {', '.join(vendors)}")
        return vendors[form.vendor]
    for vendor in vendors.values():
        if form.mac[:6] in vendor.ouis:
            return vendor
    raise invalid("vendor", "cannot be told from this MAC address: name it")


def _check_model(vendor: Vendor, form: DeviceForm) -> None:
    model = vendor.models.get(form.model)
    if model is None:
        near = difflib.get_close_matches(form.model, vendor.models)
        meant = f"; is it {' or '.join(near)}?" if near else ""
        raise invalid("model", f"is not among the models of {vendor.title}{meant}")
    names = [expansion.name for expansion in model.expansions]
    if form.expansion is not None and form.expansion not in names:
        raise invalid("expansion", f"{model.name} takes {' or '.join(names) or 'no expansion modules'}")
    if len(form.lines) > model.lines:
        raise invalid("lines", f"{model.name} holds {model.lines} at most, these are {len(form.lines)}")
    if len(set(form.lines)) != len(form.lines):
        raise invalid("lines", "names an extension twice")


async def _check_references(session: AsyncSession, row: Row, form: DeviceForm) -> None:
    namesake = await session.scalar(
        sa.select(Row.id).where(Row.account_id == row.account_id, Row.mac == form.mac, Row.id != row.id)
    )
    if namesake:
        raise invalid("mac", "another device of the account has this MAC address")
    faults: list[FieldError] = []
    if form.location_id:
        with collected(faults), missing("location_id"):
            await locations.get(session, row.account_id, form.location_id)
    if form.button_template_id:
        with collected(faults), missing("button_template_id"):
            await library.get(session, row.account_id, form.button_template_id)
    with collected(faults):
        await numbers.expect(session, row.account_id, form.outbound_number_id, field="outbound_number_id")
    known = await extensions.known(session, row.account_id, form.lines)
    faults += [
        FieldError(f"lines[{index}]", "there is no such extension")
        for index, extension in enumerate(form.lines)
        if extension not in known
    ]
    if faults:
        raise Invalid(faults)


async def _row(session: AsyncSession, account_id: str, device_id: str) -> Row:
    row = await session.get(Row, device_id)
    if row is None or row.account_id != account_id:
        raise NotFound("there is no such device")
    return row


async def _device(session: AsyncSession, row: Row) -> Device:
    lines = await session.scalars(
        sa.select(LineRow.extension_id).where(LineRow.device_id == row.id).order_by(LineRow.index)
    )
    return restore(row, lines)


async def _with_lines(session: AsyncSession, rows: Sequence[Row]) -> list[Device]:
    lines = await held_lines(session, [row.id for row in rows])
    return [restore(row, lines.get(row.id, ())) for row in rows]


async def held_lines(session: AsyncSession, ids: Sequence[str]) -> Mapping[str, list[str]]:
    """The extensions of each of these devices that has any, in order."""
    query = (
        sa.select(LineRow.device_id, LineRow.extension_id)
        .where(LineRow.device_id.in_(ids))
        .order_by(LineRow.device_id, LineRow.index)
    )
    lines: dict[str, list[str]] = {}
    for device_id, extension_id in await session.execute(query):
        lines.setdefault(device_id, []).append(extension_id)
    return lines


def restore(row: Any, lines: Iterable[str]) -> Device:
    """The device of what its table holds."""
    return Device(
        row.id,
        row.account_id,
        row.mac,
        row.vendor,
        row.model,
        row.expansion,
        row.name,
        row.location_id,
        tuple(lines),
        row.button_template_id,
        restored(row.button_overrides),
        row.outbound_number_id,
        Options.model_validate(row.options),
        row.opening,
    )
