"""Deliveries: how far the mails of the outbox have come, for people and for Prometheus."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning.outbox import LATE, Row, late

State = Literal["waiting", "late", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a mail has come. `seconds` are those from the report to the delivery."""

    recipient: str
    state: State
    attempts: int
    delivered_at: datetime | None
    seconds: float | None
    last_error: str | None


async def deliveries(
    session: AsyncSession, emergency_call_ids: Collection[str], at: datetime
) -> Mapping[str, list[Delivery]]:
    """Of each emergency call its mails, by recipient."""
    found: dict[str, list[Delivery]] = {call: [] for call in emergency_call_ids}
    query = sa.select(Row).where(Row.emergency_call_id.in_(emergency_call_ids)).order_by(Row.recipient)
    for row in await session.scalars(query):
        took = round((row.delivered_at - row.created_at).total_seconds(), 3) if row.delivered_at else None
        state: Any = "late" if row.state == "waiting" and row.created_at <= at - LATE else row.state
        found[row.emergency_call_id].append(
            Delivery(row.recipient, state, row.attempts, row.delivered_at, took, row.last_error)
        )
    return found


def is_trouble(at: datetime) -> sa.ColumnElement[bool]:
    """Of mails that are late or were given up."""
    return sa.or_(late(at), Row.state == "failed")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many mails are in each state, and how many attempts ended in each way. One that is under way, or
    whose server was killed, is `unfinished`."""

    states: Mapping[str, int]
    attempts: Mapping[str, int]


async def counts(session: AsyncSession, at: datetime) -> Counts:
    shown = sa.case((late(at), "late"), else_=Row.state)
    sums = (sa.func.sum(column) for column in (Row.attempts, Row.failures, Row.unclear))
    states = dict.fromkeys(("waiting", "late", "delivered", "failed"), 0)
    begun = failures = unclear = 0
    for state, mails, *of_state in await session.execute(
        sa.select(shown.label("state"), sa.func.count(), *sums).group_by(sa.text("1"))
    ):
        states[state] = mails
        begun, failures, unclear = begun + of_state[0], failures + of_state[1], unclear + of_state[2]
    unfinished = begun - failures - states["delivered"]
    ends = {"delivered": states["delivered"], "failed": failures - unclear, "unclear": unclear}
    return Counts(states, ends | {"unfinished": max(unfinished, 0)})
