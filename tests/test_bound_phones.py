"""Phones that are bound: each is told a URL of its own, and served nowhere else once it has asked there."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

import tokens
from provisioning import bindings, devices, uploads
from provisioning.phones.vendor import load_vendors
from provisioning.virtual_phone import VirtualPhone, virtual_phone
from tests.api.conftest import Account, Answer, make_account, stocked
from tests.certificates import self_signed
from tests.conftest import House, StartHouse, Stock
from tests.test_boot import raw
from tests.test_staged_rotation import FLEET, Fleet, file, fleet, stage, token_of

PROVISIONING: Final = "/account/provisioning"
YEALINK: Final = "805ec0102001"  # a T54W of the sample account
POLYCOM: Final = "64167f102005"  # a VVX 450
# Of both vendors; the second Yealink knows no boot files and asks for its model's common file first.
KINDS: Final = {mac: FLEET[mac] for mac in ("805ec0770001", "805ec0770003", "64167f770001", "64167f770002")}
FIRST: Final = {"yealink": ".cfg", "polycom": "-account.cfg"}  # that holds the URL
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
async def account(house: House, stock: Stock) -> Account:
    return stocked(house, stock)


async def switch(account: Account, on: bool) -> None:
    answer = await account.admin.patch(PROVISIONING, {"bind_phones": on})
    assert (answer.status, answer.json["bind_phones"]) == (200, on), answer.text


async def device(account: Account, mac: str) -> Any:
    (found,) = (await account.viewer.get(f"/devices?q={mac}")).json["data"]
    return found


async def reopen(account: Account, mac: str) -> Answer:
    return await account.technician.post(f"/devices/{(await device(account, mac))['id']}/reopen")


async def verdicts(house: House, mac: str) -> list[tuple[str, str]]:
    return [(row.verdict, row.method) for row in await house.boot_log() if row.mac == mac]


async def own_url(account: Account, mac: str, vendor: str = "yealink") -> str:
    """What the phone's file names as the place where it is to ask."""
    found = await account.technician.get(
        f"/devices/{(await device(account, mac))['id']}/files/{mac}{FIRST[vendor]}?reveal=true"
    )
    (url,) = {word.strip('"') for word in found.json["content"].replace("=", " ").split() if "/p/" in word}
    return str(url)


def new_phone(mac: str, kinds: Mapping[str, tuple[str, str, str | None]] = KINDS) -> VirtualPhone:
    """As it comes from the factory, or from a reset."""
    name, model, firmware = kinds[mac]
    vendor = load_vendors()[name]
    return virtual_phone(vendor, vendor.models[model], mac, firmware)


async def poll(phone: VirtualPhone, **options: str) -> bool:
    """Asks where it was told; whether it was told another place."""
    boot = await phone.poll(**options)
    assert boot.came_up and boot.problems == (), (phone.mac, boot)
    return boot.moves


async def bound_fleet(house: House) -> Fleet:
    it = await fleet(house, KINDS)
    await switch(it.account, True)
    for moves in (True, False):
        assert await asyncio.gather(*map(poll, it.phones.values())) == [moves] * len(it.phones)
    return it


async def is_refused_as_any(house: House, url: str, name: str) -> bool:
    """For every method, with the very bytes with which a made-up token is."""
    paths, methods = (
        (url.removeprefix(house.url) + name, f"/p/{tokens.make()}/{name}"),
        ("GET", "HEAD", "PUT"),
    )
    asked = [raw(house, path, method) for path in paths for method in methods]
    answers = await asyncio.gather(*asked)
    return answers[:3] == answers[3:]


