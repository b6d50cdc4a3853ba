"""What became of a phone's boots: its requests put together, a sentence for each boot, and what to do."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from provisioning import boot_log, extensions
from provisioning.config import _networks
from provisioning.virtual_phone import VirtualPhone, virtual_phone
from tests.api.conftest import Account, stocked
from tests.conftest import House, StartHouse, Stock

YEALINK = "805ec0102001"
POLYCOM = "64167f102005"
T28P = "001565102004"
T54W = "Yealink SIP-T54W 96.86.0.75 80:5e:c0:10:20:01"
VVX = "FileTransport PolycomVVX-VVX_450-UA/6.4.0.1000 Type/Application"
CAME_UP = "It came up: it was served all files of its own."


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
def account(house: House, stock: Stock) -> Account:
    return stocked(house, stock)


async def phone(account: Account, mac: str) -> VirtualPhone:
    """The virtual phone of a device."""
    it = await device(account, mac)
    vendor = account.house.rendering.vendors[it["vendor"]]
    return virtual_phone(vendor, vendor.models[it["model"]], mac)


async def device(account: Account, mac: str) -> Any:
    (found,) = (await account.viewer.get(f"/devices?q={mac}")).json["data"]
    return found


async def timeline(account: Account, mac: str = YEALINK, query: str = "") -> Any:
    await account.house.log.flush()
    id = (await device(account, mac))["id"]
    answer = await account.viewer.get(f"/devices/{id}/timeline{query}")
    assert answer.status == 200, answer.text
    return answer.json


async def boots(account: Account, mac: str = YEALINK) -> list[Any]:
    """Newest first."""
    return list((await timeline(account, mac))["data"])


async def said(account: Account, mac: str = YEALINK) -> tuple[str, str, str]:
    """Outcome, sentence and advice of the one boot that there is."""
    (boot,) = await boots(account, mac)
    return boot["outcome"], boot["sentence"], boot["advice"]


async def ask(account: Account, *names: str, agent: str = "", method: str = "GET", **headers: str) -> None:
    for name in names:
        await account.house.http.request(
            method,
            account.url + name,
            headers={"User-Agent": agent, **headers},
            data=b"x" if method == "PUT" else None,
        )


async def earlier(account: Account, **by: int) -> None:
    """All that is in the log happened so much earlier."""
    await account.house.log.flush()
    async with account.house.database.write() as session:
        for row in await session.scalars(sa.select(boot_log.Row)):
            row.time -= timedelta(**by)


async def execute(account: Account, statement: str) -> None:
    async with account.house.database.write() as session:
        await session.execute(sa.text(statement))


class TestGrouping:
    async def test_it_works(self, account: Account) -> None:
        assert (await (await phone(account, YEALINK)).boot(account.url)).came_up
        (boot,) = await boots(account)
        assert [(row["method"], row["file"], row["status"]) for row in boot["requests"]] == [
            ("GET", f"{YEALINK}.boot", 200),
            ("GET", f"{YEALINK}.cfg", 200),
        ]
        assert (boot["came_up"], boot["outcome"], boot["sentence"], boot["advice"]) == (
            True,
            "came_up",
            CAME_UP,
            "",
        )
        assert (boot["firmware"], boot["ip"], boot["scheme"], boot["generation"]) == (
            "96.87.0.15",
            "127.0.0.1",
            "http",
            1,
        )
        assert boot["began_at"] == boot["requests"][0]["time"] <= boot["ended_at"]
        assert boot["ended_at"] == boot["requests"][-1]["time"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", boot["began_at"])

    @pytest.mark.parametrize("mac", [YEALINK, POLYCOM, T28P])
    async def test_a_phone_that_starts_again_at_once_has_booted_twice(
        self, account: Account, mac: str
    ) -> None:
        it = await phone(account, mac)
        requests = []
        for _ in range(2):
            own = [e.file for e in (await it.boot(account.url)).exchanges if e.file.startswith(mac)]
            requests.append(own)
        second, first = await boots(account, mac)
        assert [[row["file"] for row in boot["requests"]] for boot in (first, second)] == requests
        assert (first["sentence"], second["sentence"]) == (CAME_UP, CAME_UP)

    async def test_a_pause_begins_the_next(self, account: Account) -> None:
        await ask(account, f"{POLYCOM}-phone.cfg", f"{POLYCOM}-web.cfg")
        await earlier(account, minutes=6)
        await ask(account, f"{POLYCOM}-phone.cfg")
        await earlier(account, minutes=4)
        await ask(account, f"{POLYCOM}-web.cfg")
        assert [len(boot["requests"]) for boot in await boots(account, POLYCOM)] == [2, 2]

    async def test_a_file_that_was_refused_is_asked_for_again_in_the_same_boot(
        self, account: Account
    ) -> None:
        """A Yealink asks three times for each file that it misses."""
        await ask(account, *[f"{T28P}.boot"] * 3, f"{T28P}.cfg")
        (boot,) = await boots(account, T28P)
        assert [row["status"] for row in boot["requests"]] == [404, 404, 404, 200]
        assert boot["sentence"] == CAME_UP

    async def test_another_url_begins_the_next(self, account: Account) -> None:
        url = (await account.admin.post("/account/provisioning/rotate")).json["provisioning_url"]
        await ask(account, f"{T28P}.cfg")
        await account.house.http.get(f"{url}{T28P}.cfg")
        assert [(boot["outcome"], boot["generation"]) for boot in await boots(account, T28P)] == [
            ("came_up", 2),
            ("old_url", 1),
        ]

    async def test_a_look_whether_a_file_is_there_begins_none(self, account: Account) -> None:
        await ask(account, f"{YEALINK}.cfg")
        await ask(account, f"{YEALINK}.boot", f"{YEALINK}.cfg", method="HEAD")
        (boot,) = await boots(account)
        assert [row["method"] for row in boot["requests"]] == ["GET", "HEAD", "HEAD"]

    async def test_whoever_asks_on_and_on_makes_no_boundless_boot(self, account: Account) -> None:
        await asyncio.gather(*[ask(account, f"{YEALINK}-x.cfg") for _ in range(230)])
        assert [len(boot["requests"]) for boot in await boots(account)][-1] == 100
        assert sum(len(boot["requests"]) for boot in await boots(account)) == 230

    async def test_page_after_page_each_boot_is_there_once(self, account: Account) -> None:
        for number in range(5):
            await ask(account, f"{YEALINK}.boot")
            await asyncio.gather(*[ask(account, f"{YEALINK}-{number}.cfg") for _ in range(60)])
            await ask(account, f"{YEALINK}.cfg")
        pages, cursor = [], ""
        while cursor is not None:
            page = await timeline(account, query=f"?limit=2{cursor and f'&cursor={cursor}'}")
            pages.append([boot["requests"][1]["file"][-5] for boot in page["data"]])
            assert {len(boot["requests"]) for boot in page["data"]} == {62}
            cursor = page["next_cursor"]
        assert pages == [["4", "3"], ["2", "1"], ["0"]]


class TestSentences:
    async def test_a_polycom_came_up(self, account: Account) -> None:
        assert (await (await phone(account, POLYCOM)).boot(account.url)).came_up
        (boot,) = await boots(account, POLYCOM)
        assert (boot["came_up"], boot["sentence"], boot["firmware"]) == (True, CAME_UP, "5.9.7.4477")
        assert len(boot["requests"]) == 10

    async def test_a_phone_that_says_it_is_another_model(self, account: Account) -> None:
        vendor = account.house.rendering.vendors["yealink"]
        await virtual_phone(vendor, vendor.models["T46S"], YEALINK).boot(account.url)
        assert await said(account) == (
            "other_model",
            "It came up, although it says that it is a Yealink T46S, and the device here is a Yealink T54W.",
            "Change the device's model to Yealink T46S, or move the phone to a device of its own.",
        )

    async def test_a_phone_that_says_it_is_another_vendors(self, account: Account) -> None:
        await ask(account, f"{YEALINK}.cfg", agent=VVX)
        (boot,) = await boots(account)
        assert boot["came_up"] is False  # it cannot read what it was given
        assert await said(account) == (
            "other_vendor",
            "It was served all files of its own, although it says that it is a Polycom VVX 450, and the"
            " device here is a Yealink T54W.",
            "Change the device's vendor and model to Polycom VVX 450, or move the phone to a device of its"
            " own.",
        )

    async def test_a_phone_that_says_it_has_another_mac_address(self, account: Account) -> None:
        await ask(account, f"{YEALINK}.cfg", agent=T54W.replace("20:01", "20:99"))
        assert await said(account) == (
            "other_mac",
            "It came up, although it says that its MAC address is 80:5e:c0:10:20:99.",
            "See whether another phone was given this one's files.",
        )

    @pytest.mark.parametrize("mac", [YEALINK, POLYCOM])
    async def test_a_phone_that_knocks_with_the_old_url(self, account: Account, mac: str) -> None:
        await account.admin.post("/account/provisioning/rotate")
        await (await phone(account, mac)).boot(account.url)
        (boot,) = await boots(account, mac)
        assert boot["outcome"] == "old_url"
        assert re.fullmatch(
            r"It asked with an old provisioning URL, which was rotated out at \d{4}-\d\d-\d\dT[\d:]+\+00:00"
            r" by api_key/ak_[0-9a-z]{26}\.",
            boot["sentence"],
        )
        assert boot["advice"] == (
            "Give it the present URL (Settings, Devices). Until then it keeps the configuration that it has."
        )

    async def test_a_phone_that_asks_with_the_next_url_too_early(self, account: Account) -> None:
        staged = await account.admin.post("/account/provisioning/stage", {"reason": "scheduled"})
        it = await phone(account, YEALINK)
        url = staged.json["staged"]["provisioning_url"]
        assert (await it.boot(account.url, staged_url=url)).came_up
        await it.poll()
        newest, before = await boots(account)
        assert before["outcome"] == "came_up"
        assert (newest["outcome"], newest["sentence"], newest["advice"]) == (
            "next_url",
            "It asked with the next provisioning URL, which was not in force yet.",
            "It keeps its configuration, and comes back by itself once the rotation is committed.",
        )

    @pytest.mark.parametrize(
        ("mac", "own"), [(YEALINK, f"{YEALINK}.cfg"), (POLYCOM, f"{POLYCOM}-account.cfg")]
    )
    async def test_a_phone_that_asks_for_its_boot_file_but_never_for_its_own(
        self, account: Account, mac: str, own: str
    ) -> None:
        file = f"{YEALINK}.boot" if mac == YEALINK else f"{POLYCOM}.cfg"
        await ask(account, file)
        assert await said(account, mac) == (
            "no_own_file",
            f"It asked for its boot file {file}, but never for its own file {own}.",
            "If nothing follows within a minute, start it again. If it stays so, look at the phone's own log"
            " and update its firmware: it does not follow the boot file.",
        )

    @pytest.mark.parametrize(
        ("mac", "file", "parameter"),
        [
            (YEALINK, f"{YEALINK}.cfg", "yealink/phone.cfg.j2: account.1.display_name"),
            (POLYCOM, f"{POLYCOM}-account.cfg", "polycom/account.cfg.j2: reg.1.displayName"),
        ],
    )
    async def test_a_file_that_cannot_be_made_and_the_parameter_at_fault(
        self, account: Account, mac: str, file: str, parameter: str
    ) -> None:
        # No form lets such a name in; a hand in the database does.
        async with account.house.database.write() as session:
            await session.execute(sa.update(extensions.Row).values(display_name="Secret\x1b"))
        await execute(account, "UPDATE revisions SET revision = revision + 1")
        await (await phone(account, mac)).boot(account.url)
        outcome, sentence, advice = await said(account, mac)
        assert outcome == "render_error"
        assert sentence == (
            f"The file {file} could not be made: {parameter}: a value holds a character that the file cannot"
            " carry."
        )
        assert (
            advice
            == "Correct what it is made of, and make a test boot. Until then the phone keeps what it has."
        )

    async def test_a_database_that_was_away(self, account: Account) -> None:
        await ask(account, f"{YEALINK}.boot")
        await execute(account, "ALTER TABLE device_lines RENAME TO away")
        await ask(account, f"{YEALINK}.cfg")
        await execute(account, "ALTER TABLE away RENAME TO device_lines")
        assert await said(account) == (
            "unavailable",
            f"The database did not answer when it asked for {YEALINK}.cfg.",
            "It keeps what it has, and will come again. If this goes on, the server's log says more.",
        )
        await ask(account, f"{YEALINK}.cfg")
        assert (await said(account))[:2] == ("came_up", CAME_UP)

    async def test_a_database_that_was_away_from_the_beginning(self, account: Account) -> None:
        """Nobody could tell whose URL it was; the phone is known by the address that it comes from."""
        await ask(account, f"{YEALINK}.boot", f"{YEALINK}.cfg")
        await earlier(account, hours=1)
        await execute(account, "ALTER TABLE provisioning_tokens RENAME TO away")
        await ask(account, f"{YEALINK}.boot")
        await execute(account, "ALTER TABLE away RENAME TO provisioning_tokens")
        away, before = await boots(account)
        assert (away["outcome"], before["outcome"]) == ("unavailable", "came_up")
        await ask(account, f"{YEALINK}.boot", f"{YEALINK}.cfg")
        assert [boot["outcome"] for boot in await boots(account)] == ["came_up", "came_up"]
        # From elsewhere it may be another account's.
        await execute(account, "UPDATE sightings SET fetched_ip = '192.0.2.1'")
        assert [len(boot["requests"]) for boot in await boots(account)] == [2, 2]

    async def test_an_upload_that_broke_off(self, account: Account) -> None:
        headers = {"Content-Encoding": "gzip"}
        async with account.house.http.put(
            f"{account.url}{POLYCOM}-app.log", data=b"junk!", headers=headers
        ) as answer:
            assert answer.status == 400
        assert await said(account, POLYCOM) == (
            "broke_off",
            f"Its upload {POLYCOM}-app.log broke off.",
            "If that happens again, look at its network.",
        )

    async def test_a_phone_that_asked_before_it_was_on_the_account(self, account: Account) -> None:
        await ask(account, "805ec0aabbcc.cfg")
        await account.technician.post("/devices", {"mac": "805ec0aabbcc", "model": "T46S"})
        assert await said(account, "805ec0aabbcc") == (
            "not_on_account",
            "It asked before its MAC address was on this account, and was refused.",
            "Start it again, or wait until it asks by itself.",
        )

    async def test_a_phone_whose_model_is_no_more(self, account: Account) -> None:
        await execute(account, f"UPDATE devices SET model = 'T00' WHERE mac = '{YEALINK}'")
        await ask(account, f"{YEALINK}.boot", f"{YEALINK}.cfg")
        outcome, sentence, _ = await said(account)
        assert outcome == "refused"
        assert sentence == f"It was refused {YEALINK}.cfg: a Yealink T00 has no file of this name here."

    async def test_uploads_only(self, account: Account) -> None:
        await ask(account, f"{POLYCOM}-app.log", method="HEAD")
        await ask(account, f"{POLYCOM}-app.log", f"{POLYCOM}-phone.cfg", method="PUT")
        assert await said(account, POLYCOM) == (
            "uploads",
            f"It only wrote files of its own: {POLYCOM}-app.log, {POLYCOM}-phone.cfg.",
            "",
        )

    async def test_an_upload_that_is_too_large(self, account: Account) -> None:
        async with account.house.http.put(f"{account.url}{POLYCOM}-app.log", data=b"x" * 600_000) as answer:
            assert answer.status == 413
        assert await said(account, POLYCOM) == (
            "too_large",
            f"Its upload {POLYCOM}-app.log was too large and was refused: over 524288 bytes.",
            "Clear that log or list on the phone, or have it log less.",
        )

    async def test_a_phone_that_wrote_that_it_starts_and_no_more(self, account: Account) -> None:
        await ask(account, f"{POLYCOM}-boot.log", method="PUT")
        assert await said(account, POLYCOM) == (
            "broke_off",
            f"It began to start, wrote {POLYCOM}-boot.log and asked for nothing more.",
            "If nothing follows, it lost its network: look at its cable, power and VLAN, and start it again.",
        )

    async def test_a_look_and_no_more(self, account: Account) -> None:
        await ask(account, f"{POLYCOM}-app.log", method="HEAD")
        assert (await said(account, POLYCOM))[1:] == (
            f"It looked whether {POLYCOM}-app.log is there, and no more.",
            "",
        )

    async def test_other_files_of_its_own(self, account: Account) -> None:
        await ask(account, f"{POLYCOM}-directory.xml")
        assert (await said(account, POLYCOM))[:2] == (
            "other_files",
            f"It asked for {POLYCOM}-directory.xml, and not for its configuration.",
        )

    async def test_only_junk(self, account: Account) -> None:
        await ask(account, *(f"{YEALINK}-{name}.php" for name in "abcdef"))
        outcome, sentence, advice = await said(account)
        assert outcome == "junk"
        assert sentence == (
            "It asked for nothing that there is for this phone: "
            + ", ".join(f"{YEALINK}-{name}.php" for name in "abcd")
            + " and 2 more."
        )
        assert advice.startswith("Compare vendor, model and MAC address")

    async def test_several_faults_are_one_sentence(self, account: Account) -> None:
        await ask(account, f"{POLYCOM}-app.log", method="PUT", agent=VVX)
        async with account.house.http.put(f"{account.url}{POLYCOM}-calls.xml", data=b"x" * 600_000):
            pass
        await ask(account, f"{POLYCOM}.cfg", f"{POLYCOM}-account.cfg", agent=VVX.replace("450", "411"))
        outcome, sentence, advice = await said(account, POLYCOM)
        assert outcome == "other_model"
        assert sentence == (
            "It came up, although it says that it is a Polycom VVX 411, and the device here is a Polycom VVX"
            f" 450; its upload {POLYCOM}-calls.xml was too large and was refused: over 524288 bytes."
        )
        assert advice.endswith("of its own. Clear that log or list on the phone, or have it log less.")


class TestOverHttp:
    @pytest.mark.parametrize(
        ("proxies", "forwarded", "scheme"),
        [
            ("", None, "http"),
            ("", "https", "http"),  # anybody can say so
            ("192.0.2.0/24", "https", "http"),
            ("127.0.0.0/8", None, "http"),
            ("127.0.0.0/8", "https", "https"),
            ("127.0.0.0/8", "http, https", "https"),
            ("127.0.0.0/8", "HTTP", "http"),
            ("127.0.0.0/8", "gopher", "http"),
        ],
    )
    @pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
    async def test_a_phone_came_over_http_unless_a_trusted_proxy_says_otherwise(
        self, start_house: StartHouse, stock: Stock, proxies: str, forwarded: str | None, scheme: str
    ) -> None:
        house = await start_house(
            base_url="https://phones.example.com", trusted_proxies=tuple(_networks(proxies))
        )
        account = stocked(house, stock)
        headers = {"X-Forwarded-Proto": forwarded} if forwarded else {}
        await ask(account, f"{YEALINK}.boot", f"{YEALINK}.cfg", agent=T54W, **headers)
        (boot,) = await boots(account)
        assert boot["scheme"] == scheme
        assert [row["scheme"] for row in boot["requests"]] == [scheme] * 2
        if scheme == "https":
            assert boot["sentence"] == CAME_UP
            return
        assert (boot["came_up"], boot["outcome"]) == (True, "over_http")
        assert boot["sentence"] == (
            "It came up, although it came over http, while the account's URL is https, so that passwords went"
            " over the network in the clear."
        )
        assert boot["advice"] == (
            "Give it the URL with https; whoever listened knows the URL, so rotate it. If it did come over"
            " https, the proxy in front of this server is not among PROVISIONING_TRUSTED_PROXIES."
        )

    async def test_where_the_url_is_http_it_is_no_fault(self, account: Account) -> None:
        await ask(account, f"{YEALINK}.boot", f"{YEALINK}.cfg")
        assert (await said(account))[0] == "came_up"


class TestSilence:
    async def test_a_phone_that_never_asked(self, account: Account) -> None:
        found = await timeline(account)
        assert (found["data"], found["next_cursor"]) == ([], None)
        assert found["silence"] == {
            "sentence": "The phone has asked for nothing yet.",
            "advice": "Check first that its label says the MAC address 80:5e:c0:10:20:01, then that it has"
            " the present provisioning URL (Settings, Devices), entered in it or told by DHCP, and start it"
            " again. If it stays silent, it does not reach this server: look at its cable, VLAN and DNS, and"
            " at the firewall.",
        }

    async def test_a_phone_of_which_all_is_pruned(self, account: Account) -> None:
        await ask(account, f"{YEALINK}.cfg")
        await account.house.log.flush()
        await execute(account, "DELETE FROM boot_log")
        found = await timeline(account)
        assert found["silence"]["sentence"] == "The phone has asked for nothing in the last 90 days."

    async def test_a_phone_that_asked_is_not_silent(self, account: Account) -> None:
        await ask(account, f"{YEALINK}.cfg")
        assert (await timeline(account))["silence"] is None


async def test_the_timeline_holds_no_secret(account: Account) -> None:
    await (await phone(account, YEALINK)).boot(account.url)
    await ask(account, f"{YEALINK}-{account.url.split('/')[-2]}.cfg")
    id = (await device(account, YEALINK))["id"]
    text = (await account.viewer.get(f"/devices/{id}/timeline")).text
    assert account.url.split("/")[-2][4:] not in text
    assert "Kq7vTz2mWx94LpRd" not in text
