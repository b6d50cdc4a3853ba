"""The lists around the settings: locations, phone numbers, audio clips, users and API keys."""

from aiohttp import web

from provisioning import fields
from provisioning.api import account, api_keys, audio_clips, locations, phone_numbers, users
from provisioning.api.run import read
from provisioning.callers import Caller
from provisioning.web.page import page, read_all, render


@page
async def show_locations(request: web.Request, caller: Caller) -> web.Response:
    found = await read_all(request, caller, locations.list_)
    zones = sorted(fields.zones())
    return await render(request, caller, "locations.html", title="Locations", locations=found, zones=zones)


@page
async def show_location(request: web.Request, caller: Caller) -> web.Response:
    """A location's own page is its row of the list, so that a link to it can be shared."""
    found = await read(request, caller, locations.read, {"id": request.match_info["id"]})
    zones = sorted(fields.zones())
    return await render(request, caller, "locations.html", title=found.name, locations=[found], zones=zones)


@page
async def show_numbers(request: web.Request, caller: Caller) -> web.Response:
    found = await read_all(request, caller, phone_numbers.list_)
    telephony = await read(request, caller, account.read_telephony)
    return await render(
        request,
        caller,
        "phone_numbers.html",
        title="Phone Numbers",
        numbers=found,
        default=telephony.default_outbound_number_id,
    )


@page
async def show_number(request: web.Request, caller: Caller) -> web.Response:
    found = await read(request, caller, phone_numbers.read, {"id": request.match_info["id"]})
    return await render(
        request, caller, "phone_number.html", title=found.number, number=found, etag=found.etag()
    )


@page
async def show_clips(request: web.Request, caller: Caller) -> web.Response:
    found = await read_all(request, caller, audio_clips.list_)
    telephony = await read(request, caller, account.read_telephony)
    music = telephony.hold_music_clip_id
    return await render(request, caller, "audio_clips.html", title="Audio Clips", clips=found, music=music)


@page
async def show_users(request: web.Request, caller: Caller) -> web.Response:
    return await render(
        request,
        caller,
        "users.html",
        title="Users",
        users=await read_all(request, caller, users.list_),
        keys=await read_all(request, caller, api_keys.list_),
    )
