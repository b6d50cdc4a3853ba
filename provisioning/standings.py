"""Standings: how a provisioning token stands at this moment, asked of the database anew for each request.

Everything that a phone is served from memory rests on this look, so it begins after the request has come, and
what it found is kept only for as long as the database says that nobody has written since.
"""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import tokens
from provisioning.direct import Direct
from provisioning.patience import Patience
from provisioning.vault import Vault

# What `standing` reads, and where it stands.
COLUMNS: Final = (
    "t.digest",
    "t.account_id",
    "t.generation",
    "r.revision",
    "t.state",
    "t.retired_at",
    "t.retired_by",
)
TABLES: Final = "provisioning_tokens t JOIN revisions r ON r.account_id = t.account_id"
_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM {TABLES} WHERE t.digest"  # noqa: S608


class Standing(NamedTuple):
    """Whose token it is, and whether it is `current`, `staged` or `retired`."""

    account_id: str
    generation: int
    revision: int
    state: str
    retired_at: datetime | None
    retired_by: str | None


@dataclass(slots=True)
class _Look:
    until: float  # of the loop's time; the first who waits for it has no patience any more then
    digests: set[bytes] = field(default_factory=set)
    # One for each who waits: a cancelled one takes nobody with it.
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    found: Mapping[bytes, Any] = field(default_factory=dict)
    error: Exception | None = None


class Standings:
    """Requests that wait together share a look: while one is under way, those that come wait for the next."""

    def __init__(self, direct: Direct, vault: Vault, patience: Patience) -> None:
        self._direct, self._patience = direct, patience.phone
        # A phone asks for several files; the digest takes longer than the look.
        self._digest = functools.lru_cache(16_384)(
            lambda token: vault.digest(token) if tokens.is_well_formed(token) else None
        )
        self._version = -1
        self._is_fresh = False
        self._known: dict[bytes, Standing] = {}  # in this version of the database
        self._next: _Look | None = None
        self._looking: asyncio.Task[None] | None = None

    async def of(self, token: str) -> Standing | None:
        """That of a retired token, too. A malformed one costs no look at the database.

        Raises `OSError` when the database does not answer in time.
        """
        digest = self._digest(token)
        if digest is None:
            return None
        if not self._direct.has_version:
            row = await self._row(digest)
            return standing(row) if row else None
        # Who waits in the loop goes on in the order of coming. Whoever goes on between a look at the version
        # and `_age`, which waits from that look on, began to wait, and so had come, before it.
        await asyncio.sleep(0)
        if not self._is_fresh:
            self._refresh(self._direct.version())
        if digest not in self._known:
            # Of what is made up there is no end: it is not kept.
            self._known |= {row[0]: standing(row) for row in await self._direct.find(_SELECT, (digest,))}
        return self._known.get(digest)

    @functools.cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Whoever asks asyncio for it has it ask the system for the process."""
        return asyncio.get_running_loop()

    def _refresh(self, version: int) -> None:
        """A version costs less than a look, and says whether anybody has written since the last one."""
        if version != self._version:
            self._version = version
            self._known.clear()
        self._is_fresh = True
        self._loop.call_soon(self._age)

    def _age(self) -> None:
        self._is_fresh = False

    async def _row(self, digest: bytes) -> Any:
        look = self._next
        if look is None:
            look = self._next = _Look(self._loop.time() + self._patience)
        look.digests.add(digest)
        if self._looking is None or self._looking.done():
            self._looking = self._loop.create_task(self._look())
        done = self._loop.create_future()
        look.waiting.append(done)
        await done
        if look.error:
            raise look.error
        return look.found.get(digest)

    async def _look(self) -> None:
        while look := self._next:
            await asyncio.sleep(0)  # those whose requests wait to be read come in, too
            self._next = None
            try:
                async with asyncio.timeout_at(look.until):
                    look.found = {row[0]: row for row in await self._direct.find(_SELECT, [*look.digests])}
            except Exception as error:  # whatever it is, nobody waits for ever
                look.error = error
            for done in look.waiting:
                if not done.done():
                    done.set_result(None)


def standing(row: Sequence[Any]) -> Standing:
    """That of a row which begins with `COLUMNS`."""
    return Standing(row[1], row[2], row[3], row[4], _time(row[5]), row[6])


def _time(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
