"""A letter: one mail as the relay gets it, written from what was known when the call was reported."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2

from provisioning.emergency import EmergencyCall
from provisioning.fields import colons
from provisioning.outbox import Mail
from provisioning.phones.vendor import shipped_templates
from provisioning.scene import Place

_log = logging.getLogger(__name__)
# EmailMessage itself would take what looks like an encoded word of RFC 2047 for one: it puts the text that it
# decodes from a name into the header, line breaks and all. So headers are set as they are sent, and stay so.
_POLICY: Final = policy.SMTP.clone(refold_source="none")
_NAME: Final = 40  # characters that a name may have in a subject, so that the next is still seen


@dataclass(frozen=True, slots=True)
class Letter:
    """`sender` and `recipient` are those of the envelope; `utf8` is whether the relay must know SMTPUTF8."""

    sender: str
    recipient: str
    content: bytes
    utf8: bool


class Letters:
    """Writes letters with the templates of `templates/email`; the operator's are searched first."""

    def __init__(self, sender: str, operator_folder: Path | None = None) -> None:
        self._sender = sender
        shipped = shipped_templates() / "email"
        self._shipped = _templates([shipped])
        self._templates = _templates([operator_folder / "email", shipped] if operator_folder else [shipped])

    def emergency(self, call: EmergencyCall, mail: Mail) -> Letter:
        """The same bytes for each attempt, so that who gets two sees that they are one."""
        utf8 = not mail.recipient.isascii()
        message = EmailMessage(policy=_POLICY.clone(utf8=utf8))
        message.set_raw("Subject", _encoded("Subject", _line(subject(call))))
        message["From"] = f"Emergency calls <{self._sender}>"
        message.set_raw("To", _line(mail.recipient))
        message["Date"] = format_datetime(mail.created_at)
        message["Message-ID"] = f"<{mail.id}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message["Importance"] = "high"
        message["X-Priority"] = "1"
        message.set_content(self._body("emergency.txt", call), cte="quoted-printable")
        message.add_alternative(self._body("emergency.html", call), subtype="html", cte="quoted-printable")
        message.set_boundary(f"={mail.id}=")
        return Letter(self._sender, mail.recipient, message.as_bytes(), utf8)

    def _body(self, template: str, call: EmergencyCall) -> str:
        told: dict[str, Any] = {"call": call, "report": call.report, "scene": call.scene}
        told |= {"subject": subject(call), "local_time": _local_time(call), "utc": utc, "address": address}
        told["mac"] = colons
        try:
            return self._templates.get_template(template).render(told)
        except Exception as error:
            # The operator's template is broken: the mail goes out all the same.
            _log.error("email/%s cannot be rendered, the shipped one is used: %s", template, error)
            return self._shipped.get_template(template).render(told)


def subject(call: EmergencyCall) -> str:
    """What a locked phone shows is enough: what was dialed, by whom and where."""
    word = "TEST 933" if call.test else f"{call.report.dialed} dialed"
    return f"{word}: {_short(who(call))} at {where(call)}"


def who(call: EmergencyCall) -> str:
    """The caller by the best name that there is."""
    report = call.report
    return call.scene.caller or report.caller_number or report.sip_username or f"phone {report.device_mac}"


def where(call: EmergencyCall) -> str:
    """The location, or all that it may be."""
    places = [_short(place.name or "an unknown location") for place in call.scene.places]
    if not places:
        return "an unknown location"
    most = places if len(places) <= 2 else [", ".join(places[:2]), f"{len(places) - 2} more"]
    return " or ".join(most)


def utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def address(place: Place) -> list[str]:
    """The dispatchable address as on an envelope, a line each; [] where none is set."""
    known = place.address or {}
    city = (
        f"{known.get('city', '')}, {known.get('region', '')} {known.get('postal_code', '')}" if known else ""
    )
    return [line for line in (known.get("street"), known.get("unit"), city, known.get("country")) if line]


def _local_time(call: EmergencyCall) -> Callable[[datetime, Place | None], str]:
    def local_time(at: datetime, place: Place | None) -> str:
        """As the clocks at the place show it, with the zone's name and offset."""
        zone = (place and place.timezone) or call.scene.timezone
        try:
            there = at.astimezone(ZoneInfo(zone))
        except (KeyError, ValueError):
            return f"no clock is known for the zone {zone}"
        day = f"{there:%A, %B} {there.day}, {there:%Y, %H:%M:%S %Z}"
        return f"{day} (UTC{there.isoformat()[-6:]}, {zone})"

    return local_time


def _templates(folders: Sequence[Path]) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _short(text: str) -> str:
    return text if len(text) <= _NAME else text[: _NAME - 1].rstrip() + "…"


def _line(text: str) -> str:
    """One line, whatever was stored: a line break in a header begins another header. What turns the direction
    of writing around goes: it would show all that follows in another order."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+", " ", text)
    return re.sub(r"[\u202a-\u202e\u2066-\u2069]", "", line)


def _encoded(name: str, text: str) -> str:
    """The words of a header as they are sent. What looks encoded already is encoded once more, and so is read
    as the words that it is."""
    plain = text.isascii() and "=?" not in text
    return Header(text, "us-ascii" if plain else "utf-8", header_name=name).encode()
