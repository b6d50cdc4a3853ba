"""Rotations: when the last one of an account was, and who did it."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from tokens.table import Row


@dataclass(frozen=True, slots=True)
class Rotation:
    """`retired` is the generation of the token that it put out of force."""

    at: datetime
    by: str
    retired: int


async def last_rotation(session: AsyncSession, account_id: str) -> Rotation | None:
    """The one that brought the present token into force; None when that is the first."""
    current = sa.select(Row.generation).where(Row.account_id == account_id, Row.state == "current")
    query = (
        sa.select(Row.retired_at, Row.retired_by, Row.generation)
        .where(Row.account_id == account_id, Row.state == "retired")
        .where(Row.generation < current.scalar_subquery())
        .order_by(Row.retired_at.desc(), Row.generation.desc())
        .limit(1)
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        return None
    at, by, retired = found
    assert at and by
    return Rotation(at, by, retired)
