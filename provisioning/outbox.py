"""The outbox: a row for each mail and recipient, there until it is delivered and kept as evidence."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, new_id, now
from provisioning.schedule import Schedule

LATE: Final = timedelta(seconds=60)  # after which an undelivered mail is somebody's business
NO_RELAY: Final = "No mail relay is set (PROVISIONING_SMTP_URL): mails wait until there is one."


class Row(Base):
    """`next_attempt_at` is when the mail may be taken: a claim is nothing but to set it past the attempt's
    end, and the attempt's number tells whose claim it is. `attempts` are all that were begun, `failures`
    those that ended badly, `unclear` those of them after which the relay may have the mail all the same.
    """

    __tablename__ = "mails"
    __table_args__ = (
        sa.UniqueConstraint("emergency_call_id", "recipient"),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="state"),
        sa.CheckConstraint("(state = 'waiting') = (next_attempt_at IS NOT NULL)", name="next_attempt_at"),
        sa.CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered_at"),
        sa.Index(
            "ix_mails_waiting",
            "next_attempt_at",
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    emergency_call_id: Mapped[str] = mapped_column(sa.ForeignKey("emergency_calls.id", ondelete="CASCADE"))
    recipient: Mapped[str]
    urgent: Mapped[bool]
    created_at: Mapped[datetime]
    state: Mapped[str]
    next_attempt_at: Mapped[datetime | None]
    attempts: Mapped[int]
    failures: Mapped[int]
    unclear: Mapped[int]
    delivered_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    late_noted_at: Mapped[datetime | None]


# The state is written out, or PostgreSQL would not see that the index is of just these.
_WAITS: Final = sa.literal_column("mails.state") == sa.literal_column("'waiting'")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that is ours to send; `attempt` is 1 for the first."""

    id: str
    emergency_call_id: str
    recipient: str
    created_at: datetime
    attempt: int


def add(
    session: AsyncSession, emergency_call_id: str, recipients: Iterable[str], *, urgent: bool, at: datetime
) -> None:
    """A mail for each of `recipients`; `urgent` ones go before others."""
    for recipient in recipients:
        row = Row(id=new_id("mail"), emergency_call_id=emergency_call_id, recipient=recipient)
        row.urgent, row.created_at, row.next_attempt_at, row.state = urgent, at, at, "waiting"
        row.attempts = row.failures = row.unclear = 0
        session.add(row)


async def is_due(session: AsyncSession, schedule: Schedule, at: datetime) -> bool:
    """Whether a mail may be taken. A read, so that looking each second holds up no writer."""
    due = sa.or_(sa.and_(*_due(at)), sa.and_(_WAITS, _too_late(schedule, at)))
    return await session.scalar(sa.select(Row.id).where(due).limit(1)) is not None


async def claim(
    session: AsyncSession,
    schedule: Schedule,
    *,
    fresh: int,
    again: int,
    at: datetime,
    but: Collection[str] = (),
) -> list[Mail]:
    """Takes up to `fresh` mails that were never tried and `again` that were, and none of `but`.

    Those tried least often go first: a thousand old ones that nobody takes hold up no new one.
    """
    # The clock was set back: whoever may have them at this moment is given the time that a claim lasts.
    soon = at + schedule.lease(schedule.patient)
    await session.execute(sa.update(Row).where(_WAITS, _too_late(schedule, at)).values(next_attempt_at=soon))
    claimed: list[Mail] = []
    for lane, limit in ((Row.attempts == 0, fresh), (Row.attempts > 0, again)):
        taken = await session.scalars(
            sa.select(Row)
            # Not by its time alone: the clock may be set back while we claim.
            .where(*_due(at), lane, Row.id.not_in({*but, *(mail.id for mail in claimed)}))
            .order_by(Row.urgent.desc(), Row.attempts, Row.next_attempt_at, Row.id)
            .limit(limit)
            .with_for_update(skip_locked=True)  # what another server is just taking is not ours
        )
        for row in taken:
            row.attempts += 1
            # From now: the transaction may have waited for its turn.
            row.next_attempt_at = now() + schedule.lease(row.attempts)
            claimed.append(Mail(row.id, row.emergency_call_id, row.recipient, row.created_at, row.attempts))
    return claimed


async def delivered(session: AsyncSession, mails: Mapping[str, datetime]) -> None:
    """These mails, by their ids, the relay has since then: that is true whoever claims them meanwhile."""
    if not mails:
        return
    table = cast(sa.Table, Row.__table__)
    update = (
        table.update()
        .where(table.c.id == sa.bindparam("mail"), table.c.state != "delivered")
        .values(state="delivered", delivered_at=sa.bindparam("at"), next_attempt_at=None)
    )
    # In one order, so that two servers do not wait in a circle for each other's rows.
    rows = [{"mail": mail, "at": at} for mail, at in sorted(mails.items())]
    await (await session.connection()).execute(update, rows)


async def put_off(
    session: AsyncSession, mail: Mail, *, until: datetime | None, why: str, unclear: bool
) -> None:
    """The attempt was in vain; the next is at `until`, or never. Nothing when it was claimed again since."""
    await session.execute(
        sa.update(Row)
        .where(Row.id == mail.id, Row.state == "waiting", Row.attempts == mail.attempt)
        .values(
            state="waiting" if until else "failed",
            next_attempt_at=until,
            failures=Row.failures + 1,
            unclear=Row.unclear + int(unclear),
            last_error=why,
        )
    )


async def waiting(session: AsyncSession, emergency_call_ids: sa.Select[str]) -> list[Row]:
    """The mails about these calls that are still to be sent, oldest first."""
    query = sa.select(Row).where(_WAITS, Row.emergency_call_id.in_(emergency_call_ids)).order_by(Row.id)
    return list(await session.scalars(query.with_for_update()))


def hold_back(row: Row, why: str) -> None:
    """Gives up a mail that waits, which is then shown as failed."""
    row.state, row.next_attempt_at, row.last_error = "failed", None, why


async def is_late(session: AsyncSession, at: datetime) -> bool:
    """Whether a mail is late that `note_late` has not told of."""
    return await session.scalar(sa.select(Row.id).where(*_late(at)).limit(1)) is not None


async def note_late(session: AsyncSession, at: datetime) -> list[Row]:
    """The mails that have become late, each told to one caller once."""
    rows = await session.scalars(
        sa.select(Row).where(*_late(at)).order_by(Row.id).with_for_update(skip_locked=True)
    )
    noted = list(rows)
    for row in noted:
        row.late_noted_at = at
    return noted


def _too_late(schedule: Schedule, at: datetime) -> sa.ColumnElement[bool]:
    """Of mails that would wait for longer than any ever does."""
    return Row.next_attempt_at > at + schedule.longest


def _due(at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    # What was never tried is due whatever the clock says.
    return _WAITS, sa.or_(Row.next_attempt_at <= at, Row.attempts == 0)


def late(at: datetime) -> sa.ColumnElement[bool]:
    """Of mails that are somebody's business by now."""
    return sa.and_(_WAITS, Row.created_at <= at - LATE)


def _late(at: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return late(at), Row.late_noted_at.is_(None)
