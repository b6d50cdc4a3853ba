"""Finds the scene of an emergency call.

It reads bare columns: whatever else is amiss with a phone or an account, the call is told.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import accounts, devices, extensions, locations
from provisioning.devices import Vendors
from provisioning.scene import Phone, Place, Scene

_Rows = Sequence[sa.Row[Any]]


async def gather(
    session: AsyncSession,
    vendors: Vendors,
    account_id: str,
    *,
    sip_username: str | None,
    device_mac: str | None,
) -> Scene:
    """The scene of a call by this extension or from this phone, or both; either may be of nobody."""
    notes: list[str] = []
    extension = None
    if sip_username:
        extension = (await session.execute(_extension(account_id, sip_username))).first()
        if extension is None:
            notes.append(f"No extension of this account has the SIP user name {sip_username}.")
    named: _Rows = ()
    if device_mac:
        named = await _phones(session, account_id, devices.Row.mac == device_mac)
        if not named:
            notes.append(f"No phone of this account has the MAC address {device_mac}.")
    phones = named
    if extension:
        line = devices.LineRow
        holders = sa.select(line.device_id).where(line.extension_id == extension.id)
        held = await _phones(session, account_id, devices.Row.id.in_(holders))
        if not held:
            notes.append(f"No phone has the extension {extension.number} as a line.")
        elif named and named[0] not in held:
            notes.append(
                f"The phone {named[0].mac} does not have the extension {extension.number} as a line."
            )
        if not named or named[0] not in held:
            phones = (*named, *held)
    if extension:
        caller = f"{extension.display_name} ({extension.number})"
    else:
        caller = await _name_of(session, named[0]) if named else ""
    places = _places(phones, vendors)
    account = (await session.execute(_account(account_id))).one()
    return Scene(
        account=account.name,
        timezone=account.timezone,
        recipients=account.emergency_recipients,
        caller=caller,
        places=places,
        notes=(*notes, *_doubts(places)),
    )


def _doubts(places: Sequence[Place]) -> Iterable[str]:
    if not places:
        yield "The location is not known."
    elif len(places) > 1:
        yield (
            "The phone that called could not be told apart: the extension is on phones at different"
            " locations. The call came from one of those listed here."
        )
    elif len(places[0].phones) > 1:
        yield "The phone that called could not be told apart: the extension is on several phones."
    if any(place.location_id is None for place in places):
        phones = ", ".join(phone.mac for place in places if not place.location_id for phone in place.phones)
        yield f"No location is set for the phone {phones}."


def _places(rows: Iterable[Any], vendors: Vendors) -> tuple[Place, ...]:
    found: dict[str, Place] = {}
    for row in rows:
        vendor = vendors.get(row.vendor)
        phone = Phone(
            name=row.name, model=f"{vendor.title if vendor else row.vendor} {row.model}", mac=row.mac
        )
        place = found.get(row.location_id or "") or Place(
            location_id=row.location_id,
            name=row.location_name,
            address=row.address,
            callback_number=row.callback_number,
            timezone=row.timezone,
            recipients=row.emergency_recipients or (),
        )
        found[row.location_id or ""] = place.model_copy(update={"phones": (*place.phones, phone)})
    # Where the call may come from first, what is not known last.
    return tuple(found[key] for key in sorted(found, key=lambda key: (not key, found[key].name)))


def _account(account_id: str) -> sa.Select[str, str, list[Any]]:
    row = accounts.Row
    return sa.select(row.name, row.timezone, row.emergency_recipients).where(row.id == account_id)


def _extension(account_id: str, sip_username: str) -> sa.Select[str, str, str]:
    row = extensions.Row
    query = sa.select(row.id, row.number, row.display_name)
    return query.where(row.account_id == account_id, row.sip_username == sip_username)


async def _phones(session: AsyncSession, account_id: str, which: sa.ColumnElement[bool]) -> _Rows:
    phone, place = devices.Row, locations.Row
    query = (
        sa.select(phone.id, phone.mac, phone.vendor, phone.model, phone.name, phone.location_id)
        .add_columns(place.name.label("location_name"), place.address, place.callback_number)
        .add_columns(place.timezone, place.emergency_recipients)
        .join(place, place.id == phone.location_id, isouter=True)
        .where(phone.account_id == account_id, which)
        .order_by(phone.mac)
    )
    return (await session.execute(query)).all()


async def _name_of(session: AsyncSession, phone: sa.Row[Any]) -> str:
    """Which line was used is not known: the phone's own name, or its first line's, and all its numbers."""
    held, line = extensions.Row, devices.LineRow
    query = sa.select(held.display_name, held.number).join(line, line.extension_id == held.id)
    lines = (await session.execute(query.where(line.device_id == phone.id).order_by(line.index))).all()
    if not lines:
        return phone.name or ""
    name = lines[0].display_name if len(lines) == 1 or not phone.name else phone.name
    return f"{name} ({'/'.join(line.number for line in lines)})"