async def test_a_phone_is_told_a_url_of_its_own_and_bound_once_it_asks_there(house: House) -> None:
    it = await fleet(house, KINDS)
    held = {mac: (phone.lines(), phone.keys()) for mac, phone in it.phones.items()}
    shared = it.account.url
    await switch(it.account, True)
    for mac, phone in it.phones.items():
        assert await poll(phone)  # is told
        url = phone.provisioning_url()
        assert url.startswith(shared) and tokens.is_key(url.removeprefix(shared)[:-1])
        assert (await device(it.account, mac))["bound"] is False
        assert (await file(house, shared, f"{mac}.cfg"))[0] == 200
        for _ in range(3):  # the second is served from memory
            assert not await poll(phone)
            assert phone.provisioning_url() == url
        found = await device(it.account, mac)
        assert found["bound"] is True and found["bound_at"]
        await house.log.flush()
        assert (await device(it.account, mac))["config_current"] is True
        assert (phone.lines(), phone.keys()) == held[mac]
        for name in (f"{mac}.cfg", f"{mac}-boot.log", f"{mac}-nothing.xml"):
            assert await is_refused_as_any(house, shared, name)
        rows = [row for row in await house.boot_log() if row.mac == mac and row.account_id == it.account.id]
        assert (rows[-1].verdict, rows[-1].reason) == (
            "bound",
            "the phone is bound to a URL of its own; if it was reset or replaced, re-open it",
        )
    assert len({phone.provisioning_url() for phone in it.phones.values()}) == len(KINDS)
    assert (await it.account.viewer.get(PROVISIONING)).json["bound_phones"] == len(KINDS)
    # What phones share is nobody's.
    for name in ("y000000000029.cfg", "000000000000.cfg"):
        assert (await file(house, shared, name))[0] == 200


@on_sqlite
async def test_nothing_changes_while_it_is_off(house: House, account: Account) -> None:
    assert (await account.viewer.get(PROVISIONING)).json["bind_phones"] is False
    assert await own_url(account, YEALINK) == account.url
    for _ in range(2):
        assert (await file(house, account.url, f"{YEALINK}.cfg"))[0] == 200
    assert (await device(account, YEALINK))["bound"] is False


@on_sqlite
async def test_a_lost_answer_locks_no_phone_out(house: House, account: Account, tmp_path: Path) -> None:
    ca = self_signed(tmp_path)[0].read_text()
    await account.admin.patch("/account/device-options", {"transport_trust": "custom", "transport_ca": ca})
    await switch(account, True)
    found = await account.technician.get(
        f"/devices/{(await device(account, YEALINK))['id']}/files/{YEALINK}.cfg?reveal=true"
    )
    lines = dict(line.split(" = ", 1) for line in found.json["content"].splitlines() if " = " in line)
    url = lines["static.auto_provision.server.url"]
    # It fetches what its file names before it has stored where it is to ask, and loses its power then.
    ca_url = lines["static.trusted_certificates.url"]
    assert ca_url == f"{url}{YEALINK}-ca.crt"
    for _ in range(3):
        assert (await file(house, account.url, f"{YEALINK}.cfg"))[0] == 200
        assert (await file(house, "", ca_url))[0] == 200
        assert (await device(account, YEALINK))["bound"] is False
    # What it was bound by may be lost as well.
    for _ in range(3):
        assert (await file(house, url, f"{YEALINK}.boot"))[0] == 200
    assert (await device(account, YEALINK))["bound"] is True


@on_sqlite
async def test_a_key_that_is_not_the_phones_is_refused_as_any_and_the_boot_log_says_why(
    house: House, account: Account
) -> None:
    await switch(account, True)
    own, other = await own_url(account, YEALINK), await own_url(account, POLYCOM, "polycom")
    key = own.split("/")[-2]
    swapped = own.replace(key, key[:-1] + ("0" if key[-1] != "0" else "1"))
    for wrong, verdict, reason in (
        (other, "key_unknown", "the URL is one of another phone, or of this one before it was re-opened"),
        (swapped, "token_unknown", "the URL holds no key of this server, or one that is mistyped"),
        (own[:-3] + "/", "token_unknown", "the URL holds no key of this server, or one that is mistyped"),
    ):
        for name in (f"{YEALINK}.cfg", f"{YEALINK}-boot.log", "805ec0999999.cfg", "junk"):
            if wrong != other or name.startswith(YEALINK):
                assert await is_refused_as_any(house, wrong, name)
        rows = [row for row in await house.boot_log() if row.mac == YEALINK and row.verdict == verdict]
        rows = [row for row in rows if row.reason == reason]
        assert rows
        # Of a mistyped one nobody looked whose it is.
        assert {row.account_id for row in rows} == {account.id if verdict == "key_unknown" else None}
        assert not [row for row in rows if key in row.file or "ppk" in row.file]
    assert (await device(account, YEALINK))["bound"] is False
    for _ in range(3):
        assert (await file(house, own, f"{YEALINK}.cfg"))[0] == 200
    assert (await file(house, other, f"{YEALINK}.cfg"))[0] == 404  # also once it is in memory


