"""Pruning: what is too old leaves the boot log, a slice at a time, so that nobody waits for it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning.boot_log import KEPT, Row
from provisioning.db import Database, now

_log = logging.getLogger(__name__)
_LOCK: Final = 0x70727565  # any number that no other program on the database takes


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds: a round comes `every` so often, with a `pause` before each slice of so many rows.

    It goes no further than `reach` behind the oldest row. So a clock that jumps ahead by a year costs some
    hours of the log in each hour, and not all of it at once; what has piled up is caught up with as slowly.
    """

    every: float = 3600.0
    reach: float = 7200.0
    pause: float = 0.2
    slice: int = 1000


class Pruner:
    """Runs in every server process; on PostgreSQL one at a time works, on SQLite the others find nothing."""

    def __init__(self, database: Database, rounds: Rounds, *, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._rounds = rounds
        self._clock = clock
        self._ended = asyncio.Event()

    async def settled(self) -> None:
        """Returns when a round has ended since the server began."""
        await self._ended.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self.round()
            except (SQLAlchemyError, OSError) as error:
                # What is too old can wait for the next round.
                _log.error("the boot log cannot be pruned: %s", type(error).__name__)
            self._ended.set()
            await asyncio.sleep(self._rounds.every)

    async def round(self) -> int:
        """How many rows went. They lie in the order in which they were written, so that the first slice
        without an old one is the last."""
        oldest, gone, last = self._clock() - KEPT, 0, 0
        while True:
            await asyncio.sleep(self._rounds.pause)
            # To look for them needs no lock; on SQLite there is one writer at a time.
            async with self._database.read() as session:
                slice = await self._slice(session, last)
            if slice and last == 0:
                first_time = min(time for _, time in slice)
                oldest = min(oldest, first_time + timedelta(seconds=self._rounds.reach))
            if not any(time < oldest for _, time in slice):
                return gone
            first, last = slice[0][0], slice[-1][0]
            async with self._database.write() as session:
                if not await _is_alone(session):
                    return gone
                old = sa.delete(Row).where(Row.id.between(first, last), Row.time < oldest)
                done = await session.execute(old, execution_options={"synchronize_session": False})
            gone += done.rowcount  # type: ignore[attr-defined]

    async def _slice(self, session: AsyncSession, last: int) -> list[tuple[int, datetime]]:
        rows = sa.select(Row.id, Row.time).where(Row.id > last).order_by(Row.id).limit(self._rounds.slice)
        return [(row.id, row.time) for row in await session.execute(rows)]


async def _is_alone(session: AsyncSession) -> bool:
    """Whether no other server prunes, until the transaction ends."""
    if session.get_bind().dialect.name != "postgresql":
        return True
    return bool(await session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))))
