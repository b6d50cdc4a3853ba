"""docs/threat-model.md, the defences that can be taken away, and the tests belong together."""

import ast
import re
from functools import cache
from pathlib import Path

from tests.defences import ROOT, every

TEXT = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| ([A-Z]-\d+) \|.*\| (.*?) \|$", TEXT, re.M))


@cache
def names(file: Path) -> frozenset[str]:
    """The tests of a file, those of classes as `TestClass::test_name`, and the classes."""
    found = set[str]()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            inside = [n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {node.name, *(f"{node.name}::{name}" for name in inside)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return frozenset(found)


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    return (ROOT / file).is_file() and (not name or name in names(ROOT / file))


def test_each_row_names_tests_that_there_are() -> None:
    assert len(ROWS) > 50
    named = {row: re.findall(r"`([^`]+)`", cell) for row, cell in ROWS.items()}
    assert [row for row, tests in named.items() if not tests] == []
    assert [test for tests in named.values() for test in tests if not is_there(test)] == []


def test_each_row_has_a_defence_that_can_be_taken_away_and_no_defence_is_without_a_row() -> None:
    assert {defence.threat for defence in every()} == set(ROWS)


def test_each_defence_stands_where_it_is_said_to_stand() -> None:
    wrong = [
        (defence.threat, defence.file)
        for defence in every()
        if (ROOT / defence.file).read_text("utf-8").count(defence.find) != 1
        or defence.replace == defence.find
        or not all(map(is_there, defence.tests))
    ]
    assert wrong == []