@on_sqlite
async def test_a_rotation_opens_all_phones_and_a_new_one_binds_them(house: House) -> None:
    it = await bound_fleet(house)
    rotated = await it.account.admin.post(f"{PROVISIONING}/rotate")
    shared = rotated.json["provisioning_url"]
    for mac, phone in it.phones.items():
        old = phone.provisioning_url()
        assert (await device(it.account, mac))["bound"] is False
        assert await is_refused_as_any(house, old, f"{mac}.cfg")
        boot = await phone.boot(shared)
        assert boot.came_up and boot.problems == () and boot.moves
        assert phone.provisioning_url().startswith(shared)
        assert phone.provisioning_url().split("/")[-2] != old.split("/")[-2]
        assert not await poll(phone)
        assert await is_refused_as_any(house, shared, f"{mac}.cfg")


@on_sqlite
async def test_a_staged_rotation_tells_each_phone_its_own_next_url(house: House) -> None:
    it = await bound_fleet(house)
    staged = await stage(it.account.admin)
    for phone in it.phones.values():
        before = phone.provisioning_url()
        assert await poll(phone, staged_url=staged["provisioning_url"])
        told = phone.provisioning_url()
        assert told.startswith(staged["provisioning_url"]) and tokens.is_key(told.split("/")[-2])
        assert told.split("/")[-2] != before.split("/")[-2]
        assert {each.status for each in (await phone.poll()).exchanges} == {404}  # not in force yet
        assert (await file(house, before, f"{phone.mac}.cfg"))[0] == 200
    assert await it.told() == (len(KINDS), len(KINDS))
    assert (await it.account.admin.post(f"{PROVISIONING}/commit")).status == 200
    for mac, phone in it.phones.items():
        told = phone.provisioning_url()
        assert not await poll(phone) and phone.provisioning_url() == told
        assert (await device(it.account, mac))["bound"] is True
        assert await is_refused_as_any(house, staged["provisioning_url"], f"{mac}.cfg")


@on_sqlite
@pytest.mark.parametrize("mac", ["805ec0770001", "805ec0770003", "64167f770001"])
async def test_after_a_factory_reset_a_technician_opens_the_phone_again(house: House, mac: str) -> None:
    it = await bound_fleet(house)
    account, old = it.account, it.phones[mac].provisioning_url()
    reset = new_phone(mac)
    assert not (await reset.boot(account.url)).came_up
    await house.log.flush()
    found = await device(account, mac)
    timeline = await account.viewer.get(f"/devices/{found['id']}/timeline")
    last = timeline.json["data"][0]
    assert (last["outcome"], last["came_up"]) == ("bound", False)
    assert last["sentence"] == "It asked at the URL that all phones share, and is bound to one of its own."
    assert "re-open it on this page" in last["advice"]

    assert (await account.viewer.post(f"/devices/{found['id']}/reopen")).status == 403
    opened = await reopen(account, mac)
    assert (opened.status, opened.json["bound"], opened.json["bound_at"]) == (200, False, None)
    entries = [each for each in await account.entries() if each.event == "device.reopen"]
    assert [(each.outcome, each.detail) for each in entries] == [
        ("denied", entries[0].detail),
        ("success", {"was_bound": True}),
    ]

    assert await is_refused_as_any(house, old, f"{mac}.cfg")
    boot = await reset.boot(account.url)
    assert boot.came_up and boot.problems == () and boot.moves
    assert reset.provisioning_url() not in {old, account.url}
    assert not await poll(reset)
    assert (await device(account, mac))["bound"] is True
    assert not (await new_phone(mac).boot(account.url)).came_up
    # The others are not opened with it.
    for other in it.phones.values():
        if other.mac != mac:
            assert not await poll(other)


