"""Devices by what people know of them, their own options, and lines that are named by number."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event

from provisioning.boot_log import Entry, Verdict
from provisioning.db import now
from tests.api.conftest import Account

DESK, LAB, TRIO = "805ec0102001", "001565102004", "64167f102008"


async def found(account: Account, query: str) -> set[str]:
    answer = await account.viewer.get(f"/devices?{query}")
    assert answer.status == 200, answer.text
    return {row["mac"] for row in answer.json["data"]}


async def seen(account: Account, mac: str, *, generation: int, refused: bool = False) -> None:
    """As if the phone had fetched, and afterwards asked with a rotated token."""
    fetch = Entry(now(), "GET", f"{mac}.cfg", "192.0.2.7", "", account.id, mac=mac, generation=generation)
    account.house.log.add(replace(fetch, verdict=Verdict.SERVED))
    if refused:
        later = now() + timedelta(seconds=1)
        account.house.log.add(replace(fetch, time=later, generation=1, verdict=Verdict.TOKEN_ROTATED))
    await account.house.log.flush()


@pytest.mark.parametrize("q", [DESK, "80:5E:C0:10:20:01", "805e.c010.2001", "FRONT desk", "t54", "4202"])
async def test_a_device_is_found_by_a_piece_of_what_it_is_called(account: Account, q: str) -> None:
    assert await found(account, f"q={q.replace(' ', '%20')}") == {DESK}


@pytest.mark.parametrize("q", ["%25", "_", "%27%27", "nobody"])
async def test_what_stands_nowhere_is_not_found_and_signs_are_no_patterns(account: Account, q: str) -> None:
    assert await found(account, f"q={q}") == set()


async def test_the_end_of_a_number_is_no_beginning(account: Account) -> None:
    assert await found(account, "q=4303") == {"64167f102005", "0004f2102007"}
    assert await found(account, "q=303") == set()


async def test_filters_add_up(account: Account) -> None:
    places = {row["name"]: row["id"] for row in (await account.viewer.get("/locations")).json["data"]}
    assert len(await found(account, "vendor=polycom")) == 4
    assert await found(account, f"vendor=polycom&location_id={places['Portland']}") == {TRIO}
    assert await found(account, f"vendor=yealink&location_id={places['Sydney']}") == set()
    assert len(await found(account, "q=&vendor=&location_id=")) == 8


async def test_each_status_that_can_be_asked_for_is_the_one_that_is_shown(account: Account) -> None:
    await account.admin.post("/account/provisioning/rotate", {})
    await seen(account, DESK, generation=2)
    await seen(account, LAB, generation=1)
    await seen(account, TRIO, generation=2, refused=True)
    shown = {row["mac"]: row["status"] for row in (await account.viewer.get("/devices")).json["data"]}
    for status in ("pending", "provisioned", "stale"):
        asked = await found(account, f"status={status}")
        assert asked == {mac for mac, held in shown.items() if held == status} and asked
    counts = (await account.viewer.get("/account/provisioning")).json["devices"]
    late = await found(account, "status=not-current")
    assert len(late) == counts["total"] - counts["current"] and DESK not in late


async def test_the_pages_of_a_search_hold_each_device_once(account: Account) -> None:
    pages, cursor = [], ""
    while True:
        answer = (await account.viewer.get(f"/devices?vendor=yealink&limit=3{cursor}")).json
        pages.append([row["mac"] for row in answer["data"]])
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert [len(page) for page in pages] == [3, 1]
    assert len({mac for page in pages for mac in page}) == 4


async def test_a_page_of_many_devices_costs_as_many_queries_as_one_of_few(account: Account) -> None:
    counted: list[str] = []
    engine = account.house.database._readers.sync_engine

    def count(*arguments: object) -> None:
        counted.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", count)

    async def fewest(limit: int) -> int:
        """Of five times: what else the server does meanwhile asks, too, and a new connection does."""
        found = []
        for _ in range(5):
            counted.clear()
            await account.viewer.get(f"/devices?limit={limit}")
            found.append(len(counted))
        return min(found)

    assert await fewest(1) == await fewest(8) > 0


@pytest.mark.parametrize(
    "query", ["status=lost", "location_id=x", f"q={'a' * 101}", "q=%00", "vendor=%00", "no_such=1"]
)
async def test_a_filter_that_is_none_is_refused(account: Account, query: str) -> None:
    assert (await account.viewer.get(f"/devices?{query}")).status == 422


async def test_lines_may_be_named_by_their_numbers(account: Account) -> None:
    ids = {row["number"]: row["id"] for row in (await account.viewer.get("/extensions")).json["data"]}
    body = {"mac": "805ec0abcdef", "model": "T46S", "lines": ["4201", ids["4202"]]}
    made = (await account.technician.post("/devices", body)).json
    assert made["lines"] == [ids["4201"], ids["4202"]]
    path = f"/devices/{made['id']}"
    assert (await account.technician.patch(path, {"lines": ["4203"]})).json["lines"] == [ids["4203"]]
    answer = await account.technician.patch(path, {"lines": ["4203", "4999"]})
    assert (answer.status, answer.fields) == (422, ["lines[1]"])
    assert (await account.technician.patch(path, {"lines": ["4203", ids["4203"]]})).status == 422


async def test_one_option_of_a_device_is_set_and_inherited_again_without_its_others(account: Account) -> None:
    device = (await account.viewer.get("/devices?q=482567102006")).json["data"][0]
    path = f"/devices/{device['id']}/options"
    answer = await account.technician.patch(path, {"sip_port": 5080, "sip_transport": None})
    assert answer.status == 200
    own = (await account.viewer.get(f"/devices/{device['id']}")).json["options"]
    assert own == {k: v for k, v in device["options"].items() if k != "sip_transport"} | {"sip_port": 5080}
    assert (await account.viewer.patch(path, {"sip_port": 1})).status == 403
    custom = await account.technician.patch(path, {"transport_trust": "custom"})
    assert custom.status == 422
    entry = next(entry for entry in await account.entries() if entry.event == "device.set_options")
    assert set(entry.detail["changed"]) == {
        "sip_port",
        "sip_transport",
    }
