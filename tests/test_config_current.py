"""Whether a phone holds the newest files: told by what it fetched, as phones do, over real HTTP."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from provisioning import boot_log, devices, gathering, sightings
from provisioning.boot_log import Entry, Verdict
from provisioning.db import now
from provisioning.holdings import Holdings, edition, newest
from provisioning.phones.options import Options
from provisioning.sightings import Held
from provisioning.virtual_phone import virtual_phone
from tests.api.conftest import Account, stocked
from tests.conftest import House, Stock

YEALINK, POLYCOM = ("yealink", "T54W", "805ec0102001"), ("polycom", "VVX 450", "64167f102005")
BOTH = pytest.mark.parametrize("phone", [YEALINK, POLYCOM], ids=["yealink", "polycom"])
Phone = tuple[str, str, str]


@pytest.fixture
def database_url(stock: Stock) -> str:
    return stock.url


@pytest.fixture
def account(house: House, stock: Stock) -> Account:
    return stocked(house, stock)


async def boot(account: Account, phone: Phone, url: str = "") -> None:
    name, model, mac = phone
    vendor = account.house.rendering.vendors[name]
    found = await virtual_phone(vendor, vendor.models[model], mac).boot(url or account.url)
    assert found.came_up
    await account.house.log.flush()


async def device(account: Account, phone: Phone) -> dict[str, Any]:
    listed = (await account.viewer.get("/devices")).json["data"]
    found: dict[str, Any] = next(each for each in listed if each["mac"] == phone[2])
    alone = (await account.viewer.get(f"/devices/{found['id']}")).json
    assert alone["config_current"] == found["config_current"]
    return found


async def is_current(account: Account, phone: Phone) -> bool | None:
    found: bool | None = (await device(account, phone))["config_current"]
    return found


async def set_option(account: Account, **options: Any) -> None:
    assert (await account.admin.patch("/account/device-options", options)).status == 200


@BOTH
async def test_a_phone_is_current_from_its_fetch_to_the_next_change(account: Account, phone: Phone) -> None:
    assert await is_current(account, phone) is None
    await boot(account, phone)
    assert await is_current(account, phone) is True
    await set_option(account, pickup_code="*55")
    assert await is_current(account, phone) is False
    await boot(account, phone)
    assert await is_current(account, phone) is True


@BOTH
async def test_a_change_that_is_taken_back_leaves_it_current(account: Account, phone: Phone) -> None:
    await boot(account, phone)
    await set_option(account, pickup_code="*55")
    await set_option(account, pickup_code="*97")
    assert await is_current(account, phone) is True


@BOTH
async def test_what_changes_no_file_of_its_own_leaves_it_current(account: Account, phone: Phone) -> None:
    await boot(account, phone)
    found = await device(account, phone)
    templates = (await account.viewer.get("/button-templates")).json["data"]
    other = next(each for each in templates if each["id"] != found["button_template_id"])
    buttons = [{"position": 1, "type": "dnd"}]
    for path, change in (
        (f"/button-templates/{other['id']}", {"buttons": buttons}),
        (f"/devices/{found['id']}", {"name": "Renamed"}),
        ("/account/telephony", {"recording_enabled": False}),
        ("/account", {"name": "Renamed"}),
    ):
        assert (await account.admin.patch(path, change)).status == 200
        assert await is_current(account, phone) is True, path


@BOTH
async def test_each_thing_that_its_files_are_made_of_outdates_it(account: Account, phone: Phone) -> None:
    await boot(account, phone)
    found = await device(account, phone)
    template = (await account.viewer.get(f"/button-templates/{found['button_template_id']}")).json
    template["buttons"].append(
        {"module": 0, "position": 4, "type": "speed_dial", "target": {"number": "4209"}}
    )
    places = {(b.get("module", 0), b["position"]): b for b in template["buttons"]}
    for path, change in (
        (f"/button-templates/{template['id']}", {"buttons": [*places.values()]}),
        (f"/extensions/{found['lines'][0]}", {"sip_password": "another-password"}),
        (f"/locations/{found['location_id']}", {"timezone": "Asia/Tokyo"}),
        ("/account/telephony", {"extension_length": 5}),
        (f"/devices/{found['id']}/options", {"language": "fr"}),
    ):
        assert (await account.admin.patch(path, change)).status == 200
        assert await is_current(account, phone) is False, path
        await boot(account, phone)
        assert await is_current(account, phone) is True, path
    await account.admin.put("/account/provisioning/admin-password", {})
    assert await is_current(account, phone) is False


@BOTH
async def test_a_rotation_outdates_it_until_it_comes_with_the_new_url(account: Account, phone: Phone) -> None:
    await boot(account, phone)
    url = (await account.admin.post("/account/provisioning/rotate", {})).json["provisioning_url"]
    assert await is_current(account, phone) is False
    async with account.house.http.get(f"{account.url}{phone[2]}.cfg") as answer:
        assert answer.status == 404
    await account.house.log.flush()
    assert await is_current(account, phone) is False
    await boot(account, phone, url)
    assert await is_current(account, phone) is True


async def test_what_a_phone_writes_itself_does_not_outdate_it(account: Account) -> None:
    await boot(account, POLYCOM)
    contacts = b"<directory><item_list><item><fn>Ann</fn><ct>5551234</ct></item></item_list></directory>"
    for suffix in ("-directory.xml", "-phone.cfg"):
        async with account.house.http.put(f"{account.url}{POLYCOM[2]}{suffix}", data=contacts) as answer:
            assert answer.status == 201
        assert await is_current(account, POLYCOM) is True
    await boot(account, POLYCOM)
    assert await is_current(account, POLYCOM) is True
    await set_option(account, pickup_code="*55")
    assert await is_current(account, POLYCOM) is False


async def test_a_directory_that_changes_outdates_a_phone_though_its_main_file_is_the_same(
    account: Account,
) -> None:
    found = await device(account, POLYCOM)
    button = {"position": 9, "type": "speed_dial", "label": "Taxi", "target": {"number": "5550101"}}
    path = f"/devices/{found['id']}"
    await account.admin.patch(path, {"button_overrides": [button]})
    await boot(account, POLYCOM)
    name = f"{POLYCOM[2]}-account.cfg"
    async with account.house.http.get(account.url + name) as answer:
        before = await answer.text()
    await account.house.log.flush()
    await account.admin.patch(path, {"button_overrides": [{**button, "label": "Cab"}]})
    files = (await account.technician.get(f"{path}/files?reveal=true")).json["data"]
    assert [file["content"] for file in files if file["name"] == name] == [before]
    assert await is_current(account, POLYCOM) is False


async def test_the_main_file_counts_and_the_others_tell_nothing(account: Account) -> None:
    for name in (f"{POLYCOM[2]}.cfg", f"{POLYCOM[2]}-directory.xml", "000000000000.cfg"):
        async with account.house.http.get(account.url + name) as answer:
            assert answer.status == 200
    async with account.house.http.head(f"{account.url}{POLYCOM[2]}-account.cfg") as answer:
        assert answer.status == 200
    await account.house.log.flush()
    assert await is_current(account, POLYCOM) is None


async def held(account: Account, phone: Phone) -> sightings.Row:
    async with account.house.database.read() as session:
        row = await session.get(sightings.Row, (account.id, phone[2]))
        assert row
        return row


async def test_notes_that_two_servers_write_out_of_order_keep_what_is_newest_of_each(
    account: Account,
) -> None:
    """The main file came first and its note last: the later fetch of another file is not forgotten by it."""
    at = now()

    def entry(seconds: int, held: Held | None) -> Entry:
        then = at + timedelta(seconds=seconds)
        made = Entry(then, "GET", "x", "192.0.2.7", "", account.id, mac=YEALINK[2], generation=1, held=held)
        return replace(made, verdict=Verdict.SERVED)

    for entries in (
        [entry(2, None)],
        [entry(1, Held(7, "e", "first"))],
        [entry(0, Held(6, "e", "older"))],
    ):
        for each in entries:
            account.house.log.add(each)
        await account.house.log.flush()
    row = await held(account, YEALINK)
    assert (row.held_digest, row.held_revision, row.held_at) == ("first", 7, at + timedelta(seconds=1))
    assert row.fetched_at == at + timedelta(seconds=2)
    # Written together, the main file is not lost to the one that was fetched after it.
    account.house.log.add(entry(3, Held(8, "e", "second")))
    account.house.log.add(entry(4, None))
    await account.house.log.flush()
    row = await held(account, YEALINK)
    assert (row.held_digest, row.fetched_at) == ("second", at + timedelta(seconds=4))


async def test_where_no_rule_can_say_the_clock_another_day_may_outdate_a_phone(account: Account) -> None:
    """Phones are told the offset of the day: Jerusalem's is another in winter than in summer."""
    house, winter = account.house, date(2027, 1, 20)
    found = await device(account, YEALINK)
    await account.admin.patch(f"/devices/{found['id']}/options", {"timezone": "Asia/Jerusalem"})
    await boot(account, YEALINK)
    holdings = Holdings(house.vault, (await held(account, YEALINK)).held_edition or "")

    async def told(day: date) -> bool | None:
        async with house.database.read() as session:
            one = await devices.of(session, account.id, [found["id"]])
            seen = await sightings.of(session, account.id, [YEALINK[2]])
            rendering = replace(house.rendering, today=day)
            current = await holdings.current(session, rendering, account.id, one, seen, remember=True)
        return current[found["id"]]

    # As if it had fetched on that day.
    async with house.database.write() as session:
        (one,) = await devices.of(session, account.id, [found["id"]])
        token = account.url.split("/")[-2]
        rendering = replace(house.rendering, today=winter)
        phone = await gathering.gather(session, house.vault, rendering, one, token)
        row = await session.get(sightings.Row, (account.id, YEALINK[2]))
        assert row
        row.held_at = datetime.combine(winter, time(12), UTC)
        row.held_digest = newest(rendering.vendors["yealink"], phone)
    assert [await told(date(2027, month, 21)) for month in (1, 7)] == [True, False]


