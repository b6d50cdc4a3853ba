"""Canaries: secrets driven through a server at its most talkative are found only where they belong."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import sqlalchemy as sa

from provisioning.db import Database
from provisioning.phones.vendor import shipped_templates
from tests.conftest import Stock
from tests.shell import Shell

MAC, FILE = "805ec0102001", "805ec0102001.cfg"
PASSWORDS: Final = {
    "admin": "731904826155",
    "sip": "Kq7vTz2mWx94LpRd",
    "user": "a canary sings at dawn",
    "wrong": "a canary that knows no door",
    "relay": "kept-by-the-relay",
}
# What an operator's own template may do with a password, by mistake.
BLUNDERS: Final = (
    "{{ {}[line.sip_password] }}",
    "{{ line[phone.admin_password] }}",
    "{{ line.sip_password.nothing }}",
    "{{ line.sip_password | int(default=none) + 1 }}",
    "{{ '%d' % line.sip_password }}",
    "{% include line.sip_password %}",
)
# One line's password in another's row.
MOVED: Final = """
UPDATE extensions SET sip_password = (SELECT e.sip_password FROM extensions e WHERE e.number = '4202')
WHERE number = '4201'
"""


@dataclass
class Canaries:
    """A running server, and all that it ever said besides what it was rightly asked for."""

    shell: Shell
    stock: Stock
    http: aiohttp.ClientSession
    said: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)  # of phones' own URLs

    @property
    def secrets(self) -> set[str]:
        return {*self.keys, self.stock.token, *self.stock.keys.values(), *PASSWORDS.values()}

    async def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        sent = {"Authorization": f"Bearer {self.stock.keys['admin']}"} | dict(headers or {})
        url = f"{self.shell.url}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=sent) as answer:
            text = await answer.text()
            self.said.append(f"{answer.status} {answer.headers} {text}")
            return json.loads(text) if text else None

    async def raw(self, request: str) -> str:
        """What comes back for these very bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.shell.port)
        writer.write(request.encode("utf-8", "surrogateescape"))
        answer = (await reader.read()).decode("utf-8", "replace")
        writer.close()
        self.said.append(answer)
        return answer

    async def ask(self) -> None:
        """What the server tells of all that was: metrics, activity, boot log."""
        for path in ("/metrics", "/health", "/api/v1/openapi.json", "/login"):
            async with self.http.get(self.shell.url + path) as answer:
                self.said.append(await answer.text())
        for path in ("/activity?limit=200", f"/devices/{await self.device()}/boots?limit=200"):
            await self.call("GET", path)

    def everything(self) -> str:
        """All that was said where no secret belongs, and the log and the database of a server that ended."""
        log = (self.shell.folder / "server.log").read_text("utf-8", "surrogateescape")
        files = [file.read_bytes() for file in self.shell.folder.glob("provisioning.db*")]
        return "\n".join([*self.said, log, *(content.decode("latin-1") for content in files)])

    async def device(self) -> str:
        found = await self.call("GET", f"/devices?q={MAC}")
        return str(found["data"][0]["id"])


@pytest.fixture
async def canaries(stock: Stock, tmp_path: Path) -> AsyncIterator[Canaries]:
    environ = {
        "PROVISIONING_DATABASE_URL": stock.url,
        "PROVISIONING_KEY_FILE": str(stock.key_file),
        "PROVISIONING_LOG_LEVEL": "debug",
        "PROVISIONING_SMTP_URL": f"smtp://mailer:{PASSWORDS['relay']}@127.0.0.1:9",
        "PROVISIONING_TEMPLATES": str(tmp_path / "templates"),
    }
    (tmp_path / "templates" / "yealink").mkdir(parents=True)
    async with aiohttp.ClientSession() as http:
        yield Canaries(Shell(tmp_path, environ=environ), stock, http)


async def planted(canaries: Canaries) -> None:
    await canaries.call("PUT", "/account/provisioning/admin-password", {"admin_password": PASSWORDS["admin"]})
    canaries.said.clear()  # its answer shows the password, as it is to
    lines = (await canaries.call("GET", "/extensions"))["data"]
    for line in lines:
        await canaries.call("PATCH", f"/extensions/{line['id']}", {"sip_password": PASSWORDS["sip"]})
    user = {"email": "canary@example.com", "name": "C", "role": "viewer", "password": PASSWORDS["user"]}
    await canaries.call("POST", "/users", user)


