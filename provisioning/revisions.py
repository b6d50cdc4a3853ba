"""Revisions: for each account a number that grows with every change which may alter a phone's file."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base

_LEAP: Final = 1_000_000_000  # changes of one account, far more than any backup is old


class Row(Base):
    """The database itself counts, in the transaction of the change: see migration 0007."""

    __tablename__ = "revisions"

    account_id: Mapped[str] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    revision: Mapped[int] = mapped_column(sa.BigInteger())


async def of(session: AsyncSession, account_id: str) -> int:
    """The account's revision as this transaction sees it."""
    return await session.scalar(sa.select(Row.revision).where(Row.account_id == account_id)) or 0


async def bump(session: AsyncSession, account_id: str, *, by: int = 1) -> None:
    """For what a phone wrote itself and gets back in a file of ours, which no trigger can tell from a log."""
    bumped = sa.update(Row).where(Row.account_id == account_id).values(revision=Row.revision + by)
    await session.execute(bumped)


async def leap(session: AsyncSession, account_id: str) -> None:
    """Past every number that a lost future of the database can have given, so that a server which ran on
    has nothing in memory under a number to come."""
    await bump(session, account_id, by=_LEAP)
