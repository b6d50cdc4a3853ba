"""A test boot: what the phone would do and hold, and that nothing of it counts as the phone's own."""

import asyncio
import time
from typing import Any

import pytest
import sqlalchemy as sa

from provisioning import boot_log, extensions, sightings, test_boot, uploads
from provisioning.errors import ProvisioningError
from provisioning.phones.options import Options
from tests.api.conftest import Account, Answer, stocked
from tests.certificates import self_signed
from tests.conftest import House, StartHouse, Stock
from tests.shell import Shell

YEALINK = "805ec0102001"
POLYCOM = "64167f102005"
SIP_PASSWORD = "Kq7vTz2mWx94LpRd"


async def path(account: Account, mac: str = YEALINK) -> str:
    (found,) = (await account.viewer.get(f"/devices?q={mac}")).json["data"]
    return f"/devices/{found['id']}"


async def boot(account: Account, mac: str = YEALINK) -> Any:
    answer = await account.technician.post(f"{await path(account, mac)}/test-boot")
    assert answer.status == 200, answer.text
    return answer.json


async def traces(account: Account) -> tuple[Any, ...]:
    """All that a phone's own requests leave behind."""
    await account.house.log.flush()
    tables = (boot_log.Row, sightings.Row, uploads.Row)
    async with account.house.database.read() as session:
        rows = [
            sorted(map(repr, await session.execute(sa.select(*table.__table__.columns)))) for table in tables
        ]
    return rows, (await account.viewer.get("/devices")).json


async def test_a_phone_that_would_be_told_the_next_url_comes_up(account: Account) -> None:
    staged = await account.admin.post("/account/provisioning/stage", {"reason": "scheduled"})
    assert staged.status in {200, 201}, staged.text
    for mac in (YEALINK, POLYCOM):
        found = await boot(account, mac)
        assert (found["came_up"], found["problems"]) == (True, [])
        assert staged.json["staged"]["provisioning_url"] not in str(found)


async def test_it_works(account: Account) -> None:
    found = await boot(account)
    assert (found["came_up"], found["problems"], found["firmware"]) == (True, [], "96.87.0.15")
    assert found["server"] == account.house.url
    assert [(s["method"], s["file"], s["status"], s["reason"], s["effect"]) for s in found["steps"]] == [
        ("GET", f"{YEALINK}.boot", 200, "", "was read and taken in"),
        ("GET", f"{YEALINK}.cfg", 200, "", "was read and taken in"),
    ]
    async with account.house.http.get(f"{account.url}{YEALINK}.cfg") as answer:
        assert found["steps"][1]["bytes"] == len(await answer.read())
    assert all(step["milliseconds"] > 0 for step in found["steps"])
    assert found["milliseconds"] >= sum(step["milliseconds"] for step in found["steps"])
    assert found["provisioning_url"] == f"{account.house.url}/p/********/"
    assert found["lines"][0] == {
        "index": 1,
        "extension": "4201",
        "name": "Front Desk",
        "server": "sip.harbourlane.example:5060",
        "transport": "udp",
        "registers": True,
    }
    keys = {(key["module"], key["position"]): (key["type"], key["label"]) for key in found["keys"]}
    assert (keys[0, 1], keys[0, 3], keys[1, 4]) == (
        ("line", ""),
        ("park", "Park 1"),
        ("speed_dial", "Taxi"),
    )
    assert found["clock"]["utc_offset"] in {-18000, -14400}
    assert found["clock"]["next_utc_offset"] == -32400 - found["clock"]["utc_offset"]
    assert found["clock"]["next_change_at"].endswith(":00:00Z")


async def test_every_phone_of_the_account_comes_up_and_no_secret_is_told(account: Account) -> None:
    secrets = [account.url.split("/")[-2], SIP_PASSWORD]
    secrets.append((await account.admin.get("/account/provisioning")).json["admin_password"])
    for device in (await account.viewer.get("/devices")).json["data"]:
        answer = await account.technician.post(f"/devices/{device['id']}/test-boot")
        assert answer.json["came_up"], answer.text
        assert len(answer.json["lines"]) == len(device["lines"])
        assert not [secret for secret in secrets if secret in answer.text]