async def bound(canaries: Canaries, mac: str, name: str) -> str:
    """The URL of the phone's own, as its file of this name says it, with which it has asked."""
    await canaries.call("PATCH", "/account/provisioning", {"bind_phones": True})
    canaries.said.pop()  # it shows the URL
    found = await canaries.call("GET", f"/devices?q={mac}")
    files = await canaries.call("GET", f"/devices/{found['data'][0]['id']}/files?reveal=true")
    canaries.said.pop()  # and these the key
    (content,) = (each["content"] for each in files["data"] if each["name"] == name)
    key = next(part for part in content.split("/") if part.startswith("ppk"))
    canaries.keys.add(key)
    url = f"{canaries.shell.url}/p/{canaries.stock.token}/{key}/"
    async with canaries.http.get(f"{url}{mac}.cfg") as answer:
        assert answer.status == 200
    return url


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_no_request_makes_a_server_tell_a_secret(canaries: Canaries) -> None:
    token, key, port = canaries.stock.token, canaries.stock.keys["admin"], canaries.shell.port
    with canaries.shell.serving():
        await planted(canaries)
        for password in ("wrong", "user"):
            body = {"email": "canary@example.com", "password": PASSWORDS[password]}
            await canaries.call("POST", "/session", body, {"Authorization": ""})
        host = f"Host: 127.0.0.1:{port}\r\n"
        own = await bound(canaries, MAC, FILE)
        key_ = own.split("/")[-2]
        their = await bound(canaries, "64167f102005", "64167f102005-account.cfg")
        for line in (
            f"GET /p/{token}/{key_}/{FILE} HTTP/9.9\r\n{host}\r\n",
            f"GET /p/{token}/{key_}/{'x' * 9000} HTTP/1.1\r\n{host}\r\n",
            f"GET /p/{token}/{key_[:-1]}/{FILE} HTTP/1.1\r\n{host}User-Agent: {key_}\r\n"
            "Connection: close\r\n\r\n",
            f"GET /p/{token}/x/{key_}/{FILE} HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /p/{token}/{key_.upper()}/{FILE} HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /p/{token}/{their.split('/')[-2]}/{FILE} HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /settings?next=/p/{token}/{key_}/ HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /p/{token}/{FILE} HTTP/9.9\r\n{host}\r\n",
            f"GET /p/{token}/{FILE} HTTP/1.1\r\nBad header {token}\r\n\r\n",
            f"GET /p/{token}/{FILE} HTTP/1.1\r\n{host}Content-Length: {token}\r\n\r\n",
            f"G\0T /p/{token}/{FILE} HTTP/1.1\r\n{host}\r\n",
            f"/p/{token}/{FILE}\r\n\r\n",
            f"GET http://[{token}/{FILE} HTTP/1.1\r\n{host}\r\n",
            f"GET /p/{token}/{'x' * 9000} HTTP/1.1\r\n{host}\r\n",
            f"GET /p/{token}/{FILE}\udcff HTTP/1.1\r\n{host}\r\n",
            f"BREW /p/{token}/{FILE} HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /p/{token}%00/{FILE} HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /p/{token}/../{FILE} HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /settings?next=/p/{token}/ HTTP/1.1\r\n{host}Connection: close\r\n\r\n",
            f"GET /p/{token[:-1]}/{FILE} HTTP/1.1\r\n{host}User-Agent: {token}\r\nConnection: close\r\n\r\n",
            f"POST /p/{token}/{FILE} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{token}\r\n",
            f"GET /api/v1/account HTTP/1.1\r\nAuthorization: Bearer {key}\r\nAuthorization {key}\r\n\r\n",
            f"GET /api/v1/{key} HTTP/1.1\r\n{host}Authorization: Basic {key}\r\nConnection: close\r\n\r\n",
        ):
            answer = await canaries.raw(line)
            assert answer.startswith(("HTTP/1.1 4", "HTTP/1.1 303 ", "HTTP/1.0 4")), (line, answer)
        for name in ("64167f102005-app.log", "64167f102005-phone.cfg"):
            async with canaries.http.put(their + name, data=f"<a url='{their}{name}'/>") as answered:
                assert answered.status == 201
        await canaries.ask()
    everything = canaries.everything()
    assert {secret for secret in canaries.secrets if secret in everything} == set()
    assert "canary@example.com" in everything  # what is no secret is found by the same search


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_no_failure_makes_a_server_tell_a_secret(canaries: Canaries) -> None:
    """Templates that go wrong over a password, a sealed text that was moved, a row that is damaged."""
    shipped = (shipped_templates() / "phones" / "yealink" / "account.j2").read_text("utf-8")
    own = canaries.shell.folder / "templates" / "yealink" / "account.j2"
    url = f"{canaries.shell.url}/p/{canaries.stock.token}/"
    with canaries.shell.serving():
        await planted(canaries)
    for blunder in BLUNDERS:
        own.write_text(f"{shipped}\n{blunder}\n")
        with canaries.shell.serving():
            async with canaries.http.get(url + FILE) as answer:
                assert (answer.status, await answer.read()) == (500, b""), blunder
            await canaries.call("GET", f"/devices/{await canaries.device()}/files/{FILE}")
            await canaries.ask()
        canaries.said.append(canaries.everything())
    own.unlink()
    database = Database(canaries.stock.url)
    async with database.write() as session:
        await session.execute(sa.text(MOVED))
    await database.close()
    with canaries.shell.serving():
        async with canaries.http.get(url + FILE) as answer:
            assert (answer.status, await answer.read()) == (500, b"")
        await canaries.ask()
    everything = canaries.everything()
    assert {secret for secret in canaries.secrets if secret in everything} == set()
    assert "render_error" in everything
