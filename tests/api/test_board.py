"""The board after a rotation: who is back, who knocks, who is silent, who was visited, and who is unknown."""

import asyncio
import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from provisioning import boot_log, ticks
from provisioning.boot_log import Entry, Verdict
from provisioning.db import now
from provisioning.phones.vendor import Vendor
from provisioning.virtual_phone import virtual_phone
from tests.api.conftest import Account, make_account
from tests.conftest import House

HEAD: Final = """
[account]
name = "Two Sites"
email = "two@sites.example"
timezone = "America/New_York"

[options]
sip_server = "sip.two.example"

[[locations]]
name = "Portland"

[[locations]]
name = "Boston"
"""
YEALINKS: Final = [f"805ec020{number:04x}" for number in range(20)]
POLYCOMS: Final = [f"64167f20{number:04x}" for number in range(20)]
BACK: Final = [*YEALINKS[:10], *POLYCOMS[:10]]
WRONG, NEVER = YEALINKS[3], POLYCOMS[19]
KNOCKING: Final = [YEALINKS[10], YEALINKS[11], POLYCOMS[10]]
SILENT: Final = [*YEALINKS[12:], *POLYCOMS[11:]]
DESK, TRIO = "805ec0102001", "64167f102008"  # of the sample account


def account_text() -> str:
    parts = [HEAD]
    for number in range(40):
        # The Yealinks are in Portland, the Polycoms in Boston.
        mac = [*YEALINKS, *POLYCOMS][number]
        model, place = ("T54W", "Portland") if number < 20 else ("VVX 450", "Boston")
        parts.append(f'[[extensions]]\nnumber = "{5000 + number}"\ndisplay_name = "Desk {number}"\n')
        parts.append(
            f'[[devices]]\nmac = "{mac}"\nmodel = "{model}"\nname = "Desk {number:02}"\n'
            f'location = "{place}"\nlines = ["{5000 + number}"]\n'
        )
    return "\n".join(parts)


@dataclass(frozen=True)
class Fleet:
    """40 phones of both vendors, which boot over HTTP; `url` is the one of before the rotation."""

    account: Account
    vendors: Mapping[str, Vendor]

    async def boot(self, url: str, macs: Iterable[str], **models: str) -> None:
        at_once = asyncio.Semaphore(8)

        async def one(mac: str) -> None:
            vendor = self.vendors["yealink" if mac in YEALINKS else "polycom"]
            model = vendor.models[models.get(f"m{mac}", "T54W" if mac in YEALINKS else "VVX 450")]
            async with at_once:
                await virtual_phone(vendor, model, mac).boot(url)

        await asyncio.gather(*map(one, macs))
        await self.account.house.log.flush()

    async def rotate(self) -> str:
        answer = await self.account.admin.post("/account/provisioning/rotate", {})
        return str(answer.json["provisioning_url"])


@pytest.fixture
async def fleet(house: House, vendors: dict[str, Vendor]) -> Fleet:
    return Fleet(await make_account(house, account_text()), vendors)


async def board(account: Account, query: str = "") -> Any:
    answer = await account.viewer.get(f"/account/provisioning/board{query}")
    assert answer.status == 200, answer.text
    return answer.json


def phones(told: Any) -> dict[str, Any]:
    return {phone["mac"]: phone for place in told["locations"] for phone in place["devices"]}


def in_state(told: Any, state: str) -> list[str]:
    return sorted(mac for mac, phone in phones(told).items() if phone["state"] == state)


