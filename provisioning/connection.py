"""A client's connection: how long it may take and how much it may send, and what is said where HTTP fails."""

import asyncio
import resource
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.web_protocol import RequestHandler

from provisioning.answer import TEXT, Answer

IDLE: Final = 14  # seconds for a whole head: from the connection's beginning, and from the end of each answer
_STUCK: Final = 10.0  # seconds in which at least `_LEAST` bytes of a body or an answer go through
_LEAST: Final = 2048
_LONGEST: Final = 300.0  # seconds that a body may come, or an answer go, in all
_LOOK: Final = 2.0  # seconds between looks
_LINE: Final = 8190  # bytes of the request line, and of each field of the head
_FIELDS: Final = 64
_HEAD: Final = 32 * 1024  # bytes
_FILES: Final = 65_536  # that a process has open at most, where the system lets it have so many
_OTHER_FILES: Final = 256  # which are no connections

_VERSIONS: Final = (HttpVersion11, HttpVersion10)
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nCache-Control: no-store\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_open: Final[dict["Connection", None]] = {}  # of this process, that which was used longest ago first


@dataclass(frozen=True, slots=True)
class _Stand:
    """Where it stands with what a client sends and reads."""

    began: float  # when there was something to be sent or read of this request
    at: float
    request: object
    moved: int  # bytes that came, and that the kernel took


class Connection(RequestHandler):
    """aiohttp's own lets a client take as long as it likes over a body and over an answer, knows no bound of
    all connections, and repeats in its answer what it cannot parse.

    Who makes no headway is cut off. When there are as many as the process may have files, the one that has
    been idle for longest gives way to a new one, and a new one to those that are all busy.
    """

    __slots__ = (
        *("__weakref__", "_ends", "_head", "_raw", "_received", "_stand"),
        *("_tls", "_wire", "_writer", "_written", "is_made"),
    )

    def __init__(self, manager: web.Server) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE,
            lingering_time=_STUCK,
            max_line_size=_LINE,
            max_field_size=_LINE,
            max_headers=_FIELDS,
            access_log=None,  # type: ignore[arg-type]  # it would hold the token of every request
        )
        # None before and after; over TLS `_raw` is the one below, which closes at once where TLS may not.
        self._wire: asyncio.Transport | None = None
        self._raw: asyncio.Transport | None = None
        self._tls: Any = None
        self._received = self._written = self._head = 0
        self._writer: Any = None  # of the answer that is under way
        self._ends = False
        self.is_made = False  # over TLS that takes a while
        self._stand: _Stand | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self._wire, self.is_made = transport, True
        self._tls = getattr(transport, "_ssl_protocol", None)
        self._raw = self._tls._transport if self._tls else transport
        _open[self] = None
        if len(_open) > most():
            next((other for other in _open if other.is_idle and other is not self), self).abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._wire = self._raw = self._tls = None
        _open.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        parsed = self._request_count
        super().data_received(data)
        self._received += len(data)
        self._head = self._head + len(data) if self.is_idle and self._request_count == parsed else 0
        if self._head > _HEAD and self._wire is not None:
            self._wire.write(_TOO_LARGE)
            self.force_close()

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is being answered: it has sent none yet, or not the whole head of one."""
        return self._waiter is not None and not self._waiter.done()

    def abort(self) -> None:
        """Ends it at once, whatever is left to be sent."""
        _open.pop(self, None)  # of many that come at once, each is to find another that gives way
        if self._raw is not None:
            self._raw.abort()

    def end(self, patiently: bool) -> None:
        """What was begun is answered, and nothing more; who is patient lets those ask that have not yet."""
        self._ends = True
        if self.is_idle and not (patiently and (self._head or not self._request_count)):
            self.force_close()

    def look(self) -> None:
        """Ends it where it has made no headway."""
        now, unsent, request, was = self._loop.time(), self._unsent(), self._current_request, self._stand
        receives = request is not None and not request.content.is_eof() and not self._reading_paused
        if not unsent and self._wire and self._wire.is_closing():  # over TLS, who does not say goodbye
            self.abort()
        if not unsent and not receives:
            self._stand = None
            return
        moved = self._received + self._written - unsent + (self._writer.output_size if self._writer else 0)
        if was is None or request is not was.request:
            self._stand = _Stand(now, now, request, moved)
        elif now - was.began >= _LONGEST:
            self.abort()
        elif moved - was.moved >= _LEAST:
            self._stand = _Stand(was.began, now, request, moved)
        elif now - was.at >= _STUCK:
            self.abort()

    def _unsent(self) -> int:
        """Bytes that wait for the client to read. Over TLS they wait in the transport below, too."""
        above = self._tls._get_write_buffer_size() if self._tls else 0
        return above + (self._raw.get_write_buffer_size() if self._raw else 0)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What nobody made an answer of says no more than its status: aiohttp's words may be the client's."""
        if isinstance(resp, web.HTTPException):
            resp = self.handle_error(request, resp.status)
        if self._ends:
            resp.force_close()
        self._writer = writer = request.writer
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._written += writer.output_size
            self._writer = None
            if self in _open:
                _open[self] = _open.pop(self)

    def handle_error(
        self,
        _request: web.BaseRequest,
        status: int = 500,
        _exc: BaseException | None = None,
        _message: str | None = None,
    ) -> web.StreamResponse:
        answer = Answer(status, TEXT, b"")
        answer.force_close()
        return answer


async def keep_looking(manager: web.Server) -> None:
    """One timer for all: most connections do not last until their first look."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_LOOK)
        for each in manager.connections:
            assert isinstance(each, Connection)
            loop.call_soon(each.look)  # if one fails, the others are looked at


def as_http_1(handle: Handle) -> Handle:
    """`handle`, but for what the parser lets pass: another HTTP's request line, and a body that HTTP/1.0
    cannot bound, which a proxy may take to end elsewhere."""

    def judged(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        if request.version not in _VERSIONS:
            return _refused(web.HTTPVersionNotSupported())
        if request.version == HttpVersion10 and "Transfer-Encoding" in request.headers:
            return _refused(web.HTTPBadRequest())
        return handle(request)

    return judged


async def _refused(error: web.HTTPException) -> web.StreamResponse:
    raise error


def most() -> int:
    """How many connections this process may have."""
    return max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES, _OTHER_FILES)


def raise_file_limit() -> None:
    """To what the system lets a process have; many are started with 1,024, for select's sake."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
