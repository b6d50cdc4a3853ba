"""Loads an account file: the account and all that belongs to it are made or updated, or nothing is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

import tokens
from button_templates import library
from button_templates.library import TemplateForm
from provisioning import (
    account_file,
    accounts,
    activity,
    api_keys,
    devices,
    extensions,
    gathering,
    locations,
    numbers,
    users,
)
from provisioning.account_file import AccountFile, DevicePart, ExtensionPart, TelephonyPart, TemplatePart
from provisioning.accounts import EmergencyRecipients, General, Telephony
from provisioning.devices import Device, DeviceForm, Rendering
from provisioning.errors import FieldError, Invalid, collected, invalid
from provisioning.extensions import ExtensionForm
from provisioning.locations import LocationForm
from provisioning.numbers import NumberForm
from provisioning.vault import Vault

Find = Callable[[AsyncSession, str, str], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """`password` and `api_key` are None where the account was there before: they are shown once."""

    account_id: str
    email: str
    password: str | None = field(repr=False)
    api_key: str | None = field(repr=False)
    provisioning_url: str | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


async def add_account(
    session: AsyncSession, vault: Vault, general: General, password: str | None = None
) -> Loaded:
    """A new account with its first admin and an API key. Raises `Conflict` when the email is taken."""
    password = password or users.make_password()
    account = await accounts.add(session, vault, general)
    await users.add(
        session, account.id, email=general.email, name=general.name, role="admin", password=password
    )
    api_key = await api_keys.add(session, vault, account.id, name="first", role="admin")
    await activity.record(session, account.id, "account.create", f"account/{account.id}", actor="system")
    return Loaded(account.id, general.email, password, api_key)


async def load(
    session: AsyncSession, vault: Vault, rendering: Rendering, text: str, *, token: str | None = None
) -> Loaded:
    """Loads an account file in the caller's transaction. Raises `Invalid` with every fault and its line.

    What the file names is made or updated (an account by its email, locations and templates by name,
    numbers and extensions by number, devices by MAC); what it does not name stays as it is. `token` fixes the
    text of the first provisioning token, for samples whose bytes must repeat.
    """
    try:
        file = account_file.read(text)
        loaded = await _account(session, vault, file)
        faults = await _Parts(session, vault, rendering, loaded.account_id).write(file)
        if faults:
            raise Invalid(faults)
        current = await tokens.current(session, vault, loaded.account_id)
        if current is None:
            current = await tokens.generate(session, vault, loaded.account_id, actor="system", token=token)
            await activity.record(session, loaded.account_id, "token.generate", "account", actor="system")
        warnings = await _try_all(session, vault, rendering, loaded.account_id, file)
    except Invalid as error:
        raise account_file.placed(error, text) from None
    await activity.record(
        session, loaded.account_id, "account.load", f"account/{loaded.account_id}", actor="system"
    )
    url = devices.provisioning_url(rendering.base_url, current.text)
    warnings += await _odd_lengths(session, loaded.account_id)
    return replace(loaded, provisioning_url=url, warnings=tuple(warnings))


async def _account(session: AsyncSession, vault: Vault, file: AccountFile) -> Loaded:
    general = General.model_validate({name: getattr(file.account, name) for name in General.model_fields})
    found = await accounts.find(session, general.email)
    if found:
        loaded = Loaded(found.id, general.email, None, None)
        await accounts.set_general(session, found.id, general)
    else:
        loaded = await add_account(session, vault, general)
    account_id = loaded.account_id
    if "options" in file.model_fields_set:
        await accounts.set_options(session, account_id, file.options)
    if "emergency_recipients" in file.account.model_fields_set:
        recipients = EmergencyRecipients(emails=file.account.emergency_recipients)
        await accounts.set_emergency_recipients(session, account_id, recipients)
    if file.account.admin_password:
        await accounts.set_admin_password(session, vault, account_id, file.account.admin_password)
    return loaded


class _Parts:
    """Writes the parts of a file in the order in which they refer to each other, and collects the faults."""

    def __init__(self, session: AsyncSession, vault: Vault, rendering: Rendering, account_id: str) -> None:
        self._session, self._vault, self._rendering = session, vault, rendering
        self._account_id = account_id
        self._faults: list[FieldError] = []

    async def write(self, file: AccountFile) -> list[FieldError]:
        for index, number in enumerate(file.phone_numbers):
            with collected(self._faults, f"phone_numbers[{index}]"):
                await self._number(number)
        if "telephony" in file.model_fields_set:
            with collected(self._faults, "telephony"):
                await self._telephony(file.telephony)
        for index, location in enumerate(file.locations):
            with collected(self._faults, f"locations[{index}]"):
                await self._location(location)
        length = (await accounts.get(self._session, self._account_id)).telephony.extension_length
        for index, extension in enumerate(file.extensions):
            with collected(self._faults, f"extensions[{index}]"):
                await self._extension(extension, length)
        for index, template in enumerate(file.button_templates):
            with collected(self._faults, f"button_templates[{index}]"):
                await self._template(template)
        # A device would only repeat the faults of what it refers to.
        for index, device in enumerate(() if self._faults else file.devices):
            with collected(self._faults, f"devices[{index}]"):
                await self._device(device)
        return self._faults

    async def _number(self, form: NumberForm) -> None:
        if found := await numbers.find(self._session, self._account_id, form.number):
            await numbers.update(self._session, self._account_id, found.id, form)
        else:
            await numbers.add(self._session, self._account_id, form)

    async def _telephony(self, part: TelephonyPart) -> None:
        before = (await accounts.get(self._session, self._account_id)).telephony
        telephony = Telephony(
            **part.model_dump(exclude={"default_outbound_number"}),
            default_outbound_number_id=await self._number_id(
                part.default_outbound_number, "default_outbound_number"
            ),
            hold_music_clip_id=before.hold_music_clip_id,
        )
        await accounts.set_telephony(self._session, self._account_id, telephony)

    async def _location(self, form: LocationForm) -> None:
        if found := await locations.find(self._session, self._account_id, form.name):
            await locations.update(self._session, self._account_id, found.id, form)
        else:
            await locations.add(self._session, self._account_id, form)

    async def _extension(self, part: ExtensionPart, length: int) -> None:
        form = ExtensionForm(
            **part.model_dump(exclude={"outbound_number"}),
            outbound_number_id=await self._number_id(part.outbound_number, "outbound_number"),
        )
        if found := await extensions.find(self._session, self._account_id, form.number):
            await extensions.update(
                self._session, self._vault, self._account_id, found.id, form, length=length
            )
        else:
            await extensions.add(self._session, self._vault, self._account_id, form, length=length)

    async def _template(self, part: TemplatePart) -> None:
        form = _with_starter(part)
        if found := await library.find(self._session, self._account_id, form.name):
            await library.update(self._session, self._account_id, found.id, form)
        else:
            await library.add(self._session, self._account_id, form)

    async def _device(self, part: DevicePart) -> None:
        form = DeviceForm(
            mac=part.mac,
            vendor=part.vendor,
            model=part.model,
            expansion=part.expansion,
            name=part.name,
            location_id=await self._id(
                locations.find, part.location, "location", "there is no location of this name"
            ),
            lines=[await self._line(index, number) for index, number in enumerate(part.lines)],
            button_template_id=await self._id(
                library.find,
                part.button_template,
                "button_template",
                "there is no button template of this name",
            ),
            button_overrides=part.button_overrides,
            outbound_number_id=await self._number_id(part.outbound_number, "outbound_number"),
            options=part.options,
        )
        if found := await devices.find(self._session, self._account_id, form.mac):
            await devices.update(self._session, self._rendering.vendors, self._account_id, found.id, form)
        else:
            await devices.add(self._session, self._rendering.vendors, self._account_id, form)

    async def _id(self, find: Find, name: str | None, field: str, why: str) -> str | None:
        """The id of what the file names; raises `Invalid` where the account has no such thing."""
        if name is None:
            return None
        found = await find(self._session, self._account_id, name)
        if found is None:
            raise invalid(field, why)
        made: str = found.id
        return made

    async def _number_id(self, number: str | None, field: str) -> str | None:
        return await self._id(numbers.find, number, field, "the account has no such phone number")

    async def _line(self, index: int, number: str) -> str:
        if found := await extensions.find(self._session, self._account_id, number):
            return found.id
        raise invalid(f"lines[{index}]", "there is no extension of this number")


def _with_starter(part: TemplatePart) -> TemplateForm:
    """The template of the file; its buttons replace those of its starter, slot by slot."""
    starters = library.starters()
    if part.starter is not None and part.starter not in starters:
        raise invalid("starter", f"must be one of {', '.join(starters)}")
    shipped = starters[part.starter].buttons if part.starter else ()
    buttons = {button.slot: button for button in (*shipped, *part.buttons)}
    return TemplateForm(name=part.name, description=part.description, buttons=tuple(buttons.values()))


async def _odd_lengths(session: AsyncSession, account_id: str) -> list[str]:
    """Extensions that the phones' dial plan is not made for."""
    length = (await accounts.get(session, account_id)).telephony.extension_length
    return [
        f"extension {number} has {len(number)} digits, the account's extension length is {length}"
        for number in await extensions.list_numbers(session, account_id)
        if len(number) != length
    ]


async def _try_all(
    session: AsyncSession, vault: Vault, rendering: Rendering, account_id: str, file: AccountFile
) -> list[str]:
    """Renders every file of every phone once, so that no phone is the first to meet a fault."""
    faults: list[FieldError] = []
    warnings: list[str] = []
    places = {device.mac: f"devices[{index}]" for index, device in enumerate(file.devices)}
    for device in await devices.list_all(session, account_id):
        with collected(faults, places.get(device.mac, f"device {device.mac}")):
            warnings += await _try(session, vault, rendering, device)
    if faults:
        raise Invalid(faults)
    return warnings


async def _try(session: AsyncSession, vault: Vault, rendering: Rendering, device: Device) -> list[str]:
    phone = await gathering.try_out(session, vault, rendering, device)
    for key in phone.refused:
        # A slot that the model lacks is a slip of the file; a type that it lacks is only reported.
        if why := phone.face.misfit((key.module, key.position)):
            part = "button_template" if key.source == "template" else "button_overrides"
            raise invalid(part, f"module {key.module} position {key.position}: {why}")
    return [f"{device.mac} ({device.model}): {warning}" for warning in phone.warnings]
