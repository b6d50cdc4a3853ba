"""A relay: the mail server that takes our mails, as PROVISIONING_SMTP_URL names it."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from provisioning.errors import Invalid, invalid

_VARIABLE: Final = "PROVISIONING_SMTP_URL"


@dataclass(frozen=True, slots=True)
class Relay:
    """`tls` is that of smtps://, from the first byte; without it STARTTLS is used where it is offered."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def sure(self) -> bool:
        """Whether the connection must be encrypted for a host that proves its name: where a password
        goes over a network, and where the URL says so. Else an unproven encryption is better than none,
        and a mail sent bare better than a mail not sent."""
        return self.tls or (self.username is not None and not self._loopback)

    @property
    def _loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def relays(text: str) -> tuple[Relay, ...]:
    """The relays that the variable names, in the order in which they are tried."""
    return tuple(_relay(part.strip()) for part in text.split(",") if part.strip())


def _relay(url: str) -> Relay:
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        username, password = parts.username, parts.password
    except ValueError:
        raise _bad() from None
    good = parts.scheme in {"smtp", "smtps"} and not (parts.path.strip("/") or parts.query or parts.fragment)
    if not good or not re.fullmatch(r"[A-Za-z0-9._:-]+", host) or port == 0:
        raise _bad()
    if bool(username) != bool(password):
        raise invalid(_VARIABLE, "must have both a user and a password, or neither")
    tls = parts.scheme == "smtps"
    usual = 465 if tls else 587 if username else 25
    if not (username and password):
        return Relay(host, port or usual, tls)
    return Relay(host, port or usual, tls, unquote(username), unquote(password))


def _bad() -> Invalid:
    # The value is not repeated: it holds a password.
    return invalid(_VARIABLE, "must be smtp://user:password@host:port or smtps://…, a second after a comma")
