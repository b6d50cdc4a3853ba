"""A preview tells which phones would get other files, how, and whose cannot be made; it changes nothing."""

from typing import Any

import pytest
import sqlalchemy as sa

import tokens
from provisioning import devices, gathering
from provisioning.db import new_id
from tests.api.conftest import Account, Answer, make_account

ANOTHER = "sip.another.example"


async def ask(to: Account, /, **change: Any) -> dict[str, Any]:
    answer = await to.technician.post("/previews", change)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def lines(found: dict[str, Any]) -> set[str]:
    """All that comes or goes."""
    diffs = [file["diff"] for group in found["groups"] for file in group["files"]]
    return {line for diff in diffs for line in diff.splitlines() if line != "@@"}


def macs(found: dict[str, Any]) -> set[str]:
    return {phone["mac"] for group in found["groups"] for phone in group["phones"]}


async def template(account: Account, name: str) -> Any:
    listed = (await account.viewer.get("/button-templates")).json["data"]
    return next(each for each in listed if each["name"] == name)


async def device(account: Account, mac: str) -> Any:
    return next(each for each in (await account.viewer.get("/devices")).json["data"] if each["mac"] == mac)


async def files(account: Account) -> dict[str, dict[str, bytes]]:
    """Of each phone by MAC address what it would get now, by suffix."""
    house = account.house
    async with house.database.read() as session:
        token = await tokens.current(session, house.vault, account.id)
        assert token
        found = {}
        for each in await devices.list_all(session, account.id):
            phone = await gathering.gather(session, house.vault, house.rendering, each, token.text)
            made = await gathering.files(session, house.rendering, each, phone)
            found[each.mac] = {name.removeprefix(each.mac): content for name, content in made.items()}
    return found


async def test_it_works(account: Account) -> None:
    found = await ask(account, telephony={"extension_length": 5})
    assert (found["total"], found["changed"], found["failed"], found["refused"]) == (8, 8, 0, None)
    assert "+dialplan.digitmap.string = 911|933|[0-8]xxxxT|9[024-9]xxxT|91[02-9]xxT|93[0-24-9]xxT" in "".join(
        sorted(lines(found))
    )
    assert sum(group["count"] for group in found["groups"]) == 8
    assert [group["count"] for group in found["groups"]] == sorted(
        (group["count"] for group in found["groups"]), reverse=True
    )


@pytest.mark.parametrize(
    "change",
    [
        {"telephony": {"extension_length": 6}},
        {"telephony": {"recording_enabled": False, "inbound_fax_limit": 7}},
        {"device_options": {"sip_server": ANOTHER}},
        {"device_options": {"pickup_code": None, "language": "fr"}},
        {"device_options": {"poll_minutes": 10080}},
        {"device_options": {"sip_domain": "harbourlane.example"}},
        {"account": {"timezone": "Europe/Berlin"}},
        {"account": {"name": "Another"}},
    ],
    ids=str,
)
async def test_it_names_the_phones_that_then_do_get_other_files(account: Account, change: Any) -> None:
    ((kind, values),) = change.items()
    before = await files(account)
    found = await ask(account, **change)
    assert await files(account) == before
    path = {"telephony": "/account/telephony", "device_options": "/account/device-options"}
    assert (await account.admin.patch(path.get(kind, "/account"), values)).status == 200
    after = await files(account)
    assert macs(found) == {mac for mac in before if before[mac] != after[mac]}
    assert found["changed"] == len(macs(found))


async def test_after_a_change_the_way_back_tells_what_it_did(account: Account) -> None:
    told = await ask(account, telephony={"extension_length": 5})
    await account.admin.patch("/account/telephony", {"extension_length": 5})
    assert await ask(account, telephony={"extension_length": 4}, reversed=True) == told


