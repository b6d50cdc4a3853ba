"""Phone numbers over the API, and everything that calls out with one."""

import asyncio
import re

import pytest

from provisioning import numbers
from provisioning.db import new_id
from tests.api.conftest import Account, make_account

OTHER = '[account]\nname = "Other"\nemail = "other@example.com"\n[options]\nsip_server = "sip.example.com"\n'


async def test_a_number_is_made_read_changed_listed_and_removed(account: Account) -> None:
    made = await account.admin.post("/phone-numbers", {"number": "+1 (212) 555-0110"})
    assert made.status == 201
    assert re.fullmatch(r"num_[0-9a-z]{26}", made.json["id"])
    assert made.json == {
        "id": made.json["id"],
        "number": "+12125550110",
        "label": "",
        "fax_enabled": False,
        "fax_recipients": [],
    }
    path = f"/phone-numbers/{made.json['id']}"
    change = {"label": "Fax", "fax_enabled": True, "fax_recipients": ["fax@harbourlane.example"]}
    changed = await account.admin.patch(path, change)
    assert changed.json == made.json | change
    assert (await account.viewer.get(path)).json == changed.json
    listed = [row["number"] for row in (await account.viewer.get("/phone-numbers")).json["data"]]
    assert listed == ["+12125550110", "+12125550102", "+12125550101", "+12125550100"]
    assert (await account.admin.delete(path)).status == 204
    assert (await account.viewer.get(path)).status == 404


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("+12125550199", "+12125550199"),
        ("+1 212-555-0199", "+12125550199"),
        ("+1.212.555.0199", "+12125550199"),
        ("+15551234567", "+15551234567"),
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("+39 06 1234 5678", "+390612345678"),
        ("+61 2 5550 1234", "+61255501234"),
        ("+800 1234 5678", "+80012345678"),
    ],
)
async def test_a_number_is_taken_as_people_write_it(account: Account, written: str, kept: str) -> None:
    made = await account.admin.post("/phone-numbers", {"number": written})
    assert (made.status, made.json.get("number")) == (201, kept)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "+",
        "4201",
        "2125550199",
        "0012125550199",
        "+1 212 555 019",
        "+1 212 555 01999",
        "+1 555 0199",
        "+999 123 456 789",
        "+0 212 555 0199",
        "+1 212 555 0199 ext. 5",
        "+1 800 FLOWERS",
        "+１２１２５５５０１９９",
        "+1 212 555 0199\n",
        " +12125550199",
        "+4930123456789012345",
        "+" + "1" * 60,
        "++12125550199",
        12125550199,
        None,
    ],
)
async def test_what_is_no_number_of_a_country_is_refused(account: Account, number: object) -> None:
    refused = await account.admin.post("/phone-numbers", {"number": number})
    assert (refused.status, refused.fields) == (422, ["number"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"number": "+1 (212) 555-0100"}, "number"),
        ({"label": "a\nb"}, "label"),
        ({"label": "x" * 101}, "label"),
        ({"fax_enabled": "yes"}, "fax_enabled"),
        ({"fax_recipients": ["nobody"]}, "fax_recipients[0]"),
        ({"fax_recipients": ["a@b.example"] * 51}, "fax_recipients"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_number_that_cannot_be_is_refused_by_field(
    account: Account, body: dict[str, object], field: str
) -> None:
    refused = await account.admin.post("/phone-numbers", {"number": "+12125550199", **body})
    assert (refused.status, refused.fields) == (422, [field])
    path = f"/phone-numbers/{(await account.viewer.get('/phone-numbers')).json['data'][0]['id']}"
    refused = await account.admin.patch(path, body)
    assert (refused.status, refused.fields) == (422, [field])


async def test_a_number_is_made_once_however_often_it_is_asked_for_at_once(account: Account) -> None:
    body = {"number": "+12125550199"}
    answers = await asyncio.gather(*(account.admin.post("/phone-numbers", body) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 422, 422, 422]


async def test_two_accounts_may_have_the_same_number_and_see_their_own(account: Account) -> None:
    other = await make_account(account.house, OTHER)
    made = await other.admin.post("/phone-numbers", {"number": "+12125550100"})
    assert made.status == 201
    path = f"/phone-numbers/{made.json['id']}"
    assert (await account.admin.get(path)).status == 404
    assert (await account.admin.patch(path, {"label": "Mine"})).status == 404
    assert (await account.admin.delete(path)).status == 404
    assert [row["id"] for row in (await other.viewer.get("/phone-numbers")).json["data"]] == [made.json["id"]]


async def first(account: Account, path: str) -> str:
    return f"{path}/{(await account.viewer.get(path)).json['data'][0]['id']}"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/account/telephony", "default_outbound_number_id"),
        ("/extensions", "outbound_number_id"),
        ("/devices", "outbound_number_id"),
    ],
)
async def test_a_number_that_is_called_out_with_is_one_of_the_account_and_is_kept(
    account: Account, path: str, field: str
) -> None:
    other = await make_account(account.house, OTHER)
    foreign = (await other.admin.post("/phone-numbers", {"number": "+12125550177"})).json["id"]
    own = (await account.admin.post("/phone-numbers", {"number": "+12125550177"})).json["id"]
    path = path if path.startswith("/account") else await first(account, path)
    for wrong in (foreign, new_id("num"), new_id("clip"), "num_1", "\0", ""):
        refused = await account.admin.patch(path, {field: wrong})
        assert (refused.status, refused.fields) == (422, [field])
    assert (await account.admin.patch(path, {field: own})).json[field] == own
    kept = await account.admin.delete(f"/phone-numbers/{own}")
    assert (kept.status, kept.json["detail"]) == (
        409,
        "the account, an extension or a device calls out with this number",
    )
    assert (await account.admin.patch(path, {field: None})).json[field] is None
    assert (await account.admin.delete(f"/phone-numbers/{own}")).status == 204


