"""How good phones fare while thousands of clients are slow on purpose, and how soon each of these is gone.

    python -m benchmarks.slow_clients [--clients 5000] [--rate 50] [--seconds 40]
        [--database sqlite|postgresql]

One server, as `provisioning serve` starts it. A process of its own keeps so many connections open: a fifth
each that send nothing, half a head byte by byte, a body byte by byte, a request and no more, and requests
without reading the answers; they begin one after the other, and whoever is cut off comes again. Good phones
fetch at a steady rate, each on a connection of its own, first alone and then among them. Prints their p50,
p99 and slowest in milliseconds, what was not a 200, and how long slow connections lasted at most.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from benchmarks.databases import database
from provisioning.connection import IDLE, raise_file_limit
from tests.ports import free_port

FILE: Final = "805ec0102001.cfg"
COMMAND: Final = Path(sys.executable).with_name("provisioning")
ESTABLISHED: Final = b"\x01"  # Linux's first byte of TCP_INFO
AT_ONCE: Final = 100  # connections that are being opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=50, help="fetches a second")
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        database(options.database, Path(name)) as url,
        serving(Path(name), url) as (port, path),
    ):
        told("alone", asyncio.run(good(port, path, options.rate, options.seconds / 2)))
        with slow(port, path, options.clients) as pipe:
            there = pipe.recv()
            told(f"among {there} slow", asyncio.run(good(port, path, options.rate, options.seconds)))
            pipe.send("enough")
            ended, longest = pipe.recv()
        print(f"  {ended} slow connections were cut off; the longest lasted {longest:.1f} s")


@contextlib.contextmanager
def serving(folder: Path, url: str) -> Iterator[tuple[int, str]]:
    """The port, and the path of the provisioning URL."""
    port = free_port()
    environ = {
        **os.environ,
        "PROVISIONING_DATABASE_URL": url,
        "PROVISIONING_KEY_FILE": str(folder / "keys.json"),
        "PROVISIONING_BASE_URL": f"http://127.0.0.1:{port}",
        "PROVISIONING_LOG_LEVEL": "error",
    }
    demo = subprocess.run([COMMAND, "demo"], env=environ, capture_output=True, text=True, check=True)
    process = subprocess.Popen([COMMAND, "serve", "--port", str(port)], env=environ)
    try:
        yield port, f"/p/{demo.stdout.partition('/p/')[2].split('/')[0]}/"
    finally:
        process.terminate()
        process.wait()


async def good(port: int, path: str, rate: float, seconds: float) -> list[tuple[float, bool]]:
    """Of each fetch the seconds that it took, and whether it brought the file."""
    request = f"GET {path}{FILE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()

    async def fetch() -> tuple[float, bool]:
        began = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await reader.read()
            writer.close()
        except OSError:
            answer = b""
        return time.perf_counter() - began, answer.startswith(b"HTTP/1.1 200 ") and len(answer) > 5_000

    while not (await fetch())[1]:  # noqa: ASYNC110  # until the server has begun
        await asyncio.sleep(0.1)
    began, fetches = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(began + number / rate - time.perf_counter())
        fetches.append(asyncio.create_task(fetch()))
    return await asyncio.gather(*fetches)


def told(what: str, fetches: list[tuple[float, bool]]) -> None:
    taken = [seconds * 1000 for seconds, _ in fetches]
    percentiles = statistics.quantiles(taken, n=100)
    failed = sum(not fine for _, fine in fetches)
    print(
        f"{what}: {len(fetches)} fetches, p50 {percentiles[49]:.1f} p99 {percentiles[98]:.1f} "
        f"slowest {max(taken):.1f} ms, {failed} not served",
        flush=True,
    )


@contextlib.contextmanager
def slow(port: int, path: str, clients: int) -> Iterator[Connection]:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_slow, args=(there, port, path, clients), daemon=True)
    process.start()
    yield here
    process.join()


def _slow(pipe: Connection, port: int, path: str, clients: int) -> None:
    raise_file_limit()
    asyncio.run(_keep_slow(pipe, port, path, clients))


async def _keep_slow(pipe: Connection, port: int, path: str, clients: int) -> None:
    lives: list[float] = []
    opening, there = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(0)
    kinds = (nothing, half_a_head, a_body, no_more, reading_none)

    async def one(number: int) -> None:
        kind, first = kinds[number % len(kinds)], True
        await asyncio.sleep(IDLE * number / clients)  # or all would be cut off, and come again, at once
        while True:
            async with opening:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**12)
                except OSError:
                    continue
            began = time.monotonic()
            if first:
                there.release()
                first = False
            with contextlib.suppress(OSError):
                await kind(reader, writer, path)
            lives.append(time.monotonic() - began)
            writer.transport.abort()

    tasks = [asyncio.create_task(one(number)) for number in range(clients)]
    for _ in range(clients):
        await there.acquire()
    pipe.send(clients)
    await asyncio.to_thread(pipe.recv)
    pipe.send((len(lives), max(lives, default=0.0)))
    for task in tasks:
        task.cancel()


async def nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _path: str) -> None:
    await reader.read()


async def half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    await drip(reader, writer, f"GET {path}{FILE} HTTP/1.1\r\nHost: {'x' * 1000}".encode())


async def a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(
        f"PUT {path}64167f102005-app.log HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n".encode()
    )
    await drip(reader, writer, b"x" * 1000)


async def no_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    writer.write(f"GET {path}{FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while await reader.read(65536):
        pass


async def reading_none(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    """Of what is more than its own kernel takes for it."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(f"GET {path}{FILE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 4)
    while sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == ESTABLISHED:  # noqa: ASYNC110
        await asyncio.sleep(0.25)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drops: bytes) -> None:
    for drop in drops:
        writer.write(bytes([drop]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await reader.read()
                return


if __name__ == "__main__":
    main()
