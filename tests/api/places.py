"""Every text that an operation takes, as the API's document has it: where it stands, what is good there."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from button_templates.layout import TARGETS
from provisioning.api.openapi import document
from provisioning.api.operation import OPERATIONS, Operation
from provisioning.errors import Invalid
from provisioning.fields import check
from tests.api.test_every_operation import BODIES, QUERIES

# What the document knows as an object, and what a good one is that holds all of its texts.
ADDRESS: Final = {
    "street": "1 Main Street",
    "unit": "2",
    "city": "Portland",
    "region": "ME",
    "postal_code": "04101",
    "country": "US",
}
_OBJECTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Address": ADDRESS,
    "Button": {"position": 9, "type": "speed_dial", "label": "Bob", "target": {"number": "5551234"}},
    "Options": {},
}
_PEM: Final = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
# A good text for each name of a field, whatever the operation.
_GOOD: Final[Mapping[str, str]] = {
    **ADDRESS,
    **dict.fromkeys(("name", "display_name", "label", "description", "reason"), "Ann"),
    **dict.fromkeys(("emails", "emergency_recipients", "fax_recipients", "email"), "ann@example.com"),
    **dict.fromkeys(("sip_domain", "sip_server", "ntp_server"), "sip.example.com"),
    **dict.fromkeys(("sip_backup_server", "outbound_proxy"), "sip.example.com:5060"),
    **dict.fromkeys(
        ("park_code", "pickup_code", "voicemail_number", "intercom_prefix", "record_code"), "*97"
    ),
    **dict.fromkeys(("callback_number", "caller_number"), "5550100"),
    **dict.fromkeys(("extension", "slot", "mailbox", "digits"), "4201"),
    **dict.fromkeys(("mac", "device_mac"), "805ec0aabbcc"),
    **dict.fromkeys(("resource", "actor", "ip", "q", "vendor", "call_id", "fax_id", "realm", "cursor"), "x"),
    **dict.fromkeys(("occurred_at", "from", "to"), "2026-11-24T09:00:00Z"),
    **dict.fromkeys(
        ("location_id", "button_template_id", "which", "expansion", "event", "file", "lines"), "x"
    ),
    "hold_music_clip_id": "clip_" + "0" * 26,
    **dict.fromkeys(("default_outbound_number_id", "outbound_number_id"), "num_" + "0" * 26),
    "timezone": "America/New_York",
    "poll_window": "02:00-05:00",
    "dial_plan": "[1-9]xxxT",
    "transport_ca": _PEM,
    "codecs": "g722",
    "number": "4299",
    "sip_username": "4298",
    "sip_password": "a-password",
    "password": "a long password",
    "admin_password": "123456",
    "model": "T46S",
    "address": "239.0.0.1",
    "url": "http://example.com/",
    **dict.fromkeys(("dialed", "via", "state", "status", "role", "direction", "type", "outcome"), "x"),
    **dict.fromkeys(("sip_transport", "srtp", "time_format", "date_format", "language", "web_ui"), "x"),
    **dict.fromkeys(("transport_trust", "If-Match", "If-None-Match", "Range", "id"), "x"),
}


@dataclass(frozen=True)
class Place:
    """A text in the input of an operation: `where` is path, query, header, body, form, or text where the body
    is nothing else; `path` is the way to it, each step a name or an index. `body` is a good one."""

    operation: Operation
    where: str
    path: tuple[str | int, ...]
    good: str
    body: Any = None

    @property
    def field(self) -> str:
        """As an error names it."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(steps).lstrip(".")

    def with_text(self, text: str, body: Any = None) -> Any:
        """The body, or that other one, with `text` where the place is."""
        whole = self.body if body is None else body
        return _with(whole, self.path, text) if self.where in {"body", "form", "text"} else whole

    def of(self, ids: Mapping[str, str]) -> "Place":
        """The same where a good body names one of these."""
        name = self.path[0] if self.path and self.where == "body" else None
        if self.operation.event != "config.preview" or name not in _NAMED:
            return self
        return replace(self, body=_with(self.body, (name, "id"), ids[_NAMED[str(name)]]))

    def __str__(self) -> str:
        return f"{self.operation.method} {self.operation.path} {self.where} {self.field}"


