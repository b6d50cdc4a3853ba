"""A staged rotation: phones are told the next URL while the present one is in force; Commit is the cut."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

import tokens
import tokens.table
from provisioning import boot_log, revisions, sightings
from provisioning.boot_log import Verdict
from provisioning.db import Database, now
from provisioning.phones.vendor import load_vendors
from provisioning.vault import Vault
from provisioning.virtual_phone import VirtualPhone, virtual_phone
from provisioning.virtual_phone.http import Exchange
from tests.api.conftest import Account, Client, make_account, stocked
from tests.conftest import House, StartHouse, Stock
from tests.test_boot import raw

PROVISIONING: Final = "/account/provisioning"
YEALINK: Final = "805ec0102001"  # a T54W of the sample account
POLYCOM: Final = "64167f102005"  # a VVX 450
# Of both vendors, old and new; the firmware is the oldest that the model runs, or the usual one.
FLEET: Final[Mapping[str, tuple[str, str, str | None]]] = {
    "805ec0770001": ("yealink", "T54W", None),
    "805ec0770002": ("yealink", "T46S", "66.81.0.110"),
    "805ec0770003": ("yealink", "T42G", "29.71.0.60"),  # knows neither boot files nor `static.`
    "805ec0770004": ("yealink", "T38G", "38.70.0.125"),
    "805ec0770005": ("yealink", "T19P_E2", "53.80.0.95"),
    "805ec0770006": ("yealink", "T88W", None),
    "64167f770001": ("polycom", "VVX 450", None),
    "64167f770002": ("polycom", "SoundPoint IP 321", "4.0.15.1047"),
    "64167f770003": ("polycom", "VVX 1500", None),
    "64167f770004": ("polycom", "Edge E450", "8.0.0.15602"),
    "64167f770005": ("polycom", "CCX 600", "8.0.2.3267"),
    "64167f770006": ("polycom", "Trio 8800", None),
}
# Of which it is not known that they take the URL from a file.
OLD: Final[Mapping[str, tuple[str, str, str | None]]] = {
    "805ec0660001": ("yealink", "T28P", "2.73.0.50"),
    "64167f660001": ("polycom", "SoundPoint IP 501", None),
    "64167f660002": ("polycom", "SoundPoint IP 550", "3.3.5.0247"),  # the model runs both
}


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
async def account(house: House, stock: Stock) -> Account:
    return stocked(house, stock)


@dataclass(frozen=True)
class Fleet:
    account: Account
    phones: Mapping[str, VirtualPhone]

    async def told(self) -> tuple[int, int]:
        await self.account.house.log.flush()
        staged = (await self.account.admin.get(PROVISIONING)).json["staged"]
        return staged["told"], staged["total"]

    async def back(self) -> list[str]:
        """The MAC addresses of the phones that have fetched with the URL in force."""
        await self.account.house.log.flush()
        found = (await self.account.admin.get("/devices?limit=200")).json["data"]
        now_ = (await self.account.admin.get(PROVISIONING)).json["generation"]
        return sorted(device["mac"] for device in found if device["last_fetch_generation"] == now_)


async def fleet(house: House, *kinds: Mapping[str, tuple[str, str, str | None]]) -> Fleet:
    """An account with these phones, each with a line of its own; they have booted from its URL."""
    kind = {mac: each for group in kinds for mac, each in group.items()}
    text = """
[account]
name = "Fleet"
email = "fleet@example.com"
[options]
sip_server = "sip.example.com"
"""
    for number, (mac, (vendor, model, _)) in enumerate(kind.items(), start=4301):
        text += f"""