async def test_after_a_rotation_each_phone_is_back_knocking_or_silent(fleet: Fleet) -> None:
    account = fleet.account
    await fleet.boot(account.url, [mac for mac in YEALINKS + POLYCOMS if mac != NEVER])
    before = now()
    url = await fleet.rotate()
    await fleet.boot(url, BACK, **{f"m{WRONG}": "T46S"})
    await fleet.boot(account.url, KNOCKING)

    told = await board(account)
    assert told["generation"] == 2
    assert before <= datetime.fromisoformat(told["rotated_at"]) <= now()
    assert told["rotated_by"].startswith("api_key/")
    assert told["counts"] == {"total": 40, "back": 20, "knocking": 3, "silent": 17, "ticked": 0, "told": 0}
    assert (told["found"], len(phones(told))) == (40, 40)
    assert [(place["name"], place["counts"]) for place in told["locations"]] == [
        ("Boston", {"total": 20, "back": 10, "knocking": 1, "silent": 9, "ticked": 0, "told": 0}),
        ("Portland", {"total": 20, "back": 10, "knocking": 2, "silent": 8, "ticked": 0, "told": 0}),
    ]
    assert [phone["mac"] for phone in told["locations"][0]["devices"]] == POLYCOMS
    assert [phone["mac"] for phone in told["locations"][1]["devices"]] == YEALINKS
    assert in_state(told, "back") == sorted(BACK)
    assert in_state(told, "knocking") == sorted(KNOCKING)
    assert in_state(told, "silent") == sorted(SILENT)

    for mac, phone in phones(told).items():
        fetched, refused = phone["last_fetch_at"], phone["refused_at"]
        assert (phone["last_fetch_ip"], fetched is None) == (
            (None, True) if mac == NEVER else ("127.0.0.1", False)
        )
        assert (fetched or "") > told["rotated_at"] if mac in BACK else (fetched or "") < told["rotated_at"]
        if mac in KNOCKING:
            assert refused > told["rotated_at"]
            assert (phone["refused_ip"], phone["refused_generation"]) == ("127.0.0.1", 1)
        else:
            assert (refused, phone["refused_ip"], phone["refused_generation"]) == (None, None, None)
        assert phone["note"] == ("the phone says model T46S, not T54W" if mac == WRONG else "")
    desk = phones(told)[POLYCOMS[10]]
    assert {name: desk[name] for name in ("name", "vendor", "model", "lines", "ticked_at", "ticked_by")} == {
        "name": "Desk 30",
        "vendor": "polycom",
        "model": "VVX 450",
        "lines": ["5030"],
        "ticked_at": None,
        "ticked_by": None,
    }
    assert told["last_knock_at"] == max(phones(told)[mac]["refused_at"] for mac in KNOCKING)

    # The walk has the same on paper.
    file = await account.viewer.get("/account/provisioning/board.csv")
    assert (file.status, file.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert [(row["mac"].replace(":", ""), row["state"]) for row in rows] == [
        (mac, phone["state"]) for mac, phone in phones(told).items()
    ]
    assert rows[10] == {
        "location": "Boston",
        "name": "Desk 30",
        "mac": "64:16:7f:20:00:0a",
        "vendor": "polycom",
        "model": "VVX 450",
        "lines": "5030",
        "state": "knocking",
        "last_fetch_at": desk["last_fetch_at"][:19] + "Z",
        "last_fetch_ip": "127.0.0.1",
        "refused_at": desk["refused_at"][:19] + "Z",
        "refused_ip": "127.0.0.1",
        "refused_generation": "1",
        "note": "",
        "ticked_at": "",
        "ticked_by": "",
    }
    never = rows[19]
    assert (never["mac"], never["state"], never["last_fetch_at"]) == ("64:16:7f:20:00:13", "silent", "")

    # Of the filters, each and together.
    places = {place["name"]: place["id"] for place in told["locations"]}
    for query, macs in (
        ("?state=knocking", KNOCKING),
        (f"?state=back&location_id={places['Boston']}", POLYCOMS[:10]),
        ("?state=knocking&q=64:16:7F", [POLYCOMS[10]]),
        ("?q=5012", [YEALINKS[12]]),
        ("?q=Desk%2019", [YEALINKS[19]]),
        ("?location_id=none", []),
        ("?state=silent&q=5000", []),
    ):
        found = await board(account, query)
        assert sorted(phones(found)) == sorted(macs) and found["found"] == len(macs), query
        assert found["counts"] == told["counts"]
        text = (await account.viewer.get(f"/account/provisioning/board.csv{query}")).text
        assert text.count("\r\n") == len(macs) + 1
    some = await board(account, "?limit=3&state=back")
    assert (sorted(phones(some)), some["found"]) == (POLYCOMS[:3], 20)
    none = await board(account, "?limit=0")
    assert (phones(none), none["counts"], none["found"]) == ({}, told["counts"], 40)

    # Whoever comes back later is back, and the next rotation starts anew.
    await fleet.boot(url, [YEALINKS[10]])
    assert (await board(account))["counts"]["back"] == 21
    assert phones(await board(account))[YEALINKS[10]]["refused_at"] is None
    await fleet.rotate()
    assert (await board(account))["counts"] == {
        "total": 40,
        "back": 0,
        "knocking": 0,
        "silent": 40,
        "ticked": 0,
        "told": 0,
    }


async def seen(account: Account, mac: str, verdict: Verdict, *, generation: int, **changes: Any) -> None:
    """As if the phone had asked."""
    entry = Entry(now(), "GET", f"{mac}.cfg", "192.0.2.7", "", account.id, mac=mac, generation=generation)
    account.house.log.add(replace(entry, verdict=verdict, **changes))
    await account.house.log.flush()


async def rotate(account: Account) -> None:
    assert (await account.admin.post("/account/provisioning/rotate", {})).status == 200


async def test_a_phone_that_knocked_before_the_last_rotation_and_not_since_is_silent(
    account: Account,
) -> None:
    await rotate(account)
    await seen(account, DESK, Verdict.TOKEN_ROTATED, generation=1)
    assert phones(await board(account))[DESK]["state"] == "knocking"
    await rotate(account)
    phone = phones(await board(account))[DESK]
    assert (phone["state"], phone["refused_at"]) == ("silent", None)
    await seen(account, DESK, Verdict.TOKEN_ROTATED, generation=1)
    phone = phones(await board(account))[DESK]
    assert (phone["state"], phone["refused_generation"]) == ("knocking", 1)


async def test_a_request_that_the_rotation_overtook_is_a_knock(account: Account) -> None:
    early = now()
    await rotate(account)
    await seen(account, DESK, Verdict.TOKEN_ROTATED, generation=1, time=early)
    assert phones(await board(account))[DESK]["state"] == "knocking"


async def test_an_old_url_that_is_asked_with_after_the_return_is_noted(account: Account) -> None:
    await rotate(account)
    await seen(account, DESK, Verdict.SERVED, generation=2)
    await seen(account, DESK, Verdict.TOKEN_ROTATED, generation=1, time=now() + timedelta(seconds=1))
    phone = phones(await board(account))[DESK]
    assert (phone["state"], phone["refused_ip"]) == ("back", "192.0.2.7")
    assert phone["note"] == "an old URL was asked with again after it came back"


async def test_half_a_fetch_is_no_return(account: Account) -> None:
    """A HEAD tells the phone nothing, and what was not served tells it nothing either."""
    await rotate(account)
    await seen(account, DESK, Verdict.SERVED, generation=2, method="HEAD")
    await seen(account, DESK, Verdict.FILE_UNKNOWN, generation=2)
    assert phones(await board(account))[DESK]["state"] == "silent"


async def test_a_file_that_cannot_be_made_is_told_until_it_was_made(account: Account) -> None:
    await rotate(account)
    await seen(account, DESK, Verdict.SERVED, generation=2, file=f"{DESK}.boot")
    broken: Any = {"generation": 2, "reason": "yealink/phone.cfg.j2: 'x' is undefined", "status": 500}
    await seen(account, DESK, Verdict.RENDER_ERROR, **broken)
    await seen(account, DESK, Verdict.SERVED, generation=2, file=f"{DESK}-local.cfg")
    phone = phones(await board(account))[DESK]
    assert phone["note"] == f"its file {DESK}.cfg could not be made: yealink/phone.cfg.j2: 'x' is undefined"
    await seen(account, DESK, Verdict.SERVED, generation=2)
    assert phones(await board(account))[DESK]["note"] == ""
    await seen(account, DESK, Verdict.RENDER_ERROR, **broken)
    await rotate(account)
    assert phones(await board(account))[DESK]["note"] == ""


async def test_before_the_first_rotation_there_is_none_and_without_a_token_nobody_is_back(
    account: Account,
) -> None:
    await seen(account, DESK, Verdict.SERVED, generation=1)
    told = await board(account)
    assert (told["generation"], told["rotated_at"], told["rotated_by"]) == (1, None, None)
    assert told["counts"] == {"total": 8, "back": 1, "knocking": 0, "silent": 7, "ticked": 0, "told": 0}
    async with account.house.database.write() as session:
        await session.execute(sa.text("DELETE FROM provisioning_tokens"))
    told = await board(account)
    assert (told["generation"], told["counts"]["silent"]) == (0, 8)
    tick = await account.technician.put(
        f"/account/provisioning/board/{phones(told)[DESK]['device_id']}/tick", None
    )
    assert tick.status == 409


async def test_phones_without_a_location_come_last(account: Account) -> None:
    trio = (await account.viewer.get(f"/devices?q={TRIO}")).json["data"][0]
    await account.technician.patch(f"/devices/{trio['id']}", {"location_id": None})
    told = await board(account)
    assert [place["name"] for place in told["locations"]] == ["Portland", "Sydney", None]
    assert [phone["mac"] for phone in told["locations"][-1]["devices"]] == [TRIO]
    assert sorted(phones(await board(account, "?location_id=none"))) == [TRIO]


async def test_another_account_is_on_another_board(account: Account, house: House, sample: str) -> None:
    other = await make_account(house, sample.replace("office@", "other@"))
    await rotate(account)
    await seen(account, DESK, Verdict.SERVED, generation=2)
    assert (await board(account))["counts"]["back"] == 1
    told = await board(other)
    assert (told["generation"], told["counts"]["total"], told["counts"]["back"]) == (1, 8, 0)
    theirs = phones(told)[DESK]["device_id"]
    path = f"/account/provisioning/board/{theirs}/tick"
    assert (await account.admin.put(path, None)).status == 404
    assert (await account.admin.delete(path)).status == 404


async def test_a_tick_says_who_was_there_first_until_the_next_rotation(account: Account) -> None:
    await rotate(account)
    path = f"/account/provisioning/board/{phones(await board(account))[DESK]['device_id']}/tick"
    made = await account.technician.put(path, None)
    assert made.status == 200
    assert made.json["ticked_by"].startswith("api_key/") and made.json["generation"] == 2
    again = await account.admin.put(path, None)
    assert again.json == made.json
    told = await board(account)
    assert told["counts"]["ticked"] == told["locations"][0]["counts"]["ticked"] == 1
    phone = phones(told)[DESK]
    assert (phone["ticked_at"], phone["ticked_by"]) == (made.json["ticked_at"], made.json["ticked_by"])
    # Somebody was there, which says nothing of whether it came back.
    assert phone["state"] == "silent"
    assert (await account.admin.delete(path)).status == 204
    assert (await account.admin.delete(path)).status == 204
    assert phones(await board(account))[DESK]["ticked_at"] is None
    await account.admin.put(path, None)
    await rotate(account)
    assert (await board(account))["counts"]["ticked"] == 0
    last = (await account.technician.put(path, None)).json
    assert last["generation"] == 3 and last["ticked_by"] == made.json["ticked_by"]
    assert await account.count(ticks.Row) == 1
    entries = [entry for entry in await account.entries() if entry.event == "provisioning.tick"]
    assert entries[0].resource == f"device/{made.json['device_id']}"
    assert entries[0].detail["changed"]["ticked_by"] == {"old": None, "new": made.json["ticked_by"]}
    await account.admin.delete(f"/devices/{made.json['device_id']}")
    assert await account.count(ticks.Row) == 0


async def test_who_may_look_and_who_may_tick(account: Account) -> None:
    path = f"/account/provisioning/board/{phones(await board(account))[DESK]['device_id']}/tick"
    for client, reads, ticking in (
        (account.admin, 200, 200),
        (account.technician, 200, 200),
        (account.viewer, 200, 403),
        (account.switch, 403, 403),
        (account.nobody, 401, 401),
    ):
        for asked in ("board", "board.csv", "unknown-phones"):
            assert (await client.get(f"/account/provisioning/{asked}")).status == reads
        assert (await client.put(path, None)).status == ticking
        assert (await client.delete(path)).status == (204 if ticking == 200 else ticking)


@pytest.mark.parametrize(
    "query", ["state=lost", "state=", "location_id=x", f"q={'a' * 101}", "q=%00", "limit=-1", "no_such=1"]
)
async def test_a_filter_that_is_none_is_refused(account: Account, query: str) -> None:
    assert (await account.viewer.get(f"/account/provisioning/board?{query}")).status == 422


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)"])
async def test_a_spreadsheet_calculates_nothing_that_somebody_wrote(account: Account, name: str) -> None:
    device = (await account.viewer.get(f"/devices?q={DESK}")).json["data"][0]
    await account.technician.patch(f"/devices/{device['id']}", {"name": name})
    text = (await account.viewer.get(f"/account/provisioning/board.csv?q={DESK}")).text
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["name"] == f"'{name}"


