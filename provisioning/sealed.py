"""Sealed columns: where the database holds what the vault has sealed, and to what each text is bound."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import sqlalchemy as sa


class Sealed(sa.TypeDecorator[bytes]):
    """The type of a column of sealed texts. It seals nothing itself: it says what there is to seal again
    when the master key changes. `bound` are the columns of a row that its text is bound to, besides the
    names of table and column; the first is the account's."""

    impl = sa.LargeBinary
    cache_ok = True

    def __init__(self, *bound: str) -> None:
        super().__init__()
        self.bound: Final = bound


class SealedColumn(NamedTuple):
    table: sa.Table
    column: sa.Column[Any]
    bound: tuple[str, ...]

    def place(self, row: sa.RowMapping) -> tuple[str, ...]:
        """What the text of this row is bound to, for `Vault.seal` and `Vault.open`."""
        return self.table.name, self.column.name, *(str(row[name]) for name in self.bound)


def sealed_columns(metadata: sa.MetaData) -> Iterator[SealedColumn]:
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Sealed):
                yield SealedColumn(table, column, column.type.bound)
