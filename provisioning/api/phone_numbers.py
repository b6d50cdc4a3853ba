"""Phone numbers: what the account can be reached at, and what it can show when it calls out."""

from provisioning import numbers
from provisioning.api.operation import ADMIN, READER, Answer, Call, Paging, merged, operation, page_of, patch
from provisioning.fields import Input, check
from provisioning.numbers import NumberForm, PhoneNumber


class NumberAnswer(Answer):
    """`number` is in E.164."""

    id: str
    number: str
    label: str
    fax_enabled: bool
    fax_recipients: list[str]


NumberPage = page_of(NumberAnswer)


def _answer(number: PhoneNumber) -> NumberAnswer:
    return NumberAnswer(id=number.id, **dict(number.form))


@operation(
    "GET",
    "/phone-numbers",
    "phone_number.list",
    roles=READER,
    answer=NumberPage,
    query=Paging,
    resource="phone_number",
)
async def list_(call: Call, query: Paging) -> Answer:
    """The phone numbers, newest first."""
    found, following = await numbers.page(
        call.session, call.account_id, limit=query.limit, cursor=query.cursor
    )
    return NumberPage(data=[_answer(number) for number in found], next_cursor=following)


@operation(
    "POST",
    "/phone-numbers",
    "phone_number.create",
    roles=ADMIN,
    answer=NumberAnswer,
    body=NumberForm,
    resource="phone_number",
    status=201,
)
async def create(call: Call, body: NumberForm) -> NumberAnswer:
    """A new phone number, with + and country code; the usual separators are taken out."""
    made = await numbers.add(call.session, call.account_id, body)
    return call.created(_answer(made))


@operation(
    "GET",
    "/phone-numbers/{id}",
    "phone_number.read",
    roles=READER,
    answer=NumberAnswer,
    resource="phone_number/{id}",
)
async def read(call: Call) -> NumberAnswer:
    """One phone number."""
    return _answer(await numbers.get(call.session, call.account_id, call.id))


@operation(
    "PATCH",
    "/phone-numbers/{id}",
    "phone_number.update",
    roles=ADMIN,
    answer=NumberAnswer,
    body=patch(NumberForm),
    resource="phone_number/{id}",
)
async def update(call: Call, body: Input) -> NumberAnswer:
    """Change a phone number, its label, or who is told of faxes that come in on it."""
    current = await numbers.get(call.session, call.account_id, call.id)
    call.expect(_answer(current))
    form = check(NumberForm, merged(current.form, body))
    after = _answer(await numbers.update(call.session, call.account_id, call.id, form))
    call.changed(_answer(current), after)
    return after


@operation("DELETE", "/phone-numbers/{id}", "phone_number.delete", roles=ADMIN, resource="phone_number/{id}")
async def delete(call: Call) -> None:
    """Remove a phone number; 409 while the account, an extension or a device calls out with it."""
    call.deletes(await read(call))
    await numbers.delete(call.session, call.account_id, call.id)