async def test_a_template_changes_the_phones_that_are_bound_to_it(account: Account) -> None:
    reception = await template(account, "Reception")
    reception["buttons"][2]["label"] = "Parked here"
    found = await ask(account, button_template={"id": reception["id"], "buttons": reception["buttons"]})
    listed = (await account.viewer.get("/devices")).json["data"]
    assert macs(found) == {d["mac"] for d in listed if d["button_template_id"] == reception["id"]}
    assert "+linekey.3.label = Parked here" in lines(found)
    assert (await template(account, "Reception"))["buttons"][2]["label"] != "Parked here"


async def test_phones_that_change_alike_are_one_group_whoever_they_belong_to(account: Account) -> None:
    for mac, number in (("249ad8000001", "4203"), ("249ad8000002", "4204")):
        made = await account.admin.post("/devices", {"mac": mac, "model": "T46S", "lines": [number]})
        assert made.status == 201, made.text
    found = await ask(account, device_options={"sip_server": ANOTHER})
    (group,) = [
        g for g in found["groups"] if {"249ad8000001", "249ad8000002"} & {p["mac"] for p in g["phones"]}
    ]
    assert {"249ad8000001", "249ad8000002"} <= {phone["mac"] for phone in group["phones"]}
    assert f"+account.1.sip_server.1.address = {ANOTHER}" in group["files"][0]["diff"].splitlines()


async def test_what_is_the_phones_own_stands_for_itself_in_a_line_that_changes(account: Account) -> None:
    found = await ask(account, device_options={"sip_domain": "harbourlane.example"})
    changed = [line for line in lines(found) if "reg.1.address" in line]
    assert sorted(changed) == [
        '+    reg.1.address="«user name of line 1»@harbourlane.example"',
        '-    reg.1.address="«user name of line 1»"',
    ]


async def test_a_label_that_says_what_the_number_is_anyway_is_no_change(account: Account) -> None:
    """Of two phones alike, on the one whose number the label is, nothing changes."""
    made = await account.admin.post("/button-templates", {"name": "Plain", "buttons": []})
    bound = {"model": "VVX 450", "button_template_id": made.json["id"]}
    for mac, number in (("64167f000001", "4203"), ("64167f000002", "4204")):
        await account.admin.post("/devices", {"mac": mac, "lines": [number], **bound})
    buttons = [{"position": 1, "type": "line", "label": "4203", "target": {"line": 1}}]
    before = await files(account)
    found = await ask(account, button_template={"id": made.json["id"], "buttons": buttons})
    await account.admin.patch(f"/button-templates/{made.json['id']}", {"buttons": buttons})
    after = await files(account)
    assert macs(found) == {mac for mac in before if before[mac] != after[mac]} == {"64167f000002"}


async def test_one_phone_is_told_under_its_own_names(account: Account) -> None:
    desk = await device(account, "805ec0102001")
    found = await ask(account, device={"id": desk["id"], "lines": ["4203"]})
    ((group,), file) = found["groups"], found["groups"][0]["files"][-1]
    assert (group["count"], file["name"]) == (1, "805ec0102001.cfg")
    assert {"+account.1.label = 4203", "-account.1.label = 4201"} <= lines(found)
    assert {"-account.1.password = ********", "+account.1.password = ******** (another)"} <= lines(found)


async def test_another_mac_address_is_other_files(account: Account) -> None:
    desk = await device(account, "805ec0102001")
    found = await ask(account, device={"id": desk["id"], "mac": "80:5e:c0:10:20:99"})
    names = [file["name"] for file in found["groups"][0]["files"]]
    assert "805ec0102001.cfg → 805ec0102099.cfg" in names


async def test_own_options_leave_the_others_of_the_device(account: Account) -> None:
    desk = await device(account, "805ec0102001")
    await account.admin.patch(f"/devices/{desk['id']}/options", {"time_format": "24h"})
    found = await ask(account, own_options={"id": desk["id"], "language": "fr"})
    assert lines(found) == {
        "-static.lang.gui = English",
        "+static.lang.gui = French",
        "-static.lang.wui = English",
        "+static.lang.wui = French",
    }


