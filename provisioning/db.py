"""The database: the transaction that one request is, and what every table shares."""

import secrets
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import alembic.command
import alembic.config
import pydantic
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from provisioning.errors import Conflict, invalid

Form = TypeVar("Form", bound=pydantic.BaseModel)
AnyRow = TypeVar("AnyRow", bound="Base")

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i l o u
_MIGRATION_LOCK: Final = 0x70726F76  # any number that no other program on the database takes


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


class Database:
    """Two ways in: `read` sees one snapshot and cannot write, `write` is one transaction.

    On SQLite writers queue for one connection and begin at once, since a transaction that reads first
    and then wants to write fails when another wrote in between. Errors do not repeat the values of a
    statement, which may be secret.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        if scheme == "sqlite":
            self._readers, self._writers = _sqlite(rest.removeprefix("/"))
        elif scheme in {"postgresql", "postgres"}:
            self._readers, self._writers = _postgresql(rest)
        else:
            raise invalid("PROVISIONING_DATABASE_URL", "must be sqlite:///FILE or postgresql://…")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self._readers, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Committed when the block ends, rolled back when it raises."""
        async with AsyncSession(self._writers, expire_on_commit=False) as session, session.begin():
            yield session

    async def migrate(self) -> None:
        """Brings the schema to the newest version; safe when several servers start at once."""
        async with self._writers.begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            await connection.run_sync(_upgrade)

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
    url = sa.URL.create("sqlite+aiosqlite", database=file)
    readers = create_async_engine(url, pool_size=4, max_overflow=4, hide_parameters=True)
    writers = create_async_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)
    _on_sqlite(readers, "BEGIN", ("query_only = ON", "cache_size = -16000"))  # 16 MB for each
    # With synchronous=NORMAL a power cut may undo a rotation that was answered.
    _on_sqlite(writers, "BEGIN IMMEDIATE", ("synchronous = FULL",))
    return readers, writers


def _on_sqlite(engine: AsyncEngine, begin: str, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver is not to begin transactions of its own
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 10000")
        _use_wal(cursor)
        for pragma in ("foreign_keys = ON", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)


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


def _postgresql(rest: str) -> tuple[AsyncEngine, AsyncEngine]:
    url = f"postgresql+asyncpg://{rest}"
    writers = create_async_engine(url, pool_size=5, max_overflow=5, pool_pre_ping=True, hide_parameters=True)
    # A read is one snapshot: a body never mixes what two transactions wrote.
    readers = create_async_engine(
        url,
        pool_size=5,
        max_overflow=5,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )
    return readers, writers


def _upgrade(connection: sa.Connection) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(resources.files("provisioning") / "migrations"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


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
