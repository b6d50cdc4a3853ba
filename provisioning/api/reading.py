"""What a request says: its query, and its body as JSON or text. Raises `Invalid` or `Refused`."""

import json
from typing import Any, TypeVar

import pydantic
from aiohttp import web

from provisioning.api.problem import Refused
from provisioning.errors import from_pydantic, invalid
from provisioning.fields import Input

Form = TypeVar("Form", bound=Input)


def read_query(form: type[Form], request: web.Request) -> Form:
    """The query string; a name that may be given several times becomes a list."""
    values: dict[str, Any] = {}
    for name in request.query:
        given = request.query.getall(name)
        many = "list" in str(form.model_fields[name].annotation) if name in form.model_fields else False
        values[name] = given if many else given[-1]
    return _checked(form, values)


async def read_json(form: type[Form], request: web.Request) -> Form:
    """The body, which may be absent where the form needs nothing."""
    content = await _content(request)
    if not content and not any(info.is_required() for info in form.model_fields.values()):
        return _checked(form, {})
    if request.content_type != "application/json":
        raise Refused(415, "the body must be application/json")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        raise invalid("", "the body is not JSON") from None
    return _checked(form, values)


async def read_text(content_type: str, request: web.Request) -> str:
    content = await _content(request)
    if request.content_type != content_type:
        raise Refused(415, f"the body must be {content_type}")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise invalid("", "the body is not UTF-8") from None


async def _content(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refused(413, f"the body is over {request.client_max_size} bytes") from None


def _checked(form: type[Form], values: object) -> Form:
    try:
        return form.model_validate(values)
    except pydantic.ValidationError as error:
        raise from_pydantic(error) from None
