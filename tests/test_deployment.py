"""docs/deployment: the unit, the environment and nginx's configuration are what the guide says, and work."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import sqlalchemy as sa

from provisioning import boot_log, cli, config, workers
from provisioning.db import Database
from provisioning.phones.vendor import load_vendors
from provisioning.virtual_phone import virtual_phone
from tests.certificates import self_signed, trusting
from tests.ports import free_port
from tests.shell import Process, Shell
from tests.test_cli import load_sample
from tests.test_workers import fetching, replaced
from tests.test_workers import workers as worker_pids

FOLDER: Final = Path("docs/deployment")
NGINX: Final = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
ANALYZE: Final = shutil.which("systemd-analyze")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
PHONES: Final = (("yealink", "T54W", "805ec0102001"), ("polycom", "VVX 450", "64167f102005"))


def settings(unit: str) -> dict[str, str]:
    lines = [line for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def environment() -> dict[str, str]:
    lines = (FOLDER / "environment").read_text().splitlines()
    return {
        name: value.strip('"')
        for name, _, value in (line.partition("=") for line in lines if line[:1] not in "#")
    }


def test_the_unit_gives_the_server_the_time_that_it_takes_to_end() -> None:
    unit = settings((FOLDER / "provisioning.service").read_text())
    assert int(unit["TimeoutStopSec"]) > workers._DRAIN
    assert unit["KillMode"] == "mixed"
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_environment_of_the_guide_is_one_that_the_server_takes() -> None:
    environ = environment()
    taken = config.from_environment(environ)
    assert taken.base_url == environ["PROVISIONING_BASE_URL"] and taken.relays and taken.tls_cert
    arguments = ["serve", *environ["SERVE_OPTIONS"].split()]
    assert cli._parser().parse_args(arguments).workers >= 2  # one process alone ends at SIGHUP


def test_every_variable_of_the_environment_is_one_that_readme_names() -> None:
    readme = Path("README.md").read_text("utf-8")
    text = (FOLDER / "environment").read_text()
    for name in re.findall(r"^#?(PROVISIONING_\w+)=", text, re.M):
        assert f"`{name}`" in readme


def test_the_guide_names_files_and_commands_that_are_there() -> None:
    guide = Path("docs/deployment.md").read_text("utf-8")
    for name in re.findall(r"\]\((deployment[\w./-]*)\)", guide):
        assert (Path("docs") / name).exists(), name
    for file in FOLDER.iterdir():
        assert f"{file.name}`" in guide or f"{file.name} " in guide, file
    commands = re.findall(r"[`>\n](provisioning (?:(?:rekey|account) )?[a-z][\w-]*)", guide)
    assert len(commands) > 5
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            cli._parser().parse_args([*command.split()[1:], "--help"])
        assert ended.value.code == 0, command


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    unit = (FOLDER / "provisioning.service").read_text()
    file = tmp_path / "provisioning.service"
    # The program is not installed there, and its user is not on this machine.
    file.write_text(unit.replace("/opt/provisioning/bin/provisioning", "/bin/true"))
    done = subprocess.run([str(ANALYZE), "verify", str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if file.name in line]) == (0, [])


@dataclass
class Proxy:
    """nginx with the guide's configuration, on a port of its own before a server of ours."""

    folder: Path
    shell: Shell
    port: int
    server: Process

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def configuration(self) -> Path:
        """The guide's, with other addresses and files, and around it as little as there can be."""
        text = (FOLDER / "nginx.conf").read_text()
        for old, new in (
            ("127.0.0.1:8080", f"127.0.0.1:{self.shell.port}"),
            ("listen 443", f"listen 127.0.0.1:{self.port}"),
            ("/etc/provisioning/", f"{self.folder}/"),
            ("/var/log/nginx/", f"{self.folder}/"),
        ):
            assert old in text
            text = text.replace(old, new)
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        file = self.folder / "nginx.conf"
        # Its workers would be another user, for whom pytest's folders are closed.
        user = "user root;" if os.getuid() == 0 else ""
        file.write_text(
            f"{user} daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log;"
            f"events {{ worker_connections 256; }}\nhttp {{ {temporary}\n{text}\n}}\n"
        )
        return file

    def logs(self) -> str:
        return "".join((self.folder / name).read_text() for name in ("error.log", "provisioning.log"))


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """With a server behind it that has the sample account."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    self_signed(folder)
    shell = Shell(tmp_path)
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    shell.environ |= {"PROVISIONING_BASE_URL": url, "PROVISIONING_TRUSTED_PROXIES": "127.0.0.1"}
    with (
        shell.serving("--workers", "2") as server,
        _nginx(proxy := Proxy(folder, shell, port, server)) as nginx,
    ):
        deadline = time.monotonic() + 20
        while not _listens(proxy.port):
            assert nginx.poll() is None and time.monotonic() < deadline, (folder / "error.log").read_text()
            time.sleep(0.02)
        try:
            yield proxy
        finally:
            nginx.terminate()


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    """A client's connection over TLS ends when its server has agreed, and asyncio tells nobody of that."""
    yield
    await asyncio.sleep(0.05)


def _nginx(proxy: Proxy) -> "subprocess.Popen[bytes]":
    command = [str(NGINX), "-e", str(proxy.folder / "error.log"), "-c", str(proxy.configuration())]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def entries(shell: Shell) -> list[boot_log.Row]:
    database = Database(f"sqlite:///{shell.folder}/var/provisioning.db")
    try:
        async with database.read() as session:
            return list(await session.scalars(sa.select(boot_log.Row).order_by(boot_log.Row.id)))
    finally:
        await database.close()


