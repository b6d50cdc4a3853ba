"""Sightings: when each device was last seen, and with which generation of the provisioning URL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base

_devices = sa.table("devices", sa.column("account_id"), sa.column("mac"))


class Row(Base):
    """`fetched_…` is the last fetch that was served, `refused_…` the last with a rotated token, `held_…`
    what the phone had when it was last served its main file.

    `told_generation` is that of the newest URL that the phone was told before it was in force.
    """

    __tablename__ = "sightings"

    account_id: Mapped[str] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    mac: Mapped[str] = mapped_column(primary_key=True)
    fetched_at: Mapped[datetime | None]
    fetched_ip: Mapped[str | None]
    generation: Mapped[int | None]
    firmware: Mapped[str | None]
    refused_at: Mapped[datetime | None]
    refused_ip: Mapped[str | None]
    refused_generation: Mapped[int | None]
    held_at: Mapped[datetime | None]
    held_revision: Mapped[int | None] = mapped_column(sa.BigInteger())
    held_edition: Mapped[str | None]
    held_digest: Mapped[str | None]
    told_generation: Mapped[int | None]


@dataclass(frozen=True, slots=True)
class Held:
    """What all files of a phone's own were when its main one was made: their digest, the account's revision,
    and the edition of what is not the account's (`holdings`)."""

    revision: int
    edition: str
    digest: str


# It only grows, in whatever order servers write.
_TOLD: Final = """told_generation = CASE
    WHEN excluded.told_generation > COALESCE(sightings.told_generation, 0) THEN excluded.told_generation
    ELSE sightings.told_generation END"""


def _news(*columns: str) -> tuple[str, ...]:
    """Sets the columns, the first of which is a time. A value that is None, or older than what is known (two
    servers may write out of order), changes nothing."""
    newer = f"sightings.{columns[0]} IS NULL OR sightings.{columns[0]} <= excluded.{columns[0]}"
    news = "{0} = CASE WHEN {1} THEN COALESCE(excluded.{0}, sightings.{0}) ELSE sightings.{0} END"
    return tuple(news.format(name, newer) for name in columns)


def _note(columns: Sequence[str], *news: str) -> str:
    """For `Direct.write`: the columns of an account and a MAC address, which stand last.

    A MAC address that no device of the account has is left out: anybody can claim one.
    """
    return f"""
INSERT INTO sightings ({", ".join(columns)}, account_id, mac)
SELECT {", ".join("?" * len(columns))}, account_id, mac FROM devices WHERE account_id = ? AND mac = ?
ON CONFLICT (account_id, mac) DO UPDATE SET {", ".join(news)}
"""  # noqa: S608


_FETCHED: Final = ("fetched_at", "fetched_ip", "generation", "firmware")
_HELD: Final = ("held_at", "held_revision", "held_edition", "held_digest")
_REFUSED: Final = ("refused_at", "refused_ip", "refused_generation")
NOTE_FETCHED: Final = _note((*_FETCHED, *_HELD, "told_generation"), *_news(*_FETCHED), *_news(*_HELD), _TOLD)
NOTE_REFUSED: Final = _note(_REFUSED, *_news(*_REFUSED))
NOTE_TOLD: Final = _note(("told_generation",), _TOLD)

# Each for `Direct.write`, with the moment it is, and one that is far ahead of it: what was seen under a clock
# that has been set back since would be the last that is known of a phone until that time.
SET_BACK: Final = tuple(
    f"UPDATE sightings SET {column} = ? WHERE {column} > ?"  # noqa: S608
    for column in (_FETCHED[0], _HELD[0], _REFUSED[0])
)


@dataclass(frozen=True, slots=True)
class Sighting:
    fetched_at: datetime | None = None
    fetched_ip: str | None = None
    generation: int | None = None
    firmware: str | None = None
    refused_at: datetime | None = None
    refused_ip: str | None = None
    held_at: datetime | None = None
    held: Held | None = None

    def status(self, current: int) -> str:
        """`pending` before the first fetch, `stale` when the last one came with a token that is rotated."""
        if self.fetched_at is None and self.refused_at is None:
            return "pending"
        knocks = self.refused_at is not None and (
            self.fetched_at is None or self.refused_at > self.fetched_at
        )
        return "stale" if knocks or (self.generation or 0) < current else "provisioned"


async def of(session: AsyncSession, account_id: str, macs: Sequence[str]) -> Mapping[str, Sighting]:
    rows = await session.scalars(sa.select(Row).where(Row.account_id == account_id, Row.mac.in_(macs)))
    return {row.mac: _sighting(row) for row in rows}


def _sighting(row: Row) -> Sighting:
    held = None
    if row.held_digest is not None and row.held_revision is not None:
        held = Held(row.held_revision, row.held_edition or "", row.held_digest)
    return Sighting(
        row.fetched_at,
        row.fetched_ip,
        row.generation,
        row.firmware,
        row.refused_at,
        row.refused_ip,
        row.held_at,
        held,
    )


async def is_told(session: AsyncSession, account_id: str, generation: int) -> bool:
    """Whether any phone of the account knows the URL of this staged generation."""
    told = sa.select(Row.mac).where(Row.account_id == account_id, Row.told_generation == generation).limit(1)
    return await session.scalar(told) is not None


async def counts(session: AsyncSession, account_id: str, current: int) -> Mapping[str, int]:
    """The account's devices: `total`, and of them `current` (fetched with this generation), `stale`
    (with an older one) and `silent` (never)."""
    total = await session.scalar(
        sa.select(sa.func.count()).select_from(_devices).where(_devices.c.account_id == account_id)
    )
    is_current = sa.case((Row.generation == current, 1), else_=0)
    fetched, here = (
        await session.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(is_current), 0))
            .join(_devices, sa.and_(_devices.c.account_id == Row.account_id, _devices.c.mac == Row.mac))
            .where(Row.account_id == account_id, Row.fetched_at.is_not(None))
        )
    ).one()
    return {
        "total": total or 0,
        "current": here,
        "stale": fetched - here,
        "silent": (total or 0) - fetched,
    }