@on_sqlite
async def test_a_phone_that_takes_the_place_of_another_does_not_have_its_key(
    house: House, account: Account
) -> None:
    await switch(account, True)
    old, found = await own_url(account, YEALINK), await device(account, YEALINK)
    assert (await file(house, old, f"{YEALINK}.cfg"))[0] == 200
    changed = await account.technician.patch(f"/devices/{found['id']}", {"mac": "805ec0aabbcc"})
    assert (changed.status, changed.json["bound"]) == (200, False)
    for mac in (YEALINK, "805ec0aabbcc"):
        assert await is_refused_as_any(house, old, f"{mac}.cfg")
    assert (await file(house, account.url, "805ec0aabbcc.cfg"))[0] == 200
    renamed = await account.technician.patch(f"/devices/{found['id']}", {"name": "Renamed"})
    new = await own_url(account, "805ec0aabbcc")
    assert renamed.status == 200 and new != old
    assert (await file(house, new, "805ec0aabbcc.cfg"))[0] == 200


async def test_a_mistyped_address_and_a_device_deleted_by_mistake_lock_no_phone_out(
    house: House, account: Account
) -> None:
    await switch(account, True)
    own, found = await own_url(account, YEALINK), await device(account, YEALINK)
    assert (await file(house, own, f"{YEALINK}.cfg"))[0] == 200
    for mac in ("805ec0aabbcc", YEALINK):
        assert (await account.technician.patch(f"/devices/{found['id']}", {"mac": mac})).status == 200
    assert (await device(account, YEALINK))["bound"] is True
    assert (await file(house, own, f"{YEALINK}.cfg"))[0] == 200
    assert (await account.technician.delete(f"/devices/{found['id']}")).status == 204
    assert await is_refused_as_any(house, own, f"{YEALINK}.cfg")
    again = {"mac": YEALINK, "model": found["model"], "lines": found["lines"]}
    assert (await account.technician.post("/devices", again)).status == 201
    assert (await device(account, YEALINK))["bound"] is False
    assert (await file(house, own, f"{YEALINK}.cfg"))[0] == 200
    assert (await device(account, YEALINK))["bound"] is True


@pytest.mark.parametrize("by_csv", [False, True])
async def test_a_wrong_model_for_a_while_locks_no_phone_out(
    house: House, account: Account, by_csv: bool
) -> None:
    """One of which it is not known that it takes its URL from a file is told the shared one."""
    await switch(account, True)
    own, found = await own_url(account, YEALINK), await device(account, YEALINK)
    assert (await file(house, own, f"{YEALINK}.cfg"))[0] == 200
    for model in ("T28P", found["model"]):
        if by_csv:
            rows = f"mac,model,expansion\n{YEALINK},{model},\n"
            changed = await account.technician.post("/devices/import", rows, {"Content-Type": "text/csv"})
        else:
            changed = await account.technician.patch(
                f"/devices/{found['id']}", {"model": model, "expansion": None}
            )
        assert changed.status == 200, changed.text
        if model == "T28P":
            assert await own_url(account, YEALINK) == account.url
    # There it asks now, is told its own again, and bound to that.
    assert (await device(account, YEALINK))["bound"] is False
    assert (await file(house, account.url, f"{YEALINK}.cfg"))[0] == 200
    assert (await file(house, own, f"{YEALINK}.cfg"))[0] == 200
    assert await is_refused_as_any(house, account.url, f"{YEALINK}.cfg")


