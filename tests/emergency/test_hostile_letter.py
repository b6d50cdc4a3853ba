"""Mails about emergency calls hold the texts that were stored, in their headers and both their bodies, and no
more of them."""

import re
from typing import Final

import pydantic
import pytest

from provisioning.accounts import EmergencyRecipients
from provisioning.fields import Text
from tests.api.test_hostile_outputs import Elements
from tests.emergency.test_letter import call, place, written
from tests.hostile import EVERY, FAMILIES
from tests.mail_relay import Received

_TEXT: Final[pydantic.TypeAdapter[str]] = pydantic.TypeAdapter(Text)
# What turns the direction of writing around, and so changes the order in which all that follows is read.
_TURNS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")


def _taken(text: str) -> bool:
    try:
        return bool(_TEXT.validate_python(text, strict=True))
    except pydantic.ValidationError:
        return False


TAKEN: Final = [text for text in EVERY if _taken(text)]


def letter(words: str) -> Received:
    """With these words wherever somebody's stand."""
    address = dict.fromkeys(("street", "unit", "city", "region", "postal_code", "country"), words)
    there = place(words, address=address, timezone="America/New_York")
    return written(call(there, place("B"), caller=words, caller_number=words, call_id=words))


@pytest.mark.parametrize("around", ["", "a"])
def test_a_mail_holds_the_texts_and_no_more_of_them(around: str) -> None:
    mark = letter("mark")
    for words in (around + text for text in TAKEN if len(around + text) <= 40):
        mail = letter(words)
        assert mail.message["Subject"] == mark.message["Subject"].replace("mark", _TURNS.sub("", words))
        assert mail.message.keys() == mark.message.keys(), words
        assert mail.content.count(b"\r\n\r\n") == mark.content.count(b"\r\n\r\n"), words
        assert mail.text == mark.text.replace("mark", words)
        elements = [tuple(part.replace("mark", words) for part in row) for row in Elements(mark.html).found]
        assert Elements(mail.html).found == elements


def test_what_looks_like_an_encoded_header_stays_words() -> None:
    """A mail reader decodes it, and so did we: line breaks in it began headers of their own."""
    for words in (text for text in FAMILIES["headers"] if "=?" in text):
        mail = letter(words)
        assert mail.message["Bcc"] is None and mail.message["X"] is None
        assert f": {words} at {words} or B" in mail.message["Subject"]


def test_an_address_that_looks_like_an_encoded_header_adds_nobody() -> None:
    address = "=?utf-8?q?a=0d=0aBcc=3A_evil=40y.example=2C?=c@b.example"
    assert EmergencyRecipients(emails=[address]).emails == [address]
    mail = written(call(place("Portland")), address)
    assert f"\r\nTo: {address}\r\n".encode() in mail.content
    assert mail.recipient == address and b"\r\nBcc" not in mail.content
