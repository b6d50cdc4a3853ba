"""What the switch reports of an emergency call. Little is refused: a report that is refused tells nobody."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import pydantic
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from provisioning.fields import Input, Mac, one_line

TEST: Final = "933"
_mac: Final[pydantic.TypeAdapter[str]] = pydantic.TypeAdapter(Mac)


def _trimmed(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _filled(value: Any) -> Any:
    """What a switch leaves empty is absent."""
    return _trimmed(value) or None


def _digits(text: str) -> str:
    """A MAC address as devices have it; a text that is none stays, and is that of no phone."""
    try:
        return _mac.validate_python(text)
    except pydantic.ValidationError:
        return text


def _utc(value: datetime) -> datetime:
    if not 1 < value.year < 9999:  # beyond, no zone can tell the time
        raise ValueError("must be a time of our calendar")
    return value.astimezone(UTC)


_Line = Annotated[str, AfterValidator(one_line), Field(min_length=1, max_length=255)]
_Number = Annotated[str, AfterValidator(one_line), Field(max_length=64)]


class EmergencyReport(Input):
    """A user name, MAC address or number that nobody knows is no fault here."""

    call_id: Annotated[_Line, BeforeValidator(_trimmed)]
    dialed: Literal["911", "933"]
    sip_username: Annotated[_Line | None, BeforeValidator(_filled)] = None
    device_mac: Annotated[Annotated[_Line, AfterValidator(_digits)] | None, BeforeValidator(_filled)] = None
    caller_number: Annotated[_Number | None, BeforeValidator(_filled)] = None
    occurred_at: Annotated[AwareDatetime, Field(strict=False), AfterValidator(_utc)] | None = None

    @model_validator(mode="after")
    def _says_who(self) -> "EmergencyReport":
        if not (self.sip_username or self.device_mac):
            raise ValueError("must have sip_username or device_mac")
        return self
