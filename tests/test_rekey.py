"""`provisioning rekey`: another master key while servers run, whatever ends a step half way."""

import json
import os
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

import tokens
from provisioning import app, extensions, key_file
from provisioning.db import Base, Database, new_id, now
from provisioning.sealed import sealed_columns
from provisioning.vault import Vault, open_vault
from tests.conftest import Stock
from tests.shell import Shell

# Columns of bytes that are no secrets, or are for nobody to open.
OPEN: Final = {
    "activity.hash",
    "activity_heads.hash",
    "api_keys.digest",
    "audio_clip_chunks.content",
    "login_limits.key",
    "provisioning_tokens.digest",
    "sessions.digest",
    "uploads.content",
}
MANY: Final = 3000  # extensions, so that sealing them again takes several transactions


@pytest.fixture
def shell(stock: Stock, tmp_path: Path) -> Shell:
    environ = {"PROVISIONING_DATABASE_URL": stock.url, "PROVISIONING_KEY_FILE": str(stock.key_file)}
    return Shell(tmp_path, environ=environ)


@pytest.fixture
async def opened(stock: Stock) -> AsyncIterator[Database]:
    database = Database(stock.url)
    yield database
    await database.close()


async def sealed_with(database: Database, vault: Vault) -> dict[str, Counter[int]]:
    """How many texts of each sealed column each key has sealed; all of them open."""
    found = {}
    async with database.read() as session:
        for sealed in sealed_columns(Base.metadata):
            rows = (await session.execute(sa.select(sealed.table))).mappings().all()
            texts = [(row[sealed.column], sealed.place(row)) for row in rows if row[sealed.column]]
            for text, place in texts:
                assert vault.open(text, *place)
            found[f"{sealed.table.name}.{sealed.column.name}"] = Counter(text[0] for text, _ in texts)
    return found


async def fill(database: Database, stock: Stock) -> None:
    vault = open_vault(stock.key_file)
    rows: list[dict[str, Any]] = []
    for number in range(100_000, 100_000 + MANY):
        row_id = new_id("ext")
        sealed = vault.seal("a password", "extensions", "sip_password", stock.account_id, row_id)
        rows.append(
            {"id": row_id, "number": str(number), "sip_username": str(number), "sip_password": sealed}
        )
    shared = {
        "account_id": stock.account_id,
        "display_name": "A",
        "voicemail_enabled": True,
        "created_at": now(),
    }
    async with database.write() as session:
        await session.execute(sa.insert(extensions.Row), [row | shared for row in rows])