@on_sqlite
async def test_switched_off_phones_come_back_to_the_shared_url_and_on_again_to_the_same_keys(
    house: House,
) -> None:
    it = await bound_fleet(house)
    own = {mac: phone.provisioning_url() for mac, phone in it.phones.items()}
    await switch(it.account, False)
    for mac, phone in it.phones.items():
        assert (await file(house, it.account.url, f"{mac}.cfg"))[0] == 200
        assert (await device(it.account, mac))["bound"] is False
        assert await poll(phone)  # at its own URL it is told the shared one
        assert phone.provisioning_url() == it.account.url
        assert not await poll(phone)
    await switch(it.account, True)
    for mac, phone in it.phones.items():
        assert await poll(phone)  # is not refused where it went back to
        assert phone.provisioning_url() == own[mac]
        assert not await poll(phone)
        assert await is_refused_as_any(house, it.account.url, f"{mac}.cfg")


async def test_what_one_server_binds_and_opens_every_server_knows(
    house: House, account: Account, start_house: StartHouse
) -> None:
    await switch(account, True)
    # Files name the same URL whichever server is asked.
    other = await start_house(base_url=house.url)
    names = [f"{YEALINK}.boot", f"{YEALINK}.cfg"]
    shared, own = account.url.removeprefix(house.url), (await own_url(account, YEALINK))[len(house.url) :]
    for server in (house, other):
        for name in names * 2:  # the second might be from memory
            assert (await raw(server, shared + name)).startswith(b"HTTP/1.1 200 ")
    assert (await raw(house, own + names[0])).startswith(b"HTTP/1.1 200 ")
    for server in (other, house):
        for name in names:
            refused = await raw(server, shared + name)
            assert refused == await raw(server, f"/p/{tokens.make()}/{name}")
            for _ in range(2):
                assert (await raw(server, own + name)).startswith(b"HTTP/1.1 200 ")
    assert (await reopen(account, YEALINK)).status == 200
    for server in (other, house):
        for name in names:
            assert (await raw(server, own + name)).startswith(b"HTTP/1.1 404 ")
            assert (await raw(server, shared + name)).startswith(b"HTTP/1.1 200 ")


async def test_requests_at_the_same_moment_bind_once(house: House, account: Account) -> None:
    await switch(account, True)
    own = await own_url(account, YEALINK)
    answers = await asyncio.gather(*(file(house, own, f"{YEALINK}.cfg") for _ in range(8)))
    assert {status for status, _ in answers} == {200} and len({text for _, text in answers}) == 1
    first = (await device(account, YEALINK))["bound_at"]
    for _ in range(3):
        await file(house, own, f"{YEALINK}.boot")
    assert (await device(account, YEALINK))["bound_at"] == first
    assert await account.count(bindings.Row) == 1


async def test_a_binding_that_was_overtaken_binds_nobody(house: House, account: Account) -> None:
    """The phone was opened again, or the URL rotated, between a request and what it was to write."""
    await switch(account, True)
    found = await device(account, YEALINK)
    assert (await reopen(account, YEALINK)).status == 200
    async with house.database.write() as session:
        await bindings.put(session, (found["id"], YEALINK, 1, 0))
    assert (await device(account, YEALINK))["bound"] is False
    assert (await file(house, account.url, f"{YEALINK}.cfg"))[0] == 200
    async with house.database.write() as session:
        await bindings.put(session, (found["id"], YEALINK, 1, 1))
    assert (await device(account, YEALINK))["bound"] is True
    async with house.database.write() as session:
        await bindings.put(session, (found["id"], YEALINK, 1, 0))
    assert (await device(account, YEALINK))["bound"] is True
    shared = (await account.admin.post(f"{PROVISIONING}/rotate")).json["provisioning_url"]
    async with house.database.write() as session:
        await bindings.put(session, (found["id"], YEALINK, 1, 1))
    assert (await device(account, YEALINK))["bound"] is False
    assert (await file(house, shared, f"{YEALINK}.cfg"))[0] == 200


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_phone_that_is_deleted_meanwhile_keeps_no_other_from_being_bound(
    house: House, account: Account
) -> None:
    await switch(account, True)
    deleted, other = [(await device(account, mac))["id"] for mac in (YEALINK, POLYCOM)]
    binder = bindings.Binder(house.database)

    async def waits_for_a_lock() -> bool:
        async with house.database.read() as session:
            return bool(await session.scalar(sa.text("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")))

    async with house.database.write() as session:
        await session.execute(sa.delete(devices.Row).where(devices.Row.id == deleted))
        bound = asyncio.gather(binder.bind(deleted, YEALINK, 1, 0), binder.bind(other, POLYCOM, 1, 0))
        async with asyncio.timeout(60):
            while not await waits_for_a_lock():
                pass
    await bound
    assert (await device(account, POLYCOM))["bound"] is True


