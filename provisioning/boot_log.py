"""The boot log: every request that a phone made, and in plain words how it ended and why."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import activity, sightings
from provisioning.db import Base, Database, now
from provisioning.direct import Busy, Direct
from provisioning.strangers import Strangers

_log = logging.getLogger(__name__)
_DELAY = 0.5  # seconds in which rows gather before they are written together
_RETRY = 0.02  # seconds
_PATIENCE = 10  # seconds, with another writer that is in the way
_AT_ONCE = 200  # rows
KEPT: Final = timedelta(days=90)  # afterwards an entry is pruned
_AHEAD = timedelta(minutes=5)  # by which no clock of a fleet is ahead, unless it was set back since
_NOBODYS = 60  # rows a minute of tokens that nobody has ever had, which belong to no account
_MOST = 50_000  # rows that wait while the database does not answer; beyond it the oldest are dropped


class Verdict(StrEnum):
    SERVED = "served"
    STORED = "stored"
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105
    TOKEN_ROTATED = "token_rotated"  # noqa: S105
    TOKEN_STAGED = "token_staged"  # noqa: S105
    KEY_UNKNOWN = "key_unknown"
    BOUND = "bound"
    NO_CERTIFICATE = "no_certificate"
    CERTIFICATE_REFUSED = "certificate_refused"
    MAC_UNKNOWN = "mac_unknown"
    FILE_UNKNOWN = "file_unknown"
    FILE_ABSENT = "file_absent"
    TOO_LARGE = "too_large"
    BROKEN = "broken"
    RENDER_ERROR = "render_error"
    UNAVAILABLE = "unavailable"


@dataclass(slots=True)
class Entry:
    """A request as it is answered. `account_id` is None while no account is known; `scheme` is how the phone
    came, `http` or `https`; `held` is there when it was the phone's main file that was served, and goes to
    the sightings, as does `told`, the generation of the next provisioning URL where the file names it."""

    time: datetime
    method: str
    file: str
    ip: str
    user_agent: str
    account_id: str | None = None
    device_id: str | None = None
    mac: str | None = None
    generation: int | None = None
    verdict: Verdict = Verdict.TOKEN_UNKNOWN
    reason: str = ""
    status: int = 404
    bytes: int = 0
    config_hash: str | None = None
    firmware: str | None = None
    scheme: str | None = None
    held: sightings.Held | None = None
    told: int | None = None


class Row(Base):
    """No foreign keys: the log outlives what it speaks of, and a bare insert is several times cheaper."""

    __tablename__ = "boot_log"
    __table_args__ = (
        sa.Index("ix_boot_log_mac_time", "mac", "time"),
        # Of the few rows that are looked for by how they ended: no other row pays for them.
        sa.Index(
            "ix_boot_log_mac_unknown",
            "account_id",
            "time",
            sqlite_where=sa.text("verdict = 'mac_unknown'"),
            postgresql_where=sa.text("verdict = 'mac_unknown'"),
        ),
        sa.Index(
            "ix_boot_log_render_error",
            "account_id",
            "mac",
            "time",
            sqlite_where=sa.text("verdict = 'render_error'"),
            postgresql_where=sa.text("verdict = 'render_error'"),
        ),
    )

    id: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    time: Mapped[datetime]
    account_id: Mapped[str | None]
    device_id: Mapped[str | None]
    mac: Mapped[str | None]
    method: Mapped[str]
    file: Mapped[str]
    status: Mapped[int]
    verdict: Mapped[str]
    reason: Mapped[str]
    ip: Mapped[str]
    user_agent: Mapped[str]
    generation: Mapped[int | None]
    bytes: Mapped[int]
    config_hash: Mapped[str | None]
    firmware: Mapped[str | None]
    scheme: Mapped[str | None]


_devices = sa.table("devices", sa.column("account_id"), sa.column("mac"))
_COLUMNS = [column.name for column in Row.__table__.columns if column.name != "id"]
_values = attrgetter(*_COLUMNS)
_refused = attrgetter("time", "ip", "generation", "account_id", "mac")
_knew = attrgetter("generation", "account_id", "mac")


@dataclass(slots=True)
class _Minute:
    minute: datetime | None = None
    counted: int = 0

    def count(self, time: datetime) -> int:
        """The how manieth it is of its minute."""
        minute = time.replace(second=0, microsecond=0)
        self.counted = self.counted + 1 if minute == self.minute else 1
        self.minute = minute
        return self.counted


class BootLog:
    """Takes entries at once and writes them in groups, so that no phone waits for its own entry.

    While they cannot be written they wait; `failed` counts the attempts that were in vain, and `dropped` the
    entries that were too many.
    """

    def __init__(self, database: Database, direct: Direct) -> None:
        self._database = database
        self._direct = direct
        self._waiting: list[Entry] = []
        self._newest = datetime.max.replace(tzinfo=UTC)  # the clock may have been set before we began
        self.failed = self.dropped = 0
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._nobodys = _Minute()
        self.strangers = Strangers(database)

    def add(self, entry: Entry) -> None:
        if self._is_to_be_written(entry):
            self._waiting.append(entry)
            self._drop()
        self._wake.set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _drop(self) -> None:
        """The oldest of what is more than may wait."""
        if (over := len(self._waiting) - _MOST) > 0:
            del self._waiting[:over]
            self.dropped += over

    def _is_to_be_written(self, entry: Entry) -> bool:
        """Of what strangers can ask without end, so much as to see what it is."""
        if entry.account_id is None:
            is_nobodys = entry.verdict is Verdict.TOKEN_UNKNOWN
            return not is_nobodys or self._nobodys.count(entry.time) <= _NOBODYS
        if entry.verdict is Verdict.MAC_UNKNOWN and entry.mac and entry.generation:
            return self.strangers.count(entry.account_id, entry.generation, entry.mac, entry.time, entry.ip)
        return True

    async def flush(self) -> None:
        """Writes what waits; on failure it goes on waiting. Afterwards all that was added before is there."""
        async with self._writing:
            # The rows of one phone lie on the same pages of the database: together they cost a fraction.
            entries, self._waiting = sorted(self._waiting, key=_phone), []
            for start in range(0, len(entries), _AT_ONCE):
                try:
                    await self._write(entries[start : start + _AT_ONCE])
                except OSError as error:
                    _log.error("the boot log cannot be written: %s", error)
                    self.failed += 1
                    self._waiting = sorted([*entries[start:], *self._waiting], key=attrgetter("time"))
                    self._drop()
                    raise
                await asyncio.sleep(0)
            await self._record_stale_fetches(entries)
            await self.strangers.write()

    async def _write(self, entries: Sequence[Entry]) -> None:
        """`entries` are in the order of their phones. The notes of what was seen may be written twice."""
        await self._follow_the_clock(now())
        phones = [entry for entry in entries if entry.account_id and entry.mac]
        refused = [_refused(entry) for entry in phones if entry.verdict is Verdict.TOKEN_ROTATED]
        # A phone that asks with the next URL has been told it, however it was.
        knew = {_phone(entry): _knew(entry) for entry in phones if entry.verdict is Verdict.TOKEN_STAGED}
        # The last one that was served; only a whole answer counts: a HEAD has told the phone nothing.
        served: dict[tuple[str, str], Entry] = {}
        held: dict[tuple[str, str], Entry] = {}
        for entry in phones:
            if entry.verdict is Verdict.SERVED and entry.method == "GET":
                if entry.told is None and (before := served.get(_phone(entry))):
                    entry.told = before.told  # of a phone's files one names the next URL
                served[_phone(entry)] = entry
                if entry.held:
                    held[_phone(entry)] = entry
        fetched = [_fetched(entry, held.get(phone)) for phone, entry in served.items()]
        if refused:
            await self._patiently(lambda: self._direct.write(sightings.NOTE_REFUSED, refused))
        if knew:
            await self._patiently(lambda: self._direct.write(sightings.NOTE_TOLD, [*knew.values()]))
        if fetched:
            await self._patiently(lambda: self._direct.write(sightings.NOTE_FETCHED, fetched))
        rows = [*map(_values, entries)]
        await self._patiently(lambda: self._direct.append(Row.__tablename__, _COLUMNS, rows))

    async def _follow_the_clock(self, at: datetime) -> None:
        if at < self._newest - _AHEAD:
            for statement in sightings.SET_BACK:
                await self._patiently(functools.partial(self._direct.write, statement, [(at, at + _AHEAD)]))
        self._newest = at

    async def _patiently(self, write: Callable[[], Awaitable[None]]) -> None:
        until = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            try:
                await write()
                return
            except Busy:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(_RETRY)

    async def _record_stale_fetches(self, entries: Iterable[Entry]) -> None:
        """Enters phones that asked with a rotated token in the activity log: here, so that the refusal of one
        neither waits for it nor tells by its timing whether the account has this MAC address."""
        asked = {
            (entry.account_id, entry.mac): entry.ip
            for entry in entries
            if entry.verdict is Verdict.TOKEN_ROTATED and entry.account_id and entry.mac
        }
        if not asked:
            return
        try:
            async with self._database.write() as session:
                # In one order, so that two servers do not wait in a circle for each other's accounts.
                for (account_id, mac), ip in sorted(asked.items()):
                    known = sa.select(_devices.c.mac).where(
                        _devices.c.account_id == account_id, _devices.c.mac == mac
                    )
                    if await session.scalar(known):
                        await activity.record_stale_fetch(session, account_id, mac, ip=ip)
        except (SQLAlchemyError, OSError) as error:
            # The phone comes again, and is entered then.
            _log.error("a fetch with a rotated token cannot be entered: %s", type(error).__name__)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            with contextlib.suppress(OSError):
                await self.flush()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_DELAY)
            try:
                await asyncio.shield(self.flush())
            except OSError:
                await asyncio.sleep(1)
                self._wake.set()


def ended_as(verdict: Verdict) -> sa.ColumnElement[bool]:
    """Of rows with this verdict. It stands in the statement itself: the database takes a partial index for
    no value that is bound later."""
    return Row.verdict == sa.literal(verdict.value, literal_execute=True)


async def page(
    session: AsyncSession,
    account_id: str,
    mac: str,
    *,
    limit: int,
    cursor: str | None,
    seen_from: str | None = None,
) -> tuple[list[Row], str | None]:
    """The requests of one phone, newest first; `cursor` is the number of an entry.

    While the database is away nobody can tell whose token it is. With `seen_from`, an address from which the
    account's own phone has come, such requests from there are among them, and no other account's.
    """
    owned = Row.account_id == account_id
    if seen_from is not None:
        away = sa.and_(Row.account_id.is_(None), Row.verdict == Verdict.UNAVAILABLE, Row.ip == seen_from)
        owned = sa.or_(owned, away)
    query = sa.select(Row).where(owned, Row.mac == mac)
    if cursor is not None:
        last = await session.get(Row, int(cursor))
        if last is None:  # it has grown too old, and so have those before it
            return [], None
        query = query.where(sa.or_(Row.time < last.time, sa.and_(Row.time == last.time, Row.id < last.id)))
    # Not by number: several servers write what they have gathered, each when its time has come.
    rows = list(await session.scalars(query.order_by(Row.time.desc(), Row.id.desc()).limit(limit + 1)))
    return rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None


def _fetched(entry: Entry, main: Entry | None) -> Sequence[Any]:
    """As `sightings.NOTE_FETCHED` takes it: the phone's last fetch, and the last of its main file."""
    held = main and main.held
    has = (main.time, held.revision, held.edition, held.digest) if main and held else (None,) * 4
    seen = entry.time, entry.ip, entry.generation, entry.firmware
    return *seen, *has, entry.told, entry.account_id, entry.mac


def _phone(entry: Entry) -> tuple[str, str]:
    return entry.account_id or "", entry.mac or ""
