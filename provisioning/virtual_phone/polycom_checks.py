"""What a Polycom would choke on or misread in the parameters that it holds."""

from collections import Counter
from collections.abc import Mapping, Sequence

from provisioning.phones.phone import Expansion, Model
from provisioning.virtual_phone import polycom_clock, polycom_keys
from provisioning.virtual_phone.digit_map import unreadable
from provisioning.virtual_phone.http import Problems
from provisioning.virtual_phone.phone import HeldLine
from provisioning.virtual_phone.polycom_files import Contact
from provisioning.virtual_phone.polycom_keys import BLF, CATEGORIES, LINE, SPEED_DIAL
from provisioning.virtual_phone.polycom_lines import TRANSPORTS, numbers

Held = Mapping[str, str]


def inspect(
    held: Held,
    directory: Sequence[Contact],
    model: Model,
    expansion: Expansion | None,
    lines: Sequence[HeldLine],
    problems: Problems,
) -> None:
    polycom_clock.inspect(held, problems)
    _inspect_lines(held, model, lines, problems)
    _inspect_digit_map(held, problems)
    if polycom_keys.reassigned(held):
        _inspect_keys(held, directory, lines, problems)
    elif numbers(held, "lineKey"):
        problems.add("lineKey: without lineKey.reassignment.enabled the keys stay as they are")
    for n in numbers(held, "lineKey"):
        if not 1 <= n <= polycom_keys.count(model, expansion):
            problems.add(f"lineKey.{n}: the {model.name} has {polycom_keys.count(model, expansion)} keys")
    if model.facts.get("pagination") and held.get("up.Pagination.enabled") != "1":
        problems.add("up.Pagination.enabled: not 1, so that only the keys of one page are there")
    _inspect_resources(held, problems)
    _inspect_macros(held, directory, problems)


def _inspect_lines(held: Held, model: Model, lines: Sequence[HeldLine], problems: Problems) -> None:
    for n in numbers(held, "reg"):
        if not 1 <= n <= model.lines:
            problems.add(f"reg.{n}: the {model.name} has {model.lines} lines")
    for line in lines:
        if not line.registers:
            problems.add(f"reg.{line.index}: has an address, but lacks a password or a server")
    for name, value in held.items():
        if name.endswith(".transport") and value not in TRANSPORTS:
            problems.add(f"{name}: no transport's word, so it is ignored")


def _inspect_digit_map(held: Held, problems: Problems) -> None:
    digit_map, timeouts = held.get("dialplan.digitmap"), held.get("dialplan.digitmap.timeOut")
    if digit_map is None:
        return
    if unreadable(digit_map):
        problems.add("dialplan.digitmap: an alternative cannot be read")
    if timeouts is None or len(timeouts.split("|")) != len(digit_map.split("|")):
        problems.add("dialplan.digitmap.timeOut: not one for each alternative of the digit map")


def _inspect_keys(
    held: Held, directory: Sequence[Contact], lines: Sequence[HeldLine], problems: Problems
) -> None:
    known = {str(line.index) for line in lines}
    favourites = {str(contact.sd) for contact in directory}
    shown: Counter[str] = Counter()
    blf = 0
    for n, (category, index) in polycom_keys.assigned(held).items():
        name = f"lineKey.{n}"
        if category not in CATEGORIES:
            problems.add(f"{name}.category: no category that the phone knows")
        elif category == LINE and index not in known:
            problems.add(f"{name}.index: a line that the phone does not have")
        elif category == BLF and index != "0":
            problems.add(f"{name}.index: not 0, as it must be for BLF")
        elif category == SPEED_DIAL and index not in favourites:
            problems.add(f"{name}.index: no entry of the directory has this favourite number")
        blf += category == BLF
        shown[index] += category == LINE
    for line in lines:
        if held.get(f"reg.{line.index}.lineKeys", "1") != str(shown[str(line.index)] or 1):
            problems.add(f"reg.{line.index}.lineKeys: not the number of this line's keys")
    if blf != len(polycom_keys.resources(held)):
        problems.add("attendant.resourceList: not as many entries as there are BLF keys")


def _inspect_resources(held: Held, problems: Problems) -> None:
    listed = numbers(held, "attendant.resourceList")
    if not listed:
        return
    if listed != list(range(1, len(listed) + 1)):
        problems.add("attendant.resourceList: not numbered through from 1")
    if held.get("attendant.uri"):
        problems.add("attendant.uri: puts attendant.resourceList out of force")
    if not held.get("attendant.reg"):
        problems.add("attendant.reg: left out, so that nothing is watched")
    for i in listed:
        if held.get(f"attendant.resourceList.{i}.type", "normal") not in {"normal", "automata"}:
            problems.add(f"attendant.resourceList.{i}.type: neither normal nor automata")


def _inspect_macros(held: Held, directory: Sequence[Contact], problems: Problems) -> None:
    macros = numbers(held, "efk.efklist")
    names = [held.get(f"efk.efklist.{n}.mname", "") for n in macros]
    used = [contact.ct[1:] for contact in directory if contact.ct.startswith("!")]
    if any(polycom_keys.macro(held, name) is None for name in used):
        problems.add("directory: an entry names a macro that is not there")
    if len(set(names)) < len(names):
        problems.add("efk.efklist: of two macros with one name only the first counts")
    if any(len(held.get(f"efk.efklist.{n}.action.string", "")) > 100 for n in macros):
        problems.add("efk.efklist: a macro of more than 100 characters")
    switched_on = _feature(held, "enhancedFeatureKeys.enabled", "enhanced-feature-keys")
    if macros and not (switched_on and held.get("efk.version") == "2"):
        problems.add(
            "efk.efklist: without feature.enhancedFeatureKeys.enabled and efk.version 2 it is ignored"
        )


def _feature(held: Held, name: str, old_name: str) -> bool:
    """Software 3.x numbers its features, and each says which it is."""
    if held.get(f"feature.{name}") == "1":
        return True
    return any(
        held.get(f"feature.{n}.name") == old_name and held.get(f"feature.{n}.enabled") == "1"
        for n in numbers(held, "feature")
    )
