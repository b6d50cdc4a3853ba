"""A phone's or an admin's side of HTTP, cheap enough for dozens of them to press one server."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """`kept` goes on with one connection until it breaks; else each request has one of its own."""

    def __init__(self, port: int, *, kept: bool) -> None:
        self._port, self._kept = port, kept
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Waits as long as it takes; raises `OSError` when the connection ends before the answer."""
        said = {
            "Host": "127.0.0.1",
            "Content-Length": str(len(body)),
            "Connection": "keep-alive" if self._kept else "close",
            **(headers or {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        try:
            return await self._exchange(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        except EOFError:
            raise ConnectionError("the connection ended") from None
        finally:
            if not self._kept:
                self.close()

    async def _exchange(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
        except BaseException:
            self.close()
            raise
        return Answer(int(head[9:12]), body)

    @property
    def own_port(self) -> int | None:
        """The port of its end of the connection, None while there is none."""
        return self._streams[1].get_extra_info("sockname")[1] if self._streams else None

    def close(self) -> None:
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None
