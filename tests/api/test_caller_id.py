"""Caller ID: the phone's number, else the extension's, else the account's default."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from provisioning import caller_id, extensions
from tests.api.conftest import Account

DEFAULT, LAB = "+12125550100", "+12125550102"


async def shown(account: Account) -> dict[str, str | None]:
    """For each phone the end of the number that it shows."""
    rows = (await account.viewer.get("/devices?limit=200")).json["data"]
    for row in rows:
        assert (await account.viewer.get(f"/devices/{row['id']}")).json == row
    return {row["mac"][-2:]: row["effective_outbound_number"] for row in rows}


async def of(account: Account, sip_username: str) -> str | None:
    async with account.house.database.read() as session:
        extension = await extensions.find_registered(session, account.id, sip_username)
        assert extension
        return await caller_id.of_extension(session, account.id, extension)


async def ids(account: Account, path: str, name: str) -> dict[str, str]:
    return {row[name]: row["id"] for row in (await account.viewer.get(f"{path}?limit=200")).json["data"]}


async def test_a_phone_shows_its_own_number_else_its_first_lines_else_the_accounts(account: Account) -> None:
    # 04 has the lab as its line, 08 has the lab's number itself.
    others = dict.fromkeys(("01", "02", "03", "05", "06", "07"), DEFAULT)
    assert await shown(account) == others | {"04": LAB, "08": LAB}
    devices, numbers = await ids(account, "/devices", "mac"), await ids(account, "/phone-numbers", "number")
    own = {"outbound_number_id": numbers["+12125550101"]}
    answer = await account.technician.patch(f"/devices/{devices['001565102004']}", own)
    assert answer.json["effective_outbound_number"] == "+12125550101"
    await account.admin.patch("/account/telephony", {"default_outbound_number_id": None})
    assert await shown(account) == dict.fromkeys(others) | {"04": "+12125550101", "08": LAB}


async def test_the_second_line_of_a_phone_is_not_its_number_and_no_line_is_the_accounts(
    account: Account,
) -> None:
    devices, extensions = await ids(account, "/devices", "mac"), await ids(account, "/extensions", "number")
    path = f"/devices/{devices['805ec0102001']}"
    lines = {"lines": [extensions["4201"], extensions["4206"]]}
    assert (await account.admin.patch(path, lines)).json["effective_outbound_number"] == DEFAULT
    lines["lines"].reverse()
    assert (await account.admin.patch(path, lines)).json["effective_outbound_number"] == LAB
    assert (await account.admin.patch(path, {"lines": []})).json["effective_outbound_number"] == DEFAULT


async def test_another_default_is_no_change_of_a_device(account: Account) -> None:
    path = f"/devices/{(await ids(account, '/devices', 'mac'))['805ec0102001']}"
    etag = (await account.viewer.get(path)).headers["ETag"]
    await account.admin.patch("/account/telephony", {"default_outbound_number_id": None})
    assert (await account.admin.patch(path, {"name": "Still"}, {"If-Match": etag})).status == 200


async def test_a_list_of_devices_asks_once_for_the_numbers_of_all(account: Account) -> None:
    rows = (await account.viewer.get("/devices")).json["data"]
    asked: list[str] = []

    def executed(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    async with account.house.database.read() as session:
        bind = (await session.connection()).sync_connection
        assert bind is not None
        event.listen(bind, "before_cursor_execute", executed)
        found = await caller_id.of_devices(session, account.id, [row["id"] for row in rows])
        event.remove(bind, "before_cursor_execute", executed)
    assert found == {row["id"]: row["effective_outbound_number"] for row in rows}
    assert len(asked) == 1


async def test_an_extension_shows_its_phones_number_else_its_own_else_the_accounts(account: Account) -> None:
    assert (await of(account, "4207"), await of(account, "4206"), await of(account, "4201")) == (
        LAB,
        LAB,
        DEFAULT,
    )
    assert await of(account, "4205") == DEFAULT  # on no phone
    assert (await account.switch.get("/switch/caller-id?sip_username=4999")).status == 404


@pytest.mark.parametrize(
    ("first", "second", "number"),
    [
        ("+12125550101", "+12125550101", "+12125550101"),
        ("+12125550101", "+12125550100", LAB),
        ("+12125550101", None, LAB),
        (None, None, LAB),
    ],
)
async def test_phones_of_one_extension_are_asked_only_when_they_agree(
    account: Account, first: str | None, second: str | None, number: str
) -> None:
    numbers = await ids(account, "/phone-numbers", "number")
    line = (await ids(account, "/extensions", "number"))["4206"]
    await _put(account, "001565102004", numbers, first, [line])
    await _put(account, "001565102003", numbers, second, [line])
    assert await of(account, "4206") == number


async def _put(
    account: Account, mac: str, numbers: dict[str, str], number: str | None, lines: Sequence[str]
) -> None:
    path = f"/devices/{(await ids(account, '/devices', 'mac'))[mac]}"
    change = {"lines": list(lines), "outbound_number_id": numbers[number] if number else None}
    assert (await account.admin.patch(path, change)).status == 200


async def test_the_number_of_another_account_is_never_shown(account: Account) -> None:
    async with account.house.database.read() as session:
        ids_ = list(await session.scalars(sa.text("SELECT id FROM devices")))
        assert await caller_id.of_devices(session, "acc_other", ids_) == {}
        assert await extensions.find_registered(session, "acc_other", "4201") is None
