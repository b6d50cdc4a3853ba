"""The document of the API (OpenAPI 3.1), made from the declarations of its operations."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import pydantic
from pydantic.json_schema import models_json_schema

from provisioning.api import problem
from provisioning.api.operation import OPERATIONS, Answer, Operation
from provisioning.fields import Input

_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


@cache
def document() -> Mapping[str, Any]:
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Provisioning",
            "version": "1",
            "description": "Times are RFC 3339 in UTC, ids have a prefix that says of what they are.",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"key": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _PROBLEM},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "session"},
            },
        },
    }


def _models(mode: str) -> Sequence[type[pydantic.BaseModel]]:
    """The models of that side, each once."""
    found: dict[str, type[pydantic.BaseModel]] = {}
    for operation in OPERATIONS:
        for model in (operation.answer,) if mode == "serialization" else (operation.body,):
            if model is not None:
                found[model.__name__] = model
    return list(found.values())


def _schemas() -> dict[str, Any]:
    template = "#/components/schemas/{model}"
    _, inputs = models_json_schema([(m, "validation") for m in _models("validation")], ref_template=template)
    _, answers = models_json_schema(
        [(m, "serialization") for m in _models("serialization")], ref_template=template
    )
    made: dict[str, Any] = {**inputs.get("$defs", {}), **answers.get("$defs", {})}
    for name, schema in made.items():
        if name.endswith("Patch"):
            # What is absent stays as it is: there is no default to speak of.
            for field in schema.get("properties", {}).values():
                field.pop("default", None)
    return made


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": f"{operation.event}:{operation.method.lower()}:{operation.path}",
        "summary": operation.summary,
        "tags": [operation.event.split(".")[0]],
        "x-event": operation.event,
        "x-roles": sorted(operation.roles),
        "responses": _responses(operation),
    }
    if parameters := _parameters(operation):
        made["parameters"] = parameters
    if operation.body is not None and operation.file_limit is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"multipart/form-data": {"schema": _with_file(operation.body)}},
        }
    elif operation.body is not None:
        required = any(info.is_required() for info in operation.body.model_fields.values())
        made["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": _ref(operation.body)}},
        }
    elif operation.accepts:
        made["requestBody"] = {
            "required": True,
            "content": {operation.accepts: {"schema": {"type": "string"}}},
        }
    return made


def _with_file(form: type[Input]) -> dict[str, Any]:
    schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"] = [*schema.get("required", []), "file"]
    return schema


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    if operation.writes:
        made.append({"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}})
    if operation.streams:
        made.append({"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}})
    if operation.conditional:
        made.append(
            {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}
        )
    if operation.query is not None:
        schema = operation.query.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, field in schema.get("properties", {}).items():
            required = name in schema.get("required", ())
            made.append({"name": name, "in": "query", "required": required, "schema": field})
    return made


def _responses(operation: Operation) -> dict[str, Any]:
    if operation.produces:
        success: dict[str, Any] = {"content": {operation.produces: {"schema": {"type": "string"}}}}
    elif operation.streams:
        success = {"content": {content_type: {} for content_type in operation.streams}}
    elif operation.answer is not None:
        success = {"content": {"application/json": {"schema": _ref(operation.answer)}}}
    else:
        success = {}
    failures = {
        str(code): {
            "description": problem.TITLES[code],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for code in _failures(operation)
    }
    part = {"206": {"description": "The range that was asked for", **success}} if operation.streams else {}
    unchanged = {"304": {"description": "As it was when it had this ETag"}} if operation.conditional else {}
    return {str(operation.succeeds): {"description": "Done", **success}, **part, **unchanged, **failures}


def _failures(operation: Operation) -> list[int]:
    codes = {401, 403, 422, 503}
    codes |= {404} if "{" in operation.path else set()
    codes |= {409, 412} if operation.writes else set()
    codes |= {413, 415} if operation.body or operation.accepts else set()
    codes |= {416} if operation.streams else set()
    return sorted(codes | set(operation.failures))


def _ref(model: type[Input] | type[Answer]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
