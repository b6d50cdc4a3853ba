"""Sessions: a cookie is good for 12 hours, for 2 idle ones, and while its user is who logged in."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from provisioning import accounts, callers, sessions, users
from provisioning.accounts import General
from provisioning.db import Database
from provisioning.errors import Conflict
from provisioning.fields import check
from provisioning.sessions import Row
from provisioning.users import User, UserForm, UserPatch
from provisioning.vault import Vault

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture
async def ann(database: Database, vault: Vault) -> User:
    """A second admin, so that she may be deleted."""
    hashed = "not a hash"
    async with database.write() as session:
        account = await accounts.add(session, vault, General(name="A", email="a@example.com"))
        made = [
            await users.create(
                session,
                account.id,
                UserForm(email=email, name="Ann", role="admin", password="x" * 10),
                password_hash=hashed,
            )
            for email in ("bob@example.com", "ann@example.com")
        ]
    return made[1]


async def start(database: Database, vault: Vault, user: User, at: datetime = NOON) -> str:
    async with database.write() as session:
        return await sessions.start(session, vault, user, at=at)


async def find(database: Database, vault: Vault, cookie: str, at: datetime = NOON) -> sessions.Session | None:
    async with database.read() as session:
        return await sessions.find(session, vault, cookie, at=at)


async def use(database: Database, vault: Vault, cookie: str, at: datetime) -> bool:
    """What every request does. False when the cookie is no good."""
    async with database.write() as session:
        caller = await callers.recognise(session, vault, bearer=None, cookie=cookie, at=at)
        if caller:
            await callers.touch(session, caller, at=at)
        return caller is not None


async def count(database: Database) -> int | None:
    async with database.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(Row))


async def test_it_works(database: Database, vault: Vault, ann: User) -> None:
    cookie = await start(database, vault, ann)
    found = await find(database, vault, cookie)
    assert found and (found.user, found.digest) == (ann, vault.digest(cookie))


async def test_no_two_cookies_are_alike(database: Database, vault: Vault, ann: User) -> None:
    cookies = {await start(database, vault, ann) for _ in range(5)}
    assert {len(cookie) for cookie in cookies} == {43}
    assert len(cookies) == 5


@pytest.mark.parametrize("cookie", ["", "x" * 43, "x" * 44, "\ud800" * 43, "\0"])
async def test_a_cookie_of_nobody_finds_nobody(
    database: Database, vault: Vault, ann: User, cookie: str
) -> None:
    await start(database, vault, ann)
    assert await find(database, vault, cookie) is None
    async with database.write() as session:
        await sessions.end(session, vault, cookie)
    assert await count(database) == 1


async def test_a_session_ends_after_2_idle_hours(database: Database, vault: Vault, ann: User) -> None:
    cookie = await start(database, vault, ann)
    assert await find(database, vault, cookie, NOON + 2 * HOUR - SECOND)
    assert await find(database, vault, cookie, NOON + 2 * HOUR) is None


async def test_a_session_in_use_ends_after_12_hours(database: Database, vault: Vault, ann: User) -> None:
    cookie = await start(database, vault, ann)
    for hours in range(1, 12):
        assert await use(database, vault, cookie, NOON + hours * HOUR)
    assert await use(database, vault, cookie, NOON + 12 * HOUR - SECOND)
    assert not await use(database, vault, cookie, NOON + 12 * HOUR)


async def test_use_is_noted_at_most_once_a_minute(database: Database, vault: Vault, ann: User) -> None:
    cookie = await start(database, vault, ann)
    seen = []
    for after in (59 * SECOND, MINUTE, MINUTE + 59 * SECOND, 2 * MINUTE):
        assert await use(database, vault, cookie, NOON + after)
        async with database.read() as session:
            seen.append((await session.scalars(sa.select(Row.seen_at))).one() - NOON)
    assert seen == [timedelta(0), MINUTE, MINUTE, 2 * MINUTE]


async def test_a_server_that_is_late_does_not_turn_the_clock_back(
    database: Database, vault: Vault, ann: User
) -> None:
    cookie = await start(database, vault, ann)
    async with database.write() as session:
        await sessions.touch(session, vault.digest(cookie), at=NOON + HOUR)
        await sessions.touch(session, vault.digest(cookie), at=NOON + MINUTE)
        assert (await session.scalars(sa.select(Row.seen_at))).one() == NOON + HOUR


async def test_logging_out_ends_one_session(database: Database, vault: Vault, ann: User) -> None:
    here, there = [await start(database, vault, ann) for _ in range(2)]
    async with database.write() as session:
        await sessions.end(session, vault, here)
    assert await find(database, vault, here) is None
    assert await find(database, vault, there)


@pytest.mark.parametrize("change", [{"password": "another password"}, {"role": "viewer"}])
async def test_another_password_or_role_ends_the_users_sessions(
    database: Database, vault: Vault, ann: User, change: dict[str, str]
) -> None:
    cookie = await start(database, vault, ann)
    async with database.write() as session:
        changed = await users.update(session, ann.account_id, ann.id, check(UserPatch, change))
    assert await find(database, vault, cookie) is None
    assert await find(database, vault, await start(database, vault, changed))


async def test_a_password_set_by_an_operator_ends_the_users_sessions(
    database: Database, vault: Vault, ann: User
) -> None:
    cookie = await start(database, vault, ann)
    async with database.write() as session:
        await users.set_password(session, ann.account_id, ann.email, "another password")
    assert await find(database, vault, cookie) is None


@pytest.mark.parametrize("change", [{"name": "Ann B."}, {"email": "ann.b@example.com"}, {"role": "admin"}])
async def test_other_changes_of_a_user_leave_the_sessions(
    database: Database, vault: Vault, ann: User, change: dict[str, str]
) -> None:
    cookie = await start(database, vault, ann)
    async with database.write() as session:
        changed = await users.update(session, ann.account_id, ann.id, check(UserPatch, change))
    found = await find(database, vault, cookie)
    assert found and found.user == changed


async def test_deleting_a_user_ends_their_sessions(database: Database, vault: Vault, ann: User) -> None:
    cookie = await start(database, vault, ann)
    async with database.write() as session:
        await users.delete(session, ann.account_id, ann.id)
    assert await find(database, vault, cookie) is None
    assert await count(database) == 0
    with pytest.raises(Conflict):
        await start(database, vault, ann)


async def test_a_login_that_a_password_change_overtook_is_of_no_use(
    database: Database, vault: Vault, ann: User
) -> None:
    async with database.write() as session:
        await users.set_password(session, ann.account_id, ann.email, "another password")
    assert await find(database, vault, await start(database, vault, ann)) is None


async def test_expired_sessions_are_removed_in_passing(database: Database, vault: Vault, ann: User) -> None:
    for _ in range(3):
        await start(database, vault, ann)
    await start(database, vault, ann, NOON + HOUR)
    last = await start(database, vault, ann, NOON + 2 * HOUR)
    assert await count(database) == 2
    assert await find(database, vault, last, NOON + 2 * HOUR)


async def test_logins_at_once_do_not_get_in_each_others_way(
    database: Database, vault: Vault, ann: User
) -> None:
    for _ in range(20):
        await start(database, vault, ann)
    later = NOON + 2 * HOUR
    cookies = await asyncio.gather(*(start(database, vault, ann, later) for _ in range(8)))
    assert all([await find(database, vault, cookie, later) for cookie in cookies])


async def test_a_cookie_is_nowhere_in_clear(database: Database, vault: Vault, ann: User) -> None:
    cookie = await start(database, vault, ann)
    async with database.read() as session:
        row = (await session.scalars(sa.select(Row))).one()
        caller = await callers.recognise(session, vault, bearer=None, cookie=cookie, at=NOON)
    assert caller and caller.session == row.digest == vault.digest(cookie)
    assert cookie.encode() not in row.digest
    assert cookie not in repr([vars(row), caller])
    assert repr(row.digest) not in repr([caller, await find(database, vault, cookie)])
