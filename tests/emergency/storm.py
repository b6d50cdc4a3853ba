"""A storm: calls reported to several server processes, whose mail relays misbehave and that are killed.

Each process has a relay of its own, so that a relay knows whom to kill: at a greeting, when the mail is
claimed and not sent, or once it has taken the mail, before it says so. The client that reports kills too,
as soon as it has its 202.
"""

import asyncio
import os
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, get_args

import aiohttp
import sqlalchemy as sa

from provisioning import emergency, outbox
from provisioning.db import Database
from provisioning.schedule import Schedule
from tests.emergency import worker
from tests.mail_relay import Fault, MailRelay, Received
from tests.ports import free_port
from tests.shell import Process

Key = tuple[str, str]  # a call id and a recipient

_GREETING: Final[tuple[Fault, ...]] = ("hang_at_greeting", "drop_at_greeting")
_LATER: Final[tuple[Fault, ...]] = tuple(fault for fault in get_args(Fault) if fault not in _GREETING)
_KILLS: Final = ("answer", "greeting", "taken")  # calls are reported first, mails are sent to the end


@dataclass
class Storm:
    """`faults` is the share of attempts that go wrong, `kills` how often a process is killed.

    `unclear` counts for each mail the attempts after which its sender cannot know whether it arrived: its
    relay took it and broke off or was too slow to say so, or its process was killed before it noted that.
    """

    database_url: str
    key_file: Path
    api_key: str
    callers: tuple[str, ...]
    calls: int
    workers: int = 3
    faults: float = 0.3
    kills: int = 3
    gap: float = 0.0  # seconds between two calls
    schedule: Schedule = field(default_factory=Schedule)
    quiet: bool = False
    unclear: Counter[Key] = field(default_factory=Counter)
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(7)
        self.database = Database(self.database_url)
        self.servers = [_Server(self) for _ in range(self.workers)]
        self._reported = 0

    async def run(self) -> Counter[Key]:
        """How often each recipient got the mail of each call, once none is waiting any more."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            for server in self.servers:
                await stack.enter_async_context(server.running())
            http = await stack.enter_async_context(aiohttp.ClientSession())
            async with asyncio.TaskGroup() as group:
                for number in range(self.calls):
                    # Told twice at once, as by a switch that is not sure: it is one call all the same.
                    for _ in range(2):
                        group.create_task(self._report(http, number))
                    await asyncio.sleep(self.gap or self.schedule.poll / 10)
            while await self._waiting():  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(self.schedule.poll)
            broken_off = Counter(key for server in self.servers for key in server.broken_off)
            self.unclear.update(broken_off | await self._seen_as_unclear())
        return Counter(map(key, self.mails()))

    def mails(self) -> list[Received]:
        return [mail for server in self.servers for mail in server.relay.received]

    def doomed(self, server: "_Server", step: str) -> bool:
        """Whether the server is killed at this step; the kills are spread over the storm."""
        due = self._reported * (self.kills + 1) // (2 * self.calls)
        if len(self.killed) >= min(due, self.kills) or step != _KILLS[len(self.killed) % len(_KILLS)]:
            return False
        self.killed.append(step)
        server.kill()
        return True

    def fault(self, recipient: str) -> Fault | None:
        if self.chance.random() >= self.faults / 2:  # it is asked twice for each attempt
            return None
        return self.chance.choice(_LATER if recipient else _GREETING)

    async def _report(self, http: aiohttp.ClientSession, number: int) -> None:
        body = {
            "call_id": f"call-{number}",
            "dialed": "933" if number % 3 else "911",
            "sip_username": self.callers[number % len(self.callers)],
        }
        headers = {"Authorization": f"Bearer {self.api_key}"}
        while True:
            server = self.chance.choice(self.servers)
            url = f"http://127.0.0.1:{server.port}/api/v1/switch/emergency-calls"
            try:
                async with http.post(url, json=body, headers=headers) as answer:
                    assert answer.status == 202, await answer.text()
                self._reported += 1
                self.doomed(server, "answer")
                return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)  # it was killed, or has not begun

    async def _waiting(self) -> bool:
        async with self.database.read() as session:
            waits = sa.select(outbox.Row.id).where(outbox.Row.state == "waiting").limit(1)
            return await session.scalar(waits) is not None

    async def _seen_as_unclear(self) -> Counter[Key]:
        query = sa.select(emergency.Row.call_id, outbox.Row.recipient, outbox.Row.unclear).join(
            outbox.Row, outbox.Row.emergency_call_id == emergency.Row.id
        )
        async with self.database.read() as session:
            return Counter({(call, to): times for call, to, times in await session.execute(query)})

    async def unmarked(self) -> set[Key]:
        """The mails that the database does not know to be delivered."""
        query = sa.select(emergency.Row.call_id, outbox.Row.recipient).join(
            outbox.Row, outbox.Row.emergency_call_id == emergency.Row.id
        )
        async with self.database.read() as session:
            rows = await session.execute(query.where(outbox.Row.state != "delivered"))
            return {(call_id, recipient) for call_id, recipient in rows}


class _Server:
    """A process and its relay; when it is killed another takes its place."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.port = free_port()
        self.relay = MailRelay(fault=storm.fault, on_step=self._on_step)
        self.broken_off: list[Key] = []
        self._of_the_dead = 0  # connections up to this number are of processes that were killed
        self._process: Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.relay.running():
            task = asyncio.create_task(self._keep())
            try:
                yield
            finally:
                task.cancel()
                assert self._process is not None
                self._process.terminate()
                assert await asyncio.to_thread(self._process.wait) == 0

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    async def _keep(self) -> None:
        while True:
            before = len(self.relay.received)
            storm = self.storm
            self._process = Process(
                worker.serve,
                (storm.database_url, storm.key_file, self.port, self.relay.port, storm.schedule),
                folder=storm.key_file.parent,
                environ={},
                err=Path(os.devnull) if storm.quiet else None,
            )
            await asyncio.to_thread(self._process.wait, None)
            self._of_the_dead = self.relay.connections
            taken = {key(mail) for mail in self.relay.received[before:]}
            self.storm.unclear.update(taken & await self.storm.unmarked())

    def _on_step(self, step: str, recipient: str) -> None:
        if step == "dropped":
            self.broken_off.append(key(self.relay.received[-1]))
        if step == "taken" and self.relay.received[-1].connection <= self._of_the_dead:
            self.storm.unclear[key(self.relay.received[-1])] += 1
        self.storm.doomed(self, step)


def key(mail: Received) -> Key:
    found = re.search(r"^Call id: +(\S+)$", mail.text, re.MULTILINE)
    assert found
    return found[1], mail.recipient
