"""The login page, which works without script too, and the way out."""

import re

from aiohttp import hdrs, web

from provisioning import origin
from provisioning.api import problem, session
from provisioning.api.reading import MALFORMED
from provisioning.api.session import LogIn
from provisioning.errors import Invalid, ProvisioningError, TooMany
from provisioning.fields import check
from provisioning.http import set_session
from provisioning.parts import CONFIG
from provisioning.web.page import HEADERS, render

_HOME = "/settings"


async def show(request: web.Request) -> web.Response:
    return await _page(request, request.query.get("next", _HOME))


async def submit(request: web.Request) -> web.Response:
    """Goes on to the page that was asked for; a login that fails is the page again, with the email."""
    try:
        form = await request.post()
    except (*MALFORMED, LookupError):  # the second for a charset that there is not
        return await _page(request, _HOME, "", 400, "The form could not be read. Try again.")
    email, password, target = (str(form.get(name, "")) for name in ("email", "password", "next"))
    if not origin.allows(request.method, request.headers, request.app[CONFIG].base_url):
        return await _page(request, target, email, 403, "The request came from another site.")
    try:
        _, cookie = await session.start(request, check(LogIn, {"email": email, "password": password}))
    except TooMany as error:
        minutes = -(-error.retry_after // 60)
        return await _page(request, target, email, 429, f"Too many attempts. Try again in {minutes} minutes.")
    except (Invalid, problem.Refused):
        return await _page(request, target, email, 401, "The email or the password is wrong.")
    except (ProvisioningError, *problem.UNAVAILABLE):
        return await _page(request, target, email, 503, "The server cannot log you in now. Try again.")
    response = web.Response(status=303, headers={**HEADERS, hdrs.LOCATION: _own(target)})
    set_session(response, request.app[CONFIG].base_url, cookie)
    return response


async def log_out(request: web.Request) -> web.Response:
    response = await session.log_out(request)
    if response.status == 204:
        response.set_status(303)
        response.headers[hdrs.LOCATION] = "/login"
    return response


async def _page(
    request: web.Request, target: str, email: str = "", status: int = 200, reason: str = ""
) -> web.Response:
    return await render(
        request,
        None,
        "login.html",
        status=status,
        title="Log in",
        target=_own(target),
        email=email,
        reason=reason,
    )


def _own(target: str) -> str:
    """The page to go on to; an address of somebody else's is none, whatever browsers make of its slashes."""
    return target if re.fullmatch(r"/(?![/\\])[!-~]*", target) else _HOME
