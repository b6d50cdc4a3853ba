"""Login limits: how often a password may be tried for one email and from one address, on all servers."""

import ipaddress
import json
import math
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.db import Base, insert, now
from provisioning.errors import TooMany
from provisioning.vault import Vault

WINDOW: Final = timedelta(minutes=15)
PER_EMAIL: Final = 10
PER_ADDRESS: Final = 30
_PRUNED: Final = 100  # rows at most for one login


class Row(Base):
    """Attempts since the first of its window.

    `key` is a digest: what is typed as an email may be a password, and is nobody's business in clear.
    """

    __tablename__ = "login_limits"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    attempts: Mapped[int]
    since: Mapped[datetime] = mapped_column(index=True)


async def admit(
    session: AsyncSession, vault: Vault, *, email: str, address: str, at: datetime | None = None
) -> None:
    """Counts a login that is about to be tried; raises `TooMany` when too many failed within 15 minutes.

    It is counted before the password is checked, and committed, or many that come at once would all be
    let through; `succeeded` takes it back. Known and unknown emails are counted alike.
    """
    at = at or now()
    # In this order everywhere, and the removal last: transactions that wait for each other would fail.
    await _count(session, _address_key(vault, address), PER_ADDRESS, at)
    await _count(session, _email_key(vault, email), PER_EMAIL, at)
    await _prune(session, at)


async def succeeded(session: AsyncSession, vault: Vault, *, email: str, address: str) -> None:
    """Forgets the failures of the email; of the address this attempt alone, for one may own an account."""
    counted = sa.update(Row).where(Row.key == _address_key(vault, address), Row.attempts > 0)
    await session.execute(counted.values(attempts=Row.attempts - 1))
    await session.execute(sa.delete(Row).where(Row.key == _email_key(vault, email)))


async def _count(session: AsyncSession, key: bytes, limit: int, at: datetime) -> None:
    # One that begins far ahead is of a clock that was set back since: nobody is locked out till then.
    over = sa.or_(Row.since <= at - WINDOW, Row.since > at + WINDOW)
    # One statement: a number that is read first may be another when it is written.
    counted = (
        insert(session, Row)
        .values(key=key, attempts=1, since=at)
        .on_conflict_do_update(
            index_elements=[Row.key],
            set_={
                "attempts": sa.case((over, 1), else_=Row.attempts + 1),
                "since": sa.case((over, at), else_=Row.since),
            },
        )
        .returning(Row.attempts, Row.since)
    )
    attempts, since = (await session.execute(counted)).one()
    if attempts > limit:
        raise TooMany(max(1, math.ceil((since + WINDOW - at).total_seconds())))


async def _prune(session: AsyncSession, at: datetime) -> None:
    old = sa.select(Row.key).where(Row.since <= at - WINDOW).limit(_PRUNED)
    await session.execute(
        sa.delete(Row)
        .where(Row.key.in_(old.with_for_update(skip_locked=True)))
        .execution_options(synchronize_session=False)
    )


def _email_key(vault: Vault, email: str) -> bytes:
    # JSON has an escape for whatever a stranger sends, lone surrogates too.
    return vault.digest(json.dumps(["login", "email", email.lower()]))


def _address_key(vault: Vault, address: str) -> bytes:
    return vault.digest(json.dumps(["login", "address", _place(address)]))


def _place(address: str) -> str:
    """An IPv6 address as its /64, of which one caller has them all."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(ip), 64), strict=False))
    return str(ip)