async def test_another_edition_of_the_templates_is_compared_byte_for_byte(account: Account) -> None:
    await boot(account, YEALINK)
    async with account.house.database.write() as session:
        await session.execute(sa.text("UPDATE sightings SET held_edition = 'older'"))
    assert await is_current(account, YEALINK) is True
    async with account.house.database.write() as session:
        await session.execute(sa.text("UPDATE sightings SET held_digest = 'other'"))
    assert await is_current(account, YEALINK) is False


def test_the_edition_is_another_with_each_thing_that_files_are_made_of(house: House) -> None:
    vendors, url = house.rendering.vendors, house.url
    texts = {
        edition(vendors, Options(), url),
        edition(vendors, Options(language="fr"), url),
        edition(vendors, Options(), "https://another.example"),
        edition({"yealink": vendors["yealink"]}, Options(), url),
    }
    assert len(texts) == 4


async def count(account: Account) -> dict[str, int]:
    found: dict[str, int] = (await account.viewer.get("/devices/current-count")).json
    return found


async def test_the_account_is_counted(account: Account) -> None:
    assert await count(account) == {"counted": 8, "current": 0, "total": 8}
    await boot(account, YEALINK)
    await boot(account, POLYCOM)
    assert await count(account) == {"counted": 8, "current": 2, "total": 8}
    found = await device(account, YEALINK)
    await account.admin.patch(f"/devices/{found['id']}/options", {"language": "fr"})
    assert await count(account) == {"counted": 8, "current": 1, "total": 8}
    await boot(account, YEALINK)
    assert await count(account) == {"counted": 8, "current": 2, "total": 8}


