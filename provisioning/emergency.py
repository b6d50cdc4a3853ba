"""Emergency calls: each 911 or 933 that the switch reports, whom it is told, and how far that has come."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning import db, deliveries, outbox, scene_search
from provisioning.db import Base, new_id, now
from provisioning.deliveries import Delivery
from provisioning.devices import Vendors
from provisioning.emergency_report import TEST, EmergencyReport
from provisioning.scene import Scene

_log = logging.getLogger(__name__)
NO_RECIPIENT: Final = (
    "No recipient is set for the whole account: a call from a location without recipients of its own,"
    " or from an unknown one, is told nobody."
)
NOBODY: Final = "No recipient is set for this call: nobody is told of it."


class Row(Base):
    """`scene` is what was known at the time; it stays, whatever becomes of the phone and its location."""

    __tablename__ = "emergency_calls"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "call_id"),
        sa.CheckConstraint("dialed IN ('911', '933')", name="dialed"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("accounts.id", ondelete="CASCADE"))
    call_id: Mapped[str]
    dialed: Mapped[str]
    sip_username: Mapped[str | None]
    device_mac: Mapped[str | None]
    caller_number: Mapped[str | None]
    occurred_at: Mapped[datetime | None]
    reported_at: Mapped[datetime]
    scene: Mapped[dict[str, Any]]
    warnings: Mapped[list[Any]]


class PlaceRow(Base):
    """A location that a call may have come from. It may be removed, and the call stays."""

    __tablename__ = "emergency_call_locations"

    location_id: Mapped[str] = mapped_column(primary_key=True)
    emergency_call_id: Mapped[str] = mapped_column(
        sa.ForeignKey("emergency_calls.id", ondelete="CASCADE"), primary_key=True, index=True
    )


@dataclass(frozen=True, slots=True)
class EmergencyCall:
    id: str
    report: EmergencyReport
    reported_at: datetime
    scene: Scene
    warnings: tuple[str, ...]

    @property
    def test(self) -> bool:
        return self.report.dialed == TEST

    @property
    def dialed_at(self) -> datetime:
        """When, as the switch says, else when we were told."""
        return self.report.occurred_at or self.reported_at

    @property
    def clocks_differ(self) -> bool:
        return abs(self.reported_at - self.dialed_at) >= timedelta(minutes=1)


async def report(
    session: AsyncSession, vendors: Vendors, account_id: str, form: EmergencyReport, *, relay: bool
) -> tuple[EmergencyCall, bool]:
    """The call with a mail for each recipient in the outbox, and whether it is new: what has a call id
    that was reported before changes nothing and is told nobody again.

    Calls of one account follow each other (`accounts.lock`). `relay` is whether mails can leave at all.
    """
    if known := await session.scalar(_of(account_id).where(Row.call_id == form.call_id)):
        call = call_of(known)
        if dict(call.report) != dict(form):
            _log.critical("the call id %s of emergency call %s came again for another", form.call_id, call.id)
        return call, False
    scene = await scene_search.gather(
        session, vendors, account_id, sip_username=form.sip_username, device_mac=form.device_mac
    )
    recipients = scene.everyone()
    row = Row(id=new_id("call"), account_id=account_id, reported_at=now(), **dict(form))
    row.scene = scene.model_dump(mode="json")
    row.warnings = [*scene.warnings, *(() if recipients else (NOBODY,)), *_without(relay)]
    session.add(row)
    await session.flush()
    session.add_all(PlaceRow(location_id=i, emergency_call_id=row.id) for i in scene.location_ids)
    urgent = form.dialed != TEST
    outbox.add(session, row.id, recipients, urgent=urgent, at=row.reported_at)
    if not recipients:
        _log.critical("emergency call %s (%s): no recipient is set, nobody is told", row.id, form.dialed)
    return call_of(row), True


async def page(
    session: AsyncSession, account_id: str, *, limit: int, cursor: str | None
) -> tuple[list[EmergencyCall], str | None]:
    found, following = await db.page(session, _of(account_id), limit=limit, cursor=cursor)
    return [call_of(row) for row in found], following


async def rows(session: AsyncSession, ids: Collection[str]) -> Mapping[str, Row]:
    """Calls of any account, not yet read: `call_of` raises where a row is damaged, for that call alone."""
    return {row.id: row for row in await session.scalars(sa.select(Row).where(Row.id.in_(ids)))}


def call_of(row: Row) -> EmergencyCall:
    told = EmergencyReport.model_construct(**{n: getattr(row, n) for n in EmergencyReport.model_fields})
    return EmergencyCall(row.id, told, row.reported_at, Scene.model_validate(row.scene), tuple(row.warnings))


async def last_tests(
    session: AsyncSession, account_id: str, location_ids: Sequence[str]
) -> Mapping[str, tuple[EmergencyCall, list[Delivery]]]:
    """The last test call that came, or may have come, from each location, and whom it reached."""
    newest = (
        sa.select(PlaceRow.location_id, sa.func.max(Row.id).label("newest"))
        .join(Row, Row.id == PlaceRow.emergency_call_id)
        .where(Row.account_id == account_id, Row.dialed == TEST, PlaceRow.location_id.in_(location_ids))
        .group_by(PlaceRow.location_id)
    )
    last = {row.location_id: row.newest for row in await session.execute(newest)}
    found = await rows(session, set(last.values()))
    mails = await deliveries.deliveries(session, set(last.values()), now())
    return {location: (call_of(found[call]), mails[call]) for location, call in last.items()}


async def undelivered(session: AsyncSession, account_id: str) -> int:
    """How many mails of the account are late or were given up."""
    mail = outbox.Row
    query = sa.select(sa.func.count()).select_from(mail).join(Row, Row.id == mail.emergency_call_id)
    return await session.scalar(query.where(Row.account_id == account_id, deliveries.is_trouble(now()))) or 0


async def mails_waiting(session: AsyncSession, account_id: str) -> list[outbox.Row]:
    """Those about the account's calls that are still to be sent, oldest first."""
    return await outbox.waiting(session, sa.select(Row.id).where(Row.account_id == account_id))


def _without(relay: bool) -> Sequence[str]:
    return () if relay else (outbox.NO_RELAY,)


def _of(account_id: str) -> sa.Select[Row]:
    return sa.select(Row).where(Row.account_id == account_id)