async def test_phones_whose_files_could_not_be_made_are_told_with_the_reason(account: Account) -> None:
    desk = await device(account, "805ec0102001")
    await account.admin.patch(f"/devices/{desk['id']}/options", {"sip_server": "own.example.com"})
    found = await ask(account, device_options={"sip_server": None, "sip_domain": None})
    (failure,) = found["failures"]
    assert (failure["count"], failure["already"], found["failed"]) == (7, False, 7)
    assert failure["reason"] == "the phone option sip_server is set neither for the phone nor above it"
    assert "sip_server is set neither" in found["refused"]  # as the PATCH says
    refused = await account.admin.patch("/account/device-options", {"sip_server": None, "sip_domain": None})
    assert refused.status == 422


async def test_a_phone_that_cannot_be_made_as_it_is_is_told_apart(account: Account) -> None:
    async with account.house.database.write() as session:
        await session.execute(sa.text("UPDATE devices SET model = 'T99' WHERE mac = '805ec0102001'"))
    found = await ask(account, telephony={"extension_length": 5})
    assert [(f["already"], f["reason"]) for f in found["failures"]] == [
        (True, "T99 is not among the models of Yealink")
    ]
    assert found["changed"] == 7


async def test_no_secret_is_told_or_entered(account: Account) -> None:
    desk = await device(account, "805ec0102001")
    texts = []
    for change in (
        {"device_options": {"sip_server": ANOTHER}},
        {"device": {"id": desk["id"], "model": "T46S", "lines": ["4203"]}},
        {"device": {"id": desk["id"], "mac": "805ec0102098", "model": "T46S"}},
    ):
        texts.append(str(await ask(account, **change)))
    texts += [str(entry.detail) for entry in await account.entries()]
    for secret in ("Kq7vTz2mWx94LpRd", "Zc5xUe81QnMv30Ga", "739204816355", account.url.split("/")[-2]):
        assert not [text for text in texts if secret in text]


async def test_the_entry_says_what_was_asked_and_what_was_found(account: Account) -> None:
    await ask(account, telephony={"extension_length": 5})
    entry = (await account.entries())[-1]
    assert (entry.event, entry.outcome) == ("config.preview", "success")
    assert entry.detail == {"change": "telephony", "fields": ["extension_length"], "changed": 8, "total": 8}


async def refused(account: Account, change: Any) -> Answer:
    answer = await account.admin.post("/previews", change)
    assert answer.status == 422, answer.text
    return answer


async def test_faults_are_those_of_the_change_itself_under_its_name(account: Account) -> None:
    desk = await device(account, "805ec0102001")
    reception, another = await template(account, "Reception"), await template(account, "Desk")
    for change, field in (
        ({"telephony": {"extension_length": 7}}, "telephony.extension_length"),
        (
            {"telephony": {"default_outbound_number_id": new_id("num")}},
            "telephony.default_outbound_number_id",
        ),
        ({"device_options": {"sip_port": 0}}, "device_options.sip_port"),
        ({"account": {"timezone": "Mars/Olympus"}}, "account.timezone"),
        ({"button_template": {"id": new_id("btn")}}, "button_template.id"),
        ({"button_template": {"id": reception["id"], "name": another["name"]}}, "button_template.name"),
        ({"device": {"id": desk["id"], "model": "T99"}}, "device.model"),
        ({"device": {"id": desk["id"], "mac": "001565102004"}}, "device.mac"),
        ({"own_options": {"id": new_id("dev")}}, "own_options.id"),
        ({}, ""),
        ({"telephony": {}, "account": {}}, ""),
    ):
        assert (await refused(account, change)).fields == [field], change


async def test_another_accounts_things_are_not_there(account: Account, sample: str) -> None:
    other = await make_account(account.house, sample.replace("office@", "other@"))
    desk = await device(other, "805ec0102001")
    assert (await refused(account, {"device": {"id": desk["id"], "name": "X"}})).fields == ["device.id"]


async def test_a_viewer_may_not(account: Account) -> None:
    assert (await account.viewer.post("/previews", {"telephony": {"extension_length": 5}})).status == 403
