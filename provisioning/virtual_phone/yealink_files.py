"""What a Yealink reads in a boot file and in a configuration file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioning.virtual_phone.http import Problems

FIRST_LINE = "#!version:1.0.0.1"
CLEARING = frozenset({"%NULL%", "%EMPTY%"})
Pair = tuple[str, str]

_INCLUDE = re.compile(
    r'(?:\[(?P<models>[^\]]*)\]\s*)?include:config\s*(?:"(?P<name>[^"]+)"|<(?P<url>[^>]+)>)'
)
_SWITCH = re.compile(r"(overwrite_mode|specific_model\.excluded_mode)\s*=\s*([01])")
_SETTING = re.compile(r"([A-Za-z][\w.-]*)\s*=(.*)")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class BootFile:
    """The files to fetch, in order; `overwrite` resets what they do not set, except `static.*`."""

    includes: tuple[str, ...]
    overwrite: bool


def read_boot(file: str, content: bytes, model: str, problems: Problems) -> BootFile:
    """A boot file as a phone of `model` follows it; an unreadable one includes nothing."""
    switches: dict[str, bool] = {}
    found: list[tuple[bool, str]] = []
    for number, line in _lines(file, content, problems):
        if include := _INCLUDE.fullmatch(line):
            target = include["name"] or include["url"]
            if not target.split("?")[0].endswith(".cfg"):
                problems.add(f"{file}: line {number} includes a file that does not end in .cfg")
            if include["models"] is None or model.upper() in _names(include["models"]):
                found.append((include["models"] is not None, target))
        elif switch := _SWITCH.fullmatch(line):
            switches[switch[1]] = switch[2] == "1"
        else:
            problems.add(f"{file}: line {number} cannot be read")
    if not found:
        problems.add(f"{file}: answered, but includes nothing for this phone, which looks no further")
    tagged_only = switches.get("specific_model.excluded_mode", False) and any(tagged for tagged, _ in found)
    return BootFile(
        tuple(target for tagged, target in found if tagged or not tagged_only),
        switches.get("overwrite_mode", False),
    )


def read_settings(file: str, content: bytes, problems: Problems) -> list[Pair] | None:
    """Names and values in order, or None when the phone takes the file for no configuration."""
    if not _begins_well(file, content, problems):
        return None
    pairs: list[Pair] = []
    for number, line in _lines(file, content, problems):
        if setting := _SETTING.fullmatch(line):
            pairs.append((setting[1], setting[2].strip()))
        else:
            problems.add(f"{file}: line {number} cannot be read")
    _find_repeats(file, pairs, problems)
    return pairs


def slot_of(pair: Pair) -> Pair:
    """What a later setting of the same takes the place of: passwords and names are kept per user."""
    name, value = pair
    return (name, value.partition(":")[0]) if name.endswith("security.user_password") else (name, "")


def _find_repeats(file: str, pairs: Sequence[Pair], problems: Problems) -> None:
    seen: dict[Pair, str] = {}
    for name, value in pairs:
        if seen.setdefault(slot_of((name, value)), value) != value:
            problems.add(f"{file}: {name} is set twice, to different values")
        if ".user_name." in name and any(other.endswith("security.user_password") for other, _ in seen):
            problems.add(f"{file}: {name} comes after user_password, which names its user")


def _begins_well(file: str, content: bytes, problems: Problems) -> bool:
    if content.startswith(b"\xef\xbb\xbf"):
        problems.add(f"{file}: begins with a byte order mark")
    elif content.split(b"\n", 1)[0].rstrip(b"\r") != FIRST_LINE.encode():
        problems.add(f"{file}: the first line is not {FIRST_LINE}")
    else:
        return True
    return False


def _lines(file: str, content: bytes, problems: Problems) -> Iterator[tuple[int, str]]:
    """The lines that say something, numbered from 1."""
    if not _begins_well(file, content, problems):
        return
    try:
        text = content.decode()
    except UnicodeDecodeError:
        problems.add(f"{file}: is not UTF-8")
        text = content.decode(errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if _CONTROL.search(line):
            problems.add(f"{file}: line {number} holds a control character")
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def _names(models: str) -> set[str]:
    return {name.strip().upper() for name in models.split(",")}
