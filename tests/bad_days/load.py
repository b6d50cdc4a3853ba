"""Phones, a switch and an admin who go on asking, and who note what was acknowledged."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

# Of the sample account.
FILES: Final = ("805ec0102001.cfg", "001565102002.cfg", "64167f102005.cfg", "64167f102005-account.cfg")
UPLOAD: Final = "805ec0102001-contact.xml"
KINDS: Final = ("fetch", "upload", "api read", "api write", "emergency", "health")


@dataclass
class Load:
    """`url` is the server's, `key` an admin's. `pause` is in seconds, between the requests of one asker."""

    url: str
    provisioning_url: str
    key: str
    pause: float = 0.02
    patience: float = 90.0
    answers: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    longest: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    last_good: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    wrong: list[str] = field(default_factory=list)
    locations: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    uploaded: int = 0
    _number: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(force_close=True)
        limit = aiohttp.ClientTimeout(total=self.patience)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as self.http:
            works = (
                self._fetch,
                self._fetch,
                self._upload,
                self._read,
                self._write,
                self._report,
                self._health,
            )
            tasks = [asyncio.create_task(self._forever(work)) for work in works]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def whole(self) -> float:
        """The seconds until each kind of request has been answered well again, by all that ask."""
        begun = time.monotonic()
        async with asyncio.timeout(self.patience):
            while min(self.last_good.values()) < begun:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return max(self.last_good.values()) - begun

    async def lost(self) -> list[str]:
        """What was acknowledged and is not there."""
        async with aiohttp.ClientSession() as http:
            self.http = http
            there = {row["name"] for row in await self._all("/locations")}
            called = {row["call_id"] for row in await self._all("/emergency-calls")}
            async with http.get(self.provisioning_url + UPLOAD) as answer:
                text = await answer.text() if answer.status == 200 else "<n>0</n>"
        number = int(text.removeprefix("<n>").removesuffix("</n>"))
        upload = [f"upload {self.uploaded}"] if number < self.uploaded else []
        return [*(self.locations - there), *(self.calls - called), *upload]

    async def _all(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            url = f"{self.url}/api/v1{path}?limit=200{cursor}"
            async with self.http.get(url, headers=self._headers) as answer:
                assert answer.status == 200, await answer.text()
                page = await answer.json()
            rows += page["data"]
            if page["next_cursor"] is None:
                return rows
            cursor = f"&cursor={page['next_cursor']}"

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    async def _forever(self, work: Callable[[int], Awaitable[None]]) -> None:
        while True:
            self._number += 1
            await work(self._number)
            await asyncio.sleep(self.pause)

    async def _ask(self, kind: str, good: int, method: str, url: str, **sent: Any) -> bool:
        """Whether it was acknowledged. Anything but `good`, a clean 503 or a broken connection is wrong."""
        begun = time.monotonic()
        try:
            async with self.http.request(method, url, **sent) as answer:
                body = await answer.read()
                said = str(answer.status)
                clean = answer.headers.get("Cache-Control") == "no-store" or kind == "health"
                if answer.status == 503 and kind in {"fetch", "upload"}:
                    clean = clean and body == b""
                if answer.status not in {good, 503} or not clean:
                    self.wrong.append(f"{kind}: {answer.status} {body[:200]!r}")
        except TimeoutError:
            said = "no answer"
            self.wrong.append(f"{kind}: no answer")
        except aiohttp.ClientError as error:
            said = type(error).__name__
        self.longest[kind] = max(self.longest[kind], time.monotonic() - begun)
        self.answers[kind][said] += 1
        if said == str(good):
            self.last_good[kind] = time.monotonic()
        return said == str(good)

    async def _fetch(self, number: int) -> None:
        await self._ask("fetch", 200, "GET", self.provisioning_url + FILES[number % len(FILES)])

    async def _upload(self, number: int) -> None:
        if await self._ask("upload", 201, "PUT", self.provisioning_url + UPLOAD, data=f"<n>{number}</n>"):
            self.uploaded = number

    async def _read(self, _number: int) -> None:
        await self._ask("api read", 200, "GET", f"{self.url}/api/v1/devices", headers=self._headers)

    async def _write(self, number: int) -> None:
        body = {"name": f"location {number}"}
        url = f"{self.url}/api/v1/locations"
        if await self._ask("api write", 201, "POST", url, json=body, headers=self._headers):
            self.locations.add(body["name"])

    async def _report(self, number: int) -> None:
        body = {"call_id": f"call-{number}", "dialed": "933", "sip_username": "4202"}
        url = f"{self.url}/api/v1/switch/emergency-calls"
        if await self._ask("emergency", 202, "POST", url, json=body, headers=self._headers):
            self.calls.add(body["call_id"])

    async def _health(self, _number: int) -> None:
        await self._ask("health", 200, "GET", f"{self.url}/health")
