"""Buttons: every type, their places, and for one that does not fit a reason."""

from collections.abc import Mapping
from typing import Any

import pytest

from button_templates import library
from button_templates.layout import TYPES, Button, Face, Key, fill, fit, restored, stored
from provisioning.errors import Invalid
from provisioning.fields import check

TARGETS: Mapping[str, Mapping[str, Any]] = {
    "line": {"line": 1},
    "blf": {"extension": "4201"},
    "speed_dial": {"number": "+12075550100"},
    "park": {"slot": "701"},
    "voicemail": {},
    "shared_voicemail": {"mailbox": "4300"},
    "dnd": {},
    "forward": {"number": "4202"},
    "transfer": {},
    "conference": {},
    "intercom": {"extension": "4201"},
    "multicast_page": {"address": "224.0.1.116", "port": 5001},
    "record": {},
    "dtmf": {"digits": "*1#"},
    "url": {"url": "http://door.example.com/open?gate=1"},
    "none": {},
}

DESK = Face("T46S", keys=4, module_name="EXP40", module_keys=3, modules=2, reserved=frozenset({2}))


def button(position: int, type: str = "blf", module: int = 0, label: str = "", **target: Any) -> Button:
    values = {"module": module, "position": position, "type": type, "label": label}
    return check(Button, {**values, "target": target or TARGETS[type]})


def keys(
    *template: Button, overrides: tuple[Button, ...] = (), face: Face = DESK, lines: int = 1
) -> list[Key]:
    return list(fit(face, template, overrides, lines=lines, options={}))


@pytest.mark.parametrize("type", TYPES)
def test_a_button_of_each_type_can_be_made_stored_and_read_again(type: str) -> None:
    made = (button(3, type, label="Name"),)
    assert restored(stored(made)) == made


@pytest.mark.parametrize(
    ("type", "target", "field"),
    [
        ("blf", {}, "extension"),
        ("blf", {"extension": "42a1"}, "extension"),
        ("line", {"line": 0}, "line"),
        ("speed_dial", {"number": "!macro"}, "number"),
        ("speed_dial", {"number": "12\n34"}, "number"),
        ("dnd", {"number": "1"}, "number"),
        ("multicast_page", {"address": "10.0.0.1", "port": 5001}, "address"),
        ("multicast_page", {"address": "224.0.1.116", "port": 0}, "port"),
        ("dtmf", {"digits": "12a"}, "digits"),
        ("url", {"url": "http://x.example/$mac"}, "url"),
        ("url", {"url": "javascript:alert(1)"}, "url"),
    ],
)
def test_a_target_that_its_type_cannot_use_is_refused_by_name(
    type: str, target: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid, match=rf"\b{field}\b"):
        check(Button, {"position": 1, "type": type, "target": target})


@pytest.mark.parametrize("label", ["two\nlines", 'quo"te', "x" * 41, " space", "\x00", "\u2028", "\ud800"])
def test_a_label_that_a_phone_cannot_show_is_refused(label: str) -> None:
    with pytest.raises(Invalid, match="label"):
        check(Button, {"position": 1, "type": "dnd", "label": label})


def test_two_buttons_in_one_slot_are_refused() -> None:
    buttons = [{"position": 2, "type": "dnd"}, {"position": 2, "type": "none"}]
    with pytest.raises(Invalid, match="buttons: module 0 position 2 holds 2 buttons"):
        check(library.TemplateForm, {"name": "T", "buttons": buttons})


def test_gaps_are_kept() -> None:
    assert [(k.position, k.type) for k in keys(button(2, "line"), button(4))] == [(2, "line"), (4, "blf")]


def test_an_override_replaces_the_button_of_its_slot() -> None:
    made = keys(button(1, "line"), button(2), overrides=(button(2, "dnd"),))
    assert [(k.position, k.type, k.source) for k in made] == [(1, "line", "template"), (2, "dnd", "override")]


def test_an_override_of_none_silences_a_key() -> None:
    made = keys(button(1, "line"), button(2), overrides=(button(2, "none"),))
    assert [(k.position, k.type) for k in made] == [(1, "line"), (2, "none")]


def test_a_phone_without_a_template_shows_its_lines_first() -> None:
    assert [(k.position, k.type, k.line, k.source) for k in keys(lines=2)] == [
        (1, "line", 1, "line_default"),
        (2, "line", 2, "line_default"),
    ]


def test_a_line_that_no_button_shows_gets_the_first_free_key() -> None:
    made = keys(button(1), button(2, "none"), lines=1)
    assert [(k.position, k.type) for k in made] == [(1, "blf"), (2, "none"), (3, "line")]


def test_a_line_without_a_free_key_takes_none_away() -> None:
    made = keys(button(1), button(2), button(3), button(4))
    assert [k.type for k in made] == ["blf"] * 4


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (button(5), "T46S has 4 line keys, this is key 5"),
        (button(1, module=3), "T46S takes 2 expansion modules, this is module 3"),
        (button(4, module=1), "EXP40 has 3 keys, this is key 4"),
        (button(2, module=1), "key 2 of EXP40 belongs to the module itself"),
        (button(2, "line", line=2), "the phone has 1 line, this is line 2"),
    ],
)
def test_a_button_that_does_not_fit_says_why(made: Button, reason: str) -> None:
    assert [k.reason for k in keys(made) if not k.supported] == [reason]


def test_a_phone_without_keys_or_modules_says_so() -> None:
    face = Face("CP960", keys=0)
    assert [k.reason for k in keys(button(1), button(1, module=1), face=face)] == [
        "CP960 has no line keys, this is key 1",
        "CP960 takes no expansion modules, this is module 1",
    ]


def test_a_type_that_the_vendor_lacks_says_why() -> None:
    face = Face("VVX 450", keys=4, refused={"url": "Polycom has no key for it"})
    assert [k.reason for k in keys(button(2, "url"), face=face) if k.reason] == ["Polycom has no key for it"]


def test_a_type_that_needs_an_option_names_the_option() -> None:
    face = Face("T46S", keys=4, needs={"record": "record_code"})
    template = (button(2, "record"),)
    without = fit(face, template, lines=1, options={})
    assert [k.reason for k in without if k.reason] == ["needs the phone option record_code, which is not set"]
    assert all(k.supported for k in fit(face, template, lines=1, options={"record_code": "*1"}))


def test_more_keys_of_a_type_than_the_model_takes_are_named() -> None:
    face = Face("VVX 450", keys=4, most={"line": 2})
    made = keys(button(1, "line"), button(2, "line"), button(3, "line"), face=face)
    assert [k.reason for k in made] == [None, None, "VVX 450 takes 2 keys of type line at most"]


def test_keys_are_counted_through_the_phone_and_its_modules() -> None:
    made = keys(button(4), button(1, module=1), button(3, module=2))
    assert [k.number for k in made if k.type == "blf"] == [4, 5, 10]


def test_every_slot_is_filled_and_reserved_positions_are_left_out() -> None:
    slots = fill(DESK, keys(button(3), button(9)), modules=1)
    assert [(k.module, k.position, k.type) for k in slots] == [
        (0, 1, "line"),
        (0, 2, "none"),
        (0, 3, "blf"),
        (0, 4, "none"),
        (1, 1, "none"),
        (1, 3, "none"),
    ]


def test_the_starters_are_there() -> None:
    assert list(library.starters()) == ["executive", "front_desk", "sales_floor", "warehouse"]
    assert all(form.buttons and form.description for form in library.starters().values())
