"""The keys that a Polycom's parameters and its directory make."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from provisioning.phones.phone import Expansion, Model
from provisioning.virtual_phone.phone import HeldKey, Slot
from provisioning.virtual_phone.polycom_files import Contact
from provisioning.virtual_phone.polycom_lines import numbers, user_of

FREE, LINE, BLF, SPEED_DIAL = "Unassigned", "Line", "BLF", "SpeedDial"
CATEGORIES = frozenset({FREE, LINE, BLF, SPEED_DIAL, "Presence", "EFK"})

_SENT = re.compile(r"(?P<number>[^$]*)\$T(?P<how>invite|refer|dtmf)\$")
_HOW = {"invite": "speed_dial", "refer": "transfer", "dtmf": "dtmf"}


def reassigned(held: Mapping[str, str]) -> bool:
    return held.get("lineKey.reassignment.enabled") == "1"


def count(model: Model, expansion: Expansion | None) -> int:
    """How many keys can be set, those of all modules included."""
    return model.line_keys + (expansion.keys * expansion.modules if expansion else 0)


def assigned(held: Mapping[str, str]) -> dict[int, tuple[str, str]]:
    """Category and index of each key that is told one, in order."""
    return {
        n: (held.get(f"lineKey.{n}.category", FREE), held.get(f"lineKey.{n}.index", ""))
        for n in numbers(held, "lineKey")
    }


def resources(held: Mapping[str, str]) -> list[HeldKey]:
    """What the BLF keys watch, in order; an address of a list on the switch puts them out of force."""
    if held.get("attendant.uri"):
        return []
    prefix = "attendant.resourceList"
    reg = held.get("attendant.reg", "")
    return [
        HeldKey(
            "park" if held.get(f"{prefix}.{i}.type") == "automata" else "blf",
            held.get(f"{prefix}.{i}.label", ""),
            user_of(held.get(f"{prefix}.{i}.address", "")),
            int(reg) if reg.isdigit() else 1,
        )
        for i in numbers(held, prefix)
        if held.get(f"{prefix}.{i}.address")
    ]


def keys(
    held: Mapping[str, str], directory: Sequence[Contact], model: Model, expansion: Expansion | None
) -> dict[Slot, HeldKey]:
    """All keys that are not free; those beyond the last one are nowhere."""
    if reassigned(held):
        shown = dict(_reassigned(held, directory))
    else:
        shown = dict(enumerate(_in_the_usual_order(held, directory), 1))
    most = count(model, expansion)
    return {_slot(n, model, expansion): key for n, key in shown.items() if n <= most}


def _reassigned(held: Mapping[str, str], directory: Iterable[Contact]) -> Iterator[tuple[int, HeldKey]]:
    watched = iter(resources(held))
    favourites = {str(contact.sd): contact for contact in directory if contact.sd}
    for n, (category, index) in assigned(held).items():
        if category == LINE and index.isdigit():
            yield n, _line_key(held, int(index))
        elif category == BLF and (resource := next(watched, None)):
            yield n, resource
        elif category == SPEED_DIAL and index in favourites:
            yield n, _favourite(held, favourites[index])
        elif category not in {FREE, LINE, BLF, SPEED_DIAL}:
            yield n, HeldKey(category, "", index, 1)


def _in_the_usual_order(held: Mapping[str, str], directory: Iterable[Contact]) -> Iterator[HeldKey]:
    """Registrations, then what is watched, then favourites."""
    for n in numbers(held, "reg"):
        if held.get(f"reg.{n}.address"):
            times = held.get(f"reg.{n}.lineKeys", "")
            yield from [_line_key(held, n)] * (int(times) if times.isdigit() else 1)
    yield from resources(held)
    for contact in sorted((c for c in directory if c.sd > 0), key=lambda c: c.sd):
        yield _favourite(held, contact)


def _line_key(held: Mapping[str, str], n: int) -> HeldKey:
    label = held.get(f"reg.{n}.label") or user_of(held.get(f"reg.{n}.address", ""))
    return HeldKey("line", label, "", n)


def _favourite(held: Mapping[str, str], contact: Contact) -> HeldKey:
    """A number, a macro by its name, or an action of the phone: the latter in the vendor's words."""
    if not contact.ct.startswith(("!", "^")):
        mailboxes = {held.get(f"msg.mwi.{n}.callBack") for n in numbers(held, "msg.mwi")}
        kind = "voicemail" if contact.ct in mailboxes else "speed_dial"
        return HeldKey(kind, contact.label, contact.ct, 1)
    action = macro(held, contact.ct[1:]) if contact.ct.startswith("!") else None
    if action and (sent := _SENT.fullmatch(action)):
        return HeldKey(_HOW[sent["how"]], contact.label, sent["number"], 1)
    if action == "$FTransfer$":
        return HeldKey("transfer", contact.label, "", 1)
    return HeldKey(action or contact.ct, contact.label, "", 1)


def macro(held: Mapping[str, str], name: str) -> str | None:
    """The action of the first macro of that name which is switched on."""
    prefix = "efk.efklist"
    for n in numbers(held, prefix):
        if held.get(f"{prefix}.{n}.mname") == name and held.get(f"{prefix}.{n}.status") != "0":
            return held.get(f"{prefix}.{n}.action.string", "")
    return None


def _slot(number: int, model: Model, expansion: Expansion | None) -> Slot:
    if number <= model.line_keys or expansion is None:
        return 0, number
    module, position = divmod(number - model.line_keys - 1, expansion.keys)
    return module + 1, position + 1
