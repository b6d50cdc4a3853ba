"""Channels: the way to one SIP address and back, over UDP, TCP or TLS."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from provisioning.sip.message import Response, Stream, response

Transport = Literal["udp", "tcp", "tls"]
IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class Unreachable(Exception):
    """The request could not be sent; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """`trust` is for TLS: any certificate, one of a public CA, or one of the CA `ca` (PEM)."""

    host: str
    port: int
    transport: Transport
    trust: Literal["any", "public", "custom"] = "public"
    ca: str | None = None


class Channel(Protocol):
    """`local` is our own address on it. `get` waits for the next answer; it raises `OSError` when there can
    be none any more."""

    @property
    def reliable(self) -> bool: ...
    @property
    def local(self) -> tuple[str, int]: ...
    def send(self, data: bytes) -> None: ...
    async def get(self) -> Response: ...


@contextlib.asynccontextmanager
async def opened(target: Target, allowed: Callable[[IP], bool]) -> AsyncIterator[Channel]:
    """A channel to the first address of the target's name that can be used. Raises `Unreachable`."""
    why = "its address may not be asked from this server"
    for ip in filter(allowed, await _addresses(target.host, target.port)):
        try:
            channel = await _connected(target, str(ip))
        except (OSError, ssl.SSLError) as error:
            why = _words(error)
            continue
        try:
            yield channel
        finally:
            channel.close()
        return
    raise Unreachable(why)


async def _addresses(host: str, port: int) -> list[IP]:
    """Looked up once: what was found allowed is what is sent to."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("its name is not known") from None
    return [ipaddress.ip_address(each[4][0]) for each in found]


async def _connected(target: Target, ip: str) -> "_Udp | _Tcp":
    loop = asyncio.get_running_loop()
    if target.transport == "udp":
        _, udp = await loop.create_datagram_endpoint(_Udp, remote_addr=(ip, target.port))
        return udp
    context = _context(target) if target.transport == "tls" else None
    name = target.host if context else None
    _, tcp = await loop.create_connection(_Tcp, ip, target.port, ssl=context, server_hostname=name)
    return tcp


def _context(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=target.ca if target.trust == "custom" else None)
    if target.trust == "any":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    return "it cannot be reached"


class _Answers:
    """What has come in. An end is kept: everybody who waits is told of it."""

    transport: Any

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Response | OSError] = asyncio.Queue(maxsize=100)

    async def get(self) -> Response:
        found = await self._queue.get()
        if isinstance(found, OSError):
            raise found
        return found

    def close(self) -> None:
        self.transport.close()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.local: tuple[str, int] = transport.get_extra_info("sockname")[:2]

    def _put(self, found: Response | OSError | None) -> None:
        # Whoever sends hundreds within one transaction is not listened to.
        if found is not None and not self._queue.full():
            self._queue.put_nowait(found)


class _Udp(_Answers, asyncio.DatagramProtocol):
    """Connected: only what comes from where we sent to is read."""

    reliable: Final = False

    def send(self, data: bytes) -> None:
        self.transport.sendto(data)

    def datagram_received(self, data: bytes, _address: object) -> None:
        self._put(response(data))

    def error_received(self, error: Exception) -> None:
        self._put(error if isinstance(error, OSError) else OSError())


class _Tcp(_Answers, asyncio.Protocol):
    reliable: Final = True

    def __init__(self) -> None:
        super().__init__()
        self._stream = Stream()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._stream.feed(data):
                self._put(response(message))
        except ValueError:
            self.transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        self._put(ConnectionResetError())
