"""Staging: which phones of an account were told the next provisioning URL, and to which it is not offered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import sightings
from provisioning.devices import Row, Vendors

MOST: Final = 100  # phones that are named one by one

_IS_SIGHTED: Final = sa.and_(sightings.Row.account_id == Row.account_id, sightings.Row.mac == Row.mac)


@dataclass(frozen=True, slots=True)
class StagedPhone:
    """`reason` is why staging is not offered to the phone, empty where it is."""

    id: str
    mac: str
    name: str
    model: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Of `total` phones, `told` know the next URL. A commit leaves the `not_offered` beside these behind.

    Of both lists the first `MOST` are named.
    """

    told: int
    total: int
    not_offered: int
    told_phones: Sequence[StagedPhone]
    not_offered_phones: Sequence[StagedPhone]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Phones that are alike: whether staging is offered to them is the same for all."""

    vendor: str
    model: str
    firmware: str | None

    def condition(self) -> sa.ColumnElement[bool]:
        said = sightings.Row.firmware.is_not_distinct_from(self.firmware)
        return sa.and_(Row.vendor == self.vendor, Row.model == self.model, said)


async def progress(session: AsyncSession, vendors: Vendors, account_id: str, generation: int) -> Progress:
    """`generation` is that of the staged token."""
    told = sightings.Row.told_generation == generation
    left: dict[_Kind, str] = {}
    counts = {"told": 0, "total": 0, "not_offered": 0}
    kinds = (
        sa.select(
            Row.vendor,
            Row.model,
            sightings.Row.firmware,
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(sa.case((told, 1), else_=0)), 0),
        )
        .outerjoin(sightings.Row, _IS_SIGHTED)
        .where(Row.account_id == account_id)
        .group_by(Row.vendor, Row.model, sightings.Row.firmware)
    )
    for vendor, model, firmware, number, heard in await session.execute(kinds):
        kind = _Kind(vendor, model, firmware)
        if why := _why_not(vendors, kind):
            left[kind] = why
            counts["not_offered"] += number
        else:
            counts["total"] += number
            counts["told"] += heard
    is_left = sa.or_(sa.false(), *(kind.condition() for kind in left))
    return Progress(
        **counts,
        told_phones=await _named(session, account_id, {}, told, sa.not_(is_left)),
        not_offered_phones=await _named(session, account_id, left, is_left),
    )


def _why_not(vendors: Vendors, kind: _Kind) -> str | None:
    vendor = vendors[kind.vendor]
    model = vendor.models.get(kind.model)
    return vendor.unstaged(model, kind.firmware) if model else "its model is not among those that are known"


async def _named(
    session: AsyncSession, account_id: str, reasons: Mapping[_Kind, str], *conditions: sa.ColumnElement[bool]
) -> list[StagedPhone]:
    query = (
        sa.select(Row.id, Row.mac, Row.name, Row.model, Row.vendor, sightings.Row.firmware)
        .outerjoin(sightings.Row, _IS_SIGHTED)
        .where(Row.account_id == account_id, *conditions)
        .order_by(Row.name, Row.mac)
        .limit(MOST)
    )
    return [
        StagedPhone(device_id, mac, name, model, reasons.get(_Kind(vendor, model, firmware), ""))
        for device_id, mac, name, model, vendor, firmware in await session.execute(query)
    ]
