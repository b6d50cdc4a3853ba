"""Resyncs: the page of a run, and what the pages of the devices say of asking phones."""

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from provisioning import resyncs
from provisioning.api.devices import DeviceAnswer
from provisioning.api.resyncs import ResyncQuery, words
from provisioning.api.resyncs import read as read_run
from provisioning.api.run import read
from provisioning.callers import Caller
from provisioning.fields import check
from provisioning.parts import CONFIG, DATABASE, VENDORS
from provisioning.web.page import page, render

STATES: Final = {
    "no_answer": "No answer",
    "refused": "Refused",
    "not_sent": "Not asked",
    "answered": "Answered",
    "sent": "Being asked",
    "waiting": "Waiting",
    "stopped": "Stopped",
}


@page
async def show(request: web.Request, caller: Caller) -> web.Response:
    given = {name: request.query[name] for name in ("state", "cursor") if request.query.get(name)}
    query = check(ResyncQuery, {"limit": "100", **given})
    run = await read(request, caller, read_run, {"id": request.match_info["id"]}, query=query)
    return await render(
        request,
        caller,
        "resync.html",
        title="Resync",
        run=run,
        state=query.state,
        states=STATES,
        older=run.next_cursor and urlencode({**given, "cursor": run.next_cursor}),
    )


async def of_device(request: web.Request, device: DeviceAnswer) -> dict[str, Any]:
    """How the phone can be asked, and what came of the last time; `run` is set while that goes on."""
    vendor = request.app[VENDORS].get(device.vendor)
    events = vendor.resync if vendor else {}
    mode = request.app[CONFIG].reach.mode
    async with request.app[DATABASE].read() as session:
        last = await resyncs.last_of(session, device.id)
    run, phone = last or (None, None)
    return {
        "off": mode == "off",
        "known": "check" in events,
        "restarts": "reboot" in events,
        "address": device.last_fetch_ip if mode == "any" else None,
        "run": run.id if run and phone and phone.due_at else None,
        "said": phone and words(phone),
        "reboot": run and run.reboot,
        "at": phone and run and (phone.sent_at or run.created_at),
    }


async def of_devices(request: web.Request, caller: Caller) -> dict[str, Any]:
    """`resync` is the run of many phones that is under way."""
    async with request.app[DATABASE].read() as session:
        row = await resyncs.under_way(session, caller.account_id)
    cannot = [vendor.title for vendor in request.app[VENDORS].values() if "reboot" not in vendor.resync]
    return {
        "resync": row and row.id,
        "resync_off": request.app[CONFIG].reach.mode == "off",
        "cannot_restart": ", ".join(cannot) or "none",
    }
