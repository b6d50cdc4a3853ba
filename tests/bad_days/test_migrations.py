"""A migration that is killed, that two servers begin at once, or that a server is too old for."""

import asyncio
import itertools
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from provisioning.db import Database
from tests.shell import Process, Shell

EVERY = 11  # statements; of each one `EVERY = 1` takes a minute


def at_revision(url: str, revision: str) -> None:
    """A database of an older server, with an account in it."""

    def upgrade(connection: sa.Connection) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(resources.files("provisioning") / "migrations"))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        tables = sa.MetaData()
        tables.reflect(connection)
        connection.execute(
            sa.insert(tables.tables["accounts"]).values(
                id="acc_1",
                name="Acme",
                email="ann@acme.example",
                timezone="UTC",
                extension_length=4,
                transcription_enabled=True,
                recording_enabled=False,
                parking_timeout_minutes=9,
                options={"language": "fr"},
                emergency_recipients=[],
                admin_password=b"sealed",
                revision=7,
                created_at=datetime(2026, 11, 24, tzinfo=UTC),
            )
        )

    async def run() -> None:
        database = Database(url)
        async with database.write() as session:
            await (await session.connection()).run_sync(upgrade)
        await database.close()

    asyncio.run(run())


def killed_and_ended(url: str, kills: Path) -> None:
    """In a process that is killed before its first statement, in one before a later one, until one is not."""
    for number in itertools.count(1, EVERY):
        pid = os.fork()
        if pid == 0:
            _migrate(url, number)
        status = os.waitpid(pid, 0)[1]
        if not os.WIFSIGNALED(status):
            assert status == 0
            kills.write_text(str(number // EVERY))
            return


def _migrate(url: str, number: int) -> None:
    seen = 0

    def reach(*_given: object) -> None:
        nonlocal seen
        seen += 1
        if seen >= number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(sa.Engine, "before_cursor_execute", reach)
    event.listen(sa.Engine, "commit", reach)
    status = 1
    try:
        asyncio.run(_migrated(url))
        status = 0
    finally:
        os._exit(status)


async def _migrated(url: str) -> None:
    database = Database(url)
    await database.migrate()
    await database.close()


def schema(url: str) -> dict[str, Any]:
    """The tables with their columns, indexes and constraints, and the accounts."""

    def read(connection: sa.Connection) -> dict[str, Any]:
        seen = sa.inspect(connection)
        found: dict[str, Any] = {
            table: (
                [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)],
                sorted(f"{i['name']} {i['column_names']} {i['unique']}" for i in seen.get_indexes(table)),
                sorted(str(sorted(i.items(), key=str)) for i in seen.get_foreign_keys(table)),
                sorted(str(sorted(i.items(), key=str)) for i in seen.get_unique_constraints(table)),
                sorted(str(sorted(i.items(), key=str)) for i in seen.get_check_constraints(table)),
            )
            for table in seen.get_table_names()
        }
        found["accounts' rows"] = [
            tuple(row) for row in connection.execute(sa.text("SELECT * FROM accounts"))
        ]
        return found

    async def run() -> dict[str, Any]:
        database = Database(url)
        async with database.read() as session:
            found = await (await session.connection()).run_sync(read)
        await database.close()
        return found

    return asyncio.run(run())


def test_wherever_a_migration_is_killed_the_next_one_ends_it(
    new_database: Callable[[str | None], str], engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    whole = schema(request.getfixturevalue(f"_migrated_{engine}"))
    url, said, kills = new_database(None), tmp_path / "said", tmp_path / "kills"
    said.write_text("")
    at_revision(url, "0003")
    process = Process(killed_and_ended, (url, kills), folder=tmp_path, environ={}, out=said, err=said)
    assert process.wait(120) == 0, said.read_text()
    assert int(kills.read_text()) >= 8
    found = schema(url)
    ((account_id, *_),) = found.pop("accounts' rows")
    assert account_id == "acc_1"
    assert found == {name: table for name, table in whole.items() if name != "accounts' rows"}


async def test_a_server_that_is_older_than_its_database_says_so_and_does_not_start(
    database_url: str, tmp_path: Path
) -> None:
    database = Database(database_url)
    async with database.write() as session:
        await session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    shell = Shell(tmp_path, environ={"PROVISIONING_DATABASE_URL": database_url})
    for command in ("serve", "--workers", "2"), ("serve",), ("migrate",):
        said = await asyncio.to_thread(shell.run, *command)
        assert said.returncode == 1
        assert "error: the database has the schema 9999 of a newer version of this server" in said.stderr
        assert "Traceback" not in said.stderr


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_database_that_cannot_be_written_is_named(database_url: str, tmp_path: Path) -> None:
    """A file that is none of SQLite's, and a folder that is not there to be written to."""
    file = Path(database_url.removeprefix("sqlite:///"))
    file.write_bytes(b"no database" * 1000)
    (tmp_path / "a file").write_text("")
    for url, words in (
        (database_url, "error: PROVISIONING_DATABASE_URL: file is not a database"),
        (f"sqlite:///{tmp_path}/a file/provisioning.db", "error: File exists: "),
    ):
        shell = Shell(tmp_path, environ={"PROVISIONING_DATABASE_URL": url})
        said = shell.run("serve")
        assert said.returncode == 1 and words in said.stderr
