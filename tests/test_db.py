"""The database: one schema on both, reads that cannot write, writes that are one transaction."""

import asyncio
from datetime import UTC, datetime
from importlib import resources

import alembic.autogenerate
import alembic.command
import alembic.config
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
    clips,
    devices,
    emergency,
    extensions,
    faxes,
    login_limits,
    numbers,
    outbox,
    revisions,
    sessions,
    sightings,
    ticks,
    uploads,
    users,
)
from provisioning.accounts import General, Telephony
from provisioning.db import Base, Database, new_id
from provisioning.errors import Invalid
from provisioning.vault import Vault

TABLES = (
    accounts,
    activity,
    api_keys,
    boot_log,
    button_templates.library,
    clips,
    devices,
    emergency,
    faxes,
    login_limits,
    numbers,
    outbox,
    sessions,
    sightings,
    ticks,
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


async def test_what_an_account_held_before_it_could_have_numbers_is_carried_over(empty_url: str) -> None:
    database = Database(empty_url)
    account: dict[str, object] = {
        "id": "acc_1",
        "name": "Acme",
        "email": "ann@acme.example",
        "timezone": "UTC",
        "extension_length": 4,
        "transcription_enabled": True,
        "recording_enabled": False,
        "parking_timeout_minutes": 9,
        "options": {"language": "fr"},
        "emergency_recipients": [],
        "admin_password": b"sealed",
        "revision": 7,
    }
    extension: dict[str, object] = {
        "id": "ext_1",
        "account_id": "acc_1",
        "number": "4201",
        "display_name": "Ann",
        "sip_username": "4201",
        "sip_password": b"sealed",
        "voicemail_enabled": True,
    }
    device: dict[str, object] = {
        "id": "dev_1",
        "account_id": "acc_1",
        "mac": "805ec0aabbcc",
        "vendor": "yealink",
        "model": "T46S",
        "name": "",
        "button_overrides": [],
        "options": {},
    }
    rows = {"accounts": account, "extensions": extension, "devices": device}

    def before(connection: sa.Connection) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(resources.files("provisioning") / "migrations"))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0003")
        tables = sa.MetaData()
        tables.reflect(connection)
        for name, row in rows.items():
            made = datetime(2026, 11, 24, tzinfo=UTC)
            connection.execute(sa.insert(tables.tables[name]).values(**row, created_at=made))

    async with database.write() as session:
        await (await session.connection()).run_sync(before)
    await database.migrate()
    async with database.read() as session:
        for table in (accounts.Row, extensions.Row, devices.Row):
            (found,) = await session.scalars(sa.select(table))
            row = rows[table.__tablename__]
            row.pop("revision", None)
            assert {name: getattr(found, name) for name in row} == row
        told = (await accounts.get(session, "acc_1")).telephony
        assert await session.scalar(sa.select(revisions.Row.revision)) == 7
    assert (told.default_outbound_number_id, told.parking_timeout_minutes) == (None, 9)
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
            await accounts.lock(session, account.id)
            minutes = (await accounts.get(session, account.id)).telephony.parking_timeout_minutes
            await accounts.set_telephony(session, account.id, Telephony(parking_timeout_minutes=minutes + 1))

    await asyncio.gather(*(change() for _ in range(40)))
    async with database.read() as session:
        assert (await accounts.get(session, account.id)).telephony.parking_timeout_minutes == 45


def test_ids_sort_by_age() -> None:
    ids = [new_id("dev") for _ in range(3)]
    assert all(len(i) == 30 and i.startswith("dev_") for i in ids)
    assert [i[:14] for i in ids] == sorted(i[:14] for i in ids)


def test_a_database_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="PROVISIONING_DATABASE_URL"):
        Database("mysql://localhost/x")
