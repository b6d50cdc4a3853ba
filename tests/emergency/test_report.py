"""What the switch reports is stored before it is answered, and every recipient gets one mail."""

import asyncio
import logging
from typing import Any

import pytest

from tests.api.conftest import Account, Client, make_account, stocked
from tests.conftest import StartHouse, Stock
from tests.emergency.conftest import DESK, QUICK, SAFETY, at, calls, report
from tests.mail_relay import MailRelay


async def share_with_sydney(account: Account) -> None:
    """Extension 4202 rings in both places: on Portland's front desk, and on Ming's phone in Sydney."""
    devices = {d["mac"]: d for d in (await account.admin.get("/devices")).json["data"]}
    lines = [*devices["482567102006"]["lines"], devices["805ec0102001"]["lines"][1]]
    done = await account.admin.patch(f"/devices/{devices['482567102006']['id']}", {"lines": lines})
    assert done.status == 200


async def set_sydney(account: Account, **changes: Any) -> None:
    (sydney,) = (
        row for row in (await account.admin.get("/locations")).json["data"] if row["name"] == "Sydney"
    )
    assert (await account.admin.patch(f"/locations/{sydney['id']}", changes)).status == 200


def recipients(relay: MailRelay) -> list[str]:
    return sorted(mail.recipient for mail in relay.received)


@pytest.mark.parametrize("dialed", ["911", "933"])
async def test_the_accounts_and_the_locations_recipients_are_told_together(
    account: Account, relay: MailRelay, dialed: str
) -> None:
    answer = await report(account, dialed=dialed)
    assert answer.status == 202
    told = answer.json
    assert told.pop("reported_at").endswith("Z")
    assert told == {
        "call_id": "call-1",
        "dialed": dialed,
        "locations": ["Portland"],
        "recipients": 2,
        "warnings": [],
    }
    await relay.arrived(2)
    assert recipients(relay) == [DESK, SAFETY]
    (call,) = await calls(account)
    assert [(mail["recipient"], mail["state"]) for mail in call["mails"]] == [
        (DESK, "delivered"),
        (SAFETY, "delivered"),
    ]


async def test_an_address_in_both_lists_gets_one_mail_whatever_its_case(
    account: Account, relay: MailRelay
) -> None:
    emails = ["FrontDesk@HarbourLane.example", SAFETY]
    await account.admin.put("/account/emergency-recipients", {"emails": emails})
    assert (await report(account)).json["recipients"] == 2
    await relay.arrived(2)
    await calls(account)
    assert recipients(relay) == sorted(emails)


@pytest.mark.parametrize("mac", ["00:15:65:10:20:02", "0015.6510.2002", "00-15-65-10-20-02", "001565102002"])
async def test_a_phone_is_known_by_its_mac_in_any_spelling(account: Account, mac: str) -> None:
    told = (await report(account, sip_username=None, device_mac=mac)).json
    assert (told["locations"], told["warnings"]) == (["Portland"], [])
    (call,) = await calls(account)
    assert (call["device_mac"], call["caller"]) == ("001565102002", "Jörg Søndergaard (4203)")


async def test_a_phone_of_several_lines_goes_by_its_own_name(account: Account) -> None:
    await report(account, sip_username=None, device_mac="805ec0102001")
    (call,) = await calls(account)
    assert call["caller"] == "Front desk, Portland (4201/4202)"


async def test_phones_at_one_location_need_not_be_told_apart(account: Account) -> None:
    told = (await report(account, sip_username="4303")).json
    assert told["locations"] == ["Sydney"]
    assert told["warnings"] == [
        "The phone that called could not be told apart: the extension is on several phones."
    ]


async def test_when_the_location_cannot_be_told_all_that_it_may_be_are_told(
    account: Account, relay: MailRelay
) -> None:
    await share_with_sydney(account)
    await set_sydney(account, emergency_recipients=["sydney@harbourlane.example"])
    told = (await report(account)).json
    assert told["locations"] == ["Portland", "Sydney"]
    assert told["recipients"] == 3
    assert told["warnings"] == [
        "The phone that called could not be told apart: the extension is on phones at different locations."
        " The call came from one of those listed here."
    ]
    mails = await relay.arrived(3)
    assert recipients(relay) == [DESK, SAFETY, "sydney@harbourlane.example"]
    for mail in mails:
        assert "12 Harbour Lane" in mail.text and "8 Quay Street" in mail.text
        assert mail.message["Subject"] == "TEST 933: Ann O'Brien (4202) at Portland or Sydney"


