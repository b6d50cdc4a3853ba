"""A rotation is one moment for every client of every worker, whatever is killed meanwhile; and a server for
which it is not is found out."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
import sqlalchemy as sa

from provisioning import activity
from provisioning.db import Database
from tests.conftest import Stock
from tests.rotation import broken
from tests.rotation.conftest import Serving
from tests.rotation.hammer import Hammer, Window
from tokens.table import Row

WINDOW = Window(rotations=8, kills=2)


async def test_one_order_explains_all_that_phones_and_admins_see(serving: Serving, stock: Stock) -> None:
    with serving() as target:
        hammer = Hammer(target)
        async with asyncio.timeout(120), hammer.ready():
            assert await hammer.window(WINDOW) == []
            assert await hammer.window(WINDOW) == []
    told = hammer.counts
    assert told["rotations"] + told["rotations without an answer"] == 16
    # So that it is no test of nothing.
    assert told["rotations"] >= 8 and told["kills"] >= 2 and told["changes"] >= 4 and told["looks"] >= 20
    assert told["served"] >= 50 and told["refused"] >= 20
    assert [name for name in told if name.startswith("answered")] == []
    await left(stock, told["rotations"], told["rotations without an answer"])


async def left(stock: Stock, answered: int, unclear: int) -> None:
    """Each rotation happened wholly, with its entry, or not at all."""
    database = Database(stock.url)
    async with database.read() as session:
        rows = list(await session.scalars(sa.select(Row).order_by(Row.generation)))
        entries = sa.select(sa.func.count()).where(activity.Row.event == "token.rotate")
        entered = await session.scalar(entries.where(activity.Row.outcome == "success"))
        assert await activity.verify(session) is None
    await database.close()
    assert [row.generation for row in rows] == [*range(1, len(rows) + 1)]
    assert [row.state for row in rows] == ["retired"] * (len(rows) - 1) + ["current"]
    assert [row.sealed is None for row in rows] == [True] * (len(rows) - 1) + [False]
    assert entered == len(rows) - 1
    assert answered <= len(rows) - 1 <= answered + unclear


@pytest.mark.parametrize("main", [broken.cached, broken.torn])
async def test_a_broken_server_is_found_out(serving: Serving, main: Callable[[Sequence[str]], int]) -> None:
    with serving(main) as target:
        hammer = Hammer(target)
        async with asyncio.timeout(120), hammer.ready():
            found: list[str] = []
            for _ in range(5):
                found += await hammer.window(Window(rotations=4, kills=0))
                if found:
                    break
    assert broken.SYMPTOMS[main] in " ".join(found)
