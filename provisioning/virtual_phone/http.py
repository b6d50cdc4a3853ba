"""A phone's side of HTTP: one connection a file, no redirects followed, every oddity of an answer noted."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import aiohttp
from yarl import URL

# In which a server tells one that it trusts why it answers so, percent-encoded; it tells no phone.
REASON: Final = "X-Reason"


@dataclass(frozen=True, slots=True)
class Way:
    """Another way to the server that the phone boots from than its address says, and no way to any other.

    `origin` is asked in the place of `public`, with which the address begins. `certificate` judges its
    certificate, which is to be of the address's host; `headers` go with each request.
    """

    public: str
    origin: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: ssl.SSLContext | bool = True


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer; `file` never holds the address, `status` 0 = no answer came. `reason` is
    there where the server told it."""

    method: str
    file: str
    status: int
    bytes_received: int = 0
    bytes_sent: int = 0
    milliseconds: float = 0.0
    reason: str = ""


class Problems:
    """What a firmware would choke on or misread, each once, in order. Never a value: it may be a secret."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    def add(self, problem: str) -> None:
        self._said[problem] = None

    def all(self) -> tuple[str, ...]:
        return tuple(self._said)


class Wire:
    """The requests of one boot."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, problems: Problems, way: Way | None = None
    ) -> None:
        self._session = session
        self._way = way
        self.base = url.rstrip("/") + "/"
        self.problems = problems
        self.exchanges: list[Exchange] = []

    async def get(self, name: str, user_agent: str, *, tries: int = 1) -> tuple[int, bytes]:
        """Status and body, from the last of `tries` as long as there is no 200."""
        status, body = 0, b""
        for _ in range(tries):
            status, body = await self._ask("GET", name, user_agent)
            if status == 200:
                break
        return status, body

    async def head(self, name: str, user_agent: str) -> int:
        status, _ = await self._ask("HEAD", name, user_agent)
        if status in {405, 501}:
            self.problems.add(f"{self.shown(name)}: HEAD is refused where GET is known")
        return status

    async def put(self, name: str, body: bytes, user_agent: str) -> int:
        status, _ = await self._ask("PUT", name, user_agent, body)
        return status

    def shown(self, name: str) -> str:
        """The file's name for people: an address holds the token, so only its end is told."""
        if name.startswith(self.base):
            return name.removeprefix(self.base)
        return name.rpartition("/")[2] if "://" in name else name

    def ours(self, name: str) -> bool:
        """Whether the file lies on the server that this phone boots from."""
        return "://" not in name or urlsplit(name).netloc == urlsplit(self.base).netloc

    async def _ask(
        self, method: str, name: str, user_agent: str, body: bytes | None = None
    ) -> tuple[int, bytes]:
        status, content, shown, reason = 0, b"", self.shown(name), ""
        if self._way and not self.ours(name):
            self.problems.add(f"{shown}: lies on another server, which is not asked")
            return status, content
        address, options = self._addressed(name, user_agent)
        began = time.perf_counter()
        try:
            async with self._session.request(
                method,
                URL(address, encoded=True),
                data=body,
                skip_auto_headers={"Accept", "Accept-Encoding"},
                allow_redirects=False,
                **options,
            ) as answer:
                status, reason = answer.status, unquote(answer.headers.get(REASON, ""))
                self._judge(method, shown, answer)
                content = await answer.read()
        except aiohttp.ClientPayloadError:
            self.problems.add(f"{shown}: the body ends before its Content-Length")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self.problems.add(f"{shown}: no answer ({type(error).__name__})")
        took = (time.perf_counter() - began) * 1000
        self.exchanges.append(Exchange(method, shown, status, len(content), len(body or b""), took, reason))
        if method == "GET" and status == 200 and _is_page(content):
            self.problems.add(f"{shown}: an HTML page with status 200")
        return status, content

    def _addressed(self, name: str, user_agent: str) -> tuple[str, dict[str, Any]]:
        """Where a file is asked for, and what aiohttp is to be told of that."""
        address = name if "://" in name else self.base + name
        headers = {"User-Agent": user_agent}
        if self._way is None:
            return address, {"headers": headers}
        parts = urlsplit(address)
        public = (
            self._way.public if address.startswith(self._way.public) else f"{parts.scheme}://{parts.netloc}"
        )
        return self._way.origin + address.removeprefix(public), {
            "headers": {"Host": parts.netloc, **self._way.headers, **headers},
            "ssl": self._way.certificate,
            "server_hostname": parts.hostname if self._way.origin.startswith("https:") else None,
        }

    def _judge(self, method: str, shown: str, answer: aiohttp.ClientResponse) -> None:
        say, headers = self.problems.add, answer.headers
        if 300 <= answer.status < 400:
            say(f"{shown}: a redirect, which not every firmware follows")
        if answer.status in {401, 407}:
            say(f"{shown}: asks for credentials, which the phone may ask its user for")
        if answer.status == 403 or answer.status >= 500:
            say(f"{shown}: status {answer.status}, which makes the phone try again and again")
        if answer.status != 200 or method == "PUT":
            return
        if "Transfer-Encoding" in headers:
            say(f"{shown}: the answer is chunked")
        elif "Content-Length" not in headers:
            say(f"{shown}: the answer has no Content-Length")
        if headers.get("Content-Encoding", "identity") != "identity":
            say(f"{shown}: the answer is compressed")
        if answer.content_type == "text/html":
            say(f"{shown}: an HTML page with status 200")


def _is_page(content: bytes) -> bool:
    return content.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))
