"""The database: the transaction that one request is, and what every table shares."""

import asyncio
import functools
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import alembic.command
import alembic.config
import pydantic
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from provisioning.direct import identity, is_busy
from provisioning.errors import Conflict, invalid
from provisioning.patience import Patience

Form = TypeVar("Form", bound=pydantic.BaseModel)
AnyRow = TypeVar("AnyRow", bound="Base")

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i l o u
_MIGRATION_LOCK: Final = 0x70726F76  # any number that no other program on the database takes
_FOR_EVER: Final = 10**6  # seconds, of what is bounded elsewhere
_BUSY: Final = 250  # ms that SQLite waits for another writer before it says so
_FAILURES: Final = (sa.exc.SQLAlchemyError, OSError, TimeoutError)


class Time(sa.TypeDecorator[datetime]):
    """A moment in UTC; SQLite has no zones and keeps it bare."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


class Base(DeclarativeBase):
    """What every table shares: the names of constraints are the same on every database."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: Time,
        # None is stored as SQL's NULL, not as JSON's null.
        dict[str, Any]: sa.JSON(none_as_null=True),
        list[Any]: sa.JSON(none_as_null=True),
    }


def new_id(kind: str) -> str:
    """`kind` and 26 characters: 48 bit of milliseconds, so that ids sort by age, and 80 random ones."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{kind}_" + "".join(ALPHABET[number >> shift & 31] for shift in range(125, -5, -5))


def now() -> datetime:
    return datetime.now(UTC)


async def clock(session: AsyncSession) -> datetime:
    """The present moment, by the database's clock where several machines share one."""
    if session.get_bind().dialect.name == "postgresql":
        return (await session.execute(sa.select(sa.func.clock_timestamp(type_=Time)))).scalar_one()
    return now()


class Unsure(OSError):
    """The database broke off at the commit: it was done or not, and nobody has said which."""


