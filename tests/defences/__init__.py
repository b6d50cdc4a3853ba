"""Defences, taken away one by one: what shows that the tests which docs/threat-model.md names can fail."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Defence:
    """What answers the threat of that id in docs/threat-model.md: where `find` stands in `file`.

    With `replace` in its place the defence is gone, and one at least of `tests`, each such as
    `tests/test_boot.py::test_a_name`, fails.
    """

    threat: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


def every() -> list[Defence]:
    """Those of all files beside this one, in the order of the files."""
    return [
        Defence(**{**row, "tests": tuple(row["tests"])})
        for file in sorted(Path(__file__).parent.glob("*.toml"))
        for row in tomllib.loads(file.read_text("utf-8"))["defence"]
    ]
