"""A phone's answer, written at once: the same bytes as of aiohttp's own in half the time."""

import functools
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

TEXT: Final = "text/plain; charset=utf-8"
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


class Answer(web.StreamResponse):
    """The whole body in one write; to a HEAD its length alone."""

    _extra = b""  # of its head

    def __init__(self, status: int, content_type: str, body: bytes) -> None:
        super().__init__(status=status)
        self._type = content_type
        self._content = body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._request = request
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        request, body = self._request, self._content
        version = HttpVersion10 if request.version == HttpVersion10 else HttpVersion11
        head = _head(version, self.status, self._type, len(body), bool(self.keep_alive))
        if self._extra:
            head = head.replace(b"\r\n", b"\r\n" + self._extra, 1)
        date = _date(int(time.time()))
        await request.writer.write(head + date if request.method == "HEAD" else b"".join((head, date, body)))
        await request.writer.drain()  # or answers to a client that reads none would pile up

    def say(self, name: str, value: str) -> None:
        """One header more, percent-encoded."""
        self._extra += f"{name}: {quote(value, safe=' ')}\r\n".encode()


@functools.lru_cache(1024)
def _head(version: HttpVersion, status: int, content_type: str, length: int, keep_alive: bool) -> bytes:
    kept = version >= HttpVersion11
    lines = [
        f"HTTP/{version.major}.{version.minor} {status} {_REASONS[status]}",
        f"Content-Type: {content_type}",
        "Cache-Control: no-store",
        f"Content-Length: {length}",
        *([] if kept == keep_alive else [f"Connection: {'keep-alive' if keep_alive else 'close'}"]),
        "Date: ",
    ]
    return "\r\n".join(lines).encode()


@functools.lru_cache(4)
def _date(second: int) -> bytes:
    return f"{formatdate(second, usegmt=True)}\r\n\r\n".encode()
