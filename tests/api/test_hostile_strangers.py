"""What strangers send, which no form checks: it is answered as any other, and shown as words and no more."""

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import pytest

from tests.api.conftest import Account, stocked
from tests.api.test_hostile_outputs import Elements, log_in
from tests.conftest import StartHouse, Stock
from tests.hostile import EVERY, LONG

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
MAC: Final = "805ec0102001"
# Bytes as a stranger may send them in a head: all that does not end a line of it.
HEADS: Final = [
    text.encode("utf-8", "surrogatepass")
    for text in (*EVERY, LONG[:3_000])
    if not {"\r", "\n", "\x00"} & set(text)
]


async def raw(account: Account, head: bytes, body: bytes = b"") -> bytes:
    """The answer to these very bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(account.house.url.rpartition(":")[2]))
    length = f"Content-Length: {len(body)}\r\n".encode() if body else b""
    writer.write(
        head + b"\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: identity\r\n" + length + b"\r\n" + body
    )
    answer = await reader.read()
    writer.close()
    return answer


def status(answer: bytes) -> int:
    return int(answer[9:12])


async def page(account: Account, path: str, headers: Mapping[str, str]) -> tuple[int, list[tuple[str, ...]]]:
    async with account.house.http.get(account.house.url + path, headers=headers) as answer:
        return answer.status, Elements(await answer.text()).found


def shape(found: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The elements and the names of their attributes."""
    return [row for row in found if row[0].startswith(("<", "comment")) and " " not in row[0]]


@sqlite
async def test_what_a_phone_says_is_shown_as_words_on_one_line(account: Account) -> None:
    """Its User-Agent, file names, queries and methods: in the boot log, the timeline, the phone's page."""
    cookie = await log_in(account)
    device = (await account.admin.get(f"/devices?q={MAC}")).json["data"][0]["id"]
    path = account.url[len(account.house.url) :].encode()

    async def ask(words: bytes) -> None:
        file = quote(words, safe="").encode()
        agent = b"\r\nUser-Agent: Yealink SIP-T54W " + words + b" 80:5e:c0:10:20:01"
        for method, name in (
            (b"GET", MAC.encode() + b".cfg"),
            (b"GET", MAC.encode() + file),
            (b"BREW", file),
        ):
            answer = await raw(account, method + b" " + path + name + b"?" + file + b" HTTP/1.1" + agent)
            assert status(answer) in {200, 400, 404}, (words, answer[:200])

    async def told() -> tuple[list[tuple[str, ...]], list[str]]:
        await account.house.log.flush()
        rows = (await account.admin.get(f"/devices/{device}/boots?limit=200")).json["data"]
        timeline = await account.admin.get(f"/devices/{device}/timeline?limit=200")
        assert timeline.status == 200
        found, elements = await page(account, f"/devices/{device}?boots=", cookie)
        assert found == 200
        return shape(elements), [part for row in rows for part in row.values() if isinstance(part, str)]

    for _ in HEADS:
        await ask(b"mark")
    elements, _ = await told()
    for words in HEADS:
        await ask(words)
    later, parts = await told()
    assert set(later) <= set(elements)
    assert [part for part in parts if not (part.isascii() and part.isprintable()) or len(part) > 300] == []
    assert any("<script>" in part for part in parts)  # and they were all kept


@sqlite
async def test_no_credential_that_is_none_is_a_fault_of_ours(account: Account) -> None:
    for words in HEADS:
        for header in (
            b"Authorization: Bearer " + words,
            b"Authorization: " + words,
            b"Cookie: session=" + words,
            b"Cookie: " + words,
            b"X-Forwarded-For: " + words + b"\r\nX-Forwarded-Proto: " + words,
        ):
            answer = await raw(account, b"GET /api/v1/account HTTP/1.1\r\n" + header)
            assert status(answer) in {400, 401}, (header, answer[:300])
        answer = await raw(account, b"GET /settings HTTP/1.1\r\nCookie: session=" + words)
        assert status(answer) in {303, 400}, (words, answer[:300])


@sqlite
async def test_a_login_with_any_words_is_a_login_that_failed(account: Account) -> None:
    """In the form, whatever its charset, and in the API; the page repeats the words and nothing more."""
    own = b"\r\nOrigin: " + account.house.url.encode()
    form = b"POST /login HTTP/1.1" + own + b"\r\nContent-Type: application/x-www-form-urlencoded"
    plain = shape(Elements((await raw(account, form, b"email=mark&password=x")).decode()).found)
    for words in (*EVERY, LONG):
        sent = quote(words.encode("utf-8", "surrogatepass"), safe="").encode()
        answer = await raw(account, form, b"email=" + sent + b"&password=" + sent + b"&next=" + sent)
        assert status(answer) in {401, 429}, (words, answer[:300])
        assert shape(Elements(answer.decode()).found) == plain, words
        body = json.dumps({"email": words, "password": "x"}).encode()
        answer = await raw(account, b"POST /api/v1/session HTTP/1.1\r\nContent-Type: application/json", body)
        assert status(answer) in {401, 422, 429}, (words, answer[:300])
    for charset in (b"utf-16", b"no-such", b"\xff", b"idna", b"base64"):
        answer = await raw(account, form + b"; charset=" + charset, b"email=\xff%ff&password=x")
        assert status(answer) in {400, 401, 429}, (charset, answer[:300])


@sqlite
async def test_no_address_of_a_page_breaks_it(account: Account) -> None:
    """Each name that a page reads from its address, and one that none does."""
    cookie = await log_in(account)
    device = (await account.admin.get(f"/devices?q={MAC}")).json["data"][0]["id"]
    template = (await account.admin.get("/button-templates")).json["data"][0]["id"]
    addresses = (
        "/settings?tab=", "/settings?tab=activity&resource=", "/settings?tab=activity&from=",
        "/settings?tab=activity&event=", "/devices?q=", "/devices?cursor=", "/rotation?q=",
        f"/devices/{device}?boots=", f"/button-templates/{template}?model=",
        f"/button-templates/{template}?compare=", "/login?next=", "/none/", "/devices/",
    )  # fmt: skip
    known = set[tuple[str, ...]]()

    async def ask(address: str, words: str) -> set[tuple[str, ...]]:
        sent = quote(words.encode("utf-8", "surrogatepass"), safe="")
        head = f"GET {address}{sent} HTTP/1.1\r\nCookie: {cookie['Cookie']}"
        answer = await raw(account, head.encode())
        assert status(answer) in {200, 303, 400, 403, 404, 422}, (address, words, answer[:300])
        return set(shape(Elements(answer.partition(b"\r\n\r\n")[2].decode()).found))

    for address in addresses:
        for words in ("mark", "2026-11-24", "device.read", "none/mark", ""):
            known |= await ask(address, words)
    for index, address in enumerate(addresses):
        for words in ("\ud800", "\x00", LONG[:3_000], *EVERY[index :: 2 * len(addresses)]):
            assert await ask(address, words) <= known, (address, words)


@sqlite
async def test_a_proxy_that_is_trusted_makes_no_address_of_words(
    start_house: StartHouse, stock: Stock
) -> None:
    """`X-Forwarded-For` is an address or is not believed."""
    house = await start_house(trusted_proxies=(ipaddress.ip_network("127.0.0.1"),))
    account = stocked(house, stock)
    for words in HEADS:
        key = b"Authorization: Bearer " + str(account.admin.key).encode()
        await raw(
            account, b"GET /api/v1/account HTTP/1.1\r\n" + key + b"\r\nX-Forwarded-For: 192.0.2.1, " + words
        )
    assert {entry.ip for entry in await account.entries()} == {"127.0.0.1"}
