"""The clock that a Yealink's settings make."""

import re
from collections.abc import Mapping
from datetime import datetime

from provisioning.virtual_phone.http import Problems
from provisioning.virtual_phone.seasons import Turn, day_of, offset

OFF, RULES = "0", "1"
BY_DATE, BY_WEEK = "0", "1"

_ZONE = re.compile(r"([+-]?)(\d{1,2})(?::([0-5]\d))?")
_WEEK = re.compile(r"(1[0-2]|[1-9])/([1-5])/([1-7])/(1?\d|2[0-3])")
_DATE = re.compile(r"(1[0-2]|[1-9])/(3[01]|[12]\d|[1-9])/(1?\d|2[0-3])")


def utc_offset(held: Mapping[str, str], at: datetime) -> int:
    """Out of the box the phone is in China, eight hours ahead and without daylight time."""
    base = _base(held.get("local_time.time_zone", "+8")) or 0
    start, end = _turn(held, "start_time"), _turn(held, "end_time")
    if held.get("local_time.summer_time", OFF) != RULES or start is None or end is None:
        return base
    return offset(at, base, _saving(held), start, end)


def inspect(held: Mapping[str, str], problems: Problems) -> None:
    if _base(held.get("local_time.time_zone", "")) is None:
        problems.add("local_time.time_zone: no offset such as -5 or +5:30")
    summer = held.get("local_time.summer_time")
    if summer not in {OFF, RULES}:
        problems.add("local_time.summer_time: neither off nor by rules, so the firmware decides")
    if summer != RULES:
        return
    if held.get("local_time.dst_time_type") not in {BY_DATE, BY_WEEK}:
        problems.add("local_time.dst_time_type: neither date nor week")
    for name in ("start_time", "end_time"):
        if _turn(held, name) is None:
            problems.add(f"local_time.{name}: not of the form that dst_time_type asks for")
    if not held.get("local_time.offset_time", "").isdigit() or _saving(held) == 0:
        problems.add("local_time.offset_time: no number of minutes")


def _saving(held: Mapping[str, str]) -> int:
    text = held.get("local_time.offset_time", "")
    return (int(text) if text.isdigit() else 60) * 60


def _base(text: str) -> int | None:
    match = _ZONE.fullmatch(text)
    if match is None or int(match[2]) > 14:
        return None
    seconds = int(match[2]) * 3600 + int(match[3] or 0) * 60
    return -seconds if match[1] == "-" else seconds


def _turn(held: Mapping[str, str], name: str) -> Turn | None:
    text = held.get(f"local_time.{name}", "")
    if held.get("local_time.dst_time_type", BY_DATE) == BY_WEEK:
        week = _WEEK.fullmatch(text)
        return week and _by_week(*map(int, week.groups()))
    date = _DATE.fullmatch(text)
    return date and _by_date(*map(int, date.groups()))


def _by_week(month: int, week: int, weekday: int, hour: int) -> Turn:
    return lambda year: datetime(year, month, day_of(year, month, week, weekday), hour)


def _by_date(month: int, day: int, hour: int) -> Turn:
    return lambda year: datetime(year, month, day, hour)
