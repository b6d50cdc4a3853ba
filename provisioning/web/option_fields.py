"""The phone options as fields of a page: their names, what may be chosen, and where a value comes from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from provisioning.phones.options import DEFAULTS, Options, resolve

GROUPS: Final = {
    "Registration": (
        ("sip_server", "SIP server"),
        ("sip_domain", "SIP domain"),
        ("sip_port", "SIP port"),
        ("sip_transport", "Transport"),
        ("sip_backup_server", "Backup server"),
        ("outbound_proxy", "Outbound proxy"),
        ("register_expires", "Registration lifetime (seconds)"),
    ),
    "Audio and security": (
        ("codecs", "Codecs, the preferred first"),
        ("srtp", "Encrypted audio (SRTP)"),
        ("transport_trust", "Trusted certificates"),
        ("transport_ca", "Own certificate authority (PEM)"),
    ),
    "Time and language": (
        ("ntp_server", "Time server"),
        ("timezone", "Time zone"),
        ("time_format", "Time format"),
        ("date_format", "Date format"),
        ("language", "Language"),
    ),
    "Calls": (
        ("call_waiting", "Call waiting"),
        ("ring_type", "Ring type"),
        ("park_code", "Park code"),
        ("pickup_code", "Pickup code"),
        ("voicemail_number", "Voicemail number"),
        ("intercom_prefix", "Intercom prefix"),
        ("record_code", "Record code"),
        ("dial_plan", "Dial plan (made from the extension length when empty)"),
    ),
    "Network": (
        ("vlan_id", "VLAN"),
        ("lldp", "LLDP"),
        ("dscp_sip", "DSCP of signalling"),
        ("dscp_rtp", "DSCP of audio"),
    ),
    "The phone itself": (
        ("backlight_seconds", "Backlight (seconds, 0 = always on)"),
        ("web_ui", "Web page of the phone"),
        ("poll_minutes", "Looks for changes every (minutes)"),
        ("poll_window", "Looks for changes between"),
    ),
}
# What is set nowhere, but follows from another option (`resolve`).
_FOLLOWS: Final = {
    "sip_domain": "as the SIP server",
    "sip_server": "as the SIP domain",
    "sip_port": "by the transport",
}
_WORDS: Final[Mapping[object, str]] = {True: "On", False: "Off"}


@dataclass(frozen=True, slots=True)
class OptionField:
    """`kind` says how the page sends it, `inherited` is what holds while `value` is None, in words."""

    name: str
    label: str
    kind: Literal["text", "int", "bool", "words", "pem"]
    value: str | None
    choices: tuple[tuple[str, str], ...]
    inherited: str


def groups(own: Options, above: Mapping[str, Options]) -> Mapping[str, list[OptionField]]:
    """The options of a layer by group; `above` are the layers that it inherits from, farthest first."""
    return {
        title: [_field(name, label, own, above) for name, label in named] for title, named in GROUPS.items()
    }


def _field(name: str, label: str, own: Options, above: Mapping[str, Options]) -> OptionField:
    kind, choices = _shape(name)
    value = getattr(own, name)
    source = next((layer for layer in reversed([*above]) if getattr(above[layer], name) is not None), None)
    inherited = getattr(resolve(*above.values()), name)
    if source is None and inherited is not None and name in _FOLLOWS:
        source = _FOLLOWS[name]
    if source is None and getattr(DEFAULTS, name) is None and inherited is None:
        words = "not set"
    else:
        words = f"{_said(inherited)} ({source or 'default'})"
    return OptionField(name, label, kind, None if value is None else _text(value), choices, words)


def _shape(name: str) -> tuple[Any, tuple[tuple[str, str], ...]]:
    kinds = [*_kinds(Options.model_fields[name].rebuild_annotation())]
    literal = next((kind for kind in kinds if get_origin(kind) is Literal), None)
    if name == "transport_ca":
        return "pem", ()
    if list in [get_origin(kind) for kind in kinds]:
        return "words", ()
    if literal is not None:
        return "text", tuple((str(choice), str(choice)) for choice in get_args(literal))
    if bool in kinds:
        return "bool", (("true", "On"), ("false", "Off"))
    return ("int" if int in kinds else "text"), ()


def _kinds(annotation: Any) -> Iterable[Any]:
    """The types that an annotation is made of: `Annotated[int, …] | None` is of int and None."""
    if get_origin(annotation) in {list, Literal} or not get_args(annotation):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _kinds(part) if isinstance(part, type) or get_args(part) else ()


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(value: object) -> str:
    return _WORDS[value] if isinstance(value, bool) else _text(value)
