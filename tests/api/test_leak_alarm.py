"""A leaked URL: who tries MAC addresses with it raises one alarm, and costs known phones nothing."""

import asyncio
from collections import Counter
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
import sqlalchemy as sa

from provisioning import activity, boot_log, leak_alarms, sessions, users
from provisioning.boot_log import Entry, Verdict
from provisioning.db import now
from provisioning.leak_alarms import Asked
from tests.api.conftest import Account, stocked
from tests.conftest import House, StartHouse, Stock

DESK, NEW = "805ec0102001", "805ec0aaaaaa"
UNKNOWN = "/account/provisioning/unknown-phones"
SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


async def one(account: Account, mac: str) -> int:
    async with account.house.http.get(f"{account.url}{mac}.cfg") as answer:
        return answer.status


async def rename(account: Account, table: str, name: str) -> None:
    async with account.house.database.write() as session:
        await session.execute(sa.text(f"ALTER TABLE {table} RENAME TO {name}"))


async def ask(account: Account, *macs: str) -> list[int]:
    """Each asks for its file; the statuses, once the boot log is written."""

    statuses = await asyncio.gather(*(one(account, mac) for mac in macs))
    await account.house.log.flush()
    return list(statuses)


def strangers(first: int, last: int) -> list[str]:
    return [f"805ec1{number:06x}" for number in range(first, last)]


async def alarm(account: Account) -> Any:
    return (await account.viewer.get(UNKNOWN)).json["alarm"]


async def alarms_entered(account: Account) -> list[activity.Entry]:
    filters = activity.Filters(events=frozenset({"provisioning.alarm"}))
    async with account.house.database.read() as session:
        return (await activity.page(session, account.id, filters, limit=200))[0]


