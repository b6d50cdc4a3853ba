"""Devices as a CSV file: what a spreadsheet can hold of them, thousands of rows in one go."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from button_templates import library
from provisioning import accounts, devices, extensions, locations, numbers
from provisioning.db import new_id, now
from provisioning.devices import DeviceForm, LineRow, Rendering, Row
from provisioning.errors import FieldError, Invalid, invalid
from provisioning.fields import Input, Mac, check
from provisioning.phones.options import Options

COLUMNS: Final = (
    "mac",
    "vendor",
    "model",
    "expansion",
    "name",
    "location",
    "lines",
    "button_template",
    "outbound_number",
)
MOST: Final = 5_000  # rows of one file
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    created: int
    updated: int


async def export(session: AsyncSession, account_id: str) -> str:
    """Every device of the account, oldest first, in the form that `import_` reads."""
    names = await _Names.of(session, account_id)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for device in await devices.list_all(session, account_id):
        writer.writerow(
            {
                "mac": device.mac,
                "vendor": device.vendor,
                "model": device.model,
                "expansion": device.expansion,
                "name": device.name,
                "location": names.location(device.location_id),
                "lines": " ".join(names.number(extension) for extension in device.lines),
                "button_template": names.template(device.button_template_id),
                "outbound_number": names.outbound(device.outbound_number_id),
            }
        )
    return text.getvalue()


async def import_(
    session: AsyncSession,
    rendering: Rendering,
    account_id: str,
    text: str,
    *,
    progress: Progress = lambda _done, _all: None,
) -> Imported:
    """Makes the devices of the file, or updates those whose MAC address is there; all rows or none.

    A column that the file lacks leaves what it is about as it was. Raises `Invalid` with the line and
    the column of each fault.
    """
    rows = list(_rows(text))
    names = await _Names.of(session, account_id)
    there = {
        row.mac: row for row in await session.scalars(sa.select(Row).where(Row.account_id == account_id))
    }
    held = await _held_lines(session, account_id)
    options = (await accounts.get(session, account_id)).options
    checked = _checked(rows, names, there, held, rendering, options)
    lines: list[dict[str, Any]] = []
    for done, form in enumerate(checked, start=1):
        row = there.get(form.mac) or Row(
            id=new_id("dev"), account_id=account_id, button_overrides=[], options={}, created_at=now()
        )
        devices.write_columns(row, rendering.vendors, form)
        session.add(row)
        lines += [
            {"device_id": row.id, "index": index, "extension_id": extension}
            for index, extension in enumerate(form.lines, start=1)
        ]
        progress(done, len(checked))
    await session.flush()
    changed = [there[form.mac].id for form in checked if form.mac in there]
    for start in range(0, len(changed), 500):
        await session.execute(sa.delete(LineRow).where(LineRow.device_id.in_(changed[start : start + 500])))
    if lines:
        await session.execute(sa.insert(LineRow), lines)
    return Imported(created=len(checked) - len(changed), updated=len(changed))


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Each row with the number of its line."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        unknown = set(reader.fieldnames or ()) - set(COLUMNS)
        missing = {"mac", "model"} - set(reader.fieldnames or ())
        if unknown or missing:
            raise invalid("line 1", f"the columns must be among {', '.join(COLUMNS)}, mac and model always")
        for count, row in enumerate(reader, start=1):
            if count > MOST:
                raise invalid(f"line {reader.line_num}", f"one file holds {MOST} devices at most")
            if None in row or None in row.values():
                raise invalid(f"line {reader.line_num}", "has another number of columns than line 1")
            yield reader.line_num, row
    except csv.Error as error:
        raise invalid(f"line {reader.line_num}", f"is no CSV: {error}") from None


def _checked(
    rows: Sequence[tuple[int, Mapping[str, str]]],
    names: "_Names",
    there: Mapping[str, Row],
    held: Mapping[str, list[str]],
    rendering: Rendering,
    options: Options,
) -> list[DeviceForm]:
    faults: list[FieldError] = []
    forms: dict[str, DeviceForm] = {}
    for line, row in rows:
        try:
            form = _form(row, names, there, held)
            if form.mac in forms:
                raise invalid("mac", "stands on an earlier line already")
            devices.check_form(rendering, options, form)
            forms[form.mac] = form
        except Invalid as error:
            faults += [FieldError(f"line {line}: {e.field}", e.message) for e in error.errors]
    if faults:
        raise Invalid(faults)
    return list(forms.values())


def _form(
    row: Mapping[str, str], names: "_Names", there: Mapping[str, Row], held: Mapping[str, list[str]]
) -> DeviceForm:
    values: dict[str, Any] = {
        "mac": row["mac"],
        "model": row["model"].strip(),
        "vendor": row.get("vendor", "").strip() or None,
        "expansion": row.get("expansion", "").strip() or None,
    }
    known = there.get(check(_Mac, {"mac": row["mac"]}).mac)
    values["name"] = row["name"].strip() if "name" in row else (known.name if known else "")
    values["location_id"] = (
        names.location_id(row["location"]) if "location" in row else (known.location_id if known else None)
    )
    values["button_template_id"] = (
        names.template_id(row["button_template"])
        if "button_template" in row
        else (known.button_template_id if known else None)
    )
    values["outbound_number_id"] = (
        names.outbound_id(row["outbound_number"])
        if "outbound_number" in row
        else (known.outbound_number_id if known else None)
    )
    values["lines"] = (
        names.extension_ids(row["lines"]) if "lines" in row else (held.get(known.id, []) if known else [])
    )
    if known:
        values["button_overrides"], values["options"] = known.button_overrides, known.options
    return check(DeviceForm, values)


class _Mac(Input):
    mac: Mac


@dataclass(frozen=True, slots=True)
class _Names:
    """The names by which people call what a device refers to, read once for a whole file."""

    locations: Mapping[str, str]
    templates: Mapping[str, str]
    extensions: Mapping[str, str]
    numbers: Mapping[str, str]

    @classmethod
    async def of(cls, session: AsyncSession, account_id: str) -> "_Names":
        found = [
            {name: id for name, id in await session.execute(sa.select(name, id).where(account == account_id))}  # noqa: C416
            for name, id, account in (
                (locations.Row.name, locations.Row.id, locations.Row.account_id),
                (library.Row.name, library.Row.id, library.Row.account_id),
                (extensions.Row.number, extensions.Row.id, extensions.Row.account_id),
                (numbers.Row.number, numbers.Row.id, numbers.Row.account_id),
            )
        ]
        return cls(*found)

    def location(self, id: str | None) -> str:
        return next((name for name, known in self.locations.items() if known == id), "")

    def template(self, id: str | None) -> str:
        return next((name for name, known in self.templates.items() if known == id), "")

    def number(self, id: str) -> str:
        return next(number for number, known in self.extensions.items() if known == id)

    def outbound(self, id: str | None) -> str:
        return next((number for number, known in self.numbers.items() if known == id), "")

    def location_id(self, name: str) -> str | None:
        return _looked_up(self.locations, name, "location", "there is no location of this name")

    def template_id(self, name: str) -> str | None:
        return _looked_up(self.templates, name, "button_template", "there is no button template of this name")

    def outbound_id(self, text: str) -> str | None:
        """A spreadsheet takes `+1…` for arithmetic and drops the sign."""
        number = text.strip()
        try:
            number = number and numbers.e164(number if number.startswith("+") else f"+{number}")
        except ValueError as error:
            raise invalid("outbound_number", str(error)) from None
        return _looked_up(self.numbers, number, "outbound_number", "the account has no such phone number")

    def extension_ids(self, numbers: str) -> list[str]:
        missing = [number for number in numbers.split() if number not in self.extensions]
        if missing:
            raise invalid("lines", f"there is no extension {missing[0][:20]}")
        return [self.extensions[number] for number in numbers.split()]


def _looked_up(known: Mapping[str, str], name: str, field: str, otherwise: str) -> str | None:
    if not name.strip():
        return None
    if name.strip() not in known:
        raise invalid(field, otherwise)
    return known[name.strip()]


async def _held_lines(session: AsyncSession, account_id: str) -> Mapping[str, list[str]]:
    """The extensions of each device of the account, in order."""
    rows = await session.execute(
        sa.select(LineRow.device_id, LineRow.extension_id)
        .join(Row, Row.id == LineRow.device_id)
        .where(Row.account_id == account_id)
        .order_by(LineRow.device_id, LineRow.index)
    )
    held: dict[str, list[str]] = {}
    for device_id, extension_id in rows:
        held.setdefault(device_id, []).append(extension_id)
    return held
