"""Dossiers: all that the database holds of a phone and the token it showed, as of one moment.

By SQLAlchemy's objects this takes longer than all else, and after a rotation each phone's file is made anew.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final
from weakref import WeakValueDictionary

import tokens
from provisioning import devices, extensions, gathering
from provisioning.db import Database
from provisioning.devices import Device, Vendors
from provisioning.direct import Direct, select
from provisioning.extensions import Extension
from provisioning.gathering import Shared
from provisioning.standings import COLUMNS, TABLES, Standing, standing
from provisioning.vault import Vault

_MOST: Final = 1024  # accounts of which it is kept what their phones share
_DEVICE: Final = (
    "id",
    "account_id",
    "mac",
    "vendor",
    "model",
    "expansion",
    "name",
    "location_id",
    "button_template_id",
    "button_overrides",
    "outbound_number_id",
    "options",
    "opening",
)
_JSON: Final = ("button_overrides", "options")
_EXTENSION: Final = (
    "id",
    "number",
    "display_name",
    "sip_username",
    "outbound_number_id",
    "voicemail_enabled",
    "sip_password",
)
_NEXT: Final = ("id", "generation", "sealed", "told_at")
_BOUND: Final = ("mac", "generation", "opening")
_COLUMNS: Final = (
    *COLUMNS,
    *(f"s.{name}" for name in _NEXT),
    *(f"b.{name}" for name in _BOUND),
    # As text, which is not what every driver makes of JSON.
    *(f"CAST(d.{name} AS text)" if name in _JSON else f"d.{name}" for name in _DEVICE),
    *(f"e.{name}" for name in _EXTENSION),
    "u.suffix",
    "u.content",
)
_FIRST: Final = len(COLUMNS) + len(_NEXT) + len(_BOUND)  # column of the device


@dataclass(frozen=True, slots=True)
class Next:
    """The account's staged token. Where it `is_told`, it can no longer be cancelled."""

    generation: int
    token: str = field(repr=False)
    is_told: bool


@dataclass(frozen=True, slots=True)
class Dossier:
    """`next` is the token that is staged. `device` is None where the account has none of this MAC address.
    `is_bound` is whether it has asked at the URL of its own. `held` are its lines' extensions, with their SIP
    passwords; `written` are uploads by suffix."""

    standing: Standing
    next: Next | None
    shared: Shared
    device: Device | None
    is_bound: bool
    held: Sequence[tuple[Extension, str]]
    written: Mapping[str, bytes]


