"""The provisioning tokens of all accounts: one current each, and what is left of the retired ones."""

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, new_id, now
from provisioning.errors import Conflict
from provisioning.sealed import Sealed
from provisioning.vault import Vault
from tokens import text


class Row(Base):
    """A retired token keeps its digest, by which a phone that still asks with it is recognised."""

    __tablename__ = "provisioning_tokens"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "generation"),
        sa.CheckConstraint("state IN ('current', 'retired')", name="state"),
        sa.CheckConstraint("(state = 'retired') = (sealed IS NULL)", name="retired_keeps_no_text"),
        sa.CheckConstraint("(state = 'retired') = (retired_at IS NOT NULL)", name="retired_at"),
        sa.Index(
            "uq_provisioning_tokens_current",
            "account_id",
            unique=True,
            sqlite_where=sa.text("state = 'current'"),
            postgresql_where=sa.text("state = 'current'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    generation: Mapped[int]
    state: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    sealed: Mapped[bytes | None] = mapped_column(Sealed("account_id", "id", "generation"))
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    retired_at: Mapped[datetime | None]
    retired_by: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class Token:
    """An account's current token."""

    text: str = field(repr=False)
    generation: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose token a phone showed. `retired_at` is None while it is current."""

    account_id: str
    generation: int
    retired_at: datetime | None
    retired_by: str | None


async def current(session: AsyncSession, vault: Vault, account_id: str) -> Token | None:
    row = await _current(session, account_id)
    if row is None or row.sealed is None:
        return None
    return Token(vault.open(row.sealed, *_where(row)), row.generation, row.created_at)


async def generation(session: AsyncSession, account_id: str) -> int:
    """That of the current token, 0 before the first; its text stays sealed."""
    row = await _current(session, account_id)
    return row.generation if row else 0


async def resolve(session: AsyncSession, vault: Vault, token: str) -> Resolved | None:
    """Whose token this is, a retired one too, or None. A malformed one costs no look at the database."""
    if not text.is_well_formed(token):
        return None
    row = await session.scalar(sa.select(Row).where(Row.digest == vault.digest(token)))
    if row is None:
        return None
    return Resolved(row.account_id, row.generation, row.retired_at, row.retired_by)


async def generate(
    session: AsyncSession, vault: Vault, account_id: str, *, actor: str, token: str | None = None
) -> Token:
    """The account's first token. Raises `Conflict` when it has one. `token` fixes the text of samples."""
    await _lock(session, account_id)
    if await _current(session, account_id):
        raise Conflict("the account has a provisioning token; rotate it")
    return await _insert(session, vault, account_id, actor, token or text.make())


async def rotate(session: AsyncSession, vault: Vault, account_id: str, *, actor: str) -> Token:
    """Retires the current token and makes the next. Raises `Conflict` when there is none.

    The old token's end and the new one's beginning are the commit of the caller's transaction.
    """
    await _lock(session, account_id)
    old = await _current(session, account_id)
    if old is None:
        raise Conflict("the account has no provisioning token yet; generate one")
    old.state, old.sealed, old.retired_at, old.retired_by = "retired", None, now(), actor
    await session.flush()  # before the insert, or the database would see two current tokens
    return await _insert(session, vault, account_id, actor, text.make())


async def _lock(session: AsyncSession, account_id: str) -> None:
    """Two rotations of one account wait for each other. SQLite's writers wait for each other anyway."""
    accounts = sa.table("accounts", sa.column("id"))
    await session.execute(sa.select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())


async def _current(session: AsyncSession, account_id: str) -> Row | None:
    row: Row | None = await session.scalar(
        sa.select(Row).where(Row.account_id == account_id, Row.state == "current")
    )
    return row


async def _insert(session: AsyncSession, vault: Vault, account_id: str, actor: str, token: str) -> Token:
    last = await session.scalar(sa.select(sa.func.max(Row.generation)).where(Row.account_id == account_id))
    row = Row(
        id=new_id("tok"),
        account_id=account_id,
        generation=(last or 0) + 1,
        state="current",
        digest=vault.digest(token),
        created_at=now(),
        created_by=actor,
    )
    row.sealed = vault.seal(token, *_where(row))
    session.add(row)
    await session.flush()
    return Token(token, row.generation, row.created_at)


def _where(row: Row) -> tuple[str, ...]:
    return "provisioning_tokens", "sealed", row.account_id, row.id, str(row.generation)
