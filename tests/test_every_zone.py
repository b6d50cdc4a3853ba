"""Every IANA zone, through the vendors' own files: the clock that a booted phone shows is right."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import aiohttp
import pytest
import tzdata
from aiohttp import web
from aiohttp.test_utils import TestServer

from provisioning.fields import zones
from provisioning.phones.options import Options, resolve
from provisioning.phones.phone import Line, Phone
from provisioning.phones.vendor import Vendor
from provisioning.virtual_phone import VirtualPhone, virtual_phone

YEARS = range(2026, 2031)
TODAY = date(2026, 1, 1)
# How many zones have daylight time in those years, and how many of these the vendor's form can say.
DAYLIGHT = 201
EXPRESSIBLE = {"yealink": 174, "polycom": 171}


def offset(zone: str, at: datetime) -> int:
    told = at.astimezone(ZoneInfo(zone)).utcoffset()
    assert told is not None
    return round(told.total_seconds())


@cache
def moments(zone: str) -> tuple[datetime, ...]:
    """The seconds before and after each change, and a noon of each month."""
    return tuple(_moments(zone))


def _moments(zone: str) -> Iterator[datetime]:
    at, end = datetime(YEARS[0], 1, 1, tzinfo=UTC), datetime(YEARS[-1] + 1, 1, 1, tzinfo=UTC)
    while at < end:
        then = at + timedelta(hours=12)
        if offset(zone, at) != offset(zone, then):
            low, high = at, then
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle -= timedelta(microseconds=middle.microsecond)
                low, high = (middle, high) if offset(zone, middle) == offset(zone, at) else (low, middle)
            yield from (low, high)
        if at.day == 1 and at.hour == 12:
            yield at
        at = then


def phone_in(vendor: Vendor, zone: str) -> Phone:
    return vendor.phone(
        mac={"yealink": "805ec0102001", "polycom": "64167f102005"}[vendor.name],
        model=vendor.models[vendor.data["usual_model"]],
        lines=[Line(1, "4201", "Ann", "4201", "a-password")],
        extension_length=4,
        options=resolve(Options(sip_server="sip.example.com")),
        zone=zone,
        today=TODAY,
        admin_password="739204816355",
        url="http://p.example.com/p/x/",
    )


async def booted(vendor: Vendor, phone: Phone) -> VirtualPhone:
    """A phone that has booted from these files, over HTTP."""
    files = {name: vendor.render(file, phone) for name, file, own in vendor.file_names(phone) if own}

    async def answer(request: web.Request) -> web.Response:
        body = files.get(request.match_info["name"])
        return web.Response(status=404) if body is None else web.Response(body=body)

    app = web.Application()
    app.router.add_get("/p/x/{name}", answer)
    async with TestServer(app) as server:
        held = virtual_phone(vendor, phone.model, phone.mac)
        await held.boot(str(server.make_url("/p/x/")), connector=aiohttp.TCPConnector(force_close=True))
    return held


@pytest.mark.parametrize("name", ["yealink", "polycom"])
async def test_a_booted_phones_clock_is_right_in_every_zone_that_its_form_can_say(
    vendors: dict[str, Vendor], name: str
) -> None:
    vendor = vendors[name]
    phones: dict[object, VirtualPhone] = {}
    wrong: dict[str, datetime] = {}
    daylight = expressible = 0
    for zone in sorted(zones()):
        phone = phone_in(vendor, zone)
        # Zones with one clock have the same files: one boot serves them all.
        key = (phone.clock.base, phone.clock.saving, phone.clock.start, phone.clock.end)
        if key not in phones:
            phones[key] = await booted(vendor, phone)
        changes = len({offset(zone, at) for at in moments(zone)}) > 1
        daylight += changes
        if phone.clock.warning:
            continue
        expressible += changes
        for at in moments(zone):
            if phones[key].utc_offset(at) != offset(zone, at):
                wrong[zone] = at
    assert wrong == {}
    if tzdata.IANA_VERSION == "2026f":
        assert (daylight, expressible) == (DAYLIGHT, EXPRESSIBLE[name])


@pytest.mark.parametrize("name", ["yealink", "polycom"])
@pytest.mark.parametrize(
    "zone", ["Asia/Jerusalem", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe"]
)
async def test_in_a_zone_that_no_rule_can_say_the_clock_is_right_today(
    vendors: dict[str, Vendor], name: str, zone: str
) -> None:
    phone = phone_in(vendors[name], zone)
    held = await booted(vendors[name], phone)
    assert held.utc_offset(datetime(2026, 1, 1, 23, 59, tzinfo=UTC)) == offset(
        zone, datetime(2026, 1, 1, 23, 59, tzinfo=UTC)
    )
    if zone != "Australia/Lord_Howe" or name == "polycom":
        assert any(zone in warning for warning in phone.warnings)
