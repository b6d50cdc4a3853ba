"""Cells of CSV files: a text that a spreadsheet would take for a formula is none there."""

import re
from typing import Final

# What begins a formula, behind whatever guards there are already. Where people write Japanese or Chinese, a
# spreadsheet takes the wide forms for the same.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def guarded(text: str) -> str:
    """The text, with `'` before what a spreadsheet would run."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """What was guarded."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