def step(shell: Shell, name: str) -> str:
    done = shell.run("rekey", name)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rotate(shell: Shell, stock: Stock) -> str:
    """By the running server; the new URL."""
    request = urllib.request.Request(
        f"{shell.url}/api/v1/account/provisioning/rotate",
        method="POST",
        data=b"{}",
        headers={"Authorization": f"Bearer {stock.keys['admin']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(json.load(answer)["provisioning_url"])


def test_every_column_of_bytes_is_sealed_or_known_to_hold_no_secret() -> None:
    assert app  # which has loaded all tables
    sealed = {f"{each.table.name}.{each.column.name}" for each in sealed_columns(Base.metadata)}
    binary = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(getattr(column.type, "impl_instance", column.type), sa.LargeBinary)
    }
    assert binary - OPEN == sealed


async def test_the_three_steps_leave_all_sealed_with_the_new_key_and_the_file_without_the_old(
    shell: Shell, stock: Stock, opened: Database
) -> None:
    before = await sealed_with(opened, open_vault(stock.key_file))
    assert all(counts.keys() == {1} for counts in before.values()), before
    digest_key = key_file.read(stock.key_file).digest_key
    for name in ("add", "reseal", "drop"):
        step(shell, name)
    keys = key_file.read(stock.key_file)
    assert (keys.current, [*keys.keys]) == (2, [2])
    assert keys.digest_key == digest_key
    after = await sealed_with(opened, open_vault(stock.key_file))
    assert after == {column: Counter({2: counts.total()}) for column, counts in before.items()}
    with shell.serving():
        assert shell.fetch(f"{shell.url}/p/{stock.token}/805ec0102001.cfg")[0] == 200


async def test_a_staged_token_is_sealed_again_and_can_be_committed(
    shell: Shell, stock: Stock, opened: Database
) -> None:
    async with opened.write() as session:
        vault = open_vault(stock.key_file)
        staged = await tokens.stage(session, vault, stock.account_id, actor="system")
    for name in ("add", "reseal", "drop"):
        step(shell, name)
    assert (await sealed_with(opened, open_vault(stock.key_file)))["provisioning_tokens.sealed"] == {2: 2}
    with shell.serving():
        told = shell.fetch(f"{shell.url}/p/{stock.token}/805ec0102001.cfg")
        assert told[0] == 200 and staged.text.encode() in told[1]
    async with opened.write() as session:
        vault = open_vault(stock.key_file)
        committed = await tokens.commit(session, vault, stock.account_id, actor="system")
    assert (committed.text, committed.generation) == (staged.text, 2)
    with shell.serving():
        assert shell.fetch(f"{shell.url}/p/{staged.text}/805ec0102001.cfg")[0] == 200


async def test_servers_answer_and_follow_while_the_key_is_changed(
    shell: Shell, stock: Stock, opened: Database
) -> None:
    await fill(opened, stock)
    url = f"{shell.url}/p/{stock.token}/"
    with shell.serving("--workers", "2"):
        rekeying = shell._start(("rekey",), err=shell.folder / "server.log")
        meanwhile = 0
        while rekeying.poll() is None:
            url = rotate(shell, stock)
            assert shell.fetch(f"{url}805ec0102001.cfg")[0] == 200
            meanwhile += 1
        assert (rekeying.wait(), meanwhile > 0) == (0, True)
        assert [*key_file.read(stock.key_file).keys] == [1, 2]
        step(shell, "drop")
        for _ in range(4):  # by each worker, most likely
            url = rotate(shell, stock)
            assert shell.fetch(f"{url}805ec0102001.cfg")[0] == 200
    assert all(
        counts.keys() == {2} for counts in (await sealed_with(opened, open_vault(stock.key_file))).values()
    )


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_server_does_not_follow_another_servers_key_file_nor_start_with_it(
    shell: Shell, stock: Stock, opened: Database, tmp_path: Path
) -> None:
    key_file.read(tmp_path / "other.json")
    with shell.serving():
        (tmp_path / "other.json").replace(stock.key_file)
        url = rotate(shell, stock)
        assert shell.fetch(f"{url}805ec0102001.cfg")[0] == 200
    log = (shell.folder / "server.log").read_text()
    assert f"{stock.key_file} holds another server's keys now, and is not used" in log
    for command in (
        ("serve", "--port", str(shell.port)),
        ("serve", "--port", str(shell.port), "--workers", "2"),
    ):
        done = shell.run(*command)
        assert (done.returncode, done.stderr) == (
            1,
            "error: the key file is not the one that this database was sealed with\n",
        )


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", ["serve", "account add", "load", "rotate", "restore-guard"])
async def test_no_command_seals_with_a_key_file_that_lost_its_key_of_digests(
    shell: Shell, stock: Stock, command: str
) -> None:
    data = json.loads(stock.key_file.read_text())
    data["digest_key"] = data["keys"]["1"]
    stock.key_file.write_text(json.dumps(data))
    (shell.folder / "account.toml").write_text("")
    more = {
        "serve": ("--port", str(shell.port)),
        "account add": ("--name", "B", "--email", "b@example.com"),
        "load": ("account.toml",),
        "rotate": ("--email", "admin@example.com"),
    }
    done = shell.run(*command.split(), *more.get(command, ()))
    assert (done.returncode, done.stderr) == (
        1,
        "error: the key file is not the one that this database was sealed with\n",
    )


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_server_does_not_start_with_a_key_file_that_others_can_read(shell: Shell, stock: Stock) -> None:
    stock.key_file.chmod(0o644)
    done = shell.run("serve", "--port", str(shell.port))
    assert (done.returncode, done.stderr) == (
        1,
        f"error: {stock.key_file} can be read by others: chmod 600 it, and change the keys\n",
    )


async def test_a_run_that_is_killed_half_way_is_finished_by_the_next(
    shell: Shell, stock: Stock, opened: Database
) -> None:
    await fill(opened, stock)
    step(shell, "add")
    said = shell.folder / "said"
    said.touch()
    resealing = shell._start(("rekey", "reseal"), err=said)
    deadline = time.monotonic() + 30
    while said.read_bytes().count(b"\r") < 3:
        assert time.monotonic() < deadline and resealing.poll() is None
    resealing.kill()
    resealing.wait()
    half = (await sealed_with(opened, open_vault(stock.key_file)))["extensions.sip_password"]
    assert half[1] > 0 and half[2] > 0, half
    refused = shell.run("rekey", "drop")
    assert refused.returncode == 1
    assert "are sealed with other keys than 2: rekey reseal" in refused.stderr
    with shell.serving():
        assert shell.fetch(f"{shell.url}/p/{stock.token}/805ec0102001.cfg")[0] == 200
    step(shell, "reseal")
    step(shell, "drop")
    whole = await sealed_with(opened, open_vault(stock.key_file))
    assert whole["extensions.sip_password"] == Counter({2: half.total()})


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_new_key_is_on_the_disk_before_anything_is_sealed_with_it(shell: Shell, stock: Stock) -> None:
    step(shell, "add")
    database = shell.environ["PROVISIONING_DATABASE_URL"]
    shell.environ["PROVISIONING_DATABASE_URL"] = "postgresql://127.0.0.1:9/none"
    assert shell.run("rekey", "reseal").returncode == 1
    assert key_file.read(stock.key_file).current == 2
    shell.environ["PROVISIONING_DATABASE_URL"] = database
    step(shell, "reseal")


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_steps_out_of_their_order_are_refused(shell: Shell, stock: Stock) -> None:
    alone = shell.run("rekey", "reseal")
    assert (alone.returncode, alone.stderr) == (
        1,
        f"error: {stock.key_file} holds one key alone: rekey add\n",
    )
    step(shell, "add")
    twice, early = shell.run("rekey", "add"), shell.run("rekey", "drop")
    assert (twice.returncode, twice.stderr) == (
        1,
        "error: key 2 is new and seals nothing yet: rekey reseal\n",
    )
    assert early.stderr == "error: key 2 seals nothing yet: rekey reseal\n"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_two_who_change_the_file_wait_for_each_other(shell: Shell, stock: Stock) -> None:
    with key_file.locked(stock.key_file):
        adding = shell._start(("rekey", "add"))
        with pytest.raises(TimeoutError):
            adding.wait(timeout=2)
        assert [*key_file.read(stock.key_file).keys] == [1]
    assert shell.run("rekey", "add").returncode == 0


def test_the_file_stays_its_owners_and_a_link_to_it_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "secret" / "keys.json", tmp_path / "keys.json"
    keys = key_file.read(file)
    if os.getuid() == 0:
        os.chown(file, 1234, 1234)
    link.symlink_to(file)
    with key_file.locked(link) as held:
        key_file.write(held, keys.with_new())
    assert link.is_symlink() and [*key_file.read(link).keys] == [1, 2]
    owner = 1234 if os.getuid() == 0 else os.getuid()
    assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o600, owner)
    assert [path.name for path in file.parent.iterdir()] == ["keys.json"]


def test_keys_are_numbered_on_and_not_shown() -> None:
    keys = key_file.Keys(1, {1: b"k" * 32}, b"d" * 32)
    keys = keys.with_new().with_newest_current().without_old()
    assert [*keys.with_new().keys] == [2, 3]
    assert "kkkk" not in repr(keys) and "dddd" not in repr(keys) and repr(keys.keys[2]) not in repr(keys)
