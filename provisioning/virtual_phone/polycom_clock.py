"""The clock that a Polycom's parameters make; 1 is its Sunday, and its daylight time is one hour."""

from collections.abc import Mapping
from datetime import datetime

from provisioning.virtual_phone.http import Problems
from provisioning.virtual_phone.seasons import LAST, Turn, day_of, offset

_PREFIX = "tcpIpApp.sntp."
# Out of the box: the rules of the United States, switched on.
_DEFAULTS = {
    "gmtOffset": "0",
    "daylightSavings.enable": "1",
    "daylightSavings.fixedDayEnable": "0",
    "daylightSavings.start.month": "3",
    "daylightSavings.start.date": "8",
    "daylightSavings.start.time": "2",
    "daylightSavings.start.dayOfWeek": "1",
    "daylightSavings.start.dayOfWeek.lastInMonth": "0",
    "daylightSavings.stop.month": "11",
    "daylightSavings.stop.date": "1",
    "daylightSavings.stop.time": "2",
    "daylightSavings.stop.dayOfWeek": "1",
    "daylightSavings.stop.dayOfWeek.lastInMonth": "0",
}
_RANGES = {"month": range(1, 13), "date": range(1, 32), "time": range(24), "dayOfWeek": range(1, 8)}


def utc_offset(held: Mapping[str, str], at: datetime) -> int:
    base = _number(held, "gmtOffset")
    if _number(held, "daylightSavings.enable") != 1:
        return base
    return offset(at, base, 3600, _turn(held, "start"), _turn(held, "stop"))


def inspect(held: Mapping[str, str], problems: Problems) -> None:
    for name in ("gmtOffset", "daylightSavings.enable"):
        if _PREFIX + name not in held:
            problems.add(f"{_PREFIX}{name}: left out, so the clock is that of the vendor's default")
    if not -43200 <= _number(held, "gmtOffset") <= 50400:
        problems.add(f"{_PREFIX}gmtOffset: out of -43200 to 50400")
    if _number(held, "daylightSavings.enable") == 1:
        for when in ("start", "stop"):
            _inspect_turn(held, f"daylightSavings.{when}", problems)


def _inspect_turn(held: Mapping[str, str], name: str, problems: Problems) -> None:
    for part, allowed in _RANGES.items():
        last = part == "date" and _last(held, name)
        if not last and _number(held, f"{name}.{part}") not in allowed:
            problems.add(f"{_PREFIX}{name}.{part}: out of {allowed.start} to {allowed.stop - 1}")
    by_weekday = _number(held, "daylightSavings.fixedDayEnable") != 1
    if by_weekday and not _last(held, name) and _number(held, f"{name}.date") not in {1, 8, 15, 22}:
        problems.add(f"{_PREFIX}{name}.date: 1, 8, 15 or 22 say which such weekday of the month it is")


def _turn(held: Mapping[str, str], when: str) -> Turn:
    name = f"daylightSavings.{when}"
    month, date, hour = (_clamped(held, name, part) for part in ("month", "date", "time"))
    if _number(held, "daylightSavings.fixedDayEnable") == 1:
        return lambda year: datetime(year, month, date, hour)
    week = LAST if _last(held, name) else min((date - 1) // 7 + 1, 4)
    weekday = (_clamped(held, name, "dayOfWeek") - 2) % 7 + 1
    return lambda year: datetime(year, month, day_of(year, month, week, weekday), hour)


def _last(held: Mapping[str, str], name: str) -> bool:
    return _number(held, f"{name}.dayOfWeek.lastInMonth") == 1


def _clamped(held: Mapping[str, str], name: str, part: str) -> int:
    allowed = _RANGES[part]
    return max(allowed.start, min(_number(held, f"{name}.{part}"), allowed.stop - 1))


def _number(held: Mapping[str, str], name: str) -> int:
    try:
        return int(held.get(_PREFIX + name, _DEFAULTS[name]))
    except ValueError:
        return int(_DEFAULTS[name])
