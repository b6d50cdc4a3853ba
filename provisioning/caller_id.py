"""Caller ID: the number that a call shows, of the phone, else of the extension, else of the account."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from provisioning import accounts, devices, extensions, numbers
from provisioning.devices import LineRow
from provisioning.extensions import Extension


async def of_devices(session: AsyncSession, account_id: str, ids: Sequence[str]) -> Mapping[str, str | None]:
    """For each device the number in E.164 that it shows on its first line, or None; one query for all."""
    own, line, default = aliased(numbers.Row), aliased(numbers.Row), aliased(numbers.Row)
    first = sa.and_(LineRow.device_id == devices.Row.id, LineRow.index == 1)
    query = (
        sa.select(devices.Row.id, sa.func.coalesce(own.number, line.number, default.number))
        .join(accounts.Row, accounts.Row.id == devices.Row.account_id)
        .outerjoin(LineRow, first)
        .outerjoin(extensions.Row, extensions.Row.id == LineRow.extension_id)
        .outerjoin(own, own.id == devices.Row.outbound_number_id)
        .outerjoin(line, line.id == extensions.Row.outbound_number_id)
        .outerjoin(default, default.id == accounts.Row.default_outbound_number_id)
        .where(devices.Row.account_id == account_id, devices.Row.id.in_(ids))
    )
    return {device_id: number for device_id, number in await session.execute(query)}  # noqa: C416


async def of_extension(session: AsyncSession, account_id: str, extension: Extension) -> str | None:
    """The number in E.164 that a call of this extension shows, or None.

    The switch knows the user, not the phone: where the extension is a line of several phones, their
    number counts only if all of them have the same one.
    """
    held = sa.select(devices.Row.outbound_number_id).join(LineRow, LineRow.device_id == devices.Row.id)
    phones = set(await session.scalars(held.where(LineRow.extension_id == extension.id)))
    account = await accounts.get(session, account_id)
    number_id = (
        (phones.pop() if len(phones) == 1 else None)
        or extension.outbound_number_id
        or account.telephony.default_outbound_number_id
    )
    return number_id and (await numbers.get(session, account_id, number_id)).form.number
