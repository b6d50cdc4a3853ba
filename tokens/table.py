"""The provisioning tokens of all accounts: one current each, one staged to follow it at most, and what is
left of the retired ones."""

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, new_id, now
from provisioning.errors import Conflict, ProvisioningError
from provisioning.sealed import Sealed
from provisioning.vault import Vault
from tokens import text


class Row(Base):
    """A retired token keeps its digest, by which a phone that still asks with it is recognised.

    `generation` counts the tokens of an account as they are made, and no number comes twice: a staged one has
    the next, which is gone when it is cancelled. `told_at` is when a file first was to name a staged one.
    """

    __tablename__ = "provisioning_tokens"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "generation"),
        sa.CheckConstraint("state IN ('current', 'staged', 'retired')", name="state"),
        sa.CheckConstraint("(state = 'retired') = (sealed IS NULL)", name="retired_keeps_no_text"),
        sa.CheckConstraint("(state = 'retired') = (retired_at IS NOT NULL)", name="retired_at"),
        *(
            sa.Index(
                f"uq_provisioning_tokens_{state}",
                "account_id",
                unique=True,
                sqlite_where=sa.text(f"state = '{state}'"),
                postgresql_where=sa.text(f"state = '{state}'"),
            )
            for state in ("current", "staged")
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
    told_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Token:
    """An account's current token, or its staged one."""

    text: str = field(repr=False)
    generation: int
    created_at: datetime
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose token a phone showed, and whether it is `current`, `staged` or `retired`."""

    account_id: str
    generation: int
    state: str
    retired_at: datetime | None
    retired_by: str | None


async def current(session: AsyncSession, vault: Vault, account_id: str) -> Token | None:
    return _token(vault, await _current(session, account_id))


async def staged(session: AsyncSession, vault: Vault, account_id: str) -> Token | None:
    """The one that a commit will make current."""
    return _token(vault, await _staged(session, account_id))


async def generation(session: AsyncSession, account_id: str) -> int:
    """That of the current token, 0 before the first; its text stays sealed."""
    row = await _current(session, account_id)
    return row.generation if row else 0


async def staged_generation(session: AsyncSession, account_id: str) -> int | None:
    """That of the staged token, None while there is none; its text stays sealed."""
    row = await _staged(session, account_id)
    return row.generation if row else None


async def resolve(session: AsyncSession, vault: Vault, token: str) -> Resolved | None:
    """Whose token this is, a retired one too, or None. A malformed one costs no look at the database."""
    if not text.is_well_formed(token):
        return None
    row = await session.scalar(sa.select(Row).where(Row.digest == vault.digest(token)))
    if row is None:
        return None
    return Resolved(row.account_id, row.generation, row.state, row.retired_at, row.retired_by)


async def are_found(session: AsyncSession, vault: Vault) -> bool:
    """Whether this vault's digests are those by which tokens are found; True where there is no token."""
    rows = (await session.scalars(sa.select(Row).where(Row.state == "current").limit(10))).all()
    return not rows or any(_is_found(vault, row) for row in rows)


def _is_found(vault: Vault, row: Row) -> bool:
    try:
        token = _token(vault, row)
    except ProvisioningError:  # a damaged one tells nothing of the others
        return False
    return token is not None and vault.digest(token.text) == row.digest


async def generate(
    session: AsyncSession, vault: Vault, account_id: str, *, actor: str, token: str | None = None
) -> Token:
    """The account's first token. Raises `Conflict` when it has one. `token` fixes the text of samples."""
    await _lock(session, account_id)
    if await _current(session, account_id):
        raise Conflict("the account has a provisioning token; rotate it")
    return await _insert(session, vault, account_id, actor, "current", token or text.make())


async def rotate(session: AsyncSession, vault: Vault, account_id: str, *, actor: str) -> Token:
    """Retires the current token, and a staged one with it, and makes the next. Raises `Conflict` when there
    is none.

    The old token's end and the new one's beginning are the commit of the caller's transaction.
    """
    await _lock(session, account_id)
    for old in (await _needed(session, account_id), await _staged(session, account_id)):
        if old is not None:
            _retire(old, actor)
    await session.flush()  # before the insert, or the database would see two current tokens
    return await _insert(session, vault, account_id, actor, "current", text.make())


async def stage(session: AsyncSession, vault: Vault, account_id: str, *, actor: str) -> Token:
    """Makes the token that is to follow the current one, and is refused until `commit`.

    Raises `Conflict` when there is no current one, or a staged one already.
    """
    await _lock(session, account_id)
    await _needed(session, account_id)
    if await _staged(session, account_id):
        raise Conflict("a rotation is staged already: commit it, or cancel it")
    return await _insert(session, vault, account_id, actor, "staged", text.make())


async def commit(session: AsyncSession, vault: Vault, account_id: str, *, actor: str) -> Token:
    """Retires the current token and makes the staged one current. Raises `Conflict` when none is staged.

    As with `rotate`, the commit of the caller's transaction is the cut.
    """
    await _lock(session, account_id)
    following = await _staged(session, account_id)
    if following is None:
        raise Conflict("no rotation is staged")
    _retire(await _needed(session, account_id), actor)
    await session.flush()  # as in `rotate`
    # From now on, since nobody could use it before.
    following.state, following.created_at, following.created_by = "current", now(), actor
    await session.flush()
    token = _token(vault, following)
    assert token
    return token


async def cancel(session: AsyncSession, account_id: str, *, actor: str) -> int:
    """Ends the staged token for good; its generation.

    Raises `Conflict` when none is staged, or a file may have told it."""
    await _lock(session, account_id)
    following = await _staged(session, account_id)
    if following is None:
        raise Conflict("no rotation is staged")
    if following.told_at:
        raise Conflict("phones have been told the next URL already, and would be lost without it: commit")
    _retire(following, actor)
    await session.flush()
    return following.generation


async def note_told(session: AsyncSession, account_id: str, generation: int) -> None:
    """Once this is committed the staged token can no longer be cancelled, and a file may name it. Where it is
    no longer staged, nothing happens."""
    await _lock(session, account_id)
    told = sa.update(Row).where(Row.account_id == account_id, Row.generation == generation)
    await session.execute(told.where(Row.state == "staged", Row.told_at.is_(None)).values(told_at=now()))


def open_text(vault: Vault, account_id: str, row_id: str, generation: int, sealed: bytes) -> str:
    return vault.open(sealed, *_place(account_id, row_id, generation))


async def _lock(session: AsyncSession, account_id: str) -> None:
    """Two rotations of one account wait for each other. SQLite's writers wait for each other anyway."""
    accounts = sa.table("accounts", sa.column("id"))
    await session.execute(sa.select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())


async def _current(session: AsyncSession, account_id: str) -> Row | None:
    return await _in_state(session, account_id, "current")


async def _staged(session: AsyncSession, account_id: str) -> Row | None:
    return await _in_state(session, account_id, "staged")


async def _in_state(session: AsyncSession, account_id: str, state: str) -> Row | None:
    row: Row | None = await session.scalar(
        sa.select(Row).where(Row.account_id == account_id, Row.state == state)
    )
    return row


async def _needed(session: AsyncSession, account_id: str) -> Row:
    row = await _current(session, account_id)
    if row is None:
        raise Conflict("the account has no provisioning token yet; generate one")
    return row


def _retire(row: Row, actor: str) -> None:
    row.state, row.sealed, row.retired_at, row.retired_by = "retired", None, now(), actor


async def _insert(
    session: AsyncSession, vault: Vault, account_id: str, actor: str, state: str, token: str
) -> Token:
    last = await session.scalar(sa.select(sa.func.max(Row.generation)).where(Row.account_id == account_id))
    row = Row(
        id=new_id("tok"),
        account_id=account_id,
        generation=(last or 0) + 1,
        state=state,
        digest=vault.digest(token),
        created_at=now(),
        created_by=actor,
    )
    row.sealed = vault.seal(token, *_place(account_id, row.id, row.generation))
    session.add(row)
    await session.flush()
    return Token(token, row.generation, row.created_at)


def _token(vault: Vault, row: Row | None) -> Token | None:
    if row is None or row.sealed is None:
        return None
    text = open_text(vault, row.account_id, row.id, row.generation, row.sealed)
    return Token(text, row.generation, row.created_at, row.told_at)


def _place(account_id: str, row_id: str, generation: int) -> tuple[str, ...]:
    return "provisioning_tokens", "sealed", account_id, row_id, str(generation)
