"""Clients that are slow on purpose: each is cut off in time, and who comes after them is served."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from aiohttp import payload, web
from aiohttp.abc import AbstractStreamWriter

from provisioning import connection, listener, tls
from provisioning.answer import TEXT, Answer
from tests.api.conftest import stocked
from tests.certificates import self_signed, trusting
from tests.conftest import House, Stock
from tests.ports import free_port
from tests.test_boot import POLYCOM, YEALINK

BRIEF: Final = 0.3  # seconds; the real ones are in the first test
GONE: Final = 5.0  # seconds, in which a machine that is busy gets to it
STEADY: Final = 12  # times that a slow but steady client goes on, each well within the time to be stuck


def test_a_client_that_makes_no_headway_is_gone_in_fifteen_seconds() -> None:
    assert connection.IDLE < 15
    assert connection._LOOK + connection._STUCK + connection._LOOK < 15
    assert listener._HANDSHAKE < 15


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
async def brief(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """With little patience."""
    monkeypatch.setattr(connection, "IDLE", BRIEF)
    monkeypatch.setattr(connection, "_STUCK", BRIEF)
    monkeypatch.setattr(connection, "_LOOK", BRIEF / 5)
    return house


@pytest.fixture
def path(house: House, stock: Stock) -> str:
    """Of the sample account's provisioning URL."""
    return stock.provisioning_url(house).removeprefix(house.url)


@contextlib.asynccontextmanager
async def connected(
    server: "House | Large", *, unread: int = 2**16
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = int(server.url.rpartition(":")[2])
    context = trusting() if server.url.startswith("https") else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=unread)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server ends the connection."""
    said = bytearray()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        async with asyncio.timeout(GONE):
            while more := await reader.read(65536):
                said += more
    return bytes(said)


async def dripping(writer: asyncio.StreamWriter, drops: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for drop in drops:
            writer.write(bytes([drop]))
            await writer.drain()
            await asyncio.sleep(BRIEF / 10)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"G",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET ",
    ],
    ids=["nothing", "half a head", "a byte", "a request, and no more", "a request, and a part of the next"],
)
async def test_who_sends_no_whole_head_is_closed(brief: House, sent: bytes) -> None:
    async with connected(brief) as (reader, writer):
        writer.write(sent)
        assert (await ended(reader)).count(b"HTTP/1.1 200 ") == sent.count(b"\r\n\r\n")


async def test_a_head_that_drips_is_closed(brief: House) -> None:
    async with connected(brief) as (reader, writer):
        drops = asyncio.create_task(dripping(writer, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500))
        assert await ended(reader) == b""
        drops.cancel()


@pytest.mark.parametrize("drips", [False, True], ids=["stops", "drips"])
@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        ("PUT", "{path}" + f"{POLYCOM}-app.log", "text/plain"),
        ("PUT", "/p/none", "text/plain"),
        ("POST", "/login", "application/x-www-form-urlencoded"),
        ("POST", "/api/v1/session", "application/json"),
        ("POST", "/api/v1/locations", "application/json"),
        ("POST", "/api/v1/devices/import", "text/csv"),
        ("POST", "/api/v1/audio-clips", "multipart/form-data; boundary=x"),
        ("GET", "/settings", "text/plain"),
    ],
)
async def test_a_body_that_does_not_come_is_waited_for_in_vain_for_a_while(
    brief: House, stock: Stock, path: str, method: str, target: str, kind: str, drips: bool
) -> None:
    async with connected(brief) as (reader, writer):
        writer.write(
            f"{method} {target.format(path=path)} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
            f"Authorization: Bearer {stocked(brief, stock).admin.key}\r\n"
            "Content-Length: 100000\r\n\r\nx".encode()
        )
        drops = asyncio.create_task(dripping(writer, b"x" * 1000 if drips else b""))
        began = time.monotonic()
        await ended(reader)
        assert time.monotonic() - began < GONE
        drops.cancel()


async def test_a_body_that_comes_slowly_but_steadily_is_taken(brief: House, path: str) -> None:
    part = b"x" * connection._LEAST
    async with connected(brief) as (reader, writer):
        writer.write(
            f"PUT {path}{POLYCOM}-app.log HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {len(part) * STEADY}\r\n\r\n".encode()
        )
        for _ in range(STEADY):
            writer.write(part)
            await asyncio.sleep(BRIEF / 5)
        assert (await ended(reader)).startswith(b"HTTP/1.1 201 ")


async def test_a_body_has_its_time_however_steadily_it_comes(
    brief: House, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LONGEST", BRIEF)
    async with connected(brief) as (reader, writer):
        writer.write(
            f"PUT {path}{POLYCOM}-app.log HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n".encode()
        )

        async def steadily() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x" * 2 * connection._LEAST)
                    await writer.drain()
                    await asyncio.sleep(BRIEF / 10)

        drops = asyncio.create_task(steadily())
        assert await ended(reader) == b""
        drops.cancel()


LARGE: Final = b"x" * 24 * 1024 * 1024  # more than kernels hold between two sockets


class Pieces(payload.Payload):
    """A body that is not there all at once, as an audio clip's."""

    def __init__(self) -> None:
        super().__init__(None)
        self._size = len(LARGE)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for at in range(0, len(LARGE), 65_536):
            await writer.write(LARGE[at : at + 65_536])

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise NotImplementedError


