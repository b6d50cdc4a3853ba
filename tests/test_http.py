"""HTTP as attackers and broken clients send it: what is odd gets no further, and tells nothing."""

import asyncio
import re
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tokens
from provisioning.config import _networks
from tests.conftest import House, StartHouse, Stock
from tests.test_boot import POLYCOM, YEALINK, raw, rotate, said

REFUSED: Final = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
SAYS: Final = "ppt-echo-me"


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
def path(house: House, stock: Stock) -> str:
    """Of the sample account's provisioning URL."""
    return stock.provisioning_url(house).removeprefix(house.url)


MALFORMED: Final = {
    "HTTP/0.9": (505, "GET {path}\r\n\r\n"),
    "HTTP/0.9 that says so": (505, "GET {path} HTTP/0.9\r\n\r\n"),
    "HTTP/1.2": (400, "GET {path} HTTP/1.2\r\nHost: x\r\n\r\n"),
    "HTTP/2.0": (505, "GET {path} HTTP/2.0\r\nHost: x\r\n\r\n"),
    "HTTP/2's preface": (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "no method": (400, " {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
    "two spaces": (400, "GET {path} x HTTP/1.1\r\nHost: x\r\n\r\n"),
    "control character in the path": (400, "GET {path}\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "NUL in a field": (400, "GET {path} HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n"),
    "line end alone in a field": (400, "GET {path} HTTP/1.1\r\nHost: x\r\nX: a\nY: b\r\n\r\n"),
    "carriage return alone in a field": (400, "GET {path} HTTP/1.1\r\nHost: x\r\nX: a\rY: b\r\n\r\n"),
    "space before the colon": (400, "GET {path} HTTP/1.1\r\nHost : x\r\n\r\n"),
    "field that goes on in the next line": (400, "GET {path} HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"),
    "field without a colon": (400, "GET {path} HTTP/1.1\r\nHost: x\r\necho\r\n\r\n"),
    "two hosts": (400, "GET {path} HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    "two lengths": (
        400,
        "PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    "length and chunks": (
        400,
        "PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunks in HTTP/1.0": (400, "PUT {path} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "negative length": (400, "PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
    "length with a sign": (400, "PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"),
    "length in hexadecimal": (400, "PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na"),
    "long request line": (400, "GET {path}" + "x" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n"),
    "long field": (400, "GET {path} HTTP/1.1\r\nHost: x\r\nX: " + "x" * 9000 + "\r\n\r\n"),
    "many fields": (400, "GET {path} HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n" * 100 + "\r\n"),
    "TLS": (400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "CONNECT": (404, "CONNECT {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
    "host that is none": (400, "GET http://[x{path} HTTP/1.1\r\nHost: x\r\n\r\n"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_http_gets_a_status_and_no_more(house: House, path: str, name: str) -> None:
    status, request = MALFORMED[name]
    answer = await said(house, request.replace("{path}", f"{path}{YEALINK}.cfg").encode("latin-1"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert re.sub(rb"^HTTP/1\.[01] \d+ [^\r]+", b"", head).split(b"\r\n")[1:] == [
        b"Content-Type: text/plain; charset=utf-8",
        b"Cache-Control: no-store",
        b"Content-Length: 0",
        *([b"Connection: close"] if head.startswith(b"HTTP/1.1") else []),
    ]
    assert body == b""


async def test_a_head_without_end_is_refused_before_it_fills_the_memory(house: House) -> None:
    fields = "".join(f"X-{number}: {'x' * 4000}\r\n" for number in range(20))
    answer = await said(house, f"GET / HTTP/1.1\r\nHost: x\r\n{fields}".encode())
    assert answer.startswith(b"HTTP/1.1 431 ") and answer.endswith(b"\r\nConnection: close\r\n\r\n")
    assert b"Server" not in answer


async def test_an_expectation_is_not_repeated(house: House) -> None:
    for path in ("/login", "/api/v1/account", "/health", "/no-such-page"):
        answer = await raw(house, path, headers=f"Expect: {SAYS}\r\n")
        assert answer.startswith(b"HTTP/1.1 417 ") and SAYS.encode() not in answer
        assert answer.endswith(b"Content-Length: 0\r\nConnection: close\r\n\r\n")


async def test_what_pages_do_not_take_is_told_by_a_page_of_ours(house: House) -> None:
    for method, path, status in (
        ("POST", "/settings", 405),
        ("DELETE", "/no-such-page", 405),
        ("TRACE", "/login", 405),
        ("GET", "/no-such-page", 404),
        ("OPTIONS", "*", 404),
    ):
        answer = await raw(house, path, method)
        assert int(answer.split()[1]) == status, (method, path, answer)
        assert (b"\r\nAllow: GET, HEAD\r\n" in answer) == (status == 405)
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answer or status == 404
        assert b"aiohttp" not in answer and b"Method Not Allowed</h1>" not in answer


async def test_a_login_form_that_is_none_is_told_by_the_page(house: House) -> None:
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\nno colon\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nx\r\n--x--"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\n\xff',
        ),
        ("application/x-www-form-urlencoded", b"email=%ff&password=\xff"),
        ("application/x-www-form-urlencoded; charset=no-such", b"email=a"),
        ("application/json", b"{}"),
    ):
        headers = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nOrigin: {house.url}\r\n"
        answer = await raw(house, "/login", "POST", headers, body)
        assert int(answer.split()[1]) in {400, 401}, (kind, body, answer[:200])
        assert b"Log in" in answer


async def test_no_answer_goes_without_its_usual_headers(house: House) -> None:
    for path in ("/", "/login", "/health", "/metrics", "/api/v1/openapi.json", "/api/v1/x", "/static/x/y"):
        async with house.http.get(house.url + path, allow_redirects=False) as answer:
            assert answer.headers["Cache-Control"] == "no-store", path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path


class TestPaths:
    """The path counts as it came over the wire."""

    @pytest.mark.parametrize(
        "spelling",
        [
            "{path}{file}#",
            "{path}{file}#x",
            "{path}#/{file}",
            "{path};x/{file}",
            "{path}{file};x",
            "{path}./{file}",
            "{path}x/../{file}",
            "{path}{file}/.",
            "{path}{file}.",
            "{path}{file}%20",
            "{path}{file}%00",
            "{path}{file}%0d%0aX:y",
            "{path}%2f{file}",
            "{path}%c0%af{file}",
            "{path}\\{file}",
            "{path}{file}\xff",
            "{path}..%5c{file}",
            "/p%2f{token}/{file}",
            "/p/./{token}/{file}",
            "/x/../p/{token}/{file}",
            "/P/{token}/{file}",
            "http://phones.example.com{path}{file}",
            "http://x@y:1{path}{file}",
        ],
    )
    async def test_no_other_spelling_is_served(self, house: House, path: str, spelling: str) -> None:
        target = spelling.format(path=path, token=path.split("/")[2], file=f"{YEALINK}.cfg")
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await said(house, request.encode("latin-1"))
        assert answer.split()[1] in {b"404", b"400"}, answer
        assert answer.split()[1] == b"400" or answer == REFUSED or b"There is no page" in answer

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    async def test_only_slashes_and_a_query_may_be_put_into_it(
        self, house: House, path: str, data: st.DataObject
    ) -> None:
        whole = f"{path}{YEALINK}.cfg".encode()
        at = data.draw(st.integers(0, len(whole)))
        put = data.draw(
            st.binary(min_size=1, max_size=4)
            | st.sampled_from([b"/", b"?", b"#", b"%", b"%2f", b"..", b"/./"])
        )
        cut = data.draw(st.integers(0, 2))
        changed = whole[:at] + put + whole[at + cut :]
        if any(byte in changed for byte in b"\r\n \t"):
            return
        answer = await said(house, b"GET " + changed + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        same = re.sub(rb"/+", b"/", changed.partition(b"?")[0]).rstrip(b"/") == whole
        assert answer.startswith(b"HTTP/1.1 200 ") == same, (changed, answer[:100])


class TestSmuggling:
    """Nobody in between and we may differ on where a request ends."""

    @pytest.mark.parametrize(
        "body",
        [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
            "Content-Length: 0,0\r\n\r\n",
            "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "Content-Length: 0 0\r\n\r\n",
            "Content-Length:\r\n\r\n",
        ],
    )
    async def test_after_a_body_of_two_meanings_nothing_more_is_answered(
        self, house: House, path: str, body: str
    ) -> None:
        hidden = f"GET {path}{YEALINK}.cfg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        request = f"PUT {path}{POLYCOM}-app.log HTTP/1.1\r\nHost: x\r\n{body}{hidden}"
        answer = await said(house, request.encode("latin-1"))
        assert b" 200 OK" not in answer and answer.count(b"HTTP/1.") == 1, answer
        assert answer.split()[1] == b"400"

    async def test_a_body_that_looks_like_a_request_is_a_body(self, house: House, path: str) -> None:
        hidden = f"GET {path}{YEALINK}.cfg HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for method, target in (("GET", f"{path}{YEALINK}.boot"), ("POST", "/login"), ("GET", "/none")):
            answer = await raw(house, target, method, f"Content-Length: {len(hidden)}\r\n", hidden)
            assert answer.count(b"HTTP/1.1 ") == 1


class TestPipelining:
    async def test_requests_in_one_packet_are_answered_in_their_order(self, house: House, path: str) -> None:
        names = [f"{YEALINK}.boot", "none", f"{POLYCOM}.cfg"] * 30
        requests = [f"GET {path}{name} HTTP/1.1\r\nHost: x\r\n\r\n" for name in names]
        requests.append(f"GET {path}{YEALINK}.boot HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await said(house, "".join(requests).encode())
        assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"404", b"200"] * 30 + [b"200"]

    async def test_what_waits_behind_another_request_when_the_token_is_rotated_is_refused(
        self, house: House, path: str, stock: Stock
    ) -> None:
        upload = f"PUT {path}{POLYCOM}-app.log HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
        fetch = f"GET {path}{YEALINK}.cfg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rpartition(":")[2]))
        writer.write(fetch.replace("Connection: close\r\n", "").encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.write(f"{upload}lo".encode())
        await rotate(house, stock)
        writer.write(f"g\n{fetch}".encode())
        answer = await reader.read()
        writer.close()
        assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"404", b"404"]
        async with house.http.get(f"{house.url}{path}{POLYCOM}-app.log") as gone:
            assert gone.status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"If-None-Match": '"x"'},
        {"If-None-Match": "*"},
        {"If-Match": '"x"'},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Range": "bytes=0-3"},
        {"Range": "bytes=0-3", "If-Range": '"x"'},
        {"Range": "bytes=999999999-"},
        {"Accept": "application/x-nothing"},
        {"Accept-Encoding": "gzip, br"},
        {"Cache-Control": "only-if-cached"},
        {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAAP__"},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
    ],
    ids=str,
)
async def test_whatever_a_phone_has_it_gets_the_whole_file_and_after_a_rotation_nothing(
    house: House, path: str, stock: Stock, headers: dict[str, str]
) -> None:
    said_ = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    plain = await raw(house, f"{path}{YEALINK}.cfg")
    for method in ("GET", "HEAD"):
        whole, given = (
            plain if method == "GET" else plain.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
            await raw(house, f"{path}{YEALINK}.cfg", method, said_),
        )
        assert given == whole
    await rotate(house, stock)
    for method in ("GET", "HEAD"):
        assert await raw(house, f"{path}{YEALINK}.cfg", method, said_) == REFUSED


class TestSpoofing:
    HEADERS: Final = (
        "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n"
        "X-Forwarded-Prefix: /evil\r\nForwarded: host=evil.example;proto=https;for=192.0.2.1\r\n"
        "X-Original-URL: /settings\r\nX-Rewrite-URL: /settings\r\nX-Real-IP: 192.0.2.1\r\n"
        "X-HTTP-Method-Override: DELETE\r\nX-Forwarded-For: 192.0.2.1\r\n"
    )

    async def test_no_header_makes_a_file_or_a_page_name_another_host(self, house: House, path: str) -> None:
        plain = await raw(house, f"{path}{YEALINK}.cfg")
        request = f"GET {path}{YEALINK}.cfg HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"
        assert await said(house, f"{request}{self.HEADERS}\r\n".encode()) == plain
        for target in ("/", "/settings", "/login?next=//evil.example", "/login?next=/%5cevil.example"):
            request = f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"
            request += f"Accept-Encoding: identity\r\n{self.HEADERS}\r\n"
            assert b"evil" not in await said(house, request.encode()), target

    @pytest.mark.parametrize(
        ("said_", "address"),
        [
            ("203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("203.0.113.9, 127.0.0.2, 127.0.0.3", "203.0.113.9"),
            ("203.0.113.9, ::ffff:127.0.0.2", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("fe80::1%<b>", "fe80::1"),
            ("203.0.113.9, evil.example", "127.0.0.1"),
            ("203.0.113.9:4711", "127.0.0.1"),
            ("", "127.0.0.1"),
            (", ".join(["127.0.0.1"] * 500), "127.0.0.1"),
        ],
    )
    async def test_the_address_is_the_nearest_that_no_trusted_proxy_has(
        self, start_house: StartHouse, said_: str, address: str
    ) -> None:
        house = await start_house(trusted_proxies=tuple(_networks("127.0.0.0/8")))
        async with house.http.get(
            f"{house.url}/p/{tokens.make()}/x", headers={"X-Forwarded-For": said_}
        ) as answer:
            assert answer.status == 404
        assert [row.ip for row in await house.boot_log()] == [address]
