"""Buttons in their places: which kinds there are, and which of them one phone can hold."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationInfo, field_validator

from provisioning.errors import invalid
from provisioning.fields import DialString, Host, Input, Label, one_line

ButtonType = Literal[
    "line", "blf", "speed_dial", "park", "voicemail", "shared_voicemail", "dnd", "forward",
    "transfer", "conference", "intercom", "multicast_page", "record", "dtmf", "url", "none",
]  # fmt: skip
TYPES: tuple[str, ...] = get_args(ButtonType)
Source = Literal["template", "override", "line_default"]


def _multicast(value: str) -> str:
    if not 224 <= int(value.partition(".")[0]) <= 239:
        raise ValueError("must be a multicast address, 224.0.0.0 to 239.255.255.255")
    return value


def _url(value: str) -> str:
    # `$` begins a variable in a Yealink action URL ($mac, $ip …): the phone would put its own data there.
    if not re.fullmatch(r"https?://[^\s\"<>$\\^`{|}]+", value) or not value.isascii():
        raise ValueError("must be an http or https address without spaces, quotes or $")
    return value


class _Nothing(Input):
    pass


class _Line(Input):
    line: Annotated[int, Field(ge=1)]


class _Extension(Input):
    extension: DialString


class _Number(Input):
    number: DialString


class _MaybeNumber(Input):
    number: DialString | None = None


class _Slot(Input):
    slot: DialString


class _Mailbox(Input):
    mailbox: DialString


class _Multicast(Input):
    address: Annotated[Host, Field(pattern=r"^\d+\.\d+\.\d+\.\d+$"), AfterValidator(_multicast)]
    port: Annotated[int, Field(ge=1, le=65535)]


class _Digits(Input):
    digits: Annotated[str, Field(pattern=r"^[0-9*#]{1,32}$")]


class _Url(Input):
    url: Annotated[str, Field(max_length=511), AfterValidator(one_line), AfterValidator(_url)]


TARGETS: dict[str, type[Input]] = {
    "line": _Line,
    "blf": _Extension,
    "speed_dial": _Number,
    "park": _Slot,
    "shared_voicemail": _Mailbox,
    "forward": _MaybeNumber,
    "transfer": _MaybeNumber,
    "intercom": _Extension,
    "multicast_page": _Multicast,
    "dtmf": _Digits,
    "url": _Url,
    "voicemail": _Nothing,
    "dnd": _Nothing,
    "conference": _Nothing,
    "record": _Nothing,
    "none": _Nothing,
}


class Button(Input):
    """One button in its slot. `module` 0 is the phone, 1… its expansion modules; `position` from 1."""

    module: Annotated[int, Field(ge=0, le=9)] = 0
    position: Annotated[int, Field(ge=1, le=999)]
    type: ButtonType
    label: Label = ""
    target: Mapping[str, Any] = Field(default_factory=dict, validate_default=True)

    @field_validator("target")
    @classmethod
    def _suits_the_type(cls, target: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        if "type" in info.data:
            TARGETS[info.data["type"]].model_validate(target)
        return target

    @property
    def slot(self) -> tuple[int, int]:
        return self.module, self.position


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_a_slot(buttons: tuple[Button, ...]) -> tuple[Button, ...]:
    for (module, position), count in Counter(button.slot for button in buttons).items():
        if count > 1:
            raise ValueError(f"module {module} position {position} holds {count} buttons")
    return tuple(sorted(buttons, key=lambda button: button.slot))


# The buttons of a template, or those of a device that override them, in order of their slots.
Buttons = Annotated[tuple[Button, ...], BeforeValidator(_as_tuple), AfterValidator(_one_a_slot)]
_buttons: TypeAdapter[tuple[Button, ...]] = TypeAdapter(Buttons)


def stored(buttons: Iterable[Button]) -> list[Any]:
    """Buttons as the database keeps them."""
    return [button.model_dump(mode="json") for button in buttons]


def restored(value: list[Any]) -> tuple[Button, ...]:
    return _buttons.validate_python(value)


def moved(buttons: Sequence[Button], module: int, source: int, target: int) -> tuple[Button, ...]:
    """The buttons with that of one position at another; those between shift by one place.

    The set of occupied positions stays. Raises `Invalid` where there is nothing to move, or no such place.
    """
    there = {button.position: button for button in buttons if button.module == module}
    for name, position in (("from", source), ("to", target)):
        if position not in there:
            raise invalid(name, f"there is no button at module {module} position {position}")
    places = sorted(there)
    row = [there[position] for position in places]
    row.insert(places.index(target), row.pop(places.index(source)))
    placed = [b.model_copy(update={"position": at}) for b, at in zip(row, places, strict=True)]
    rest = [button for button in buttons if button.module != module]
    return tuple(sorted([*rest, *placed], key=lambda button: button.slot))


@dataclass(frozen=True, slots=True)
class Face:
    """What one model can hold, with modules of one type. `reserved` positions of a module cannot be set.

    `refused` says for each button type that the vendor has no key for why that is so; `needs` names
    the phone option without which a type does nothing; `most` bounds how many keys of a type there are.
    """

    model: str
    keys: int
    module_name: str = ""
    module_keys: int = 0
    modules: int = 0
    reserved: frozenset[int] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)

    def number(self, slot: tuple[int, int]) -> int:
        """A slot's number when all keys are counted through, the phone's first and then each module's."""
        module, position = slot
        return position if module == 0 else self.keys + (module - 1) * self.module_keys + position

    def slots(self, modules: int) -> Iterable[tuple[int, int]]:
        """Every slot that can be set on the phone and its first `modules` modules, in order."""
        for position in range(1, self.keys + 1):
            yield 0, position
        for module in range(1, modules + 1):
            for position in range(1, self.module_keys + 1):
                if position not in self.reserved:
                    yield module, position

    def misfit(self, slot: tuple[int, int]) -> str | None:
        """Why this slot is not there, or None."""
        module, position = slot
        if module == 0 and position > self.keys:
            return f"{self.model} has {_count(self.keys, 'line key')}, this is key {position}"
        if module > self.modules:
            return f"{self.model} takes {_count(self.modules, 'expansion module')}, this is module {module}"
        if module and position > self.module_keys:
            return f"{self.module_name} has {_count(self.module_keys, 'key')}, this is key {position}"
        if module and position in self.reserved:
            return f"key {position} of {self.module_name} belongs to the module itself"
        return None