class Large:
    """A server whose every answer is large, over http or https."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{port}"
        self.context = context
        self.asked = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if request.path == "/pieces":
            return web.Response(body=Pieces())
        return Answer(200, TEXT, LARGE if request.path == "/large" else b"x" * 10_000)


@pytest.fixture(params=["http", "https"])
async def large(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Large]:
    monkeypatch.setattr(connection, "_STUCK", BRIEF)
    monkeypatch.setattr(connection, "_LOOK", BRIEF / 5)
    context = tls.context(*self_signed(tmp_path)) if request.param == "https" else None
    made = Large(free_port(), context)
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    async with listener.listening(
        app, context, drain=0.1, host="127.0.0.1", port=int(made.url.rpartition(":")[2])
    ):
        yield made


@pytest.mark.parametrize("path", ["/large", "/pieces"])
async def test_who_does_not_read_its_answer_is_cut_off(large: Large, path: str) -> None:
    async with connected(large) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until_cut_off(large)
        assert len(await ended(reader)) < len(LARGE)


@pytest.mark.parametrize("path", ["/large", "/pieces"])
async def test_who_reads_its_answer_slowly_but_steadily_gets_it_whole(large: Large, path: str) -> None:
    async with connected(large, unread=2**14) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        began = time.monotonic()
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(24):
            assert len(await reader.readexactly(len(LARGE) // 32)) == len(LARGE) // 32
            await asyncio.sleep(BRIEF / 8)
        assert time.monotonic() - began > 2 * BRIEF
        assert await reader.read() == LARGE[len(LARGE) // 4 * 3 :]


async def test_answers_that_nobody_reads_do_not_pile_up(large: Large) -> None:
    async with connected(large) as (_, writer):
        writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
        await until_cut_off(large)
        assert 0 < large.asked < 2_500


async def until_cut_off(large: Large) -> None:
    async with asyncio.timeout(GONE):
        while not large.asked or connection._open:  # noqa: ASYNC110
            await asyncio.sleep(BRIEF / 20)


@pytest.mark.parametrize("large", ["https"], indirect=True)
async def test_who_says_no_goodbye_over_tls_is_closed_all_the_same(
    large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE", BRIEF)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(large.url.rpartition(":")[2]))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hands = trusting().wrap_bio(incoming, outgoing)
    for _ in range(2):
        with contextlib.suppress(ssl.SSLWantReadError):
            hands.do_handshake()
        writer.write(outgoing.read())
        incoming.write(await reader.read(65536))
    async with asyncio.timeout(GONE):
        assert len(connection._open) == 1
        await ended(reader)
        while connection._open:  # noqa: ASYNC110
            await asyncio.sleep(BRIEF / 20)
    writer.transport.abort()


async def test_when_very_many_come_at_once_there_are_never_more_than_may_be(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "most", lambda: 3)
    port = int(house.url.rpartition(":")[2])
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            reader, writer = await stack.enter_async_context(connected(house))
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"}")
        # While the server, which has the same loop, does nothing: it takes them all in one turn.
        come = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(50)]
        loop, ends = asyncio.get_running_loop(), list[asyncio.Task[bytes]]()
        for each in come:
            each.setblocking(False)
            ends.append(asyncio.create_task(loop.sock_recv(each, 1)))
        async with asyncio.timeout(GONE):
            while sum(task.done() for task in ends) < 47:  # noqa: ASYNC110
                await asyncio.sleep(BRIEF / 20)
        waiting = [task for task in ends if not task.done()]
        assert len(waiting) == len(connection._open) == 3
        for task in waiting:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


async def test_when_there_is_no_room_the_one_that_was_idle_for_longest_goes(
    house: House, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "most", lambda: 3)
    async with contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(house)) for _ in range(3)]
        # The first is used again, and so has not been idle for longest.
        for reader, writer in (*idle, idle[0]):
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"}")
        idle.append(idle.pop(0))
        for number in range(3):
            reader, writer = await stack.enter_async_context(connected(house))
            writer.write(f"GET {path}{YEALINK}.boot HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            assert await ended(idle[number][0]) == b""
            assert [each[0].at_eof() for each in idle] == [n <= number for n in range(3)]


async def test_when_all_are_busy_the_new_one_goes(
    house: House, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "most", lambda: 1)
    async with connected(house) as (busy, writer):
        head = f"PUT {path}{POLYCOM}-app.log HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert await busy.readline() == b"HTTP/1.1 100 Continue\r\n"
        async with connected(house) as (reader, _):
            assert await ended(reader) == b""
        writer.write(b"log\n")
        assert b"HTTP/1.1 201 " in await busy.readuntil(b"Created")


def test_a_server_takes_as_many_files_as_the_system_lets_it_have() -> None:
    script = (
        "import resource; from provisioning.connection import most, raise_file_limit\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))\n"
        "few = most(); raise_file_limit(); print(few, most() + 256 == min(hard, 65536))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "256 True\n"
