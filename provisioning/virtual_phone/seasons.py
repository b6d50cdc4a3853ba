"""Daylight time as phones play it: two moments of the local clock in each year."""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

LAST = 5

# The naive local time that the clock shows when it is moved in that year.
Turn = Callable[[int], datetime]


def day_of(year: int, month: int, week: int, weekday: int) -> int:
    """The day of the `week`th (5 = last) `weekday` (1 = Monday) of the month."""
    first = 1 + (weekday - date(year, month, 1).isoweekday()) % 7
    if week != LAST:
        return first + 7 * (week - 1)
    length = calendar.monthrange(year, month)[1]
    return first + (length - first) // 7 * 7


def offset(at: datetime, base: int, saving: int, start: Turn, end: Turn) -> int:
    """Seconds east of UTC at `at`; `start` and `end` are told by the clock just before."""
    now = at.astimezone(UTC).replace(tzinfo=None)
    year = (now + timedelta(seconds=base)).year
    begins = start(year) - timedelta(seconds=base)
    ends = end(year) - timedelta(seconds=base + saving)
    summer = begins <= now < ends if begins < ends else not ends <= now < begins
    return base + saving if summer else base
