"""Whom a call was told and how long that took: for an admin to see, and for a location's last test."""

from dataclasses import replace

import sqlalchemy as sa

from tests.api.conftest import Account, Client, make_account, stocked
from tests.conftest import StartHouse, Stock
from tests.emergency.conftest import DESK, QUICK, SAFETY, calls, report
from tests.emergency.test_report import set_sydney, share_with_sydney
from tests.mail_relay import MailRelay


async def test_calls_are_listed_newest_first_in_pages(account: Account) -> None:
    for number in range(5):
        await report(account, call_id=f"call-{number}")
    first = (await account.viewer.get("/emergency-calls?limit=3")).json
    rest = (await account.viewer.get(f"/emergency-calls?limit=3&cursor={first['next_cursor']}")).json
    listed = [call["call_id"] for call in first["data"] + rest["data"]]
    assert listed == [f"call-{number}" for number in (4, 3, 2, 1, 0)]
    assert rest["next_cursor"] is None


async def test_a_call_tells_all_that_is_known_of_it(account: Account, relay: MailRelay) -> None:
    told = (await report(account, occurred_at="2026-11-24T09:15:02-05:00")).json
    await relay.arrived(2)
    (call,) = await calls(account)
    mails = call.pop("mails")
    assert call.pop("id").startswith("call_")
    assert call == {
        "call_id": "call-1",
        "dialed": "933",
        "sip_username": "4202",
        "device_mac": None,
        "caller_number": "+12075550142",
        "occurred_at": "2026-11-24T14:15:02Z",
        "reported_at": told["reported_at"],
        "caller": "Ann O'Brien (4202)",
        "locations": ["Portland"],
        "warnings": [],
    }
    for mail, recipient in zip(mails, (DESK, SAFETY), strict=True):
        assert mail.pop("delivered_at") > told["reported_at"]
        assert 0 < mail.pop("seconds") < 20
        assert mail == {"recipient": recipient, "state": "delivered", "attempts": 1, "last_error": None}


async def test_another_accounts_calls_are_not_listed(account: Account, sample: str) -> None:
    other = await make_account(account.house, sample.replace("harbourlane.example", "other.example"))
    await report(other)
    assert await calls(account) == []


async def test_a_location_tells_its_last_test_and_whom_it_reached(account: Account, relay: MailRelay) -> None:
    async def tests() -> dict[str, object]:
        await account.house.sender.settled()
        rows = (await account.viewer.get("/locations")).json["data"]
        for row in rows:  # one by one as in the list
            assert (await account.viewer.get(f"/locations/{row['id']}")).json == row
        return {row["name"]: row["last_test_call"] for row in rows}

    assert await tests() == {"Portland": None, "Sydney": None}
    await report(account, call_id="old")
    await report(account, call_id="real", dialed="911")
    last = (await report(account, call_id="new")).json
    await relay.arrived(6)
    found = await tests()
    portland = found["Portland"]
    assert isinstance(portland, dict)
    mails = portland.pop("mails")
    assert portland == {"call_id": "new", "reported_at": last["reported_at"], "certain": True}
    assert [(mail["recipient"], mail["state"]) for mail in mails] == [
        (DESK, "delivered"),
        (SAFETY, "delivered"),
    ]
    assert all(mail["seconds"] > 0 and mail["delivered_at"] for mail in mails)
    assert found["Sydney"] is None


async def test_a_list_of_locations_asks_no_more_for_many_than_for_one(
    start_house: StartHouse, stock: Stock
) -> None:
    quiet = replace(QUICK, poll=60.0)  # so that nobody else asks the database
    account = stocked(await start_house(schedule=quiet), stock)
    await report(account)
    asked: list[str] = []

    async def fewest() -> int:
        """Of five times: what else the server does meanwhile asks, too."""
        found = []
        for _ in range(5):
            asked.clear()
            assert (await account.viewer.get("/locations")).status == 200
            found.append(len(asked))
        return min(found)

    for engine in (account.house.database._readers, account.house.database._writers):
        sa.event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    few = await fewest()
    for number in range(20):
        await account.admin.post("/locations", {"name": f"Site {number}"})
    assert await fewest() == few


async def test_a_test_that_may_have_come_from_elsewhere_says_so(account: Account) -> None:
    await share_with_sydney(account)
    await report(account)
    rows = (await account.viewer.get("/locations")).json["data"]
    assert {(row["name"], row["last_test_call"]["certain"]) for row in rows} == {
        ("Portland", False),
        ("Sydney", False),
    }


async def test_a_test_call_stands_in_the_way_of_no_change(account: Account) -> None:
    """It is no part of what an ETag tells of, nor of what the activity log calls changed."""
    location = next(
        r for r in (await account.admin.get("/locations")).json["data"] if r["name"] == "Portland"
    )
    path = f"/locations/{location['id']}"
    etags = [(await account.admin.get(p)).headers["ETag"] for p in (path, "/account/emergency-recipients")]
    await report(account)
    done = await account.admin.patch(path, {"callback_number": "+12075550111"}, {"If-Match": etags[0]})
    assert done.status == 200
    assert list((await account.entries())[-1].detail["changed"]) == ["callback_number"]
    done = await account.admin.put("/account/emergency-recipients", {"emails": []}, {"If-Match": etags[1]})
    assert done.status == 200


async def test_servers_that_warn_of_different_things_agree_on_the_version(
    account: Account, start_house: StartHouse
) -> None:
    path = "/account/emergency-recipients"
    bare = Client(await start_house(schedule=QUICK), account.admin.key)
    here, there = await account.admin.get(path), await bare.get(path)
    assert here.json["warnings"] != there.json["warnings"]
    assert here.headers["ETag"] == there.headers["ETag"]


async def test_the_account_is_warned_when_nobody_might_be_told(account: Account) -> None:
    path = "/account/emergency-recipients"
    assert (await account.viewer.get(path)).json == {"emails": [SAFETY], "warnings": []}
    assert (await account.admin.put(path, {"emails": []})).json["warnings"] == [
        "No recipient is set for the whole account: a call from a location without recipients of its own,"
        " or from an unknown one, is told nobody."
    ]


async def test_a_call_stays_when_its_phone_and_its_location_are_removed(
    account: Account, relay: MailRelay
) -> None:
    await set_sydney(account, emergency_recipients=["sydney@harbourlane.example"])
    await report(account, sip_username="4302")
    await relay.arrived(2)
    for device in (await account.admin.get("/devices")).json["data"]:
        await account.admin.delete(f"/devices/{device['id']}")
    for location in (await account.admin.get("/locations")).json["data"]:
        assert (await account.admin.delete(f"/locations/{location['id']}")).status == 204
    (call,) = await calls(account)
    assert (call["locations"], len(call["mails"])) == (["Sydney"], 2)
