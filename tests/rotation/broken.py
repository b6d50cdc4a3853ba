"""Servers that break the promise of a rotation, each in a way that looks right to a lone client."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import cli
from provisioning.standings import Standing, Standings
from tokens import table

_KEPT: Final = 1.0  # seconds
_GAP: Final = 0.1  # seconds


def cached(arguments: Sequence[str]) -> int:
    """Each worker believes for a second what it knew of a token."""
    look = Standings.of
    known: dict[str, tuple[float, Standing | None]] = {}

    async def of(self: Standings, token: str) -> Standing | None:
        when, standing = known.get(token, (0.0, None))
        if time.monotonic() > when + _KEPT:
            standing = await look(self, token)
            known[token] = time.monotonic(), standing
        return standing

    Standings.of = of  # type: ignore[method-assign]
    return cli.main(arguments)


def torn(arguments: Sequence[str]) -> int:
    """A rotation is two transactions: the old token is retired, and then the next one made."""
    insert = table._insert

    async def late(session: AsyncSession, *values: object) -> table.Token:
        begin = "BEGIN IMMEDIATE" if session.get_bind().dialect.name == "sqlite" else "BEGIN"
        await session.execute(sa.text("COMMIT"))
        await asyncio.sleep(_GAP)
        await session.execute(sa.text(begin))
        return await insert(session, *values)  # type: ignore[arg-type]

    table._insert = late  # type: ignore[assignment]
    return cli.main(arguments)


# What the checker says of each.
SYMPTOMS: Final[Mapping[Callable[[Sequence[str]], int], str]] = {
    cached: "was served generation",
    torn: "saw as current: none",
}
