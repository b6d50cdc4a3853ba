"""The kinds of text that people type, and what is refused in each before it is stored."""

import ipaddress
import re
import unicodedata
import zoneinfo
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import pydantic
from pydantic import AfterValidator, ConfigDict, Field

from provisioning.errors import from_pydantic

Model = TypeVar("Model", bound=pydantic.BaseModel)


class Input(pydantic.BaseModel):
    """A form that is checked as a whole: unknown fields are refused, values never reach an error text."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)


def check(model: type[Model], values: object) -> Model:
    """`values` as a `model`; raises `Invalid` with the path of each fault."""
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise from_pydantic(error) from None


def one_line(value: str) -> str:
    """Text for one line of a file: a line break is how settings are smuggled into a phone's file."""
    for char in value:
        # Zl and Zp are U+2028 and U+2029, Cs a lone surrogate; the mask finds U+FFFE, U+FFFF and their like.
        if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or (ord(char) & 0xFFFE) == 0xFFFE:
            raise ValueError(f"must not contain the character U+{ord(char):04X}")
    # Yealink's words for "clear this setting": no phone could be told such a name.
    if re.search("%(NULL|EMPTY)%", value, re.IGNORECASE):
        raise ValueError("must not contain %NULL% or %EMPTY%")
    if value != value.strip():
        raise ValueError("must not begin or end with a space")
    return value


def _no_quote(value: str) -> str:
    if '"' in value:
        raise ValueError('must not contain the character "')
    return value


_DIAL_STRING: Final = r"^\+?[0-9*#]{1,32}$"


def _dial_string(value: str) -> str:
    if not re.fullmatch(_DIAL_STRING, value):
        raise ValueError("must be at most 32 digits, * and #; a + may stand in front")
    return value


def _country(value: str) -> str:
    if not re.fullmatch("[A-Za-z]{2}", value):
        raise ValueError("must be the two letters of a country, such as US")
    return value.upper()


def _printable_ascii(value: str) -> str:
    if not all(" " <= char <= "~" for char in value):
        raise ValueError("must hold printable ASCII characters only")
    return value


def _mac(value: Any) -> str:
    """A MAC address in any usual spelling as 12 lower-case hex digits."""
    digits = re.sub(r"[\s:.-]", "", value).lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise ValueError("must be a MAC address of 12 hex digits")
    # 000000000000 names the files that all phones of one vendor share.
    if digits in {"0" * 12, "f" * 12} or int(digits[:2], 16) & 1:
        raise ValueError("must be the MAC address of one phone")
    return digits


def colons(mac: str) -> str:
    """`805ec0aabbcc` as people read it, `80:5e:c0:aa:bb:cc`."""
    return ":".join(mac[at : at + 2] for at in range(0, len(mac), 2))


def _host(value: str) -> str:
    labels = value.removesuffix(".").split(".")
    if all(re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", label) for label in labels):
        if not re.fullmatch("[0-9]+", labels[-1]):
            return value
        try:
            return str(ipaddress.IPv4Address(value))
        except ValueError:
            pass
    raise ValueError("must be a host name or an IPv4 address")


def _host_port(value: str) -> str:
    host, colon, port = value.partition(":")
    if colon and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise ValueError("must be host or host:port, with a port from 1 to 65535")
    return _host(host) + colon + port


@cache
def zones() -> frozenset[str]:
    """Every IANA time zone there is, links included, without what is no place or offset."""
    return frozenset(zoneinfo.available_timezones()) - {"Factory", "localtime", "posixrules"}


def _zone(value: str) -> str:
    if value not in zones():
        raise ValueError("must be an IANA time zone, such as America/New_York")
    return value


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s\"<>(),:;\\\[\]]+@[^@\s]+\.[^@\s.]+", value):
        raise ValueError("must be an email address, such as ann@example.com")
    _host(value.rpartition("@")[2])
    return value


Text = Annotated[str, AfterValidator(one_line), Field(min_length=1, max_length=100)]
Label = Annotated[str, AfterValidator(one_line), AfterValidator(_no_quote), Field(max_length=40)]
DialString = Annotated[str, AfterValidator(_dial_string), Field(json_schema_extra={"pattern": _DIAL_STRING})]
SipPassword = Annotated[
    str, AfterValidator(one_line), AfterValidator(_printable_ascii), Field(min_length=6, max_length=128)
]
SIP_USERNAME: Final = r"^[A-Za-z0-9_.+~-]{1,64}$"
SipUsername = Annotated[str, Field(pattern=SIP_USERNAME)]
# Typed on a phone's keypad, so digits; Polycom takes 32 at most.
AdminPassword = Annotated[str, Field(pattern=r"^[0-9]{6,32}$")]
Host = Annotated[str, Field(max_length=253), AfterValidator(_host)]
HostPort = Annotated[str, Field(max_length=259), AfterValidator(_host_port)]
Mac = Annotated[str, pydantic.BeforeValidator(_mac)]
Zone = Annotated[str, AfterValidator(_zone)]
PhoneNumberId = Annotated[str, Field(pattern=r"^num_[0-9a-z]{26}$")]
AudioClipId = Annotated[str, Field(pattern=r"^clip_[0-9a-z]{26}$")]
Email = Annotated[str, Field(max_length=254), AfterValidator(one_line), AfterValidator(_email)]


class Address(Input):
    """A postal address; for a location it is the dispatchable one that a 911 call-taker is told."""

    street: Text
    unit: Annotated[str, AfterValidator(one_line), Field(max_length=100)] = ""
    city: Text
    region: Text
    postal_code: Annotated[str, AfterValidator(one_line), Field(min_length=1, max_length=20)]
    country: Annotated[str, AfterValidator(_country), Field(json_schema_extra={"pattern": "^[A-Za-z]{2}$"})]