[[extensions]]
number = "{number}"
display_name = "Phone {number}"
[[devices]]
mac = "{mac}"
name = "Phone {number}"
vendor = "{vendor}"
model = "{model}"
lines = ["{number}"]
"""
    account = await make_account(house, text)
    phones = {}
    for mac, (name, model, firmware) in kind.items():
        made_by = load_vendors()[name]
        phones[mac] = virtual_phone(made_by, made_by.models[model], mac, firmware)
    for boot in await asyncio.gather(*(phone.boot(account.url) for phone in phones.values())):
        assert boot.came_up and boot.problems == () and not boot.moves, boot
    return Fleet(account, phones)


async def stage(client: Client, **body: str) -> Any:
    answer = await client.post(f"{PROVISIONING}/stage", body)
    assert answer.status == 200, answer.text
    return answer.json["staged"]


async def file(house: House, url: str, name: str) -> tuple[int, str]:
    async with house.http.get(url + name) as answer:
        return answer.status, await answer.text()


def token_of(url: str) -> str:
    return url.split("/")[-2]


def statuses(exchanges: Sequence[Exchange]) -> set[int]:
    return {exchange.status for exchange in exchanges}


async def test_a_whole_fleet_moves_and_nobody_is_stranded_and_nobody_is_visited(house: House) -> None:
    it = await fleet(house, FLEET)
    admin, old = it.account.admin, it.account.url
    held = {mac: (phone.lines(), phone.keys()) for mac, phone in it.phones.items()}
    staged = await stage(admin)
    new = staged["provisioning_url"]
    assert (staged["generation"], staged["told"], staged["total"], staged["told_at"]) == (2, 0, 12, None)
    assert (staged["not_offered"], staged["not_offered_phones"]) == (0, [])

    macs = [*it.phones]
    for count, mac in enumerate(macs, start=1):
        boot = await it.phones[mac].poll(staged_url=new)
        assert boot.came_up and boot.problems == () and boot.moves, (mac, boot)
        assert it.phones[mac].provisioning_url() == new
        assert await it.told() == (count, 12)

    # Every other one asks again before Commit, some twice: refused, they go on with what they hold.
    for mac in macs[::2] + macs[::4]:
        boot = await it.phones[mac].poll()
        assert statuses(boot.exchanges) == {404}
        assert (it.phones[mac].lines(), it.phones[mac].keys()) == held[mac]
        assert all(line.registers for line in it.phones[mac].lines())
        assert it.phones[mac].provisioning_url() == new
    assert await it.told() == (12, 12)
    assert (await admin.get("/devices?status=stale")).json["data"] == []  # who is early is not late

    before = await admin.get(PROVISIONING)
    assert (before.json["token"], before.json["provisioning_url"]) == (token_of(old), old)
    assert (before.json["generation"], before.headers["ETag"]) == (1, '"1"')
    committed = await admin.post(f"{PROVISIONING}/commit")
    assert committed.status == 200
    assert (committed.json["provisioning_url"], committed.json["generation"]) == (new, 2)
    assert (committed.json["staged"], committed.headers["ETag"]) == (None, '"2"')
    assert await it.back() == []

    for mac, phone in it.phones.items():
        boot = await phone.poll()
        assert boot.came_up and boot.problems == () and not boot.moves, (mac, boot)
        assert (phone.lines(), phone.keys()) == held[mac]
        assert (await file(house, old, f"{mac}.cfg"))[0] == 404
    assert await it.back() == sorted(macs)


async def test_the_phones_to_which_it_is_not_offered_are_named_and_are_not_sent_away(house: House) -> None:
    it = await fleet(house, OLD, {mac: FLEET[mac] for mac in ("805ec0770001", "64167f770001")})
    await house.log.flush()
    staged = await stage(it.account.admin)
    assert (staged["total"], staged["not_offered"]) == (2, 3)
    named = {phone["mac"]: (phone["model"], phone["reason"]) for phone in staged["not_offered_phones"]}
    assert {mac: model for mac, (model, _) in named.items()} == {mac: m for mac, (_, m, _) in OLD.items()}
    assert [reason[:38] for _, (_, reason) in sorted(named.items())] == [
        "its software is older than UC software",
        "it last came with software older than ",
        "it may run firmware older than V70, of",
    ]
    for phone in it.phones.values():
        await phone.poll(staged_url=staged["provisioning_url"])
    for mac in OLD:
        assert it.phones[mac].provisioning_url() == it.account.url
    assert await it.told() == (2, 2)
    assert (await it.account.admin.post(f"{PROVISIONING}/commit")).status == 200
    for mac, phone in it.phones.items():
        boot = await phone.poll()
        assert boot.came_up == (mac not in OLD)
        assert all(line.registers for line in phone.lines())
    # Whoever visits them enters the new URL.
    for mac in OLD:
        assert (await it.phones[mac].boot(staged["provisioning_url"])).came_up


async def test_until_commit_the_next_token_is_refused_as_any_other(
    house: House, account: Account, stock: Stock
) -> None:
    new = token_of((await stage(account.admin))["provisioning_url"])
    for name in (f"{YEALINK}.cfg", f"{POLYCOM}.cfg", "805ec0999999.cfg", "y000000000096.cfg", "junk", ""):
        for method in ("GET", "HEAD", "PUT"):
            refused = await raw(house, f"/p/{new}/{name}", method)
            assert refused == await raw(house, f"/p/{tokens.make()}/{name}", method)
            assert refused.startswith(b"HTTP/1.1 404 ")
    assert (await file(house, account.url, f"{YEALINK}.cfg"))[0] == 200
    rows = [row for row in await house.boot_log() if row.generation == 2]
    assert {(row.verdict, row.reason, row.account_id) for row in rows} == {
        ("token_staged", "the next URL, which is not live until the rotation is committed", stock.account_id)
    }
    assert {row.mac for row in rows} == {YEALINK, POLYCOM, "805ec0999999", None}


async def test_from_commit_on_the_old_token_is_refused_and_the_new_one_served(
    house: House, account: Account, start_house: StartHouse
) -> None:
    """By every server, also by one that has the files in memory."""
    other = await start_house()
    old = token_of(account.url)
    new = token_of((await stage(account.admin))["provisioning_url"])
    names = (f"{YEALINK}.cfg", f"{POLYCOM}-account.cfg", "y000000000096.cfg")
    servers = [house, other]
    for server in servers:
        for name in names:
            assert (await raw(server, f"/p/{old}/{name}")).startswith(b"HTTP/1.1 200 ")
    assert (await account.admin.post(f"{PROVISIONING}/commit")).status == 200
    for server in servers:
        for name in names:
            refused = await raw(server, f"/p/{old}/{name}")
            assert refused == await raw(server, f"/p/{tokens.make()}/{name}")
            served = await raw(server, f"/p/{new}/{name}")
            assert served.startswith(b"HTTP/1.1 200 ") and old.encode() not in served


async def test_the_files_name_the_next_url_only_where_they_say_where_to_ask(
    house: House, account: Account
) -> None:
    ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    custom = {"transport_trust": "custom", "transport_ca": ca}
    assert (await account.admin.patch("/account/device-options", custom)).status == 200
    old = account.url
    new = (await stage(account.admin))["provisioning_url"]
    _, yealink = await file(house, old, f"{YEALINK}.cfg")
    assert re.findall(rf".*{token_of(new)}.*", yealink) == [f"static.auto_provision.server.url = {new}"]
    # This one the phone fetches now.
    assert re.findall(rf".*{token_of(old)}.*", yealink) == [
        f"static.trusted_certificates.url = {old}{YEALINK}-ca.crt"
    ]
    _, shared = await file(house, old, "y000000000096.cfg")  # a T54W's
    assert (shared.count(new), shared.count(old)) == (2, 0)
    _, polycom = await file(house, old, f"{POLYCOM}-account.cfg")
    assert re.findall(rf"\S*{token_of(new)}\S*", polycom) == [f'device.prov.serverName="{new}"']
    assert token_of(old) not in polycom
    # Of a model to which it is not offered, and of nobody knows which one.
    for name in ("y000000000000.cfg", "y000000000199.cfg"):
        _, shared = await file(house, old, name)
        assert (shared.count(new), shared.count(old)) == (0, 2), name
    shown = (await account.admin.get("/devices?limit=200")).json["data"]
    device = next(each["id"] for each in shown if each["mac"] == YEALINK)
    previewed = await account.admin.get(f"/devices/{device}/files/{YEALINK}.cfg?reveal=true")
    assert previewed.json["content"] == yealink
    masked = await account.admin.get(f"/devices/{device}/files")
    assert token_of(new) not in masked.text


async def test_what_a_phone_uploaded_is_handed_back_with_the_token_that_it_asked_with(
    house: House, account: Account
) -> None:
    old = account.url
    new = (await stage(account.admin))["provisioning_url"]
    text = f"static.a = {old}\nstatic.b = {new}\n"
    answer = await house.http.put(f"{old}{YEALINK}-local.cfg", data=text)
    assert answer.status == 201
    assert await file(house, old, f"{YEALINK}-local.cfg") == (200, text.replace(new, old))
    assert (await house.http.put(f"{new}{YEALINK}-local.cfg", data=text)).status == 404


class TestTold:
    async def test_a_whole_get_tells_and_nothing_else_does(self, house: House, account: Account) -> None:
        await stage(account.admin)

        async def told() -> list[str]:
            await house.log.flush()
            staged = (await account.admin.get(PROVISIONING)).json["staged"]
            return [phone["mac"] for phone in staged["told_phones"]]

        await house.http.head(f"{account.url}{YEALINK}.cfg")
        await file(house, account.url, f"{YEALINK}.boot")
        await file(house, account.url, "y000000000096.cfg")
        await file(house, account.url, f"{POLYCOM}.cfg")
        assert await told() == []
        # The file that tells is not the last one of its phone.
        await file(house, account.url, f"{POLYCOM}-account.cfg")
        await file(house, account.url, f"{POLYCOM}-directory.xml")
        assert await told() == [POLYCOM]
        await file(house, account.url, f"{POLYCOM}.cfg")
        assert await told() == [POLYCOM]

    async def test_a_phone_that_asks_with_the_next_url_knows_it(self, house: House, account: Account) -> None:
        new = (await stage(account.admin))["provisioning_url"]
        assert (await file(house, new, f"{YEALINK}.cfg"))[0] == 404
        await house.log.flush()
        staged = (await account.admin.get(PROVISIONING)).json["staged"]
        assert ([phone["mac"] for phone in staged["told_phones"]], staged["told_at"]) == ([YEALINK], None)
        # Somebody has typed it in; without it the phone would be lost.
        assert (await account.admin.post(f"{PROVISIONING}/cancel")).status == 409

    async def test_only_the_first_file_that_tells_writes(
        self, house: House, account: Account, stock: Stock
    ) -> None:
        await stage(account.admin)

        async def told_at() -> object:
            async with house.database.read() as session:
                token = await tokens.staged(session, house.vault, stock.account_id)
            assert token
            return token.told_at

        async def revision() -> object:
            async with house.database.read() as session:
                return await session.scalar(
                    sa.text("SELECT revision FROM revisions WHERE account_id = :id"), {"id": stock.account_id}
                )

        assert await told_at() is None
        await file(house, account.url, f"{YEALINK}.cfg")
        first, count = await told_at(), await revision()
        assert first
        for name in (f"{YEALINK}.cfg", f"{POLYCOM}-account.cfg", "y000000000096.cfg"):
            await file(house, account.url, name)
        assert (await told_at(), await revision()) == (first, count)

    async def test_what_an_older_server_writes_late_does_not_untell(
        self, house: House, account: Account, stock: Stock
    ) -> None:
        """Two servers write their logs when it suits them."""
        await stage(account.admin)
        late, early = now(), now().replace(year=2025)
        for time, told in ((late, None), (early, 2)):
            entry = boot_log.Entry(time, "GET", "f", "192.0.2.1", "", stock.account_id, None, YEALINK, 1)
            entry.verdict, entry.status, entry.told = Verdict.SERVED, 200, told
            house.log.add(entry)
            await house.log.flush()
        async with house.database.read() as session:
            row = await session.get_one(sightings.Row, (stock.account_id, YEALINK))
        assert (row.fetched_at, row.told_generation) == (late, 2)


class TestCancel:
    async def test_it_forgets_the_token_for_good(self, house: House, account: Account) -> None:
        before = await file(house, account.url, f"{YEALINK}.cfg")
        cancelled = (await stage(account.admin))["provisioning_url"]
        answer = await account.admin.post(f"{PROVISIONING}/cancel")
        assert (answer.status, answer.json["staged"], answer.json["generation"]) == (200, None, 1)
        assert await file(house, account.url, f"{YEALINK}.cfg") == before
        assert (await file(house, cancelled, f"{YEALINK}.cfg"))[0] == 404
        assert (await account.admin.post(f"{PROVISIONING}/commit")).status == 409
        again = await stage(account.admin)
        assert (again["generation"], again["provisioning_url"] != cancelled) == (3, True)
        committed = await account.admin.post(f"{PROVISIONING}/commit")
        assert (committed.json["generation"], committed.json["provisioning_url"]) == (
            3,
            again["provisioning_url"],
        )
        assert (await file(house, cancelled, f"{YEALINK}.cfg"))[0] == 404

    @pytest.mark.parametrize("name", [f"{YEALINK}.cfg", f"{POLYCOM}-account.cfg", "y000000000096.cfg"])
    async def test_once_a_file_has_told_it_is_refused(
        self, house: House, account: Account, name: str
    ) -> None:
        staged = await stage(account.admin)
        assert staged["provisioning_url"] in (await file(house, account.url, name))[1]
        answer = await account.admin.post(f"{PROVISIONING}/cancel")
        assert (answer.status, answer.json["detail"]) == (
            409,
            "phones have been told the next URL already, and would be lost without it: commit",
        )
        assert (await account.admin.get(PROVISIONING)).json["staged"]["told_at"]
        assert (await account.admin.post(f"{PROVISIONING}/commit")).status == 200

    async def test_files_that_do_not_tell_do_not_hinder_it(self, house: House, account: Account) -> None:
        await stage(account.admin)
        for name in (f"{YEALINK}.boot", f"{POLYCOM}.cfg", f"{POLYCOM}-directory.xml", "000000000000.cfg"):
            assert (await file(house, account.url, name))[0] == 200
        assert (await account.admin.post(f"{PROVISIONING}/cancel")).status == 200

    async def test_no_phone_is_told_what_a_cancel_forgot_however_they_overlap(
        self, house: House, account: Account, start_house: StartHouse
    ) -> None:
        """One server cancels while others are asked for the file that tells, always at about the moment at
        which it could come out either way."""
        others = [await start_house(), await start_house()]
        target = f"/p/{token_of(account.url)}/{YEALINK}.cfg"
        ends = set()
        turns = 1
        for _ in range(30):
            token = token_of((await stage(account.admin))["provisioning_url"]).encode()
            fetches = [asyncio.create_task(raw(other, target)) for other in others]
            for _ in range(turns):
                await asyncio.sleep(0)
            status = (await account.admin.post(f"{PROVISIONING}/cancel")).status
            bodies = await asyncio.gather(*fetches)
            assert all(body.startswith(b"HTTP/1.1 200 ") for body in bodies)
            assert status == 409 or not any(token in body for body in bodies)
            ends.add(status)
            turns = turns * 2 if status == 200 else max(1, turns // 4)
            if status == 409:
                rotated = (await account.admin.post(f"{PROVISIONING}/rotate", {})).json
                target = f"/p/{rotated['token']}/{YEALINK}.cfg"
        assert ends == {200, 409}

    async def test_a_file_that_was_read_before_a_cancel_and_is_answered_after_it_does_not_tell(
        self, house: House, account: Account, stock: Stock
    ) -> None:
        """The cancel holds the account when the file is about to say that it tells."""
        staged = await stage(account.admin)
        async with house.database.write() as session:
            await tokens.cancel(session, stock.account_id, actor="system")
            fetch = asyncio.create_task(file(house, account.url, f"{YEALINK}.cfg"))
            done, _ = await asyncio.wait([fetch], timeout=0.2)
            assert not done
        status, body = await fetch
        assert (status, token_of(staged["provisioning_url"]) in body) == (200, False)
        assert account.url in body


class TestRefused:
    async def test_a_leak_is_no_reason_to_stage(self, account: Account) -> None:
        answer = await account.admin.post(f"{PROVISIONING}/stage", {"reason": "leak"})
        assert (answer.status, answer.fields) == (422, ["reason"])
        assert "rotate instead" in answer.text
        assert (await account.admin.get(PROVISIONING)).json["staged"] is None
        for unknown in ("a whim", "", 7):
            assert (await account.admin.post(f"{PROVISIONING}/stage", {"reason": unknown})).status == 422
        for reason in ("scheduled", "staff_change", "other", None):
            assert (await account.admin.post(f"{PROVISIONING}/stage", {"reason": reason})).status == 200
            assert (await account.admin.post(f"{PROVISIONING}/cancel")).status == 200

    async def test_there_is_one_staged_rotation_at_a_time(self, account: Account) -> None:
        await stage(account.admin)
        assert (await account.admin.post(f"{PROVISIONING}/stage", {})).status == 409
        both = await asyncio.gather(
            account.admin.post(f"{PROVISIONING}/commit"), account.admin.post(f"{PROVISIONING}/commit")
        )
        assert sorted(answer.status for answer in both) == [200, 409]
        assert (await account.admin.get(PROVISIONING)).json["generation"] == 2

    async def test_what_is_not_staged_is_neither_committed_nor_cancelled(self, account: Account) -> None:
        for verb in ("commit", "cancel"):
            assert (await account.admin.post(f"{PROVISIONING}/{verb}")).status == 409

    async def test_without_a_token_there_is_nothing_to_follow(self, house: House) -> None:
        account = await make_account(house, '[account]\nname = "New"\nemail = "new@example.com"\n')
        async with house.database.write() as session:
            await session.execute(
                sa.text("DELETE FROM provisioning_tokens WHERE account_id = :id"), {"id": account.id}
            )
        assert (await account.admin.post(f"{PROVISIONING}/stage", {})).status == 409

    async def test_who_is_no_admin_may_not(self, account: Account) -> None:
        for verb in ("stage", "commit", "cancel"):
            for client in (account.technician, account.viewer, account.switch):
                assert (await client.post(f"{PROVISIONING}/{verb}")).status == 403

    async def test_what_somebody_else_did_meanwhile_is_told_before_anything_is_done(
        self, account: Account
    ) -> None:
        nothing_staged, staged = {"If-Match": '"1+0"'}, {"If-Match": '"1+2"'}
        await stage(account.admin)
        for verb in ("rotate", "commit", "cancel", "stage"):
            answer = await account.admin.post(f"{PROVISIONING}/{verb}", headers=nothing_staged)
            assert answer.status == 412, verb
            answer = await account.admin.post(f"{PROVISIONING}/{verb}", headers={"If-Match": '"0"'})
            assert answer.status == 412, verb
        assert (await account.admin.post(f"{PROVISIONING}/commit", headers=staged)).status == 200
        answer = await account.admin.post(f"{PROVISIONING}/rotate", {}, {"If-Match": '"2"'})
        assert (answer.status, answer.json["generation"]) == (200, 3)


async def test_rotate_ends_what_is_staged_and_names_before_whom_it_strands(
    house: House, account: Account
) -> None:
    staged = (await stage(account.admin))["provisioning_url"]
    for name in (f"{YEALINK}.cfg", f"{POLYCOM}-account.cfg"):
        await file(house, account.url, name)
    await house.log.flush()
    told = (await account.admin.get(PROVISIONING)).json["staged"]
    assert {phone["mac"] for phone in told["told_phones"]} == {YEALINK, POLYCOM}
    answer = await account.admin.post(f"{PROVISIONING}/rotate", {"reason": "leak"})
    assert (answer.status, answer.json["generation"], answer.json["staged"]) == (200, 3, None)
    for dead in (account.url, staged):
        assert (await file(house, dead, f"{YEALINK}.cfg"))[0] == 404
    status, body = await file(house, answer.json["provisioning_url"], f"{YEALINK}.cfg")
    assert status == 200 and token_of(staged) not in body
    entry = next(entry for entry in await account.entries() if entry.event == "token.rotate")
    assert (entry.event, entry.detail) == (
        "token.rotate",
        {"generation": 3, "reason": "leak", "staged_ended": 2},
    )


async def test_the_activity_log_tells_each_step_and_no_secret(account: Account) -> None:
    texts = [token_of((await stage(account.admin, reason="scheduled"))["provisioning_url"])]
    await account.admin.post(f"{PROVISIONING}/cancel")
    texts.append(token_of((await stage(account.admin))["provisioning_url"]))
    await account.admin.post(f"{PROVISIONING}/commit")
    entries = [entry for entry in await account.entries() if entry.event.startswith("token.")]
    assert [(entry.event, entry.outcome, entry.detail) for entry in entries] == [
        ("token.stage", "success", {"generation": 2, "reason": "scheduled"}),
        ("token.cancel", "success", {"generation": 2}),
        ("token.stage", "success", {"generation": 3, "reason": None}),
        ("token.commit", "success", {"generation": 3}),
    ]
    assert not any(text in repr(entries) for text in texts)


async def test_a_viewer_sees_how_far_it_is_and_no_url(account: Account) -> None:
    staged = await stage(account.admin)
    shown = await account.viewer.get(PROVISIONING)
    assert (shown.json["staged"]["generation"], shown.json["staged"]["provisioning_url"]) == (2, None)
    assert token_of(staged["provisioning_url"]) not in shown.text
    assert (await account.technician.get(PROVISIONING)).json["staged"] == staged


async def test_every_model_says_whether_it_is_told_and_no_file_says_otherwise(vendors: Any) -> None:
    """What the data says is what the files do; a vendor whose data says nothing is told nothing."""
    offered = {
        (name, model.name): vendor.unstaged(model) is None
        for name, vendor in vendors.items()
        for model in vendor.models.values()
    }
    refused = {model for model, is_offered in offered.items() if not is_offered}
    assert refused == {
        *(("yealink", name) for name in ("T18P", "T20P", "T22P", "T26P", "T28P")),
        *(("polycom", f"SoundPoint IP {number}") for number in (300, 301, 320, 330, 430, 500, 501, 600, 601)),
        ("polycom", "SoundStation IP 4000"),
    }


async def test_tokens_from_before_are_kept_and_counted_on(empty_url: str, vault: Vault) -> None:
    """On SQLite the table is made anew, with the triggers that count the account's revision."""
    database = Database(empty_url)
    token, made = tokens.make(), now()
    sealed = vault.seal(token, "provisioning_tokens", "sealed", "acc_1", "tok_2", "2")
    account = {
        "id": "acc_1",
        "name": "Acme",
        "email": "ann@acme.example",
        "timezone": "UTC",
        "extension_length": 4,
        "transcription_enabled": True,
        "recording_enabled": True,
        "parking_timeout_minutes": 5,
        "options": {},
        "emergency_recipients": [],
        "admin_password": b"sealed",
        "created_at": made,
    }
    base = {"account_id": "acc_1", "created_at": made, "created_by": "system"}
    old = {"retired_at": made, "retired_by": "user/ann@acme.example", "sealed": None}
    rows = [
        base | old | {"id": "tok_1", "generation": 1, "state": "retired", "digest": b"digest"},
        base | {"id": "tok_2", "generation": 2, "state": "current", "digest": vault.digest(token)}
        | {"sealed": sealed, "retired_at": None, "retired_by": None},
    ]  # fmt: skip

    def before(connection: sa.Connection) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(resources.files("provisioning") / "migrations"))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0008")
        tables = sa.MetaData()
        tables.reflect(connection)
        connection.execute(sa.insert(tables.tables["accounts"]).values(account))
        connection.execute(sa.insert(tables.tables["provisioning_tokens"]), rows)

    async with database.write() as session:
        await (await session.connection()).run_sync(before)
    await database.migrate()
    revision = sa.select(revisions.Row.revision).where(revisions.Row.account_id == "acc_1")
    async with database.write() as session:
        kept = [*await session.scalars(sa.select(tokens.table.Row).order_by(tokens.table.Row.generation))]
        assert [
            {name: getattr(row, name) for name in each} for row, each in zip(kept, rows, strict=True)
        ] == rows
        current = await tokens.current(session, vault, "acc_1")
        assert current and (current.text, current.generation) == (token, 2)
        counts = [await session.scalar(revision) or 0]
        for step in (
            tokens.stage(session, vault, "acc_1", actor="system"),
            tokens.note_told(session, "acc_1", 3),
            tokens.commit(session, vault, "acc_1", actor="system"),
        ):
            await step
            counts.append(await session.scalar(revision) or 0)
        assert counts == sorted({*counts})
        with pytest.raises(sa.exc.IntegrityError):
            await session.execute(
                sa.text(
                    "UPDATE provisioning_tokens SET state = 'current', sealed = digest, retired_at = NULL"
                )
            )
        await session.rollback()
    await database.close()
