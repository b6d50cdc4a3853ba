"""The keys that a Yealink's settings make, and the marks of those that it cannot have."""

import re
from collections.abc import Collection, Iterable, Mapping

from provisioning.phones.phone import Expansion, Model
from provisioning.virtual_phone.http import Problems
from provisioning.virtual_phone.phone import HeldKey, Slot

LINE, EMPTY, BLF = "15", "0", "16"
# Vendor's numbers that say which of our types it is; 11 and 16 serve several of ours each.
NAMES = {
    "1": "conference", "2": "forward", "3": "transfer", "5": "dnd", "10": "park", "11": "dtmf",
    "12": "voicemail", "13": "speed_dial", "14": "intercom", "15": "line", "16": "blf", "17": "url",
    "24": "multicast_page", "25": "record",
}  # fmt: skip
NEEDS_VALUE = frozenset({"10", "11", "12", "13", "14", "16", "17", "24"})
# These count the line of a BLF key from 0.
BLF_LINES_FROM_0 = frozenset({"T32G", "T38G"})


def _spans(text: str) -> frozenset[int]:
    """`1-3,7` as 1, 2, 3, 7."""
    ends = [part.partition("-") for part in text.split(",")]
    return frozenset(n for low, _, high in ends for n in range(int(low), int(high or low) + 1))


# The types that there are on line and expansion keys, and on programmable ones.
ON_LINE_KEYS = _spans("0-5,7-18,20,22-25,27,34,35,38-42,45-47,49,50,55-61,66,73")
ON_PROGRAMMABLE_KEYS = _spans(
    "0,2,5,7-9,13,14,22-24,27,28,30-34,38,40,41,43-47,50-52,55,61,66,73,85,104,150,310"
)

_LINE_KEY = re.compile(r"linekey\.(\d+)\.(\w+)")
_MODULE_KEY = re.compile(r"expansion_module\.(\d+)\.key\.(\d+)\.(\w+)")
_PROGRAMMABLE = re.compile(r"programm?ablekey\.(\d+)\.(\w+)")


def fields(held: Mapping[str, str]) -> dict[Slot, dict[str, str]]:
    """What was said of each key, by module (0 = the phone) and position."""
    found: dict[Slot, dict[str, str]] = {}
    for name, value in held.items():
        if match := _LINE_KEY.fullmatch(name):
            found.setdefault((0, int(match[1])), {})[match[2]] = value
        elif match := _MODULE_KEY.fullmatch(name):
            found.setdefault((int(match[1]), int(match[2])), {})[match[3]] = value
    return dict(sorted(found.items()))


def keys(held: Mapping[str, str], model: Model, lines: Iterable[int]) -> dict[Slot, HeldKey]:
    """All keys that are not empty; out of the box the nth key is the nth line's, where there is one."""
    said = {(0, n): {"type": LINE, "line": str(n)} for n in lines if n <= model.line_keys}
    for slot, its_fields in fields(held).items():
        said[slot] = said.get(slot, {}) | its_fields
    shown = {slot: its for slot, its in said.items() if its.get("type", EMPTY) != EMPTY}
    return {slot: _key(its, model) for slot, its in sorted(shown.items())}


def inspect(
    held: Mapping[str, str],
    model: Model,
    expansion: Expansion | None,
    lines: Collection[int],
    problems: Problems,
) -> None:
    """`lines` are the accounts that are switched on."""
    for slot, its in fields(held).items():
        name = _name(slot)
        if reason := _nowhere(slot, model, expansion):
            problems.add(f"{name}: {reason}")
        kind = its.get("type", EMPTY)
        if not _known(kind, ON_LINE_KEYS):
            problems.add(f"{name}: there is no type {kind} for such a key")
        if kind in NEEDS_VALUE and not its.get("value"):
            problems.add(f"{name}: type {kind} without a value")
        if kind in {LINE, BLF} and "line" in its and _key(its, model).line not in lines:
            problems.add(f"{name}: works on a line that the phone does not have")
    _inspect_programmable(held, model, problems)


def _inspect_programmable(held: Mapping[str, str], model: Model, problems: Problems) -> None:
    there = _there(model.facts.get("programmable_keys"))
    for match, value in ((_PROGRAMMABLE.fullmatch(name), value) for name, value in held.items()):
        if match is None:
            continue
        if there is not None and int(match[1]) not in there:
            problems.add(f"programablekey.{match[1]}: the {model.name} has no such key")
        if match[2] == "type" and not _known(value, ON_PROGRAMMABLE_KEYS):
            problems.add(f"programablekey.{match[1]}: there is no type {value} for such a key")


def _there(told: object) -> frozenset[int] | None:
    """The model's programmable keys, told as `1-10,12-14` or as a list; None where nothing is known."""
    if isinstance(told, list | tuple):
        return frozenset(int(number) for number in told)
    return _spans(told) if isinstance(told, str) and told else None


def _known(kind: str, types: frozenset[int]) -> bool:
    return kind.isdigit() and int(kind) in types


def _nowhere(slot: Slot, model: Model, expansion: Expansion | None) -> str | None:
    module, position = slot
    if module == 0:
        return None if position <= model.line_keys else f"the {model.name} has {model.line_keys} line keys"
    if expansion is None:
        return f"the {model.name} takes no expansion module"
    if module > expansion.modules:
        return f"the {model.name} takes {expansion.modules} modules"
    if position > expansion.keys:
        return f"the {expansion.name} has {expansion.keys} keys"
    return f"the {expansion.name} keeps this key for itself" if position in expansion.reserved else None


def _key(its: Mapping[str, str], model: Model) -> HeldKey:
    kind = its["type"]
    line = int(its["line"]) if its.get("line", "").isdigit() else 1
    if kind == BLF and model.name in BLF_LINES_FROM_0 and "line" in its:
        line += 1
    return HeldKey(NAMES.get(kind, f"type {kind}"), its.get("label", ""), its.get("value", ""), line)


def _name(slot: Slot) -> str:
    module, position = slot
    return f"expansion_module.{module}.key.{position}" if module else f"linekey.{position}"
