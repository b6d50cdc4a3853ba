"""Users: one email is one person's, an account keeps an admin, and a login tells nothing but yes or no."""

import asyncio
import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from provisioning import accounts, users
from provisioning.accounts import General
from provisioning.db import Database
from provisioning.errors import Conflict, Invalid, NotFound
from provisioning.fields import check
from provisioning.users import Row, User, UserForm, UserPatch
from provisioning.vault import Vault

PASSWORD = "correct horse battery"


def form(email: str = "ann@example.com", role: str = "admin", password: str = PASSWORD) -> UserForm:
    return check(UserForm, {"email": email, "name": "Ann", "role": role, "password": password})


def patch(**changes: object) -> UserPatch:
    return check(UserPatch, changes)


async def new_account(database: Database, vault: Vault) -> str:
    async with database.write() as session:
        return (await accounts.add(session, vault, General(name="A", email="a@example.com"))).id


@pytest.fixture
async def account(database: Database, vault: Vault) -> str:
    return await new_account(database, vault)


async def create(database: Database, account: str, form: UserForm) -> User:
    async with database.write() as session:
        return await users.create(session, account, form)


async def update(database: Database, user: User, **changes: object) -> User:
    async with database.write() as session:
        return await users.update(session, user.account_id, user.id, patch(**changes))


async def log_in(database: Database, email: str, password: str) -> User | None:
    async with database.read() as session:
        held = await users.credentials(session, email)
    return await users.verify(held, password)


async def test_it_works(database: Database, account: str) -> None:
    ann = await create(database, account, form())
    assert (ann.email, ann.name, ann.role, ann.id[:4]) == ("ann@example.com", "Ann", "admin", "usr_")
    assert await log_in(database, "ann@example.com", PASSWORD) == ann
    async with database.read() as session:
        assert (
            await users.get(session, account, ann.id) == await users.find(session, "ann@example.com") == ann
        )


async def test_an_email_is_one_persons_on_the_whole_server_whatever_its_case(
    database: Database, vault: Vault, account: str
) -> None:
    await create(database, account, form("Ann@Example.com"))
    other = await new_account(database, vault)
    with pytest.raises(Invalid, match="email: another user has this email"):
        await create(database, other, form("aNN@example.COM"))
    bob = await create(database, other, form("bob@example.com"))
    with pytest.raises(Invalid, match="email: another user has this email"):
        await update(database, bob, email="ANN@example.com")
    async with database.read() as session:
        found = await users.find(session, "ANN@EXAMPLE.com")
        assert found and found.account_id == account


