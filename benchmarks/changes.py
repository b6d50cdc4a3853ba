"""What phones of one account feel while another account of 10,000 phones is changed.

    python -m benchmarks.changes [--database sqlite|postgresql] [--phones 10000] [--seconds 10]
        [--rate 200] [--back 100] [--uploads 5] [--only PHASE]

One server process. 200 phones of a bystander fetch their files, and some upload theirs, at moments that are
planned beforehand, each on a connection of its own; how long one waited counts from the planned moment, so
that a stall is felt by all who would have come in it. Meanwhile an admin of the large account changes it, one
request after another, for as long as a phase lasts; where a phase says so, phones of that account come back
for their files, which are made anew. Prints for each phase, in milliseconds, what the bystander's phones
waited and how long the admin's requests took.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from benchmarks.databases import database
from benchmarks.storm import Server, serving
from provisioning import api_keys, device_csv, extensions
from provisioning.app import make_app
from provisioning.config import Config
from provisioning.db import new_id, now
from provisioning.load import load
from provisioning.parts import DATABASE, VAULT, rendering
from provisioning.samples import account_file
from provisioning.vault import Vault

MODEL: Final = "T46S"
BYSTANDERS: Final = 200
SECONDS: Final = 60  # that a phone waits for an answer
CALL_LIST: Final = b"<call-list/>" * 400


@dataclass(frozen=True)
class Account:
    """`extensions` are the numbers of its phones' lines."""

    key: str
    token: str
    macs: Sequence[str]
    extensions: Sequence[str]


@dataclass
class Waits:
    """Of one kind of request; times in seconds."""

    times: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        if len(self.times) < 2:
            return f"{len(self.times)}  {dict(self.errors) or ''}"
        centiles = statistics.quantiles(self.times, n=100, method="inclusive")
        figures = (
            f"p50 {centiles[49] * 1e3:6.1f}  p99 {centiles[98] * 1e3:7.1f}  max {max(self.times) * 1e3:7.1f}"
        )
        return f"{len(self.times):5}  {figures}  errors {sum(self.errors.values())} {dict(self.errors) or ''}"


class Admin:
    """Sends requests from a process of its own, one after another."""

    def __init__(self, port: int, account: Account, pool: Executor) -> None:
        self._port, self._pool, self._key = port, pool, account.key
        self.token, self.macs, self.extensions = account.token, account.macs, account.extensions
        self.waits = Waits()

    async def ask(self, method: str, path: str, body: Any = None, *, told: bool = True) -> Any:
        work = partial(ask, self._port, self._key, method, f"/api/v1{path}", body)
        status, took, answer = await asyncio.get_running_loop().run_in_executor(self._pool, work)
        if told:
            self.waits.times.append(took)
        if status >= 400:
            self.waits.errors[f"{status} for {method} {path}"] += 1
        return answer