class Database:
    """Two ways in: `read` sees one snapshot and cannot write, `write` is one transaction.

    On SQLite writers queue for one connection and begin at once, since a transaction that reads first
    and then wants to write fails when another wrote in between. Errors do not repeat the values of a
    statement, which may be secret. Who waits in vain for a connection or for his turn gets a `TimeoutError`.

    `failed` counts the writes that the database did not take, and `fails` is whether the last one was such.
    """

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self.failed, self.fails = 0, False
        scheme, _, rest = url.partition("://")
        if scheme == "sqlite":
            self._readers, self._writers = _sqlite(rest.removeprefix("/"))
            self._migrating = self._writers
        elif scheme in {"postgresql", "postgres"}:
            self._readers, self._writers = _postgresql(rest, self._patience)
            # A migration takes as long as it takes, and so does that of another server.
            self._migrating = create_async_engine(f"postgresql+asyncpg://{rest}", hide_parameters=True)
        else:
            raise invalid("PROVISIONING_DATABASE_URL", "must be sqlite:///FILE or postgresql://…")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self._readers, expire_on_commit=False) as session:
            await self._begun(session)
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Committed when the block ends, rolled back when it raises; `Unsure` where that is unknown."""
        commits = False
        try:
            async with AsyncSession(self._writers, expire_on_commit=False) as session, session.begin():
                await self._begun(session)
                yield session
                await session.flush()  # what the database refuses here is not done, and that is sure
                commits = True
        except _FAILURES as error:
            self.failed, self.fails = self.failed + 1, True
            if commits and self._writers.dialect.name == "postgresql":
                raise Unsure(type(error).__name__) from None
            raise
        self.fails = False

    async def _begun(self, session: AsyncSession) -> None:
        async with asyncio.timeout(self._patience.turn):
            await session.connection()

    async def migrate(self) -> None:
        """Brings the schema to the newest version; safe when several servers start at once.

        Raises `Conflict` when it is newer than what this server knows.
        """
        async with self._migrating.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            await connection.run_sync(_upgrade)
        await self._migrating.dispose()

    async def close(self) -> None:
        await self._readers.dispose()
        await self._writers.dispose()


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[Database]:
    """The database with the newest schema, for as long as the block."""
    database = Database(url)
    try:
        await database.migrate()
        yield database
    finally:
        await database.close()


def _sqlite(file: str) -> tuple[AsyncEngine, AsyncEngine]:
    if not file or file == ":memory:":
        raise invalid("PROVISIONING_DATABASE_URL", "must name a file: sqlite:///FILE")
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).touch(0o600)  # phones' uploads are in it
    # Not to be made anew while the server runs: who moved it away may put it back.
    there = {"mode": "rw", "uri": "true"}
    url = sa.URL.create("sqlite+aiosqlite", database=f"file:{quote(str(Path(file).absolute()))}", query=there)
    # Who waits for a connection is bounded by `Patience`.
    kept: dict[str, Any] = {"hide_parameters": True, "pool_timeout": _FOR_EVER}
    readers = create_async_engine(url, pool_size=4, max_overflow=4, **kept)
    writers = create_async_engine(url, pool_size=1, max_overflow=0, **kept)
    # 16 MB for each.
    _on_sqlite(readers, file, "BEGIN", ("query_only = ON", "cache_size = -16000"))
    # With synchronous=NORMAL a power cut may undo a rotation that was answered.
    _on_sqlite(writers, file, "BEGIN IMMEDIATE", ("synchronous = FULL",))
    return readers, writers


def _on_sqlite(engine: AsyncEngine, file: str, begin: str, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver is not to begin transactions of its own
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY}")
        _use_wal(cursor)
        for pragma in ("foreign_keys = ON", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        record.info["file"] = identity(file)

    @event.listens_for(engine.sync_engine, "checkout")
    def checked(_connection: Any, record: Any, _proxy: Any) -> None:
        # What is written to a file that was moved or replaced would be acknowledged and lost.
        if record.info["file"] != identity(file):
            raise sa.exc.DisconnectionError("the database's file is another one")

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: sa.Connection) -> None:
        while True:
            try:
                connection.exec_driver_sql(begin)
                return
            except sa.exc.OperationalError as error:
                # Waiting in the driver cannot be broken off, so it is done in pieces.
                if not is_busy(error.orig):
                    raise


def _use_wal(cursor: Any) -> None:
    """While another server makes the switch of a new file, ours is refused, whatever `busy_timeout` says."""
    for attempt in range(100):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.02)


def _postgresql(rest: str, patience: Patience) -> tuple[AsyncEngine, AsyncEngine]:
    url = f"postgresql+asyncpg://{rest}"
    # Of a connection that broke off without a word PostgreSQL would hold the locks for hours.
    abandoned = {"idle_in_transaction_session_timeout": str(round(patience.abandoned * 1000))}
    kept: dict[str, Any] = {
        "pool_size": 5,
        "max_overflow": 5,
        "pool_timeout": _FOR_EVER,
        "hide_parameters": True,
        "connect_args": {"timeout": patience.turn, "command_timeout": patience.statement}
        | {"server_settings": abandoned},
    }
    writers = create_async_engine(url, **kept)
    # A read is one snapshot: a body never mixes what two transactions wrote.
    readers = create_async_engine(
        url, isolation_level="REPEATABLE READ", execution_options={"postgresql_readonly": True}, **kept
    )
    for engine in (readers, writers):
        _on_postgresql(engine, patience)
    return readers, writers


def _on_postgresql(engine: AsyncEngine, patience: Patience) -> None:
    @event.listens_for(engine.sync_engine, "checkout")
    def checked(connection: Any, _record: Any, _proxy: Any) -> None:
        """One that was kept may be dead, without a word: then the others are, too."""
        try:
            connection.run_async(lambda driver: driver.execute("SELECT 1", timeout=patience.ping))
        except Exception as error:
            raise sa.exc.InvalidatePoolError(type(error).__name__) from None

    @event.listens_for(engine.sync_engine, "handle_error")
    def failed(context: sa.ExceptionContext) -> None:
        # After it the connection waits for an answer that may never come: it is not asked to roll back.
        if isinstance(context.original_exception, TimeoutError):
            context.is_disconnect = True


def _upgrade(connection: sa.Connection) -> None:
    scripts = _scripts()
    there = set(MigrationContext.configure(connection).get_current_heads())
    if newer := there - {script.revision for script in scripts.walk_revisions()}:
        raise Conflict(
            f"the database has the schema {', '.join(newer)} of a newer version of this server: run that, or"
            " put back a backup from before"
        )
    if there != set(scripts.get_heads()):
        config = _config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(resources.files("provisioning") / "migrations"))
    return config


@functools.cache
def _scripts() -> ScriptDirectory:
    """Read once: that takes longer than all else of a start."""
    return ScriptDirectory.from_config(_config())


def values(row: Base, form: type[Form]) -> Form:
    """The part of a row that `form` describes."""
    return form.model_validate({name: getattr(row, name) for name in form.model_fields})


def assign(row: Base, form: pydantic.BaseModel) -> None:
    """Writes a checked form into the columns of its fields' names."""
    for name, value in form.model_dump(mode="json").items():
        setattr(row, name, value)


async def page(
    session: AsyncSession, query: sa.Select[AnyRow], *, limit: int, cursor: str | None
) -> tuple[list[AnyRow], str | None]:
    """One page of the rows of `query`, newest first by their id, and the cursor of the next page or None."""
    key = query.column_descriptions[0]["entity"].id
    if cursor is not None:
        query = query.where(key < cursor)
    rows = list(await session.scalars(query.order_by(key.desc()).limit(limit + 1)))
    return rows[:limit], getattr(rows[limit - 1], "id") if len(rows) > limit else None  # noqa: B009


async def flush_or_conflict(session: AsyncSession, why: str) -> None:
    """Sends a deletion to the database; raises `Conflict` when something still refers to what goes."""
    try:
        await session.flush()
    except sa.exc.IntegrityError:
        raise Conflict(why) from None


def insert(session: AsyncSession, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say `on_conflict_…`, which both databases know and SQLAlchemy has apart."""
    dialect = session.get_bind().dialect.name
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
