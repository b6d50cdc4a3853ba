"""The sender: in every server process, it takes what is due in the outbox and gives it to a relay."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import emergency, outbox, overdue
from provisioning.db import Database, now
from provisioning.letter import Letters
from provisioning.outbox import Mail
from provisioning.post import Post
from provisioning.relay import Relay
from provisioning.schedule import Schedule
from provisioning.smtp import Unsent
from provisioning.wall_clock import WallClock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _End:
    """How an attempt ended, and when; it is written down in the next round."""

    mail: Mail
    at: datetime
    fault: Unsent | None


class Sender:
    """Several processes share one outbox: each mail is claimed in the database before it is sent."""

    def __init__(
        self, database: Database, relays: Sequence[Relay], letters: Letters, schedule: Schedule
    ) -> None:
        self._database = database
        self._post = Post(relays)
        self._letters = letters
        self._schedule = schedule
        self._clock = WallClock()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = asyncio.Event()
        self._sending: dict[str, tuple[Mail, asyncio.Task[None]]] = {}
        self._ended: list[_End] = []

    @property
    def has_relay(self) -> bool:
        return bool(self._post.relays)

    def wake(self) -> None:
        """Something is due now."""
        self._wake.set()

    async def settled(self) -> None:
        """Returns when this process sends nothing, and how each attempt ended is written down."""
        await self._idle.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if not self.has_relay:
            _log.warning(outbox.NO_RELAY)
        tasks = [asyncio.create_task(self._forever(step)) for step in (self._take, self._tell_late)]
        try:
            yield
        finally:
            self._stopping.set()
            self._wake.set()
            await self._end(tasks)

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            try:
                await step()
            except Exception as error:
                # Whatever it is, the next round must come: a sender that has ended is noticed by nobody.
                _log.critical("the outbox of emergency mails cannot be used: %s", type(error).__name__)
                await self._pause(self._stopping)

    async def _take(self) -> None:
        self._wake.clear()
        await self._round()
        await self._pause(self._wake)

    async def _round(self) -> None:
        """Writes down what has ended and takes what is due, in one transaction if there is any of either."""
        ended = self._ended[:]
        fresh, again = self._free()
        if ended or ((fresh or again) and await self._is_due()):
            async with self._database.write() as session:
                await self._mark(session, ended)
                mails = await self._claim(session, fresh, again)
                calls = await emergency.rows(session, {mail.emergency_call_id for mail in mails})
            del self._ended[: len(ended)]
            for mail in mails:
                task = asyncio.create_task(self._send(mail, calls[mail.emergency_call_id]))
                self._sending[mail.id] = mail, task
            for end in ended:
                self._log_end(end)
        if self._sending or self._ended:
            self._idle.clear()
        else:
            self._idle.set()

    async def _pause(self, until: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._schedule.poll):
                await until.wait()

    async def _is_due(self) -> bool:
        async with self._database.read() as session:
            return self.has_relay and await outbox.is_due(session, self._schedule, now())

    async def _claim(self, session: AsyncSession, fresh: int, again: int) -> list[Mail]:
        if not self.has_relay or self._stopping.is_set():
            return []
        ours = {*self._sending, *(end.mail.id for end in self._ended)}
        return await outbox.claim(session, self._schedule, fresh=fresh, again=again, at=now(), but=ours)

    def _free(self) -> tuple[int, int]:
        again = sum(mail.attempt > 1 for mail, _ in self._sending.values())
        fresh = len(self._sending) - again
        if self._clock.has_jumped(self._schedule.lease(self._schedule.patient).total_seconds()):
            return self._schedule.lane - fresh, 0  # claims look lapsed whose mails are being sent
        return self._schedule.lane - fresh, self._schedule.lane - again

    async def _send(self, mail: Mail, call: emergency.Row) -> None:
        fault = await self._attempt(mail, call)
        self._ended.append(_End(mail, now(), fault))
        del self._sending[mail.id]
        self._wake.set()

    async def _attempt(self, mail: Mail, call: emergency.Row) -> Unsent | None:
        """Why the mail was not sent; None when a relay has it."""
        try:
            letter = self._letters.emergency(emergency.call_of(call), mail)
            await self._post.deliver(letter, self._schedule.time_for(mail.attempt))
        except Unsent as error:
            return error
        except Exception as error:
            # No fault of ours may keep the mail from being tried again.
            _log.error("mail %s cannot be sent: %s", mail.id, type(error).__name__)
            return Unsent(f"our fault: {type(error).__name__}")
        return None

    async def _mark(self, session: AsyncSession, ended: Sequence[_End]) -> None:
        await outbox.delivered(session, {end.mail.id: end.at for end in ended if end.fault is None})
        for end in sorted(ended, key=lambda end: end.mail.id):
            if end.fault is None:
                continue
            delay = self._schedule.delay(end.mail.attempt)
            until = None if delay is None else end.at if self._stopping.is_set() else end.at + delay
            await outbox.put_off(
                session, end.mail, until=until, why=str(end.fault), unclear=end.fault.unclear
            )

    def _log_end(self, end: _End) -> None:
        if end.fault is None:
            return
        mail = end.mail
        _log.warning("mail %s to %s, attempt %d: %s", mail.id, mail.recipient, mail.attempt, end.fault)
        if self._schedule.delay(mail.attempt) is None:
            _log.critical(
                "emergency call %s: the mail to %s is given up after %d attempts",
                mail.emergency_call_id,
                mail.recipient,
                mail.attempt,
            )

    async def _tell_late(self) -> None:
        await overdue.tell(self._database)
        await self._pause(self._stopping)

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """What is being sent has a moment to end, then it is cut off and its mails are free for others."""
        await asyncio.wait(tasks, timeout=self._schedule.grace)
        for cut in (False, True):
            if cut:
                self._post.close()
            if sending := [task for _, task in self._sending.values()]:
                await asyncio.wait(sending, timeout=self._schedule.grace)
        last = asyncio.create_task(self._round())
        await asyncio.wait([last], timeout=self._schedule.grace)
        left = [*tasks, last, *(task for _, task in self._sending.values())]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
