"""The sample account on a server whose database is about to have a bad day, and all that ask it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.conftest import Stock

FILE = "805ec0102001.cfg"
UPLOAD = "805ec0102001-contact.xml"


@dataclass(frozen=True)
class Said:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Askers:
    """`url` is the server's."""

    http: aiohttp.ClientSession
    url: str
    stock: Stock

    async def _ask(self, method: str, path: str, **sent: object) -> Said:
        async with self.http.request(method, self.url + path, **sent) as answer:  # type: ignore[arg-type]
            return Said(answer.status, answer.headers, await answer.read())

    async def fetch(self, file: str = FILE) -> Said:
        return await self._ask("GET", f"/p/{self.stock.token}/{file}")

    async def upload(self, content: str = "<contacts/>") -> Said:
        return await self._ask("PUT", f"/p/{self.stock.token}/{UPLOAD}", data=content)

    async def api(self, method: str, path: str, body: object = None) -> Said:
        key = {"Authorization": f"Bearer {self.stock.keys['admin']}"}
        return await self._ask(method, f"/api/v1{path}", headers=key, json=body)

    async def location(self, name: str) -> Said:
        return await self.api("POST", "/locations", {"name": name})

    async def call(self, call_id: str) -> Said:
        """The report of an emergency call."""
        body = {"call_id": call_id, "dialed": "911", "sip_username": "4202"}
        return await self.api("POST", "/switch/emergency-calls", body)

    async def log_in(self) -> Said:
        body = {"email": "office@harbourlane.example", "password": "a wrong one"}
        return await self._ask("POST", "/api/v1/session", json=body)

    async def health(self) -> int:
        return (await self._ask("GET", "/health")).status

    async def metrics(self) -> Mapping[str, float]:
        """By name, without labels."""
        said = await self._ask("GET", "/metrics")
        assert said.status == 200
        lines = (line for line in said.body.decode().splitlines() if not line.startswith("#"))
        return {line.split("{")[0].split()[0]: float(line.split()[-1]) for line in lines}

    async def activity(self) -> list[dict[str, str]]:
        """All entries, page by page."""
        entries: list[dict[str, str]] = []
        cursor = ""
        while True:
            page = json.loads((await self.api("GET", f"/activity?limit=3{cursor}")).body)
            entries += page["data"]
            if page["next_cursor"] is None:
                return entries
            cursor = f"&cursor={page['next_cursor']}"

    async def _device(self) -> dict[str, Any]:
        devices = json.loads((await self.api("GET", "/devices")).body)["data"]
        found: dict[str, Any] = next(device for device in devices if device["mac"] == FILE[:12])
        return found

    async def last_fetch(self) -> str | None:
        at: str | None = (await self._device())["last_fetch_at"]
        return at

    async def seen(self) -> int:
        """How many of the phone's requests the boot log shows."""
        device = await self._device()
        boots = await self.api("GET", f"/devices/{device['id']}/boots")
        return len(json.loads(boots.body)["data"])


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def is_clean(said: Said) -> bool:
    """Whether a phone that comes again is all that this asks for."""
    return (said.status, said.body, said.headers["Cache-Control"]) == (503, b"", "no-store")


def is_problem(said: Said) -> bool:
    return said.status == 503 and said.headers["Content-Type"].startswith("application/problem+json")


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url
