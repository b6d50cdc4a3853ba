"""A time zone as phones are told it: a base offset and the two changes of its daylight time."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Change:
    """When the clock is moved each year: the `week`th (1 to 4, 5 = last) `weekday` (1 = Monday to
    7 = Sunday) of `month`, at `hour` of the local clock just before the change."""

    month: int
    week: int
    weekday: int
    hour: int


@dataclass(frozen=True, slots=True)
class Clock:
    """`base` and `saving` are seconds; `saving` is 0 and `start`, `end` None without daylight time.

    `warning` says why the zone's own changes cannot be told to the phone; `base` is then the offset
    in force on the day of rendering.
    """

    zone: str
    base: int
    saving: int = 0
    start: Change | None = None
    end: Change | None = None
    warning: str | None = None


def clock(zone: str, today: date, *, savings: frozenset[int] | None = None) -> Clock:
    """The clock of `zone` for the five years from `today`'s.

    `savings` are the amounts of daylight time in seconds that the vendor can express, None = any.
    """
    raise NotImplementedError
