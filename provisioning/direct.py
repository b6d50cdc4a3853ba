"""The database by its own driver, for what each request of a phone needs: a look, and a row of the log.

The same through SQLAlchemy costs ten times as much. What goes wrong is an `OSError`, which tells no values.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning.patience import Patience

T = TypeVar("T")
_BUSY: Final = 250  # ms that SQLite may take to be ready for a look, in which nobody else is served
_LOOK: Final = "SELECT 1 FROM provisioning_tokens LIMIT 1"
_UNTIL_CHECKPOINT: Final = 20_000  # rows
_CLOSING: Final = 2  # seconds in which a connection may say that it ends

Rows = Sequence[Sequence[Any]]


class Busy(OSError):
    """Another writer is in the way of this one; on SQLite there is one at a time."""


class Direct(Protocol):
    has_version: bool  # whether `version` can be told, and at once

    async def answers(self) -> None:
        """Looks where each request of a phone does, on a way of its own."""

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


def direct(url: str, patience: Patience | None = None) -> Direct:
    """`url` is the database's, which `Database` has checked."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return Sqlite(rest.removeprefix("/"))
    return Postgresql(f"postgresql://{rest}", (patience or Patience()).phone)


def identity(file: str) -> tuple[int, int] | None:
    """Another one for another file of the same name; None where there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 (each look asks, and a Path costs as much again)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_busy(error: BaseException | None) -> bool:
    """Whether it says that another writer is in the way, on SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


class Sqlite:
    """One connection, in the loop's own thread. A look or a row takes 6 µs, less than the way to another
    thread, which would fight with ours for the interpreter; and what the connection writes itself leaves
    its cache whole."""

    has_version = True

    def __init__(self, file: str) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._written = 0
        self._checkpoint: asyncio.Task[None] | None = None

    def _open(self) -> sqlite3.Connection:
        """What is read from a file that was moved or replaced may no longer be true."""
        if self._connection is not None and self._identity != identity(self._file):
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._identity = identity(self._file)
            connection = _connect(self._file)
            connection.execute(f"PRAGMA busy_timeout = {_BUSY}")
            # Nothing here waits for the disk: a power cut may take the newest rows of the log, while the
            # file stays whole, and a checkpoint is made elsewhere.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            self._connection = connection
        return self._connection

    async def answers(self) -> None:
        await self.select(_LOOK, ())

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
                connection.execute(f"PRAGMA busy_timeout = {_BUSY}")
            try:
                connection.executemany(statement, rows)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise (Busy if is_busy(error) else OSError)(type(error).__name__) from None
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


def _connect(file: str) -> sqlite3.Connection:
    """To a file that is there: none is made."""
    return sqlite3.connect(
        f"file:{quote(str(Path(file).absolute()))}?mode=rw", uri=True, isolation_level=None
    )


def _checkpoint(file: str) -> None:
    """Moves what was written from the log file of SQLite into its database file; nobody waits for it."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect(file)) as connection:
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

    def __init__(self, url: str, seconds: float) -> None:
        """`seconds` are those that the database has for an answer."""
        self._url, self._seconds = url, seconds
        self._selecting = asyncio.Lock()  # a connection does one thing at a time
        self._answering = asyncio.Lock()
        self._connections: dict[str, Any] = {}
        self._prepared: dict[str, tuple[Any, Any]] = {}  # by text, with its connection

    async def _open(self, use: str) -> Any:
        import asyncpg  # an extra: SQLite does without

        connection = self._connections.get(use)
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(
                self._url,
                timeout=self._seconds,
                command_timeout=self._seconds,
                # As on SQLite: a power cut may take the newest rows of the log.
                server_settings={"synchronous_commit": "off"},
            )
            self._connections[use] = connection
        return connection

    async def answers(self) -> None:
        async with self._answering:
            await self._do("answers", lambda connection: connection.fetchval(_LOOK))

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
            try:
                return await self._work(use, work)
            except Exception as error:
                if not kept or use in self._connections or isinstance(error, TimeoutError):
                    raise
                return await self._work(use, work)
        except Exception as error:
            raise OSError(type(error).__name__) from None

    async def _work(self, use: str, work: Callable[[Any], Awaitable[T]]) -> T:
        connection = await self._open(use)
        try:
            return await work(connection)
        except (TimeoutError, asyncio.CancelledError):
            connection.terminate()  # the next one would wait for what this one was to be told
            raise
        finally:
            if connection.is_closed() and self._connections.get(use) is connection:
                del self._connections[use]

    async def close(self) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError, TimeoutError):
                await connection.close(timeout=_CLOSING)


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