@needs_nginx
async def test_both_vendors_phones_boot_through_nginx(proxy: Proxy) -> None:
    url = load_sample(proxy.shell)["provisioning_url"]
    assert url.startswith(f"{proxy.url}/p/")
    for name, model, mac in PHONES:
        vendor = load_vendors()[name]
        connector = aiohttp.TCPConnector(ssl=trusting(), force_close=True)
        boot = await virtual_phone(vendor, vendor.models[model], mac).boot(url, connector=connector)
        # Chunks, compression, a redirect or a page with status 200 would be problems.
        assert (boot.came_up, boot.problems) == (True, ())


@needs_nginx
async def test_nginx_tells_the_server_who_asks_and_nobody_the_token(proxy: Proxy) -> None:
    url = load_sample(proxy.shell)["provisioning_url"]
    token = url.split("/")[-2]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())) as http:

        async def status(method: str, address: str, **more: object) -> int:
            async with http.request(method, address, allow_redirects=False, **more) as answer:  # type: ignore[arg-type]
                return answer.status

        forged = {"X-Forwarded-For": "203.0.113.9", "Accept-Encoding": "gzip"}
        assert await status("GET", f"{url}805ec0102001.cfg", headers=forged) == 200
        assert await status("GET", f"{proxy.url}//p//{token}//805ec0102001.cfg") == 200
        assert await status("GET", f"{proxy.url}/p") == 404
        assert await status("GET", f"{proxy.url}/p/{token}") == 404
        assert await status("PUT", f"{url}64167f102005-app.log", data=b"x" * 500_000) == 201
        assert await status("GET", f"{proxy.url}/health") == 200
        assert await status("GET", f"{proxy.url}/metrics") == 200
    # Not by aiohttp, which leaves a connection open that is closed while it writes.
    large = f"PUT /p/{token}/64167f102005-app.log HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n"
    answer = await asyncio.to_thread(_send, proxy.port, large.encode() + b"x" * 600_000)
    assert b" 413 " in answer.splitlines()[0]
    duplicate = f"GET /p/{token}/805ec0102001.cfg HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    assert b" 400 " in await asyncio.to_thread(_send, proxy.port, duplicate.encode())
    logged: list[boot_log.Row] = []
    async with asyncio.timeout(60):
        while len(logged) < 5:
            await asyncio.sleep(0.1)
            logged = await entries(proxy.shell)
    assert sorted(entry.status for entry in logged) == [200, 200, 201, 404, 413]
    assert {entry.ip for entry in logged} == {"127.0.0.1"}
    assert " GET /health 200 " in proxy.logs() and " GET - 400 " in proxy.logs()
    assert token not in proxy.logs()


def _send(port: int, request: bytes) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        trusting().wrap_socket(plain) as tls,
    ):
        tls.sendall(request)
        return tls.recv(4096)


@needs_nginx
async def test_no_log_of_nginx_has_the_token_while_the_server_is_down(proxy: Proxy) -> None:
    url = load_sample(proxy.shell)["provisioning_url"]
    text = proxy.configuration().read_text()
    (proxy.folder / "nginx.conf").write_text(text.replace(str(proxy.shell.port), "9"))
    os.kill(int((proxy.folder / "nginx.pid").read_text()), signal.SIGHUP)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusting(), force_close=True)
    ) as http:
        answers: tuple[int, int] | None = None
        deadline = time.monotonic() + 10
        # Workers of before may go on answering for a moment, one of the two as well.
        while answers != (502, 502) and time.monotonic() < deadline:
            async with (
                http.get(f"{url}805ec0102001.cfg") as phone,
                http.get(f"{proxy.url}/api/v1/account") as page,
            ):
                answers = phone.status, page.status
    assert answers == (502, 502)
    assert "/api/v1/account" in (proxy.folder / "error.log").read_text()
    assert url.split("/")[-2] not in proxy.logs()


@needs_nginx
async def test_nobody_is_refused_by_nginx_while_the_workers_are_replaced(proxy: Proxy) -> None:
    url = f"{load_sample(proxy.shell)['provisioning_url']}805ec0102001.cfg"
    before = worker_pids(proxy.server)
    async with fetching(url, trusting()) as fetches:
        await fetches.more()
        os.kill(proxy.server.pid, signal.SIGHUP)
        await replaced(proxy.server, before, 2)
        await fetches.more()
    assert fetches.wrong == []


def test_a_command_runs_as_the_server_with_its_environment(tmp_path: Path) -> None:
    script = (FOLDER / "as-server").read_text()
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$PROVISIONING_BASE_URL $PWD $*"\n')
    program.chmod(0o755)
    for old, new in (
        ('"$(id -un)" = provisioning', "1 = 1"),
        ("/etc/provisioning/environment", str((FOLDER / "environment").absolute())),
        ("/var/lib/provisioning", str(tmp_path)),
        ("/opt/provisioning/bin/provisioning", str(program)),
    ):
        assert old in script
        script = script.replace(old, new)
    file = tmp_path / "as-server"
    file.write_text(script)
    done = subprocess.run(
        ["sh", str(file), "rekey", "add"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout == f"https://provisioning.example.com {tmp_path} rekey add\n", done.stderr