async def metric(account: Account) -> str:
    async with account.house.http.get(f"{account.house.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(line.split()[1] for line in lines if line.startswith("provisioning_leak_alarms "))


async def test_more_than_twenty_unknown_phones_in_ten_minutes_raise_one_alarm(account: Account) -> None:
    for _ in range(3):  # vendors' phones ask again
        assert await ask(account, *strangers(0, 20)) == [404] * 20
    assert (await alarm(account), await alarms_entered(account), await metric(account)) == (None, [], "0.0")
    assert await ask(account, *strangers(20, 21)) == [404]
    told = await alarm(account)
    assert (told["requests"], told["addresses"]) == (1, ["127.0.0.1"])
    assert await metric(account) == "1.0"
    assert await ask(account, *strangers(21, 60)) == [404] * 39
    assert (await alarm(account))["requests"] == 40
    (entry,) = await alarms_entered(account)
    assert (entry.actor, entry.outcome, entry.ip, entry.resource) == (
        "system",
        "denied",
        "127.0.0.1",
        "account",
    )
    assert entry.detail == {
        "unknown_phones": 21,
        "within_minutes": 10,
        "generation": 1,
        "addresses": ["127.0.0.1"],
    }
    events = (await account.viewer.get("/activity/events")).json["data"]
    assert {"event": "provisioning.alarm", "kind": "write"} in events


async def test_in_an_alarm_unknown_phones_are_refused_without_a_look_for_them(account: Account) -> None:
    await ask(account, *strangers(0, 40), DESK)
    await ask(account, *strangers(40, 41))
    await rename(account, "devices", "away")
    assert await ask(account, *strangers(41, 80)) == [404] * 39
    # A known phone is served from memory, and of one whose file is not there the database is asked.
    assert [await one(account, mac) for mac in (DESK, "001565102002")] == [200, 503]
    await rename(account, "away", "devices")
    rows = await account.house.boot_log()
    last = next(row for row in reversed(rows) if row.verdict == "mac_unknown")
    assert last.reason == (
        "no device of this account has this MAC address; so many such asked that the URL may have leaked:"
        " of each one request a minute is here, at most"
    )


async def test_in_an_alarm_known_phones_boot_and_a_new_one_does_at_once(account: Account) -> None:
    await ask(account, *strangers(0, 40), NEW)
    assert await ask(account, NEW, DESK, "001565102002") == [404, 200, 200]
    made = await account.technician.post("/devices", {"mac": NEW, "vendor": "yealink", "model": "T46S"})
    assert made.status == 201
    assert await ask(account, NEW, *strangers(41, 43)) == [200, 404, 404]
    deleted = await account.technician.delete(f"/devices/{made.json['id']}")
    assert (deleted.status, await ask(account, NEW)) == (204, [404])


async def test_who_spreads_over_servers_gets_no_more_and_a_restart_changes_nothing(
    start_house: StartHouse, stock: Stock
) -> None:
    one, two = [stocked(await start_house(), stock) for _ in range(2)]
    await ask(one, *strangers(0, 12))
    await ask(two, *strangers(8, 20))
    assert await alarm(one) is None
    await ask(two, *strangers(20, 21))
    told = await alarm(one)
    restarted = stocked(await start_house(), stock)
    assert await alarm(restarted) == told
    await ask(restarted, *strangers(100, 140))
    assert (await alarm(one))["raised_at"] == told["raised_at"]
    assert len(await alarms_entered(one)) == 1


@SQLITE
async def test_three_pages_say_so_and_what_to_do(account: Account) -> None:
    await ask(account, *strangers(0, 40))
    email = "office@harbourlane.example"
    async with account.house.database.write() as session:
        user = (await users.credentials(session, email)).user
        assert user
        cookie = await sessions.start(session, account.house.vault, user)
    for page in ("settings?tab=devices", "devices", "rotation"):
        headers = {"Cookie": f"session={cookie}", "Accept-Encoding": "identity"}
        async with account.house.http.get(f"{account.house.url}/{page}", headers=headers) as answer:
            text = await answer.text()
        assert "The provisioning URL may have leaked." in text
        assert '<a href="/settings?tab=devices#rotate-open">rotate the URL</a>' in text
        assert '<a href="/rotation#unknown-title">add them</a>' in text


async def test_a_rotation_ends_the_alarm(account: Account) -> None:
    await ask(account, *strangers(0, 40))
    assert (await account.admin.post("/account/provisioning/rotate", {"reason": "leak"})).status == 200
    assert (await alarm(account), await metric(account)) == (None, "0.0")


async def test_it_ends_after_ten_quiet_minutes_and_the_next_is_a_new_one(account: Account) -> None:
    async def told(first: int, last: int, minutes: int) -> float | None:
        """In so many minutes from the beginning; until which one the alarm is on."""
        at = began + timedelta(minutes=minutes)
        asked = Asked(1, dict.fromkeys(strangers(first, last), (at, "192.0.2.9")), last - first)
        async with account.house.database.write() as session:
            until = await leak_alarms.note(session, account.id, asked)
        return (until - began) / timedelta(minutes=1) if until else None

    began = now() - timedelta(hours=2)
    assert await told(0, 20, 0) is None
    assert await told(20, 30, 11) is None  # the first ones are too long ago
    assert await told(30, 41, 15) == 25
    assert await told(41, 42, 24) == 25  # one alone holds no alarm up
    assert await told(0, 40, 24) == 34
    assert await told(0, 1, 40) is None
    assert await told(100, 140, 60) == 70
    assert len(await alarms_entered(account)) == 2
    assert await alarm(account) is None


async def test_a_scan_of_many_thousands_drowns_neither_the_log_nor_the_phones_on_a_desk(
    account: Account,
) -> None:
    await ask(account, *strangers(0, 40))
    at = now().replace(second=0)
    for number in range(20_000):
        add(account.house, account.id, f"805ec2{number:06x}", "198.51.100.7", at)
    desk = [f"805ec3{number:06x}" for number in range(25)]
    for mac in desk * 3:
        add(account.house, account.id, mac, "192.0.2.8", at)
    rows = Counter(row.ip for row in await account.house.boot_log())
    assert rows["198.51.100.7"] <= 60  # thirty a minute
    assert 25 <= rows["192.0.2.8"] <= 50
    assert (await alarm(account))["requests"] == 40 + 20_000 + 75
    listed = {phone["mac"] for phone in (await account.viewer.get(UNKNOWN)).json["data"]}
    assert set(desk) <= listed


async def test_of_unknown_phones_none_is_crowded_out_by_those_of_another_address(account: Account) -> None:
    at = now()
    async with account.house.database.write() as session:
        for number in range(300):
            entry = Entry(at, "GET", "x", "198.51.100.7", "", account.id, mac=f"805ec2{number:06x}")
            values = {name: getattr(entry, name) for name in boot_log._COLUMNS} | {"verdict": "mac_unknown"}
            await session.execute(sa.insert(boot_log.Row).values(**values))
        early = {"time": at - timedelta(days=1), "mac": NEW, "ip": "192.0.2.8"}
        await session.execute(sa.insert(boot_log.Row).values(**values | early))
    listed = (await account.viewer.get(UNKNOWN)).json["data"]
    assert (len(listed), listed[-1]["mac"]) == (200, NEW)


def add(house: House, account_id: str, mac: str, ip: str, at: Any) -> None:
    entry = Entry(at, "GET", f"{mac}.cfg", ip, "", account_id, mac=mac, generation=1)
    entry.verdict = Verdict.MAC_UNKNOWN
    house.log.add(entry)


@SQLITE
async def test_a_flood_without_credentials_does_not_fill_the_activity_log(account: Account) -> None:
    assert {(await account.nobody.get("/account")).status for _ in range(50)} == {401}
    assert (await account.switch.get("/account")).status == 403  # of a known account each one is entered
    assert (await account.switch.get("/account")).status == 403
    denied = [entry.outcome for entry in await account.entries() if entry.actor.startswith("api_key/")]
    assert denied == ["denied", "denied"]
    entered = len(await account.entries(""))
    assert 10 <= entered <= 20  # ten a minute


@SQLITE
async def test_a_flood_from_everywhere_leaves_sixty_entries_a_minute(
    start_house: StartHouse, stock: Stock
) -> None:
    account = stocked(await start_house(trusted_proxies=(ip_network("127.0.0.0/8"),)), stock)
    for number in range(130):
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        assert (await account.nobody.get("/account", headers)).status == 401
    entries = await account.entries("")
    minutes = Counter(entry.time.replace(second=0, microsecond=0) for entry in entries)
    assert max(minutes.values()) == 60