async def test_a_clock_without_daylight_time_does_not_change(account: Account) -> None:
    await account.technician.patch(f"{await path(account)}/options", {"timezone": "Asia/Kolkata"})
    assert (await boot(account))["clock"] == {
        "utc_offset": 19800,
        "next_change_at": None,
        "next_utc_offset": None,
    }


@pytest.mark.parametrize("mac", [YEALINK, POLYCOM])
async def test_nothing_of_it_counts_as_the_phones_own(account: Account, mac: str) -> None:
    before = await traces(account)
    assert (await boot(account, mac))["came_up"]
    assert await traces(account) == before


async def test_what_the_phone_has_uploaded_stays(account: Account) -> None:
    for suffix, content in (("-boot.log", b"its log\n"), ("-app.log", b"more\n"), ("-calls.xml", b"<c/>")):
        await account.house.http.put(f"{account.url}{POLYCOM}{suffix}", data=content)
    before = await traces(account)
    found = await boot(account, POLYCOM)
    written = [(s["file"], s["status"], s["effect"]) for s in found["steps"] if s["method"] == "PUT"]
    assert written == [
        (f"{POLYCOM}-boot.log", 201, "was taken, and thrown away after the test"),
        (f"{POLYCOM}-app.log", 201, "was taken, and thrown away after the test"),
    ]
    assert await traces(account) == before
    async with account.house.http.get(f"{account.url}{POLYCOM}-app.log") as answer:
        assert await answer.read() == b"more\n"


async def test_it_boots_with_the_firmware_that_the_phone_told(account: Account) -> None:
    for told, used in (("96.84.0.30", "96.84.0.30"), ("5.9.7.4477", "96.87.0.15")):
        agent = f"Yealink SIP-T54W {told} 80:5e:c0:10:20:01"
        await account.house.http.get(f"{account.url}{YEALINK}.cfg", headers={"User-Agent": agent})
        await account.house.log.flush()
        found = await boot(account)
        assert (found["firmware"], found["came_up"]) == (used, True)


async def test_a_file_that_cannot_be_made_says_which_parameter_is_at_fault(account: Account) -> None:
    async with account.house.database.write() as session:
        await session.execute(sa.update(extensions.Row).values(display_name="Secret\x1b"))
    found = await boot(account)
    assert found["came_up"] is False
    failed = [step for step in found["steps"] if step["status"] == 500]
    assert {step["file"] for step in failed} == {f"{YEALINK}.cfg"}
    assert failed[0]["reason"] == (
        "yealink/phone.cfg.j2: account.1.display_name: a value holds a character that the file cannot carry"
    )
    assert failed[0]["effect"].startswith("was refused; status 500")
    assert (found["lines"], found["keys"], found["clock"]) == ([], [], None)
    assert "Secret" not in str(found)


async def test_a_file_that_is_refused_says_why(account: Account) -> None:
    found = await boot(account, POLYCOM)
    assert {(step["file"], step["reason"]) for step in found["steps"] if step["status"] == 404} >= {
        (f"{POLYCOM}-phone.cfg", "the phone has not uploaded this file yet"),
        (f"{POLYCOM}-license.cfg", "a Polycom VVX 450 has no file of this name here"),
    }


async def test_without_a_token_there_is_nothing_to_boot_from(account: Account) -> None:
    async with account.house.database.write() as session:
        await session.execute(sa.text("DELETE FROM provisioning_tokens"))
    answer = await account.technician.post(f"{await path(account)}/test-boot")
    assert (answer.status, answer.json["detail"]) == (
        409,
        "there is no provisioning URL yet: generate the token first",
    )


async def test_it_is_entered_in_the_activity_log(account: Account) -> None:
    await boot(account)
    entry = (await account.entries())[-1]
    assert (entry.event, entry.outcome, entry.resource) == (
        "device.test_boot",
        "success",
        (await path(account)).removeprefix("/").replace("devices", "device"),
    )
    assert entry.detail == {"came_up": True, "problems": 0}


