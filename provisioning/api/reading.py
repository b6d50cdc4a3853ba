"""What a request says: its query, and its body as JSON, text or form. Raises `Invalid` or `Refused`."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import pydantic
from aiohttp import BodyPartReader, http_exceptions, web

from provisioning.api.problem import Refused
from provisioning.errors import FieldError, Invalid, from_pydantic, invalid
from provisioning.fields import Input

Form = TypeVar("Form", bound=Input)
_FIELD_LIMIT: Final = 8 * 1024  # bytes of a part that is no file
# What the reader of multipart bodies raises for one that is none.
MALFORMED: Final = (
    ValueError,
    RuntimeError,
    AssertionError,
    http_exceptions.HttpProcessingError,
    web.RequestPayloadError,
)


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
    return _decoded("", content, "the body is not UTF-8")


async def read_form(form: type[Form], request: web.Request, *, file_limit: int) -> dict[str, Any]:
    """`body`, the fields of a multipart body, and `file`, the content of its part of that name.

    No more is read than may be there, so the application's own limit of a body does not matter.
    """
    if request.content_type != "multipart/form-data":
        raise Refused(415, "the body must be multipart/form-data")
    try:
        parts = await _parts(request, {**dict.fromkeys(form.model_fields, _FIELD_LIMIT), "file": file_limit})
    except MALFORMED:
        raise invalid("", "the body is not what multipart/form-data is") from None
    file = parts.pop("file", None)
    values = {name: _decoded(name, part) for name, part in parts.items()}
    faults = [] if file is not None else [FieldError("file", "Field required")]
    try:
        body = _checked(form, values)
    except Invalid as error:
        faults[:0] = error.errors
    if faults:
        raise Invalid(faults)
    return {"body": body, "file": file}


async def _parts(request: web.Request, limits: Mapping[str, int]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or (name := part.name or "") not in limits:
            raise invalid("", f"the parts of the body must be named {' and '.join(limits)}")
        if name in found:
            raise invalid(name, "stands in the body twice")
        content = bytearray()
        while chunk := await part.read_chunk():
            content += chunk
            if len(content) > limits[name]:
                raise Refused(413, f"{name} is over {limits[name]} bytes")
        found[name] = bytes(content)
    return found


async def _content(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refused(413, f"the body is over {request.client_max_size} bytes") from None
    except web.RequestPayloadError:
        raise invalid("", "the body is not encoded as its head says") from None


def _decoded(field: str, content: bytes, otherwise: str = "is not UTF-8") -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise invalid(field, otherwise) from None


def _checked(form: type[Form], values: object) -> Form:
    try:
        return form.model_validate(values)
    except pydantic.ValidationError as error:
        raise from_pydantic(error) from None
