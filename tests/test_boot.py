"""A phone's requests over HTTP: what is served, what is refused, and what the boot log says of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import tokens
from provisioning import devices, uploads
from provisioning.config import _networks
from tests.conftest import House, StartHouse, Stock

YEALINK = "805ec0102001"
POLYCOM = "64167f102005"
T54W = "Yealink SIP-T54W 96.86.0.75 80:5e:c0:10:20:01"


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
def url(house: House, stock: Stock) -> str:
    """The provisioning URL of the sample account."""
    return stock.provisioning_url(house)


async def rotate(house: House, stock: Stock) -> str:
    async with house.database.write() as session:
        token = await tokens.rotate(session, house.vault, stock.account_id, actor="user/ann@example.com")
    return devices.provisioning_url(house.url, token.text)


async def raw(house: House, target: str, method: str = "GET", headers: str = "", body: bytes = b"") -> bytes:
    """The answer's bytes as they come over the wire, the date taken out."""
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    return await said(house, head.encode() + body)


async def said(house: House, request: bytes) -> bytes:
    """All that the server says to these bytes until it closes the connection, dates taken out."""
    port = int(house.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return re.sub(rb"\r\nDate: [^\r]+", b"", answer)


async def test_it_works(house: House, url: str) -> None:
    async with house.http.get(f"{url}{YEALINK}.cfg", headers={"User-Agent": T54W}) as answer:
        body = await answer.read()
    assert answer.status == 200
    assert body.startswith(b"#!version:1.0.0.1\n")
    assert dict(answer.headers) == {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-store",
        "Content-Length": str(len(body)),
        "Date": answer.headers["Date"],
    }


async def test_a_polycom_gets_xml(house: House, url: str) -> None:
    async with house.http.get(f"{url}{POLYCOM}-account.cfg") as answer:
        assert (answer.status, answer.content_type) == (200, "application/xml")


async def test_no_answer_is_compressed_or_chunked_even_when_asked_for(house: House, url: str) -> None:
    headers = {"Accept-Encoding": "gzip, br, deflate", "TE": "chunked"}
    async with house.http.get(f"{url}{YEALINK}.cfg", headers=headers) as answer:
        await answer.read()
    assert not {"Content-Encoding", "Transfer-Encoding"} & set(answer.headers)


@pytest.mark.parametrize(
    "name",
    [
        f"{YEALINK}.boot",
        f"{YEALINK}.cfg",
        "y000000000096.cfg",
        f"{POLYCOM}.cfg",
        f"{POLYCOM}-account.cfg",
        f"{POLYCOM}-directory.xml",
        "000000000000.cfg",
        f"{POLYCOM}-phone.cfg",
        f"{POLYCOM}-license.cfg",
    ],
)
async def test_head_answers_wherever_get_does_and_sends_no_body(house: House, url: str, name: str) -> None:
    async with house.http.get(url + name) as got, house.http.head(url + name) as head:
        assert await head.read() == b""
        assert head.status == got.status
        assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_two_fetches_are_equal_byte_for_byte(house: House, url: str) -> None:
    for name in (f"{YEALINK}.cfg", f"{YEALINK}.boot", f"{POLYCOM}.cfg", f"{POLYCOM}-account.cfg"):
        bodies = [await (await house.http.get(url + name)).read() for _ in range(2)]
        assert bodies[0] == bodies[1] != b""


@pytest.mark.parametrize(
    "spelling",
    [
        "805EC0102001.cfg",
        "80:5e:c0:10:20:01.cfg",
        "80-5E-C0-10-20-01.CFG",
        "/805ec0102001.cfg",
        "//805ec0102001.cfg",
    ],
)
async def test_a_mac_may_be_spelled_as_phones_do_and_slashes_may_double(
    house: House, url: str, spelling: str
) -> None:
    async with house.http.get(url + spelling) as answer:
        assert answer.status == 200


async def test_the_path_may_begin_with_two_slashes(house: House, url: str) -> None:
    path = url.removeprefix(house.url)
    assert (await raw(house, f"/{path}{YEALINK}.cfg")).startswith(b"HTTP/1.1 200 ")


async def test_a_query_does_not_matter(house: House, url: str) -> None:
    async with house.http.get(f"{url}{YEALINK}.cfg?x=1") as answer:
        assert answer.status == 200


async def test_a_conditional_or_partial_request_gets_the_whole_file(house: House, url: str) -> None:
    headers = {
        "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT",
        "If-None-Match": "*",
        "Range": "bytes=0-3",
    }
    async with house.http.get(f"{url}{YEALINK}.cfg", headers=headers) as answer:
        assert answer.status == 200
        assert len(await answer.read()) > 1000


async def test_the_files_hold_the_url_in_use_byte_for_byte(house: House, url: str) -> None:
    assert url.encode() in await (await house.http.get(f"{url}{YEALINK}.cfg")).read()
    assert f'"{url}"'.encode() in await (await house.http.get(f"{url}{POLYCOM}-account.cfg")).read()


async def test_old_http_is_answered_as_it_asks(house: House, url: str) -> None:
    """HTTP/1.0 closes unless it asks to stay, 1.1 stays unless it asks to close; a HEAD has no body."""
    path = url.removeprefix(house.url)
    headers = b"Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: 71\r\n"
    body = b"".join((await raw(house, f"{path}{YEALINK}.boot")).partition(b"\r\n\r\n")[2:])
    assert await said(house, f"GET {path}{YEALINK}.boot HTTP/1.0\r\n\r\n".encode()) == (
        b"HTTP/1.0 200 OK\r\n" + headers + b"\r\n" + body
    )
    kept = f"HEAD {path}{YEALINK}.boot HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    last = f"GET {path}{YEALINK}.boot HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert await said(house, (kept + last).encode()) == (
        b"HTTP/1.0 200 OK\r\n" + headers + b"Connection: keep-alive\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n" + headers + b"Connection: close\r\n\r\n" + body
    )


async def test_every_refusal_is_the_same_to_the_byte(house: House, sample: str, stock: Stock) -> None:
    other = await house.load(
        sample.replace("office@", "other@").replace("64:16:7f", "00:90:7a").replace("80:5e:c0", "24:9a:d8")
    )
    old = stock.provisioning_url(house)
    new = await rotate(house, stock)
    path, stale, foreign = (u.removeprefix(house.url) for u in (new, old, str(other.provisioning_url)))
    async with house.database.write() as session:
        staged = await tokens.stage(session, house.vault, stock.account_id, actor="system")
    token = path.split("/")[2]
    mistyped = token[:-1] + ("x" if token[-1] != "x" else "y")
    refused = {
        "rotated token": await raw(house, f"{stale}{YEALINK}.cfg"),
        "staged token": await raw(house, f"/p/{staged.text}/{YEALINK}.cfg"),
        "its head": await raw(house, f"/p/{staged.text}/{YEALINK}.cfg", "HEAD"),
        "unknown token": await raw(house, f"/p/{tokens.make()}/{YEALINK}.cfg"),
        "malformed token": await raw(house, f"/p/{mistyped}/{YEALINK}.cfg"),
        "token in capitals": await raw(house, f"/p/{token.upper()}/{YEALINK}.cfg"),
        "escaped token": await raw(house, f"/p/%70{token[1:]}/{YEALINK}.cfg"),
        "no token": await raw(house, "/p/"),
        "nothing": await raw(house, "/p"),
        "another account's MAC": await raw(house, f"{foreign}{YEALINK}.cfg"),
        "unknown MAC": await raw(house, f"{path}805ec0999999.cfg"),
        "unknown file": await raw(house, f"{path}{YEALINK}.rom"),
        "another vendor's file": await raw(house, f"{path}{POLYCOM}.boot"),
        "no file": await raw(house, path),
        "URL without its last slash": await raw(house, path.rstrip("/")),
        "folder above": await raw(house, f"{path}../{YEALINK}.cfg"),
        "escaped slash": await raw(house, f"{path}%2e%2e%2f{YEALINK}.cfg"),
        "escaped zero": await raw(house, f"{path}{YEALINK}.cfg%00"),
        "another method": await raw(house, f"{path}{YEALINK}.cfg", "DELETE"),
        "upload with a rotated token": await raw(house, f"{stale}{POLYCOM}-app.log", "PUT"),
        "upload of a served file": await raw(house, f"{path}{YEALINK}.cfg", "PUT"),
        "upload for an unknown MAC": await raw(house, f"{path}64167f999999-app.log", "PUT"),
        "not uploaded yet": await raw(house, f"{path}{POLYCOM}-phone.cfg"),
        "licence": await raw(house, f"{path}{POLYCOM}-license.cfg"),
        "firmware": await raw(house, f"{path}3111-44500-001.3111-44500-001.sip.ld"),
        "common boot file": await raw(house, f"{path}y000000000000.boot"),
    }
    expected = (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    assert {why: answer for why, answer in refused.items() if answer != expected} == {}


async def test_after_a_rotation_the_old_url_is_dead_and_the_new_one_knows_only_itself(
    house: House, stock: Stock
) -> None:
    old = stock.provisioning_url(house)
    new = await rotate(house, stock)
    old_token = old.split("/")[-2].encode()
    for name in (
        f"{YEALINK}.cfg",
        f"{YEALINK}.boot",
        f"{POLYCOM}.cfg",
        f"{POLYCOM}-account.cfg",
        "000000000000.cfg",
    ):
        assert (await house.http.get(old + name)).status == 404
        async with house.http.get(new + name) as answer:
            assert answer.status == 200
            assert old_token not in await answer.read()
    assert new.encode() in await (await house.http.get(f"{new}{YEALINK}.cfg")).read()


async def test_twelve_quick_requests_for_missing_files_are_answered_each(house: House, url: str) -> None:
    names = [f"805ec0999999{suffix}" for suffix in (".boot", ".cfg")] + ["y000000000000.boot"] * 2
    for name in names * 3:
        assert (await house.http.get(url + name)).status == 404
    assert (await house.http.get(f"{url}{YEALINK}.boot")).status == 200


async def test_a_yealink_common_file_is_answered_without_a_mac_and_holds_no_password(
    house: House, url: str
) -> None:
    for number in ("000000000000", "000000000108", "000000000999"):
        async with house.http.get(f"{url}y{number}.cfg") as answer:
            assert answer.status == 200
            assert b"password" not in await answer.read()


class TestUploads:
    async def test_an_upload_is_kept_and_handed_back(self, house: House, url: str) -> None:
        name = f"{url}{POLYCOM}-phone.cfg"
        async with house.http.put(name, data=b"<OVERRIDES/>") as answer:
            assert (answer.status, await answer.read()) == (201, b"")
        async with house.http.get(name) as answer:
            assert (answer.status, await answer.read()) == (200, b"<OVERRIDES/>")

    async def test_a_second_upload_replaces_the_first(self, house: House, url: str) -> None:
        name = f"{url}{POLYCOM.upper()}-web.cfg"
        for body in (b"one", b"two"):
            await house.http.post(name, data=body)
        assert await (await house.http.get(name)).read() == b"two"

    async def test_logs_are_added_to_and_keep_their_newest_end(self, house: House, url: str) -> None:
        name = f"{url}{POLYCOM}-app.log"
        assert (await house.http.head(name)).status == 404
        await house.http.put(name, data=b"a" * (uploads.MOST - 1))
        await house.http.put(name, data=b"bcd")
        async with house.http.head(name) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(uploads.MOST))
        assert (await (await house.http.get(name)).read()).endswith(b"abcd")

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_an_upload_over_the_cap_is_refused_and_not_kept(
        self, house: House, url: str, chunked: bool
    ) -> None:
        name = f"{url}{POLYCOM}-boot.log"
        body = b"x" * (uploads.MOST + 1)
        async with house.http.put(name, data=_pieces(body) if chunked else body) as answer:
            assert (answer.status, await answer.read()) == (413, b"")
        assert (await house.http.get(name)).status == 404

    async def test_an_upload_that_a_rotation_overtakes_is_refused(self, house: House, stock: Stock) -> None:
        started, rotated = asyncio.Event(), asyncio.Event()

        async def slow_body() -> AsyncIterator[bytes]:
            yield b"half"
            started.set()
            await rotated.wait()
            yield b"rest"

        url = stock.provisioning_url(house)
        upload = asyncio.create_task(_put(house, f"{url}{POLYCOM}-app.log", slow_body()))
        await started.wait()
        new = await rotate(house, stock)
        rotated.set()
        assert await upload == 404
        assert (await house.http.get(f"{new}{POLYCOM}-app.log")).status == 404

    async def test_contacts_made_on_the_phone_stay_beside_the_speed_dials(
        self, house: House, url: str
    ) -> None:
        name = f"{url}{POLYCOM}-directory.xml"
        served = await (await house.http.get(name)).read()
        assert b"+12075550177" in served
        contact = b"<item><ln>Roe</ln><fn>Jo</fn><ct>5551234</ct><sd>3</sd></item></item_list>"
        await house.http.put(name, data=served.replace(b"</item_list>", contact))
        again = await (await house.http.get(name)).read()
        assert again.count(b"+12075550177") == 1
        assert b"5551234" in again

    @pytest.mark.parametrize("suffix", ["-phone.cfg", "-web.cfg", "-calls.xml", "-app.log", "-boot.log"])
    async def test_no_rotated_token_comes_back_in_what_a_phone_uploaded(
        self, house: House, stock: Stock, suffix: str
    ) -> None:
        old = stock.provisioning_url(house)
        body = f'<OVERRIDES device.prov.serverName="{old}"/>'
        await house.http.put(f"{old}{POLYCOM}{suffix}", data=body.encode())
        async with house.database.read() as session:
            kept = list(await session.scalars(sa.select(uploads.Row.content)))
        assert all(old.split("/")[-2].encode() not in content for content in kept)
        new = await rotate(house, stock)
        async with house.http.get(f"{new}{POLYCOM}{suffix}") as answer:
            assert await answer.text() == f'<OVERRIDES device.prov.serverName="{new}"/>'

    async def test_pieces_of_a_log_that_come_at_once_are_all_kept(self, house: House, url: str) -> None:
        name = f"{url}{POLYCOM}-app.log"

        async def put(number: int) -> int:
            async with house.http.put(name, data=f"piece {number:02};".encode()) as answer:
                return answer.status

        assert await asyncio.gather(*(put(number) for number in range(12))) == [201] * 12
        text = await (await house.http.get(name)).text()
        assert sorted(text.split(";")[:-1]) == [f"piece {number:02}" for number in range(12)]

    async def test_an_upload_that_breaks_off_is_the_phones_fault_and_not_kept(
        self, house: House, url: str
    ) -> None:
        path = url.removeprefix(house.url)
        sent = "Content-Length: 5\r\nContent-Encoding: gzip\r\n"
        answer = await raw(house, f"{path}{POLYCOM}-app.log", "PUT", sent, b"junk!")
        assert answer.startswith(b"HTTP/1.1 400 ") and answer.endswith(b"\r\n\r\n")
        assert [row.verdict for row in await house.boot_log()] == ["broken"]
        assert (await house.http.get(f"{url}{POLYCOM}-app.log")).status == 404

    async def test_a_broken_or_hostile_directory_harms_nothing(self, house: House, url: str) -> None:
        name = f"{url}{POLYCOM}-directory.xml"
        served = await (await house.http.get(name)).read()
        item = b"<directory><item_list><item><ct>&b;</ct></item></item_list></directory>"
        bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb">]>' + item
        for body in (b"<directory>", b"\xff\xfe", b"", bomb):
            await house.http.put(name, data=body)
            assert await (await house.http.get(name)).read() == served

    async def test_what_a_phone_wrote_goes_when_it_is_cleared(self, house: House, url: str) -> None:
        await house.http.put(f"{url}{POLYCOM}-phone.cfg", data=b"<OVERRIDES/>")
        async with house.database.write() as session:
            device_id = await session.scalar(sa.select(devices.Row.id).where(devices.Row.mac == POLYCOM))
            await uploads.clear(session, str(device_id), ["-phone.cfg", "-web.cfg"])
        assert (await house.http.get(f"{url}{POLYCOM}-phone.cfg")).status == 404


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


async def _put(house: House, url: str, body: AsyncIterator[bytes]) -> int:
    async with house.http.put(url, data=body) as answer:
        return answer.status


class TestBootLog:
    async def test_a_served_file_is_entered_with_what_it_was(self, house: House, url: str) -> None:
        async with house.http.get(f"{url}{YEALINK}.cfg", headers={"User-Agent": T54W}) as answer:
            size = len(await answer.read())
        (row,) = await house.boot_log()
        assert (row.verdict, row.reason, row.status, row.bytes) == ("served", "", 200, size)
        assert (row.method, row.file, row.mac, row.generation) == ("GET", f"{YEALINK}.cfg", YEALINK, 1)
        assert (row.ip, row.user_agent, row.firmware) == ("127.0.0.1", T54W, "96.86.0.75")
        assert row.account_id and row.device_id and row.config_hash and len(row.config_hash) == 64

    async def test_each_refusal_is_entered_with_its_reason(self, house: House, stock: Stock) -> None:
        old = stock.provisioning_url(house)
        new = await rotate(house, stock)
        for target in (
            f"{house.url}/p/{tokens.make()}/{YEALINK}.cfg",
            f"{old}{YEALINK}.cfg",
            f"{new}805ec0999999.cfg",
            f"{new}{YEALINK}.rom",
            f"{new}y1.cfg",
            f"{new}{POLYCOM}-web.cfg",
        ):
            await house.http.get(target)
        rows = await house.boot_log()
        assert [(row.verdict, re.sub(r"at \S+ by", "at … by", row.reason)) for row in rows] == [
            ("token_unknown", "the URL holds no token of this server"),
            ("token_rotated", "the URL was rotated out at … by user/ann@example.com"),
            ("mac_unknown", "no device of this account has this MAC address"),
            ("file_unknown", "a Yealink T54W has no file of this name here"),
            ("file_unknown", "no vendor's phone has a file of this name here"),
            ("file_absent", "the phone has not uploaded this file yet"),
        ]
        assert [row.generation for row in rows] == [None, 1, 2, 2, 2, 2]

    async def test_a_phone_that_says_it_is_another_is_noted(self, house: House, url: str) -> None:
        headers = {"User-Agent": "Yealink SIP-T46S 66.86.0.15 80:5e:c0:aa:bb:cc"}
        assert (await house.http.get(f"{url}{YEALINK}.cfg", headers=headers)).status == 200
        (row,) = await house.boot_log()
        assert row.reason == (
            "the phone says model T46S, not T54W; the phone says MAC 805ec0aabbcc, not 805ec0102001"
        )

    async def test_the_boot_loaders_version_is_not_taken_for_firmware(self, house: House, url: str) -> None:
        for stage in ("Updater", "Application"):
            agent = f"FileTransport PolycomVVX-VVX_450-UA/6.4.0.1000 Type/{stage}"
            await house.http.get(f"{url}{POLYCOM}.cfg", headers={"User-Agent": agent})
        assert [row.firmware for row in await house.boot_log()] == [None, "6.4.0.1000"]

    async def test_no_token_and_no_control_character_gets_into_the_log(self, house: House, url: str) -> None:
        token = url.split("/")[-2]
        agent = f"agent {token} \x7f" + "x" * 300
        path = url.removeprefix(house.url)
        await raw(house, f"{path}{token}", headers=f"User-Agent: {agent}\r\n")
        await house.http.get(f"{house.url}/p/x/{token}.cfg")
        for row in await house.boot_log():
            text = repr(vars(row))
            assert token[4:] not in text
            assert "\x7f" not in row.user_agent and len(row.user_agent) <= 255

    async def test_a_file_that_cannot_be_rendered_is_a_500_with_its_reason(
        self, start_house: StartHouse, tmp_path: Path, stock: Stock
    ) -> None:
        house = await start_house()
        url = stock.provisioning_url(house)
        broken = tmp_path / "templates" / "yealink"
        broken.mkdir(parents=True)
        (broken / "boot.j2").write_text("#!version:1.0.0.1\n{{ phone.no_such_thing }}\n")
        other = await start_house(templates=tmp_path / "templates", base_url=house.url)
        path = str(url).removeprefix(house.url)
        async with other.http.get(f"{other.url}{path}{YEALINK}.boot") as answer:
            assert (answer.status, await answer.read()) == (500, b"")
        (row,) = await other.boot_log()
        assert row.verdict == "render_error"
        assert row.reason.startswith("yealink/boot.j2: ") and "no_such_thing" in row.reason

    async def test_an_address_is_taken_from_a_trusted_proxy_alone(
        self, start_house: StartHouse, sample: str
    ) -> None:
        headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
        for proxies in ("", "127.0.0.0/8"):
            house = await start_house(trusted_proxies=tuple(_networks(proxies)))
            await house.http.get(f"{house.url}/p/{tokens.make()}/x", headers=headers)
            await house.log.flush()
        assert [row.ip for row in await house.boot_log()] == ["127.0.0.1", "198.51.100.7"]


@pytest.mark.parametrize(
    "request_",
    [
        "FOO {path}x HTTP/1.1\r\n\r\n",
        "GET {path}x HTTP/9.1\r\n\r\n",
        "GET {path} x HTTP/1.1\r\n\r\n",
        "GET {path}\x01 HTTP/1.1\r\n\r\n",
        "GET {path}" + "x" * 9000 + " HTTP/1.1\r\n\r\n",
        "GET http://[x{path} HTTP/1.1\r\n\r\n",
        "GET /p/ HTTP/1.1\r\nX-{path}: \x01\r\n\r\n",
        "GET {path}x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: {path}\r\n\r\n",
        "PUT {path}x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{path}\r\n",
    ],
)
async def test_what_is_no_http_is_answered_without_token_version_or_body(
    house: House, url: str, request_: str
) -> None:
    path = url.removeprefix(house.url)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rpartition(":")[2]))
    writer.write(request_.replace("{path}", path).encode())
    answer = await reader.read()
    writer.close()
    assert answer[:5] == b"HTTP/" and answer[8:12] in {b" 400", b" 404"}
    assert answer.split(b"\r\n\r\n", 1)[1] == b""
    assert b"aiohttp" not in answer and path.split("/")[2].encode() not in answer


async def test_health_answers_while_the_database_does(house: House) -> None:
    async with house.http.get(f"{house.url}/health") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        assert "Server" not in answer.headers