def places() -> list[Place]:
    """All there are. Raises `KeyError` for one of which it is not known what would be good there."""
    return [place for operation in OPERATIONS for place in _of(operation)]


def _of(operation: Operation) -> Iterator[Place]:
    told = document()["paths"][operation.path][operation.method.lower()]
    for parameter in told.get("parameters", ()):
        for path, _ in _texts(parameter["schema"], (parameter["name"],)):
            yield Place(operation, parameter["in"], path, _good(path), BODIES.get(operation.event))
    for content_type, content in told.get("requestBody", {}).get("content", {}).items():
        base = BODIES[operation.event]
        if content["schema"] == {"type": "string"}:
            yield Place(operation, "text", (), base, base)
            continue
        where = "form" if content_type == "multipart/form-data" else "body"
        for path, around in _texts(content["schema"], ()):
            body = {} if operation.event == "config.preview" else base
            for way, good in around:
                body = _with(body, way, good)
            yield Place(operation, where, path, _good(path), _with(body, path, _good(path)))


def _with(body: Any, path: Sequence[str | int], value: Any) -> Any:
    """The body with `value` at the end of the path, which is made where there is none."""
    if not path:
        return value
    step, *rest = path
    if isinstance(step, int):
        return [_with(body[0] if isinstance(body, list) and body else None, rest, value)]
    held = body if isinstance(body, Mapping) else {}
    return {**held, step: _with(held.get(str(step)), rest, value)}


# Previews of the change of one thing, which is named by its id.
_NAMED: Final = {"button_template": "button_template", "device": "device", "own_options": "device"}
# The way to a text, and the good objects that it stands in, each with the way to it.
Way = tuple[str | int, ...]
Around = tuple[tuple[Way, Any], ...]


def _texts(schema: Mapping[str, Any], path: Way, around: Around = ()) -> Iterator[tuple[Way, Around]]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in _OBJECTS:
            around = (*around, (path, _OBJECTS[name]))
        yield from _texts(document()["components"]["schemas"][name], path, around)
        return
    choices = [part for way in ("anyOf", "oneOf", "allOf") for part in schema.get(way, ())]
    for part in choices:
        yield from _texts(part, path, around)
    kind = schema.get("type", "string" if {"enum", "const"} & schema.keys() else None)
    if kind == "string":
        yield path, around
    elif kind == "array":
        yield from _texts(schema["items"], (*path, 0), around)
    elif kind == "object" and "properties" in schema:
        for name, part in schema["properties"].items():
            yield from _texts(part, (*path, name), around)
    elif kind == "object" and path[-1] == "target":
        yield from _targets(path, around)
    elif kind not in {"integer", "number", "boolean", "null"} and not choices:
        raise KeyError(f"nobody knows how to reach {path}: {schema}")


def _targets(path: Way, around: Around) -> Iterator[tuple[Way, Around]]:
    """The texts of a button's target, of which the document says no more than that it is an object."""
    for kind, form in TARGETS.items():
        texts = [way for way, _ in _texts(form.model_json_schema(), path)]
        target: dict[str, Any] = {str(way[-1]): _good(way) for way in texts}
        if "port" in form.model_fields:
            target["port"] = 5000
        button = {"position": 9, "type": kind, "target": target}
        for way in texts:
            yield way, (*around, (path[:-1], button))


def _good(path: Sequence[str | int]) -> str:
    names = [step for step in path if isinstance(step, str)]
    return _GOOD[names[-1]]


def query_of(operation: Operation) -> dict[str, str]:
    """What the operation needs in its query."""
    return dict.fromkeys(re.findall(r"(\w+)=", QUERIES.get(operation.event, "")), "4201")


def refused(place: Place, text: str) -> set[str] | None:
    """The fields that the operation's form refuses: the same as over HTTP, in a hundredth of the time."""
    operation = place.operation
    form = {"query": operation.query, "body": operation.body}.get(place.where)
    if form is None:
        return None
    body = place.with_text(text)
    if place.where == "query":
        body = query_of(operation) | {place.path[0]: [text] if len(place.path) > 1 else text}
    try:
        check(form, body)
    except Invalid as error:
        return {fault.field for fault in error.errors}
    return None
