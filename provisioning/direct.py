"""The database by its own driver, for what each request of a phone needs: a look, and a row of the log.

The same through SQLAlchemy costs ten times as much. What goes wrong is an `OSError`, which tells no values.
"""

import asyncio
import contextlib
import functools
import itertools
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

T = TypeVar("T")
_SECONDS: Final = 10  # that the database has for an answer
_UNTIL_CHECKPOINT: Final = 20_000  # rows

Rows = Sequence[Sequence[Any]]


class Busy(OSError):
    """Another writer is in the way of this one; on SQLite there is one at a time."""


class Direct(Protocol):
    has_version: bool  # whether `version` can be told, and at once

    async def find(self, select: str, keys: Sequence[bytes]) -> Sequence[Any]:
        """The rows of a SELECT that ends in the column of which `keys` are wanted."""

    async def select(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        """The rows of a SELECT with `?` for its values."""

    def version(self) -> int:
        """Another number after each commit of anybody else."""

    async def write(self, statement: str, rows: Rows) -> None:
        """Runs the statement, with `?` for its values, with each row in one transaction.

        Raises `Busy` without waiting.
        """

    async def append(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        """Inserts them all or none. Raises `Busy` without waiting."""

    async def close(self) -> None: ...


def direct(url: str) -> Direct:
    """`url` is the database's, which `Database` has checked."""
    scheme, _, rest = url.partition("://")
    return Sqlite(rest.removeprefix("/")) if scheme == "sqlite" else Postgresql(f"postgresql://{rest}")


class Sqlite:
    """One connection, in the loop's own thread. A look or a row takes 6 µs, less than the way to another
    thread, which would fight with ours for the interpreter; and what the connection writes itself leaves
    its cache whole."""

    has_version = True

    def __init__(self, file: str) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._written = 0
        self._checkpoint: asyncio.Task[None] | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._file, isolation_level=None, timeout=_SECONDS)
            # Nothing here waits for the disk: a power cut may take the newest rows of the log, while the
            # file stays whole, and a checkpoint is made elsewhere.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._connection = connection
        return self._connection

    async def find(self, select: str, keys: Sequence[bytes]) -> Sequence[Any]:
        return await self.select(f"{select} IN ({', '.join('?' * len(keys))})", keys)

    async def select(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        try:
            # A cursor left open would hold on to its snapshot: fetchall closes it.
            return self._open().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise OSError(type(error).__name__) from None

    def version(self) -> int:
        try:
            (version,) = self._open().execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise OSError(type(error).__name__) from None
        return int(version)

    async def write(self, statement: str, rows: Rows) -> None:
        try:
            connection = self._open()
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                connection.execute(f"PRAGMA busy_timeout = {_SECONDS * 1000}")
            try:
                connection.executemany(statement, rows)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            raise (Busy if busy else OSError)(type(error).__name__) from None
        self._written += len(rows)
        if self._written >= _UNTIL_CHECKPOINT:
            self._written = 0
            self._checkpoint = asyncio.create_task(asyncio.to_thread(_checkpoint, self._file))

    async def append(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        places = ", ".join("?" * len(columns))
        await self.write(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608

    async def close(self) -> None:
        if self._checkpoint is not None:
            await self._checkpoint
        if self._connection is not None:
            self._connection.close()


def _checkpoint(file: str) -> None:
    """Moves what was written from the log file of SQLite into its database file; nobody waits for it."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _text(moment: datetime) -> str:
    """`2026-11-24 17:40:32.000000` in UTC."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[:26]


# A moment as SQLAlchemy keeps it.
sqlite3.register_adapter(datetime, _text)


class Postgresql:
    """A connection for each use, so that no look waits for a write."""

    has_version = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._selecting = asyncio.Lock()  # a connection does one thing at a time
        self._connections: dict[str, Any] = {}
        self._prepared: dict[str, tuple[Any, Any]] = {}  # by text, with its connection

    async def _open(self, use: str) -> Any:
        import asyncpg  # an extra: SQLite does without

        connection = self._connections.get(use)
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(
                self._url,
                timeout=_SECONDS,
                command_timeout=_SECONDS,
                # As on SQLite: a power cut may take the newest rows of the log.
                server_settings={"synchronous_commit": "off"},
            )
            self._connections[use] = connection
        return connection

    async def find(self, select: str, keys: Sequence[bytes]) -> Sequence[Any]:
        return await self._do("find", lambda connection: self._fetch(connection, f"{select} = ANY($1)", keys))

    async def select(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        async with self._selecting:
            return await self._do(
                "select", lambda connection: self._fetch(connection, _numbered(statement), *values)
            )

    async def _fetch(self, connection: Any, statement: str, *values: Any) -> Sequence[Any]:
        # Half of asyncpg's own time goes into finding the statement again.
        of, prepared = self._prepared.pop(statement, (None, None))
        if of is not connection:
            prepared = await connection.prepare(statement)
        found: Sequence[Any] = await prepared.fetch(*values)
        self._prepared[statement] = connection, prepared
        return found

    def version(self) -> int:
        raise NotImplementedError

    async def write(self, statement: str, rows: Rows) -> None:
        await self._do("write", lambda connection: connection.executemany(_numbered(statement), rows))

    async def append(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        def work(connection: Any) -> Awaitable[object]:
            copied: Awaitable[object] = connection.copy_records_to_table(table, records=rows, columns=columns)
            return copied

        await self._do("write", work)

    async def _do(self, use: str, work: Callable[[Any], Awaitable[T]]) -> T:
        """Once more where a connection that was kept turns out to be gone."""
        kept = use in self._connections
        try:
            connection = await self._open(use)
            try:
                return await work(connection)
            except Exception:
                if not (kept and connection.is_closed()):
                    raise
                return await work(await self._open(use))
        except Exception as error:
            raise OSError(type(error).__name__) from None

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()


@functools.cache
def _numbered(statement: str) -> str:
    numbers = itertools.count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", statement)


async def select(session: AsyncSession, statement: str, values: Sequence[Any]) -> Sequence[Any]:
    """As `Direct.select`, in the snapshot of a session."""
    connection = await session.connection()
    if connection.dialect.name == "postgresql":
        statement = _numbered(statement)
    return (await connection.exec_driver_sql(statement, tuple(values))).fetchall()
