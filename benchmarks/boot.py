"""How near a phone's fetch is to a bare aiohttp handler that answers the same bytes.

    python -m benchmarks.boot [--database sqlite|postgresql] [--phones 1000] [--seconds 2] [--rounds 5]
        [--fetched 1000] [--tls]

One server process listens on two ports: on one with everything, the boot log too, on the other with a bare
handler. A client process asks both in turns and prints requests/s, the ratio, p50 and p99 in milliseconds,
and the server's CPU time of a request: on kept and on fresh connections, and of first fetches, which all
render.
"""

import argparse
import asyncio
import contextlib
import itertools
import logging
import multiprocessing
import re
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from aiohttp import web

from benchmarks.databases import database
from provisioning import device_csv, devices, gathering
from provisioning.app import make_app, settle
from provisioning.config import Config
from provisioning.listener import listening
from provisioning.load import load
from provisioning.parts import DATABASE, VAULT, rendering
from provisioning.samples import account_file
from tests.certificates import self_signed, trusting
from tests.ports import free_port

CONNECTIONS: Final = 32
MODEL: Final = "T46S"


@dataclass(frozen=True)
class Server:
    pid: int
    ours: int  # port
    bare: int  # port
    token: str
    macs: Sequence[str]

    def cpu(self) -> float:
        """Seconds that the process has used, by Linux's clock of another process."""
        return time.clock_gettime(~self.pid << 3 | 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--phones", type=int, default=1000, help="in the database")
    parser.add_argument("--fetched", type=int, default=1000, help="of which so many fetch")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tls", action="store_true", help="over TLS with an ECDSA certificate")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        database(options.database, Path(name)) as url,
        running(url, Path(name), options) as server,
    ):
        measure(server, options)


@contextlib.contextmanager
def running(url: str, folder: Path, options: argparse.Namespace) -> Iterator[Server]:
    here, there = multiprocessing.get_context("spawn").Pipe()
    arguments = (there, url, folder, options)
    process = multiprocessing.get_context("spawn").Process(target=serve, args=arguments, daemon=True)
    process.start()
    there.close()  # or nobody would notice that the process has died
    ours, bare, token, macs = here.recv()
    assert process.pid
    yield Server(process.pid, ours, bare, token, macs)
    process.kill()
    process.join()


def serve(pipe: Connection, url: str, folder: Path, options: argparse.Namespace) -> None:
    logging.disable(logging.WARNING)
    asyncio.run(_serve(pipe, url, folder, options))


