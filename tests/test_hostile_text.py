"""Whatever people type is refused, or reaches the vendor's parser unchanged and changes nothing else."""

from datetime import date
from xml.etree import ElementTree

import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from button_templates.layout import Button
from provisioning.fields import Label, SipPassword, Text
from provisioning.phones.options import Options, resolve
from provisioning.phones.phone import Line, Phone
from provisioning.phones.vendor import Vendor, load_vendors
from tests.hostile import try_phones

VENDORS = load_vendors()
PHONES = {"yealink": ("805ec0102001", "T54W"), "polycom": ("64167f102005", "VVX 450")}
HOSTILE = (
    "a\nstatic.auto_provision.server.url = http://evil.example/",
    'x" reg.1.auth.password="stolen',
    "<x>&amp;]]>",
    "{{ phone.admin_password }}{% raw %}",
    "%NULL%",
    "$MAC \u202e\u2028",
    "\ud800",
    "\x00",
    "\u0085",
    " x",
)


def made(vendor: Vendor, name: str, password: str, label: str) -> dict[str, str]:
    """The settings of the phone's own file."""
    mac, model = PHONES[vendor.name]
    phone = vendor.phone(
        mac=mac,
        model=vendor.models[model],
        lines=[Line(1, "4201", name, "4201", password)],
        template=[Button(position=2, type="blf", label=label, target={"extension": "4202"})],
        extension_length=4,
        options=resolve(Options(sip_server="sip.example.com")),
        zone="America/New_York",
        today=date(2026, 11, 24),
        admin_password="739204816355",
        url="http://p.example.com/p/x/",
    )
    suffix = {"yealink": ".cfg", "polycom": "-account.cfg"}[vendor.name]
    return parsed(vendor, phone, suffix)


def parsed(vendor: Vendor, phone: Phone, suffix: str) -> dict[str, str]:
    file = vendor.file(suffix, phone.model)
    assert file
    content = vendor.render(file, phone)
    if vendor.name == "polycom":
        return {
            name: value
            for element in ElementTree.fromstring(content).iter()
            for name, value in element.items()
        }
    # As strict a reader as any firmware: every kind of line break that Unicode knows ends a setting.
    lines = [line for line in content.decode().splitlines() if line and not line.startswith("#")]
    return dict(
        line.split(" = ", 1) for line in lines if not line.startswith("static.security.user_password")
    )


NAMES = {
    "yealink": ("account.1.display_name", "account.1.password", "linekey.2.label"),
    "polycom": ("reg.1.displayName", "reg.1.auth.password", "attendant.resourceList.1.label"),
}


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
@settings(deadline=None)  # speed is measured in benchmarks, not asserted
@given(
    name=st.text(max_size=110),
    password=st.text(st.characters(max_codepoint=0x100), min_size=5, max_size=130),
    label=st.text(max_size=45),
)
@example(name=HOSTILE[0], password=HOSTILE[0], label=HOSTILE[0])
@example(name=HOSTILE[1], password=HOSTILE[1], label=HOSTILE[1])
@example(name=HOSTILE[2], password=HOSTILE[2], label=HOSTILE[2])
@example(name=HOSTILE[3], password=HOSTILE[3], label=HOSTILE[3])
@example(name='O\'Brien & "Söhne" <x>', password=" ".join("&<>\"'%#$\\"), label="Müller & Co <1>")
def test_text_is_refused_or_parses_back_unchanged(
    vendor: Vendor, name: str, password: str, label: str
) -> None:
    texts = {"name": name, "password": password, "label": label}
    plain = {"name": "Ann", "password": "a-password", "label": "Bob"}
    kinds = {"name": Text, "password": SipPassword, "label": Label}
    for field, text in texts.items():
        try:
            pydantic.TypeAdapter(kinds[field]).validate_python(text, strict=True)
        except pydantic.ValidationError:
            texts[field] = plain[field]
    if not texts["label"]:
        texts["label"] = plain["label"]
    settings = made(vendor, **texts)
    expected = made(vendor, **plain) | dict(zip(NAMES[vendor.name], texts.values(), strict=True))
    assert settings == expected


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("vendor", VENDORS)
def test_twenty_thousand_phones_full_of_hostile_texts_hold_exactly_these_texts(
    vendor: str, seed: int
) -> None:
    """Five thousand for each seed; `python -m benchmarks.hostile` tries as many as wanted."""
    try_phones(vendor, seed, 5_000)


@pytest.mark.parametrize("text", [t for t in HOSTILE if t not in HOSTILE[1:4]])
def test_text_that_no_file_can_carry_is_refused_where_it_is_typed(text: str) -> None:
    for kind in (Text, Label, SipPassword):
        with pytest.raises(pydantic.ValidationError):
            pydantic.TypeAdapter(kind).validate_python(text, strict=True)


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
@pytest.mark.parametrize("text", ["a\nb", "\x00", "\u2028", "\ud800", "\ufffe"])
def test_text_that_got_past_the_check_is_an_error_or_stays_one_value(vendor: Vendor, text: str) -> None:
    try:
        settings = made(vendor, text, "a-password", "Bob")
    except Exception as error:
        assert text not in str(error)
    else:
        assert settings[NAMES[vendor.name][0]] == text
