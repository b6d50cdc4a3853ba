"""Looking for devices by what people know of them: a name, a number, a piece of the MAC address, a status."""

import re
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import extensions, sightings
from provisioning.devices import LineRow, Row

Status = Literal["pending", "provisioned", "stale", "not-current"]
_SEEN: Final = sa.or_(sightings.Row.fetched_at.is_not(None), sightings.Row.refused_at.is_not(None))
_KNOCKS: Final = sa.and_(
    sightings.Row.refused_at.is_not(None),
    sa.or_(sightings.Row.fetched_at.is_(None), sightings.Row.refused_at > sightings.Row.fetched_at),
)


@dataclass(frozen=True, slots=True)
class Filters:
    """They add up; an empty one lets everything through. `text` is part of a name, a model or a MAC address
    in any spelling, or the beginning of an extension's number."""

    text: str = ""
    vendor: str = ""
    location_id: str = ""
    status: Status | None = None


def conditions(account_id: str, filters: Filters, generation: int) -> list[sa.ColumnElement[bool]]:
    """What rows of devices meet; `generation` is that of the account's present token, 0 without one."""
    found: list[sa.ColumnElement[bool]] = []
    if filters.text.strip():
        found.append(_named(account_id, filters.text.strip()))
    if filters.vendor:
        found.append(Row.vendor == filters.vendor)
    if filters.location_id:
        found.append(Row.location_id == filters.location_id)
    if filters.status:
        found.append(_in_status(account_id, filters.status, generation))
    return found


async def count(session: AsyncSession, account_id: str, filters: Filters, generation: int) -> int:
    rows = sa.select(sa.func.count()).select_from(Row).where(Row.account_id == account_id)
    return await session.scalar(rows.where(*conditions(account_id, filters, generation))) or 0


def _named(account_id: str, text: str) -> sa.ColumnElement[bool]:
    lines = sa.select(LineRow.device_id).join(extensions.Row, extensions.Row.id == LineRow.extension_id)
    numbered = extensions.Row.number.startswith(text, autoescape=True)
    ways = [
        Row.name.icontains(text, autoescape=True),
        Row.model.icontains(text, autoescape=True),
        Row.id.in_(lines.where(extensions.Row.account_id == account_id, numbered)),
    ]
    digits = re.sub(r"[\s:.-]", "", text).lower()
    if re.fullmatch("[0-9a-f]{1,12}", digits):
        ways.append(Row.mac.contains(digits))
    return sa.or_(*ways)


def _in_status(account_id: str, status: Status, generation: int) -> sa.ColumnElement[bool]:
    """As `Sighting.status`; `not-current` is whatever has not fetched with the present token."""
    seen = sa.select(sightings.Row.mac).where(sightings.Row.account_id == account_id, _SEEN)
    late = sa.or_(_KNOCKS, sa.func.coalesce(sightings.Row.generation, 0) < generation)
    if status == "pending":
        return Row.mac.not_in(seen)
    if status == "not-current":
        return Row.mac.not_in(
            seen.where(sightings.Row.fetched_at.is_not(None), sightings.Row.generation == generation)
        )
    return Row.mac.in_(seen.where(late if status == "stale" else sa.not_(late)))
