"""Faxes: which were admitted lately, so that no 3,600 seconds hold more of them than the account allows."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, clock
from provisioning.errors import TooMany
from provisioning.fields import Input

WINDOW: Final = timedelta(seconds=3600)
KEPT: Final = timedelta(days=1)  # for so long a fax that is reported again is the same one
_PRUNED: Final = 100  # rows at most for one admission
_CORE: Final = {"synchronize_session": False}  # no row is held as an object

Where = sa.ColumnElement[bool]


class FaxForm(Input):
    """`fax_id` is the switch's own name of the fax: printable ASCII without spaces, such as a Call-ID."""

    direction: Literal["inbound", "outbound"]
    fax_id: Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]


class Row(Base):
    """A fax that was admitted. `seq` numbers those of one account and direction in order of `time` and
    without a gap, so that a window is measured by two of its rows, however many it holds."""

    __tablename__ = "faxes"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "direction", "fax_id"),
        sa.Index("ix_faxes_account_id_direction_time_seq", "account_id", "direction", "time", "seq"),
        {"sqlite_with_rowid": False},
    )

    account_id: Mapped[str] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True
    )
    direction: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    fax_id: Mapped[str]
    time: Mapped[datetime]


_OLDEST: Final = (Row.time, Row.seq)


async def admit(
    session: AsyncSession, account_id: str, fax: FaxForm, *, limit: int | None, at: datetime | None = None
) -> int | None:
    """How many more fit beside this fax, None without a limit. Raises `TooMany` when it does not fit.

    The caller holds the account's lock, or two that count at once would both take the last place. The
    time is taken here: one from before the wait for the lock would be of a window that has passed.
    """
    at = at or await clock(session)
    same = sa.and_(Row.account_id == account_id, Row.direction == fax.direction)
    newest = await _first(session, same, order=(Row.seq.desc(),))
    last = newest.seq if newest else 0
    used = 0 if limit is None else await _used(session, same, last, at)
    known = await _first(session, same, Row.fax_id == fax.fax_id)
    if known and known.time > at - KEPT:
        return _left(limit, used)
    if limit is not None and used >= limit:
        raise _beyond(fax, limit, await _wait(session, same, last + 1 - limit, at))
    await _prune(session, same, at, {known.seq} if known else set())
    if newest and newest.time > at:
        # The clock was set back: these came before now, and must not stand after what comes now.
        await session.execute(
            sa.update(Row).where(same, Row.time > at).values(time=at), execution_options=_CORE
        )
    row = {"account_id": account_id, "direction": fax.direction, "seq": last + 1, "fax_id": fax.fax_id}
    await session.execute(sa.insert(Row).values(**row, time=at))
    return _left(limit, used + 1)


async def _used(session: AsyncSession, same: Where, last: int, at: datetime) -> int:
    """How many stand in the window that ends at this moment."""
    oldest = await _first(session, same, Row.time > at - WINDOW, order=_OLDEST)
    return last + 1 - oldest.seq if oldest else 0


async def _wait(session: AsyncSession, same: Where, seq: int, at: datetime) -> int:
    """The whole seconds until the fax of this number has left the window."""
    leaving = await _first(session, same, Row.seq == seq)
    # With a limit of 0 there is none to wait for: the window is as good as any time to ask again.
    return math.ceil((leaving.time + WINDOW - at if leaving else WINDOW).total_seconds())


async def _prune(session: AsyncSession, same: Where, at: datetime, seqs: set[int]) -> None:
    """Removes those of these numbers, and some that are no longer kept."""
    old = sa.select(Row.seq).where(same, Row.time <= at - KEPT).order_by(*_OLDEST).limit(_PRUNED)
    if seqs := seqs | set(await session.scalars(old)):
        await session.execute(sa.delete(Row).where(same, Row.seq.in_(seqs)), execution_options=_CORE)


async def _first(
    session: AsyncSession, *where: Where, order: Sequence[Any] = ()
) -> sa.Row[int, datetime] | None:
    rows = sa.select(Row.seq, Row.time).where(*where).order_by(*order).limit(1)
    return (await session.execute(rows)).first()


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)


def _beyond(fax: FaxForm, limit: int, wait: int) -> TooMany:
    some = f"{limit} {fax.direction} {'fax' if limit == 1 else 'faxes'}"
    return TooMany(wait, f"the account takes {some} in any {WINDOW.seconds} seconds")
