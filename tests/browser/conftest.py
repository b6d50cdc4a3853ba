"""A real server, a real Chromium, and an account of its own for each test."""

import asyncio
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import date
from threading import Thread
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from provisioning import activity, api_keys, sessions, users
from provisioning.db import Database, new_id
from provisioning.devices import Rendering
from provisioning.load import load
from provisioning.phones.options import Options
from provisioning.phones.vendor import load_vendors
from provisioning.samples import account_file
from provisioning.vault import open_vault
from tests.shell import Shell

PASSWORD = "a password of the tests"
T = TypeVar("T")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One server for all tests of a worker."""
    shell = Shell(tmp_path_factory.mktemp("site"))
    with shell.serving():
        yield shell


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # The shell is the same engine without a desktop's windows, and takes three quarters of the time.
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path, "Debian's chromium is missing: `make test` installs it"
    arguments = ["--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Inside:
    """The way behind the server's back into its database; the tests' own loop is Playwright's."""

    def __init__(self, site: Shell) -> None:
        self.database = Database(f"sqlite:///{site.folder}/var/provisioning.db")
        self.vault = open_vault(site.folder / "var" / "keys.json")
        self.rendering = Rendering(load_vendors(), Options(), site.url, date(2026, 11, 24))
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self.run(self.database.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="session")
def inside(site: Shell) -> Iterator[Inside]:
    inside = Inside(site)
    yield inside
    inside.close()


@dataclass(frozen=True)
class Account:
    """An account of the server; `cookie` is of a session of its admin."""

    site: Shell
    inside: Inside
    id: str
    email: str
    url: str
    key: str
    cookie: str

    def api(self, method: str, path: str, body: object = None) -> Any:
        """What somebody else does on the account meanwhile."""
        request = urllib.request.Request(
            f"{self.site.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def import_devices(self, rows: str) -> None:
        """Devices of a CSV file."""
        request = urllib.request.Request(
            f"{self.site.url}/api/v1/devices/import",
            data=rows.encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "text/csv"},
        )
        urllib.request.urlopen(request, timeout=60).close()

    def ask(self, key: str, path: str) -> int:
        """The status of a GET with this key."""
        headers = {"Authorization": f"Bearer {key}"}
        request = urllib.request.Request(f"{self.site.url}/api/v1{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def add_user(self, email: str, role: Any) -> None:
        async def add() -> None:
            async with self.inside.database.write() as session:
                await users.add(session, self.id, email=email, name=role, role=role, password=PASSWORD)

        self.inside.run(add())

    def await_log(self, mac: str, requests: int) -> None:
        """Until so many requests of the phone are in the boot log, which is written in groups."""

        async def count() -> int:
            log = sa.table("boot_log", sa.column("mac"), sa.column("account_id"))
            query = sa.select(sa.func.count()).where(log.c.mac == mac, log.c.account_id == self.id)
            async with self.inside.database.read() as session:
                return int(await session.scalar(query.select_from(log)) or 0)

        async def wait() -> None:
            async with asyncio.timeout(60):
                while await count() < requests:  # noqa: ASYNC110  # the server is another process
                    await asyncio.sleep(0.05)

        self.inside.run(wait())

    def entries(self) -> list[activity.Entry]:
        """The account's activity, newest first."""

        async def look() -> list[activity.Entry]:
            async with self.inside.database.read() as session:
                return (await activity.page(session, self.id, activity.Filters(), limit=200))[0]

        return self.inside.run(look())


@pytest.fixture
def account(site: Shell, inside: Inside) -> Account:
    """The sample account under an email of its own."""
    return loaded(site, inside, account_file().read_text("utf-8"), "office@harbourlane.example")


def loaded(site: Shell, inside: Inside, text: str, named: str) -> Account:
    """The account of this file, with another email than is `named` in it."""
    email = f"{new_id('usr')[4:]}@harbourlane.example"
    text = text.replace(named, email)

    async def make() -> Account:
        vault = inside.vault
        async with inside.database.write() as session:
            loaded = await load(session, vault, inside.rendering, text)
            await users.set_password(session, loaded.account_id, email, PASSWORD)
            key = await api_keys.add(session, vault, loaded.account_id, name="tests", role="admin")
            user = await users.find(session, email)
            assert user
            cookie = await sessions.start(session, vault, user)
        return Account(site, inside, loaded.account_id, email, str(loaded.provisioning_url), key, cookie)

    return inside.run(make())


@pytest.fixture
def context(browser: Browser, site: Shell) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def console() -> list[str]:
    """What the page reported; a test that provokes failures takes out what it expects."""
    return []


@pytest.fixture
def page(context: BrowserContext, account: Account, console: list[str]) -> Iterator[Page]:
    """A page of the account's admin, who is logged in; it is at none of the server's yet."""
    context.add_cookies([{"name": "session", "value": account.cookie, "url": account.site.url}])
    yield watched(context, console)
    assert console == []


def watched(context: BrowserContext, console: list[str]) -> Page:
    page = context.new_page()
    page.on("console", lambda message: console.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: console.append(str(error)))
    return page


def log_in(page: Page, email: str, target: str = "/settings") -> None:
    page.goto(target)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)
