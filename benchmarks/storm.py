"""Power comes back: all phones of an account boot at once, from their first request to their last.

    python -m benchmarks.storm [--phones 1000] [--at-once N] [--database sqlite|postgresql] [--workers 2]
        [--tls] [--clients 1] [--again]

Both vendors' phones, half of each. What a phone asks for is what the virtual phone of its model asked for as
it booted from the same server: the same files, methods and uploads in the same order, a connection for each,
as Yealinks make them unless they are told otherwise. None waits, and none tries again where the virtual phone
did not. Files are made for the first time, so this is the worst case: a server that has just started too.
With `--again` the power goes a second time, and the server has kept the files that it made.

Prints when the last phone had its last answer, what went wrong, and how long boots and requests took. The
clients run on the same machine, so their CPU is printed beside the servers'; PostgreSQL's is in neither.
"""

import argparse
import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from benchmarks.databases import database
from provisioning import device_csv
from provisioning.app import make_app
from provisioning.config import Config
from provisioning.load import load
from provisioning.parts import DATABASE, VAULT, rendering
from provisioning.phones.vendor import load_vendors
from provisioning.samples import account_file
from provisioning.virtual_phone import phone as phones
from provisioning.virtual_phone import virtual_phone
from provisioning.virtual_phone.http import Wire
from tests.certificates import self_signed, trusting
from tests.ports import free_port

# Vendor, model, and how the MAC addresses of its phones begin.
MODELS: Final = (
    ("yealink", "T46S", "249ad8"),
    ("polycom", "VVX 450", "64167f"),
    ("yealink", "T54W", "805ec0"),
    ("polycom", "VVX 250", "482567"),
)
SECONDS: Final = 60  # that a phone waits for an answer


@dataclass(frozen=True)
class Step:
    """A request of a phone, with `{mac}` and `{MAC}` in the place of its address, and what it is answered."""

    method: str
    file: str
    user_agent: str
    body: bytes
    status: int


@dataclass(frozen=True)
class Server:
    url: str
    pid: int

    def cpu(self) -> float:
        """Seconds that its processes have used, by Linux's clock of another process."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(time.clock_gettime(~int(pid) << 3 | 2) for pid in (self.pid, *children))


@dataclass
class Told:
    """What one client process saw; times in seconds."""

    boots: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    last: float = 0.0
    cpu: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--phones", type=int, default=1000)
    parser.add_argument("--at-once", type=int, help="how many boot at the same time; default all")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--workers", type=int, default=2, help="server processes")
    parser.add_argument("--tls", action="store_true", help="over TLS with an ECDSA certificate")
    parser.add_argument("--clients", type=int, default=1, help="processes that play the phones")
    parser.add_argument("--again", action="store_true", help="all boot a second time")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as name, database(options.database, Path(name)) as url:
        folder = Path(name)
        token, macs = asyncio.run(prepared(url, folder, options.phones))
        with serving(url, folder, options) as server:
            base = f"{server.url}/p/{token}/"
            for _ in range(2 if options.again else 1):
                scripts = asyncio.run(recorded(base))
                report(*storm(server, base, scripts, macs, options), options)


async def prepared(url: str, folder: Path, number: int) -> tuple[str, list[str]]:
    """Makes the account: its token, and the MAC addresses of the storm's phones."""
    app = make_app(Config(database_url=url, key_file=folder / "keys.json"))
    await app[DATABASE].migrate()
    async with app[DATABASE].write() as session:
        loaded = await load(session, app[VAULT], rendering(app), account_file().read_text("utf-8"))
    # The first of each model is the one that is recorded.
    kinds = [MODELS[index % len(MODELS)] for index in range(number + len(MODELS))]
    devices = [(f"{oui}{index:06x}", vendor, model) for index, (vendor, model, oui) in enumerate(kinds)]
    for start in range(0, len(devices), device_csv.MOST):
        rows = "".join(f"{','.join(row)},4201\n" for row in devices[start : start + device_csv.MOST])
        async with app[DATABASE].write() as session:
            text = "mac,vendor,model,lines\n" + rows
            await device_csv.import_(session, rendering(app), loaded.account_id, text)
    await app[DATABASE].close()
    return str(loaded.provisioning_url).split("/")[-2], [mac for mac, *_ in devices]


