"""What each phone held when it was last served its main file, to be compared with what it would get now."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("sightings", sa.Column("held_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("sightings", sa.Column("held_revision", sa.BigInteger(), nullable=True))
    op.add_column("sightings", sa.Column("held_edition", sa.String(), nullable=True))
    op.add_column("sightings", sa.Column("held_digest", sa.String(), nullable=True))
