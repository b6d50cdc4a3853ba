"""The routes of the API: every declared operation, the document, and an answer for all that is neither."""

import re

from aiohttp import web

from provisioning.api import (  # noqa: F401  (the modules declare their operations as they are imported)
    account,
    activity,
    api_keys,
    audio_clips,
    board,
    boots,
    button_templates,
    device_options,
    devices,
    emergency_calls,
    extensions,
    faxes,
    locations,
    models,
    phone_numbers,
    previews,
    problem,
    provisioning,
    resyncs,
    run,
    session,
    switch,
    unknown_phones,
    users,
)
from provisioning.api.openapi import document
from provisioning.api.operation import OPERATIONS

_PREFIX = "/api/v1"


def add_routes(router: web.UrlDispatcher) -> None:
    for operation in OPERATIONS:
        router.add_route(operation.method, _PREFIX + operation.path, run.handler(operation))
    router.add_get(f"{_PREFIX}/openapi.json", openapi)
    router.add_post(f"{_PREFIX}/session", session.log_in)
    router.add_delete(f"{_PREFIX}/session", session.log_out)
    router.add_route("*", "/api/{path:.*}", unknown)


async def openapi(_request: web.Request) -> web.Response:
    """The document, for everybody: it holds no secret."""
    return web.json_response(document())


async def unknown(request: web.Request) -> web.Response:
    """405 where the path has other methods, else 404, as for a name in it that no path has."""
    allowed = sorted({o.method for o in OPERATIONS if _pattern(o.path).fullmatch(request.rel_url.raw_path)})
    if not allowed or request.method in allowed:
        return problem.problem(404, "there is no such path")
    response = problem.problem(405, f"this path knows {', '.join(allowed)}")
    response.headers["Allow"] = ", ".join(allowed)
    return response


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(_PREFIX) + re.sub(r"\{\w+\}", "[^/]+", path))
