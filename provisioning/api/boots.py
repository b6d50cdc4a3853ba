"""Boots of a device: what its requests came to, one sentence for each boot, and a test boot."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

import tokens
from provisioning import accounts, boots, devices, gathering, sightings
from provisioning import test_boot as test_boots
from provisioning.api.devices import BootAnswer
from provisioning.api.operation import READER, TECHNICIAN, Answer, Call, Paging, operation
from provisioning.db import now
from provisioning.errors import Conflict
from provisioning.findings import Outcome
from provisioning.phones.options import resolve
from provisioning.sightings import Sighting


class TimelineBoot(Answer):
    """`sentence` is what happened, `advice` what to do, empty where there is nothing. `requests` are in the
    order in which they came."""

    began_at: datetime
    ended_at: datetime
    came_up: bool
    outcome: Outcome
    sentence: str
    advice: str
    firmware: str | None
    user_agent: str
    ip: str
    scheme: str | None
    generation: int | None
    requests: list[BootAnswer]


class SilenceAnswer(Answer):
    sentence: str
    advice: str


class TimelinePage(Answer):
    """`silence` is there where the boot log holds nothing of the phone: what that means."""

    data: list[TimelineBoot]
    next_cursor: str | None
    silence: SilenceAnswer | None


class TimelineQuery(Paging):
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None


@operation(
    "GET",
    "/devices/{id}/timeline",
    "device.timeline",
    roles=READER,
    answer=TimelinePage,
    query=TimelineQuery,
    resource="device/{id}",
)
async def timeline(call: Call, query: TimelineQuery) -> TimelinePage:
    """The device's requests as boots, newest first, each with what happened and what to do."""
    device = await devices.get(call.session, call.account_id, call.id)
    seen = await _sighting(call, device.mac)
    found, following = await boots.page(
        call.session,
        call.rendering.vendors,
        call.rendering.base_url,
        device,
        limit=query.limit,
        cursor=query.cursor,
        seen_from=seen.fetched_ip,
    )
    silence = None
    if not found and query.cursor is None:
        was_seen = seen.fetched_at is not None or seen.refused_at is not None
        sentence, advice = boots.silence(device, was_seen=was_seen)
        silence = SilenceAnswer(sentence=sentence, advice=advice)
    return TimelinePage(data=[_boot(each) for each in found], next_cursor=following, silence=silence)


def _boot(boot: boots.Boot) -> TimelineBoot:
    first, last = boot.requests[0], boot.requests[-1]
    return TimelineBoot(
        began_at=first.time,
        ended_at=last.time,
        came_up=boot.came_up,
        outcome=boot.outcome,
        sentence=boot.sentence,
        advice=boot.advice,
        firmware=boot.firmware,
        user_agent=last.user_agent,
        ip=last.ip,
        scheme=last.scheme,
        generation=last.generation,
        requests=[BootAnswer.model_validate(row) for row in boot.requests],
    )


async def _sighting(call: Call, mac: str) -> Sighting:
    return (await sightings.of(call.session, call.account_id, [mac])).get(mac, Sighting())


class StepAnswer(Answer):
    """`status` 0 is no answer. `effect` is what the phone made of it, `reason` why the server refused."""

    method: str
    file: str
    status: int
    bytes: int
    milliseconds: float
    reason: str
    effect: str


class HeldLineAnswer(Answer):
    """`registers` is whether the phone knows all that it needs to."""

    index: int
    extension: str
    name: str
    server: str | None
    transport: str
    registers: bool


class HeldKeyAnswer(Answer):
    """`type` is ours where it can be told, else the vendor's own word."""

    module: int
    position: int
    type: str
    label: str
    value: str


class ClockAnswer(Answer):
    """Offsets are seconds ahead of UTC; `next_change_at` is null where none comes within a year."""

    utc_offset: int
    next_change_at: datetime | None
    next_utc_offset: int | None


class TestBootAnswer(Answer):
    """`server` is where it was asked, past any proxy. `provisioning_url` is masked; `lines`, `keys`
    and `clock` are what the phone would hold."""

    came_up: bool
    server: str
    firmware: str
    milliseconds: float
    steps: list[StepAnswer]
    problems: list[str]
    provisioning_url: str
    lines: list[HeldLineAnswer]
    keys: list[HeldKeyAnswer]
    clock: ClockAnswer | None


@operation(
    "POST",
    "/devices/{id}/test-boot",
    "device.test_boot",
    roles=TECHNICIAN,
    answer=TestBootAnswer,
    resource="device/{id}",
    failures=(409, 429),
    tries=True,
)
async def test_boot(call: Call) -> TestBootAnswer:
    """A virtual phone boots as the device with the present token; nothing of it counts as the phone's own."""
    device = await devices.get(call.session, call.account_id, call.id)
    current = await tokens.current(call.session, call.vault, call.account_id)
    if current is None:
        raise Conflict("there is no provisioning URL yet: generate the token first")
    vendor = call.rendering.vendors[device.vendor]
    if device.model not in vendor.models:
        raise Conflict(f"{device.model} is not among the models of {vendor.title}")
    if call.origin is None:
        raise Conflict("the server cannot tell where it is reached")
    staged = await tokens.staged(call.session, call.vault, call.account_id)
    account = await accounts.get(call.session, call.account_id)
    seen = await _sighting(call, device.mac)
    url, staged_url = gathering.addresses(
        call.rendering, call.vault, account, device, current.text, staged.text if staged else None
    )
    # A boot takes its time; no connection of the database waits for it.
    await call.session.close()
    done = await test_boots.run(
        call.vault,
        vendor,
        device,
        resolve(call.rendering.platform, account.options, device.options),
        token=current.text,
        url=url,
        staged_url=staged_url,
        origin=call.origin,
        firmware=seen.firmware,
        at=now(),
    )
    call.detail |= {"came_up": done.came_up, "problems": len(done.problems)}
    return _test_boot(done, call.origin)


def _test_boot(done: test_boots.TestBoot, origin: str) -> TestBootAnswer:
    return TestBootAnswer(
        came_up=done.came_up,
        server=origin,
        firmware=done.firmware,
        milliseconds=round(done.seconds * 1000, 1),
        steps=[StepAnswer.model_validate(step) for step in done.steps],
        problems=list(done.problems),
        provisioning_url=done.url,
        lines=[
            HeldLineAnswer(
                index=line.index,
                extension=line.user,
                name=line.display_name or line.label,
                server="{}:{}".format(*line.servers[0]) if line.servers else None,
                transport=line.transport,
                registers=line.registers,
            )
            for line in done.lines
        ],
        keys=[
            HeldKeyAnswer(module=module, position=position, type=key.type, label=key.label, value=key.value)
            for (module, position), key in done.keys
        ],
        clock=ClockAnswer.model_validate(done.clock) if done.clock else None,
    )