async def test_a_count_that_takes_long_goes_on_with_the_next_request(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await boot(account, YEALINK)
    await boot(account, POLYCOM)
    await set_option(account, pickup_code="*55")
    monkeypatch.setattr("provisioning.holdings._SLICE", 1)
    monkeypatch.setattr("provisioning.holdings._SECONDS", -1)
    assert await count(account) == {"counted": 6, "current": 0, "total": 8}
    monkeypatch.setattr("provisioning.holdings._SECONDS", 1)
    assert await count(account) == {"counted": 8, "current": 0, "total": 8}


async def test_a_change_that_came_to_nothing_is_not_remembered(account: Account) -> None:
    """Its transaction had seen a revision that the next change has, too."""
    await boot(account, YEALINK)
    found = await device(account, YEALINK)
    path = f"/devices/{found['id']}"
    refused = await account.admin.patch(path, {"name": "X", "location_id": None, "options": {"sip_port": 0}})
    assert refused.status == 422
    assert await is_current(account, YEALINK) is True
    assert (await account.admin.patch(path, {"location_id": None, "name": "X"})).status == 200
    assert await is_current(account, YEALINK) is True  # both zones are the same


def test_the_log_keeps_what_it_kept(house: House) -> None:
    assert "held" not in boot_log._COLUMNS
    assert "config_hash" in boot_log._COLUMNS
