"""A real mail server on a port of its own, which does with each mail what it is told: take it, or worse."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, Literal, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

# Each names the step at which it happens; the last takes the mail and breaks off before it says so.
Fault = Literal[
    "hang_at_greeting",
    "drop_at_greeting",
    "refuse_recipient",
    "hang_at_recipient",
    "drop_at_recipient",
    "refuse_data",
    "hang_at_data",
    "drop_after_data",
]


@dataclass(frozen=True)
class Received:
    """`connection` is its number on the relay, from 1."""

    connection: int
    sender: str
    recipient: str
    content: bytes
    encrypted: bool
    login: str | None

    @property
    def message(self) -> EmailMessage:
        return BytesParser(policy=policy.default).parsebytes(self.content)

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body
        return str(body.get_content()).replace("\r\n", "\n")

    @property
    def html(self) -> str:
        body = self.message.get_body(("html",))
        assert body
        return str(body.get_content()).replace("\r\n", "\n")


@dataclass
class MailRelay:
    """`fault` says what is to happen to an attempt: it is asked at the greeting, for "", and once when it is
    told the recipient. `on_step` is told of each step. What hangs does so until the relay ends."""

    port: int = 0
    fault: Callable[[str], Fault | None] = lambda recipient: None
    on_step: Callable[[str, str], None] = lambda step, recipient: None
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    login: tuple[str, str] | None = None
    received: list[Received] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    _hanging: asyncio.Event = field(default_factory=asyncio.Event)
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)
    _transports: set[asyncio.BaseTransport] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        self._quiet.set()
        server = await loop.create_server(
            lambda: _Server(self), "127.0.0.1", self.port, ssl=self.tls if self.implicit else None
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.release()
            for transport in list(self._transports):
                cast(asyncio.Transport, transport).abort()
            await self._quiet.wait()

    def release(self) -> None:
        self._hanging.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(true)

    async def arrived(self, count: int) -> list[Received]:
        """The mails, once there are so many."""
        await self.until(lambda: len(self.received) >= count)
        return self.received

    async def step(self, name: str, recipient: str) -> None:
        self.steps.append((name, recipient))
        self.on_step(name, recipient)
        async with self.news:
            self.news.notify_all()

    async def hang(self) -> None:
        await self._hanging.wait()


class _Server(SMTP):
    def __init__(self, relay: MailRelay) -> None:
        self.relay = relay
        self._counted = False
        self._handler = _Handler(relay)
        super().__init__(
            self._handler,
            hostname="relay.example",
            ident="relay",
            enable_SMTPUTF8=True,
            tls_context=None if relay.implicit else relay.tls,
            authenticator=self._log_in if relay.login else None,
            auth_required=relay.login is not None,
            auth_require_tls=relay.tls is not None and not relay.implicit,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._counted:  # it is made again over TLS
            self._counted = True
            self.relay.connections += 1
            self._handler.connection = self.relay.connections
            self.relay.open += 1
            self.relay._quiet.clear()
            self.relay.most_open = max(self.relay.open, self.relay.most_open)
        self.relay._transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.relay.open -= 1
        if not self.relay.open:
            self.relay._quiet.set()
        self.relay._transports -= {t for t in self.relay._transports if t.is_closing()}
        super().connection_lost(error)

    def _log_in(
        self, _server: Any, session: Session, _envelope: Any, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        given = data.login.decode(), data.password.decode()
        return AuthResult(success=self.relay.login == given, handled=False, auth_data=data.login.decode())


class _Handler:
    def __init__(self, relay: MailRelay) -> None:
        self._relay = relay
        self.connection = 0
        self._fault: Fault | None = None

    async def handle_EHLO(
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        await self._relay.step("greeting", "")
        await self._suffer(server, self._relay.fault(""), "greeting")
        return responses

    async def handle_RCPT(
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        await self._relay.step("recipient", address)
        self._fault = self._relay.fault(address)
        if await self._suffer(server, self._fault, "recipient"):
            return "451 4.7.1 <tell nobody> try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        (recipient,) = envelope.rcpt_tos
        if await self._suffer(server, self._fault, "data"):
            return "554 5.7.1 it looks like spam"
        login = session.auth_data if session.authenticated else None
        content = cast(bytes, envelope.original_content)
        encrypted = session.ssl is not None or self._relay.implicit
        sender = envelope.mail_from or ""
        self._relay.received.append(Received(self.connection, sender, recipient, content, encrypted, login))
        await self._relay.step("taken" if self._fault != "drop_after_data" else "dropped", recipient)
        if self._fault == "drop_after_data":
            cast(asyncio.Transport, server.transport).abort()
        return "250 OK"

    async def _suffer(self, server: SMTP, fault: Fault | None, step: str) -> bool:
        """Whether the fault of this step is to refuse."""
        if fault == f"hang_at_{step}":
            await self._relay.hang()
        if fault in (f"drop_at_{step}", f"hang_at_{step}"):
            with contextlib.suppress(AttributeError):
                cast(asyncio.Transport, server.transport).abort()
        return fault == f"refuse_{step}"
