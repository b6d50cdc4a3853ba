"""The disk is full: phones that only read are served, nothing is acknowledged that is not kept, and with room
again all is well without a restart."""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from tests.bad_days import server
from tests.bad_days.conftest import Askers, is_clean, is_problem, until
from tests.conftest import Stock
from tests.ports import free_port
from tests.shell import Process

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@dataclass
class Disk:
    """`folder` is on it; `fill` leaves the process no byte to write, `clear` gives it room again."""

    folder: Path
    fill: Callable[[int], None]
    clear: Callable[[int], None]


@pytest.fixture(params=["limited files", "small disk"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "limited files":
        most = resource.RLIM_INFINITY
        yield Disk(
            tmp_path,
            lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most)) and None,
            lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most)) and None,
        )
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("only root may make a small file system")
    try:
        yield Disk(folder, lambda _: _fill(folder / "ballast"), lambda _: (folder / "ballast").unlink())
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@dataclass
class Served:
    askers: Askers
    fill: Callable[[], None]
    clear: Callable[[], None]
    log: Path


@pytest.fixture
async def served(disk: Disk, stock: Stock, tmp_path: Path) -> AsyncIterator[Served]:
    """A server process whose database and log are on the disk."""
    file = shutil.copy(stock.url.removeprefix("sqlite:///"), disk.folder / "served.db")
    port, log = free_port(), disk.folder / "log"
    log.write_text("")
    arguments = f"sqlite:///{file}", stock.key_file, port
    process = Process(server.serve, arguments, folder=tmp_path, environ={}, err=log)
    try:
        async with aiohttp.ClientSession() as http:
            askers = Askers(http, f"http://127.0.0.1:{port}", replace(stock, url=f"sqlite:///{file}"))

            async def answers() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    return await askers.health() == 200
                return False

            await until(answers)
            yield Served(askers, lambda: disk.fill(process.pid), lambda: disk.clear(process.pid), log)
    finally:
        process.terminate()
        process.wait()


async def test_a_full_disk_is_survived(served: Served) -> None:
    askers = served.askers
    assert (await askers.upload("<before/>")).status == 201
    served.fill()
    assert (await askers.fetch()).status == 200
    assert (await askers.fetch("001565102002.cfg")).status == 200
    assert is_clean(await askers.upload("<while/>"))
    for refused in (
        await askers.location("while"),
        await askers.call("while"),
        await askers.api("GET", "/devices"),  # which has an entry, too
        await askers.log_in(),
    ):
        assert is_problem(refused)
    assert await askers.health() == 200

    async def waits() -> bool:
        told = await askers.metrics()
        failing = told["provisioning_database_write_failing"] == 1
        in_vain = told["provisioning_boot_log_failed_writes_total"] > 0
        return failing and in_vain and told["provisioning_boot_log_waiting"] >= 3

    await until(waits)
    served.clear()
    assert (await askers.location("after")).status == 201
    assert (await askers.call("after")).status == 202
    assert (await askers.fetch("805ec0102001-contact.xml")).body == b"<before/>"
    assert (await askers.upload("<after/>")).status == 201

    async def written() -> bool:
        told = await askers.metrics()
        assert told["provisioning_boot_log_dropped_total"] == 0
        return told["provisioning_boot_log_waiting"] == 0 and await askers.seen() == 5

    await until(written)
    assert (await askers.metrics())["provisioning_database_write_failing"] == 0
    assert b'"while"' not in (await askers.api("GET", "/locations")).body
    assert b'"while"' not in (await askers.api("GET", "/emergency-calls")).body
