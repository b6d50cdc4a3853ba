"""A real server, a real Chromium, and an account of its own for each test."""

import asyncio
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from provisioning import activity, api_keys, users
from provisioning.db import Database, new_id
from provisioning.devices import Rendering
from provisioning.load import load
from provisioning.phones.options import Options
from provisioning.phones.vendor import load_vendors
from provisioning.samples import account_file
from provisioning.vault import open_vault
from tests.test_cli import Shell

PASSWORD = "a password of the tests"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One server for all tests of a worker."""
    shell = Shell(tmp_path_factory.mktemp("site"))
    with shell.serving():
        yield shell


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "Debian's chromium is missing: `make test` installs it"
    arguments = ["--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Account:
    """An account of the server, and the way behind its back into its rows."""

    site: Shell
    id: str
    email: str
    url: str
    key: str

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
        async def add(database: Database) -> None:
            async with database.write() as session:
                await users.add(session, self.id, email=email, name=role, role=role, password=PASSWORD)

        on_database(self.site, add)

    def entries(self) -> list[activity.Entry]:
        """The account's activity, newest first."""
        found: list[activity.Entry] = []

        async def look(database: Database) -> None:
            async with database.read() as session:
                found.extend((await activity.page(session, self.id, activity.Filters(), limit=200))[0])

        on_database(self.site, look)
        return found


def on_database(site: Shell, work: Callable[[Database], Any]) -> None:
    async def run() -> None:
        database = Database(f"sqlite:///{site.folder}/var/provisioning.db")
        try:
            await work(database)
        finally:
            await database.close()

    with ThreadPoolExecutor(1) as thread:  # this one's loop is Playwright's
        thread.submit(asyncio.run, run()).result()


@pytest.fixture
def account(site: Shell) -> Account:
    """The sample account under an email of its own."""
    email = f"{new_id('usr')[4:]}@harbourlane.example"
    text = account_file().read_text("utf-8").replace("office@harbourlane.example", email)
    made: list[Account] = []

    async def make(database: Database) -> None:
        vault = open_vault(Path(site.folder) / "var" / "keys.json")
        rendering = Rendering(load_vendors(), Options(), site.url, date(2026, 11, 24))
        async with database.write() as session:
            loaded = await load(session, vault, rendering, text)
            await users.set_password(session, loaded.account_id, email, PASSWORD)
            key = await api_keys.add(session, vault, loaded.account_id, name="tests", role="admin")
        made.append(Account(site, loaded.account_id, email, str(loaded.provisioning_url), key))

    on_database(site, make)
    return made[0]


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
    """A page of the account's admin, who is logged in."""
    page = watched(context, console)
    log_in(page, account.email)
    yield page
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
