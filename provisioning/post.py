"""The post: gives a letter to whichever relay takes it."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from provisioning import smtp
from provisioning.letter import Letter
from provisioning.relay import Relay
from provisioning.smtp import Unsent

_ORDINALS: Final = ("first", "second", "third")
_SHUNNED: Final = 60.0  # seconds in which a relay that failed is tried after the others


class Post:
    """Remembers which relay had trouble, so that not every letter has to find out for itself."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        self.relays = relays
        self._limits: set[asyncio.Timeout] = set()
        self._failed_at: dict[Relay, float] = {}
        self._closing = False

    async def deliver(self, letter: Letter, seconds: float) -> None:
        """Returns once a relay has the letter. Raises `Unsent` with what each of them said."""
        words, unclear = [], False
        for relay in self._in_order():
            try:
                await self._give(relay, letter, seconds / len(self.relays))
                return
            except Unsent as error:
                words.append(f"{self._name(relay)}: {error}")
                unclear = unclear or error.unclear
            if self._closing:
                break
        raise Unsent("; ".join(words), unclear=unclear)

    def close(self) -> None:
        """Cuts off what is being delivered; it ends as if its time was over."""
        self._closing = True
        for limit in self._limits:
            with contextlib.suppress(RuntimeError):  # it is over just now
                limit.reschedule(0)

    async def _give(self, relay: Relay, letter: Letter, seconds: float) -> None:
        limit = asyncio.timeout(seconds)
        self._limits.add(limit)
        try:
            await smtp.deliver(relay, letter, limit)
            self._failed_at.pop(relay, None)
        except Unsent:
            self._failed_at[relay] = asyncio.get_running_loop().time()
            raise
        finally:
            self._limits.remove(limit)

    def _in_order(self) -> list[Relay]:
        """As they are set, but those with recent trouble last."""
        since = asyncio.get_running_loop().time() - _SHUNNED
        return sorted(self.relays, key=lambda relay: self._failed_at.get(relay, since) > since)

    def _name(self, relay: Relay) -> str:
        """Not its address: whoever reads this need not be who runs the server."""
        place = self.relays.index(relay)
        return "relay" if len(self.relays) == 1 else f"{_ORDINALS[min(place, 2)]} relay"