async def test_a_new_extension_and_a_new_device_may_have_a_number_at_once(account: Account) -> None:
    number = (await account.viewer.get("/phone-numbers")).json["data"][0]["id"]
    extension = {"number": "4299", "display_name": "New", "outbound_number_id": number}
    assert (await account.admin.post("/extensions", extension)).json["outbound_number_id"] == number
    device = {"mac": "805ec0aabbcc", "model": "T46S", "outbound_number_id": number}
    assert (await account.admin.post("/devices", device)).json["outbound_number_id"] == number
    wrong = device | {"mac": "805ec0aabbcd", "outbound_number_id": new_id("num"), "lines": ["ext_1"]}
    assert (await account.admin.post("/devices", wrong)).fields == ["outbound_number_id", "lines[0]"]


async def test_a_changed_number_is_the_same_number_to_all_that_refer_to_it(account: Account) -> None:
    before = (await account.viewer.get("/account/telephony")).json
    path = f"/phone-numbers/{before['default_outbound_number_id']}"
    assert (await account.admin.patch(path, {"number": "+12125550188"})).status == 200
    assert (await account.viewer.get("/account/telephony")).json == before
    assert await account.count(numbers.Row) == 3


async def test_numbers_go_out_as_csv_and_come_back_even_through_a_spreadsheet(account: Account) -> None:
    csv = {"Content-Type": "text/csv"}
    out = (await account.viewer.get("/devices/export")).text
    assert out.splitlines()[8].endswith(",+12125550102")
    without_sign = out.replace(",+1212", ",1212")
    assert (await account.admin.post("/devices/import", without_sign, csv)).status == 200
    assert (await account.viewer.get("/devices/export")).text == out
    # A file without the column leaves the number; an empty cell takes it.
    await account.admin.post("/devices/import", "mac,model\n64167f102008,Trio 8800\n", csv)
    assert (await account.viewer.get("/devices/export")).text == out
    text = "mac,model,outbound_number\n64167f102008,Trio 8800,\n805ec0102001,T54W,+1 (212) 555-0101\n"
    await account.admin.post("/devices/import", text, csv)
    lines = (await account.viewer.get("/devices/export")).text.splitlines()
    assert lines[8].endswith(",") and lines[1].endswith(",+12125550101")
    bad = "mac,model,outbound_number\n805ec0102001,T54W,+12125550199\n64167f102008,Trio 8800,4201\n"
    refused = await account.admin.post("/devices/import", bad, csv)
    assert refused.fields == ["line 2: outbound_number", "line 3: outbound_number"]
