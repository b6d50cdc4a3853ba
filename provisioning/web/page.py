"""A page: who looks at it, what stands around it, and a page for everything that goes wrong."""

import functools
import json
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import hdrs, web

import tokens
from provisioning import accounts, callers
from provisioning.api import problem
from provisioning.api.operation import ADMIN, TECHNICIAN, Handler, Paging
from provisioning.api.run import place, read
from provisioning.callers import Caller
from provisioning.errors import ProvisioningError
from provisioning.fields import colons
from provisioning.http import session_value
from provisioning.parts import CONFIG, DATABASE, VAULT
from provisioning.phones.vendor import shipped_templates
from provisioning.web import assets

_log = logging.getLogger(__name__)

Page = Callable[[web.Request, Caller], Awaitable[web.Response]]
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def page(work: Page) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A page for whoever is logged in; all others go to the login and come back."""

    @functools.wraps(work)
    async def handle(request: web.Request) -> web.Response:
        caller: Caller | None = None
        try:
            async with request.app[DATABASE].read() as session:
                cookie = session_value(request, request.app[CONFIG].base_url)
                caller = await callers.recognise(session, request.app[VAULT], bearer=None, cookie=cookie)
            if caller is None:
                target = quote(tokens.redact(request.rel_url.raw_path_qs), safe="/")
                return web.Response(status=303, headers={**HEADERS, hdrs.LOCATION: f"/login?next={target}"})
            return await work(request, caller)
        except ProvisioningError as error:
            return await _error(request, caller, problem.status_of(error), str(error))
        except problem.UNAVAILABLE as error:
            _log.error("%s: the database: %s", request.path, type(error).__name__)
            return await _error(request, None, 503, "The database does not answer. Try again in a moment.")
        except Exception as error:
            _log.error("%s: %s at %s", request.path, type(error).__name__, place(error))
            return await _error(request, None, 500, "The page could not be made. The fault is ours.")

    return handle


async def read_all(request: web.Request, caller: Caller, work: Handler) -> list[Any]:
    """A whole list, of the operation that is declared over `work`."""
    found = await read(request, caller, work, query=Paging(limit=200))
    rows = [*found.data]
    while found.next_cursor:
        found = await read(request, caller, work, query=Paging(limit=200, cursor=found.next_cursor))
        rows += found.data
    return rows


async def render(
    request: web.Request, caller: Caller | None, template: str, *, status: int = 200, **values: Any
) -> web.Response:
    """The page that `template` makes of `values`, in the frame that the caller sees."""
    if caller is not None:
        async with request.app[DATABASE].read() as session:
            values["account"] = await accounts.get(session, caller.account_id)
        values["may"] = {"admin": caller.role in ADMIN, "technician": caller.role in TECHNICIAN}
    text = _environment().get_template(template).render(caller=caller, path=request.path, **values)
    response = web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)
    response.enable_compression()
    return response


async def missing(request: web.Request) -> web.Response:
    if request.method not in {"GET", "HEAD"}:
        refused = await _error(request, None, 405, "A page can only be looked at.")
        refused.headers["Allow"] = "GET, HEAD"
        return refused
    return await _error(request, None, 404, "There is no page of this address.")


async def _error(request: web.Request, caller: Caller | None, status: int, reason: str) -> web.Response:
    title = {403: "Not for your role", 404: "Not found", 503: "Not available"}.get(status, "Not possible")
    return await render(request, caller, "error.html", status=status, title=title, reason=reason)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped_templates() / "web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = assets.url
    environment.filters["colons"] = colons
    environment.filters["sentence"] = _sentence
    environment.filters |= {"day": _day, "clock": _clock, "local": _local, "in_zone": _in_zone}
    environment.filters["compact"] = functools.partial(json.dumps, ensure_ascii=False, default=str)
    return environment


def _sentence(words: str) -> str:
    """Words of the API, which begin small and end open, as a sentence."""
    return f"{words[:1].upper()}{words[1:].removesuffix('.')}."


def _day(time: datetime, zone: str) -> str:
    """`Nov 24, 2026` in the zone."""
    return time.astimezone(ZoneInfo(zone)).strftime("%b %-d, %Y")


def _clock(time: datetime, zone: str) -> str:
    """`09:13:05 EST` in the zone."""
    return time.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S %Z")


def _in_zone(text: str, zone: str) -> str:
    """The text with its moments, which are RFC 3339, told in the zone."""
    return _MOMENT.sub(lambda found: _local(datetime.fromisoformat(found[0]), zone), text)


def _local(time: datetime, zone: str) -> str:
    return f"{_day(time, zone)}, {_clock(time, zone)}"