async def test_a_board_of_many_phones_costs_as_many_queries_as_one_of_few(account: Account) -> None:
    await account.admin.post("/account/provisioning/rotate", {})
    counted: list[str] = []
    engine = account.house.database._readers.sync_engine

    def count(*arguments: object) -> None:
        counted.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", count)
    sizes = []
    for query in ("?limit=1", ""):
        counted.clear()
        await board(account, query)
        # Whoever sends mails looks for some meanwhile.
        about = (
            "FROM devices",
            "FROM device_lines",
            "FROM provisioning_tokens",
            "FROM sightings",
            "FROM boot_log",
        )
        # Whoever prunes the boot log looks for old rows.
        own = [text for text in counted if "boot_log.id >" not in text]
        sizes.append(sum(any(table in text for table in about) for text in own))
    assert sizes == [9, 9]


# ---- who asks with the good token and is no device


async def unknown(account: Account) -> list[dict[str, Any]]:
    answer = await account.viewer.get("/account/provisioning/unknown-phones")
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.json["data"]
    return found


async def test_unknown_phones_are_told_until_they_are_devices(
    account: Account, vendors: dict[str, Vendor]
) -> None:
    assert await unknown(account) == []
    for vendor, model, mac in (
        ("yealink", "T46S", "805ec0aabbcc"),
        ("polycom", "VVX 450", "64167faabbcc"),
        ("yealink", "T54W", DESK),
    ):
        await virtual_phone(vendors[vendor], vendors[vendor].models[model], mac).boot(account.url)
    await rotate(account)
    # Who comes with an old URL may be anybody.
    await virtual_phone(vendors["yealink"], vendors["yealink"].models["T46S"], "805ec0ddeeff").boot(
        account.url
    )
    asked = [row for row in await account.house.boot_log() if row.mac == "805ec0aabbcc"]
    poly, yea = await unknown(account)
    assert (poly["mac"], poly["vendor"], poly["model"]) == ("64167faabbcc", "polycom", "VVX 450")
    assert "Poly" in poly["user_agent"] and poly["requests"] > 3
    assert yea == {
        "mac": "805ec0aabbcc",
        "vendor": "yealink",
        "model": "T46S",
        "user_agent": asked[0].user_agent,
        "last_asked_at": asked[-1].time.isoformat().replace("+00:00", "Z"),
        "last_asked_ip": "127.0.0.1",
        "requests": len(asked),
    }
    body = {"mac": yea["mac"], "vendor": yea["vendor"], "model": yea["model"]}
    assert (await account.technician.post("/devices", body)).status == 201
    assert [phone["mac"] for phone in await unknown(account)] == ["64167faabbcc"]


