"""A way to PostgreSQL that can be cut: refused, broken off, or dead without a word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from tests.ports import free_port

Way = Literal["open", "refused", "silent"]


class Proxy:
    """`way` is how connections fare: `refused` ends those that there are and takes no others; while it is
    `silent` nothing is forwarded on any, and what is sent is lost, as of a machine without power."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}{parts.path}"
        self.way: Way = "open"
        self._writers: set[asyncio.StreamWriter] = set()
        self._dead: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    def set(self, way: Way) -> None:
        """Those that were silenced never speak again, whatever comes later."""
        self.way = way
        if way == "silent":
            self._dead |= self._writers
        if way == "refused":
            for writer in self._writers:
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self.way == "silent":
                self._dead.add(writer)
            elif self.way == "open":
                there, to = await asyncio.open_unix_connection(self._socket)
                self._writers.add(to)
                await asyncio.gather(self._forward(reader, to), self._forward(there, writer))
                return
            if self.way == "silent":
                await asyncio.Event().wait()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if writer not in self._dead:
                writer.write(data)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
        if writer not in self._dead:
            writer.close()
