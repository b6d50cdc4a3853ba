"""A picture of a phone's face: every key of a model in its place, and what a template puts there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from button_templates.layout import Button
from provisioning.phones.phone import Expansion, Model
from provisioning.phones.vendor import Vendor
from provisioning.web.key_words import said

_BESIDE: Final = 16  # so many keys stand beside a screen at most; what has more of them shows them on it
Slot = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DrawnKey:
    """A slot, with the button in it if there is one, and why the model cannot have that there."""

    module: int
    position: int
    button: Button | None
    reason: str | None = None

    @property
    def place(self) -> str:
        return f"{f'Module {self.module} key' if self.module else 'Key'} {self.position}"

    @property
    def what(self) -> str:
        return said(self.button.type, self.button.target) if self.button else "empty"

    @property
    def name(self) -> str:
        """`Key 3: BLF 4201, Reception`"""
        label = f", {self.button.label}" if self.button and self.button.label else ""
        return f"{self.place}: {self.what}{label}"


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """The keys of one page in columns from the left. `turns` is true where one key turns the pages."""

    number: int
    columns: tuple[tuple[DrawnKey, ...], ...]
    turns: bool

    @property
    def keys(self) -> list[DrawnKey]:
        return [key for column in self.columns for key in column]

    @property
    def used(self) -> int:
        return sum(key.button is not None for key in self.keys)


@dataclass(frozen=True, slots=True)
class Unit:
    """The phone (module 0) or one of its expansion modules. `beside` is true of keys beside a screen."""

    module: int
    name: str
    size: int
    pages: tuple[DrawnPage, ...]
    beside: bool

    @property
    def used(self) -> int:
        return sum(page.used for page in self.pages)


@dataclass(frozen=True, slots=True)
class Picture:
    """A model with a template on it; `nowhere` are the keys for which it has no slot.

    `name` says the model and, where they are not its usual ones, its modules. `moved` are the keys that a
    phone which orders its keys itself shows elsewhere, with the number that they have there.
    """

    vendor: str
    name: str
    units: tuple[Unit, ...]
    nowhere: tuple[DrawnKey, ...]
    moved: tuple[tuple[DrawnKey, int], ...]
    total: int

    @property
    def misfits(self) -> list[DrawnKey]:
        drawn = (key for unit in self.units for page in unit.pages for key in page.keys)
        return [*(key for key in drawn if key.reason), *self.nowhere]


@dataclass(frozen=True, slots=True)
class Kind:
    """A model with one type of expansion modules, None for those that it is usually sold with or none."""

    vendor: Vendor
    model: Model
    expansion: Expansion | None = None

    @property
    def name(self) -> str:
        """`VVX 411`, `VVX 411 + VVX Paper EM`"""
        return f"{self.model.name} + {self.expansion.name}" if self.expansion else self.model.name


def kinds(vendor: Vendor) -> list[Kind]:
    """All that there is to choose from."""
    return [
        Kind(vendor, model, expansion)
        for model in vendor.models.values()
        for expansion in (None, *model.expansions[1:])
    ]


def draw(
    kind: Kind, buttons: Sequence[Button], reasons: Mapping[Slot, str], moved: Mapping[Slot, int]
) -> Picture:
    """`reasons` say of slots why they cannot have what the template has there, `moved` where it is shown."""
    model = kind.model
    face = kind.vendor.face(model, kind.expansion.name if kind.expansion else None)
    drawn = {b.slot: DrawnKey(*b.slot, b, reasons.get(b.slot)) for b in buttons}
    there = set(face.slots(face.modules))

    def keys(module: int, size: int) -> list[DrawnKey]:
        slots = [(module, position) for position in range(1, size + 1)]
        return [drawn.get(slot) or DrawnKey(*slot, None) for slot in slots if slot in there]

    pages = model.facts.get("pages", 1)
    units = [_unit(0, model.name, keys(0, face.keys), pages, face.keys // pages <= _BESIDE)]
    expansion = kind.expansion or next(iter(model.expansions), None)
    if expansion:
        units += [
            _unit(module, expansion.name, keys(module, expansion.keys), expansion.pages, False)
            for module in range(1, expansion.modules + 1)
        ]
    return Picture(
        vendor=kind.vendor.data["title"],
        name=kind.name,
        units=tuple(units),
        nowhere=tuple(key for slot, key in drawn.items() if slot not in there),
        moved=tuple((drawn[slot], number) for slot, number in moved.items()),
        total=len(buttons),
    )


def _unit(module: int, name: str, keys: Sequence[DrawnKey], pages: int, beside: bool) -> Unit:
    size = max((key.position for key in keys), default=0)
    each = max(1, -(-size // pages))
    drawn = []
    for number in range(1, pages + 1):
        on_it = [key for key in keys if (number - 1) * each < key.position <= number * each]
        columns = _columns(on_it, -(-each // 2) + (number - 1) * each)
        # Where a page has an odd number of keys, the last beside the screen turns the pages.
        drawn.append(DrawnPage(number, columns, turns=beside and pages > 1 and each % 2 == 1))
    return Unit(module, name, len(keys), tuple(drawn), beside)


def _columns(keys: Iterable[DrawnKey], last_left: int) -> tuple[tuple[DrawnKey, ...], ...]:
    """The lower half on the left, the upper half on the right, as vendors count."""
    left = tuple(key for key in keys if key.position <= last_left)
    return left, tuple(key for key in keys if key.position > last_left)