@contextlib.contextmanager
def serving(url: str, folder: Path, options: argparse.Namespace) -> Iterator[Server]:
    port, scheme = free_port(), "https" if options.tls else "http"
    environ = {
        "PATH": os.environ["PATH"],
        "PROVISIONING_DATABASE_URL": url,
        "PROVISIONING_KEY_FILE": str(folder / "keys.json"),
        "PROVISIONING_BASE_URL": f"{scheme}://127.0.0.1:{port}",
        "PROVISIONING_LOG_LEVEL": "error",
    }
    if options.tls:
        cert, key = self_signed(folder)
        environ |= {"PROVISIONING_TLS_CERT": str(cert), "PROVISIONING_TLS_KEY": str(key)}
    command = [Path(sys.executable).with_name("provisioning"), "serve", "--port", str(port)]
    process = subprocess.Popen([*command, "--workers", str(options.workers)], env=environ)
    try:
        _wait(f"{scheme}://127.0.0.1:{port}/health")
        yield Server(environ["PROVISIONING_BASE_URL"], process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, context=trusting(), timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


async def recorded(base: str) -> list[list[Step]]:
    """What the virtual phone of each model asks for."""
    scripts = []
    for index, (vendor_name, model, oui) in enumerate(MODELS):
        mac, steps = f"{oui}{index:06x}", list[Step]()

        class Recorder(Wire):
            async def _ask(
                self,
                method: str,
                name: str,
                user_agent: str,
                body: bytes | None = None,
                mac: str = mac,
                steps: list[Step] = steps,
            ) -> tuple[int, bytes]:
                status, content = await super()._ask(method, name, user_agent, body)
                file = self.shown(name).replace(mac, "{mac}")
                steps.append(
                    Step(method, file, user_agent.replace(_colons(mac), "{MAC}"), body or b"", status)
                )
                return status, content

        phones.Wire = Recorder  # type: ignore[attr-defined]
        vendor = load_vendors()[vendor_name]
        connector = aiohttp.TCPConnector(ssl=trusting(), force_close=True)
        boot = await virtual_phone(vendor, vendor.models[model], mac).boot(base, connector=connector)
        assert boot.came_up, boot.problems
        kinds = Counter(f"{step.method} {step.status}" for step in steps)
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        print(f"{vendor.title} {model}: {len(steps)} requests ({told})")
        scripts.append(steps)
    return scripts


def storm(
    server: Server, base: str, scripts: list[list[Step]], macs: Sequence[str], options: argparse.Namespace
) -> tuple[Told, float, float]:
    """What all clients saw, seconds to the last answer, and the servers' CPU seconds."""
    jobs = [(mac, index % len(MODELS), index) for index, mac in enumerate(macs)][len(MODELS) :]
    shares = [jobs[number :: options.clients] for number in range(options.clients)]
    each = -(-(options.at_once or options.phones) // options.clients)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.clients, mp_context=spawn) as pool:
        list(pool.map(time.sleep, [0.5] * options.clients))  # they have imported everything
        cpu, begun = server.cpu(), time.monotonic()
        seen = list(pool.map(play, shares, *([x] * len(shares) for x in (base, scripts, each))))
        cpu = server.cpu() - cpu
    whole = Told()
    for one in seen:
        whole.boots += one.boots
        whole.requests += one.requests
        whole.errors += one.errors
        whole.refusals += one.refusals
        whole.cpu += one.cpu
    return whole, max(one.last for one in seen) - begun, cpu


def play(jobs: Sequence[tuple[str, int, int]], base: str, scripts: list[list[Step]], at_once: int) -> Told:
    """Plays phones in a process of its own."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    told, address = Told(), urlsplit(base)
    context = trusting() if address.scheme == "https" else None

    async def run() -> None:
        free = asyncio.Semaphore(at_once)

        async def boot(mac: str, script: Sequence[Step], number: int) -> None:
            async with free:
                begun = time.perf_counter()
                for step in script:
                    if not await ask(mac, step, number):
                        return
                told.boots.append(time.perf_counter() - begun)

        async def ask(mac: str, step: Step, number: int) -> bool:
            """Whether the phone goes on: it has an answer, whatever that is."""
            begun = time.perf_counter()
            try:
                async with asyncio.timeout(SECONDS):
                    status = await _exchange(
                        address.hostname or "", address.port or 0, context, step, mac, number
                    )
            except (OSError, EOFError, TimeoutError) as error:
                told.errors[type(error).__name__] += 1
                return False
            told.requests.append(time.perf_counter() - begun)
            if status != step.status:
                told.refusals[f"{status} for {step.method} {step.file}"] += 1
            return True

        await asyncio.gather(*(boot(mac, scripts[model], number) for mac, model, number in jobs))

    async def _exchange(
        host: str, port: int, context: ssl.SSLContext | None, step: Step, mac: str, number: int
    ) -> int:
        # Addresses of their own, or a machine that plays many phones runs out of ports.
        local = (f"127.1.{number // 250 % 250}.{number % 250 + 1}", 0)
        reader, writer = await asyncio.open_connection(
            host, port, ssl=context, local_addr=local, ssl_handshake_timeout=SECONDS if context else None
        )
        try:
            writer.write(
                f"{step.method} {address.path}{step.file.replace('{mac}', mac)} HTTP/1.1\r\n"
                f"Host: {address.netloc}\r\nUser-Agent: {step.user_agent.replace('{MAC}', _colons(mac))}\r\n"
                f"Content-Length: {len(step.body)}\r\nConnection: close\r\n\r\n".encode()
                + step.body
            )
            answer = await reader.read()
            head, _, body = answer.partition(b"\r\n\r\n")
            if step.method != "HEAD" and f"Content-Length: {len(body)}\r\n".encode() not in head + b"\r\n":
                raise EOFError
            return int(answer.split(b" ", 2)[1])
        except (IndexError, ValueError):
            raise EOFError from None
        finally:
            writer.close()

    asyncio.run(run())
    told.last, told.cpu = time.monotonic(), time.process_time()
    return told


def report(told: Told, took: float, cpu: float, options: argparse.Namespace) -> None:
    print(
        f"{options.phones} phones, {options.at_once or 'all'} at once, {options.database}, "
        f"{options.workers} processes, {'TLS' if options.tls else 'plain'}"
    )
    answered = len(told.requests)
    print(f"  last phone after {took:.1f} s; {len(told.boots)} phones had all answers")
    print(
        f"  {answered} requests, {answered / took:.0f}/s; CPU: servers {cpu:.1f} s, clients {told.cpu:.1f} s"
    )
    print(f"  errors {sum(told.errors.values())} {dict(told.errors) or ''}")
    print(f"  refusals {sum(told.refusals.values())} {dict(told.refusals.most_common(5)) or ''}")
    for name, times in (("boot", told.boots), ("request", told.requests)):
        if len(times) > 1:
            centiles = statistics.quantiles(times, n=100)
            print(f"  {name:7} p50 {centiles[49]:.3f} s, p99 {centiles[98]:.3f} s, max {max(times):.3f} s")


def _colons(mac: str) -> str:
    return ":".join(mac[start : start + 2] for start in range(0, 12, 2))


if __name__ == "__main__":
    main()
