"""Resyncs: phones are asked by SIP to look for new settings, and what each of them answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

import tokens
from provisioning import device_search, devices, resync_targets, resyncs, sightings
from provisioning.api.operation import READER, TECHNICIAN, Answer, Call, operation
from provisioning.device_search import Filters, Status
from provisioning.errors import Conflict, FieldError, Invalid
from provisioning.fields import Input, one_line
from provisioning.resyncs import PhoneRow, Row, State, Via

_MOST = 10_000  # devices that can be named one by one
_SLICE = 200  # devices


def _which(value: Any) -> str | list[str]:
    ids = value if isinstance(value, list) else None
    if ids is not None and len(ids) <= _MOST and all(isinstance(each, str) for each in ids):
        return list(dict.fromkeys(ids))
    if value in ("all", "not_current"):
        return str(value)
    raise ValueError(f"must be all, not_current or a list of up to {_MOST} ids of devices")


Which = Annotated[
    str | list[str],
    PlainValidator(_which),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["all", "not_current"]},
                {"type": "array", "items": {"type": "string"}, "maxItems": _MOST},
            ]
        }
    ),
]


class ResyncBody(Input):
    """`via` null is through the SIP server where the phone has one, else at its last address."""

    reboot: bool = False
    via: Via | None = None


class ResyncManyBody(ResyncBody):
    """Which of the devices that meet the filters, as the list of devices has them: `not_current` are those
    whose `config_current` is not true. They are asked evenly over the time."""

    which: Which = "all"
    over_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    q: Annotated[str, Field(max_length=100), AfterValidator(one_line)] = ""
    vendor: Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,40}$")] = ""
    location_id: Annotated[str, Field(pattern=r"^loc_[0-9a-z]{26}$")] | None = None
    status: Status | None = None


class ResyncPhoneAnswer(Answer):
    """`state` is `answered` with a 2xx, `refused` with any other `status`, `not_sent` where nothing could be
    sent; `answer` says it in words."""

    device_id: str
    name: str
    mac: str
    state: State
    answer: str
    status: int | None
    due_at: datetime | None
    sent_at: datetime | None
    ended_at: datetime | None


class ResyncCounts(Answer):
    waiting: int
    sent: int
    answered: int
    refused: int
    no_answer: int
    not_sent: int
    stopped: int


class ResyncAnswer(Answer):
    """A run. `ended` is whether no phone is left to be asked."""

    id: str
    created_at: datetime
    actor: str
    reboot: bool
    via: Via | None
    over_seconds: int
    stopped_at: datetime | None
    ended: bool
    total: int
    counts: ResyncCounts


class ResyncPage(ResyncAnswer):
    """With its phones, in the order in which they are asked."""

    data: list[ResyncPhoneAnswer]
    next_cursor: str | None


class ResyncQuery(Input):
    model_config = ConfigDict(strict=False)
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, pattern=r"^[0-9]{1,9}$")
    state: State | None = None


@operation(
    "POST",
    "/devices/{id}/resync",
    "device.resync",
    roles=TECHNICIAN,
    answer=ResyncAnswer,
    body=ResyncBody,
    resource="device/{id}",
    status=202,
)
async def start(call: Call, body: ResyncBody) -> ResyncAnswer:
    """Ask the phone by SIP NOTIFY to look for new settings; `GET /resyncs/{id}` tells its answer."""
    await resync_targets.aim(
        call.session,
        call.rendering,
        call.reach,
        call.account_id,
        call.id,
        reboot=body.reboot,
        via=body.via,
    )
    return await _started(call, [call.id], body, over_seconds=0, many=False)


@operation(
    "POST",
    "/devices/resync",
    "device.resync_many",
    roles=TECHNICIAN,
    answer=ResyncAnswer,
    body=ResyncManyBody,
    resource="device",
    status=202,
)
async def start_many(call: Call, body: ResyncManyBody) -> ResyncAnswer:
    """Ask many phones to look for new settings, spread over time; it goes on whoever looks."""
    if call.reach.mode == "off":
        raise Conflict("resync is turned off on this server (PROVISIONING_RESYNC)")
    ids = await _chosen(call, body)
    if not ids:
        raise Conflict("no phone is meant by this")
    return await _started(call, ids, body, over_seconds=body.over_seconds, many=True)


@operation(
    "GET",
    "/resyncs/{id}",
    "resync.read",
    roles=READER,
    answer=ResyncPage,
    query=ResyncQuery,
    resource="resync/{id}",
)
async def read(call: Call, query: ResyncQuery) -> ResyncPage:
    """A run, how far it has come, and what each phone answered."""
    row = await resyncs.get(call.session, call.account_id, call.id)
    after = int(query.cursor) if query.cursor else -1
    found = await resyncs.phones(call.session, row.id, state=query.state, limit=query.limit + 1, after=after)
    shown = found[: query.limit]
    return ResyncPage(
        **dict(await _answer(call, row)),
        data=await _phones(call, shown),
        next_cursor=str(shown[-1].position) if len(found) > len(shown) else None,
    )


@operation("DELETE", "/resyncs/{id}", "resync.stop", roles=TECHNICIAN, resource="resync/{id}")
async def stop(call: Call) -> None:
    """Ask no further phone; what was answered stays to be read for two weeks."""
    row = await resyncs.get(call.session, call.account_id, call.id)
    before = await _answer(call, row)
    call.expect(before)
    await resyncs.stop(call.session, row)
    call.detail["not_asked"] = before.counts.waiting


def words(phone: PhoneRow) -> str:
    """What became of asking the phone, for people."""
    said = " ".join(str(part) for part in (phone.status, phone.reason) if part)
    return {
        "waiting": "waiting for its turn",
        "sent": "asked, no answer yet",
        "answered": f"answered {said}",
        "refused": f"refused: {said}",
        "no_answer": f"no answer: {said}" if said else "no answer",
        "not_sent": f"not asked: {said}",
        "stopped": "not asked: the run was stopped",
    }[phone.state]


async def _chosen(call: Call, body: ResyncManyBody) -> Sequence[str]:
    """The ids of those that are meant, oldest first."""
    generation = await tokens.generation(call.session, call.account_id)
    filters = Filters(body.q, body.vendor, body.location_id or "", body.status)
    conditions = device_search.conditions(call.account_id, filters, generation)
    found = await devices.ids(call.session, call.account_id, *conditions)
    if body.which == "not_current":
        return await _outdated(call, found)
    if isinstance(body.which, str):
        return found
    known = set(await devices.ids(call.session, call.account_id))
    if faults := [
        FieldError(f"which[{index}]", "there is no such device")
        for index, each in enumerate(body.which)
        if each not in known
    ]:
        raise Invalid(faults)
    return [each for each in found if each in set(body.which)]


async def _outdated(call: Call, ids: Sequence[str]) -> list[str]:
    """Those that do not hold the newest files, or of which it is not known."""
    outdated: list[str] = []
    for start in range(0, len(ids), _SLICE):
        some = ids[start : start + _SLICE]
        found = await devices.of(call.session, call.account_id, some)
        seen = await sightings.of(call.session, call.account_id, [device.mac for device in found])
        # Nothing of the account was written in this transaction, so that what is seen here may be remembered.
        current = await call.holdings.current(
            call.session, call.rendering, call.account_id, found, seen, remember=True
        )
        outdated += [each for each in some if not current[each]]
    return outdated


async def _started(
    call: Call, ids: Sequence[str], body: ResyncBody, *, over_seconds: int, many: bool
) -> ResyncAnswer:
    row = await resyncs.add(
        call.session,
        call.account_id,
        ids,
        actor=call.caller.actor,
        reboot=body.reboot,
        via=body.via,
        over_seconds=over_seconds,
        many=many,
    )
    call.asks = True
    call.detail |= {"resync": row.id, "reboot": row.reboot, "via": row.via}
    call.detail |= {"devices": len(ids), "over_seconds": over_seconds} if many else {}
    return await _answer(call, row)


async def _answer(call: Call, row: Row) -> ResyncAnswer:
    counts = await resyncs.counts(call.session, row.id)
    return ResyncAnswer(
        **{name: getattr(row, name) for name in ("id", "created_at", "actor", "reboot", "via")},
        over_seconds=row.over_seconds,
        stopped_at=row.stopped_at,
        ended=not (counts["waiting"] or counts["sent"]),
        total=sum(counts.values()),
        counts=ResyncCounts(**counts),
    )


async def _phones(call: Call, found: Sequence[PhoneRow]) -> list[ResyncPhoneAnswer]:
    names = await devices.names(call.session, call.account_id, [phone.device_id for phone in found])
    return [
        ResyncPhoneAnswer(
            device_id=phone.device_id,
            name=names[phone.device_id][0],
            mac=names[phone.device_id][1],
            state=phone.state,
            answer=words(phone),
            status=phone.status,
            due_at=phone.due_at if phone.state == "waiting" else None,
            sent_at=phone.sent_at,
            ended_at=phone.ended_at,
        )
        for phone in found
    ]
