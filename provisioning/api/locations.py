"""Locations: the physical sites of the account."""

from provisioning import locations
from provisioning.api.operation import ADMIN, READER, Answer, Call, Paging, merged, operation, page_of, patch
from provisioning.fields import Address, Input, check
from provisioning.locations import Location, LocationForm


class LocationAnswer(Answer):
    id: str
    name: str
    address: Address | None
    callback_number: str | None
    emergency_recipients: list[str]
    timezone: str | None


LocationPage = page_of(LocationAnswer)


def _answer(location: Location) -> LocationAnswer:
    return LocationAnswer(id=location.id, **dict(location.form))


@operation(
    "GET", "/locations", "location.list", roles=READER, answer=LocationPage, query=Paging, resource="location"
)
async def list_(call: Call, query: Paging) -> Answer:
    """The locations, newest first."""
    found, following = await locations.page(
        call.session, call.account_id, limit=query.limit, cursor=query.cursor
    )
    return LocationPage(data=[_answer(location) for location in found], next_cursor=following)


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
    return call.created(_answer(made))


@operation(
    "GET", "/locations/{id}", "location.read", roles=READER, answer=LocationAnswer, resource="location/{id}"
)
async def read(call: Call) -> LocationAnswer:
    """One location."""
    return _answer(await locations.get(call.session, call.account_id, call.id))


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
    call.expect(_answer(current))
    form = check(LocationForm, merged(current.form, body))
    after = _answer(await locations.update(call.session, call.account_id, call.id, form))
    call.changed(_answer(current), after)
    return after


@operation("DELETE", "/locations/{id}", "location.delete", roles=ADMIN, resource="location/{id}")
async def delete(call: Call) -> None:
    """Remove a location; 409 while a device is there."""
    call.deletes(await read(call))
    await locations.delete(call.session, call.account_id, call.id)
