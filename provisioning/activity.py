"""The activity log: what was done on an account, by whom, from where, and how it ended."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, new_id, now

Outcome = Literal["success", "failure", "denied"]


class Row(Base):
    __tablename__ = "activity"
    __table_args__ = (
        sa.CheckConstraint("outcome IN ('success', 'failure', 'denied')", name="outcome"),
        sa.Index("ix_activity_account_id_time", "account_id", "time", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    # No foreign key: what was done on an account outlives it.
    account_id: Mapped[str]
    time: Mapped[datetime]
    event: Mapped[str]
    resource: Mapped[str]
    actor: Mapped[str]
    outcome: Mapped[str]
    ip: Mapped[str]
    detail: Mapped[dict[str, Any]]


async def record(
    session: AsyncSession,
    account_id: str,
    event: str,
    resource: str,
    *,
    actor: str,
    ip: str = "",
    outcome: Outcome = "success",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Enters an operation in the transaction of its change: no entry, no change."""
    session.add(
        Row(
            id=new_id("act"),
            account_id=account_id,
            time=now(),
            event=event,
            resource=resource,
            actor=actor,
            outcome=outcome,
            ip=ip,
            detail=dict(detail or {}),
        )
    )
    await session.flush()