class Dossiers:
    """What an account's phones share is kept in memory for as long as the account's revision is the same."""

    def __init__(self, database: Database, direct: Direct, vault: Vault, vendors: Vendors) -> None:
        self._database, self._direct, self._vault = database, direct, vault
        files = [item for vendor in vendors.values() for item in vendor.files.items()]
        self._absorbed = [suffix for suffix, file in files if file.element]
        self._statement = _statement(1 + len(self._absorbed))
        self._shared: OrderedDict[str, tuple[int, Shared]] = OrderedDict()
        self._reading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, token: str, mac: str | None, suffix: str) -> Dossier | None:
        """With what the phone wrote under this suffix, and what becomes part of its files. None where nobody
        has the token. Raises `OSError` when the database does not answer."""
        values = (mac, suffix, *self._absorbed, self._vault.digest(token))
        rows = await self._direct.select(self._statement, values)
        if not rows:
            return None
        if dossier := self._complete(rows):
            return dossier
        # One reads what the phones share; those that come meanwhile wait, and find it read.
        async with self._reading.setdefault(standing(rows[0]).account_id, asyncio.Lock()):
            return self._complete(await self._direct.select(self._statement, values)) or await self._read(
                values
            )

    def _complete(self, rows: Sequence[Any]) -> Dossier | None:
        """The dossier, None where it takes more than is known."""
        if not rows:
            return None
        now = standing(rows[0])
        revision, shared = self._shared.get(now.account_id, (None, None))
        device = _device(rows)
        if shared is None or revision != now.revision or not shared.suffices(device):
            return None
        following, held = self._next(rows, now.account_id), self._held(rows, now.account_id)
        is_bound = device is not None and _bound(rows) == (device.mac, now.generation, device.opening)
        return Dossier(now, following, shared, device, is_bound, held, _written(rows))

    async def _read(self, values: Sequence[Any]) -> Dossier | None:
        async with self._database.read() as session:
            rows = await select(session, self._statement, values)
            if not rows:
                return None
            now, device = standing(rows[0]), _device(rows)
            revision, shared = self._shared.get(now.account_id, (None, None))
            if shared is None or revision != now.revision:
                shared = await gathering.share(session, self._vault, now.account_id)
            if device is not None:
                await gathering.add_to(session, shared, device)
        self._keep(now, shared)
        return self._complete(rows)

    def _keep(self, now: Standing, shared: Shared) -> None:
        self._shared[now.account_id] = now.revision, shared
        self._shared.move_to_end(now.account_id)
        if len(self._shared) > _MOST:
            self._shared.popitem(last=False)

    def _next(self, rows: Sequence[Any], account_id: str) -> Next | None:
        first = len(COLUMNS)
        row_id, generation, sealed, told_at = rows[0][first : first + len(_NEXT)]
        if row_id is None:
            return None
        token = tokens.open_text(self._vault, account_id, row_id, generation, sealed)
        return Next(generation, token, told_at is not None)

    def _held(self, rows: Sequence[Any], account_id: str) -> Sequence[tuple[Extension, str]]:
        found = []
        for values in _lines(rows).values():
            extension_id, number, name, username, outbound_id, voicemail, sealed = values
            extension = Extension(extension_id, number, name, username, outbound_id, bool(voicemail))
            password = extensions.open_password(self._vault, account_id, extension_id, sealed)
            found.append((extension, password))
        return found


def _statement(suffixes: int) -> str:
    """With `?` for the MAC address, so many suffixes, and the token's digest."""
    # A phone's uploads stand beside its first line alone; beside each they would be read as often.
    return f"""
SELECT {", ".join(_COLUMNS)}
FROM {TABLES}
LEFT JOIN provisioning_tokens s ON s.account_id = t.account_id AND s.state = 'staged'
LEFT JOIN devices d ON d.account_id = t.account_id AND d.mac = ?
LEFT JOIN bindings b ON b.device_id = d.id
LEFT JOIN device_lines l ON l.device_id = d.id
LEFT JOIN extensions e ON e.id = l.extension_id
LEFT JOIN uploads u ON u.device_id = d.id AND u.suffix IN ({", ".join("?" * suffixes)})
    AND (l."index" = 1 OR l."index" IS NULL)
WHERE t.digest = ? ORDER BY l."index"
"""  # noqa: S608


def _device(rows: Sequence[Any]) -> Device | None:
    row = dict(zip(_DEVICE, rows[0][_FIRST:], strict=False))
    if row["id"] is None:
        return None
    row |= {name: json.loads(row[name]) for name in _JSON}
    return devices.restore(SimpleNamespace(**row), _lines(rows))


def _bound(rows: Sequence[Any]) -> tuple[Any, ...]:
    """Of which MAC address, generation and opening the device's last binding is."""
    return tuple(rows[0][_FIRST - len(_BOUND) : _FIRST])


def _lines(rows: Sequence[Any]) -> Mapping[str, Sequence[Any]]:
    """The columns of the lines' extensions, by id."""
    first = _FIRST + len(_DEVICE)
    return {row[first]: row[first : first + len(_EXTENSION)] for row in rows if row[first]}


def _written(rows: Sequence[Any]) -> Mapping[str, bytes]:
    return {row[-2]: bytes(row[-1]) for row in rows if row[-2]}