async def test_of_two_who_take_an_email_at_once_one_gets_it(database: Database, account: str) -> None:
    made = await asyncio.gather(
        *(create(database, account, form()) for _ in range(4)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in made) == ["Invalid", "Invalid", "Invalid", "User"]


async def test_a_user_may_keep_their_own_email(database: Database, account: str) -> None:
    ann = await create(database, account, form())
    assert (await update(database, ann, email="ANN@example.com")).email == "ann@example.com"


async def test_what_a_patch_leaves_out_stays(database: Database, account: str) -> None:
    ann = await create(database, account, form())
    changed = await update(database, ann, name="Ann B.")
    assert (changed.email, changed.name, changed.role) == (ann.email, "Ann B.", "admin")
    assert await log_in(database, ann.email, PASSWORD) == changed


@pytest.mark.parametrize("name", ["email", "name", "role", "password"])
def test_a_patch_refuses_null(name: str) -> None:
    with pytest.raises(Invalid, match=name):
        patch(**{name: None})


@pytest.mark.parametrize("password", ["", "ninechars", "x" * 201, "\ud800" * 10])
def test_a_password_has_10_to_200_characters_and_is_not_repeated_in_the_error(password: str) -> None:
    for change in (lambda: form(password=password), lambda: patch(password=password)):
        with pytest.raises(Invalid) as caught:
            change()
        assert [error.field for error in caught.value.errors] == ["password"]
        assert not password or password not in str(caught.value)


def test_a_role_that_only_a_program_has_is_refused() -> None:
    with pytest.raises(Invalid, match="role"):
        form(role="switch")


async def test_an_operator_may_set_a_password_of_any_length(database: Database, account: str) -> None:
    async with database.write() as session:
        args = {"email": "Ann@example.com", "name": "Ann", "password": "short"}
        await users.add(session, account, role="admin", **args)
    assert await log_in(database, "ann@example.com", "short")
    with pytest.raises(Conflict, match="a user with this email exists"):
        async with database.write() as session:
            await users.add(session, account, role="admin", **args)


async def test_users_are_listed_newest_first_in_pages(database: Database, vault: Vault, account: str) -> None:
    made = [await create(database, account, form(f"u{number}@example.com")) for number in range(5)]
    await create(database, await new_account(database, vault), form("other@example.com"))
    pages: list[list[User]] = []
    cursor: str | None = None
    async with database.read() as session:
        while not pages or cursor:
            page, cursor = await users.page(session, account, limit=2, cursor=cursor)
            pages.append(page)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [user for page in pages for user in page] == sorted(made, key=lambda user: user.id, reverse=True)


async def test_another_accounts_user_is_not_there(database: Database, vault: Vault, account: str) -> None:
    ann = await create(database, account, form())
    other = await new_account(database, vault)
    for use in (
        lambda session: users.get(session, other, ann.id),
        lambda session: users.update(session, other, ann.id, patch(name="Eve")),
        lambda session: users.delete(session, other, ann.id),
    ):
        with pytest.raises(NotFound, match="there is no such user"):
            async with database.write() as session:
                await use(session)


async def test_a_deleted_user_is_gone(database: Database, account: str) -> None:
    await create(database, account, form())
    bob = await create(database, account, form("bob@example.com"))
    async with database.write() as session:
        await users.delete(session, account, bob.id)
    assert await log_in(database, "bob@example.com", PASSWORD) is None
    async with database.read() as session:
        with pytest.raises(NotFound):
            await users.get(session, account, bob.id)


async def test_the_last_admin_of_an_account_stays_one(database: Database, vault: Vault, account: str) -> None:
    ann = await create(database, account, form())
    await create(database, account, form("bob@example.com", "technician"))
    await create(database, await new_account(database, vault), form("other@example.com"))
    with pytest.raises(Conflict, match="at least one admin"):
        await update(database, ann, role="viewer")
    with pytest.raises(Conflict, match="at least one admin"):
        async with database.write() as session:
            await users.delete(session, account, ann.id)
    assert (await update(database, ann, role="admin", name="Ann B.")).role == "admin"


async def test_an_admin_who_is_not_the_last_may_go(database: Database, account: str) -> None:
    ann = await create(database, account, form())
    bob = await create(database, account, form("bob@example.com"))
    assert (await update(database, ann, role="viewer")).role == "viewer"
    with pytest.raises(Conflict):
        await update(database, bob, role="viewer")


async def test_two_admins_who_remove_each_other_at_once_leave_one(database: Database, account: str) -> None:
    admins = [await create(database, account, form(f"u{number}@example.com")) for number in range(4)]

    async def delete(user: User) -> None:
        async with database.write() as session:
            await users.delete(session, account, user.id)

    async def demote(user: User) -> None:
        await update(database, user, role="viewer")

    ways = [delete, demote, delete, demote]
    ended = await asyncio.gather(
        *(way(user) for way, user in zip(ways, admins, strict=True)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in ended) == ["Conflict", *["NoneType"] * 3]
    async with database.read() as session:
        query = sa.select(sa.func.count()).select_from(Row).where(Row.role == "admin")
        assert await session.scalar(query) == 1


async def test_a_changed_password_is_the_only_one(database: Database, account: str) -> None:
    ann = await create(database, account, form())
    await update(database, ann, password="another password")
    assert await log_in(database, ann.email, PASSWORD) is None
    assert await log_in(database, ann.email, "another password")
    async with database.write() as session:
        assert await users.set_password(session, account, "ANN@example.com", "a third password")
        assert not await users.set_password(session, account, "bob@example.com", "a third password")
    assert await log_in(database, ann.email, "another password") is None
    assert await log_in(database, ann.email, "a third password")


async def test_a_hash_that_was_made_before_the_transaction_is_taken(database: Database, account: str) -> None:
    first, second = [await users.hash_password(text) for text in (PASSWORD, "another password")]
    async with database.write() as session:
        ann = await users.create(session, account, form(), password_hash=first)
    assert await log_in(database, ann.email, PASSWORD) == ann
    async with database.write() as session:
        change = patch(password="another password")
        await users.update(session, account, ann.id, change, password_hash=second)
    assert await log_in(database, ann.email, "another password")


@pytest.mark.parametrize(
    "wrong", ["", PASSWORD + "x", PASSWORD.upper(), "x" * 5000, "\0", "\ud800", "é" * 4096]
)
async def test_a_wrong_password_is_refused_whatever_it_is(
    database: Database, account: str, wrong: str
) -> None:
    await create(database, account, form())
    assert await log_in(database, "ann@example.com", wrong) is None
    assert await log_in(database, "nobody@example.com", wrong) is None


@pytest.mark.parametrize(
    "email", ["", "ann", "ann@example.com\0", "\ud800@example.com", " ann@example.com", "%"]
)
async def test_what_is_no_email_is_nobodys(database: Database, account: str, email: str) -> None:
    await create(database, account, form())
    assert await log_in(database, email, PASSWORD) is None


async def test_an_unknown_email_costs_as_many_hashes_as_a_wrong_password(
    database: Database, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(database, account, form())
    verified: list[str] = []

    def counted(verify: Callable[..., bool]) -> Callable[..., bool]:
        def count(secret: bytes, password_hash: str) -> bool:
            verified.append(password_hash.rpartition("$")[0].rpartition("$")[0])
            return verify(secret, password_hash)

        return count

    users._nobodys_hash.cache_clear()
    monkeypatch.setattr(users._passwords, "verify", counted(users._passwords.verify))
    for email in ("ann@example.com", "nobody@example.com", "no email"):
        assert await log_in(database, email, "wrong") is None
    assert len(verified) == 3
    assert len(set(verified)) == 1  # of one price
    users._nobodys_hash.cache_clear()


async def test_the_loop_goes_on_while_a_password_is_verified(
    database: Database, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await create(database, account, form())
    loop, turned = asyncio.get_running_loop(), asyncio.Event()

    def verify(_secret: bytes, _password_hash: str) -> bool:
        # Would wait for itself, and fail, on the loop's own thread.
        asyncio.run_coroutine_threadsafe(turn(), loop).result(10)
        return True

    async def turn() -> None:
        turned.set()

    monkeypatch.setattr(users._passwords, "verify", verify)
    assert await users.verify(users.Credentials(ann, "hash"), PASSWORD) == ann
    assert turned.is_set()


async def test_passwords_are_argon2id_and_nowhere_in_clear(database: Database, account: str) -> None:
    ann = await create(database, account, form())
    async with database.read() as session:
        row = (await session.scalars(sa.select(Row))).one()
        held = await users.credentials(session, ann.email)
    assert row.password_hash.startswith("$argon2id$")
    shown = repr([form(), patch(password=PASSWORD), ann, held, row, vars(row)])
    assert PASSWORD not in shown
    assert row.password_hash not in repr([ann, held])


def test_the_api_may_take_a_password_and_never_gives_one() -> None:
    for model in (UserForm, UserPatch):
        schema = model.model_json_schema()["properties"]["password"]
        assert (schema["writeOnly"], schema["minLength"]) == (True, 10)
        assert "default" not in json.dumps(schema)
