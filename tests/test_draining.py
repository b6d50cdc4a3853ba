"""A server that is told to end answers what was begun, whole, and those who have connected already."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from provisioning import listener, tls
from provisioning.answer import TEXT, Answer
from tests.certificates import self_signed, trusting
from tests.ports import free_port

LARGE = b"x" * 8 * 1024 * 1024  # more than kernels hold between two sockets
LONG = 20  # seconds that none of this takes


@dataclass(frozen=True)
class Server:
    port: int
    serving: asyncio.Task[None]
    over_tls: bool

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = trusting() if self.over_tls else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    async def is_told_to_end(self) -> None:
        """As SIGTERM does; returns when nobody can connect any more."""
        self.serving.cancel()
        with contextlib.suppress(ConnectionError):
            while True:
                (await asyncio.open_connection("127.0.0.1", self.port))[1].transport.abort()

    async def ends(self) -> None:
        async with asyncio.timeout(LONG):
            with contextlib.suppress(asyncio.CancelledError):
                await self.serving


async def answer(request: web.Request) -> Answer:
    return Answer(200, TEXT, await request.read() or LARGE)


@pytest.fixture(params=["http", "https"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    context = tls.context(*self_signed(tmp_path)) if request.param == "https" else None
    app, port, serves = web.Application(), free_port(), asyncio.Event()
    app.router.add_route("*", "/", answer)

    async def serve() -> None:
        async with listener.listening(app, context, drain=2 * LONG, host="127.0.0.1", port=port):
            serves.set()
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await serves.wait()
    yield Server(port, serving, context is not None)
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def test_an_upload_that_has_begun_is_taken_whole(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"half")
    await server.is_told_to_end()
    writer.write(b" log")
    said = await reader.read()
    assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"half log")
    assert b"\r\nConnection: close\r\n" in said
    writer.close()
    await server.ends()


async def test_an_answer_that_has_begun_is_sent_whole(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await server.is_told_to_end()
    assert await reader.readexactly(len(LARGE)) == LARGE
    assert await reader.read() == b""
    writer.close()
    await server.ends()


async def test_who_has_connected_already_may_ask(server: Server) -> None:
    reader, writer = await server.connect()
    await server.is_told_to_end()
    writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    said = await reader.read()
    assert said.startswith(b"HTTP/1.1 200 ") and said.endswith(b"hi")
    writer.close()
    await server.ends()


async def test_who_is_shaking_hands_may_ask(server: Server) -> None:
    if not server.over_tls:
        return
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hands = trusting().wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        hands.do_handshake()
    writer.write(outgoing.read())
    incoming.write(await reader.read(65536))
    await server.is_told_to_end()
    assert not server.serving.done()
    with contextlib.suppress(ssl.SSLWantReadError):
        hands.do_handshake()
    hands.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    writer.write(outgoing.read())
    said = bytearray()
    while b"hi" not in said and (more := await reader.read(65536)):
        incoming.write(more)
        with contextlib.suppress(ssl.SSLWantReadError):
            while plain := hands.read(65536):
                said += plain
    assert said.startswith(b"HTTP/1.1 200 ")
    writer.transport.abort()
    await server.ends()


async def test_who_was_served_and_who_asks_nothing_do_not_hold_it_up(server: Server) -> None:
    began = time.monotonic()
    served, silent = await server.connect(), await server.connect()
    served[1].write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    await served[0].readuntil(b"hi")
    await server.is_told_to_end()
    for reader, writer in (served, silent):
        assert await reader.read() == b""
        writer.close()
    await server.ends()
    assert time.monotonic() - began < LONG
