"""Account Settings: five tabs, each of which reads what it shows through the API's operations."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from provisioning import accounts, devices, fields, leak_alarms
from provisioning.api import (
    account,
    activity,
    audio_clips,
    button_templates,
    emergency_calls,
    locations,
    phone_numbers,
    provisioning,
)
from provisioning.api.activity import ActivityQuery
from provisioning.api.operation import Paging
from provisioning.api.run import read
from provisioning.callers import Caller
from provisioning.errors import Invalid
from provisioning.fields import check
from provisioning.parts import DATABASE, PLATFORM
from provisioning.phones.options import Options
from provisioning.web import option_fields
from provisioning.web.page import page, read_all, render

TABS: Final = {
    "general": "General",
    "telephony": "Telephony",
    "locations": "Locations",
    "devices": "Devices",
    "activity": "Activity",
}
_FILTERS: Final = ("from", "to", "resource", "actor", "outcome", "ip")
Values = dict[str, Any]


@page
async def show(request: web.Request, caller: Caller) -> web.Response:
    """The tab that the address names, General without one; to a script that asks for it, the panel alone."""
    tab = request.query.get("tab", "")
    tab = tab if tab in TABS else "general"
    values = await _READ[tab](request, caller)
    panel = request.headers.get("X-Part") == "panel"
    template = f"settings_{tab}.html" if panel else "settings.html"
    return await render(request, caller, template, title="Settings", tab=tab, tabs=TABS, **values)


async def _general(request: web.Request, caller: Caller) -> Values:
    return {"general": await read(request, caller, account.read), "zones": sorted(fields.zones())}


async def _telephony(request: web.Request, caller: Caller) -> Values:
    return {
        "telephony": await read(request, caller, account.read_telephony),
        "numbers": await read_all(request, caller, phone_numbers.list_),
        "clips": await read_all(request, caller, audio_clips.list_),
    }


async def _locations(request: web.Request, caller: Caller) -> Values:
    return {
        "locations": await read_all(request, caller, locations.list_),
        "recipients": await read(request, caller, account.read_recipients),
        "calls": (await read(request, caller, emergency_calls.list_, query=Paging(limit=10))).data,
    }


async def _devices(request: web.Request, caller: Caller) -> Values:
    templates = await read_all(request, caller, button_templates.list_)
    state = await read(request, caller, provisioning.read)
    options = await read(request, caller, account.read_options)
    async with request.app[DATABASE].read() as session:
        bound = await devices.counts_by_template(session, caller.account_id)
        alarm = await leak_alarms.of(session, caller.account_id)
        zone = (await accounts.get(session, caller.account_id)).general.timezone
    above = {"General": Options(timezone=zone), "platform": request.app[PLATFORM]}
    return {
        "templates": templates,
        "bound": bound,
        "alarm": alarm,
        # What is secret is not in the page: Reveal and Copy ask for it.
        "generation": state.generation,
        "since": state.created_at,
        "bind_phones": state.bind_phones,
        "bound_phones": state.bound_phones,
        "counts": state.devices,
        "staged": state.staged,
        "options": option_fields.groups(options, above),
        "options_etag": options.etag(),
    }


async def _activity(request: web.Request, caller: Caller) -> Values:
    given = {name: request.query.getall(name) for name in request.query if name != "tab"}
    async with request.app[DATABASE].read() as session:
        zone = (await accounts.get(session, caller.account_id)).general.timezone
    faults: Mapping[str, str] = {}
    try:
        query = check(ActivityQuery, _asked(given, zone))
    except Invalid as error:
        faults = {fault.field: fault.message for fault in error.errors}
        query = ActivityQuery(limit=50)
    if query.from_ and query.to and query.from_ >= query.to:
        faults = {"to": "is before the first day"}
    events = await read(request, caller, activity.events)
    kept = {name: texts for name, texts in given.items() if name != "cursor" and any(texts)}
    entries, cursor = [], None
    if not faults:  # of filters that are none, entries would be those of no filter
        found = await read(request, caller, activity.list_, query=query)
        entries, cursor = found.data, found.next_cursor
    return {
        "zone": zone,
        "entries": entries,
        "older": urlencode({"tab": "activity", **kept, "cursor": cursor}, doseq=True) if cursor else None,
        "newest": urlencode({"tab": "activity", **kept}, doseq=True) if "cursor" in given else None,
        "events": events.data,
        "given": {name: kept.get(name, [""])[-1] for name in _FILTERS},
        "filtered": bool(kept),
        "chosen": set(kept.get("event", ())),
        "faults": faults,
    }


def _asked(given: Mapping[str, list[str]], zone: str) -> Values:
    """The page's filters as the API's: dates are whole days of the account's zone, both included."""
    asked: Values = {"limit": "50", "event": [event for event in given.get("event", []) if event]}
    for name in ("resource", "actor", "outcome", "ip", "cursor"):
        if text := given.get(name, [""])[-1].strip():
            asked[name] = text
    for name, days in (("from", 0), ("to", 1)):
        if text := given.get(name, [""])[-1]:
            asked[name] = _midnight(text, days, zone)
    return asked


def _midnight(text: str, days: int, zone: str) -> datetime | str:
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return text


_READ: Final[Mapping[str, Callable[[web.Request, Caller], Awaitable[Values]]]] = {
    "general": _general,
    "telephony": _telephony,
    "locations": _locations,
    "devices": _devices,
    "activity": _activity,
}