class TestLimits:
    async def test_one_device_boots_once_at_a_time(self, account: Account) -> None:
        where = await path(account)
        answers: list[Answer] = await asyncio.gather(
            *(account.technician.post(f"{where}/test-boot") for _ in range(2))
        )
        # The second may come when the first has ended.
        assert [answer.status for answer in answers].count(200) >= 1
        test_boot._running.add(where.split("/")[-1])
        try:
            answer = await account.technician.post(f"{where}/test-boot")
        finally:
            test_boot._running.clear()
        assert (answer.status, answer.json["detail"]) == (409, "a test boot of this phone is under way")
        assert (await boot(account))["came_up"]

    async def test_several_at_once_are_enough(self, account: Account) -> None:
        test_boot._running.update(f"dev_{number}" for number in range(test_boot._AT_ONCE))
        try:
            answer = await account.technician.post(f"{await path(account)}/test-boot")
        finally:
            test_boot._running.clear()
        assert (answer.status, answer.headers["Retry-After"]) == (429, "5")

    async def test_one_that_takes_too_long_is_broken_off(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(test_boot, "_SECONDS", 0)
        found = await boot(account)
        assert (found["came_up"], found["steps"]) == (False, [])
        assert "the boot took more than 0 seconds and was broken off" in found["problems"]
        assert test_boot._running == set()


class TestMark:
    """Whoever could forge it would fetch unseen, and a refusal would tell him why."""

    async def fetch(self, account: Account, mark: str) -> tuple[int, str | None]:
        headers = {test_boot.HEADER: mark}
        async with account.house.http.get(f"{account.url}{YEALINK}-x.cfg", headers=headers) as answer:
            await account.house.log.flush()
            return await account.count(boot_log.Row), answer.headers.get("X-Reason")

    async def test_a_good_one_leaves_no_entry_and_is_told_why(self, account: Account) -> None:
        mark = test_boot.mark(account.house.vault, account.url.split("/")[-2])
        assert await self.fetch(account, mark) == (0, "a Yealink T54W has no file of this name here")

    async def test_any_other_counts_for_nothing(self, account: Account) -> None:
        vault, token = account.house.vault, account.url.split("/")[-2]
        good, past = test_boot.mark(vault, token), int(time.time()) - 1
        until, _, signature = good.partition(".")
        for number, mark in enumerate(
            (
                "",
                "1",
                "x.y",
                until,
                f"{until}.",
                f"{until}.{signature[:-1]}",
                f"{int(until) + 1}.{signature}",
                f"{past}.{test_boot._signature(vault, token, past)}",
                f"²{good}",
                test_boot.mark(vault, token[:-1]),
                f"{until}.{vault.digest(token).hex()}",
            ),
            start=1,
        ):
            assert await self.fetch(account, mark) == (number, None), mark


async def test_behind_a_proxy_the_server_asks_itself_and_not_the_proxy(
    start_house: StartHouse, stock: Stock
) -> None:
    """The name of the URL need not even be known here."""
    house = await start_house(base_url="https://phones.example.com/sip")
    found = await boot(stocked(house, stock))
    assert (found["came_up"], found["server"]) == (True, house.url)
    assert found["provisioning_url"] == "https://phones.example.com/sip/p/********/"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_over_tls_it_trusts_as_the_phone_is_told_to_whichever_worker_answers(
    house: House, stock: Stock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = self_signed(folder)
    environ = {
        "PROVISIONING_TLS_CERT": str(cert),
        "PROVISIONING_TLS_KEY": str(key),
        "PROVISIONING_DATABASE_URL": stock.url,
        "PROVISIONING_KEY_FILE": str(stock.key_file),
    }
    account = stocked(house, stock)
    where = await path(account)
    before = await traces(account)
    shell = Shell(folder, scheme="https", environ=environ)
    with shell.serving("--workers", "2"):

        async def come_up() -> set[bool]:
            found = set()
            for _ in range(6):
                headers = {"Authorization": f"Bearer {account.technician.key}"}
                url = f"{shell.url}/api/v1{where}/test-boot"
                async with house.http.post(url, headers=headers, ssl=False) as answer:
                    assert answer.status == 200, await answer.text()
                    found.add((await answer.json())["came_up"])
            return found

        assert await come_up() == {False}  # nobody has signed its certificate
        await account.technician.patch(f"{where}/options", {"transport_trust": "any"})
        assert await come_up() == {True}
    after = await traces(account)
    assert after[0] == before[0]


def test_a_ca_that_cannot_be_read_is_no_fault_of_ours() -> None:
    with pytest.raises(ProvisioningError, match="transport_ca"):
        test_boot._certificate(Options.model_construct(transport_trust="custom", transport_ca="x"))
    assert test_boot._certificate(Options(transport_trust="any")) is False