@on_sqlite
async def test_what_was_bound_writes_nothing_more(house: House, account: Account) -> None:
    await switch(account, True)
    own = await own_url(account, YEALINK)
    await file(house, own, f"{YEALINK}.cfg")

    async def revision() -> int:
        async with house.database.read() as session:
            return int(await session.scalar(sa.text("SELECT SUM(revision) FROM revisions")) or 0)

    before = await revision()
    await file(house, await own_url(account, POLYCOM, "polycom"), f"{POLYCOM}.cfg")
    # What is in memory of the account's other phones stays good.
    assert (await revision(), (await device(account, POLYCOM))["bound"]) == (before, True)


class TestUploads:
    async def test_they_are_taken_where_the_phone_is_served_and_hold_no_secret_in_the_database(
        self, house: House, account: Account
    ) -> None:
        await switch(account, True)
        own, shared = await own_url(account, POLYCOM, "polycom"), account.url
        content = f'<OVERRIDES device.prov.serverName="{own}"/>\n'.encode()
        async with house.http.put(f"{own}{POLYCOM}-boot.log", data=b"it starts\n") as answer:
            assert answer.status == 201
        assert (await device(account, POLYCOM))["bound"] is True  # a boot begins with it
        name = f"{POLYCOM}-phone.cfg"
        async with house.http.put(own + name, data=content) as answer:
            assert answer.status == 201
        async with house.http.put(shared + name, data=b"<OVERRIDES/>") as answer:
            assert answer.status == 404
        assert (await file(house, own, name)) == (200, content.decode())
        assert (await file(house, shared, name))[0] == 404
        async with house.database.read() as session:
            kept = b"".join([each for (each,) in await session.execute(sa.select(uploads.Row.content))])
        assert tokens.redact(own).encode() not in kept and own.split("/")[-2].encode() not in kept
        assert token_of(shared).encode() not in kept
        # What it uploaded names what is its own then.
        assert (await reopen(account, POLYCOM)).status == 200
        new = await own_url(account, POLYCOM, "polycom")
        assert (await file(house, shared, name)) == (200, content.decode().replace(own, new))
        await switch(account, False)
        assert (await file(house, shared, name)) == (200, content.decode().replace(own, shared))

    async def test_a_shared_url_that_was_typed_into_the_phone_does_not_lead_it_away_from_its_own(
        self, house: House, account: Account
    ) -> None:
        """What somebody typed is stronger than our files; it is uploaded before the phone is bound."""
        name, typed = f"{POLYCOM}-phone.cfg", '<OVERRIDES device.prov.serverName="{}"/>\n'
        async with house.http.put(account.url + name, data=typed.format(account.url).encode()) as answer:
            assert answer.status == 201
        assert await file(house, account.url, name) == (200, typed.format(account.url))
        await switch(account, True)
        own = await own_url(account, POLYCOM, "polycom")
        for url in (account.url, own):
            assert await file(house, url, name) == (200, typed.format(own))

    async def test_one_that_began_before_the_phone_was_bound_is_refused_after(
        self, house: House, account: Account
    ) -> None:
        await switch(account, True)
        own, name = await own_url(account, POLYCOM, "polycom"), f"{POLYCOM}-phone.cfg"
        begun, bound = asyncio.Event(), asyncio.Event()

        async def slowly() -> Any:
            yield b"<OVERRIDES>"
            begun.set()
            await bound.wait()
            yield b"</OVERRIDES>"

        async def upload() -> int:
            async with house.http.put(account.url + name, data=slowly()) as answer:
                return answer.status

        sent = asyncio.create_task(upload())
        await begun.wait()
        while not any(row.file == f"{POLYCOM}.cfg" for row in await house.boot_log()):
            await file(house, own, f"{POLYCOM}.cfg")
        bound.set()
        assert await sent == 404
        assert await account.count(uploads.Row) == 0


