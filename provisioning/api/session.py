"""Logging in and out: the browser's way to a session cookie."""

import logging
from typing import Annotated

from aiohttp import web
from pydantic import Field

from provisioning import activity, callers, login_limits, origin, sessions, users
from provisioning.api import problem
from provisioning.api.problem import Refused
from provisioning.api.reading import read_json
from provisioning.errors import ProvisioningError
from provisioning.fields import Input
from provisioning.http import client_address, delete_session, session_value, set_session
from provisioning.parts import CONFIG, DATABASE, VAULT
from provisioning.users import User

_log = logging.getLogger(__name__)


class LogIn(Input):
    email: Annotated[str, Field(max_length=254)]
    password: Annotated[str, Field(max_length=1000, repr=False)]


async def log_in(request: web.Request) -> web.Response:
    """201 with the cookie of a new session; 401 for a wrong email or password, 429 after too many."""
    try:
        form = await read_json(LogIn, request)
        user, cookie = await start(request, form)
    except ProvisioningError as error:
        return problem.answer(error)
    except problem.UNAVAILABLE as error:
        _log.error("session.create: the database: %s", type(error).__name__)
        return problem.unavailable(error)
    response = web.json_response(
        {"user_id": user.id, "email": user.email, "name": user.name, "role": user.role},
        status=201,
        headers={"Cache-Control": "no-store"},
    )
    set_session(response, request.app[CONFIG].base_url, cookie)
    return response


async def start(request: web.Request, form: LogIn) -> tuple[User, str]:
    """The user, and the cookie of their new session. Raises `Refused` (401) or `TooMany`."""
    app, ip = request.app, client_address(request, request.app[CONFIG].trusted_proxies)
    vault = app[VAULT]
    async with app[DATABASE].write() as session:
        await login_limits.admit(session, vault, email=form.email, address=ip)
    async with app[DATABASE].read() as session:
        credentials = await users.credentials(session, form.email)
    user = await users.verify(credentials, form.password)
    known = credentials.user
    async with app[DATABASE].write() as session:
        cookie = ""
        if user is not None:
            await login_limits.succeeded(session, vault, email=form.email, address=ip)
            cookie = await sessions.start(session, vault, user)
        # A login that failed is entered where its owner can see it: on the account whose email was tried.
        await activity.record(
            session,
            known.account_id if known else "",
            "session.create",
            f"user/{known.id}" if known else "user",
            actor=f"user/{known.email}" if known else "anonymous",
            ip=ip,
            outcome="success" if user else "denied",
        )
    if user is None:
        raise Refused(401, "the email or the password is wrong")
    return user, cookie


async def log_out(request: web.Request) -> web.Response:
    """204, whether there was a session or not; the cookie is good for nothing afterwards."""
    app, base_url = request.app, request.app[CONFIG].base_url
    response = web.Response(status=204, headers={"Cache-Control": "no-store"})
    delete_session(response, base_url)
    cookie = session_value(request, base_url)
    if cookie is None:
        return response
    if not origin.allows(request.method, request.headers, base_url):
        return problem.answer(Refused(403, "the request comes from another site"))
    try:
        async with app[DATABASE].write() as session:
            caller = await callers.recognise(session, app[VAULT], bearer=None, cookie=cookie)
            if caller is not None:
                await sessions.end(session, app[VAULT], cookie)
                await activity.record(
                    session,
                    caller.account_id,
                    "session.delete",
                    f"user/{caller.user_id}",
                    actor=caller.actor,
                    ip=client_address(request, app[CONFIG].trusted_proxies),
                )
    except problem.UNAVAILABLE as error:
        _log.error("session.delete: the database: %s", type(error).__name__)
        return problem.unavailable(error)
    return response
