"""What a Polycom reads in a master file, a configuration file and a directory."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from provisioning.virtual_phone.http import Problems

LONGEST_NAME, LONGEST_LIST = 255, 2047

_TAG = re.compile(r"""<(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_VALUE = re.compile(r"""("[^"]*"|'[^']*')""")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Contact:
    """An entry of the directory: `sd` is its favourite number, 0 = none."""

    ct: str
    label: str
    sd: int


def read_xml(file: str, content: bytes, problems: Problems) -> ElementTree.Element | None:
    """The file's root element, or None when the phone cannot read it."""
    if content.startswith(b"\xef\xbb\xbf"):
        problems.add(f"{file}: begins with a byte order mark")
    try:
        text = content.decode("utf-8-sig")
        # A phone declares no entities; whoever does wants its parser to work for him.
        if "<!DOCTYPE" in (bare := _COMMENT.sub("", text)) or "<!ENTITY" in bare:
            raise ValueError("declarations")
        root = ElementTree.fromstring(text)  # noqa: S314
    except (ElementTree.ParseError, ValueError):
        problems.add(f"{file}: is not well-formed XML in UTF-8")
        return None
    # A quote of the other kind is no end of a value, and those between tags are none at all.
    values = (value for tag in _TAG.findall(bare) for value in _VALUE.findall(tag))
    if any(char in value for value in values for char in "\n\r\t"):
        problems.add(f"{file}: a raw line break or tab in an attribute, which reads as a space")
    return root


def parameters(file: str, root: ElementTree.Element, problems: Problems) -> dict[str, str]:
    """The dotted attributes of all elements, whatever their names and nesting."""
    found: dict[str, str] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            if "." in name and found.setdefault(name, value) != value:
                problems.add(f"{file}: {name} is set twice, to different values")
    return found


def master_attributes(root: ElementTree.Element, phone_model: str) -> Mapping[str, str]:
    """The attributes of APPLICATION for this model: those with its suffix go before the plain ones."""
    elements = [root, *(child for child in root if child.tag in {root.tag, f"APPLICATION_{phone_model}"})]
    plain = {name: value for element in elements for name, value in element.attrib.items()}
    suffix = f"_{phone_model}"
    return plain | {name.removesuffix(suffix): v for name, v in plain.items() if name.endswith(suffix)}


def folder(master: Mapping[str, str], kind: str) -> str:
    """The folder in which the master puts a kind of the phone's own files, with its slash."""
    name = master.get(f"{kind}_DIRECTORY", "").strip("/")
    return f"{name}/" if name else ""


def taken(found: Mapping[str, str], problems: Problems) -> dict[str, str]:
    """The parameters that the phone stores: those of `device.*` whose `.set` allows it."""
    names = [n for n in found if n.startswith("device.") and n != "device.set" and not n.endswith(".set")]
    if names and found.get("device.set") != "1":
        problems.add("device.set is not 1, so that no device parameter is taken")
        return {}
    for name in names:
        if found.get(f"{name}.set") != "1":
            problems.add(f"{name}: without {name}.set it is not taken")
    return {name: found[name] for name in names if found.get(f"{name}.set") == "1"}


def config_files(file: str, listed: str, problems: Problems) -> tuple[str, ...]:
    """The names of CONFIG_FILES that a phone can ask for, from the left."""
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if len(listed) > LONGEST_LIST or any(len(name) > LONGEST_NAME for name in names):
        problems.add(f"{file}: CONFIG_FILES is longer than the phone reads")
    good = tuple(name for name in names if not re.search(r"[\s%]", name))
    if len(good) < len(names):
        problems.add(f"{file}: CONFIG_FILES holds a space or an escape, which no address may")
    return good


def contacts(file: str, root: ElementTree.Element, problems: Problems) -> list[Contact]:
    """The entries of a directory; of two with one `ct` the phone keeps the first."""
    kept: dict[str, Contact] = {}
    favourites: set[int] = set()
    for number, contact in enumerate(_items(root), 1):
        if not contact.ct:
            problems.add(f"{file}: entry {number} has no ct")
        elif contact.ct in kept:
            problems.add(f"{file}: entry {number} has the ct of another one")
        else:
            kept[contact.ct] = contact
        if contact.sd in favourites or not 0 <= contact.sd <= 9999:
            problems.add(f"{file}: entry {number} has a favourite number that is taken or out of 1 to 9999")
        favourites |= {contact.sd} - {0}
        if len(contact.label.encode()) > 40:
            problems.add(f"{file}: entry {number} has a label of more than 40 bytes")
    return list(kept.values())


def _items(root: ElementTree.Element) -> Iterator[Contact]:
    for item in root.iter("item"):
        said = {child.tag: (child.text or "").strip() for child in item}
        name = " ".join(part for part in (said.get("fn", ""), said.get("ln", "")) if part)
        sd = said.get("sd", "")
        yield Contact(said.get("ct", ""), said.get("lb") or name, int(sd) if sd.isdigit() else -bool(sd))
