"""Devices as a CSV file, where there are more of them than are read or written at once."""

import asyncio
import csv
import io
import itertools

import pytest
import sqlalchemy as sa

from provisioning import device_csv, devices
from provisioning.db import Database
from provisioning.devices import Rendering
from provisioning.errors import Invalid
from provisioning.phones.options import Options
from provisioning.phones.vendor import Vendor
from tests.conftest import Stock, Today

MAC = "805ec0102001"
HEAD = "mac,vendor,model,expansion,name,location,lines,button_template,outbound_number\r\n"
ROWS = [f"249ad8{number:06x},yealink,T46S,,Desk {number},,4205 4206,,\r\n" for number in range(230)]


@pytest.fixture
def database_url(stock: Stock) -> str:
    return stock.url


@pytest.fixture
def rendering(vendors: dict[str, Vendor]) -> Rendering:
    return Rendering(vendors, Options(), "https://provisioning.example.com", Today)


async def test_many_devices_come_in_and_go_out_whole(
    database: Database, stock: Stock, rendering: Rendering
) -> None:
    async with database.write() as session:
        before = await device_csv.export(session, stock.account_id)
        done = await device_csv.import_(session, rendering, stock.account_id, HEAD + "".join(ROWS))
    assert (done.created, done.updated) == (230, 0)
    async with database.read() as session:
        after = await device_csv.export(session, stock.account_id)
    assert after.startswith(before)
    assert sorted(after.removeprefix(before).splitlines(keepends=True)) == sorted(ROWS)


async def test_many_devices_are_changed(database: Database, stock: Stock, rendering: Rendering) -> None:
    changed = [row.replace("Desk", "Room").replace("4205 4206", "4206") for row in ROWS]
    async with database.write() as session:
        before = await device_csv.export(session, stock.account_id)
        await device_csv.import_(session, rendering, stock.account_id, HEAD + "".join(ROWS[:200]))
        done = await device_csv.import_(session, rendering, stock.account_id, HEAD + "".join(changed))
    assert (done.created, done.updated) == (30, 200)
    async with database.read() as session:
        after = await device_csv.export(session, stock.account_id)
    assert sorted(after.removeprefix(before).splitlines(keepends=True)) == sorted(changed)


async def test_a_fault_far_below_another_is_told_too_and_nothing_is_kept(
    database: Database, stock: Stock, rendering: Rendering
) -> None:
    rows = [*ROWS[:120], "249ad8ffffff,yealink,T99,,,,,,\r\n", *ROWS[120:], ROWS[0]]
    async with database.read() as session:
        before = await device_csv.export(session, stock.account_id)
    with pytest.raises(Invalid) as refused:
        async with database.write() as session:
            await device_csv.import_(session, rendering, stock.account_id, HEAD + "".join(rows))
    assert [error.field for error in refused.value.errors] == ["line 122: model", "line 233: mac"]
    async with database.read() as session:
        assert await device_csv.export(session, stock.account_id) == before


async def test_others_have_their_turn_while_many_devices_come_in(
    database: Database, stock: Stock, rendering: Rendering
) -> None:
    turns, seen = itertools.count(), [0]

    async def other() -> None:
        while True:
            seen[0] = next(turns)
            await asyncio.sleep(0)

    told: list[tuple[int, int]] = []
    task = asyncio.create_task(other())
    async with database.write() as session:
        await device_csv.import_(
            session,
            rendering,
            stock.account_id,
            HEAD + "".join(ROWS),
            progress=lambda done, _all: told.append((done, seen[0])),
        )
    task.cancel()
    assert [done for done, _ in told] == [50, 100, 150, 200, 230]
    assert len({turn for _, turn in told}) == len(told)


async def test_an_option_that_a_phone_far_down_the_list_needs_is_not_taken_away(
    database: Database, stock: Stock, rendering: Rendering
) -> None:
    async with database.write() as session:
        await device_csv.import_(session, rendering, stock.account_id, HEAD + "".join(ROWS))
        own = Options(sip_server="sip.example.com")
        found = [device async for device in devices.each(session, stock.account_id)]
        for device in found[:-1]:
            form = device.form().model_copy(update={"options": own})
            await devices.update(session, rendering.vendors, stock.account_id, device.id, form)
        with pytest.raises(Invalid, match=f"device {found[-1].mac}"):
            await devices.check_account_options(session, rendering, stock.account_id, Options())


@pytest.mark.parametrize(
    "name",
    ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "'=1+1", "''@x", "'quoted'", "-5", "＝1+1", "'＠x"],
)
async def test_no_name_is_a_formula_in_a_spreadsheet_and_each_comes_back_as_it_was(
    database: Database, stock: Stock, rendering: Rendering, name: str
) -> None:
    async with database.write() as session:
        row = f'{MAC},T54W,"{name}"\n'
        await device_csv.import_(session, rendering, stock.account_id, "mac,model,name\n" + row)
        await session.execute(sa.update(devices.Row).where(devices.Row.mac == MAC).values(name=name))
        text = await device_csv.export(session, stock.account_id)
        (cell,) = [row["name"] for row in csv.DictReader(io.StringIO(text)) if row["mac"] == MAC]
        assert cell[0] not in "=+-@\t\r＝＋－＠"
        await device_csv.import_(session, rendering, stock.account_id, text)
        assert await device_csv.export(session, stock.account_id) == text
        found = await session.scalar(sa.select(devices.Row.name).where(devices.Row.mac == MAC))
    assert found == name
