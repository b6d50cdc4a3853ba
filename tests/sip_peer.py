"""A SIP peer for tests: plain sockets that take requests and answer what a test says."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

Answers = Callable[["Request"], Iterable[bytes]]


@dataclass(frozen=True)
class Request:
    first: str
    headers: list[tuple[str, str]]

    def __getitem__(self, name: str) -> str:
        """The only header of that name."""
        (value,) = [value for known, value in self.headers if known.lower() == name.lower()]
        return value

    def has(self, name: str) -> bool:
        return any(known.lower() == name.lower() for known, _ in self.headers)

    def parameter(self, header: str, name: str) -> str:
        """A quoted or bare parameter of a header."""
        match = re.search(rf'[;, ]{name}="?([^";,]*)"?', self[header])
        assert match, (name, self[header])
        return match[1]

    def answered(self, status: str, *extra: str, **changes: str) -> bytes:
        """The answer to it; `changes` replace copied headers, such as `via`."""
        copied = [
            f"{name}: {changes.get(name.replace('-', '').lower(), value)}"
            for name, value in self.headers
            if name in {"Via", "From", "To", "Call-ID", "CSeq"}
        ]
        return "\r\n".join([f"SIP/2.0 {status}", *copied, *extra, "Content-Length: 0", "", ""]).encode()


def request(data: bytes) -> Request:
    head, end, rest = data.partition(b"\r\n\r\n")
    assert end and not rest, data
    first, *lines = head.decode("ascii").split("\r\n")
    headers = []
    for line in lines:
        match = re.fullmatch(r"([A-Za-z-]+): (\S.*)", line)
        assert match, line
        headers.append((match[1], match[2]))
    return Request(first, headers)


@dataclass
class Peer:
    """`answers` gives what is sent for each request, which is nothing, one or several messages; over a
    stream, `pieces` says in how many bytes at a time."""

    answers: Answers
    requests: list[Request] = field(default_factory=list)
    pieces: int = 65536
    closes: bool = False
    port: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, data: bytes) -> Iterable[bytes]:
        self.requests.append(request(data))
        self.came.set()
        return self.answers(self.requests[-1])

    @asynccontextmanager
    async def udp(self) -> AsyncIterator["Peer"]:
        peer = self

        class Protocol(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, address: Any) -> None:
                for answer in peer.take(data):
                    self.transport.sendto(answer, address)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
        self.port = transport.get_extra_info("sockname")[1]
        try:
            yield self
        finally:
            transport.close()

    @asynccontextmanager
    async def tcp(self, context: SSLContext | None = None) -> AsyncIterator["Peer"]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    for answer in self.take(await reader.readuntil(b"\r\n\r\n")):
                        for at in range(0, len(answer), self.pieces):
                            writer.write(answer[at : at + self.pieces])
                            await writer.drain()
                            await asyncio.sleep(0)
                    if self.closes:
                        break
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
