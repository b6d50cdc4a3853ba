"""Refusals of who is nobody known: a flood of them does not fill the activity log."""

from collections import Counter
from datetime import datetime
from typing import Final

_MOST: Final = 10  # entries a minute of one address and event
_IN_ALL: Final = 60  # entries a minute


class Anonymous:
    """Of one server process: which of them are entered. The others are counted."""

    def __init__(self) -> None:
        self._minute: datetime | None = None
        self._entered: Counter[tuple[str, str]] = Counter()
        self._left_out = 0

    def take(self, event: str, ip: str, time: datetime) -> int | None:
        """None for a refusal that is not entered; of one that is, how many before it were not."""
        minute = time.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._entered.clear()
        if self._entered[event, ip] >= _MOST or self._entered.total() >= _IN_ALL:
            self._left_out += 1
            return None
        self._entered[event, ip] += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
