"""The resync sender: in every server process, it takes the phones that are due and asks them by SIP."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import resync_targets, resyncs
from provisioning.db import Database, now
from provisioning.devices import Rendering
from provisioning.errors import ProvisioningError
from provisioning.reach import Reach
from provisioning.resyncs import Claim, End
from provisioning.sip import notify
from provisioning.sip.channel import Unreachable
from provisioning.sip.notify import NoAnswer, Timings
from provisioning.vault import Vault

_log = logging.getLogger(__name__)
_CLEANS = 3600.0  # seconds between looks for runs that are too old


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `lane` is how many phones one process asks at once; a claim lapses `margin` after its time."""

    poll: float = 1.0
    lane: int = 64
    margin: float = 15.0
    timings: Timings = field(default_factory=Timings)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.timings.whole + self.margin)


class ResyncSender:
    """Several processes share the runs: each phone is claimed in the database before it is asked."""

    def __init__(
        self, database: Database, vault: Vault, rendering: Rendering, reach: Reach, pace: Pace
    ) -> None:
        self._database = database
        self._vault = vault
        self._rendering = rendering
        self._reach = reach
        self._pace = pace
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._asking: dict[Claim, asyncio.Task[None]] = {}
        self._ended: list[tuple[Claim, End]] = []
        self._cleaned: float | None = None

    def wake(self) -> None:
        """A phone is due now."""
        self._idle.clear()
        self._wake.set()

    async def settled(self) -> None:
        """Returns when this process asks no phone, and what each answered is written down."""
        await self._idle.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            await self._end(task)

    async def _forever(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._clean()
                await self._round()
            except sa.exc.IntegrityError:
                pass  # another server has just begun to ask the same phone for another run
            except Exception as error:
                # Whatever it is, the next round must come.
                _log.error("phones that are to be asked cannot be read: %s", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.poll):
                    await self._wake.wait()

    async def _round(self) -> None:
        """Writes down what has ended and takes what is due, in one transaction if there is any of either."""
        ended = self._ended[:]
        free = self._pace.lane - len(self._asking)
        claims: list[Claim] = []
        if ended or (free > 0 and await self._is_due()):
            async with self._database.write() as session:
                await resyncs.ended(session, ended)
                if free > 0:
                    await session.flush()
                    claims = await resyncs.claim(session, self._pace.lease, limit=free, at=now())
        del self._ended[: len(ended)]
        for claim in claims:
            self._asking[claim] = asyncio.create_task(self._ask(claim))
        if self._asking or self._ended or self._wake.is_set():
            self._idle.clear()
        else:
            self._idle.set()

    async def _is_due(self) -> bool:
        async with self._database.read() as session:
            return await resyncs.is_due(session, now())

    async def _clean(self) -> None:
        at = asyncio.get_running_loop().time()
        if self._cleaned is None or at - self._cleaned >= _CLEANS:
            self._cleaned = at
            async with self._database.write() as session:
                await resyncs.delete_old(session, now() - resyncs.KEPT)

    async def _ask(self, claim: Claim) -> None:
        end = await self._answer(claim)
        self._ended.append((claim, end))
        del self._asking[claim]
        self._wake.set()

    async def _answer(self, claim: Claim) -> End:
        try:
            async with self._database.read() as session:
                wanted = await self._wanted(session, claim)
            answer = await notify.send(wanted, self._pace.timings, self._reach.allows)
        except (Unreachable, ProvisioningError) as error:
            return End("not_sent", reason=str(error))
        except NoAnswer as error:
            return End("no_answer", reason=str(error))
        except Exception as error:
            # Its text may hold what nobody is to read.
            _log.error("device %s cannot be asked: %s", claim.device_id, type(error).__name__)
            return End("not_sent", reason=f"our fault: {type(error).__name__}")
        return End("answered" if answer.status < 300 else "refused", answer.status, answer.reason)

    async def _wanted(self, session: AsyncSession, claim: Claim) -> notify.Notify:
        aim = await resync_targets.aim(
            session,
            self._rendering,
            self._reach,
            claim.account_id,
            claim.device_id,
            reboot=claim.reboot,
            via=claim.via,
        )
        return await resync_targets.with_password(session, self._vault, claim.account_id, aim)

    async def _end(self, task: asyncio.Task[None]) -> None:
        """What has ended is written down, and who is still being asked is for others to ask again."""
        begun = list(self._asking)
        tasks = [task, *self._asking.values()]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not begun and not self._ended:
            return
        with contextlib.suppress(Exception):  # a claim lapses by itself
            async with self._database.write() as session:
                await resyncs.ended(session, self._ended)
                await session.flush()
                await resyncs.give_back(session, begun)
