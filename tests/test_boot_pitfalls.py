"""Pitfalls of the vendors' documents that need a server: what comes first, what must stay behind."""

import pytest
import sqlalchemy as sa
from aiohttp import web

import tokens
from provisioning import boot, devices
from provisioning.samples import account_file
from tests.conftest import House

POLYCOM = "64167f102005"
OVERRIDES = b'<PHONE_CONFIG><OVERRIDES reg.1.label="of before" /></PHONE_CONFIG>'
# Every name that a phone of the sample account may ask for, by the MAC that it begins with.
SUFFIXES = {
    "805ec0102001": (".boot", ".cfg"),
    "001565102003": (".boot", ".cfg"),
    "001565102004": (".cfg",),
    POLYCOM: (".cfg", "-account.cfg", "-directory.xml"),
    "0004f2102007": (".cfg", "-account.cfg", "-directory.xml"),
}
NAMES = [
    "000000000000.cfg",
    "y000000000000.cfg",
    "y000000000096.cfg",
    *(mac + suffix for mac, suffixes in SUFFIXES.items() for suffix in suffixes),
]


@pytest.fixture
def text() -> str:
    return account_file().read_text("utf-8")


async def test_a_polycom_may_write_its_boot_log_before_it_has_read_anything(house: House, text: str) -> None:
    url = (await house.load(text)).provisioning_url
    name = f"{url}{POLYCOM}-boot.log"
    headers = {"User-Agent": "FileTransport PolycomVVX-VVX_450-UA/6.0.0.4839 Type/Updater"}
    async with house.http.put(name, data=b"1124110641|boot|4|00|start\n", headers=headers) as answer:
        assert (answer.status, await answer.read()) == (201, b"")
    async with house.http.get(name) as answer:
        assert await answer.read() == b"1124110641|boot|4|00|start\n"
    assert [(row.verdict, row.firmware) for row in await house.boot_log()] == [
        ("stored", None),
        ("served", None),
    ]


async def test_what_a_phone_wrote_stays_behind_when_it_changes_its_account(house: House, text: str) -> None:
    old_url = (await house.load(text)).provisioning_url
    for suffix in ("-phone.cfg", "-web.cfg", "-calls.xml"):
        assert (await house.http.put(f"{old_url}{POLYCOM}{suffix}", data=OVERRIDES)).status == 201
        assert (await house.http.get(f"{old_url}0004f2102007{suffix}")).status == 404
    contact = b"<directory><item_list><item><fn>Jo</fn><ct>5551234</ct></item></item_list></directory>"
    assert (await house.http.put(f"{old_url}{POLYCOM}-directory.xml", data=contact)).status == 201
    async with house.database.write() as session:
        await session.execute(sa.delete(devices.Row))

    url = (await house.load(text.replace("office@", "other@"))).provisioning_url
    for suffix in ("-phone.cfg", "-web.cfg", "-calls.xml"):
        assert (await house.http.get(f"{url}{POLYCOM}{suffix}")).status == 404
    async with house.http.get(f"{url}{POLYCOM}-directory.xml") as answer:
        assert b"5551234" not in await answer.read()
    assert (await house.http.get(f"{old_url}{POLYCOM}-phone.cfg")).status == 404


async def test_an_upload_that_was_let_in_is_not_kept_when_a_rotation_comes_before_its_end(
    house: House, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token was current when the upload began: only the look inside the writing transaction sees it."""
    loaded = await house.load(text)
    read_body, made = boot._body, []

    async def rotate_meanwhile(request: web.Request) -> bytes | None:
        content = await read_body(request)
        async with house.database.write() as session:
            made.append(
                await tokens.rotate(session, house.vault, loaded.account_id, actor="user/ann@example.com")
            )
        return content

    monkeypatch.setattr(boot, "_body", rotate_meanwhile)
    async with house.http.put(f"{loaded.provisioning_url}{POLYCOM}-app.log", data=b"late") as answer:
        assert (answer.status, await answer.read()) == (404, b"")
    url = devices.provisioning_url(house.url, made[0].text)
    assert (await house.http.get(f"{url}{POLYCOM}-app.log")).status == 404
    assert (await house.boot_log())[0].verdict == "token_rotated"


async def test_no_file_of_any_phone_holds_the_old_token_after_a_rotation(house: House, text: str) -> None:
    loaded = await house.load(text)
    old = boot.read_path(str(loaded.provisioning_url).removeprefix(house.url)).token.encode()
    async with house.database.write() as session:
        token = await tokens.rotate(session, house.vault, loaded.account_id, actor="user/ann@example.com")
    url = devices.provisioning_url(house.url, token.text)
    for name in NAMES:
        async with house.http.get(url + name) as answer:
            body = await answer.read()
        assert (answer.status, old in body) == (200, False), name


@pytest.mark.parametrize("accept", ["gzip, br, deflate", "*", "identity;q=0, *"])
async def test_no_file_of_any_phone_is_compressed_or_chunked(house: House, text: str, accept: str) -> None:
    url = (await house.load(text)).provisioning_url
    for name in NAMES:
        async with house.http.get(f"{url}{name}", headers={"Accept-Encoding": accept}) as answer:
            body = await answer.read()
        assert not {"Content-Encoding", "Transfer-Encoding"} & set(answer.headers), name
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(body))), name


async def test_a_phone_with_nothing_to_fetch_may_ask_three_times_for_each_file_on_every_boot(
    house: House, text: str
) -> None:
    url = (await house.load(text)).provisioning_url
    mac = "805ec0999999"
    for name in (f"{mac}.boot", "y000000000000.boot", "y00000000009.cfg", f"{mac}.cfg") * 3 * 5:
        async with house.http.get(f"{url}{name}") as answer:
            assert (answer.status, await answer.read()) == (404, b"")
    assert (await house.http.get(f"{url}805ec0102001.boot")).status == 200
