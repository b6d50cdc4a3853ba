"""The clock that phones are told, played through as a phone does it and compared with every zone there is."""

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.metadata import version
from zoneinfo import ZoneInfo

import pytest

from provisioning.fields import zones
from provisioning.phones.clock import Change, Clock, clock

TODAY = date(2026, 5, 1)
YEARS = range(2026, 2031)
ONE_HOUR = frozenset({3600})
COUNTED = "2026.6"

SUNDAY = 7
LAST = 5
IRREGULAR = {
    "Africa/Cairo", "Egypt",  # ends on the night after the last Thursday, 1 November in 2030
    "Africa/Casablanca", "Africa/El_Aaiun",  # Ramadan
    "America/Godthab", "America/Nuuk", "America/Scoresbysund",  # the evening before the last Sunday
    "America/Havana", "Cuba",  # one long daylight time from 2026 to 2027
    "America/Edmonton", "America/Inuvik", "America/Yellowknife", "Canada/Mountain",  # one last change
    "America/Rainy_River", "America/Winnipeg", "Canada/Central",  # one last change
    "America/Vancouver", "Canada/Pacific",  # one last change
    "America/Santiago", "Chile/Continental",  # the night after the first Saturday
    "Asia/Gaza", "Asia/Hebron",  # the Saturday before the last Sunday
    "Asia/Jerusalem", "Asia/Tel_Aviv", "Israel",  # the Friday before the last Sunday
    "NZ-CHAT", "Pacific/Chatham",  # a quarter to three
}  # fmt: skip
NOT_AN_HOUR = {"Antarctica/Troll", "Australia/LHI", "Australia/Lord_Howe"}


def nth(year: int, change: Change) -> datetime:
    """When the local clock of that year shows the change."""
    days = [
        datetime(year, change.month, day, change.hour)
        for day in range(1, calendar.monthrange(year, change.month)[1] + 1)
        if date(year, change.month, day).isoweekday() == change.weekday
    ]
    return days[-1] if change.week == LAST else days[change.week - 1]


def played(told: Clock, at: datetime) -> int:
    """The offset at `at` (UTC, without zone) of a phone that only knows `told`."""
    if told.start is None or told.end is None:
        return told.base
    year = (at + timedelta(seconds=told.base)).year
    start = nth(year, told.start) - timedelta(seconds=told.base)
    end = nth(year, told.end) - timedelta(seconds=told.base + told.saving)
    summer = start <= at < end if start < end else not end <= at < start
    return told.base + (told.saving if summer else 0)


def real(zone: str, at: datetime) -> int:
    offset = at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """Every change of 2026 to 2030, found by halving every three days at whose ends the offset differs."""
    found = []
    at = datetime(YEARS.start, 1, 1)
    while at.year < YEARS.stop:
        low, high = at, at + timedelta(days=3)
        if real(zone, low) != real(zone, high):
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if real(zone, middle) == real(zone, low) else (low, middle)
            found.append(high)
        at += timedelta(days=3)
    return tuple(found)


def moments(zone: str) -> Iterator[datetime]:
    for at in changes(zone):
        yield at - timedelta(seconds=1)
        yield at
    for year in YEARS:
        for month in range(1, 13):
            yield datetime(year, month, 1, 12)
            yield datetime(year, month, 15, 12)


def right(told: Clock) -> bool:
    return all(played(told, at) == real(told.zone, at) for at in moments(told.zone))


def with_daylight_time() -> set[str]:
    return {zone for zone in zones() if changes(zone)}


@pytest.mark.parametrize(
    ("zone", "base", "saving", "start", "end"),
    [
        ("America/New_York", -18000, 3600, Change(3, 2, SUNDAY, 2), Change(11, 1, SUNDAY, 2)),
        ("Australia/Sydney", 36000, 3600, Change(10, 1, SUNDAY, 2), Change(4, 1, SUNDAY, 3)),
        ("Asia/Kolkata", 19800, 0, None, None),
        ("Australia/Lord_Howe", 37800, 1800, Change(10, 1, SUNDAY, 2), Change(4, 1, SUNDAY, 2)),
        ("America/Phoenix", -25200, 0, None, None),
        ("Europe/Paris", 3600, 3600, Change(3, LAST, SUNDAY, 2), Change(10, LAST, SUNDAY, 3)),
        ("Europe/Dublin", 0, 3600, Change(3, LAST, SUNDAY, 1), Change(10, LAST, SUNDAY, 2)),
        ("Europe/Bucharest", 7200, 3600, Change(3, LAST, SUNDAY, 3), Change(10, LAST, SUNDAY, 4)),
        ("Pacific/Easter", -21600, 3600, Change(9, 1, 6, 22), Change(4, 1, 6, 22)),
    ],
)
def test_the_zones_of_the_vendors_tables_come_out_as_written_there(
    zone: str, base: int, saving: int, start: Change | None, end: Change | None
) -> None:
    assert clock(zone, TODAY) == Clock(zone, base, saving, start, end)