async def test_the_mac_tells_phones_of_one_extension_apart(account: Account) -> None:
    await share_with_sydney(account)
    told = (await report(account, device_mac="48:25:67:10:20:06")).json
    assert (told["locations"], told["warnings"]) == (["Sydney"], [])


async def test_when_mac_and_extension_disagree_both_locations_are_told(account: Account) -> None:
    told = (await report(account, device_mac="48:25:67:10:20:06")).json
    assert told["locations"] == ["Portland", "Sydney"]
    assert told["warnings"][0] == "The phone 482567102006 does not have the extension 4202 as a line."


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        (
            {"sip_username": "nobody"},
            [
                "No extension of this account has the SIP user name nobody.",
                "The location is not known.",
            ],
        ),
        (
            {"sip_username": None, "device_mac": "02:00:00:00:00:01"},
            ["No phone of this account has the MAC address 020000000001.", "The location is not known."],
        ),
        (
            {"sip_username": None, "device_mac": "no MAC at all"},
            ["No phone of this account has the MAC address no MAC at all.", "The location is not known."],
        ),
        (
            {"sip_username": "4205"},
            ["No phone has the extension 4205 as a line.", "The location is not known."],
        ),
    ],
)
async def test_a_caller_that_nobody_knows_is_no_reason_to_refuse(
    account: Account, relay: MailRelay, changes: dict[str, Any], warnings: list[str]
) -> None:
    answer = await report(account, **changes)
    assert (answer.status, answer.json["locations"], answer.json["warnings"]) == (202, [], warnings)
    (mail,) = await relay.arrived(1)
    assert mail.recipient == SAFETY
    assert mail.message["Subject"].endswith("at an unknown location")
    assert all(warning in mail.text for warning in warnings)


async def test_an_unknown_mac_leaves_what_the_extension_tells(account: Account) -> None:
    told = (await report(account, device_mac="02:00:00:00:00:01")).json
    assert told["locations"] == ["Portland"]
    assert told["warnings"] == ["No phone of this account has the MAC address 020000000001."]


async def test_a_phone_without_a_location_is_said_so(account: Account, relay: MailRelay) -> None:
    device = next(d for d in (await account.admin.get("/devices")).json["data"] if d["mac"] == "805ec0102001")
    await account.admin.patch(f"/devices/{device['id']}", {"location_id": None})
    told = (await report(account)).json
    assert (told["locations"], told["warnings"]) == ([], ["No location is set for the phone 805ec0102001."])
    (mail,) = await relay.arrived(1)
    assert "MAC address 80:5e:c0:10:20:01" in mail.text and "no address is set" in mail.text


async def test_a_location_without_an_address_is_warned_of(account: Account) -> None:
    await set_sydney(account, address=None)
    told = (await report(account, sip_username="4302")).json
    assert told["warnings"] == ["The location Sydney has no address."]


async def test_only_what_has_no_sense_is_refused(account: Account) -> None:
    for changes in (
        {"dialed": "112"},
        {"dialed": 911},
        {"dialed": None},
        {"call_id": None},
        {"call_id": ""},
        {"call_id": "two\nlines"},
        {"sip_username": None},
        {"sip_username": "", "device_mac": " "},
        {"caller_number": "1" * 65},
        {"caller_number": "1\r\nBcc: x@y.example"},
        {"occurred_at": "yesterday"},
        {"occurred_at": "2026-11-24T09:00:00"},
        {"occurred_at": "0001-01-01T00:00:00+14:00"},
        {"another": "field"},
    ):
        assert (await report(account, **changes)).status == 422, changes
    assert await calls(account) == []


async def test_what_a_switch_may_say_is_taken(account: Account, relay: MailRelay) -> None:
    odd: list[dict[str, Any]] = [
        {"caller_number": None},
        {"caller_number": ""},
        {"caller_number": ' anonymous <sip:x@y> "Zoë" '},
        {"device_mac": ""},
        {"occurred_at": None},
        {"occurred_at": "1970-01-01T00:00:00Z"},
        {"occurred_at": "2026-11-24T09:00:00+11:00"},
        {"sip_username": "sip:4202@pbx.example;transport=tls"},
        {"call_id": "é" * 255},
    ]
    for number, changes in enumerate(odd):
        answer = await report(account, **{"call_id": f"call-{number}"} | changes)
        assert answer.status == 202, answer.text
    await relay.arrived(17)


async def test_the_same_call_id_again_answers_the_same_and_mails_nobody(
    account: Account, relay: MailRelay
) -> None:
    first = await report(account)
    await relay.arrived(2)
    again = await report(account)
    assert (again.status, again.json) == (202, first.json)
    await calls(account)
    assert len(relay.received) == 2


