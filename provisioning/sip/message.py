"""SIP messages: a request as bytes, an answer read from bytes, and messages cut out of a stream."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from provisioning.errors import invalid

_LONG: Final = {"v": "via", "f": "from", "t": "to", "i": "call-id", "l": "content-length"}
_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*(?:\r|\Z)", re.IGNORECASE
)
_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?")
_HEAD: Final = 64 * 1024  # bytes at most, so that nobody fills our memory
_BODY: Final = 1024 * 1024
# Whatever goes into a header is one of these, so that no value can begin another header.
_VALUE: Final = re.compile(r"[ -~]{1,4000}")
_NAME: Final = re.compile(r"[A-Za-z-]{1,40}")
_HOST: Final = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\])"
_URI: Final = re.compile(rf"sip:(?:[A-Za-z0-9_.+~-]{{1,64}}@)?{_HOST}(?::[0-9]{{1,5}})?")


def uri(host: str, *, user: str | None = None, port: int | None = None) -> str:
    """Raises `Invalid` for what would be no plain SIP URI."""
    place = f"[{host}]" if ":" in host else host
    made = f"sip:{f'{user}@' if user else ''}{place}{f':{port}' if port else ''}"
    if not _URI.fullmatch(made):
        raise invalid("uri", "cannot be made of this user and host")
    return made


def request(method: str, to: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """Without a body. Raises `Invalid`, which names the header, for a value that is no line of ASCII."""
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise invalid(name, "cannot be sent in a header")
    if not _URI.fullmatch(to):
        raise invalid("uri", "is no plain SIP URI")
    lines = [f"{method} {to} SIP/2.0", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode("ascii")


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` are names in lower case, short forms written out, with their values."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    def answers(self, branch: str, cseq: int, method: str) -> bool:
        """Whether it belongs to the request of this branch (RFC 3261 17.1.3), and to no one behind us."""
        vias, numbers = self.all("via"), self.all("cseq")
        if len(vias) != 1 or "," in vias[0] or len(numbers) != 1:
            return False
        found = re.search(r";\s*branch\s*=\s*([^\s;,]+)", vias[0], re.IGNORECASE)
        return bool(found) and found[1] == branch and numbers[0].split() == [str(cseq), method]  # type: ignore[index]


def response(data: bytes) -> Response | None:
    """The answer that these bytes are; None for a request and for what is no SIP."""
    head = data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    # A line that begins with a space goes on where the one before ended.
    first, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        return None
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        name = name.strip().lower()
        headers.append((_LONG.get(name, name), value.strip()))
    return Response(int(status[1]), _shown(status[2] or ""), tuple(headers))


def _shown(reason: str) -> str:
    """A phrase of somebody else's, as one short line."""
    return re.sub(r"[^\x20-\x7e\xa0-\uffff]", "", reason).strip()[:100]


class Stream:
    """Cuts messages out of a stream, which may break them anywhere (RFC 3261 18.3)."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are whole by now. Raises `ValueError` when nobody can tell where one ends."""
        self._left += data
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> bytes | None:
        self._left = self._left.lstrip(b"\r\n")  # keep-alives
        head, end, rest = self._left.partition(b"\r\n\r\n")
        if not end:
            if len(self._left) > _HEAD:
                raise ValueError("a head without an end")
            return None
        length = _LENGTH.search(head)
        if length is None or int(length[1]) > _BODY:
            raise ValueError("a message of unknown length")
        if len(rest) < int(length[1]):
            return None
        size = len(head) + len(end) + int(length[1])
        message, self._left = self._left[:size], self._left[size:]
        return message
