"""Strangers: who asks with a good token and is no device of the account. They are counted on the way, told to
the database in groups, and while an alarm is on refused without a look at it."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from provisioning import leak_alarms, revisions
from provisioning.db import Database, now
from provisioning.leak_alarms import MOST, Asked

_log = logging.getLogger(__name__)
_ACCOUNTS: Final = 16  # of which all MAC addresses are kept in memory, 10 MB for 100,000 of them
_REST: Final = 1.0  # seconds between two readings of them
# Rows of the boot log a minute of one MAC address, one network address, and one account.
_ROWS: Final = (30, 600, 600)
_ROWS_IN_ALARM: Final = (1, 30, 300)

_devices = sa.table("devices", sa.column("account_id"), sa.column("mac"))


@dataclass(slots=True)
class _Gathered:
    generation: int
    requests: int = 0
    macs: dict[str, tuple[datetime, str]] = field(default_factory=dict)

    def add(self, mac: str, time: datetime, ip: str) -> None:
        self.requests += 1
        self.macs.pop(mac, None)
        self.macs[mac] = time, ip
        if len(self.macs) > MOST + 1:  # more of them would say no more
            del self.macs[next(iter(self.macs))]


@dataclass(frozen=True, slots=True)
class _Devices:
    revision: int
    read_at: float  # of the loop
    macs: frozenset[str]


class Strangers:
    """What one server process knows of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathered: dict[str, _Gathered] = {}
        self._on: dict[str, tuple[int, datetime]] = {}  # by account the generation, and until when
        self._devices: dict[str, _Devices] = {}
        self._reading = asyncio.Lock()
        self._minute: datetime | None = None
        self._rows: Counter[tuple[str, ...]] = Counter()

    def count(self, account_id: str, generation: int, mac: str, time: datetime, ip: str) -> bool:
        """Counts a request that was refused; whether it is one of those that get a row in the boot log."""
        gathered = self._gathered.get(account_id)
        if gathered is None or gathered.generation < generation:
            gathered = self._gathered[account_id] = _Gathered(generation)
        if gathered.generation == generation:
            gathered.add(mac, time, ip)
        minute = time.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._rows.clear()
        keys = (account_id, "mac", mac), (account_id, "ip", ip), (account_id,)
        limits = _ROWS_IN_ALARM if self._is_on(account_id, generation) else _ROWS
        if any(self._rows[key] >= limit for key, limit in zip(keys, limits, strict=True)):
            return False
        self._rows.update(keys)
        return True

    async def write(self) -> None:
        """Tells the database what was counted, and learns which alarms are on."""
        gathered, self._gathered = self._gathered, {}
        for account_id, one in sorted(gathered.items()):
            asked = Asked(one.generation, one.macs, one.requests)
            try:
                async with self._database.write() as session:
                    until = await leak_alarms.note(session, account_id, asked)
            except (SQLAlchemyError, OSError) as error:
                # Whoever tries all MAC addresses goes on, and is counted then.
                _log.error("unknown phones cannot be counted: %s", type(error).__name__)
                continue
            if until is not None:
                if account_id not in self._on:
                    self._rows.clear()  # so that the log shows what was refused in the alarm, too
                self._on[account_id] = one.generation, until

    async def may_be_known(self, account_id: str, generation: int, revision: int, mac: str) -> bool:
        """False for a MAC address that no device of the account has, and that without a look at the database;
        while no alarm is on, and when nobody can tell, True. `revision` is the account's at this moment."""
        if not self._is_on(account_id, generation):
            return True
        known = self._devices.get(account_id)
        if known is not None and mac in known.macs:
            return True  # of one that has gone since, the database tells
        if known is None or known.revision < revision:
            known = await self._read(account_id, revision)
        return known is None or known.revision < revision or mac in known.macs

    async def _read(self, account_id: str, revision: int) -> _Devices | None:
        async with self._reading:
            known = self._devices.get(account_id)
            time = asyncio.get_running_loop().time()
            if known is not None and (known.revision >= revision or time < known.read_at + _REST):
                return known
            if known is None and len(self._devices) >= _ACCOUNTS:
                return None
            async with self._database.read() as session:
                newest = await revisions.of(session, account_id)
                macs = sa.select(_devices.c.mac).where(_devices.c.account_id == account_id)
                found = _Devices(newest, time, frozenset(await session.scalars(macs)))
            self._devices[account_id] = found
            return found

    def _is_on(self, account_id: str, generation: int) -> bool:
        """Whether there is an alarm, as far as this process has learnt."""
        if account_id not in self._on:
            return False
        of, until = self._on[account_id]
        if until > now() and of == generation:
            return True
        if until <= now() or of < generation:
            del self._on[account_id]
            self._devices.pop(account_id, None)
        return False
