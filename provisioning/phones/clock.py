"""A time zone as phones are told it: a base offset and the two changes of its daylight time."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

# A rule is believed when it holds in so many years: any five in a row tell "fourth" from "last".
YEARS = 5


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


@dataclass(frozen=True, slots=True)
class _Move:
    """The instant (UTC) at which a zone's offset goes from `before` to `after` seconds."""

    at: datetime
    before: int
    after: int


def clock(zone: str, today: date, *, savings: frozenset[int] | None = None) -> Clock:
    """The clock of `zone` for the five years from `today`'s.

    `savings` are the amounts of daylight time in seconds that the vendor can express, None = any.
    A zone that no yearly rule fits gets the offset at the end of `today` in UTC: a phone that fetches
    each night, in the hours after a change, hears of the change in that same night, wherever it stands.
    """
    told = _regular(zone, today.year)
    if told is None or (told.saving and savings is not None and told.saving not in savings):
        told = _until_next_change(zone, today)
    return told if told.base % 60 == 0 else _whole_minutes(told)


@lru_cache(maxsize=4096)
def _regular(zone: str, year: int) -> Clock | None:
    """The one rule that holds in all the years from `year`, or None."""
    moves = _window(zone, year)
    if not moves:
        return Clock(zone, _offset(ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)))
    if len({frozenset((move.before, move.after)) for move in moves}) > 1:
        return None
    start = _rule([move for move in moves if move.after > move.before])
    end = _rule([move for move in moves if move.after < move.before])
    if start is None or end is None:
        return None
    base, summer = sorted((moves[0].before, moves[0].after))
    return Clock(zone, base, summer - base, start, end)


def _rule(moves: Sequence[_Move]) -> Change | None:
    """The change that all of `moves`, one in each year, are occurrences of."""
    local = [move.at + timedelta(seconds=move.before) for move in moves]
    if len({at.year for at in local}) != YEARS or len(local) != YEARS:
        return None
    forms = {(at.month, at.isoweekday(), at.time()) for at in local}
    week = _week(local)
    if len(forms) > 1 or week is None or (local[0].minute, local[0].second) != (0, 0):
        return None
    return Change(local[0].month, week, local[0].isoweekday(), local[0].hour)


def _week(days: Sequence[datetime]) -> int | None:
    """1 to 4 when the days are always the nth of their weekday, 5 when they are always the last."""
    weeks = {(day.day + 6) // 7 for day in days}
    if len(weeks) == 1 and weeks != {5}:
        return weeks.pop()
    last = all(day.day + 7 > calendar.monthrange(day.year, day.month)[1] for day in days)
    return 5 if last else None


def _until_next_change(zone: str, today: date) -> Clock:
    at = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1)
    base = _offset(ZoneInfo(zone), at)
    coming = next((move.at for move in _window(zone, today.year) if move.at > at), None)
    if coming is None:
        return Clock(zone, base)
    return Clock(
        zone,
        base,
        warning=f"The phone cannot be told when the clock of {zone} changes: it is right only until the"
        f" next change, about {coming:%Y-%m-%d}, and the phone must fetch its files again then.",
    )


def _whole_minutes(told: Clock) -> Clock:
    """Phones count offsets in minutes: the seconds are cut off, towards UTC."""
    cut = int(told.base / 60) * 60
    warning = f"The clock of {told.zone} is {abs(told.base - cut)} seconds off: phones know whole minutes."
    said = f"{told.warning} {warning}" if told.warning else warning
    return Clock(told.zone, cut, told.saving, told.start, told.end, said)


def _window(zone: str, year: int) -> tuple[_Move, ...]:
    return tuple(move for y in range(year, year + YEARS) for move in _moves(zone, y))


@lru_cache(maxsize=8192)
def _moves(zone: str, year: int) -> tuple[_Move, ...]:
    """All changes of the offset in the UTC year. `utcoffset()` alone: `dst()` is negative for some."""
    info = ZoneInfo(zone)
    stop, step = datetime(year + 1, 1, 1, tzinfo=UTC), timedelta(days=7)
    moves = []
    at = datetime(year, 1, 1, tzinfo=UTC)
    while at < stop:
        then = min(at + step, stop)
        before, after = _offset(info, at), _offset(info, then)
        if before != after:
            moves.append(_Move(_first_second(info, at, then), before, after))
        at = then
    return tuple(moves)


def _first_second(info: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The second after `low` and up to `high` from which `high`'s offset is in force."""
    after = _offset(info, high)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        low, high = (low, middle) if _offset(info, middle) == after else (middle, high)
    return high


def _offset(info: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(info).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())
