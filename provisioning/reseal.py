"""Sealing again, with the current key, what older keys have sealed."""

from collections.abc import AsyncIterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import accounts
from provisioning.db import Base, Database
from provisioning.sealed import SealedColumn, sealed_columns
from provisioning.vault import Vault

_AT_ONCE: Final = 500  # rows of one transaction, for whose time the account's changes wait


async def reseal(database: Database, vault: Vault) -> AsyncIterator[int]:
    """Seals again all that the vault's current key has not sealed, and tells after each transaction how
    many texts it was. Whatever ends it, the next run goes on where it was. Raises `ProvisioningError` for
    a text that does not open."""
    async with database.read() as session:
        ids = await accounts.all_ids(session)
    for account_id in ids:
        for column in sealed_columns(Base.metadata):
            last: tuple[Any, ...] = ()
            while True:
                async with database.write() as session:
                    done, last = await _some(session, vault, account_id, column, last)
                if not done:
                    break
                yield done


async def left(session: AsyncSession, number: int) -> int:
    """How many texts another key than this has sealed."""
    counts = [
        await session.scalar(
            sa.select(sa.func.count()).select_from(column.table).where(_by_another(column, number))
        )
        for column in sealed_columns(Base.metadata)
    ]
    return sum(count or 0 for count in counts)


async def _some(
    session: AsyncSession, vault: Vault, account_id: str, column: SealedColumn, last: tuple[Any, ...]
) -> tuple[int, tuple[Any, ...]]:
    """The next rows after the one with the primary key `last`; how many, and the last one's key."""
    # As every change of the account does first, or the two could wait for each other in a circle.
    await accounts.lock(session, account_id)
    table, key = column.table, column.table.primary_key.columns
    query = sa.select(table).where(table.c[column.bound[0]] == account_id, _by_another(column, vault.current))
    if last:
        query = query.where(sa.tuple_(*key) > last)
    rows = (await session.execute(query.order_by(*key).limit(_AT_ONCE).with_for_update())).mappings().all()
    for row in rows:
        text = vault.open(row[column.column], *column.place(row))
        where = [part == row[part] for part in key]
        sealed = vault.seal(text, *column.place(row))
        await session.execute(sa.update(table).where(*where).values({column.column: sealed}))
        last = tuple(row[part] for part in key)
    return len(rows), last


def _by_another(column: SealedColumn, number: int) -> sa.ColumnElement[bool]:
    """A sealed text begins with the number of its key; a row may have none."""
    return sa.func.substr(column.column, 1, 1, type_=sa.LargeBinary) != bytes([number])
