"""What an operation answers when it does not succeed: RFC 9457 problems."""

import json
from collections.abc import Iterable, Mapping
from typing import Final

import sqlalchemy as sa
from aiohttp import web

from provisioning.db import Unsure
from provisioning.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    ProvisioningError,
    RenderError,
    Stale,
    TooMany,
)

TITLES: Final = {
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Changed since you read it",
    413: "Too large",
    415: "Of the wrong type",
    416: "Not within its size",
    422: "Invalid input",
    429: "Too many",
    500: "Our fault",
    503: "Not available",
}
_STATUS: Final[tuple[tuple[type[ProvisioningError], int], ...]] = (
    (Invalid, 422),
    (RenderError, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Forbidden, 403),
    (Stale, 412),
    (TooMany, 429),
)


# What a database that does not answer, or a full disk, raises.
UNAVAILABLE: Final = (sa.exc.SQLAlchemyError, OSError, TimeoutError)


class Refused(ProvisioningError):
    """A request that is turned away before its operation runs; `status` says how."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.headers = status, headers or {}
        super().__init__(detail)


def status_of(error: ProvisioningError) -> int:
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def answer(error: ProvisioningError) -> web.Response:
    errors = error.errors if isinstance(error, Invalid) else ()
    response = problem(status_of(error), str(error), errors)
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Refused):
        response.headers.update(error.headers)
    return response


def problem(status: int, detail: str, errors: Iterable[FieldError] = ()) -> web.Response:
    body = {
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": detail,
        "errors": [{"field": error.field, "message": error.message} for error in errors],
    }
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="provisioning"'
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/problem+json", headers=headers
    )


def unavailable(error: BaseException) -> web.Response:
    if isinstance(error, Unsure):
        return problem(503, "the database broke off: look whether it was done before you try again")
    return problem(503, "the database does not answer; nothing was changed")
