"""The hammer: phones fetch from many workers while admins rotate, change settings, and workers are killed.

All that the clients see is a history, which is judged window by window: between two of them nothing is under
way, and it is known which generation and which settings are live.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

import sqlalchemy as sa

from provisioning.db import Database
from tests.rotation import bodies
from tests.rotation.admin import Admin
from tests.rotation.client import Answer, Client
from tests.rotation.history import faults
from tests.rotation.operations import Fetch, Look
from tests.rotation.seen import Seen, Target
from tokens.table import Row

# A Yealink's and a Polycom's own, and one that holds the token alone.
_FILES: Final = ("805ec0102001.cfg", "64167f102005-account.cfg", "y000000000096.cfg")
_SHARED: Final = _FILES[2]
_UPLOADS: Final = ("805ec0102001-boot.log", "64167f102005-app.log")
_OUTCOMES: Final = {200: True, 201: True, 404: False}


@dataclass(frozen=True)
class Window:
    """How much happens between two judgements."""

    rotations: int = 24
    kills: int = 2
    least: int = 20  # fetches between two rotations of an admin, and between two changes of settings
    most: int = 100  # fetches between two writes


class Hammer:
    def __init__(self, target: Target, *, clients: int = 24, admins: int = 2) -> None:
        self.seen = Seen(target)
        self.counts = self.seen.counts
        self._database = Database(target.database_url)
        servers = [target.servers[number % len(target.servers)] for number in range(clients)]
        self._phones = [Client(each.port, kept=n // 2 % 2 == 1) for n, each in enumerate(servers)]
        self._admins = [Admin(self.seen, each) for each in servers[:admins]]
        self._writer = Admin(self.seen, servers[-1])
        self._live = 0, 0  # generation and settings at the beginning of a window

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """The block can have windows; it must end before the server does."""
        try:
            await self._settle()
            self.seen.history.clear()
            yield
        finally:
            for phone in self._phones:
                phone.close()
            for admin in (*self._admins, self._writer):
                admin.close()
            await self._database.close()

    async def window(self, window: Window = Window()) -> list[str]:
        """What was wrong in it."""
        self.seen.over = False
        generation, settings = self._live
        async with asyncio.TaskGroup() as group:
            for number, phone in enumerate(self._phones):
                group.create_task(self._phone(phone, window.most, uploads=number < 2))
            group.create_task(self._change(window))
            group.create_task(self._look())
            await self._rotate(window)
            self.seen.end()
        await self._settle()
        found = faults(self.seen.history, generation, settings)
        self.seen.history.clear()
        return found

    async def _settle(self) -> None:
        """A change waits for whatever a dead worker had sent to the database, so that a look then is the last
        word."""
        while (settings := await self._writer.change()) is None:
            pass
        self._live = await self._writer.look(), settings

    async def _rotate(self, window: Window) -> None:
        share = window.rotations // len(self._admins)

        async def rotate(admin: Admin, kills: int) -> None:
            for number in range(share):
                await self.seen.more(window.least)
                await admin.rotate(kill=(number + 1) * kills // share > number * kills // share)

        async with asyncio.TaskGroup() as group:
            for number, admin in enumerate(self._admins):
                group.create_task(rotate(admin, 0 if number else window.kills))

    async def _change(self, window: Window) -> None:
        while not self.seen.over:
            await self._writer.change()
            await self.seen.more(window.least)

    async def _look(self) -> None:
        """In the database itself."""
        current = sa.select(Row.generation).where(Row.state == "current")
        while not self.seen.over:
            begun = monotonic()
            async with self._database.read() as session:
                live = tuple(await session.scalars(current))
            self.seen.note(Look(begun, monotonic(), live), "looks")
            await self.seen.more(5)

    async def _phone(self, client: Client, most: int, *, uploads: bool) -> None:
        seen = self.seen
        while not seen.over:
            file = seen.chance.choice(_UPLOADS if uploads else _FILES)
            generation, begun = seen.some_generation(), monotonic()
            path = f"/p/{seen.tokens[generation]}/{file}"
            try:
                answer = await client.ask("PUT" if uploads else "GET", path, b"a line\n" * uploads)
            except OSError:
                seen.note(Fetch(begun, monotonic(), generation, None), "without an answer")
            else:
                self._note(answer, file, begun, generation)
            await seen.fewer(most)

    def _note(self, answer: Answer, file: str, begun: float, generation: int) -> None:
        ended, served, body = monotonic(), _OUTCOMES.get(answer.status), None
        if answer.status == 200:
            body = bodies.body(answer.body, self.seen.generations, shared=file == _SHARED)
        outcome = {True: "served", False: "refused", None: f"answered {answer.status}"}[served]
        self.seen.note(Fetch(begun, ended, generation, served, body), outcome)
