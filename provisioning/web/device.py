"""One phone: what it is, its lines and keys, its options, what it asked for and what it is served."""

from typing import Any

from aiohttp import web

from provisioning import accounts, extensions, fields
from provisioning import locations as sites
from provisioning.api import (
    account,
    boots,
    button_templates,
    device_options,
    devices,
    locations,
    models,
    phone_numbers,
)
from provisioning.api.boots import TimelineQuery
from provisioning.api.devices import DeviceAnswer, RevealQuery
from provisioning.api.extensions import list_ as list_extensions
from provisioning.api.models import ModelAnswer
from provisioning.api.operation import Handler, Paging
from provisioning.api.run import read
from provisioning.boot_log import KEPT
from provisioning.callers import Caller
from provisioning.devices import Vendors
from provisioning.errors import RenderError
from provisioning.fields import check
from provisioning.parts import DATABASE, PLATFORM, VENDORS
from provisioning.phones.options import Options
from provisioning.web import device_keys, faces, key_words, option_fields, resyncs
from provisioning.web.page import page, read_all, render

Values = dict[str, Any]


@page
async def show(request: web.Request, caller: Caller) -> web.Response:
    path = {"id": request.match_info["id"]}
    device = await read(request, caller, devices.read, path)
    older = request.query.get("boots")
    shown = check(TimelineQuery, {"limit": "10"} | ({"cursor": older} if older else {}))
    known = (await read(request, caller, models.list_)).data
    model = next((m for m in known if (m.vendor, m.model) == (device.vendor, device.model)), None)
    keys, no_keys = await _made(request, caller, devices.buttons, path)
    files, no_files = await _made(request, caller, devices.files, path, query=RevealQuery())
    return await render(
        request,
        caller,
        "device.html",
        title=device.name or fields.colons(device.mac),
        device=device,
        model=model,
        models=known,
        vendors={name: vendor.title for name, vendor in request.app[VENDORS].items()},
        keys=device_keys.rows(device, keys),
        no_keys=no_keys,
        files=files,
        no_files=no_files,
        types=_types(model),
        fields=key_words.FIELDS,
        slots=key_words.slots(keys),
        timeline=await read(request, caller, boots.timeline, path, query=shown),
        boots_older=older,
        kept_days=KEPT.days,
        all_types=key_words.TYPES,
        picture=_face(request.app[VENDORS], device),
        resync=await resyncs.of_device(request, device),
        locations=await read_all(request, caller, locations.list_),
        templates=await read_all(request, caller, button_templates.list_),
        numbers=await read_all(request, caller, phone_numbers.list_),
        suggested=(await read(request, caller, list_extensions, query=Paging(limit=200))).data,
        **await _lines_and_options(request, caller, device, path),
    )


def _types(model: ModelAnswer | None) -> dict[str, str]:
    """The types of keys that the model has."""
    return {
        type: words for type, words in key_words.TYPES.items() if model is None or type in model.button_types
    }


def _face(vendors: Vendors, device: DeviceAnswer) -> faces.Picture | None:
    """The phone without a key on it; None for a model that there is no more."""
    model = vendors[device.vendor].models.get(device.model) if device.vendor in vendors else None
    if model is None:
        return None
    expansion = next((each for each in model.expansions if each.name == device.expansion), None)
    return faces.draw(faces.Kind(vendors[device.vendor], model, expansion), (), {}, {})


async def _made(
    request: web.Request, caller: Caller, work: Handler, path: dict[str, str], **inputs: Any
) -> tuple[list[Any], str]:
    """What is made of the phone as a whole, or why it cannot be made."""
    try:
        return (await read(request, caller, work, path, **inputs)).data, ""
    except RenderError as error:
        return [], str(error)


async def _lines_and_options(
    request: web.Request, caller: Caller, device: DeviceAnswer, path: dict[str, str]
) -> Values:
    own = await read(request, caller, device_options.read, path)
    above = await read(request, caller, account.read_options)
    async with request.app[DATABASE].read() as session:
        shared = await accounts.get(session, caller.account_id)
        held = await extensions.of(session, caller.account_id, device.lines)
        place = (
            await sites.get(session, caller.account_id, device.location_id) if device.location_id else None
        )
    clocks = {
        "account settings": Options(timezone=shared.general.timezone),
        "location": Options(timezone=place.form.timezone if place else None),
    }
    layers = clocks | {"platform": request.app[PLATFORM], "account": above}
    return {
        "lines": device_keys.line_rows(device, held),
        "options": option_fields.groups(own, layers),
        "options_etag": own.etag(),
        "binds": shared.bind_phones,
        "not_bound": _not_bound(request.app[VENDORS], device),
    }


def _not_bound(vendors: Vendors, device: DeviceAnswer) -> str:
    """What it means that the phone is not bound, where the account binds its phones."""
    vendor = vendors.get(device.vendor)
    model = vendor.models.get(device.model) if vendor else None
    if vendor is None or model is None:
        return "Not bound yet"
    if why := vendor.unstaged(model):
        return f"Not offered: {why}"
    old = vendor.unstaged(model, device.firmware)
    return f"Not bound yet: it has not asked there{f'; {old}' if old else ''}"
