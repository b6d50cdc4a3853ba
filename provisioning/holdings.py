"""Holdings: whether a phone holds the newest bytes of its files, without asking the phone."""

import asyncio
import hashlib
import importlib.metadata
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

import tokens
from provisioning import devices, extensions, gathering, revisions, sightings
from provisioning.devices import Device, Rendering, Vendors
from provisioning.errors import RenderError
from provisioning.extensions import Extension
from provisioning.gathering import Shared
from provisioning.phones.clock import clock
from provisioning.phones.options import Options
from provisioning.phones.phone import Phone
from provisioning.phones.vendor import Vendor
from provisioning.sightings import Sighting
from provisioning.vault import Vault

_MOST: Final = 64  # accounts that are remembered
_SECONDS: Final = 1.0  # that one step of a count may take
_SLICE: Final = 50  # devices
_NOT_MADE: Final = ""  # the digest of files that cannot be made
_Lines = Mapping[str, tuple[Extension, str]]  # extensions with their SIP passwords, by id


def edition(vendors: Vendors, platform: Options, base_url: str) -> str:
    """Another text whenever files may be others though nothing of the account is."""
    parts = [*(importlib.metadata.version(name) for name in ("provisioning", "tzdata")), base_url]
    parts += [platform.model_dump_json(), *(vendor.edition for vendor in vendors.values())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def digest(hashes: Mapping[str, str]) -> str:
    """Of all files of a phone's own, by the hash of each under its suffix."""
    lines = "\n".join(f"{suffix} {hashes[suffix]}" for suffix in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def newest(vendor: Vendor, phone: Phone) -> str:
    """The digest of the files as they would be made now. What the phone itself uploaded is left out: it
    is not outdated by what it wrote. Raises `RenderError`."""
    bare = replace(phone, contacts=())
    made = {suffix: vendor.render(file, bare) for suffix, file in vendor.own_files(bare)}
    return digest({suffix: hashlib.sha256(content).hexdigest() for suffix, content in made.items()})


@dataclass(slots=True)
class _Known:
    """Digests by the id of the device, of one revision of the account and one day."""

    revision: int
    day: date
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Count:
    """Of `total` phones `counted` have been looked at so far, and `current` of them hold the newest files."""

    counted: int
    current: int
    total: int


class Holdings:
    """What was made to be compared is remembered while the account's revision and the day are the same."""

    def __init__(self, vault: Vault, edition: str) -> None:
        self._vault, self.edition = vault, edition
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def current(
        self,
        session: AsyncSession,
        rendering: Rendering,
        account_id: str,
        found: Sequence[Device],
        seen: Mapping[str, Sighting],
        *,
        remember: bool,
    ) -> Mapping[str, bool | None]:
        """For each device, by id, whether it holds the newest files; None where nobody knows what it holds.

        `remember` only in a transaction that reads: what is not committed may never be.
        """
        known = await self._of(session, rendering, account_id, remember)
        asked = [device for device in found if (sighting := seen.get(device.mac)) and sighting.held]
        await self._learn(session, rendering, known, account_id, asked, seen)
        return {
            device.id: sighting.held.digest == known.digests[device.id]
            if (sighting := seen.get(device.mac)) and sighting.held
            else None
            for device in found
        }

    async def count(self, session: AsyncSession, rendering: Rendering, account_id: str) -> Count:
        """Of all phones of the account; each call goes on from where the last one ended."""
        known = await self._of(session, rendering, account_id, True)
        until = time.monotonic() + _SECONDS
        counted = current = total = 0
        unknown: list[str] = []
        for device_id, day, revision, edition, held in await _held(session, account_id):
            total += 1
            if held is None:  # never fetched
                counted += 1
                continue
            if device_id not in known.digests and self._is_present(known, day, revision, edition):
                known.digests[device_id] = held
            if device_id in known.digests:
                counted += 1
                current += held == known.digests[device_id]
            else:
                unknown.append(device_id)
            if total % 500 == 0:
                await asyncio.sleep(0)
        for start in range(0, len(unknown), _SLICE):
            if time.monotonic() > until:
                break
            found = await devices.of(session, account_id, unknown[start : start + _SLICE])
            seen = await sightings.of(session, account_id, [device.mac for device in found])
            told = await self.current(session, rendering, account_id, found, seen, remember=True)
            counted += len(told)
            current += sum(1 for is_current in told.values() if is_current)
        return Count(counted, current, total)

    async def _of(
        self, session: AsyncSession, rendering: Rendering, account_id: str, remember: bool
    ) -> _Known:
        now = _Known(await revisions.of(session, account_id), rendering.today)
        known = self._known.get(account_id)
        if known and (known.revision, known.day) == (now.revision, now.day):
            return known if remember else now
        if remember:
            self._known[account_id] = now
            self._known.move_to_end(account_id)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return now

    def _is_present(self, known: _Known, day: date | None, revision: int | None, edition: str | None) -> bool:
        """Whether files were made then of all that they would be made of now."""
        return (day, revision, edition) == (known.day, known.revision, self.edition)

    async def _learn(
        self,
        session: AsyncSession,
        rendering: Rendering,
        known: _Known,
        account_id: str,
        asked: Sequence[Device],
        seen: Mapping[str, Sighting],
    ) -> None:
        """Adds the newest digests of these devices; of who fetched at this revision nothing is made again."""
        unknown: list[Device] = []
        for device in asked:
            held, at = seen[device.mac].held, seen[device.mac].held_at
            if held and self._is_present(known, at and at.date(), held.revision, held.edition):
                known.digests[device.id] = held.digest
            elif device.id not in known.digests:
                unknown.append(device)
        if not unknown:
            return
        shared = await gathering.share(session, self._vault, account_id)
        for device in unknown:
            if not shared.suffices(device):
                await gathering.add_to(session, shared, device)
        tokens_ = [await find(session, self._vault, account_id) for find in (tokens.current, tokens.staged)]
        token, staged = (found.text if found else None for found in tokens_)
        lines = await _lines(session, self._vault, account_id, unknown)
        for device in unknown:
            sighting = seen[device.mac]
            if self._is_as_then(rendering, known, shared, device, sighting):
                assert sighting.held
                known.digests[device.id] = sighting.held.digest
            else:
                known.digests[device.id] = _made(
                    rendering, self._vault, shared, device, lines, token or "", staged
                )
                await asyncio.sleep(0)  # phones that fetch meanwhile do not wait

    def _is_as_then(
        self, rendering: Rendering, known: _Known, shared: Shared, device: Device, seen: Sighting
    ) -> bool:
        """As `_is_present`, on another day on which the phone's clock is told the same."""
        held, at = seen.held, seen.held_at
        if not held or not at or (held.revision, held.edition) != (known.revision, self.edition):
            return False
        zone = gathering.zone(rendering, shared, device)
        return clock(zone, at.date()) == clock(zone, rendering.today)


def _made(
    rendering: Rendering,
    vault: Vault,
    shared: Shared,
    device: Device,
    lines: _Lines,
    token: str,
    staged: str | None,
) -> str:
    held = [lines[extension_id] for extension_id in device.lines]
    try:
        addresses = gathering.addresses(rendering, vault, shared.account, device, token, staged)
        phone = gathering.assemble(rendering, shared, device, held, {}, *addresses)
        return newest(rendering.vendors[device.vendor], phone)
    except RenderError:
        return _NOT_MADE


async def _lines(session: AsyncSession, vault: Vault, account_id: str, found: Sequence[Device]) -> _Lines:
    ids = sorted({extension_id for device in found for extension_id in device.lines})
    held = await extensions.with_passwords(session, vault, account_id, ids)
    return {extension.id: (extension, password) for extension, password in held}


async def _held(
    session: AsyncSession, account_id: str
) -> Sequence[tuple[str, date | None, int | None, str | None, str | None]]:
    """The ids of all devices, with the day, the revision, the edition and the digest of what they hold."""
    row, seen = devices.Row, sightings.Row
    rows = await session.execute(
        sa.select(row.id, seen.held_at, seen.held_revision, seen.held_edition, seen.held_digest)
        .join(seen, sa.and_(seen.account_id == row.account_id, seen.mac == row.mac), isouter=True)
        .where(row.account_id == account_id)
    )
    return [(i, at and at.date(), revision, edition, held) for i, at, revision, edition, held in rows]
