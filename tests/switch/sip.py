"""A SIP phone and a carrier's gateway, as small as RFC 3261 lets them be over UDP."""

import hashlib
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Message:
    """`first` is the request line or the status line."""

    first: str
    headers: list[tuple[str, str]]

    def __getitem__(self, name: str) -> str:
        return next(value for known, value in self.headers if known.lower() == name.lower())

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]

    @property
    def status(self) -> int:
        return int(self.first.split()[1])

    def text(self) -> bytes:
        lines = [
            self.first,
            *(f"{name}: {value}" for name, value in self.headers),
            "Content-Length: 0",
            "",
            "",
        ]
        return "\r\n".join(lines).encode()


def parse(data: bytes) -> Message:
    first, *lines = data.decode().split("\r\n\r\n")[0].split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Message(first, [header for header in headers if header[0].lower() != "content-length"])


class Endpoint:
    """A UDP socket that speaks SIP."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]

    def close(self) -> None:
        self.socket.close()

    def receive(self, pattern: str, seconds: float = 10) -> Message:
        """The next message whose first line matches; TimeoutError when none comes."""
        self.socket.settimeout(seconds)
        while True:
            data, self.sender = self.socket.recvfrom(65535)
            message = parse(data)
            if re.search(pattern, message.first):
                return message

    def answer(self, request: Message, status: str) -> None:
        """Ends a call that came in, such as with `486 Busy Here`."""
        copied = [h for h in request.headers if h[0].lower() in {"via", "from", "call-id", "cseq"}]
        to = ("To", f"{request['To']};tag={secrets.token_hex(4)}")
        self.socket.sendto(Message(f"SIP/2.0 {status}", [*copied, to]).text(), self.sender)


@dataclass
class Phone(Endpoint):
    """A phone with one line at a proxy on this machine; `from_name` is what it says when it lies."""

    proxy: int
    realm: str
    name: str
    password: str
    from_name: str = ""
    cseq: int = 0
    call_id: str = field(default_factory=lambda: f"{secrets.token_hex(8)}@phone.example")

    def __post_init__(self) -> None:
        super().__init__()

    def register(self) -> Message:
        return self.request("REGISTER", f"sip:{self.realm}", to=self.name)

    def invite(self, number: str, *extra: tuple[str, str]) -> Message:
        """The final answer, or the first provisional one after authentication."""
        return self.request("INVITE", f"sip:{number}@{self.realm}", *extra, to=number)

    def request(self, method: str, uri: str, *extra: tuple[str, str], to: str) -> Message:
        """The answer; a challenge is met once, as a phone does."""
        answer = self._send(method, uri, *extra, to=to)
        for status, challenge, credentials in (
            (401, "WWW-Authenticate", "Authorization"),
            (407, "Proxy-Authenticate", "Proxy-Authorization"),
        ):
            if answer.status == status:
                met = (credentials, self._digest(method, uri, answer[challenge]))
                return self._send(method, uri, met, *extra, to=to)
        return answer

    def _send(self, method: str, uri: str, *extra: tuple[str, str], to: str) -> Message:
        self.cseq += 1
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        headers = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.from_name or self.name}@{self.realm}>;tag={secrets.token_hex(4)}"),
            ("To", f"<sip:{to}@{self.realm}>"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.cseq} {method}"),
            ("Contact", f"<sip:{self.name}@127.0.0.1:{self.port}>"),
            ("Expires", "300"),
            *extra,
        ]
        answer = self._answered(Message(f"{method} {uri} SIP/2.0", headers))
        if method == "INVITE" and answer.status >= 300:
            acknowledged = [("CSeq", f"{self.cseq} ACK") if n == "CSeq" else (n, v) for n, v in headers]
            ack = Message(f"ACK {uri} SIP/2.0", acknowledged)
            self.socket.sendto(ack.text(), ("127.0.0.1", self.proxy))
        return answer

    def _answered(self, request: Message) -> Message:
        """Sent again and again, as UDP needs and as phones do while a switch starts."""
        for _ in range(20):
            self.socket.sendto(request.text(), ("127.0.0.1", self.proxy))
            with suppress(TimeoutError):
                return self.receive(r"^SIP/2.0 (?!100)", seconds=0.5)
        raise TimeoutError(request.first)

    def _digest(self, method: str, uri: str, challenge: str) -> str:
        """RFC 2617 without qop, which RFC 3261 still allows."""
        nonce, realm = (re.search(f'{name}="([^"]*)"', challenge)[1] for name in ("nonce", "realm"))  # type: ignore[index]
        ha1, ha2 = _md5(f"{self.name}:{realm}:{self.password}"), _md5(f"{method}:{uri}")
        return (
            f'Digest username="{self.name}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{_md5(f"{ha1}:{nonce}:{ha2}")}"'
        )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
