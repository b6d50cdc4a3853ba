"""The database and the vault, opened where the key file is the one that the database was sealed with."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

import tokens
from provisioning.config import Config
from provisioning.db import Base, Database, migrated
from provisioning.errors import ProvisioningError
from provisioning.sealed import SealedColumn, sealed_columns
from provisioning.vault import Vault, open_vault

_TRIED: Final = 10  # texts of a key in a column


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[tuple[Database, Vault]]:
    """With the newest schema, for as long as the block. Raises `ProvisioningError` as `ensure_fits` does."""
    vault = open_vault(config.key_file)
    async with migrated(config.database_url) as database:
        await ensure_fits(database, vault)
        yield database, vault


async def ensure_fits(database: Database, vault: Vault) -> None:
    """Raises `ProvisioningError` when the vault's keys are not the database's: what was sealed or found with
    them from then on would be lost to whoever has the right ones. One damaged text is no such sign."""
    opens: dict[int, bool] = {}  # by the number of a key
    async with database.read() as session:
        for column in sealed_columns(Base.metadata):
            for row in await _some_of_each_key(session, column):
                number = row[column.column][0]
                opens[number] = opens.get(number, False) or _opens(vault, column, row)
        if not all(opens.values()) or not await tokens.are_found(session, vault):
            raise ProvisioningError("the key file is not the one that this database was sealed with")


async def _some_of_each_key(session: AsyncSession, column: SealedColumn) -> Sequence[sa.RowMapping]:
    (key,) = column.table.primary_key.columns
    number = sa.func.substr(column.column, 1, 1, type_=sa.LargeBinary)
    place = sa.func.row_number().over(partition_by=number, order_by=key)
    placed = sa.select(column.table, place.label("place")).where(column.column.is_not(None)).subquery()
    few = sa.select(column.table).join(placed, placed.c[key.name] == key).where(placed.c.place <= _TRIED)
    return (await session.execute(few)).mappings().all()


def _opens(vault: Vault, column: SealedColumn, row: sa.RowMapping) -> bool:
    try:
        return bool(vault.open(row[column.column], *column.place(row)))
    except ProvisioningError:
        return False
