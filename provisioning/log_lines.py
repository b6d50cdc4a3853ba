"""Log lines on standard error: each once a minute, and never so that the server waits for a reader."""

import logging
import os
import select
import sys
import time
from typing import Final

_EVERY: Final = 60.0  # seconds in which a line is not told again
_MOST: Final = 1000  # different lines that are remembered


class Once(logging.Filter):
    """Lets a line through that was not told within the last minute, with how often it was held back.

    A line is its text with its values: of a database that is away each request says the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        line = f"{record.name}: {record.getMessage()}"
        at, held = self._told.get(line, (float("-inf"), 0))
        if time.monotonic() < at + _EVERY:
            self._told[line] = at, held + 1
            return False
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[line] = time.monotonic(), 0
        if held:
            record.msg, record.args = f"{record.getMessage()} ({held} times more before)", ()
        return True


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def ensure_standard_files() -> None:
    """Whoever starts us may have closed 0, 1 or 2: the next file or connection would get that number, and the
    log would be written into it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


class Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Leaves out what standard error does not take: its reader sleeps, the disk is full, it is closed."""

    def __init__(self) -> None:
        super().__init__(sys.stderr or open(os.devnull, "w"))  # noqa: SIM115, PTH123 (for as long as the process)

    def format(self, record: logging.LogRecord) -> str:
        """One line, also of words of somebody else's: a line break in them would begin a line of ours."""
        record.msg, record.args = _on_one_line(record.getMessage()), ()
        return super().format(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if select.select([], [self.stream], [], 0)[1]:
                super().emit(record)
        except (OSError, ValueError):
            pass

    def handleError(self, _record: logging.LogRecord) -> None:
        """What cannot be written cannot be complained of either."""
