"""The clock is set, forward or back: nothing waits for the wrong time, is done twice or is removed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import emergency, login_limits, outbox, resyncs, sessions, sightings, users
from provisioning.db import Database, now
from provisioning.errors import TooMany
from provisioning.pruning import Pruner, Rounds
from provisioning.vault import Vault
from tests.api.conftest import Account, stocked
from tests.bad_days.conftest import Askers, until
from tests.conftest import StartHouse, Stock
from tests.emergency.conftest import DESK, QUICK, SAFETY, at, calls, report
from tests.mail_relay import MailRelay
from tests.ports import free_port
from tests.test_boot_log_pruning import fill, left

YEAR: Final = timedelta(days=365)
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


async def test_a_clock_a_year_ahead_costs_hours_of_the_boot_log_and_not_all(database: Database) -> None:
    times = [now() - timedelta(days=80) + number * timedelta(hours=1) for number in range(100)]
    await fill(database, times)
    pruner = Pruner(database, Rounds(pause=0, slice=10), clock=lambda: now() + YEAR)
    assert await pruner.round() == 2
    assert len(await left(database)) == 98


async def test_a_session_of_a_clock_that_was_a_year_ahead_is_over(stock: Stock, vault: Vault) -> None:
    database = Database(stock.url)
    async with database.write() as session:
        user = (await users.credentials(session, "office@harbourlane.example")).user
        assert user
        cookie = await sessions.start(session, vault, user, at=now() + YEAR)
        kept = await sessions.start(session, vault, user, at=now() + timedelta(hours=1))
    async with database.read() as session:
        assert await sessions.find(session, vault, cookie) is None
        assert await sessions.find(session, vault, kept) is not None
    await database.close()


async def test_nobody_is_locked_out_until_the_time_of_a_clock_that_was_ahead(
    database: Database, vault: Vault
) -> None:
    async def tried(times: int, ahead: timedelta) -> None:
        for _ in range(times):
            async with database.write() as session:
                await login_limits.admit(
                    session, vault, email="a@example.com", address="192.0.2.1", at=now() + ahead
                )

    await tried(login_limits.PER_EMAIL, YEAR)
    with pytest.raises(TooMany):
        await tried(1, YEAR)
    await tried(login_limits.PER_EMAIL, timedelta(0))
    with pytest.raises(TooMany):
        await tried(1, timedelta(0))


@pytest.fixture
def database_url(request: pytest.FixtureRequest, engine: str) -> str:
    """The URL of a database, with the sample account in it where the test has `stock`."""
    if "stock" in request.fixturenames:
        stock: Stock = request.getfixturevalue("stock")
        return stock.url
    migrated: str = request.getfixturevalue(f"_migrated_{engine}")
    url: str = request.getfixturevalue("new_database")(migrated)
    return url


@pytest.fixture
async def relay() -> AsyncIterator[MailRelay]:
    relay = MailRelay()
    async with relay.running():
        yield relay


async def test_mails_of_a_clock_that_was_ahead_leave_now_and_once(
    start_house: StartHouse, stock: Stock, relay: MailRelay
) -> None:
    """One was never tried, the other was claimed by a server that died."""
    account = stocked(await start_house(), stock)
    await report(account)
    async with account.house.database.write() as session:
        await session.execute(sa.update(outbox.Row).values(next_attempt_at=now() + YEAR))
        await session.execute(sa.update(outbox.Row).where(outbox.Row.recipient == DESK).values(attempts=1))
    soon = replace(QUICK, limit=0.5, patient_limit=0.5, margin=0.2)
    other = stocked(await start_house(relays=(at(relay),), schedule=soon), stock)
    await until(lambda: _all_delivered(other))
    assert Counter(mail.recipient for mail in relay.received) == {SAFETY: 1, DESK: 1}


async def _all_delivered(account: Account) -> bool:
    return {mail["state"] for mail in (await calls(account))[0]["mails"]} == {"delivered"}


async def test_a_claim_of_a_clock_that_was_ahead_is_left_the_time_that_a_claim_lasts(stock: Stock) -> None:
    database, at = Database(stock.url), now()
    async with database.write() as session:
        outbox_call = await _a_call(session)
        outbox.add(session, outbox_call, [SAFETY], urgent=True, at=at)
        await session.flush()
        claimed = await outbox.claim(session, QUICK, fresh=8, again=8, at=at)
        await session.execute(sa.update(outbox.Row).values(next_attempt_at=at + YEAR))
        assert await outbox.is_due(session, QUICK, at)
        assert await outbox.claim(session, QUICK, fresh=8, again=8, at=at) == []
        assert not await outbox.is_due(session, QUICK, at)
        later = at + QUICK.lease(QUICK.patient)
        assert [mail.id for mail in await outbox.claim(session, QUICK, fresh=8, again=8, at=later)] == [
            mail.id for mail in claimed
        ]
    await database.close()


async def test_no_mail_is_claimed_twice_while_the_clock_is_set_back(stock: Stock) -> None:
    """The time of the round was read before, and that of the claim after."""
    database = Database(stock.url)
    async with database.write() as session:
        outbox.add(session, await _a_call(session), [SAFETY], urgent=True, at=now())
        await session.flush()
        claimed = await outbox.claim(session, QUICK, fresh=8, again=8, at=now() + timedelta(seconds=5))
        assert len(claimed) == 1
    await database.close()


async def _a_call(session: AsyncSession) -> str:
    account_id = await session.scalar(sa.text("SELECT id FROM accounts"))
    row = emergency.Row(id="call_" + "0" * 26, account_id=account_id, reported_at=now())
    row.call_id, row.dialed, row.warnings, row.scene = "call-1", "911", [], {}
    session.add(row)
    await session.flush()
    return row.id


async def test_a_phone_that_a_clock_ahead_was_to_ask_is_asked_now(stock: Stock) -> None:
    database = Database(stock.url)
    async with database.write() as session:
        account_id = await session.scalar(sa.text("SELECT id FROM accounts"))
        device_id = await session.scalar(sa.text("SELECT id FROM devices LIMIT 1"))
        await resyncs.add(session, str(account_id), [str(device_id)], actor="system", reboot=False, via=None)
        await session.execute(sa.update(resyncs.PhoneRow).values(due_at=now() + YEAR))
        assert await resyncs.is_due(session, now())
        assert len(await resyncs.claim(session, timedelta(seconds=30), limit=5, at=now())) == 1
        assert await resyncs.claim(session, timedelta(seconds=30), limit=5, at=now()) == []
    await database.close()


async def test_what_was_seen_of_a_phone_under_a_clock_ahead_is_not_the_last_for_a_year(
    start_house: StartHouse, stock: Stock
) -> None:
    before = Askers((house := await start_house()).http, house.url, stock)
    assert (await before.fetch()).status == 200

    async def seen() -> bool:
        return await before.last_fetch() is not None

    await until(seen)
    async with house.database.write() as session:
        await session.execute(sa.update(sightings.Row).values(fetched_at=now() + YEAR))
    # As after a start: what the first has seen of the clock is not known to it.
    after = Askers((house := await start_house()).http, house.url, stock)
    assert datetime.fromisoformat(await after.last_fetch() or "") > now() + timedelta(days=300)
    assert (await after.fetch()).status == 200

    async def is_mended() -> bool:
        return datetime.fromisoformat(await after.last_fetch() or "") < now() + timedelta(minutes=1)

    await until(is_mended)


# With SQLite's threads faketime is slow, whatever the clock does.
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.skipif(FAKETIME is None, reason="Debian's faketime is not installed")
async def test_while_the_clock_jumps_all_is_answered_and_the_logs_stay_whole(
    stock: Stock, tmp_path: Path
) -> None:
    clock, port = tmp_path / "clock", free_port()
    clock.write_text("+0")
    environ = {
        "PATH": os.environ["PATH"],
        "PROVISIONING_DATABASE_URL": stock.url,
        "PROVISIONING_KEY_FILE": str(stock.key_file),
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    command = [str(Path(sys.executable).with_name("provisioning"))]
    server = subprocess.Popen(  # noqa: ASYNC220
        [*command, "serve", "--port", str(port)], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession() as http:
            askers = Askers(http, f"http://127.0.0.1:{port}", stock)

            async def answers() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    return await askers.health() == 200
                return False

            await until(answers)
            dates = []
            for number, offset in enumerate(("+3600", "-3600", "+31536000", "-31536000", "+0")):
                (tmp_path / "new").write_text(offset)
                (tmp_path / "new").rename(clock)
                fetched = await askers.fetch()
                assert fetched.status == 200
                dates.append(fetched.headers["Date"])
                assert (await askers.upload(f"<n{number}/>")).status == 201
                assert (await askers.location(f"n{number}")).status == 201
                assert (await askers.call(f"n{number}")).status == 202
            assert len({date.split()[3] for date in dates}) == 3  # so that it is no test of nothing

            async def seen() -> bool:
                return await askers.seen() == 10

            await until(seen)
            fetched_at = await askers.last_fetch()
            assert datetime.fromisoformat(fetched_at or "") < now() + timedelta(minutes=1)
            entries = await askers.activity()
            assert len({entry["id"] for entry in entries}) == len(entries)
            made = Counter(entry["event"] for entry in entries)
            assert (made["location.create"], made["emergency_call.report"]) == (5, 5)
    finally:
        server.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.wait)
    said = await asyncio.to_thread(
        subprocess.run,
        [*command, "verify-activity"],
        env={name: value for name, value in environ.items() if name[:3] in {"PAT", "PRO"}},
        capture_output=True,
    )
    assert said.stdout == b"The activity log is whole.\n"
