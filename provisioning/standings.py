"""Standings: how a provisioning token stands at this moment, asked of the database anew for each request.

Everything that a phone is served from memory rests on this look, so it begins after the request has come, and
what it found is kept only for as long as the database says that nobody has written since.
"""

import asyncio
import functools
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import tokens
from provisioning.direct import Direct
from provisioning.vault import Vault

_SELECT: Final = """
SELECT t.digest, t.account_id, t.generation, r.revision, t.retired_at, t.retired_by
FROM provisioning_tokens t JOIN revisions r ON r.account_id = t.account_id WHERE t.digest
"""


class Standing(NamedTuple):
    """Whose token it is. `retired_at` is None while it is current."""

    account_id: str
    generation: int
    revision: int
    retired_at: datetime | None
    retired_by: str | None


class Standings:
    """Requests that wait together share a look: while one is under way, those that come wait for the next."""

    def __init__(self, direct: Direct, vault: Vault) -> None:
        self._direct = direct
        # A phone asks for several files; the digest takes longer than the look.
        self._digest = functools.lru_cache(16_384)(
            lambda token: vault.digest(token) if tokens.is_well_formed(token) else None
        )
        self._version = -1
        self._known: dict[bytes, Standing] = {}  # in this version of the database
        self._waiting: dict[bytes, asyncio.Future[Any]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def of(self, token: str) -> Standing | None:
        """That of a retired token, too. A malformed one costs no look at the database.

        Raises `OSError` when the database does not answer.
        """
        digest = self._digest(token)
        if digest is None:
            return None
        version = self._direct.version()
        if version is None:
            return _standing(await self._row(digest))
        return await self._of_version(version, digest)

    async def _of_version(self, version: int, digest: bytes) -> Standing | None:
        """A version costs less than a look, and says whether anybody has written since the last one."""
        if version != self._version:
            self._version = version
            self._known.clear()
        standing = self._known.get(digest)
        if standing is None:
            standing = _standing(next(iter(await self._direct.find(_SELECT, (digest,))), None))
            if standing is not None:  # of what is made up there is no end
                self._known[digest] = standing
        return standing

    async def _row(self, digest: bytes) -> Any:
        future = self._waiting.get(digest)
        if future is None:
            future = self._waiting[digest] = asyncio.get_running_loop().create_future()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # One that goes away does not take the answer from the others.
        return await asyncio.shield(future)

    async def _look(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, {}
            try:
                found = {row[0]: row for row in await self._direct.find(_SELECT, [*asked])}
            except OSError as error:
                for future in asked.values():
                    future.set_exception(error)
                    future.exception()  # nobody may be left to hear it
            else:
                for digest, future in asked.items():
                    future.set_result(found.get(digest))


def _standing(row: Any) -> Standing | None:
    return Standing(row[1], row[2], row[3], _time(row[4]), row[5]) if row else None


def _time(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