def test_half_an_hour_of_daylight_time_is_told_only_to_phones_that_know_it() -> None:
    summer = clock("Australia/Lord_Howe", date(2026, 1, 10), savings=ONE_HOUR)
    winter = clock("Australia/Lord_Howe", date(2026, 7, 10), savings=ONE_HOUR)
    assert (summer.base, summer.saving, summer.start) == (39600, 0, None)
    assert (winter.base, winter.saving, winter.start) == (37800, 0, None)
    assert summer.warning and "Australia/Lord_Howe" in summer.warning and "2026-04-04" in summer.warning


def test_casablanca_follows_ramadan_by_rendering_again() -> None:
    def base(day: date) -> int:
        return clock("Africa/Casablanca", day).base

    assert [base(date(2026, 2, 14)), base(date(2026, 2, 15))] == [3600, 0]
    assert [base(date(2026, 3, 21)), base(date(2026, 3, 22))] == [0, 3600]


def test_the_warning_says_that_the_clock_is_right_only_until_the_next_change() -> None:
    warning = clock("Asia/Jerusalem", TODAY).warning or ""
    assert "Asia/Jerusalem" in warning
    assert "right only until the next change" in warning
    assert "fetch its files again" in warning


def test_a_zone_after_its_very_last_change_needs_no_warning() -> None:
    zone = "America/Caracas"
    assert clock(zone, date(2016, 4, 1)).warning
    assert clock(zone, date(2016, 6, 1)) == Clock(zone, -14400)


def test_an_offset_with_seconds_is_cut_to_minutes_and_warned_of() -> None:
    told = clock("Africa/Monrovia", date(1960, 1, 1))
    assert told.base == -44 * 60
    assert told.warning and "30 seconds" in told.warning


def test_every_zone_that_a_yearly_rule_fits_is_right_to_the_second() -> None:
    fitting = {zone for zone in zones() if clock(zone, TODAY).warning is None}
    assert {zone for zone in fitting if not right(clock(zone, TODAY))} - IRREGULAR == set()
    assert all(clock(zone, TODAY).saving for zone in fitting & with_daylight_time() - IRREGULAR)


@pytest.mark.skipif(version("tzdata") != COUNTED, reason=f"counted with tzdata {COUNTED}")
def test_the_zones_that_cannot_be_told_are_exactly_the_known_ones() -> None:
    daylight = with_daylight_time()
    any_saving = {zone for zone in daylight if clock(zone, TODAY).saving}
    one_hour = {zone for zone in daylight if clock(zone, TODAY, savings=ONE_HOUR).saving}
    assert len(zones()) == 597
    assert len(daylight) == 201
    assert len(any_saving) == 174
    assert len(one_hour) == 171
    assert daylight - any_saving == IRREGULAR
    assert any_saving - one_hour == NOT_AN_HOUR
    assert sum(right(clock(zone, TODAY)) for zone in any_saving) == 174
    assert sum(right(clock(zone, TODAY, savings=ONE_HOUR)) for zone in one_hour) == 171


def test_a_zone_without_a_rule_has_the_right_offset_on_every_day_it_is_rendered() -> None:
    for zone in sorted((IRREGULAR | NOT_AN_HOUR) & zones()):
        for number in range(0, 5 * 365, 3):
            day = date(2026, 1, 1) + timedelta(days=number)
            midnight = datetime(day.year, day.month, day.day) + timedelta(days=1)
            told = clock(zone, day, savings=ONE_HOUR)
            assert told.saving or told.base == real(zone, midnight), (zone, day)


def test_the_day_of_rendering_changes_nothing_for_a_regular_zone() -> None:
    days = [date(year, month, 15) for year in range(2026, 2030) for month in (1, 7)]
    for zone in zones() - IRREGULAR:
        assert len({clock(zone, day) for day in days}) == 1, zone
