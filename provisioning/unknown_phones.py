"""Unknown phones: they asked with the account's token, and no device has their MAC address."""

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
    """Who asked in the last 30 days, the last to ask first."""
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
        _phone(vendors, mac, [asked.user_agent for asked in of_one], of_one[0].time, of_one[0].ip)
        for mac, of_one in list(requests.items())[:MOST]
    ]


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
