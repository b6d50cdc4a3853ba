"""Phone options: set on the platform, the account or the device; the nearest wins, absent inherits."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from provisioning.errors import Invalid
from provisioning.fields import DialString, Host, HostPort, Input, Zone, check

# 933 is the carriers' test line for emergency calls: it must go the same way at the same speed.
EMERGENCY_NUMBERS = ("911", "933")
Codec = Literal["g722", "pcmu", "pcma", "g729", "opus", "ilbc"]
Language = Literal[
    "da", "de", "en", "en-GB", "es", "fr", "fr-CA", "it", "ja", "ko",
    "nl", "no", "pl", "pt", "ru", "sv", "tr", "zh-CN", "zh-TW",
]  # fmt: skip


def _distinct(values: list[Codec]) -> list[Codec]:
    if len(set(values)) != len(values):
        raise ValueError("must not name a codec twice")
    return values


def _window(value: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError("must be HH:MM-HH:MM, such as 02:00-05:00")
    if value[:5] == value[6:]:
        raise ValueError("must end at another time than it begins")
    return value


def _digit_map(value: str) -> str:
    for alternative in value.split("|"):
        if not re.fullmatch(r"(\+|[0-9*#xX.T]|\[[0-9*#-]+\])+", alternative):
            raise ValueError(
                "must be alternatives of 0-9 * # x . T and [ranges] with | between, such as [1-9]xxxT|0T"
            )
    return value


def _no_delay(value: str) -> str:
    """A plan in which an emergency number could be the beginning of another number would hold it back."""
    for alternative in value.split("|"):
        for number in EMERGENCY_NUMBERS:
            if _goes_on(alternative, number):
                raise ValueError(
                    f"{alternative} can go on after {number}, which would wait for more digits:"
                    " write [2-8]xxxT|9[024-9]xxT rather than [2-9]xxxT"
                )
    return value


def _goes_on(alternative: str, number: str) -> bool:
    """Whether the alternative matches more than `number` and begins with it."""
    # Each element is a set of characters and whether it may be repeated or left out; T is no element.
    found = re.findall(r"(\[[^\]]+\]|[^.T])(\.?)", alternative)
    elements = [(_chars(element), bool(dot)) for element, dot in found]

    def reach(places: set[int]) -> set[int]:
        for place in sorted(places):
            while place < len(elements) and elements[place][1]:
                place += 1
                places.add(place)
        return places

    places = reach({0})
    for char in number:
        matching = {p for p in places if p < len(elements) and char in elements[p][0]}
        places = reach({p if elements[p][1] else p + 1 for p in matching})
    return any(place < len(elements) for place in places)


def _chars(element: str) -> frozenset[str]:
    if element in {"x", "X"}:
        return frozenset("0123456789")
    spread = re.sub(
        r"(\d)-(\d)", lambda m: "".join(map(str, range(int(m[1]), int(m[2]) + 1))), element.strip("[]")
    )
    return frozenset(spread)


def _pem(value: str) -> str:
    block = r"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,76}\n)+-----END CERTIFICATE-----\n?"
    if not re.fullmatch(f"({block})+", value):
        raise ValueError("must be one or more certificates in PEM form")
    return value


class Options(Input):
    """The options of CONTRACT §4. None inherits; `transport_ca` is the CA that `custom` trusts, PEM."""

    sip_domain: Host | None = None
    sip_server: Host | None = None
    sip_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    sip_transport: Literal["udp", "tcp", "tls", "dns"] | None = None
    sip_backup_server: HostPort | None = None
    outbound_proxy: HostPort | None = None
    register_expires: Annotated[int, Field(ge=60, le=86400, description="seconds")] | None = None
    srtp: Literal["off", "optional", "required"] | None = None
    codecs: Annotated[list[Codec], Field(min_length=1), AfterValidator(_distinct)] | None = None
    ntp_server: Host | None = None
    timezone: Zone | None = None
    time_format: Literal["12h", "24h"] | None = None
    date_format: Literal["ymd", "dmy", "mdy"] | None = None
    language: Language | None = None
    vlan_id: Annotated[int, Field(ge=1, le=4094)] | None = None
    lldp: bool | None = None
    dscp_sip: Annotated[int, Field(ge=0, le=63)] | None = None
    dscp_rtp: Annotated[int, Field(ge=0, le=63)] | None = None
    backlight_seconds: Annotated[int, Field(ge=0, le=1800, description="0 = always on")] | None = None
    web_ui: Literal["off", "https", "http"] | None = None
    poll_minutes: Annotated[int, Field(ge=60, le=10080)] | None = None
    poll_window: Annotated[str, AfterValidator(_window)] | None = None
    park_code: DialString | None = None
    pickup_code: DialString | None = None
    voicemail_number: DialString | None = None
    intercom_prefix: DialString | None = None
    record_code: DialString | None = None
    dial_plan: (
        Annotated[str, Field(max_length=512), AfterValidator(_digit_map), AfterValidator(_no_delay)] | None
    ) = None
    ring_type: Annotated[int, Field(ge=1, le=5)] | None = None
    call_waiting: bool | None = None
    transport_trust: Literal["any", "public", "custom"] | None = None
    transport_ca: Annotated[str, Field(max_length=16384), AfterValidator(_pem)] | None = None


DEFAULTS = Options(
    sip_transport="udp",
    register_expires=3600,
    srtp="off",
    codecs=["g722", "pcmu", "pcma"],
    ntp_server="pool.ntp.org",
    time_format="12h",
    date_format="mdy",
    language="en",
    lldp=True,
    dscp_sip=26,
    dscp_rtp=46,
    backlight_seconds=60,
    web_ui="https",
    poll_minutes=1440,
    poll_window="02:00-05:00",
    ring_type=1,
    call_waiting=True,
    transport_trust="public",
)


def resolve(*layers: Options) -> Options:
    """The options in force: `layers` from the farthest (platform) to the nearest (device)."""
    values: dict[str, Any] = {}
    for layer in (DEFAULTS, *layers):
        values |= layer.model_dump(exclude_none=True)
    # A phone that only knows its domain registers there.
    if "sip_server" in values or "sip_domain" in values:
        values.setdefault("sip_server", values.get("sip_domain"))
        values.setdefault("sip_domain", values.get("sip_server"))
    values.setdefault("sip_port", 5061 if values["sip_transport"] == "tls" else 5060)
    return Options.model_construct(**values)  # each was checked in its layer


def _typed(name: str, value: object) -> object:
    """A number as text where the option is one: in the environment 5000 may be either."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    try:
        check(Options, {name: value})
    except Invalid:
        return str(value)
    return value


def platform(values: Mapping[str, object]) -> Options:
    """The platform's own layer, as its file and environment give it."""
    try:
        return check(Options, {name: _typed(name, value) for name, value in values.items()})
    except Invalid as error:
        raise error.under("platform") from None
