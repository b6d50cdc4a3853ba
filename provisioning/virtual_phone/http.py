"""A phone's side of HTTP: one connection a file, no redirects followed, every oddity of an answer noted."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from yarl import URL


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer; `file` never holds the address, `status` 0 = no answer came."""

    method: str
    file: str
    status: int
    bytes_received: int = 0
    bytes_sent: int = 0


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

    def __init__(self, session: aiohttp.ClientSession, url: str, problems: Problems) -> None:
        self._session = session
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
        status, content, shown = 0, b"", self.shown(name)
        address = name if "://" in name else self.base + name
        try:
            async with self._session.request(
                method,
                URL(address, encoded=True),
                data=body,
                headers={"User-Agent": user_agent},
                skip_auto_headers={"Accept", "Accept-Encoding"},
                allow_redirects=False,
            ) as answer:
                status = answer.status
                self._judge(method, shown, answer)
                content = await answer.read()
        except aiohttp.ClientPayloadError:
            self.problems.add(f"{shown}: the body ends before its Content-Length")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self.problems.add(f"{shown}: no answer ({type(error).__name__})")
        self.exchanges.append(Exchange(method, shown, status, len(content), len(body or b"")))
        if method == "GET" and status == 200 and _is_page(content):
            self.problems.add(f"{shown}: an HTML page with status 200")
        return status, content

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
