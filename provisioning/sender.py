"""The sender: in every server process, it takes what is due in the outbox and gives it to a relay."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from provisioning import emergency, outbox, smtp
from provisioning.db import Database, now
from provisioning.letter import Letter, Letters
from provisioning.outbox import Mail
from provisioning.relay import Relay
from provisioning.schedule import Schedule
from provisioning.smtp import Unsent

_log = logging.getLogger(__name__)
_ORDINALS: Final = ("first", "second", "third")
_SHUNNED: Final = 60.0  # seconds in which a relay that failed is tried after the others


class Sender:
    """Several processes share one outbox: each mail is claimed in the database before it is sent."""

    def __init__(
        self, database: Database, relays: Sequence[Relay], letters: Letters, schedule: Schedule
    ) -> None:
        self._database = database
        self._relays = relays
        self._letters = letters
        self._schedule = schedule
        self._wake = asyncio.Event()
        self._stopping = False
        self._sending: dict[str, tuple[Mail, asyncio.Task[None]]] = {}
        self._limits: dict[str, asyncio.Timeout] = {}
        self._failed_at: dict[Relay, float] = {}

    @property
    def has_relay(self) -> bool:
        return bool(self._relays)

    def wake(self) -> None:
        """Something is due now."""
        self._wake.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if not self._relays:
            _log.warning(outbox.NO_RELAY)
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._stopping = True
            self._wake.set()
            await self._end(task)

    async def settled(self) -> None:
        """Returns when no mail is being sent by this process."""
        while self._sending:
            await asyncio.wait([task for _, task in self._sending.values()])

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self._round()
            except Exception as error:
                # Whatever it is, the next round must come: a sender that has ended is noticed by nobody.
                _log.critical("emergency mails cannot be taken from the outbox: %s", type(error).__name__)
                await asyncio.sleep(self._schedule.poll)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._schedule.poll):
                    await self._wake.wait()

    async def _round(self) -> None:
        at = now()
        async with self._database.read() as session:
            late, due = await outbox.is_late(session, at), await outbox.is_due(session, at)
        if late:
            await self._tell_late(at)
        fresh, again = self._free()
        if not (self._relays and due and (fresh or again)):
            return
        async with self._database.write() as session:
            mails = await outbox.claim(
                session, self._schedule, fresh=fresh, again=again, at=at, but=self._sending
            )
        for mail in mails:
            self._sending[mail.id] = mail, asyncio.create_task(self._send(mail))

    def _free(self) -> tuple[int, int]:
        again = sum(mail.attempt > 1 for mail, _ in self._sending.values())
        fresh = len(self._sending) - again
        return self._schedule.lane - fresh, self._schedule.lane - again

    async def _send(self, mail: Mail) -> None:
        try:
            await self._marked(mail, await self._attempt(mail))
        finally:
            del self._sending[mail.id]
            self._wake.set()

    async def _attempt(self, mail: Mail) -> Unsent | None:
        """Tries each relay; None when one has the mail."""
        words, unclear = [], False
        try:
            async with self._database.read() as session:
                letter = self._letters.emergency(await emergency.get(session, mail.emergency_call_id), mail)
            for relay in self._in_order():
                try:
                    await self._give(relay, letter, mail)
                    return None
                except Unsent as error:
                    words.append(f"{self._name(relay)}: {error}")
                    unclear = unclear or error.unclear
                if self._stopping:
                    break
        except Exception as error:
            # No fault of ours may keep the mail from being tried again.
            _log.error("mail %s cannot be sent: %s", mail.id, type(error).__name__)
            words.append(f"our fault: {type(error).__name__}")
        return Unsent("; ".join(words), unclear=unclear)

    async def _give(self, relay: Relay, letter: Letter, mail: Mail) -> None:
        limit = asyncio.timeout(self._schedule.time_for(mail.attempt) / len(self._relays))
        self._limits[mail.id] = limit
        try:
            await smtp.deliver(relay, letter, limit)
            self._failed_at.pop(relay, None)
        except Unsent:
            self._failed_at[relay] = asyncio.get_running_loop().time()
            raise
        finally:
            del self._limits[mail.id]

    def _in_order(self) -> list[Relay]:
        """As they are set, but those with recent trouble last: a mail need not find out for itself."""
        since = asyncio.get_running_loop().time() - _SHUNNED
        return sorted(self._relays, key=lambda relay: self._failed_at.get(relay, since) > since)

    def _name(self, relay: Relay) -> str:
        """Not its address: whoever reads this need not be who runs the server."""
        place = self._relays.index(relay)
        return "relay" if len(self._relays) == 1 else f"{_ORDINALS[min(place, 2)]} relay"

    async def _marked(self, mail: Mail, fault: Unsent | None) -> None:
        """Writes down how the attempt ended, as soon as the database takes it."""
        while True:
            try:
                await self._mark(mail, fault)
                return
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                _log.error("mail %s: its attempt cannot be noted: %s", mail.id, type(error).__name__)
                await asyncio.sleep(self._schedule.poll)

    async def _mark(self, mail: Mail, fault: Unsent | None) -> None:
        if fault is None:
            async with self._database.write() as session:
                await outbox.delivered(session, mail, at=now())
            return
        delay = self._schedule.delay(mail.attempt)
        until = None if delay is None else now() if self._stopping else now() + delay
        async with self._database.write() as session:
            await outbox.put_off(session, mail, until=until, why=str(fault), unclear=fault.unclear)
        _log.warning("mail %s to %s, attempt %d: %s", mail.id, mail.recipient, mail.attempt, fault)
        if until is None:
            _log.critical(
                "emergency call %s: the mail to %s is given up after %d attempts",
                mail.emergency_call_id,
                mail.recipient,
                mail.attempt,
            )

    async def _tell_late(self, at: datetime) -> None:
        async with self._database.write() as session:
            late = await outbox.note_late(session, at)
        for mail in late:
            _log.critical(
                "emergency call %s: the mail to %s is not delivered after 60 seconds and %d attempts",
                mail.emergency_call_id,
                mail.recipient,
                mail.attempts,
            )

    async def _end(self, taking: asyncio.Task[None]) -> None:
        """What is being sent has a moment to end, then it is cut off and its mails are free for others."""
        await asyncio.wait([taking], timeout=self._schedule.grace)
        for cut in (False, True):
            for limit in list(self._limits.values()) if cut else ():
                with contextlib.suppress(RuntimeError):  # it is over just now
                    limit.reschedule(0)
            if tasks := [task for _, task in self._sending.values()]:
                await asyncio.wait(tasks, timeout=self._schedule.grace)
        left = [taking, *(task for _, task in self._sending.values())]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
