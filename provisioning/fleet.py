"""The fleet: all phones of an account by kind, for what is asked of each of them at once.

Thousands of devices as objects take longer than all else, and most are alike but for whose they are.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import devices
from provisioning.devices import Device
from provisioning.direct import select

_SLICE: Final = 250  # devices
# What phones of a kind have in common.
_KIND: Final = (
    "vendor",
    "model",
    "expansion",
    "location_id",
    "button_template_id",
    "button_overrides",
    "options",
)
_JSON: Final = ("button_overrides", "options")
# As text, which is not what every driver makes of JSON.
_COLUMNS: Final = ", ".join(f"CAST(d.{name} AS text)" if name in _JSON else f"d.{name}" for name in _KIND)
_STATEMENT: Final = f"""
SELECT d.id, d.mac, d.name, {_COLUMNS}, e.number, e.display_name, e.sip_username, e.voicemail_enabled
FROM (
    SELECT * FROM devices
    WHERE account_id = ? AND id > ? AND (? = '' OR button_template_id = ?) ORDER BY id LIMIT {_SLICE}
) d
LEFT JOIN device_lines l ON l.device_id = d.id
LEFT JOIN extensions e ON e.id = l.extension_id
ORDER BY d.id, l."index"
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Member:
    """A phone of the fleet. `lines` are the number, the name and the SIP user name of each of its lines."""

    id: str
    mac: str
    name: str
    lines: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """Phones that differ in nothing but in their members' fields. `device` is one of them without its lines;
    `voicemail` says of each line whether it has a box."""

    device: Device
    voicemail: tuple[bool, ...]
    members: list[Member] = field(default_factory=list)


async def kinds(session: AsyncSession, account_id: str, *, template_id: str = "") -> list[Kind]:
    """All phones of the account, or those that are bound to a template."""
    found: dict[Any, Kind] = {}
    last = ""
    while rows := await select(session, _STATEMENT, (account_id, last, template_id, template_id)):
        for of_one in _by_device(rows):
            _add(found, account_id, of_one)
        last = rows[-1][0]
        await asyncio.sleep(0)  # phones that fetch meanwhile do not wait
    return list(found.values())


def _by_device(rows: Sequence[Any]) -> list[list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row)
    return list(grouped.values())


def _add(found: dict[Any, Kind], account_id: str, rows: Sequence[Any]) -> None:
    """`rows` are of one device, one for each of its lines."""
    device_id, mac, name, *shared = rows[0][: 3 + len(_KIND)]
    lines = [row[-4:] for row in rows if row[-4] is not None]
    voicemail = tuple(bool(line[-1]) for line in lines)
    key = (*shared, voicemail)
    if key not in found:
        values = dict(zip(_KIND, shared, strict=True))
        values |= {column: json.loads(values[column]) for column in _JSON}
        row = SimpleNamespace(id=device_id, account_id=account_id, mac=mac, name=name, **values)
        row.outbound_number_id = None  # no file tells it
        row.opening = 0  # what follows from it is masked
        found[key] = Kind(devices.restore(row, ()), voicemail)
    found[key].members.append(Member(device_id, mac, name, tuple((n, d, u) for n, d, u, _ in lines)))
