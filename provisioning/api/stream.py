"""A streamed answer: bytes that are read and sent piece by piece once its entry is made, whole or a range."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import quote

from aiohttp import payload, web
from aiohttp.abc import AbstractStreamWriter
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning.api import problem
from provisioning.api.problem import Refused
from provisioning.db import Database
from provisioning.errors import NotFound

_log = logging.getLogger(__name__)
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
Piece = Callable[[AsyncSession, int, int], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """`piece` reads from one offset up to another, or fewer bytes, at least one; `span` None is the whole."""

    content_type: str
    file_name: str
    etag: str
    size: int
    piece: Piece
    span: range | None


def span(headers: Mapping[str, str], size: int, etag: str) -> range | None:
    """The part that a request asks for (RFC 9110, 14.2), None for the whole. Raises `Refused` with 416.

    Several ranges at once, or what is no range, may be answered with the whole, and are.
    """
    asked = _RANGE.fullmatch(headers.get("Range", "").strip())
    if asked is None or headers.get("If-Range", etag) != etag or asked[0] == "bytes=-":
        return None
    if asked[1]:
        found = range(int(asked[1]), min(int(asked[2]) + 1, size) if asked[2] else size)
        if asked[2] and int(asked[2]) < found.start:
            return None
    else:
        found = range(max(0, size - int(asked[2])), size)
    if not found:
        raise Refused(416, f"there are {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return found


def response(streamed: Streamed, database: Database) -> web.Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Type": streamed.content_type,
        "Content-Disposition": _disposition(streamed.file_name),
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "ETag": streamed.etag,
    }
    part = streamed.span
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{streamed.size}"
    return web.Response(
        status=200 if part is None else 206, headers=headers, body=_Pieces(streamed, database)
    )


class _Pieces(payload.Payload):
    """The body. Each piece is read in a transaction of its own: a slow client holds no snapshot open."""

    def __init__(self, streamed: Streamed, database: Database) -> None:
        super().__init__(None)
        self._streamed, self._database = streamed, database
        self._span = range(streamed.size) if streamed.span is None else streamed.span
        self._size = len(self._span)

    async def write(self, writer: AbstractStreamWriter) -> None:
        at = self._span.start
        while at < self._span.stop:
            piece = await self._read(at)
            await writer.write(piece)
            at += len(piece)

    async def _read(self, at: int) -> bytes:
        """The status is out already: what cannot be read any more can only end the connection."""
        try:
            async with self._database.read() as session:
                return await self._streamed.piece(session, at, self._span.stop)
        except NotFound as error:
            raise ConnectionAbortedError(str(error)) from None
        except problem.UNAVAILABLE as error:
            _log.error("a streamed answer: the database: %s", type(error).__name__)
            raise ConnectionAbortedError("the database does not answer") from None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        raise TypeError("a stream is no text")


def _disposition(name: str) -> str:
    """The name in ASCII for the oldest clients, and as it is for the others (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", name)
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
