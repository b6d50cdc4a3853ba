"""Gathering: all that a phone is to know when it boots, as one value, and the files that follow from it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncSession

import tokens
from button_templates import library
from button_templates.layout import Button
from provisioning import accounts, extensions, locations, uploads
from provisioning.accounts import Account
from provisioning.devices import MASK, Device, Rendering, lack, provisioning_url
from provisioning.errors import RenderError
from provisioning.extensions import Extension
from provisioning.phones.options import resolve
from provisioning.phones.phone import Line, Phone, Site
from provisioning.phones.vendor import Vendor, absorbed
from provisioning.vault import Vault


@dataclass(frozen=True, slots=True)
class Shared:
    """What phones of an account have in common. Zones by the id of a location and buttons by the id of a
    template are there for the phones that were gathered with it."""

    account: Account
    admin_password: str = field(repr=False)
    zones: dict[str, str | None] = field(default_factory=dict)
    templates: dict[str, Sequence[Button]] = field(default_factory=dict)

    def suffices(self, device: Device | None) -> bool:
        """Whether the device can be gathered with it."""
        if device is None:
            return True
        has_zone = device.location_id is None or device.location_id in self.zones
        return has_zone and (device.button_template_id is None or device.button_template_id in self.templates)


async def gather(
    session: AsyncSession,
    vault: Vault,
    rendering: Rendering,
    device: Device,
    token: str,
    staged: str | None = None,
) -> Phone:
    """The device as one value, its URL with this token, and the next one with the staged token. Raises
    `RenderError` when something is missing."""
    shared = await share(session, vault, device.account_id)
    await add_to(session, shared, device)
    held = await extensions.with_passwords(session, vault, device.account_id, device.lines)
    written = await _written(session, rendering.vendors[device.vendor], device)
    url, staged_url = addresses(rendering, vault, shared.account, device, token, staged)
    return assemble(rendering, shared, device, held, written, url, staged_url)


async def share(session: AsyncSession, vault: Vault, account_id: str) -> Shared:
    account = await accounts.get(session, account_id)
    return Shared(account, await accounts.admin_password(session, vault, account_id))


async def add_to(session: AsyncSession, shared: Shared, device: Device) -> None:
    """Adds what this device needs and is not there yet."""
    if device.location_id and device.location_id not in shared.zones:
        place = await locations.get(session, device.account_id, device.location_id)
        shared.zones[device.location_id] = place.form.timezone
    if device.button_template_id and device.button_template_id not in shared.templates:
        template = await library.get(session, device.account_id, device.button_template_id)
        shared.templates[device.button_template_id] = template.buttons


def assemble(
    rendering: Rendering,
    shared: Shared,
    device: Device,
    held: Sequence[tuple[Extension, str]],
    written: Mapping[str, bytes],
    url: str,
    staged_url: str | None = None,
) -> Phone:
    """`held` are the lines' extensions with their SIP passwords, `written` the phone's uploads by suffix.
    `url` and `staged_url` are its `addresses`."""
    vendor = rendering.vendors[device.vendor]
    model = vendor.models.get(device.model)
    if model is None:
        raise RenderError(f"{device.model} is not among the models of {vendor.title}")
    account = shared.account
    options = resolve(rendering.platform, account.options, device.options)
    if why := lack(options):
        raise RenderError(why)
    return vendor.phone(
        mac=device.mac,
        model=model,
        expansion=device.expansion,
        lines=[
            Line(index, e.number, e.display_name, e.sip_username, password, e.voicemail_enabled)
            for index, (e, password) in enumerate(held, start=1)
        ],
        template=shared.templates[device.button_template_id] if device.button_template_id else (),
        overrides=device.button_overrides,
        extension_length=account.telephony.extension_length,
        options=options,
        zone=zone(rendering, shared, device),
        today=rendering.today,
        admin_password=shared.admin_password,
        url=url,
        staged_url=staged_url,
        contacts=_contacts(vendor, written),
    )


def addresses(
    rendering: Rendering, vault: Vault, account: Account, device: Device, token: str, staged: str | None
) -> tuple[str, str | None]:
    """Where the phone is to ask with this token, and with the staged one: at a URL of its own where the
    account binds its phones."""
    own = binds(rendering, account, device)
    url, staged_url = (
        text
        and provisioning_url(
            rendering.base_url, text, tokens.key(vault, text, device.mac, device.opening) if own else ""
        )
        for text in (token, staged)
    )
    assert url
    return url, staged_url


def binds(rendering: Rendering, account: Account, device: Device) -> bool:
    """Whether the phone is told a URL of its own, and bound to it. A phone of which it is not known that it
    takes its URL from a file is not: it would never ask there, and somebody else might."""
    vendor = rendering.vendors[device.vendor]
    model = vendor.models.get(device.model)
    return account.bind_phones and model is not None and vendor.unstaged(model) is None


def zone(rendering: Rendering, shared: Shared, device: Device) -> str:
    """The time zone that the phone's clock is told: an option, else the location's, else the account's."""
    layers = (device.options, shared.account.options, rendering.platform)
    option = next((options.timezone for options in layers if options.timezone), None)
    place = device.location_id and shared.zones[device.location_id]
    return option or place or shared.account.general.timezone


def site(
    rendering: Rendering, account: Account, vendor: Vendor, name: str, url: str, staged_url: str | None
) -> Site:
    """What all phones of the account find under this URL in the file of this name.

    Where phones have URLs of their own, their own files alone name the next one: of who asks for a file that
    is nobody's, nobody knows which key it will have. A phone takes what its own file says after it."""
    told = staged_url if vendor.shares_next_url(name) and not account.bind_phones else None
    return Site(url, resolve(rendering.platform, account.options), told)


async def files(
    session: AsyncSession, rendering: Rendering, device: Device, phone: Phone
) -> Mapping[str, bytes]:
    """Every file that the phone may be served now, by name."""
    vendor = rendering.vendors[device.vendor]
    account = await accounts.get(session, device.account_id)
    return {
        name: vendor.render(
            file, phone if own else site(rendering, account, vendor, name, phone.url, phone.staged_url)
        )
        for name, file, own in vendor.file_names(phone)
    }


async def try_out(session: AsyncSession, vault: Vault, rendering: Rendering, device: Device) -> Phone:
    """Renders every file of the device once, so that the phone is not the first to meet a fault."""
    phone = await gather(session, vault, rendering, device, MASK)
    await files(session, rendering, device, phone)
    return phone


def masked(phone: Phone, base_url: str) -> Phone:
    """The phone without its secrets, for people who look at its files."""
    return replace(
        phone,
        lines=tuple(replace(line, sip_password=MASK) for line in phone.lines),
        admin_password=MASK,
        url=masked_url(phone.url, base_url),
        staged_url=phone.staged_url and masked_url(phone.staged_url, base_url),
    )


def masked_url(url: str, base_url: str) -> str:
    """The provisioning URL with neither its token nor its key."""
    start = f"{base_url}/p/"
    return start + re.sub("[^/]+", MASK, url.removeprefix(start))


async def _written(session: AsyncSession, vendor: Vendor, device: Device) -> Mapping[str, bytes]:
    found = {
        suffix: await uploads.read(session, device.id, suffix)
        for suffix, file in vendor.files.items()
        if file.element
    }
    return {suffix: content for suffix, content in found.items() if content}


def _contacts(vendor: Vendor, written: Mapping[str, bytes]) -> Sequence[Mapping[str, str]]:
    for suffix, file in vendor.files.items():
        if file.element and (content := written.get(suffix)):
            return absorbed(file.element, content)
    return ()
