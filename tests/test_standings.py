"""How a token stands is asked of the database after the request has come, and one look serves many."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

import tokens
from provisioning.db import Database, now
from provisioning.direct import Direct, Postgresql, Rows, direct
from provisioning.patience import Patience
from provisioning.standings import Standings
from provisioning.vault import Vault, open_vault
from tests.conftest import Stock


@pytest.fixture
async def way(stock: Stock) -> AsyncIterator[Direct]:
    way = direct(stock.url)
    yield way
    await way.close()


@pytest.fixture
def own_vault(stock: Stock) -> Vault:
    return open_vault(stock.key_file)


async def test_it_tells_the_account_the_generation_and_the_revision(
    stock: Stock, way: Direct, own_vault: Vault
) -> None:
    standings = Standings(way, own_vault, Patience())
    before = await standings.of(stock.token)
    assert before and (before.account_id, before.generation, before.retired_at) == (stock.account_id, 1, None)
    database = Database(stock.url)
    async with database.write() as session:
        new = await tokens.rotate(session, own_vault, stock.account_id, actor="user/ann@example.com")
    await database.close()
    old, current = await standings.of(stock.token), await standings.of(new.text)
    assert old and old.retired_at and (old.generation, old.retired_by) == (1, "user/ann@example.com")
    assert current and (current.generation, current.retired_at) == (2, None)
    assert current.revision > before.revision


async def test_no_rotation_is_missed_however_many_there_are(
    stock: Stock, way: Direct, own_vault: Vault
) -> None:
    """While the way itself writes, too, as the boot log does."""
    standings, database = Standings(way, own_vault, Patience()), Database(stock.url)
    held = stock.token
    for _ in range(100):
        assert (found := await standings.of(held)) and found.retired_at is None
        await way.write("DELETE FROM boot_log WHERE time < ?", [(now(),)])
        async with database.write() as session:
            new = await tokens.rotate(session, own_vault, stock.account_id, actor="system")
        old, current = await standings.of(held), await standings.of(new.text)
        assert old and old.retired_at and current and current.retired_at is None
        held = new.text
    await database.close()


async def test_what_is_no_token_costs_no_look(stock: Stock, own_vault: Vault) -> None:
    standings = Standings(Counting(), own_vault, Patience())
    assert await standings.of("ppt" + "0" * 39) is None
    assert await standings.of("") is None
    assert Counting.looks == []


async def test_requests_that_wait_together_share_the_next_look(own_vault: Vault, stock: Stock) -> None:
    standings, made = Standings(Counting(), own_vault, Patience()), tokens.make()
    first = asyncio.create_task(standings.of(stock.token))
    while not Counting.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    # The first look is under way; these came after it began, so that it cannot speak for them.
    others = [asyncio.create_task(standings.of(token)) for token in (stock.token, made, stock.token)]
    Counting.go.set()
    assert await asyncio.gather(first, *others) == [None] * 4
    assert [len(keys) for keys in Counting.looks] == [1, 2]


async def test_who_comes_while_the_database_is_silent_waits_no_longer_than_others(
    own_vault: Vault, stock: Stock
) -> None:
    loop, phone = asyncio.get_running_loop(), 0.5
    standings = Standings(Counting(), own_vault, Patience(phone=phone))

    async def wait() -> float:
        came = loop.time()
        with pytest.raises(TimeoutError):
            await standings.of(stock.token)
        return loop.time() - came

    first = asyncio.create_task(wait())
    while not Counting.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        waited = await asyncio.gather(first, wait())
    assert all(phone <= each < 2 * phone for each in waited), waited


async def test_one_who_goes_away_takes_no_answer_from_the_others(own_vault: Vault, stock: Stock) -> None:
    standings = Standings(Counting(), own_vault, Patience())
    gone, stays = (asyncio.create_task(standings.of(stock.token)) for _ in range(2))
    while not Counting.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    gone.cancel()
    Counting.go.set()
    assert await stays is None


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_connection_that_was_lost_is_made_again(way: Direct, own_vault: Vault, stock: Stock) -> None:
    standings = Standings(way, own_vault, Patience())
    assert await standings.of(stock.token)
    assert isinstance(way, Postgresql)
    for connection in way._connections.values():
        connection.terminate()
    assert await standings.of(stock.token)


async def test_a_version_speaks_for_all_that_wait_in_the_loop_and_for_nobody_who_comes_later(
    own_vault: Vault, stock: Stock
) -> None:
    turns = Turns()
    standings, chance = Standings(turns, own_vault, Patience()), random.Random(20)

    async def ask() -> int:
        """By how many commits the answer is older than the request."""
        before = turns.commits
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
            before = turns.commits
        found = await standings.of(stock.token)
        assert found
        return before - found.revision

    asked: list[asyncio.Task[int]] = []
    for _ in range(3000):
        asked += [asyncio.create_task(ask()) for _ in range(chance.randrange(4))]
        turns.commits += chance.randrange(2)
        if chance.randrange(3) == 0:
            await asyncio.sleep(0)
    assert max(await asyncio.gather(*asked)) <= 0
    assert turns.versions < len(asked) / 2


class Counting:
    """A way to a database that answers nothing, and only when it is told to."""

    has_version = False
    looks: list[Sequence[bytes]]
    go: asyncio.Event

    def __init__(self) -> None:
        Counting.looks, Counting.go = [], asyncio.Event()

    async def answers(self) -> None: ...

    async def find(self, select: str, keys: Sequence[bytes]) -> Sequence[Any]:
        Counting.looks.append(keys)
        await Counting.go.wait()
        return []

    async def select(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        raise AssertionError

    def version(self) -> int:
        raise AssertionError

    async def write(self, statement: str, rows: Rows) -> None:
        raise AssertionError

    async def append(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        raise AssertionError

    async def close(self) -> None: ...


class Turns(Counting):
    """A database whose version and revision are the number of commits."""

    has_version = True

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.versions = 0

    def version(self) -> int:
        self.versions += 1
        return self.commits

    async def find(self, select: str, keys: Sequence[bytes]) -> Sequence[Any]:
        return [(keys[0], "acc_1", 1, self.commits, "current", None, None)]
