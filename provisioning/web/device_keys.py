"""A phone's lines and keys as rows of its page, each with the change that a press of a button makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from button_templates.layout import Button
from provisioning.api.devices import ButtonAnswer, DeviceAnswer
from provisioning.extensions import Extension
from provisioning.web.key_words import TYPES


@dataclass(frozen=True, slots=True)
class LineRow:
    """`up`, `down` and `without` are the lines of the phone after that press; None where there is none."""

    extension: Extension
    up: Sequence[str] | None
    down: Sequence[str] | None
    without: Sequence[str]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """`without` are the phone's overrides without one here, `silent` those with an empty key here."""

    key: ButtonAnswer
    what: str
    target: str
    fill: Mapping[str, Any]
    without: Sequence[Any]
    silent: Sequence[Any]


def line_rows(device: DeviceAnswer, held: Mapping[str, Extension]) -> list[LineRow]:
    lines = device.lines

    def swapped(at: int) -> list[str] | None:
        if not 0 <= at < len(lines) - 1:
            return None
        return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]

    return [
        LineRow(held[line], swapped(at - 1), swapped(at), [*lines[:at], *lines[at + 1 :]])
        for at, line in enumerate(lines)
    ]


def rows(device: DeviceAnswer, keys: Sequence[ButtonAnswer]) -> list[KeyRow]:
    return [_row(device.button_overrides, key) for key in keys]


def _row(overrides: Sequence[Button], key: ButtonAnswer) -> KeyRow:
    slot = key.module, key.position
    without = [button.model_dump(mode="json") for button in overrides if button.slot != slot]
    empty = {"module": key.module, "position": key.position, "type": "none"}
    fill = {**key.model_dump(include={"module", "position", "type", "label", "target"})}
    if key.source == "override":
        fill["was"] = f"{key.module}.{key.position}"
    target = " ".join(str(value) for value in key.target.values() if value is not None)
    return KeyRow(key, TYPES[key.type], target, fill, without, [*without, empty])
