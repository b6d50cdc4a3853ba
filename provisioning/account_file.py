"""The account file: one TOML file that holds a whole account, and where in it a fault stands."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from button_templates.layout import Buttons
from provisioning.accounts import CallSettings, General
from provisioning.errors import FieldError, Invalid, invalid
from provisioning.extensions import ExtensionBase
from provisioning.fields import AdminPassword, DialString, Email, Input, Mac, Text, check, one_line
from provisioning.locations import LocationForm
from provisioning.numbers import E164, NumberForm
from provisioning.phones.options import Options

Description = Annotated[str, Field(max_length=200), AfterValidator(one_line)]


class AccountPart(General):
    """`admin_password` absent is kept, or made with the account."""

    admin_password: AdminPassword | None = Field(default=None, repr=False)
    emergency_recipients: Annotated[list[Email], Field(max_length=50, default_factory=list)]


class TelephonyPart(CallSettings):
    """Hold music is a clip, which no text can hold: it stays as it is."""

    default_outbound_number: E164 | None = None


class ExtensionPart(ExtensionBase):
    outbound_number: E164 | None = None


class TemplatePart(Input):
    """`starter` names a shipped layout that `buttons` then replace slot by slot."""

    name: Text
    description: Description = ""
    starter: Text | None = None
    buttons: Buttons = ()


class DevicePart(Input):
    """A device that names its location, lines, template and number as people do."""

    mac: Mac
    vendor: Text | None = None
    model: Text
    expansion: Text | None = None
    name: Description = ""
    location: Text | None = None
    lines: Annotated[list[DialString], Field(default_factory=list)]
    button_template: Text | None = None
    button_overrides: Buttons = ()
    outbound_number: E164 | None = None
    options: Annotated[Options, Field(default_factory=Options)]


class AccountFile(Input):
    account: AccountPart
    telephony: Annotated[TelephonyPart, Field(default_factory=TelephonyPart)]
    options: Annotated[Options, Field(default_factory=Options)]
    phone_numbers: Annotated[list[NumberForm], Field(default_factory=list)]
    locations: Annotated[list[LocationForm], Field(default_factory=list)]
    extensions: Annotated[list[ExtensionPart], Field(default_factory=list)]
    button_templates: Annotated[list[TemplatePart], Field(default_factory=list)]
    devices: Annotated[list[DevicePart], Field(default_factory=list)]


def read(text: str) -> AccountFile:
    """The file, checked as far as it can be without the database. Raises `Invalid` without places."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise invalid("", str(error)) from None
    except (ValueError, RecursionError):
        raise invalid("", "a number or a nesting of the file is beyond all measure") from None
    file = check(AccountFile, data)
    if faults := [*_twins(file)]:
        raise Invalid(faults)
    return file


def placed(error: Invalid, text: str) -> Invalid:
    """The same faults, each with the line of the file near which it stands."""
    lines = _line_numbers(text)
    return Invalid(FieldError(_place(e.field, lines), e.message) for e in error.errors)


def _twins(file: AccountFile) -> Iterator[FieldError]:
    """Two parts of one file that would overwrite each other are a mistake, not an update."""
    named: Mapping[str, tuple[str, Sequence[str]]] = {
        "phone_numbers": ("number", [part.number for part in file.phone_numbers]),
        "locations": ("name", [part.name for part in file.locations]),
        "extensions": ("number", [part.number for part in file.extensions]),
        "button_templates": ("name", [part.name for part in file.button_templates]),
        "devices": ("mac", [part.mac for part in file.devices]),
    }
    for part, (field, names) in named.items():
        for index, name in enumerate(names):
            if (first := names.index(name)) != index:
                yield FieldError(f"{part}[{index}].{field}", f"is that of {part}[{first}] already")


def _place(path: str, lines: Mapping[str, int]) -> str:
    """`line 12: devices[2].mac`, by the nearest part of the path that stands on a line of its own."""
    near = path
    while near and near not in lines:
        shorter = re.sub(r"(\.?[^.\[]+|\[\d+\])$", "", near)
        near = shorter if shorter != near else near[:-1]
    return f"line {lines[near]}: {path}" if near else path


def _line_numbers(text: str) -> Mapping[str, int]:
    """The line of each table and key that stands on a line of its own."""
    numbers: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    # A line ends as TOML has it: other breaks, such as U+2028, may stand in a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if match := re.match(r"\s*\[\[\s*([\w.]+)\s*\]\]", line):
            counts[match[1]] = counts.get(match[1], -1) + 1
            table = ".".join(_indexed(match[1], counts))
        elif match := re.match(r"\s*\[\s*([\w.]+)\s*\]", line):
            table = ".".join(_indexed(match[1], counts))
        elif match := re.match(r"\s*([\w.]+)\s*=", line):
            numbers.setdefault(f"{table}.{match[1]}".lstrip("."), number)
            continue
        else:
            continue
        numbers.setdefault(table, number)
    return numbers


def _indexed(table: str, counts: Mapping[str, int]) -> list[str]:
    """`devices.options` as it stands in the list: [`devices[2]`, `options`]."""
    parts = table.split(".")
    prefixes = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    return [f"{part}[{counts[p]}]" if p in counts else part for part, p in zip(parts, prefixes, strict=True)]
