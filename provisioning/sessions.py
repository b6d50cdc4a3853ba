"""Sessions: who is logged in with a browser; the cookie's value is kept as a digest."""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import db, users
from provisioning.db import Base, now
from provisioning.users import User
from provisioning.vault import Vault

LIFETIME: Final = timedelta(hours=12)
IDLE: Final = timedelta(hours=2)
TOUCH: Final = timedelta(minutes=1)  # so that not every request of a page is a write
_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PRUNED: Final = 100  # rows at most for one login, which is not to wait for a great cleaning


class Row(Base):
    """It is good while its user is in the `epoch` in which it began."""

    __tablename__ = "sessions"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    epoch: Mapped[int]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class Session:
    """`touch_due` says that `touch` has something to write."""

    user: User
    digest: bytes = field(repr=False)
    touch_due: bool


async def start(session: AsyncSession, vault: Vault, user: User, *, at: datetime | None = None) -> str:
    """The value of the cookie: 43 characters, 256 bit. Raises `Conflict` when the user is gone.

    `user` is as at the check of the password: when that or the role has changed since, the session is
    of no use from its beginning.
    """
    at = at or now()
    await _prune(session, at)
    cookie = secrets.token_urlsafe(32)
    session.add(
        Row(digest=vault.digest(cookie), user_id=user.id, epoch=user.epoch, created_at=at, seen_at=at)
    )
    await db.flush_or_conflict(session, "the user was deleted")
    return cookie


async def find(
    session: AsyncSession, vault: Vault, cookie: str, *, at: datetime | None = None
) -> Session | None:
    """The session of a cookie unless it ended, is over 12 hours old or was not used for 2 hours."""
    if not _COOKIE.fullmatch(cookie):
        return None
    at = at or now()
    query = (
        sa.select(Row, users.Row)
        .join(users.Row, sa.and_(users.Row.id == Row.user_id, users.Row.epoch == Row.epoch))
        .where(Row.digest == vault.digest(cookie), Row.created_at > at - LIFETIME, Row.seen_at > at - IDLE)
        # Of a clock that was far ahead: it would be good for as long as that was, and more.
        .where(Row.created_at < at + IDLE)
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        return None
    row, user = found
    return Session(users.value(user), row.digest, row.seen_at <= at - TOUCH)


async def touch(session: AsyncSession, digest: bytes, *, at: datetime | None = None) -> None:
    """Notes that the session is used."""
    at = at or now()
    await session.execute(sa.update(Row).where(Row.digest == digest, Row.seen_at < at).values(seen_at=at))


async def end(session: AsyncSession, vault: Vault, cookie: str) -> None:
    if _COOKIE.fullmatch(cookie):
        await session.execute(sa.delete(Row).where(Row.digest == vault.digest(cookie)))


async def end_all(session: AsyncSession, account_id: str) -> int:
    """Logs all users of the account out; how many sessions there were."""
    users_of = sa.select(users.Row.id).where(users.Row.account_id == account_id)
    ended = sa.delete(Row).where(Row.user_id.in_(users_of)).returning(Row.digest)
    return len((await session.scalars(ended, execution_options={"synchronize_session": False})).all())


async def _prune(session: AsyncSession, at: datetime) -> None:
    # A session that is too old is not touched any more, so that soon it is an idle one too.
    idle = sa.select(Row.digest).where(Row.seen_at <= at - IDLE).limit(_PRUNED)
    # Rows that another login is removing are left to it: two that wait for each other would both fail.
    await session.execute(
        sa.delete(Row)
        .where(Row.digest.in_(idle.with_for_update(skip_locked=True)))
        .execution_options(synchronize_session=False)
    )
