"""The boot log says whether a request came over http or https; of those before nobody knows."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    # NULL for the rows that there are: neither database writes them again for it.
    op.add_column("boot_log", sa.Column("scheme", sa.String(), nullable=True))
