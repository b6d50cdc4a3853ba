"""A database that was restored from a backup, with `provisioning restore-guard` and without."""

import json
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from provisioning import activity, outbox, revisions
from provisioning.db import Database, now
from tests.backups import Backups
from tests.conftest import Stock
from tests.shell import Shell

EMAIL = "office@harbourlane.example"
FILE = "805ec0102001.cfg"


@pytest.fixture
def shell(stock: Stock, tmp_path: Path) -> Shell:
    environ = {"PROVISIONING_DATABASE_URL": stock.url, "PROVISIONING_KEY_FILE": str(stock.key_file)}
    return Shell(tmp_path, environ=environ)


@pytest.fixture
def backups(stock: Stock, engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Backups:
    server = request.getfixturevalue("postgresql") if engine == "postgresql" else None
    return Backups(stock.url, tmp_path, server)


def guard(shell: Shell, *options: str) -> list[dict[str, Any]]:
    done = shell.run("restore-guard", *options)
    assert done.returncode == 0, done.stderr
    accounts: list[dict[str, Any]] = json.loads(done.stdout)["accounts"]
    return accounts


def rotate(shell: Shell) -> str:
    done = shell.run("rotate", "--email", EMAIL)
    return str(json.loads(done.stdout)["provisioning_url"])


def status(shell: Shell, url: str) -> int:
    return shell.fetch(url + FILE)[0]


def api(
    shell: Shell, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, str]]:
    """The status and the headers of an answer."""
    request = urllib.request.Request(
        f"{shell.url}/api/v1{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Origin": shell.url, **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


def test_without_the_guard_a_token_that_was_rotated_out_lives_again(
    shell: Shell, stock: Stock, backups: Backups
) -> None:
    old = f"{shell.url}/p/{stock.token}/"
    backups.take()
    rotate(shell)
    with shell.serving():
        assert status(shell, old) == 404
    backups.restore()
    with shell.serving():
        assert status(shell, old) == 200


def test_after_the_guard_only_the_new_token_is_served(shell: Shell, stock: Stock, backups: Backups) -> None:
    first = f"{shell.url}/p/{stock.token}/"
    second = rotate(shell)
    backups.take()
    third = rotate(shell)
    backups.restore()
    (guarded,) = guard(shell)
    assert (guarded["account_id"], guarded["email"]) == (stock.account_id, EMAIL)
    assert guarded["generation"] == 3
    with shell.serving("--workers", "2"):
        for dead in (first, second, third):
            assert status(shell, dead) == 404
        assert status(shell, guarded["provisioning_url"]) == 200
    phone = ("--mac", "64:16:7f:10:20:05", "--model", "VVX 450")
    with shell.serving():
        assert shell.run("boot", guarded["provisioning_url"], *phone).returncode == 0


def staging(shell: Shell, stock: Stock, verb: str) -> str:
    """Calls it on the running server; the next URL, empty without one."""
    request = urllib.request.Request(
        f"{shell.url}/api/v1/account/provisioning/{verb}",
        method="POST",
        headers={"Authorization": f"Bearer {stock.keys['admin']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        staged = json.load(answer)["staged"]
    return str(staged["provisioning_url"]) if staged else ""


@pytest.mark.parametrize("end", ["commit", "cancel"])
def test_a_staged_token_that_a_backup_brings_back_is_ended_with_the_others(
    shell: Shell, stock: Stock, backups: Backups, end: str
) -> None:
    """Whether it came into force since, and was rotated out, or was cancelled."""
    with shell.serving():
        staged = staging(shell, stock, "stage")
        backups.take()
        staging(shell, stock, end)
    backups.restore()
    (guarded,) = guard(shell)
    assert guarded["generation"] == 3
    with shell.serving():
        for dead in (f"{shell.url}/p/{stock.token}/", staged):
            assert status(shell, dead) == 404
        assert status(shell, guarded["provisioning_url"]) == 200
        with pytest.raises(urllib.error.HTTPError, match="409"):  # nothing is staged any more
            staging(shell, stock, "commit")
        assert status(shell, staged) == 404


def test_a_session_that_was_ended_after_the_backup_is_not_good_again(
    shell: Shell, stock: Stock, backups: Backups
) -> None:
    key = {"Authorization": f"Bearer {stock.keys['admin']}"}
    user = {"email": "ann@example.com", "password": "the-pw-of-ann", "name": "Ann", "role": "admin"}
    with shell.serving():
        assert api(shell, "POST", "/users", user, **key)[0] == 201
        login = {"email": user["email"], "password": user["password"]}
        cookie = api(shell, "POST", "/session", login)[1]["Set-Cookie"].split(";")[0]
    backups.take()
    with shell.serving():
        assert api(shell, "GET", "/account", Cookie=cookie)[0] == 200
        assert api(shell, "DELETE", "/session", Cookie=cookie)[0] == 204
    backups.restore()
    with shell.serving():
        assert api(shell, "GET", "/account", Cookie=cookie)[0] == 200  # which is what the guard is for
    (guarded,) = guard(shell)
    assert guarded["sessions_ended"] == 1
    assert {"email": "ann@example.com", "role": "admin"} in guarded["users"]
    with shell.serving():
        assert api(shell, "GET", "/account", Cookie=cookie)[0] == 401


def test_api_keys_are_named_and_stay_unless_they_are_to_be_revoked(shell: Shell, stock: Stock) -> None:
    key = {"Authorization": f"Bearer {stock.keys['viewer']}"}
    (guarded,) = guard(shell)
    named = [api_key["name"] for api_key in guarded["api_keys"]]
    assert {*stock.keys} <= {*named}
    with shell.serving():
        assert api(shell, "GET", "/account", **key)[0] == 200
    (guarded,) = guard(shell, "--revoke-keys")
    assert [api_key["name"] for api_key in guarded["api_keys_revoked"]] == named
    with shell.serving():
        assert api(shell, "GET", "/account", **key)[0] == 401


async def test_an_old_emergency_mail_is_held_back_and_a_young_one_still_goes(
    shell: Shell, stock: Stock
) -> None:
    key = {"Authorization": f"Bearer {stock.keys['switch']}"}
    with shell.serving():
        for call_id in ("old", "young"):
            call = {"call_id": call_id, "dialed": "911", "sip_username": "4202"}
            assert api(shell, "POST", "/switch/emergency-calls", call, **key)[0] == 202
    database = Database(stock.url)
    try:
        async with database.write() as session:
            rows = list(await session.scalars(sa.select(outbox.Row).order_by(outbox.Row.id)))
            old = {row.id for row in rows[: len(rows) // 2]}
            for row in rows[: len(rows) // 2]:
                row.created_at = now() - timedelta(hours=2)
        (guarded,) = guard(shell)
        async with database.read() as session:
            states = {row.id: row.state for row in await session.scalars(sa.select(outbox.Row))}
    finally:
        await database.close()
    assert {mail for mail, state in states.items() if state == "failed"} == old
    assert {state for mail, state in states.items() if mail not in old} == {"waiting"}
    assert len(guarded["mails_held_back"]) == len(guarded["mails_to_be_sent"]) == len(old) > 0
    assert {*guarded["mails_held_back"][0]} == {"emergency_call_id", "recipient", "created_at"}


async def test_the_activity_log_says_that_it_was_a_restore_and_stays_whole(
    shell: Shell, stock: Stock
) -> None:
    guard(shell, "--revoke-keys")
    database = Database(stock.url)
    try:
        async with database.read() as session:
            entries = list(await session.scalars(sa.select(activity.Row).order_by(activity.Row.seq)))
            assert await activity.verify(session) is None
    finally:
        await database.close()
    told = [entry for entry in entries if entry.detail.get("cause") == "restored from a backup"]
    assert {entry.actor for entry in told} == {"system"}
    assert {entry.event for entry in told[:-1]} == {"api_key.delete"}
    assert told[-1].event == "token.rotate"
    assert told[-1].detail == {
        "cause": "restored from a backup",
        "generation": 2,
        "sessions_ended": 0,
        "mails_held_back": 0,
    }


async def test_no_number_of_a_made_file_that_a_lost_future_gave_comes_again(
    shell: Shell, stock: Stock
) -> None:
    async def revision() -> int:
        database = Database(stock.url)
        async with database.read() as session:
            found = await session.get_one(revisions.Row, stock.account_id)
        await database.close()
        return found.revision

    before = await revision()
    guard(shell)
    assert await revision() > before + 1_000_000


def test_only_the_accounts_that_are_named_are_guarded(shell: Shell, stock: Stock) -> None:
    for name in ("b", "c"):
        shell.run("account", "add", "--name", name, "--email", f"{name}@example.com")
        shell.run("rotate", "--email", f"{name}@example.com")
    guarded = guard(shell, "--email", "B@example.com", "--email", "c@example.com")
    assert [one["email"] for one in guarded] == ["b@example.com", "c@example.com"]
    with shell.serving():
        assert status(shell, f"{shell.url}/p/{stock.token}/") == 200


def test_an_account_that_is_not_there_is_refused_and_nothing_is_done(shell: Shell, stock: Stock) -> None:
    done = shell.run("restore-guard", "--email", EMAIL, "--email", "nobody@example.com")
    message = "error: --email: there is no account with the email nobody@example.com\n"
    assert (done.returncode, done.stderr, done.stdout) == (1, message, "")
    with shell.serving():
        assert status(shell, f"{shell.url}/p/{stock.token}/") == 200


def test_an_account_without_a_token_gets_none(shell: Shell, stock: Stock) -> None:
    shell.run("account", "add", "--name", "B", "--email", "b@example.com")
    (guarded,) = guard(shell, "--email", "b@example.com")
    assert (guarded["generation"], guarded["provisioning_url"]) == (0, None)
    assert shell.run("verify-activity").returncode == 0


def test_a_key_file_that_does_not_open_the_database_is_refused(shell: Shell, stock: Stock) -> None:
    before = stock.key_file.read_bytes()
    for step in ("add", "reseal", "drop"):
        assert shell.run("rekey", step).returncode == 0
    stock.key_file.write_bytes(before)
    done = shell.run("restore-guard")
    message = "error: the key file is not the one that this database was sealed with\n"
    assert (done.returncode, done.stderr, done.stdout) == (1, message, "")
