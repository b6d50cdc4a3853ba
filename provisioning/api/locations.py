"""Locations: the physical sites of the account."""

from collections.abc import Iterable
from datetime import datetime

from provisioning import emergency, locations
from provisioning.api.operation import ADMIN, READER, Answer, Call, Paging, merged, operation, page_of, patch
from provisioning.deliveries import Delivery, State
from provisioning.emergency import EmergencyCall
from provisioning.fields import Address, Input, check
from provisioning.locations import Location, LocationForm


class TestMailAnswer(Answer):
    recipient: str
    state: State
    delivered_at: datetime | None
    seconds: float | None


class TestCallAnswer(Answer):
    """`certain` is false where the call may have come from another location."""

    call_id: str
    reported_at: datetime
    certain: bool
    mails: list[TestMailAnswer]


class LocationAnswer(Answer):
    """`last_test_call` is the last 933 call from there, whom it reached and in how many seconds."""

    volatile = frozenset({"last_test_call"})
    id: str
    name: str
    address: Address | None
    callback_number: str | None
    emergency_recipients: list[str]
    timezone: str | None
    last_test_call: TestCallAnswer | None


LocationPage = page_of(LocationAnswer)


async def _answers(call: Call, found: Iterable[Location]) -> list[LocationAnswer]:
    found = list(found)
    tests = await emergency.last_tests(call.session, call.account_id, [location.id for location in found])
    return [
        LocationAnswer(id=location.id, **dict(location.form), last_test_call=_test(tests.get(location.id)))
        for location in found
    ]


def _test(last: tuple[EmergencyCall, list[Delivery]] | None) -> TestCallAnswer | None:
    if last is None:
        return None
    test, mails = last
    return TestCallAnswer(
        call_id=test.report.call_id,
        reported_at=test.reported_at,
        certain=test.scene.certain,
        mails=[TestMailAnswer.model_validate(mail) for mail in mails],
    )


async def _answer(call: Call, location: Location) -> LocationAnswer:
    return (await _answers(call, [location]))[0]


@operation(
    "GET", "/locations", "location.list", roles=READER, answer=LocationPage, query=Paging, resource="location"
)
async def list_(call: Call, query: Paging) -> Answer:
    """The locations, newest first."""
    found, following = await locations.page(
        call.session, call.account_id, limit=query.limit, cursor=query.cursor
    )
    return LocationPage(data=await _answers(call, found), next_cursor=following)


@operation(
    "POST",
    "/locations",
    "location.create",
    roles=ADMIN,
    answer=LocationAnswer,
    body=LocationForm,
    resource="location",
    status=201,
)
async def create(call: Call, body: LocationForm) -> LocationAnswer:
    """A new location."""
    made = await locations.add(call.session, call.account_id, body)
    return call.created(await _answer(call, made))


@operation(
    "GET", "/locations/{id}", "location.read", roles=READER, answer=LocationAnswer, resource="location/{id}"
)
async def read(call: Call) -> LocationAnswer:
    """One location."""
    return await _answer(call, await locations.get(call.session, call.account_id, call.id))


@operation(
    "PATCH",
    "/locations/{id}",
    "location.update",
    roles=ADMIN,
    answer=LocationAnswer,
    body=patch(LocationForm),
    resource="location/{id}",
)
async def update(call: Call, body: Input) -> LocationAnswer:
    """Change a location."""
    current = await locations.get(call.session, call.account_id, call.id)
    before = await _answer(call, current)
    call.expect(before)
    form = check(LocationForm, merged(current.form, body))
    changed = await locations.update(call.session, call.account_id, call.id, form)
    after = await _answer(call, changed)
    call.changed(before, after)
    return after


@operation("DELETE", "/locations/{id}", "location.delete", roles=ADMIN, resource="location/{id}")
async def delete(call: Call) -> None:
    """Remove a location; 409 while a device is there."""
    call.deletes(await read(call))
    await locations.delete(call.session, call.account_id, call.id)
