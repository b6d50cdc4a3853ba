"""The database: one schema on both, reads that cannot write, writes that are one transaction."""

import asyncio

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa

import button_templates.library
import tokens
from provisioning import (
    accounts,
    activity,
    api_keys,
    boot_log,
    devices,
    emergency,
    login_limits,
    outbox,
    sessions,
    sightings,
    uploads,
    users,
)
from provisioning.accounts import General
from provisioning.db import Base, Database, new_id
from provisioning.errors import Invalid
from provisioning.vault import Vault

TABLES = (
    accounts,
    activity,
    api_keys,
    boot_log,
    button_templates.library,
    devices,
    emergency,
    login_limits,
    outbox,
    sessions,
    sightings,
    tokens,
    uploads,
    users,
)


async def test_the_migrations_make_the_schema_that_the_code_expects(empty_url: str) -> None:
    database = Database(empty_url)
    await database.migrate()

    def differences(connection: sa.Connection) -> object:
        context = alembic.migration.MigrationContext.configure(connection, opts={"compare_type": False})
        return alembic.autogenerate.compare_metadata(context, Base.metadata)

    async with database.read() as session:
        assert await (await session.connection()).run_sync(differences) == []
    await database.close()


async def test_servers_that_start_at_once_migrate_once(empty_url: str) -> None:
    servers = [Database(empty_url) for _ in range(3)]
    await asyncio.gather(*(server.migrate() for server in servers))
    for server in servers:
        await server.close()


async def test_a_read_cannot_write(database: Database, vault: Vault) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        async with database.read() as session:
            await accounts.add(session, vault, General(name="A", email="a@example.com"))


async def test_a_read_sees_one_snapshot(database: Database, vault: Vault) -> None:
    count = sa.select(sa.func.count()).select_from(accounts.Row)
    async with database.read() as reading:
        assert await reading.scalar(count) == 0
        async with database.write() as writing:
            await accounts.add(writing, vault, General(name="A", email="a@example.com"))
        assert await reading.scalar(count) == 0
    async with database.read() as reading:
        assert await reading.scalar(count) == 1


async def test_a_write_that_raises_leaves_nothing(database: Database, vault: Vault) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            await accounts.add(session, vault, General(name="A", email="a@example.com"))
            raise RuntimeError
    async with database.read() as session:
        assert await accounts.find(session, "a@example.com") is None


async def test_no_update_is_lost_when_many_come_at_once(database: Database, vault: Vault) -> None:
    async with database.write() as session:
        account = await accounts.add(session, vault, General(name="A", email="a@example.com"))

    async def change() -> None:
        async with database.write() as session:
            await accounts.touch(session, account.id)

    await asyncio.gather(*(change() for _ in range(40)))
    async with database.read() as session:
        assert (await accounts.get(session, account.id)).revision == 41


def test_ids_sort_by_age() -> None:
    ids = [new_id("dev") for _ in range(3)]
    assert all(len(i) == 30 and i.startswith("dev_") for i in ids)
    assert [i[:14] for i in ids] == sorted(i[:14] for i in ids)


def test_a_database_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="PROVISIONING_DATABASE_URL"):
        Database("mysql://localhost/x")
