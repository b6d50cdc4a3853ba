"""Re-provisioning: which phones are back after a rotation, what to do at the others, and who is unknown."""

from typing import Any, Final
from urllib.parse import urlencode

import segno
from aiohttp import web

from provisioning.api import board, button_templates, locations, models, provisioning, unknown_phones
from provisioning.api.board import BoardQuery
from provisioning.api.extensions import list_ as list_extensions
from provisioning.api.operation import TECHNICIAN, Paging
from provisioning.api.run import read
from provisioning.callers import Caller
from provisioning.fields import check
from provisioning.parts import VENDORS
from provisioning.web.page import page, read_all, render

STATES: Final = {"back": "Back", "knocking": "Knocking", "silent": "Silent"}
_FILTERS: Final = ("q", "state", "location_id")
_MOST: Final = 500  # phones on a page; more would be slow to make, and nobody reads them
Values = dict[str, Any]


@page
async def show(request: web.Request, caller: Caller) -> web.Response:
    """The whole page, or to a script that asks for it the part that changes as phones come back."""
    given = {name: text.strip() for name in _FILTERS if (text := request.query.get(name, "")).strip()}
    found = await read(request, caller, board.read, query=check(BoardQuery, given | {"limit": _MOST}))
    asking = await read(request, caller, unknown_phones.list_)
    panel = request.headers.get("X-Part") == "panel"
    return await render(
        request,
        caller,
        "rotation_panel.html" if panel else "rotation.html",
        title="Re-provisioning",
        board=found,
        shown=sum(len(place.devices) for place in found.locations),
        filtered=bool(given),
        csv="?" + urlencode(given) if given else "",
        states=STATES,
        vendors={name: vendor.title for name, vendor in request.app[VENDORS].items()},
        unknown=asking.data,
        alarm=asking.alarm,
        **({} if panel else await _around(request, caller, given, found.generation)),
    )


async def _around(request: web.Request, caller: Caller, given: Values, generation: int) -> Values:
    """What stays as it is while phones come back."""
    return {
        "given": {name: given.get(name, "") for name in _FILTERS},
        "steps": {
            vendor.title: steps
            for vendor in request.app[VENDORS].values()
            if (steps := vendor.reprovisioning)
        },
        "qr": await _qr(request, caller) if generation else None,
        "models": (await read(request, caller, models.list_)).data,
        "locations": await read_all(request, caller, locations.list_),
        "templates": await read_all(request, caller, button_templates.list_),
        "suggested": (await read(request, caller, list_extensions, query=Paging(limit=200))).data,
    }


async def _qr(request: web.Request, caller: Caller) -> str | None:
    """The provisioning URL as SVG, for who may see it; that it was shown is entered as any other reading."""
    if caller.role not in TECHNICIAN:
        return None
    told = await read(request, caller, provisioning.read)
    # Dark on light in the dark, too: not every camera reads the reverse.
    code = segno.make(told.provisioning_url, error="m", micro=False)
    return code.svg_inline(dark="#000", light="#fff", border=4, svgclass="qr", omitsize=True)
