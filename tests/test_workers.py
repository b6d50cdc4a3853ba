"""`serve --workers N`: one port, dead workers replaced, and nobody refused while they are."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.rotation.processes import children
from tests.shell import Process, Shell
from tests.test_cli import load_sample

_LONGEST: Final = 60  # seconds; a supervisor itself gives each worker 30 to begin
_CLIENTS: Final = 2  # more would take the processor from the workers that are to begin


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def supervisor(shell: Shell) -> Iterator[Process]:
    with shell.serving("--workers", "2") as process:
        yield process


def workers(supervisor: Process) -> set[int]:
    return set(children(supervisor.pid))


async def replaced(supervisor: Process, before: set[int], number: int) -> set[int]:
    """The workers, once `number` of those before are others."""
    async with asyncio.timeout(_LONGEST):
        while len(workers(supervisor)) < 2 or len(before - workers(supervisor)) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return workers(supervisor)


@dataclass
class Fetches:
    done: int = 0
    over: bool = False
    wrong: list[object] = field(default_factory=list)

    async def more(self, number: int = 40) -> None:
        """Until so many more have ended."""
        wanted = self.done + number
        async with asyncio.timeout(_LONGEST):
            while self.done < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def fetching(url: str, trusting: ssl.SSLContext | bool = True) -> AsyncIterator[Fetches]:
    """Fetches on and on, each time on a connection of its own."""
    fetches = Fetches()

    async def fetch(http: aiohttp.ClientSession) -> None:
        while not fetches.over:
            try:
                async with http.get(url) as answer:
                    if answer.status != 200 or not await answer.read():
                        fetches.wrong.append(answer.status)
            except aiohttp.ClientError as error:
                fetches.wrong.append(error)
            fetches.done += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting, force_close=True)) as http:
        tasks = [asyncio.create_task(fetch(http)) for _ in range(_CLIENTS)]
        yield fetches
        # To its end: one that is cut off as it connects leaves its connection open.
        fetches.over = True
        await asyncio.gather(*tasks)


def url(shell: Shell) -> str:
    return f"{load_sample(shell)['provisioning_url']}805ec0102001.cfg"


async def test_both_serve(shell: Shell, supervisor: Process) -> None:
    assert len(workers(supervisor)) == 2
    async with fetching(url(shell)) as fetches:
        await fetches.more()
    assert fetches.wrong == []


async def test_a_worker_that_is_killed_is_replaced_and_what_comes_later_is_served(
    shell: Shell, supervisor: Process
) -> None:
    before = workers(supervisor)
    async with fetching(url(shell)) as fetches:
        await fetches.more()
        os.kill(next(iter(before)), signal.SIGKILL)
        after = await replaced(supervisor, before, 1)
        lost = len(fetches.wrong)
        await fetches.more()
    assert len(after & before) == 1
    assert lost <= _CLIENTS  # what the dead one had begun
    assert fetches.wrong[lost:] == []


async def test_all_are_replaced_one_by_one_and_nobody_is_refused(shell: Shell, supervisor: Process) -> None:
    before = workers(supervisor)
    async with fetching(url(shell)) as fetches:
        await fetches.more()
        os.kill(supervisor.pid, signal.SIGHUP)
        await replaced(supervisor, before, 2)
        await fetches.more()
    assert fetches.wrong == []


async def test_what_cannot_serve_replaces_nobody(shell: Shell, supervisor: Process) -> None:
    before, address = workers(supervisor), url(shell)
    (shell.folder / "platform.toml").write_text("sip_port = 70000\n")
    async with fetching(address) as fetches:
        os.kill(supervisor.pid, signal.SIGHUP)
        async with asyncio.timeout(_LONGEST):
            while "go on as they were" not in (shell.folder / "server.log").read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await fetches.more()
    assert workers(supervisor) == before and fetches.wrong == []


async def test_what_was_begun_is_answered_before_the_workers_end(shell: Shell, supervisor: Process) -> None:
    """A login takes long enough: it hashes a password."""
    load_sample(shell)
    body = {"email": "office@harbourlane.example", "password": "a wrong one"}
    async with aiohttp.ClientSession() as http:
        login = asyncio.create_task(http.post(f"{shell.url}/api/v1/session", json=body))
        await asyncio.sleep(0.03)
        supervisor.terminate()
        assert (await login).status == 401
    assert await asyncio.to_thread(supervisor.wait) == 0


async def test_workers_end_when_their_supervisor_is_killed(shell: Shell, supervisor: Process) -> None:
    left = workers(supervisor)
    supervisor.kill()
    async with asyncio.timeout(_LONGEST):
        while any(Path(f"/proc/{pid}").exists() for pid in left):  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.05)
