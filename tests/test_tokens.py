"""Provisioning tokens: one current each, and a rotation that is one step."""

import asyncio
import re

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

import tokens
from provisioning import accounts, activity
from provisioning.accounts import General
from provisioning.db import ALPHABET, Database, new_id, now
from provisioning.errors import Conflict
from provisioning.vault import Vault
from tokens.table import Row


@pytest.fixture
async def account(database: Database, vault: Vault) -> str:
    async with database.write() as session:
        return (await accounts.add(session, vault, General(name="A", email="a@example.com"))).id


async def test_it_works(database: Database, vault: Vault, account: str) -> None:
    async with database.write() as session:
        made = await tokens.generate(session, vault, account, actor="user/ann@example.com")
    async with database.read() as session:
        resolved = await tokens.resolve(session, vault, made.text)
        assert resolved and (resolved.account_id, resolved.generation) == (account, 1)
        assert resolved.retired_at is None
        assert await tokens.current(session, vault, account) == made


def test_a_token_has_the_form_of_the_contract() -> None:
    for _ in range(100):
        assert re.fullmatch(r"ppt[0-9a-hjkmnp-tv-z]{39}", tokens.make())


def test_no_two_tokens_are_alike() -> None:
    assert len({tokens.make() for _ in range(1000)}) == 1000


def test_a_token_is_well_formed() -> None:
    assert all(tokens.is_well_formed(tokens.make()) for _ in range(100))


@settings(deadline=None)
@given(position=st.integers(0, 41), char=st.sampled_from(ALPHABET))
def test_a_token_with_one_other_character_is_not_well_formed(position: int, char: str) -> None:
    token = tokens.make()
    other = token[:position] + char + token[position + 1 :]
    assert tokens.is_well_formed(other) == (other == token)


@settings(deadline=None)
@given(st.text())
def test_junk_is_not_well_formed(text: str) -> None:
    assert not tokens.is_well_formed(text)


@pytest.mark.parametrize("change", [str.upper, lambda t: t + "0", lambda t: t[:-1], lambda t: t + "\n"])
def test_a_token_in_another_spelling_is_not_well_formed(change: object) -> None:
    assert callable(change)
    assert not tokens.is_well_formed(change(tokens.make()))


def test_a_token_in_a_text_is_cut_off() -> None:
    token = tokens.make()
    assert tokens.redact(f"GET /p/{token}/x.cfg") == "GET /p/ppt…/x.cfg"
    assert token[4:] not in tokens.redact(token.upper().replace("PPT", "ppt"))


async def test_a_second_first_token_is_a_conflict(database: Database, vault: Vault, account: str) -> None:
    async with database.write() as session:
        await tokens.generate(session, vault, account, actor="system")
    with pytest.raises(Conflict):
        async with database.write() as session:
            await tokens.generate(session, vault, account, actor="system")


async def test_rotating_before_the_first_token_is_a_conflict(
    database: Database, vault: Vault, account: str
) -> None:
    with pytest.raises(Conflict):
        async with database.write() as session:
            await tokens.rotate(session, vault, account, actor="system")


async def test_a_rotation_retires_the_old_token_and_makes_the_next(
    database: Database, vault: Vault, account: str
) -> None:
    async with database.write() as session:
        old = await tokens.generate(session, vault, account, actor="system")
    async with database.write() as session:
        new = await tokens.rotate(session, vault, account, actor="user/ann@example.com")
    async with database.read() as session:
        retired = await tokens.resolve(session, vault, old.text)
        assert retired and retired.retired_at and retired.retired_by == "user/ann@example.com"
        assert await tokens.current(session, vault, account) == new
        assert new.generation == 2


async def test_of_a_retired_token_only_its_digest_is_left(
    database: Database, vault: Vault, account: str
) -> None:
    async with database.write() as session:
        old = await tokens.generate(session, vault, account, actor="system")
        await tokens.rotate(session, vault, account, actor="system")
    async with database.read() as session:
        row = (await session.scalars(sa.select(Row).where(Row.generation == 1))).one()
        assert (row.state, row.sealed, row.digest) == ("retired", None, vault.digest(old.text))