async def _serve(pipe: Connection, url: str, folder: Path, options: argparse.Namespace) -> None:
    context = None
    if options.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self_signed(folder))
    app = make_app(Config(database_url=url, key_file=folder / "keys.json"))
    await app[DATABASE].migrate()
    macs = [f"249ad8{number:06x}" for number in range(options.phones)]
    async with app[DATABASE].write() as session:
        loaded = await load(session, app[VAULT], rendering(app), account_file().read_text("utf-8"))
    for start in range(0, len(macs), device_csv.MOST):
        rows = [f"{mac},{MODEL},4201,Reception\n" for mac in macs[start : start + device_csv.MOST]]
        text = "mac,model,lines,button_template\n" + "".join(rows)
        async with app[DATABASE].write() as session:
            await device_csv.import_(session, rendering(app), loaded.account_id, text)
    token = str(loaded.provisioning_url).split("/")[-2]
    async with app[DATABASE].read() as session:
        device = await devices.find(session, loaded.account_id, macs[0])
        assert device
        phone = await gathering.gather(session, app[VAULT], rendering(app), device, token)
        body = (await gathering.files(session, rendering(app), device, phone))[f"{macs[0]}.cfg"]
    headers = {"Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8"}

    async def bare(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    plain = web.Application()
    plain.router.add_get("/{path:.*}", bare)
    await settle(app)
    ours = free_port()
    async with listening(app, context, host="127.0.0.1", port=ours):
        pipe.send((ours, await _listen(plain, context), token, macs))
        await asyncio.Event().wait()


async def _listen(app: web.Application, context: ssl.SSLContext | None) -> int:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    return port


def measure(server: Server, options: argparse.Namespace) -> None:
    fetched = server.macs[: options.fetched]
    where = f"{options.database}, {options.phones} phones, {'TLS' if options.tls else 'plain'}"
    print(f"{where}: requests/s, ms and µs of CPU; ratio to the bare handler")
    cold = iter([f"/p/{server.token}/{mac}.cfg" for mac in reversed(server.macs)])
    if len(server.macs) > len(fetched):
        told = turn(
            kept, server.ours, server, itertools.islice(cold, len(server.macs) - len(fetched)), options
        )
        print(f"  first fetches, kept   ours {told}")
    warm = [f"/p/{server.token}/{mac}.cfg" for mac in fetched]
    asyncio.run(kept(server.ours, iter(warm), options.tls))
    for name, way in (("kept", kept), ("fresh", fresh)):
        ratios, ours, bare = [], [], []
        for _ in range(options.rounds):
            ours.append(turn(way, server.ours, server, itertools.cycle(warm), options))
            bare.append(turn(way, server.bare, server, itertools.cycle(warm), options))
            ratios.append(ours[-1].rate / bare[-1].rate)
        middle = sorted(range(len(ratios)), key=ratios.__getitem__)[len(ratios) // 2]
        print(f"  {name:5} ours {ours[middle]}\n        bare {bare[middle]}")
        print(f"        ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


@dataclass(frozen=True)
class Told:
    rate: float
    p50: float
    p99: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.rate:7.0f}/s  p50 {self.p50:.2f}  p99 {self.p99:.2f}  CPU {self.cpu:.0f}"


Way = Callable[[int, Iterator[str], bool], Awaitable[list[float]]]


def turn(way: Way, port: int, server: Server, paths: Iterator[str], options: argparse.Namespace) -> Told:
    until = time.monotonic() + options.seconds
    timed = itertools.takewhile(lambda _: time.monotonic() < until, paths)
    cpu, begun = server.cpu(), time.perf_counter()
    waits = asyncio.run(way(port, timed, options.tls))  # type: ignore[arg-type]
    took = time.perf_counter() - begun
    centiles = statistics.quantiles(waits, n=100)
    return Told(
        len(waits) / took, centiles[49] * 1e3, centiles[98] * 1e3, (server.cpu() - cpu) / len(waits) * 1e6
    )


class _Kept(asyncio.Protocol):
    """Asks again on one connection as soon as an answer is whole."""

    def __init__(self, paths: Iterator[str], waits: list[float]) -> None:
        self.paths, self.waits = paths, waits
        self.done = asyncio.get_running_loop().create_future()
        self.left = 0
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.ask()

    def ask(self) -> None:
        path = next(self.paths, None)
        if path is None:
            self.transport.close()
            self.done.set_result(None)
            return
        self.begun = time.perf_counter()
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if not self.left:
            self.head += data
            head, found, body = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length
            self.left = int(length[1])
            self.head, data = b"", body
        self.left -= len(data)
        if not self.left:
            self.waits.append(time.perf_counter() - self.begun)
            self.ask()


async def kept(port: int, paths: Iterator[str], tls: bool) -> list[float]:
    waits: list[float] = []
    context = trusting() if tls else None
    made = [
        await asyncio.get_running_loop().create_connection(
            lambda: _Kept(paths, waits), "127.0.0.1", port, ssl=context
        )
        for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    return waits


async def fresh(port: int, paths: Iterator[str], tls: bool) -> list[float]:
    """A connection for each request, as phones come."""
    waits: list[float] = []
    lock = threading.Lock()
    context = trusting() if tls else None

    def ask() -> None:
        while True:
            with lock:
                path = next(paths, None)
            if path is None:
                return
            begun = time.perf_counter()
            connection: socket.socket = socket.create_connection(("127.0.0.1", port))
            if context:
                connection = context.wrap_socket(connection)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            while connection.recv(65536):
                pass
            connection.close()
            waits.append(time.perf_counter() - begun)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(threads, ask) for _ in range(CONNECTIONS))
        )
    return waits


if __name__ == "__main__":
    main()
