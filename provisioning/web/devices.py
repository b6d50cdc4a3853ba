"""The list of phones: search, filters, add one, many from a CSV file."""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

import tokens
from provisioning import device_search, extensions, leak_alarms
from provisioning.api import button_templates, devices, locations, models
from provisioning.api.devices import DevicesQuery
from provisioning.api.extensions import list_ as list_extensions
from provisioning.api.operation import Paging
from provisioning.api.run import read
from provisioning.callers import Caller
from provisioning.fields import check
from provisioning.parts import DATABASE, VENDORS
from provisioning.web import resyncs
from provisioning.web.page import page, read_all, render

STATUSES: Final = {
    "pending": "Pending: has never fetched",
    "provisioned": "Provisioned: fetched with the present URL",
    "stale": "Stale: came last with an old URL",
    "not-current": "Not back: has not fetched with the present URL",
}
_FILTERS: Final = ("q", "vendor", "location_id", "status")


@page
async def show(request: web.Request, caller: Caller) -> web.Response:
    given = {name: text.strip() for name in _FILTERS if (text := request.query.get(name, "")).strip()}
    cursor = request.query.get("cursor")
    query = check(DevicesQuery, given | ({"cursor": cursor} if cursor else {}))
    found = await read(request, caller, devices.list_, query=query)
    suggested = await read(request, caller, list_extensions, query=Paging(limit=200))
    async with request.app[DATABASE].read() as session:
        generation = await tokens.generation(session, caller.account_id)
        alarm = await leak_alarms.of(session, caller.account_id)
        total = await device_search.count(session, caller.account_id, query.filters(), generation)
        lines = await extensions.of(session, caller.account_id, [e for row in found.data for e in row.lines])
    return await render(
        request,
        caller,
        "devices.html",
        title="Devices",
        phones=found.data,
        alarm=alarm,
        total=total,
        lines=lines,
        given={name: given.get(name, "") for name in _FILTERS},
        filtered=bool(given),
        older=found.next_cursor and urlencode({**given, "cursor": found.next_cursor}),
        newest=urlencode(given) if cursor else None,
        statuses=STATUSES,
        vendors={name: vendor.title for name, vendor in request.app[VENDORS].items()},
        models=(await read(request, caller, models.list_)).data,
        locations=await read_all(request, caller, locations.list_),
        templates=await read_all(request, caller, button_templates.list_),
        suggested=suggested.data,
        **await resyncs.of_devices(request, caller),
    )