@dataclass(frozen=True, slots=True)
class Key:
    """A key as a phone gets it, or with `supported` False and the reason why it does not."""

    module: int
    position: int
    number: int
    type: str
    label: str
    target: Mapping[str, Any]
    source: Source | None
    reason: str | None = None

    @property
    def supported(self) -> bool:
        return self.reason is None

    @property
    def line(self) -> int:
        """The line that the key works on, from 1."""
        return int(self.target.get("line", 1))


def fit(
    face: Face,
    template: Sequence[Button],
    overrides: Sequence[Button] = (),
    *,
    lines: int,
    options: Mapping[str, Any],
) -> tuple[Key, ...]:
    """The keys of a phone with `lines` lines, in order of their slots.

    An override replaces the template's button in its slot (`none` silences it). A line that no button
    shows gets the first free key of the phone, so that no line is without one while there is room.
    """
    placed: dict[tuple[int, int], tuple[Button, Source]] = {b.slot: (b, "template") for b in template}
    placed |= {b.slot: (b, "override") for b in overrides}
    shown = {b.target["line"] for b, _ in placed.values() if b.type == "line" and not face.misfit(b.slot)}
    free = [slot for slot in face.slots(0) if slot not in placed]
    for line in sorted(set(range(1, lines + 1)) - shown):
        if free:
            module, position = free.pop(0)
            button = Button(module=module, position=position, type="line", target={"line": line})
            placed[button.slot] = button, "line_default"

    keys: list[Key] = []
    used: Counter[str] = Counter()
    for slot, (button, source) in sorted(placed.items()):
        reason = face.misfit(slot) or _unsuitable(face, button, lines, options, used)
        used[button.type] += reason is None
        keys.append(Key(*slot, face.number(slot), button.type, button.label, button.target, source, reason))
    return tuple(keys)


def fill(face: Face, keys: Iterable[Key], *, modules: int) -> tuple[Key, ...]:
    """A key for every slot of the phone and its first `modules` modules: free slots are of type `none`."""
    held = {(key.module, key.position): key for key in keys if key.supported}
    free = _free(face.keys, face.module_keys, face.reserved, modules)
    return tuple(held.get((key.module, key.position), key) for key in free)


@functools.lru_cache(512)
def _free(keys: int, module_keys: int, reserved: frozenset[int], modules: int) -> tuple[Key, ...]:
    face = Face("", keys, module_keys=module_keys, reserved=reserved)
    return tuple(Key(*slot, face.number(slot), "none", "", {}, None) for slot in face.slots(modules))


def _unsuitable(
    face: Face, button: Button, lines: int, options: Mapping[str, Any], used: Mapping[str, int]
) -> str | None:
    line = button.target.get("line", 1)
    if button.type in face.refused:
        return face.refused[button.type]
    if button.type == "line" and line > lines:
        return f"the phone has {_count(lines, 'line')}, this is line {line}"
    option = face.needs.get(button.type)
    if option and options.get(option) is None:
        return f"needs the phone option {option}, which is not set"
    most = face.most.get(button.type)
    if most is not None and used[button.type] >= most:
        return f"{face.model} takes {most} keys of type {button.type} at most"
    return None


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