@on_sqlite
@pytest.mark.parametrize(("mac", "vendor"), [(YEALINK, "yealink"), (POLYCOM, "polycom")])
async def test_a_test_boot_works_for_every_phone_and_binds_none(
    house: House, account: Account, mac: str, vendor: str
) -> None:
    await switch(account, True)
    own, where = await own_url(account, mac, vendor), f"/devices/{(await device(account, mac))['id']}"
    for is_bound in (False, True):
        for _ in range(2):
            found = await account.technician.post(f"{where}/test-boot")
            assert (found.json["came_up"], found.json["problems"]) == (True, []), found.text
            assert found.json["provisioning_url"] == f"{house.url}/p/********/********/"
            assert own.split("/")[-2] not in found.text and token_of(account.url) not in found.text
            assert (await device(account, mac))["bound"] is is_bound
        # What it left in memory is no way past the binding.
        assert (await file(house, own, f"{mac}.cfg"))[0] == 200
        assert (await device(account, mac))["bound"] is True


@on_sqlite
async def test_what_people_look_at_shows_no_key(house: House, account: Account) -> None:
    await switch(account, True)
    key = (await own_url(account, YEALINK)).split("/")[-2]
    where = f"/devices/{(await device(account, YEALINK))['id']}"
    shown = await account.viewer.get(f"{where}/files")
    assert key not in shown.text and f"{house.url}/p/********/********/" in shown.text
    assert tokens.redact(f"GET /p/x/{key}/y and %70p%6b{key[3:]}") == "GET /p/x/ppk…/y and ppk…"
    everything = [await account.viewer.get(path) for path in (where, f"{where}/boots", "/activity")]
    assert not [each for each in everything if key in each.text]


@on_sqlite
async def test_a_phone_that_takes_no_url_from_a_file_is_not_bound(house: House, stock: Stock) -> None:
    text = """
[account]
name = "Old"
email = "old@example.com"
[options]
sip_server = "sip.example.com"
[[extensions]]
number = "4301"
display_name = "Old"
[[devices]]
mac = "64167f660001"
vendor = "polycom"
model = "SoundPoint IP 501"
lines = ["4301"]
"""
    account = await make_account(house, text)
    await switch(account, True)
    phone = new_phone("64167f660001", {"64167f660001": ("polycom", "SoundPoint IP 501", None)})
    for _ in range(3):
        boot = await phone.boot(account.url)
        assert boot.came_up and boot.problems == () and not boot.moves
    assert await own_url(account, "64167f660001", "polycom") == account.url
    # Nor can somebody else bind it.
    key = tokens.key(house.vault, token_of(account.url), "64167f660001", 0)
    assert (await file(house, f"{account.url}{key}/", "64167f660001.cfg"))[0] == 200
    assert (await device(account, "64167f660001"))["bound"] is False


@on_sqlite
async def test_only_an_admin_switches_it_and_it_is_entered(account: Account) -> None:
    for client in (account.technician, account.viewer):
        assert (await client.patch(PROVISIONING, {"bind_phones": True})).status == 403
    for body in ({"bind_phones": None}, {"bind_phones": "yes"}, {"bind": True}):
        assert (await account.admin.patch(PROVISIONING, body)).status == 422
    assert (await account.admin.patch(PROVISIONING, {"bind_phones": True}, {"If-Match": '"7"'})).status == 412
    await switch(account, True)
    await switch(account, True)
    entries = [each for each in await account.entries() if each.event == "provisioning.update"]
    assert [each.detail.get("changed") for each in entries if each.outcome == "success"] == [
        {"bind_phones": {"old": False, "new": True}},
        None,
    ]