async def test_an_unknown_phone_that_says_nothing_of_itself_is_told_all_the_same(account: Account) -> None:
    async def ask(mac: str, user_agent: str, **changes: Any) -> None:
        await seen(account, mac, Verdict.MAC_UNKNOWN, generation=1, user_agent=user_agent, **changes)

    await ask("805ec0aabb01", "curl/8")
    # Of one phone's requests some say less than others.
    await ask("805ec0aabb02", "Yealink SIP-T46S 66.86.0.15 80:5e:c0:aa:bb:02")
    await ask("805ec0aabb02", "")
    await ask("805ec0aabb03", "Yealink SIP-T46S 66.86.0.15", time=now() - timedelta(days=31))
    found = {phone["mac"]: phone for phone in await unknown(account)}
    assert set(found) == {"805ec0aabb01", "805ec0aabb02"}
    assert (found["805ec0aabb01"]["vendor"], found["805ec0aabb01"]["model"]) == (None, None)
    assert (found["805ec0aabb02"]["model"], found["805ec0aabb02"]["requests"]) == ("T46S", 2)


async def test_of_very_many_unknown_phones_the_last_ones_are_told(account: Account) -> None:
    begun = now()
    for number in range(250):
        mac, at = f"805ec0{number:06x}", begun + timedelta(milliseconds=number)
        entry = Entry(at, "GET", f"{mac}.cfg", "192.0.2.7", "", account.id, mac=mac, generation=1)
        account.house.log.add(replace(entry, verdict=Verdict.MAC_UNKNOWN))
    await account.house.log.flush()
    found = [phone["mac"] for phone in await unknown(account)]
    assert found == [f"805ec0{number:06x}" for number in range(249, 49, -1)]


async def test_what_is_looked_for_in_the_boot_log_is_found_by_its_index(account: Account) -> None:
    """However many other rows there are."""
    await seen(account, DESK, Verdict.SERVED, generation=1)
    query = sa.select(boot_log.Row.mac).where(
        boot_log.Row.account_id == account.id, boot_log.ended_as(Verdict.MAC_UNKNOWN)
    )
    async with account.house.database.read() as session:
        dialect = session.get_bind().dialect
        text = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        if dialect.name == "postgresql":
            await session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN " if dialect.name == "sqlite" else "EXPLAIN "
        plan = "\n".join(str(row) for row in await session.execute(sa.text(explain + text)))
        assert "ix_boot_log_mac_unknown" in plan
        rendered = str(query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True}))
    assert "= 'mac_unknown'" in rendered
