"""API keys: shown once, good until deleted, and better than any cookie that comes with them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from provisioning import accounts, api_keys, callers, sessions, users
from provisioning.accounts import General
from provisioning.api_keys import ApiKey, ApiKeyForm, Row
from provisioning.callers import Caller
from provisioning.db import Database
from provisioning.errors import Invalid, NotFound
from provisioning.fields import check
from provisioning.users import UserForm
from provisioning.vault import Vault

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def new_account(database: Database, vault: Vault) -> str:
    async with database.write() as session:
        return (await accounts.add(session, vault, General(name="A", email="a@example.com"))).id


@pytest.fixture
async def account(database: Database, vault: Vault) -> str:
    return await new_account(database, vault)


async def create(database: Database, vault: Vault, account: str, role: str = "admin") -> tuple[ApiKey, str]:
    async with database.write() as session:
        form = check(ApiKeyForm, {"name": "script", "role": role})
        return await api_keys.create(session, vault, account, form)


async def recognise(
    database: Database, vault: Vault, bearer: str | None, cookie: str | None = None, at: datetime = NOON
) -> Caller | None:
    async with database.read() as session:
        return await callers.recognise(session, vault, bearer=bearer, cookie=cookie, at=at)


async def test_it_works(database: Database, vault: Vault, account: str) -> None:
    key, text = await create(database, vault, account, "switch")
    assert re.fullmatch(r"ppk_[A-Za-z0-9_-]{43}", text)
    assert (key.name, key.role, key.id[:3], key.last_used_at) == ("script", "switch", "ak_", None)
    assert await recognise(database, vault, text) == Caller(
        account, f"api_key/{key.id}", "switch", "api_key", api_key_id=key.id
    )
    async with database.read() as session:
        assert await api_keys.get(session, account, key.id) == key


async def test_a_key_can_be_made_for_its_text_alone(database: Database, vault: Vault, account: str) -> None:
    async with database.write() as session:
        text = await api_keys.add(session, vault, account, name="first", role="admin")
    assert await recognise(database, vault, text)


def test_a_role_that_there_is_not_is_refused() -> None:
    with pytest.raises(Invalid, match="role"):
        check(ApiKeyForm, {"name": "script", "role": "root"})


@pytest.mark.parametrize("bearer", ["", "ppk_" + "x" * 43, "x" * 47, "ppk_" + "\ud800" * 43, "\0"])
async def test_a_key_of_nobody_finds_nobody(
    database: Database, vault: Vault, account: str, bearer: str
) -> None:
    await create(database, vault, account)
    assert await recognise(database, vault, bearer) is None


async def test_a_deleted_key_is_good_for_nothing(database: Database, vault: Vault, account: str) -> None:
    key, text = await create(database, vault, account)
    async with database.write() as session:
        await api_keys.delete(session, account, key.id)
    assert await recognise(database, vault, text) is None
    async with database.read() as session:
        with pytest.raises(NotFound, match="there is no such API key"):
            await api_keys.get(session, account, key.id)


async def test_another_accounts_key_is_not_there(database: Database, vault: Vault, account: str) -> None:
    key, text = await create(database, vault, account)
    other = await new_account(database, vault)
    for use in (api_keys.get, api_keys.delete):
        with pytest.raises(NotFound):
            async with database.write() as session:
                await use(session, other, key.id)
    assert await recognise(database, vault, text)


async def test_keys_are_listed_newest_first_in_pages(database: Database, vault: Vault, account: str) -> None:
    made = [(await create(database, vault, account))[0] for _ in range(3)]
    await create(database, vault, await new_account(database, vault))
    async with database.read() as session:
        first, cursor = await api_keys.page(session, account, limit=2, cursor=None)
        second, end = await api_keys.page(session, account, limit=2, cursor=cursor)
    assert first + second == sorted(made, key=lambda key: key.id, reverse=True)
    assert (len(first), end) == (2, None)


async def test_the_last_use_is_noted_at_most_once_a_minute(
    database: Database, vault: Vault, account: str
) -> None:
    key, text = await create(database, vault, account)
    noted = []
    for seconds in (0, 59, 60, 119, 120):
        at = NOON + seconds * SECOND
        async with database.write() as session:
            caller = await callers.recognise(session, vault, bearer=text, cookie=None, at=at)
            assert caller
            await callers.touch(session, caller, at=at)
        async with database.read() as session:
            used = (await api_keys.get(session, account, key.id)).last_used_at
            noted.append(used and (used - NOON).total_seconds())
    assert noted == [0, 0, 60, 60, 120]


async def test_a_server_that_is_late_does_not_turn_the_clock_back(
    database: Database, vault: Vault, account: str
) -> None:
    key, _ = await create(database, vault, account)
    async with database.write() as session:
        await api_keys.touch(session, key.id, at=NOON + SECOND)
        await api_keys.touch(session, key.id, at=NOON)
    async with database.read() as session:
        assert (await api_keys.get(session, account, key.id)).last_used_at == NOON + SECOND


async def test_a_cookie_makes_no_good_key_of_a_bad_one(
    database: Database, vault: Vault, account: str
) -> None:
    _, text = await create(database, vault, account, "viewer")
    async with database.write() as session:
        form = UserForm(email="ann@example.com", name="Ann", role="admin", password="x" * 10)
        ann = await users.create(session, account, form, password_hash="not a hash")
        cookie = await sessions.start(session, vault, ann, at=NOON)
    by_cookie = await recognise(database, vault, None, cookie)
    assert by_cookie == Caller(
        account, "user/ann@example.com", "admin", "session", ann.id, vault.digest(cookie)
    )
    by_key = await recognise(database, vault, text, cookie)
    assert by_key and (by_key.via, by_key.role) == ("api_key", "viewer")
    assert await recognise(database, vault, "ppk_" + "x" * 43, cookie) is None


async def test_who_brings_nothing_is_nobody(database: Database, vault: Vault, account: str) -> None:
    assert await recognise(database, vault, None) is None


async def test_a_key_is_nowhere_in_clear(database: Database, vault: Vault, account: str) -> None:
    key, text = await create(database, vault, account)
    async with database.read() as session:
        row = (await session.scalars(sa.select(Row))).one()
    assert row.digest == vault.digest(text)
    assert text[4:] not in repr([key, vars(row), await recognise(database, vault, text)])
