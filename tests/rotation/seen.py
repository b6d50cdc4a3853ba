"""What the clients of some servers have seen of them, and the secrets that they know."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.rotation.operations import Change, Look, Operation, Rotation

_TRIED: Final = 8  # generations, the newest: clients ask with their tokens
_RECOGNISED: Final = 1000  # secrets, the newest, that are known when a body holds them


@dataclass(frozen=True)
class Server:
    port: int
    supervisor: int  # pid


@dataclass(frozen=True)
class Target:
    """Servers that run with the sample account on one database, and the API key of an admin."""

    servers: Sequence[Server]
    database_url: str
    key: str


@dataclass
class Seen:
    """`history` grows until somebody judges and clears it; the rest stays small."""

    target: Target
    history: list[Operation] = field(default_factory=list)
    tokens: dict[int, str] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)  # of tokens and of passwords
    counts: Counter[str] = field(default_factory=Counter)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))  # of settings
    over: bool = False

    def __post_init__(self) -> None:
        self.chance = random.Random(7)
        self._step = asyncio.Event()
        self._written_at = 0  # fetches

    def note(self, operation: Operation, outcome: str) -> None:
        self.history.append(operation)
        self.counts[outcome] += 1
        if isinstance(operation, Rotation | Change):
            self._written_at = self.answered
        self._wake()

    def learn(self, provisioning: Any, begun: float, ended: float) -> int:
        """Takes in what an admin was told of the token; its generation."""
        generation = int(provisioning["generation"])
        self.note(Look(begun, ended, (generation,) if generation else ()), "looks")
        if generation:
            self.know(generation, provisioning)
        return generation

    def know(self, generation: int, provisioning: Any) -> None:
        self.tokens[generation] = provisioning["token"]
        for secret in (provisioning["token"], provisioning["admin_password"]):
            self.generations[secret] = generation
        self.tokens.pop(generation - _TRIED, None)
        while len(self.generations) > _RECOGNISED:
            del self.generations[next(iter(self.generations))]

    def some_generation(self) -> int:
        """The newest that is known, or one of those before it."""
        newest = max(self.tokens)
        return self.chance.choice([g for g in (*[newest] * 3, newest - 1, newest - 2) if g in self.tokens])

    async def more(self, fetches: int) -> None:
        """Until so many more were answered, or all is over."""
        until = self.answered + fetches
        while self.answered < until and not self.over:
            await self._step.wait()

    async def fewer(self, fetches: int) -> None:
        """Until not so many were answered since the last write, or all is over: phones that leave the server
        nothing of the processor would make each rotation take a second."""
        while self.answered >= self._written_at + fetches and not self.over:
            await self._step.wait()

    @property
    def answered(self) -> int:
        return self.counts["served"] + self.counts["refused"]

    def end(self) -> None:
        self.over = True
        self._wake()

    def _wake(self) -> None:
        self._step.set()
        self._step = asyncio.Event()
