"""Unknown phones: they asked with the account's token, and no device has their MAC address."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import boot_log, devices
from provisioning.boot_log import Verdict
from provisioning.db import now
from provisioning.devices import Vendors
from provisioning.phones.vendor import Claim, claimed

WINDOW: Final = timedelta(days=30)
MOST: Final = 200  # phones
_OF_AN_ADDRESS: Final = 50  # phones
_NEWEST: Final = 10_000  # requests, of which they are told


@dataclass(frozen=True, slots=True)
class UnknownPhone:
    """`vendor` and `model` are what its User-Agent says, None where that says none; `requests` are those
    among the account's newest 10,000 of such phones."""

    mac: str
    vendor: str | None
    model: str | None
    user_agent: str
    last_asked_at: datetime
    last_asked_ip: str
    requests: int


async def recent(session: AsyncSession, vendors: Vendors, account_id: str) -> list[UnknownPhone]:
    """Who asked in the last 30 days, the last to ask first. Of one network address there are no more than 50
    while others have fewer: who tries all MAC addresses does not crowd out the phones on a desk."""
    row = boot_log.Row
    is_device = sa.exists().where(devices.Row.account_id == account_id, devices.Row.mac == row.mac)
    query = (
        sa.select(row.mac, row.user_agent, row.time, row.ip)
        .where(row.account_id == account_id, boot_log.ended_as(Verdict.MAC_UNKNOWN))
        .where(row.time >= now() - WINDOW, ~is_device)
        .order_by(row.time.desc())
        .limit(_NEWEST)
    )
    requests: dict[str, list[Any]] = {}
    for asked in await session.execute(query):
        requests.setdefault(asked.mac, []).append(asked)
    return [
        _phone(vendors, mac, [asked.user_agent for asked in requests[mac]], last.time, last.ip)
        for mac, last in _fairly({mac: asked[0] for mac, asked in requests.items()})
    ]


def _fairly(last: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """So many as are told, of those in the order of their last requests."""
    seen: Counter[str] = Counter()
    first: list[tuple[str, Any]] = []
    later: list[tuple[str, Any]] = []
    for item in last.items():
        seen[item[1].ip] += 1
        (first if seen[item[1].ip] <= _OF_AN_ADDRESS else later).append(item)
    told = [*first, *later][:MOST]
    return sorted(told, key=lambda item: item[1].time, reverse=True)


def _phone(vendors: Vendors, mac: str, said: list[str], at: datetime, ip: str) -> UnknownPhone:
    """`said` are its User-Agents, newest first; some of a phone's requests say less than others."""
    claims = {text: claimed(vendors, text) for text in said}
    best = max(claims, key=lambda text: (claims[text] is not None, bool(_model(claims[text]))))
    claim = claims[best]
    return UnknownPhone(
        mac=mac,
        vendor=claim.vendor if claim else None,
        model=_model(claim),
        user_agent=best,
        last_asked_at=at,
        last_asked_ip=ip,
        requests=len(said),
    )


def _model(claim: Claim | None) -> str | None:
    return claim.model if claim else None
