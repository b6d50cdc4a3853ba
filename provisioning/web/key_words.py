"""Programmable keys in words: the names of their types, and the fields of what each is to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from button_templates.layout import TARGETS

TYPES: Final[Mapping[str, str]] = {
    "line": "Line",
    "blf": "BLF",
    "speed_dial": "Speed dial",
    "park": "Park",
    "voicemail": "Voicemail",
    "shared_voicemail": "Shared voicemail",
    "dnd": "Do not disturb",
    "forward": "Forward",
    "transfer": "Transfer",
    "conference": "Conference",
    "intercom": "Intercom",
    "multicast_page": "Multicast page",
    "record": "Record",
    "dtmf": "DTMF",
    "url": "URL",
    "none": "Kept empty",
}
_USUAL_SLOTS: Final = range(701, 710)
_DIAL: Final = r"\+?[0-9*#]{1,32}"
_DIAL_HINT: Final = "Digits, * and #; a + may stand in front."


@dataclass(frozen=True, slots=True)
class TargetField:
    """A field of a key's target. `types` are the key types with it, `optional` those that need it not."""

    name: str
    label: str
    hint: str
    pattern: str = ""
    numeric: bool = False
    choices: str = ""

    @property
    def types(self) -> list[str]:
        return [type for type, form in TARGETS.items() if self.name in form.model_fields]

    @property
    def optional(self) -> list[str]:
        return [type for type in self.types if not TARGETS[type].model_fields[self.name].is_required()]


FIELDS: Final = (
    TargetField("line", "Line number", "The first line of the phone is 1.", "[1-9][0-9]?", numeric=True),
    TargetField("extension", "Extension", _DIAL_HINT, _DIAL, choices="known-extensions"),
    TargetField("number", "Number", _DIAL_HINT, _DIAL),
    TargetField("slot", "Park slot", "Where the call is parked, such as 701.", _DIAL, choices="known-slots"),
    TargetField("mailbox", "Mailbox", _DIAL_HINT, _DIAL, choices="known-extensions"),
    TargetField("address", "Multicast address", "224.0.0.0 to 239.255.255.255", r"\d+\.\d+\.\d+\.\d+"),
    TargetField("port", "Port", "1 to 65535", "[0-9]{1,5}", numeric=True),
    TargetField("digits", "Digits", "Sent during a call: digits, * and #.", "[0-9*#]{1,32}"),
    TargetField("url", "Address", "The http or https address that the phone asks for.", "https?://.+"),
)


def said(type: str, target: Mapping[str, Any]) -> str:
    """`BLF 4201`, `Multicast page 224.0.1.116:5001`, `Do not disturb`."""
    values = [str(value) for value in target.values() if value is not None]
    return " ".join([TYPES[type], *([":".join(values)] if values else [])])


def slots(buttons: Iterable[Any]) -> list[str]:
    """The park slots to choose from: the usual ones and those that the buttons have."""
    used = {button.target["slot"] for button in buttons if button.type == "park"}
    return sorted(used | {str(slot) for slot in _USUAL_SLOTS})