async def test_a_rotation_that_does_not_commit_changes_nothing(
    database: Database, vault: Vault, account: str
) -> None:
    async with database.write() as session:
        old = await tokens.generate(session, vault, account, actor="system")
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            await activity.record(session, account, "token.rotate", f"account/{account}", actor="system")
            await tokens.rotate(session, vault, account, actor="system")
            raise RuntimeError
    async with database.read() as session:
        assert await tokens.current(session, vault, account) == old
        assert await session.scalar(sa.select(sa.func.count()).select_from(activity.Row)) == 0


async def test_rotations_at_once_leave_one_valid_token(
    database: Database, vault: Vault, account: str
) -> None:
    async with database.write() as session:
        made = [await tokens.generate(session, vault, account, actor="system")]

    async def rotate() -> tokens.Token:
        async with database.write() as session:
            return await tokens.rotate(session, vault, account, actor="system")

    made += await asyncio.gather(*(rotate() for _ in range(8)))
    async with database.read() as session:
        resolved = [await tokens.resolve(session, vault, token.text) for token in made]
    assert [r.generation for r in resolved if r and r.retired_at is None] == [9]


async def test_the_database_refuses_a_second_current_token(
    database: Database, vault: Vault, account: str
) -> None:
    async with database.write() as session:
        await tokens.generate(session, vault, account, actor="system")
    with pytest.raises(sa.exc.IntegrityError):
        async with database.write() as session:
            session.add(
                Row(
                    id=new_id("tok"),
                    account_id=account,
                    generation=2,
                    state="current",
                    digest=b"x",
                    sealed=b"x",
                    created_at=now(),
                    created_by="system",
                )
            )


async def test_the_database_refuses_a_retired_token_that_keeps_its_text(
    database: Database, vault: Vault, account: str
) -> None:
    async with database.write() as session:
        await tokens.generate(session, vault, account, actor="system")
    with pytest.raises(sa.exc.IntegrityError):
        async with database.write() as session:
            await session.execute(sa.update(Row).values(state="retired", retired_at=now()))


async def test_the_token_is_nowhere_in_the_database_in_clear(
    database: Database, vault: Vault, account: str
) -> None:
    async with database.write() as session:
        made = await tokens.generate(session, vault, account, actor="system")
    async with database.read() as session:
        row = (await session.scalars(sa.select(Row))).one()
        assert made.text[3:].encode() not in (row.sealed or b"") + row.digest


class TestKeys:
    def test_they_have_the_form_of_a_token_and_are_told_from_junk(self, vault: Vault) -> None:
        key = tokens.key(vault, tokens.make(), "805ec0102001", 0)
        assert re.fullmatch(r"ppk[0-9a-hjkmnp-tv-z]{39}", key) and tokens.is_key(key)
        assert not tokens.is_well_formed(key) and not tokens.is_key(tokens.make())
        for place in range(len(key)):
            for char in "0z":
                other = key[:place] + char + key[place + 1 :]
                assert tokens.is_key(other) == (other == key)

    def test_one_is_the_same_for_the_same_phone_and_for_no_other(self, vault: Vault) -> None:
        token = tokens.make()
        keys = {
            tokens.key(vault, text, mac, opening)
            for text in (token, tokens.make())
            for mac in ("805ec0102001", "805ec0102002")
            for opening in (0, 1)
        }
        assert len(keys) == 8
        assert tokens.key(vault, token, "805ec0102001", 0) in keys

    def test_uploads_hold_neither_token_nor_key_and_get_both_back(self, vault: Vault) -> None:
        token = tokens.make()
        key = tokens.key(vault, token, "805ec0102001", 0)
        junk = key[:-1] + ("0" if key[-1] != "0" else "1")
        content = f"http://a/p/{token}/{key}/ {key}{key} {junk}".encode()
        kept = tokens.take_out(content)
        assert token.encode() not in kept and key.encode() not in kept and junk.encode() in kept
        assert tokens.put_in(kept, token, key) == content
        assert tokens.put_in(kept, token) == f"http://a/p/{token}/  {junk}".encode()