def ask(port: int, key: str, method: str, path: str, body: Any) -> tuple[int, float, Any]:
    """The status, seconds, and the answer where it is short JSON."""
    headers = {"Authorization": f"Bearer {key}"}
    if body is not None:
        headers["Content-Type"] = "text/csv" if isinstance(body, str) else "application/json"
    content = body if isinstance(body, str | None) else json.dumps(body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    begun = time.perf_counter()
    connection.request(method, path, content, headers)
    answer = connection.getresponse()
    text = answer.read()
    took = time.perf_counter() - begun
    connection.close()
    return answer.status, took, json.loads(text) if text[:1] == b"{" and len(text) < 65536 else None


async def nothing(_admin: Admin) -> AsyncIterator[None]:
    while True:
        yield await asyncio.sleep(0.1)


async def template(admin: Admin) -> AsyncIterator[None]:
    listed = await admin.ask("GET", "/button-templates", told=False)
    (reception,) = [each for each in listed["data"] if each["name"] == "Reception"]
    for number in itertools.count():
        reception["buttons"][-1]["label"] = f"Key {number}"
        buttons = {"buttons": reception["buttons"]}
        yield await admin.ask("PATCH", f"/button-templates/{reception['id']}", buttons)


async def options(admin: Admin) -> AsyncIterator[None]:
    for code in itertools.cycle(("*67", "*68")):
        yield await admin.ask("PATCH", "/account/device-options", {"park_code": code})


async def imports(admin: Admin) -> AsyncIterator[None]:
    """Each row is another than before."""
    for number in itertools.count():
        for start in range(0, len(admin.macs), device_csv.MOST):
            yield await admin.ask("POST", "/devices/import", rows(admin, start, f"Desk {number}"))


async def lists(admin: Admin) -> AsyncIterator[None]:
    for query in itertools.cycle(("", "&q=desk", "&q=249ad80", "&q=2000", "&status=not-current")):
        yield await admin.ask("GET", f"/devices?limit=200{query}")


async def exports(admin: Admin) -> AsyncIterator[None]:
    while True:
        yield await admin.ask("GET", "/devices/export")


async def rotation(admin: Admin) -> AsyncIterator[None]:
    """Once; then all phones come for their files."""
    url = (await admin.ask("POST", "/account/provisioning/rotate", {}))["provisioning_url"]
    admin.token = url.split("/")[-2]
    async for _ in nothing(admin):
        yield


@dataclass(frozen=True)
class Phase:
    """`change` goes on with each request; `come_back` is whether phones of the changed account fetch, too."""

    name: str
    change: Callable[[Admin], AsyncIterator[None]]
    come_back: bool = False


PHASES: Final = (
    Phase("baseline", nothing),
    Phase("template", template),
    Phase("template, phones come back", template, come_back=True),
    Phase("options, phones come back", options, come_back=True),
    Phase("import", imports),
    Phase("list and search", lists),
    Phase("export", exports),
    Phase("rotation, phones come back", rotation, come_back=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--phones", type=int, default=10_000, help="of the account that is changed")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one phase")
    parser.add_argument("--rate", type=float, default=200.0, help="fetches of the bystander in a second")
    parser.add_argument("--back", type=float, default=100.0, help="phones that come back in a second")
    parser.add_argument("--uploads", type=float, default=5.0, help="uploads of the bystander in a second")
    parser.add_argument("--only", help="phases whose names begin so, besides the baseline")
    given = parser.parse_args()
    given.workers, given.tls = 1, False
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name, database(given.database, Path(name)) as url:
        large, bystander = asyncio.run(prepared(url, Path(name), given.phones))
        with (
            serving(url, Path(name), given) as server,
            ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        ):
            asyncio.run(measure(server, large, bystander, pool, given))


async def prepared(url: str, folder: Path, number: int) -> tuple[Account, Account]:
    """Makes the account that is changed, and the bystander."""
    app = make_app(Config(database_url=url, key_file=folder / "keys.json"))
    await app[DATABASE].migrate()
    large = await _account(app, "large@example.com", [f"249ad8{index:06x}" for index in range(number)])
    bystander = await _account(
        app, "bystander@example.com", [f"249ad8f{index:05x}" for index in range(BYSTANDERS)]
    )
    await app[DATABASE].close()
    return large, bystander


async def _account(app: web.Application, email: str, macs: Sequence[str]) -> Account:
    text = account_file().read_text("utf-8").replace("office@harbourlane.example", email)
    async with app[DATABASE].write() as session:
        loaded = await load(session, app[VAULT], rendering(app), text)
        key = await api_keys.add(session, app[VAULT], loaded.account_id, name="changes", role="admin")
        made = [_extension(app[VAULT], loaded.account_id, f"2{index:05}") for index in range(len(macs))]
        session.add_all(made)
        account = Account(key, str(loaded.provisioning_url).split("/")[-2], macs, [e.number for e in made])
    for start in range(0, len(macs), device_csv.MOST):
        async with app[DATABASE].write() as session:
            csv = rows(account, start, "Desk")
            await device_csv.import_(session, rendering(app), loaded.account_id, csv)
    return account


def _extension(vault: Vault, account_id: str, number: str) -> extensions.Row:
    """All at once; one at a time would take longer than all else."""
    made = extensions.Row(id=new_id("ext"), account_id=account_id, number=number, sip_username=number)
    made.display_name, made.voicemail_enabled, made.outbound_number_id = f"Desk {number}", True, None
    made.sip_password = vault.seal("Xq3mVt8sLw2nRb6J", "extensions", "sip_password", account_id, made.id)
    made.created_at = now()
    return made


def rows(account: Account | Admin, start: int, name: str) -> str:
    """A CSV file of the most devices that one may hold, each with a line of its own."""
    here = slice(start, start + device_csv.MOST)
    found = zip(account.macs[here], account.extensions[here], strict=True)
    lines = [f"{mac},{MODEL},{name} {number},{number},Reception\n" for mac, number in found]
    return "mac,model,name,lines,button_template\n" + "".join(lines)


async def measure(
    server: Server, large: Account, bystander: Account, pool: Executor, given: argparse.Namespace
) -> None:
    port = int(server.url.rpartition(":")[2])
    print(f"{given.database}, {given.phones} phones; {given.rate:.0f} fetches/s of {BYSTANDERS} bystanders")
    admin = Admin(port, large, pool)
    await admin.ask("GET", "/account", told=False)
    paths = [f"/p/{bystander.token}/{mac}.cfg" for mac in bystander.macs]
    await stream(port, Waits(), given.rate, iter(paths), "GET")
    came = itertools.cycle(large.macs)
    for phase in PHASES:
        if phase.change is nothing or given.only is None or phase.name.startswith(given.only):
            await _measured(phase, server, admin, bystander, came, given)


async def _measured(
    phase: Phase,
    server: Server,
    admin: Admin,
    bystander: Account,
    came: Iterator[str],
    given: argparse.Namespace,
) -> None:
    port = int(server.url.rpartition(":")[2])
    base, admin.waits = f"/p/{bystander.token}/", Waits()
    fetched = (f"{base}{mac}.cfg" for mac in itertools.cycle(bystander.macs))
    stored = (f"{base}{mac}-calllog.xml" for mac in itertools.cycle(bystander.macs))
    # By the token of that moment.
    back = (f"/p/{admin.token}/{mac}.cfg" for mac in came)
    kinds = [("fetches", given.rate, fetched, "GET"), ("uploads", given.uploads, stored, "PUT")]
    if phase.come_back:
        kinds.append(("come back", given.back, back, "GET"))
    told = {name: Waits() for name, *_ in kinds}
    over = asyncio.Event()
    cpu, begun = server.cpu(), time.monotonic()
    streams = asyncio.gather(
        *(
            stream(port, told[name], rate, itertools.takewhile(lambda _: not over.is_set(), paths), method)
            for name, rate, paths, method in kinds
        )
    )
    async for _ in phase.change(admin):
        if time.monotonic() - begun > given.seconds:
            break
    over.set()
    await streams
    busy = (server.cpu() - cpu) / (time.monotonic() - begun)
    print(f"{phase.name}; server's CPU {busy:.0%}, load {os.getloadavg()[0]:.1f}")
    for name, waits in (*told.items(), ("admin", admin.waits)):
        print(f"  {name:10} {waits}", flush=True)


async def stream(port: int, waits: Waits, rate: float, paths: Iterator[str], method: str) -> None:
    """A request for each path, whether those before it are answered or not."""
    begun, running = time.perf_counter(), list[asyncio.Task[None]]()
    for number, path in enumerate(paths):
        planned = begun + number / rate
        await asyncio.sleep(max(0.0, planned - time.perf_counter()))
        running.append(asyncio.create_task(_asked(port, waits, planned, path, method)))
    await asyncio.gather(*running)


async def _asked(port: int, waits: Waits, planned: float, path: str, method: str) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            status = await _exchange(port, path, method)
    except (OSError, EOFError, TimeoutError) as error:
        waits.errors[type(error).__name__] += 1
        return
    waits.times.append(time.perf_counter() - planned)
    if status >= 400:
        waits.errors[str(status)] += 1


async def _exchange(port: int, path: str, method: str) -> int:
    """The status, when the answer has come as a whole."""
    body = CALL_LIST if method == "PUT" else b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        head, found, content = (await reader.read()).partition(b"\r\n\r\n")
        if not found or f"Content-Length: {len(content)}".encode() not in head:
            raise EOFError
        return int(head.split(b" ", 2)[1])
    finally:
        writer.close()


if __name__ == "__main__":
    main()
