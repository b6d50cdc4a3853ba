"""Login limits: 10 failures for one email and 30 from one address in 15 minutes, on all servers."""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from provisioning import login_limits
from provisioning.db import Database
from provisioning.errors import TooMany
from provisioning.login_limits import Row
from provisioning.vault import Vault

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
ANN, HOME = "ann@example.com", "192.0.2.1"


class Door:
    """Where people log in; each way of using it is a transaction."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault

    async def fail(self, email: str = ANN, address: str = HOME, at: datetime = NOON) -> None:
        async with self._database.write() as session:
            await login_limits.admit(session, self._vault, email=email, address=address, at=at)

    async def succeed(self, email: str = ANN, address: str = HOME, at: datetime = NOON) -> None:
        await self.fail(email, address, at)
        async with self._database.write() as session:
            await login_limits.succeeded(session, self._vault, email=email, address=address)


@pytest.fixture
def door(database: Database, vault: Vault) -> Door:
    return Door(database, vault)


async def test_it_works(door: Door) -> None:
    for _ in range(10):
        await door.fail()
    with pytest.raises(TooMany, match="try again in 900 seconds"):
        await door.fail()
    await door.fail("bob@example.com")


async def test_the_wait_is_told_and_ends(door: Door) -> None:
    for number in range(10):
        await door.fail(at=NOON + number * MINUTE)
    with pytest.raises(TooMany) as caught:
        await door.fail(at=NOON + 10 * MINUTE + SECOND / 2)
    assert caught.value.retry_after == 300
    with pytest.raises(TooMany) as caught:
        await door.fail(at=NOON + 15 * MINUTE - SECOND / 1000)
    assert caught.value.retry_after == 1
    await door.fail(at=NOON + 15 * MINUTE)


async def test_a_refused_attempt_does_not_make_the_wait_longer(door: Door) -> None:
    for _ in range(10):
        await door.fail()
    for number in range(20):
        with pytest.raises(TooMany):
            await door.fail(at=NOON + number * SECOND)
    await door.fail(at=NOON + 15 * MINUTE)


async def test_an_email_is_limited_from_everywhere_and_in_any_case(door: Door) -> None:
    for number in range(10):
        await door.fail("Ann@Example.com", f"192.0.2.{number}")
    with pytest.raises(TooMany):
        await door.fail("ann@example.COM", "198.51.100.1")


async def test_an_address_is_limited_for_all_emails(door: Door) -> None:
    for number in range(30):
        await door.fail(f"u{number}@example.com")
    with pytest.raises(TooMany):
        await door.fail("u30@example.com")
    await door.fail("u30@example.com", "192.0.2.2")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "", True),
    ],
)
async def test_a_network_that_one_caller_has_to_himself_is_one_address(
    door: Door, one: str, other: str, same: bool
) -> None:
    for number in range(30):
        await door.fail(f"u{number}@example.com", one)
    with pytest.raises(TooMany) if same else nullcontext():
        await door.fail("u30@example.com", other)


async def test_success_forgets_the_failures_of_the_email(door: Door) -> None:
    for _ in range(9):
        await door.fail()
    await door.succeed()
    for _ in range(10):
        await door.fail()
    with pytest.raises(TooMany):
        await door.fail()


async def test_who_has_an_account_does_not_get_more_guesses_by_it(door: Door) -> None:
    for number in range(15):
        await door.fail(f"a{number}@example.com")
        await door.succeed("eve@example.com")
        await door.fail(f"b{number}@example.com")
    with pytest.raises(TooMany):
        await door.fail("last@example.com")


async def test_successes_do_not_count(door: Door) -> None:
    for number in range(40):
        await door.succeed(f"u{number}@example.com")


async def test_guesses_that_come_at_once_are_limited_as_others(door: Door) -> None:
    ended = await asyncio.gather(*(door.fail() for _ in range(30)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in ended) == ["NoneType"] * 10 + ["TooMany"] * 20


async def test_logins_that_come_at_once_do_not_get_in_each_others_way(door: Door) -> None:
    for number in range(20):
        await door.succeed(f"u{number}@example.com", f"192.0.2.{number}", NOON - 16 * MINUTE)
        await door.fail(f"u{number}@example.com", f"192.0.2.{number}", NOON - 16 * MINUTE)
    at_once = [(f"u{number % 7}@example.com", f"192.0.2.{number % 5}") for number in range(40)]
    await asyncio.gather(*(door.succeed(email, address) for email, address in at_once))


async def test_old_counts_are_removed_in_passing(door: Door, database: Database) -> None:
    for number in range(5):
        await door.fail(f"u{number}@example.com", f"192.0.2.{number}")
    await door.fail(at=NOON + 15 * MINUTE)
    async with database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Row)) == 2


@pytest.mark.parametrize("email", ["", "hunter2", "\0", "\ud800", "x" * 10_000])
async def test_whatever_is_typed_as_an_email_is_counted(door: Door, email: str) -> None:
    for _ in range(10):
        await door.fail(email)
    with pytest.raises(TooMany):
        await door.fail(email)


async def test_neither_emails_nor_addresses_are_kept_in_clear(door: Door, database: Database) -> None:
    await door.fail("hunter2")
    async with database.read() as session:
        rows = list(await session.scalars(sa.select(Row)))
    assert len(rows) == 2
    assert "hunter2" not in repr([vars(row) for row in rows])
    assert HOME not in repr([vars(row) for row in rows])
