"""Extensions: the internal numbers of the account and the credentials that register them."""

from pydantic import Field

from provisioning import accounts, extensions
from provisioning.api.operation import (
    ADMIN,
    READER,
    TECHNICIAN,
    Answer,
    Call,
    Paging,
    operation,
    page_of,
    patch,
)
from provisioning.extensions import Extension, ExtensionForm
from provisioning.fields import Input, check


class ExtensionAnswer(Answer):
    id: str
    number: str
    display_name: str
    sip_username: str
    outbound_number_id: str | None
    voicemail_enabled: bool


class RevealAnswer(Answer):
    id: str
    sip_username: str
    sip_password: str = Field(repr=False)


ExtensionPage = page_of(ExtensionAnswer)


def _answer(extension: Extension) -> ExtensionAnswer:
    return ExtensionAnswer.model_validate(extension)


async def _length(call: Call) -> int:
    return (await accounts.get(call.session, call.account_id)).telephony.extension_length


@operation(
    "GET",
    "/extensions",
    "extension.list",
    roles=READER,
    answer=ExtensionPage,
    query=Paging,
    resource="extension",
)
async def list_(call: Call, query: Paging) -> Answer:
    """The extensions, newest first."""
    found, following = await extensions.page(
        call.session, call.account_id, limit=query.limit, cursor=query.cursor
    )
    return ExtensionPage(data=[_answer(extension) for extension in found], next_cursor=following)


@operation(
    "POST",
    "/extensions",
    "extension.create",
    roles=ADMIN,
    answer=ExtensionAnswer,
    body=ExtensionForm,
    resource="extension",
    status=201,
)
async def create(call: Call, body: ExtensionForm) -> ExtensionAnswer:
    """A new extension of the account's extension length; a SIP password is made when absent."""
    made = await extensions.add(call.session, call.vault, call.account_id, body, length=await _length(call))
    return call.created(_answer(made))


@operation(
    "GET",
    "/extensions/{id}",
    "extension.read",
    roles=READER,
    answer=ExtensionAnswer,
    resource="extension/{id}",
)
async def read(call: Call) -> ExtensionAnswer:
    """One extension; its password is shown by reveal alone."""
    return _answer(await extensions.get(call.session, call.account_id, call.id))


@operation(
    "PATCH",
    "/extensions/{id}",
    "extension.update",
    roles=ADMIN,
    answer=ExtensionAnswer,
    body=patch(ExtensionForm),
    resource="extension/{id}",
)
async def update(call: Call, body: Input) -> ExtensionAnswer:
    """Change an extension."""
    current = await read(call)
    call.expect(current)
    form = check(ExtensionForm, current.model_dump(exclude={"id"}) | body.model_dump(exclude_unset=True))
    length = await _length(call)
    after = _answer(
        await extensions.update(call.session, call.vault, call.account_id, call.id, form, length=length)
    )
    call.changed(current, after)
    if form.sip_password:
        call.secret("sip_password")
    return after


@operation("DELETE", "/extensions/{id}", "extension.delete", roles=ADMIN, resource="extension/{id}")
async def delete(call: Call) -> None:
    """Remove an extension; 409 while a device has it as a line."""
    call.deletes(await read(call))
    await extensions.delete(call.session, call.account_id, call.id)


@operation(
    "POST",
    "/extensions/{id}/reveal",
    "extension.reveal",
    roles=TECHNICIAN,
    answer=RevealAnswer,
    resource="extension/{id}",
)
async def reveal(call: Call) -> RevealAnswer:
    """The SIP password; that it was shown is entered in the activity log."""
    await extensions.get(call.session, call.account_id, call.id)
    ((extension, password),) = await extensions.with_passwords(
        call.session, call.vault, call.account_id, [call.id]
    )
    return RevealAnswer(id=extension.id, sip_username=extension.sip_username, sip_password=password)
