"""The boot log keeps 90 days: what is older goes in slices, whoever else is at work."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp.test_utils import TestServer

from provisioning import pruning
from provisioning.app import make_app
from provisioning.boot_log import KEPT, Row
from provisioning.config import Config
from provisioning.db import Database, now
from provisioning.parts import PRUNER
from provisioning.pruning import Pruner, Rounds

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
QUICK = Rounds(pause=0, slice=10)


async def fill(database: Database, times: Iterable[datetime]) -> None:
    """An entry of each time, in this order."""
    async with database.write() as session:
        for number, time in enumerate(times):
            session.add(
                Row(
                    time=time,
                    method="GET",
                    file=f"{number}",
                    status=404,
                    verdict="token_unknown",
                    reason="",
                    ip="192.0.2.1",
                    user_agent="",
                    bytes=0,
                )
            )
            await session.flush()


async def left(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(sa.select(Row.file).order_by(Row.id)))


def pruner(database: Database, rounds: Rounds = QUICK) -> Pruner:
    return Pruner(database, rounds, clock=lambda: NOON)


def old(number: int) -> list[datetime]:
    return [NOON - KEPT - timedelta(seconds=number - each) for each in range(number)]


async def test_it_works(database: Database) -> None:
    await fill(database, [*old(25), NOON - KEPT, NOON])
    assert await pruner(database).round() == 25
    assert await left(database) == ["25", "26"]


def test_ninety_days_are_kept() -> None:
    assert timedelta(days=90) == KEPT


async def test_no_transaction_takes_more_than_a_slice(database: Database) -> None:
    await fill(database, [*old(25), NOON])
    taken: list[int] = []

    def executed(
        _connection: Any, cursor: Any, statement: str, _values: Any, _context: Any, _many: bool
    ) -> None:
        taken.extend([cursor.rowcount] if statement.startswith("DELETE") else [])

    sa.event.listen(database._writers.sync_engine, "after_cursor_execute", executed)
    await pruner(database).round()
    assert taken == [10, 10, 5]


async def test_an_entry_that_another_server_wrote_late_goes_in_its_turn(database: Database) -> None:
    """Servers write what they have gathered when they can: times are not quite in the order of the rows."""
    late = [NOON, NOON - KEPT - timedelta(hours=1), NOON]
    await fill(database, [*old(9), *late])
    assert await pruner(database).round() == 10
    assert await left(database) == ["9", "11"]


async def test_where_nothing_is_old_nothing_is_written(database: Database) -> None:
    await fill(database, [NOON] * 30)
    begun: list[object] = []
    sa.event.listen(database._writers.sync_engine, "begin", begun.append)
    assert await pruner(database).round() == 0
    assert begun == []


async def test_several_servers_at_once_do_no_harm(database: Database) -> None:
    await fill(database, [*old(95), NOON])
    await asyncio.gather(*(pruner(database).round() for _ in range(3)))
    await pruner(database).round()
    assert await left(database) == ["95"]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_on_postgresql_one_server_works_and_the_others_leave_it_alone(database: Database) -> None:
    await fill(database, old(5))
    async with database.write() as session:
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(pruning._LOCK)))
        assert await pruner(database).round() == 0
    assert await pruner(database).round() == 5


async def test_a_server_prunes_as_soon_as_it_runs(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    await fill(database, [now() - KEPT - timedelta(minutes=1), now()])
    app = make_app(Config(database_url=database_url, key_file=tmp_path / "keys.json"), rounds=QUICK)
    async with TestServer(app), asyncio.timeout(60):
        await app[PRUNER].settled()
        assert await left(database) == ["1"]
    await database.close()


async def test_a_database_that_fails_is_asked_again_in_the_next_round(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(database, old(3))
    async with database.write() as session:
        await session.execute(sa.text("ALTER TABLE boot_log RENAME TO away"))
    working = pruner(database, Rounds(every=0, pause=0, slice=10))
    async with working.running(), asyncio.timeout(60):
        await working.settled()
        assert "the boot log cannot be pruned" in caplog.text
        async with database.write() as session:
            await session.execute(sa.text("ALTER TABLE away RENAME TO boot_log"))
        while await left(database):  # the next round follows at once
            pass
