"""Devices as a CSV file: what a spreadsheet can hold of them, thousands of rows in one go."""

import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from button_templates import library
from provisioning import accounts, bindings, devices, extensions, locations, numbers
from provisioning.db import new_id, now
from provisioning.devices import DeviceForm, LineRow, Rendering, Row
from provisioning.errors import FieldError, Invalid, invalid
from provisioning.fields import Input, Mac, check
from provisioning.phones.options import Options
from provisioning.spreadsheet import guarded, unguarded

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
_SLICE: Final = 50  # rows; thousands at once would hold up all else
_NAMES: Final = 500  # read at once
Progress = Callable[[int, int], None]
_Line = tuple[int, Mapping[str, str]]  # a row with the number of its line


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
    places, templates = _by_id(names.locations), _by_id(names.templates)
    lines, outbound = _by_id(names.extensions), _by_id(names.numbers)
    async for device in devices.each(session, account_id):
        writer.writerow(
            {
                "mac": device.mac,
                "vendor": device.vendor,
                "model": device.model,
                "expansion": device.expansion,
                "name": guarded(device.name),
                "location": guarded(places.get(device.location_id, "")),
                "lines": " ".join(lines[extension] for extension in device.lines),
                "button_template": guarded(templates.get(device.button_template_id, "")),
                "outbound_number": outbound.get(device.outbound_number_id, ""),
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
    the column of each fault; rows before the first one are written then, so the transaction must not commit.
    """
    rows = list(_rows(text))
    options = (await accounts.get(session, account_id)).options
    run = _Import(session, rendering, account_id, await _Names.of(session, account_id), options)
    for start in range(0, len(rows), _SLICE):
        await run.take(rows[start : start + _SLICE])
        if not run.faults:
            progress(min(start + _SLICE, len(rows)), len(rows))
    if run.faults:
        raise Invalid(run.faults)
    return Imported(created=len(run.macs) - run.updated, updated=run.updated)


@dataclass(slots=True)
class _Import:
    """One file on its way in: which devices it has named so far, and what is wrong with it."""

    session: AsyncSession
    rendering: Rendering
    account_id: str
    names: "_Names"
    options: Options
    macs: set[str] = field(default_factory=set)
    updated: int = 0
    faults: list[FieldError] = field(default_factory=list)

    async def take(self, rows: Sequence[_Line]) -> None:
        """Checks the rows, and writes them unless a fault was found by now: then nothing will come of it."""
        named = sa.select(Row).where(Row.account_id == self.account_id, Row.mac.in_(_macs(rows)))
        there = {row.mac: row for row in await self.session.scalars(named)}
        held = await devices.held_lines(self.session, [row.id for row in there.values()])
        forms = self._checked(rows, there, held)
        if not self.faults:
            await self._write(forms, there)

    def _checked(
        self, rows: Sequence[_Line], there: Mapping[str, Row], held: Mapping[str, list[str]]
    ) -> list[DeviceForm]:
        forms = []
        for line, row in rows:
            try:
                form = _form(row, self.names, there, held)
                if form.mac in self.macs:
                    raise invalid("mac", "stands on an earlier line already")
                devices.check_form(self.rendering, self.options, form)
                self.macs.add(form.mac)
                forms.append(form)
            except Invalid as error:
                self.faults += [FieldError(f"line {line}: {e.field}", e.message) for e in error.errors]
        return forms

    async def _write(self, forms: Sequence[DeviceForm], there: Mapping[str, Row]) -> None:
        lines: list[dict[str, Any]] = []
        of_another_model: list[str] = []
        for form in forms:
            row = there.get(form.mac) or Row(
                id=new_id("dev"),
                account_id=self.account_id,
                button_overrides=[],
                options={},
                created_at=now(),
            )
            if devices.write_columns(row, self.rendering.vendors, form):
                of_another_model.append(row.id)
            self.session.add(row)
            lines += [
                {"device_id": row.id, "index": index, "extension_id": extension}
                for index, extension in enumerate(form.lines, start=1)
            ]
        await self.session.flush()
        await bindings.unbind(self.session, *of_another_model)
        changed = [row.id for row in there.values()]
        await self.session.execute(sa.delete(LineRow).where(LineRow.device_id.in_(changed)))
        if lines:
            await self.session.execute(sa.insert(LineRow), lines)
        self.updated += len(changed)


def _macs(rows: Sequence[_Line]) -> list[str]:
    found = []
    for _, row in rows:
        with contextlib.suppress(Invalid):
            found.append(check(_Mac, {"mac": row["mac"]}).mac)
    return found


def _rows(text: str) -> Iterator[_Line]:
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
            yield reader.line_num, {name: unguarded(cell) for name, cell in row.items()}
    except csv.Error as error:
        raise invalid(f"line {reader.line_num}", f"is no CSV: {error}") from None


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
        found = []
        for name, id, account in (
            (locations.Row.name, locations.Row.id, locations.Row.account_id),
            (library.Row.name, library.Row.id, library.Row.account_id),
            (extensions.Row.number, extensions.Row.id, extensions.Row.account_id),
            (numbers.Row.number, numbers.Row.id, numbers.Row.account_id),
        ):
            query = sa.select(name, id).where(account == account_id).execution_options(yield_per=_NAMES)
            found.append({name: id async for name, id in await session.stream(query)})
        return cls(*found)

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
            raise invalid("lines", f"there is no extension {re.sub(r'[^!-~]', '?', missing[0][:20])}")
        return [self.extensions[number] for number in numbers.split()]


def _by_id(ids: Mapping[str, str]) -> Mapping[str | None, str]:
    return {id: name for name, id in ids.items()}


def _looked_up(known: Mapping[str, str], name: str, field: str, otherwise: str) -> str | None:
    if not name.strip():
        return None
    if name.strip() not in known:
        raise invalid(field, otherwise)
    return known[name.strip()]