async def test_a_call_id_that_comes_again_for_another_call_is_called_out(
    account: Account, relay: MailRelay, caplog: pytest.LogCaptureFixture
) -> None:
    first = await report(account)
    with caplog.at_level(logging.CRITICAL):
        other = await report(account, dialed="911", sip_username="4302")
    assert (other.status, other.json) == (202, first.json)
    assert "the call id call-1 of emergency call" in caplog.text
    (call,) = await calls(account)
    assert (call["dialed"], call["sip_username"]) == ("933", "4202")


async def test_the_same_call_reported_to_four_servers_at_once_is_one(
    start_house: StartHouse, relay: MailRelay, stock: Stock
) -> None:
    houses = [await start_house(relays=(at(relay),), schedule=QUICK) for _ in range(4)]
    account = stocked(houses[0], stock)
    clients = [Client(house, account.switch.key) for house in houses] * 4
    body = {"call_id": "call-1", "dialed": "911", "sip_username": "4202"}
    answers = await asyncio.gather(*(client.post("/switch/emergency-calls", body) for client in clients))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    await relay.arrived(2)
    for house in houses:
        await house.sender.settled()
    assert len(await calls(account)) == 1
    assert recipients(relay) == [DESK, SAFETY]


async def test_one_accounts_call_ids_are_not_anothers(account: Account, sample: str) -> None:
    other = await make_account(account.house, sample.replace("harbourlane.example", "other.example"))
    await report(account)
    assert (await report(other, dialed="911")).json["dialed"] == "911"
    assert [call["dialed"] for call in await calls(account)] == ["933"]


async def test_a_relay_that_says_nothing_delays_no_answer(account: Account, relay: MailRelay) -> None:
    relay.fault = lambda _recipient: "hang_at_greeting"
    for number in range(20):
        assert (await report(account, call_id=f"call-{number}")).status == 202
    assert relay.received == []


async def test_without_a_recipient_the_call_is_kept_and_called_out(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    await account.admin.put("/account/emergency-recipients", {"emails": []})
    with caplog.at_level(logging.CRITICAL):
        told = (await report(account, sip_username="4302")).json
    assert (told["recipients"], told["warnings"]) == (
        0,
        ["No recipient is set for this call: nobody is told of it."],
    )
    assert "no recipient is set, nobody is told" in caplog.text
    (call,) = await calls(account)
    assert (call["mails"], call["warnings"]) == ([], told["warnings"])


async def test_mails_wait_for_a_relay_and_tell_what_was_known_at_the_time(
    start_house: StartHouse, relay: MailRelay, stock: Stock
) -> None:
    waiting = stocked(await start_house(schedule=QUICK), stock)
    told = (await report(waiting, dialed="911")).json
    assert told["warnings"] == [
        "No mail relay is set (PROVISIONING_SMTP_URL): mails wait until there is one."
    ]
    (call,) = await calls(waiting)
    assert [mail["state"] for mail in call["mails"]] == ["waiting", "waiting"]
    portland = next(
        r for r in (await waiting.admin.get("/locations")).json["data"] if r["name"] == "Portland"
    )
    address = portland["address"] | {"street": "99 New Street"}
    await waiting.admin.patch(f"/locations/{portland['id']}", {"name": "Moved", "address": address})
    for device in (await waiting.admin.get("/devices")).json["data"]:
        assert (await waiting.admin.delete(f"/devices/{device['id']}")).status == 204
    await start_house(relays=(at(relay),), schedule=QUICK)
    mails = await relay.arrived(2)
    assert {mail.message["Subject"] for mail in mails} == {"911 dialed: Ann O'Brien (4202) at Portland"}
    assert all("12 Harbour Lane" in m.text and "Yealink T54W" in m.text for m in mails)


async def test_the_report_is_in_the_activity_log(account: Account) -> None:
    await report(account, dialed="911")
    entry = (await account.entries())[-1]
    assert (entry.event, entry.outcome) == ("emergency_call.report", "success")
    assert entry.resource.startswith("emergency_call/call_")
    assert entry.detail == {"dialed": "911", "recipients": 2, "new": True}


async def test_a_call_is_told_although_other_things_of_the_account_are_broken(account: Account) -> None:
    """A row that an older version wrote, and that today's rules refuse, keeps nobody from being told."""
    async with account.house.database.write() as session:
        connection = await session.connection()
        for table, column in (("devices", "options"), ("accounts", "options")):
            await connection.exec_driver_sql(f"UPDATE {table} SET {column} = '{{\"sip_port\": -1}}'")
        await connection.exec_driver_sql("UPDATE locations SET callback_number = 'call us'")
    assert (await report(account, dialed="911")).json["recipients"] == 2
