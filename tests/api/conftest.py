"""An account with the sample's devices, a key for each role, and a client for each."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import FormData

from provisioning import activity, api_keys
from tests.conftest import ROLES, House, Stock, add_keys


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def fields(self) -> list[str]:
        """The fields that a problem names."""
        return [error["field"] for error in self.json["errors"]]


@dataclass(frozen=True)
class Client:
    house: House
    key: str | None

    async def __call__(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        sent = {**({"Authorization": f"Bearer {self.key}"} if self.key else {}), **(headers or {})}
        data: object = body
        if body is not None and not isinstance(body, str | bytes | io.IOBase | FormData):
            data = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        url = f"{self.house.url}/api/v1{path}"
        async with self.house.http.request(method, url, data=data, headers=sent) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self("GET", path, headers=headers)

    async def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        return await self("POST", path, body, headers)

    async def patch(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        return await self("PATCH", path, body, headers)

    async def put(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        return await self("PUT", path, body, headers)

    async def delete(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self("DELETE", path, headers=headers)


@dataclass(frozen=True)
class Account:
    """The account, and a client for each role and for nobody."""

    house: House
    id: str
    url: str
    admin: Client
    technician: Client
    viewer: Client
    switch: Client
    nobody: Client

    async def entries(self, account_id: str | None = None) -> list[activity.Entry]:
        """The account's activity, oldest first, without what loading it left."""
        async with self.house.database.read() as session:
            found, _ = await activity.page(
                session, self.id if account_id is None else account_id, activity.Filters(), limit=200
            )
        return [entry for entry in reversed(found) if entry.actor != "system"]

    async def count(self, table: type[Any]) -> int:
        async with self.house.database.read() as session:
            return await session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
async def account(house: House, stock: Stock) -> Account:
    return stocked(house, stock)


def stocked(house: House, stock: Stock) -> Account:
    """The account that the database of the house holds from the beginning."""
    return _account(house, stock.account_id, stock.provisioning_url(house), stock.keys)


async def make_account(house: House, text: str) -> Account:
    """One more."""
    loaded = await house.load(text)
    async with house.database.write() as session:
        keys = await add_keys(session, house.vault, loaded.account_id)
    return _account(house, loaded.account_id, str(loaded.provisioning_url), keys)


def _account(house: House, account_id: str, url: str, keys: Mapping[api_keys.Role, str]) -> Account:
    clients = {role: Client(house, keys[role]) for role in ROLES}
    return Account(house, account_id, url, **clients, nobody=Client(house, None))


def form(**parts: str | bytes) -> FormData:
    """A multipart body of these parts, as a browser sends it; bytes are a file's."""
    made = FormData(default_to_multipart=True)
    for name, content in parts.items():
        if isinstance(content, bytes):
            made.add_field(name, io.BytesIO(content), filename="clip.bin")
        else:
            made.add_field(name, content)
    return made


Named = Callable[[str], str]
